//! Finds duplicate keys in memory that hardly grows with their number: hashes find the keys that may be duplicates,
//! and only those are compared in full. Many hashes are written to disk, grouped by their first bits.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Read, Seek, Write};

/// Hashes that remain in memory: a megabyte.
const IN_MEMORY: usize = 1 << 17;

/// Files on disk are divided by this many leading bits of a hash. One file at a time is read, so a hundred million
/// items need twelve megabytes.
const BITS: u32 = 6;

/// Collects keys in one pass.
#[derive(Default)]
pub(super) struct Keys {
    hasher: RandomState,
    hashes: Vec<u64>,
    /// Empty until there are too many hashes. The files have no name and vanish with the process.
    files: Vec<BufWriter<File>>,
}

/// Keys that may be duplicates; all others are unique.
#[derive(Default)]
pub(super) struct Suspects {
    hasher: RandomState,
    /// Sorted for binary search.
    hashes: Vec<u64>,
}

impl Keys {
    /// Adds a key.
    ///
    /// # Errors
    /// When hashes cannot be written to disk.
    pub fn push(&mut self, key: &str) -> io::Result<()> {
        self.hashes.push(self.hasher.hash_one(key));
        if self.hashes.len() < IN_MEMORY { Ok(()) } else { self.set_aside() }
    }

    fn set_aside(&mut self) -> io::Result<()> {
        while self.files.len() < 1 << BITS {
            self.files.push(BufWriter::new(crate::disk::nameless()?));
        }
        for hash in self.hashes.drain(..) {
            let file = self.files.get_mut((hash >> (u64::BITS - BITS)) as usize);
            file.map_or(Ok(()), |file| file.write_all(&hash.to_le_bytes()))?;
        }
        Ok(())
    }

    /// Finds the keys that may be duplicates.
    ///
    /// # Errors
    /// When hashes on disk cannot be read.
    pub fn suspects(mut self) -> io::Result<Suspects> {
        let mut suspects = Suspects { hasher: self.hasher.clone(), hashes: Vec::new() };
        if self.files.is_empty() {
            suspects.hashes = repeated(self.hashes);
            return Ok(suspects);
        }
        self.set_aside()?;
        for file in self.files {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let (hashes, _) = bytes.as_chunks();
            suspects.hashes.extend(repeated(hashes.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()));
        }
        Ok(suspects)
    }
}

/// The values that occur more than once, sorted.
fn repeated(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    let repeated = hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    let mut repeated: Vec<u64> = repeated.collect();
    repeated.dedup();
    repeated
}

impl Suspects {
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub fn holds(&self, key: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.binary_search(&self.hasher.hash_one(key)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_stand_again_are_suspects() {
        let mut keys = Keys::default();
        ["a", "b", "a", "c", "a"].into_iter().for_each(|key| keys.push(key).unwrap());
        let suspects = keys.suspects().unwrap();
        assert!(suspects.holds("a") && !suspects.holds("b") && !suspects.holds("d"));
        assert!(Keys::default().suspects().unwrap().is_empty());
    }

    #[test]
    fn so_are_those_among_many() {
        let mut keys = Keys::default();
        let many = 2 * IN_MEMORY + 10;
        let again = [0, 5, IN_MEMORY - 1, IN_MEMORY, 2 * IN_MEMORY + 9];
        for number in (0..many).chain(again).chain([5]) {
            keys.push(&number.to_string()).unwrap();
            assert!(keys.hashes.len() < IN_MEMORY);
        }
        let suspects = keys.suspects().unwrap();
        assert_eq!(suspects.hashes.len(), again.len(), "by all odds");
        assert!(suspects.hashes.is_sorted());
        assert!(again.iter().all(|number| suspects.holds(&number.to_string())));
    }
}
