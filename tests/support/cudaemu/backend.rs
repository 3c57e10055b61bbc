//! The emulator as a backend of the CUDA engine: generated kernels run on the CPU.
#![allow(dead_code)]

use crate::cudaemu::{Arg, Launch, Library, Mode, SCHEDULES};
use lpzero::engine::cuda::{Backend, Cuda, CudaError, backend, choose::How, generate::Kind};
use lpzero::engine::{Engine, Known};
use lpzero::ir::{Bound, BoundId};
use lpzero::tensor::Tensor;

/// Runs generated kernels in emulation, in one mode and schedule.
pub struct Emulated {
    arena: Vec<u8>,
    mode: Mode,
    seed: u32,
    /// Bytes that may be reserved, to play a small device.
    pub memory: usize,
    /// Seconds that compiling seems to take; none: everything is generated.
    pub compile: Option<f64>,
    /// Launches that wait for a read: they are compiled together.
    waiting: Vec<backend::Launch>,
    /// Launches so far: skeleton, source, number of jobs.
    pub launched: Vec<(Kind, String, u32)>,
}

/// What the arena holds where nothing was written: NaN in every element type.
const POISON: u8 = 0xff;

impl Emulated {
    pub fn new(mode: Mode, seed: u32) -> Self {
        Emulated {
            arena: Vec::new(),
            mode,
            seed,
            memory: usize::MAX,
            compile: None,
            waiting: vec![],
            launched: vec![],
        }
    }

    fn run(&mut self, library: &Library, which: usize, l: &backend::Launch) -> Result<(), CudaError> {
        for (i, kernel) in l.kind.kernels().iter().enumerate() {
            let (blocks, threads) = if i == 0 { (l.blocks, backend::THREADS) } else { (1, 32) };
            let mut launch = Launch::new(blocks, threads).seed(self.seed);
            launch.grid[1] = l.jobs;
            let jobs = (l.jobs_at as i64).to_le_bytes().to_vec();
            let args = &mut [Arg::Buffer(&mut self.arena), Arg::Scalar(jobs)];
            library.run(&format!("{kernel}_{which}"), launch, args).map_err(|message| failed(l, message))?;
        }
        self.launched.push((l.kind, l.source.to_string(), l.jobs));
        Ok(())
    }
}

fn failed(l: &backend::Launch, message: String) -> CudaError {
    CudaError::Launch { kernel: l.program.clone(), message }
}

/// Sources as one text, each in a namespace and with a number behind its kernels' names: the host
/// compiler's time goes into its headers, not into kernels.
fn together(launches: &[backend::Launch]) -> (String, Vec<String>) {
    let (mut text, mut names) = (String::new(), Vec::new());
    for (i, l) in launches.iter().enumerate() {
        for k in l.kind.kernels() {
            text += &format!("#define {k} {k}_{i}\n");
        }
        text += &format!("namespace n{i} {{\n{}\n}}\n", l.source);
        for k in l.kind.kernels() {
            text += &format!("#undef {k}\nusing n{i}::{k}_{i};\n");
            names.push(format!("{k}_{i}"));
        }
    }
    (text, names)
}

impl Backend for Emulated {
    fn name(&self) -> &'static str {
        "cuda-emulated"
    }
    fn reserve(&mut self, bytes: usize) -> Result<(), CudaError> {
        if bytes > self.memory {
            return Err(CudaError::OutOfMemory { bytes });
        }
        self.arena = vec![POISON; bytes];
        Ok(())
    }
    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), CudaError> {
        self.arena[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn launch(&mut self, launch: backend::Launch) -> Result<(), CudaError> {
        self.waiting.push(launch);
        Ok(())
    }
    fn read(&mut self, at: usize, into: &mut [u8]) -> Result<(), CudaError> {
        let waiting = std::mem::take(&mut self.waiting);
        if let Some(first) = waiting.first() {
            let (text, names) = together(&waiting);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let library = Library::build(&text, &names, self.mode).map_err(|e| failed(first, e))?;
            waiting.iter().enumerate().try_for_each(|(i, l)| self.run(&library, i, l))?;
        }
        into.copy_from_slice(&self.arena[at..at + into.len()]);
        Ok(())
    }
    fn ready(&self, source: &std::sync::Arc<str>) -> bool {
        self.launched.iter().any(|l| l.1 == **source)
    }
    fn compile_seconds(&mut self) -> Result<Option<f64>, CudaError> {
        Ok(self.compile)
    }
    /// A picosecond a byte of source: interpreting seems to take longer.
    fn seconds(&mut self, launch: &backend::Launch) -> Result<f64, CudaError> {
        Ok(launch.source.len() as f64 * 1e-12)
    }
}

/// The CUDA engine in emulation under every schedule, which have to give the same bits, and once
/// under the race detector. Panics where a kernel fails.
#[derive(Clone, Copy)]
pub struct EverySchedule(pub How);

impl EverySchedule {
    fn once(self, graph: &Bound, want: &[BoundId], known: &dyn Known, mode: Mode, seed: u32) -> Vec<Tensor> {
        let mut engine = Cuda::new(Emulated::new(mode, seed)).always(self.0);
        engine.try_evaluate(graph, want, known).unwrap_or_else(|e| panic!("{mode:?}, schedule {seed}: {e}"))
    }
}

fn bits(t: &[Tensor]) -> Vec<u64> {
    t.iter().flat_map(Tensor::to_f64).map(f64::to_bits).collect()
}

impl Engine for EverySchedule {
    fn name(&self) -> &'static str {
        match self.0 {
            How::Generated => "cuda-emulated",
            How::Interpreted => "cuda-emulated, interpreted",
        }
    }
    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        let out = self.once(graph, want, known, Mode::InProcess, SCHEDULES[0]);
        for &seed in &SCHEDULES[1..] {
            let again = self.once(graph, want, known, Mode::InProcess, seed);
            assert!(bits(&again) == bits(&out), "schedule {seed} gives other bits");
        }
        self.once(graph, want, known, Mode::Races, SCHEDULES[0]);
        out
    }
}
