//! Running attempts: begun on tasks of their own, stopped on request, each reported exactly once.

use super::bindings::BoundStep;
use super::live::LiveBoard;
use super::prepare::{Ground, prepare};
use super::timers::Timers;
use crate::adapter::question::Questions;
use crate::adapter::redact::ItemRedactor;
use crate::adapter::{
    self, AttemptLog, Context, Conversation, Declared, LiveWords, LogIntake, LogPlace, Rests, Said, Spawned,
    Spawns, Stop, Stopper, Urgency, contract,
};
use crate::engine::{Call, EngineInput, Timer};
use crate::event::{Answer, Cause, ItemId, Millis, Outcome, Relayed, StepPath, StopReason};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// What a question of an attempt is about: the item, the step and its agent.
fn about(context: &Context) -> (Arc<str>, Arc<str>, Option<Arc<str>>) {
    (context.item.clone(), context.step.clone(), context.agent.clone())
}

pub(super) fn timer_of(call: &Call) -> Timer {
    Timer::Attempt { item: call.item, step: call.step, attempt: call.attempt }
}

pub(super) struct Calls {
    answers: UnboundedSender<EngineInput>,
    /// Processes that were started for the calls.
    spawned: UnboundedSender<Spawned>,
    /// Messages of the calls.
    said: UnboundedSender<Said>,
    under_way: HashMap<(ItemId, StepPath, u32), Stopper>,
    /// What the attempts are just saying.
    pub live: LiveBoard,
    /// Where the attempts log; `None` without a journal.
    logs: Option<Arc<LogIntake>>,
    killed: bool,
    paused: bool,
}

impl Calls {
    pub fn new(
        answers: UnboundedSender<EngineInput>,
        spawned: UnboundedSender<Spawned>,
        said: UnboundedSender<Said>,
        live: LiveBoard,
        logs: Option<Arc<LogIntake>>,
    ) -> Self {
        let under_way = HashMap::new();
        Calls { answers, spawned, said, under_way, live, logs, killed: false, paused: false }
    }

    pub fn begin(&mut self, all: &Ground<'_>, call: Call, now: Millis) {
        let (stopper, stop) = Stop::new();
        if self.paused {
            stopper.pause();
        }
        let report = EndReport::new(&call, self.answers.clone());
        self.under_way.insert((call.item, call.step, call.attempt), stopper);
        let Some(binding) = all.bindings.steps.get(call.step.index()) else { return };
        let (adapter, redactor, item) = (binding.adapter.clone(), all.bindings.redactor.clone(), call.item);
        let attempt = (call.item, call.step, call.attempt);
        // Without a journal they are not stored.
        let (spawns, conversation) = match all.stores {
            true => (
                Spawns::of(attempt, self.spawned.clone()),
                Conversation::of(attempt, &binding.outputs, redactor.clone(), self.said.clone()),
            ),
            false => (Spawns::default(), Conversation::default()),
        };
        let (call, room) = match prepare(all, binding, &call, now) {
            Ok((request, room)) => {
                let live = self.live.begin(attempt, &binding.outputs);
                let conversation = conversation.clone();
                let redactor = ItemRedactor::new(redactor.clone(), item);
                let questions = match all.questions.cloned() {
                    Some(to) => {
                        let secret = binding.outputs.iter().any(Declared::is_secret);
                        let clean = (redactor.clone(), conversation.clone());
                        Questions::new(to, about(&request.context), clean, !secret)
                    }
                    None => Questions::default(),
                };
                let log = self.log(binding, &call, live.clone());
                let answers = self.answers.clone();
                let rests = Rests::new(move |waits| {
                    let (item, step, attempt) = attempt;
                    // The receiver is only gone when the run is.
                    let _ = answers.send(EngineInput::Waits { item, step, attempt, waits });
                });
                (
                    adapter::Call { spawns, conversation, live, questions, log, rests, redactor, ..request },
                    room,
                )
            }
            Err(wrong) => {
                let answer = contract::failure(Cause::Start, wrong, Outcome::NotExecuted, false);
                return report.give(Err(answer));
            }
        };
        let is_shared = adapter.is_shared();
        let log = call.log.clone();
        tokio::spawn(async move {
            let answer = match room.open() {
                Ok(()) => adapter.call(call, stop).await,
                Err(error) => {
                    let message = format!("cannot prepare the attempt: {error}");
                    Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true))
                }
            };
            let closed = match answer.is_ok() && room.is_slow() {
                true => tokio::task::spawn_blocking(move || room.close(answer)).await,
                false => Ok(room.close(answer)),
            };
            // A panic has been reported as a failure.
            let Ok(mut answer) = closed else { return };
            redactor.answer(item, is_shared, &mut answer);
            let relayed = match &mut answer {
                Ok(reply) => &mut reply.relayed,
                Err(failure) => &mut failure.relayed,
            };
            for Relayed { role, party, text } in std::mem::take(relayed) {
                conversation.say(role, Some(&party), &text);
            }
            conversation.end();
            log.end();
            report.give(answer);
        });
    }

    /// Where an attempt logs.
    fn log(&self, binding: &BoundStep, call: &Call, live: LiveWords) -> AttemptLog {
        let Some(intake) = &self.logs else { return AttemptLog::shown(live) };
        let place = LogPlace {
            item: call.item,
            key: call.key.clone(),
            phase: binding.phase.clone(),
            title: binding.title.clone(),
            element: call.step.element,
            attempt: call.attempt,
        };
        let is_shared = binding.adapter.is_shared();
        AttemptLog::stored(live, place, &binding.outputs, is_shared, intake)
    }

    /// Reports a call that is not made.
    pub fn refuse(&self, call: &Call) {
        let message = "not started: the journal could not be written".to_owned();
        let answer = contract::failure(Cause::Start, message, Outcome::NotExecuted, false);
        EndReport::new(call, self.answers.clone()).give(Err(answer));
    }

    pub fn stop(&self, attempt: (ItemId, StepPath, u32), why: StopReason) {
        if let Some(stopper) = self.under_way.get(&attempt) {
            stopper.say(why);
            stopper.ask(self.urgency());
        }
    }

    /// How urgently attempts are stopped.
    pub fn urgency(&self) -> Urgency {
        if self.killed { Urgency::Kill } else { Urgency::Terminate }
    }

    /// The run pauses: attempts that are stopped are repeated later.
    pub fn pause(&mut self) {
        if !std::mem::replace(&mut self.paused, true) {
            self.under_way.values().for_each(Stopper::pause);
        }
    }

    pub fn kill_all(&mut self) {
        self.killed = true;
        self.under_way.values().for_each(|stopper| stopper.ask(Urgency::Kill));
    }

    /// Whether an attempt is under way.
    pub fn any(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Asks all attempts to end; they are repeated when the run resumes.
    pub fn leave(&mut self) {
        self.pause();
        self.under_way.values().for_each(|stopper| stopper.ask(Urgency::Terminate));
    }

    /// Removes an attempt that has ended.
    pub fn over(&mut self, input: &EngineInput, timers: &mut Timers) {
        if let EngineInput::Finished { item, step, attempt, .. } = input {
            self.under_way.remove(&(*item, *step, *attempt));
            self.live.end((*item, *step, *attempt));
            timers.cancel(Timer::Attempt { item: *item, step: *step, attempt: *attempt });
        }
    }
}

/// Reports an attempt's end when dropped, even if the adapter panics.
struct EndReport {
    id: (ItemId, StepPath, u32),
    answers: UnboundedSender<EngineInput>,
    given: bool,
}

impl EndReport {
    fn new(call: &Call, answers: UnboundedSender<EngineInput>) -> Self {
        EndReport { id: (call.item, call.step, call.attempt), answers, given: false }
    }

    fn give(mut self, answer: Answer) {
        self.send(answer);
    }

    fn send(&mut self, result: Answer) {
        let (item, step, attempt) = self.id;
        self.given = true;
        // The receiver is only gone when the run is.
        let _ = self.answers.send(EngineInput::Finished { item, step, attempt, result });
    }
}

impl Drop for EndReport {
    fn drop(&mut self) {
        if !self.given {
            let message = "the adapter broke; this is a bug of orderflow".to_owned();
            self.send(Err(contract::failure(Cause::Protocol, message, Outcome::Unknown, false)));
        }
    }
}
