//! Folders and globs: a file an item. A JSON file is its value, any other file its text; where the workflow takes
//! a `File`, every file is its path.

use super::file;
use super::json;
use super::raw::{Item, LARGEST, Place, Raw};
use super::shape::Shape;
use crate::value::Value;
use anyhow::Context;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a folder in the order of their names; hidden ones and what lies in folders below are none of them.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the items in {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a path may be a glob.
pub(super) fn is_glob(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// The files that a glob matches, in the order of their paths; hidden ones only where it says so.
///
/// # Errors
/// When it is no glob, or a folder cannot be read.
pub(super) fn matching(pattern: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = pattern.to_str().context("a glob must be UTF-8")?;
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::default()
    };
    let found = glob::glob_with(text, options);
    let found = found.map_err(|error| anyhow::anyhow!("\"{text}\" is no glob: {}", error.msg))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(std::io::Error::from)?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The item that a file is.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn item(path: &Path, shape: &Shape) -> anyhow::Result<Raw> {
    let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let value = if shape.takes_file() {
        let path = std::path::absolute(path)?;
        let text = path.to_str().map(Value::from);
        text.ok_or_else(|| vec![Place::line(1).fault("the file's path is no UTF-8")])
    } else {
        value(path)?
    };
    Ok(Raw::Item(Item { place: Place::line(1), value, name, file: Some(Arc::from(path)) }))
}

fn value(path: &Path) -> anyhow::Result<Result<Value, Vec<super::raw::Fault>>> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes));
    file.with_context(|| format!("cannot read the item in {}", path.display()))?;
    if bytes.len() > LARGEST {
        let message = format!("larger than {} MiB; let the workflow take a File", LARGEST >> 20);
        return Ok(Err(vec![Place::line(1).fault(message)]));
    }
    Ok(json::text(&bytes, 1).and_then(|text| match file::extension(path).as_str() {
        "json" => json::parse(text, 1),
        _ => Ok(Value::from(text)),
    }))
}
