//! A graph for scripts. The shape is stable: keys may be added, none may change or be removed.

use super::sign;
use crate::graph::{Graph, InnerEvents, ValueId};
use crate::view::decisions::{self, JsonAwait, JsonGate, JsonRepeat, Passage, Way};
use serde::Serialize;

#[derive(Serialize)]
struct JsonDrawing<'a> {
    steps: Vec<JsonStep<'a>>,
    edges: Vec<JsonEdge<'a>>,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    title: &'a str,
    phase: &'a str,
    kind: &'static str,
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'a str>,
    channel: Option<&'a str>,
    mark: Option<&'static str>,
    line: usize,
    group: Option<&'a str>,
    /// The element and its list.
    each: Option<JsonEach<'a>>,
    /// `item` or `run`.
    per: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    always: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<&'static str>,
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
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
}

#[derive(Serialize)]
struct JsonEach<'a> {
    element: &'a str,
    list: &'a str,
}

/// `from` and `to` are phases; `value` is null for an order without data.
#[derive(Serialize)]
struct JsonEdge<'a> {
    from: &'a str,
    to: &'a str,
    value: Option<&'a str>,
}

/// `{steps, edges}`, indented, with a final newline.
pub fn json(graph: &Graph) -> String {
    let name = |value: ValueId| graph.value(value).name.as_str();
    let steps = graph.steps.iter().zip(graph.ids()).map(|(step, id)| JsonStep {
        title: &step.title,
        phase: &step.phase,
        kind: step.kind.name(),
        agent: step.agent.as_deref(),
        document: step.document.as_deref(),
        channel: step.channel.as_deref(),
        mark: step.mark.map(sign),
        line: step.line,
        group: step.group.map(|group| graph.groups[group].title.as_str()),
        each: step.each.map(|each| JsonEach { element: name(each.element), list: graph.list(step, each) }),
        per: if step.once { "run" } else { "item" },
        always: step.always,
        effects: step.pure.then_some("none"),
        state: decisions::passage(graph, step),
        when: decisions::conditions(step),
        decisions: decisions::ways(graph, id),
        gates: decisions::json_gates(graph, step),
        awaits: decisions::json_await(graph, step),
        emits: &step.emits,
        inside: &step.inside,
        repeats: decisions::json_repeats(graph, step),
        inputs: step.inputs.iter().map(|input| name(input.value)).collect(),
        outputs: step.outputs.iter().map(|output| name(output.value)).collect(),
    });
    let edges = graph.edges.iter().map(|edge| JsonEdge {
        from: &graph.step(edge.from).phase,
        to: &graph.step(edge.to).phase,
        value: edge.value.map(name),
    });
    crate::view::text::json(&JsonDrawing { steps: steps.collect(), edges: edges.collect() })
}
