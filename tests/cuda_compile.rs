//! Every file of `kernels/` and generated kernels of every kind compile for sm_80 and sm_90 without
//! a spill, within pinned numbers of registers. Needs `scripts/cuda-tools.sh`, no GPU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cudaemu/backend.rs"]
mod backend;
mod common;
#[path = "support/cudaemu/mod.rs"]
mod cudaemu;

use backend::Recorder;
use common::graph::{Graph, random_tensor};
use lpzero::engine::cuda::compile::{Output, compile};
use lpzero::engine::cuda::generate::Kind;
use lpzero::engine::cuda::{Cuda, CudaError, probe, sources};
use lpzero::ir::BoundId;
use lpzero::ops::{self, Attrs, Eval, Exec, OpId};
use lpzero::random::Stream;
use lpzero::tensor::Dtype;
use std::path::PathBuf;
use std::process::Command;

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

/// Most registers of a kernel, over both architectures, as the pinned compilers make them.
const PINNED: &[(&str, u32)] = &[
    ("adaptive_softmax.cu", 40),
    ("add.cu", 32),
    ("bias_activation.cu", 32),
    ("convolution.cu", 32),
    ("cross_entropy.cu", 32),
    ("embedding.cu", 32),
    ("layer_norm.cu", 40),
    ("pass_columns.cu", 32),
    ("pass_rows.cu", 32),
    ("pass_whole.cu", 32),
    ("softmax.cu", 32),
    ("transpose.cu", 32),
];
/// Most registers of a generated kernel.
const GENERATED: u32 = 168;

/// The folder of the compilers, with NVRTC opened from it.
fn tools() -> Option<PathBuf> {
    let folder = std::env::var_os("LPZ_CUDA_TOOLS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cuda-tools"), PathBuf::from);
    let nvidia = folder.join("nvidia");
    if nvidia.join("cuda_nvcc/bin/ptxas").exists() && probe::open_nvrtc(&nvidia.join("cuda_nvrtc/lib")) {
        return Some(nvidia);
    }
    eprintln!("SKIPPED: no CUDA compilers in {}; scripts/cuda-tools.sh fetches them", folder.display());
    None
}

/// Registers of each kernel of a PTX file; panics on a spill.
fn assemble(tools: &std::path::Path, ptx: &std::path::Path, arch: &str, what: &str) -> Vec<u32> {
    let out = Command::new(tools.join("cuda_nvcc/bin/ptxas"))
        .args(["-v", "-warn-spills", &format!("-arch={arch}")])
        .arg(ptx)
        .arg("-o")
        .arg(ptx.with_extension(arch))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{what} for {arch}: {log}");
    for line in log.lines().filter(|l| l.contains("spill stores")) {
        assert!(
            line.contains(" 0 bytes spill stores, 0 bytes spill loads"),
            "{what} for {arch} spills: {line}"
        );
    }
    let used = log.lines().filter_map(|l| l.split_once("Used ")?.1.split(' ').next()?.parse().ok());
    used.collect()
}

fn most_registers(tools: &std::path::Path, source: &str, what: &str) -> u32 {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kernel.ptx");
    // The oldest architecture's PTX is good for both.
    let ptx = compile(source, what, "compute_80", Output::Ptx).unwrap_or_else(|e| panic!("{what}: {e}"));
    std::fs::write(&file, ptx).unwrap();
    let all = ARCHITECTURES.iter().flat_map(|arch| assemble(tools, &file, arch, what));
    all.max().unwrap_or_else(|| panic!("{what} has no kernel"))
}

#[test]
fn files_compile_without_spills() {
    let Some(tools) = tools() else { return };
    let kernels: Vec<&str> = sources::FILES.iter().map(|f| f.0).filter(|n| n.ends_with(".cu")).collect();
    assert_eq!(kernels.len(), PINNED.len());
    for name in kernels {
        let used = most_registers(&tools, &sources::source(name).unwrap(), name);
        let pinned = PINNED.iter().find(|p| p.0 == name).unwrap_or_else(|| panic!("{name} is not pinned")).1;
        assert!(used <= pinned, "{name} uses {used} registers, {pinned} are pinned");
    }
}

/// Sources of the kernels for `want`.
fn generated(g: &Graph, want: &[BoundId]) -> Vec<(Kind, String)> {
    let mut engine = Cuda::new(Recorder::default());
    engine.try_evaluate(&g.bound, want, g).unwrap();
    std::mem::take(&mut engine.backend().sources)
}

/// Every elementwise row on elements of one type, summed in company; every reduction of a chain.
fn everything(dtype: Dtype) -> Vec<(Kind, String)> {
    let mut r = Stream::new(1, "everything");
    let mut g = Graph::default();
    let leaves: Vec<BoundId> = (0..3).map(|_| g.leaf(random_tensor(&mut r, &[6, 5, 8], dtype))).collect();
    let mut want = Vec::new();
    for (i, row) in ops::rows().iter().enumerate() {
        let op = OpId(i as u16);
        if matches!(row.eval, Eval::Scalar(_)) {
            let x = g.try_op(op, &leaves[..row.values.len()], Attrs::none()).unwrap();
            want.push(g.op("sum", &[x], &[]));
        }
        if matches!(row.exec, Exec::Reduce(_)) {
            let p = g.op("mul", &leaves[..2], &[]);
            for axis in [None, Some(0.0), Some(2.0)] {
                let attrs: Vec<_> =
                    row.attrs.iter().map(|a| if a.name == "axis" { axis } else { a.default }).collect();
                want.push(g.try_op(op, &[p], Attrs::of(&attrs)).unwrap());
            }
        }
    }
    let z = g.op("softmax", &leaves[..1], &[("axis", 1.0)]);
    want.push(g.op("log", &[z], &[]));
    generated(&g, &want)
}

#[test]
fn generated_kernels_compile_without_spills() {
    let Some(tools) = tools() else { return };
    let mut worst = 0;
    let mut kinds = std::collections::BTreeSet::new();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F64] {
        let all = everything(dtype);
        for (kind, source) in &all {
            let used = most_registers(&tools, source, &format!("{kind:?} kernel over {dtype:?}\n{source}"));
            worst = worst.max(used);
            kinds.insert(*kind);
        }
        println!("{dtype:?}: {} kernels", all.len());
    }
    println!("most registers: {worst}");
    assert_eq!(kinds.len(), 3);
    assert!(worst <= GENERATED, "{worst} registers, {GENERATED} are pinned");
}

#[test]
fn a_fault_in_a_kernel_names_its_line_and_program() {
    let Some(_) = tools() else { return };
    let source = sources::source("pass_rows.cu")
        .unwrap()
        .replace("const unsigned start = ", "const unsigned start == ");
    let e = compile(&source, "[abs] ending in [sum]", "sm_90", Output::Cubin).unwrap_err();
    let CudaError::Compile { line, text, program, .. } = &e else { panic!("{e}") };
    assert!(text.contains("start == row * length") && *line > 10, "{e}");
    assert_eq!(program, "[abs] ending in [sum]");
}

#[test]
fn a_cubin_needs_no_driver() {
    let Some(_) = tools() else { return };
    let cubin = compile(&sources::source("pass_whole.cu").unwrap(), "snip", "sm_90", Output::Cubin).unwrap();
    assert!(cubin.starts_with(b"\x7fELF"));
}
