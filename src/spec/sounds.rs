//! Headings whose titles suggest another meaning: handlers, compensations and steps by title alone.

use super::body::Part;
use super::evidence::{Role, is_reserved};
use super::heading::{Head, Note};
use super::markdown::Kind;
use super::model::COMPENSATIONS;
use super::near;
use super::title;
use crate::diag::{Diagnostic, catalogue as problem};
use std::collections::HashSet;

/// Names of inputs that suggest a failure.
const FAILURES: [&str; 6] = ["error", "errors", "failure", "failures", "exception", "failed"];

/// First words of headings that are sections, not steps.
const ABOUT: [&str; 44] = [
    "about",
    "a",
    "an",
    "the",
    "note",
    "notes",
    "how",
    "why",
    "what",
    "when",
    "who",
    "where",
    "which",
    "background",
    "context",
    "overview",
    "introduction",
    "remarks",
    "see",
    "further",
    "more",
    "faq",
    "glossary",
    "history",
    "open",
    "known",
    "related",
    "out",
    "definitions",
    "terms",
    "rules",
    "assumptions",
    "requirements",
    "scope",
    "appendix",
    "example",
    "examples",
    "references",
    "contact",
    "changelog",
    "todo",
    "part",
    "phase",
    "stage",
];

/// Reports such headings; `listed` are the inputs that the front matter names.
pub(super) fn check(
    text: &str,
    parts: &[Part],
    roles: &[Role],
    listed: &HashSet<&str>,
    problems: &mut Vec<Diagnostic>,
) {
    let named: HashSet<String> = parts
        .iter()
        .filter_map(|part| part.field(text, "compensate"))
        .map(|field| title::key(&text[field.value.start..field.value.end]))
        .collect();
    // A line that cannot be read makes all that it names.
    let broken = parts.iter().flat_map(|part| &part.arrows).filter(|arrow| arrow.read.is_err());
    let failing = broken.flat_map(|arrow| {
        text[arrow.span.start..arrow.span.end].split(|c: char| !c.is_alphanumeric() && c != '_')
    });
    let made: HashSet<&str> =
        parts.iter().flat_map(|part| part.signature_names(false)).chain(failing).collect();
    let compensations = parts.iter().any(|part| part.title(text) == COMPENSATIONS);
    let ordinary = |part: &Part| {
        !part.signature_names(true).any(|name| name.starts_with("failed_"))
            && !named.contains(part.title(text))
    };
    // The level of the heading that holds compensations, which never run forward.
    let mut below: Option<u8> = None;
    for (index, (part, role)) in parts.iter().zip(roles).enumerate() {
        let Some(head) = &part.head else { continue };
        below = below.filter(|level| head.level > *level);
        let title = part.title(text);
        if title == COMPENSATIONS {
            below = Some(head.level);
        }
        if below.is_some() {
            continue;
        }
        match role {
            Role::Step if ordinary(part) => {
                if sounds_late(title) || near::reverses(title) {
                    problems.push(problem::almost_a_handler(head.title, title));
                }
                failures(part, &made, listed, problems);
            }
            Role::Group if sounds_late(title) || near::is_undo(title) => {
                let inside = parts[index + 1..].iter().zip(&roles[index + 1..]);
                let mut inside = inside.take_while(|(part, _)| part.level() > head.level);
                let first = inside.find(|(part, role)| **role == Role::Step && ordinary(part));
                if let Some((first, _)) = first {
                    let problem = problem::almost_compensations(head.title, title, first.title(text));
                    problems.push(match near::is_undo(title) {
                        true if compensations => problem.help(format!("move them below `{COMPENSATIONS}`")),
                        true => problem.instead(head.title, COMPENSATIONS.to_owned()),
                        false => problem
                            .help("a failure handler is a step that takes an input such as `failed_items`"),
                    });
                }
            }
            Role::Section if is_between(parts, roles, index) && sounds_like_a_step(text, part, head) => {
                let whole = title::read(&text[head.whole.start..head.whole.end]);
                problems.push(problem::almost_a_step(head.whole, &whole));
            }
            _ => {}
        }
    }
}

/// Whether a title suggests that its steps run after a failure, or in any case.
fn sounds_late(title: &str) -> bool {
    let plain = near::plain(title);
    let begins =
        ["on-failure", "on-error", "on-fail-", "in-case-of-failure", "in-case-of-error", "after-failure"];
    let whole = [
        "finally",
        "on-fail",
        "failure",
        "failures",
        "failure-handling",
        "error-handling",
        "failure-handler",
        "error-handler",
        "failure-handlers",
        "error-handlers",
    ];
    let asks = ["when-", "if-", "in-case-"].iter().any(|word| plain.starts_with(word));
    let fails =
        ["-fails", "-failed", "-fail", "-goes-wrong", "-went-wrong"].iter().any(|word| plain.ends_with(word));
    whole.contains(&plain.as_str()) || begins.iter().any(|word| plain.starts_with(word)) || asks && fails
}

/// Inputs whose names suggest a failure, and that only items can provide.
fn failures(part: &Part, made: &HashSet<&str>, listed: &HashSet<&str>, problems: &mut Vec<Diagnostic>) {
    let read = part.arrows.iter().filter_map(|arrow| arrow.read.as_ref().ok());
    for port in read.flat_map(|signature| &signature.inputs) {
        let name = port.name.value.as_str();
        if FAILURES.contains(&name) && !made.contains(name) && !listed.contains(name) {
            problems.push(problem::almost_a_failure(port.name.span, name, "failed_items"));
        }
    }
}

/// Whether a heading begins like one of a section, such as `Notes`.
pub(super) fn is_about(title: &str) -> bool {
    let first = title.split_whitespace().next().unwrap_or_default().to_lowercase();
    ABOUT.contains(&first.trim_matches(|c: char| !c.is_alphanumeric()))
}

/// Whether a heading is between two steps of its own level.
fn is_between(parts: &[Part], roles: &[Role], index: usize) -> bool {
    let level = parts[index].level();
    let step = |(part, role): (&Part, &Role)| part.level() == level && *role == Role::Step;
    let before = parts[..index].iter().zip(roles).rfind(|(part, _)| part.level() <= level);
    let after = parts[index + 1..].iter().zip(&roles[index + 1..]).next();
    before.is_some_and(step) && after.is_some_and(step)
}

fn sounds_like_a_step(text: &str, part: &Part, head: &Head) -> bool {
    let title = title::read(&text[head.whole.start..head.whole.end]);
    let words: Vec<&str> = title.split_whitespace().collect();
    let capitals =
        words.iter().filter(|word| word.len() > 3).all(|word| word.starts_with(char::is_uppercase));
    let prose = part.blocks.iter().all(|block| matches!(block.kind, Kind::Paragraph | Kind::Container(_)));
    let plain = !head.tail.iter().any(|note| matches!(note.value, Note::Parallel));
    let told = head.stray(text).is_some();
    (2..=6).contains(&words.len())
        && capitals
        && prose
        && plain
        && !told
        && !title.ends_with(['?', ':'])
        && !is_about(&title)
        && !is_reserved(&title)
        && part.arrows.is_empty()
        && !part.blocks.is_empty()
}

impl Part<'_> {
    /// The level of its heading.
    pub(super) fn level(&self) -> u8 {
        self.head.as_ref().map_or(0, |head| head.level)
    }
}
