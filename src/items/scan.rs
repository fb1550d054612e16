//! Follows CSV byte by byte to find what the record reader does not report: the place of a cell, and an unclosed
//! quote. Follows the same rules as that reader.

use super::raw::LARGEST;
use std::io::{self, Read};

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    /// At the first byte of a cell.
    Start,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end, or the first of two.
    Quote,
}

/// The position reached in a text.
pub(super) struct Scan {
    delimiter: u8,
    state: ScanState,
    /// From 1; the column in characters.
    pub line: u64,
    pub column: u64,
    /// Cells before this one in its record.
    pub cell: usize,
    /// Bytes of this record so far.
    length: usize,
    /// Where the last quoted cell begins.
    opened: (u64, u64),
}

impl Scan {
    pub fn new(delimiter: u8, line: u64) -> Scan {
        Scan { delimiter, state: ScanState::Start, line, column: 1, cell: 0, length: 0, opened: (1, 1) }
    }

    /// Consumes a byte; returns whether it ends a record.
    pub fn feed(&mut self, byte: u8) -> bool {
        let mut ends = false;
        self.state = match (self.state, byte) {
            (ScanState::Quoted, b'"') => ScanState::Quote,
            (ScanState::Quoted, _) | (ScanState::Quote, b'"') => ScanState::Quoted,
            (_, b'\n' | b'\r') => {
                ends = true;
                ScanState::Start
            }
            (_, byte) if byte == self.delimiter => {
                self.cell += 1;
                ScanState::Start
            }
            (ScanState::Start, b'"') => {
                self.opened = (self.line, self.column);
                ScanState::Quoted
            }
            _ => ScanState::Plain,
        };
        self.length = if ends { 0 } else { self.length + 1 };
        if ends {
            self.cell = 0;
        }
        match byte {
            b'\n' => (self.line, self.column) = (self.line + 1, 1),
            // Continuation bytes of a character.
            0x80..=0xbf => {}
            _ => self.column += 1,
        }
        ends
    }

    /// The place of the quote that is still open.
    pub fn open(&self) -> Option<(u64, u64)> {
        (self.state == ScanState::Quoted).then_some(self.opened)
    }
}

/// An input that is followed while it is read. It ends early at a record that is too long.
pub(super) struct Followed<R> {
    input: R,
    pub scan: Scan,
    /// The line of a record that is too long.
    pub too_long: Option<u64>,
}

impl<R> Followed<R> {
    pub fn new(input: R, delimiter: u8) -> Self {
        Followed { input, scan: Scan::new(delimiter, 1), too_long: None }
    }
}

impl<R: Read> Read for Followed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.too_long.is_some() {
            return Ok(0);
        }
        let read = self.input.read(buffer)?;
        for byte in buffer.get(..read).unwrap_or_default() {
            self.scan.feed(*byte);
            if self.scan.length > LARGEST {
                self.too_long = Some(self.scan.open().map_or(self.scan.line, |(line, _)| line));
                return Ok(0);
            }
        }
        Ok(read)
    }
}
