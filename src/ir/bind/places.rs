//! Which sites a collection walks, and how places are called in messages.

use crate::ir::{Collection, Filter};
use crate::site::{KINDS, Kind, Outline, Site, SiteId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The sites that a collection at the top of a program walks, one tuple per step.
pub fn sites_of(outline: &Outline, over: &Collection) -> Vec<SmallVec<[SiteId; 2]>> {
    collect(outline, &by_kind(outline), over, &[])
}

pub(super) fn by_kind(outline: &Outline) -> FxHashMap<Kind, Vec<SiteId>> {
    let mut by_kind: FxHashMap<Kind, Vec<SiteId>> = FxHashMap::default();
    for (i, s) in outline.sites.iter().enumerate() {
        by_kind.entry(s.kind).or_default().push(i);
    }
    by_kind
}

/// The sites that a collection walks, one tuple per step.
pub(super) fn collect(
    outline: &Outline,
    by_kind: &FxHashMap<Kind, Vec<SiteId>>,
    over: &Collection,
    env: &[SiteId],
) -> Vec<SmallVec<[SiteId; 2]>> {
    match over {
        Collection::Sites { kind, filter, block } => {
            let block = block.map(|b| outline.sites[site_of(env, b)].layer);
            let all = by_kind.get(kind).map_or(&[][..], |v| v);
            let keep = |s: &&SiteId| {
                let site = &outline.sites[**s];
                block.is_none_or(|b| site.layer == b) && passes(site, filter)
            };
            all.iter().filter(keep).map(|&s| smallvec::smallvec![s]).collect()
        }
        Collection::Zip(parts) => {
            let lists: Vec<_> = parts.iter().map(|p| collect(outline, by_kind, p, env)).collect();
            let steps = lists.iter().map(Vec::len).min().unwrap_or(0);
            (0..steps).map(|i| lists.iter().flat_map(|l| l[i].iter().copied()).collect()).collect()
        }
        Collection::Chain(parts) => parts.iter().flat_map(|p| collect(outline, by_kind, p, env)).collect(),
    }
}

fn passes(site: &Site, filter: &Filter) -> bool {
    let role = filter.roles.is_empty() || filter.roles.iter().any(|r| site.roles.contains(r));
    let layer = filter.layers.is_empty()
        || site.layer.is_some_and(|l| filter.layers.iter().any(|range| range.contains(&l)));
    role && layer
}

pub(super) fn site_of(env: &[SiteId], binder: usize) -> SiteId {
    env[env.len() - 1 - binder]
}

/// The sites that the set bits of `free` refer to, outermost first.
pub(super) fn at_free(free: u64, env: &[SiteId]) -> impl Iterator<Item = SiteId> + '_ {
    let n = env.len();
    (0..n).filter(move |i| free >> (n - 1 - i).min(63) & 1 == 1).map(|i| env[i])
}

/// A place for people: `linear "encoder.layer.0.query"`.
pub fn place(outline: &Outline, sites: &[SiteId]) -> String {
    if sites.is_empty() {
        return "the whole model".into();
    }
    let one = |&s: &SiteId| format!("{} \"{}\"", kind_name(outline.sites[s].kind), outline.sites[s].name);
    sites.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|r| r.kind == kind).map_or("", |r| r.name)
}

/// A collection for people: `linear[ffn, 0..2]`.
pub(super) fn describe(over: &Collection) -> String {
    let list = |parts: &[Collection]| parts.iter().map(describe).collect::<Vec<_>>().join(", ");
    match over {
        Collection::Sites { kind, filter, block } => {
            let roles = filter.roles.iter().map(|r| (*r).to_string());
            let layers = filter.layers.iter().map(|l| format!("{}..{}", l.start, l.end));
            let inner = roles.chain(layers).collect::<Vec<_>>().join(", ");
            let dot = if block.is_some() { "block." } else { "" };
            let name = kind_name(*kind);
            if inner.is_empty() { format!("{dot}{name}") } else { format!("{dot}{name}[{inner}]") }
        }
        Collection::Zip(parts) => format!("zip({})", list(parts)),
        Collection::Chain(parts) => format!("chain({})", list(parts)),
    }
}
