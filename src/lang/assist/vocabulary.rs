//! Every word that the language knows, with its class and documentation, from the rows.

use super::super::library::Library;
use super::super::needs::GROUPS as NEEDS;
use super::super::reference::{Entry, entries};
use crate::ops;
use crate::site;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Words that the grammar itself uses, and what they do.
pub const KEYWORDS: &[(&str, &str)] = &[
    ("use", "brings in an item or a file: `use std::slog`, `use \"./mine.lpz\"`"),
    ("fn", "defines a function: `fn zscore(x) = (x - mean(x)) / std(x)`"),
    ("proxy", "defines a program that gives one number: `proxy p = ...`"),
    ("let", "names a value in a block: `{ let y = x ^ 2 ... }`"),
    ("in", "what an aggregate walks over: `sum l in linear { ... }`"),
    ("std", "the standard library: `std::snip`"),
];

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A word of the grammar.
    Keyword,
    /// An operator written as a call.
    Operator,
    /// What joins the terms of an aggregate.
    Reducer,
    /// `zip`, `chain`.
    Join,
    /// A kind of sites.
    Site,
    /// A field, or a number of a site.
    Field,
    /// A number of the model, or a named constant.
    Number,
    /// A role.
    Role,
    /// An attribute.
    Attribute,
    /// An option of an attribute.
    Option,
    /// An item of the standard library.
    Std,
    /// A name given in the text or the session.
    Name,
}

/// A word.
#[derive(Clone, Debug)]
pub struct Word {
    /// The word.
    pub text: String,
    /// What it is.
    pub class: Class,
    /// How it is written: `softmax(x, axis = 0)`.
    pub signature: String,
    /// What it does.
    pub doc: String,
    /// How it begins when completed: `softmax(`.
    pub insert: String,
}

/// All words of the language.
pub struct Vocabulary {
    /// Words, classes in order of the reference.
    pub words: Vec<Word>,
    by_text: FxHashMap<String, Vec<usize>>,
}

static ALL: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

/// The vocabulary, built once.
pub fn vocabulary() -> &'static Vocabulary {
    &ALL
}

/// The class of a section of the reference.
fn class_of(e: &Entry) -> Option<Class> {
    if ops::rows().iter().any(|r| r.group.title() == e.section) {
        return Some(Class::Operator);
    }
    Some(match e.section {
        "Reducers" => Class::Reducer,
        "Collections" => Class::Join,
        "Sites" => Class::Site,
        "Fields" | "Numbers of a site" => Class::Field,
        "Numbers of a model" | "Constants" => Class::Number,
        "Roles" => Class::Role,
        "Options of @capture" => Class::Option,
        "Attributes" => Class::Attribute,
        "Standard library" => Class::Std,
        section if NEEDS.contains(&section) => Class::Std,
        _ => return None,
    })
}

impl Vocabulary {
    fn new() -> Self {
        let mut words: Vec<Word> = Vec::new();
        for (text, doc) in KEYWORDS {
            words.push(word(text, Class::Keyword, text, doc, text));
        }
        let mut classes: Vec<(Entry, Class)> =
            entries(&Library::new()).into_iter().filter_map(|e| class_of(&e).map(|c| (e, c))).collect();
        classes.retain(|(e, _)| !e.name.is_empty());
        for (e, class) in classes {
            let call = match class {
                Class::Operator | Class::Join => true,
                Class::Std => e.signature.starts_with("fn "),
                _ => false,
            };
            let insert = if call { format!("{}(", e.name) } else { e.name.clone() };
            words.push(word(&e.name, class, &e.signature, &e.doc, &insert));
        }
        let mut by_text: FxHashMap<String, Vec<usize>> = FxHashMap::default();
        for (i, w) in words.iter().enumerate() {
            by_text.entry(w.text.clone()).or_default().push(i);
        }
        Vocabulary { words, by_text }
    }

    /// Everything that a word may mean.
    pub fn meanings<'a>(&'a self, text: &str) -> impl Iterator<Item = &'a Word> + use<'a> {
        let found = self.by_text.get(text).map_or(&[][..], Vec::as_slice);
        found.iter().map(|&i| &self.words[i])
    }

    /// A word of a class.
    pub fn find(&self, text: &str, class: Class) -> Option<&Word> {
        self.meanings(text).find(|w| w.class == class)
    }

    /// Words of a class, in order.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Word> {
        self.words.iter().filter(move |w| w.class == class)
    }
}

fn word(text: &str, class: Class, signature: &str, doc: &str, insert: &str) -> Word {
    Word { text: text.into(), class, signature: signature.into(), doc: doc.into(), insert: insert.into() }
}

/// Fields, numbers and (for blocks) collections of a kind of site.
pub fn parts_of(kind: site::Kind) -> Vec<&'static str> {
    let Some(row) = site::KINDS.iter().find(|k| k.kind == kind) else { return Vec::new() };
    let field = |f: site::Field| site::FIELDS.iter().find(|r| r.field == f).map_or("", |r| r.name);
    let matrix = row.fields.contains(&(site::Field::Weight, 2));
    let numbers = site::SITE_NUMBERS.iter().filter(|(n, _, _)| matrix || *n == site::SiteNumber::Layer);
    let inner = site::KINDS.iter().filter(|k| kind == site::Kind::Block && k.kind != kind);
    let fields = row.fields.iter().map(|(f, _)| field(*f));
    fields.chain(numbers.map(|(_, n, _)| *n)).chain(inner.map(|k| k.name)).collect()
}
