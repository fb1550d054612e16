//! The header of a table: `key[N]{field,group{a,b}}:`.

use super::cell::{Cell, quoted};
use super::fault::Fault;
use super::split::{Misread, closed, unquoted};
use nom::branch::alt;
use nom::bytes::complete::take_while;
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{map_res, opt, verify};
use nom::sequence::terminated;
use nom::{IResult, Parser};
use std::collections::HashSet;
use std::ops::Range;

/// How deep field groups may nest.
const DEPTH: usize = 64;

/// The most memory that the names of all columns may take, in bytes: each with the groups around it and the cost of
/// storing them.
const NAMES: usize = 8 << 20;

/// A table's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `None` for a table that is the whole text.
    pub key: Option<String>,
    /// How many rows it promises.
    pub count: u64,
    pub delimiter: u8,
    /// One for each cell of a row.
    pub columns: Vec<Column>,
    /// The line of the header, from 1, with its text and its place in the input.
    pub line: u64,
    pub line_start: u64,
    pub text: String,
    /// The count's bytes in `text`.
    pub count_span: Range<usize>,
}

/// A column: its name, or the names of the groups around it and then its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub path: Vec<String>,
    /// Bytes of the header's text.
    pub span: Range<usize>,
}

impl Column {
    /// The name, groups and all, with dots between.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// The kind of a line at the top level.
pub(super) enum Line {
    Table(Table),
    /// Anything else with a key, or another form of header.
    Field,
}

/// Reads a top-level line. The place of the table in the input is left to the caller.
pub(super) fn read(text: &str) -> Result<Line, Misread> {
    let bytes = text.as_bytes();
    let open = if bytes.first() == Some(&b'"') {
        let end = closed(text, 0)?;
        (bytes.get(end) == Some(&b'[')).then_some(end)
    } else {
        unquoted(bytes, 0, b'[')
    };
    let colon = unquoted(bytes, 0, b':');
    let Some(open) = open.filter(|open| colon.is_none_or(|colon| *open < colon)) else {
        return if colon.is_some() { Ok(Line::Field) } else { no_key(text) };
    };
    if colon.is_none() {
        return no_key(text);
    }
    let (rest, segment) =
        segment(&text[open..]).map_err(|_| bad(text, open, "expected the number of rows in brackets"))?;
    let close = text.len() - rest.len();
    if segment.keyed || rest.starts_with(':') {
        return Ok(Line::Field);
    }
    if !rest.starts_with('{') {
        return Err(bad(text, close, "expected `{` or `:` after the brackets"));
    }
    let columns = columns(text, close, segment.delimiter)?;
    let key = key(text, open)?;
    let count_end = open + 1 + segment.digits;
    Ok(Line::Table(Table {
        key,
        count: segment.count,
        delimiter: segment.delimiter,
        columns,
        line: 0,
        line_start: 0,
        text: text.to_owned(),
        count_span: open + 1..count_end,
    }))
}

fn no_key(text: &str) -> Result<Line, Misread> {
    match text {
        // The whole text may be an empty list.
        "[]" => Ok(Line::Field),
        _ if text.contains('[') => Err(bad(text, text.len(), "the header does not end with a colon")),
        _ => Err((Fault::NoKey, 0..text.len())),
    }
}

fn key(text: &str, end: usize) -> Result<Option<String>, Misread> {
    let raw = &text[..end];
    if raw.ends_with([' ', '\t']) {
        return Err(bad(text, end - 1, "space between the name and the brackets"));
    }
    Ok((!raw.is_empty()).then(|| Cell::new(raw).text().into_owned()))
}

struct Segment {
    count: u64,
    /// Length of the count's text.
    digits: usize,
    keyed: bool,
    delimiter: u8,
}

/// Reads `[N]`, `[N|]` or `[N:]`.
fn segment(input: &str) -> IResult<&str, Segment> {
    let number = verify(digit1, |digits: &str| digits == "0" || !digits.starts_with('0'));
    let number = map_res(number, |digits: &str| digits.parse().map(|count| (count, digits.len())));
    let inner = (char('['), number, opt(char(':')), opt(one_of("|\t")));
    let (rest, (_, (count, digits), keyed, delimiter)) = terminated(inner, char(']')).parse(input)?;
    let delimiter = delimiter.map_or(b',', |delimiter| delimiter as u8);
    Ok((rest, Segment { count, digits, keyed: keyed.is_some(), delimiter }))
}

/// The columns in the braces at `open`; a colon must follow and end the line.
fn columns(text: &str, open: usize, delimiter: u8) -> Result<Vec<Column>, Misread> {
    let mut reader =
        Fields { text, at: open + 1, delimiter: char::from(delimiter), found: Vec::new(), taken: 0 };
    reader.group(&mut Vec::new())?;
    let rest = text[reader.at..].trim_end_matches(' ');
    match rest.strip_prefix(':') {
        Some("") => Ok(reader.found),
        Some(_) => Err(bad(text, reader.at + 1, "text after the header's colon")),
        None => Err(bad(text, reader.at, "expected a colon after the columns")),
    }
}

struct Fields<'a> {
    text: &'a str,
    at: usize,
    delimiter: char,
    found: Vec<Column>,
    /// The bytes that the names of the columns found take.
    taken: usize,
}

impl Fields<'_> {
    /// Reads the fields of one group up to and with its closing brace.
    fn group(&mut self, path: &mut Vec<String>) -> Result<(), Misread> {
        if path.len() > DEPTH {
            return Err(bad(self.text, self.at, "groups of columns are nested too deep"));
        }
        let mut names = HashSet::new();
        loop {
            self.spaces();
            let start = self.at;
            let name = self.name()?;
            let span = start..self.at;
            if !names.insert(name.clone()) {
                return Err((Fault::DuplicateColumn(name), span));
            }
            path.push(name);
            if self.text[self.at..].starts_with('{') {
                self.at += 1;
                self.group(path)?;
            } else {
                self.column(path, span)?;
            }
            path.pop();
            self.spaces();
            match self.text[self.at..].chars().next() {
                Some('}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(found) if found == self.delimiter => self.at += 1,
                Some(',' | '|' | '\t') => {
                    return Err(bad(
                        self.text,
                        self.at,
                        "the columns use another delimiter than the brackets",
                    ));
                }
                Some(':') | None => {
                    return Err(bad(self.text, self.at, "the brace of the columns is never closed"));
                }
                Some(_) => return Err(bad(self.text, self.at, "text after a column's name")),
            }
        }
    }

    fn column(&mut self, path: &[String], span: Range<usize>) -> Result<(), Misread> {
        self.taken += path.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>();
        if self.taken > NAMES {
            return Err(bad(self.text, span.start, "the columns and the groups around them are too many"));
        }
        self.found.push(Column { path: path.to_vec(), span });
        Ok(())
    }

    fn name(&mut self) -> Result<String, Misread> {
        let rest = &self.text[self.at..];
        if rest.starts_with('"') {
            closed(self.text, self.at)?;
        }
        let plain = take_while(|c| !matches!(c, ',' | '|' | '\t' | '{' | '}' | '"'));
        let (_, raw) = alt((quoted, plain)).parse(rest).map_err(|_: nom::Err<nom::error::Error<&str>>| {
            bad(self.text, self.at, "expected the name of a column")
        })?;
        let raw = raw.trim_end_matches(' ');
        if raw.is_empty() {
            return Err(bad(self.text, self.at, "expected the name of a column"));
        }
        self.at += raw.len();
        Ok(Cell::new(raw).text().into_owned())
    }

    fn spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches(' ').len();
    }
}

/// A header's fault at one character.
fn bad(text: &str, at: usize, what: &str) -> Misread {
    let width = text[at..].chars().next().map_or(0, char::len_utf8);
    (Fault::Header(what.to_owned()), at..at + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        match read(text) {
            Ok(Line::Table(table)) => table,
            Ok(Line::Field) => panic!("{text} is a field"),
            Err(misread) => panic!("{text}: {misread:?}"),
        }
    }

    fn names(table: &Table) -> Vec<String> {
        table.columns.iter().map(Column::name).collect()
    }

    #[test]
    fn headers_of_every_form_are_read() {
        let plain = table("execution[12]{phase, status}:");
        assert_eq!((plain.key.as_deref(), plain.count, plain.delimiter), (Some("execution"), 12, b','));
        assert_eq!(
            (names(&plain), &plain.text[plain.count_span]),
            (vec!["phase".into(), "status".into()], "12")
        );
        assert_eq!(table("[0]{a}:").key, None);
        assert_eq!(table("\"a:b\"[1|]{x|\"y,z\"}:").key.as_deref(), Some("a:b"));
        assert_eq!(names(&table("t[1\t]{a\tb{c\td{e}}}:")), ["a", "b.c", "b.d.e"]);
    }

    #[test]
    fn other_lines_are_fields() {
        for text in ["a: [1]{b}:", "a[2]: 1,2", "a[1:]{b}:", "\"k[1]\": 2", "[2]: 1,2", "[]", "summary:"] {
            assert!(matches!(read(text), Ok(Line::Field)), "{text}");
        }
    }

    #[test]
    fn a_header_that_unfolds_too_far_is_refused() {
        let nested = |groups: usize, columns: usize, name: &str| {
            let columns: Vec<String> = (0..columns).map(|number| number.to_string()).collect();
            let open = format!("{{{name}").repeat(groups);
            format!("t[1]{open}{{{}}}{}:", columns.join(","), "}".repeat(groups))
        };
        assert_eq!(table(&nested(0, 100_000, "")).columns.len(), 100_000);
        assert_eq!(table(&nested(63, 1_000, "g")).columns.len(), 1_000);
        let long = "g".repeat(100_000);
        for text in [nested(63, 120_000, "g"), nested(1, 1_000, &long)] {
            let Err((Fault::Header(what), _)) = read(&text) else { panic!("it was read") };
            assert_eq!(what, "the columns and the groups around them are too many");
        }
    }

    #[test]
    fn a_bad_header_names_its_place() {
        let fault = |text| match read(text) {
            Err((Fault::Header(what), span)) => (what, span.start),
            Err((fault, span)) => (fault.to_string(), span.start),
            Ok(_) => (String::new(), 0),
        };
        for (text, what, at) in [
            ("t[05]{a}:", "expected the number", 1),
            ("t[]{a}:", "expected the number", 1),
            ("t[1] {a}:", "expected `{` or `:`", 4),
            ("t [1]{a}:", "space between", 1),
            ("t[1]{a}", "does not end with a colon", 7),
            ("t[1]{a}: x", "text after the header's colon", 8),
            ("t[1]{a} :", "expected a colon", 7),
            ("t[1]{}:", "expected the name", 5),
            ("t[1]{a,}:", "expected the name", 7),
            ("t[1]{a{}}:", "expected the name", 7),
            ("t[1]{a{b}:", "never closed", 9),
            ("t[1]{a|b}:", "another delimiter", 6),
            ("t[1]{a,a}:", "duplicate column \"a\"", 7),
            ("t[1]{\"a\"b}:", "text after a column's name", 8),
            ("t[1]{a,\"b}:", "does not end with a colon", 11),
            ("just text", "expected `key: value`", 0),
        ] {
            let (found, place) = fault(text);
            assert!(found.contains(what) && place == at, "{text}: {found} at {place}");
        }
    }
}
