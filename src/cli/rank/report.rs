//! `lpz rank --report DIR`: the table as a page with plots, and each score against the truth.

use super::row::Row;
use crate::cli::error::CliError;
use crate::cli::output::{make_folder, write_atomic};
use crate::metric::average_ranks;
use crate::report::plot::{Axes, Series, Whisker, intervals, points};
use crate::report::{Page, statistic};
use std::path::Path;

/// So many programs get a plot of their own, best first; the table has all.
const PLOTTED: usize = 24;

const HEAD: [&str; 15] = [
    "proxy",
    "τ-b",
    "95 % interval",
    "τ-a",
    "ρ",
    "r",
    "weighted τ",
    "τ, top 30 %",
    "τ at equal size",
    "P@10 %",
    "best rank",
    "regret",
    "distinct",
    "scored",
    "seconds",
];

/// What was ranked.
pub struct Subject<'a> {
    /// Name of the benchmark.
    pub bench: &'a str,
    /// Name of the ground truth.
    pub metric: &'a str,
    /// Number of seeds.
    pub seeds: u32,
    /// Ground truth per architecture, higher is better.
    pub truth: &'a [f64],
}

/// Writes `index.html` into a folder, which is made.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn write(dir: &Path, subject: &Subject<'_>, rows: &[Row]) -> Result<(), CliError> {
    make_folder(dir)?;
    write_atomic(&dir.join("index.html"), page(subject, rows).as_bytes())
}

fn page(s: &Subject<'_>, rows: &[Row]) -> String {
    let mut page = Page::new(&format!("{} · {}", s.bench, s.metric));
    page.text(&format!(
        "{} architectures, {} seed(s). Every correlation is with the truth oriented so that higher is better. Grey: trivial baselines.",
        s.truth.len(),
        s.seeds
    ));
    if rows.iter().any(|r| r.noise) {
        page.text("~ built on gradients whose size is what rounding alone would give: such a score means nothing, however well it ranks.");
    }
    page.table(&HEAD, &rows.iter().map(|r| (r.baseline, cells(r))).collect::<Vec<_>>());
    page.heading("Kendall τ-b with bootstrap intervals");
    page.figure(&intervals("", "τ-b", &rows.iter().filter_map(whisker).collect::<Vec<_>>()), "");
    page.heading("Scores against the truth");
    let scored: Vec<&Row> = rows.iter().filter(|r| r.summary.is_some()).collect();
    if scored.len() > PLOTTED {
        page.text(&format!("The {PLOTTED} best of {}; by ranks, ties shared.", scored.len()));
    }
    for row in scored.iter().take(PLOTTED) {
        page.figure(&against(row, s), "");
    }
    page.finish()
}

fn cells(r: &Row) -> Vec<String> {
    let s = r.summary.as_ref();
    let mut cells = r.statistics(" to ");
    cells.extend([
        s.map_or("-".to_owned(), |s| format!("{:.1}", s.best_rank)),
        statistic(s.map(|s| s.regret)),
    ]);
    cells.extend(r.counts());
    cells.push(format!("{:.3}", r.seconds));
    cells
}

fn whisker(r: &Row) -> Option<Whisker> {
    let s = r.summary.as_ref()?;
    Some(Whisker {
        name: r.name.clone(),
        value: s.tau_b?,
        interval: s.tau_b_ci.map(|c| (c.lo, c.hi)),
        marked: r.baseline,
    })
}

/// Rank by score against rank by truth: what a rank correlation sees.
fn against(row: &Row, s: &Subject<'_>) -> String {
    let (scores, truth): (Vec<f64>, Vec<f64>) =
        row.scores.iter().zip(s.truth).filter_map(|(x, t)| Some(((*x)?, *t))).unzip();
    let points_of = average_ranks(&scores).into_iter().zip(average_ranks(&truth)).collect();
    let tau = statistic(row.summary.as_ref().and_then(|s| s.tau_b));
    let title = format!("{}: τ-b {tau}", row.name);
    let axes = Axes { title: &title, x: "rank by score", y: "rank by truth", size: (360, 300) };
    points(&axes, &[Series { name: String::new(), points: points_of }])
}
