//! Checksums that link the rows of a journal: each covers its row and, through the previous one, all earlier rows.

use blake3::{Hash, Hasher};

/// The checksum of a row and all rows before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(Hash);

impl Checksum {
    /// The checksum of the header.
    pub fn begin(header: &str) -> Self {
        Checksum(blake3::hash(header.as_bytes()))
    }

    /// The checksum of the next row.
    pub fn next(&self, number: i64, records: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(self.0.as_bytes()).update(&number.to_le_bytes()).update(records);
        Checksum(hasher.finalize())
    }

    /// The checksum in hex, as in messages and records.
    pub fn hex(&self) -> String {
        self.0.to_hex().to_string()
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
