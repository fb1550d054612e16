//! Loops: `[repeat:: 3 until review.approved every 5s]`. Reads a field's value, and suggests a right spelling for others.

use super::condition;
use super::duration::duration;
use super::markdown::trim;
use super::model::Repeat;
use super::near;
use crate::diag::{Diagnostic, Span, catalogue as problem};

/// The most rounds of a loop.
const MOST: u32 = 100_000;

/// Reads the value of a field. The second text has the author's white space.
///
/// # Errors
/// The problem of the value, with its right spelling if there is one.
pub(super) fn read((text, written): (&str, &str), span: Span) -> Result<Repeat, Box<Diagnostic>> {
    let value = &text[span.start..span.end];
    let wrong = |why: &str| Box::new(problem::bad_repeat(span, why).mended(span, right(value)));
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let most = match value[..digits].parse::<u32>() {
        Ok(most) => most,
        Err(_) => return Err(wrong("a loop begins with a number, the most rounds that it has")),
    };
    let rest = trim(text, span.start + digits..span.end);
    if rest.start == rest.end {
        return Err(Box::new(problem::repeat_without_condition(span, value)));
    }
    let Some(asked) = text[rest.start..rest.end].strip_prefix("until ") else {
        return Err(wrong("after the number of rounds comes the condition that ends the loop"));
    };
    if !(2..=MOST).contains(&most) {
        return Err(Box::new(problem::bad_rounds(
            Span::new(span.start, span.start + digits),
            MOST,
            most == 1,
        )));
    }
    let asked = trim(text, rest.end - asked.len()..rest.end);
    let (end, every) = match text[asked.start..asked.end].rsplit_once(" every ") {
        Some((before, time)) => match duration(time.trim()) {
            Some(time) if !time.is_zero() => (asked.start + before.len(), Some(time)),
            _ if text[asked.start + before.len()..asked.end].contains(['"', '\'']) => (asked.end, None),
            _ => return Err(wrong("the pause between the rounds is a duration, as in `every 5s`")),
        },
        None => (asked.end, None),
    };
    let until = trim(text, asked.start..end);
    match condition::condition(written, until.start..until.end) {
        Ok(until) => Ok(Repeat { most, until, every }),
        Err(problem) => Err(right(value).map_or(problem, |right| {
            Box::new(problem::bad_repeat(span, "its condition is not one").mended(span, Some(right)))
        })),
    }
}

/// The value in its right spelling, such as `3 until approved` for `3 times until approved` or `3x while not approved`.
pub(super) fn right(value: &str) -> Option<String> {
    let (value, every) = split_every(value.trim());
    let (count, asked, ends) = ["until", "while", "as long as"].into_iter().find_map(|word| {
        let (count, asked) = cut(&value, word)?;
        Some((count.to_owned(), asked.to_owned(), word == "until"))
    })?;
    // `until approved, max 3`
    let (count, asked) = if count.trim().is_empty() { counted_last(&asked)? } else { (count, asked) };
    let count = count.trim().trim_end_matches([',', ';', ':']).trim_end();
    let count = count.trim_start_matches('≤').trim_start();
    let count: u32 = near::times(strip_rounds(count))?.parse().ok()?;
    let asked = near::condition(asked.trim().trim_end_matches([',', ';', '.']))?;
    let asked = if ends { asked } else { near::opposite(&asked) };
    let every = every.map(|time| format!(" every {time}")).unwrap_or_default();
    (2..=MOST).contains(&count).then(|| format!("{count} until {asked}{every}"))
}

/// The number of rounds behind the condition, as in `approved, max 3` and `approved or 3 times`.
fn counted_last(asked: &str) -> Option<(String, String)> {
    let joints = [
        ", or at most ",
        ", at most ",
        " at most ",
        ", up to ",
        " up to ",
        ", max ",
        " max ",
        " (max ",
        ", or ",
        " or ",
        ", ",
    ];
    joints.into_iter().find_map(|joint| {
        let (asked, count) = asked.rsplit_once(joint)?;
        let count = count.trim().trim_end_matches(')');
        near::times(strip_rounds(count))?.parse::<u32>().ok()?;
        Some((count.to_owned(), asked.to_owned()))
    })
}

/// Whether words are meant as a loop, such as `repeat until approved` and `repeat 3 times`; with its right value, if that
/// is certain.
pub(super) fn looped(words: &str) -> Option<Option<String>> {
    let words = words.trim();
    let end = words.find([' ', ':'])?;
    let begins = |word: &str| words[..end].eq_ignore_ascii_case(word);
    let loops = ["repeat", "repeated", "repeats", "loop", "looped", "loops"].into_iter().any(begins);
    if !loops || words.contains("::") {
        return None;
    }
    let rest = words[end..].trim_start_matches([':', ' ']);
    let lower = rest.to_lowercase();
    let says = ["until", "while", "times", "rounds", "up to", "at most", "as long as", "max"];
    let loops =
        says.iter().any(|word| lower.contains(word)) || lower.starts_with(|c: char| c.is_ascii_digit());
    loops.then(|| right(rest))
}

/// The text before and after a word.
fn cut<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = text.find(word)?;
    let (before, after) = (&text[..at], &text[at + word.len()..]);
    let apart = (before.is_empty() || before.ends_with([' ', ','])) && after.starts_with([' ', ':']);
    apart.then_some((before, after.trim_start_matches(':')))
}

/// A pause at the end, or before the condition.
fn split_every(value: &str) -> (String, Option<String>) {
    let value =
        value.trim_end().trim_end_matches(" pause").trim_end_matches(" between").trim_end_matches(" pauses");
    for word in ["every ", "with a pause of ", "pause ", "pausing ", "wait ", "waiting ", "with a ", "with "]
    {
        let Some((before, after)) = value.rsplit_once(word) else { continue };
        let (time, rest) = match after.find([',', ' ']) {
            Some(at) if near::time(after).is_none() => after.split_at(at),
            _ => (after, ""),
        };
        if let Some(time) = near::time(time) {
            let before = before.trim_end().trim_end_matches([',', ';']);
            return (
                format!("{before} {}", rest.trim_start_matches([',', ' '])).trim().to_owned(),
                Some(time),
            );
        }
    }
    (value.to_owned(), None)
}

/// `3 rounds` and `3 iterations` as `3 times`.
fn strip_rounds(count: &str) -> &str {
    ["rounds", "iterations", "loops", "tries"]
        .into_iter()
        .find_map(|word| count.strip_suffix(word))
        .map_or(count, str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::right;

    #[test]
    fn what_is_surely_meant_has_a_right_spelling() {
        for (written, meant) in [
            ("3x until approved", "3 until approved"),
            ("3 times until approved", "3 until approved"),
            ("up to 3 times until review.approved", "3 until review.approved"),
            ("max 3, until approved", "3 until approved"),
            ("5 rounds until score >= 8", "5 until score >= 8"),
            ("3 while !approved", "3 until approved"),
            ("3 while score < 8", "3 until not (score < 8)"),
            ("10 until ok, every 5 seconds", "10 until ok every 5s"),
            ("10 every 5s until ok", "10 until ok every 5s"),
            ("three times until approved", "3 until approved"),
        ] {
            assert_eq!(right(written).as_deref(), Some(meant), "{written}");
        }
        for (written, meant) in [
            ("until review.approved, max 3", "3 until review.approved"),
            ("until review.approved or 3 times", "3 until review.approved"),
            ("until approved (max 3)", "3 until approved"),
            ("10 until ok with 5s pause", "10 until ok every 5s"),
            ("10 until ok with a 5s pause", "10 until ok every 5s"),
        ] {
            assert_eq!(right(written).as_deref(), Some(meant), "{written}");
        }
        for unclear in [
            "3 until review is approved",
            "3",
            "until approved",
            "x until approved",
            "3 approved",
            "1 until approved",
            "",
        ] {
            assert_eq!(right(unclear), None, "{unclear}");
        }
    }
}
