//! Evaluates a bound graph on a backend, step by step: the passes of a step are launched one after
//! the other, each when its tensors are copied (so that copies and kernels overlap), and read back
//! together; numbers and whole-tensor operators are computed on the host in between.

use super::backend::{Backend, Launch};
use super::batch::{Part, additions, parts};
use super::choose::{Chooser, How};
use super::error::CudaError;
use super::generate::{HEADER, Kind, describe, generate, places, stride};
use super::interpret;
use crate::engine::Known;
use crate::ir::{Bound, BoundId};
use crate::ops::{self, Exec, Value};
use crate::plan::lower::{Prim, PrimId, Prims};
use crate::plan::program::Width;
use crate::plan::schedule::{Columns, Output, Pass, Schedule, Walk};
use crate::tensor::{Data, Dtype, Tensor};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Tensors begin at multiples of this many bytes, with a gap that nothing writes between them.
const ALIGN: usize = 256;
/// Most blocks of a whole reduction; fixed, for the order of its sum depends on it.
const BLOCKS: usize = 1024;
/// Elements that a block of a whole reduction takes before there are more blocks.
const PER_BLOCK: usize = 4096;
/// Kernels count elements in 32 bits, with room for a last step.
const MOST: usize = 1 << 31;

/// Most jobs of a launch: the second size of a grid.
const MOST_JOBS: usize = 65535;

/// What evaluations share.
pub struct Context<'a> {
    /// Decides what is compiled and what interpreted.
    pub chooser: &'a mut Chooser,
    /// After an error: a wanted node that the failing kernel was for.
    pub blamed: Option<BoundId>,
    /// Gets a copy of every launch.
    pub tap: Option<&'a mut Vec<Launch>>,
}

/// Evaluates `want`.
///
/// # Errors
/// When the backend fails; [`CudaError::OutOfMemory`] asks for fewer at once.
pub fn evaluate(
    backend: &mut dyn Backend,
    context: &mut Context<'_>,
    graph: &Bound,
    want: &[BoundId],
    known: &dyn Known,
) -> Result<Vec<Tensor>, CudaError> {
    let prims = Prims::lower(graph, want, |n| known.get(n).is_some());
    let schedule = Schedule::new(&prims, Columns::Held);
    let n = prims.nodes.len();
    let mut run = Run {
        prims: &prims,
        backend,
        context,
        values: vec![None; n],
        device: vec![None; n],
        top: 0,
        room: 0,
        current: None,
    };
    let done = run.all(&schedule, known);
    if let (Err(_), Some(guilty)) = (&done, run.current) {
        let for_it = prims.wanted.iter().position(|&w| uses(&prims, w, guilty));
        context.blamed = for_it.map(|i| want[i]);
    }
    done
}

/// Is `node` computed from `from`?
fn uses(prims: &Prims, node: PrimId, from: PrimId) -> bool {
    let (mut seen, mut todo) = (vec![false; node + 1], vec![node]);
    while let Some(n) = todo.pop() {
        if n == from {
            return true;
        }
        if !std::mem::replace(&mut seen[n], true) {
            todo.extend(prims.nodes[n].args());
        }
    }
    false
}

struct Run<'a, 'b> {
    prims: &'a Prims,
    backend: &'a mut dyn Backend,
    context: &'a mut Context<'b>,
    /// Values on the host.
    values: Vec<Option<Tensor>>,
    /// Where tensors are in the arena.
    device: Vec<Option<usize>>,
    /// End of what is used of the arena.
    top: usize,
    room: usize,
    /// A node of the pass at hand.
    current: Option<PrimId>,
}

/// A kernel over one set of tensors.
struct Job {
    part: Part,
    pass: Pass,
    source: Arc<str>,
    header: [i64; HEADER],
    blocks: u32,
    /// Element types of what it reads.
    types: [Vec<Dtype>; 2],
    /// Where results go.
    results: Vec<i64>,
}

/// Where a result will be.
struct Pending {
    node: PrimId,
    at: usize,
    width: Width,
}

impl Run<'_, '_> {
    fn all(&mut self, schedule: &Schedule, known: &dyn Known) -> Result<Vec<Tensor>, CudaError> {
        self.load_inputs(known);
        self.reserve(schedule)?;
        let last = schedule.steps.iter().copied().max().unwrap_or(0);
        for step in 0..=last {
            for id in 0..self.prims.nodes.len() {
                if schedule.steps[id] == step && !schedule.streamed[id] {
                    self.hold(id);
                }
            }
            let passes: Vec<&Pass> = schedule.passes.iter().filter(|p| p.step == step).collect();
            self.passes(&passes)?;
        }
        Ok(self.prims.wanted.iter().map(|&w| self.tensor(w)).collect())
    }

    fn load_inputs(&mut self, known: &dyn Known) {
        for (id, node) in self.prims.nodes.iter().enumerate() {
            self.values[id] = match node {
                Prim::Input(n) => known.get(*n),
                Prim::Number(bits) => Some(Tensor::number(f64::from_bits(*bits))),
                Prim::Literal(dims, bits) => {
                    Some(Tensor::new(dims, bits.iter().map(|&b| f64::from_bits(b)).collect::<Vec<_>>()))
                }
                _ => None,
            };
        }
    }

    /// An arena for everything: inputs, results, partial states and jobs.
    fn reserve(&mut self, schedule: &Schedule) -> Result<(), CudaError> {
        let padded = |bytes: usize| bytes.next_multiple_of(ALIGN) + ALIGN;
        let mut bytes = ALIGN;
        for (id, shape) in self.prims.shapes.iter().enumerate() {
            bytes += padded(self.values[id].as_ref().map_or(8 * shape.numel(), Tensor::bytes));
        }
        for pass in &schedule.passes {
            if pass.numel > MOST {
                return Err(CudaError::Launch {
                    kernel: "pass".into(),
                    message: format!("{} elements in a tensor, kernels count to {MOST}", pass.numel),
                });
            }
            let states = blocks(pass.numel) as usize * interpret::PLACES * 8;
            bytes += pass.outputs.len() * (padded(states) + padded(8 * interpret::WORDS + 1024));
        }
        self.room = bytes;
        self.backend.reserve(bytes)
    }

    fn allocate(&mut self, bytes: usize) -> Result<usize, CudaError> {
        let at = self.top.next_multiple_of(ALIGN);
        self.top = at + bytes + ALIGN / 4;
        if self.top > self.room {
            return Err(CudaError::OutOfMemory { bytes: self.top });
        }
        Ok(at)
    }

    fn tensor(&self, id: PrimId) -> Tensor {
        self.values[id].clone().unwrap_or_else(|| Tensor::number(f64::NAN))
    }

    fn value(&self, id: PrimId) -> Value {
        Value { shape: self.prims.shapes[id].clone(), data: self.tensor(id).to_f64() }
    }

    fn dtype(&self, id: PrimId) -> Option<Dtype> {
        self.values[id].as_ref().map(Tensor::dtype)
    }

    /// Computes a node that is not streamed on the host, where its operands are there: numbers,
    /// results of reductions, whole-tensor operators.
    fn hold(&mut self, id: PrimId) {
        let prims = self.prims;
        let node = &prims.nodes[id];
        if self.values[id].is_some() || node.args().iter().any(|&a| self.values[a].is_none()) {
            return;
        }
        let shape = &prims.shapes[id];
        if let Prim::Reshape { arg, .. } = node {
            self.values[id] = Some(self.tensor(*arg).reshape(&shape.dims));
            self.device[id] = self.device[*arg];
            return;
        }
        let args: Vec<Value> = node.args().iter().map(|&a| self.value(a)).collect();
        let refs: Vec<&Value> = args.iter().collect();
        let out = match node {
            Prim::Map { op, .. } => ops::row(*op).evaluate(shape, &refs, &ops::Attrs::none()),
            Prim::Reduce { op, attrs, .. } | Prim::Whole { op, attrs, .. } => {
                ops::row(*op).evaluate(shape, &refs, attrs)
            }
            Prim::Fold { reducer, .. } => ops::reducer(*reducer).fold(&args),
            _ => return,
        };
        self.values[id] = Some(Tensor::new(&out.shape.dims, out.data));
    }

    /// Where a tensor is in the arena; it is copied there when it is not.
    fn place(&mut self, id: PrimId) -> Result<usize, CudaError> {
        if let Some(at) = self.device[id] {
            return Ok(at);
        }
        let tensor = self.tensor(id);
        let at = self.allocate(tensor.bytes())?;
        self.backend.write(at, bytes(&tensor))?;
        self.device[id] = Some(at);
        Ok(at)
    }

    /// Runs the passes of a step and keeps their results.
    fn passes(&mut self, passes: &[&Pass]) -> Result<(), CudaError> {
        let mut jobs = Vec::new();
        for pass in passes {
            for part in parts(self.prims, pass, &|id| self.dtype(id)) {
                if pass.numel == 0 {
                    self.nothing(&part);
                } else {
                    jobs.push(self.job(pass, part)?);
                }
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        // Results of the step lie side by side, so that one copy brings them back.
        let from = self.top.next_multiple_of(ALIGN);
        let mut pending = Vec::new();
        for job in &mut jobs {
            self.results(job, &mut pending)?;
        }
        let to = self.top;
        for (how, group) in self.groups(jobs)? {
            self.current = group[0].pass.outputs.first().map(|&o| match o {
                Output::Reduced(n) | Output::Stored(n) => n,
            });
            let launch = self.launch(how, &group)?;
            if let Some(tap) = &mut self.context.tap {
                tap.push(launch.clone());
            }
            self.backend.launch(launch)?;
        }
        let mut bytes = vec![0; to - from];
        self.backend.read(from, &mut bytes)?;
        for p in pending {
            self.keep(&p, &bytes[p.at - from..]);
            self.device[p.node] = Some(p.at);
        }
        Ok(())
    }

    /// A job, before anything has a place.
    fn job(&mut self, pass: &Pass, part: Part) -> Result<Job, CudaError> {
        let p = &part.program;
        let dtype = |n: PrimId| self.dtype(n).unwrap_or(Dtype::F64);
        let streams: Vec<Dtype> = p.streams.iter().map(|&n| dtype(n)).collect();
        let alongs: Vec<Dtype> = p.alongs.iter().map(|a| dtype(a.node)).collect();
        let source: Arc<str> = generate(p, part.kind, &streams, &alongs)?.into();
        let (header, blocks) = header(pass, &part);
        let (pass, types) = (pass.clone(), [streams, alongs]);
        Ok(Job { part, pass, source, header, blocks, types, results: Vec::new() })
    }

    /// Places of a job's results.
    fn results(&mut self, job: &mut Job, pending: &mut Vec<Pending>) -> Result<(), CudaError> {
        let p = &job.part.program;
        for &(node, width) in &p.stores {
            let size = if width == Width::F32 { 4 } else { 8 };
            let at = self.allocate(job.pass.numel * size)?;
            job.results.push(at as i64);
            pending.push(Pending { node, at, width });
        }
        for r in &p.reductions {
            let at = self.allocate(8 * self.prims.shapes[r.node].numel())?;
            job.results.push(at as i64);
            pending.push(Pending { node: r.node, at, width: Width::F64 });
        }
        Ok(())
    }

    /// Jobs that are one launch: equal kernels over different tensors, and, for each skeleton, all
    /// jobs that are interpreted.
    fn groups(&mut self, jobs: Vec<Job>) -> Result<Vec<(How, Vec<Job>)>, CudaError> {
        let mut work: FxHashMap<Arc<str>, f64> = FxHashMap::default();
        for j in &jobs {
            *work.entry(j.source.clone()).or_default() += additions(&j.part.program) * j.pass.numel as f64;
        }
        let mut chosen: FxHashMap<Arc<str>, How> = FxHashMap::default();
        let mut index: FxHashMap<(How, Arc<str>), usize> = FxHashMap::default();
        let mut groups: Vec<(How, Vec<Job>)> = Vec::new();
        for mut job in jobs {
            let how = match chosen.get(&job.source) {
                Some(&how) => how,
                None => {
                    let ready = self.backend.ready(&job.source);
                    self.context.chooser.choose(ready, &job.source, work[&job.source])
                }
            };
            chosen.insert(job.source.clone(), how);
            let how = if interpret::fits(&job.part.program) { how } else { How::Generated };
            if how == How::Interpreted {
                job.source = interpret::source(job.part.kind)?;
            }
            let at = index.entry((how, job.source.clone())).or_insert(groups.len());
            if groups.get(*at).is_none_or(|g| g.1.len() == MOST_JOBS) {
                *at = groups.len();
                groups.push((how, Vec::new()));
            }
            groups[*at].1.push(job);
        }
        Ok(groups)
    }

    /// Copies what a group of jobs reads, and describes its launch.
    fn launch(&mut self, how: How, group: &[Job]) -> Result<Launch, CudaError> {
        let mut words: Vec<i64> = Vec::new();
        for job in group {
            self.words(how, job, &mut words)?;
        }
        let jobs_at = self.allocate(8 * words.len())?;
        self.backend.write(jobs_at, bytemuck::cast_slice(&words))?;
        let first = &group[0];
        Ok(Launch {
            source: first.source.clone(),
            kind: first.part.kind,
            program: describe(&first.part.program),
            blocks: group.iter().map(|j| j.blocks).max().unwrap_or(1),
            jobs: group.len() as u32,
            jobs_at,
        })
    }

    /// The words of a job, after everything they point to has been copied.
    fn words(&mut self, how: How, job: &Job, words: &mut Vec<i64>) -> Result<(), CudaError> {
        let p = &job.part.program;
        let operands = self.operands(job)?;
        let mut header = job.header;
        let places = if how == How::Interpreted { interpret::PLACES } else { places(p) };
        if job.part.kind == Kind::Whole && places > 0 {
            header[4] = self.allocate(job.blocks as usize * places * 8)? as i64;
        }
        words.extend(header);
        match how {
            How::Generated => {
                words.extend(operands);
                debug_assert_eq!(words.len() % stride(p), 0);
            }
            How::Interpreted => {
                let description = interpret::describe(p, &operands, &job.types[0], &job.types[1]);
                let at = self.allocate(8 * description.len())?;
                self.backend.write(at, bytemuck::cast_slice(&description))?;
                words.push(at as i64);
                debug_assert_eq!(words.len() % interpret::STRIDE, 0);
            }
        }
        Ok(())
    }

    /// Where a job's tensors are, where its results go, and its numbers.
    fn operands(&mut self, job: &Job) -> Result<Vec<i64>, CudaError> {
        let p = &job.part.program;
        let mut words = Vec::new();
        for &s in &p.streams {
            words.push(self.place(s)? as i64);
        }
        for a in &p.alongs {
            words.push(self.place(a.node)? as i64);
            words.extend([(a.split.1 * a.split.2) as i64, a.split.2 as i64]);
        }
        words.extend(&job.results);
        for &n in &p.numbers {
            words.push(self.tensor(n).item().unwrap_or(f64::NAN).to_bits() as i64);
        }
        Ok(words)
    }

    fn keep(&mut self, p: &Pending, bytes: &[u8]) {
        let shape = &self.prims.shapes[p.node];
        let n = shape.numel();
        let tensor = match p.width {
            Width::F32 => Tensor::new(&shape.dims, elements(&bytes[..4 * n], f32::from_ne_bytes)),
            Width::F64 => Tensor::new(&shape.dims, elements(&bytes[..8 * n], f64::from_ne_bytes)),
        };
        self.values[p.node] = Some(tensor);
    }

    /// The results of a pass over no elements.
    fn nothing(&mut self, part: &Part) {
        for &(node, _) in &part.program.stores {
            self.values[node] = Some(Tensor::new(&self.prims.shapes[node].dims, Vec::<f64>::new()));
        }
        for r in &part.program.reductions {
            let shape = &self.prims.shapes[r.node];
            let x = match &ops::row(r.op).exec {
                Exec::Reduce(f) => (f.finish)(&f.init, 0, &r.attrs),
                _ => f64::NAN,
            };
            self.values[r.node] = Some(Tensor::new(&shape.dims, vec![x; shape.numel()]));
        }
    }
}

/// Blocks of a whole reduction of `n` elements.
fn blocks(n: usize) -> u32 {
    n.div_ceil(PER_BLOCK).clamp(1, BLOCKS) as u32
}

/// The first words of a job, and how many blocks it wants.
fn header(pass: &Pass, part: &Part) -> ([i64; HEADER], u32) {
    let n = pass.numel;
    let most = |b: usize| b.clamp(1, 4096) as u32;
    match (part.kind, part.program.reductions.first().and_then(|r| r.split), pass.walk) {
        (Kind::Rows, Some((outer, len, _)), _) => {
            ([n as i64, outer as i64, len as i64, 1, 0], most(outer.div_ceil(8)))
        }
        (Kind::Columns, Some((outer, len, inner)), _) => {
            ([n as i64, outer as i64, len as i64, inner as i64, 0], most(outer * inner.div_ceil(32)))
        }
        (_, _, Walk::Linear | Walk::Strided { .. }) => ([n as i64, i64::from(blocks(n)), 1, 1, 0], blocks(n)),
    }
}

fn bytes(t: &Tensor) -> &[u8] {
    match t.data() {
        Data::F64(d) => bytemuck::cast_slice(&d[..]),
        Data::F32(d) => bytemuck::cast_slice(&d[..]),
        Data::F16(d) => bytemuck::cast_slice(&d[..]),
        Data::Bf16(d) => bytemuck::cast_slice(&d[..]),
    }
}

fn elements<T, const N: usize>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|c| from(*c)).collect()
}
