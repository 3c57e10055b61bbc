//! Architectures too small to be models: a few sites with seeded tensors of a few elements.

use lpzero::ir::key::{Key, key_of};
use lpzero::random::Stream;
use lpzero::site::{
    CaptureSpec, Field, KINDS, Kind, Objective, Outline, Sink, Site, SiteId, Source, SourceError,
};
use lpzero::tensor::Tensor;

/// A tiny architecture: `depth` blocks of `width`.
pub struct Tiny {
    outline: Outline,
    seed: u64,
}

/// Depth and width of architecture `i`.
pub fn shape(i: usize) -> (usize, usize) {
    (1 + i % 4, 2 + (i / 4) % 5)
}

/// What a good proxy would say of architecture `i`, with a little noise.
pub fn truth(i: usize) -> f64 {
    let (depth, width) = shape(i);
    let noise = Stream::new(i as u64, "tiny/truth").uniform();
    depth as f64 * (1.0 + width as f64).ln() + 0.2 * noise
}

/// Identity of architecture `i`.
pub fn identity(i: usize) -> Key {
    key_of(&("tiny", i))
}

impl Tiny {
    /// Architecture `i`.
    pub fn new(i: usize) -> Self {
        let (depth, width) = shape(i);
        let mut sites = Vec::new();
        for layer in 0..depth {
            for kind in
                [Kind::Linear, Kind::Head, Kind::Attn, Kind::Softmax, Kind::Act, Kind::Norm, Kind::Block]
            {
                let count = if kind == Kind::Linear { 2 } else { 1 };
                for k in 0..count {
                    sites.push(site(kind, layer, k, width));
                }
            }
        }
        let linear = (2 * depth * width * (width + 1)) as f64;
        let numbers = vec![
            ("params", linear + 50.0),
            ("flops", 1e5 * linear),
            ("depth", depth as f64),
            ("width", width as f64),
            ("vocab", 11.0),
            ("tokens", 4.0),
            ("causal", 0.0),
        ];
        let params = vec![("linear", linear), ("ffn", linear / 2.0)];
        Tiny { outline: Outline { sites, numbers, params }, seed: i as u64 }
    }
}

fn site(kind: Kind, layer: usize, k: usize, width: usize) -> Site {
    let dims = |rank: usize| match rank {
        1 => vec![width],
        2 => vec![width, width + 1],
        3 => vec![2, 2, width],
        _ => vec![2, 1, 2, 2],
    };
    let row = KINDS.iter().find(|r| r.kind == kind).unwrap();
    let fields = row.fields.iter().map(|&(f, rank)| (f, dims(rank).into_iter().collect())).collect();
    let roles = match (kind, k) {
        (Kind::Linear, 0) => vec!["op", "query"],
        (Kind::Linear, _) => vec!["ffn", "up"],
        (Kind::Head, _) => vec!["query"],
        _ => vec![],
    };
    let name = format!("{}.{layer}.{k}", row.name);
    Site { kind, name, layer: Some(layer), roles, transposed: false, fields }
}

impl Source for Tiny {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn default_objective(&self) -> Objective {
        Objective::Projection
    }

    fn run(
        &mut self,
        _: &CaptureSpec,
        wants: &[(SiteId, Field)],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        sink.number("objective", 1.0);
        sink.number("loss", 2.0);
        for &(id, field) in wants {
            let site = &self.outline.sites[id];
            let dims: Vec<usize> = site.dims(field).unwrap().to_vec();
            let mut s = Stream::new(self.seed, &format!("{}/{field:?}", site.name));
            let positive = matches!(site.kind, Kind::Attn | Kind::Softmax) && field == Field::Value;
            let draw = |_| if positive { s.uniform() } else { s.normal() };
            let data: Vec<f64> = (0..dims.iter().product::<usize>()).map(draw).collect();
            sink.field(id, field, Tensor::new(&dims, data));
        }
        Ok(())
    }
}
