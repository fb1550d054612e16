//! Lines of any input in constant memory: each is lent in place, never copied.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// The longest line, in bytes: a row may hold a whole answer as columns, and more.
pub(super) const LONGEST: usize = 32 << 20;

/// Nothing is read after so many bytes of one line: the input may have no end.
const FURTHEST: u64 = 256 << 20;

/// How much is first read from the input, in bytes: most inputs are short.
const FIRST: usize = 4 << 10;

/// The most that is read from the input at once, in bytes.
const CHUNK: usize = 256 << 10;

pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of the buffer that is filled and not yet returned.
    ahead: Range<usize>,
    line: Range<usize>,
    ended: bool,
    /// The number of the current line, from 1.
    pub number: u64,
    /// Where the current line starts in the input, in bytes; a byte order mark is not part of the first line.
    pub start: u64,
    /// Where the next line starts.
    next: u64,
    /// The current line was longer than [`LONGEST`]; its text is gone.
    pub too_long: bool,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Self {
        Lines {
            input,
            buffer: Vec::new(),
            ahead: 0..0,
            line: 0..0,
            ended: false,
            number: 0,
            start: 0,
            next: 0,
            too_long: false,
        }
    }

    /// Goes to the next line; false at the end of the input.
    pub fn advance(&mut self) -> io::Result<bool> {
        self.too_long = false;
        let mut dropped = 0;
        let mut searched = 0;
        loop {
            let ahead = &self.buffer[self.ahead.clone()];
            if let Some(at) = memchr::memchr(b'\n', &ahead[searched..]) {
                self.hand_out(searched + at, searched + at + 1, dropped);
                return Ok(true);
            }
            searched = ahead.len();
            if self.ended {
                if searched == 0 && dropped == 0 {
                    return Ok(false);
                }
                self.hand_out(searched, searched, dropped);
                return Ok(true);
            }
            if searched > LONGEST {
                dropped += searched as u64;
                self.ended = dropped > FURTHEST;
                self.ahead = 0..0;
                searched = 0;
            }
            self.fill()?;
        }
    }

    /// The current line without its ending.
    pub fn line(&self) -> &[u8] {
        &self.buffer[self.line.clone()]
    }

    fn hand_out(&mut self, length: usize, consumed: usize, dropped: u64) {
        let from = self.ahead.start;
        self.line = from..from + length;
        self.ahead.start += consumed;
        self.number += 1;
        self.start = self.next;
        self.next += dropped + consumed as u64;
        if dropped > 0 || length > LONGEST {
            self.too_long = true;
            self.line = from..from;
        } else if self.line().ends_with(b"\r") {
            self.line.end -= 1;
        }
        if self.number == 1 && self.line().starts_with("\u{feff}".as_bytes()) {
            self.line.start += 3;
            self.start += 3;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.ahead.start > 0 {
            self.buffer.copy_within(self.ahead.clone(), 0);
            self.ahead = 0..self.ahead.len();
        }
        let chunk = self.buffer.len().clamp(FIRST, CHUNK);
        if self.buffer.len() < self.ahead.end + chunk {
            // Doubling the buffer avoids moving a long line once per chunk.
            self.buffer.resize((self.ahead.end + chunk).max(self.ahead.end * 2), 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.ahead.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.ahead.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u64, u64, String)> {
        let mut lines = Lines::new(text);
        let mut seen = Vec::new();
        while lines.advance().unwrap() {
            seen.push((lines.number, lines.start, String::from_utf8_lossy(lines.line()).into_owned()));
        }
        seen
    }

    #[test]
    fn endings_and_a_byte_order_mark_are_no_part_of_lines() {
        let seen = all("\u{feff}a\r\n\nb".as_bytes());
        assert_eq!(seen, [(1, 3, "a".into()), (2, 6, String::new()), (3, 7, "b".into())]);
        assert!(all(b"").is_empty());
        assert_eq!(all(b"a\n").len(), 1);
    }

    #[test]
    fn an_endless_line_is_dropped_and_the_next_is_read() {
        let mut text = vec![b'x'; LONGEST + CHUNK * 3];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(&text[..]);
        assert!(lines.advance().unwrap() && lines.too_long);
        assert!(lines.advance().unwrap() && !lines.too_long);
        assert_eq!((lines.line(), lines.start), (&b"next"[..], text.len() as u64 - 5));
        assert!(!lines.advance().unwrap());
    }
}
