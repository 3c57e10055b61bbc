//! The evolver as a whole, on architectures of a few elements: the same run whatever interrupts it,
//! programs that always type-check and never panic, rules that reject only what they say.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/tiny.rs"]
mod tiny;

use lpzero::engine::{Engine, Reference};
use lpzero::evolve::bank::Bank;
use lpzero::evolve::checkpoint;
use lpzero::evolve::driver::Driver;
use lpzero::evolve::evaluator::Evaluator;
use lpzero::evolve::exhaustive;
use lpzero::evolve::inputs::Input;
use lpzero::evolve::judge::{Judge, Measure, Over};
use lpzero::evolve::language::{Language, compiler, vocabulary};
use lpzero::evolve::population::Algorithm;
use lpzero::evolve::rules::Counted;
use lpzero::evolve::search::Search;
use lpzero::evolve::settings::Settings;
use lpzero::evolve::space::Space;
use lpzero::evolve::space::free::{FreeSpace, Text};
use lpzero::evolve::space::vocab::{Form, VocabSpace};
use lpzero::ir::{Dag, Program};
use lpzero::lang::Library;
use lpzero::random::Stream;
use lpzero::site::{CaptureSpec, Mapped, Outline, Source, SourceError};
use lpzero::tensor::Tensor;
use std::cell::Cell;
use std::rc::Rc;

fn source(i: usize) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(tiny::Tiny::new(i)))
}

fn engine() -> Box<dyn Engine> {
    Box::new(Reference)
}

fn driver(n: usize) -> Driver<'static> {
    let identities: Vec<_> = (0..n).map(tiny::identity).collect();
    Driver::new(&identities, &source, &engine, 1 << 20).unwrap()
}

fn free(driver: &Driver, language: &Rc<Language>) -> FreeSpace {
    let outlines: Vec<&Outline> = (0..driver.architectures()).map(|a| driver.outline(a)).collect();
    FreeSpace::over(&outlines, (40, 6), language.clone())
}

fn over_vocabulary(form: Form, language: &Rc<Language>) -> VocabSpace {
    let input = |name: &str, sites: &str, field: &str| Input {
        name: name.into(),
        sites: sites.into(),
        field: field.into(),
    };
    VocabSpace {
        form,
        vocabulary: vocabulary(None, "use std::lpzero".into(), true).unwrap(),
        inputs: vec![
            input("act", "act", "value"),
            input("weight", "linear[op]", "weight"),
            input("softmax", "softmax", "value"),
        ],
        compile: compiler(language.clone(), String::new()),
    }
}

fn settings(algorithm: Algorithm) -> Settings {
    Settings {
        algorithm,
        population: 10,
        islands: 2,
        plateau: 6,
        migrate_every: 3,
        ladder: vec![8],
        max_size: usize::MAX,
        max_depth: usize::MAX,
        max_cost: 1e9,
        ..Settings::default()
    }
}

/// History and hall after `generations`; interrupted and taken up again after each of `cuts`.
fn course(
    space: &dyn Space,
    language: &Language,
    s: &Settings,
    generations: u64,
    cuts: &[u64],
) -> (String, String) {
    let archs: Vec<usize> = (0..20).collect();
    let truth: Vec<f64> = archs.iter().map(|&a| tiny::truth(a)).collect();
    let mut stored: Option<String> = None;
    let mut at = 0;
    loop {
        let mut eval = driver(20);
        let mut search = Search::new(s, space, &mut eval, &archs, &truth, &[0; 20]).unwrap();
        if let Some(text) = &stored {
            let rules = Counted::without(&s.no_rules).unwrap();
            let (state, terms) = checkpoint::read(text, rules, space, language).unwrap();
            search.resume(state, terms);
        }
        let until = cuts.iter().copied().find(|&c| c > at).unwrap_or(generations);
        while search.state.generation < until {
            search.step().unwrap();
        }
        at = until;
        let text = checkpoint::write(&search.state, &search.terms, space, language).unwrap();
        if at == generations {
            let hall: Vec<String> = search
                .state
                .hall
                .members
                .iter()
                .map(|m| format!("{} {:?} {} {}", space.source(&m.genome), m.fitness, m.complexity, m.born))
                .collect();
            return (format!("{:?}", search.state.history), hall.join("\n"));
        }
        stored = Some(text);
    }
}

#[test]
fn an_interrupted_run_ends_as_the_uninterrupted_one() {
    let language = Rc::new(Language::new());
    let d = driver(20);
    let spaces: [&dyn Space; 3] = [
        &free(&d, &language),
        &over_vocabulary(Form::Tree(2), &language),
        &over_vocabulary(Form::Graph(3), &language),
    ];
    for space in spaces {
        for algorithm in [Algorithm::Nsga2, Algorithm::Lpzero, Algorithm::Random] {
            let s = settings(algorithm);
            let whole = course(space, &language, &s, 9, &[]);
            let cut = course(space, &language, &s, 9, &[1, 2, 5, 6]);
            assert_eq!(whole, cut, "{} {algorithm:?}", space.name());
        }
    }
}

#[test]
fn a_generation_that_is_broken_off_leaves_no_trace() {
    let language = Rc::new(Language::new());
    let shape = driver(20);
    let space = free(&shape, &language);
    let s = Settings { max_size: 40, max_depth: 6, probes: 30, ..settings(Algorithm::Nsga2) };
    let whole = course(&space, &language, &s, 5, &[]);
    let archs: Vec<usize> = (0..20).collect();
    let truth: Vec<f64> = archs.iter().map(|&a| tiny::truth(a)).collect();
    let mut eval = driver(20);
    let (asked, armed) = (Cell::new(0), Cell::new(true));
    let halt = || {
        asked.set(asked.get() + 1);
        armed.get() && asked.get() % 3 == 2
    };
    let mut search = Search::new(&s, &space, &mut eval, &archs, &truth, &[0; 20]).unwrap();
    search.halt_when(&halt);
    let mut broken = 0;
    while search.state.generation < 5 {
        let before = checkpoint::write(&search.state, &search.terms, &space, language.as_ref()).unwrap();
        if let Err(e) = search.step() {
            assert!(e.halted);
            broken += 1;
            let after = checkpoint::write(&search.state, &search.terms, &space, language.as_ref()).unwrap();
            assert_eq!(before, after);
            armed.set(false);
            search.step().unwrap();
            armed.set(true);
        }
    }
    assert!(broken > 0);
    assert_eq!(format!("{:?}", search.state.history), whole.0);
}

#[test]
fn a_seed_decides_the_run() {
    let language = Rc::new(Language::new());
    let d = driver(20);
    let space = free(&d, &language);
    let s = settings(Algorithm::Nsga2);
    let one = course(&space, &language, &s, 5, &[]);
    let alone = course(&space, &language, &s, 5, &[]);
    assert_eq!(one, alone);
    let other = course(&space, &language, &Settings { seed: 1, ..s }, 5, &[]);
    assert_ne!(one, other);
}

/// Random and varied genomes of a space.
fn genomes(space: &dyn Space, n: usize) -> Vec<lpzero::evolve::space::Genome> {
    let bank = Bank::empty();
    let mut out = Vec::new();
    for i in 0..n {
        let mut s = Stream::new(7, &format!("genome/{i}"));
        let mut g = space.random(&mut s);
        if i % 2 == 1 {
            g = space.mutate(&g, &mut s, &bank);
        }
        if i % 3 == 2 {
            let other = space.random(&mut s);
            g = space.cross(&g, &other, &mut s);
        }
        out.push(g);
    }
    out
}

#[test]
fn programs_type_check_and_come_back_from_their_text() {
    let language = Rc::new(Language::new());
    let d = driver(20);
    let free = free(&d, &language);
    let spaces: [(&dyn Space, usize); 4] = [
        (&free, 4000),
        (&over_vocabulary(Form::Linear(3), &language), 1500),
        (&over_vocabulary(Form::Tree(2), &language), 1500),
        (&over_vocabulary(Form::Graph(5), &language), 1500),
    ];
    for (space, n) in spaces {
        let mut dag = Dag::default();
        for g in genomes(space, n) {
            let source = space.source(&g);
            let root =
                space.lower(&g, &mut dag).unwrap_or_else(|e| panic!("{}: {source}\n{e}", space.name()));
            let text = language.print(&dag, root);
            let again = language.parse(&text, &mut dag).unwrap_or_else(|e| panic!("{source}\n{text}\n{e}"));
            assert_eq!(root, again, "{source}\n{text}");
            assert_eq!(space.load(&space.store(&g)).unwrap(), g, "{source}");
        }
    }
}

#[test]
fn a_hundred_thousand_random_programs_never_panic() {
    let language = Rc::new(Language::new());
    let mut d = driver(4);
    let space = free(&d, &language);
    let (mut finite, mut all) = (0usize, 0usize);
    for batch in 0..100 {
        let mut dag = Dag::default();
        let mut programs = Vec::new();
        for i in 0..1000 {
            let mut s = Stream::new(batch, &format!("program/{i}"));
            if let Ok(root) = space.lower(&space.random(&mut s), &mut dag) {
                programs.push(Program { name: String::new(), root, capture: CaptureSpec::default() });
            }
        }
        let rows = d.scores(&dag, &programs, &[(batch % 4) as usize]).unwrap();
        all += rows.len();
        finite += rows.iter().filter(|r| r[0].is_ok()).count();
    }
    assert!(all > 99_000 && finite > all / 4, "{finite} of {all} have a score");
}

#[test]
fn what_interval_analysis_rejects_is_constant() {
    use lpzero::evolve::analysis::Analysis;
    let language = Rc::new(Language::new());
    let mut d = driver(6);
    let space = free(&d, &language);
    let mut analysis = Analysis::default();
    let mut dag = Dag::default();
    let mut constant = Vec::new();
    for g in genomes(&space, 6000) {
        let root = space.lower(&g, &mut dag).unwrap();
        if analysis.facts(&dag, root, &d).0.constant {
            constant.push(Program { name: String::new(), root, capture: CaptureSpec::default() });
        }
    }
    assert!(!constant.is_empty());
    for (p, row) in constant.iter().zip(d.scores(&dag, &constant, &[0, 1, 2, 3, 4, 5]).unwrap()) {
        let scores: Vec<f64> = row.iter().filter_map(|o| o.as_ref().ok().copied()).collect();
        let text = language.print(&dag, p.root);
        assert!(scores.windows(2).all(|w| (w[0] - w[1]).abs() <= 1e-9 * w[0].abs()), "{text}: {scores:?}");
    }
}

/// Rounding is told from values by double precision: what cancels is noise, whatever stands around it.
#[test]
fn terms_that_rank_by_rounding_are_found() {
    use lpzero::evolve::terms::Terms;
    let cpu = || -> Box<dyn Engine> { Box::new(lpzero::engine::Cpu) };
    let identities: Vec<_> = (0..12).map(tiny::identity).collect();
    // Of single precision, as captures are.
    let short = |t: Tensor| -> Tensor {
        let elements: Vec<f32> = t.to_f64().iter().map(|&x| x as f32).collect();
        Tensor::new(t.dims(), elements)
    };
    let single = |i: usize| -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(Mapped(Box::new(tiny::Tiny::new(i)), short)))
    };
    let mut d = Driver::new(&identities, &single, &cpu, 1 << 20).unwrap();
    let mut dag = Dag::default();
    let mut root = |text: &str| Library::new().expression("p", text, &mut dag).unwrap().program.root;
    let noise = [
        root("sum a in act { mean(zscore(a.value, axis = 1)) } * 1e10"),
        root("depth + sum l in linear { sum(l.weight - mean(l.weight)) }"),
        root(
            "sum l in linear { mean(softmax(l.weight, axis = 0), axis = 0) @ mean(zscore(l.weight, axis = 0), axis = 0) }",
        ),
    ];
    let values = [
        root("sum a in act { mean(abs(zscore(a.value, axis = 1))) }"),
        root("sum l in linear { norm(l.weight) } * 1e-10"),
        root("mean l in linear { numel(l.weight) } + depth"),
    ];
    let archs: Vec<usize> = (0..12).collect();
    let roots = [noise, values].concat();
    let mut terms = Terms::default();
    let halt = || false;
    terms.scores((&mut d, &halt), &dag, &roots, CaptureSpec::default(), &archs).unwrap();
    let found: Vec<bool> = roots.iter().map(|&r| terms.noisy(&dag, r)).collect();
    assert_eq!(found, [true, true, true, false, false, false]);
}

#[test]
fn canonical_forms_keep_the_value() {
    use lpzero::evolve::canon::Canon;
    use lpzero::evolve::expr::Expr;
    let language = Rc::new(Language::new());
    let mut d = driver(3);
    let space = free(&d, &language);
    let mut canon = Canon::default();
    let mut dag = Dag::default();
    let mut programs = Vec::new();
    for g in genomes(&space, 1500) {
        let root = space.lower(&g, &mut dag).unwrap();
        let simple = canon.simplify(&Expr::lift(&dag, root)).expr.lower(&mut dag);
        for root in [root, simple] {
            programs.push(Program { name: String::new(), root, capture: CaptureSpec::default() });
        }
    }
    let rows = d.scores(&dag, &programs, &[0, 1, 2]).unwrap();
    for (pair, p) in rows.chunks(2).zip(programs.chunks(2)) {
        for (a, b) in pair[0].iter().zip(&pair[1]) {
            let close = match (a, b) {
                (Ok(a), Ok(b)) => (a - b).abs() <= 1e-6 * (1.0 + a.abs()),
                // Beyond the largest number nothing is promised.
                (a, b) => a.is_err() || b.is_err(),
            };
            assert!(
                close,
                "{}\n{}\n{a:?} {b:?}",
                language.print(&dag, p[0].root),
                language.print(&dag, p[1].root)
            );
        }
    }
}

#[test]
fn racing_does_not_change_the_winner() {
    let language = Rc::new(Language::new());
    let space = over_vocabulary(Form::Tree(1), &language);
    let s = settings(Algorithm::Lpzero);
    let hall = |s: &Settings| course(&space, &language, s, 40, &[]).1;
    let without = Settings { no_rules: vec!["racing".into()], ..s.clone() };
    assert_eq!(hall(&s).lines().next(), hall(&without).lines().next());
}

#[test]
fn the_exhaustive_optimum_is_the_best_of_all_programs() {
    let language = Rc::new(Language::new());
    let mut space = over_vocabulary(Form::Tree(1), &language);
    space.vocabulary.unary.truncate(6);
    space.inputs.truncate(2);
    let archs: Vec<usize> = (0..12).collect();
    let truth: Vec<f64> = archs.iter().map(|&a| tiny::truth(a)).collect();
    let judge = Judge::new(Measure::TauA, Over::Worst, truth, &[0; 12]);
    let mut d = driver(12);
    let capture = CaptureSpec::default();
    let found = exhaustive::search(&space, &mut d, &archs, &judge, capture, &|_| {}).unwrap();
    assert_eq!(found.programs, 2.0 * 2.0 * 6.0 * 6.0 * 4.0);
    let mut dag = Dag::default();
    let mut programs = Vec::new();
    for i in 0..2 {
        for j in 0..2 {
            for a in 0..6 {
                for b in 0..6 {
                    for k in 0..4 {
                        let g = space.load(&format!("{i} {j} {a} {b} {k}")).unwrap();
                        let root = space.lower(&g, &mut dag).unwrap();
                        programs.push(Program { name: String::new(), root, capture });
                    }
                }
            }
        }
    }
    let best = d
        .scores(&dag, &programs, &archs)
        .unwrap()
        .iter()
        .filter_map(|r| r.iter().map(|o| o.as_ref().ok().copied()).collect::<Option<Vec<f64>>>())
        .map(|v| judge.fitness(&v).value)
        .fold(0.0, f64::max);
    assert!((found.hall.members[0].fitness.value - best).abs() < 1e-12, "{best}");
}

#[test]
fn a_better_search_beats_chance() {
    let language = Rc::new(Language::new());
    let d = driver(20);
    let space = free(&d, &language);
    let best = |algorithm| {
        let (history, _) = course(&space, &language, &settings(algorithm), 12, &[]);
        let at = history.rfind("best: ").unwrap() + 6;
        history[at..].split(',').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(best(Algorithm::Nsga2) >= best(Algorithm::Random));
    assert!(best(Algorithm::Nsga2) > 0.8);
}
