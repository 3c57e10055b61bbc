//! Is memory flat over hours of evaluation? Generations of programs never seen before are scored over
//! FlexiBERT architectures, as the evolver does, and every minute a line is printed with what the program
//! holds and what the system says is resident: `cargo bench --bench flat -- SECONDS`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "support/random.rs"]
mod random;

use lpzero::engine::Cpu;
use lpzero::ir::key::Key;
use lpzero::ir::prepare::Prepared;
use lpzero::ir::{Dag, Program};
use lpzero::lang::Library;
use lpzero::model::{Batch, Config, Model};
use lpzero::score::{ReductionCache, Scorer};
use lpzero::search::{Space, cost};
use random::random_bodies;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const ARCHITECTURES: usize = 64;
const AT_ONCE: usize = 4;
const PROGRAMS: u64 = 16;

/// The system's allocator, which counts the bytes that are held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes every call on, with the caller's layout and pointer.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's layout.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's pointer and layout.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Relaxed);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's pointer, layout and size.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is measured at a moment, in MB.
#[derive(Clone, Copy)]
struct Moment {
    minutes: f64,
    held: f64,
    resident: f64,
}

impl Moment {
    fn now(begin: Instant) -> Self {
        Moment {
            minutes: begin.elapsed().as_secs_f64() / 60.0,
            held: HELD.load(Relaxed) as f64 / 1e6,
            resident: resident_kib() as f64 * 1024.0 / 1e6,
        }
    }
}

/// Resident memory of this process, where the system says.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn architectures() -> Vec<Config> {
    let space = Space::open("flexibert").unwrap();
    let found = space.sample(ARCHITECTURES, 0, &|config| cost(config, 2, 32)).unwrap();
    found.iter().map(|g| Config::from_json(&space.config(g)).unwrap()).collect()
}

/// The programs of a generation: with constants that no other has.
fn programs(generation: u64, dag: &mut Dag) -> Vec<Program> {
    let mut library = Library::new();
    let seeds = generation * PROGRAMS..(generation + 1) * PROGRAMS;
    let bodies = random_bodies(seeds.clone()).into_iter().zip(seeds);
    let program = |(body, i): (String, u64)| {
        let body = body.replace("l.weight", &format!("(l.weight * {})", 1.0 + i as f64 * 1e-6));
        library.expression("p", &format!("sum l in linear {{ {body} }}"), dag).unwrap().program
    };
    bodies.map(program).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let seconds: u64 = args.first().map_or(60, |a| a.parse().expect("a number of seconds"));
    let configs = architectures();
    let cache = ReductionCache::new(8 << 20);
    let (begin, mut moments, mut generation) = (Instant::now(), Vec::<Moment>::new(), 0u64);
    while begin.elapsed().as_secs() < seconds {
        let mut dag = Dag::default();
        let programs = programs(generation, &mut dag);
        let prepared = Prepared::new(&dag, &programs);
        for i in 0..AT_ONCE {
            let at = (generation as usize * AT_ONCE + i) % ARCHITECTURES;
            let batch = Batch::random(configs[at].vocab(), 2, 32, 1, 0).unwrap();
            let mut model = Model::<f32>::new(configs[at].clone(), batch, 0).unwrap();
            let mut engine = Cpu;
            let cache = Some(cache.of(Key(at as u128)));
            black_box(Scorer { cache, ..Scorer::new(&mut engine) }.score(&prepared, &mut model).unwrap());
        }
        generation += 1;
        if begin.elapsed().as_secs() >= 60 * moments.len() as u64 {
            let m = Moment::now(begin);
            moments.push(m);
            println!(
                "{:5.1} min, {generation:6} generations: held {:7.2} MB, resident {:7.2} MB",
                m.minutes, m.held, m.resident
            );
        }
    }
    println!("cache {:?}", cache.stats());
    quarters(&moments);
}

/// Least, mean and greatest in each quarter of the time.
fn quarters(moments: &[Moment]) {
    for (i, quarter) in moments.chunks(moments.len().div_ceil(4).max(1)).enumerate() {
        let of = |f: fn(&Moment) -> f64| {
            let x: Vec<f64> = quarter.iter().map(f).collect();
            let (least, most) = x.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &x| (a.min(x), b.max(x)));
            format!("{least:.1} / {:.1} / {most:.1}", x.iter().sum::<f64>() / x.len() as f64)
        };
        println!("quarter {}: held {} MB, resident {} MB", i + 1, of(|m| m.held), of(|m| m.resident));
    }
}
