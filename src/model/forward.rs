//! The families' stages behind one face: embedding, blocks, objective.

use super::Batch;
use super::config::Config;
use super::net::Net;
use super::plan::Plan;
use super::{flexibert, gpt2, gpt2flex};
use crate::site::{Field, Kind, Objective, SiteId};
use crate::tensor::nn::{self, IGNORE};
use crate::tensor::real::Real;
use crate::tensor::tape::Var;

/// Parameters and sites of an architecture.
pub(super) fn declare(c: &Config, batch: usize, seq: usize) -> Plan {
    match c {
        Config::FlexiBert(c) => flexibert::declare(c, batch, seq),
        Config::Gpt2(c) => gpt2::declare(c, batch, seq),
        Config::Gpt2Flex(c) => gpt2flex::declare(c, batch, seq),
    }
}

fn embed<R: Real>(c: &Config, net: &mut Net<'_, R>, b: &Batch) -> Var {
    match c {
        Config::FlexiBert(c) => flexibert::embed(c, net, b),
        Config::Gpt2(c) => gpt2::embed(c, net, b),
        Config::Gpt2Flex(c) => gpt2flex::embed(c, net, b),
    }
}

fn block<R: Real>(c: &Config, net: &mut Net<'_, R>, i: usize, x: Var) -> Var {
    match c {
        Config::FlexiBert(c) => flexibert::block(c, net, i, x),
        Config::Gpt2(c) => gpt2::block(c, net, i, x),
        Config::Gpt2Flex(c) => gpt2flex::block(c, net, i, x),
    }
}

/// The normalisation after the last block, where it is not part of that block.
fn finish<R: Real>(c: &Config, net: &mut Net<'_, R>, x: Var) -> Var {
    match c {
        Config::FlexiBert(_) => x,
        Config::Gpt2(c) => net.layer_norm(x, "transformer.ln_f", c.eps),
        Config::Gpt2Flex(c) => net.layer_norm(x, "model.transformer.ln_f", c.eps),
    }
}

/// The last hidden state `[batch, seq, width]`.
pub(super) fn hidden<R: Real>(c: &Config, net: &mut Net<'_, R>, b: &Batch) -> Var {
    let blocks: Vec<(SiteId, String)> = net
        .plan
        .sites
        .iter()
        .enumerate()
        .filter(|(_, s)| s.kind == Kind::Block)
        .map(|(i, s)| (i, s.name.clone()))
        .collect();
    let mut x = embed(c, net, b);
    for (i, (_, name)) in blocks.iter().enumerate() {
        net.tap(Kind::Block, name, x, Field::Input, None);
        x = block(c, net, i, x);
        net.tap(Kind::Block, name, x, Field::Output, Some(Field::OutputGrad));
    }
    finish(c, net, x)
}

/// What the head of a model gives; parts that were not asked for may be missing.
#[derive(Default)]
pub(super) struct HeadOut {
    /// The number that is differentiated.
    pub objective: Option<Var>,
    /// Cross entropy.
    pub loss: Option<Var>,
    /// Logits of families with one table.
    pub logits: Option<Var>,
    /// Log-likelihoods of the targets as (numbers, rows), for adaptive softmax.
    pub picks: Vec<(Var, Vec<u32>)>,
}

/// Objective (and loss, where asked for) of the last hidden state.
pub(super) fn head<R: Real>(
    c: &Config,
    net: &mut Net<'_, R>,
    b: &Batch,
    h: Var,
    objective: Objective,
    want_loss: bool,
) -> HeadOut {
    let mut out = HeadOut::default();
    let want_loss = want_loss || objective == Objective::Loss;
    match c {
        Config::FlexiBert(_) => {}
        Config::Gpt2(c) => {
            if want_loss || objective == Objective::SumLogits {
                let logits = gpt2::logits(c, net, h);
                out.logits = Some(logits);
                out.loss = want_loss.then(|| gpt2::shifted_loss(net, logits, b));
            }
        }
        Config::Gpt2Flex(c) => {
            if want_loss {
                let (loss, picks) = gpt2flex::loss(c, net, h, b);
                (out.loss, out.picks) = (Some(loss), picks);
            }
        }
    }
    out.objective = match objective {
        Objective::Loss => out.loss,
        Objective::Ones => Some(nn::dot(&mut net.tape, h, None)),
        Objective::Projection => Some(projection(net, h)),
        Objective::SumLogits => {
            let logits = match (c, out.logits) {
                (Config::Gpt2Flex(c), _) => gpt2flex::cluster_logits(c, net, h, 0),
                (_, Some(logits)) => logits,
                (_, None) => h,
            };
            Some(nn::dot(&mut net.tape, logits, None))
        }
    };
    out
}

/// The sum of `h` times a fixed standard normal tensor.
fn projection<R: Real>(net: &mut Net<'_, R>, h: Var) -> Var {
    let dims = net.tape.dims(h).to_vec();
    let direction = net.normals("projection", &dims);
    nn::dot(&mut net.tape, h, Some(direction))
}

/// Log-probabilities `[batch, seq, vocab]` of an adaptive softmax, all clusters for every position.
pub(super) fn log_probs<R: Real>(c: &Config, net: &mut Net<'_, R>, h: Var) -> Option<(Vec<usize>, Vec<R>)> {
    let Config::Gpt2Flex(c) = c else { return None };
    let n = net.tape.rows(h);
    let mut y = vec![R::default(); n * c.vocab];
    let mut entries = Vec::new();
    for i in 0..c.ends.len() {
        let logits = gpt2flex::cluster_logits(c, net, h, i);
        let width = net.tape.width(logits);
        let zero = nn::pick_log_softmax(&mut net.tape, logits, vec![0; n]);
        let (xs, zs) = (net.tape.value(logits), net.tape.value(zero));
        let at = c.cluster(i);
        for r in 0..n {
            // The norm of a row is its element 0 less that element's log-probability.
            let norm = xs[r * width] - zs[r];
            let row = &xs[r * width..(r + 1) * width];
            if i == 0 {
                entries.extend(row[c.ends[0]..].iter().map(|&x| x - norm));
            }
            let base = if i == 0 { R::default() } else { entries[r * (c.ends.len() - 1) + i - 1] };
            for (y, &x) in y[r * c.vocab + at.start..r * c.vocab + at.end].iter_mut().zip(row) {
                *y = base + x - norm;
            }
        }
    }
    let mut dims = net.tape.dims(h).to_vec();
    if let Some(last) = dims.last_mut() {
        *last = c.vocab;
    }
    Some((dims, y))
}

/// Negative log-likelihood of the target of every position, in sequence order.
pub(super) fn nll<R: Real>(net: &Net<'_, R>, b: &Batch, picks: &[(Var, Vec<u32>)]) -> Vec<R> {
    let mut y = vec![R::default(); b.batch * b.seq];
    for (part, rows) in picks {
        for (&p, &r) in net.tape.value(*part).iter().zip(rows) {
            y[r as usize] -= p;
        }
    }
    for (y, t) in y.iter_mut().zip(gpt2flex::targets(b)) {
        if t == IGNORE {
            *y = R::default();
        }
    }
    y
}
