//! Conditions: `If stock_ok → Create Order`, `Otherwise → end`, `[when:: total > 100]`.

use super::decision;
use super::markdown::trim;
use super::model::{Arm, Spanned, Target};
use super::near;
use super::title;
use crate::condition::{self, Condition};
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::value::space::{self, is_space};

/// Whether a line begins like a condition.
pub(super) fn begins(line: &str) -> bool {
    let word = line.split([' ', '\t', ',', ':']).next().unwrap_or("");
    ["If", "Otherwise"].contains(&word)
}

/// Whether a line is a condition: it begins like one and has an arrow.
pub(super) fn is_one(line: &str) -> bool {
    begins(line) && (line.contains('→') || line.contains("->"))
}

/// The target of a line like `If stock, proceed to Create Order`. As these are ordinary words, it is a condition only
/// if the step exists.
pub(super) fn proceeds(text: &str, line: Span) -> Option<Span> {
    let raw = &text[line.start..line.end];
    if !begins(raw) {
        return None;
    }
    let (at, length, _) = word(raw)?;
    Some(target_of(text, line.start + at + length, line.end))
}

/// Words that lead to a step, and whether they skip the steps between.
const WORDS: [(&str, bool); 2] = [("proceed", false), ("skip", true)];

/// The last `proceed to` or `skip to` of a line, where it begins and how long it is, and whether it skips.
fn word(line: &str) -> Option<(usize, usize, bool)> {
    let leads = |(word, skips): (&'static str, bool)| {
        line.rmatch_indices(word).find_map(|(at, _)| {
            let behind = line[at + word.len()..].trim_start().strip_prefix("to")?;
            let to = behind.trim_start();
            (to.len() < behind.len()).then_some((at, line.len() - to.len() - at, skips))
        })
    };
    WORDS.into_iter().find_map(leads)
}

/// Reads a condition's line.
///
/// # Errors
/// The problem of the line.
pub(super) fn arm(text: &str, written: &str, line: Span) -> Result<Arm, Box<Diagnostic>> {
    let raw = &text[line.start..line.end];
    if let Some(second) = second(raw) {
        let [from, to] = [second.begins, second.leads].map(|at| line.start + at);
        let margin = &text[text[..line.start].rfind('\n').map_or(0, |at| at + 1)..line.start];
        let right = format!("{}{}", second.word, raw[second.leads..].trim());
        let problem = problem::second_decision(Span::new(from, line.end), &right);
        return Err(Box::new(problem.fix(Span::new(from, to), format!("\n{margin}{}", second.word))));
    }
    let arrow = ["→", "->"].into_iter().filter_map(|arrow| Some((raw.rfind(arrow)?, arrow.len()))).max();
    let word = word(raw);
    let (end, start, skips) = match (arrow, word) {
        (Some((at, length)), Some((word, long, skips))) if at < word => {
            (at, word + long, skips || length == 0)
        }
        (Some((at, length)), _) => (at, at + length, false),
        (None, Some((word, long, skips))) => (word, word + long, skips),
        (None, None) => return Err(Box::new(problem::bad_condition(line, "it leads nowhere", None))),
    };
    let said = trim(text, line.start..line.start + end);
    let target = target_of(text, line.start + start, line.end);
    if target.start == target.end {
        let asked = text[said.start..said.end].strip_prefix("If").unwrap_or_default();
        let asked = asked.trim_matches([' ', '\t', ',', ':']);
        let right =
            decision::in_signs(asked).map_or_else(|| "Otherwise".to_owned(), |right| format!("If {right}"));
        let help = format!(
            "write a step's title behind the arrow, as in `{right} → Step Title`, or `end`, or `fail \"the reason\"`"
        );
        return Err(Box::new(problem::bad_condition(target, "it leads nowhere", Some(&help))));
    }
    let target = self::target(written, target, skips)?;
    let condition = match text[said.start..said.end].strip_prefix("If") {
        Some(rest) => Some(condition(written, said.end - rest.len()..said.end)?),
        None => {
            let rest = trim(text, said.start + "Otherwise".len()..said.end);
            let rest = &text[rest.start..rest.end];
            if !rest.trim_matches([',', ':', ' ']).is_empty() {
                let message = "`Otherwise` has no condition of its own";
                return Err(Box::new(problem::bad_condition(
                    said,
                    message,
                    Some("write `If` for one more condition"),
                )));
            }
            None
        }
    };
    Ok(Arm { span: line, condition, target })
}

/// A second decision on a line.
struct Second {
    /// Where it begins, with what separates it from the first one.
    begins: usize,
    /// Where its condition or its target begins.
    leads: usize,
    /// What is right before that.
    word: &'static str,
}

/// The second decision of `If ok → Pay, else → Refuse`: behind the first target there is a separator or an arrow.
fn second(raw: &str) -> Option<Second> {
    const SEPARATORS: [char; 5] = [',', ';', '|', ' ', '\t'];
    let first = ["→", "->"].into_iter().filter_map(|arrow| Some(raw.find(arrow)? + arrow.len())).min()?;
    let lower = raw.to_ascii_lowercase();
    ["else", "otherwise"].into_iter().filter(|_| raw.starts_with("If")).find_map(|word| {
        let at = first + lower[first..].find(word)?;
        let before = raw[..at].trim_end_matches(SEPARATORS);
        let behind = raw[at + word.len()..].trim_start_matches([' ', '\t', ',', ':']);
        let apart = raw[before.len()..at].contains([',', ';', '|']);
        let alone = before.len() < at && behind.len() < raw.len() - at - word.len();
        let arrow = ["→", "->"].into_iter().find_map(|arrow| behind.strip_prefix(arrow));
        let asks = behind.get(..3).filter(|begin| begin.eq_ignore_ascii_case("if ")).map(|_| &behind[3..]);
        let (rest, word) = match asks {
            Some(rest) if rest.contains(['→', '>']) => (rest, "If "),
            _ => (arrow.unwrap_or(behind), "Otherwise → "),
        };
        let rest = rest.trim_start();
        let certain = before.len() > first && alone && (apart || arrow.is_some() || asks.is_some());
        (certain && !rest.is_empty()).then(|| Second {
            begins: before.len(),
            leads: raw.len() - rest.len(),
            word,
        })
    })
}

/// Reads an expression without a comma or colon before the arrow, and without backticks.
pub(super) fn condition(
    text: &str,
    range: std::ops::Range<usize>,
) -> Result<Spanned<Condition>, Box<Diagnostic>> {
    let span = trim(text, range);
    let said = text[span.start..span.end].trim_end_matches(|c| is_space(c) || matches!(c, ',' | ':'));
    let span = Span::new(span.start, span.start + said.len());
    match condition::parse(&said.replace('`', " ")) {
        Ok(condition) => Ok(Spanned::new(condition, span)),
        Err(fault) => {
            let at = Span::new(span.start + fault.at.start, span.start + fault.at.end);
            let problem = problem::bad_condition(at, &fault.message, fault.help.as_deref());
            let signs = near::signs(said);
            Err(Box::new(match near::condition(said) {
                Some(right) if right == signs => problem.instead(span, right),
                Some(right) => problem.likely(span, right),
                None => near::is_word(said).into_iter().fold(problem, Diagnostic::help),
            }))
        }
    }
}

/// The target without backticks and a full stop.
fn target_of(text: &str, start: usize, end: usize) -> Span {
    let span = trim(text, start..end);
    let said = &text[span.start..span.end];
    let bare = said.trim_end_matches(['.', '`', ' ']);
    let ahead = bare.len() - bare.trim_start_matches(['`', ' ']).len();
    Span::new(span.start + ahead, (span.start + bare.len()).max(span.start + ahead))
}

fn target(text: &str, span: Span, skips: bool) -> Result<Spanned<Target>, Box<Diagnostic>> {
    let said = &text[span.start..span.end];
    let wrong = |message: &str| {
        let help = "write a step's title, `end`, or `fail \"the reason\"`";
        Err(Box::new(problem::bad_condition(span, message, Some(help))))
    };
    let target = match said.strip_prefix("fail") {
        _ if said == "end" => Target::End,
        Some(rest) if rest.is_empty() || rest.starts_with(|c| is_space(c) || matches!(c, '"' | '“')) => {
            let reason = space::trim(space::trim(rest).trim_matches(['"', '“', '”', '\'']));
            if reason.is_empty() {
                return wrong("`fail` needs a reason");
            }
            Target::Fail(reason.to_owned())
        }
        _ if skips => Target::Skip(title::read(said)),
        _ => Target::Step(title::read(said)),
    };
    Ok(Spanned::new(target, span))
}
