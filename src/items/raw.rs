//! What is read from a source before it is known to be a good item: values, and faults with their places.

use crate::value::Value;
use std::path::Path;
use std::sync::Arc;

/// The longest item in text, in bytes.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Items as they come, or why reading cannot go on.
pub(super) type Raws<'a> = Box<dyn Iterator<Item = anyhow::Result<Raw>> + 'a>;

/// What stands next in a source.
pub(super) enum Raw {
    Item(Item),
    /// Something else is wrong, such as a header or the end of a file.
    Fault(Fault),
}

pub(super) struct Item {
    pub place: Place,
    /// All that is wrong where it is no value.
    pub value: Result<Value, Vec<Fault>>,
    /// Its key where it has none of its own; else its number.
    pub name: Option<String>,
    /// The file that holds this item alone.
    pub file: Option<Arc<Path>>,
}

/// Where to look, from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    At {
        line: u64,
        column: u64,
    },
    /// A cell of CSV, found only when somebody asks: where its record starts and how many cells stand before it.
    Cell {
        byte: u64,
        line: u64,
        cell: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub place: Place,
    pub message: String,
}

impl Place {
    pub fn line(line: u64) -> Place {
        Place::At { line, column: 1 }
    }

    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault { place: self, message: message.into() }
    }
}

impl Raw {
    /// An item of a file that holds several.
    pub fn item(place: Place, value: Result<Value, Vec<Fault>>) -> Raw {
        Raw::Item(Item { place, value, name: None, file: None })
    }
}
