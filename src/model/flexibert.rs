//! FlexiBERT: an ELECTRA encoder with one operation per layer.

use super::Batch;
use super::config::{Flavor, FlexiBert, FlexiLayer, Operation};
use super::net::Net;
use super::plan::{Init, LinearSpec, Part, Plan};
use crate::site::{Field, Kind};
use crate::tensor::nn::{self, Heads, Layout, Mask};
use crate::tensor::real::Real;
use crate::tensor::tape::Var;

const STD: f64 = 0.02;
const WORD: &str = "embeddings.word_embeddings.weight";
const POSITION: &str = "embeddings.position_embeddings.weight";
const TYPE: &str = "embeddings.token_type_embeddings.weight";

fn layer_name(i: usize) -> String {
    format!("encoder.layer.{i}")
}

/// Does a layer project, add and normalise after its operation?
fn has_output(c: &FlexiBert, layer: &FlexiLayer) -> bool {
    c.flavor == Flavor::Trained || !matches!(layer.operation, Operation::Lt(_))
}

/// Parameters and sites.
pub(super) fn declare(c: &FlexiBert, batch: usize, seq: usize) -> Plan {
    let mut p = Plan::new(Layout::OutIn, batch, seq);
    p.table(Kind::Embed, WORD, [c.vocab, c.embedding], STD, &["token"]);
    p.table(Kind::Pos, POSITION, [c.positions, c.embedding], STD, &[]);
    p.table(Kind::Embed, TYPE, [c.types, c.embedding], STD, &["type"]);
    p.norm("embeddings.LayerNorm", c.embedding, &[]);
    if c.embedding != c.hidden {
        p.table(Kind::Embed, "embeddings_project.weight", [c.hidden, c.embedding], STD, &["projection"]);
        p.add_param("embeddings_project.bias".into(), &[c.hidden], Init::Zeros, Part::Embedding);
        p.count_linear(c.embedding, c.hidden);
    }
    for (i, layer) in c.layers.iter().enumerate() {
        declare_layer(c, layer, i, &mut p);
    }
    p
}

fn declare_layer(c: &FlexiBert, layer: &FlexiLayer, i: usize, p: &mut Plan) {
    let at = layer_name(i);
    p.begin_block(i, &at, c.hidden);
    declare_operation(c, layer, &format!("{at}.operation.operation"), p);
    let h = c.hidden;
    let spec = |name, inner, outer, part, roles| LinearSpec {
        name,
        inner,
        outer,
        bias: true,
        std: STD,
        part,
        roles,
        head: false,
    };
    if has_output(c, layer) {
        p.linear(spec(format!("{at}.operation.output.dense"), h, h, Part::Operation, &["out"]));
        p.norm(&format!("{at}.operation.output.LayerNorm"), h, &[]);
    }
    let mut width = h;
    for (j, &w) in c.ffn_widths(layer).iter().enumerate() {
        let (name, roles): (_, &[&'static str]) = match j {
            0 => (format!("{at}.intermediate.dense_in"), &["ffn", "up"]),
            _ => (format!("{at}.intermediate.dense_list.{}", j - 1), &["ffn", "inner"]),
        };
        p.linear(spec(name, width, w, Part::Ffn, roles));
        p.act(&format!("{at}.intermediate.intermediate_act_fn.{j}"), w);
        width = w;
    }
    p.linear(spec(format!("{at}.output.dense"), width, h, Part::Ffn, &["ffn", "down"]));
    p.norm(&format!("{at}.output.LayerNorm"), h, &[]);
    p.layer = None;
}

fn declare_operation(c: &FlexiBert, layer: &FlexiLayer, at: &str, p: &mut Plan) {
    let (h, n) = (c.hidden, layer.heads);
    let d = h / n;
    let mut linear = |name: &str, inner, outer, bias, roles: &[&'static str], head| {
        let name = format!("{at}.{name}");
        p.linear(LinearSpec { name, inner, outer, bias, std: STD, part: Part::Operation, roles, head });
    };
    let projected = match layer.operation {
        Operation::Dsc(_) => h / c.conv_ratio,
        _ => h,
    };
    if let Operation::Lt(_) = layer.operation {
        linear("input", h, h, true, &["op", "input"], true);
        p.count_per_token(2.0 * (p.seq() * h + h * d) as f64);
        p.unused_softmax(at, n, d);
        return;
    }
    linear("query", h, projected, true, &["op", "query"], true);
    linear("key", h, projected, true, &["op", "key"], true);
    linear("value", h, projected, true, &["op", "value"], true);
    if layer.operation == Operation::Wma {
        linear("weight", h, h, false, &["op", "weight"], true);
    }
    if let Operation::Dsc(k) = layer.operation {
        let heads = n / c.conv_ratio;
        linear("conv_kernel_layer", projected, heads * k, true, &["op", "conv_kernel"], false);
        linear("conv_out_layer", h, projected, true, &["op", "conv_out"], false);
        let conv = format!("{at}.key_conv_attn_layer");
        p.add_param(format!("{conv}.depthwise.weight"), &[h, 1, k], Init::Normal(STD), Part::Operation);
        p.add_param(
            format!("{conv}.pointwise.weight"),
            &[projected, h, 1],
            Init::Normal(STD),
            Part::Operation,
        );
        p.add_param(format!("{conv}.bias"), &[projected, 1], Init::Zeros, Part::Operation);
        p.count_per_token(2.0 * (h * k + h * projected + projected * k) as f64);
        p.attention(at, heads, d);
        return;
    }
    p.attention(at, n, d);
}

/// Embeddings, projected to the model width.
pub(super) fn embed<R: Real>(c: &FlexiBert, net: &mut Net<'_, R>, b: &Batch) -> Var {
    let x = match net.stand_in(b.batch, b.seq, c.embedding) {
        Some(x) => x,
        None => {
            let table = net.param(WORD);
            // The port's table has `padding_idx = 0`.
            let frozen = (c.flavor == Flavor::LpzeroPort).then_some(0);
            nn::gather(&mut net.tape, table, b.ids.clone(), &[b.batch, b.seq], frozen)
        }
    };
    let position = net.param(POSITION);
    let x = nn::add_table(&mut net.tape, x, position, b.seq);
    let kind = net.param(TYPE);
    let x = nn::add_table(&mut net.tape, x, kind, 1);
    let x = net.layer_norm(x, "embeddings.LayerNorm", c.eps);
    if c.embedding == c.hidden { x } else { net.linear(x, "embeddings_project") }
}

/// Logits over the vocabulary for masked language modelling: rows `h` of the last hidden state, brought
/// back to the embedding width by the transpose of the embedding projection where the widths differ,
/// times the word table. Tied, without bias.
pub(super) fn word_logits<R: Real>(c: &FlexiBert, net: &mut Net<'_, R>, h: Var) -> Var {
    let e = if c.embedding == c.hidden {
        h
    } else {
        let back = net.param("embeddings_project.weight");
        nn::linear(&mut net.tape, h, back, None, Layout::InOut)
    };
    let table = net.param(WORD);
    nn::linear(&mut net.tape, e, table, None, Layout::OutIn)
}

/// Block `i`.
pub(super) fn block<R: Real>(c: &FlexiBert, net: &mut Net<'_, R>, i: usize, x: Var) -> Var {
    let layer = &c.layers[i];
    let at = layer_name(i);
    let mut y = operation(c, layer, net, x, &format!("{at}.operation.operation"));
    if has_output(c, layer) {
        let o = net.linear(y, &format!("{at}.operation.output.dense"));
        let sum = nn::add(&mut net.tape, o, x);
        y = net.layer_norm(sum, &format!("{at}.operation.output.LayerNorm"), c.eps);
    }
    let mut f = y;
    for j in 0..layer.ffn_depth {
        let name = match j {
            0 => format!("{at}.intermediate.dense_in"),
            _ => format!("{at}.intermediate.dense_list.{}", j - 1),
        };
        f = net.linear_act(f, &name, c.act, &format!("{at}.intermediate.intermediate_act_fn.{j}"));
    }
    let o = net.linear(f, &format!("{at}.output.dense"));
    let sum = nn::add(&mut net.tape, o, y);
    net.layer_norm(sum, &format!("{at}.output.LayerNorm"), c.eps)
}

fn operation<R: Real>(c: &FlexiBert, layer: &FlexiLayer, net: &mut Net<'_, R>, x: Var, at: &str) -> Var {
    let (n, d) = (layer.heads, c.hidden / layer.heads);
    let heads = |var, count| Heads { var, offset: 0, count, width: d };
    if let Operation::Lt(kind) = layer.operation {
        let y = net.linear(x, &format!("{at}.input"));
        let y = nn::transform2d(&mut net.tape, y, n, kind);
        let name = format!("{at}.softmax");
        if net.watches(Kind::Softmax, &name, Field::Value) {
            let s = nn::softmax_heads(&mut net.tape, y, n);
            net.tap(Kind::Softmax, &name, s, Field::Value, None);
        }
        return y;
    }
    let mut q = net.linear(x, &format!("{at}.query"));
    let query = q;
    let k = net.linear(x, &format!("{at}.key"));
    let v = net.linear(x, &format!("{at}.value"));
    if layer.operation == Operation::Wma {
        q = net.linear(q, &format!("{at}.weight"));
    }
    let count = match layer.operation {
        Operation::Dsc(_) => n / c.conv_ratio,
        _ => n,
    };
    let y = net.attention(heads(q, count), heads(k, count), heads(v, count), Mask::None, at);
    match layer.operation {
        Operation::Dsc(width) => {
            let o = convolution(net, x, query, count, width, at);
            nn::concat_features(&mut net.tape, &[y, o])
        }
        _ => y,
    }
}

/// The span-based dynamic convolution of a DSC layer.
fn convolution<R: Real>(net: &mut Net<'_, R>, x: Var, q: Var, heads: usize, width: usize, at: &str) -> Var {
    let w = net.param(&format!("{at}.key_conv_attn_layer.depthwise.weight"));
    let k = nn::depthwise(&mut net.tape, x, w);
    let w = net.param(&format!("{at}.key_conv_attn_layer.pointwise.weight"));
    let b = net.param(&format!("{at}.key_conv_attn_layer.bias"));
    let k = nn::linear(&mut net.tape, k, w, Some(b), Layout::OutIn);
    let kq = nn::mul(&mut net.tape, k, q);
    let kernel = net.linear(kq, &format!("{at}.conv_kernel_layer"));
    let kernel = nn::softmax_last(&mut net.tape, kernel, width);
    let o = net.linear(x, &format!("{at}.conv_out_layer"));
    nn::conv_mix(&mut net.tape, o, kernel, heads)
}
