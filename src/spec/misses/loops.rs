//! Loops whose limit and end are in several fields, such as `[until:: done] [max:: 3]`.

use super::Place;
use crate::diag::{Diagnostic, Replacement, catalogue as problem};
use crate::spec::field::Field;
use crate::spec::heading::Note;
use crate::spec::near::{self, Meant};

/// The rounds that are proposed where the author names no limit.
const PROPOSED: u32 = 10;

impl<'a> Place<'a> {
    /// The fields of the step that are parts of a loop.
    fn parts_of_a_loop(&self) -> impl Iterator<Item = &'a Field> {
        let noted = self.head.tail.iter().filter_map(|note| match &note.value {
            Note::Field(field) => Some(field),
            _ => None,
        });
        let is_loop = |field: &&Field| near::meant(self.slice(field.key)) == Some(Meant::Repeat);
        noted.chain(&self.part.fields).filter(is_loop)
    }

    /// All of them as one field, reported at each, with the fix at the first.
    pub(super) fn loop_in_parts(&self, field: &Field) -> Option<Diagnostic> {
        if self.part.field(self.text, "repeat").is_some() {
            return None;
        }
        let fields: Vec<&Field> = self.parts_of_a_loop().collect();
        let (mut count, mut end, mut own) = (None, None, None);
        for field in &fields {
            let (key, value) = (near::plain(self.slice(field.key)), self.slice(field.value).trim());
            let place = match key.as_str() {
                _ if near::times(value).is_some() => &mut count,
                _ if key.ends_with("until") || key.ends_with("while") => &mut end,
                _ => &mut own,
            };
            let word = if key.ends_with("while") { "while" } else { "until" };
            let said = if key.ends_with("until") || key.ends_with("while") {
                format!("{word} {value}")
            } else {
                value.to_owned()
            };
            if place.replace(said).is_some() {
                return None;
            }
        }
        let end = end.or(own)?;
        let whole = near::value("repeat", &end).filter(|_| count.is_none());
        if whole.is_some() && fields.len() == 1 {
            return None;
        }
        let known = count.is_some() || whole.is_some();
        let count = count.unwrap_or_else(|| PROPOSED.to_string());
        let right = whole.or_else(|| near::value("repeat", &format!("{count} {end}")))?;
        let right = format!("[repeat:: {right}]");
        let name = self.slice(field.key);
        let problem = match known {
            true => problem::other_field(field.key, name, Some(&right), ""),
            false => problem::loop_without_limit(field.key, name, &right),
        };
        if fields.first().is_none_or(|first| first.span != field.span) {
            return Some(problem);
        }
        let rest = fields[1..]
            .iter()
            .map(|field| Replacement { span: self.removal(field.span), text: String::new() });
        let changes =
            std::iter::once(Replacement { span: field.span, text: right.clone() }).chain(rest).collect();
        Some(problem.fixed(known, changes))
    }
}
