//! The search: NSGA-II over score, parameters, FLOPs and, where it is looked at, latency.

use super::draw::Judge;
use super::error::SearchError;
use super::pareto;
use super::space::{Genotype, Space};
use crate::random::Stream;
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::Value;

/// What an architecture may cost at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Parameters.
    pub params: Option<f64>,
    /// Floating-point operations of a forward pass over one batch.
    pub flops: Option<f64>,
    /// Milliseconds of a forward pass over one batch.
    pub latency_ms: Option<f64>,
}

impl Budget {
    fn breach(&self, params: f64, flops: f64) -> Option<String> {
        let over =
            |max: Option<f64>, x: f64, name: &str| max.filter(|m| x > *m).map(|m| format!("{name} {m}"));
        over(self.params, params, "more parameters than --params-max")
            .or_else(|| over(self.flops, flops, "more FLOPs than --flops-max"))
    }
}

/// What an evaluation says of an architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Score of the proxy; none where it degenerates.
    pub score: Option<f64>,
    /// Milliseconds of a forward pass, where latency is looked at.
    pub latency_ms: Option<f64>,
}

/// An architecture that was evaluated, has a score and is within the budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its config.
    pub config: Value,
    /// Score of the proxy.
    pub score: f64,
    /// Parameters.
    pub params: f64,
    /// Floating-point operations of a forward pass over one batch.
    pub flops: f64,
    /// Milliseconds of a forward pass over one batch.
    pub latency_ms: Option<f64>,
    #[serde(skip)]
    genotype: Genotype,
}

impl Candidate {
    fn objectives(&self) -> Vec<f64> {
        let mut all = vec![-self.score, self.params, self.flops];
        all.extend(self.latency_ms);
        all
    }
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Architectures that no other one beats in everything, best score first.
    pub front: Vec<Candidate>,
    /// Architectures evaluated.
    pub evaluations: usize,
    /// Of these, without a score.
    pub degenerate: usize,
    /// Of these, slower than the budget.
    pub slow: usize,
    /// It was interrupted.
    pub interrupted: bool,
}

/// A search.
pub struct Search<'a> {
    /// Where to look.
    pub space: &'a Space,
    /// What an architecture may cost.
    pub budget: Budget,
    /// Architectures to evaluate.
    pub evaluations: usize,
    /// Architectures kept from generation to generation.
    pub population: usize,
    /// Seed of all draws.
    pub seed: u64,
}

/// Attempts at a child that is new and within the budget, before a random one is drawn.
const ATTEMPTS: usize = 100;

/// Evaluates configs, in order; nothing for those it did not come to before it was interrupted, which
/// ends the search.
pub type Evaluate<'a> = dyn FnMut(&[Value]) -> Result<Vec<Option<Measured>>, SearchError> + 'a;

struct Admitted {
    genotype: Genotype,
    config: Value,
    params: f64,
    flops: f64,
}

impl Search<'_> {
    /// Runs the search; it ends early where the space holds nothing new. The same seed gives the same
    /// front, unless latency is measured.
    ///
    /// # Errors
    /// When nothing in the space is within the budget, or nothing was evaluated before an interruption;
    /// what `evaluate` says.
    pub fn run(&self, judge: &Judge<'_>, evaluate: &mut Evaluate<'_>) -> Result<Found, SearchError> {
        let within = |config: &Value| {
            let (params, flops) = judge(config)?;
            self.budget.breach(params, flops).map_or(Ok((params, flops)), Err)
        };
        let mut found = Found::default();
        let mut seen = FxHashSet::default();
        let mut all: Vec<Candidate> = Vec::new();
        let mut population: Vec<Candidate> = Vec::new();
        let mut fastest = f64::INFINITY;
        for generation in 0.. {
            let n = self.population.min(self.evaluations - found.evaluations);
            let admitted = match generation {
                0 => self.first(n, &within)?,
                _ => self.children(n, generation, &population, &seen, &within),
            };
            if admitted.is_empty() {
                break;
            }
            seen.extend(admitted.iter().map(|a| a.genotype.clone()));
            let configs: Vec<Value> = admitted.iter().map(|a| a.config.clone()).collect();
            let measured = evaluate(&configs)?;
            found.interrupted = measured.iter().any(Option::is_none);
            for (a, m) in admitted.into_iter().zip(measured) {
                let Some(m) = m else { continue };
                found.evaluations += 1;
                fastest = fastest.min(m.latency_ms.unwrap_or(f64::INFINITY));
                match self.keep(a, m) {
                    Ok(candidate) => {
                        all.push(candidate.clone());
                        population.push(candidate);
                    }
                    Err(slow) => *(if slow { &mut found.slow } else { &mut found.degenerate }) += 1,
                }
            }
            let points: Vec<Vec<f64>> = population.iter().map(Candidate::objectives).collect();
            let kept = pareto::select(&points, self.population);
            population = kept.into_iter().map(|i| population[i].clone()).collect();
            if found.interrupted || found.evaluations >= self.evaluations {
                break;
            }
        }
        found.front = front(all);
        if found.front.is_empty() {
            return Err(self.nothing(&found, fastest));
        }
        Ok(found)
    }

    /// A candidate, or why there is none: too slow (true), or without a score.
    fn keep(&self, a: Admitted, m: Measured) -> Result<Candidate, bool> {
        if let (Some(max), Some(ms)) = (self.budget.latency_ms, m.latency_ms)
            && ms > max
        {
            return Err(true);
        }
        let score = m.score.ok_or(false)?;
        let Admitted { genotype, config, params, flops } = a;
        Ok(Candidate { config, score, params, flops, latency_ms: m.latency_ms, genotype })
    }

    fn first(&self, n: usize, judge: &Judge<'_>) -> Result<Vec<Admitted>, SearchError> {
        // Fewer than wanted is no error: one is enough to begin with.
        let (genotypes, _) = self.space.sample_some(n, self.seed, judge)?;
        Ok(genotypes.into_iter().filter_map(|g| admit(self.space, g, judge)).collect())
    }

    fn children(
        &self,
        n: usize,
        generation: usize,
        parents: &[Candidate],
        seen: &FxHashSet<Genotype>,
        judge: &Judge<'_>,
    ) -> Vec<Admitted> {
        let mut new = FxHashSet::default();
        let mut children = Vec::new();
        for slot in 0..n {
            let mut stream = Stream::new(self.seed, &format!("search/{generation}/{slot}"));
            for attempt in 0..2 * ATTEMPTS {
                // Parents are sorted best first: the better of two draws is the lower index.
                let mut pick = || stream.below(parents.len()).min(stream.below(parents.len()));
                let (a, b) = (pick(), pick());
                let child = match parents {
                    [] => self.space.draw(&mut stream),
                    _ if attempt >= ATTEMPTS => self.space.draw(&mut stream),
                    _ => {
                        let crossed =
                            self.space.cross(&parents[a].genotype, &parents[b].genotype, &mut stream);
                        self.space.mutate(&crossed, &mut stream)
                    }
                };
                if seen.contains(&child) || new.contains(&child) {
                    continue;
                }
                if let Some(a) = admit(self.space, child, judge) {
                    new.insert(a.genotype.clone());
                    children.push(a);
                    break;
                }
            }
        }
        children
    }

    fn nothing(&self, found: &Found, fastest: f64) -> SearchError {
        let n = found.evaluations;
        if found.interrupted {
            return SearchError::new(format!(
                "interrupted before there was a front, after {n} architectures"
            ));
        }
        let error = SearchError::new(format!(
            "of {n} architectures none is left: {} without a score, {} slower than allowed",
            found.degenerate, found.slow
        ));
        match found.slow {
            0 => error.help("the proxy degenerates on this space; `lpz run` says why"),
            _ => error.help(format!("the fastest took {fastest:.3} ms; give a larger --latency-max-ms")),
        }
    }
}

fn admit(space: &Space, genotype: Genotype, judge: &Judge<'_>) -> Option<Admitted> {
    let (config, params, flops) = space.admit(&genotype, judge).ok()?;
    Some(Admitted { genotype, config, params, flops })
}

/// The candidates that no other one dominates, each once, best score first.
fn front(mut all: Vec<Candidate>) -> Vec<Candidate> {
    let mut seen = FxHashSet::default();
    all.retain(|c| seen.insert(c.genotype.clone()));
    let points: Vec<Vec<f64>> = all.iter().map(Candidate::objectives).collect();
    let free = |p: &Vec<f64>| !points.iter().any(|q| pareto::dominates(q, p));
    let mut front: Vec<Candidate> =
        all.iter().zip(&points).filter(|(_, p)| free(p)).map(|(c, _)| c.clone()).collect();
    front.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.genotype.cmp(&b.genotype)));
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(config: &Value) -> Result<(f64, f64), String> {
        let sum = |f: &str| config[f].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum::<f64>();
        Ok((config["d_model"].as_f64().unwrap() * sum("d_inner"), sum("n_head")))
    }

    fn search(budget: Budget, evaluations: usize) -> Result<Found, SearchError> {
        let space = Space::open("tiny-gpt2").unwrap();
        let search = Search { space: &space, budget, evaluations, population: 16, seed: 3 };
        // Score: width, less heads; the best has the largest width.
        search.run(&judge, &mut |configs| {
            let score = |c: &Value| Some(c["d_model"].as_f64()? - 0.1 * judge(c).ok()?.1);
            let measured = |c| Measured { score: score(c), latency_ms: Some(judge(c).unwrap().0) };
            Ok(configs.iter().map(|c| Some(measured(c))).collect())
        })
    }

    #[test]
    fn finds_the_best_within_the_budget() {
        let found = search(Budget { params: Some(400.0), ..Budget::default() }, 400).unwrap();
        // The search ends early where it meets nothing new.
        assert!((100..=400).contains(&found.evaluations), "{}", found.evaluations);
        assert!(found.front.iter().all(|c| c.params <= 400.0));
        let best = &found.front[0];
        // 48 wide with inner width 8, or 24 wide with 16: the width counts most.
        assert!(best.config["d_model"] == 48 && best.flops == 1.0, "{best:?}");
        assert!(found.front.windows(2).all(|w| w[0].score >= w[1].score));
        assert_eq!(
            search(Budget { params: Some(400.0), ..Budget::default() }, 400).unwrap().front,
            found.front
        );
    }

    #[test]
    fn an_interrupted_search_has_the_front_so_far() {
        let space = Space::open("tiny-gpt2").unwrap();
        let search =
            Search { space: &space, budget: Budget::default(), evaluations: 100, population: 16, seed: 0 };
        let mut calls = 0;
        let mut evaluate = |configs: &[Value]| {
            calls += 1;
            // The second generation is interrupted after five.
            let measured = |(i, c)| (calls == 1 || i < 5).then(|| of(c));
            Ok(configs.iter().enumerate().map(measured).collect())
        };
        fn of(c: &Value) -> Measured {
            Measured { score: c["d_model"].as_f64(), latency_ms: None }
        }
        let found = search.run(&judge, &mut evaluate).unwrap();
        assert!(found.interrupted && found.evaluations == 21 && !found.front.is_empty());
        let none = search.run(&judge, &mut |configs| Ok(vec![None; configs.len()])).unwrap_err();
        assert!(none.message.contains("interrupted"), "{none}");
    }

    #[test]
    fn impossible_budgets_are_said() {
        let none = search(Budget { params: Some(1.0), ..Budget::default() }, 50).unwrap_err();
        assert!(none.message.contains("--params-max 1"), "{none}");
        let slow = search(Budget { latency_ms: Some(1.0), ..Budget::default() }, 50).unwrap_err();
        assert!(slow.help.unwrap().contains("--latency-max-ms"));
    }
}
