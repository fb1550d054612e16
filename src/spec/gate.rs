//! `> [!gate within 2d by @ops] Needs sign-off by ops`: gates in quotes below a heading, and what is almost one. Does
//! not know what waits there.

use super::duration::duration;
use super::instructions;
use super::markdown::trim;
use super::model::{Gate, Spanned};
use super::near;
use crate::diag::{Diagnostic, Span, catalogue as problem};

const MARK: &str = "[!gate";

/// Other names of the mark, without its brackets.
const OTHERS: [&str; 12] = [
    "approve",
    "approval",
    "approvals",
    "approver",
    "sign-off",
    "signoff",
    "manual",
    "human",
    "gates",
    "hold",
    "wait",
    "confirm",
];

/// A gate as it is written: its mark's line, what is in the mark, and the lines of its question.
#[derive(Clone, Debug)]
pub(super) struct WrittenGate {
    pub line: Span,
    inner: Span,
    question: Vec<Span>,
}

impl WrittenGate {
    /// The gate that a line without the marks of its quote begins.
    pub fn begin(text: &str, line: Span) -> Option<WrittenGate> {
        let said = &text[line.start..line.end];
        let start = said.get(..MARK.len())?;
        let close = said.find(']')?;
        let follows = said[MARK.len()..].starts_with([']', ' ', '\t']);
        if !start.eq_ignore_ascii_case(MARK) || !follows {
            return None;
        }
        let inner = trim(text, line.start + MARK.len()..line.start + close);
        let mut gate = WrittenGate { line, inner, question: Vec::new() };
        gate.add(text, Span::new(line.start + close + 1, line.end));
        Some(gate)
    }

    /// Adds a line to its question.
    pub fn add(&mut self, text: &str, line: Span) {
        let line = trim(text, line.start..line.end);
        self.question.extend((line.start < line.end).then_some(line));
    }

    /// What it says. `written` is the text with its own white space.
    pub fn read(&self, text: &str, written: &str, problems: &mut Vec<Diagnostic>) -> Gate {
        let mut gate = Gate {
            span: self.line,
            within: None,
            by: None,
            question: instructions::of_lines(written, &self.question, problems),
        };
        let mut words = words(text, self.inner).into_iter().peekable();
        while let Some(word) = words.next() {
            let said = &text[word.start..word.end];
            match said.to_ascii_lowercase().as_str() {
                "within" if gate.within.is_none() => {
                    // `2 days` has a space.
                    let mut value = words.next();
                    while let (Some(so_far), Some(next)) = (value, words.peek()) {
                        let next_word = &text[next.start..next.end];
                        let joined = so_far.to(*next);
                        if next_word.eq_ignore_ascii_case("by")
                            || near::time(&text[joined.start..joined.end]).is_none()
                        {
                            break;
                        }
                        value = Some(joined);
                        words.next();
                    }
                    gate.within = self.within(text, word, value, problems);
                }
                "by" if gate.by.is_none() => match words.next() {
                    Some(who) => gate.by = approver(text, who, problems),
                    None => problems.push(problem::bad_gate(
                        word,
                        "`by` has no name".to_owned(),
                        "write the name of an approver, as in `by @ops`",
                    )),
                },
                key @ ("within" | "by") => problems.push(problem::bad_gate(
                    word,
                    format!("`{key}` is given twice"),
                    "give it once; a group around the step, or another step before it, can have a gate of its own",
                )),
                _ => {
                    let help = "write `[!gate]`, `[!gate within 2d]`, `[!gate by @ops]` or `[!gate within 2d by @ops]`";
                    let report = problem::bad_gate(word, format!("`{said}` is not part of a gate"), help);
                    let right = match (said.strip_prefix('@'), near::time(said)) {
                        (Some(_), _) if gate.by.is_none() => Some(format!("by {said}")),
                        (None, Some(time)) if gate.within.is_none() => Some(format!("within {time}")),
                        _ => None,
                    };
                    problems.push(match right {
                        Some(right) => report.fix(word, right),
                        None => report,
                    });
                }
            }
        }
        gate
    }

    fn within(
        &self,
        text: &str,
        word: Span,
        value: Option<Span>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Spanned<std::time::Duration>> {
        let help = "write a duration, as in `within 2d`";
        let Some(value) = value else {
            problems.push(problem::bad_gate(word, "`within` has no duration".to_owned(), help));
            return None;
        };
        let said = &text[value.start..value.end];
        match duration(said) {
            Some(time) if !time.is_zero() => Some(Spanned::new(time, value)),
            Some(_) => {
                problems.push(problem::bad_gate(value, "no time is left to decide".to_owned(), help));
                None
            }
            None => {
                let report = problem::bad_gate(value, format!("`{said}` is not a duration"), help);
                problems.push(match near::time(said) {
                    Some(right) => report.fix(value, right),
                    None => report,
                });
                None
            }
        }
    }
}

fn approver(text: &str, who: Span, problems: &mut Vec<Diagnostic>) -> Option<Spanned<String>> {
    let said = &text[who.start..who.end];
    let help = "an approver is written as in `by @ops`, one for each gate";
    let name = said.strip_prefix('@').unwrap_or(said);
    let sound = near::actor(name).filter(|actor| *actor == name);
    match (said.strip_prefix('@'), sound) {
        (Some(_), Some(name)) => Some(Spanned::new(name.to_owned(), who)),
        (None, Some(name)) => {
            let report = problem::bad_gate(who, format!("`{said}` is not an approver"), help);
            problems.push(report.fix(who, format!("@{name}")));
            None
        }
        (_, None) => {
            problems.push(problem::bad_gate(who, format!("`{said}` is not an approver"), help));
            None
        }
    }
}

/// Whether a character is between words.
fn between(c: char) -> bool {
    c.is_whitespace() || c == ','
}

/// The words of a span.
fn words(text: &str, span: Span) -> Vec<Span> {
    let mut words = Vec::new();
    let mut at = span.start;
    while at < span.end {
        let rest = &text[at..span.end];
        let start = at + rest.find(|c| !between(c)).unwrap_or(rest.len());
        let rest = &text[start..span.end];
        let end = start + rest.find(between).unwrap_or(rest.len());
        if start < end {
            words.push(Span::new(start, end));
        }
        at = end.max(at + 1);
    }
    words
}

/// The right spelling of a line of a quote that is almost a gate's mark: what is replaced, and by what.
pub(super) fn almost(text: &str, line: Span) -> Option<(Span, String)> {
    let said = &text[line.start..line.end];
    let close = said.find(']')?;
    let inner = said.get(2..close).filter(|_| said.starts_with("[!"))?;
    let name = inner.split([' ', ':', '=', '(']).next().unwrap_or_default().to_ascii_lowercase();
    let plain = near::plain(&name);
    let known =
        OTHERS.contains(&plain.as_str()) || name.len() > 2 && strsim::osa_distance(&name, "gate") <= 1;
    if !known {
        return None;
    }
    let rest = inner[name.len()..].trim_start_matches([':', '=', '(', ' ']).trim_end_matches(')').trim();
    let parts = match (near::time(rest), near::actor(rest.trim_start_matches('@'))) {
        _ if rest.is_empty() => String::new(),
        _ if ["within ", "by "].iter().any(|word| rest.to_ascii_lowercase().starts_with(word)) => {
            format!(" {rest}")
        }
        (Some(time), _) => format!(" within {time}"),
        (None, Some(actor)) if !rest.contains(char::is_whitespace) => format!(" by @{actor}"),
        _ => String::new(),
    };
    Some((Span::new(line.start, line.start + close + 1), format!("[!gate{parts}]")))
}

/// Whether a line of a quote asks for an approval in words.
pub(super) fn speaks(said: &str) -> bool {
    let said = said.to_lowercase();
    let words: Vec<&str> =
        said.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty()).collect();
    let rest = match words.as_slice() {
        ["needs" | "need" | "requires" | "require" | "awaits", rest @ ..] => rest,
        ["wait" | "waits" | "waiting", "for", rest @ ..] => rest,
        ["must", "be", "approved" | "signed", ..] => return true,
        _ => return false,
    };
    let skip = |word: &&&str| ["a", "an", "the", "manual", "human", "written", "explicit"].contains(*word);
    match rest.iter().skip_while(skip).collect::<Vec<_>>().as_slice() {
        [what, ..] if ["approval", "sign-off", "signoff"].contains(*what) => true,
        [sign, off, ..] => **sign == "sign" && **off == "off",
        _ => false,
    }
}
