//! Reads a benchmark line by line.

use super::{BenchError, Header, Record};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

/// A longer line is no architecture.
const LONGEST: u64 = 16 << 20;

const HEADER_HELP: &str = r#"the first line says what is measured: {"bench": "name", "metrics": {"glue": {"better": "higher"}}, "source": "...", "licence": "..."}"#;

/// Iterates over the architectures of a benchmark without holding them all.
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    seen: FxHashMap<String, usize>,
    failed: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header; `file` is the name for messages.
    ///
    /// # Errors
    /// When the first line is no header.
    pub fn new(input: R, file: &str) -> Result<Self, BenchError> {
        let mut lines = Lines { input, file: file.to_owned(), number: 0 };
        let Some(value) = lines.next_value()? else {
            return Err(BenchError::new(file, "is empty").help(HEADER_HELP));
        };
        let header = parse_header(&lines, value)?;
        Ok(Reader { lines, header, seen: FxHashMap::default(), failed: false })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn record(&mut self, value: Value) -> Result<Record, BenchError> {
        let error = |what: String| self.lines.error(what);
        let Value::Object(mut map) = value else { return Err(error("is not a JSON object".to_owned())) };
        let id = match map.remove("id") {
            Some(Value::String(s)) => s,
            Some(Value::Number(n)) => n.to_string(),
            Some(_) => return Err(error("`id` is neither text nor a number".to_owned())),
            None => return Err(error("has no `id`".to_owned())),
        };
        if let Some(first) = self.seen.insert(id.clone(), self.lines.number) {
            return Err(error(format!("`{id}` stands twice, first in line {first}")));
        }
        let Some(Value::Object(mut config)) = map.remove("config") else {
            return Err(error(format!("`{id}` has no `config` object")));
        };
        let family = map.remove("family").or_else(|| config.get("family").cloned());
        let Some(Value::String(family)) = family else {
            return Err(error(format!("`{id}` has no `family`")));
        };
        // A model is built from the config alone.
        config.entry("family").or_insert_with(|| family.as_str().into());
        let config = Value::Object(config);
        let metrics = numbers(&self.lines, &mut map, &id, "metrics")?;
        if let Some(m) = metrics.keys().find(|m| !self.header.metrics.contains_key(*m)) {
            return Err(error(format!("`{id}` has the metric `{m}`, which the header does not name"))
                .help("the header says for every metric whether higher or lower is better"));
        }
        let facts = numbers(&self.lines, &mut map, &id, "facts")?;
        Ok(Record { id, family, config, metrics, facts })
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, BenchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let value = self.lines.next_value().transpose()?;
        let record = value.and_then(|v| self.record(v));
        self.failed = record.is_err();
        Some(record)
    }
}

struct Lines<R> {
    input: R,
    file: String,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// The next line that is not blank, as JSON.
    fn next_value(&mut self) -> Result<Option<Value>, BenchError> {
        loop {
            let mut bytes = Vec::new();
            self.number += 1;
            let read = (&mut self.input).take(LONGEST).read_until(b'\n', &mut bytes);
            match read.map_err(|e| self.error(format!("cannot read: {e}")))? {
                0 => return Ok(None),
                n if n as u64 == LONGEST => return Err(self.error("is a line of more than 16 MiB")),
                _ if bytes.trim_ascii().is_empty() => {}
                _ => return serde_json::from_slice(&bytes).map(Some).map_err(|e| self.not_json(&bytes, &e)),
            }
        }
    }
}

impl<R> Lines<R> {
    fn error(&self, what: impl Into<String>) -> BenchError {
        BenchError::new(&self.file, what).at(self.number)
    }

    fn not_json(&self, bytes: &[u8], error: &serde_json::Error) -> BenchError {
        let text = String::from_utf8_lossy(bytes);
        let column = error.column();
        // The parser stops at or one after the first character of the word.
        let near = text.get(column.saturating_sub(2)..).unwrap_or("");
        let word = ["NaN", "Infinity"].into_iter().find(|w| near.find(w).is_some_and(|at| at < 3));
        if let Some(word) = word {
            return self
                .error(format!("holds {word} at column {column}"))
                .help("a ground truth must be a finite number; leave architectures without one out");
        }
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        self.error(format!("is not JSON: {message} at column {column}"))
    }
}

fn parse_header<R>(lines: &Lines<R>, value: Value) -> Result<Header, BenchError> {
    if value.get("id").is_some() {
        return Err(lines.error("is an architecture, the header is missing").help(HEADER_HELP));
    }
    let header: Header = serde_json::from_value(value)
        .map_err(|e| lines.error(format!("is no header: {e}")).help(HEADER_HELP))?;
    if header.metrics.is_empty() {
        return Err(lines.error("the header names no metrics").help(HEADER_HELP));
    }
    match &header.default_metric {
        Some(m) if !header.metrics.contains_key(m) => {
            let names: Vec<_> = header.metrics.keys().map(String::as_str).collect();
            let error = lines.error(format!("the default metric `{m}` is not among the metrics"));
            Err(error.help(format!("choose one of: {}", names.join(", "))))
        }
        _ => Ok(header),
    }
}

fn numbers<R>(
    lines: &Lines<R>,
    map: &mut Map<String, Value>,
    id: &str,
    name: &str,
) -> Result<BTreeMap<String, f64>, BenchError> {
    let numbers = match map.remove(name) {
        Some(Value::Object(numbers)) => numbers,
        None if name == "facts" => return Ok(BTreeMap::new()),
        _ => return Err(lines.error(format!("`{id}` has no `{name}` object"))),
    };
    let number = |(key, value): (String, Value)| match value.as_f64().filter(|v| v.is_finite()) {
        Some(v) => Ok((key, v)),
        None => Err(lines
            .error(format!("`{key}` of `{id}` is {value}, not a finite number"))
            .help("leave architectures without a ground truth out")),
    };
    numbers.into_iter().map(number).collect()
}
