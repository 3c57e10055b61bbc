//! The models' CUDA kernels, run in emulation under several schedules and under the race detector,
//! against plain f64 computations; gradients against differences of the f64 forward functions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/cudaemu/mod.rs"]
mod cudaemu;

use cudaemu::{Arg, Launch, Library, Mode, SCHEDULES, unavailable};
use half::bf16;
use lpzero::engine::cuda::sources;
use lpzero::random::Stream;

/// Stored type of a kernel's tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ty {
    F32,
    Bf16,
}
const TYPES: [Ty; 2] = [Ty::F32, Ty::Bf16];

impl Ty {
    fn suffix(self) -> &'static str {
        match self {
            Ty::F32 => "f32",
            Ty::Bf16 => "bf16",
        }
    }
    /// What an element becomes when it is stored.
    fn round(self, x: f64) -> f64 {
        match self {
            Ty::F32 => f64::from(x as f32),
            Ty::Bf16 => bf16::from_f64(x).to_f64(),
        }
    }
    fn tolerance(self) -> f64 {
        match self {
            Ty::F32 => 2e-5,
            Ty::Bf16 => 8e-3,
        }
    }
}

/// Parameters of a kernel.
enum P {
    /// A tensor of the kernel's type.
    T(Vec<f64>),
    /// A tensor of f32.
    F(Vec<f64>),
    /// Whole numbers.
    U(Vec<u32>),
    L(Vec<i64>),
    /// Results, of the kernel's type and of f32.
    OutT(usize),
    OutF(usize),
    /// f32 that is read and written.
    InOutF(Vec<f64>),
    /// Results in f64.
    OutD(usize),
    Null,
    Size(usize),
    Int(i32),
    Float(f32),
}

fn bytes(p: &P, ty: Ty) -> Vec<u8> {
    let f32s = |v: &[f64]| v.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect();
    match (p, ty) {
        (P::T(v), Ty::Bf16) => v.iter().flat_map(|x| bf16::from_f64(*x).to_le_bytes()).collect(),
        (P::T(v) | P::F(v) | P::InOutF(v), _) => f32s(v),
        (P::U(v), _) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (P::L(v), _) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (P::OutT(n), Ty::Bf16) => vec![0xff; 2 * n],
        (P::OutT(n) | P::OutF(n), _) => vec![0xff; 4 * n],
        (P::OutD(n), _) => vec![0xff; 8 * n],
        (P::Null, _) => vec![0; 8],
        (P::Size(n), _) => (*n as u32).to_le_bytes().to_vec(),
        (P::Int(n), _) => n.to_le_bytes().to_vec(),
        (P::Float(x), _) => x.to_le_bytes().to_vec(),
    }
}

/// Names of the kernels of a file: `FOR_EACH_TYPE(name, ...)`.
fn names(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|l| l.strip_prefix("FOR_EACH_TYPE("));
    lines
        .flat_map(|l| {
            let name = l.split(',').next().unwrap();
            TYPES.map(|t| format!("{name}_{}", t.suffix()))
        })
        .collect()
}

fn once(
    library: &Library,
    kernel: &str,
    ty: Ty,
    launch: Launch,
    params: &[P],
) -> Result<Vec<Vec<f64>>, String> {
    let mut data: Vec<Vec<u8>> = params.iter().map(|p| bytes(p, ty)).collect();
    let mut args: Vec<Arg> = params
        .iter()
        .zip(&mut data)
        .map(|(p, d)| match p {
            P::Null | P::Size(_) | P::Int(_) | P::Float(_) => Arg::Scalar(d.clone()),
            _ => Arg::Buffer(d),
        })
        .collect();
    library.run(kernel, launch, &mut args)?;
    drop(args);
    let f32s = |d: &[u8]| d.chunks(4).map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap()))).collect();
    let bf16s = |d: &[u8]| d.chunks(2).map(|c| bf16::from_le_bytes(c.try_into().unwrap()).to_f64()).collect();
    let f64s = |d: &[u8]| d.chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect();
    let results = params.iter().zip(&data).filter_map(|(p, d)| match (p, ty) {
        (P::OutT(_), Ty::Bf16) => Some(bf16s(d)),
        (P::OutT(_) | P::OutF(_) | P::InOutF(_), _) => Some(f32s(d)),
        (P::OutD(_), _) => Some(f64s(d)),
        _ => None,
    });
    Ok(results.collect())
}

/// Runs a kernel under every schedule, which have to give the same bits, and under the race detector.
fn run(file: &str, kernel: &str, ty: Ty, grid: [u32; 3], block: u32, params: &[P]) -> Vec<Vec<f64>> {
    let text = sources::source(file).unwrap();
    let names = names(&text);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let build = |mode| Library::build(&text, &names, mode).unwrap_or_else(|e| panic!("{file}: {e}"));
    let kernel = format!("{kernel}_{}", ty.suffix());
    let launch = |seed| Launch { grid, ..Launch::new(1, block).seed(seed) };
    let library = build(Mode::InProcess);
    let go =
        |seed| once(&library, &kernel, ty, launch(seed), params).unwrap_or_else(|e| panic!("{kernel}: {e}"));
    let out = go(SCHEDULES[0]);
    let bits = |v: &[Vec<f64>]| v.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    for &seed in &SCHEDULES[1..] {
        assert!(bits(&go(seed)) == bits(&out), "{kernel} under schedule {seed}");
    }
    let raced = once(&build(Mode::Races), &kernel, ty, launch(0), params);
    raced.unwrap_or_else(|e| panic!("{kernel}, race mode: {e}"));
    out
}

fn noise(seed: u64, n: usize, ty: Ty) -> Vec<f64> {
    let mut r = Stream::new(seed, "kernels");
    (0..n).map(|_| ty.round(r.normal())).collect()
}

#[track_caller]
fn close(got: &[f64], want: &[f64], ty: Ty) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= ty.tolerance() * (w.abs() + 0.1 * scale),
            "{ty:?} element {i}: {g}, not {w}"
        );
    }
}

/// The gradient of `f` at `x` by central differences, in f64.
fn gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let (at, h) = (x[i], 1e-5);
            x[i] = at + h;
            let up = f(&x);
            x[i] = at - h;
            let down = f(&x);
            x[i] = at;
            (up - down) / (2.0 * h)
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::MIN, f64::max);
    x.iter().map(|v| (v - top).exp()).sum::<f64>().ln() + top
}

#[test]
fn addition() {
    if unavailable() {
        return;
    }
    for ty in TYPES {
        for n in [1, 8, 1029] {
            let (a, b) = (noise(1, n, ty), noise(2, n, ty));
            let want: Vec<f64> = a.iter().zip(&b).map(|(x, y)| x + 0.5 * y).collect();
            let params = [P::T(a), P::T(b), P::OutT(n), P::Float(0.5), P::Size(n)];
            close(&run("add.cu", "add", ty, [2, 1, 1], 64, &params)[0], &want, ty);
        }
    }
}

#[test]
fn embeddings() {
    if unavailable() {
        return;
    }
    let (vocab, width, seq) = (11, 45, 4);
    let ids: Vec<u32> = vec![3, 10, 3, 0, 7, 3, 10, 1];
    let n = ids.len();
    for ty in TYPES {
        let (table, position, dy) =
            (noise(1, vocab * width, ty), noise(2, seq * width, ty), noise(3, n * width, ty));
        let forward = |table: &[f64]| -> Vec<f64> {
            (0..n * width)
                .map(|e| {
                    table[ids[e / width] as usize * width + e % width]
                        + position[e / width % seq * width + e % width]
                })
                .collect()
        };
        let params = [
            P::T(table.clone()),
            P::T(position.clone()),
            P::U(ids.clone()),
            P::OutT(n * width),
            P::Size(width),
            P::Size(seq),
        ];
        close(&run("embedding.cu", "embedding", ty, [n as u32, 1, 1], 32, &params)[0], &forward(&table), ty);

        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by_key(|&t| ids[t as usize]);
        let (mut starts, mut rows) = (Vec::new(), Vec::new());
        for (k, &t) in order.iter().enumerate() {
            if rows.last() != Some(&ids[t as usize]) {
                rows.push(ids[t as usize]);
                starts.push(k as u32);
            }
        }
        starts.push(n as u32);
        let blocks = [rows.len() as u32, 1, 1];
        let params = [
            P::T(dy.clone()),
            P::U(order),
            P::U(starts),
            P::U(rows.clone()),
            P::InOutF(noise(4, vocab * width, Ty::F32)),
            P::Size(width),
        ];
        let got = &run("embedding.cu", "embedding_backward", ty, blocks, 64, &params)[0];
        let before = noise(4, vocab * width, Ty::F32);
        let added = gradient(&table, |t| dot(&forward(t), &dy));
        let want: Vec<f64> = before.iter().zip(&added).map(|(x, y)| x + y).collect();
        close(got, &want, Ty::F32);
        let unused = 2 * width..3 * width;
        assert_eq!(got[unused.clone()], before[unused], "a row that no token names was written");
    }
}

#[test]
fn scattered_rows() {
    if unavailable() {
        return;
    }
    let (rows, width) = (7, 45);
    let ids: Vec<u32> = vec![6, 0, 3];
    for ty in TYPES {
        let x = noise(1, ids.len() * width, ty);
        let params = [P::T(x.clone()), P::U(ids.clone()), P::OutT(rows * width), P::Size(width)];
        let got = run("embedding.cu", "scatter", ty, [3, 1, 1], 32, &params).remove(0);
        for r in 0..rows {
            let row = &got[r * width..(r + 1) * width];
            match ids.iter().position(|&id| id as usize == r) {
                Some(t) => assert_eq!(row, &x[t * width..(t + 1) * width]),
                None => assert!(row.iter().all(|x| x.is_nan()), "row {r} was written"),
            }
        }
    }
}

#[test]
fn products_of_elements() {
    if unavailable() {
        return;
    }
    for ty in TYPES {
        let n = 301;
        let (a, b) = (noise(1, n, ty), noise(2, n, ty));
        let go = |a, b| {
            let params = [a, b, P::OutT(n), P::Float(0.5), P::Size(n)];
            run("multiply.cu", "multiply", ty, [2, 1, 1], 64, &params).remove(0)
        };
        let both: Vec<f64> = a.iter().zip(&b).map(|(x, y)| 0.5 * x * y).collect();
        close(&go(P::T(a.clone()), P::T(b)), &both, ty);
        let one: Vec<f64> = a.iter().map(|x| 0.5 * x).collect();
        close(&go(P::T(a), P::Null), &one, ty);
        close(&go(P::Null, P::Null), &vec![0.5; n], ty);
    }
}

#[test]
fn inner_products() {
    if unavailable() {
        return;
    }
    for ty in TYPES {
        let n = 3001;
        let (a, b) = (noise(1, n, ty), noise(2, n, ty));
        for with in [true, false] {
            let factor = if with { P::T(b.clone()) } else { P::Null };
            let params = [P::T(a.clone()), factor, P::OutD(3), P::Size(n)];
            let parts = run("dot.cu", "dot_parts", ty, [3, 1, 1], 64, &params).remove(0);
            let ones = vec![1.0; n];
            let want = dot(&a, if with { &b } else { &ones });
            assert!((parts.iter().sum::<f64>() - want).abs() < 1e-9 * n as f64);
        }
        // 100 numbers in double precision, as pairs of words.
        let parts = noise(3, 100, Ty::F32);
        let words = parts.iter().map(|x| x.to_bits() as i64).collect();
        let params = [P::L(words), P::OutT(1), P::Size(100)];
        let total = run("dot.cu", "dot_total", ty, [1, 1, 1], 64, &params).remove(0);
        close(&total, &[parts.iter().sum()], ty);
    }
}

#[test]
fn narrowing() {
    if unavailable() {
        return;
    }
    let x = noise(1, 200, Ty::F32);
    for ty in TYPES {
        let params = [P::F(x.clone()), P::OutT(200), P::Size(200)];
        let want: Vec<f64> = x.iter().map(|&x| ty.round(x)).collect();
        assert_eq!(run("narrow.cu", "narrowed", ty, [1, 1, 1], 64, &params).remove(0), want);
    }
}

#[test]
fn layer_normalisation() {
    if unavailable() {
        return;
    }
    let (rows, width, eps) = (9, 70, 1e-5);
    let forward = |x: &[f64], w: &[f64], b: &[f64]| -> Vec<f64> {
        x.chunks(width)
            .flat_map(|r| {
                let m = r.iter().sum::<f64>() / width as f64;
                let v = r.iter().map(|x| (x - m).powi(2)).sum::<f64>() / width as f64;
                r.iter()
                    .zip(w)
                    .zip(b)
                    .map(move |((x, w), b)| (x - m) / (v + eps).sqrt() * w + b)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    for ty in TYPES {
        let (x, dy) = (noise(1, rows * width, ty), noise(2, rows * width, ty));
        let (w, b) = (noise(3, width, Ty::F32), noise(4, width, Ty::F32));
        let grid = [rows as u32, 1, 1];
        let n = rows * width;
        let params = [
            P::T(x.clone()),
            P::F(w.clone()),
            P::F(b.clone()),
            P::OutT(n),
            P::OutF(rows),
            P::OutF(rows),
            P::Size(width),
            P::Float(eps as f32),
        ];
        let got = run("layer_norm.cu", "layer_norm", ty, grid, 64, &params);
        close(&got[0], &forward(&x, &w, &b), ty);
        let (mean, scale) = (got[1].clone(), got[2].clone());
        let params = [
            P::T(x.clone()),
            P::F(w.clone()),
            P::T(dy.clone()),
            P::F(mean.clone()),
            P::F(scale.clone()),
            P::OutT(n),
            P::OutD(2 * rows),
            P::Size(width),
        ];
        let dx = run("layer_norm.cu", "layer_norm_backward", ty, grid, 64, &params);
        let want = gradient(&x, |x| dot(&forward(x, &w, &b), &dy));
        close(&dx[0], &want, ty);
        for r in 0..rows {
            let at = r * width..(r + 1) * width;
            let left: f64 = want[at.clone()].iter().map(|d| (d / scale[r]).powi(2)).sum();
            let all: f64 = dy[at].iter().zip(&w).map(|(g, w)| (g * w).powi(2)).sum();
            assert!((dx[1][2 * r] - left).abs() < 1e-3 * left && (dx[1][2 * r + 1] - all).abs() < 1e-9 * all);
        }
        let params = [
            P::T(x.clone()),
            P::T(dy.clone()),
            P::F(mean),
            P::F(scale),
            P::OutF(3 * width),
            P::OutF(3 * width),
            P::Size(rows / 3),
            P::Size(width),
        ];
        // Three runs of rows, each with gradients of its own.
        let d = run("layer_norm.cu", "layer_norm_parameters", ty, [3, 3, 1], 256, &params);
        for k in 0..3 {
            let of = |v: &[f64]| v[k * n / 3..(k + 1) * n / 3].to_vec();
            let (mine, run) = (of(&dy), k * width..(k + 1) * width);
            close(&d[0][run.clone()], &gradient(&w, |w| dot(&of(&forward(&x, w, &b)), &mine)), Ty::F32);
            close(&d[1][run], &gradient(&b, |b| dot(&of(&forward(&x, &w, b)), &mine)), Ty::F32);
        }
    }
}

fn activation(act: i32, x: f64) -> f64 {
    match act {
        1 => x.max(0.0),
        2 => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
        3 => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        4 => x / (1.0 + (-x).exp()),
        _ => x,
    }
}

#[test]
fn bias_and_activation() {
    if unavailable() {
        return;
    }
    let (rows, width) = (13, 41);
    let n = rows * width;
    for ty in TYPES {
        for act in 0..5 {
            let (x, dy, b) = (noise(1, n, ty), noise(2, n, ty), noise(3, width, Ty::F32));
            let forward = |x: &[f64], b: &[f64]| -> Vec<f64> {
                x.iter().enumerate().map(|(i, x)| activation(act, x + b[i % width])).collect()
            };
            let params =
                [P::T(x.clone()), P::F(b.clone()), P::OutT(n), P::Size(n), P::Size(width), P::Int(act)];
            close(
                &run("bias_activation.cu", "bias_activation", ty, [2, 1, 1], 96, &params)[0],
                &forward(&x, &b),
                ty,
            );
            let params = [
                P::T(x.clone()),
                P::F(b.clone()),
                P::T(dy.clone()),
                P::OutT(n),
                P::Size(n),
                P::Size(width),
                P::Int(act),
            ];
            let dx = run("bias_activation.cu", "bias_activation_backward", ty, [2, 1, 1], 96, &params);
            close(&dx[0], &gradient(&x, |x| dot(&forward(x, &b), &dy)), ty);
        }
        let dx = noise(4, n, ty);
        let want: Vec<f64> = (0..width).map(|c| (0..rows).map(|r| dx[r * width + c]).sum()).collect();
        let twice =
            [P::T([dx.clone(), dx.clone()].concat()), P::OutF(2 * width), P::Size(rows), P::Size(width)];
        let sums = &run("bias_activation.cu", "column_sums", ty, [2, 2, 1], 256, &twice)[0];
        close(&sums[..width], &want, Ty::F32);
        close(&sums[width..], &want, Ty::F32);
        let x = noise(5, 64, ty);
        let params = [P::T(x.clone()), P::Null, P::OutT(64), P::Size(64), P::Size(8), P::Int(0)];
        close(&run("bias_activation.cu", "bias_activation", ty, [1, 1, 1], 32, &params)[0], &x, ty);
    }
}

#[test]
fn softmax_of_attention() {
    if unavailable() {
        return;
    }
    let (queries, width, scale) = (5, 7, 0.37f32);
    let rows = 2 * queries;
    let n = rows * width;
    for ty in TYPES {
        for mask in 0..3 {
            let forward = |x: &[f64]| -> Vec<f64> {
                (0..rows)
                    .flat_map(|r| {
                        let seen = if mask > 0 { r % queries + 1 + width - queries } else { width };
                        let mut s: Vec<f64> =
                            x[r * width..r * width + seen].iter().map(|v| v * f64::from(scale)).collect();
                        s.resize(if mask == 2 { width } else { seen }, 1e4);
                        let z = log_sum_exp(&s);
                        (0..width).map(|c| s.get(c).map_or(0.0, |v| (v - z).exp())).collect::<Vec<_>>()
                    })
                    .collect()
            };
            let (x, dy) = (noise(1, n, ty), noise(2, n, ty));
            let grid = [rows as u32, 1, 1];
            let params = [
                P::T(x.clone()),
                P::OutT(n),
                P::Size(width),
                P::Size(queries),
                P::Float(scale),
                P::Int(mask),
            ];
            let y = run("softmax.cu", "softmax", ty, grid, 64, &params).remove(0);
            close(&y, &forward(&x), ty);
            let exact: Vec<f64> = forward(&x).iter().map(|&v| ty.round(v)).collect();
            let params = [
                P::T(exact),
                P::T(dy.clone()),
                P::OutT(n),
                P::Size(width),
                P::Size(queries),
                P::Float(scale),
                P::Int(mask),
            ];
            let dx = run("softmax.cu", "softmax_backward", ty, grid, 64, &params).remove(0);
            close(&dx, &gradient(&x, |x| dot(&forward(x), &dy)), ty);
        }
    }
}

#[test]
fn cross_entropies() {
    if unavailable() {
        return;
    }
    let (rows, width) = (6, 83);
    let targets: Vec<u32> = vec![0, 82, 5, u32::MAX, 40, 7];
    for ty in TYPES {
        let (x, g) = (noise(1, rows * width, ty), noise(2, rows, Ty::F32));
        let forward = |x: &[f64]| -> Vec<f64> {
            let row =
                |(r, t): (&[f64], &u32)| if *t == u32::MAX { 0.0 } else { log_sum_exp(r) - r[*t as usize] };
            x.chunks(width).zip(&targets).map(row).collect()
        };
        let grid = [rows as u32, 1, 1];
        let params = [P::T(x.clone()), P::U(targets.clone()), P::OutF(rows), P::OutF(rows), P::Size(width)];
        let got = run("cross_entropy.cu", "cross_entropy", ty, grid, 64, &params);
        close(&got[0], &forward(&x), Ty::F32);
        let params = [
            P::T(x.clone()),
            P::U(targets.clone()),
            P::F(got[1].clone()),
            P::F(g.clone()),
            P::OutT(rows * width),
            P::Size(width),
        ];
        let dx = run("cross_entropy.cu", "cross_entropy_backward", ty, grid, 64, &params).remove(0);
        close(&dx, &gradient(&x, |x| dot(&forward(x), &g)), ty);
    }
}

#[test]
fn convolutions_with_shared_kernels() {
    if unavailable() {
        return;
    }
    let (batch, seq, width) = (2, 6, 9);
    let n = batch * seq * width;
    for (ty, size) in [(Ty::F32, 5usize), (Ty::Bf16, 9)] {
        let forward = |x: &[f64], w: &[f64]| -> Vec<f64> {
            (0..n)
                .map(|e| {
                    let (f, s, b) = (e % width, e / width % seq, e / (width * seq));
                    (0..size)
                        .filter_map(|t| (s + t).checked_sub(size / 2).filter(|&a| a < seq).map(|a| (t, a)))
                        .map(|(t, a)| x[(b * seq + a) * width + f] * w[f * size + t])
                        .sum()
                })
                .collect()
        };
        let (x, dy, w) = (noise(1, n, ty), noise(2, n, ty), noise(3, width * size, Ty::F32));
        let apply = |x: &[f64], flip| {
            let params = [
                P::T(x.to_vec()),
                P::F(w.clone()),
                P::OutT(n),
                P::Size(n),
                P::Int(seq as i32),
                P::Size(width),
                P::Int(size as i32),
                P::Int(flip),
            ];
            run("convolution.cu", "depthwise", ty, [1, 1, 1], 64, &params).remove(0)
        };
        close(&apply(&x, 0), &forward(&x, &w), ty);
        close(&apply(&dy, 1), &gradient(&x, |x| dot(&forward(x, &w), &dy)), ty);
        let params = [
            P::T(x.clone()),
            P::T(dy.clone()),
            P::OutF(width * size),
            P::Size(batch * seq),
            P::Int(seq as i32),
            P::Size(width),
            P::Int(size as i32),
        ];
        let dw = run("convolution.cu", "depthwise_weights", ty, [(width * size) as u32, 1, 1], 32, &params);
        close(&dw[0], &gradient(&w, |w| dot(&forward(&x, w), &dy)), Ty::F32);
    }
}

#[test]
fn convolutions_with_a_kernel_per_position() {
    if unavailable() {
        return;
    }
    let (batch, seq, heads, each) = (2, 5, 3, 4);
    let n = batch * seq * heads * each;
    for (ty, size) in [(Ty::F32, 3usize), (Ty::Bf16, 5)] {
        let m = batch * seq * heads * size;
        let forward = |x: &[f64], k: &[f64]| -> Vec<f64> {
            (0..n)
                .map(|e| {
                    let (j, h, s, b) =
                        (e % each, e / each % heads, e / (each * heads) % seq, e / (each * heads * seq));
                    (0..size)
                        .filter_map(|t| (s + t).checked_sub(size / 2).filter(|&a| a < seq).map(|a| (t, a)))
                        .map(|(t, a)| {
                            x[((b * seq + a) * heads + h) * each + j]
                                * k[((b * seq + s) * heads + h) * size + t]
                        })
                        .sum()
                })
                .collect()
        };
        let (x, dy, k) = (noise(1, n, ty), noise(2, n, ty), noise(3, m, ty));
        let go = |name: &str, a: &[f64], b: &[f64], out: usize| {
            let params = [
                P::T(a.to_vec()),
                P::T(b.to_vec()),
                P::OutT(out),
                P::Size(out),
                P::Int(seq as i32),
                P::Size(heads),
                P::Size(each),
                P::Int(size as i32),
            ];
            run("convolution.cu", name, ty, [2, 1, 1], 64, &params).remove(0)
        };
        close(&go("dynamic_mix", &x, &k, n), &forward(&x, &k), ty);
        close(&go("dynamic_mix_inputs", &k, &dy, n), &gradient(&x, |x| dot(&forward(x, &k), &dy)), ty);
        close(&go("dynamic_mix_kernels", &x, &dy, m), &gradient(&k, |k| dot(&forward(&x, k), &dy)), ty);
    }
}

#[test]
fn heads_and_columns() {
    if unavailable() {
        return;
    }
    for ty in TYPES {
        let (a, b, each) = (4, 3, 5);
        let n = 2 * a * b * each;
        let x = noise(2, n, ty);
        let at = |e: usize| (e / (each * a * b), e / (each * a) % b, e / each % a, e % each);
        let want: Vec<f64> = (0..n)
            .map(|e| {
                let (m, j, i, d) = at(e);
                x[((m * a + i) * b + j) * each + d]
            })
            .collect();
        let params = [P::T(x), P::OutT(n), P::Size(n), P::Size(a), P::Size(b), P::Size(each)];
        assert_eq!(run("heads.cu", "swap_axes", ty, [1, 1, 1], 64, &params).remove(0), want);
        // The first 3 of 5 columns into rows of 4.
        let (rows, x) = (6, noise(3, 30, ty));
        let params = [P::T(x.clone()), P::OutT(24), P::Size(18), P::Size(3), P::Size(5), P::Size(4)];
        let got = run("heads.cu", "copy_columns", ty, [1, 1, 1], 64, &params).remove(0);
        for (r, row) in got.chunks(4).enumerate().take(rows) {
            assert!(row[..3] == x[5 * r..5 * r + 3] && row[3].is_nan(), "row {r}");
        }
    }
}

/// The race detector has to see what it is there for: a sum without its barrier.
#[test]
fn a_missing_barrier_is_a_race() {
    if unavailable() {
        return;
    }
    let text = sources::source("softmax.cu").unwrap();
    let broken = text.replacen("  __syncthreads();\n  double total", "  double total", 1);
    assert_ne!(text, broken);
    let library = Library::build(&broken, &["softmax_f32"], Mode::Races).unwrap();
    let params =
        [P::T(noise(1, 200, Ty::F32)), P::OutT(200), P::Size(100), P::Size(2), P::Float(1.0), P::Int(0)];
    let e = once(&library, "softmax_f32", Ty::F32, Launch::new(2, 64), &params).unwrap_err();
    assert!(e.contains("data race"), "{e}");
}
