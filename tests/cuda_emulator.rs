//! The CUDA emulator that the kernels' tests rely on: what it computes, and that it catches ordinary
//! mistakes (wrong orders, missing barriers, races, overruns).

#![allow(
    clippy::needless_range_loop,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

#[path = "support/cudaemu/mod.rs"]
mod cudaemu;

use cudaemu::{Arg, Kernel, Launch, Mode, unavailable};
use half::{bf16, f16};

fn src(k: &str) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cudaemu/samples");
    std::fs::read_to_string(format!("{dir}/{k}.cu")).unwrap()
}
fn build(src: &str, name: &str, mode: Mode) -> Kernel {
    Kernel::build(src, name, mode).unwrap_or_else(|e| panic!("{e}"))
}
macro_rules! scalar {
    ($v:expr) => {
        Arg::Scalar($v.to_le_bytes().to_vec())
    };
}
fn bytes<const N: usize, T>(v: &[T], f: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    v.iter().flat_map(f).collect()
}
/// Deterministic values in [-4, 4).
fn noise(n: usize) -> Vec<f32> {
    let mut s = 0x9e3779b97f4a7c15u64;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1 << 21) as f32 - 4.0
        })
        .collect()
}

fn softmax(source: &str, mode: Mode, seed: u32, rows: usize, cols: usize) -> Result<(), String> {
    let k = build(source, "row_softmax_f16", mode);
    let x: Vec<f16> = noise(rows * cols).into_iter().map(f16::from_f32).collect();
    let bias = noise(cols);
    let (mut xb, mut bb) = (bytes(&x, |v| v.to_le_bytes()), bytes(&bias, |v| v.to_le_bytes()));
    let mut y = vec![0xAAu8; xb.len()];
    k.run(
        Launch::new(3, 256).seed(seed),
        &mut [
            Arg::Buffer(&mut xb),
            Arg::Buffer(&mut bb),
            Arg::Buffer(&mut y),
            scalar!(0.5f32),
            scalar!(rows as i32),
            scalar!(cols as i32),
        ],
    )?;
    for r in 0..rows {
        let t: Vec<f64> = (0..cols).map(|c| x[r * cols + c].to_f64() * 0.5 + bias[c] as f64).collect();
        let m = t.iter().cloned().fold(f64::MIN, f64::max);
        let s: f64 = t.iter().map(|v| (v - m).exp()).sum();
        for c in 0..cols {
            let i = 2 * (r * cols + c);
            let (got, want) = (f16::from_le_bytes([y[i], y[i + 1]]).to_f64(), (t[c] - m).exp() / s);
            if got.is_nan() || (got - want).abs() > want * 1e-3 + 6e-8 {
                return Err(format!("mismatch row {r} col {c}: {got} != {want}"));
            }
        }
    }
    Ok(())
}

#[test]
fn softmax_every_mode_and_order() {
    if unavailable() {
        return;
    }
    for mode in [Mode::InProcess, Mode::Child, Mode::Bounds, Mode::Races] {
        for seed in [0, 1, 7] {
            softmax(&src("row_softmax_f16"), mode, seed, 7, 777).unwrap();
        }
    }
}

#[test]
fn reduce_bf16_f64() {
    if unavailable() {
        return;
    }
    for mode in [Mode::InProcess, Mode::Races] {
        let k = build(&src("reduce_sum"), "reduce_silu_bf16", mode);
        let n = 100_003;
        let x: Vec<bf16> = noise(n).into_iter().map(bf16::from_f32).collect();
        let mut xb = bytes(&x, |v| v.to_le_bytes());
        let mut out = 0f64.to_le_bytes();
        k.run(
            Launch::new(5, 256).smem(8 * 8),
            &mut [Arg::Buffer(&mut xb), Arg::Buffer(&mut out), scalar!(n as i64)],
        )
        .unwrap();
        let want: f64 = x
            .iter()
            .map(|v| {
                let v = v.to_f32();
                (v * v / (1.0 + (-v).exp())) as f64
            })
            .sum();
        let got = f64::from_le_bytes(out);
        assert!((got - want).abs() < 1e-9 * want, "{got} {want}");
    }
}

#[test]
fn smem_overrun_is_reported() {
    if unavailable() {
        return;
    }
    let k = build(&src("reduce_sum"), "reduce_silu_bf16", Mode::InProcess);
    let mut xb = vec![0u8; 2048];
    let mut out = 0f64.to_le_bytes();
    let e = k.run(
        Launch::new(1, 256).smem(7 * 8),
        &mut [Arg::Buffer(&mut xb), Arg::Buffer(&mut out), scalar!(1024i64)],
    );
    assert_eq!(e.unwrap_err(), "dynamic shared memory written near byte 56, but only 56 were asked for");
    let e = k.run(
        Launch::new(1, 256).smem(64),
        &mut [Arg::Buffer(&mut xb), Arg::Buffer(&mut out), scalar!(1024i32)],
    );
    assert_eq!(e.unwrap_err(), "wrong number or size of kernel arguments");
}

#[test]
fn elementwise() {
    if unavailable() {
        return;
    }
    let k = build(&src("ew_f32x4"), "ew_f32x4", Mode::Bounds);
    for n in [1usize, 3, 4, 5, 1027] {
        let x = noise(n);
        let mut xb = bytes(&x, |v| v.to_le_bytes());
        let mut y = vec![0u8; 4 * n];
        k.run(
            Launch::new(2, 64),
            &mut [
                Arg::Buffer(&mut xb),
                Arg::Buffer(&mut y),
                scalar!(0.7f32),
                scalar!(0.1f32),
                scalar!(n as i32),
            ],
        )
        .unwrap();
        for (i, v) in x.iter().enumerate() {
            let got = f32::from_le_bytes(y[4 * i..4 * i + 4].try_into().unwrap());
            let want = (0.7f64 * *v as f64 + 0.1).tanh() / (1.0 + (*v as f64) * *v as f64).sqrt();
            assert!((got as f64 - want).abs() < 1e-6);
        }
    }
}

/// Ordinary slips in a reduction: all must change the result or raise an error in some order.
#[test]
fn mutants_are_caught() {
    if unavailable() {
        return;
    }
    let s = src("row_softmax_f16");
    let mut survived = Vec::new();
    let mutants = [
        ("int o = 16; o > 0; o >>= 1) v = fmaxf", "int o = 8; o > 0; o >>= 1) v = fmaxf"),
        ("int o = 16; o > 0; o >>= 1) v +=", "int o = 16; o > 1; o >>= 1) v +="),
        ("v += __shfl_down_sync", "v += __shfl_up_sync"),
        ("lane < nw ? s[lane] : 0.0f", "s[lane]"),
        ("lane < nw ? s[lane] : -__int_as_float(0x7f800000)", "s[lane]"),
        ("lane < nw ? s[lane] : 0.0f", "lane < nw - 1 ? s[lane] : 0.0f"),
        ("if (lane == 0) s[0] = v;", "s[0] = v;"),
        ("if (lane == 0) s[w] = v;", "if (lane == 1) s[w] = v;"),
        ("r += gridDim.x", "r += gridDim.x + 1"),
        ("int c = threadIdx.x; c < cols", "int c = threadIdx.x; c < cols - 1"),
        ("if (w == 0) {", "if (w == 0) { __syncthreads();"),
        ("__shfl_down_sync(0xffffffffu", "__shfl_down_sync(0x0000ffffu"),
        ("(size_t)r * cols + c] =", "(size_t)r * cols + c + 1] ="),
    ];
    for (from, to) in mutants {
        assert!(s.contains(from), "{from}");
        let m = s.replacen(from, to, 1);
        let orders: Vec<u32> =
            [0, 1, 7, 8].into_iter().filter(|&o| softmax(&m, Mode::Child, o, 7, 777).is_err()).collect();
        let why = softmax(&m, Mode::Child, 0, 7, 777).err().unwrap_or_default();
        println!("{to:50} orders {orders:?} {}", why.lines().next().unwrap_or(""));
        if orders.is_empty() {
            survived.push(to);
        }
    }
    // both leave the result alone: a butterfly leaves the maximum in every lane, and softmax is shift-invariant
    assert_eq!(survived, ["if (lane == 1) s[w] = v;", "int c = threadIdx.x; c < cols - 1"]);
}

/// Deletes each __syncthreads() in turn: which modes and orders notice?
#[test]
fn every_missing_barrier_is_caught() {
    if unavailable() {
        return;
    }
    let s = src("row_softmax_f16");
    for (i, (at, _)) in s.match_indices("__syncthreads();").enumerate() {
        let mut m = s.clone();
        m.replace_range(at..at + 16, "                ");
        let by_order: Vec<u32> =
            (0..8).filter(|&seed| softmax(&m, Mode::InProcess, seed, 7, 777).is_err()).collect();
        let races = softmax(&m, Mode::Races, 0, 4, 300).unwrap_err();
        println!("barrier {i}: wrong result for orders {by_order:?} of 0..8; {}", race_lines(&races));
        assert!(!by_order.is_empty() && races.contains("row_softmax_f16.cu"));
    }
}
/// The kernel source lines of the two accesses in a TSan report.
fn race_lines(e: &str) -> String {
    let at: Vec<&str> = e
        .lines()
        .filter(|l| l.contains("#0 ") || l.contains("WARNING"))
        .take(3)
        .map(|l| l.trim().split(" (").next().unwrap())
        .collect();
    at.join(" | ")
}

#[test]
fn races_between_blocks_and_within_a_warp() {
    if unavailable() {
        return;
    }
    let run = |body: &str, mode, seed| {
        let s = format!("extern \"C\" __global__ void k(float* out, unsigned* t) {{\n{body}\n}}");
        let (mut out, mut t) = (vec![0u8; 4 * 256], [0u8; 4]);
        let r = build(&s, "k", mode)
            .run(Launch::new(3, 64).seed(seed), &mut [Arg::Buffer(&mut out), Arg::Buffer(&mut t)]);
        r.map(|()| f32::from_le_bytes(out[..4].try_into().unwrap()))
    };
    // a forgotten atomic: right answer in every order, so only TSan can tell
    let plain = "if (threadIdx.x == 0) out[0] += 1.0f;";
    assert_eq!(run(plain, Mode::InProcess, 7), Ok(3.0));
    println!("{}", race_lines(&run(plain, Mode::Races, 0).unwrap_err()));
    assert_eq!(run("if (threadIdx.x == 0) atomicAdd(out, 1.0f);", Mode::Races, 0), Ok(3.0));
    // neighbours exchange through shared memory: a shuffle does not order memory, __syncwarp does
    let exchange = |sync: &str| {
        format!(
            "__shared__ float s[64]; s[threadIdx.x] = 1.0f; {sync}; float v = s[threadIdx.x ^ 1]; if (v == 0.0f) out[0] = v;"
        )
    };
    assert!(run(&exchange(""), Mode::Races, 0).unwrap_err().contains("data race"));
    assert!(run(&exchange("__shfl_xor_sync(~0u, 1, 1)"), Mode::Races, 0).unwrap_err().contains("data race"));
    assert_eq!(run(&exchange("__syncwarp()"), Mode::Races, 0), Ok(0.0));
    assert_eq!(run(&exchange("__syncthreads()"), Mode::Races, 0), Ok(0.0));
    // one block finishes what all wrote
    let last = "__shared__ bool last; if (threadIdx.x == 0) { out[1 + blockIdx.x] = 2.0f; __threadfence(); last = atomicAdd(t, 1u) == gridDim.x - 1; }
      __syncthreads(); if (last && threadIdx.x == 5) out[0] = out[1] + out[2] + out[3];";
    for seed in 0..3 {
        assert_eq!(run(last, Mode::Races, seed), Ok(6.0));
    }
}

#[test]
fn warp_intrinsics() {
    if unavailable() {
        return;
    }
    let s = "extern \"C\" __global__ void k(int* o) { int l = threadIdx.x; int* r = o + 8 * l;
      r[0] = __shfl_sync(~0u, l, 5); r[1] = __shfl_up_sync(~0u, l, 3, 8); r[2] = __shfl_down_sync(~0u, l, 3, 8); r[3] = __shfl_xor_sync(~0u, l, 9);
      r[4] = __ballot_sync(~0u, l & 1); r[5] = __any_sync(~0u, l == 33) + 2 * __all_sync(~0u, l >= 32);
      double d = __shfl_down_sync(~0u, l * 1.5, 1); r[6] = (int)(d * 2); r[7] = (l & 31) < 16 ? __shfl_xor_sync(0x0000ffffu, l, 1) : __shfl_sync(0xffff0000u, l, 31); }";
    let mut o = vec![0u8; 64 * 8 * 4];
    build(s, "k", Mode::Child).run(Launch::new(1, 64).seed(3), &mut [Arg::Buffer(&mut o)]).unwrap();
    for t in 0..64i32 {
        let r: Vec<i32> =
            o[t as usize * 32..][..32].chunks(4).map(|c| i32::from_le_bytes(c.try_into().unwrap())).collect();
        let (l, w) = (t % 32, t / 32 * 32);
        let want = [
            w + 5,
            if l % 8 < 3 { t } else { t - 3 },
            if l % 8 > 4 { t } else { t + 3 },
            t ^ 9,
            0xaaaaaaaau32 as i32,
            if w == 0 { 0 } else { 3 },
            if l == 31 { t * 3 } else { (t + 1) * 3 },
        ];
        assert_eq!(r[..7], want, "thread {t}");
        assert_eq!(r[7], if l < 16 { t ^ 1 } else { w + 31 }, "thread {t}");
    }
}

#[test]
fn divergence_is_reported() {
    if unavailable() {
        return;
    }
    for (body, want) in [
        ("if (threadIdx.x < 16) __syncthreads(); x[0] = 1;", "stuck"),
        ("if (threadIdx.x == 5) return; __syncthreads();", "stuck"),
        ("if (threadIdx.x & 1) {\n __syncthreads(); } else {\n __syncthreads(); }", "stuck"),
        (
            "if (threadIdx.x & 1) x[threadIdx.x] = __shfl_xor_sync(~0u, 1, 1);\n else x[threadIdx.x] = __shfl_xor_sync(~0u, 2, 1);",
            "divergent",
        ),
        ("if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffff0000u, 1, 1);", "not in mask"),
        (
            "if (threadIdx.x >= 32) __shfl_xor_sync(~0u, 1, 1); if (threadIdx.x < 8) __shfl_xor_sync(~0u, 1, 1); else __syncthreads();",
            "stuck",
        ),
    ] {
        let s = format!("extern \"C\" __global__ void k(int* x) {{ {body} }}");
        let mut x = [0u8; 64 * 4];
        let e =
            build(&s, "k", Mode::InProcess).run(Launch::new(1, 64), &mut [Arg::Buffer(&mut x)]).unwrap_err();
        println!("{e}");
        assert!(e.contains(want), "{e}");
    }
}

#[test]
fn out_of_bounds_is_reported() {
    if unavailable() {
        return;
    }
    let s = "extern \"C\" __global__ void k(int* x, int n) { if (threadIdx.x <= n) x[threadIdx.x] = 1; }";
    for mode in [Mode::InProcess, Mode::Bounds] {
        let mut x = [0u8; 40 * 4];
        let e = build(s, "k", mode)
            .run(Launch::new(1, 64), &mut [Arg::Buffer(&mut x), scalar!(40i32)])
            .unwrap_err();
        println!("{}", e.lines().find(|l| l.contains("heap-buffer") || l.contains("bounds")).unwrap());
    }
}

#[test]
fn conversions_match_half_crate() {
    if unavailable() {
        return;
    }
    let s = "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\nextern \"C\" __global__ void k(const unsigned* f, unsigned short* h, unsigned short* b, float* hf, int n) {
      for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        __half v = __float2half_rn(__uint_as_float(f[i])); __nv_bfloat16 w = __float2bfloat16_rn(__uint_as_float(f[i]));
        h[i] = *reinterpret_cast<unsigned short*>(&v); b[i] = *reinterpret_cast<unsigned short*>(&w); hf[i] = __half2float(v); } }";
    // every f16 boundary region: all 16-bit tops with a few low halves, which covers ties both ways
    let f: Vec<u32> = (0..=0xffffu32)
        .flat_map(|t| {
            [0, 1, 0xfff, 0x1000, 0x1001, 0x2000, 0x3000, 0x7fff, 0x8000, 0x8001, 0xffff].map(|l| t << 16 | l)
        })
        .collect();
    let n = f.len();
    let (mut fb, mut h, mut b, mut hf) =
        (bytes(&f, |v| v.to_le_bytes()), vec![0u8; 2 * n], vec![0u8; 2 * n], vec![0u8; 4 * n]);
    build(s, "k", Mode::InProcess)
        .run(
            Launch::new(1, 32),
            &mut [
                Arg::Buffer(&mut fb),
                Arg::Buffer(&mut h),
                Arg::Buffer(&mut b),
                Arg::Buffer(&mut hf),
                scalar!(n as i32),
            ],
        )
        .unwrap();
    for (i, &u) in f.iter().enumerate() {
        let v = f32::from_bits(u);
        let (gh, gb) =
            (u16::from_le_bytes([h[2 * i], h[2 * i + 1]]), u16::from_le_bytes([b[2 * i], b[2 * i + 1]]));
        if v.is_nan() {
            assert_eq!((gh, gb), (0x7fff, 0x7fff));
            continue;
        }
        assert_eq!(gh, f16::from_f32(v).to_bits(), "{u:08x}");
        assert_eq!(gb, bf16::from_f32(v).to_bits(), "{u:08x}");
        assert_eq!(&hf[4 * i..4 * i + 4], f16::from_bits(gh).to_f32().to_le_bytes());
    }
}
