//! A document's text and the places in it. Offsets are bytes; lines and columns are for people.

/// A range of bytes in a source, end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end: end.max(start) }
    }

    /// The smallest span that contains both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Span::new(range.start, range.end)
    }
}

/// A place as people count it: both numbers start at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// A text with a display name; turns offsets into lines and columns.
#[derive(Debug)]
pub struct Source {
    /// The path as the user typed it.
    pub name: String,
    pub text: String,
    line_starts: Vec<usize>,
    /// Lines before the text, if it is an excerpt of a longer one.
    before: usize,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let newlines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        let line_starts = std::iter::once(0).chain(newlines).collect();
        Source { name: name.into(), text, line_starts, before: 0 }
    }

    /// An excerpt of a longer text; `line` is the number of its first line, from 1. Offsets are those in the excerpt.
    pub fn excerpt(name: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Source { before: line.saturating_sub(1), ..Source::new(name, text) }
    }

    /// A source from bytes. If they are not UTF-8, also returns the first invalid byte, and the text has replacement
    /// characters from there on.
    pub fn decode(name: impl Into<String>, bytes: Vec<u8>) -> (Self, Option<usize>) {
        match String::from_utf8(bytes) {
            Ok(text) => (Source::new(name, text), None),
            Err(error) => {
                let broken = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                (Source::new(name, text), Some(broken))
            }
        }
    }

    /// The text of a span; empty if the span is outside the text or cuts a character.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let column = String::from_utf8_lossy(&self.text.as_bytes()[start..offset]).chars().count() + 1;
        // A byte order mark has no column of its own.
        let marked = line == 1 && column > 1 && self.text.starts_with('\u{feff}');
        Position { line: line + self.before, column: column - usize::from(marked) }
    }

    /// The span of a line's text, counted from 1, without its line ending.
    pub fn line(&self, line: usize) -> Span {
        let line = line - self.before;
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        let text = &self.text[start..end];
        Span::new(start, start + text.trim_end_matches(['\n', '\r']).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_survive_crlf_and_bom() {
        let source = Source::new("x.md", "\u{feff}a → b\r\nzwei\n");
        assert_eq!(source.position(3), Position { line: 1, column: 1 });
        assert_eq!(source.position(8), Position { line: 1, column: 4 });
        let zwei = source.text.find("zwei").unwrap();
        assert_eq!(source.position(zwei + 1), Position { line: 2, column: 2 });
        assert_eq!(source.slice(source.line(2)), "zwei");
        assert_eq!(source.position(999).line, 3);
    }
}
