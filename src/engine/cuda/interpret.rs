//! Passes as data for the interpreting kernel (`kernels/interpreter.cuh`): one kernel per skeleton
//! runs any program, with no compilation. It gives the bits that generated kernels give.

use super::error::CudaError;
use super::generate::{Kind, fold, fold_text, function, literal, map_text, places};
use super::sources::interpreting;
use crate::ops::{self, Exec, OpId};
use crate::plan::program::{Instr, Place, Program, Width};
use crate::tensor::Dtype;
use std::fmt::Write;
use std::sync::{Arc, OnceLock};

/// Words of a job: the header, and where the description is.
pub const STRIDE: usize = super::generate::HEADER + 1;
/// Places that the states of a job take.
pub const PLACES: usize = 12;
/// The most words of a description.
pub const WORDS: usize = 384;
/// Slots of f32 and f64 elements.
const SLOTS: [usize; 2] = [32, 16];

/// Can the interpreting kernel run this code? It has a fixed number of slots.
pub fn fits(p: &Program) -> bool {
    let operands = p.streams.len() + 3 * p.alongs.len() + p.stores.len() + p.reductions.len();
    let words = 6 + operands + p.numbers.len() + p.streams.len() + p.alongs.len();
    p.slots[0] <= SLOTS[0]
        && p.slots[1] <= SLOTS[1]
        && places(p) <= PLACES
        && p.numbers.len().max(p.streams.len()) < 256
        && words + 4 * p.reductions.len() + p.code.len() <= WORDS
}

/// The source of the interpreting kernel of a skeleton; the same text at every call.
///
/// # Errors
/// When a row has no CUDA text, which is a fault in the rows.
pub fn source(kind: Kind) -> Result<Arc<str>, CudaError> {
    static ALL: [OnceLock<Arc<str>>; 3] = [const { OnceLock::new() }; 3];
    let kept = &ALL[kind as usize];
    if let Some(text) = kept.get() {
        return Ok(text.clone());
    }
    let text: Arc<str> =
        format!("// interprets any pass\n{}", interpreting(kind.file(), &operators()?)).into();
    Ok(kept.get_or_init(|| text).clone())
}

/// What operator numbers mean: the rows' functions, and a switch over each of their uses.
fn operators() -> Result<String, CudaError> {
    let mut functions = String::new();
    let mut apply = String::new();
    let mut folds: [String; 4] = Default::default();
    for (i, row) in ops::rows().iter().enumerate() {
        let op = OpId(i as u16);
        match &row.exec {
            Exec::Elementwise { .. } => {
                map_text(op, &mut functions)?;
                let args = &["a", "b", "c"][..row.values.len()].join(", ");
                let _ = writeln!(apply, "    case {i}: return {}<T>({args});", function(op));
            }
            Exec::Reduce(_) => {
                fold_text(op, &mut functions)?;
                cases(op, i, &mut folds);
            }
            _ => {}
        }
    }
    let [init, push, merge, finish] = folds;
    // One copy of what is rare; `apply` in place, for calls make the assembler spill.
    let (device, inline) = ("__device__ __noinline__", "__device__ __forceinline__");
    Ok(format!(
        "{functions}template <class T> {inline} T apply(unsigned op, T a, T b, T c) {{\n  switch (op) {{\n{apply}  }}\n  return a;\n}}\n\
         {device} void fold_init(unsigned op, double* s) {{\n  switch (op) {{\n{init}  }}\n}}\n\
         {device} void fold_push(unsigned op, double* s, double x) {{\n  switch (op) {{\n{push}  }}\n}}\n\
         {device} void fold_merge(unsigned op, double* s, const double* t) {{\n  switch (op) {{\n{merge}  }}\n}}\n\
         {device} double fold_finish(unsigned op, const double* s, double n, double p0, double p1) {{\n  switch (op) {{\n{finish}  }}\n  return n;\n}}\n"
    ))
}

/// The cases of a reduction: its beginning, and its three functions.
fn cases(op: OpId, i: usize, [init, push, merge, finish]: &mut [String; 4]) {
    let (name, Some(f)) = (ops::row(op).name, fold(op)) else { return };
    let values: String = (0..f.cuda.places).map(|k| format!(" s[{k}] = {};", literal(f.init[k]))).collect();
    let _ = writeln!(init, "    case {i}:{values} return;");
    let _ = writeln!(push, "    case {i}: push_{name}(s, x); return;");
    let _ = writeln!(merge, "    case {i}: merge_{name}(s, t); return;");
    let _ = writeln!(finish, "    case {i}: return finish_{name}(s, n, p0, p1);");
}

/// The description of a pass: `operands` are the words that a generated pass has after its header.
pub fn describe(p: &Program, operands: &[i64], streams: &[Dtype], alongs: &[Dtype]) -> Vec<i64> {
    let counts =
        [p.streams.len(), p.alongs.len(), p.stores.len(), p.reductions.len(), p.numbers.len(), p.code.len()];
    let mut words: Vec<i64> = counts.iter().map(|&n| n as i64).collect();
    words.extend_from_slice(operands);
    words.extend(streams.iter().chain(alongs).map(|&d| element(d)));
    let mut at = 0;
    for r in &p.reductions {
        let constant = |k| r.attrs.or(k, 0.0).to_bits() as i64;
        words.extend([i64::from(r.op.0), at, constant(0), constant(1)]);
        at += fold(r.op).map_or(0, |f| f.cuda.places) as i64;
    }
    words.extend(p.code.iter().map(word));
    words
}

fn element(d: Dtype) -> i64 {
    match d {
        Dtype::F64 => 0,
        Dtype::F32 => 1,
        Dtype::F16 => 2,
        Dtype::Bf16 => 3,
    }
}

/// An instruction as a word, as the kernel reads it.
fn word(instr: &Instr) -> i64 {
    let (kind, width, slot, which, operands) = match instr {
        Instr::Load { stream, slot, width } => (0, *width, *slot, 0, *stream as u64),
        Instr::Spread { along, slot, width } => (1, *width, *slot, 0, *along as u64),
        Instr::Widen { from, slot } => (2, Width::F64, *slot, 0, *from as u64),
        Instr::Map { op, width, args, slot } => {
            // Operands that an operator lacks repeat its first one: they are read, and not used.
            let at = |k: usize| args.get(k).or(args.first()).map_or(0, place);
            (3, *width, *slot, usize::from(op.0), at(0) | at(1) << 10 | at(2) << 20)
        }
        Instr::Fold { reduction, arg, width } => (4, *width, 0, *reduction, place(arg)),
        Instr::Store { store, arg, width } => (5, *width, 0, *store, place(arg)),
        Instr::Column(_) => unreachable!("columns are held (`Columns::Held`)"),
    };
    let double = u64::from(width == Width::F64);
    let low = kind | double << 4 | (slot as u64) << 8 | (which as u64) << 16;
    (low | operands << 32) as i64
}

fn place(p: &Place) -> u64 {
    let (kind, i) = match *p {
        Place::Stream(i) => (0, i),
        Place::Slot(i) => (1, i),
        Place::Number(i) => (2, i),
    };
    kind << 8 | i as u64
}
