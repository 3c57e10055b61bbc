//! An explanation for a person.

use super::Explanation;
use crate::ir::Leaf;
use crate::ir::prepare::Level;
use crate::plan::demand::leaf_level;
use crate::plan::{PassReport, WholeReport};
use crate::site::{CaptureSpec, FIELDS, OBJECTIVES, Pass, option_name};
use std::fmt::Write;

impl Explanation {
    /// For a person.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n\ndemand\n", self.program.trim_end());
        self.say_demand(&mut out);
        self.say_passes(&mut out);
        let _ = writeln!(
            out,
            "\n{} dependent passes, {} in all; reads {}, {} in the engine; {} in the model; {} values joined in f64",
            self.passes(),
            self.groups.iter().map(|g| g.plan.passes.len() * g.times).sum::<usize>(),
            size(self.reads_bytes() as f64, "B"),
            size(self.ops(), "op"),
            size(self.model_flops, "FLOP"),
            self.above
        );
        out
    }

    fn say_demand(&self, out: &mut String) {
        for (r, spec) in self.runs.iter().enumerate() {
            let _ = writeln!(out, "  run {r}: {}", self.pass_of(r, spec));
            for w in self.demand.iter().filter(|w| w.run == r) {
                let name = format!("{}.{}", w.kind, w.field);
                let bytes = size(w.bytes as f64, "B");
                let _ = writeln!(out, "    {name:<20} {:>4} sites  {bytes:>9}", w.sites);
            }
        }
        if self.runs.is_empty() {
            *out += "  nothing: no model is run\n";
        }
    }

    fn say_passes(&self, out: &mut String) {
        *out += "\npasses\n";
        for g in &self.groups {
            let more = if g.times > 1 { format!(" and {} alike", g.times - 1) } else { String::new() };
            let _ = writeln!(out, "  {}{more}", g.at);
            for (i, p) in g.plan.passes.iter().enumerate() {
                let _ = writeln!(out, "    {}", pass(p, g.predicted.get(i), g.measured.get(i)));
            }
            for w in &g.plan.whole {
                let _ = writeln!(out, "    {}", whole(w));
            }
        }
    }

    /// `forward and backward, objective = projection`.
    fn pass_of(&self, run: usize, spec: &CaptureSpec) -> String {
        let leaves = self.graph.leaves.iter().filter(|l| match l {
            Leaf::Field { run: r, .. } | Leaf::Number { run: r, .. } => *r == run,
        });
        let level = leaves.clone().map(leaf_level).max();
        let second = leaves.clone().any(|l| match l {
            Leaf::Field { field, .. } => {
                FIELDS.iter().any(|r| r.field == *field && r.pass == Pass::SecondOrder)
            }
            Leaf::Number { .. } => false,
        });
        let passes = match level {
            _ if second => "second order",
            Some(Level::Backward) => "forward and backward",
            Some(Level::Forward) => "forward",
            _ => "no pass, weights alone",
        };
        let objective = spec.objective.filter(|_| level == Some(Level::Backward));
        let objective = objective.map(|o| format!(", objective = {}", option_name(OBJECTIVES, &o)));
        format!("{passes}{}", objective.unwrap_or_default())
    }
}

fn pass(p: &PassReport, predicted: Option<&f64>, measured: Option<&f64>) -> String {
    let mut out = format!(
        "pass {}: {} elements, reads {}, {} steps, {} reductions, {}",
        p.step + 1,
        p.elements,
        size(p.reads_bytes as f64, "B"),
        p.maps,
        p.reductions,
        size(p.ops, "op")
    );
    if p.writes_bytes > 0 {
        let _ = write!(out, ", writes {}", size(p.writes_bytes as f64, "B"));
    }
    if let Some(t) = predicted {
        let _ = write!(out, "; about {}", time(*t));
    }
    if let Some(t) = measured {
        let _ = write!(out, ", measured {}", time(*t));
    }
    out
}

fn whole(w: &WholeReport) -> String {
    format!("whole: {} of {} elements", w.name, w.elements)
}

/// `12.5 kB`.
fn size(x: f64, unit: &str) -> String {
    for (scale, prefix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if x >= scale {
            return format!("{:.1} {prefix}{unit}", x / scale);
        }
    }
    format!("{x:.0} {unit}")
}

fn time(s: f64) -> String {
    if s < 1e-3 { format!("{:.0} µs", s * 1e6) } else { format!("{:.2} ms", s * 1e3) }
}
