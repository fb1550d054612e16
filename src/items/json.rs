//! JSON in a text: one value, or the elements of a list, with the places of problems.

use super::raw::{Fault, LARGEST, Raw, SourcePlace};
use crate::value::{Value, json};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// Reads a text; `line` is the number of its first line.
pub(super) fn parse(text: &str, line: u64) -> Result<Value, Vec<Fault>> {
    json::parse(text.trim_end()).map_err(|error| vec![fault(&error, text, line)])
}

fn fault(error: &serde_json::Error, text: &str, first: u64) -> Fault {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let before = line.as_bytes().get(..error.column().saturating_sub(1)).unwrap_or(line.as_bytes());
    let column = String::from_utf8_lossy(before).chars().count() as u64 + 1;
    let message = json::why(error);
    // One value a line is another form.
    let lined = message == json::TRAILING && {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2);
        lines.clone().count() == 2 && lines.all(|line| json::parse(line).is_ok())
    };
    let hint = if lined { "; for a value on each line, name the file .jsonl" } else { "" };
    let line = first + (error.line().max(1) - 1) as u64;
    SourcePlace::At { line, column }.fault(format!("invalid JSON: {message}{hint}"))
}

/// The text of bytes, without a byte order mark.
pub(super) fn text(bytes: &[u8], line: u64) -> Result<&str, Vec<Fault>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let start = memchr::memrchr(b'\n', good).map_or(0, |at| at + 1);
        let line = line + memchr::memchr_iter(b'\n', good).count() as u64;
        let column = String::from_utf8_lossy(&good[start..]).chars().count() as u64 + 1;
        vec![SourcePlace::At { line, column }.fault("this is not UTF-8")]
    })
}

/// The elements of a list, each with the line on which it begins. They are parsed one by one: as text they take a
/// tenth of the memory.
///
/// # Errors
/// When it is not a JSON list.
pub(super) fn elements(text: String) -> Result<impl Iterator<Item = Raw>, Fault> {
    let Elements(raw) = serde_json::from_str(&text).map_err(|error| fault(&error, &text, 1))?;
    let (mut line, mut counted) = (1, 0);
    let place = |raw: &&RawValue| {
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..start]).count() as u64;
        counted = start;
        (line, start..start + raw.get().len())
    };
    let places: Vec<(u64, Range<usize>)> = raw.iter().map(place).collect();
    let element = move |(line, place): (u64, Range<usize>)| {
        let value = match place.len() > LARGEST {
            true => Err(vec![SourcePlace::line(line).fault(format!("longer than {} MiB", LARGEST >> 20))]),
            false => parse(text.get(place).unwrap_or_default(), line),
        };
        Raw::item(SourcePlace::line(line), value)
    };
    Ok(places.into_iter().map(element))
}

/// The most elements of a list; each takes memory while the list is read.
const MOST: usize = 4_000_000;

/// A list with its elements unread.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if all.len() == MOST {
                        let message = format_args!(
                            "more than {MOST} items; write them as JSON lines (.jsonl), which are read one by one"
                        );
                        return Err(A::Error::custom(message));
                    }
                    all.push(element);
                }
                Ok(Elements(all))
            }
        }
        deserializer.deserialize_seq(Each)
    }
}
