//! Runs a graph through the rows' `exec`: tiles of a few elements, streaming reductions in two
//! parts, lowered composites.

use super::Graph;
use lpzero::ir::{BoundId, BoundNode};
use lpzero::ops::{self, Attrs, Exec, Operand, Placement, Reduce, Shape, TileFn, Value};

const TILE: usize = 37;

/// Element type of the tiles.
pub trait Elem: Copy + 'static {
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn kernel(exec: &Exec) -> Option<TileFn<Self>>;
    fn fold(r: &Reduce, state: &mut [f64; 4], tile: &[Self]);
    fn across(r: &Reduce, states: &mut [&mut [f64]; 4], rows: &[Self], width: usize);
}
macro_rules! elem {
    ($t:ident, $across:ident) => {
        impl Elem for $t {
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn kernel(exec: &Exec) -> Option<TileFn<Self>> {
                match exec {
                    Exec::Elementwise { $t, .. } => Some(*$t),
                    _ => None,
                }
            }
            fn fold(r: &Reduce, state: &mut [f64; 4], tile: &[Self]) {
                (r.$t)(state, tile);
            }
            fn across(r: &Reduce, states: &mut [&mut [f64]; 4], rows: &[Self], width: usize) {
                (r.$across)(states, rows, width, width);
            }
        }
    };
}
elem!(f32, f32_across);
elem!(f64, f64_across);

/// The value of a node, elements rounded to `T` after each elementwise step.
pub fn tiled<T: Elem>(graph: &mut Graph, id: BoundId) -> Value {
    let shape = graph.0.shapes[id].clone();
    let data: Vec<f64> = match graph.0.nodes[id].clone() {
        BoundNode::Number(b) => vec![f64::from_bits(b)],
        BoundNode::Literal(bits) => bits.into_iter().map(f64::from_bits).collect(),
        BoundNode::Op { op, attrs, args } => {
            let row = ops::row(op);
            if let Exec::Lower(expand) = row.exec {
                let top = expand(graph, &args, &attrs);
                assert_eq!(graph.0.shapes[top].dims, shape.dims, "lowering of {}", row.name);
                return tiled::<T>(graph, top);
            }
            let args: Vec<Value> = args.iter().map(|&a| tiled::<T>(graph, a)).collect();
            let data = run::<T>(row, &shape, &args, &attrs);
            if !matches!(row.exec, Exec::Elementwise { .. }) {
                return Value { shape, data };
            }
            data
        }
        other => panic!("{other:?}"),
    };
    let data = data.into_iter().map(|x| T::from_f64(x).to_f64()).collect();
    Value { shape, data }
}

fn run<T: Elem>(row: &ops::OpRow, shape: &Shape, args: &[Value], attrs: &Attrs) -> Vec<f64> {
    match row.exec {
        Exec::Elementwise { .. } => elementwise::<T>(T::kernel(&row.exec).unwrap(), shape, args),
        Exec::Reduce(r) => {
            let a = along::<T>(r, &args[0], attrs);
            let b = outer::<T>(r, &args[0], attrs);
            // Where large elements cancel, the order of a sum counts.
            let mild = args[0].data.iter().all(|x| x.abs() < 1e6);
            // Exponentials are of the elements' own type, below a maximum that depends on the tiling.
            let rtol = if size_of::<T>() < 8 { 1e-6 } else { 1e-9 };
            for (x, y) in a.iter().zip(&b) {
                assert!(!mild || super::close(*x, *y, rtol), "{}: {x} by runs, {y} across", row.name);
            }
            a
        }
        Exec::Reshape => args[0].data.clone(),
        Exec::Whole => row.evaluate(shape, &args.iter().collect::<Vec<_>>(), attrs).data,
        Exec::Lower(_) => unreachable!(),
    }
}

fn elementwise<T: Elem>(kernel: TileFn<T>, out: &Shape, args: &[Value]) -> Vec<f64> {
    let n = out.numel();
    let place = |a: &Value| ops::placement(&a.shape, out).unwrap();
    let full: Vec<Vec<T>> =
        args.iter().map(|a| (0..n).map(|i| T::from_f64(a.data[place(a).index(i, out)])).collect()).collect();
    let mut result = vec![T::from_f64(0.0); n];
    for start in (0..n).step_by(TILE) {
        let range = start..(start + TILE).min(n);
        let operands: Vec<Operand<'_, T>> = args
            .iter()
            .zip(&full)
            .map(|(a, f)| match place(a) {
                Placement::Number => Operand::Splat(f[0]),
                _ => Operand::Slice(&f[range.clone()]),
            })
            .collect();
        kernel(&mut result[range], &operands);
    }
    result.into_iter().map(T::to_f64).collect()
}

/// Every run gathered and folded in tiles, in two states that are merged.
fn along<T: Elem>(r: &Reduce, x: &Value, attrs: &Attrs) -> Vec<f64> {
    let fold = |run: &Vec<f64>| {
        let run: Vec<T> = run.iter().map(|&v| T::from_f64(v)).collect();
        let (first, later) = run.split_at(run.len() / 3);
        let mut states = [r.init, r.init];
        for (s, part) in states.iter_mut().zip([first, later]) {
            part.chunks(TILE).for_each(|t| T::fold(r, s, t));
        }
        let [mut state, later] = states;
        (r.merge)(&mut state, &later);
        (r.finish)(&state, run.len(), attrs)
    };
    x.runs(attrs.num(0)).iter().map(fold).collect()
}

/// A few elements of every run at a time.
fn outer<T: Elem>(r: &Reduce, x: &Value, attrs: &Attrs) -> Vec<f64> {
    let runs = x.runs(attrs.num(0));
    let n = runs.first().map_or(0, Vec::len);
    let mut places: [Vec<f64>; 4] = r.init.map(|x| vec![x; runs.len()]);
    for first in (0..n).step_by(3) {
        let row = |k: usize| runs.iter().map(move |run| T::from_f64(run[k]));
        let rows: Vec<T> = (first..n.min(first + 3)).flat_map(row).collect();
        T::across(r, &mut places.each_mut().map(Vec::as_mut_slice), &rows, runs.len());
    }
    let state = |i: usize| [0, 1, 2, 3].map(|k| places[k][i]);
    (0..runs.len()).map(|i| (r.finish)(&state(i), n, attrs)).collect()
}
