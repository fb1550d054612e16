//! Conditions: `inventory.all_available and total > 100`. Parses text to an expression and evaluates it to true or
//! false. Stricter than a template language: a value that is missing or of the wrong kind is an error, never silently
//! false.
//!
//! The syntax is a subset of Jinja expressions: `and or not`, `== != < <= > >=`, `in`, `not in`, `is none`, `is
//! defined`, `+ - * / %`, `.name`, `[0]`, texts, numbers, lists, and the filters `length`, `lower` and `upper`. The
//! evaluators of Jinja libraries do not reject comparisons between kinds.

mod apart;
mod eval;
mod lex;
mod parse;
mod ways;

pub use parse::parse;
pub use ways::{Step, Way};

use crate::value::Value;
use crate::value::number::canonical;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// How deep an expression may nest: in its text, and as a tree, where chains such as `a + b + c` are one node.
const DEPTH: usize = 64;
const HEIGHT: usize = 128;

/// A condition as written. Ranges are bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub text: Arc<str>,
    root: Arc<Node>,
}

/// A problem of a condition, and its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    at: Range<usize>,
    kind: Kind,
    /// Nodes from here to the deepest one below.
    height: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Literal(Value),
    List(Vec<Node>),
    /// A value, by the name that conditions use: `-`, `.` and `/` are written `_`.
    Name(String),
    Attribute(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// Two or more, joined by `and`.
    Both(Vec<Node>),
    /// Two or more, joined by `or`.
    Either(Vec<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Contained {
        negated: bool,
        element: Box<Node>,
        list: Box<Node>,
    },
    IsNone {
        negated: bool,
        of: Box<Node>,
    },
    IsDefined {
        negated: bool,
        of: Box<Node>,
    },
    /// The operands from left to right.
    Arithmetic(Box<Node>, Vec<(Operator, Node)>),
    Filter(Box<Node>, Filter),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Length,
    Lower,
    Upper,
}

impl Condition {
    /// The values that it reads, each once, with the first place.
    pub fn names(&self) -> Vec<(&str, Range<usize>)> {
        let mut names = Vec::new();
        collect(&self.root, &mut names);
        names
    }

    /// All places where it reads a value, with its name.
    pub fn places(&self) -> Vec<(&str, Range<usize>)> {
        let (mut found, mut open) = (Vec::new(), vec![&*self.root]);
        while let Some(node) = open.pop() {
            if let Kind::Name(name) = &node.kind {
                found.push((name.as_str(), node.at.clone()));
            }
            open.extend(node.children());
        }
        found.sort_by_key(|(_, at)| at.start);
        found
    }

    /// The values without which it cannot be decided: those that it does not test with `is defined`.
    pub fn needs(&self) -> Vec<&str> {
        let mut asked = Vec::new();
        defined(&self.root, &mut asked);
        let names = self.names().into_iter().map(|(name, _)| name);
        names.filter(|name| !asked.iter().any(|(known, _)| known == name)).collect()
    }

    /// Whether the two can never both hold, as far as their text shows.
    pub fn excludes(&self, other: &Condition) -> bool {
        self.contradicts(true, (other, true))
    }

    /// Whether exactly one of the two holds whenever both can be decided.
    pub fn complements(&self, other: &Condition) -> bool {
        self.excludes(other) && self.contradicts(false, (other, false))
    }

    /// Whether this one holding, or with false not holding, is impossible while the other is as claimed.
    pub fn contradicts(&self, holds: bool, other: (&Condition, bool)) -> bool {
        apart::apart((&self.root, holds), (&other.0.root, other.1))
    }

    /// The value that it evaluates to, of any kind.
    ///
    /// # Errors
    /// Why it cannot be computed.
    pub fn value<'v>(&self, value: &dyn Fn(&str) -> Option<&'v Value>) -> Result<Value, Fault> {
        eval::value(&self.root, value).map(Cow::into_owned)
    }

    /// Whether it holds, given the value of each name.
    ///
    /// # Errors
    /// Why it cannot be decided.
    pub fn holds<'v>(&self, value: &dyn Fn(&str) -> Option<&'v Value>) -> Result<bool, Fault> {
        eval::holds(&self.root, value)
    }
}

fn collect<'n>(node: &'n Node, names: &mut Vec<(&'n str, Range<usize>)>) {
    if let Kind::Name(name) = &node.kind
        && !names.iter().any(|(known, _)| known == name)
    {
        names.push((name, node.at.clone()));
    }
    node.children().into_iter().for_each(|child| collect(child, names));
}

/// The names that are tested with `is defined`.
fn defined<'n>(node: &'n Node, names: &mut Vec<(&'n str, Range<usize>)>) {
    match &node.kind {
        Kind::IsDefined { of, .. } => collect(of, names),
        _ => node.children().into_iter().for_each(|child| defined(child, names)),
    }
}

/// Whether two nodes are equal apart from their places.
fn same(one: &Node, other: &Node) -> bool {
    let (a, b) = (one.children(), other.children());
    one.own() == other.own() && a.len() == b.len() && a.into_iter().zip(b).all(|(a, b)| same(a, b))
}

impl Node {
    fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Literal(_) | Kind::Name(_) => Vec::new(),
            Kind::List(all) | Kind::Both(all) | Kind::Either(all) => all.iter().collect(),
            Kind::Arithmetic(first, rest) => {
                std::iter::once(&**first).chain(rest.iter().map(|(_, term)| term)).collect()
            }
            Kind::Attribute(of, _)
            | Kind::Not(of)
            | Kind::Negate(of)
            | Kind::IsNone { of, .. }
            | Kind::IsDefined { of, .. }
            | Kind::Filter(of, _) => vec![of],
            Kind::Index(a, b) | Kind::Compare(_, a, b) | Kind::Contained { element: a, list: b, .. } => {
                vec![a, b]
            }
        }
    }

    /// The node's own text, without places and children.
    fn own(&self) -> String {
        match &self.kind {
            Kind::Literal(value) => format!("literal {}", canonical(value)),
            Kind::Name(name) => format!("name {name}"),
            Kind::Attribute(_, name) => format!("attribute {name}"),
            Kind::List(_) => "list".into(),
            Kind::Index(..) => "index".into(),
            Kind::Not(_) => "not".into(),
            Kind::Negate(_) => "negate".into(),
            Kind::Both(..) => "and".into(),
            Kind::Either(..) => "or".into(),
            Kind::Compare(comparison, ..) => format!("{comparison:?}"),
            Kind::Contained { negated, .. } => format!("in {negated}"),
            Kind::IsNone { negated, .. } => format!("none {negated}"),
            Kind::IsDefined { negated, .. } => format!("defined {negated}"),
            Kind::Arithmetic(_, rest) => {
                let operators: Vec<Operator> = rest.iter().map(|(operator, _)| *operator).collect();
                format!("{operators:?}")
            }
            Kind::Filter(_, filter) => format!("{filter:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
