//! What an architecture consists of: its parameters and sites, declared by the family before anything
//! runs.

use super::error::ModelError;
use crate::site::{Field, Kind, Outline, Site, SiteId};
use crate::tensor::Dims;
use crate::tensor::nn::Layout;
use rustc_hash::FxHashMap;

/// Index of a parameter in [`Plan::params`].
pub type ParamId = usize;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Normal with this standard deviation.
    Normal(f64),
}

/// Which part of the model a parameter belongs to: a role of `params[role]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Tables and projections in front of the blocks.
    Embedding,
    /// Attention, convolution or transform with its output projection.
    Operation,
    /// Feed-forward linears.
    Ffn,
    /// Normalisation layers.
    Norm,
    /// What follows the final norm and is not tied.
    Head,
}

/// One parameter; tied parameters are one.
#[derive(Clone, Debug)]
pub struct ParamSpec {
    /// Name, as in the family's checkpoints.
    pub name: String,
    /// Sizes as stored.
    pub dims: Dims,
    /// How it starts.
    pub init: Init,
    /// Which part of the model it belongs to.
    pub part: Part,
    /// Block index.
    pub layer: Option<usize>,
    /// The site whose weight it is.
    pub site: Option<SiteId>,
}

impl ParamSpec {
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.dims.iter().product()
    }
}

/// Parameters and sites of an architecture at a batch's sizes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Parameters.
    pub params: Vec<ParamSpec>,
    /// Sites.
    pub sites: Vec<Site>,
    /// How the linears of the blocks are stored.
    pub layout: Layout,
    by_name: FxHashMap<String, ParamId>,
    site_by_name: FxHashMap<(Kind, String), SiteId>,
    batch: usize,
    seq: usize,
    flops: f64,
    /// Block being declared.
    pub(super) layer: Option<usize>,
}

/// A linear to declare.
pub(super) struct LinearSpec<'a> {
    pub name: String,
    pub inner: usize,
    pub outer: usize,
    pub bias: bool,
    pub std: f64,
    pub part: Part,
    /// Roles of its site.
    pub roles: &'a [&'static str],
    /// Is its output a site of kind head?
    pub head: bool,
}

impl Plan {
    /// An empty plan.
    pub(super) fn new(layout: Layout, batch: usize, seq: usize) -> Self {
        Plan {
            params: Vec::new(),
            sites: Vec::new(),
            layout,
            by_name: FxHashMap::default(),
            site_by_name: FxHashMap::default(),
            batch,
            seq,
            flops: 0.0,
            layer: None,
        }
    }

    /// A parameter by name.
    pub fn param(&self, name: &str) -> Option<ParamId> {
        self.by_name.get(name).copied()
    }

    /// A site by kind and name.
    pub fn site(&self, kind: Kind, name: &str) -> Option<SiteId> {
        self.site_by_name.get(&(kind, name.to_owned())).copied()
    }

    pub(super) fn add_param(&mut self, name: String, dims: &[usize], init: Init, part: Part) -> ParamId {
        self.by_name.insert(name.clone(), self.params.len());
        self.params.push(ParamSpec { name, dims: dims.into(), init, part, layer: self.layer, site: None });
        self.params.len() - 1
    }

    fn add_site(
        &mut self,
        kind: Kind,
        name: &str,
        roles: &[&'static str],
        fields: &[(Field, &[usize])],
    ) -> SiteId {
        let id = self.sites.len();
        self.site_by_name.insert((kind, name.to_owned()), id);
        self.sites.push(Site {
            kind,
            name: name.to_owned(),
            layer: self.layer,
            roles: roles.to_vec(),
            transposed: kind == Kind::Linear && self.layout == Layout::InOut,
            fields: fields.iter().map(|(f, d)| (*f, (*d).into())).collect(),
        });
        id
    }

    /// A linear of a block: its parameters and its sites.
    pub(super) fn linear(&mut self, s: LinearSpec<'_>) {
        let (rows, cols) = (s.outer, s.inner);
        let stored = match self.layout {
            Layout::OutIn => [rows, cols],
            Layout::InOut => [cols, rows],
        };
        let (b, n) = (self.batch, self.seq);
        let (x, y) = ([b, n, s.inner], [b, n, s.outer]);
        let weight = format!("{}.weight", s.name);
        let site = self.add_site(
            Kind::Linear,
            &weight,
            s.roles,
            &[
                (Field::Weight, &[rows, cols]),
                (Field::Grad, &[rows, cols]),
                (Field::Hvp, &[rows, cols]),
                (Field::Input, &x),
                (Field::Output, &y),
                (Field::OutputGrad, &y),
                (Field::StoredWeight, &stored),
                (Field::StoredGrad, &stored),
            ],
        );
        let id = self.add_param(weight, &stored, Init::Normal(s.std), s.part);
        self.params[id].site = Some(site);
        if s.bias {
            self.add_param(format!("{}.bias", s.name), &[s.outer], Init::Zeros, s.part);
        }
        if s.head {
            self.add_site(Kind::Head, &s.name, s.roles, &[(Field::Value, &y), (Field::Grad, &y)]);
        }
        self.count_linear(s.inner, s.outer);
    }

    /// Counts the operations of a linear that is applied to every token.
    pub(super) fn count_linear(&mut self, inner: usize, outer: usize) {
        self.flops += 2.0 * self.tokens() * inner as f64 * outer as f64;
    }

    /// Counts operations per token.
    pub(super) fn count_per_token(&mut self, flops: f64) {
        self.flops += self.tokens() * flops;
    }

    /// Floating-point operations of a forward pass, embeddings and the heads' losses apart.
    pub(super) fn flops(&self) -> f64 {
        self.flops
    }

    /// Tokens of a sequence.
    pub(super) fn seq(&self) -> usize {
        self.seq
    }

    fn tokens(&self) -> f64 {
        self.batch as f64 * self.seq as f64
    }

    /// Attention probabilities of `heads` heads of `width` columns under a module name.
    pub(super) fn attention(&mut self, module: &str, heads: usize, width: usize) {
        let d = [self.batch, heads, self.seq, self.seq];
        let name = format!("{module}.softmax");
        self.add_site(Kind::Attn, &name, &[], &[(Field::Value, &d), (Field::Grad, &d)]);
        self.add_site(Kind::Softmax, &name, &[], &[(Field::Value, &d)]);
        self.count_per_token(4.0 * (self.seq * heads * width) as f64);
    }

    /// The unused softmax of a linear transform.
    pub(super) fn unused_softmax(&mut self, module: &str, heads: usize, width: usize) {
        let d = [self.batch, heads, self.seq, width];
        self.add_site(Kind::Softmax, &format!("{module}.softmax"), &[], &[(Field::Value, &d)]);
    }

    /// An activation.
    pub(super) fn act(&mut self, name: &str, width: usize) {
        let d = [self.batch, self.seq, width];
        self.add_site(Kind::Act, name, &[], &[(Field::Value, &d), (Field::Grad, &d)]);
    }

    /// A normalisation layer with a bias.
    pub(super) fn norm(&mut self, name: &str, width: usize, roles: &[&'static str]) {
        let weight = format!("{name}.weight");
        let d = [width];
        let site = self.add_site(Kind::Norm, &weight, roles, &[(Field::Weight, &d), (Field::Grad, &d)]);
        let id = self.add_param(weight, &d, Init::Ones, Part::Norm);
        self.params[id].site = Some(site);
        self.add_param(format!("{name}.bias"), &d, Init::Zeros, Part::Norm);
    }

    /// A table or projection in front of the blocks; `name` is the parameter's.
    pub(super) fn table(
        &mut self,
        kind: Kind,
        name: &str,
        dims: [usize; 2],
        std: f64,
        roles: &[&'static str],
    ) {
        let site = self.add_site(kind, name, roles, &[(Field::Weight, &dims), (Field::Grad, &dims)]);
        let id = self.add_param(name.to_owned(), &dims, Init::Normal(std), Part::Embedding);
        self.params[id].site = Some(site);
    }

    /// Begins block `i`.
    pub(super) fn begin_block(&mut self, i: usize, name: &str, width: usize) {
        self.layer = Some(i);
        let d = [self.batch, self.seq, width];
        let fields: [(Field, &[usize]); 3] =
            [(Field::Input, &d), (Field::Output, &d), (Field::OutputGrad, &d)];
        self.add_site(Kind::Block, name, &[], &fields);
    }

    /// Is this parameter the weight of a linear inside a block?
    pub fn is_block_linear(&self, id: ParamId) -> bool {
        self.params[id].site.is_some_and(|s| self.sites[s].kind == Kind::Linear)
    }

    /// Parameter counts by role.
    fn counts(&self) -> Vec<(&'static str, f64)> {
        let sum = |keep: &dyn Fn(ParamId, &ParamSpec) -> bool| -> f64 {
            let kept = self.params.iter().enumerate().filter(|(i, p)| keep(*i, p));
            kept.map(|(_, p)| p.numel() as f64).sum()
        };
        let part = |part| sum(&|_, p| p.part == part);
        vec![
            ("embedding", part(Part::Embedding)),
            ("operation", part(Part::Operation)),
            ("ffn", part(Part::Ffn)),
            ("norm", part(Part::Norm)),
            ("head", part(Part::Head)),
            ("blocks", sum(&|_, p| p.layer.is_some())),
            ("linear", sum(&|i, _| self.is_block_linear(i))),
            ("decoder", part(Part::Operation) + part(Part::Ffn)),
        ]
    }

    /// The outline; `numbers` are those the plan cannot know.
    pub(super) fn outline(&self, numbers: &[(&'static str, f64)]) -> Outline {
        let mut all = vec![
            ("params", self.params.iter().map(|p| p.numel() as f64).sum()),
            ("flops", self.flops),
            ("tokens", self.tokens()),
        ];
        all.extend_from_slice(numbers);
        Outline { sites: self.sites.clone(), numbers: all, params: self.counts() }
    }

    /// Refuses what cannot fit into this machine's memory, before anything is allocated.
    ///
    /// # Errors
    /// When the parameters, or the largest single tensor, are too large.
    pub(super) fn check_memory(&self, element: usize) -> Result<(), ModelError> {
        let size = |d: &[usize]| d.iter().fold(element as u128, |a, &b| a.saturating_mul(b as u128));
        let params: u128 = self.params.iter().map(|p| size(&p.dims)).sum();
        let fields = self.sites.iter().flat_map(|s| s.fields.iter());
        let largest = fields.map(|(_, d)| size(d)).max().unwrap_or(0);
        let have = available_memory();
        for (what, need) in [("its parameters", params), ("one captured tensor", largest)] {
            if need > have {
                return Err(ModelError::TooLarge { what: what.into(), need: bytes(need), have: bytes(have) });
            }
        }
        Ok(())
    }
}

fn bytes(n: u128) -> String {
    format!("{:.1} GiB", n as f64 / (1u64 << 30) as f64)
}

/// Bytes that are free, where the system says so.
fn available_memory() -> u128 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u128>().ok());
    kib.map_or(1 << 36, |k| k * 1024)
}
