use super::*;

const HEADER: &str = r#"{"bench":"t","metrics":{"glue":{"better":"higher"},"ppl":{"better":"lower"}},"source":"s","licence":"l"}"#;

fn read(lines: &[&str]) -> Result<Bench, BenchError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    Bench::read(&path)
}

fn line(id: &str, metrics: &str) -> String {
    format!(r#"{{"id":{id},"family":"f","config":{{"b":1,"a":[{id}]}},"metrics":{metrics}}}"#)
}

#[test]
fn reads_orients_and_samples() {
    let records = [line("1", r#"{"glue":3,"ppl":9}"#), line("\"x\"", r#"{"glue":4,"ppl":7.5}"#)];
    let mut bench = read(&[HEADER, &records[0], "", &records[1]]).unwrap();
    assert_eq!(bench.records[1].id, "x");
    assert_eq!(bench.truth("glue").unwrap(), [3.0, 4.0]);
    assert_eq!(bench.truth("ppl").unwrap(), [-9.0, -7.5]);
    // A model is built from the config alone, so the family is in it.
    assert_eq!(bench.keys()[0], r#"f {"a":[1],"b":1,"family":"f"}"#);
    let message = bench.metric(Some("nope")).unwrap_err();
    assert!(message.help.unwrap().contains("glue, ppl"));
    assert!(bench.metric(None).unwrap_err().what.contains("several"));
    assert!(bench.record("X").unwrap_err().help.is_some());
    bench.sample(1, 0);
    assert_eq!(bench.records.len(), 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    bench.write(&path).unwrap();
    assert_eq!(Bench::read(&path).unwrap().records, bench.records);
}

#[test]
fn sampling_is_seeded_and_keeps_order() {
    let records: Vec<String> = (0..50).map(|i| line(&i.to_string(), r#"{"glue":3}"#)).collect();
    let mut lines = vec![HEADER];
    lines.extend(records.iter().map(String::as_str));
    let bench = read(&lines).unwrap();
    let ids = |seed| {
        let mut b = bench.clone();
        b.sample(10, seed);
        b.records.iter().map(|r| r.id.parse::<usize>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(0), ids(0));
    assert_ne!(ids(0), ids(1));
    assert!(ids(1).is_sorted() && ids(1).len() == 10);
    assert!(bench.truth("ppl").unwrap_err().what.contains("architecture `0` has no `ppl`"));
}

#[test]
fn bad_input_names_line_and_cause() {
    let good = line("1", r#"{"glue":3}"#);
    let cases: &[(&[&str], Option<usize>, &str)] = &[
        (&[], None, "is empty"),
        (&[HEADER], None, "no architectures"),
        (&[&good], Some(1), "header is missing"),
        (&["{}"], Some(1), "no header"),
        (&[r#"{"bench":"t","metrics":{}}"#], Some(1), "no metrics"),
        (&[HEADER, &good, &good], Some(3), "`1` stands twice, first in line 2"),
        (&[HEADER, &line("1", r#"{"glue":NaN}"#)], Some(2), "holds NaN"),
        (&[HEADER, &line("1", r#"{"glue":null}"#)], Some(2), "`glue` of `1` is null"),
        (&[HEADER, &line("1", r#"{"new":1}"#)], Some(2), "header does not name"),
        (&[HEADER, "[1]"], Some(2), "not a JSON object"),
        (&[HEADER, "{\"id\": 3"], Some(2), "not JSON"),
        (&[HEADER, r#"{"id":1,"family":"f","metrics":{}}"#], Some(2), "no `config`"),
    ];
    for (lines, at, what) in cases {
        let error = read(lines).unwrap_err();
        assert!(error.line == *at && error.what.contains(what), "{what}: {error:?}");
    }
    assert!(Bench::read(Path::new("/no/such/file")).unwrap_err().what.contains("cannot open"));
}

#[test]
fn duplicates_are_counted() {
    let twin = line("1", r#"{"glue":3}"#).replace("\"id\":1", "\"id\":9");
    let bench = read(&[HEADER, &line("1", r#"{"glue":4}"#), &twin, &line("2", r#"{"glue":9}"#)]).unwrap();
    let info = info(&bench, 0).unwrap();
    assert_eq!((info.duplicates.groups, info.duplicates.records, info.duplicates.distinct), (1, 2, 2));
    assert_eq!(info.metrics["glue"].noise_ceiling.unwrap().groups, 1);
    assert!(!info.metrics.contains_key("ppl"));
}
