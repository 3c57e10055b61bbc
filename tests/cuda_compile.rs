//! Every file of `kernels/`, the interpreting kernels and the generated kernels of every operator and
//! of the standard library compile for sm_80 and sm_90 without a spill, within pinned numbers of
//! registers: `tests/data/cuda_registers.txt`. Needs `scripts/cuda-tools.sh`, no GPU.
//!
//! `LPZ_BLESS=1 cargo test --test cuda_compile` writes the table anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod common;

use common::graph::{Graph, random_tensor};
use lpzero::engine::cuda::backend::Launch;
use lpzero::engine::cuda::compile::{Output, compile};
use lpzero::engine::cuda::generate::Kind;
use lpzero::engine::cuda::{CudaError, interpret, probe, recorder, sources};
use lpzero::ir::{BoundId, Dag};
use lpzero::lang::Library;
use lpzero::ops::{self, Attrs, Eval, Exec, OpId};
use lpzero::random::Stream;
use lpzero::score::explain::{explain, nominal};
use lpzero::tensor::Dtype;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cuda_registers.txt");

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

/// What the assembler says of a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    registers: u32,
    /// Bytes of spilled registers, stores and loads.
    spills: u32,
    /// Bytes of a thread's arrays in local memory.
    stack: u32,
    shared: u32,
}

impl Figures {
    fn most(self, o: Figures) -> Figures {
        Figures {
            registers: self.registers.max(o.registers),
            spills: self.spills.max(o.spills),
            stack: self.stack.max(o.stack),
            shared: self.shared.max(o.shared),
        }
    }
}

/// The number before `unit` in a line of `ptxas -v`.
fn before(line: &str, unit: &str) -> u32 {
    let head = line.split(unit).next().filter(|h| h.len() < line.len()).unwrap_or_default();
    head.trim_end().rsplit([' ', ',']).next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Figures of each kernel of a PTX file for an architecture.
fn assemble(tools: &Path, ptx: &Path, arch: &str, what: &str) -> BTreeMap<String, Figures> {
    let out = Command::new(tools.join("cuda_nvcc/bin/ptxas"))
        .args(["-v", &format!("-arch={arch}")])
        .arg(ptx)
        .arg("-o")
        .arg(ptx.with_extension(arch))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{what} for {arch}: {log}");
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    let mut kernel = String::new();
    for line in log.lines() {
        if let Some((_, name)) = line.split_once("Compiling entry function '") {
            kernel = name.split('\'').next().unwrap().into();
            all.entry(kernel.clone()).or_default();
        } else if let Some(f) = all.get_mut(&kernel) {
            f.spills += before(line, " bytes spill stores") + before(line, " bytes spill loads");
            f.stack = f.stack.max(before(line, " bytes stack frame"));
            f.registers = f.registers.max(before(line, " registers"));
            f.shared = f.shared.max(before(line, " bytes smem"));
        }
    }
    assert!(!all.is_empty(), "{what} has no kernel");
    all
}

/// Figures of each kernel of a source, by `architecture kernel`.
fn figures(tools: &Path, source: &str, what: &str) -> BTreeMap<(String, String), Figures> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kernel.ptx");
    // The oldest architecture's PTX is good for both.
    let ptx = compile(source, what, "compute_80", Output::Ptx).unwrap_or_else(|e| panic!("{what}: {e}"));
    std::fs::write(&file, ptx).unwrap();
    let each = ARCHITECTURES.iter().flat_map(|arch| {
        assemble(tools, &file, arch, what).into_iter().map(|(k, f)| (((*arch).to_string(), k), f))
    });
    each.collect()
}

/// Compares with a section of the table, or writes it: rows `section name architecture kernel`.
fn check(section: &str, found: &BTreeMap<String, Figures>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let text = std::fs::read_to_string(TABLE).unwrap_or_default();
    let (mine, others): (Vec<&str>, Vec<&str>) = text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .partition(|l| l.split_whitespace().next() == Some(section));
    let row = |(name, f): (&String, &Figures)| {
        let key = format!("{section} {name}");
        format!("{key:<58}{:>10}{:>8}{:>8}{:>8}", f.registers, f.spills, f.stack, f.shared)
    };
    let rows: Vec<String> = found.iter().map(row).collect();
    for (name, f) in found {
        assert_eq!(f.spills, 0, "{section} {name} spills");
    }
    if std::env::var_os("LPZ_BLESS").is_some() {
        let mut all: Vec<String> = others.iter().map(|l| (*l).to_string()).chain(rows).collect();
        all.sort();
        let head = "# Kernels as NVRTC 12.9 and ptxas make them. Written by LPZ_BLESS=1 cargo test --test cuda_compile.\n\
            # Bytes of spills; of the stack of a thread (its arrays in local memory); of shared memory.\n";
        let columns =
            format!("{:<58}{:>10}{:>8}{:>8}{:>8}\n", "# kernel", "registers", "spills", "stack", "shared");
        std::fs::write(TABLE, format!("{head}{columns}{}\n", all.join("\n"))).unwrap();
        return;
    }
    let words = |l: &str| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let pinned: BTreeSet<Vec<String>> = mine.iter().map(|l| words(l)).collect();
    let now: BTreeSet<Vec<String>> = rows.iter().map(|l| words(l)).collect();
    let changed: Vec<_> = now.symmetric_difference(&pinned).map(|w| w.join(" ")).collect();
    assert!(
        changed.is_empty(),
        "not as pinned in tests/data/cuda_registers.txt; LPZ_BLESS=1 writes it anew:\n{}",
        changed.join("\n")
    );
}

#[test]
fn files_compile_without_spills() {
    let Some(tools) = tools() else { return };
    let mut found = BTreeMap::new();
    for name in sources::FILES.iter().map(|f| f.0).filter(|n| n.ends_with(".cu")) {
        for ((arch, kernel), f) in figures(&tools, &sources::source(name).unwrap(), name) {
            found.insert(format!("{name} {kernel} {arch}"), f);
        }
    }
    check("file", &found);
}

#[test]
fn interpreting_kernels_compile_without_spills() {
    let Some(tools) = tools() else { return };
    let mut found = BTreeMap::new();
    for kind in [Kind::Whole, Kind::Rows, Kind::Columns] {
        let source = interpret::source(kind).unwrap();
        for ((arch, kernel), f) in figures(&tools, &source, "the interpreter") {
            found.insert(format!("{kind:?} {kernel} {arch}"), f);
        }
    }
    check("interpreter", &found);
}

/// Launches for every elementwise row on elements of one type, summed in company, and for every
/// reduction of a chain.
fn everything(dtype: Dtype) -> Vec<Launch> {
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
    recorder::launches(&g.bound, &want, dtype).unwrap()
}

/// The figures of the largest of a set of kernels, per skeleton.
fn largest(tools: &Path, launches: &[Launch], name: &str) -> BTreeMap<String, Figures> {
    let mut found: BTreeMap<String, Figures> = BTreeMap::new();
    let unique: BTreeMap<&str, &Launch> = launches.iter().map(|l| (&*l.source, l)).collect();
    for l in unique.values() {
        for ((arch, kernel), f) in figures(tools, &l.source, &format!("{}\n{}", l.program, l.source)) {
            assert_eq!(f.spills, 0, "{} spills:\n{}", l.program, l.source);
            let most = found.entry(format!("{name} {:?} {kernel} {arch}", l.kind)).or_default();
            *most = most.most(f);
        }
    }
    println!("{name}: {} kernels", unique.len());
    found
}

#[test]
fn generated_kernels_of_all_operators_compile_without_spills() {
    let Some(tools) = tools() else { return };
    let mut found = BTreeMap::new();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F64] {
        found.extend(largest(&tools, &everything(dtype), &format!("{dtype:?}")));
    }
    check("operators", &found);
}

#[test]
fn generated_kernels_of_the_standard_library_compile_without_spills() {
    let Some(tools) = tools() else { return };
    let (outline, objective) = nominal().unwrap();
    let (mut library, mut dag) = (Library::new(), Dag::default());
    let names: Vec<String> = library.std_names().into_iter().map(|n| format!("std::{n}")).collect();
    let (mut launches, mut programs) = (Vec::new(), 0);
    for name in &names {
        // Functions are no programs; some programs have no value on this architecture.
        for p in library.resolve(name, &mut dag).unwrap_or_default() {
            if let Ok(e) = explain(&dag, &p.program, &outline, objective) {
                programs += 1;
                let all = e.launches(Dtype::F32).unwrap_or_else(|e| panic!("{name}: {e}"));
                launches.extend(all.into_iter().flat_map(|(_, l)| l));
            }
        }
    }
    assert!(programs > 50, "{programs} programs");
    let found = largest(&tools, &launches, "f32");
    check("library", &found);
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
