//! The paths by which a condition reads into values: `stock.lines[0].sku`. Paths inside `is defined` do not count:
//! their target may be absent.

use super::{Condition, Kind, Node};
use crate::value::Value;
use std::ops::Range;

/// A path from a value to one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way<'c> {
    /// The value, as conditions write its name.
    pub name: &'c str,
    pub steps: Vec<Step<'c>>,
}

/// A part of the path from a value to what a condition uses of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'c> {
    /// A member of this name; the range is that of the path up to it in the condition.
    Member(&'c str, Range<usize>),
    /// An element of a list; the range is the same.
    Element(Range<usize>),
}

impl Condition {
    /// All paths into values, in the order in which they are written.
    pub fn ways(&self) -> Vec<Way<'_>> {
        let mut ways = Vec::new();
        collect(&self.root, &mut ways);
        ways
    }
}

fn collect<'c>(node: &'c Node, ways: &mut Vec<Way<'c>>) {
    if matches!(node.kind, Kind::IsDefined { .. }) {
        return;
    }
    match way(node) {
        Some(way) => ways.push(way),
        None => node.children().into_iter().for_each(|child| collect(child, ways)),
    }
}

/// The path that ends at this node; `None` if it depends on a value.
fn way(node: &Node) -> Option<Way<'_>> {
    let (of, step) = match &node.kind {
        Kind::Name(name) => return Some(Way { name, steps: Vec::new() }),
        Kind::Attribute(of, name) => (of, Step::Member(name, node.at.clone())),
        Kind::Index(of, index) => match &index.kind {
            Kind::Literal(Value::String(name)) => (of, Step::Member(name, node.at.clone())),
            Kind::Literal(Value::Number(_)) => (of, Step::Element(node.at.clone())),
            _ => return None,
        },
        _ => return None,
    };
    let mut way = way(of)?;
    way.steps.push(step);
    Some(way)
}
