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
const OTHERS: [&str; 15] = [
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
    "review",
    "reviewer",
    "decision",
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
        let mut own = Vec::new();
        let gate = self.strictly(text, written, &mut own);
        let of_mark = |problem: &Diagnostic| {
            self.inner.start <= problem.span.start && problem.span.end <= self.inner.end
        };
        let broken = own.iter().filter(|problem| of_mark(problem)).count();
        let mends_itself = own.iter().any(|problem| of_mark(problem) && !problem.fixes.is_empty());
        // Several problems have one right spelling of the whole mark, or none.
        if broken > 1 || broken == 1 && !mends_itself {
            let inner = &text[self.inner.start..self.inner.end];
            if let Some(right) = parts(inner) {
                let at =
                    own.iter().find(|problem| of_mark(problem)).map_or(self.inner, |problem| problem.span);
                let said = &text[at.start..at.end];
                own.retain(|problem| !of_mark(problem));
                let right = right.trim_start().to_owned();
                let report = problem::bad_gate(at, format!("`{said}` is not part of a gate"), "");
                own.push(report.help(format!("write `[!gate {right}]`")).fix(self.inner, right));
            }
        }
        problems.append(&mut own);
        gate
    }

    fn strictly(&self, text: &str, written: &str, problems: &mut Vec<Diagnostic>) -> Gate {
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
                "if" | "when" | "unless" | "where" => {
                    let asked = Span::new(words.peek().map_or(word.end, |next| next.start), self.inner.end);
                    let asked = text[asked.start..asked.end].trim();
                    let what = format!("`{}` is not part of a gate", &text[word.start..self.inner.end]);
                    let right = match said.eq_ignore_ascii_case("unless") {
                        true => format!("[when:: {}]", near::opposite(asked)),
                        false => format!("[when:: {asked}]"),
                    };
                    let help = format!("a gate has no condition; the step has one: write `{right}` in its heading");
                    problems.push(problem::bad_gate(word.to(self.inner), what, &help));
                    break;
                }
                _ => {
                    let help = "write `[!gate]`, `[!gate within 2d]`, `[!gate by @ops]` or `[!gate within 2d by @ops]`";
                    problems.push(problem::bad_gate(word, format!("`{said}` is not part of a gate"), help));
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

/// What is said of a gate in other words, such as `timeout 2 days, ops`, as the parts of its mark: ` within 2d by @ops`.
pub(super) fn parts(said: &str) -> Option<String> {
    let words: Vec<&str> = said.split(between).filter(|word| !word.is_empty()).collect();
    let (mut within, mut by, mut at) = (None, None, 0);
    let actor = |word: &str| near::actor(word).map(str::to_owned);
    while at < words.len() {
        let plain = words[at].to_ascii_lowercase();
        let limits =
            ["within", "timeout", "until", "for", "max", "deadline", "in", "after"].contains(&plain.as_str());
        let start = at + usize::from(limits);
        let time = (1..=3).rev().find_map(|count| {
            let time = near::time(&words.get(start..start + count)?.join(" "))?;
            Some((time, start + count))
        });
        let names = ["by", "from", "approver", "approvers", "of"].contains(&plain.as_str());
        if let Some((time, next)) = time {
            if within.replace(time).is_some() {
                return None;
            }
            at = next;
        } else if names && at + 1 < words.len() && by.is_none() {
            by = Some(actor(words[at + 1])?);
            at += 2;
        } else if (words[at].starts_with('@') || words.len() == 1) && by.is_none() {
            by = Some(actor(words[at])?);
            at += 1;
        } else {
            return None;
        }
    }
    let within = within.map(|time: String| format!(" within {time}")).unwrap_or_default();
    let by = by.map(|actor: String| format!(" by @{actor}")).unwrap_or_default();
    Some(format!("{within}{by}")).filter(|parts| !parts.is_empty())
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
pub(super) fn almost(text: &str, line: Span) -> Option<(Span, Option<String>)> {
    let said = &text[line.start..line.end];
    let close = said.find(']')?;
    let inner = said.get(1..close).filter(|_| said.starts_with('['))?;
    // `[gate]` without the sign; a link is not one.
    let signed = inner.starts_with('!');
    if !signed && said[close + 1..].starts_with(['(', '[', ':']) {
        return None;
    }
    let inner = inner.trim_start_matches('!');
    let name = inner.split([' ', ':', '=', '(']).next().unwrap_or_default().to_ascii_lowercase();
    let plain = near::plain(&name);
    let known = match signed {
        true => {
            OTHERS.contains(&plain.as_str()) || name.len() > 2 && strsim::osa_distance(&name, "gate") <= 1
        }
        false => ["gate", "approval", "approve", "sign-off", "signoff"].contains(&plain.as_str()),
    };
    if !known {
        return None;
    }
    let rest = inner[name.len()..].trim_start_matches([':', '=', '(', ' ']).trim_end_matches(')').trim();
    let lower = rest.to_ascii_lowercase();
    let limits = ["within", "by", "timeout"].iter().any(|word| lower.starts_with(word)) || rest.contains('@');
    let right = match parts(rest) {
        _ if rest.is_empty() => Some("[!gate]".to_owned()),
        Some(parts) => Some(format!("[!gate{parts}]")),
        // The approver or the time would be lost.
        None if limits => None,
        None => Some(format!("[!gate] {rest}")),
    };
    Some((Span::new(line.start, line.start + close + 1), right))
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
