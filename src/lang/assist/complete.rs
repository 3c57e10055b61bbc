//! Completion: the words that may stand where the cursor is.

use super::context::{Context, Place};
use super::vocabulary::{Class, Word, parts_of, vocabulary};
use crate::lang::ast::ItemKind;
use crate::lang::library::{Library, ModuleId};
use crate::lang::session::Scope;
use crate::ops;
use crate::site;

/// A word that may stand here.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The word.
    pub text: String,
    /// What is put in for it.
    pub insert: String,
    /// What it is.
    pub class: Class,
    /// How it is written.
    pub signature: String,
    /// What it does.
    pub doc: String,
}

/// What may stand here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Byte where the word begins.
    pub start: usize,
    /// Words that begin like what is typed, best first.
    pub candidates: Vec<Candidate>,
    /// A path is wanted, which begins at `start`.
    pub path: bool,
}

/// Names that a module or a session adds.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Name, how it is written, what it does.
    pub items: Vec<(String, String, String)>,
    /// Is all of the standard library in scope?
    pub open: bool,
}

impl Own {
    /// What a session has defined.
    pub fn of_scope(library: &Library, scope: &Scope) -> Self {
        let item = |name: &str| match scope.item(name) {
            Some(def) => described(library, name, def),
            None => (name.to_string(), format!("let {name}"), String::new()),
        };
        Own { items: scope.names().into_iter().map(item).collect(), open: true }
    }

    /// What a module defines and uses.
    pub fn of_module(library: &Library, module: ModuleId) -> Self {
        let m = library.module(module);
        let mut items: Vec<_> =
            m.scope.iter().map(|(name, (def, _))| described(library, name, *def)).collect();
        items.sort();
        Own { items, open: m.open }
    }
}

fn described(library: &Library, name: &str, def: crate::lang::Def) -> (String, String, String) {
    let item = library.item(def);
    let signature = match &item.kind {
        ItemKind::Fn { params, .. } => {
            let params: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
            format!("fn {name}({})", params.join(", "))
        }
        _ => format!("proxy {name}"),
    };
    (name.to_string(), signature, item.docs.join("\n"))
}

/// Completes `text` at the byte `at`.
pub fn complete(text: &str, at: usize, own: &Own) -> Completion {
    let context = Context::new(text, at);
    let mut out = Completion { start: context.start, ..Completion::default() };
    let words = match &context.place {
        Place::Comment | Place::NewName => Vec::new(),
        Place::Path(start) => {
            out.start = *start;
            out.path = true;
            Vec::new()
        }
        place => words(place, &context, own),
    };
    let prefix = context.prefix.to_lowercase();
    for c in words {
        let fits = c.text.to_lowercase().starts_with(&prefix);
        if fits && !out.candidates.iter().any(|o| o.text == c.text) {
            out.candidates.push(c);
        }
    }
    out
}

fn candidate(w: &Word) -> Candidate {
    Candidate {
        text: w.text.clone(),
        insert: w.insert.clone(),
        class: w.class,
        signature: w.signature.clone(),
        doc: w.doc.clone(),
    }
}

fn all(classes: &[Class]) -> Vec<Candidate> {
    classes.iter().flat_map(|c| vocabulary().of(*c)).map(candidate).collect()
}

fn words(place: &Place, context: &Context, own: &Own) -> Vec<Candidate> {
    match place {
        Place::Part(kind) => parts(*kind),
        Place::Std => {
            all(&[Class::Std]).into_iter().map(|c| Candidate { insert: c.text.clone(), ..c }).collect()
        }
        Place::Attribute => all(&[Class::Attribute]),
        Place::Options(name) if name == "capture" => all(&[Class::Option])
            .into_iter()
            .map(|c| Candidate { insert: format!("{} = ", c.text), ..c })
            .collect(),
        Place::OptionValue(name, option) if name == "capture" => values(option),
        Place::Options(_) | Place::OptionValue(..) => Vec::new(),
        Place::Roles => roles(|r| r.sites),
        Place::ParameterRoles => roles(|r| r.params),
        Place::Collection => {
            let blocks = context.names.iter().rev().filter(|b| b.kind == Some(site::Kind::Block));
            let blocks = blocks.map(|b| plain(&b.name, Class::Name, "block", ""));
            blocks.chain(all(&[Class::Site, Class::Join])).chain(names(own)).collect()
        }
        Place::Expression(call) => expression(call.as_ref(), context, own),
        Place::Comment | Place::NewName | Place::Path(_) => Vec::new(),
    }
}

fn plain(text: &str, class: Class, signature: &str, doc: &str) -> Candidate {
    Candidate { text: text.into(), insert: text.into(), class, signature: signature.into(), doc: doc.into() }
}

fn parts(kind: Option<site::Kind>) -> Vec<Candidate> {
    let known = |name: &str| {
        let word = vocabulary().find(name, Class::Field).or_else(|| vocabulary().find(name, Class::Site));
        word.map(candidate)
    };
    let mut out: Vec<Candidate> = match kind {
        Some(kind) => parts_of(kind).into_iter().filter_map(known).collect(),
        None => all(&[Class::Field]),
    };
    let postfix = ops::rows().iter().filter(|r| r.symbol.is_some_and(|s| s.fixity == ops::Fixity::Postfix));
    if kind.is_none() {
        let text = |r: &ops::OpRow| r.symbol.map_or("", |s| s.text);
        out.extend(postfix.map(|r| plain(text(r), Class::Operator, r.name, r.doc)));
    }
    out
}

fn roles(keep: impl Fn(&site::RoleRow) -> bool) -> Vec<Candidate> {
    site::ROLES.iter().filter(|r| keep(r)).map(|r| plain(r.name, Class::Role, r.name, r.doc)).collect()
}

fn values(option: &str) -> Vec<Candidate> {
    let rows: Vec<(&str, &str)> = match option {
        "params" => site::PARAMS_MODES.iter().map(|r| (r.1, r.2)).collect(),
        "inputs" => site::INPUTS.iter().map(|r| (r.1, r.2)).collect(),
        "objective" => site::OBJECTIVES.iter().map(|r| (r.1, r.2)).collect(),
        "batches" => vec![("each_sample", "every sequence of the batch alone")],
        _ => Vec::new(),
    };
    rows.into_iter().map(|(n, d)| plain(n, Class::Option, n, d)).collect()
}

fn names(own: &Own) -> Vec<Candidate> {
    let item = |(name, signature, doc): &(String, String, String)| {
        let insert = if signature.starts_with("fn ") { format!("{name}(") } else { name.clone() };
        Candidate { insert, ..plain(name, Class::Name, signature, doc) }
    };
    own.items.iter().map(item).collect()
}

fn expression(call: Option<&(String, usize)>, context: &Context, own: &Own) -> Vec<Candidate> {
    let mut out: Vec<Candidate> = Vec::new();
    if let Some((name, _)) = call {
        for row in ops::rows().iter().filter(|r| r.name == name) {
            let attrs = row.attrs.iter().map(|a| {
                let insert = format!("{} = ", a.name);
                Candidate { insert, ..plain(a.name, Class::Option, "named argument", "") }
            });
            out.extend(attrs);
        }
    }
    for b in context.names.iter().rev() {
        let kind = b.kind.and_then(|k| site::KINDS.iter().find(|r| r.kind == k)).map_or("", |r| r.name);
        out.push(plain(&b.name, Class::Name, kind, ""));
    }
    out.extend(names(own));
    let classes = [Class::Reducer, Class::Operator, Class::Number, Class::Site, Class::Join, Class::Keyword];
    out.extend(all(&classes));
    if own.open {
        out.extend(all(&[Class::Std]));
    }
    out
}

/// The call that is being typed: how it is written, and the number of the argument at the cursor.
pub fn signature(text: &str, at: usize, own: &Own) -> Option<(String, String, usize)> {
    let Place::Expression(Some((name, argument))) = Context::new(text, at).place else { return None };
    let own = own.items.iter().find(|(n, s, _)| *n == name && s.starts_with("fn "));
    if let Some((_, signature, doc)) = own {
        return Some((signature.trim_start_matches("fn ").into(), doc.clone(), argument));
    }
    let word =
        [Class::Operator, Class::Join, Class::Std].iter().find_map(|c| vocabulary().find(&name, *c))?;
    let signature = word.signature.split("  (std").next().unwrap_or("").trim_start_matches("fn ");
    // Of an operator with a symbol the call alone: `add(x, y), x + y`.
    let call = signature.find(')').map_or(signature, |i| &signature[..=i]);
    Some((call.to_string(), word.doc.clone(), argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let own = Own { open: true, ..Own::default() };
        complete(text, text.len(), &own).candidates.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn completes_what_may_stand_there() {
        assert_eq!(found("sum l in linear { l.gr"), ["grad"]);
        assert!(found("sum b in block { sum a in b.at").contains(&"attn".to_string()));
        assert!(found("soft").contains(&"softmax".to_string()));
        assert_eq!(found("linear[que"), ["query"]);
        assert!(found("params[").contains(&"decoder".to_string()));
        assert_eq!(found("@capture(params = abs_"), ["abs_buffers"]);
        assert!(found("std::sni").contains(&"snip".to_string()));
        assert!(found("sni").contains(&"snip".to_string()));
        assert_eq!(found("softmax(x, axi"), ["axis"]);
        assert!(found("sum weights in linear { weig").contains(&"weights".to_string()));
        assert!(found("let wei").is_empty());
        assert!(found("// sof").is_empty());
        assert!(complete("use \"./a", 8, &Own::default()).path);
    }

    #[test]
    fn any_text_and_any_place_is_fine() {
        let text = "sum (é, in zip(((] } .x softmax([[[ \"日本 // @capture(=";
        for at in 0..=text.len() {
            complete(text, at, &Own::default());
            signature(text, at, &Own::default());
        }
    }

    #[test]
    fn signatures_of_calls() {
        let text = "softmax(l.weight, ";
        let (s, _, argument) = signature(text, text.len(), &Own::default()).unwrap();
        assert!(s.starts_with("softmax(") && argument == 1, "{s}");
    }
}
