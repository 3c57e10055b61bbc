//! Every operation against finite differences: gradients, and Hessian-vector products over dual numbers.

use super::*;
use crate::random::Stream;
use crate::tensor::real::{Dual, Real};
use crate::tensor::tape::{Tape, Var};

/// Builds a tensor from leaves of the given sizes.
struct Case {
    name: &'static str,
    dims: &'static [&'static [usize]],
}

const CASES: &[Case] = &[
    Case { name: "linear out-in", dims: &[&[2, 3, 4], &[5, 4], &[5]] },
    Case { name: "linear in-out", dims: &[&[2, 3, 4], &[4, 5], &[5]] },
    Case { name: "linear without bias", dims: &[&[2, 3, 4], &[5, 4]] },
    Case { name: "linear and gelu", dims: &[&[2, 3, 4], &[5, 4], &[5]] },
    Case { name: "linear without bias and relu", dims: &[&[2, 3, 4], &[5, 4]] },
    Case { name: "layer norm", dims: &[&[3, 6], &[6], &[6]] },
    Case { name: "gelu", dims: &[&[3, 4]] },
    Case { name: "gelu tanh", dims: &[&[3, 4]] },
    Case { name: "relu", dims: &[&[3, 4]] },
    Case { name: "silu", dims: &[&[3, 4]] },
    Case { name: "add and share", dims: &[&[3, 4], &[3, 4]] },
    Case { name: "mul", dims: &[&[3, 4], &[3, 4]] },
    Case { name: "scale", dims: &[&[3, 4]] },
    Case { name: "add table", dims: &[&[2, 3, 4], &[5, 4]] },
    Case { name: "concat features", dims: &[&[2, 3], &[2, 4]] },
    Case { name: "gather and frozen", dims: &[&[5, 3]] },
    Case { name: "select and scatter rows", dims: &[&[4, 3], &[2, 3]] },
    Case { name: "slice and concat rows", dims: &[&[4, 3], &[2, 3]] },
    Case { name: "attention", dims: &[&[2, 3, 4], &[2, 3, 4], &[2, 3, 4]] },
    Case { name: "causal attention, one tensor", dims: &[&[2, 3, 12]] },
    Case { name: "flipped mask", dims: &[&[1, 4, 2], &[1, 4, 2], &[1, 4, 2]] },
    Case { name: "grouped queries", dims: &[&[2, 3, 8], &[2, 3, 4], &[2, 3, 4]] },
    Case { name: "depthwise", dims: &[&[2, 4, 3], &[3, 1, 5]] },
    Case { name: "conv mix", dims: &[&[2, 4, 6], &[2, 4, 10]] },
    Case { name: "softmax of groups", dims: &[&[2, 6]] },
    Case { name: "dft", dims: &[&[2, 3, 8]] },
    Case { name: "dct", dims: &[&[2, 3, 8]] },
    Case { name: "pick log softmax", dims: &[&[3, 5]] },
    Case { name: "combine", dims: &[&[3], &[2]] },
];

fn heads(var: Var, offset: usize, count: usize, width: usize) -> Heads {
    Heads { var, offset, count, width }
}

fn attention<R: Real>(t: &mut Tape<R>, q: Heads, k: Heads, v: Heads, mask: Mask) -> Var {
    let p = attention_probs(t, q, k, mask);
    attend(t, p, v)
}

fn build<R: Real>(name: &str, t: &mut Tape<R>, v: &[Var]) -> Var {
    match name {
        "linear out-in" => linear(t, v[0], v[1], Some(v[2]), Layout::OutIn),
        "linear in-out" => linear(t, v[0], v[1], Some(v[2]), Layout::InOut),
        "linear without bias" => linear(t, v[0], v[1], None, Layout::OutIn),
        "linear and gelu" => linear_act(t, v[0], v[1], Some(v[2]), Layout::OutIn, Act::Gelu, false).1,
        "linear without bias and relu" => linear_act(t, v[0], v[1], None, Layout::OutIn, Act::Relu, false).1,
        "layer norm" => layer_norm(t, v[0], v[1], v[2], 1e-5),
        "gelu" => activation(t, v[0], Act::Gelu),
        "gelu tanh" => activation(t, v[0], Act::GeluTanh),
        "relu" => activation(t, v[0], Act::Relu),
        "silu" => activation(t, v[0], Act::Silu),
        "add and share" => {
            let a = add(t, v[0], v[1]);
            let b = add(t, a, v[0]);
            add(t, b, b)
        }
        "mul" => mul(t, v[0], v[1]),
        "scale" => scale(t, v[0], -1.5),
        "add table" => add_table(t, v[0], v[1], 3),
        "concat features" => concat_features(t, v),
        "gather and frozen" => {
            let a = gather(t, v[0], vec![1, 4, 1], &[3], None);
            // A frozen row has no gradient, so it must not be one that the differences see.
            let b = gather(t, v[0], vec![2, 3, 0], &[3], Some(9));
            mul(t, a, b)
        }
        "select and scatter rows" => {
            let a = select_rows(t, v[0], vec![3, 1, 3]);
            scatter_rows(t, vec![(a, vec![0, 4, 2]), (v[1], vec![1, 3])], &[6, 3])
        }
        "slice and concat rows" => {
            let a = slice_rows(t, v[0], 1, 3);
            concat_rows(t, &[a, v[1], a])
        }
        "attention" => {
            attention(t, heads(v[0], 0, 2, 2), heads(v[1], 0, 2, 2), heads(v[2], 0, 2, 2), Mask::None)
        }
        "causal attention, one tensor" => {
            let part = |i: usize| heads(v[0], 4 * i, 2, 2);
            attention(t, part(0), part(1), part(2), Mask::Causal)
        }
        "flipped mask" => {
            attention(t, heads(v[0], 0, 1, 2), heads(v[1], 0, 1, 2), heads(v[2], 0, 1, 2), Mask::Flipped)
        }
        "grouped queries" => {
            attention(t, heads(v[0], 0, 4, 2), heads(v[1], 0, 2, 2), heads(v[2], 0, 2, 2), Mask::Causal)
        }
        "depthwise" => depthwise(t, v[0], v[1]),
        "conv mix" => conv_mix(t, v[0], v[1], 2),
        "softmax of groups" => softmax_last(t, v[0], 3),
        "dft" => transform2d(t, v[0], 2, Transform::Dft),
        "dct" => transform2d(t, v[0], 2, Transform::Dct),
        "pick log softmax" => pick_log_softmax(t, v[0], vec![4, IGNORE, 0]),
        "combine" => {
            let (a, b) = (dot(t, v[0], None), dot(t, v[1], Some(v[1])));
            let b = scale(t, b, 0.0);
            combine(t, vec![(a, 2.0), (b, -1.0)])
        }
        other => panic!("{other}"),
    }
}

/// The objective (a fixed projection of the result, squared halves so that the second order is not
/// trivial) and its gradients.
fn gradients<R: Real>(case: &Case, inputs: &[Vec<R>]) -> (R, Vec<Vec<R>>) {
    let mut t = Tape::new(true);
    let leaves: Vec<Var> =
        inputs.iter().zip(case.dims).map(|(x, d)| t.leaf(d, x.clone().into(), true)).collect();
    let y = build(case.name, &mut t, &leaves);
    let y2 = mul(&mut t, y, y);
    let y = add(&mut t, y, y2);
    let mut s = Stream::new(7, case.name);
    let dims = t.dims(y).to_vec();
    let w = (0..t.value(y).len()).map(|_| R::of(s.normal())).collect();
    let w = t.constant(&dims, w);
    let f = dot(&mut t, y, Some(w));
    let value = t.value(f)[0];
    let mut grads: Vec<Vec<R>> = inputs.iter().map(|x| vec![R::default(); x.len()]).collect();
    t.backward(f, 1.0, &mut |v, g| {
        if let Some(i) = leaves.iter().position(|&l| l == v) {
            grads[i].copy_from_slice(g);
        }
    });
    (value, grads)
}

fn draw(case: &Case, tag: &str) -> Vec<Vec<f64>> {
    let mut s = Stream::new(1, &format!("{}/{tag}", case.name));
    case.dims.iter().map(|d| (0..d.iter().product()).map(|_| s.normal()).collect()).collect()
}

fn moved(x: &[Vec<f64>], d: &[Vec<f64>], h: f64) -> Vec<Vec<f64>> {
    x.iter().zip(d).map(|(x, d)| x.iter().zip(d).map(|(x, d)| x + h * d).collect()).collect()
}

#[test]
fn gradients_agree_with_differences() {
    for case in CASES {
        let (x, d) = (draw(case, "x"), draw(case, "d"));
        let (_, g) = gradients(case, &x);
        let h = 1e-5;
        let slope =
            (gradients(case, &moved(&x, &d, h)).0 - gradients(case, &moved(&x, &d, -h)).0) / (2.0 * h);
        let exact: f64 = g.iter().flatten().zip(d.iter().flatten()).map(|(g, d)| g * d).sum();
        let size: f64 = g.iter().flatten().zip(d.iter().flatten()).map(|(g, d)| (g * d).abs()).sum();
        assert!((slope - exact).abs() < 1e-7 * size.max(1.0), "{}: {slope} {exact}", case.name);
    }
}

#[test]
fn every_partial_derivative_agrees_with_differences() {
    for case in CASES {
        let x = draw(case, "x");
        let (_, g) = gradients(case, &x);
        for (i, part) in x.iter().enumerate() {
            for j in 0..part.len() {
                let at = |h: f64| {
                    let mut y = x.clone();
                    y[i][j] += h;
                    gradients(case, &y).0
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - g[i][j]).abs() < 1e-6 * slope.abs().max(1.0), "{} {i} {j}", case.name);
            }
        }
    }
}

#[test]
fn second_order_agrees_with_differences() {
    for case in CASES {
        let (x, d) = (draw(case, "x"), draw(case, "d"));
        let dual: Vec<Vec<Dual<f64>>> =
            x.iter().zip(&d).map(|(x, d)| x.iter().zip(d).map(|(&v, &d)| Dual { v, d }).collect()).collect();
        let (_, g) = gradients(case, &dual);
        let h = 1e-5;
        let (_, up) = gradients(case, &moved(&x, &d, h));
        let (_, down) = gradients(case, &moved(&x, &d, -h));
        for ((g, u), l) in g.iter().flatten().zip(up.iter().flatten()).zip(down.iter().flatten()) {
            let slope = (u - l) / (2.0 * h);
            assert!((g.d - slope).abs() < 2e-6 * slope.abs().max(1.0), "{}: {} {slope}", case.name, g.d);
        }
    }
}

#[test]
fn frozen_rows_have_no_gradient() {
    let mut t = Tape::new(true);
    let table = t.leaf(&[3, 1], vec![1.0, 2.0, 3.0].into(), true);
    let y = gather(&mut t, table, vec![0, 2, 2], &[3], Some(0));
    let f = dot(&mut t, y, None);
    let mut grad = Vec::new();
    t.backward(f, 1.0, &mut |v, g| {
        if v == table {
            grad = g.to_vec();
        }
    });
    assert_eq!(grad, [0.0, 0.0, 2.0]);
}

#[test]
fn transforms_agree_with_their_definitions() {
    let (seq, width) = (3, 4);
    let mut s = Stream::new(3, "transform");
    let x: Vec<f64> = (0..seq * width).map(|_| s.normal()).collect();
    let tau = std::f64::consts::TAU;
    let cosine = |k: usize, j: usize, n: usize| 2.0 * (tau * (k * (2 * j + 1)) as f64 / (4 * n) as f64).cos();
    for (kind, term) in [
        (
            Transform::Dft,
            Box::new(|k: usize, l: usize, i: usize, j: usize| {
                (tau * ((k * i) as f64 / seq as f64 + (l * j) as f64 / width as f64)).cos()
            }) as Box<dyn Fn(usize, usize, usize, usize) -> f64>,
        ),
        (Transform::Dct, Box::new(|k, l, i, j| cosine(k, i, seq) * cosine(l, j, width))),
    ] {
        let mut t = Tape::new(false);
        let v = t.leaf(&[1, seq, width], x.clone().into(), false);
        let y = transform2d(&mut t, v, 1, kind);
        for k in 0..seq {
            for l in 0..width {
                let terms = (0..seq * width).map(|e| x[e] * term(k, l, e / width, e % width));
                assert!((t.value(y)[k * width + l] - terms.sum::<f64>()).abs() < 1e-12);
            }
        }
    }
}

/// Gradients of a feed-forward's first half, of all inputs and of what is between, with parameters' gradients
/// kept apart for two samples.
fn half_of_a_feed_forward(fused: bool) -> Vec<Vec<f32>> {
    let mut t = Tape::<f32>::new(true);
    let mut r = Stream::new(3, "feed-forward");
    let mut leaf = |t: &mut Tape<f32>, dims: &[usize]| {
        let n = dims.iter().product();
        t.leaf(dims, (0..n).map(|_| r.normal() as f32).collect(), true)
    };
    let x = leaf(&mut t, &[2, 70, 48]);
    let (w, b) = (leaf(&mut t, &[300, 48]), leaf(&mut t, &[300]));
    let p = leaf(&mut t, &[2, 70, 300]);
    t.apart(w, 2);
    t.apart(b, 2);
    let (y, a) = if fused {
        linear_act(&mut t, x, w, Some(b), Layout::OutIn, Act::Gelu, true)
    } else {
        let y = linear(&mut t, x, w, Some(b), Layout::OutIn);
        (y, activation(&mut t, y, Act::Gelu))
    };
    let mut all = vec![t.value(y).to_vec(), t.value(a).to_vec()];
    let objective = dot(&mut t, a, Some(p));
    let wanted = [x, w, b, y, a];
    let mut grads = vec![Vec::new(); wanted.len()];
    t.backward(objective, 1.0, &mut |v, g| {
        if let Some(at) = wanted.iter().position(|&w| w == v) {
            grads[at] = g.to_vec();
        }
    });
    all.extend(grads);
    all
}

#[test]
fn a_fused_non_linearity_has_the_bits_of_the_two_operations() {
    let (fused, apart) = (half_of_a_feed_forward(true), half_of_a_feed_forward(false));
    assert!(apart.iter().all(|x| !x.is_empty()));
    assert_eq!(fused[4].len(), 600);
    let bits = |x: &[Vec<f32>]| -> Vec<Vec<u32>> {
        x.iter().map(|x| x.iter().map(|x| x.to_bits()).collect()).collect()
    };
    assert_eq!(bits(&fused), bits(&apart));
}
