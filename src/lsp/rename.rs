//! Another name for a step, a value, an agent, a channel, a type or a state. The changed text is read again: a name that
//! changes the meaning of any other place is refused.

use super::{EditedPage, Entity, Mention, Mentions};
use crate::diag::{Replacement, Source, Span, fix};
use crate::spec::{self, phase, title};
use crate::value::in_conditions;

/// Why a name cannot be changed; a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRenamed(pub String);

fn refused<T>(why: impl Into<String>) -> Result<T, NotRenamed> {
    Err(NotRenamed(why.into()))
}

/// The changes of the document, and those of `orderflow.toml`, that give the name at an offset another form.
///
/// # Errors
/// The name cannot be changed, is used already, or changes what the document means.
pub fn renamed(
    page: &EditedPage<'_>,
    mentions: &Mentions,
    mention: &Mention,
    new: &str,
) -> Result<(Vec<Replacement>, Vec<Replacement>), NotRenamed> {
    let new = new.trim();
    if new.is_empty() || new.contains(['\n', '\r']) {
        return refused("a name is one line of text");
    }
    let entity = &mention.entity;
    let renamed = target(page, entity, new)?;
    if renamed != *entity && mentions.of_entity(&renamed).next().is_some() {
        return refused(format!("`{new}` is already used in this document"));
    }
    let mut changes: Vec<Replacement> = mentions
        .of_entity(entity)
        .map(|mention| Replacement { span: mention.span, text: written(page, mention, new) })
        .collect();
    if let Entity::Step(step) = entity {
        changes.extend(rows(page, *step, new));
    }
    let settings = in_settings(page, entity, new)?;
    check(page, mentions, (entity, &renamed), &changes)?;
    Ok((changes, settings))
}

/// The entity that it will be.
fn target(page: &EditedPage<'_>, entity: &Entity, new: &str) -> Result<Entity, NotRenamed> {
    let bound = |is_there: bool| {
        if is_there { refused(format!("`{new}` is already a name in orderflow.toml")) } else { Ok(()) }
    };
    Ok(match entity {
        Entity::Step(step) => Entity::Step(*step),
        Entity::Group(group) => Entity::Group(*group),
        Entity::Value(name) => {
            let awaits = page.spec.steps.iter().filter_map(|step| step.annotations.awaits.as_ref());
            if awaits.into_iter().any(|awaits| awaits.value.payload == *name) {
                return refused("the name of a payload is that of its event");
            }
            if failure(page, name) {
                return refused("orderflow gives this value its name");
            }
            Entity::Value(in_conditions(new))
        }
        Entity::Agent(old) => {
            bound(old != new && page.settings.agent(new).is_some())?;
            Entity::Agent(new.to_owned())
        }
        Entity::Channel(old) => {
            bound(old != new && page.settings.channel(new).is_some())?;
            Entity::Channel(new.to_owned())
        }
        Entity::Type(_) => Entity::Type(new.to_owned()),
        Entity::State(_) => Entity::State(new.to_owned()),
        Entity::Event(_) => return refused("other programs know an event by its name"),
        Entity::Document(_) => return refused("rename the file, then write its new path"),
    })
}

/// Whether a value is what a failure handler gets.
fn failure(page: &EditedPage<'_>, name: &str) -> bool {
    let Some(graph) = page.graph else { return false };
    graph.handlers().any(|handler| {
        let mut given = graph.failure_inputs(handler);
        given.any(|value| in_conditions(&graph.value(value).name) == name)
    })
}

/// The new text of one place.
fn written(page: &EditedPage<'_>, mention: &Mention, new: &str) -> String {
    let old = page.source.slice(mention.span);
    match &mention.entity {
        Entity::Step(step) => {
            let known = page.spec.steps.get(*step).map(|step| step.title.value.as_str()).unwrap_or_default();
            reference(old, known, new)
        }
        Entity::Group(group) => {
            let known = page.spec.groups.get(*group).map(|group| group.title.value.as_str());
            reference(old, known.unwrap_or_default(), new)
        }
        // In conditions a name has no `-`, `.` and `/`.
        Entity::Value(_) if mention.asked => in_conditions(new),
        _ => new.to_owned(),
    }
}

/// The new form of `Group/Step`, of a title, or of a name in traces, with the mark behind it.
fn reference(old: &str, known: &str, new: &str) -> String {
    let (bare, mark) = match old.strip_suffix('?') {
        Some(bare) if !known.ends_with('?') => (bare, "?"),
        _ => (old, ""),
    };
    let last = bare.rsplit('/').next().unwrap_or(bare);
    let whole = title::key(bare) == title::key(known);
    let (around, last) = if whole { ("", bare) } else { (&bare[..bare.len() - last.len()], last) };
    let is_phase = last == phase(known) && title::key(last) != title::key(known);
    let new = if is_phase { phase(new) } else { new.to_owned() };
    format!("{around}{new}{mark}")
}

/// The step's name in the recorded executions of the document.
fn rows(page: &EditedPage<'_>, step: usize, new: &str) -> Vec<Replacement> {
    let Some(known) = page.spec.steps.get(step) else { return Vec::new() };
    let (old, new) = (phase(&known.title.value), phase(new));
    let mut changes = Vec::new();
    for trace in page.spec.steps.iter().flat_map(|step| &step.traces) {
        let mut at = trace.content.start;
        let mut in_table = false;
        for line in page.source.slice(trace.content).split_inclusive('\n') {
            if !line.starts_with([' ', '\t']) {
                in_table = line.starts_with("execution[") && line.contains("{phase,");
            }
            let cell = line.trim_start();
            let start = at + line.len() - cell.len();
            at += line.len();
            if in_table && cell.strip_prefix(old.as_str()).is_some_and(|rest| rest.starts_with(',')) {
                changes.push(Replacement { span: Span::new(start, start + old.len()), text: new.clone() });
            }
        }
    }
    changes
}

/// The changes of the settings.
fn in_settings(page: &EditedPage<'_>, entity: &Entity, new: &str) -> Result<Vec<Replacement>, NotRenamed> {
    let bare = new.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let text = if bare { new.to_owned() } else { format!("\"{new}\"") };
    let change = |span: Span| Replacement { span, text: text.clone() };
    Ok(match entity {
        Entity::Agent(name) => page.settings.agent(name).map(|one| change(one.span)).into_iter().collect(),
        Entity::Channel(name) => {
            page.settings.channel(name).map(|one| change(one.span)).into_iter().collect()
        }
        Entity::Step(step) => {
            let old = page.spec.steps.get(*step).map(|step| phase(&step.title.value)).unwrap_or_default();
            let named = page.settings.phases.iter().filter(|(name, _)| *name == old);
            named.map(|(_, span)| Replacement { span: *span, text: phase(new) }).collect()
        }
        _ => Vec::new(),
    })
}

/// Refuses changes after which any place means something else.
fn check(
    page: &EditedPage<'_>,
    mentions: &Mentions,
    (old, new): (&Entity, &Entity),
    changes: &[Replacement],
) -> Result<(), NotRenamed> {
    let Some(changed) = fix::replaced(&page.source.text, changes.iter()) else {
        return refused("the places of the name overlap");
    };
    let source = Source::new(page.source.name.as_str(), changed);
    let (spec, problems) = spec::parse(&source);
    let same = |one: &Mention, after: &Mention| {
        let expected = if one.entity == *old { new } else { &one.entity };
        *expected == after.entity && one.defines == after.defines
    };
    let after = Mentions::of(&source, &spec);
    let is_same = mentions.all().len() == after.all().len()
        && mentions.all().iter().zip(after.all()).all(|(one, after)| same(one, after));
    let errors = |problems: &[crate::diag::Diagnostic]| problems.iter().filter(|one| one.is_error()).count();
    let (_, further) = crate::graph::build(&source, &spec);
    let worse = errors(&problems) + errors(&further) > errors(page.problems);
    match is_same && !worse {
        true => Ok(()),
        false => refused("with this name the document would mean something else"),
    }
}
