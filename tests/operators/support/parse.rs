//! Precedence climbing over the rows' symbols.

use super::Graph;
use lpzero::ops::{self, Attrs, Build, Fixity, OpId, Position, Value};
use std::collections::HashMap;

pub struct Parser<'a> {
    text: &'a str,
    graph: &'a mut Graph,
    vars: &'a HashMap<String, usize>,
}

/// Parses `text` into `graph`; `?a` are variables.
pub fn parse(text: &str, graph: &mut Graph, vars: &HashMap<String, usize>) -> usize {
    let mut p = Parser { text, graph, vars };
    let id = p.expr(0);
    p.space();
    assert!(p.text.is_empty(), "left over: {}", p.text);
    id
}

impl Parser<'_> {
    fn space(&mut self) {
        self.text = self.text.trim_start();
    }
    fn eat(&mut self, s: &str) -> bool {
        self.space();
        match self.text.strip_prefix(s) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }
    fn expect(&mut self, s: &str) {
        assert!(self.eat(s), "expected {s} at {}", self.text);
    }
    /// The longest symbol that starts here.
    fn symbol(&mut self, position: Position) -> Option<(OpId, &'static str)> {
        self.space();
        (1..=2).rev().find_map(|n| {
            let id = ops::by_symbol(self.text.get(..n)?, position)?;
            Some((id, ops::row(id).symbol?.text))
        })
    }
    fn expr(&mut self, min: u8) -> usize {
        let mut left = self.operand();
        while let Some((id, text)) = self.symbol(Position::Infix) {
            let s = ops::row(id).symbol.unwrap();
            if s.precedence < min {
                break;
            }
            self.expect(text);
            let right = self.expr(s.precedence + u8::from(s.fixity == Fixity::Left));
            left = self.graph.apply(id, &[left, right], Attrs::none());
        }
        left
    }
    fn operand(&mut self) -> usize {
        if let Some((id, text)) = self.symbol(Position::Prefix) {
            self.expect(text);
            let x = self.expr(ops::row(id).symbol.unwrap().precedence);
            return self.graph.apply(id, &[x], Attrs::none());
        }
        let mut x = self.primary();
        loop {
            if self.text.starts_with('[') {
                self.expect("[");
                let i = self.number();
                self.expect("]");
                let id = ops::by_symbol("[]", Position::Index).unwrap();
                x = self.graph.apply(id, &[x], Attrs::of(&[Some(i)]));
            } else if self.text.starts_with('.') {
                self.expect(".");
                let name = self.name();
                x = self.graph.apply(ops::by_symbol(&name, Position::Postfix).unwrap(), &[x], Attrs::none());
            } else {
                return x;
            }
        }
    }
    fn primary(&mut self) -> usize {
        self.space();
        if self.eat("(") {
            let x = self.expr(0);
            self.expect(")");
            return x;
        }
        if self.text.starts_with('[') {
            let (dims, data) = self.literal();
            return self.graph.literal(&Value::tensor(&dims, data));
        }
        if self.eat("?") {
            let name = self.name();
            return self.vars[&name];
        }
        if self.text.starts_with(|c: char| c.is_ascii_digit()) {
            let x = self.number();
            return self.graph.number(x);
        }
        let name = self.name();
        self.call(&name)
    }
    fn call(&mut self, name: &str) -> usize {
        self.expect("(");
        let (mut given, mut named) = (Vec::new(), Vec::new());
        while !self.eat(")") {
            let before = self.text;
            let key = self.name();
            if !key.is_empty() && self.eat("=") {
                let value = self.expr(0);
                named.push((key, value));
            } else {
                self.text = before;
                given.push(self.expr(0));
            }
            self.eat(",");
        }
        let keys: Vec<&str> = named.iter().map(|(k, _)| k.as_str()).collect();
        let id = ops::lookup_named(name, given.len(), &keys).unwrap();
        let row = ops::row(id);
        let find = |i: usize, n: &str| {
            given.get(i).copied().or_else(|| named.iter().find(|(k, _)| k == n).map(|(_, v)| *v))
        };
        let args: Vec<usize> = row.values.iter().enumerate().map(|(i, n)| find(i, n).unwrap()).collect();
        let constant = |(i, a): (usize, &ops::AttrSpec)| {
            let node = find(row.values.len() + i, a.name);
            node.map(|n| super::reference(self.graph, n).data[0]).or(a.default)
        };
        let attrs: Vec<Option<f64>> = row.attrs.iter().enumerate().map(constant).collect();
        self.graph.apply(id, &args, Attrs::of(&attrs))
    }
    fn name(&mut self) -> String {
        self.space();
        let end = self.text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.text.len());
        let (name, rest) = self.text.split_at(end);
        self.text = rest;
        name.to_owned()
    }
    fn number(&mut self) -> f64 {
        self.space();
        let end = self
            .text
            .char_indices()
            .find(|&(i, c)| !(c.is_ascii_digit() || c == '.' || (i == 0 && c == '-')))
            .map_or(self.text.len(), |(i, _)| i);
        let (n, rest) = self.text.split_at(end);
        self.text = rest;
        n.parse().unwrap_or_else(|_| panic!("number {n:?}"))
    }
    fn literal(&mut self) -> (Vec<usize>, Vec<f64>) {
        self.expect("[");
        let (mut dims, mut data, mut count) = (Vec::new(), Vec::new(), 0);
        while !self.eat("]") {
            self.space();
            if self.text.starts_with('[') {
                let (d, x) = self.literal();
                dims = d;
                data.extend(x);
            } else {
                data.push(self.number());
            }
            count += 1;
            self.eat(",");
        }
        dims.insert(0, count);
        (dims, data)
    }
}
