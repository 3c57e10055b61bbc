//! What happens between generations: migration, restarts, a line of history.

use super::super::population::Individual;
use super::{Island, Line, Search};

impl Search<'_> {
    /// Every island's best goes to the next one, where it takes the place of the last.
    pub(super) fn migrate(&mut self) {
        let n = self.state.islands.len();
        let due = self.state.generation.is_multiple_of(self.settings.migrate_every.max(1));
        if n < 2 || !due {
            return;
        }
        let best: Vec<Option<Individual>> =
            self.state.islands.iter().map(|i| best_of(&i.members).cloned()).collect();
        for (i, guest) in best.into_iter().enumerate() {
            let host = &mut self.state.islands[(i + 1) % n].members;
            let Some(guest) = guest else { continue };
            if host.iter().all(|m| m.key != guest.key) {
                host.pop();
                host.push(guest);
                let all = std::mem::take(host);
                *host = self.settings.algorithm.survivors(all, self.settings.population);
            }
        }
    }

    /// An island that has not got better for long starts anew; the hall keeps what it found.
    pub(super) fn restart(&mut self) {
        for island in &mut self.state.islands {
            let best = best_of(&island.members).map_or(0.0, |b| b.fitness.value);
            if best > island.best + 1e-9 {
                island.best = best;
                island.stale = 0;
                continue;
            }
            island.stale += 1;
            if island.stale >= self.settings.plateau {
                *island = Island { restarts: island.restarts + 1, ..Island::default() };
            }
        }
    }

    pub(super) fn record(&mut self) {
        let members = || self.state.islands.iter().flat_map(|i| &i.members);
        let count = members().count();
        let sum: f64 = members().map(|m| m.fitness.value).sum();
        let best = self.state.hall.members.first();
        self.state.history.push(Line {
            generation: self.state.generation,
            evaluations: self.state.evaluations,
            best: best.map_or(0.0, |b| b.fitness.value),
            complexity: best.map_or(0.0, |b| b.complexity),
            mean: sum / count.max(1) as f64,
            members: count,
            restarts: self.state.islands.iter().map(|i| i.restarts).sum(),
            rejected: self.state.rules.counts.clone(),
        });
    }
}

fn best_of(members: &[Individual]) -> Option<&Individual> {
    members.iter().max_by(|a, b| {
        a.fitness.value.total_cmp(&b.fitness.value).then(b.complexity.total_cmp(&a.complexity))
    })
}
