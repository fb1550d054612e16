//! The events that an item waits for, and those that its steps publish. Does not know where events come from, or where
//! they go.

use super::super::arrivals::Arrivals;
use super::super::backoff::millis;
use super::super::unavailable::Bounds;
use super::super::{Effect, Timer};
use super::Item;
use super::gates::clocks_of;
use super::state::StepState;
use crate::event::{
    Arrival, EVENT_COLUMNS, EVENT_TIMEOUT, Event, Execution, ItemId, Millis, Status, StepEvent, StepId,
    UnixMillis,
};
use crate::graph::{Await, Graph, Guard};
use crate::value::{Object, Value, in_conditions, words};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The events that the steps of an item wait for, and those that they have taken.
#[derive(Debug, Default)]
pub(super) struct Awaits {
    waits: BTreeMap<StepId, AwaitState>,
    /// On all visits: a new visit waits for another event.
    taken: BTreeMap<StepId, BTreeSet<u64>>,
    /// The event that is taken next.
    handed: Option<Arc<Arrival>>,
}

#[derive(Debug)]
struct AwaitState {
    subject: Arc<str>,
    since: UnixMillis,
    /// Events before this number are not the one: they are not looked at again.
    seen: Cell<u64>,
    outcome: Option<AwaitOutcome>,
}

#[derive(Debug)]
enum AwaitOutcome {
    Taken { event: Arc<Arrival>, at: UnixMillis },
    Expired,
}

impl AwaitState {
    fn event(&self) -> Option<&Arc<Arrival>> {
        match &self.outcome {
            Some(AwaitOutcome::Taken { event, .. }) => Some(event),
            Some(AwaitOutcome::Expired) | None => None,
        }
    }
}

impl Awaits {
    /// Those of an item that restarts: all its steps wait for other events than before.
    pub fn again(self) -> Awaits {
        Awaits { taken: self.taken, ..Awaits::default() }
    }
}

impl Item {
    /// A step that has passed its gates waits for its event, unless it has it.
    pub(super) fn await_event(&mut self, graph: &Graph, id: StepId) {
        let waits = graph.step(id).awaits.is_some() && self.awaited(id).is_none();
        match waits {
            true => self.set(id, StepState::Awaiting),
            false => self.make_ready(graph, id),
        }
    }

    /// The event that a step has taken.
    fn awaited(&self, id: StepId) -> Option<&Arc<Arrival>> {
        self.awaits.waits.get(&id)?.event()
    }

    /// The payload that a step has taken.
    pub(super) fn payload(&self, id: StepId) -> Option<Arc<Value>> {
        self.awaited(id).map(|event| event.data.clone())
    }

    /// The event that follows for the steps that wait, unless theirs has not come.
    pub(super) fn next_at_awaits(&self, graph: &Graph, bounds: &Bounds, now: Millis) -> Option<Event> {
        self.steps.awaiting().iter().find_map(|path| {
            let step = path.step;
            let awaits = graph.step(step).awaits.as_ref()?;
            let Some(state) = self.awaits.waits.get(&step) else {
                let since = bounds.clock.saturating_add(now);
                return Some(match self.subject(awaits, bounds) {
                    Ok(subject) => StepEvent::AwaitBegan { step, subject, since }.of(self.id, now),
                    Err(why) => self.row_without_attempt(graph, step, Status::Failed, Some(why), now),
                });
            };
            match &state.outcome {
                None => {
                    // The document has been corrected since: it waits for another event.
                    if let Ok(subject) = self.subject(awaits, bounds)
                        && subject != state.subject
                    {
                        let since = state.since;
                        return Some(StepEvent::AwaitBegan { step, subject, since }.of(self.id, now));
                    }
                    let event = self.find(graph, &bounds.arrivals, step)?;
                    let at = bounds.clock.saturating_add(now);
                    Some(StepEvent::EventTaken { step, event, at }.of(self.id, now))
                }
                Some(AwaitOutcome::Expired) => Some(self.expired_await(graph, step, awaits, now)),
                Some(AwaitOutcome::Taken { .. }) => None,
            }
        })
    }

    /// What the subject of an event must be.
    fn subject(&self, awaits: &Await, bounds: &Bounds) -> Result<Arc<str>, String> {
        let Some(guard) = &awaits.subject else { return Ok(self.key.clone()) };
        let text = guard.condition.text.trim();
        let found = guard.condition.value(&|name| self.named(guard, name));
        let subject = match found.map_err(|fault| format!("`for {text}`: {}", fault.message))? {
            Value::String(text) if !text.is_empty() => text,
            value @ Value::Number(_) => value.to_string(),
            other => {
                return Err(format!(
                    "`for {text}` is {}, and a subject is a text",
                    crate::value::kind(&other)
                ));
            }
        };
        match bounds.secrets.finds(self.id, &subject) {
            true => Err(format!("`for {text}` contains a secret, and subjects are stored and shown")),
            false => Ok(subject.into()),
        }
    }

    fn named(&self, guard: &Guard, name: &str) -> Option<&Value> {
        let (_, id) = guard.names.iter().find(|(known, _)| known == name)?;
        self.value(*id).map(|value| &**value)
    }

    /// The number of the first event that a step has not taken and that is the one it waits for.
    pub fn find(&self, graph: &Graph, arrivals: &Arrivals, step: StepId) -> Option<u64> {
        let awaits = graph.step(step).awaits.as_ref()?;
        let state = self.awaits.waits.get(&step)?;
        for (number, arrival) in arrivals.of(&awaits.event, &state.subject, state.seen.get()) {
            let used = self.has_taken_event(step, number) || arrivals.is_used(step, &arrival.id);
            if !used && self.refusal_of(graph, step, arrival).is_none() {
                return Some(number);
            }
            state.seen.set(number + 1);
        }
        None
    }

    fn has_taken_event(&self, step: StepId, number: u64) -> bool {
        self.awaits.taken.get(&step).is_some_and(|taken| taken.contains(&number))
    }

    /// Why an event with the right type and subject is not the one that a step waits for, if so.
    pub fn refusal_of(&self, graph: &Graph, step: StepId, arrival: &Arrival) -> Option<String> {
        let awaits = graph.step(step).awaits.as_ref()?;
        let since = self.awaits.waits.get(&step).map(|state| state.since);
        if let Some((since, within)) = since.zip(awaits.within)
            && since.saturating_add(millis(within)) <= arrival.at
        {
            return Some(format!("it came after `within {}`", words::duration(within)));
        }
        let payload = graph.value(awaits.payload);
        if let Some(misfits) = payload.ty.as_ref().and_then(|ty| ty.fits(&arrival.data).err()) {
            return Some(misfits.of(&payload.name));
        }
        let guard = awaits.filter.as_ref()?;
        let value = |name: &str| -> Option<&Value> {
            let member = arrival.data.as_object().and_then(|members| {
                members.iter().find(|(member, _)| in_conditions(member) == name).map(|(_, value)| value)
            });
            let whole = || {
                let own = guard.names.iter().any(|(known, id)| known == name && *id == awaits.payload);
                own.then_some(&*arrival.data)
            };
            member.or_else(whole).or_else(|| self.named(guard, name))
        };
        let text = guard.condition.text.trim();
        match guard.condition.holds(&value) {
            Ok(true) => None,
            Ok(false) => Some(format!("`where {text}` does not hold")),
            Err(fault) => Some(format!("`where {text}`: {}", fault.message)),
        }
    }

    /// The end of a step whose event did not come in time.
    fn expired_await(&self, graph: &Graph, id: StepId, awaits: &Await, at: Millis) -> Event {
        let within = awaits.within.map(|time| format!(" within {}", words::duration(time)));
        let error = format!("no event {}{}", awaits.event, within.unwrap_or_default());
        let row = self.row(graph, id.into(), Status::Failed, at);
        let code = Some(EVENT_TIMEOUT.to_owned());
        let execution = Execution { duration_ms: Some(0.0), error: Some(error), code, ..row };
        StepEvent::Ended(execution).of(self.id, at)
    }

    /// Whether a step waits for an event that has not come.
    pub fn waits_for_event(&self, step: StepId) -> bool {
        let open = self.awaits.waits.get(&step).is_some_and(|state| state.outcome.is_none());
        open && matches!(self.state(step), StepState::Awaiting)
    }

    /// Whether a step is about to wait for an event with this subject; perhaps for another one than so far.
    pub(super) fn begins_await(&self, step: StepId, subject: &str) -> bool {
        let other = |state: &AwaitState| state.outcome.is_none() && *state.subject != *subject;
        let open = self.awaits.waits.get(&step).is_none_or(other);
        open && matches!(self.state(step), StepState::Awaiting)
    }

    /// Whether a step can take this event.
    pub fn can_take(&self, graph: &Graph, arrivals: &Arrivals, step: StepId, number: u64) -> bool {
        let awaits = graph.steps.get(step.index()).and_then(|step| step.awaits.as_ref());
        let Some((awaits, arrival)) = awaits.zip(arrivals.get(number)) else { return false };
        let state = self.awaits.waits.get(&step);
        let meant = state.is_some_and(|state| *state.subject == *arrival.subject);
        self.waits_for_event(step)
            && meant
            && arrival.kind == awaits.event
            && !self.has_taken_event(step, number)
            && self.refusal_of(graph, step, arrival).is_none()
    }

    /// The steps that wait for an event, each with its subject and since when.
    pub fn awaiting(&self) -> impl Iterator<Item = (StepId, &Arc<str>, UnixMillis)> + '_ {
        let waits = |(step, _): &(&StepId, &AwaitState)| self.waits_for_event(**step);
        self.awaits.waits.iter().filter(waits).map(|(step, state)| (*step, &state.subject, state.since))
    }

    /// The subjects of the events that it has waited for.
    pub fn subjects(&self) -> impl Iterator<Item = Arc<str>> + '_ {
        self.awaits.waits.values().map(|state| state.subject.clone())
    }

    /// When the event must have come, in the run's time.
    fn await_due(&self, graph: &Graph, bounds: &Bounds, step: StepId) -> Option<Millis> {
        let within = graph.step(step).awaits.as_ref()?.within?;
        let until = self.awaits.waits.get(&step)?.since.saturating_add(millis(within));
        Some(until.saturating_sub(bounds.clock))
    }

    /// Whether the time in which the event could come has passed.
    pub fn is_await_expired(&self, graph: &Graph, bounds: &Bounds, step: StepId, now: Millis) -> bool {
        self.waits_for_event(step) && self.await_due(graph, bounds, step).is_some_and(|due| due <= now)
    }

    /// The timer of a step that waits for an event.
    pub fn await_timer(&self, graph: &Graph, bounds: &Bounds, step: StepId) -> Option<Effect> {
        let due = self.await_due(graph, bounds, step)?;
        Some(Effect::Timer { due, timer: Timer::Await { item: self.id, step } })
    }

    /// A step waits from now on: the deadlines around it are paused.
    pub(super) fn begin_await(
        &mut self,
        graph: &Graph,
        step: StepId,
        (subject, since): (&Arc<str>, UnixMillis),
        at: Millis,
    ) {
        let state = AwaitState { subject: subject.clone(), since, seen: Cell::new(0), outcome: None };
        if self.awaits.waits.insert(step, state).is_none() {
            self.stand_still(clocks_of(graph, step), at);
        }
    }

    /// Makes an event known that a step takes next.
    pub fn hand(&mut self, arrival: &Arc<Arrival>) {
        self.awaits.handed = Some(arrival.clone());
    }

    pub(super) fn take_arrival(
        &mut self,
        graph: &Graph,
        step: StepId,
        (number, taken_at): (u64, UnixMillis),
        at: Millis,
    ) {
        let Some(event) = self.awaits.handed.take() else { return };
        let Some(awaits) = &graph.step(step).awaits else { return };
        let Some(state) = self.awaits.waits.get_mut(&step) else { return };
        if let Some(slot) = self.values.get_mut(awaits.payload.index()) {
            *slot = Some(event.data.clone());
        }
        state.outcome = Some(AwaitOutcome::Taken { event, at: taken_at });
        self.awaits.taken.entry(step).or_default().insert(number);
        self.move_on(clocks_of(graph, step), at);
        self.make_ready(graph, step);
    }

    pub(super) fn expire_await(&mut self, graph: &Graph, step: StepId, at: Millis) {
        if let Some(state) = self.awaits.waits.get_mut(&step) {
            state.outcome = Some(AwaitOutcome::Expired);
            self.move_on(clocks_of(graph, step), at);
        }
    }

    /// Steps that waited do not any more: they were stopped, or have ended otherwise.
    pub(super) fn abandon_awaits(&mut self, graph: &Graph, at: Millis) {
        let left = |(step, state): (&StepId, &AwaitState)| {
            let gone = state.outcome.is_none() && !matches!(self.state(*step), StepState::Awaiting);
            gone.then_some(*step)
        };
        for step in self.awaits.waits.iter().filter_map(left).collect::<Vec<_>>() {
            self.awaits.waits.remove(&step);
            self.move_on(clocks_of(graph, step), at);
        }
    }

    /// The item runs again: steps without their event, and those on a new visit, wait again.
    pub(super) fn forget_awaits(&mut self, graph: &Graph, revisited: &BTreeSet<StepId>) {
        self.await_again(graph, revisited);
        self.awaits.waits.retain(|_, state| state.event().is_some());
    }

    /// Another round of a loop begins: its steps wait for other events than before.
    pub(super) fn await_again(&mut self, graph: &Graph, steps: &BTreeSet<StepId>) {
        for awaits in steps.iter().filter_map(|step| graph.step(*step).awaits.as_ref()) {
            if let Some(slot) = self.values.get_mut(awaits.payload.index()) {
                *slot = None;
            }
        }
        self.awaits.waits.retain(|step, _| !steps.contains(step));
    }

    /// The columns of a row for the event that its step has waited for.
    pub(super) fn event_columns(&self, graph: &Graph, id: StepId) -> Vec<(Arc<str>, Value)> {
        let awaits = graph.step(id).awaits.as_ref();
        let state = awaits.and_then(|awaits| Some((awaits, self.awaits.waits.get(&id)?)));
        let values = match state.and_then(|(awaits, state)| Some((awaits, state, state.outcome.as_ref()?))) {
            None => return Vec::new(),
            Some((awaits, state, AwaitOutcome::Taken { event, at })) => {
                [awaits.event.clone().into(), event.id.clone().into(), at.saturating_sub(state.since).into()]
            }
            Some((awaits, _, AwaitOutcome::Expired)) => {
                [awaits.event.clone().into(), Value::Null, Value::Null]
            }
        };
        EVENT_COLUMNS.into_iter().map(Arc::from).zip(values).collect()
    }

    /// The events that an execution publishes by its success; to be asked before its end is applied.
    pub fn published(&self, graph: &Graph, run: &str, execution: &Execution, at: UnixMillis) -> Vec<Arrival> {
        let step = graph.step(execution.step);
        let succeeded = matches!(execution.status, Status::Success | Status::Compensated);
        let StepState::Answered { result: Ok(reply), .. } = self.state(execution.path()) else {
            return Vec::new();
        };
        if step.emits.is_empty() || !succeeded {
            return Vec::new();
        }
        let outputs: Object = reply
            .outputs
            .iter()
            .map(|(id, value)| (graph.value(*id).name.clone(), (**value).clone()))
            .collect();
        let data = match outputs.values().next() {
            Some(only @ Value::Object(_)) if step.outputs.len() == 1 => only.clone(),
            _ => Value::Object(outputs),
        };
        let data = Arc::new(data);
        let of = if self.id == ItemId::RUN { "run".to_owned() } else { self.id.0.to_string() };
        let element = execution.element.map(|element| format!("[{element}]")).unwrap_or_default();
        let visit = self.visit(graph, execution.path());
        let id = |kind: &str| format!("{run}/{of}/{}{element}/{visit}/{kind}", step.phase);
        let arrival = |kind: &String| Arrival {
            id: id(kind),
            kind: kind.clone(),
            subject: self.key.to_string(),
            source: None,
            data: data.clone(),
            at,
        };
        step.emits.iter().map(arrival).collect()
    }
}
