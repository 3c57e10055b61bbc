//! Drawing architectures from a space: at random, by changing one choice, by mixing two.

use super::error::SearchError;
use super::space::{Axis, Genotype, Space};
use crate::random::Stream;
use rustc_hash::FxHashSet;
use serde_json::Value;
use std::collections::BTreeMap;

/// Draws in a row that may fail before the space counts as empty.
const PATIENCE: usize = 20_000;
/// Why a draw counts for nothing that was made already.
const REPEATED: &str = "drawn before";
/// Draws of one layer.
const REDRAWS: usize = 64;

/// Judges a config: its parameters and FLOPs, or why the family refuses it.
pub type Judge<'a> = dyn Fn(&Value) -> Result<(f64, f64), String> + 'a;

fn genes(axes: &[Axis], stream: &mut Stream) -> Vec<usize> {
    axes.iter().map(|a| stream.below(a.values.len())).collect()
}

impl Space {
    /// A random combination: depth uniform, then every choice uniform. Layers keep to the space's ratios
    /// where their width allows it; other constraints are not looked at.
    pub fn draw(&self, stream: &mut Stream) -> Genotype {
        let depth = self.depths[stream.below(self.depths.len())];
        let global = genes(&self.global, stream);
        let mut g = Genotype { global, layers: Vec::new() };
        for _ in 0..depth {
            let layer = self.layer(&g.global, stream);
            g.layers.push(layer);
        }
        g
    }

    /// One layer: redrawn while it breaks a ratio, or else deep and wide architectures would hardly
    /// ever be drawn whole.
    fn layer(&self, global: &[usize], stream: &mut Stream) -> Vec<usize> {
        let mut layer = genes(&self.layer, stream);
        for _ in 0..REDRAWS {
            let alone = Genotype { global: global.to_vec(), layers: vec![layer.clone()] };
            if self.ratios_breach(&self.config(&alone)).is_none() {
                break;
            }
            layer = genes(&self.layer, stream);
        }
        layer
    }

    /// Changes one choice, or the number of layers (new ones repeat a neighbour's choices).
    pub fn mutate(&self, g: &Genotype, stream: &mut Stream) -> Genotype {
        let mut new = g.clone();
        let many = usize::from(self.depths.len() > 1);
        let per_layer = self.layer.len();
        let at = stream.below(many + self.global.len() + per_layer * g.layers.len());
        if at < many {
            let depth = self.depths[stream.below(self.depths.len())];
            while new.layers.len() > depth {
                new.layers.remove(stream.below(new.layers.len()));
            }
            while new.layers.len() < depth {
                let copy = stream.below(new.layers.len());
                new.layers.insert(copy, new.layers[copy].clone());
            }
        } else if at < many + self.global.len() {
            let i = at - many;
            new.global[i] = stream.below(self.global[i].values.len());
        } else {
            let at = at - many - self.global.len();
            if let (Some(layer), Some(i)) = (at.checked_div(per_layer), at.checked_rem(per_layer)) {
                new.layers[layer][i] = stream.below(self.layer[i].values.len());
            }
        }
        new
    }

    /// Every global choice from either parent; layers one after another from either, depth from the first.
    pub fn cross(&self, a: &Genotype, b: &Genotype, stream: &mut Stream) -> Genotype {
        let mut new = a.clone();
        for (x, &y) in new.global.iter_mut().zip(&b.global) {
            if stream.below(2) == 1 {
                *x = y;
            }
        }
        for (x, y) in new.layers.iter_mut().zip(&b.layers) {
            if stream.below(2) == 1 {
                x.clone_from(y);
            }
        }
        new
    }

    /// Is it in the space? Its config and numbers, or why not.
    ///
    /// # Errors
    /// The family's refusal, or the constraint that it breaks.
    pub fn admit(&self, g: &Genotype, judge: &Judge<'_>) -> Result<(Value, f64, f64), String> {
        let config = self.config(g);
        let (params, flops) = judge(&config)?;
        match self.breach(&config, params, flops) {
            Some(why) => Err(why),
            None => Ok((config, params, flops)),
        }
    }

    /// `n` different architectures, uniform among the combinations of each depth that are in the space.
    ///
    /// # Errors
    /// When there are not so many; says what excluded the others.
    pub fn sample(&self, n: usize, seed: u64, judge: &Judge<'_>) -> Result<Vec<Genotype>, SearchError> {
        let found = self.sample_some(n, seed, judge)?;
        found.1.map_or(Ok(found.0), Err)
    }

    /// As [`Space::sample`], but fewer are no error, only none is: the error that fewer would be comes
    /// along.
    ///
    /// # Errors
    /// When there are none; says what excluded them.
    pub fn sample_some(
        &self,
        n: usize,
        seed: u64,
        judge: &Judge<'_>,
    ) -> Result<(Vec<Genotype>, Option<SearchError>), SearchError> {
        let mut stream = Stream::new(seed, "space sample");
        let (mut found, mut seen) = (Vec::new(), FxHashSet::default());
        let mut refused: BTreeMap<String, usize> = BTreeMap::new();
        let mut failures = 0;
        while found.len() < n {
            let g = self.draw(&mut stream);
            failures += 1;
            if !seen.insert(g.clone()) {
                *refused.entry(REPEATED.to_owned()).or_default() += 1;
            } else {
                match self.admit(&g, judge) {
                    Ok(_) => {
                        found.push(g);
                        failures = 0;
                    }
                    Err(why) => *refused.entry(why).or_default() += 1,
                }
            }
            if failures >= PATIENCE {
                let error = self.exhausted(n, found.len(), &refused);
                return if found.is_empty() { Err(error) } else { Ok((found, Some(error))) };
            }
        }
        Ok((found, None))
    }

    fn exhausted(&self, n: usize, found: usize, refused: &BTreeMap<String, usize>) -> SearchError {
        let mut reasons: Vec<_> = refused.iter().collect();
        // Repetitions last: in a small space they outnumber what excludes the rest.
        reasons.sort_by_key(|(why, count)| (*why == REPEATED, std::cmp::Reverse(**count), (*why).clone()));
        let told: Vec<_> =
            reasons.iter().take(3).map(|(why, count)| format!("{why} ({count} times)")).collect();
        let what = match found {
            0 => format!("no architecture of the space `{}` meets its constraints", self.name),
            _ => format!("found {found} of {n} different architectures in the space `{}`", self.name),
        };
        SearchError::new(format!("{what}; of the last draws: {}", told.join(", ")))
            .help("widen the constraints or the values, or ask for fewer architectures")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts layers times width as parameters.
    fn judge(config: &Value) -> Result<(f64, f64), String> {
        let width = config["d_model"].as_f64().unwrap();
        let heads = config["n_head"].as_array().unwrap();
        if heads.iter().any(|h| width % h.as_f64().unwrap() != 0.0) {
            return Err("heads do not divide".into());
        }
        Ok((width * heads.len() as f64, 1.0))
    }

    fn space(constraints: &str) -> Result<Space, SearchError> {
        Space::parse(&format!(
            r#"{{"space": "t", "base": {{"family": "gpt2-flex"}}, "depth": {{"field": "n_layer", "values": [1, 2]}},
                "global": {{"d_model": {{"from": 4, "to": 8, "step": 4}}}},
                "layer": {{"n_head": [1, 4, 3], "d_inner": [8, 16]}}, "copies": {{"d_embed": "d_model"}},
                "constraints": {constraints}}}"#
        ))
    }

    #[test]
    fn samples_are_distinct_and_inside() {
        let s =
            space(r#"{"params": {"max": 8}, "ratios": [{"field": "d_inner", "over": "d_model", "min": 2}]}"#)
                .unwrap();
        assert_eq!(s.size(), 2.0 * (6.0 + 36.0));
        // One layer of width 4 (2 heads x 2 inner), of width 8 (2 x 1); two layers of width 4: 16.
        let all = s.sample(22, 0, &judge).unwrap();
        assert_eq!(all.iter().collect::<FxHashSet<_>>().len(), 22);
        let error = s.sample(23, 0, &judge).unwrap_err();
        assert!(
            error.message.contains("found 22 of 23") && error.message.contains("drawn before"),
            "{error}"
        );
        assert_eq!(s.sample(5, 3, &judge).unwrap(), s.sample(5, 3, &judge).unwrap());
    }

    #[test]
    fn children_stay_in_shape() {
        let s = space("{}").unwrap();
        let mut stream = Stream::new(0, "t");
        let mut g = s.draw(&mut stream);
        for _ in 0..500 {
            let other = s.draw(&mut stream);
            g = s.cross(&s.mutate(&g, &mut stream), &other, &mut stream);
            let config = s.config(&g);
            let n = config["n_layer"].as_u64().unwrap() as usize;
            assert!([1, 2].contains(&n));
            assert!(["n_head", "d_inner"].iter().all(|f| config[f].as_array().unwrap().len() == n));
            assert_eq!(config["d_embed"], config["d_model"]);
        }
    }

    #[test]
    fn impossible_constraints_are_said() {
        let none = space(r#"{"params": {"min": 17}}"#).unwrap().sample(1, 0, &judge).unwrap_err();
        assert!(
            none.message.contains("no architecture") && none.message.contains("params below 17"),
            "{none}"
        );
        let swapped = space(r#"{"params": {"min": 9, "max": 3}}"#).unwrap_err();
        assert!(swapped.message.contains("at least 9 and at most 3"), "{swapped}");
        let unknown = space(r#"{"ratios": [{"field": "d_iner", "over": "d_model"}]}"#).unwrap_err();
        assert!(unknown.message.contains("d_iner"), "{unknown}");
        assert!(Space::parse("{}").is_err() && Space::parse("[").is_err());
    }

    #[test]
    fn layers_as_objects() {
        let s = Space::open("flexibert").unwrap();
        let config = s.config(&s.draw(&mut Stream::new(1, "t")));
        let layers = config["nas_config"]["encoder_layers"].as_array().unwrap();
        assert!([2, 4].contains(&layers.len()));
        assert!(layers.iter().all(|l| l["operation_type"].is_string() && l["num_feed_forward"].is_u64()));
    }
}
