//! Items as JSON lines: a value a line; blank lines are allowed.

use super::json;
use super::raw::{LARGEST, Raw, SourcePlace};
use std::io::{self, BufRead, Read};

pub(super) struct Lines<R> {
    reader: R,
    line: u64,
    /// The rest of the input is not JSON lines.
    over: bool,
    /// No item has been read yet.
    first: bool,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Self {
        Lines { reader, line: 0, over: false, first: true }
    }

    /// Reads a line with its end, up to one byte more than the limit.
    fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.reader.by_ref().take(LARGEST as u64 + 1).read_until(b'\n', bytes)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = anyhow::Result<Raw>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            let mut bytes = Vec::new();
            match self.read(&mut bytes) {
                Err(error) => return Some(Err(error.into())),
                Ok(0) => return None,
                Ok(_) => self.line += 1,
            }
            let place = SourcePlace::line(self.line);
            if bytes.len() > LARGEST {
                // Finding the end of the line would require reading it all.
                self.over = true;
                let long = place.fault(format!("longer than {} MiB", LARGEST >> 20));
                return Some(Ok(Raw::item(place, Err(vec![long]))));
            }
            // A byte order mark is only allowed at the start of a file.
            let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) if self.line == 1 => rest,
                _ => &bytes,
            };
            if !bytes.trim_ascii().is_empty() {
                if self.first && opens(bytes) {
                    self.over = true;
                    let why = "the value continues in the next line, but in JSON lines each line is a whole value; \
                               if the file is one JSON document, name it .json";
                    return Some(Ok(Raw::item(place, Err(vec![place.fault(why.to_owned())]))));
                }
                self.first = false;
                let value = json::text(bytes, self.line).and_then(|text| json::parse(text, self.line));
                return Some(Ok(Raw::item(place, value)));
            }
        }
        None
    }
}

/// Whether a line is only the beginning of an object or a list that spans several lines.
fn opens(line: &[u8]) -> bool {
    matches!(line.trim_ascii(), b"{" | b"[" | b"[{")
}
