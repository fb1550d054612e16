//! Where a value does not fit its type: the place in the value, what was expected there and what was found.

use super::{Value, kind};
use std::fmt::Write;

/// How many misfits are reported one by one.
const REPORTED: usize = 3;

/// The most misfits that are counted.
const COUNTED: usize = 100;

/// The longest value that is shown as it is, in characters.
const SHOWN: usize = 40;

/// One place in a value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The way from the value to the place, such as `.items[2].price`; empty for the value itself.
    pub path: String,
    pub expected: String,
    pub found: String,
}

/// The places where one value does not fit: the first few, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfits {
    /// The type that the value should have had.
    ty: String,
    first: Vec<Misfit>,
    count: usize,
}

impl Misfits {
    pub(super) fn new(ty: String) -> Self {
        Misfits { ty, first: Vec::new(), count: 0 }
    }

    pub(super) fn add(&mut self, path: &str, expected: impl Into<String>, found: impl Into<String>) {
        if self.first.len() < REPORTED {
            let (path, expected, found) = (path.to_owned(), expected.into(), found.into());
            self.first.push(Misfit { path, expected, found });
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether the next misfit is reported in full; later ones are only counted.
    pub(super) fn reports_next(&self) -> bool {
        self.first.len() < REPORTED
    }

    /// Whether the count has reached its limit, so that the search can end.
    pub(super) fn are_enough(&self) -> bool {
        self.count >= COUNTED
    }

    /// The misfits that are reported in full.
    pub fn first(&self) -> &[Misfit] {
        &self.first
    }

    /// One line about the value called `name`: `order.items[2].price: expected a number, found a string`, or
    /// `"order" is no Order: expected an object, found a list`.
    pub fn of(&self, name: &str) -> String {
        self.line(name, &format!("`{name}` is not of type {}", self.ty))
    }

    /// The same without the type's name: `order: expected an object, found a list`.
    pub fn at(&self, name: &str) -> String {
        self.line(name, name)
    }

    fn line(&self, name: &str, whole: &str) -> String {
        let mut line = String::new();
        for (index, Misfit { path, expected, found }) in self.first.iter().enumerate() {
            line.push_str(if index > 0 { "; " } else { "" });
            let _ = match path.as_str() {
                "" => write!(line, "{whole}: "),
                path => write!(line, "{name}{path}: "),
            };
            let _ = write!(line, "expected {expected}, found {found}");
        }
        let _ = match self.count - self.first.len() {
            0 => Ok(()),
            _ if self.are_enough() => write!(line, "; and many more"),
            more => write!(line, "; and {more} more"),
        };
        line
    }
}

/// Adds a member to a path.
pub(super) fn member(path: &mut String, name: &str) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let _ = match !name.is_empty() && name.chars().all(plain) {
        true => write!(path, ".{name}"),
        false => write!(path, "[{}]", Value::from(name)),
    };
}

/// Adds an element to a path.
pub(super) fn element(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

/// A short scalar as it is written, of everything else the kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        scalar => {
            let text = scalar.to_string();
            if text.chars().count() <= SHOWN { text } else { kind(value).to_owned() }
        }
    }
}
