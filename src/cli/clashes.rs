//! Rejects a command that would write a file which it also uses for something else: its document, its settings, or the
//! file of another option.

use super::exit::{Exit, Stop};
use super::settings;
use super::stream;
use crate::diag::render::visible;
use crate::disk::{self, Target};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A regular file, whatever path leads to it.
#[derive(PartialEq)]
enum Identity {
    /// It exists on this device, with this number.
    Inode(u64, u64),
    /// It does not exist yet.
    Path(PathBuf),
}

impl Identity {
    /// `None` for standard input and output, folders, pipes and devices, and for paths that lead nowhere.
    fn of(path: &Path) -> Option<Identity> {
        if stream::is_standard(path) {
            return None;
        }
        if let Ok(about) = fs::metadata(path) {
            return about.is_file().then(|| Identity::Inode(about.dev(), about.ino()));
        }
        let Ok(Target::File(file)) = Target::of(path) else { return None };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = disk::real(folder.unwrap_or(Path::new("."))).ok()?;
        Some(Identity::Path(folder.join(file.file_name()?)))
    }
}

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
    let written = named(written);
    let mut others = named(others);
    others.insert(0, ("the document".to_owned(), document.to_owned()));
    // Problems with the settings are reported where they are read.
    let settings = settings::file_of(document).ok().flatten();
    others.extend(settings.map(|file| ("the settings".to_owned(), file)));
    for (index, (option, path)) in written.iter().enumerate() {
        let Some(own) = Identity::of(path) else { continue };
        let mut all = others.iter().chain(&written[index + 1..]);
        let Some((what, _)) = all.find(|(_, other)| Identity::of(other).as_ref() == Some(&own)) else {
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
