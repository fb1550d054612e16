//! Places as editors count them: lines and columns from 0, columns in units of UTF-16 or in bytes. Converts them from and
//! to offsets; any position leads to an offset in the text.

use crate::diag::Span;
use gen_lsp_types::{Position, Range};

/// The unit of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    #[default]
    Utf16,
}

/// How many bytes are counted at once.
const BLOCK: usize = 1024;

/// The lines of a text.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where each line begins.
    starts: Vec<usize>,
    /// How many units are before each block of bytes; empty if a byte is a unit.
    units: Vec<usize>,
    length: usize,
}

impl Places {
    pub fn new(text: &str, encoding: Encoding) -> Places {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            // The second byte of a line's end ends it.
            if bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n') {
                starts.push(at + 1);
            }
        }
        let mut units = Vec::new();
        if encoding == Encoding::Utf16 && !text.is_ascii() {
            let mut before = 0;
            for block in bytes.chunks(BLOCK) {
                units.push(before);
                before += count(block);
            }
            units.push(before);
        }
        Places { starts, units, length: text.len() }
    }

    /// The position of an offset in the text.
    pub fn position(&self, text: &str, offset: usize) -> Position {
        let offset = offset.min(self.length);
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or_default();
        let column = self.units(text, offset).saturating_sub(self.units(text, start));
        Position { line: number(line), character: number(column) }
    }

    pub fn range(&self, text: &str, span: Span) -> Range {
        Range { start: self.position(text, span.start), end: self.position(text, span.end) }
    }

    /// The offset of a position; the end of its line or of the text if it is behind it.
    pub fn offset(&self, text: &str, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else { return self.length };
        let next = self.starts.get(line + 1).copied().unwrap_or(self.length);
        let Some(line) = text.get(start..next) else { return self.length };
        let end = start + line.trim_end_matches(['\n', '\r']).len();
        let wanted = self.units(text, start) + position.character as usize;
        let mut at = match self.units.is_empty() {
            true => wanted,
            false => self.search(text, wanted),
        };
        at = at.clamp(start, end);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// The span of a range; empty at its start if it ends before it.
    pub fn span(&self, text: &str, range: Range) -> Span {
        Span::new(self.offset(text, range.start), self.offset(text, range.end))
    }

    /// The units before an offset.
    fn units(&self, text: &str, offset: usize) -> usize {
        let block = offset / BLOCK;
        let counted = self.units.get(block);
        let part = text.as_bytes().get(block * BLOCK..offset).unwrap_or_default();
        counted.map_or(offset, |before| before + count(part))
    }

    /// The character that has so many units before it, or contains that place.
    fn search(&self, text: &str, wanted: usize) -> usize {
        let block = self.units.partition_point(|before| *before <= wanted).saturating_sub(1);
        let mut units = self.units.get(block).copied().unwrap_or_default();
        let from = block * BLOCK;
        for (at, byte) in text.as_bytes().get(from..).unwrap_or_default().iter().enumerate() {
            let width = width(*byte);
            if width > 0 && units + width > wanted {
                return from + at;
            }
            units += width;
        }
        text.len()
    }
}

/// The units of a character, at its first byte.
fn width(byte: u8) -> usize {
    match byte {
        0x80..=0xbf => 0,
        0xf0.. => 2,
        _ => 1,
    }
}

fn count(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| width(*byte)).sum()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn columns_are_those_of_utf_16() {
        let text = "a\u{1f600}b → c\r\nsecond\rthird\n";
        let places = Places::new(text, Encoding::Utf16);
        assert_eq!(places.position(text, text.find('b').unwrap()), at(0, 3));
        assert_eq!(places.position(text, text.find('c').unwrap()), at(0, 7));
        assert_eq!(places.position(text, text.find("second").unwrap()), at(1, 0));
        assert_eq!(places.position(text, text.find("third").unwrap()), at(2, 0));
        assert_eq!(places.position(text, text.len()), at(3, 0));
        // In the middle of a character, behind the end of a line, behind the end of the text.
        assert_eq!(places.offset(text, at(0, 2)), 1);
        assert_eq!(places.offset(text, at(0, 99)), text.find('\r').unwrap());
        assert_eq!(places.offset(text, at(99, 0)), text.len());
        let places = Places::new(text, Encoding::Utf8);
        assert_eq!(places.position(text, text.find('b').unwrap()), at(0, 5));
        assert_eq!(places.offset(text, at(0, 3)), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_character_is_found_again(text in "([a-z\u{e4}\u{2192}\u{1f600}\n\r]|[a-z]{300}){0,12}", utf8: bool) {
            let encoding = if utf8 { Encoding::Utf8 } else { Encoding::Utf16 };
            let places = Places::new(&text, encoding);
            for (offset, c) in text.char_indices() {
                let position = places.position(&text, offset);
                let line = text[..offset].replace("\r\n", "\n").matches(['\n', '\r']).count();
                let start = text[..offset].rfind(['\n', '\r']).map_or(0, |at| at + 1);
                let before = &text[start..offset];
                let column = if utf8 { before.len() } else { before.encode_utf16().count() };
                let inside = c == '\n' && text[..offset].ends_with('\r');
                if !inside {
                    prop_assert_eq!(position, at(line as u32, column as u32));
                    prop_assert_eq!(places.offset(&text, position), offset);
                }
            }
        }

        #[test]
        fn every_position_is_in_the_text(text in ".{0,60}", line in 0..9_u32, character: u32) {
            let places = Places::new(&text, Encoding::Utf16);
            prop_assert!(text.is_char_boundary(places.offset(&text, at(line, character))));
        }
    }
}
