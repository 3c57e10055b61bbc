//! Items with their attributes.

use super::{Builder, Node, Parsed, Rule, unquote};
use crate::lang::ast::{AttrValue, Attribute, Entry, Import, ItemKind, Param};
use crate::lang::operators;

impl Builder {
    pub(super) fn import(&self, pair: Node<'_>) -> ItemKind {
        let mut import = Import::Path(Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::string => import = Import::File(unquote(&part), self.span(&part)),
                Rule::path => import = Import::Path(self.path(part)),
                _ => {}
            }
        }
        ItemKind::Use(import)
    }

    pub(super) fn function(&self, pair: Node<'_>) -> Parsed<ItemKind> {
        let of = self.span(&pair);
        let (mut name, mut params, mut body) = (None, Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                Rule::parameter => params.push(self.parameter(part)?),
                Rule::expression => body = Some(self.expression(part, 0)?),
                _ => {}
            }
        }
        match (name, body) {
            (Some(name), Some(body)) => Ok(ItemKind::Fn { name, params, body }),
            _ => Err(self.hollow(of)),
        }
    }

    fn parameter(&self, pair: Node<'_>) -> Parsed<Param> {
        let of = self.span(&pair);
        let mut parts = pair.into_inner();
        let name = self.ident(&self.part(&mut parts, of)?);
        let default = parts.next().map(|p| self.expression(p, 0)).transpose()?;
        Ok(Param { name, default })
    }

    pub(super) fn proxy(&self, pair: Node<'_>) -> Parsed<ItemKind> {
        let of = self.span(&pair);
        let mut parts = pair.into_inner().filter(|p| matches!(p.as_rule(), Rule::name | Rule::expression));
        match (parts.next(), parts.next()) {
            (Some(name), Some(body)) => {
                Ok(ItemKind::Proxy { name: self.ident(&name), body: self.expression(body, 0)? })
            }
            _ => Err(self.hollow(of)),
        }
    }

    pub(super) fn attribute(&self, pair: Node<'_>) -> Parsed<Attribute> {
        let span = self.span(&pair);
        let mut parts = pair.into_inner();
        let name = self.ident(&self.part(&mut parts, span)?);
        let list = parts.next().map(|p| p.into_inner().map(|e| self.entry(e)).collect::<Parsed<Vec<_>>>());
        Ok(Attribute { name, entries: list.transpose()?.unwrap_or_default(), span })
    }

    fn entry(&self, pair: Node<'_>) -> Parsed<Entry> {
        let of = self.span(&pair);
        let mut name = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(&part)),
                _ => {
                    let span = self.span(&part);
                    return Ok(Entry { name, value: self.attribute_value(part)?, span });
                }
            }
        }
        Err(self.hollow(of))
    }

    fn attribute_value(&self, pair: Node<'_>) -> Parsed<AttrValue> {
        let of = self.span(&pair);
        let mut names = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::string => return Ok(AttrValue::Text(unquote(&part))),
                Rule::signed_number => return self.signed(part).map(AttrValue::Number),
                _ => names.push(self.ident(&part)),
            }
        }
        match names.is_empty() {
            true => Err(self.hollow(of)),
            false => Ok(AttrValue::Names(names)),
        }
    }

    fn signed(&self, pair: Node<'_>) -> Parsed<f64> {
        let of = self.span(&pair);
        let mut sign = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::symbol => sign = Some((part.as_str().to_string(), self.span(&part))),
                _ => {
                    let x = self.number(&part)?;
                    return match &sign {
                        None => Ok(x),
                        Some((run, at)) => operators::signed(run, x)
                            .ok_or_else(|| self.error("E006", *at, format!("`{run}` is no sign"))),
                    };
                }
            }
        }
        Err(self.hollow(of))
    }
}
