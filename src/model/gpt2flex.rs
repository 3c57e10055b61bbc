//! LiteTransformerSearch's GPT-2: widths per layer, adaptive embedding (Baevski and Auli, ICLR 2019)
//! and projected adaptive softmax with tied tables.

use super::Batch;
use super::config::Gpt2Flex;
use super::gpt2::{self, Block};
use super::net::Net;
use super::plan::{Init, Part, Plan};
use crate::site::Kind;
use crate::tensor::nn::{self, IGNORE, Layout};
use crate::tensor::real::Real;
use crate::tensor::tape::Var;

const WPE: &str = "model.transformer.wpe.weight";
const CLUSTER_WEIGHT: &str = "model.lm_head.cluster_weight";
const CLUSTER_BIAS: &str = "model.lm_head.cluster_bias";

fn table(i: usize) -> String {
    format!("model.transformer.wte.emb_layers.{i}.weight")
}
fn emb_proj(i: usize) -> String {
    format!("model.transformer.wte.emb_projs.{i}")
}
fn out_proj(i: usize) -> String {
    format!("model.lm_head.out_projs.{i}")
}
fn bias(i: usize) -> String {
    format!("model.lm_head.out_layers_biases.{i}")
}
fn block_name(i: usize) -> String {
    format!("model.{}", gpt2::block_name(i))
}

fn sizes<'a>(c: &Gpt2Flex, i: usize, at: &'a str) -> Block<'a> {
    Block { at, width: c.width, heads: c.heads[i], inner: c.inner[i], act: c.act, eps: c.eps }
}

/// Does the embedding have projections?
fn projects(c: &Gpt2Flex) -> bool {
    c.div > 1 || c.embedding != c.width
}

/// Parameters and sites.
pub(super) fn declare(c: &Gpt2Flex, batch: usize, seq: usize) -> Plan {
    let mut p = Plan::new(Layout::InOut, batch, seq);
    let tables = if c.div == 1 { 1 } else { c.ends.len() };
    for i in 0..tables {
        let rows = if c.div == 1 { c.vocab } else { c.cluster(i).len() };
        p.table(Kind::Embed, &table(i), [rows, c.cluster_width(i)], c.std, &["token"]);
    }
    if projects(c) {
        for i in 0..tables {
            let dims = [c.width, c.cluster_width(i)];
            p.table(Kind::Embed, &emb_proj(i), dims, c.proj_std, &["projection"]);
        }
        p.count_linear(c.embedding, c.width);
    }
    p.table(Kind::Pos, WPE, [c.positions, c.width], c.std, &[]);
    for i in 0..c.heads.len() {
        gpt2::declare_block(&mut p, i, sizes(c, i, &block_name(i)), c.heads.len(), c.std);
    }
    p.norm("model.transformer.ln_f", c.width, &["final"]);
    declare_head(c, &mut p);
    p
}

fn declare_head(c: &Gpt2Flex, p: &mut Plan) {
    let clusters = c.ends.len();
    if clusters > 1 {
        let dims = [clusters - 1, c.embedding];
        p.add_param(CLUSTER_WEIGHT.into(), &dims, Init::Normal(c.std), Part::Head);
        p.add_param(CLUSTER_BIAS.into(), &[clusters - 1], Init::Zeros, Part::Head);
    }
    if c.div == 1 {
        p.add_param(bias(0), &[c.vocab], Init::Zeros, Part::Head);
    }
    for i in 0..clusters {
        if c.div > 1 {
            p.add_param(bias(i), &[c.cluster(i).len()], Init::Zeros, Part::Head);
        }
        if projects(c) && !c.tie_projs[i] {
            let dims = [c.width, c.cluster_width(i)];
            p.add_param(out_proj(i), &dims, Init::Normal(c.proj_std), Part::Head);
        }
    }
    // Every token passes the head cluster; the tail is counted as if tokens were spread evenly.
    let head = c.ends[0] + clusters - 1;
    p.count_linear(c.embedding, head);
    if projects(c) {
        p.count_linear(c.width, c.embedding);
    }
    for i in 1..clusters {
        let share = c.cluster(i).len() as f64 / c.vocab as f64;
        p.count_per_token(2.0 * share * (c.cluster_width(i) * c.cluster(i).len()) as f64);
    }
}

/// Adaptive embedding, scaled, plus positions.
pub(super) fn embed<R: Real>(c: &Gpt2Flex, net: &mut Net<'_, R>, b: &Batch) -> Var {
    let x = match net.stand_in(b.batch, b.seq, c.width) {
        Some(x) => x,
        None => {
            let e = adaptive_embedding(c, net, b);
            nn::scale(&mut net.tape, e, (c.width as f64).sqrt())
        }
    };
    let position = net.param(WPE);
    nn::add_table(&mut net.tape, x, position, b.seq)
}

fn adaptive_embedding<R: Real>(c: &Gpt2Flex, net: &mut Net<'_, R>, b: &Batch) -> Var {
    let lead = [b.batch, b.seq];
    if c.div == 1 {
        let t = net.param(&table(0));
        let e = nn::gather(&mut net.tape, t, b.ids.clone(), &lead, None);
        return match net.try_param(&emb_proj(0)) {
            Some(w) => nn::linear(&mut net.tape, e, w, None, Layout::OutIn),
            None => e,
        };
    }
    let mut parts = Vec::new();
    for i in 0..c.ends.len() {
        let cluster = c.cluster(i);
        let rows: Vec<u32> =
            (0..b.ids.len() as u32).filter(|&n| cluster.contains(&(b.ids[n as usize] as usize))).collect();
        if rows.is_empty() {
            continue;
        }
        let ids = rows.iter().map(|&n| b.ids[n as usize] - cluster.start as u32).collect();
        let t = net.param(&table(i));
        let e = nn::gather(&mut net.tape, t, ids, &[rows.len()], None);
        let w = net.param(&emb_proj(i));
        parts.push((nn::linear(&mut net.tape, e, w, None, Layout::OutIn), rows));
    }
    nn::scatter_rows(&mut net.tape, parts, &[b.batch, b.seq, c.width])
}

/// Block `i`.
pub(super) fn block<R: Real>(c: &Gpt2Flex, net: &mut Net<'_, R>, i: usize, x: Var) -> Var {
    gpt2::run_block(net, sizes(c, i, &block_name(i)), x)
}

/// What the softmax of one cluster is taken over: rows `h`, projected, and weights with biases in one part
/// or, for the head cluster, two; its last classes are the further clusters.
fn classes<R: Real>(c: &Gpt2Flex, net: &mut Net<'_, R>, h: Var, i: usize) -> (Var, Vec<(Var, Var)>) {
    let tied = if c.div == 1 { emb_proj(0) } else { emb_proj(i) };
    let proj = if c.tie_projs[i] { net.try_param(&tied) } else { net.try_param(&out_proj(i)) };
    let h = match proj {
        Some(p) => nn::linear(&mut net.tape, h, p, None, Layout::InOut),
        None => h,
    };
    let (w, b) = if c.div == 1 {
        let (w, b) = (net.param(&table(0)), net.param(&bias(0)));
        let at = c.cluster(i);
        if at.len() == c.vocab {
            (w, b)
        } else {
            let t = &mut net.tape;
            (nn::slice_rows(t, w, at.start, at.end), nn::slice_rows(t, b, at.start, at.end))
        }
    } else {
        (net.param(&table(i)), net.param(&bias(i)))
    };
    let mut parts = vec![(w, b)];
    if i == 0 && c.ends.len() > 1 {
        parts.push((net.param(CLUSTER_WEIGHT), net.param(CLUSTER_BIAS)));
    }
    (h, parts)
}

/// Logits of one cluster for rows `h`; those of the head cluster end with one entry per further cluster.
pub(super) fn cluster_logits<R: Real>(c: &Gpt2Flex, net: &mut Net<'_, R>, h: Var, i: usize) -> Var {
    let (h, parts) = classes(c, net, h, i);
    let (mut w, mut b) = parts[0];
    if let Some(&(cw, cb)) = parts.get(1) {
        w = nn::concat_rows(&mut net.tape, &[w, cw]);
        b = nn::concat_rows(&mut net.tape, &[b, cb]);
    }
    nn::linear(&mut net.tape, h, w, Some(b), Layout::OutIn)
}

/// The token that every position predicts: the labels, or the next token where there are none.
pub(super) fn targets(b: &Batch) -> Vec<u32> {
    b.labels.clone().unwrap_or_else(|| gpt2::shifted(b))
}

/// Mean negative log-likelihood, and the likelihoods by cluster as (picks, rows).
pub(super) fn loss<R: Real>(
    c: &Gpt2Flex,
    net: &mut Net<'_, R>,
    h: Var,
    b: &Batch,
) -> (Var, Vec<(Var, Vec<u32>)>) {
    let targets = targets(b);
    let count = targets.iter().filter(|&&t| t != IGNORE).count();
    let (n, width) = (b.batch * b.seq, c.width);
    let entry = |t: u32| match t {
        IGNORE => IGNORE,
        t => match c.cluster_of(t as usize) {
            0 => t,
            i => (c.ends[0] + i - 1) as u32,
        },
    };
    let (rows, all) = classes(c, net, h, 0);
    let picks = nn::classify(&mut net.tape, rows, &all, targets.iter().map(|&t| entry(t)).collect());
    let mut parts = vec![(picks, (0..n as u32).collect())];
    for i in 1..c.ends.len() {
        let cluster = c.cluster(i);
        let rows: Vec<u32> = (0..n as u32)
            .filter(|&r| targets[r as usize] != IGNORE && cluster.contains(&(targets[r as usize] as usize)))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let hi = nn::select_rows(&mut net.tape, h, rows.clone());
        debug_assert_eq!(net.tape.width(hi), width);
        let (hi, all) = classes(c, net, hi, i);
        let ids = rows.iter().map(|&r| targets[r as usize] - cluster.start as u32).collect();
        parts.push((nn::classify(&mut net.tape, hi, &all, ids), rows));
    }
    let scale = -1.0 / count.max(1) as f64;
    let sums = parts.iter().map(|(p, _)| (nn::dot(&mut net.tape, *p, None), scale)).collect();
    (nn::combine(&mut net.tape, sums), parts)
}
