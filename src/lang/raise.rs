//! From a graph back to text: expressions with `let`s for what is shared, names for what is bound.
//! Parsing and lowering the text gives the same node.

use super::ast::{
    Arg, AttrValue, Attribute, Block, Entry, Expr, ExprKind, Ident, Item, ItemKind, Let, Selector, Span,
};
use super::{print, symbols};
use crate::ir::{Collection, Dag, Filter, Node, NodeId, Program};
use crate::ops::{self, Attrs, Fixity, OpId};
use crate::site::{self, Batches, CaptureSpec, Kind};
use rustc_hash::{FxHashMap, FxHashSet};

/// Parts nest at most so deep before they get a name, so that what is printed can be parsed.
const DEEPEST: usize = 60;

/// A program as an item, `@capture` where it is not the default.
pub fn print_program(dag: &Dag, program: &Program) -> String {
    print_documented(&[], dag, program)
}

/// A program as an item with documentation lines.
pub fn print_documented(docs: &[String], dag: &Dag, program: &Program) -> String {
    let body = raise(dag, program.root);
    let kind = ItemKind::Proxy { name: Ident::new(&program.name), body };
    let attributes = capture(&program.capture).into_iter().collect();
    print::print_item(&Item { docs: docs.to_vec(), attributes, kind, span: Span::default() })
}

/// A node without free binders as an expression.
pub fn print_node(dag: &Dag, node: NodeId) -> String {
    print::print_expr(&raise(dag, node))
}

/// A node without free binders as a tree.
pub fn raise(dag: &Dag, node: NodeId) -> Expr {
    let mut r = Raise { dag, binders: Vec::new(), lets: 0 };
    let block = r.region(node);
    match block.lets.is_empty() {
        true => *block.result,
        false => Expr::new(ExprKind::Block(block)),
    }
}

struct Raise<'a> {
    dag: &'a Dag,
    /// Names of open binders, outermost first.
    binders: Vec<String>,
    lets: usize,
}

type Names = FxHashMap<NodeId, String>;

fn name(text: &str) -> Expr {
    Expr::new(ExprKind::Path(vec![Ident::new(text)]))
}

fn is_part(node: &Node) -> bool {
    matches!(node, Node::Op { .. } | Node::Fold { .. })
}

impl Raise<'_> {
    /// What is evaluated under the same binders, as one block.
    fn region(&mut self, root: NodeId) -> Block {
        let mut names = Names::default();
        let mut lets = Vec::new();
        for id in self.shared(root) {
            let value = self.expr(id, &names);
            self.lets += 1;
            let name = format!("x{}", self.lets);
            lets.push(Let { name: Ident::new(&name), value, span: Span::default() });
            names.insert(id, name);
        }
        let result = Box::new(self.expr(root, &names));
        Block { lets, result, span: Span::default() }
    }

    /// Parts that are used more than once, or lie too deep; operands before users.
    fn shared(&self, root: NodeId) -> Vec<NodeId> {
        let mut uses: FxHashMap<NodeId, usize> = FxHashMap::default();
        let mut todo = vec![root];
        let mut seen = FxHashSet::default();
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            if let Node::Op { args, .. } = self.dag.node(id) {
                for &a in args {
                    *uses.entry(a).or_default() += 1;
                    todo.push(a);
                }
            }
        }
        let mut all: Vec<NodeId> = seen.into_iter().filter(|&id| is_part(self.dag.node(id))).collect();
        all.sort_unstable();
        let mut depths: FxHashMap<NodeId, usize> = FxHashMap::default();
        let mut out = Vec::new();
        for id in all {
            let depth = match self.dag.node(id) {
                Node::Op { args, .. } => {
                    args.iter().map(|a| depths.get(a).map_or(1, |d| d + 1)).max().unwrap_or(1)
                }
                _ => 1,
            };
            let named = id != root && (uses.get(&id).is_some_and(|&n| n > 1) || depth > DEEPEST);
            depths.insert(id, if named { 0 } else { depth });
            if named {
                out.push(id);
            }
        }
        out
    }

    fn expr(&mut self, id: NodeId, names: &Names) -> Expr {
        if let Some(n) = names.get(&id) {
            return name(n);
        }
        match self.dag.node(id) {
            Node::Number(bits) => number(f64::from_bits(*bits)),
            Node::Model(n, None) => name(n),
            Node::Model(n, Some(role)) => Expr::new(ExprKind::Index {
                base: Box::new(name(n)),
                selectors: vec![Selector::One(name(role))],
            }),
            Node::Field { binder, field, .. } => {
                let field = site::FIELDS.iter().find(|r| r.field == *field).map_or("", |r| r.name);
                self.dot(*binder, field)
            }
            Node::SiteNumber { binder, number } => {
                let n = site::SITE_NUMBERS.iter().find(|r| r.0 == *number).map_or("", |r| r.1);
                self.dot(*binder, n)
            }
            Node::Literal { dims, bits } => literal(dims, bits),
            Node::Op { op, attrs, args } => {
                let literals = args.iter().all(|&a| matches!(self.dag.node(a), Node::Number(_)));
                let exprs = args.iter().map(|&a| self.expr(a, names)).collect();
                operator(*op, attrs, exprs, literals)
            }
            Node::Fold { reducer, over, body } => {
                let collection = self.collection(over);
                let kinds = kinds(over);
                let start = self.binders.len();
                for &kind in &kinds {
                    let name = self.fresh(kind);
                    self.binders.push(name);
                }
                let body = self.region(*body);
                let pattern = self.binders.drain(start..).map(Ident::new).collect();
                let reducer = Ident::new(ops::reducer(*reducer).name);
                Expr::new(ExprKind::Fold { reducer, pattern, over: Box::new(collection), body })
            }
        }
    }

    /// A name for a bound site: the first letter of its kind, numbered where that is taken.
    fn fresh(&self, kind: Kind) -> String {
        let letter = &kind_name(kind)[..1];
        let free = |n: &String| !self.binders.contains(n);
        std::iter::once(letter.to_string())
            .chain((2..).map(|i| format!("{letter}{i}")))
            .find(free)
            .unwrap_or_default()
    }

    fn dot(&self, binder: usize, part: &str) -> Expr {
        let at = self.binders.len().checked_sub(binder + 1);
        let base = Box::new(name(at.map_or("?", |i| &self.binders[i])));
        Expr::new(ExprKind::Dot { base, name: Ident::new(part) })
    }

    fn collection(&self, over: &Collection) -> Expr {
        let join = |f: &str, parts: &[Collection]| {
            let args = parts.iter().map(|c| Arg { name: None, value: self.collection(c) }).collect();
            Expr::new(ExprKind::Call { path: vec![Ident::new(f)], args })
        };
        match over {
            Collection::Zip(parts) => join("zip", parts),
            Collection::Chain(parts) => join("chain", parts),
            Collection::Sites { kind, filter, block } => {
                let base = match block {
                    None => name(kind_name(*kind)),
                    Some(b) => self.dot(*b, kind_name(*kind)),
                };
                filtered(base, filter)
            }
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    site::KINDS.iter().find(|k| k.kind == kind).map_or("?", |k| k.name)
}

/// The kinds of the sites that a collection binds.
fn kinds(over: &Collection) -> Vec<Kind> {
    match over {
        Collection::Sites { kind, .. } => vec![*kind],
        Collection::Zip(parts) => parts.iter().flat_map(kinds).collect(),
        Collection::Chain(parts) => parts.first().map(kinds).unwrap_or_default(),
    }
}

fn filtered(base: Expr, filter: &Filter) -> Expr {
    let mut selectors: Vec<Selector> = filter.roles.iter().map(|r| Selector::One(name(r))).collect();
    for l in &filter.layers {
        selectors.push(match l.len() {
            1 => Selector::One(Expr::new(ExprKind::Number(l.start as f64))),
            _ => Selector::Range(l.start, l.end, Span::default()),
        });
    }
    match selectors.is_empty() {
        true => base,
        false => Expr::new(ExprKind::Index { base: Box::new(base), selectors }),
    }
}

fn number(x: f64) -> Expr {
    let size = match x.abs() {
        a if a.is_nan() => return name("nan"),
        a if a.is_infinite() => name("inf"),
        a => Expr::new(ExprKind::Number(a)),
    };
    match (x.is_sign_negative(), symbols::negation()) {
        (true, Some(op)) => Expr::new(ExprKind::Prefix { op, arg: Box::new(size) }),
        _ => size,
    }
}

fn literal(dims: &[usize], bits: &[u64]) -> Expr {
    let rows = match dims {
        [] => return number(bits.first().map_or(f64::NAN, |b| f64::from_bits(*b))),
        [_] => bits.iter().map(|b| number(f64::from_bits(*b))).collect(),
        [n, inner @ ..] => bits.chunks((bits.len() / n.max(&1)).max(1)).map(|c| literal(inner, c)).collect(),
    };
    Expr::new(ExprKind::Tensor(rows))
}

fn operator(op: OpId, attrs: &Attrs, mut args: Vec<Expr>, literals: bool) -> Expr {
    let row = ops::row(op);
    let given: Vec<(usize, f64)> = (0..row.attrs.len())
        .filter_map(|i| Some((i, attrs.num(i).filter(|&v| Some(v) != row.attrs[i].default)?)))
        .collect();
    let fixity = row.symbol.map(|s| s.fixity);
    let kind = match (fixity, args.len(), &given[..]) {
        (Some(Fixity::Left | Fixity::Right), 2, []) => {
            let (rhs, lhs) = (args.pop(), args.pop());
            match (lhs, rhs) {
                (Some(l), Some(r)) => ExprKind::Infix { op, lhs: Box::new(l), rhs: Box::new(r) },
                _ => return name("?"),
            }
        }
        // A sign before a number belongs to the number; the function form does not.
        (Some(Fixity::Prefix), 1, []) if !literals => ExprKind::Prefix { op, arg: Box::new(args.remove(0)) },
        (Some(Fixity::Postfix), 1, []) => ExprKind::Postfix { op, arg: Box::new(args.remove(0)) },
        (Some(Fixity::Index), 1, [(0, at)]) if Some(op) == symbols::indexing() => {
            ExprKind::Index { base: Box::new(args.remove(0)), selectors: vec![Selector::One(number(*at))] }
        }
        _ => {
            let mut list: Vec<Arg> = args.into_iter().map(|value| Arg { name: None, value }).collect();
            list.extend(
                given
                    .iter()
                    .map(|&(i, v)| Arg { name: Some(Ident::new(row.attrs[i].name)), value: number(v) }),
            );
            ExprKind::Call { path: vec![Ident::new(row.name)], args: list }
        }
    };
    Expr::new(kind)
}

/// `@capture(...)`, unless everything is the default.
fn capture(spec: &CaptureSpec) -> Option<Attribute> {
    let default = CaptureSpec::default();
    let mut entries = Vec::new();
    let mut option = |name: &str, value: AttrValue| {
        entries.push(Entry { name: Some(Ident::new(name)), value, span: Span::default() });
    };
    let named = |n: &str| AttrValue::Names(vec![Ident::new(n)]);
    if spec.params != default.params {
        option("params", named(site::option_name(site::PARAMS_MODES, &spec.params)));
    }
    if spec.inputs != default.inputs {
        option("inputs", named(site::option_name(site::INPUTS, &spec.inputs)));
    }
    if let Some(objective) = &spec.objective {
        option("objective", named(site::option_name(site::OBJECTIVES, objective)));
    }
    match spec.batches {
        Batches::One => {}
        Batches::Many(n) => option("batches", AttrValue::Number(n as f64)),
        Batches::EachSample => option("batches", named("each_sample")),
    }
    (!entries.is_empty()).then(|| Attribute { name: Ident::new("capture"), entries, span: Span::default() })
}
