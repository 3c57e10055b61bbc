//! Programs with expectations in their headers (`tests/corpus/*.lpz`), the language's own examples,
//! printing and hostile texts.
//!
//! Headers: `//~ value: 6` (of the last proxy), `//~ passes: 2` (over the tensors of each of its sites), `//~ error: E012 3:10 part of the message`, `//~ warning: ...`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use lpzero::engine::{Engine, Known, Reference};
use lpzero::ir::bind::{NoReductions, bind};
use lpzero::ir::{BoundId, BoundNode, Dag, Program};
use lpzero::lang::{Library, SourceId, parse_file, print_file, print_node, print_program};
use lpzero::plan::Plan;
use lpzero::site::{CaptureSpec, Objective, Outline};
use lpzero::tensor::{Dtype, Tensor};
use std::path::Path;

mod common;

struct Nothing;

impl Known for Nothing {
    fn get(&self, _: BoundId) -> Option<Tensor> {
        None
    }
}

fn evaluate(dag: &Dag, root: usize) -> Tensor {
    let program = Program { name: "p".into(), root, capture: CaptureSpec::default() };
    let bound = bind(dag, &[program], &Outline::default(), Objective::Loss, &NoReductions).graph;
    let root = bound.roots[0].clone().unwrap();
    Reference.evaluate(&bound, &[root], &Nothing).remove(0)
}

/// Passes of the last proxy of a file over an architecture of one site.
fn passes(path: &Path) -> usize {
    let mut library = Library::new();
    let module = library.load_file(path).unwrap();
    let mut dag = Dag::default();
    let program = library.check(module, &mut dag).proxies.pop().unwrap().program;
    let outline = common::Fake::new(1).outline;
    let graph = bind(&dag, &[program], &outline, Objective::Loss, &NoReductions).graph;
    let root = *graph.roots[0].as_ref().unwrap();
    let leaf = |n: BoundId| matches!(graph.nodes[n], BoundNode::Leaf(_)).then_some(Dtype::F32);
    Plan::new(&graph, &[root], &leaf).passes.len()
}

fn files() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let all = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == "lpz")).collect();
    all.sort();
    all
}

/// Everything that is wrong, as headers say it.
fn found(path: &Path) -> (Vec<String>, Option<f64>) {
    let mut library = Library::new();
    let module = library.load_file(path).unwrap();
    let mut dag = Dag::default();
    let checked = library.check(module, &mut dag);
    let said = checked.diagnostics.iter().map(|d| {
        let at = library.sources().place(d.source, d.span);
        format!("{}: {} {}:{} {}", d.severity.name(), d.code, at.line, at.column, d.message)
    });
    let said = said.collect();
    let closed = std::fs::read_to_string(path).unwrap().contains("//~ value:");
    let value = checked.proxies.last().filter(|_| closed).map(|p| evaluate(&dag, p.program.root).to_f64()[0]);
    (said, value)
}

#[test]
fn corpus_says_what_it_expects() {
    let mut wrong = Vec::new();
    let (mut good, mut bad) = (0, 0);
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let headers: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("//~ ")).collect();
        let (said, value) = found(&path);
        let expected: Vec<&&str> =
            headers.iter().filter(|h| !h.starts_with("value:") && !h.starts_with("passes:")).collect();
        let same =
            expected.len() == said.len() && expected.iter().zip(&said).all(|(e, s)| s.starts_with(**e));
        if !same {
            wrong.push(format!("{}: expected {expected:#?}, found {said:#?}", path.display()));
        }
        if let Some(want) = headers.iter().find_map(|h| h.strip_prefix("value: ")) {
            let (want, got) = (want.parse::<f64>().unwrap(), value.unwrap_or(f64::NAN));
            if (want - got).abs() > 1e-9 * want.abs().max(1.0) || got.is_nan() {
                wrong.push(format!("{}: {got}, not {want}", path.display()));
            }
        }
        if let Some(want) = headers.iter().find_map(|h| h.strip_prefix("passes: ")) {
            let got = passes(&path);
            if want.parse() != Ok(got) {
                wrong.push(format!("{}: {got} passes, not {want}", path.display()));
            }
        }
        let has_error = headers.iter().any(|h| h.starts_with("error"));
        *(if has_error { &mut bad } else { &mut good }) += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(good >= 20 && bad >= 25, "{good} right, {bad} wrong programs");
}

#[test]
fn examples_of_rows_parse_and_hold() {
    for row in lpzero::ops::rows() {
        for (text, value) in row.examples {
            let (mut library, mut dag) = (Library::new(), Dag::default());
            let fail = |e| -> ! { panic!("{}: {text}: {e}", row.name) };
            let (node, shape) = library.value("example", text, &mut dag).unwrap_or_else(|e| fail(e));
            let (want, _) = library.value("value", value, &mut dag).unwrap_or_else(|e| fail(e));
            assert_eq!(again(&mut dag, node), node, "{text}: {}", print_node(&dag, node));
            if !shape.is_number() {
                continue;
            }
            let (got, want) = (evaluate(&dag, node).to_f64(), evaluate(&dag, want).to_f64());
            let near = |a: f64, b: f64| {
                a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * b.abs().max(1.0)
            };
            assert!(
                got.len() == want.len() && got.iter().zip(&want).all(|(a, b)| near(*a, *b)),
                "{text}: {got:?}"
            );
        }
    }
}

/// Prints a node and reads it back.
fn again(dag: &mut Dag, node: usize) -> usize {
    let text = print_node(dag, node);
    Library::new().value("again", &text, dag).unwrap_or_else(|e| panic!("{text}: {e}")).0
}

#[test]
fn standard_library_is_right_and_prints_back() {
    let mut library = Library::new();
    let modules: Vec<_> = library.std_modules().map(|(id, _)| id).collect();
    let mut dag = Dag::default();
    let mut programs = Vec::new();
    for id in modules {
        let checked = library.check(id, &mut dag);
        assert!(checked.is_ok(), "{:#?}", checked.diagnostics);
        programs.extend(checked.proxies);
    }
    assert!(programs.len() >= 20);
    for p in programs {
        let text = print_program(&dag, &p.program);
        let read = library.expression("again", &text, &mut dag).unwrap_or_else(|e| panic!("{text}\n{e}"));
        assert_eq!(read.program.root, p.program.root, "{text}");
        assert_eq!(read.program.capture, p.program.capture, "{text}");
    }
}

#[test]
fn canonical_form_keeps_the_tree_and_the_comments() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let std = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    for path in files().into_iter().chain(std) {
        let text = std::fs::read_to_string(&path).unwrap();
        let (file, wrong) = parse_file(&text, SourceId(0));
        if !wrong.is_empty() {
            continue;
        }
        let printed = print_file(&file, &text);
        let (again, wrong) = parse_file(&printed, SourceId(0));
        assert!(wrong.is_empty(), "{}: {wrong:#?}\n{printed}", path.display());
        assert_eq!(again.items, file.items, "{printed}");
        assert_eq!(again.docs, file.docs);
        assert_eq!(again.comments.len(), file.comments.len(), "{printed}");
        assert_eq!(print_file(&again, &printed), printed, "printing twice changes nothing");
    }
}

#[test]
fn hostile_texts_give_an_error() {
    let deep =
        |open: &str, n: usize, close: &str| format!("proxy p = {}1{}", open.repeat(n), close.repeat(n));
    let garbage: String = (0..1_000_000u32)
        .map(|i| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 25) as u8 % 90))
        .collect();
    let chain = (0..30).map(|i| format!("fn f{}(x) = f{i}(f{i}(x))\n", i + 1)).collect::<String>();
    let texts = [
        ("E002", deep("(", 10_000, ")")),
        ("E002", deep("{ let x = ", 5_000, " 1 }")),
        ("E004", "proxy p = ".to_string() + &"(".repeat(150)),
        ("E002", "proxy p = ".to_string() + &"-".repeat(100_000) + "1"),
        ("E002", "proxy p = 1".to_string() + &" + 1".repeat(100_000)),
        ("E018", "proxy p = [[1]]".to_string() + &".T".repeat(500) + ".foo"),
        ("E002", "proxy p = [[1]]".to_string() + &".T".repeat(100_000)),
        ("E005", "proxy p = 1e999".to_string()),
        ("E005", "proxy p = ".to_string() + &"9".repeat(400)),
        ("E001", "proxy p = 1\0".to_string()),
        ("E003", garbage.clone()),
        ("E003", garbage.replace(' ', "proxy ")),
        ("E003", "proxy \u{202e}é = 1".to_string()),
        ("E002", format!("fn f0(x) = x + x\n{chain}proxy p = f30(width)")),
        ("E034", "fn f(x) = g(x)\nfn g(x) = f(x)\nproxy p = f(1)".to_string()),
    ];
    for (code, text) in texts {
        let mut library = Library::new();
        let module = library.load_text("hostile", &text);
        let checked = library.check(module, &mut Dag::default());
        let codes: Vec<_> = checked.diagnostics.iter().map(|d| d.code).collect();
        assert!(codes.contains(&code), "{code} not in {codes:?}: {:.60}", text);
        for d in &checked.diagnostics {
            assert!(d.render(library.sources(), false).len() < 20_000);
        }
    }
    // Within the limits, depth is no error.
    let fine = [deep("(", 190, ")"), deep("-(", 190, ")"), "proxy p = 1".to_string() + &" + 1".repeat(900)];
    for text in fine {
        let mut library = Library::new();
        let module = library.load_text("deep", &text);
        let (mut dag, source) = (Dag::default(), library.module(module).source);
        let checked = library.check(module, &mut dag);
        assert!(checked.is_ok(), "{:#?}", checked.diagnostics);
        let (file, _) = parse_file(&text, source);
        assert_eq!(parse_file(&print_file(&file, &text), source).0.items, file.items);
    }
}

#[test]
fn files_that_are_no_text_and_circles_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: &str| folder.path().join(n);
    std::fs::write(path("bytes.lpz"), b"proxy p = \xff\xfe").unwrap();
    std::fs::write(path("a.lpz"), "use \"b.lpz\"\nproxy a = b").unwrap();
    std::fs::write(path("b.lpz"), "use \"./a.lpz\"\nproxy b = 1").unwrap();
    std::fs::write(path("c.lpz"), "use \"lib.lpz\"\nuse std::snip\nproxy c = twice(depth) + snip").unwrap();
    std::fs::write(path("lib.lpz"), "fn twice(x) = 2 * x").unwrap();
    let mut library = Library::new();
    let failure = library.load_file(&path("bytes.lpz")).unwrap_err();
    assert!(failure.to_string().contains("not UTF-8"), "{failure}");
    assert!(library.load_file(&path("missing.lpz")).is_err());
    let module = library.load_file(&path("a.lpz")).unwrap();
    let codes: Vec<_> = library.module(module).diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["E032"]);
    let mut dag = Dag::default();
    let spec = format!("{}::c", path("c.lpz").display());
    assert_eq!(library.resolve(&spec, &mut dag).unwrap().len(), 1);
    assert!(library.resolve(&format!("{}::d", path("c.lpz").display()), &mut dag).is_err());
    assert_eq!(library.resolve("std::snip", &mut dag).unwrap()[0].origin, "std::snip");
    let failure = library.resolve("std::snap", &mut dag).unwrap_err();
    assert!(failure.to_string().contains("did you mean `snip`?"), "{failure}");
}

#[test]
fn language_reference_is_what_the_rows_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/language.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let fresh = lpzero::lang::reference::regenerate(&page);
    if std::env::var_os("LPZ_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert!(page == fresh, "docs/language.md is not what the rows say; LPZ_BLESS=1 rewrites it");
    }
    for (name, _) in lpzero::lang::reference::tables() {
        assert!(page.contains(&format!("<!-- begin {name} -->")), "{name} has no place in docs/language.md");
    }
}
