//! Rejects a command that would write a file which it also uses for something else: its document, its settings, or the
//! file of another option.

use super::exit::{Exit, Stop};
use super::settings;
use super::stream;
use crate::diag::render::visible;
use crate::disk::FileIdentity;
use std::path::{Path, PathBuf};

/// Rejects options that write the document, its settings, or a file that is also in another place. `written` are the
/// options that name a file to be written; `others` are further files of the command, by their option or by what they
/// are. `end` is what did not happen.
///
/// # Errors
/// Stops at the first of them.
pub fn refuse(
    document: &Path,
    written: &[(&str, Option<&Path>)],
    others: &[(&str, Option<&Path>)],
    end: &str,
) -> Result<(), Stop> {
    let named = |all: &[(&str, Option<&Path>)]| -> Vec<(String, PathBuf)> {
        let named = |(what, path): &(&str, Option<&Path>)| Some(((*what).to_owned(), (*path)?.to_owned()));
        all.iter().filter_map(named).collect()
    };
    // `-` is standard output.
    let identity = |path: &Path| FileIdentity::of(path).filter(|_| !stream::is_standard(path));
    let written = named(written);
    let mut others = named(others);
    others.insert(0, ("the document".to_owned(), document.to_owned()));
    // Problems with the settings are reported where they are read.
    let settings = settings::file_of(document).ok().flatten();
    others.extend(settings.map(|file| ("the settings".to_owned(), file)));
    for (index, (option, path)) in written.iter().enumerate() {
        let Some(own) = identity(path) else { continue };
        let mut all = others.iter().chain(&written[index + 1..]);
        let Some((what, _)) = all.find(|(_, other)| identity(other).as_ref() == Some(&own)) else {
            continue;
        };
        let shown = visible(&path.display().to_string());
        let message = match what.starts_with("--") {
            true => format!("`{option}` and `{what}` name the same file: {shown}; {end}"),
            false => format!("`{option}` names {what}: {shown}; {end}"),
        };
        return Err(Stop::new(Exit::Usage, message).help(format!("name another file with {option}")));
    }
    Ok(())
}
