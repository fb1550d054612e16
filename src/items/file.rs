//! A JSON file that is a list of items, or one item named after the file.

use super::json;
use super::raw::{Item, Raw, Raws, SourcePlace};
use crate::disk::Named;
use std::path::Path;

/// The largest file that is read at once, in bytes.
const WHOLE: usize = 256 << 20;

/// Reads the whole file: a list only ends at its bracket.
///
/// # Errors
/// When it cannot be read.
pub(super) fn items(named: &Named) -> anyhow::Result<Raws<'static>> {
    let path = named.path();
    let bytes = named.read(WHOLE).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            anyhow::anyhow!("{error}; write it as JSON lines (.jsonl), which are read one by one")
        }
        _ => error.into(),
    })?;
    let text = match json::text(&bytes, 1) {
        Ok(text) => text.to_owned(),
        Err(faults) => return Ok(Box::new(faults.into_iter().map(Raw::Fault).map(Ok))),
    };
    drop(bytes);
    if text.trim_start().starts_with('[') {
        return Ok(match json::elements(text) {
            Ok(elements) => Box::new(elements.map(Ok)),
            Err(fault) => Box::new(std::iter::once(Ok(Raw::Fault(fault)))),
        });
    }
    let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let value = json::parse(&text, 1);
    Ok(Box::new(std::iter::once(Ok(Raw::Item(Item {
        place: SourcePlace::line(1),
        value,
        name,
        file: None,
    })))))
}

/// A file's extension in lower case, without the dot.
pub(super) fn extension(path: &Path) -> String {
    path.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase()
}
