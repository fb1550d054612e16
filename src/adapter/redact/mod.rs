//! Keeps secrets out of all that is told and kept of an attempt: messages, logs, columns, labels. What a step hands on
//! to others is handed on as it is, for they may need it, and kept with names in the place of secrets. Knows nothing of where secrets come from.
//!
//! Best effort: who changes a secret before he says it, or says it in parts, is not understood.

mod apply;
mod forms;
mod keep;

use std::sync::Arc;

/// The shortest secret that is looked for, in bytes: a shorter one stands everywhere by chance.
pub const SHORTEST: usize = 4;

/// Messages cut what they show, and logs keep their end only. So many bytes of a secret's start, or at the start of
/// a log of its end, are as good as all of it.
const TELLING: usize = 8;

/// The secrets of a run, in all forms in which they are looked for.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Known>);

#[derive(Default)]
struct Known {
    /// Names and values, of those that are looked for.
    secrets: Vec<(String, String)>,
    needles: Vec<Needle>,
}

struct Needle {
    /// What stands in its place.
    mark: String,
    form: String,
    /// So many bytes from the start are enough.
    telling: usize,
}

/// A part of a text to be replaced.
struct Found<'a> {
    start: usize,
    end: usize,
    mark: &'a str,
}

impl Redactor {
    /// Takes names and values; no two values have the same name.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut known = Known::default();
        for (name, value) in secrets {
            known.needles.extend(forms::of(value).into_iter().map(|form| Needle::new(name, form)));
            if value.len() >= SHORTEST {
                known.secrets.push((name.to_owned(), value.to_owned()));
            }
        }
        Redactor(Arc::new(known))
    }

    fn is_empty(&self) -> bool {
        self.0.needles.is_empty()
    }

    /// Replaces every secret by `[secret:NAME]`.
    pub fn text(&self, text: &mut String) {
        let found = self.0.needles.iter().flat_map(|needle| needle.in_text(text)).collect();
        replace(text, found);
    }

    /// The same in a text that may be the end of a longer one.
    pub fn log(&self, text: &mut String) {
        let needles = &self.0.needles;
        let begun = needles.iter().filter_map(|needle| needle.at_start(text));
        let found = begun.chain(needles.iter().flat_map(|needle| needle.in_text(text))).collect();
        replace(text, found);
    }
}

impl Needle {
    fn new(name: &str, form: String) -> Self {
        let enough = (TELLING..form.len()).find(|at| form.is_char_boundary(*at));
        Needle { mark: format!("[secret:{name}]"), telling: enough.unwrap_or(form.len()), form }
    }

    fn in_text<'a>(&'a self, text: &str) -> Vec<Found<'a>> {
        let telling = self.form.get(..self.telling).unwrap_or(&self.form);
        let finder = memchr::memmem::Finder::new(telling);
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(rest) = text.get(from..)
            && let Some(at) = finder.find(rest.as_bytes())
        {
            let start = from + at;
            let here = text.get(start..).unwrap_or_default();
            let end = start + common(here, &self.form);
            found.push(Found { start, end, mark: self.mark.as_str() });
            // A part of it may overlap with all of it.
            from = if end - start == self.form.len() {
                end
            } else {
                start + here.chars().next().map_or(1, char::len_utf8)
            };
        }
        found
    }

    /// The end of the secret, where the text begins in the middle of it.
    fn at_start<'a>(&'a self, text: &str) -> Option<Found<'a>> {
        // A character may have been cut, too.
        let cut = text.len() - text.trim_start_matches(char::REPLACEMENT_CHARACTER).len();
        let rest = text.get(cut..)?;
        let ends = self.form.char_indices().filter_map(|(at, _)| self.form.get(at..));
        let end = ends.skip(1).take_while(|end| end.len() >= TELLING).find(|end| rest.starts_with(end))?;
        Some(Found { start: 0, end: cut + end.len(), mark: &self.mark })
    }
}

/// The length of what two texts begin with alike, in bytes.
fn common(one: &str, other: &str) -> usize {
    let alike = one.chars().zip(other.chars()).take_while(|(one, other)| one == other);
    alike.map(|(c, _)| c.len_utf8()).sum()
}

/// Replaces the parts; those that overlap become one, under the name of the first.
fn replace(text: &mut String, mut found: Vec<Found<'_>>) {
    if found.is_empty() {
        return;
    }
    found.sort_by_key(|part| (part.start, std::cmp::Reverse(part.end)));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for part in found {
        if part.start >= done {
            out.push_str(text.get(done..part.start).unwrap_or_default());
            out.push_str(part.mark);
        }
        done = done.max(part.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    *text = out;
}

#[cfg(test)]
mod tests;
