//! Phrases in brackets and lines: an approval before the step, steps at the same time, a loop over a list.

use super::{Place, Right, insert, meant};
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};
use crate::spec::body::Loose;
use crate::spec::heading::Note;
use crate::spec::near;

/// Words before an approval.
const BEFORE: [&str; 13] = [
    "requires",
    "require",
    "required",
    "needs",
    "need",
    "after",
    "wait for",
    "waits for",
    "await",
    "pending",
    "subject to",
    "with",
    "blocked by",
];

/// What a person gives.
const APPROVALS: [&str; 9] = [
    "approval",
    "approvals",
    "manual approval",
    "human approval",
    "sign-off",
    "signoff",
    "sign off",
    "confirmation",
    "human review",
];

/// Words before a step that runs at the same time.
const BESIDE: [&str; 8] = [
    "in parallel with",
    "parallel with",
    "parallel to",
    "parallel",
    "alongside",
    "concurrently with",
    "concurrent with",
    "at the same time as",
];

/// A phrase without one of these beginnings.
fn behind<'a>(phrase: &'a str, beginnings: &[&str]) -> Option<&'a str> {
    beginnings.iter().find_map(|beginning| {
        let start = phrase.get(..beginning.len())?;
        let rest = &phrase[beginning.len()..];
        let apart = rest.is_empty() || rest.starts_with([' ', ':', ',']);
        (start.eq_ignore_ascii_case(beginning) && apart).then(|| rest.trim_start_matches([' ', ':', ',']))
    })
}

/// What is said about an approval, such as `by @ops` in `requires approval by @ops`.
fn approval(phrase: &str) -> Option<&str> {
    let rest = behind(phrase, &BEFORE).unwrap_or(phrase).trim_start();
    let rest = ["an ", "a ", "the "].into_iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let from = rest.strip_suffix("'s approval").or_else(|| rest.strip_suffix(" approval"));
    match behind(rest, &APPROVALS) {
        Some(said) => {
            let said = said.strip_prefix("required").or_else(|| said.strip_prefix("needed")).unwrap_or(said);
            Some(said.trim_start().trim_start_matches("from ").trim_start_matches("of "))
        }
        None => from.filter(|actor| actor.starts_with('@')),
    }
}

impl Place<'_> {
    /// The gate for words that ask for an approval, and the changes that write it instead of them.
    pub(super) fn approval(&self, span: Span, words: &str) -> Option<(String, Vec<Replacement>)> {
        let said = approval(words)?;
        let actor = near::actor(said.trim_start_matches("by ")).map(|actor| format!("by @{actor}"));
        let gate = self.gate(actor.as_deref().unwrap_or("approval"))?;
        let Right::There(shown, changes) = gate else { return None };
        let gone = Replacement { span: self.removal(span), text: String::new() };
        Some((shown, changes.into_iter().chain([gone]).collect()))
    }

    /// Words that name a step beside this one.
    pub(super) fn beside(&self, span: Span, words: &str) -> Option<Diagnostic> {
        let title = behind(words, &BESIDE)?;
        meant::steps(title.trim_matches(['`', '"', ' ']), self.titles)?;
        let gone = Replacement { span: self.removal(span), text: String::new() };
        let why = "steps that do not wait for each other run in parallel";
        Some(problem::no_such_thing(span, self.slice(span), why).fixed(false, vec![gone]))
    }

    /// Agents that the heading of a section, or a line below it, names in words: `(agent: @billing)`.
    pub(super) fn agents_of_a_section(&self) -> Option<Diagnostic> {
        let title = self.slice(self.head.title);
        let open = title.find(['(', '['])?;
        let close = open + title[open..].find([')', ']'])?;
        let span = Span::new(self.head.title.start + open, self.head.title.start + close + 1);
        let right = named(&title[open + 1..close])?;
        let gone = Replacement { span: self.removal(span), text: String::new() };
        let changes = vec![insert(self.head.whole.end, format!(" {right}")), gone];
        Some(problem::near_annotation(span, &right).fixed(true, changes))
    }

    /// The same in a line below the heading.
    pub(super) fn agent_line(&self, loose: &Loose) -> Option<Diagnostic> {
        let has = self.head.tail.iter().any(|note| matches!(note.value, Note::Agent(_)));
        let said = self.slice(loose.inner);
        let said = said.strip_prefix('(').and_then(|said| said.strip_suffix(')')).unwrap_or(said);
        let right = named(said).filter(|_| !has)?;
        let gone = Replacement { span: self.removal(loose.whole(self.text)), text: String::new() };
        let changes = vec![insert(self.head.whole.end, format!(" {right}")), gone];
        Some(problem::near_annotation(loose.inner, &right).fixed(true, changes))
    }
}

/// `agent: @billing` as `@billing`. Without the sign, the words may be meant for people.
fn named(said: &str) -> Option<String> {
    let (key, value) = near::pair(said)?;
    let agent =
        near::meant(key) == Some(near::Meant::Agent) && value.trim_start_matches(['`', ' ']).starts_with('@');
    agent.then(|| near::actor(value).map(|actor| format!("@{actor}"))).flatten()
}
