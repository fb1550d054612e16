//! One item on its way through the graph. [`Item::apply`] is the only thing that changes it; [`Item::next`]
//! reads the state and says what must happen next. Knows nothing of other items or of limits.

use super::backoff::{millis, pause};
use super::step::{Attempts, End, StepState};
use super::{Call, Timer};
use crate::event::{
    Event, Execution, Failure, ItemError, ItemId, ItemState, Millis, Reply, Status, StopReason, Values,
};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::spec::Mark;
use crate::value::{Object, Value, label};
use std::sync::Arc;

/// How often failure handlers may put one item back.
const PUT_BACKS: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Forward,
    /// Forward work is settled and failed; failure handlers run.
    Handling,
}

/// Steps that joined the ready ones, and steps that left them without being started; in this order.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub ready: Vec<StepId>,
    pub withdrawn: Vec<StepId>,
}

#[derive(Debug)]
pub(super) struct Item {
    id: ItemId,
    key: Arc<str>,
    /// When it was admitted or last put back: its deadline counts from here.
    since: Millis,
    stage: Stage,
    steps: Vec<StepState>,
    /// The number of each step's last attempt.
    numbers: Vec<u32>,
    values: Vec<Option<Arc<Value>>>,
    /// Steps of this stage that have not ended.
    open: u32,
    /// Steps whose answer is not dealt with yet.
    answered: Vec<StepId>,
    /// The failure that decides the item's fate: the first that is not optional.
    error: Option<ItemError>,
    /// No step starts any more.
    stop: Option<StopReason>,
    put_backs: u32,
}

impl Item {
    pub fn new(graph: &Graph, id: ItemId, key: Arc<str>, inputs: &Values, at: Millis) -> Self {
        let waiting = |step: &crate::graph::Step| match step.kind {
            Kind::Forward => StepState::Waiting { missing: step.needs.len() as u32 },
            Kind::Handler => StepState::Idle,
        };
        let mut values = vec![None; graph.values.len()];
        for (id, value) in inputs {
            values[id.index()] = Some(value.clone());
        }
        Item {
            id,
            key,
            since: at,
            stage: Stage::Forward,
            steps: graph.steps.iter().map(waiting).collect(),
            numbers: vec![0; graph.steps.len()],
            values,
            open: graph.order.len() as u32,
            answered: Vec::new(),
            error: None,
            stop: None,
            put_backs: 0,
        }
    }

    /// Steps without needs, ready from the start.
    pub fn begin(&mut self, graph: &Graph, moves: &mut Moves) {
        for &id in &graph.order {
            if graph.step(id).needs.is_empty() {
                self.make_ready(id, moves);
            }
        }
    }

    fn make_ready(&mut self, id: StepId, moves: &mut Moves) {
        let number = self.numbers[id.index()];
        self.steps[id.index()] = StepState::Ready(Attempts { number, ..Attempts::default() });
        moves.ready.push(id);
    }

    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    pub fn is_ready(&self, step: StepId) -> bool {
        matches!(self.steps[step.index()], StepState::Ready(_))
    }

    /// The number of the attempt that would start now.
    pub fn attempt(&self, step: StepId) -> u32 {
        match &self.steps[step.index()] {
            StepState::Ready(attempts) => attempts.number + 1,
            _ => 0,
        }
    }

    pub fn is_running(&self, step: StepId, number: u32) -> bool {
        matches!(&self.steps[step.index()], StepState::Running { attempts, .. } if attempts.number == number)
    }

    pub fn is_told_to_stop(&self, step: StepId) -> bool {
        matches!(self.steps[step.index()], StepState::Running { stop: Some(_), .. })
    }

    pub fn awaits_retry(&self, step: StepId, number: u32) -> bool {
        matches!(&self.steps[step.index()], StepState::Backoff { attempts, .. } if attempts.number + 1 == number)
    }
}

/// Applying events.
impl Item {
    /// Takes an event about this item; what it means for the line of ready steps is added to `moves`.
    pub fn apply(&mut self, graph: &Graph, event: &Event, moves: &mut Moves) {
        match event {
            Event::AttemptStarted { step, at, .. } => {
                if let StepState::Ready(attempts) = self.steps[step.index()] {
                    let attempts = attempts.began(*at);
                    self.numbers[step.index()] = attempts.number;
                    self.steps[step.index()] = StepState::Running { attempts, started: *at, stop: None };
                }
            }
            Event::AttemptStopped { step, why, .. } => {
                if let StepState::Running { stop, .. } = &mut self.steps[step.index()] {
                    *stop = Some(*why);
                }
            }
            Event::AttemptFinished { step, result, at, .. } => self.finished(*step, result, *at),
            Event::RetryScheduled { step, due, .. } => {
                if let StepState::Answered { attempts, .. } = self.steps[step.index()] {
                    self.steps[step.index()] = StepState::Backoff { attempts, due: *due };
                    self.answered.retain(|answered| answered != step);
                }
            }
            Event::RetryDue { step, .. } => {
                if let StepState::Backoff { attempts, .. } = self.steps[step.index()] {
                    self.steps[step.index()] = StepState::Ready(attempts);
                    moves.ready.push(*step);
                }
            }
            Event::StepEnded { execution, .. } => self.ended(graph, execution, moves),
            Event::ItemDeadlinePassed { .. } => {
                self.error.get_or_insert_with(|| ItemError {
                    step: None,
                    message: StopReason::ItemDeadline.to_string(),
                    code: None,
                    attempts: 0,
                });
                self.halt(graph, StopReason::ItemDeadline, moves);
            }
            Event::ItemFailed { .. } => self.call_handlers(graph, moves),
            Event::ItemPutBack { at, .. } => self.put_back(graph, *at, moves),
            Event::RunStopped { why, .. } => self.halt(graph, *why, moves),
            Event::ItemAdmitted { .. } | Event::ItemSettled { .. } | Event::RunDrained { .. } => {}
        }
    }

    fn finished(&mut self, step: StepId, result: &Result<Reply, Failure>, at: Millis) {
        let StepState::Running { attempts, started, stop } = self.steps[step.index()] else { return };
        if let Ok(reply) = result {
            for (id, value) in &reply.outputs {
                self.values[id.index()] = Some(value.clone());
            }
        }
        let tokens = match result {
            Ok(reply) => reply.tokens_used,
            Err(failure) => failure.tokens_used,
        };
        let (attempts, result) = (attempts.spent(tokens), result.clone());
        self.steps[step.index()] = StepState::Answered { attempts, started, finished: at, stop, result };
        self.answered.push(step);
    }

    fn ended(&mut self, graph: &Graph, execution: &Execution, moves: &mut Moves) {
        let id = execution.step;
        self.answered.retain(|answered| *answered != id);
        let step = graph.step(id);
        let end = match execution.status {
            Status::Success => End::Succeeded,
            Status::Cancelled => End::Cancelled,
            Status::Skipped => End::Absent,
            _ if step.mark == Some(Mark::Optional) => End::FailedOptional,
            _ => End::Failed,
        };
        if end == End::Failed && step.kind == Kind::Forward && self.error.is_none() {
            self.error = Some(self.item_error(id, execution));
        }
        self.settle(graph, id, end, moves);
        if end == End::Failed && step.kind == Kind::Forward && step.mark == Some(Mark::Critical) {
            self.halt(graph, StopReason::Critical, moves);
        }
    }

    fn item_error(&self, step: StepId, execution: &Execution) -> ItemError {
        let message = execution.error.clone().unwrap_or_default();
        let code = execution.code.clone();
        ItemError { step: Some(step), message, code, attempts: execution.attempt.unwrap_or(0) }
    }

    /// Ends a step and, from it on, every step that can now be decided.
    fn settle(&mut self, graph: &Graph, id: StepId, end: End, moves: &mut Moves) {
        let mut ends = vec![(id, end)];
        while let Some((id, end)) = ends.pop() {
            self.steps[id.index()] = StepState::Ended(end);
            self.open -= 1;
            for &dependent in &graph.step(id).dependents {
                let StepState::Waiting { missing } = &mut self.steps[dependent.index()] else { continue };
                *missing -= 1;
                if *missing == 0 {
                    match self.obstacle(graph, dependent) {
                        None => self.make_ready(dependent, moves),
                        Some(end) => ends.push((dependent, end)),
                    }
                }
            }
        }
    }

    /// Why a step whose needs are all settled cannot run.
    fn obstacle(&self, graph: &Graph, id: StepId) -> Option<End> {
        let step = graph.step(id);
        let end_of = |step: StepId| match self.steps[step.index()] {
            StepState::Ended(end) => end,
            _ => End::Blocked,
        };
        if step.needs.iter().any(|need| end_of(need.step).blocks()) {
            return Some(End::Blocked);
        }
        let lacks = |input: &crate::graph::Input| {
            let made = input.maker.is_some_and(|maker| end_of(maker) == End::Succeeded);
            input.maker.is_some() && !input.optional && !(made && self.value(input.value).is_some())
        };
        step.inputs.iter().any(lacks).then_some(End::Absent)
    }

    /// Nothing of this item starts any more; what runs is told to stop by `next`.
    fn halt(&mut self, graph: &Graph, why: StopReason, moves: &mut Moves) {
        // A stop of the whole run outranks one of the item: no handler follows it.
        if self.stop.is_none_or(is_own) {
            self.stop = Some(why);
        }
        for id in graph.ids() {
            match &self.steps[id.index()] {
                StepState::Waiting { .. } | StepState::Ready(_) | StepState::Backoff { .. } => {
                    if self.is_ready(id) {
                        moves.withdrawn.push(id);
                    }
                    self.steps[id.index()] = StepState::Ended(End::Blocked);
                    self.open -= 1;
                }
                StepState::Running { .. }
                | StepState::Answered { .. }
                | StepState::Ended(_)
                | StepState::Idle => {}
            }
        }
    }

    fn call_handlers(&mut self, graph: &Graph, moves: &mut Moves) {
        self.stage = Stage::Handling;
        // A critical failure stops the forward work only; a stop of the whole run stays.
        self.stop = self.stop.filter(|why| !is_own(*why));
        for id in graph.handlers() {
            self.open += 1;
            self.make_ready(id, moves);
        }
    }

    /// What failed, and what did not run because of it, is ahead once more.
    fn put_back(&mut self, graph: &Graph, at: Millis, moves: &mut Moves) {
        self.since = at;
        self.stage = Stage::Forward;
        self.error = None;
        self.put_backs += 1;
        for id in graph.handlers() {
            self.steps[id.index()] = StepState::Idle;
        }
        let again = |state: &StepState| matches!(state, StepState::Ended(end) if end.blocks());
        let ahead: Vec<StepId> = graph.ids().filter(|id| again(&self.steps[id.index()])).collect();
        self.open = ahead.len() as u32;
        let is_ahead = |id: StepId| ahead.binary_search(&id).is_ok();
        let missing = |id: StepId| graph.step(id).needs.iter().filter(|need| is_ahead(need.step)).count();
        let counts: Vec<(StepId, usize)> = ahead.iter().map(|id| (*id, missing(*id))).collect();
        for &(id, missing) in &counts {
            self.steps[id.index()] = StepState::Waiting { missing: missing as u32 };
        }
        for (id, _) in counts.into_iter().filter(|(_, missing)| *missing == 0) {
            match self.obstacle(graph, id) {
                None => self.make_ready(id, moves),
                Some(end) => self.settle(graph, id, end, moves),
            }
        }
    }
}

/// Deciding what comes next.
impl Item {
    /// The next event that the state calls for; none while the item waits for an answer, a timer or a place.
    pub fn next(&self, graph: &Graph, now: Millis) -> Option<Event> {
        if let Some(&step) = self.answered.first() {
            return Some(self.follow(graph, step, now));
        }
        if let Some(why) = self.stop
            && let Some((step, attempt)) = self.untold()
        {
            return Some(Event::AttemptStopped { item: self.id, step, attempt, why, at: now });
        }
        if self.open > 0 {
            return None;
        }
        let stopped = self.stop.is_some_and(|why| !is_own(why));
        match (self.stage, &self.error) {
            (Stage::Forward, None) if stopped && !self.all_done(graph) => {
                Some(self.settled(ItemState::Cancelled, now))
            }
            (Stage::Forward, None) => Some(self.settled(ItemState::Succeeded, now)),
            (Stage::Forward, Some(_)) if !stopped && graph.handlers().next().is_some() => {
                Some(Event::ItemFailed { item: self.id, at: now })
            }
            (Stage::Handling, _) if !stopped && self.put_backs < PUT_BACKS && self.wants_back(graph) => {
                Some(Event::ItemPutBack { item: self.id, at: now })
            }
            (_, Some(_)) | (Stage::Handling, None) => Some(self.settled(ItemState::Failed, now)),
        }
    }

    fn settled(&self, state: ItemState, at: Millis) -> Event {
        Event::ItemSettled { item: self.id, key: self.key.clone(), state, error: self.error.clone(), at }
    }

    /// Whether every step came to an end of its own.
    fn all_done(&self, graph: &Graph) -> bool {
        let done = |id: &StepId| matches!(self.steps[id.index()], StepState::Ended(end) if !end.blocks());
        graph.order.iter().all(done)
    }

    /// A running step that does not know yet that the item stops.
    fn untold(&self) -> Option<(StepId, u32)> {
        self.steps.iter().enumerate().find_map(|(index, state)| match state {
            StepState::Running { attempts, stop: None, .. } => Some((StepId(index as u32), attempts.number)),
            _ => None,
        })
    }

    /// What follows from the answer to a step: its end, or another attempt.
    fn follow(&self, graph: &Graph, id: StepId, now: Millis) -> Event {
        let StepState::Answered { attempts, started, finished, stop, result } = &self.steps[id.index()]
        else {
            unreachable!("`answered` lists only answered steps");
        };
        if let Err(failure) = result
            && let Some(due) = self.retry(graph, id, attempts, failure, *stop, now)
        {
            return Event::RetryScheduled {
                item: self.id,
                step: id,
                attempt: attempts.number + 1,
                due,
                at: now,
            };
        }
        let mut execution = Execution {
            step: id,
            status: status(result, *stop),
            input: self.input_label(graph, id),
            output: None,
            duration_ms: Some(finished.saturating_sub(*started) as f64),
            tokens_used: attempts.tokens,
            columns: Vec::new(),
            attempt: Some(attempts.number),
            started_ms: Some(*started),
            error: None,
            code: None,
        };
        match result {
            Ok(reply) => {
                execution.output = self.output_label(graph, id, reply);
                execution.columns.clone_from(&reply.columns);
            }
            Err(failure) => {
                execution.columns.clone_from(&failure.columns);
                execution.code.clone_from(&failure.code);
                execution.error = Some(match stop {
                    Some(why) => why.to_string(),
                    None => failure.message.clone(),
                });
            }
        }
        Event::StepEnded { item: self.id, execution }
    }

    /// When the next attempt is due, if there is one.
    fn retry(
        &self,
        graph: &Graph,
        id: StepId,
        attempts: &Attempts,
        failure: &Failure,
        stop: Option<StopReason>,
        now: Millis,
    ) -> Option<Millis> {
        let timed_out = stop == Some(StopReason::Timeout);
        let retryable = if stop.is_some() { timed_out } else { failure.retryable };
        if !retryable || self.stop.is_some() {
            return None;
        }
        let due = now + pause(graph.step(id).retry.as_ref(), self.id, id, attempts.tries)?;
        self.step_deadline(graph, id, attempts).is_none_or(|deadline| due < deadline).then_some(due)
    }

    fn step_deadline(&self, graph: &Graph, id: StepId, attempts: &Attempts) -> Option<Millis> {
        Some(attempts.since?.saturating_add(millis(graph.step(id).deadline?)))
    }

    /// Whether a failure handler answered with a true output named `retry…`.
    fn wants_back(&self, graph: &Graph) -> bool {
        let says = |id: StepId| {
            matches!(self.steps[id.index()], StepState::Ended(End::Succeeded))
                && graph.step(id).outputs.iter().any(|output| {
                    graph.value(output.value).name.starts_with("retry")
                        && self.value(output.value).is_some_and(|value| **value == Value::Bool(true))
                })
        };
        graph.handlers().any(says)
    }

    fn value(&self, id: ValueId) -> Option<&Arc<Value>> {
        self.values[id.index()].as_ref()
    }

    fn input_label(&self, graph: &Graph, id: StepId) -> Option<String> {
        let step = graph.step(id);
        if step.kind == Kind::Handler {
            return Some(self.key.to_string());
        }
        let input = step.inputs.iter().find(|input| self.value(input.value).is_some())?;
        Some(self.label(graph, input.value))
    }

    fn output_label(&self, graph: &Graph, id: StepId, reply: &Reply) -> Option<String> {
        let made = |output: &&crate::graph::Output| reply.outputs.iter().any(|(id, _)| *id == output.value);
        Some(self.label(graph, graph.step(id).outputs.iter().find(made)?.value))
    }

    fn label(&self, graph: &Graph, id: ValueId) -> String {
        let info = graph.value(id);
        match self.value(id) {
            Some(value) => label(&info.name, info.ty.as_ref(), value, &self.key),
            None => String::new(),
        }
    }
}

/// What the outside must know.
impl Item {
    /// The attempt that has just been started.
    pub fn call(&self, graph: &Graph, id: StepId) -> Option<Call> {
        let StepState::Running { attempts, started, .. } = &self.steps[id.index()] else { return None };
        let step = graph.step(id);
        let timeout = step.timeout.map(|timeout| started.saturating_add(millis(timeout)));
        let deadline = [timeout, self.step_deadline(graph, id, attempts)].into_iter().flatten().min();
        Some(Call {
            item: self.id,
            key: self.key.clone(),
            step: id,
            attempt: attempts.number,
            inputs: self.inputs(graph, id),
            deadline,
        })
    }

    /// Why an attempt that reached its time is stopped.
    pub fn overdue(&self, graph: &Graph, id: StepId, now: Millis) -> StopReason {
        match &self.steps[id.index()] {
            StepState::Running { attempts, .. }
                if self.step_deadline(graph, id, attempts).is_some_and(|deadline| deadline <= now) =>
            {
                StopReason::StepDeadline
            }
            _ => StopReason::Timeout,
        }
    }

    fn inputs(&self, graph: &Graph, id: StepId) -> Values {
        let step = graph.step(id);
        let shared = |id: ValueId| Some((id, self.value(id)?.clone()));
        match step.kind {
            Kind::Handler => {
                let failed = Arc::new(self.report(graph));
                let takes = |input: &crate::graph::Input| match shared(input.value) {
                    Some(shared) => shared,
                    None => (input.value, failed.clone()),
                };
                step.inputs.iter().map(takes).collect()
            }
            Kind::Forward if step.inputs.is_empty() && step.outputs.is_empty() => {
                graph.inputs.iter().filter_map(|id| shared(*id)).collect()
            }
            Kind::Forward => step.inputs.iter().filter_map(|input| shared(input.value)).collect(),
        }
    }

    /// What a failure handler is told: `{item, key, step, error: {message, code}, attempts, values}`.
    fn report(&self, graph: &Graph) -> Value {
        let named = |ids: &mut dyn Iterator<Item = ValueId>| -> Object {
            ids.filter_map(|id| Some((graph.value(id).name.clone(), (**self.value(id)?).clone()))).collect()
        };
        let item = match graph.inputs.as_slice() {
            [only] => self.value(*only).map_or(Value::Null, |value| (**value).clone()),
            several => Value::Object(named(&mut several.iter().copied())),
        };
        let error = self.error.as_ref();
        let step = error.and_then(|error| error.step).map(|id| graph.step(id).phase.clone());
        let mut report = Object::new();
        report.insert("item".into(), item);
        report.insert("key".into(), self.key.to_string().into());
        report.insert("step".into(), step.into());
        let mut told = Object::new();
        told.insert("message".into(), error.map(|error| error.message.clone()).into());
        told.insert("code".into(), error.and_then(|error| error.code.clone()).into());
        report.insert("error".into(), told.into());
        report.insert("attempts".into(), error.map_or(0, |error| error.attempts).into());
        let made = |id: &ValueId| !graph.inputs.contains(id);
        let mut all = (0..graph.values.len() as u32).map(ValueId).filter(made);
        report.insert("values".into(), named(&mut all).into());
        Value::Object(report)
    }

    /// Timers and calls that a folded item still waits for.
    pub fn outstanding(&self, graph: &Graph) -> (Vec<(Call, bool)>, Vec<(Millis, Timer)>) {
        let (mut calls, mut timers) = (Vec::new(), Vec::new());
        for id in graph.ids() {
            match &self.steps[id.index()] {
                StepState::Running { stop, .. } => {
                    calls.extend(self.call(graph, id).map(|call| (call, stop.is_some())));
                }
                StepState::Backoff { attempts, due } => {
                    let attempt = attempts.number + 1;
                    timers.push((*due, Timer::Retry { item: self.id, step: id, attempt }));
                }
                StepState::Waiting { .. }
                | StepState::Ready(_)
                | StepState::Answered { .. }
                | StepState::Ended(_)
                | StepState::Idle => {}
            }
        }
        timers.extend(self.deadline(graph));
        (calls, timers)
    }

    /// The item's own deadline.
    pub fn deadline(&self, graph: &Graph) -> Option<(Millis, Timer)> {
        let due = self.since.saturating_add(millis(graph.settings.deadline?));
        Some((due, Timer::ItemDeadline { item: self.id }))
    }

    /// Whether the item's deadline has passed and still means something.
    pub fn is_overdue(&self, graph: &Graph, now: Millis) -> bool {
        let passed = self.deadline(graph).is_some_and(|(due, _)| due <= now);
        passed && self.stage == Stage::Forward && self.stop.is_none()
    }
}

/// Whether a stop concerns this item alone.
fn is_own(why: StopReason) -> bool {
    match why {
        StopReason::Timeout | StopReason::StepDeadline | StopReason::ItemDeadline | StopReason::Critical => {
            true
        }
        StopReason::ItemError | StopReason::RunDeadline | StopReason::Interrupted => false,
    }
}

/// A stopped attempt that answered all the same counts by its answer: the truth wins.
fn status(result: &Result<Reply, Failure>, stop: Option<StopReason>) -> Status {
    match (result, stop) {
        (Ok(_), _) => Status::Success,
        (Err(_), Some(StopReason::Timeout | StopReason::StepDeadline)) => Status::Timeout,
        (Err(_), Some(_)) => Status::Cancelled,
        (Err(_), None) => Status::Failed,
    }
}
