//! The TextMate grammar of the language, which editors highlight with, generated from the rows.

use super::vocabulary::{Class, KEYWORDS, vocabulary};
use crate::ops;
use serde_json::{Value, json};

fn words(class: Class) -> String {
    let mut all: Vec<&str> = vocabulary().of(class).map(|w| w.text.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all.join("|")
}

/// Characters of symbols, escaped for a character class.
fn symbols() -> String {
    let infix = |f: ops::Fixity| !matches!(f, ops::Fixity::Postfix | ops::Fixity::Index);
    let rows = ops::rows().iter().filter_map(|r| r.symbol).filter(|s| infix(s.fixity));
    let mut all: Vec<&str> = rows.map(|s| s.text).collect();
    all.sort_by_key(|s| (std::cmp::Reverse(s.len()), *s));
    all.dedup();
    let escape = |s: &&str| s.chars().map(|c| format!("\\{c}")).collect::<String>();
    all.iter().map(escape).collect::<Vec<_>>().join("|")
}

/// The grammar, as `editors/vscode/syntaxes/lpz.tmLanguage.json` holds it.
pub fn grammar() -> String {
    let rule = |name: &str, pattern: String| json!({"name": format!("{name}.lpz"), "match": pattern});
    let keywords: Vec<&str> = KEYWORDS.iter().map(|(k, _)| *k).collect();
    let reducer = words(Class::Reducer);
    let patterns: Vec<Value> = vec![
        rule("comment.line.documentation", "//[/!].*$".into()),
        rule("comment.line.double-slash", "//.*$".into()),
        rule("string.quoted.double", "\"[^\"\\n]*\"".into()),
        rule("constant.numeric", "\\b[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?\\b".into()),
        rule("entity.other.attribute-name", format!("@({})\\b", words(Class::Attribute))),
        json!({
            "match": "\\b(fn|proxy)\\s+([A-Za-z_][A-Za-z0-9_]*)",
            "captures": {
                "1": {"name": "keyword.declaration.lpz"},
                "2": {"name": "entity.name.function.lpz"},
            },
        }),
        rule("keyword.control", format!("\\b({})\\b", keywords.join("|"))),
        rule("keyword.control.aggregate", format!("\\b({reducer})\\b(?=\\s+[A-Za-z_(].*\\bin\\b)")),
        rule("variable.other.member", format!("(?<=\\.)({}|{})\\b", words(Class::Field), words(Class::Site))),
        rule("support.function.operator", format!("\\b({})\\b(?=\\s*\\()", words(Class::Operator))),
        rule("support.function.join", format!("\\b({})\\b(?=\\s*\\()", words(Class::Join))),
        rule("support.type.site", format!("\\b({})\\b", words(Class::Site))),
        rule("constant.language", format!("\\b({})\\b", words(Class::Number))),
        rule("support.function.std", format!("\\b({})\\b", words(Class::Std))),
        rule("keyword.operator", format!("{}|=", symbols())),
    ];
    let grammar = json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "lpz",
        "scopeName": "source.lpz",
        "fileTypes": ["lpz"],
        "patterns": patterns,
    });
    serde_json::to_string_pretty(&grammar).unwrap_or_default() + "\n"
}
