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
        all.extend(event_type(text, here, true, problems));
    }
    all
}

/// Words that join types of events or begin a further part: no part of a type.
const JOINTS: [&str; 24] = [
    "or", "and", "if", "when", "unless", "with", "where", "within", "until", "while", "timeout", "for", "in",
    "on", "of", "by", "after", "before", "as", "from", "to", "at", "once", "every",
];

fn event_type(
    text: &str,
    span: Span,
    emitted: bool,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<String>> {
    let said = &text[span.start..span.end];
    if is_event_type(said) {
        return Some(Spanned::new(said.to_owned(), span));
    }
    let words: Vec<&str> = said.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let joint = words.iter().find(|word| JOINTS.contains(&word.to_ascii_lowercase().as_str()));
    let problem = problem::bad_event_type(span, said);
    problems.push(match (words.as_slice(), joint.map(|word| word.to_ascii_lowercase()).as_deref()) {
        ([_], _) => problem.mended(span, bare(said).filter(|bare| is_event_type(bare))),
        (words, joint) if !emitted && (matches!(joint, Some("or" | "and")) || listed(words).is_some()) => problem.help(
            "a step waits for one event: let a step of its own wait for each, or let both have one type and tell them apart with `where`",
        ),
        (_, Some("if" | "when" | "unless")) if emitted => problem.help(
            "an event is published whenever the step succeeds: publish this one in a step of its own with `[when:: …]`",
        ),
        (words, joint) if emitted => match listed(words) {
            Some(all) => problem.instead(span, all),
            None if joint.is_none() => near_type(problem, span, words),
            None => problem,
        },
        (words, None) => near_type(problem, span, words),
        _ => problem,
    });
    None
}

/// A type without signs around it, and with dots between its words.
fn bare(word: &str) -> Option<String> {
    Some(word.trim_matches(['`', '"', '\'', '.', ',']).replace(['/', ':'], "."))
}

/// `a.b and c.d` as `a.b, c.d`: only words that are surely types.
fn listed(words: &[&str]) -> Option<String> {
    let words = words.iter().filter(|word| !["and", "&", "+"].contains(word));
    let types = words.map(|word| bare(word).filter(|bare| bare.contains('.') && is_event_type(bare)));
    Some(types.collect::<Option<Vec<String>>>()?.join(", "))
}

/// `order created` is perhaps `order.created`; words that are types of their own are not joined.
fn near_type(problem: Diagnostic, span: Span, words: &[&str]) -> Diagnostic {
    if words.iter().any(|word| word.contains(['.', ',', '/', ':'])) {
        return problem;
    }
    let words: Option<Vec<String>> = words.iter().map(|word| bare(word)).collect();
    match words.map(|words| words.join(".")).filter(|right| is_event_type(right)) {
        Some(right) => problem.likely(span, right),
        None => problem,
    }
}

/// The value of `[emit:: …]` in its right spelling.
pub(super) fn right_emit(value: &str) -> Option<String> {
    let right = |part: &str| match is_event_type(part.trim()) {
        true => Some(part.trim().to_owned()),
        false => listed(&part.split_whitespace().collect::<Vec<_>>()).filter(|all| !all.is_empty()),
    };
    Some(value.split(',').map(right).collect::<Option<Vec<String>>>()?.join(", "))
}

/// The value of `[await:: …]` in its right spelling: `order.paid within 3d` for `order.paid, timeout 3 days`.
pub(super) fn right_await(value: &str) -> Option<String> {
    let sound = |text: &str| {
        let mut problems = Vec::new();
        let read = parts((text, text), Span::new(0, text.len()), &mut problems);
        read.is_some() && problems.is_empty()
    };
    let value = value.trim();
    if value.len() > 2 * LONGEST || value.contains(['[', ']']) {
        return sound(value).then(|| value.to_owned());
    }
    let words: Vec<&str> = value.split_whitespace().collect();
    let mut right: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = words[at].trim_end_matches(',');
        let plain = word.to_ascii_lowercase();
        let limit =
            ["within", "timeout", "until", "for", "in", "max", "deadline", "after"].contains(&plain.as_str());
        // The longest words behind it that are a time, such as `3 days`.
        let time = (1..=3).rev().find_map(|count| {
            let words = words.get(at + 1..at + 1 + count).filter(|_| limit && at > 0)?;
            near::time(words.join(" ").trim_end_matches(',')).map(|time| (time, count))
        });
        if let Some((time, count)) = time {
            right.push(format!("within {time}"));
            at += count;
        } else if ["when", "if"].contains(&plain.as_str()) && at > 0 {
            right.push("where".to_owned());
        } else {
            let ends = words.get(at + 1).is_none_or(|next| {
                let next = next.to_ascii_lowercase();
                WORDS.contains(&&*next) || ["timeout", "until", "when", "if", "max"].contains(&&*next)
            });
            right.push(if ends { word } else { words[at] }.to_owned());
        }
        at += 1;
    }
    Some(right.join(" ")).filter(|right| sound(right))
}

/// Reads the value of `[await:: …]`. The second text has the author's white space.
pub(super) fn awaited(
    (text, written): (&str, &str),
    span: Span,
    problems: &mut Vec<Diagnostic>,
) -> Option<Await> {
    let value = &text[span.start..span.end];
    let mut own = Vec::new();
    let read = parts((text, written), span, &mut own);
    // One problem of the whole, if its right spelling is certain; a problem of one word shows its own.
    if !own.is_empty()
        && !own.iter().all(|problem| problem.fixes.iter().any(|fix| fix.safe))
        && let Some(right) = right_await(value).filter(|right| right != value)
    {
        let at = own[0].span;
        own = vec![
            problem::bad_await(at, "this is not a part of `await`".to_owned()).mended(span, Some(right)),
        ];
    }
    problems.append(&mut own);
    read
}

fn parts((text, written): (&str, &str), span: Span, problems: &mut Vec<Diagnostic>) -> Option<Await> {
    let words = keywords(&text[span.start..span.end]);
    let first = words.first().map_or(span.end, |(at, _)| span.start + at);
    let named = trim(text, span.start..first);
    if named.start == named.end {
        problems.push(problem::bad_await(span, "no type of events is named".to_owned()));
        return None;
    }
    let event = event_type(text, named, false, problems)?;
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
