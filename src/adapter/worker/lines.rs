//! Cuts a stream of bytes into lines, however it arrives. Knows nothing of their meaning.

/// Collects the incomplete last line.
#[derive(Debug)]
pub struct Lines {
    begun: Vec<u8>,
    most: usize,
}

/// The buffer's capacity between lines, in bytes.
const ORDINARY: usize = 64 * 1024;

/// A line longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Lines {
    /// `most`: the longest line, in bytes without its newline.
    pub fn new(most: usize) -> Self {
        Lines { begun: Vec::new(), most }
    }

    /// Processes the next bytes of the stream and calls `each` with every completed line, without its newline.
    ///
    /// # Errors
    /// The first error of `each`, or that a line is too long; the stream is unusable then.
    pub fn take<E: From<TooLong>>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            self.gather(line)?;
            rest = after.get(1..).unwrap_or_default();
            let shown = each(&self.begun);
            self.begun.clear();
            self.begun.shrink_to(ORDINARY);
            shown?;
        }
        Ok(self.gather(rest)?)
    }

    /// The incomplete last line, if the stream ends without a newline.
    pub fn rest(&self) -> &[u8] {
        &self.begun
    }

    fn gather(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.begun.len() + bytes.len() > self.most {
            return Err(TooLong);
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}
