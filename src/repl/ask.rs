//! Expressions: what they stand for is looked at and shown.

use super::session::{Reply, Session, Wrong, wrong};
use super::show;
use super::summary::summarise;
use super::values::{How, Looked};
use crate::ir::{Collection, Dag, Program};
use crate::lang::session::{Meaning, Typed};
use crate::site::{CaptureSpec, FIELDS, Field, Kind, Pass};
use crate::tensor::Tensor;

impl Session {
    /// Checks an expression; its nodes go into `dag`.
    pub(super) fn typed(&mut self, text: &str, dag: &mut Dag) -> Result<Typed, Wrong> {
        let mark = self.library.mark();
        let name = self.name();
        let found = self
            .library
            .expression_in(&name, text, &self.scope)
            .and_then(|def| self.library.meaning(def, dag).map(|t| Typed { capture: self.spec(&t), ..t }));
        self.library.forget(mark);
        Ok(found?)
    }

    /// What has to be run: what the expression says, else what the session says.
    fn spec(&self, t: &Typed) -> CaptureSpec {
        if t.capture == CaptureSpec::default() { self.capture } else { t.capture }
    }

    /// Checks an expression that must be a number.
    pub(super) fn number(&mut self, text: &str) -> Result<(Dag, Program), Wrong> {
        let mut dag = Dag::default();
        let typed = self.typed(text, &mut dag)?;
        match typed.meaning {
            Meaning::Value(root, shape) if shape.is_number() => {
                Ok((dag, Program { name: text.trim().into(), root, capture: typed.capture }))
            }
            other => Err(wrong(
                format!("a number is needed, and this is a {}", show::meaning(&other)),
                "reduce it: `mean(x)`, or aggregate over sites: `sum l in linear { ... }`",
            )),
        }
    }

    /// Evaluates and shows.
    pub(super) fn ask(&mut self, text: &str) -> Result<Reply, Wrong> {
        let mut dag = Dag::default();
        let typed = self.typed(text, &mut dag)?;
        let spec = typed.capture;
        match typed.meaning {
            Meaning::Value(root, _) => {
                let program = Program { name: "it".into(), root, capture: spec };
                self.look(dag, program, How::Value).map(|l| shown(&l))
            }
            Meaning::Sites(over, kinds) => self.collection(&over, &kinds, spec),
            Meaning::Field(over, _, field) => self.field_of_all(&over, field, spec),
        }
    }

    fn collection(&mut self, over: &Collection, kinds: &[Kind], spec: CaptureSpec) -> Result<Reply, Wrong> {
        let (outline, ids) = self.sites(over)?;
        match ids[..] {
            [] => Ok(Reply::of("no sites\n")),
            [one] if kinds.len() == 1 => {
                let site = &outline.sites[one];
                let pass = |f: Field| FIELDS.iter().find(|r| r.field == f).map_or(Pass::Weights, |r| r.pass);
                // Second order and the family's own layout only when asked for.
                let plain = |f: &Field| {
                    pass(*f) != Pass::SecondOrder && !matches!(f, Field::StoredWeight | Field::StoredGrad)
                };
                let fields: Vec<Field> = site.fields.iter().map(|(f, _)| *f).filter(plain).collect();
                let names = fields.iter().map(|f| show::field(*f).to_string());
                let wants = fields.iter().map(|f| (one, *f)).collect();
                let (tensors, ran) = self.fields(spec, wants)?;
                let rows: Vec<_> = names.zip(tensors.iter().map(summarise)).collect();
                let out = format!("{}{}", show::sites(&outline, &ids), show::rows(&rows));
                Ok(Reply { out, notes: show::ran(&ran), ..Reply::default() })
            }
            _ => {
                let mut out = show::sites(&outline, &ids);
                out += &format!("{} sites; `{}.FIELD` summarises a field of each\n", ids.len(), "...");
                Ok(Reply::of(out.replace("`....FIELD`", "`(...).FIELD`")))
            }
        }
    }

    fn field_of_all(&mut self, over: &Collection, field: Field, spec: CaptureSpec) -> Result<Reply, Wrong> {
        let (outline, mut ids) = self.sites(over)?;
        ids.retain(|i| outline.sites[*i].dims(field).is_some());
        if ids.is_empty() {
            return Ok(Reply::of("no sites\n"));
        }
        let wants = ids.iter().map(|i| (*i, field)).collect();
        let (tensors, ran) = self.fields(spec, wants)?;
        let names = ids.iter().map(|i| outline.sites[*i].name.clone());
        let out = match &tensors[..] {
            [one] => format!("{}\n{}", outline.sites[ids[0]].name, show::value(one)),
            _ => show::rows(&names.zip(tensors.iter().map(summarise)).collect::<Vec<_>>()),
        };
        Ok(Reply { out, notes: show::ran(&ran), ..Reply::default() })
    }
}

/// A value, and what was run for it.
pub(super) fn shown(looked: &Looked) -> Reply {
    let mut reply = Reply { notes: show::ran(&looked.ran), ..Reply::default() };
    match looked.value.value(0) {
        Ok(t) if t.rank() == 0 => match looked.value.scores().pop() {
            Some(score) => match score.value {
                Ok(x) if score.rounding_noise => {
                    reply.out = format!("~{x}\n");
                    reply.notes +=
                        "· ~ it is built on gradients whose size is what rounding alone would give\n";
                }
                Ok(x) => reply.out = format!("{x}\n"),
                Err(why) => {
                    let ieee = t.item().map_or(String::new(), |x| format!(" (IEEE arithmetic gives {x})"));
                    reply.out = format!("no score: {} at {}{ieee}\n", why.reason, why.at);
                }
            },
            None => reply.out = show::value(&t),
        },
        Ok(t) => reply.out = tensor(looked, &t),
        Err(why) => reply.error = format!("error: no value: {} at {}\n", why.reason, why.at),
    }
    reply
}

/// A tensor, whole where it is small.
fn tensor(looked: &Looked, t: &Tensor) -> String {
    let mut out = show::value(t);
    if t.numel() <= 16 {
        let all: Vec<String> = t.to_f64().iter().map(|x| super::summary::short(*x)).collect();
        out += &format!("[{}]\n", all.join(", "));
    }
    if looked.value.noisy(0) {
        out += "~ it is built on gradients whose size is what rounding alone would give\n";
    }
    out
}
