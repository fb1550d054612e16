//! Removes secrets from all reports and records of an attempt: messages, logs, columns, labels. Outputs are passed to
//! other steps unchanged, because they may need the secrets, and stored with names in their place. Does not know where
//! secrets come from.
//!
//! Best effort: a secret that an agent changes or splits before writing it is not recognised.

mod apply;
mod garbled;
mod keep;
mod learn;
mod live;
mod stream;
mod view;

pub use keep::names_a_secret;
pub use learn::ItemRedactor;
use learn::Learned;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
pub use stream::LogRedactor;
use view::View;

/// The shortest secret that is searched for, in bytes: shorter ones occur everywhere by chance.
pub const SHORTEST: usize = 4;

/// Messages are shortened, and only the end of a log is stored. This many bytes of a secret's start, or of its end at
/// the start of a log, reveal as much as all of it.
const TELLING: usize = 8;

/// The secrets of a run, and the patterns to search for.
#[derive(Clone)]
pub struct Redactor {
    known: Arc<Known>,
    /// Those in inputs and outputs.
    learned: Arc<Learned>,
}

/// Without secrets.
impl Default for Redactor {
    fn default() -> Self {
        // Every attempt begins with one, and its patterns take longer to build than all else that an attempt needs.
        static NOTHING: LazyLock<Redactor> = LazyLock::new(|| Redactor::new([]));
        Redactor { known: NOTHING.known.clone(), learned: Arc::default() }
    }
}

#[derive(Default)]
struct Known {
    /// Names and values, of those that are searched for.
    secrets: Vec<(String, String)>,
    needles: Vec<Arc<Needle>>,
    /// Replaces secrets by names in stored values.
    named: Option<keep::Named>,
}

/// A secret, or a line of one.
struct Needle {
    /// The replacement.
    mark: String,
    units: Vec<u16>,
    /// By unit: the longest proper start of the needle that ends there.
    back: Vec<usize>,
    /// The number of units from the start that reveal the secret.
    telling: usize,
}

/// A part of a text to be replaced.
struct Found<'a> {
    bytes: Range<usize>,
    mark: &'a str,
}

impl Redactor {
    /// A redactor for names and values; no two values have the same name.
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

    /// The ends of secrets at the start of a text that may begin in the middle of one.
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

/// The longest escape of one character, without its backslash.
const LONGEST_ESCAPE: usize = "u{10ffff}".len();

/// The patterns of a secret: all of it, and each line of a long one.
fn texts(secret: &str) -> Vec<&str> {
    let mut texts = vec![secret];
    // A key of many lines is logged line by line. Its first and last lines are not secret.
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
        let garbled = garbled::all(text).into_iter().filter(|text| garbled::revealed(text) >= SHORTEST);
        let garbled = garbled.map(move |text| Needle::new(name, &text, garbled::telling(&text)));
        let enough = (TELLING..text.len()).find(|at| text.is_char_boundary(*at));
        std::iter::once(Needle::new(name, text, enough)).chain(garbled)
    })
}

impl Needle {
    /// `enough` bytes from the start reveal the secret, or all of it.
    fn new(name: &str, text: &str, enough: Option<usize>) -> Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        let telling = text[..enough.unwrap_or(text.len())].encode_utf16().count();
        let mut back = vec![0; units.len()];
        for at in 1..units.len() {
            back[at] = longer(&units, &back, back[at - 1], units[at]);
        }
        Needle { mark: format!("[secret:{name}]"), units, back, telling }
    }

    /// The places of a revealing start of the needle, up to all of it. Some overlap.
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

    /// How many units at the start are a proper end of the needle.
    fn at_start(&self, units: &[u16]) -> usize {
        let start = &units[..units.len().min(self.units.len())];
        let mut back = vec![0; start.len()];
        for at in 1..start.len() {
            back[at] = longer(start, &back, back[at - 1], start[at]);
        }
        self.units.iter().skip(1).fold(0, |length, unit| longer(start, &back, length, *unit))
    }
}

/// The length of the pattern's start that ends with this unit, given the length before it.
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

/// Replaces the places; overlapping ones become one, under the name of the first.
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
