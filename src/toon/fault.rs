//! What can be wrong with TOON text, with its place. Every problem is about one line.

use crate::value::words;
use std::fmt;
use std::ops::Range;

/// One problem: its line and the bytes of it to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub fault: Fault,
    /// From 1.
    pub line: u64,
    /// Where the line starts in the input, in bytes.
    pub line_start: u64,
    /// The line's text without its ending.
    pub text: String,
    /// Bytes of `text`.
    pub span: Range<usize>,
}

/// What is wrong in a TOON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    NotUtf8,
    /// A line or field longer than this many bytes.
    TooLong(usize),
    Tab,
    Indent {
        found: usize,
        expected: usize,
    },
    /// An indented line that belongs to nothing.
    Stray,
    /// Neither `key: value` nor a header.
    NoKey,
    /// Something beside a table or list that has no name.
    NotAlone,
    Header(String),
    DuplicateColumn(String),
    DuplicateField(String),
    Count {
        declared: u64,
        found: u64,
    },
    Width {
        expected: usize,
        found: usize,
    },
    Blank,
    ColonFirst,
    OpenQuote,
    AfterQuote,
    Escape,
    /// A problem that `toon-format` found in a field.
    Field(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotUtf8 => f.write_str("the line is not valid UTF-8"),
            Fault::TooLong(limit) => write!(f, "longer than {} MiB", limit >> 20),
            Fault::Tab => f.write_str("the line is indented with a tab"),
            Fault::Indent { found, expected } => {
                write!(f, "indented by {}, expected {expected}", words::count(*found, "space"))
            }
            Fault::Stray => f.write_str("this indented line belongs to no table or field"),
            Fault::NoKey => f.write_str("expected `key: value` or the header of a table"),
            Fault::NotAlone => f.write_str("a table without a name must be alone in its text"),
            Fault::Header(what) => f.write_str(what),
            Fault::DuplicateColumn(name) => write!(f, "duplicate column {name:?} in one header"),
            Fault::DuplicateField(name) => write!(f, "duplicate field {name:?}"),
            Fault::Count { declared, found } => {
                write!(f, "the header declares {}, the table has {found}", words::count(*declared, "row"))
            }
            Fault::Width { expected, found } => {
                write!(f, "the header has {}, this row has {found}", words::count(*expected, "column"))
            }
            Fault::Blank => f.write_str("blank line inside a table"),
            Fault::ColonFirst => f.write_str("the colon in the first cell ends the table"),
            Fault::OpenQuote => f.write_str("the quote is never closed"),
            Fault::AfterQuote => f.write_str("text after the closing quote"),
            Fault::Escape => f.write_str("unknown escape in a quoted text"),
            Fault::Field(what) => f.write_str(what),
        }
    }
}

impl Fault {
    /// What to do about it, if there is more to say than the message does.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Fault::NotUtf8 => "save the file as UTF-8",
            Fault::Tab => "indent with spaces",
            Fault::Indent { .. } => "all rows of a text have the indentation of the first one",
            Fault::NotAlone => "give every table a name: execution[3]{phase,status}:",
            Fault::Stray => "write rows below a header such as execution[3]{phase,status}:",
            Fault::NoKey | Fault::Header(_) => {
                "the header of a table is its name, the number of rows, the columns and a colon: execution[3]{phase,status}:"
            }
            Fault::Count { found, .. } => {
                return Some(format!("write [{found}], or restore what is missing"));
            }
            Fault::Width { .. } => "quote a cell that contains the delimiter; write null for an unknown one",
            Fault::Blank => "remove the line, or start another table with its own header",
            Fault::ColonFirst => "quote the cell: \"10:30\"",
            Fault::OpenQuote => "close it on the same line; a newline is written \\n, a quote \\\"",
            Fault::AfterQuote => "quote the whole cell; a quote inside is written \\\"",
            Fault::Escape => "the escapes are \\\\ \\\" \\n \\r \\t and \\u with four hexadecimal digits",
            Fault::TooLong(_) | Fault::DuplicateColumn(_) | Fault::DuplicateField(_) | Fault::Field(_) => {
                return None;
            }
        };
        Some(help.to_owned())
    }
}
