//! What is read from a source before it is checked: values, and faults with their places.

use crate::value::Value;
use std::path::Path;
use std::sync::Arc;

/// The longest item in text, in bytes.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Items in the order of the source, or an error that ends the reading.
pub(super) type Raws<'a> = Box<dyn Iterator<Item = anyhow::Result<Raw>> + 'a>;

/// The next thing in a source.
pub(super) enum Raw {
    Item(Item),
    /// A fault outside of items, such as in a header or at the end of a file.
    Fault(Fault),
}

pub(super) struct Item {
    pub place: SourcePlace,
    /// The value, or all its faults.
    pub value: Result<Value, Vec<Fault>>,
    /// Its key if it has no key field; else its number.
    pub name: Option<String>,
    /// The file that contains only this item.
    pub file: Option<Arc<Path>>,
}

/// A place, from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourcePlace {
    At {
        line: u64,
        column: u64,
    },
    /// A cell of CSV, located only when needed: where its record starts and the number of cells before it.
    Cell {
        byte: u64,
        line: u64,
        cell: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub place: SourcePlace,
    pub message: String,
}

impl SourcePlace {
    pub fn line(line: u64) -> SourcePlace {
        SourcePlace::At { line, column: 1 }
    }

    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault { place: self, message: message.into() }
    }
}

impl Raw {
    /// An item of a file with several.
    pub fn item(place: SourcePlace, value: Result<Value, Vec<Fault>>) -> Raw {
        Raw::Item(Item { place, value, name: None, file: None })
    }
}
