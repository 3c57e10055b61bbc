//! CUDA C++ for the code of a pass: a struct `Pass` that a skeleton of `kernels/` runs.
//!
//! Everything that differs between sites (where tensors are, sizes, numbers) is read from the job,
//! not written into the text: equal chains over different sites and architectures are one kernel.

use super::error::CudaError;
use super::sources::skeleton;
use crate::ops::{self, Exec, OpId};
use crate::plan::program::{Instr, Place, Program, Reduction, Width};
use crate::tensor::Dtype;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Which skeleton runs a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Whole reductions and tensors written out.
    Whole,
    /// Reductions along the last axis.
    Rows,
    /// Reductions along another axis.
    Columns,
}

impl Kind {
    /// The skeleton's file.
    pub fn file(self) -> &'static str {
        match self {
            Kind::Whole => "pass_whole.cu",
            Kind::Rows => "pass_rows.cu",
            Kind::Columns => "pass_columns.cu",
        }
    }
    /// The kernels of the skeleton, in the order of their launches.
    pub fn kernels(self) -> &'static [&'static str] {
        match self {
            Kind::Whole => &["pass", "pass_finish"],
            _ => &["pass"],
        }
    }
}

/// Words at the beginning of a job: elements, blocks or rows, length, inner size, partial states.
pub const HEADER: usize = 5;

/// Words of a job of this code: the header; for each stream where it is; for each repeated tensor
/// where it is, elements along and after its axis, elements after it; for each store and each
/// reduction where it goes; and the numbers, as bits.
pub fn stride(p: &Program) -> usize {
    HEADER + p.streams.len() + 3 * p.alongs.len() + p.stores.len() + p.reductions.len() + p.numbers.len()
}

/// Places that the states of all reductions take.
pub fn places(p: &Program) -> usize {
    p.reductions.iter().filter_map(|r| fold(r.op)).map(|f| f.cuda.places).sum()
}

pub(super) fn fold(op: OpId) -> Option<&'static ops::Reduce> {
    ops::row(op).reduce()
}

/// What a pass computes, in a line: for errors and for `lpz explain --cuda`.
pub fn describe(p: &Program) -> String {
    let maps = p.code.iter().filter_map(|i| match i {
        Instr::Map { op, .. } => Some(ops::row(*op).name),
        _ => None,
    });
    let ends = p.reductions.iter().map(|r| ops::row(r.op).name);
    let (maps, ends): (Vec<_>, Vec<_>) = (maps.collect(), ends.collect());
    format!("[{}] ending in [{}]", maps.join(" "), ends.join(" "))
}

/// The source of a pass; `streams` and `alongs` are the element types of the tensors it reads.
///
/// # Errors
/// When a row has no CUDA text, which is a fault in the plan.
pub fn generate(p: &Program, kind: Kind, streams: &[Dtype], alongs: &[Dtype]) -> Result<String, CudaError> {
    let mut text = String::new();
    operators(p, &mut text)?;
    let mut body = Body { p, streams, alongs, out: text };
    body.write_struct().map_err(|_| fault("no room for the source"))?;
    let comment = format!("// {}\n", describe(p));
    Ok(comment + &skeleton(kind.file(), &body.out))
}

fn fault(message: &str) -> CudaError {
    CudaError::Launch { kernel: "pass".into(), message: message.into() }
}

/// Device functions of the rows that are used, from their own text.
fn operators(p: &Program, out: &mut String) -> Result<(), CudaError> {
    let maps = p.code.iter().filter_map(|i| match i {
        Instr::Map { op, .. } => Some((function(*op), *op)),
        _ => None,
    });
    for op in maps.collect::<BTreeMap<_, _>>().into_values() {
        map_text(op, out)?;
    }
    let folds = p.reductions.iter().map(|r| (ops::row(r.op).name, r.op));
    for op in folds.collect::<BTreeMap<_, _>>().into_values() {
        fold_text(op, out)?;
    }
    Ok(())
}

/// The device function of an elementwise row.
pub(super) fn map_text(op: OpId, out: &mut String) -> Result<(), CudaError> {
    let row = ops::row(op);
    let Exec::Elementwise { cuda, .. } = &row.exec else { return Err(fault("not elementwise")) };
    let args = ["T a", "T b", "T c"][..row.values.len()].join(", ");
    let name = function(op);
    *out += &format!("template <class T> __device__ __forceinline__ T {name}({args}) {{ return {cuda}; }}\n");
    Ok(())
}

/// The device functions of a streaming reduction.
pub(super) fn fold_text(op: OpId, out: &mut String) -> Result<(), CudaError> {
    let (name, f) = (ops::row(op).name, fold(op).ok_or_else(|| fault("not a reduction"))?.cuda);
    *out += &format!(
        "__device__ __forceinline__ void push_{name}(double* s, double x) {{ {} }}\n\
         __device__ __forceinline__ void merge_{name}(double* s, const double* t) {{ {} }}\n\
         __device__ __forceinline__ double finish_{name}(const double* s, double n, double p0, double p1) {{ return {}; }}\n",
        f.push, f.merge, f.finish
    );
    Ok(())
}

pub(super) fn function(op: OpId) -> String {
    let row = ops::row(op);
    format!("op_{}{}", row.name, row.values.len())
}

fn element(d: Dtype) -> &'static str {
    match d {
        Dtype::F64 => "double",
        Dtype::F32 => "float",
        Dtype::F16 => "__half",
        Dtype::Bf16 => "__nv_bfloat16",
    }
}
fn c(w: Width) -> &'static str {
    match w {
        Width::F32 => "float",
        Width::F64 => "double",
    }
}
fn slot(w: Width, i: usize) -> String {
    match w {
        Width::F32 => format!("f{i}"),
        Width::F64 => format!("d{i}"),
    }
}
/// A double as CUDA reads it back, bit for bit.
pub(super) fn literal(x: f64) -> String {
    format!("__longlong_as_double({:#x}LL)", x.to_bits())
}

struct Body<'a> {
    p: &'a Program,
    streams: &'a [Dtype],
    alongs: &'a [Dtype],
    out: String,
}

impl Body<'_> {
    fn write_struct(&mut self) -> std::fmt::Result {
        let (stride, places) = (stride(self.p), places(self.p));
        writeln!(
            self.out,
            "struct Pass {{\n  static constexpr unsigned STRIDE = {stride}, PLACES = {places};"
        )?;
        self.members()?;
        self.states()?;
        self.element()?;
        self.walks()?;
        self.finish()?;
        writeln!(self.out, "}};")
    }

    /// What is read from the job.
    fn members(&mut self) -> std::fmt::Result {
        let mut at = HEADER;
        let mut word = || {
            at += 1;
            format!("job[{}]", at - 1)
        };
        let (mut declared, mut read) = (String::new(), String::new());
        for (i, &d) in self.streams.iter().enumerate() {
            let t = element(d);
            writeln!(declared, "  const {t}* x{i};")?;
            writeln!(read, "    x{i} = (const {t}*)(arena + {});", word())?;
        }
        for (i, &d) in self.alongs.iter().enumerate() {
            let t = element(d);
            writeln!(declared, "  const {t}* y{i};\n  unsigned period{i}, inner{i};")?;
            writeln!(read, "    y{i} = (const {t}*)(arena + {});", word())?;
            writeln!(read, "    period{i} = (unsigned){}; inner{i} = (unsigned){};", word(), word())?;
        }
        for (i, &(_, w)) in self.p.stores.iter().enumerate() {
            writeln!(declared, "  {}* w{i};", c(w))?;
            writeln!(read, "    w{i} = ({}*)(arena + {});", c(w), word())?;
        }
        for i in 0..self.p.reductions.len() {
            writeln!(declared, "  double* r{i};")?;
            writeln!(read, "    r{i} = (double*)(arena + {});", word())?;
        }
        for i in 0..self.p.numbers.len() {
            writeln!(declared, "  double c{i};")?;
            writeln!(read, "    c{i} = __longlong_as_double({});", word())?;
        }
        write!(self.out, "{declared}  __device__ Pass(unsigned char* arena, const i64* job) {{\n{read}  }}\n")
    }

    /// Where the state of each reduction begins.
    fn offsets(&self) -> Vec<(usize, &Reduction)> {
        let mut at = 0;
        let mut out = Vec::new();
        for r in &self.p.reductions {
            out.push((at, r));
            at += fold(r.op).map_or(0, |f| f.cuda.places);
        }
        out
    }

    fn states(&mut self) -> std::fmt::Result {
        let (mut init, mut merge) = (String::new(), String::new());
        for (at, r) in self.offsets() {
            let Some(f) = fold(r.op) else { continue };
            for k in 0..f.cuda.places {
                write!(init, " s[{}] = {};", at + k, literal(f.init[k]))?;
            }
            write!(merge, " merge_{}(s + {at}, t + {at});", ops::row(r.op).name)?;
        }
        writeln!(self.out, "  __device__ __forceinline__ void init(double* s) const {{{init} }}")?;
        writeln!(
            self.out,
            "  __device__ __forceinline__ void merge(double* s, const double* t) const {{{merge} }}"
        )
    }

    fn place(&self, p: &Place, w: Width) -> String {
        match *p {
            Place::Stream(i) => format!("v{i}"),
            Place::Slot(i) => slot(w, i),
            Place::Number(i) => format!("({})c{i}", c(w)),
        }
    }

    /// The code for one element.
    fn element(&mut self) -> std::fmt::Result {
        let args: Vec<String> =
            self.streams.iter().enumerate().map(|(i, &d)| format!("{} v{i}, ", element(d))).collect();
        writeln!(
            self.out,
            "  __device__ __forceinline__ void element(unsigned e, {}double* s) const {{",
            args.concat()
        )?;
        for (w, n) in [(Width::F32, self.p.slots[0]), (Width::F64, self.p.slots[1])] {
            for i in 0..n {
                writeln!(self.out, "    {} {};", c(w), slot(w, i))?;
            }
        }
        let at: Vec<usize> = self.offsets().iter().map(|o| o.0).collect();
        for instr in &self.p.code {
            let line = self.instruction(instr, &at);
            writeln!(self.out, "    {line}")?;
        }
        writeln!(self.out, "  }}")
    }

    fn instruction(&self, instr: &Instr, at: &[usize]) -> String {
        match instr {
            Instr::Load { stream, slot: s, width } => {
                format!("{} = ({})widen(v{stream});", slot(*width, *s), c(*width))
            }
            Instr::Spread { along: i, slot: s, width } => format!(
                "{} = ({})widen(y{i}[e / period{i} * inner{i} + e % inner{i}]);",
                slot(*width, *s),
                c(*width)
            ),
            Instr::Widen { from, slot: s } => format!("d{s} = f{from};"),
            Instr::Map { op, width, args, slot: s } => {
                let args: Vec<String> = args.iter().map(|a| self.place(a, *width)).collect();
                let (t, f) = (c(*width), function(*op));
                format!("{} = {f}<{t}>({});", slot(*width, *s), args.join(", "))
            }
            Instr::Fold { reduction, arg, width } => {
                let name = ops::row(self.p.reductions[*reduction].op).name;
                format!("push_{name}(s + {}, {});", at[*reduction], self.place(arg, *width))
            }
            Instr::Store { store, arg, width } => format!("w{store}[e] = {};", self.place(arg, *width)),
            Instr::Column(_) => unreachable!("columns are held (`Columns::Held`)"),
        }
    }

    /// One element, and eight neighbouring ones by 16-byte loads.
    fn walks(&mut self) -> std::fmt::Result {
        let n = self.streams.len();
        let each = |f: &dyn Fn(usize) -> String| (0..n).map(f).collect::<String>();
        let one = each(&|i| format!("x{i}[e], "));
        writeln!(
            self.out,
            "  __device__ __forceinline__ void one(unsigned e, double* s) const {{ element(e, {one}s); }}"
        )?;
        let declared = each(&|i| format!("    __align__(16) {} v{i}[VECTOR];\n", element(self.streams[i])));
        let loads = each(&|i| format!("    load(x{i}, e, v{i});\n"));
        let eight = each(&|i| format!("v{i}[j], "));
        write!(
            self.out,
            "  __device__ __forceinline__ void eight(unsigned e, double* s) const {{\n{declared}{loads}#pragma unroll\n    \
             for (unsigned j = 0; j < VECTOR; j++) element(e + j, {eight}s);\n  }}\n"
        )
    }

    fn finish(&mut self) -> std::fmt::Result {
        let mut lines = String::new();
        for (i, (at, r)) in self.offsets().into_iter().enumerate() {
            let p = |k: usize| literal(r.attrs.or(k, 0.0));
            let name = ops::row(r.op).name;
            write!(lines, " r{i}[at] = finish_{name}(s + {at}, n, {}, {});", p(0), p(1))?;
        }
        writeln!(
            self.out,
            "  __device__ void finish(const double* s, double n, unsigned at) const {{{lines} }}"
        )
    }
}
