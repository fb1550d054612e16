//! A file of JSON that is a list of items, or one item that is known by the file's name.

use super::json;
use super::raw::{Item, Place, Raw};
use std::path::Path;

/// Reads the file whole: a list has no end before its bracket.
///
/// # Errors
/// When it cannot be read.
pub(super) fn items(path: &Path) -> anyhow::Result<Vec<Raw>> {
    let bytes = std::fs::read(path)?;
    let text = match json::text(&bytes, 1) {
        Ok(text) => text,
        Err(faults) => return Ok(faults.into_iter().map(Raw::Fault).collect()),
    };
    if text.trim_start().starts_with('[') {
        return Ok(json::elements(text));
    }
    let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    Ok(vec![Raw::Item(Item { place: Place::line(1), value: json::parse(text, 1), name, file: None })])
}

/// The end of a file's name in small letters, without the dot.
pub(super) fn extension(path: &Path) -> String {
    path.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase()
}
