//! Near misses that are whole lines: loops over a list, brackets and signs of other languages, pauses.

use super::{Place, insert, meant};
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};
use crate::spec::body::{Loose, out};
use crate::spec::decision::{self, Known};
use crate::spec::evidence::Role;
use crate::spec::near::{self, Meant};
use crate::spec::{repeat, sounds};

/// Words before an element and its list.
const EACH: [&str; 7] =
    ["For each ", "For every ", "for each ", "for every ", "Foreach ", "foreach ", "For all "];

/// Words before a list.
const OVER: [&str; 6] = [
    "loop over ",
    "iterate over ",
    "for each of ",
    "for every one of ",
    "once for each of ",
    "repeat for each of ",
];

/// Words before a time to wait.
const PAUSES: [&str; 4] = ["wait ", "pause ", "sleep ", "delay "];

impl Place<'_> {
    /// `For each line in lines:` and `loop over lines`.
    pub(super) fn for_each(&self, loose: &Loose) -> Option<Diagnostic> {
        let said = self.slice(loose.inner).trim_end_matches([':', '.', ',', ' ']);
        if self.part.field(self.text, "each").is_some() {
            return None;
        }
        let bare = |text: &str| text.trim_start_matches("the ").trim_matches('`').to_owned();
        let Some(rest) = EACH.into_iter().find_map(|word| said.strip_prefix(word)) else {
            let lower = said.to_lowercase();
            let list = bare(OVER.into_iter().find_map(|word| lower.strip_prefix(word))?);
            let one = list.strip_suffix('s').filter(|one| one.len() > 1).unwrap_or("element");
            return self.takes(&list).then(|| problem::list_as_a_whole(loose.inner, one, &list, true));
        };
        let (element, list) = rest.split_once(" in ").or_else(|| rest.split_once(" of "))?;
        let (element, list) = (bare(element), bare(list));
        if [&element, &list].into_iter().any(|name| name.split_whitespace().count() != 1) {
            return None;
        }
        if !self.titles.is_value(&list) && list.contains('.') {
            return Some(problem::elements_of_a_file(loose.inner, &element, &list));
        }
        let each = near::each(&format!("{element} in {list}"))?;
        if !self.takes(&element) {
            let known = self.titles.is_value(&list);
            return known.then(|| problem::list_as_a_whole(loose.inner, &element, &list, self.takes(&list)));
        }
        if !self.titles.is_value(&list) {
            return Some(problem::list_without_maker(loose.inner, &each, &list));
        }
        let right = format!("[each:: {each}]");
        let problem = problem::near_annotation(loose.inner, &right);
        // An element has a name of its own.
        if self.parts.iter().any(|part| part.signature_names(false).any(|name| name == element)) {
            return Some(problem);
        }
        let gone = Replacement { span: self.removal(loose.whole(self.text)), text: String::new() };
        let changes = vec![insert(self.head.whole.end, format!(" {right}")), gone];
        Some(problem.fixed(false, changes))
    }

    fn takes(&self, name: &str) -> bool {
        self.part.signature_names(true).any(|taken| taken == name)
    }

    /// A line that is one bracket, `[wait for: order.paid]`; a sign before a setting, `@retry(3)`; settings in a row,
    /// `timeout 30s, retry twice`; or a pause, `Wait 3 days`.
    pub(super) fn sign(&self, role: Role, loose: &Loose) -> Option<Diagnostic> {
        let said = self.slice(loose.inner).trim_matches(['*', '_', ' ']);
        let inner = loose.inner;
        let told = |doubt: &Diagnostic| doubt.span.start < inner.end && inner.start < doubt.span.end;
        if said.len() > 200 || said.contains("::") || self.part.doubts.iter().any(told) {
            return None;
        }
        if let Some(inner) = said.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return self.bracketed(role, loose, inner);
        }
        let called = said.strip_prefix('@').and_then(|rest| rest.strip_suffix(')')?.split_once('('));
        if let Some((key, value)) = called {
            let right = meant::setting(&format!("{key}: {value}"), self.titles)?;
            return Some(self.on_a_line(loose, &right));
        }
        let lower = said.to_lowercase();
        if let Some(rest) = PAUSES.into_iter().find_map(|word| lower.strip_prefix(word)) {
            let rest = rest.strip_prefix("for ").unwrap_or(rest);
            let first = rest.split_whitespace().next().unwrap_or_default();
            let second = rest.split_whitespace().nth(1).unwrap_or_default();
            let pauses = near::time(first).is_some() || near::time(&format!("{first} {second}")).is_some();
            return (pauses && role == Role::Step)
                .then(|| problem::no_effect(loose.inner, "this line", "waiting before a step starts"));
        }
        if let (Some(Some(right)), Role::Step) = (repeat::looped(said), role) {
            let open = self.part.field(self.text, "repeat").is_none();
            return open.then(|| self.on_a_line(loose, &format!("[repeat:: {right}]")));
        }
        if !said.contains([',', ';']) {
            return None;
        }
        let right = near::settings(said, false, &|part| meant::setting(part, self.titles));
        let right = right.filter(|right| right.matches("::").count() > 1)?;
        Some(self.on_a_line(loose, &right))
    }

    /// What a bracket on a line of its own is meant as. In brackets people also write remarks.
    fn bracketed(&self, role: Role, loose: &Loose, inner: &str) -> Option<Diagnostic> {
        if inner.contains(['[', ']', '(']) || ["", "x"].contains(&inner.trim()) {
            return None;
        }
        let (key, value) = near::pair(inner).unwrap_or((inner, ""));
        let meant = near::meant(key);
        let event =
            value.split_whitespace().next().is_some_and(|first| first.trim_end_matches(',').contains('.'));
        if let (Some(Meant::Field("after" | "await") | Meant::Event), true) = (meant, event)
            && let Some(right) = near::value("await", &value.replace("up to ", "within "))
        {
            return Some(self.on_a_line(loose, &format!("[await:: {right}]")));
        }
        let loops = near::meant(inner.split(' ').next().unwrap_or_default()) == Some(Meant::Field("each"));
        if let Some(right) = near::each(inner).filter(|_| loops) {
            let (element, list) = right.split_once(" in ")?;
            return Some(match self.takes(element) {
                true => self.on_a_line(loose, &format!("[each:: {right}]")),
                false => problem::list_as_a_whole(loose.inner, element, list, self.takes(list)),
            });
        }
        if let Some(right) = decision::fails(inner, self.titles) {
            return Some(problem::almost_a_decision(loose.inner, &right).fix(loose.inner, right));
        }
        let known = meant::annotation(&format!("[{inner}]"), self.titles).is_some()
            || meant.is_some() && (!value.is_empty() || near::plain(inner).contains('-'))
            || self.approval(loose.inner, inner).is_some()
            || self.beside(loose.inner, inner).is_some();
        // Whatever has no brackets of a heading.
        let span = Span::new(loose.inner.start, loose.inner.end);
        let bare = self.slice(span).starts_with('[') && self.slice(span).ends_with(']');
        (known && bare).then(|| self.unread(role, span)).flatten()
    }

    /// Decisions below a heading that is not a step: nothing decides there.
    pub(super) fn decisions_of_a_section(&self) -> Vec<Diagnostic> {
        let title = self.part.title(self.text);
        if sounds::is_about(title) {
            return Vec::new();
        }
        let leads = |line: Span| {
            let right = decision::meant(self.slice(line), self.titles)?;
            let target = right.rsplit('→').next().unwrap_or_default().trim();
            let known = self.titles.is_title(target.strip_prefix("skip to ").unwrap_or(target));
            known.then(|| problem::decision_of_a_section(line, &right.replace('\n', "` and `"), title))
        };
        self.part.conditions.iter().chain(&self.part.undecided).filter_map(|line| leads(*line)).collect()
    }

    /// A field that a line is meant as.
    pub(super) fn on_a_line(&self, loose: &Loose, right: &str) -> Diagnostic {
        let (span, text) = match loose.holder {
            None => (loose.inner, right.to_owned()),
            Some(_) => out(self.text, loose.line, right),
        };
        problem::near_annotation(loose.inner, right).fix(span, text)
    }
}
