//! The names of folders in the folder of a run: safe in every path, readable in every script.

use crate::event::ItemId;

/// The name of the item's folder: its number distinguishes keys that look alike once they are made safe for a path.
/// Letters of all scripts are preserved, since a path must be readable.
pub fn folder_name(item: ItemId, key: &str) -> String {
    folder_with(item, key, char::is_alphanumeric)
}

/// The same in runs of earlier versions.
pub(super) fn old_folder_name(item: ItemId, key: &str) -> String {
    folder_with(item, key, |c| c.is_ascii_alphanumeric())
}

fn folder_with(item: ItemId, key: &str, fits: impl Fn(char) -> bool) -> String {
    if item == ItemId::RUN {
        return "run".to_owned();
    }
    let safe = |c: char| if fits(c) || matches!(c, '-' | '_') { c } else { '_' };
    // File names have up to 255 bytes, and a character up to 4.
    let key: String = key.chars().map(safe).take(60).collect();
    format!("{:06}-{key}", item.0)
}

/// The name of an attempt in the run's folder.
pub fn attempt_name(phase: &str, element: Option<u32>, attempt: u32) -> String {
    let element = element.map(|element| format!(".{element}")).unwrap_or_default();
    format!("{}{element}.{attempt}", safe(phase))
}

/// How long a name may be in the path of a nested run, in bytes. Documents run documents, and SQLite opens no file whose
/// path has more than 512 bytes.
const SHORT: usize = 40;

/// A name that leaves room for others in a path; a longer one ends in a hash.
pub(super) fn short(name: &str) -> String {
    if name.len() <= SHORT { name.to_owned() } else { cut(name, SHORT - 9, name) }
}

/// The same for the name of an attempt, whose numbers remain.
pub(super) fn short_attempt(name: &str) -> String {
    match name.split_once('.') {
        Some((phase, numbers)) => format!("{}.{numbers}", short(phase)),
        None => short(name),
    }
}

/// The longest name of a file, in bytes: below the limit of file systems, with room for suffixes.
const LONGEST: usize = 200;

/// A name that is safe in every path, and readable in every script. One that is too long ends in a hash, so that names
/// remain unique.
pub(super) fn safe(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if safe.len() <= LONGEST {
        return safe;
    }
    cut(&safe, LONGEST, name)
}

/// At most so many bytes of a name, and the hash of the whole.
fn cut(name: &str, most: usize, whole: &str) -> String {
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let end = (0..=most).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    format!("{}-{}", &name[..end], &hash[..8])
}
