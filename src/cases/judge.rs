//! Whether a case ended as expected: a problem for each expectation that was not met, at its place.

use super::model::{Case, CaseEnd, ExpectedEnds, StepEnd};
use super::world::CaseOutcome;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::event::ItemState;
use crate::graph::{Graph, Kind, StepId};
use crate::value::words::{code, excerpt};
use crate::value::{Value, equal};

/// The most steps that the help of a problem lists.
const LISTED: usize = 12;

/// The expectations that were not met. The first one says what happened.
pub fn judge(graph: &Graph, case: &Case, outcome: &CaseOutcome) -> Vec<Diagnostic> {
    let mut unmet: Vec<(Span, String)> = Vec::new();
    let expect = &case.expect;
    let title = |id: StepId| code(&graph.step(id).phase);
    let (state, place) = expect.state.unwrap_or((CaseEnd::Settled(ItemState::Succeeded), case.span));
    if outcome.endless {
        unmet.push((case.span, "the case does not end".to_owned()));
    } else if outcome.end != state {
        let error = error_of(graph, outcome).map(|error| format!(": {error}")).unwrap_or_default();
        unmet.push((place, format!("expected {}, ended as {}{error}", state.name(), outcome.end.name())));
    }
    let error = outcome.settlement.as_ref().and_then(|end| end.error.as_ref());
    if let Some((step, place)) = expect.failed {
        let found = error.and_then(|error| error.step);
        if found != Some(step) {
            let found = found.map_or("none did".to_owned(), |found| format!("{} did", title(found)));
            unmet.push((place, format!("expected that {} fails, {found}", title(step))));
        }
    }
    if let Some((text, place)) = &expect.error {
        let found = error.map(|error| error.message.as_str());
        if !found.is_some_and(|found| found.contains(text.as_str())) {
            let found = found.map_or("no error".to_owned(), |found| code(excerpt(found)));
            unmet.push((*place, format!("expected the error {}, found {found}", code(excerpt(text)))));
        }
    }
    if let Some((state, place)) = expect.lifecycle
        && outcome.lifecycle != Some(state)
    {
        let found = outcome.lifecycle.map_or("no state".to_owned(), |state| code(graph.state(state)));
        unmet.push((place, format!("expected the state {}, found {found}", code(graph.state(state)))));
    }
    for (step, expected, place) in &expect.steps {
        let found = ends(outcome, *step);
        let met = match expected {
            ExpectedEnds::All(end) => found.iter().all(|found| found == end),
            ExpectedEnds::Each(ends) => found == *ends,
        };
        if !met {
            let expected = match expected {
                ExpectedEnds::All(end) => end.name().to_owned(),
                ExpectedEnds::Each(ends) => names(ends),
            };
            unmet.push((*place, format!("{}: expected {expected}, found {}", title(*step), names(&found))));
        }
    }
    for (id, expected, place) in &expect.values {
        let found = outcome.values.get(id.index()).and_then(Option::as_ref);
        if !found.is_some_and(|found| contains(found, expected)) {
            let found = found.map_or("no value".to_owned(), |found| code(excerpt(&found.to_string())));
            let name = code(&graph.value(*id).name);
            unmet.push((
                *place,
                format!("{name}: expected {}, found {found}", code(excerpt(&expected.to_string()))),
            ));
        }
    }
    for (step, expected, place) in &expect.attempts {
        let found = outcome.attempts.get(step).copied().unwrap_or(0);
        if found != *expected {
            let attempts = crate::value::words::count(*expected, "attempt");
            unmet.push((*place, format!("{}: expected {attempts}, found {found}", title(*step))));
        }
    }
    if let Some((expected, place)) = &expect.compensations {
        let ran = outcome.executions.iter().map(|one| one.step);
        let found: Vec<StepId> = ran.filter(|id| graph.step(*id).kind == Kind::Compensation).collect();
        if found != *expected {
            let [expected, found] = [expected, &found].map(|steps| list(steps.iter().map(|id| title(*id))));
            unmet.push((*place, format!("expected the compensations {expected}, found {found}")));
        }
    }
    if let Some((expected, place)) = &expect.published
        && outcome.published != *expected
    {
        let [expected, found] = [expected, &outcome.published].map(|types| list(types.iter().map(code)));
        unmet.push((*place, format!("expected the events {expected}, found {found}")));
    }
    let mut happened = happened(graph, outcome);
    let problem = |(place, message)| catalogue::case_unmet(place, message, &std::mem::take(&mut happened));
    unmet.into_iter().map(problem).collect()
}

/// Why the item ended without success, with the step.
fn error_of(graph: &Graph, outcome: &CaseOutcome) -> Option<String> {
    let error = outcome.settlement.as_ref()?.error.as_ref()?;
    let step = error.step.map(|step| format!("{}: ", graph.step(step).title)).unwrap_or_default();
    Some(format!("{step}{}", excerpt(&error.message)))
}

fn ends(outcome: &CaseOutcome, step: StepId) -> Vec<StepEnd> {
    let rows = outcome.executions.iter().filter(|one| one.step == step);
    let mut ends: Vec<StepEnd> = rows.map(|one| StepEnd::Row(one.status)).collect();
    ends.extend(outcome.waiting.contains(&step).then_some(StepEnd::Waiting));
    if ends.is_empty() {
        ends.push(StepEnd::NotRun);
    }
    ends
}

fn names(ends: &[StepEnd]) -> String {
    list(ends.iter().map(|end| end.name()))
}

fn list(names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Whether a value is the expected one: an object needs the expected members, and may have others.
fn contains(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, expected)| found.get(name).is_some_and(|found| contains(found, expected))),
        (Value::Array(found), Value::Array(expected)) => {
            let pairs = || found.iter().zip(expected);
            found.len() == expected.len() && pairs().all(|(found, expected)| contains(found, expected))
        }
        _ => equal(found, expected),
    }
}

/// The executions in the order in which they ended.
fn happened(graph: &Graph, outcome: &CaseOutcome) -> String {
    let rows = outcome.executions.iter().map(|one| {
        let error = one.error.as_deref().map(|error| format!(" ({})", excerpt(error))).unwrap_or_default();
        format!("{} {}{error}", graph.step(one.step).phase, one.status.name())
    });
    let waits = outcome.waiting.iter().map(|id| format!("{} waiting", graph.step(*id).phase));
    let all: Vec<String> = rows.chain(waits).collect();
    match all.len() {
        0 => "no step ran".to_owned(),
        count if count > LISTED => {
            format!("what happened: {}, and {} more", all[..LISTED].join(", "), count - LISTED)
        }
        _ => format!("what happened: {}", all.join(", ")),
    }
}
