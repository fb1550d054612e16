//! One item of a run: every attempt at its steps, with inputs, outputs and errors.

use super::super::exit::{Exit, Stop};
use super::super::format::TableFormat;
use super::super::run::word;
use super::super::runs::find;
use super::super::terminal::Terminal;
use super::attempts::{StoryAttempt, StoryStep, named, values};
use super::conversation::{self, Ends, Filter};
use super::events::StoryAwait;
use super::gates::StoryGate;
use super::items::error_text;
use super::nested;
use crate::adapter::redact::Redactor;
use crate::diag::render::{visible, visible_json};
use crate::engine::{Run, is_lost};
use crate::event::{
    AttemptEvent, Decision, Event, EventKind, GateId, ItemError, ItemEvent, ItemId, ItemState, Millis,
    RepeatId, RunEvent, Settlement, StepEvent, StepPath, Values,
};
use crate::graph::{Graph, StateId};
use crate::history::History;
use crate::journal::Message;
use crate::journal::logs::{LogReader, RUN_STEPS};
use crate::value::{Value, words};
use crate::view::happening::error_json;
use crate::view::milliseconds;
use serde_json::json;
use std::collections::BTreeMap;

/// The history of an item, collected from its events.
pub(super) struct Story {
    pub(super) id: ItemId,
    inputs: Values,
    /// In the order of their first attempts, or of their ends where there was none.
    steps: Vec<StoryStep>,
    places: BTreeMap<StepPath, usize>,
    state: Option<ItemState>,
    error: Option<ItemError>,
    /// The note of the person who resolved it.
    note: Option<String>,
    /// Its state in the document's diagram.
    lifecycle: Option<StateId>,
    /// In the order in which it reached them.
    gates: Vec<StoryGate>,
    /// The events for which its steps wait or have waited.
    awaits: Vec<StoryAwait>,
    /// A loop in whose pause between rounds it is, and when the pause ends.
    pause: Option<(RepeatId, Millis)>,
}

/// Shows the item with this key, or only its conversations. The steps that run once have the key `run`, or `:run` if an
/// item has the key `run`.
///
/// # Errors
/// Stops if the run has no such item, or its journal cannot be read.
pub fn show(
    history: &History,
    key: &str,
    held: bool,
    conversation: Option<&Filter<'_>>,
    format: TableFormat,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    if let Some((inner, step)) = conversation.and_then(|filter| nested::within(history, key, filter)) {
        let filter = Filter { step: Some(&step), attempt: conversation.and_then(|filter| filter.attempt) };
        return show(&inner, key, held, Some(&filter), format, terminal);
    }
    let (story, hidden, redactor) = nested::story_of(history, key)?;
    let Some(story) = story else { return Err(not_started(history, key)?.into()) };
    if hidden {
        terminal.talk("note: this is the item with the key run; --item :run shows the steps that run once for all items\n");
    }
    if let Some(filter) = conversation {
        let ends = story.ends(&redactor);
        return conversation::print(history, (story.id, key), &ends, filter, &redactor, format, terminal);
    }
    if format == TableFormat::Json {
        let object = json(history, story, key, held, &redactor)?;
        terminal.data(&(visible_json(&serde_json::to_string_pretty(&object)?) + "\n"));
        return Ok(());
    }
    let mut messages = 0;
    history.messages(story.id, |_| {
        messages += 1;
        Ok(())
    })?;
    let mut text = story.text(&history.graph, held);
    redactor.shown_text(story.id, &mut text);
    text.push_str(&nested::text(history, (story.id, key), held));
    terminal.data(&format!("{}: {text}", visible(key)));
    // Logs that cannot be read hide nothing else.
    let logs = LogReader::open(history.home()).ok().flatten();
    let key_of_logs = if story.id == ItemId::RUN { RUN_STEPS } else { key };
    if logs.is_some_and(|mut logs| logs.has_item(key_of_logs).unwrap_or(false)) {
        let run = word(&find::called(history.home())?);
        let key = word(key);
        terminal.talk(&format!("all that it logged: orderflow logs {run} --item {key}\n"));
    }
    if messages > 0 {
        let messages = words::count(messages, "message");
        terminal.talk(&format!("{messages} between its steps and their agents: add --conversation\n"));
    }
    Ok(())
}

/// The item with this key as `--format json` has it.
///
/// # Errors
/// As for [`show`].
pub fn read(history: &History, key: &str, held: bool) -> anyhow::Result<Value> {
    match nested::story_of(history, key)? {
        (Some(story), _, redactor) => json(history, story, key, held, &redactor),
        (None, ..) => Err(not_started(history, key)?.into()),
    }
}

fn json(
    history: &History,
    mut story: Story,
    key: &str,
    held: bool,
    redactor: &Redactor,
) -> anyhow::Result<Value> {
    history.messages(story.id, |message| {
        story.hear(&message);
        Ok(())
    })?;
    let mut object = json!({ "run": history.header().run, "item": key });
    story.json(&history.graph, held, &mut object);
    redactor.shown(story.id, &mut object);
    nested::json(history, (story.id, key), held, &mut object);
    Ok(object)
}

/// The error for a key that no item has.
fn not_started(history: &History, key: &str) -> anyhow::Result<Stop> {
    let left = history.outline()?.counts(history.basis()).not_started.filter(|left| *left > 0);
    let left = match left {
        None => String::new(),
        Some(1) => "; 1 item has not started yet".to_owned(),
        Some(left) => format!("; {left} items have not started yet"),
    };
    let run = &history.header().run;
    let message = format!("the run {run} has started no item with the key {}{left}", visible(key));
    let help = "keys are case-sensitive; --format json without --item lists those that have started";
    Ok(Stop::new(Exit::Invalid, message).help(help))
}

/// The key of the run's only item.
///
/// # Errors
/// Stops if the run has several items, or none yet; or its journal cannot be read.
pub fn only(history: &History) -> anyhow::Result<String> {
    let (mut keys, mut count) = (Vec::new(), 0);
    history.events(|event| {
        if let EventKind::Item(_, ItemEvent::Admitted { key, .. }) = &event.kind {
            count += 1;
            keys.extend((count == 1).then(|| key.to_string()));
        }
        Ok(())
    })?;
    let count = history.basis().total.unwrap_or(count).max(count);
    match keys.pop() {
        Some(key) if count == 1 => Ok(key),
        key => {
            let items = words::count(count, "item");
            let message = format!("the run has {items}; --conversation shows those of one item");
            let key = key.map_or_else(|| "KEY".to_owned(), |key| visible(&key));
            Err(Stop::new(Exit::Usage, message).help(format!("name it, such as --item {key}")).into())
        }
    }
}

impl Story {
    pub(super) fn new(id: ItemId, inputs: Values) -> Self {
        let (steps, places) = Default::default();
        Story {
            id,
            inputs,
            steps,
            places,
            state: None,
            error: None,
            note: None,
            lifecycle: None,
            gates: Vec::new(),
            awaits: Vec::new(),
            pause: None,
        }
    }

    /// Processes an event that `run` has applied.
    pub(super) fn see(&mut self, event: &Event, run: &Run) {
        // The run removes an item at its end.
        self.lifecycle = run.lifecycle(self.id).or(self.lifecycle);
        if event.item() == Some(self.id) {
            let id = |number| run.event(number).map(|event| event.id.clone()).unwrap_or_default();
            StoryAwait::see(&mut self.awaits, &event.kind, id);
        }
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) if self.id == ItemId::RUN => {
                (self.state, self.error) = (None, None);
            }
            EventKind::Run(RunEvent::StepsEnded(end)) if self.id == ItemId::RUN => self.settle(end),
            EventKind::Item(item, change) if *item == self.id => match change {
                ItemEvent::Settled { end, .. } => self.settle(end),
                ItemEvent::Retried { inputs, .. } => {
                    (self.state, self.error) = (None, None);
                    inputs.iter().for_each(|inputs| self.inputs.clone_from(inputs));
                }
                ItemEvent::Revoked { .. } => self.state = None,
                ItemEvent::Resolved { note, .. } => self.note = Some(note.clone()),
                ItemEvent::GateReached { gate, question, since } => self.gates.push(StoryGate {
                    gate: *gate,
                    question: question.clone(),
                    since: *since,
                    outcome: None,
                }),
                ItemEvent::Decided { gate, decision } => self.left(*gate, Some(decision)),
                ItemEvent::GateExpired(gate) => self.left(*gate, None),
                ItemEvent::Admitted { .. }
                | ItemEvent::DeadlinePassed { .. }
                | ItemEvent::CompensationBegan(_)
                | ItemEvent::Failed
                | ItemEvent::Requeued => {}
                ItemEvent::RoundScheduled { repeat, due } => self.pause = Some((*repeat, *due)),
                ItemEvent::RoundBegan { .. } | ItemEvent::RepeatEnded(_) => self.pause = None,
            },
            EventKind::Step(item, StepEvent::Ended(execution)) if *item == self.id => {
                self.step(execution.path()).end = Some(execution.clone());
            }
            EventKind::Attempt(item, step, attempt, change) if *item == self.id => match change {
                AttemptEvent::Started => {
                    let inputs = run.call(*item, *step).map(|call| call.inputs).unwrap_or_default();
                    let (number, started) = (*attempt, event.at);
                    let known = self.step(*step);
                    known.end = None;
                    known.attempts.push(StoryAttempt {
                        number,
                        round: run.round(*item, step.step),
                        inputs,
                        started,
                        stopped: None,
                        finished: None,
                        waits: false,
                        conversation: Vec::new(),
                    });
                }
                AttemptEvent::Stopped(why) => {
                    if let Some(known) = self.attempt(*step, *attempt) {
                        known.stopped = Some(*why);
                    }
                }
                AttemptEvent::Finished(result) => {
                    if let Some(known) = self.attempt(*step, *attempt) {
                        known.finished = Some((event.at, result.clone()));
                    }
                }
                AttemptEvent::Waits | AttemptEvent::Awaits => {
                    if let Some(known) = self.attempt(*step, *attempt) {
                        known.waits = true;
                    }
                }
                AttemptEvent::Continues => {
                    if let Some(known) = self.attempt(*step, *attempt) {
                        known.waits = false;
                    }
                }
                AttemptEvent::Repeated | AttemptEvent::RetryScheduled { .. } | AttemptEvent::RetryDue => {}
            },
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    /// Adds a message to its attempt. An attempt that never began has none, unless the journal is forged.
    fn hear(&mut self, message: &Message) {
        let Some(place) = self.places.get(&message.step) else { return };
        let attempts = self.steps[*place].attempts.iter_mut().rev();
        if let Some(attempt) = attempts.into_iter().find(|attempt| attempt.number == message.attempt) {
            attempt.conversation.push(conversation::json(message));
        }
    }

    /// How each failed attempt ended, without secrets.
    fn ends(&self, redactor: &Redactor) -> Ends {
        let mut ends = Ends::new();
        for step in &self.steps {
            for attempt in &step.attempts {
                let Some((at, Err(failure))) = &attempt.finished else { continue };
                let code = failure.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
                let mut text = match is_lost(failure) {
                    true => "its end was not seen".to_owned(),
                    false => format!("failed: {}{code}", failure.message),
                };
                redactor.shown_text(self.id, &mut text);
                ends.insert((step.path, attempt.number), (*at, text));
            }
        }
        ends
    }

    /// The loop in whose pause between rounds it is, and when the next round begins.
    fn paused(&self, graph: &Graph) -> Option<(String, Millis)> {
        let (repeat, due) = self.pause.filter(|_| self.state.is_none())?;
        Some((graph.repeated(graph.repeats.get(repeat.index())?), due))
    }

    fn left(&mut self, gate: GateId, decision: Option<&Decision>) {
        if let Some(known) = self.gates.iter_mut().rev().find(|known| known.gate == gate) {
            known.outcome = Some(decision.cloned());
        }
    }

    fn settle(&mut self, end: &Settlement) {
        (self.state, self.error) = (Some(end.state), end.error.clone());
    }

    fn step(&mut self, path: StepPath) -> &mut StoryStep {
        let place = *self.places.entry(path).or_insert_with(|| {
            self.steps.push(StoryStep { path, attempts: Vec::new(), end: None });
            self.steps.len() - 1
        });
        &mut self.steps[place]
    }

    fn attempt(&mut self, path: StepPath, number: u32) -> Option<&mut StoryAttempt> {
        self.step(path).attempts.iter_mut().rev().find(|attempt| attempt.number == number)
    }

    pub(super) fn json(&self, graph: &Graph, held: bool, object: &mut Value) {
        object["state"] = self.state.map_or("in_flight", ItemState::name).into();
        object["error"] = self.error.as_ref().map(|error| error_json(error, graph)).into();
        object["resolved"] = self.note.as_deref().into();
        object["lifecycle"] = self.lifecycle.map(|state| graph.state(state)).into();
        object["inputs"] = named(&self.inputs, graph).into();
        object["gates"] = self.gates.iter().map(|gate| gate.json(graph)).collect::<Vec<_>>().into();
        object["events"] = self.awaits.iter().map(|one| one.json(graph)).collect::<Vec<_>>().into();
        if let Some((name, due)) = self.paused(graph) {
            object["pause"] = json!({ "repeat": name, "due_ms": due });
        }
        object["steps"] = self.steps.iter().map(|step| step.json(graph, held)).collect::<Vec<_>>().into();
    }

    /// `held` is whether a runner holds the run's lock.
    pub(super) fn text(&self, graph: &Graph, held: bool) -> String {
        let waits = self.gates.iter().any(|gate| gate.outcome.is_none());
        let awaits = self.awaits.iter().any(StoryAwait::waits);
        let inside = self.steps.iter().any(StoryStep::waits_inside);
        let open = match (held, waits, awaits) {
            (true, ..) => "in flight",
            (false, true, _) => "in flight; it waits for a person",
            (false, false, true) => "in flight; it waits for an event",
            (false, false, false) if inside => "in flight; it waits in a document",
            (false, false, false) => "in flight; the run is paused",
        };
        let mut out = self.state.map_or(open, ItemState::name).to_owned() + "\n";
        if let Some(error) = &self.error {
            out.push_str(&format!("  {}\n", error_text(error, graph)));
        }
        if let Some(note) = &self.note {
            out.push_str(&format!("  resolved by hand: {}\n", visible(note)));
        }
        if let Some(state) = self.lifecycle {
            out.push_str(&format!("  in the state {}\n", visible(graph.state(state))));
        }
        for gate in self.gates.iter().filter(|gate| self.state.is_none() || gate.outcome.is_some()) {
            gate.text(&mut out, graph);
        }
        for one in self.awaits.iter().filter(|one| self.state.is_none() || !one.waits()) {
            one.text(&mut out, graph);
        }
        if let Some((name, due)) = self.paused(graph) {
            let after = milliseconds(due as f64);
            out.push_str(&format!(
                "  in the pause before a round of {}, which begins after {after}\n",
                visible(&name)
            ));
        }
        values(&mut out, "  ", "", &self.inputs, graph);
        for step in &self.steps {
            step.text(&mut out, graph, held);
        }
        out
    }
}
