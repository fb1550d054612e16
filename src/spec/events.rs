//! `[emit:: order.created]` and `[await:: order.status_updated where current_status == "SHIPPED" within 7d]`: reads the
//! values of both fields. Does not know which steps there are.

use super::condition;
use super::duration::duration;
use super::markdown::trim;
use super::model::{Await, Spanned};
use super::near;
use crate::diag::{Diagnostic, Span, catalogue as problem};

/// The longest name of a type of events.
const LONGEST: usize = 200;

/// The words that begin the parts behind the type.
const WORDS: [&str; 3] = ["for", "where", "within"];

/// Whether a text is a type of events: `order.created`.
pub fn is_event_type(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    text.len() <= LONGEST && text.split('.').all(part)
}

/// The name of the payload of events of this type: `order_status_updated`.
pub fn payload_name(event: &str) -> String {
    event.replace(['.', '-'], "_")
}

/// Reads the types of `[emit:: a.b, c.d]`.
pub(super) fn emits(text: &str, span: Span, problems: &mut Vec<Diagnostic>) -> Vec<Spanned<String>> {
    let mut all = Vec::new();
    let mut at = span.start;
    for part in text[span.start..span.end].split(',') {
        let here = trim(text, at..at + part.len());
        at += part.len() + 1;
        all.extend(event_type(text, here, problems));
    }
    all
}

fn event_type(text: &str, span: Span, problems: &mut Vec<Diagnostic>) -> Option<Spanned<String>> {
    let said = &text[span.start..span.end];
    if is_event_type(said) {
        return Some(Spanned::new(said.to_owned(), span));
    }
    let bare = said.trim_matches(['`', '"', '\'', '.']).replace([' ', '/', ':'], ".");
    let right = Some(bare).filter(|bare| is_event_type(bare));
    problems.push(problem::bad_event_type(span, said).mended(span, right));
    None
}

/// Reads the value of `[await:: …]`. The second text has the author's white space.
pub(super) fn awaited(
    (text, written): (&str, &str),
    span: Span,
    problems: &mut Vec<Diagnostic>,
) -> Option<Await> {
    let words = keywords(&text[span.start..span.end]);
    let first = words.first().map_or(span.end, |(at, _)| span.start + at);
    let named = trim(text, span.start..first);
    if named.start == named.end {
        problems.push(problem::bad_await(span, "no type of events is named".to_owned()));
        return None;
    }
    let event = event_type(text, named, problems)?;
    let mut read = Await {
        payload: payload_name(&event.value),
        event,
        subject: None,
        condition: None,
        within: None,
        span,
    };
    let mut whole = true;
    for (number, (at, word)) in words.iter().enumerate() {
        let end = words.get(number + 1).map_or(span.end, |(next, _)| span.start + next);
        let start = span.start + at;
        let value = trim(text, start + word.len()..end);
        let here = Span::new(start, start + word.len());
        if value.start == value.end {
            problems.push(problem::bad_await(here, format!("nothing follows `{word}`")));
            whole = false;
            continue;
        }
        let twice = match *word {
            "for" => read.subject.is_some(),
            "where" => read.condition.is_some(),
            _ => read.within.is_some(),
        };
        if twice {
            problems.push(problem::bad_await(here, format!("`{word}` is given twice")));
            whole = false;
            continue;
        }
        match *word {
            "within" => {
                let said = &text[value.start..value.end];
                match duration(said) {
                    Some(time) if !time.is_zero() => read.within = Some(Spanned::new(time, value)),
                    Some(_) => {
                        problems.push(problem::bad_await(value, "no time is left to wait".to_owned()));
                        whole = false;
                    }
                    None => {
                        let report = problem::bad_await(value, format!("`{said}` is not a duration"));
                        problems.push(report.mended(value, near::time(said)));
                        whole = false;
                    }
                }
            }
            word => match condition::condition(written, value.start..value.end) {
                Ok(condition) if word == "for" => read.subject = Some(condition),
                Ok(condition) => read.condition = Some(condition),
                Err(problem) => {
                    problems.push(*problem);
                    whole = false;
                }
            },
        }
    }
    whole.then_some(read)
}

/// The words outside of texts that begin a part, in order.
fn keywords(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let (mut quote, mut start) = (None, None);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if let Some(open) = quote {
            quote = Some(open).filter(|open| *open != c);
            continue;
        }
        if c.is_whitespace() {
            let word = start.take().map(|start| (start, &text[start..at]));
            let known = word.and_then(|(at, word)| Some((at, WORDS.into_iter().find(|one| *one == word)?)));
            found.extend(known);
            continue;
        }
        if matches!(c, '"' | '\'') {
            quote = Some(c);
        }
        start.get_or_insert(at);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_texts_begin_no_part() {
        let text = r#"a.b where note == "for within" within 2d"#;
        let found: Vec<&str> = keywords(text).iter().map(|(at, _)| &text[*at..]).collect();
        assert_eq!(found, [r#"where note == "for within" within 2d"#, "within 2d"]);
        assert_eq!(keywords("a.b forward where"), [(12, "where")]);
    }

    #[test]
    fn types_have_letters_between_their_dots() {
        for (text, is) in [
            ("a", true),
            ("a.b-c_d", true),
            ("a..b", false),
            ("", false),
            ("a.", false),
            ("ü.b", false),
            ("a b", false),
        ] {
            assert_eq!(is_event_type(text), is, "{text}");
        }
    }
}
