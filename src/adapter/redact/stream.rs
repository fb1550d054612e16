//! Redacts a stream of bytes, whose chunks may end anywhere in a secret or in a character. Knows nothing of its source.

use super::{Found, Redactor, View, replace};

/// The longest escape of one unit at any level of escapes, in bytes; the end of a text may be a part of one.
const ESCAPE: usize = 64;

/// What is not redacted yet of a stream, because more of it decides what it is.
#[derive(Debug, Default)]
pub struct LogRedactor {
    /// The first bytes of a character.
    bytes: Vec<u8>,
    text: String,
    /// The text may begin in the middle of a secret.
    is_cut: bool,
}

impl LogRedactor {
    /// Takes further bytes of the stream. Returns the text that is decided, without secrets.
    pub fn take(&mut self, redactor: &Redactor, bytes: &[u8]) -> String {
        self.bytes.extend_from_slice(bytes);
        self.decode(false);
        if redactor.is_empty() {
            self.is_cut = false;
            return std::mem::take(&mut self.text);
        }
        let mut found = self.found(redactor);
        let mut end = redactor.undecided(&self.text);
        // A part that is removed is not divided.
        while let Some(part) = found.iter().find(|part| part.bytes.start < end && part.bytes.end > end) {
            end = part.bytes.start;
        }
        if end == 0 {
            return String::new();
        }
        found.retain(|part| part.bytes.end <= end);
        let mut decided = self.text[..end].to_owned();
        replace(&mut decided, found);
        self.text.drain(..end);
        self.is_cut = false;
        decided
    }

    /// The rest, at the end of the stream or before a gap in it. After a gap, the stream may continue in the middle of
    /// a secret.
    pub fn end(&mut self, redactor: &Redactor, is_gap: bool) -> String {
        self.decode(true);
        if !redactor.is_empty() {
            let found = self.found(redactor);
            replace(&mut self.text, found);
        }
        self.is_cut = is_gap;
        std::mem::take(&mut self.text)
    }

    fn found<'r>(&self, redactor: &'r Redactor) -> Vec<Found<'r>> {
        let mut found = redactor.within(&self.text);
        if self.is_cut {
            found.extend(redactor.at_start(&self.text));
            found.extend(redactor.around(&self.text));
        }
        found
    }

    /// Decodes the bytes up to a character that is not complete. Malformed bytes are replaced.
    fn decode(&mut self, ends: bool) {
        for chunk in self.bytes.utf8_chunks() {
            self.text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            let is_last = self.bytes.ends_with(invalid)
                && std::ptr::eq(self.bytes.as_ptr_range().end, invalid.as_ptr_range().end);
            let may_continue = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if is_last && may_continue && !ends {
                self.bytes = invalid.to_vec();
                return;
            }
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.bytes.clear();
    }
}

impl Redactor {
    /// Up to where a text is decided, whatever follows it: from there it may be the start of a secret.
    fn undecided(&self, text: &str) -> usize {
        // An escape that is not complete could be any character of a secret.
        let last = text.len() - text.len().min(ESCAPE);
        let last = (last..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let escape = text[last..].find('\\').map_or(text.len(), |at| last + at);
        let escape = text[..escape].trim_end_matches('\\').len();
        let mut end = escape;
        for view in View::all(&text[..escape]) {
            let all = view.units.len();
            for needle in &self.known.needles {
                let begun = needle.at_end(&view.units);
                if begun > 0 && begun < needle.units.len() {
                    end = end.min(view.bytes(all - begun..all).start);
                }
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(redactor: &Redactor, chunks: &[&[u8]]) -> String {
        let mut stream = LogRedactor::default();
        let mut all = String::new();
        for chunk in chunks {
            all.push_str(&stream.take(redactor, chunk));
        }
        all + &stream.end(redactor, false)
    }

    /// However the chunks are cut, the result is that of the whole text.
    #[test]
    fn a_secret_is_found_wherever_the_stream_is_cut() {
        for secret in ["hunter22", "p\"ä/ss\nword-7", "abcabcabd", "a-very-long-secret-of-many-letters"] {
            let redactor = Redactor::new([("KEY", secret)]);
            for form in [secret.to_owned(), serde_json::json!(secret).to_string(), format!("{secret:?}")] {
                let text = format!("ä use {form} now, abcabc\\n hunter {form}");
                let mut whole = text.clone();
                redactor.text(&mut whole);
                let bytes = text.as_bytes();
                for cut in 0..=bytes.len() {
                    assert_eq!(streamed(&redactor, &[&bytes[..cut], &bytes[cut..]]), whole, "{cut}");
                }
                let single: Vec<&[u8]> = bytes.chunks(1).collect();
                assert_eq!(streamed(&redactor, &single), whole);
                assert!(whole.contains("[secret:KEY]"), "{whole}");
            }
        }
    }

    #[test]
    fn text_that_begins_no_secret_is_returned_at_once() {
        let redactor = Redactor::new([("KEY", "hunter22")]);
        let mut stream = LogRedactor::default();
        assert_eq!(stream.take(&redactor, b"loading\n"), "loading\n");
        assert_eq!(stream.take(&redactor, b"hunt"), "");
        assert_eq!(stream.take(&redactor, b"ed"), "hunted");
        assert_eq!(stream.take(&redactor, b"\xc3"), "");
        assert_eq!(stream.take(&redactor, b"\xa4\xff!"), "ä\u{fffd}!");
        assert_eq!(stream.end(&redactor, false), "");
        let none = Redactor::default();
        assert_eq!(stream.take(&none, b"a\xc3"), "a");
        assert_eq!(stream.end(&none, false), "\u{fffd}");
    }

    #[test]
    fn after_a_gap_the_end_of_a_secret_is_redacted() {
        let secret = "a-very-long-secret-of-many-letters";
        let redactor = Redactor::new([("KEY", secret)]);
        let mut stream = LogRedactor::default();
        assert_eq!(stream.take(&redactor, b"use a-very-lo"), "use ");
        assert_eq!(stream.end(&redactor, true), "[secret:KEY]");
        assert_eq!(stream.take(&redactor, b"secret-of-many-letters, then "), "[secret:KEY], then ");
        assert_eq!(stream.take(&redactor, b"letters"), "letters");
    }
}
