//! Which architectures may be looked at for what: search, validation, test.
//!
//! Architectures that occur more than once stay together, so that no architecture that selection saw
//! is in the test set. The split depends on the seed and on what the benchmark holds, on nothing else.

use crate::random::Stream;
use std::collections::BTreeMap;

/// Fewest architectures of a part on which a rank correlation says anything.
pub const SMALLEST_PART: usize = 8;

/// Indices of architectures, in seeded order: a prefix of `search` is itself a random sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What selection sees.
    pub search: Vec<usize>,
    /// What the choice among the selected sees.
    pub validation: Vec<usize>,
    /// What is looked at once, at the end.
    pub test: Vec<usize>,
}

/// Why there is no split.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SplitError {
    /// Too few architectures.
    #[error(
        "{distinct} distinct architectures are too few to split into search, validation and test of at least {SMALLEST_PART} each"
    )]
    TooSmall {
        /// Architectures after merging duplicates.
        distinct: usize,
    },
    /// The fractions make no sense.
    #[error("search fraction {search} and validation fraction {validation} leave nothing for the test")]
    Fractions {
        /// Search fraction.
        search: f64,
        /// Validation fraction.
        validation: f64,
    },
}

/// Published settings have no unseen architectures: everything is searched on.
fn all_in_search(identities: &[String], seed: u64) -> Result<Split, SplitError> {
    let mut search: Vec<usize> = (0..identities.len()).collect();
    if search.len() < SMALLEST_PART {
        return Err(SplitError::TooSmall { distinct: search.len() });
    }
    search.sort_by(|&a, &b| identities[a].cmp(&identities[b]));
    Stream::new(seed, "evolve/split").shuffle(&mut search);
    Ok(Split { search, validation: Vec::new(), test: Vec::new() })
}

/// Splits architectures with the given identities (equal ones are duplicates). Shares of 1 and 0 put all
/// of them into the search part, as published searches do; nothing is then known of unseen ones.
///
/// # Errors
/// When a part would hold fewer than [`SMALLEST_PART`] distinct architectures.
pub fn split(identities: &[String], search: f64, validation: f64, seed: u64) -> Result<Split, SplitError> {
    if search == 1.0 && validation == 0.0 {
        return all_in_search(identities, seed);
    }
    if !(search > 0.0 && validation > 0.0 && search + validation < 1.0) {
        return Err(SplitError::Fractions { search, validation });
    }
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, identity) in identities.iter().enumerate() {
        groups.entry(identity).or_default().push(i);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    Stream::new(seed, "evolve/split").shuffle(&mut groups);
    let n = groups.len();
    let a = (n as f64 * search).round() as usize;
    let b = (n as f64 * validation).round() as usize;
    if a < SMALLEST_PART || b < SMALLEST_PART || n < a + b + SMALLEST_PART {
        return Err(SplitError::TooSmall { distinct: n });
    }
    let flat = |g: &[Vec<usize>]| g.iter().flatten().copied().collect::<Vec<usize>>();
    Ok(Split {
        search: flat(&groups[..a]),
        validation: flat(&groups[a..a + b]),
        test: flat(&groups[a + b..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_stay_together() {
        let ids: Vec<String> = (0..120).map(|i| format!("arch{}", i % 70)).collect();
        for seed in 0..20 {
            let s = split(&ids, 0.34, 0.33, seed).unwrap();
            assert_eq!(s.search.len() + s.validation.len() + s.test.len(), 120);
            let part =
                |i: usize| [&s.search, &s.validation, &s.test].iter().position(|p| p.contains(&i)).unwrap();
            for i in 0..50 {
                assert_eq!(part(i), part(i + 70));
            }
        }
    }

    #[test]
    fn the_order_of_the_file_does_not_matter_and_small_ones_are_refused() {
        let ids: Vec<String> = (0..60).map(|i| format!("a{i:02}")).collect();
        let back: Vec<String> = ids.iter().rev().cloned().collect();
        let (s, r) = (split(&ids, 0.3, 0.3, 4).unwrap(), split(&back, 0.3, 0.3, 4).unwrap());
        let names = |p: &[usize], ids: &[String]| p.iter().map(|&i| ids[i].clone()).collect::<Vec<_>>();
        assert_eq!(names(&s.test, &ids), names(&r.test, &back));
        assert_eq!(split(&ids[..20], 0.3, 0.3, 0), Err(SplitError::TooSmall { distinct: 20 }));
        let whole = split(&ids, 1.0, 0.0, 4).unwrap();
        assert!(whole.search.len() == 60 && whole.validation.is_empty() && whole.test.is_empty());
        assert!(matches!(split(&ids, 0.7, 0.3, 0), Err(SplitError::Fractions { .. })));
    }
}
