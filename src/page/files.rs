//! Files that steps made: their sizes, and the beginnings of those that are text.

use super::details::lines;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::ItemId;
use crate::history::History;
use crate::runtime::{Finder, paths};
use crate::value::Value;
use serde::Serialize;
use std::cell::Cell;
use std::io::Read;

/// The most files that are looked at, the characters of one that are shown, how many bytes are read beyond them, so that
/// no part of a secret remains at the end, and the bytes of all.
const FILES: usize = 2000;
const SHOWN: usize = 4000;
const BEYOND: usize = 4096;
const ALL: usize = 1 << 20;

/// A file on the page.
#[derive(Clone, Serialize)]
pub struct PageFile {
    /// Below the folder of all items.
    path: String,
    /// `None` if it is gone.
    bytes: Option<u64>,
    /// The beginning, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Reads files as long as there is room.
pub struct FileReader {
    finder: Option<Finder>,
    files: Cell<usize>,
    bytes: Cell<usize>,
}

impl FileReader {
    pub fn new(history: &History) -> FileReader {
        let finder = Finder::open(history.home()).ok();
        FileReader { finder, files: Cell::new(FILES), bytes: Cell::new(ALL) }
    }

    /// The files of a value that an item made.
    pub fn of(&self, item: ItemId, key: &str, value: &Value, redactor: &Redactor) -> Vec<PageFile> {
        let Some(finder) = &self.finder else { return Vec::new() };
        let mut all = Vec::new();
        for path in paths(value) {
            if self.files.get() == 0 {
                break;
            }
            self.files.set(self.files.get() - 1);
            let Ok((below, file)) = finder.file(path, (item, key)) else {
                all.push(PageFile { path: visible(path), bytes: None, text: None });
                continue;
            };
            let bytes = file.metadata().ok().map(|about| about.len());
            let mut start = Vec::new();
            let most = SHOWN.min(self.bytes.get());
            let read = file.take((most + BEYOND) as u64).read_to_end(&mut start).is_ok();
            let text = Some(start).filter(|_| read && most > 0).and_then(|start| text(&start));
            let text = text.map(|mut text| {
                redactor.shown_text(item, &mut text);
                let text: String = text.chars().take(most).collect();
                self.bytes.set(self.bytes.get().saturating_sub(text.len()));
                lines(&text)
            });
            all.push(PageFile { path: visible(&below), bytes, text });
        }
        all
    }
}

/// Bytes as text, without a character that is cut off at the end.
fn text(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then(|| text.to_owned())
}
