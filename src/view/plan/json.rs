//! A plan for scripts.

use super::missing::{MissingInput, missing};
use super::{Doer, Given, replaced};
use crate::adapter::workfolder::WorkFolder;
use crate::graph::{self, Graph, InnerEvents, Kind};
use crate::spec::{Backoff, Retry, Tolerance};
use crate::view::decisions::{self, JsonAwait, JsonGate, JsonRepeat, Passage, Way};
use crate::view::graph::sign;
use crate::view::{stages, text};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Serialize)]
struct Plan<'a> {
    title: &'a str,
    inputs: Vec<PlannedInput<'a>>,
    items: Option<&'a str>,
    key: Option<&'a str>,
    jobs: Option<usize>,
    /// A percentage as text, or a count.
    tolerate: Value,
    on_item_error: &'static str,
    deadline_ms: Option<u64>,
    /// Of an item, and of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_budget: Option<Value>,
    steps: Vec<PlannedStep<'a>>,
    given: &'a [Given],
}

#[derive(Serialize)]
struct PlannedInput<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    ty: Option<String>,
}

/// In the order of the run; compensations and failure handlers, which have no stage, last.
#[derive(Serialize)]
struct PlannedStep<'a> {
    stage: Option<usize>,
    title: &'a str,
    phase: &'a str,
    kind: &'static str,
    agent: Option<&'a str>,
    channel: Option<&'a str>,
    mark: Option<&'static str>,
    /// `item` or `run`.
    per: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    always: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<&'static str>,
    /// The list for each of whose elements it runs.
    each: Option<&'a str>,
    state: Option<Passage<'a>>,
    when: Vec<&'a str>,
    decisions: Vec<Vec<Way<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gates: Vec<JsonGate<'a>>,
    #[serde(rename = "await", skip_serializing_if = "Option::is_none")]
    awaits: Option<JsonAwait<'a>>,
    #[serde(rename = "emit", skip_serializing_if = "<[String]>::is_empty")]
    emits: &'a [String],
    /// The events of the document that it runs.
    #[serde(skip_serializing_if = "InnerEvents::is_empty")]
    inside: &'a InnerEvents,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repeats: Vec<JsonRepeat<'a>>,
    /// Required inputs that may be absent, so that it does not run.
    may_lack: Vec<MissingInput>,
    retry: Option<Value>,
    timeout_ms: Option<u64>,
    deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Value>,
    /// Those that it shares with other steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    group_budgets: Vec<Value>,
    by: Value,
    /// The language of the document's program that this replaces.
    replaces: Option<&'a str>,
}

/// The plan as an object, indented, with a final newline. `doers` are by step.
pub fn json(graph: &Graph, doers: &[Doer], given: &[Given]) -> String {
    let settings = &graph.settings;
    let input = |value: &graph::ValueId| {
        let value = graph.value(*value);
        PlannedInput { name: &value.name, ty: value.ty.as_ref().map(ToString::to_string) }
    };
    let stages = stages(graph);
    let staged =
        stages.iter().enumerate().flat_map(|(at, stage)| stage.iter().map(move |id| (Some(at + 1), *id)));
    let lacks = missing(graph);
    let steps = staged.chain(graph.compensations().chain(graph.handlers()).map(|id| (None, id)));
    text::json(&Plan {
        title: &graph.title,
        inputs: graph.inputs.iter().map(input).collect(),
        items: settings.items.as_deref(),
        key: settings.key.as_deref(),
        jobs: settings.jobs,
        tolerate: match settings.tolerate {
            Tolerance::Percent(percent) => json!(format!("{percent}%")),
            Tolerance::Count(count) => json!(count),
        },
        on_item_error: super::text::rule(settings.on_item_error),
        deadline_ms: settings.deadline.map(millis),
        budget: settings.budget.map(|budget| budget.json()),
        run_budget: settings.run_budget.map(|budget| budget.json()),
        steps: steps.map(|(stage, id)| step(graph, id, stage, doers.get(id.index()), &lacks)).collect(),
        given,
    })
}

fn step<'a>(
    graph: &'a Graph,
    id: graph::StepId,
    stage: Option<usize>,
    doer: Option<&Doer>,
    lacks: &[Vec<MissingInput>],
) -> PlannedStep<'a> {
    let step = graph.step(id);
    PlannedStep {
        stage: stage.filter(|_| step.kind == Kind::Forward),
        title: &step.title,
        phase: &step.phase,
        kind: step.kind.name(),
        agent: step.agent.as_deref(),
        channel: step.channel.as_deref(),
        mark: step.mark.map(sign),
        per: if step.once { "run" } else { "item" },
        always: step.always,
        effects: step.pure.then_some("none"),
        each: step.each.map(|each| graph.list(step, each)),
        state: decisions::passage(graph, step),
        when: decisions::conditions(step),
        decisions: decisions::ways(graph, id),
        gates: decisions::json_gates(graph, step),
        awaits: decisions::json_await(graph, step),
        emits: &step.emits,
        inside: &step.inside,
        repeats: decisions::json_repeats(graph, step),
        may_lack: lacks[id.index()].clone(),
        retry: step.retry.map(retry),
        timeout_ms: step.timeout.map(millis),
        deadline_ms: step.deadline.map(millis),
        budget: step.budget.map(|budget| budget.json()),
        group_budgets: graph.around(id).map(|group| &graph.groups[group]).filter_map(group_budget).collect(),
        by: doer.map_or(Value::Null, by),
        replaces: doer.and_then(|doer| replaced(step, doer)),
    }
}

/// What runs a step, as an object with a `kind`; null if nothing does.
pub fn by(doer: &Doer) -> Value {
    match doer {
        Doer::Command(command) => json!({"kind": "command", "command": command}),
        Doer::Worker { command, processes } => {
            json!({"kind": "worker", "command": command, "processes": processes})
        }
        Doer::Container { image, command, network } => {
            json!({"kind": "container", "image": image, "command": command, "network": network})
        }
        Doer::Http { url, start } if start.is_empty() => json!({"kind": "http", "url": url}),
        Doer::Http { url, start } => json!({"kind": "http", "url": url, "start": start}),
        Doer::Mcp { server, tool } => json!({"kind": "mcp", "server": server, "tool": tool}),
        Doer::Model { name, url, priced } => {
            json!({"kind": "model", "model": name, "url": url, "priced": priced})
        }
        Doer::Coder { command, headless, work, allow } => {
            let kind = if *headless { "headless" } else { "acp" };
            let folder = match work {
                WorkFolder::Shared => "shared",
                WorkFolder::Copy => "copy",
                WorkFolder::Worktree => "worktree",
            };
            json!({"kind": kind, "command": command, "folder": folder, "allow": allow})
        }
        Doer::Fence { language, line, granted } => {
            json!({"kind": "fence", "language": language, "line": line, "granted": granted})
        }
        Doer::Document(path) => json!({"kind": "document", "path": path}),
        Doer::Missing => Value::Null,
    }
}

/// `{group, tokens, usd}`
fn group_budget(group: &graph::Group) -> Option<Value> {
    let mut budget = group.budget?.json();
    budget["group"] = group.title.as_str().into();
    Some(budget)
}

fn retry(retry: Retry) -> Value {
    match retry.backoff {
        Backoff::Fixed(pause) => {
            json!({"retries": retry.retries, "backoff": "fixed", "pause_ms": millis(pause)})
        }
        Backoff::Exponential { first, most } => json!({
            "retries": retry.retries, "backoff": "exponential", "first_ms": millis(first), "most_ms": millis(most),
        }),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
