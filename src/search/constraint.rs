//! What a space demands of its architectures: limits of parameters, FLOPs and ratios of fields.

use super::error::SearchError;
use serde::Deserialize;

/// Smallest and largest allowed number.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Smallest.
    #[serde(default)]
    pub min: Option<f64>,
    /// Largest.
    #[serde(default)]
    pub max: Option<f64>,
}

impl Limits {
    /// Why `x` is not within, if it is not.
    pub fn breach(&self, name: &str, x: f64) -> Option<String> {
        match (self.min, self.max) {
            (Some(min), _) if x < min => Some(format!("{name} below {min}")),
            (_, Some(max)) if x > max => Some(format!("{name} above {max}")),
            _ => None,
        }
    }

    fn check(&self, name: &str) -> Result<(), SearchError> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => Err(SearchError::new(format!(
                "`constraints`: {name} is to be at least {min} and at most {max}"
            ))
            .help("no number is both; swap or widen them")),
            _ => Ok(()),
        }
    }
}

/// Limits of one field (or each layer's) divided by another.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ratio {
    pub(super) field: String,
    pub(super) over: String,
    #[serde(flatten)]
    limits: Limits,
}

/// What a space demands of its architectures.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Constraints {
    #[serde(default)]
    params: Limits,
    #[serde(default)]
    flops: Limits,
    #[serde(default)]
    pub(super) ratios: Vec<Ratio>,
}

impl Constraints {
    /// Refuses constraints that contradict themselves.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        self.params.check("params")?;
        self.flops.check("flops")?;
        self.ratios.iter().try_for_each(|r| r.limits.check(&r.name()))
    }

    /// Why so many parameters or FLOPs are not allowed, if they are not.
    pub(super) fn breach(&self, params: f64, flops: f64) -> Option<String> {
        self.params.breach("params", params).or_else(|| self.flops.breach("flops", flops))
    }

    /// Which ratio is broken, if one is; `numbers` gives those of a field: one, or one per layer.
    pub(super) fn ratios_breach(&self, numbers: &dyn Fn(&str) -> Vec<f64>) -> Option<String> {
        self.ratios.iter().find_map(|r| r.breach(&numbers(&r.field), &numbers(&r.over)))
    }
}

impl Ratio {
    fn name(&self) -> String {
        format!("{} / {}", self.field, self.over)
    }

    fn breach(&self, tops: &[f64], bottoms: &[f64]) -> Option<String> {
        let n = tops.len().max(bottoms.len());
        let at = |v: &[f64], i: usize| if v.len() == 1 { v.first().copied() } else { v.get(i).copied() };
        (0..n).find_map(|i| self.limits.breach(&self.name(), at(tops, i)? / at(bottoms, i)?))
    }
}
