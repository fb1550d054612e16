//! Which keys stand more than once, in eight bytes for each item: hashes find the keys that may be doubles, and
//! only those are compared as they are.

use std::hash::{BuildHasher, RandomState};

/// Keys as they come by.
#[derive(Default)]
pub(super) struct Keys {
    hasher: RandomState,
    hashes: Vec<u64>,
}

/// Keys that may stand more than once; all others stand once.
#[derive(Default)]
pub(super) struct Suspects {
    hasher: RandomState,
    /// Sorted.
    hashes: Vec<u64>,
}

impl Keys {
    pub fn push(&mut self, key: &str) {
        self.hashes.push(self.hasher.hash_one(key));
    }

    pub fn suspects(self) -> Suspects {
        let mut hashes = self.hashes;
        hashes.sort_unstable();
        let repeated = hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let mut repeated: Vec<u64> = repeated.collect();
        repeated.dedup();
        Suspects { hasher: self.hasher, hashes: repeated }
    }
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
        ["a", "b", "a", "c", "a"].into_iter().for_each(|key| keys.push(key));
        let suspects = keys.suspects();
        assert!(suspects.holds("a") && !suspects.holds("b") && !suspects.holds("d"));
        assert!(Keys::default().suspects().is_empty());
    }
}
