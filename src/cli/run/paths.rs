//! Checks paths that a run stores and that its agents get: both must be text.

use super::super::exit::{Exit, Stop};
use super::super::stream;
use crate::diag::render::visible;
use crate::history::RunOptions;
use anyhow::Context;
use std::path::Path;

/// Rejects a run whose options have paths that are not text.
///
/// # Errors
/// Stops at the first of them.
pub fn check(options: &RunOptions) -> anyhow::Result<()> {
    let items = options.items.as_deref().filter(|items| !stream::is_standard(items));
    for (what, path) in
        [("document", Some(&*options.file)), ("items", items), ("trace", options.trace_file())]
    {
        path.map_or(Ok(()), |path| text(&format!("the path of the {what}"), path))?;
    }
    let here = std::env::current_dir().context("cannot read the current folder")?;
    Ok(text("the path of the current folder", &here)?)
}

/// Rejects a path that is not text.
///
/// # Errors
/// Stops if it is not.
pub fn text(what: &str, path: &Path) -> Result<(), Stop> {
    if path.to_str().is_some() {
        return Ok(());
    }
    let shown = visible(&path.display().to_string());
    let help = "rename it: runs store paths as text, and agents get them as text";
    Err(Stop::new(Exit::Usage, format!("{what}, `{shown}`, is not UTF-8; nothing was run")).help(help))
}
