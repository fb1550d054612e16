//! Instructions: a step's own paragraphs and lists, which its agent gets, with values for `{{ … }}`. The text between
//! these is an expression as in conditions.

use super::body::Part;
use super::markdown::{Holder, Kind, lines, trim};
use super::model::{Instructions, Piece, Spanned};
use crate::condition;
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::value::Value;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
/// How an author escapes two braces.
const ESCAPED: &str = "\\{{";

/// The language of a fence that is part of the instructions.
const FENCE: &str = "prompt";

/// Reads those of a step; `signature` is the line that was read as one, if any. `written` is the text with its own
/// white space.
pub(super) fn read(
    text: &str,
    written: &str,
    part: &Part,
    signature: Option<Span>,
    problems: &mut Vec<Diagnostic>,
) -> Instructions {
    let mut reader = Reader { written, pieces: Vec::new(), said: String::new(), problems };
    let from = part.head.as_ref().map_or(0, |head| head.line.end);
    for block in &part.blocks {
        let mut gap = if reader.is_empty() { "" } else { "\n\n" };
        let mut line = |reader: &mut Reader, span: Span, code: bool| {
            reader.said.push_str(std::mem::replace(&mut gap, "\n"));
            if code { reader.said.push_str(&written[span.start..span.end]) } else { reader.line(span) }
        };
        match &block.kind {
            Kind::Paragraph => {
                for span in lines(text, block.span).filter(|span| span.start >= from) {
                    if Some(span) != signature && !part.is_spoken(span) {
                        line(&mut reader, span, false);
                    }
                }
            }
            Kind::Container(container) if !part.is_spoken(block.span) => {
                for span in lines(text, block.span).filter(|span| !part.decides(*span)) {
                    let quote =
                        if container.holder == Holder::Quote { unquoted(text, written, span) } else { span };
                    line(&mut reader, quote, container.in_fence(span));
                }
            }
            Kind::Fence(fence) if text[fence.info.start..fence.info.end].trim() == FENCE => {
                for span in lines(text, fence.content) {
                    line(&mut reader, span, false);
                }
            }
            _ => {}
        }
    }
    reader.finish()
}

/// Reads lines of prose as one, such as the question of a gate.
pub(super) fn of_lines(written: &str, all: &[Span], problems: &mut Vec<Diagnostic>) -> Instructions {
    let mut reader = Reader { written, pieces: Vec::new(), said: String::new(), problems };
    for (at, span) in all.iter().enumerate() {
        reader.said.push_str(if at == 0 { "" } else { " " });
        reader.line(*span);
    }
    reader.finish()
}

/// A line of a quote without the mark of the outermost one.
fn unquoted(text: &str, written: &str, line: Span) -> Span {
    let said = &text[line.start..line.end];
    let Some(rest) = said.trim_start().strip_prefix('>') else { return line };
    let start = line.end - rest.strip_prefix(' ').unwrap_or(rest).len();
    // A space of another keyboard is longer than the one that it is read as.
    let start = (start..line.end).find(|at| written.is_char_boundary(*at));
    Span::new(start.unwrap_or(line.end), line.end)
}

struct Reader<'a, 'p> {
    written: &'a str,
    pieces: Vec<Piece>,
    /// The text after the last piece.
    said: String,
    problems: &'p mut Vec<Diagnostic>,
}

impl Reader<'_, '_> {
    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.said.is_empty()
    }

    /// A line of prose: values are outside of its code.
    fn line(&mut self, line: Span) {
        let mut at = line.start;
        while let Some(found) = self.written[at..line.end].find(['`', '{', '\\']).map(|found| at + found) {
            self.said.push_str(&self.written[at..found]);
            let rest = &self.written[found..line.end];
            at = if rest.starts_with('`') {
                found + code(rest)
            } else if rest.starts_with(ESCAPED) {
                self.said.push_str(OPEN);
                at = found + ESCAPED.len();
                continue;
            } else if let Some(inner) = rest.strip_prefix(OPEN) {
                match inner.find(CLOSE) {
                    Some(length) => {
                        let start = found + OPEN.len();
                        self.value(Span::new(start, start + length));
                        at = start + length + CLOSE.len();
                        continue;
                    }
                    None => {
                        self.problems.push(problem::value_unclosed(Span::new(found, found + OPEN.len())));
                        line.end
                    }
                }
            } else {
                found + 1
            };
            self.said.push_str(&self.written[found..at]);
        }
        self.said.push_str(&self.written[at..line.end]);
    }

    fn value(&mut self, span: Span) {
        let span = trim(self.written, span.start..span.end);
        match condition::parse(&self.written[span.start..span.end]) {
            Ok(value) => {
                if !self.said.is_empty() {
                    self.pieces.push(Piece::Text(std::mem::take(&mut self.said)));
                }
                self.pieces.push(Piece::Value(Spanned::new(value, span)));
            }
            Err(wrong) => {
                let at = Span::new(span.start + wrong.at.start, span.start + wrong.at.end);
                self.problems.push(problem::bad_value(at, &wrong.message));
            }
        }
    }

    fn finish(mut self) -> Instructions {
        if !self.said.is_empty() {
            self.pieces.push(Piece::Text(self.said));
        }
        Instructions { pieces: self.pieces }
    }
}

/// The length of a code span at the start of a line's rest, or of its backticks where they open none.
fn code(rest: &str) -> usize {
    let ticks = rest.bytes().take_while(|byte| *byte == b'`').count();
    let mut at = ticks;
    while let Some(found) = rest[at..].find('`').map(|found| at + found) {
        let closing = rest[found..].bytes().take_while(|byte| *byte == b'`').count();
        at = found + closing;
        if closing == ticks {
            return at;
        }
    }
    ticks
}

impl Instructions {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The text with its expressions as they are written.
    pub fn text(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(said) => said.clone(),
            Piece::Value(wanted) => format!("{{{{ {} }}}}", wanted.value.text),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// The text for one attempt; `value` gives the values by their names in conditions. A text is inserted unchanged,
    /// everything else as JSON.
    ///
    /// # Errors
    /// Which value is missing, and why.
    pub fn filled<'v>(&self, value: &dyn Fn(&str) -> Option<&'v Value>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(said) => text.push_str(said),
                Piece::Value(wanted) => match wanted.value.value(value) {
                    Ok(Value::String(said)) => text.push_str(&said),
                    Ok(other) => text.push_str(&other.to_string()),
                    Err(fault) => {
                        return Err(format!(
                            "the instructions need {{{{ {} }}}}: {}",
                            wanted.value.text, fault.message
                        ));
                    }
                },
            }
        }
        Ok(text)
    }
}
