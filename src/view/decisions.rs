//! The decisions, conditions and states that determine an item's way, in words and for scripts.

use crate::diag::render::visible;
use crate::graph::{Arm, Chain, Gate, GateOf, Graph, Repeat, RepeatOf, Step, StepId, Taken, Target};
use crate::value::words;
use serde::Serialize;

/// One arm of a decision, in words.
pub(super) struct ArmText {
    /// `None` for `Otherwise`.
    pub condition: Option<String>,
    pub target: String,
}

/// The arms of each decision of a step, in order.
pub(super) fn texts(graph: &Graph, step: &Step) -> Vec<Vec<ArmText>> {
    let arm = |arm: &Arm| ArmText { condition: asked(arm).map(visible), target: leads(graph, &arm.target) };
    step.chains.iter().map(|chain| chain.iter().map(arm).collect()).collect()
}

impl ArmText {
    /// `If total > 100` or `Otherwise`.
    pub fn asks(&self) -> String {
        self.condition.as_ref().map_or("Otherwise".to_owned(), |condition| format!("If {condition}"))
    }
}

fn asked(arm: &Arm) -> Option<&str> {
    arm.guard.as_ref().map(|guard| &*guard.condition.text)
}

/// The target of an arm, as documents write it.
fn leads(graph: &Graph, target: &Target) -> String {
    match target {
        Target::Step(to) => visible(&graph.step(*to).title),
        Target::Group(group) => visible(&graph.group_name(*group)),
        Target::SkipToGroup(group) => format!("skip to {}", visible(&graph.group_name(*group))),
        Target::Skip(to) => format!("skip to {}", visible(&graph.step(*to).title)),
        Target::End => "end".to_owned(),
        Target::Fail(reason) => format!("fail \"{}\"", visible(reason)),
        Target::Elsewhere => "elsewhere".to_owned(),
    }
}

/// The conditions of a step, including those of its groups.
pub(super) fn when(step: &Step) -> Option<String> {
    let conditions: Vec<String> = step.when.iter().map(|guard| visible(&guard.condition.text)).collect();
    match conditions.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(several.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" and ")),
    }
}

/// The gates that an item passes before a step, as documents write them: `gate by @ops within 2d: Needs sign-off`.
pub(super) fn gates(graph: &Graph, step: &Step) -> Vec<String> {
    let gates = step.gates.iter().filter_map(|id| graph.gate(*id));
    gates.map(|gate| gate_text(graph, gate)).collect()
}

/// The gate before a step or a group: `gate by @ops: Needs sign-off`.
pub(super) fn gate_of(graph: &Graph, of: GateOf) -> Option<String> {
    let gate = graph.gates.iter().find(|gate| gate.of == of)?;
    Some(gate_text(graph, gate).replacen(&format!(" of {}", visible(&graph.gated(gate))), "", 1))
}

fn gate_text(graph: &Graph, gate: &Gate) -> String {
    let of = match gate.of {
        GateOf::Step(_) => String::new(),
        GateOf::Group(_) => format!(" of {}", visible(&graph.gated(gate))),
    };
    let question = visible(&gate.question.text());
    let question = if question.is_empty() { question } else { format!(": {question}") };
    format!("gate{of}{}{question}", gate_limits(gate))
}

/// The loops of a step, as documents write them: `repeat 3 until review.approved`, with the group that is repeated.
pub(super) fn repeats(graph: &Graph, step: &Step) -> Vec<String> {
    let repeats = step.repeats.iter().filter_map(|id| graph.repeat(*id));
    let said = repeats.map(|repeat| {
        let of = match repeat.of {
            RepeatOf::Step(_) => String::new(),
            RepeatOf::Group(_) => format!(" of {}", visible(&graph.repeated(repeat))),
        };
        format!("repeat{of} {}", repeat_text(repeat))
    });
    said.collect()
}

/// `3 until review.approved every 5s`.
pub(super) fn repeat_text(repeat: &Repeat) -> String {
    let every = repeat.every.map(|pause| format!(" every {}", words::duration(pause))).unwrap_or_default();
    format!("{} until {}{every}", repeat.most, visible(repeat.until.condition.text.trim()))
}

/// A loop for scripts.
#[derive(Serialize)]
pub(super) struct JsonRepeat<'a> {
    most: u32,
    until: &'a str,
    every_ms: Option<u64>,
    /// The group that is repeated; null for the step itself.
    group: Option<String>,
}

pub(super) fn json_repeats<'a>(graph: &'a Graph, step: &Step) -> Vec<JsonRepeat<'a>> {
    let repeats = step.repeats.iter().filter_map(|id| graph.repeat(*id));
    let repeat = |repeat: &'a Repeat| JsonRepeat {
        most: repeat.most,
        until: repeat.until.condition.text.trim(),
        every_ms: repeat.every.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        group: matches!(repeat.of, RepeatOf::Group(_)).then(|| graph.repeated(repeat)),
    };
    repeats.map(repeat).collect()
}

/// ` by @ops within 2d`; empty without either.
pub(super) fn gate_limits(gate: &Gate) -> String {
    let by = gate.by.as_ref().map(|by| format!(" by @{}", visible(by))).unwrap_or_default();
    let within = gate.within.map(|time| format!(" within {}", words::duration(time))).unwrap_or_default();
    by + &within
}

/// The event that an item waits for before a step, and those that its success publishes.
pub(super) fn events(step: &Step) -> impl Iterator<Item = String> {
    let awaits = step.awaits.as_ref().map(|awaits| format!("await {}", visible(&awaits.text())));
    let emits = (!step.emits.is_empty()).then(|| format!("emit {}", visible(&step.emits.join(", "))));
    let inside = &step.inside;
    let waits = inside.awaits.iter().map(|awaits| format!("await {} inside", visible(&awaits.event)));
    let publishes = inside.emits.iter().map(|event| format!("emit {} inside", visible(event)));
    awaits.into_iter().chain(emits).chain(waits).chain(publishes)
}

/// The event that a step waits for, for scripts.
#[derive(Serialize)]
pub(super) struct JsonAwait<'a> {
    #[serde(rename = "type")]
    event: &'a str,
    #[serde(rename = "for")]
    subject: Option<&'a str>,
    #[serde(rename = "where")]
    filter: Option<&'a str>,
    within_ms: Option<u64>,
    payload: &'a str,
}

pub(super) fn json_await<'a>(graph: &'a Graph, step: &'a Step) -> Option<JsonAwait<'a>> {
    let awaits = step.awaits.as_ref()?;
    Some(JsonAwait {
        event: &awaits.event,
        subject: awaits.subject.as_ref().map(|guard| guard.condition.text.trim()),
        filter: awaits.filter.as_ref().map(|guard| guard.condition.text.trim()),
        within_ms: awaits.within.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        payload: &graph.value(awaits.payload).name,
    })
}

/// A gate for scripts.
#[derive(Serialize)]
pub(super) struct JsonGate<'a> {
    question: String,
    by: Option<&'a str>,
    within_ms: Option<u64>,
    /// The group that it is before; null for the step itself.
    group: Option<String>,
}

pub(super) fn json_gates<'a>(graph: &'a Graph, step: &Step) -> Vec<JsonGate<'a>> {
    let gates = step.gates.iter().filter_map(|id| graph.gate(*id));
    let gate = |gate: &'a Gate| JsonGate {
        question: gate.question.text(),
        by: gate.by.as_deref(),
        within_ms: gate.within.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        group: matches!(gate.of, GateOf::Group(_)).then(|| graph.gated(gate)),
    };
    gates.map(gate).collect()
}

/// `pending, paid → cancelled`.
pub(super) fn state(graph: &Graph, step: &Step) -> Option<String> {
    let passage = step.state.as_ref()?;
    let from: Vec<String> = passage.from.iter().map(|state| visible(graph.state(*state))).collect();
    let to = passage.to.map(|state| format!(" → {}", visible(graph.state(state)))).unwrap_or_default();
    Some(format!("{}{to}", from.join(", ")))
}

/// An arm for scripts. `then` is `step`, `skip`, `end` or `fail`.
#[derive(Serialize)]
pub(super) struct Way<'a> {
    /// Null for `Otherwise`.
    r#if: Option<&'a str>,
    then: &'static str,
    /// The phase of the step that it leads to or skips; null for a group.
    to: Option<&'a str>,
    /// The reason of a failure.
    reason: Option<&'a str>,
    /// The group that it leads to or skips.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// The phases of those steps of the group that run only if a decision leads to the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<&'a str>>,
}

/// The decisions of a step for scripts, each a list of arms.
pub(super) fn ways<'a>(graph: &'a Graph, id: StepId) -> Vec<Vec<Way<'a>>> {
    let phase = |to: StepId| graph.step(to).phase.as_str();
    let way = |arm: &'a Arm, taken: Taken| {
        let (then, to, reason) = match &arm.target {
            Target::Step(to) => ("step", Some(phase(*to)), None),
            Target::Skip(to) => ("skip", Some(phase(*to)), None),
            Target::SkipToGroup(_) => ("skip", None, None),
            Target::End => ("end", None, None),
            Target::Fail(reason) => ("fail", None, Some(reason.as_str())),
            Target::Group(_) | Target::Elsewhere => ("step", None, None),
        };
        let (group, steps) = match arm.target {
            Target::Group(group) => (Some(group), Some(graph.led_by(taken).map(phase).collect())),
            Target::SkipToGroup(group) => (Some(group), None),
            _ => (None, None),
        };
        let group = group.map(|group| graph.group_name(group));
        Way { r#if: asked(arm), then, to, reason, group, steps }
    };
    let chain = |(chain, arms): (u32, &'a Chain)| {
        let taken = |arm| Taken { step: id, chain, arm };
        arms.iter().zip(0..).map(|(said, arm)| way(said, taken(arm))).collect()
    };
    (0..).zip(&graph.step(id).chains).map(chain).collect()
}

/// The states in which a step starts, and the one that its success leads to, if it leads to another.
#[derive(Serialize)]
pub(super) struct Passage<'a> {
    from: Vec<&'a str>,
    to: Option<&'a str>,
}

/// The effect of a step on its item's state, for scripts.
pub(super) fn passage<'a>(graph: &'a Graph, step: &Step) -> Option<Passage<'a>> {
    step.state.as_ref().map(|passage| Passage {
        from: passage.from.iter().map(|state| graph.state(*state)).collect(),
        to: passage.to.map(|state| graph.state(state)),
    })
}

/// The conditions of a step for scripts: all must hold.
pub(super) fn conditions(step: &Step) -> Vec<&str> {
    step.when.iter().map(|guard| &*guard.condition.text).collect()
}
