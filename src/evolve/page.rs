//! `report.html` of a run: progress, the front, what was found beside what is known, scores against the
//! truth, rejections by rule, and the programs themselves.

use super::figures::Figures;
use super::finish::{Entry, Parts, Report};
use super::folder::RunFile;
use super::rules::{RULES, Stage};
use super::search::State;
use crate::metric::average_ranks;
use crate::report::plot::{Axes, Series, Whisker, intervals, lines, points};
use crate::report::{Page, statistic};

/// So many programs get a plot of their scores against the truth.
const PLOTTED: usize = 6;

const HEAD: [&str; 10] = [
    "proxy",
    "search τ-a",
    "validation τ-a",
    "test τ-a",
    "95 % interval",
    "test ρ",
    "test τ at equal size",
    "distinct",
    "nodes",
    "cost",
];

/// The page.
pub fn page(run: &RunFile, report: &Report, state: &State, parts: &Parts, module: &str) -> String {
    let plan = &run.plan;
    let names: Vec<&str> = plan.benches.iter().map(|b| b.path.as_str()).collect();
    let names: Vec<&str> = names.iter().map(|p| p.rsplit('/').next().unwrap_or(p)).collect();
    let mut page = Page::new(&format!("{} by {}", plan.space.name, run.algorithm()));
    page.code(&run.command);
    page.text(&format!(
        "{} ({}): selection saw {} architectures, the choice {} more, the test part has {}. {} programs in {} generations, {:.0} s; {}.",
        names.join(", "),
        plan.benches.iter().map(|b| b.metric.as_str()).collect::<Vec<_>>().join(", "),
        parts.search.archs.len(),
        parts.validation.archs.len(),
        parts.test.archs.len(),
        run.evaluations,
        run.generations,
        run.seconds.iter().sum::<f64>(),
        run.stopped.as_deref().unwrap_or("running"),
    ));
    page.heading("Found, and known proxies on the same parts");
    page.table(&HEAD, &rows(report));
    page.figure(&intervals("", "test τ-a", &whiskers(report)), "Bootstrap intervals; grey: known proxies.");
    progress(&mut page, state);
    front(&mut page, report, state);
    against(&mut page, report, parts);
    page.heading("Rejections by rule");
    page.table(&["rule", "stage", "rejected", "because"], &rejections(state));
    page.heading("Programs");
    page.code(module);
    page.finish()
}

fn rows(report: &Report) -> Vec<(bool, Vec<String>)> {
    let found = report.best.iter().map(|e| {
        let mut row =
            vec![e.name.clone(), statistic(Some(e.search.tau_a)), statistic(Some(e.validation.tau_a))];
        row.extend(tested(&e.test));
        row.extend([e.complexity.to_string(), format!("{:.2e}", e.cost)]);
        (false, row)
    });
    let known = report.known.iter().map(|k| {
        let mut row = vec![k.name.clone(), statistic(k.search.as_ref().map(|f| f.tau_a)), String::new()];
        row.extend(k.test.as_ref().map_or_else(|| vec![String::new(); 5], tested));
        row.extend([String::new(), String::new()]);
        (true, row)
    });
    found.chain(known).collect()
}

fn tested(f: &Figures) -> Vec<String> {
    vec![
        statistic(Some(f.tau_a)),
        f.tau_a_ci.map_or(String::new(), |i| format!("{:.3} to {:.3}", i.lo, i.hi)),
        statistic(f.rho),
        statistic(f.tau_size_controlled),
        format!("{} of {}", f.distinct, f.n),
    ]
}

fn whiskers(report: &Report) -> Vec<Whisker> {
    let one = |name: &str, f: &Figures, marked: bool| Whisker {
        name: name.to_owned(),
        value: f.tau_a,
        interval: f.tau_a_ci.map(|i| (i.lo, i.hi)),
        marked,
    };
    let found = report.best.iter().map(|e| one(&e.name, &e.test, false));
    found.chain(report.known.iter().filter_map(|k| Some(one(&k.name, k.test.as_ref()?, true)))).collect()
}

fn progress(page: &mut Page, state: &State) {
    if state.history.is_empty() {
        return;
    }
    page.heading("Progress");
    let over = |get: &dyn Fn(&super::search::Line) -> f64| -> Vec<(f64, f64)> {
        state.history.iter().map(|l| (l.evaluations as f64, get(l))).collect()
    };
    let best = Series { name: "best".into(), points: over(&|l| l.best) };
    let mean = Series { name: "mean of the population".into(), points: over(&|l| l.mean) };
    let axes = Axes { title: "", x: "programs evaluated", y: "fitness", size: (620, 320) };
    page.figure(&lines(&axes, &[best, mean]), "Fitness on the search part.");
    let nodes = Series { name: String::new(), points: over(&|l| l.complexity) };
    let axes = Axes { title: "", x: "programs evaluated", y: "nodes of the best", size: (480, 320) };
    page.figure(&lines(&axes, &[nodes]), "");
}

fn front(page: &mut Page, report: &Report, state: &State) {
    page.heading("Fitness and complexity");
    let hall = state.hall.members.iter().map(|m| (m.complexity, m.fitness.value)).collect();
    let of = |get: fn(&Entry) -> f64| report.best.iter().map(|e| (e.complexity, get(e))).collect();
    let series = [
        Series { name: "search, hall of fame".into(), points: hall },
        Series { name: "validation, reported".into(), points: of(|e| e.validation.tau_a) },
        Series { name: "test, reported".into(), points: of(|e| e.test.tau_a) },
    ];
    let axes = Axes { title: "", x: "nodes", y: "fitness, τ-a", size: (620, 360) };
    page.figure(&points(&axes, &series), "");
}

fn against(page: &mut Page, report: &Report, parts: &Parts) {
    page.heading("Scores against the truth");
    page.text("By ranks over all parts together: what a rank correlation sees.");
    let truth = average_ranks(&parts.all().truth);
    let ends =
        [0, parts.search.archs.len(), parts.search.archs.len() + parts.validation.archs.len(), truth.len()];
    for e in report.best.iter().take(PLOTTED).filter(|e| e.scores.len() == truth.len()) {
        let ranks = average_ranks(&e.scores);
        let series: Vec<Series> = ["search", "validation", "test"]
            .iter()
            .zip(ends.windows(2))
            .map(|(name, w)| Series {
                name: (*name).to_owned(),
                points: (w[0]..w[1]).map(|i| (ranks[i], truth[i])).collect(),
            })
            .collect();
        let title = format!("{}: test τ-a {:.3}", e.name, e.test.tau_a);
        let axes = Axes { title: &title, x: "rank by score", y: "rank by truth", size: (380, 330) };
        page.figure(&points(&axes, &series), "");
    }
}

fn rejections(state: &State) -> Vec<(bool, Vec<String>)> {
    let stage = |s: Stage| if s == Stage::Static { "before running" } else { "after some scores" };
    let row = |(r, n): (&super::rules::Rule, &u64)| {
        (*n == 0, vec![r.name.to_owned(), stage(r.stage()).to_owned(), n.to_string(), r.reason.to_owned()])
    };
    RULES.iter().zip(&state.rules.counts).map(row).collect()
}
