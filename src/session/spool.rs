//! The rows of settled items, stored on disk until the number of rows and their columns are known. Items settle nearly
//! in order: only items in flight or just settled stay in memory, and a few bytes for each item that settles much
//! later than its neighbours.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// The most bytes that wait for earlier items, and that are shown at once.
const CHUNK: usize = 256 << 10;

pub(super) struct Spool {
    file: BufWriter<File>,
    end: u64,
    extents: Vec<Extent>,
    /// Items that are not written yet.
    held: Vec<(u64, Vec<u8>)>,
    held_bytes: usize,
}

/// Consecutive items, and the place of their bytes.
struct Extent {
    first: u64,
    last: u64,
    start: u64,
    length: usize,
}

impl Spool {
    /// Stores in an unnamed file, which vanishes with the process in any case.
    pub fn new(file: File) -> Spool {
        let file = BufWriter::new(file);
        Spool { file, end: 0, extents: Vec::new(), held: Vec::new(), held_bytes: 0 }
    }

    /// Stores the bytes of an item, once for each item, even if it has none: gaps take memory.
    pub fn put(&mut self, item: u64, bytes: Vec<u8>) -> io::Result<()> {
        self.held_bytes += bytes.len() + size_of::<(u64, Vec<u8>)>();
        self.held.push((item, bytes));
        if self.held_bytes > CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held.sort_unstable_by_key(|(item, _)| *item);
        for (item, bytes) in self.held.drain(..) {
            self.file.write_all(&bytes)?;
            match self.extents.last_mut() {
                Some(extent) if extent.last + 1 == item && extent.length < CHUNK => {
                    extent.last = item;
                    extent.length += bytes.len();
                }
                _ => {
                    let (start, length) = (self.end, bytes.len());
                    self.extents.push(Extent { first: item, last: item, start, length });
                }
            }
            self.end += bytes.len() as u64;
        }
        self.held_bytes = 0;
        Ok(())
    }

    /// Calls `show` with the bytes of all items in the order of their numbers, several items at once.
    pub fn drain(mut self, mut show: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.flush()?;
        let mut extents = self.extents;
        extents.sort_unstable_by_key(|extent| extent.first);
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(CHUNK, file);
        let mut at = 0u64;
        let mut bytes = Vec::new();
        for Extent { start, length, .. } in extents {
            reader.seek_relative(start.cast_signed() - at.cast_signed())?;
            bytes.resize(length, 0);
            reader.read_exact(&mut bytes)?;
            at = start + length as u64;
            show(&bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(spool: Spool) -> String {
        let mut seen = String::new();
        spool
            .drain(|bytes| {
                seen.push_str(&String::from_utf8_lossy(bytes));
                Ok(())
            })
            .unwrap();
        seen
    }

    #[test]
    fn parts_come_back_in_the_order_of_items() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap());
        for (item, text) in [(2, "two "), (0, "zero "), (3, ""), (1, "one "), (7, "seven ")] {
            spool.put(item, text.into()).unwrap();
        }
        assert_eq!(shown(spool), "zero one two seven ");
    }

    #[test]
    fn what_settles_nearly_in_order_costs_nothing_and_what_comes_late_is_in_its_place() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap());
        let late = [17, 50_000, 99_999];
        let on_time = (0..100_000u64).map(|item| item ^ 3).filter(|item| !late.contains(item));
        for item in on_time.chain(late) {
            spool.put(item, format!("{item} ").into_bytes()).unwrap();
        }
        spool.flush().unwrap();
        assert!(spool.extents.len() < 100, "{}", spool.extents.len());
        let expected: String = (0..100_000).map(|item| format!("{item} ")).collect();
        assert_eq!(shown(spool), expected);
    }
}
