//! What an editor shows about a name: a step with its signature and the figures of its last run, the type, the makers
//! and takers of a value, the definition of a type, the binding of an agent.

use super::mentions::payload;
use super::{EditedPage, Entity, Mentions};
use crate::diag::render::visible;
use crate::graph::{Graph, Kind, Step, StepId};
use crate::spec::Spec;
use crate::value::in_conditions;
use gen_lsp_types::{Contents, Hover, MarkupContent, MarkupKind};
use std::fmt::Write;

/// The figures of a step, by its name in traces, in the last run of the document; a line of text.
pub type Figures<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The most characters of a text that is quoted.
const LONGEST: usize = 4000;

/// The most steps that are listed.
const MOST: usize = 10;

/// What is known of the name at an offset.
pub fn hover(
    page: &EditedPage<'_>,
    mentions: &Mentions,
    offset: usize,
    figures: Figures<'_>,
) -> Option<Hover> {
    let mention = mentions.at(offset)?;
    let text = match &mention.entity {
        Entity::Step(step) => of_step(page, *step, figures),
        Entity::Group(group) => of_group(page.spec, *group)?,
        Entity::Value(name) => of_value(page, name),
        Entity::Agent(name) => match page.settings.agent(name) {
            Some(agent) => format!("agent {}\n\n{}", code(name), fence("toml", &agent.text)),
            None => format!("agent {}, not bound in `orderflow.toml`", code(name)),
        },
        Entity::Channel(name) => match page.settings.channel(name) {
            Some(channel) => format!("channel {}\n\n{}", code(name), fence("toml", &channel.text)),
            None => format!("channel {}, without limits in `orderflow.toml`", code(name)),
        },
        Entity::Type(name) => of_type(page.spec, name),
        Entity::State(name) => format!("state {}", code(name)),
        Entity::Event(name) => of_event(page.spec, name),
        Entity::Document(path) => format!("document {}", code(path)),
    };
    Some(Hover {
        contents: Contents::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: text }),
        range: Some(page.range(mention.span)),
    })
}

fn code(text: &str) -> String {
    let text = visible(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// A fence that its text cannot close.
fn fence(language: &str, text: &str) -> String {
    let mut text: String = text.chars().take(LONGEST).collect();
    text.truncate(text.trim_end().len());
    let marks = "`".repeat(3.max(1 + text.split(|c| c != '`').map(str::len).max().unwrap_or_default()));
    format!("{marks}{language}\n{text}\n{marks}")
}

fn of_step(page: &EditedPage<'_>, index: usize, figures: Figures<'_>) -> String {
    let Some(written) = page.spec.steps.get(index) else { return String::new() };
    let mut text = format!("**{}**", visible(&written.title.value));
    let id = StepId(u32::try_from(index).unwrap_or(u32::MAX));
    let Some((graph, step)) = page.graph.and_then(|graph| Some((graph, graph.steps.get(index)?))) else {
        return text + "\n\nThe document has errors.";
    };
    match step.kind {
        Kind::Forward => {}
        Kind::Handler => text.push_str(", runs for each failed item"),
        Kind::Compensation => text.push_str(", a compensation"),
    }
    let mut facts = Vec::new();
    facts.extend(step.agent.as_ref().map(|agent| format!("agent {}", code(agent))));
    facts.extend(step.channel.as_ref().map(|channel| format!("channel {}", code(channel))));
    facts.extend(step.document.as_ref().map(|document| format!("runs {}", code(document))));
    facts.extend(step.program.as_ref().map(|program| format!("{} program", program.language.value)));
    facts.extend(step.retry.map(|retry| format!("{} retries", retry.retries)));
    facts.extend(step.timeout.map(|time| format!("timeout {}", crate::value::words::duration(time))));
    if step.once {
        facts.push("once after all items".to_owned());
    }
    if !facts.is_empty() {
        let _ = write!(text, "\n\n{}", facts.join(" · "));
    }
    if step.has_signature() {
        let _ = write!(text, "\n\n{}", fence("", &signature(graph, id, step)));
    }
    match figures(&step.phase) {
        Some(figures) => drop(write!(text, "\n\n{figures}")),
        None => text.push_str("\n\nThe last run has no execution of it."),
    }
    text
}

/// `order, photo? → page::String`, with all types.
fn signature(graph: &Graph, id: StepId, step: &Step) -> String {
    let named = |name: &str, optional: bool, ty: Option<String>| {
        let mark = if optional { "?" } else { "" };
        format!("{name}{mark}{}", ty.map(|ty| format!("::{ty}")).unwrap_or_default())
    };
    let inputs = step.given().map(|input| {
        let value = graph.value(input.value);
        named(&value.name, input.optional, value.ty.as_ref().map(ToString::to_string))
    });
    let outputs = step.outputs.iter().map(|output| {
        let ty = graph.made_type(id, output).map(|ty| ty.to_string());
        named(&graph.value(output.value).name, output.optional, ty)
    });
    let inputs = inputs.collect::<Vec<_>>().join(", ");
    format!("{inputs} → {}", outputs.collect::<Vec<_>>().join(", ")).trim().to_owned()
}

fn of_group(spec: &Spec, index: usize) -> Option<String> {
    let group = spec.groups.get(index)?;
    let steps = spec.steps.iter().filter(|step| step.group == Some(index) && !step.implied);
    let titles: Vec<String> = steps.map(|step| visible(&step.title.value)).collect();
    let kind = if group.parallel { "parallel group" } else { "group" };
    Some(format!("**{}**, {kind}\n\n{}", visible(&group.title.value), list(&titles)))
}

/// The first of them, and how many follow.
fn list(all: &[String]) -> String {
    let shown = all.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn of_value(page: &EditedPage<'_>, name: &str) -> String {
    let ty = page.graph.and_then(|graph| {
        let value = graph.values.iter().find(|value| in_conditions(&value.name) == name)?;
        value.ty.as_ref().map(ToString::to_string)
    });
    let ty = ty.map(|ty| format!("::{}", visible(&ty))).unwrap_or_default();
    let mut text = format!("value `{}{ty}`", visible(name));
    let steps = |makes: bool| -> Vec<String> {
        let has = |step: &&crate::spec::Step| {
            let signature = step.signature.iter();
            let mut ports =
                signature.flat_map(|signature| if makes { &signature.outputs } else { &signature.inputs });
            ports.any(|port| in_conditions(&port.name.value) == name)
        };
        page.spec.steps.iter().filter(has).map(|step| visible(&step.title.value)).collect()
    };
    let (makers, takers) = (steps(true), steps(false));
    let event = page.spec.steps.iter().filter_map(|step| step.annotations.awaits.as_ref());
    let event = event
        .map(|awaits| &awaits.value.event.value)
        .find(|event| payload(event) == Entity::Value(name.to_owned()));
    let _ = match (makers.as_slice(), event) {
        ([], Some(event)) => write!(text, "\n\nthe event {}", code(event)),
        ([], None) => write!(text, "\n\nan input of the workflow, or an element of a list"),
        (makers, _) => write!(text, "\n\nmade by {}", list(makers)),
    };
    if !takers.is_empty() {
        let _ = write!(text, "\n\ntaken by {}", list(&takers));
    }
    text
}

fn of_type(spec: &Spec, name: &str) -> String {
    match spec.types.iter().find(|definition| definition.name.value == name) {
        Some(definition) => {
            let schema = serde_json::to_string_pretty(&definition.schema).unwrap_or_default();
            format!("type {}\n\n{}", code(name), fence("json", &schema))
        }
        None => format!("type {}, a label without a definition", code(name)),
    }
}

fn of_event(spec: &Spec, name: &str) -> String {
    let emits = spec.steps.iter().filter(|step| step.annotations.emits.iter().any(|one| one.value == name));
    let emits: Vec<String> = emits.map(|step| visible(&step.title.value)).collect();
    match emits.is_empty() {
        true => format!("event {}, published outside of this document", code(name)),
        false => format!("event {}, published by {}", code(name), list(&emits)),
    }
}
