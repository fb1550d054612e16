//! Items in a CSV file: a header, then an item a row. A cell under an input's name is read as the input's type; all
//! others are text.

use super::raw::{Fault, LARGEST, Raw, SourcePlace};
use super::scan::{Followed, Scan};
use super::shape::{Column, Shape, seen};
use crate::value::words;
use crate::value::{Object, Value};
use csv::{ByteRecord, Reader, ReaderBuilder};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

const MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct Rows<'a> {
    reader: Reader<Followed<BufReader<File>>>,
    columns: Vec<Column<'a>>,
    record: ByteRecord,
    /// Bytes of the file before the reader's first byte.
    skipped: u64,
    /// Problems of the header, reported before the first row.
    header: std::vec::IntoIter<Fault>,
    /// Whether the header lacks a column. Then only the header is reported, not its rows.
    lacks: bool,
    done: bool,
}

impl<'a> Rows<'a> {
    pub fn open(file: File, delimiter: u8, shape: &'a Shape) -> anyhow::Result<Self> {
        let mut file = BufReader::with_capacity(64 << 10, file);
        let skipped = if file.fill_buf()?.starts_with(MARK) { MARK.len() } else { 0 };
        file.consume(skipped);
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter);
        let reader = builder.from_reader(Followed::new(file, delimiter));
        let mut rows = Rows {
            reader,
            columns: Vec::new(),
            record: ByteRecord::new(),
            skipped: skipped as u64,
            header: Vec::new().into_iter(),
            lacks: false,
            done: false,
        };
        let faults = rows.read_header(delimiter, shape)?;
        rows.header = faults.into_iter();
        Ok(rows)
    }

    fn read_header(&mut self, delimiter: u8, shape: &'a Shape) -> anyhow::Result<Vec<Fault>> {
        if !self.reader.read_byte_record(&mut self.record)? {
            self.done = true;
            return Ok(vec![
                SourcePlace::line(1).fault("the file is empty; the first line names the columns"),
            ]);
        }
        let mut faults = Vec::new();
        let (mut names, mut known) = (Vec::new(), HashSet::new());
        for (cell, name) in self.record.iter().enumerate() {
            let name = std::str::from_utf8(name).map(|name| name.trim().to_owned());
            let wrong = match &name {
                Err(_) => Some("this is not UTF-8".to_owned()),
                Ok(name) if name.is_empty() => Some("this column has no name".to_owned()),
                Ok(name) if !known.insert(name.clone()) => Some(format!("duplicate column {}", seen(name))),
                Ok(_) => None,
            };
            faults.extend(wrong.map(|message| self.cell(cell).fault(message)));
            names.push(name.unwrap_or_default());
        }
        let other = [(b';', "semicolons"), (b'\t', "tabs"), (b',', "commas")];
        if let [only] = names.as_slice()
            && let Some((_, found)) = other.iter().find(|(byte, _)| only.as_bytes().contains(byte))
        {
            let expected = if delimiter == b'\t' { "tabs" } else { "commas" };
            let message =
                format!("the header is one column with {found} in it; separate columns with {expected}");
            faults.push(self.cell(0).fault(message));
        }
        if faults.is_empty() {
            let lacking = shape.lacking_columns(&names).into_iter();
            faults.extend(lacking.map(|(at, message)| self.cell(at).fault(message)));
            self.lacks = !faults.is_empty();
        }
        self.columns = names.into_iter().map(|name| shape.column(name)).collect();
        Ok(faults)
    }

    fn cell(&self, cell: usize) -> SourcePlace {
        let at = self.record.position();
        SourcePlace::Cell {
            byte: self.skipped + at.map_or(0, csv::Position::byte),
            line: at.map_or(1, csv::Position::line),
            cell,
        }
    }

    fn row(&self) -> Raw {
        let (found, expected) = (self.record.len(), self.columns.len());
        if found != expected {
            let cell = self.cell(expected.min(found.saturating_sub(1)));
            let columns = words::count(expected, "column");
            let fault = cell.fault(format!("the header has {columns}, this row has {found}"));
            return Raw::item(self.cell(0), Err(vec![fault]));
        }
        let mut object = Object::new();
        let mut faults = Vec::new();
        for (cell, (bytes, column)) in self.record.iter().zip(&self.columns).enumerate() {
            let text = std::str::from_utf8(bytes).map_err(|_| "this is not UTF-8".to_owned());
            match text.and_then(|text| column.text(text)) {
                Ok(Some(value)) => drop(object.insert(column.name.clone(), value)),
                Ok(None) => {}
                Err(message) => faults.push(self.cell(cell).fault(message)),
            }
        }
        let value = if faults.is_empty() && !self.lacks { Ok(Value::Object(object)) } else { Err(faults) };
        Raw::item(self.cell(0), value)
    }

    /// Problems that show at the end of the file, such as an open quote.
    fn end(&mut self) -> Option<Raw> {
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        let followed = self.reader.get_ref();
        if let Some(line) = followed.too_long {
            let message = format!("a row longer than {} MiB; is a quote never closed?", LARGEST >> 20);
            return Some(Raw::Fault(SourcePlace::line(line).fault(message)));
        }
        let (line, column) = followed.scan.open()?;
        let message = "the quote is never closed; write a quote inside a cell as \"\"";
        Some(Raw::Fault(SourcePlace::At { line, column }.fault(message)))
    }
}

impl Iterator for Rows<'_> {
    type Item = anyhow::Result<Raw>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(fault) = self.header.next() {
            return Some(Ok(Raw::Fault(fault)));
        }
        match self.reader.read_byte_record(&mut self.record) {
            Err(error) => Some(Err(error.into())),
            Ok(true) => Some(Ok(self.row())),
            Ok(false) => self.end().map(Ok),
        }
    }
}

/// The line and column of a cell, from 1. `byte` and `line` are where the reader's record begins; empty lines may
/// precede the record's text.
///
/// # Errors
/// When the file cannot be read again.
pub(super) fn locate(file: File, delimiter: u8, byte: u64, line: u64, cell: usize) -> io::Result<(u64, u64)> {
    let mut file = BufReader::new(file);
    file.seek(SeekFrom::Start(byte))?;
    let mut scan = Scan::new(delimiter, line);
    let mut blank = true;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok((scan.line, scan.column));
        }
        let read = bytes.len();
        for byte in bytes {
            blank &= matches!(byte, b'\n' | b'\r');
            if !blank && (scan.cell == cell || matches!(byte, b'\n' | b'\r') && scan.open().is_none()) {
                return Ok((scan.line, scan.column));
            }
            scan.feed(*byte);
        }
        file.consume(read);
    }
}
