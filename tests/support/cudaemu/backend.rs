//! The emulator as a backend of the CUDA engine: generated kernels run on the CPU.
#![allow(dead_code)]

use crate::cudaemu::{Arg, Launch, Library, Mode, SCHEDULES};
use lpzero::engine::cuda::{Backend, Cuda, CudaError, backend, generate::Kind};
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
    /// Launches so far: skeleton, source, number of jobs.
    pub launched: Vec<(Kind, String, u32)>,
}

/// What the arena holds where nothing was written: NaN in every element type.
const POISON: u8 = 0xff;

impl Emulated {
    pub fn new(mode: Mode, seed: u32) -> Self {
        Emulated { arena: Vec::new(), mode, seed, memory: usize::MAX, launched: Vec::new() }
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
    fn launch(&mut self, launches: &[backend::Launch]) -> Result<(), CudaError> {
        let (text, names) = together(launches);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let library = Library::build(&text, &names, self.mode).map_err(|e| failed(&launches[0], e))?;
        launches.iter().enumerate().try_for_each(|(i, l)| self.run(&library, i, l))
    }
    fn read(&mut self, at: usize, into: &mut [u8]) -> Result<(), CudaError> {
        into.copy_from_slice(&self.arena[at..at + into.len()]);
        Ok(())
    }
}

/// The CUDA engine in emulation under every schedule, which have to give the same bits, and once
/// under the race detector. Panics where a kernel fails.
pub struct EverySchedule;

impl EverySchedule {
    fn once(graph: &Bound, want: &[BoundId], known: &dyn Known, mode: Mode, seed: u32) -> Vec<Tensor> {
        let mut engine = Cuda::new(Emulated::new(mode, seed));
        engine.try_evaluate(graph, want, known).unwrap_or_else(|e| panic!("{mode:?}, schedule {seed}: {e}"))
    }
}

fn bits(t: &[Tensor]) -> Vec<u64> {
    t.iter().flat_map(Tensor::to_f64).map(f64::to_bits).collect()
}

impl Engine for EverySchedule {
    fn name(&self) -> &'static str {
        "cuda-emulated"
    }
    fn evaluate(&mut self, graph: &Bound, want: &[BoundId], known: &dyn Known) -> Vec<Tensor> {
        let out = Self::once(graph, want, known, Mode::InProcess, SCHEDULES[0]);
        for &seed in &SCHEDULES[1..] {
            let again = Self::once(graph, want, known, Mode::InProcess, seed);
            assert!(bits(&again) == bits(&out), "schedule {seed} gives other bits");
        }
        Self::once(graph, want, known, Mode::Races, SCHEDULES[0]);
        out
    }
}

/// Runs nothing and keeps the sources: for tests that compile them.
#[derive(Default)]
pub struct Recorder {
    /// Sources of all launches.
    pub sources: Vec<(Kind, String)>,
}

impl Backend for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }
    fn reserve(&mut self, _: usize) -> Result<(), CudaError> {
        Ok(())
    }
    fn write(&mut self, _: usize, _: &[u8]) -> Result<(), CudaError> {
        Ok(())
    }
    fn launch(&mut self, launches: &[backend::Launch]) -> Result<(), CudaError> {
        self.sources.extend(launches.iter().map(|l| (l.kind, l.source.to_string())));
        Ok(())
    }
    fn read(&mut self, _: usize, into: &mut [u8]) -> Result<(), CudaError> {
        into.fill(0);
        Ok(())
    }
}
