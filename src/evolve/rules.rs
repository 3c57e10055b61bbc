//! Rule-based pruning: every rule is a row with a name, a reason and a test. Static rules look at
//! the program, dynamic ones at its scores on a few architectures.

use super::evaluator::Outcome;

/// When a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before anything runs.
    Static,
    /// After each rung of the ladder of architectures.
    Dynamic,
}

/// What static rules may look at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Nodes, equal ones once.
    pub size: usize,
    /// Most nodes allowed.
    pub max_size: usize,
    /// Levels.
    pub depth: usize,
    /// Most levels allowed.
    pub max_depth: usize,
    /// An operator is undone at once by its exact inverse.
    pub undone: bool,
    /// The program reads neither a site nor a number of the model.
    pub reads_nothing: bool,
    /// A part that reads the model has one value only, by interval analysis.
    pub constant_part: bool,
    /// The whole program has one value only, by interval analysis.
    pub constant: bool,
    /// A part has no finite value at all, by interval analysis.
    pub never_finite: bool,
    /// It walks over sites that an architecture does not have.
    pub no_sites: bool,
    /// Its shapes do not fit on the first architecture.
    pub shape_conflict: bool,
    /// Cost of one score, in forward passes of the first architecture.
    pub passes: f64,
    /// Most allowed.
    pub max_passes: f64,
    /// Its canonical form was met before.
    pub met: bool,
}

/// What dynamic rules may look at.
#[derive(Clone, Debug)]
pub struct Scores<'a> {
    /// Scores on the architectures of the rung.
    pub outcomes: &'a [Outcome],
    /// Finite scores, if all are.
    pub finite: Option<&'a [f64]>,
    /// A term of the program differs between architectures by rounding only.
    pub noise: bool,
    /// Another program gave the same scores.
    pub met: bool,
    /// Upper confidence bound of the fitness.
    pub bound: f64,
    /// Fitness below which it cannot survive.
    pub floor: f64,
}

/// A rule's test; true rejects.
pub enum Test {
    /// Static.
    Static(fn(&Facts) -> bool),
    /// Dynamic.
    Dynamic(fn(&Scores<'_>) -> bool),
}

/// One rule.
pub struct Rule {
    /// Name, for `--no-rule` and reports.
    pub name: &'static str,
    /// Why what it rejects is not worth an evaluation.
    pub reason: &'static str,
    /// The test.
    pub test: Test,
}

impl Rule {
    /// When it is asked.
    pub fn stage(&self) -> Stage {
        match self.test {
            Test::Static(_) => Stage::Static,
            Test::Dynamic(_) => Stage::Dynamic,
        }
    }
}

/// The rules, in the order in which they are asked.
pub const RULES: &[Rule] = &[
    Rule {
        name: "too-large",
        reason: "more nodes or levels than --max-size and --max-depth allow",
        test: Test::Static(|f| f.size > f.max_size || f.depth > f.max_depth),
    },
    Rule {
        name: "reads-nothing",
        reason: "without a site or a model number every architecture gets the same score",
        test: Test::Static(|f| f.reads_nothing),
    },
    Rule {
        name: "opposing-pair",
        reason: "an operator is undone at once by its exact inverse: a shorter program has the same scores",
        test: Test::Static(|f| f.undone),
    },
    Rule {
        name: "no-sites",
        reason: "it walks over sites that an architecture of the benchmark does not have",
        test: Test::Static(|f| f.no_sites),
    },
    Rule {
        name: "shape-conflict",
        reason: "tensors of different shapes meet in an architecture of the benchmark",
        test: Test::Static(|f| f.shape_conflict),
    },
    Rule {
        name: "too-costly",
        reason: "one score costs more than --max-cost forward passes of the model, or needs a tensor four times the largest",
        test: Test::Static(|f| f.passes > f.max_passes),
    },
    Rule {
        name: "never-finite",
        reason: "interval analysis: a part has no finite value for any tensor",
        test: Test::Static(|f| f.never_finite),
    },
    Rule {
        name: "constant",
        reason: "interval analysis: the program has one value for all tensors",
        test: Test::Static(|f| f.constant),
    },
    Rule {
        name: "disconnected",
        reason: "interval analysis: a part that reads the model has one value, so that what it reads does not matter",
        test: Test::Static(|f| f.constant_part && !f.constant),
    },
    Rule { name: "duplicate", reason: "its canonical form was met before", test: Test::Static(|f| f.met) },
    Rule {
        name: "not-finite",
        reason: "it has no finite score on an architecture",
        test: Test::Dynamic(|s| s.finite.is_none()),
    },
    Rule {
        name: "rounding-noise",
        reason: "it ranks by rounding: gradients that cancel, or a value that changes in double precision",
        test: Test::Dynamic(|s| s.noise),
    },
    Rule {
        name: "same-everywhere",
        reason: "it gives all architectures the same score",
        test: Test::Dynamic(|s| s.finite.is_some_and(|v| v.iter().all(|x| *x == v[0]))),
    },
    Rule {
        name: "same-scores",
        reason: "another program gave the same scores, up to rounding",
        test: Test::Dynamic(|s| s.met),
    },
    Rule {
        name: "racing",
        reason: "the upper confidence bound of its correlation is below what it takes to survive",
        test: Test::Dynamic(|s| s.bound < s.floor),
    },
];

/// Rules without which the search cannot go on; `--no-rule` refuses them.
const NEEDED: &[&str] = &["not-finite", "shape-conflict", "too-large"];

/// Which rules are on, and how many programs each rejected.
#[derive(Clone, Debug)]
pub struct Counted {
    on: Vec<bool>,
    /// Rejections, in the order of [`RULES`].
    pub counts: Vec<u64>,
}

impl Counted {
    /// All rules but those named.
    ///
    /// # Errors
    /// When a name is unknown or the rule cannot be turned off.
    pub fn without(names: &[String]) -> Result<Self, String> {
        let mut on = vec![true; RULES.len()];
        for name in names {
            let Some(i) = RULES.iter().position(|r| r.name == name) else {
                let all: Vec<&str> = RULES.iter().map(|r| r.name).collect();
                return Err(format!("there is no rule `{name}`; the rules are {}", all.join(", ")));
            };
            if NEEDED.contains(&RULES[i].name) {
                return Err(format!("the rule `{name}` cannot be turned off: {}", RULES[i].reason));
            }
            on[i] = false;
        }
        Ok(Counted { on, counts: vec![0; RULES.len()] })
    }

    /// The first static rule that rejects, counted.
    pub fn before(&mut self, facts: &Facts) -> bool {
        self.first(|r| matches!(r.test, Test::Static(t) if t(facts)))
    }

    /// The first dynamic rule that rejects, counted.
    pub fn after(&mut self, scores: &Scores<'_>) -> bool {
        self.first(|r| matches!(r.test, Test::Dynamic(t) if t(scores)))
    }

    fn first(&mut self, rejects: impl Fn(&Rule) -> bool) -> bool {
        let found = (0..RULES.len()).find(|&i| self.on[i] && rejects(&RULES[i]));
        if let Some(i) = found {
            self.counts[i] += 1;
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_unknown_ones_are_refused() {
        for (i, r) in RULES.iter().enumerate() {
            assert!(RULES[..i].iter().all(|o| o.name != r.name));
            assert!(!r.reason.is_empty());
        }
        assert!(Counted::without(&["duplicates".into()]).unwrap_err().contains("duplicate,"));
        assert!(Counted::without(&["not-finite".into()]).is_err());
    }

    #[test]
    fn a_rule_that_is_off_rejects_nothing() {
        let facts = Facts { met: true, max_size: 9, max_depth: 9, max_passes: 1.0, ..Facts::default() };
        let mut on = Counted::without(&[]).unwrap();
        assert!(on.before(&facts));
        assert_eq!(on.counts.iter().sum::<u64>(), 1);
        assert!(!Counted::without(&["duplicate".into()]).unwrap().before(&facts));
    }
}
