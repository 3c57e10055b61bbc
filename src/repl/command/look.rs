//! Asking about expressions and sites: types, terms, costs, ranks.

use super::Outcome;
use super::open::whole;
use crate::ir::{Dag, Program};
use crate::lang::session::Meaning;
use crate::repl::session::{Reply, Session, Wrong, wrong};
use crate::repl::settings::RankRequest;
use crate::repl::values::How;
use crate::repl::{ask, show, summary};
use crate::score::explain::{explain, nominal};
use crate::site::{KINDS, Kind, Source};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

pub(super) fn sites(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return census(s);
    }
    let Some(kind) = KINDS.iter().find(|k| k.name == rest) else { return collection(s, rest) };
    let (outline, ids) = s.sites_of_kinds(&[kind.kind])?;
    Ok(Reply::of(if ids.is_empty() { "no sites\n".into() } else { show::sites(&outline, &ids) }))
}

/// How many sites there are of each kind.
fn census(s: &mut Session) -> Outcome {
    let kinds: Vec<Kind> = KINDS.iter().map(|k| k.kind).collect();
    let (outline, ids) = s.sites_of_kinds(&kinds)?;
    let mut out = String::new();
    for k in KINDS {
        let n = ids.iter().filter(|i| outline.sites[**i].kind == k.kind).count();
        if n > 0 {
            let _ = writeln!(out, "{n:>4} {:<8} {}", k.name, k.doc);
        }
    }
    Ok(Reply::of(out + "`:sites KIND` lists them\n"))
}

/// `:sites linear[ffn, 0]` is a collection like any other.
fn collection(s: &mut Session, text: &str) -> Outcome {
    let typed = s.typed(text, &mut Dag::default())?;
    let Meaning::Sites(over, _) = typed.meaning else {
        let names: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
        let help = format!("kinds are {}", names.join(", "));
        return Err(wrong(format!("`{text}` is no kind of site"), help));
    };
    let (outline, ids) = s.sites(&over)?;
    Ok(Reply::of(show::sites(&outline, &ids)))
}

pub(super) fn type_of(s: &mut Session, rest: &str) -> Outcome {
    let typed = s.typed(rest, &mut Dag::default())?;
    Ok(Reply::of(format!("{}\n", show::meaning(&typed.meaning))))
}

pub(super) fn terms(s: &mut Session, rest: &str) -> Outcome {
    let mut dag = Dag::default();
    let typed = s.typed(rest, &mut dag)?;
    let Meaning::Value(root, _) = typed.meaning else {
        return Err(wrong("only an aggregate has terms", "`:terms sum l in linear { norm(l.weight) }`"));
    };
    let program = Program { name: "it".into(), root, capture: typed.capture };
    let looked = s.look(dag, program, How::Terms)?;
    let mut reply = ask::shown(&looked);
    if looked.terms.is_empty() {
        reply.notes += "· there is no aggregate over sites in it\n";
    }
    reply.out = show::terms(&looked.terms) + &reply.out;
    Ok(reply)
}

pub(super) fn explained(s: &mut Session, rest: &str) -> Outcome {
    let (dag, program) = s.number(rest)?;
    let (outline, objective, note) = match s.settings.model {
        Some(_) => {
            let r = s.opened(1)?;
            (r.outline().clone(), r.default_objective(), "")
        }
        None => {
            let (outline, objective) = nominal()?;
            (outline, objective, "· no model is open: sizes are those of a small example\n")
        }
    };
    match explain(&dag, &program, &outline, objective) {
        Ok(e) => Ok(Reply { out: e.text(), notes: note.into(), ..Reply::default() }),
        Err(why) => Err(Wrong::Other(format!("no value: {} at {}", why.reason, why.at), None)),
    }
}

/// An expression is evaluated so often for `:time`.
const REPEATS: usize = 15;

pub(super) fn time(s: &mut Session, rest: &str) -> Outcome {
    let (dag, program) = s.number(rest)?;
    let first = s.look(dag.clone(), program.clone(), How::Time)?;
    let model: f64 = first.ran.iter().map(|r| r.seconds).sum();
    let (mut times, mut engine) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let start = Instant::now();
        let looked = s.look(dag.clone(), program.clone(), How::Time)?;
        times.push(start.elapsed().as_secs_f64());
        engine.push(looked.value.engine_seconds);
    }
    times.sort_by(f64::total_cmp);
    engine.sort_by(f64::total_cmp);
    let t = summary::seconds;
    let mut reply = ask::shown(&first);
    let (least, middle, most) = (t(times[0]), t(times[REPEATS / 2]), t(times[REPEATS - 1]));
    let within = t(engine[REPEATS / 2]);
    let _ = writeln!(
        reply.out,
        "over resident tensors {middle} (median of {REPEATS}; {least} to {most}), of which the engine {within}"
    );
    if model > 0.0 {
        let _ = writeln!(reply.out, "the model, once: {}", t(model));
    }
    Ok(reply)
}

pub(super) fn rank(s: &mut Session, rest: &str) -> Outcome {
    let usage = "`:rank E --bench X.jsonl [--metric M] [--limit N]`";
    let (expression, options) = match rest.find(" --") {
        Some(at) => (&rest[..at], rest[at..].split_whitespace().collect::<Vec<_>>()),
        None => return Err(wrong("`:rank` needs a benchmark", usage)),
    };
    let (mut bench, mut metric, mut limit) = (None, None, None);
    for pair in options.chunks(2) {
        match pair {
            ["--bench", x] => bench = Some(PathBuf::from(x)),
            ["--metric", x] => metric = Some((*x).to_string()),
            ["--limit", x] => limit = Some(whole(x, 2, 1_000_000)?),
            other => return Err(wrong(format!("`{}` is no option of `:rank`", other.join(" ")), usage)),
        }
    }
    let Some(bench) = bench else { return Err(wrong("`:rank` needs a benchmark", usage)) };
    let (dag, program) = s.number(expression)?;
    let request = RankRequest { dag: &dag, program: &program, bench, metric, limit };
    Ok(Reply::of(s.host.rank(&s.settings, &request)?))
}
