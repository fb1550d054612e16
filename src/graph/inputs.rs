//! The workflow's inputs: values that forward steps take and no step makes. Finds probable mistakes among them.

use super::flow::{Flow, Made, Origin, Port};
use super::names::Names;
use super::{Kind, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::Spec;
use std::collections::{HashMap, HashSet};

/// Names longer than this, in characters, are not searched for misspellings.
const COMPARED: usize = 48;

/// How many names of a similar shape are compared with one input.
const CANDIDATES: usize = 50;

/// Collects the workflow's inputs, in the order of the front matter's list or else of first use.
pub(super) fn collect(
    spec: &Spec,
    flow: &Flow,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ValueId> {
    let used = first_uses(flow);
    match &spec.front.inputs {
        Some(list) => {
            let listed: Vec<_> =
                list.iter().filter_map(|(name, _)| Some((flow.find(&name.value)?, name.span))).collect();
            for (value, span) in &listed {
                let makers = flow.makers[value.index()].iter().chain(&flow.late_makers[value.index()]);
                diagnostics.extend(makers.take(1).map(|made| {
                    catalogue::made_input(flow.name(*value), *span, names.title(made.step), made.port.span)
                }));
            }
            let known: HashSet<ValueId> = listed.iter().map(|(value, _)| *value).collect();
            for (_, port) in used.iter().filter(|(_, port)| !known.contains(&port.value)) {
                let name = flow.name(port.value);
                let others =
                    flow.values.iter().map(|value| value.name.as_str()).filter(|other| *other != name);
                let list = listed.first().zip(listed.last()).map(|(first, last)| first.1.to(last.1));
                diagnostics.push(catalogue::unlisted_input(name, port.span, names.near(name, others), list));
            }
            let mut seen = HashSet::new();
            listed.into_iter().map(|(value, _)| value).filter(|value| seen.insert(*value)).collect()
        }
        None => {
            report_misspelt(spec, flow, &used, names, diagnostics);
            used.into_iter().map(|(_, port)| port.value).collect()
        }
    }
}

/// Each value that comes from outside, with the first forward step that takes it.
fn first_uses<'a>(flow: &Flow<'a>) -> Vec<(usize, Port<'a>)> {
    let mut seen = HashSet::new();
    let mut uses = Vec::new();
    for (step, ports) in flow.steps.iter().enumerate().filter(|(step, _)| flow.kinds[*step] == Kind::Forward)
    {
        for (port, origin) in ports.inputs.iter().zip(&ports.origins) {
            if *origin == Origin::Outside && seen.insert(port.value) {
                uses.push((step, *port));
            }
        }
    }
    uses
}

fn report_misspelt(
    spec: &Spec,
    flow: &Flow,
    used: &[(usize, Port)],
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) {
    // A name that shares a shape with another is at most one letter longer or shorter.
    let lengths: HashSet<usize> = used.iter().map(|(_, port)| bare(flow.name(port.value)).len()).collect();
    let may_be_near = |made: &&Made| {
        let length = bare(flow.name(made.port.value)).len();
        [length.saturating_sub(1), length, length + 1].iter().any(|length| lengths.contains(length))
    };
    let mut shapes: HashMap<String, Vec<Made>> = HashMap::new();
    for made in flow.makers.iter().flatten().filter(may_be_near) {
        for shape in shapes_of(flow.name(made.port.value)) {
            shapes.entry(shape).or_default().push(*made);
        }
    }
    for (step, port) in used.iter().filter(|(step, _)| !spec.steps[*step].unread) {
        let name = flow.name(port.value);
        let near =
            shapes_of(name).into_iter().filter_map(|shape| shapes.get(&shape)).flatten().take(CANDIDATES);
        // The output of the same step may well have a similar name.
        let near = near.filter(|made| made.step != *step && close(name, flow.name(made.port.value)));
        let score = |made: &&Made| (strsim::osa_distance(name, flow.name(made.port.value)), made.step);
        if let Some(made) = near.min_by_key(score) {
            let meant = flow.name(made.port.value);
            let maker = names.title(made.step);
            // The outputs for all elements form a list, with a similar name in the plural.
            let listed = flow.each[made.step].is_some()
                && (name == format!("{meant}s") || name == format!("{meant}es"));
            let problem = catalogue::misspelt_input(name, port.span, meant, maker, made.port.span);
            let named = Span::new(port.span.start, port.span.start + name.len());
            diagnostics.push(if listed { problem.fix(named, meant) } else { problem.maybe(named, meant) });
        }
    }
}

/// A name without case and separators, whole and with each character left out: two names that differ in one letter
/// share one of these, so that not all pairs have to be compared.
fn shapes_of(name: &str) -> HashSet<String> {
    let bare: Vec<char> = bare(name);
    if bare.len() > COMPARED {
        return HashSet::new();
    }
    let without =
        |left: usize| bare.iter().enumerate().filter(|(at, _)| *at != left).map(|(_, c)| *c).collect();
    (0..=bare.len()).map(without).collect()
}

fn bare(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether two names differ only by a spelling mistake. Numbered and very short names differ on purpose.
fn close(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> String { bare(name).into_iter().filter(|c| !c.is_numeric()).collect() };
    let (letters, others) = (letters(one), letters(other));
    let numbered = letters == others && bare(one) != bare(other);
    let most = if letters.chars().count() < 8 { 1 } else { 2 };
    !numbered && letters.chars().count() >= 4 && strsim::osa_distance(&letters, &others) <= most
}
