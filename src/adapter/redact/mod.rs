//! Keeps secrets out of all that is told and kept of an attempt: messages, logs, columns, labels. What a step hands on
//! to others is handed on as it is, for they may need it, and kept with names in the place of secrets. Knows nothing of where secrets come from.
//!
//! Best effort: who changes a secret before he says it, or says it in parts, is not understood.

mod apply;
mod garbled;
mod keep;
mod learn;
mod view;

pub use keep::names_a_secret;
use learn::Learned;
use std::ops::Range;
use std::sync::Arc;
use view::View;

/// The shortest secret that is looked for, in bytes: a shorter one stands everywhere by chance.
pub const SHORTEST: usize = 4;

/// Messages cut what they show, and logs keep their end only. So many bytes of a secret's start, or at the start of
/// a log of its end, are as good as all of it.
const TELLING: usize = 8;

/// The secrets of a run, and what is looked for.
#[derive(Clone)]
pub struct Redactor {
    known: Arc<Known>,
    /// Those that items bring and steps make.
    learned: Arc<Learned>,
}

/// Without secrets.
impl Default for Redactor {
    fn default() -> Self {
        Redactor::new([])
    }
}

#[derive(Default)]
struct Known {
    /// Names and values, of those that are looked for.
    secrets: Vec<(String, String)>,
    needles: Vec<Arc<Needle>>,
    /// What is named in values that are kept.
    named: Option<keep::Named>,
}

/// A secret, or a line of one.
struct Needle {
    /// What stands in its place.
    mark: String,
    units: Vec<u16>,
    /// By unit: the longest start of the needle that ends there, without all of it.
    back: Vec<usize>,
    /// So many units from the start are enough.
    telling: usize,
}

/// A part of a text to be replaced.
struct Found<'a> {
    bytes: Range<usize>,
    mark: &'a str,
}

impl Redactor {
    /// Takes names and values; no two values have the same name.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut known = Known::default();
        for (name, value) in secrets {
            known.needles.extend(needles(name, value).map(Arc::new));
            if value.len() >= SHORTEST {
                known.secrets.push((name.to_owned(), value.to_owned()));
            }
        }
        known.named = keep::Named::of(&known.secrets);
        Redactor { known: Arc::new(known), learned: Arc::default() }
    }

    fn is_empty(&self) -> bool {
        self.known.needles.is_empty()
    }

    /// Replaces every secret by `[secret:NAME]`.
    pub fn text(&self, text: &mut String) {
        if !self.is_empty() {
            let found = self.within(text);
            replace(text, found);
        }
    }

    /// The same in a text that may be the end of a longer one.
    pub fn log(&self, text: &mut String) {
        if !self.is_empty() {
            let mut found = self.at_start(text);
            found.extend(self.within(text));
            replace(text, found);
        }
    }

    fn within(&self, text: &str) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        for view in View::all(text) {
            for needle in &self.known.needles {
                let bytes = |units: Range<usize>| Found { bytes: view.bytes(units), mark: &needle.mark };
                found.extend(needle.within(&view.units).into_iter().map(bytes));
            }
        }
        found
    }

    /// The ends of secrets, where the text begins in the middle of one.
    fn at_start(&self, text: &str) -> Vec<Found<'_>> {
        // A character may have been cut, too, and so may an escape.
        let cut = text.len() - text.trim_start_matches(char::REPLACEMENT_CHARACTER).len();
        let escape = |letter: &char| letter.is_ascii_hexdigit() || "\\uxU{}/\"'nrt".contains(*letter);
        let mut found = Vec::new();
        let most = text[cut..].chars().take(LONGEST_ESCAPE).take_while(escape).count();
        for skipped in 0..=most {
            let Some(rest) = text.get(cut + skipped..) else { break };
            for view in View::all(rest) {
                for needle in &self.known.needles {
                    let bytes = view.bytes(0..needle.at_start(&view.units));
                    if bytes.end + skipped.min(1) >= TELLING {
                        found.push(Found { bytes: 0..cut + skipped + bytes.end, mark: &needle.mark });
                    }
                }
            }
        }
        found
    }
}

/// That of one character, but for its backslash.
const LONGEST_ESCAPE: usize = "u{10ffff}".len();

/// What is looked for of a secret: all of it, and each line of a long one.
fn texts(secret: &str) -> Vec<&str> {
    let mut texts = vec![secret];
    // A key of many lines is logged line by line. Its first and last line are no secret.
    if secret.trim_end().contains('\n') {
        let lines = secret.lines().map(str::trim);
        texts.extend(lines.filter(|line| line.len() >= TELLING && !line.starts_with("-----")));
    }
    texts.retain(|text| text.len() >= SHORTEST);
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn needles<'a>(name: &'a str, secret: &'a str) -> impl Iterator<Item = Needle> + 'a {
    texts(secret).into_iter().flat_map(move |text| {
        let garbled = garbled::all(text).into_iter().filter(|text| garbled::told(text) >= SHORTEST);
        let garbled = garbled.map(move |text| Needle::new(name, &text, garbled::telling(&text)));
        let enough = (TELLING..text.len()).find(|at| text.is_char_boundary(*at));
        std::iter::once(Needle::new(name, text, enough)).chain(garbled)
    })
}

impl Needle {
    /// So many bytes from the start are enough, or all.
    fn new(name: &str, text: &str, enough: Option<usize>) -> Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        let telling = text[..enough.unwrap_or(text.len())].encode_utf16().count();
        let mut back = vec![0; units.len()];
        for at in 1..units.len() {
            back[at] = longer(&units, &back, back[at - 1], units[at]);
        }
        Needle { mark: format!("[secret:{name}]"), units, back, telling }
    }

    /// Where a telling start of the needle stands, up to all of it. Some overlap.
    fn within(&self, units: &[u16]) -> Vec<Range<usize>> {
        let (mut found, mut length): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
        for (at, unit) in units.iter().enumerate() {
            length = longer(&self.units, &self.back, length, *unit);
            if length < self.telling {
                continue;
            }
            let (start, end) = (at + 1 - length, at + 1);
            match found.last_mut() {
                Some(last) if start < last.end => last.end = end,
                _ => found.push(start..end),
            }
        }
        found
    }

    /// How many units at the start are the end of the needle, without all of it.
    fn at_start(&self, units: &[u16]) -> usize {
        let start = &units[..units.len().min(self.units.len())];
        let mut back = vec![0; start.len()];
        for at in 1..start.len() {
            back[at] = longer(start, &back, back[at - 1], start[at]);
        }
        self.units.iter().skip(1).fold(0, |length, unit| longer(start, &back, length, *unit))
    }
}

/// How long a start of the pattern ends with this unit, where one of this length ended before it.
fn longer(pattern: &[u16], back: &[usize], mut length: usize, unit: u16) -> usize {
    loop {
        if pattern.get(length) == Some(&unit) {
            return length + 1;
        }
        match length.checked_sub(1) {
            Some(last) => length = back[last],
            None => return 0,
        }
    }
}

/// Replaces the parts; those that overlap become one, under the name of the first.
fn replace(text: &mut String, mut found: Vec<Found<'_>>) {
    if found.is_empty() {
        return;
    }
    found.sort_by_key(|part| (part.bytes.start, std::cmp::Reverse(part.bytes.end)));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for Found { bytes, mark } in found {
        if bytes.start >= done {
            out.push_str(text.get(done..bytes.start).unwrap_or_default());
            out.push_str(mark);
        }
        done = done.max(bytes.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    *text = out;
}

#[cfg(test)]
mod tests;
