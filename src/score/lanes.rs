//! Lanes: pools of one thread each, on which architectures are worked on side by side.
//!
//! What runs on a lane does not split any further, so that lanes do not compete for cores. They are made
//! once and kept: evolution asks for them thousands of times.

use rayon::ThreadPoolBuilder;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

/// Work for one lane.
pub type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs every job on a lane of its own and `here` on the calling thread meanwhile; a job that is the only one
/// has all threads. All are done when it returns.
pub fn run<R>(mut jobs: Vec<Job<'_>>, here: impl FnOnce() -> R) -> R {
    if jobs.len() == 1 && rayon::current_num_threads() > 1 {
        return std::thread::scope(|scope| {
            jobs.drain(..).for_each(|only| _ = scope.spawn(only));
            here()
        });
    }
    let (send, ends) = mpsc::channel();
    let ends = Ends(ends);
    for (job, lane) in jobs.into_iter().zip(lanes()) {
        let send = send.clone();
        let task: Job<'_> = Box::new(move || _ = send.send(catch_unwind(AssertUnwindSafe(job))));
        // SAFETY: `ends` waits, also where something panics, until the sender in every task is dropped, which is
        // after the job, and with it all that is borrowed.
        let task = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(task) };
        lane(task);
    }
    drop(send);
    let result = here();
    ends.wait();
    result
}

/// How jobs ended.
struct Ends(mpsc::Receiver<std::thread::Result<()>>);

impl Ends {
    /// Waits for all, and hands a panic on.
    fn wait(&self) {
        if let Some(Err(panic)) = self.0.iter().filter(Result::is_err).last() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.iter().for_each(drop);
    }
}

/// Ways to have tasks done, each on the next lane; at once where there is none, or on a lane.
fn lanes() -> impl Iterator<Item = impl FnOnce(Job<'static>)> {
    (0..).map(|i| {
        move |task: Job<'static>| {
            let left = if INSIDE.get() { Some(task) } else { send_to(i, task) };
            if let Some(task) = left {
                task();
            }
        }
    })
}

std::thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Hands a task to lane `i`, which is made where it is the first; gives it back where the system has no thread.
fn send_to(i: usize, task: Job<'static>) -> Option<Job<'static>> {
    static LANES: Mutex<Vec<mpsc::Sender<Job<'static>>>> = Mutex::new(Vec::new());
    let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
    while lanes.len() <= i {
        match lane() {
            Ok(lane) => lanes.push(lane),
            Err(_) => return Some(task),
        }
    }
    lanes[i].send(task).err().map(|mpsc::SendError(task)| task)
}

fn lane() -> std::io::Result<mpsc::Sender<Job<'static>>> {
    let (send, tasks) = mpsc::channel::<Job<'static>>();
    std::thread::Builder::new().name("lane".into()).spawn(move || {
        INSIDE.set(true);
        // A pool of this thread alone, for all that its tasks would do in parallel.
        let _alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        tasks.into_iter().for_each(|task| task());
    })?;
    Ok(send)
}

/// What a worker does with one piece of work.
pub type Work<'a, T, E> = Box<dyn FnMut(usize) -> Result<T, E> + 'a>;

/// Hands `0..count` out to `workers` lanes, piece by piece, until one fails or `stopped`; each lane has a
/// `worker` of its own.
/// `done` hears of every result on the calling thread, in any order.
pub fn each<'a, T: Send, E: Send>(
    (count, workers): (usize, usize),
    stopped: &(dyn Fn() -> bool + Sync),
    worker: &(dyn Fn() -> Work<'a, T, E> + Sync),
    mut done: impl FnMut(usize, Result<T, E>),
) {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = mpsc::channel();
    let job = |send: mpsc::Sender<(usize, Result<T, E>)>| {
        let (next, failed) = (&next, &failed);
        Box::new(move || {
            let mut work = worker();
            for i in share(next, count).take_while(|_| !failed.load(Ordering::Relaxed) && !stopped()) {
                let result = work(i);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                if send.send((i, result)).is_err() {
                    break;
                }
            }
        }) as Job<'_>
    };
    let jobs = (0..workers.clamp(1, count.max(1))).map(|_| job(send.clone())).collect();
    drop(send);
    run(jobs, || receive.into_iter().for_each(|(i, result)| done(i, result)));
}

/// What is left of `0..count`, one after the other, for one of several.
fn share(next: &AtomicUsize, count: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < count))
}

/// Results of `work` for the numbers `0..` that are given, in order of the numbers. With several threads lanes take them
/// in the order given: the costliest should come first.
pub fn map<T: Send>(order: &[usize], work: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let workers = rayon::current_num_threads().min(order.len());
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::with_capacity(order.len()));
    // Nobody is woken before all is done: pieces may be short.
    let job = || {
        let mine: Vec<(usize, T)> = share(&next, order.len()).map(|k| (order[k], work(order[k]))).collect();
        all.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
    };
    match workers {
        0 | 1 => job(),
        _ => run((0..workers).map(|_| Box::new(job) as Job<'_>).collect(), || ()),
    }
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|&(i, _)| i);
    all.into_iter().map(|(_, x)| x).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_two<R: Send>(f: impl FnOnce() -> R + Send) -> R {
        ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(f)
    }

    fn numbers(n: usize) -> Vec<usize> {
        (0..n).rev().collect()
    }

    #[test]
    fn results_are_in_order_and_lanes_do_not_split() {
        for _ in 0..3 {
            let done = on_two(|| map(&numbers(20), &|i| (i, rayon::current_num_threads())));
            assert_eq!(done, (0..20).map(|i| (i, 1)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_job_alone_has_all_threads_and_jobs_run_beside_the_caller() {
        let (send, receive) = std::sync::mpsc::channel();
        let job = |send: std::sync::mpsc::Sender<usize>| {
            Box::new(move || send.send(rayon::current_num_threads()).unwrap()) as Job<'_>
        };
        run(vec![job(send.clone()), job(send.clone())], || {
            assert_eq!((receive.recv(), receive.recv()), (Ok(1), Ok(1)));
        });
        run(vec![job(send)], || assert_eq!(receive.recv(), Ok(rayon::current_num_threads())));
    }

    #[test]
    fn lanes_do_not_wait_for_themselves() {
        let inner = |i: usize| {
            let mut heard = Vec::new();
            each((3, 2), &|| false, &|| Box::new(move |j| Ok::<_, ()>(i + j)), |_, x| heard.extend(x));
            heard.sort_unstable();
            heard
        };
        assert_eq!(on_two(|| map(&numbers(2), &inner)), [vec![0, 1, 2], vec![1, 2, 3]]);
    }

    #[test]
    #[should_panic(expected = "lost")]
    fn a_panic_of_a_job_is_handed_on() {
        on_two(|| map(&numbers(4), &|i| assert!(i != 2, "lost")));
    }
}
