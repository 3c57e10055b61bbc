//! Hand-built programs and a source of seeded random tensors.
#![allow(dead_code, clippy::unwrap_used)]

pub mod graph;

use lpzero::ir::{Collection, Dag, Filter, Node, NodeId, Program};
use lpzero::ops::{self, Attrs};
use lpzero::random::Stream;
use lpzero::site::{
    Batches, CaptureSpec, FIELDS, Field, Kind, Objective, Outline, Pass, Sink, Site, SiteId, Source,
    SourceError,
};
use lpzero::tensor::{Dims, Tensor};

/// Adds nodes to a DAG.
#[derive(Default)]
pub struct Build {
    pub dag: Dag,
    pub programs: Vec<Program>,
}

impl Build {
    pub fn number(&mut self, x: f64) -> NodeId {
        self.dag.add(Node::Number(x.to_bits()))
    }
    pub fn field(&mut self, binder: usize, kind: Kind, field: Field) -> NodeId {
        self.dag.add(Node::Field { binder, kind, field })
    }
    pub fn op(&mut self, name: &'static str, args: &[NodeId]) -> NodeId {
        self.op_with(name, args, &[])
    }
    pub fn op_with(&mut self, name: &'static str, args: &[NodeId], attrs: &[(&str, f64)]) -> NodeId {
        let op = ops::lookup(name, args.len()).unwrap();
        let row = ops::row(op);
        let value = |a: &ops::AttrSpec| attrs.iter().find(|(n, _)| *n == a.name).map(|x| x.1).or(a.default);
        let attrs = Attrs::of(&row.attrs.iter().map(value).collect::<Vec<_>>());
        self.dag.add(Node::Op { op, attrs, args: args.into() })
    }
    pub fn fold(&mut self, reducer: &str, over: Collection, body: NodeId) -> NodeId {
        let reducer = ops::reducer_by_name(reducer).unwrap();
        self.dag.add(Node::Fold { reducer, over, body })
    }
    pub fn program(&mut self, name: &str, root: NodeId, capture: CaptureSpec) {
        self.programs.push(Program { name: name.into(), root, capture });
    }
    /// `sum l in linear { sum(abs(l.weight * l.grad)) }`
    pub fn snip(&mut self) -> NodeId {
        let w = self.field(0, Kind::Linear, Field::Weight);
        let g = self.field(0, Kind::Linear, Field::Grad);
        let x = self.op("mul", &[w, g]);
        let x = self.op("abs", &[x]);
        let x = self.op("sum", &[x]);
        self.fold("sum", sites(Kind::Linear), x)
    }
}

pub fn sites(kind: Kind) -> Collection {
    Collection::Sites { kind, filter: Filter::default(), block: None }
}

/// A source of random tensors that records what it was asked for.
pub struct Fake {
    pub outline: Outline,
    pub asked: Vec<(CaptureSpec, Vec<(SiteId, Field)>)>,
    pub noise: bool,
    pub change: fn(SiteId, Field, &mut [f32]),
}

fn site(kind: Kind, name: String, layer: usize, fields: Vec<(Field, Dims)>) -> Site {
    Site { kind, name, layer: Some(layer), roles: vec![], transposed: false, fields }
}

impl Fake {
    /// `depth` blocks of one linear, one head and one activation site each.
    pub fn new(depth: usize) -> Self {
        let mut outline =
            Outline { numbers: vec![("depth", depth as f64), ("width", 8.0)], ..Default::default() };
        for l in 0..depth {
            let matrix: Dims = Dims::from_slice(&[6, 8]);
            let value: Dims = Dims::from_slice(&[4, 5, 8]);
            let weights = [Field::Weight, Field::Grad].map(|f| (f, matrix.clone()));
            let values = [Field::Value, Field::Grad].map(|f| (f, value.clone()));
            let block = vec![(Field::Input, value.clone())];
            let mut linear = site(Kind::Linear, format!("layer.{l}.linear"), l, weights.to_vec());
            linear.roles = if l % 2 == 0 { vec!["ffn"] } else { vec!["op"] };
            outline.sites.push(linear);
            outline.sites.push(site(Kind::Head, format!("layer.{l}.head"), l, values.to_vec()));
            outline.sites.push(site(Kind::Act, format!("layer.{l}.act"), l, values[..1].to_vec()));
            outline.sites.push(site(Kind::Block, format!("layer.{l}"), l, block));
        }
        Fake { outline, asked: vec![], noise: false, change: |_, _, _| {} }
    }

    pub fn tensor(&self, spec: &CaptureSpec, site: SiteId, field: Field) -> Tensor {
        let mut dims: Dims = self.outline.sites[site].dims(field).unwrap().clone();
        let gradient = FIELDS.iter().any(|r| r.field == field && r.pass >= Pass::Backward);
        match spec.batches {
            Batches::Many(n) if gradient => dims.insert(0, n),
            Batches::EachSample if gradient => dims.insert(0, 4),
            _ => {}
        }
        let spec = if gradient { format!("{spec:?}") } else { format!("{:?}", spec.params) };
        let mut random = Stream::new(7, &format!("{spec} {site} {field:?}"));
        let mut data: Vec<f32> = (0..dims.iter().product()).map(|_| random.normal() as f32).collect();
        (self.change)(site, field, &mut data);
        Tensor::new(&dims, data)
    }
}

impl Source for Fake {
    fn outline(&self) -> &Outline {
        &self.outline
    }
    fn default_objective(&self) -> Objective {
        Objective::Loss
    }
    fn run(
        &mut self,
        spec: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        self.asked.push((*spec, wants.to_vec()));
        // Gradients come in the order of a backward pass, after everything else.
        let gradient = |f: Field| f == Field::Grad;
        for &(s, f) in wants.iter().filter(|w| !gradient(w.1)) {
            sink.field(s, f, self.tensor(spec, s, f));
        }
        sink.number("loss", 2.5);
        for &(s, f) in wants.iter().rev().filter(|w| gradient(w.1)) {
            sink.field(s, f, self.tensor(spec, s, f));
        }
        if self.noise {
            sink.rounding_noise();
        }
        Ok(())
    }
}
