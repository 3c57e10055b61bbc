//! Makes a benchmark: samples architectures of a space, trains every one with several seeds, records the
//! losses. Each finished training is a line of a journal beside the benchmark, so that a killed run goes
//! on where it was; the benchmark appears when it is whole.

use super::journal::{Done, Journal};
use super::{Dataset, Settings, TrainError, Trainer};
use crate::bench::{Bench, Better, Header, Metric, Record};
use crate::metric::kendall;
use crate::search::{SearchError, Space, cost};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// Batches of the evaluation that becomes the ground truth.
pub const EVAL_BATCHES: usize = 40;

/// One sampled architecture.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Its config.
    pub config: Value,
    /// Parameters.
    pub params: f64,
    /// Floating-point operations of one forward pass over a training batch.
    pub flops: f64,
}

impl From<SearchError> for TrainError {
    fn from(e: SearchError) -> Self {
        TrainError { message: e.message, help: e.help }
    }
}

/// `count` different architectures of a space.
///
/// # Errors
/// When the space does not hold so many; says what excludes the others.
pub fn sample(
    space: &Space,
    count: usize,
    seed: u64,
    batch: usize,
    seq: usize,
) -> Result<Vec<Sampled>, TrainError> {
    let judge = |config: &Value| cost(config, batch, seq);
    let genotypes = space.sample(count, seed, &judge)?;
    let of = |g| {
        let (config, params, flops) = space.admit(g, &judge).map_err(TrainError::new)?;
        Ok(Sampled { config, params, flops })
    };
    genotypes.iter().map(of).collect()
}

/// What is made.
pub struct Making<'a> {
    /// The architectures.
    pub architectures: &'a [Sampled],
    /// How each is trained; its seed is the first of the seeds.
    pub settings: &'a Settings,
    /// Trainings of each architecture, with different initial parameters and batches.
    pub seeds: usize,
    /// What they are trained on.
    pub data: &'a Dataset,
    /// Trainings at a time, each on one thread.
    pub threads: usize,
    /// Set from elsewhere to stop: trainings in progress are given up, finished ones are kept.
    pub stop: &'a AtomicBool,
}

impl Making<'_> {
    /// What a journal must have been begun with.
    fn identity(&self) -> Result<Value, TrainError> {
        let configs: Vec<&Value> = self.architectures.iter().map(|a| &a.config).collect();
        let text = serde_json::to_string(&configs).map_err(|e| TrainError::new(e.to_string()))?;
        Ok(serde_json::json!({
            "settings": self.settings, "seeds": self.seeds, "data": format!("{:016x}", self.data.checksum()),
            "architectures": format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())),
        }))
    }

    /// Trains what the journal does not hold yet; `tell` hears of every training. Results in the order
    /// of architectures and seeds; not all of them where it was stopped.
    ///
    /// # Errors
    /// A journal of another benchmark; one that cannot be written. Trainings that diverge are no
    /// error: they are recorded as such.
    pub fn run(&self, journal: &Path, tell: &mut dyn FnMut(&Done)) -> Result<Vec<Done>, TrainError> {
        let (mut journal, mut done) = Journal::open(journal, &self.identity()?)?;
        done.iter().for_each(&mut *tell);
        let all = (0..self.architectures.len()).flat_map(|i| (0..self.seeds).map(move |s| (i, s)));
        let missing: Vec<(usize, usize)> =
            all.filter(|job| !done.iter().any(|d| (d.architecture, d.seed) == *job)).collect();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.threads.clamp(1, missing.len().max(1)) {
                let (send, missing, next, failed) = (send.clone(), &missing, &next, &failed);
                scope.spawn(move || {
                    let work = || self.work(missing, next, failed, &send);
                    // One thread per training: with models so small nothing else pays.
                    if let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() {
                        pool.install(work);
                    }
                });
            }
            drop(send);
            for result in receive {
                let written = result.and_then(|d: Done| {
                    journal.add(&d)?;
                    Ok(d)
                });
                match written {
                    Ok(d) => {
                        tell(&d);
                        done.push(d);
                    }
                    Err(e) => {
                        failed.store(true, Ordering::Relaxed);
                        return Err(e);
                    }
                }
            }
            Ok(())
        })?;
        done.sort_by_key(|d| (d.architecture, d.seed));
        Ok(done)
    }

    fn work(
        &self,
        missing: &[(usize, usize)],
        next: &AtomicUsize,
        failed: &AtomicBool,
        send: &mpsc::Sender<Result<Done, TrainError>>,
    ) {
        let halt = || failed.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed);
        while let Some(&(i, seed)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(result) = self.one(i, seed, &halt).transpose() else { return };
            if send.send(result).is_err() {
                return;
            }
        }
    }

    /// One training; nothing where it was given up.
    fn one(
        &self,
        architecture: usize,
        seed: usize,
        halt: &dyn Fn() -> bool,
    ) -> Result<Option<Done>, TrainError> {
        let settings =
            Settings { seed: self.settings.seed.wrapping_add(seed as u64), ..self.settings.clone() };
        let mut t = Trainer::new(&self.architectures[architecture].config, settings)?;
        for _ in 0..self.settings.schedule.steps {
            if halt() {
                return Ok(None);
            }
            if let Err(e) = t.advance(self.data) {
                let problem = Some(e.message);
                return Ok(Some(Done { architecture, seed, loss: None, train_loss: None, problem }));
            }
        }
        let last = &t.losses[t.losses.len() - t.losses.len().div_ceil(10)..];
        let train_loss = Some(last.iter().sum::<f64>() / last.len() as f64);
        let loss = Some(t.evaluate(self.data)).filter(|x| x.is_finite());
        let problem = loss.is_none().then(|| "the evaluation loss is not finite".to_owned());
        Ok(Some(Done { architecture, seed, loss, train_loss, problem }))
    }

    /// The benchmark of finished trainings: `valid_loss` is the mean over seeds, `valid_loss_s0` and so
    /// on single seeds. Architectures with a training that diverged are left out.
    pub fn bench(&self, space: &Space, done: &[Done], source: String, licence: &str, path: &Path) -> Bench {
        let metric = || Metric { better: Better::Lower, unit: Some("nats/token".to_owned()) };
        let single = |s: usize| format!("valid_loss_s{s}");
        let names = (0..self.seeds).map(single).chain(["valid_loss".to_owned()]);
        let header = Header {
            bench: space.name.clone(),
            metrics: names.map(|n| (n, metric())).collect(),
            default_metric: Some("valid_loss".to_owned()),
            source,
            licence: licence.to_owned(),
        };
        let record = |(i, a): (usize, &Sampled)| {
            let of: Vec<&Done> = done.iter().filter(|d| d.architecture == i).collect();
            let losses: Vec<f64> = of.iter().filter_map(|d| d.loss).collect();
            if losses.len() < self.seeds {
                return None;
            }
            let mut metrics: BTreeMap<String, f64> =
                of.iter().filter_map(|d| Some((single(d.seed), d.loss?))).collect();
            metrics.insert("valid_loss".to_owned(), losses.iter().sum::<f64>() / losses.len() as f64);
            let train = of.iter().filter_map(|d| d.train_loss).sum::<f64>() / losses.len() as f64;
            let facts = [("params", a.params), ("flops", a.flops), ("train_loss", train)];
            Some(Record {
                id: format!("{}-{i:03}", space.name),
                family: space.family().to_owned(),
                config: a.config.clone(),
                metrics,
                facts: facts.map(|(k, v)| (k.to_owned(), v)).into(),
            })
        };
        let records = self.architectures.iter().enumerate().filter_map(record).collect();
        Bench { path: path.display().to_string(), header, records }
    }
}

/// How far the ranking of one seed agrees with that of another: mean τ-b over pairs of seeds. What no
/// proxy can be expected to pass. `None` for one seed.
pub fn seed_agreement(bench: &Bench, seeds: usize) -> Option<f64> {
    let column = |s: usize| bench.truth(&format!("valid_loss_s{s}")).ok();
    let pairs = (0..seeds).flat_map(|a| (0..a).map(move |b| (a, b)));
    let taus: Vec<f64> = pairs.filter_map(|(a, b)| kendall(&column(a)?, &column(b)?).ok()?.tau_b).collect();
    (!taus.is_empty()).then(|| taus.iter().sum::<f64>() / taus.len() as f64)
}
