//! What programs of the space may read, given the architectures at hand.

use super::menu::Menu;
use super::{Choice, FreeSpace, Text};
use crate::site::{Field, KINDS, Kind, NUMBERS, Outline, ROLES};
use std::rc::Rc;

impl FreeSpace {
    /// The space over the sites that all `outlines` have and the model numbers that tell them apart;
    /// `limits` are the most nodes and levels.
    pub fn over(outlines: &[&Outline], limits: (usize, usize), text: Rc<dyn Text>) -> Self {
        let sites = KINDS
            .iter()
            .filter(|k| all_have(outlines, k.kind, None))
            .map(|k| Choice {
                kind: k.kind,
                roles: ROLES
                    .iter()
                    .filter(|r| r.sites && all_have(outlines, k.kind, Some(r.name)))
                    .map(|r| r.name)
                    .collect(),
                fields: k.fields.iter().map(|(f, _)| *f).filter(cheap).collect(),
                dear: Vec::new(),
            })
            .collect();
        let names = NUMBERS.iter().map(|n| (n.name, None));
        let roles = ROLES.iter().filter(|r| r.params).map(|r| ("params", Some(r.name)));
        let numbers = names.chain(roles).filter(|&(name, role)| differs(outlines, name, role)).collect();
        FreeSpace { sites, numbers, size: limits.0, depth: limits.1.min(8), menu: Menu::new(), text }
    }
}

fn all_have(outlines: &[&Outline], kind: Kind, role: Option<&str>) -> bool {
    outlines
        .iter()
        .all(|o| o.sites.iter().any(|s| s.kind == kind && role.is_none_or(|r| s.roles.contains(&r))))
}

/// Second order costs nine forward passes, and stored layouts are the published scores' business.
fn cheap(f: &Field) -> bool {
    !matches!(f, Field::Hvp | Field::StoredWeight | Field::StoredGrad)
}

/// Is the number known without running, everywhere, and not the same everywhere?
fn differs(outlines: &[&Outline], name: &str, role: Option<&str>) -> bool {
    let of = |o: &Outline| match role {
        Some(role) => o.params.iter().find(|(n, _)| *n == role).map(|(_, x)| *x),
        None => o.numbers.iter().find(|(n, _)| *n == name).map(|(_, x)| *x),
    };
    let all: Option<Vec<f64>> = outlines.iter().map(|o| of(o)).collect();
    all.is_some_and(|v| v.iter().any(|x| *x != v[0]))
}
