//! Reads TOON text of any size as a stream of tables, rows and fields, in constant memory.
//!
//! A problem is returned in its place and reading continues behind it, so one pass finds them all. A rejected line
//! inside a table still counts as one of its rows, so that one mistake is one problem.

use super::cell::Cell;
use super::fault::{Fault, Problem};
use super::header::{self, Line, Table};
use super::lines::{LONGEST, Lines};
use super::split::{Misread, split, trim};
use crate::value::Value;
use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;
use toon_format::{DecodeOptions, Indent, ToonError};

/// The next piece at the top level of a text.
#[derive(Debug)]
pub enum Node<'a> {
    /// A table begins; its rows follow.
    Table(&'a Table),
    /// A row of the last table.
    Row(Row<'a>),
    Field(Field),
}

/// A top-level field that is not a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// `None` if the value is the whole text.
    pub key: Option<String>,
    pub value: Value,
    /// The first line, from 1, with its text and its place in the input.
    pub line: u64,
    pub line_start: u64,
    pub text: String,
}

/// A row in place: as many cells as its table has columns.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// From 1.
    pub line: u64,
    /// Where the line starts in the input.
    pub line_start: u64,
    /// The whole line, indentation included.
    pub text: &'a str,
    cells: &'a [Range<usize>],
}

impl<'a> Row<'a> {
    pub fn cell(&self, column: usize) -> Option<Cell<'a>> {
        self.text.get(self.cells.get(column)?.clone()).map(Cell::new)
    }

    /// The bytes of a cell in [`Row::text`].
    pub fn span(&self, column: usize) -> Range<usize> {
        self.cells.get(column).cloned().unwrap_or(0..self.text.len())
    }

    pub fn cells(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let text = self.text;
        self.cells.iter().filter_map(move |span| text.get(span.clone()).map(Cell::new))
    }
}

/// Reads a TOON text node by node, and the rows of its tables one by one, in the memory of one row.
pub struct Reader<R> {
    lines: Lines<R>,
    /// The current line has not been processed yet.
    held: bool,
    /// The last table.
    table: Option<Table>,
    /// Whether rows of `table` may follow.
    open: bool,
    /// Rows of the open table so far.
    rows: u64,
    /// The first blank line after a row of the open table.
    blank: Option<Problem>,
    /// Spaces before a row; the first one decides.
    indent: Option<usize>,
    cells: Vec<Range<usize>>,
    fields: HashSet<String>,
    /// Names of tables; several tables may share one, but not with a field.
    tables: HashSet<String>,
    /// Whether the last line at the top level had a name; `None` before the first.
    named: Option<bool>,
    /// Indented lines belong to a rejected line.
    skipping: bool,
}

/// What was read, without the borrow.
enum NodeKind {
    Table,
    Row,
    Field(Field),
}

/// The shape of a line before it is parsed.
enum LineShape {
    Blank,
    Comment,
    Root,
    /// With so many spaces before it.
    Indented(usize),
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Self {
        Reader {
            lines: Lines::new(input),
            held: false,
            table: None,
            open: false,
            rows: 0,
            blank: None,
            indent: None,
            cells: Vec::new(),
            fields: HashSet::new(),
            tables: HashSet::new(),
            named: None,
            skipping: false,
        }
    }

    /// The next table, row or field, or a problem after which reading continues; `None` at the end.
    ///
    /// # Errors
    /// Read errors of the input.
    #[allow(clippy::should_implement_trait, reason = "it lends, which Iterator cannot")]
    pub fn next(&mut self) -> io::Result<Option<Result<Node<'_>, Problem>>> {
        Ok(match self.advance()? {
            None => None,
            Some(Err(problem)) => Some(Err(problem)),
            Some(Ok(NodeKind::Field(field))) => Some(Ok(Node::Field(field))),
            Some(Ok(NodeKind::Table)) => self.table.as_ref().map(|table| Ok(Node::Table(table))),
            Some(Ok(NodeKind::Row)) => Some(Ok(Node::Row(Row {
                line: self.lines.number,
                line_start: self.lines.start,
                text: str::from_utf8(self.lines.line()).unwrap_or_default(),
                cells: &self.cells,
            }))),
        })
    }

    /// The line that was read last, from 1, where it starts and its text.
    pub fn last_line(&self) -> (u64, u64, String) {
        let text = String::from_utf8_lossy(self.lines.line()).into_owned();
        (self.lines.number.max(1), self.lines.start, text)
    }

    fn advance(&mut self) -> io::Result<Option<Result<NodeKind, Problem>>> {
        loop {
            if !self.held && !self.lines.advance()? {
                return Ok(self.close().map(Err));
            }
            self.held = false;
            let shape = match self.shape() {
                Ok(shape) => shape,
                Err(misread) => {
                    self.rows += 1;
                    return Ok(Some(Err(self.problem(misread))));
                }
            };
            match shape {
                LineShape::Comment => {}
                LineShape::Blank if self.open && self.rows > 0 && self.blank.is_none() => {
                    self.blank = Some(self.problem((Fault::Blank, 0..self.lines.line().len())));
                }
                LineShape::Blank => {}
                LineShape::Root => {
                    if let Some(problem) = self.close() {
                        self.held = true;
                        return Ok(Some(Err(problem)));
                    }
                    return self.root().map(Some);
                }
                LineShape::Indented(indent) if self.open => return Ok(Some(self.row(indent))),
                LineShape::Indented(_) if self.skipping => {}
                LineShape::Indented(indent) => {
                    self.skipping = true;
                    let end = self.lines.line().len();
                    return Ok(Some(Err(self.problem((Fault::Stray, indent..end)))));
                }
            }
        }
    }

    fn shape(&self) -> Result<LineShape, Misread> {
        let line = self.lines.line();
        if self.lines.too_long {
            return Err((Fault::TooLong(LONGEST), 0..0));
        }
        let indent = line.iter().take_while(|byte| **byte == b' ').count();
        let shape = match line.get(indent) {
            None => LineShape::Blank,
            Some(b'#') => LineShape::Comment,
            Some(b'\t') => return Err((Fault::Tab, indent..indent + 1)),
            Some(_) if indent == 0 => LineShape::Root,
            Some(_) => LineShape::Indented(indent),
        };
        if line.is_ascii() || matches!(shape, LineShape::Comment) {
            return Ok(shape);
        }
        match str::from_utf8(line) {
            // The shown text has a replacement character there.
            Err(error) => Err((Fault::NotUtf8, error.valid_up_to()..error.valid_up_to() + 3)),
            Ok(_) => Ok(shape),
        }
    }

    /// Ends the open table; a problem if its number of rows differs from the header's.
    fn close(&mut self) -> Option<Problem> {
        self.blank = None;
        if !std::mem::take(&mut self.open) {
            return None;
        }
        let table = self.table.as_ref().filter(|table| table.count != self.rows)?;
        Some(Problem {
            fault: Fault::Count { declared: table.count, found: self.rows },
            line: table.line,
            line_start: table.line_start,
            text: table.text.clone(),
            span: table.count_span.clone(),
        })
    }

    fn row(&mut self, indent: usize) -> Result<NodeKind, Problem> {
        if let Some(problem) = self.blank.take() {
            self.held = true;
            return Err(problem);
        }
        self.rows += 1;
        let expected = *self.indent.get_or_insert(indent);
        if indent != expected {
            return Err(self.problem((Fault::Indent { found: indent, expected }, 0..indent)));
        }
        let line = self.lines.line();
        let line = &line[..trim(line, indent..line.len()).end];
        let table = self.table.as_ref();
        let delimiter = table.map_or(b',', |table| table.delimiter);
        split(line, indent, delimiter, &mut self.cells).map_err(|misread| self.problem(misread))?;
        let expected = table.map_or(0, |table| table.columns.len());
        let found = self.cells.len();
        if found != expected {
            let end = line.len();
            let start = self.cells.get(expected).map_or(end, |surplus| surplus.start);
            return Err(self.problem((Fault::Width { expected, found }, start..end)));
        }
        Ok(NodeKind::Row)
    }

    fn root(&mut self) -> io::Result<Result<NodeKind, Problem>> {
        self.skipping = false;
        let text = str::from_utf8(self.lines.line()).unwrap_or_default().trim_end_matches(' ');
        let named = !text.starts_with('[');
        let before = self.named.replace(named);
        if before.is_some_and(|before| !before || !named) {
            self.skipping = true;
            return Ok(Err(self.problem((Fault::NotAlone, 0..text.len()))));
        }
        Ok(match header::read(text) {
            Err(misread) => {
                self.skipping = true;
                Err(self.problem(misread))
            }
            Ok(Line::Field) => return self.field(),
            Ok(Line::Table(Table { key: Some(key), .. })) if self.fields.contains(&key) => {
                self.skipping = true;
                Err(self.problem((Fault::DuplicateField(key), 0..text.len())))
            }
            Ok(Line::Table(table)) => {
                self.tables.extend(table.key.clone());
                let place = (self.lines.number, self.lines.start);
                self.table = Some(Table { line: place.0, line_start: place.1, ..table });
                self.open = true;
                self.rows = 0;
                Ok(NodeKind::Table)
            }
        })
    }

    /// Reads a field with the lines below it and lets `toon-format` parse it.
    fn field(&mut self) -> io::Result<Result<NodeKind, Problem>> {
        let first = self.problem((Fault::NoKey, 0..0));
        let mut chunk = Chunk { text: first.text.clone() + "\n", starts: vec![(first.line_start, 0)] };
        let mut too_long = false;
        while self.lines.advance()? {
            match self.shape() {
                Ok(LineShape::Root) => {
                    self.held = true;
                    break;
                }
                Ok(LineShape::Indented(indent)) => {
                    self.indent.get_or_insert(indent);
                }
                Ok(LineShape::Blank | LineShape::Comment) => {}
                Err(misread) => {
                    self.skipping = true;
                    return Ok(Err(self.problem(misread)));
                }
            }
            too_long |= chunk.text.len() > LONGEST;
            if !too_long {
                chunk.push(self.lines.start, self.lines.line());
            }
        }
        if too_long {
            let span = 0..first.text.len();
            return Ok(Err(Problem { fault: Fault::TooLong(LONGEST), span, ..first }));
        }
        Ok(chunk.decode(self.indent, first, &self.tables, &mut self.fields).map(NodeKind::Field))
    }

    fn problem(&self, (fault, span): Misread) -> Problem {
        Problem {
            fault,
            line: self.lines.number,
            line_start: self.lines.start,
            text: String::from_utf8_lossy(self.lines.line()).into_owned(),
            span,
        }
    }
}

/// The lines of one field.
struct Chunk {
    text: String,
    /// Where each line starts: in the input and in `text`.
    starts: Vec<(u64, usize)>,
}

impl Chunk {
    fn push(&mut self, start: u64, line: &[u8]) {
        self.starts.push((start, self.text.len()));
        self.text.push_str(&String::from_utf8_lossy(line));
        self.text.push('\n');
    }

    fn decode(
        self,
        indent: Option<usize>,
        first: Problem,
        tables: &HashSet<String>,
        fields: &mut HashSet<String>,
    ) -> Result<Field, Problem> {
        let options = DecodeOptions::new().with_indent(Indent::Spaces(indent.unwrap_or(2)));
        let value = toon_format::decode::<Value>(&self.text, &options)
            .map_err(|error| self.problem(&first, error))?;
        let place = (first.line, first.line_start);
        let (key, value) = match value {
            Value::Object(object) if object.len() == 1 && !first.text.starts_with('[') => {
                object.into_iter().next().map_or((None, Value::Null), |(key, value)| (Some(key), value))
            }
            whole => (None, whole),
        };
        if let Some(key) = &key
            && (tables.contains(key) || !fields.insert(key.clone()))
        {
            let span = 0..first.text.len();
            return Err(Problem { fault: Fault::DuplicateField(key.clone()), span, ..first });
        }
        Ok(Field { key, value, line: place.0, line_start: place.1, text: first.text })
    }

    fn problem(&self, first: &Problem, error: ToonError) -> Problem {
        let (line, what) = match error {
            ToonError::ParseError { line, message, .. } => (line.max(1), message),
            other => (1, other.to_string()),
        };
        let nth = line.min(self.starts.len()) - 1;
        let (line_start, at) = self.starts[nth];
        let text = self.text[at..].lines().next().unwrap_or_default().to_owned();
        let span = text.len() - text.trim_start_matches(' ').len()..text.len();
        let fault = Fault::Field(lower_first(&what));
        Problem { fault, line: first.line + nth as u64, line_start, text, span }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
