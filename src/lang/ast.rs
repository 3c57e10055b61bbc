//! The syntax tree. Every node carries the bytes it came from; spans take no part in equality.

use crate::ops::OpId;
use std::ops::Range;

/// Bytes of a source text, half open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From a byte range.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }
    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
    /// As a range.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// Two trees are equal when they say the same, wherever they stand.
impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Where.
    pub span: Span,
}

impl Ident {
    /// A name that stands nowhere (built trees).
    pub fn new(text: impl Into<String>) -> Self {
        Ident { text: text.into(), span: Span::default() }
    }
}

/// `// text`, which the printer keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// With its slashes, trailing blanks removed.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A parsed file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// Lines of `//!`, without the marker.
    pub docs: Vec<String>,
    /// Items that parsed, in order.
    pub items: Vec<Item>,
    /// Comments outside documentation, in order.
    pub comments: Vec<Comment>,
}

/// A top-level item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Lines of `///`, without the marker.
    pub docs: Vec<String>,
    /// `@name(...)`, in order.
    pub attributes: Vec<Attribute>,
    /// What it is.
    pub kind: ItemKind,
    /// From its documentation to its end.
    pub span: Span,
}

impl Item {
    /// The name that the item defines; none for `use`.
    pub fn name(&self) -> Option<&Ident> {
        match &self.kind {
            ItemKind::Use(_) => None,
            ItemKind::Fn { name, .. } | ItemKind::Proxy { name, .. } => Some(name),
        }
    }
    /// An attribute by name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name.text == name)
    }
}

/// The kinds of items.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std::snip`, `use "./mine.lpz"`.
    Use(Import),
    /// `fn f(x, eps = 1e-9) = ...`.
    Fn {
        /// Name.
        name: Ident,
        /// Parameters.
        params: Vec<Param>,
        /// Body.
        body: Expr,
    },
    /// `proxy p = ...`.
    Proxy {
        /// Name.
        name: Ident,
        /// Body.
        body: Expr,
    },
}

/// What is brought in.
#[derive(Clone, Debug, PartialEq)]
pub enum Import {
    /// A path of the standard library, `std` included.
    Path(Vec<Ident>),
    /// A file, relative to the one that says so.
    File(String, Span),
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Name.
    pub name: Ident,
    /// Value when left out.
    pub default: Option<Expr>,
}

/// `@name(entries)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Name.
    pub name: Ident,
    /// Entries, in order.
    pub entries: Vec<Entry>,
    /// Where.
    pub span: Span,
}

/// `name = value` or `value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name, where given.
    pub name: Option<Ident>,
    /// Value.
    pub value: AttrValue,
    /// Where the value stands.
    pub span: Span,
}

/// A value in an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    /// `0.5`
    Number(f64),
    /// `abs`, `unary|binary`
    Names(Vec<Ident>),
    /// `"text"`
    Text(String),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

impl Expr {
    /// An expression that stands nowhere (built trees).
    pub fn new(kind: ExprKind) -> Self {
        Expr { kind, span: Span::default() }
    }
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; never negative.
    Number(f64),
    /// `x`, `std::snip`.
    Path(Vec<Ident>),
    /// `[1, 2]`, `[[1], [2]]`.
    Tensor(Vec<Expr>),
    /// `f(x, axis = 0)`.
    Call {
        /// Function.
        path: Vec<Ident>,
        /// Arguments.
        args: Vec<Arg>,
    },
    /// `-x`.
    Prefix {
        /// Row.
        op: OpId,
        /// Operand.
        arg: Box<Expr>,
    },
    /// `x + y`.
    Infix {
        /// Row.
        op: OpId,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `x.T`.
    Postfix {
        /// Row.
        op: OpId,
        /// Operand.
        arg: Box<Expr>,
    },
    /// `l.weight`, `b.attn`.
    Dot {
        /// Of what.
        base: Box<Expr>,
        /// Which.
        name: Ident,
    },
    /// `x[0]`, `params[ffn]`, `linear[ffn, 0..2]`.
    Index {
        /// Of what.
        base: Box<Expr>,
        /// Between the brackets.
        selectors: Vec<Selector>,
    },
    /// `{ let x = ... result }`, with at least one `let`.
    Block(Block),
    /// `sum l in linear { ... }`.
    Fold {
        /// Reducer.
        reducer: Ident,
        /// Names bound; several for a zip.
        pattern: Vec<Ident>,
        /// Collection.
        over: Box<Expr>,
        /// Term.
        body: Block,
    },
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// Name, where given.
    pub name: Option<Ident>,
    /// Value.
    pub value: Expr,
}

/// What stands between brackets after a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Selector {
    /// `0..2`, half open.
    Range(usize, usize, Span),
    /// An index, a layer or a role.
    One(Expr),
}

/// `let`s and a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Bindings, in order.
    pub lets: Vec<Let>,
    /// Value.
    pub result: Box<Expr>,
    /// With its braces.
    pub span: Span,
}

/// `let name = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// Name.
    pub name: Ident,
    /// Value.
    pub value: Expr,
    /// Where.
    pub span: Span,
}
