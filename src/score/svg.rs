//! The graph of a program at one site as a picture: layers from the leaves to the score, nodes
//! coloured by the pass that computes them.

use super::explain::Explanation;
use crate::ir::{Bound, BoundId, BoundNode, Leaf};
use crate::markup::escape;
use crate::ops;
use crate::site::{FIELDS, Outline};
use std::fmt::Write;

const WIDTH: usize = 150;
const HEIGHT: usize = 34;
const GAP_X: usize = 24;
const GAP_Y: usize = 46;
/// Colours of passes, in turn; grey is what is joined in f64.
const COLOURS: [&str; 6] = ["#cfe8ff", "#ffe2c2", "#d9f2d0", "#f3d3ee", "#fff3b0", "#d6d6f5"];
const ABOVE: &str = "#e6e6e6";
const LEAF: &str = "#ffffff";
/// So many nodes are drawn; a larger graph is cut at its leaves.
const MOST: usize = 400;

/// A node that is drawn.
struct Drawn {
    id: BoundId,
    label: String,
    shape: String,
    layer: usize,
    pass: Option<usize>,
    leaf: bool,
    args: Vec<usize>,
}

/// The picture as SVG text.
pub fn svg(e: &Explanation, graph: &Bound, outline: &Outline) -> String {
    let nodes = drawn(e, graph, outline);
    let layers = nodes.iter().map(|n| n.layer).max().unwrap_or(0) + 1;
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); layers];
    for (i, n) in nodes.iter().enumerate() {
        rows[n.layer].push(i);
    }
    let places = places(&nodes, &mut rows);
    let widest = rows.iter().map(Vec::len).max().unwrap_or(1);
    let (w, h) = (widest * (WIDTH + GAP_X) + GAP_X, layers * (HEIGHT + GAP_Y) + 90);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
<text x=\"{GAP_X}\" y=\"24\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escape(&e.name)
    );
    legend(e, &mut out);
    for (i, n) in nodes.iter().enumerate() {
        n.args.iter().for_each(|&a| edge(&mut out, places[a], places[i]));
    }
    for (n, &at) in nodes.iter().zip(&places) {
        boxed(&mut out, n, at);
    }
    out + "</svg>\n"
}

/// A curve from one node's lower edge to another's upper one.
fn edge(out: &mut String, (x1, y1): (usize, usize), (x2, y2): (usize, usize)) {
    let (x1, x2) = (x1 + WIDTH / 2, x2 + WIDTH / 2);
    let _ = writeln!(
        out,
        "<path d=\"M{x1} {} C{x1} {} {x2} {} {x2} {y2}\" fill=\"none\" stroke=\"#888\"/>",
        y1 + HEIGHT,
        y1 + HEIGHT + GAP_Y / 2,
        y2.saturating_sub(GAP_Y / 2)
    );
}

/// A node's box with its label and shape.
fn boxed(out: &mut String, n: &Drawn, (x, y): (usize, usize)) {
    let fill = match n.pass {
        _ if n.leaf => LEAF,
        Some(p) => COLOURS[p % COLOURS.len()],
        None => ABOVE,
    };
    let _ = writeln!(
        out,
        "<g><title>{} {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" \
fill=\"{fill}\" stroke=\"#555\"/><text x=\"{tx}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"{tx}\" y=\"{}\" \
text-anchor=\"middle\" fill=\"#666\" font-size=\"9\">{}</text></g>",
        escape(&n.label),
        escape(&n.shape),
        y + 15,
        escape(&short(&n.label)),
        y + 27,
        escape(&n.shape),
        tx = x + WIDTH / 2
    );
}

fn legend(e: &Explanation, out: &mut String) {
    let mut x = GAP_X;
    let passes = (0..e.passes()).map(|p| (COLOURS[p % COLOURS.len()], format!("pass {}", p + 1)));
    for (colour, text) in passes.take(COLOURS.len()).chain([(ABOVE, "joined in f64".to_string())]) {
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{colour}\" stroke=\"#555\"/>\
<text x=\"{}\" y=\"46\">{text}</text>",
            x + 16
        );
        x += 90;
    }
}

/// What is drawn: everything above aggregates, and of every aggregate its first term.
fn drawn(e: &Explanation, graph: &Bound, outline: &Outline) -> Vec<Drawn> {
    let Some(Ok(root)) = graph.roots.first() else { return Vec::new() };
    let mut keep = std::collections::BTreeSet::new();
    let mut todo = vec![*root];
    while let Some(n) = todo.pop() {
        if keep.len() >= MOST || !keep.insert(n) {
            continue;
        }
        match &graph.nodes[n] {
            BoundNode::Op { args, .. } => todo.extend(args.iter().copied()),
            BoundNode::Fold { terms, .. } => todo.extend(terms.first().copied()),
            _ => {}
        }
    }
    let steps = e.steps(&keep);
    let order: Vec<BoundId> = keep.into_iter().collect();
    let mut out: Vec<Drawn> = Vec::new();
    for &id in &order {
        let (label, args): (String, Vec<BoundId>) = match &graph.nodes[id] {
            BoundNode::Number(bits) => (format!("{}", f64::from_bits(*bits)), vec![]),
            BoundNode::Literal(_) => ("literal".into(), vec![]),
            BoundNode::Leaf(l) => (leaf(&graph.leaves[*l], outline), vec![]),
            BoundNode::Op { op, args, .. } => (ops::row(*op).name.into(), args.to_vec()),
            BoundNode::Fold { reducer, terms } => {
                let label = format!("{} of {} terms", ops::reducer(*reducer).name, terms.len());
                (label, terms.first().copied().into_iter().collect())
            }
        };
        let args: Vec<usize> = args.iter().filter_map(|a| order.binary_search(a).ok()).collect();
        let layer = args.iter().map(|&a| out[a].layer + 1).max().unwrap_or(0);
        let leaf =
            matches!(graph.nodes[id], BoundNode::Leaf(_) | BoundNode::Number(_) | BoundNode::Literal(_));
        let shape = match graph.shapes[id].dims.as_slice() {
            [] => String::new(),
            dims => format!("{dims:?}"),
        };
        out.push(Drawn { id, label, shape, layer, pass: steps.get(&id).copied(), leaf, args });
    }
    out
}

fn leaf(leaf: &Leaf, outline: &Outline) -> String {
    match leaf {
        Leaf::Number { name, .. } => (*name).into(),
        Leaf::Field { site, field, .. } => {
            let name = FIELDS.iter().find(|f| f.field == *field).map_or("", |f| f.name);
            format!("{}.{name}", crate::ir::bind::place(outline, &[*site]))
        }
    }
}

/// Places: every node near the middle of what it uses, in a row per layer.
fn places(nodes: &[Drawn], rows: &mut [Vec<usize>]) -> Vec<(usize, usize)> {
    let mut at = vec![(0, 0); nodes.len()];
    let widest = rows.iter().map(Vec::len).max().unwrap_or(1);
    for (layer, row) in rows.iter_mut().enumerate() {
        let middle = |i: usize| {
            let args = &nodes[i].args;
            let sum: usize = args.iter().map(|&a| at[a].0).sum();
            if args.is_empty() { nodes[i].id } else { sum / args.len() }
        };
        row.sort_by_key(|&i| (middle(i), nodes[i].id));
        let indent = (widest - row.len()) * (WIDTH + GAP_X) / 2;
        for (column, &i) in row.iter().enumerate() {
            at[i] = (GAP_X + indent + column * (WIDTH + GAP_X), 70 + layer * (HEIGHT + GAP_Y));
        }
    }
    at
}

fn short(label: &str) -> String {
    let n = label.chars().count();
    if n <= 24 { label.into() } else { format!("…{}", label.chars().skip(n - 23).collect::<String>()) }
}
