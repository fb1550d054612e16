//! The rows of settled items, set aside on disk until the number of rows and their columns are known. Only
//! what is in flight stays in memory, and sixteen bytes for each item that is done.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

pub(super) struct Spool {
    file: BufWriter<File>,
    end: u64,
    /// Item number and where its bytes are.
    parts: Vec<(u64, u64, u64)>,
}

impl Spool {
    /// Sets aside in a nameless file, which goes with the process, whatever happens to it.
    pub fn new(file: File) -> Spool {
        Spool { file: BufWriter::new(file), end: 0, parts: Vec::new() }
    }

    pub fn put(&mut self, item: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.parts.push((item, self.end, bytes.len() as u64));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Shows every item's bytes in the order of their numbers.
    pub fn drain(self, mut show: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut parts = self.parts;
        parts.sort_unstable();
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let mut at = 0u64;
        let mut bytes = Vec::new();
        for (_, start, length) in parts {
            reader.seek_relative(start.cast_signed() - at.cast_signed())?;
            bytes.resize(length as usize, 0);
            reader.read_exact(&mut bytes)?;
            at = start + length;
            show(&bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_in_the_order_of_items() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap());
        for (item, text) in [(2, "two"), (0, "zero"), (3, ""), (1, "one"), (0, "again")] {
            spool.put(item, text.as_bytes()).unwrap();
        }
        let mut seen = Vec::new();
        spool
            .drain(|bytes| {
                seen.push(String::from_utf8_lossy(bytes).into_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, ["zero", "again", "one", "two"]);
    }
}
