//! Commands: one row each. Help, completion and dispatch read the rows.

use super::session::{Reply, Session, Wrong, wrong};
use super::settings::{RankRequest, Settings};
use super::values::How;
use super::{ask, show, summary};
use crate::ir::Dag;
use crate::lang::reference::entries;
use crate::lang::{Failure, Library, suggest};
use crate::score::ReductionCache;
use crate::score::explain::{explain, nominal};
use crate::site::{CaptureSpec, KINDS, Kind, Source};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Outcome = Result<Reply, Wrong>;

/// What the argument of a command is, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// None.
    Nothing,
    /// An expression.
    Expression,
    /// A path.
    Path,
    /// A number.
    Number,
    /// A kind of site.
    Kind,
    /// A name that `lpz doc` knows.
    Name,
    /// Options of `@capture`.
    Capture,
}

/// A command.
pub struct CommandRow {
    /// Its name, without the colon.
    pub name: &'static str,
    /// How its arguments are written.
    pub arguments: &'static str,
    /// What they are.
    pub argument: Argument,
    /// What it does.
    pub doc: &'static str,
    run: fn(&mut Session, &str) -> Outcome,
}

const fn row(
    name: &'static str,
    arguments: &'static str,
    argument: Argument,
    doc: &'static str,
    run: fn(&mut Session, &str) -> Outcome,
) -> CommandRow {
    CommandRow { name, arguments, argument, doc, run }
}

/// All commands.
pub const COMMANDS: &[CommandRow] = &[
    row(
        "model",
        "[CONFIG|BENCH#ID]",
        Argument::Path,
        "open an architecture; without, say what is open",
        model,
    ),
    row("weights", "[FILE]", Argument::Path, "load parameters; without, draw them from the seed", weights),
    row("text", "FILE [TOKENIZER]", Argument::Path, "take batches from a text", text),
    row("random", "", Argument::Nothing, "take batches of random tokens", random),
    row("batch", "[N]", Argument::Number, "sequences in a batch", batch),
    row("seq", "[N]", Argument::Number, "tokens in a sequence", seq),
    row("seed", "[N]", Argument::Number, "seed of parameters and data", seed),
    row(
        "capture",
        "[params = ..., inputs = ..., objective = ..., batches = ...|default]",
        Argument::Capture,
        "what is run for expressions that do not say so themselves",
        capture,
    ),
    row("sites", "[KIND]", Argument::Kind, "sites of the architecture", sites),
    row("type", "E", Argument::Expression, "the type of an expression", type_of),
    row("terms", "E", Argument::Expression, "what every site adds to an aggregate", terms),
    row("explain", "E", Argument::Expression, "what an expression reads and does", explained),
    row("time", "E", Argument::Expression, "how long an expression takes", time),
    row("rank", "E --bench X [--metric M] [--limit N]", Argument::Expression, "rank a benchmark by it", rank),
    row("load", "FILE", Argument::Path, "bring the items of a file in", load),
    row("save", "FILE", Argument::Path, "write what was defined here to a file", save),
    row("doc", "[NAME]", Argument::Name, "what a name stands for", doc),
    row("help", "", Argument::Nothing, "this list", help),
    row("quit", "", Argument::Nothing, "leave", quit),
];

/// Runs a command, given without its colon.
pub(super) fn run(session: &mut Session, text: &str) -> Outcome {
    let text = text.trim();
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let exact = COMMANDS.iter().find(|c| c.name == name);
    let begins: Vec<&CommandRow> =
        COMMANDS.iter().filter(|c| !name.is_empty() && c.name.starts_with(name)).collect();
    match (exact, &begins[..]) {
        (Some(c), _) => (c.run)(session, rest.trim()),
        (None, [c]) => (c.run)(session, rest.trim()),
        _ => {
            let help = match suggest(name, COMMANDS.iter().map(|c| c.name)) {
                Some(s) => format!("did you mean `:{s}`?"),
                None => "`:help` lists the commands".into(),
            };
            let name: String = name.chars().take(40).collect();
            Err(wrong(format!("there is no command `:{name}`"), help))
        }
    }
}

fn model(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(state(s)));
    }
    change(s, |to| to.model = Some(rest.to_string()))
}

/// What is open, with which settings.
fn state(s: &Session) -> String {
    let mut out = String::new();
    let set = &s.settings;
    let name = set.model.as_deref().unwrap_or("none; open one with `:model CONFIG.json`");
    let _ = writeln!(out, "model    {name}");
    let weights = match &set.weights {
        Some(w) => w.display().to_string(),
        None if set.random_init => "drawn from the seed".into(),
        None => "the folder's own, else drawn from the seed".into(),
    };
    let _ = writeln!(out, "weights  {weights}");
    let text = set.text.as_ref().map_or("random tokens".into(), |t| t.display().to_string());
    let _ = writeln!(out, "data     {text}, batch {}, seq {}, seed {}", set.batch, set.seq, set.seed);
    let _ = writeln!(out, "capture  {}", show::capture(&s.capture));
    if let Some(r) = &s.resident {
        let (bytes, count) = r.held();
        let _ = writeln!(out, "resident {count} tensors, {}", summary::bytes(bytes));
    }
    out
}

/// Opens with changed settings; where that fails, everything stays as it was.
fn change(s: &mut Session, f: impl FnOnce(&mut Settings)) -> Outcome {
    let mut settings = s.settings.clone();
    f(&mut settings);
    if settings.model.is_none() {
        s.settings = settings;
        return Ok(Reply::of("set; no model is open yet\n"));
    }
    let opened = s.host.open(&settings, 1)?;
    s.settings = settings;
    s.batches = 1;
    s.cache = std::sync::Arc::new(ReductionCache::new(super::session::CACHE));
    s.resident = Some(super::resident::Resident::new(opened.source, s.memory));
    Ok(Reply::of(format!("{}\n", opened.what)))
}

fn weights(s: &mut Session, rest: &str) -> Outcome {
    change(s, |to| {
        to.weights = (!rest.is_empty()).then(|| PathBuf::from(rest));
        to.random_init = rest.is_empty();
    })
}

fn text(s: &mut Session, rest: &str) -> Outcome {
    let mut parts = rest.split_whitespace();
    let Some(file) = parts.next() else {
        return Err(wrong(
            "`:text` needs a file",
            "`:text FILE [TOKENIZER]`, or `:random` for random tokens",
        ));
    };
    let tokenizer = parts.next().map(PathBuf::from);
    change(s, |to| {
        to.text = Some(PathBuf::from(file));
        to.tokenizer = tokenizer;
    })
}

fn random(s: &mut Session, _: &str) -> Outcome {
    change(s, |to| {
        to.text = None;
        to.tokenizer = None;
    })
}

fn whole<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    rest: &str,
    least: T,
    most: T,
) -> Result<T, Wrong> {
    let bad = || wrong(format!("`{rest}` is no whole number from {least} to {most}"), "write digits only");
    rest.parse::<T>().ok().filter(|n| *n >= least && *n <= most).ok_or_else(bad)
}

fn batch(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(format!("{}\n", s.settings.batch)));
    }
    let n = whole(rest, 1, 65_536)?;
    change(s, |to| to.batch = n)
}

fn seq(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(format!("{}\n", s.settings.seq)));
    }
    let n = whole(rest, 1, 1_048_576)?;
    change(s, |to| to.seq = n)
}

fn seed(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of(format!("{}\n", s.settings.seed)));
    }
    let n = whole(rest, 0, u64::MAX)?;
    change(s, |to| to.seed = n)
}

fn capture(s: &mut Session, rest: &str) -> Outcome {
    if rest == "default" {
        s.capture = CaptureSpec::default();
    } else if !rest.is_empty() {
        let mut dag = Dag::default();
        let text = format!("@capture({rest})\nproxy capture = 1");
        let mark = s.library.mark();
        let module = s.library.items_in(&s.name(), &text, &s.scope);
        let checked = s.library.check(module, &mut dag);
        let sources = s.library.sources().clone();
        s.library.forget(mark);
        match checked.proxies.first() {
            Some(p) if checked.is_ok() => s.capture = p.program.capture,
            _ => return Err(Failure { diagnostics: checked.diagnostics, sources }.into()),
        }
    }
    Ok(Reply::of(format!("{}\n", show::capture(&s.capture))))
}

fn sites(s: &mut Session, rest: &str) -> Outcome {
    let kinds: Vec<Kind> = match rest {
        "" => KINDS.iter().map(|k| k.kind).collect(),
        name => match KINDS.iter().find(|k| k.name == name) {
            Some(k) => vec![k.kind],
            None => {
                // `:sites linear[ffn, 0]` is a collection like any other.
                let mut dag = Dag::default();
                let typed = s.typed(name, &mut dag)?;
                let crate::lang::session::Meaning::Sites(over, _) = typed.meaning else {
                    let names: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
                    let help = format!("kinds are {}", names.join(", "));
                    return Err(wrong(format!("`{name}` is no kind of site"), help));
                };
                let (outline, ids) = s.sites(&over)?;
                return Ok(Reply::of(show::sites(&outline, &ids)));
            }
        },
    };
    let (outline, ids) = s.sites_of_kinds(&kinds)?;
    if rest.is_empty() {
        let mut out = String::new();
        for k in KINDS {
            let n = ids.iter().filter(|i| outline.sites[**i].kind == k.kind).count();
            if n > 0 {
                let _ = writeln!(out, "{n:>4} {:<8} {}", k.name, k.doc);
            }
        }
        return Ok(Reply::of(out + "`:sites KIND` lists them\n"));
    }
    Ok(Reply::of(if ids.is_empty() { "no sites\n".into() } else { show::sites(&outline, &ids) }))
}

fn type_of(s: &mut Session, rest: &str) -> Outcome {
    let typed = s.typed(rest, &mut Dag::default())?;
    Ok(Reply::of(format!("{}\n", show::meaning(&typed.meaning))))
}

fn terms(s: &mut Session, rest: &str) -> Outcome {
    let (dag, program) = {
        let mut dag = Dag::default();
        let typed = s.typed(rest, &mut dag)?;
        let crate::lang::session::Meaning::Value(root, _) = typed.meaning else {
            return Err(wrong("only an aggregate has terms", "`:terms sum l in linear { norm(l.weight) }`"));
        };
        (dag, crate::ir::Program { name: "it".into(), root, capture: typed.capture })
    };
    let looked = s.look(dag, program, How::Terms)?;
    let mut reply = ask::shown(&looked);
    if looked.terms.is_empty() {
        reply.notes += "· there is no aggregate over sites in it\n";
    }
    reply.out = show::terms(&looked.terms) + &reply.out;
    Ok(reply)
}

fn explained(s: &mut Session, rest: &str) -> Outcome {
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

fn time(s: &mut Session, rest: &str) -> Outcome {
    let (dag, program) = s.number(rest)?;
    let first = s.look(dag.clone(), program.clone(), How::Time)?;
    let model: f64 = first.ran.iter().map(|r| r.seconds).sum();
    let mut times = Vec::new();
    let mut engine = Vec::new();
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
    let _ = writeln!(
        reply.out,
        "over resident tensors {} (median of {REPEATS}; {} to {}), of which the engine {}",
        t(times[REPEATS / 2]),
        t(times[0]),
        t(times[REPEATS - 1]),
        t(engine[REPEATS / 2])
    );
    if model > 0.0 {
        let _ = writeln!(reply.out, "the model, once: {}", t(model));
    }
    Ok(reply)
}

fn rank(s: &mut Session, rest: &str) -> Outcome {
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

fn load(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Err(wrong("`:load` needs a file", "`:load FILE.lpz`"));
    }
    // Read anew every time, for it may have changed.
    let path = Path::new(rest);
    let module = s.library.reload_file(path)?;
    s.take_in(module, false)
}

fn save(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Err(wrong("`:save` needs a file", "`:save FILE.lpz`"));
    }
    if s.defined.is_empty() {
        return Err(wrong(
            "nothing was defined here yet",
            "`proxy name = ...` and `fn name(x) = ...` define",
        ));
    }
    let text =
        s.defined.iter().map(|(_, t)| t.trim_end().to_string()).collect::<Vec<_>>().join("\n\n") + "\n";
    let path = Path::new(rest);
    let failed = |e: std::io::Error| Wrong::Other(format!("cannot write {}: {e}", path.display()), None);
    crate::files::write_atomic(path, text.as_bytes()).map_err(failed)?;
    Ok(Reply::of(format!("{} items written to {}\n", s.defined.len(), path.display())))
}

fn doc(s: &mut Session, rest: &str) -> Outcome {
    if rest.is_empty() {
        return Ok(Reply::of("`:doc NAME` says what a name stands for; Tab completes names\n"));
    }
    let bare = rest.strip_prefix("std::").unwrap_or(rest);
    let mut out = String::new();
    if let Some(def) = s.scope.item(bare) {
        out += &crate::lang::print_item(s.library.item(def));
        out.push('\n');
    }
    for e in entries(&Library::new()).iter().filter(|e| e.name == bare) {
        let _ = writeln!(out, "{}  [{}]", e.signature, e.section);
        for line in e.doc.lines() {
            let _ = writeln!(out, "  {line}");
        }
        for (program, value) in &e.examples {
            let _ = writeln!(out, "  {program}  is  {value}");
        }
        for line in e.source.iter().flat_map(|s| s.lines()) {
            let _ = writeln!(out, "    {line}");
        }
    }
    let known = !out.is_empty();
    for c in COMMANDS.iter().filter(|c| c.name == bare.trim_start_matches(':') && !known) {
        let _ = writeln!(out, ":{} {}  {}", c.name, c.arguments, c.doc);
    }
    if !out.is_empty() {
        return Ok(Reply::of(out));
    }
    let all = entries(&s.library);
    let help = match suggest(bare, all.iter().map(|e| e.name.as_str())) {
        Some(n) => format!("did you mean `{n}`?"),
        None => "Tab completes names; `lpz doc` lists everything".into(),
    };
    Err(wrong(format!("there is nothing called `{rest}`"), help))
}

fn help(_: &mut Session, _: &str) -> Outcome {
    let mut out = String::from(
        "an expression is evaluated and shown: a number, a tensor, a collection of sites (`linear[ffn]`), a field \
of each (`linear.grad`)\n`let x = ...`, `fn f(x) = ...`, `proxy p = ...`, `use \"file.lpz\"` define; an empty \
line ends an unfinished one\n",
    );
    for c in COMMANDS {
        let left = format!(":{} {}", c.name, c.arguments);
        if left.chars().count() > 42 {
            let _ = writeln!(out, "  {left}\n  {:42} {}", "", c.doc);
        } else {
            let _ = writeln!(out, "  {left:42} {}", c.doc);
        }
    }
    Ok(Reply::of(out))
}

fn quit(_: &mut Session, _: &str) -> Outcome {
    Ok(Reply { quit: true, ..Reply::default() })
}
