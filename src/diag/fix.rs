//! Changes of a document's text that solve a problem. Applies them to a text; writes no files.

use super::{Diagnostic, Span};
use serde::Serialize;

/// Text that takes the place of a span; an empty span is an insertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub span: Span,
    pub text: String,
}

/// One way to solve a problem. All of its replacements belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Whether the intended meaning is certain. Otherwise it is likely.
    pub safe: bool,
    pub replacements: Vec<Replacement>,
}

/// A fix as scripts and editors see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonFix {
    pub safe: bool,
    pub replacements: Vec<JsonReplacement>,
}

/// Offsets are bytes of the file; the end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonReplacement {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

impl From<&Fix> for JsonFix {
    fn from(fix: &Fix) -> Self {
        let replacements = fix.replacements.iter().map(|Replacement { span, text }| JsonReplacement {
            start: span.start,
            end: span.end,
            text: text.clone(),
        });
        JsonFix { safe: fix.safe, replacements: replacements.collect() }
    }
}

/// A text with fixes applied, and how many of them.
#[derive(Debug)]
pub struct Fixed {
    pub text: String,
    pub count: usize,
}

/// Applies the first fix of each problem, as they are [`chosen`]. `None` where there is nothing to apply.
pub fn apply(text: &str, problems: &[Diagnostic], likely: bool, stored: &[Span]) -> Option<Fixed> {
    let chosen = chosen(text, problems, likely, stored);
    let fixed = replaced(text, chosen.iter().flat_map(|fix| &fix.replacements))?;
    (!chosen.is_empty()).then_some(Fixed { text: fixed, count: chosen.len() })
}

/// The first fix of each problem, in the order of the problems; `likely` also takes those that are not safe. Of fixes that
/// overlap the first wins. Nothing changes in the spans of `stored`.
pub fn chosen<'a>(text: &str, problems: &'a [Diagnostic], likely: bool, stored: &[Span]) -> Vec<&'a Fix> {
    let (mut chosen, mut taken): (Vec<&Fix>, Vec<&Replacement>) = Default::default();
    for problem in problems {
        let Some(fix) = problem.fixes.iter().find(|fix| fix.safe || likely) else { continue };
        let fits = |new: &Replacement| {
            text.get(new.span.start..new.span.end).is_some_and(|old| old != new.text)
                && !taken.iter().any(|other| collide(new.span, other.span))
                && !stored.iter().any(|stored| collide(new.span, *stored))
        };
        if !fix.replacements.is_empty() && fix.replacements.iter().all(fits) {
            taken.extend(&fix.replacements);
            chosen.push(fix);
        }
    }
    chosen
}

/// A text with these changes, which do not overlap; `None` if one of them is outside of it. Line ends are those of the text.
pub fn replaced<'a>(text: &str, changes: impl Iterator<Item = &'a Replacement>) -> Option<String> {
    let mut taken: Vec<&Replacement> = changes.collect();
    taken.sort_by_key(|one| one.span);
    let windows = text.contains("\r\n");
    let (mut fixed, mut at) = (String::with_capacity(text.len() + 256), 0);
    for one in taken {
        fixed.push_str(text.get(at..one.span.start)?);
        match windows {
            true => fixed.push_str(&one.text.replace("\r\n", "\n").replace('\n', "\r\n")),
            false => fixed.push_str(&one.text),
        }
        at = one.span.end;
    }
    fixed.push_str(text.get(at..)?);
    Some(fixed)
}

/// Whether two replacements overlap or begin at one place.
fn collide(one: Span, other: Span) -> bool {
    one.start == other.start || one.start < other.end && other.start < one.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::catalogue;

    fn problem(safe: bool, edits: &[(usize, usize, &str)]) -> Diagnostic {
        let replacements = edits.iter().map(|(start, end, text)| Replacement {
            span: Span::new(*start, *end),
            text: (*text).to_owned(),
        });
        let mut problem = catalogue::invalid_utf8(0);
        problem.fixes.push(Fix { safe, replacements: replacements.collect() });
        problem
    }

    #[test]
    fn of_two_fixes_that_overlap_the_first_wins() {
        let problems = [problem(true, &[(0, 3, "x")]), problem(true, &[(2, 4, "y")])];
        let fixed = apply("abcd", &problems, false, &[]).unwrap();
        assert_eq!((fixed.text.as_str(), fixed.count), ("xd", 1));
    }

    #[test]
    fn likely_fixes_are_applied_only_on_request() {
        let problems = [problem(false, &[(0, 1, "x")])];
        assert!(apply("abcd", &problems, false, &[]).is_none());
        assert_eq!(apply("abcd", &problems, true, &[]).unwrap().text, "xbcd");
    }

    #[test]
    fn stored_rows_and_cut_characters_stay() {
        let problems = [problem(true, &[(0, 1, "x"), (2, 3, "y")])];
        assert!(apply("abcd", &problems, false, &[Span::new(2, 4)]).is_none());
        assert!(apply("→bcd", &problems, false, &[]).is_none());
        assert!(apply("ab", &problems, false, &[]).is_none());
    }

    #[test]
    fn line_ends_are_those_of_the_document() {
        let fixed = apply("a\r\nb", &[problem(true, &[(3, 4, "x\ny")])], false, &[]).unwrap();
        assert_eq!(fixed.text, "a\r\nx\r\ny");
    }
}
