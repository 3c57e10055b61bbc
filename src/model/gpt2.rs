//! GPT-2: pre-norm decoder blocks, shared by the plain and the flexible family.

use super::Batch;
use super::config::Gpt2;
use super::net::Net;
use super::plan::{LinearSpec, Part, Plan};
use crate::site::Kind;
use crate::tensor::nn::{self, Act, Heads, IGNORE, Layout};
use crate::tensor::real::Real;
use crate::tensor::tape::Var;

const STD: f64 = 0.02;
const WTE: &str = "transformer.wte.weight";
const WPE: &str = "transformer.wpe.weight";

/// Sizes of one block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// Module name of the block.
    pub at: &'a str,
    pub width: usize,
    pub heads: usize,
    pub inner: usize,
    pub act: Act,
    pub eps: f64,
}

/// Declares one block; `depth` scales the residual projections at the start.
pub(super) fn declare_block(p: &mut Plan, i: usize, b: Block<'_>, depth: usize, std: f64) {
    let Block { at, width, inner, .. } = b;
    p.begin_block(i, at, width);
    let residual = std / (2.0 * depth as f64).sqrt();
    let spec = |name, inner, outer, std, part, roles, head| LinearSpec {
        name,
        inner,
        outer,
        bias: true,
        std,
        part,
        roles,
        head,
    };
    p.norm(&format!("{at}.ln_1"), width, &[]);
    let roles: &[&'static str] = &["op", "query", "key", "value"];
    p.linear(spec(format!("{at}.attn.c_attn"), width, 3 * width, std, Part::Operation, roles, true));
    p.attention(&format!("{at}.attn"), b.heads, width / b.heads);
    p.linear(spec(format!("{at}.attn.c_proj"), width, width, residual, Part::Operation, &["out"], false));
    p.norm(&format!("{at}.ln_2"), width, &[]);
    p.linear(spec(format!("{at}.mlp.c_fc"), width, inner, std, Part::Ffn, &["ffn", "up"], false));
    p.act(&format!("{at}.mlp.act"), inner);
    p.linear(spec(format!("{at}.mlp.c_proj"), inner, width, residual, Part::Ffn, &["ffn", "down"], false));
    p.layer = None;
}

/// Runs one block.
pub(super) fn run_block<R: Real>(net: &mut Net<'_, R>, b: Block<'_>, x: Var) -> Var {
    let at = b.at;
    let h = net.layer_norm(x, &format!("{at}.ln_1"), b.eps);
    let qkv = net.linear(h, &format!("{at}.attn.c_attn"));
    let part = |i| Heads { var: qkv, offset: i * b.width, count: b.heads, width: b.width / b.heads };
    let mask = net.entry.mask;
    let a = net.attention(part(0), part(1), part(2), mask, &format!("{at}.attn"));
    let a = net.linear(a, &format!("{at}.attn.c_proj"));
    let x = nn::add(&mut net.tape, a, x);
    let h = net.layer_norm(x, &format!("{at}.ln_2"), b.eps);
    let h = net.linear_act(h, &format!("{at}.mlp.c_fc"), b.act, &format!("{at}.mlp.act"));
    let h = net.linear(h, &format!("{at}.mlp.c_proj"));
    nn::add(&mut net.tape, h, x)
}

fn sizes<'a>(c: &Gpt2, at: &'a str) -> Block<'a> {
    Block { at, width: c.width, heads: c.heads, inner: c.inner, act: c.act, eps: c.eps }
}

/// Module name of block `i`.
pub(super) fn block_name(i: usize) -> String {
    format!("transformer.h.{i}")
}

/// Parameters and sites.
pub(super) fn declare(c: &Gpt2, batch: usize, seq: usize) -> Plan {
    let mut p = Plan::new(Layout::InOut, batch, seq);
    p.table(Kind::Embed, WTE, [c.vocab, c.width], STD, &["token"]);
    p.table(Kind::Pos, WPE, [c.positions, c.width], STD, &[]);
    for i in 0..c.depth {
        declare_block(&mut p, i, sizes(c, &block_name(i)), c.depth, STD);
    }
    p.norm("transformer.ln_f", c.width, &["final"]);
    if !c.tied {
        let dims = [c.vocab, c.width];
        p.add_param("lm_head.weight".into(), &dims, super::plan::Init::Normal(STD), Part::Head);
    }
    p.count_linear(c.width, c.vocab);
    p
}

/// Token and position embeddings.
pub(super) fn embed<R: Real>(c: &Gpt2, net: &mut Net<'_, R>, b: &Batch) -> Var {
    let x = match net.stand_in(b.batch, b.seq, c.width) {
        Some(x) => x,
        None => {
            let table = net.param(WTE);
            nn::gather(&mut net.tape, table, b.ids.clone(), &[b.batch, b.seq], None)
        }
    };
    let position = net.param(WPE);
    nn::add_table(&mut net.tape, x, position, b.seq)
}

/// Block `i`.
pub(super) fn block<R: Real>(c: &Gpt2, net: &mut Net<'_, R>, i: usize, x: Var) -> Var {
    run_block(net, sizes(c, &block_name(i)), x)
}

/// Logits `[batch, seq, vocab]` of the normalised hidden state.
pub(super) fn logits<R: Real>(c: &Gpt2, net: &mut Net<'_, R>, h: Var) -> Var {
    let table = net.param(if c.tied { WTE } else { "lm_head.weight" });
    nn::linear(&mut net.tape, h, table, None, Layout::OutIn)
}

/// Mean cross entropy of the logits where position `t` predicts token `t + 1` of its sequence.
pub(super) fn shifted_loss<R: Real>(net: &mut Net<'_, R>, logits: Var, b: &Batch) -> Var {
    let targets = shifted(b);
    let count = targets.iter().filter(|&&t| t != IGNORE).count();
    let picks = nn::pick_log_softmax(&mut net.tape, logits, targets);
    let sum = nn::dot(&mut net.tape, picks, None);
    nn::combine(&mut net.tape, vec![(sum, -1.0 / count.max(1) as f64)])
}

/// The next token of every position; the last position of a sequence has none.
pub(super) fn shifted(b: &Batch) -> Vec<u32> {
    let next = |s: &[u32]| s.iter().skip(1).copied().chain([IGNORE]).collect::<Vec<u32>>();
    b.ids.chunks(b.seq).flat_map(next).collect()
}
