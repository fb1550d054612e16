//! The times at which items, attempts and waits began and ended, by column.

use super::collect::code;
use super::data::{PageAttempts, PageEnds, PageItems, PageWaits};
use super::details::number;
use crate::engine::is_lost;
use crate::event::{Answer, AttemptEvent, Cause, Execution, ItemId, Status, StepPath};
use crate::graph::Graph;
use crate::value::dollars::Dollars;
use std::collections::HashMap;

/// The most attempts and ends of executions that a page has.
const MOST: usize = 300_000;

/// The reason of a wait within the document of a step.
const INSIDE: u8 = 5;

/// The column in which agents report dollars.
const COST: &str = "cost_usd";

/// An open wait: its step and reason, and its index.
type OpenWait = (StepPath, u8, usize);

/// What happened, as columns in the order of time, collected in one pass over the events.
#[derive(Default)]
pub struct Moments {
    pub items: PageItems,
    pub attempts: PageAttempts,
    pub ends: PageEnds,
    pub waits: PageWaits,
    running: HashMap<(ItemId, StepPath, u32), usize>,
    waiting: HashMap<ItemId, Vec<OpenWait>>,
    /// Attempts and ends without room.
    pub left_out: u64,
}

impl Moments {
    pub fn admit(&mut self, key: String) {
        self.items.keys.push(key);
        self.items.cause.push(-1);
    }

    pub fn state(&mut self, item: ItemId, state: u8, at: u64) {
        self.items.at.push(at);
        self.items.item.push(number(item));
        self.items.state.push(state);
    }

    pub fn attempt(&mut self, item: ItemId, path: StepPath, attempt: u32, change: &AttemptEvent, at: u64) {
        match change {
            AttemptEvent::Started => {
                self.rest(item, Some(path), 0, at);
                self.start(item, path, attempt, at);
            }
            AttemptEvent::Repeated => {
                self.end_attempt(item, path, attempt, 4, at);
                self.start(item, path, attempt, at);
            }
            AttemptEvent::Finished(answer) => {
                self.rest(item, Some(path), INSIDE, at);
                if let Some(index) = self.end_attempt(item, path, attempt, outcome(answer), at) {
                    let (tokens, columns) = match answer {
                        Ok(reply) => (reply.tokens_used, &reply.columns),
                        Err(failure) => (failure.tokens_used, &failure.columns),
                    };
                    let cost = columns.iter().find(|(name, _)| **name == *COST);
                    let cost = cost.and_then(|(_, cost)| Dollars::of(cost)).map(Dollars::value);
                    self.attempts.tokens[index] = tokens.unwrap_or(0);
                    self.attempts.dollars[index] = cost.and_then(|cost| cost.as_f64()).unwrap_or(0.0);
                }
            }
            AttemptEvent::RetryScheduled { .. } => self.wait(item, path, 0, at),
            AttemptEvent::RetryDue => self.rest(item, Some(path), 0, at),
            // The document that it runs waits, and the attempt is still under way.
            AttemptEvent::Waits | AttemptEvent::Awaits => self.wait(item, path, INSIDE, at),
            AttemptEvent::Continues => self.rest(item, Some(path), INSIDE, at),
            AttemptEvent::Stopped(_) => {}
        }
    }

    fn start(&mut self, item: ItemId, path: StepPath, attempt: u32, at: u64) {
        if self.attempts.item.len() >= MOST {
            self.left_out += 1;
            return;
        }
        let all = &mut self.attempts;
        self.running.insert((item, path, attempt), all.item.len());
        all.item.push(number(item));
        all.step.push(path.step.0);
        all.element.push(path.element.map_or(-1, i64::from));
        all.number.push(attempt);
        all.began.push(at);
        all.ended.push(-1);
        all.outcome.push(0);
        all.tokens.push(0);
        all.dollars.push(0.0);
    }

    fn end_attempt(
        &mut self,
        item: ItemId,
        path: StepPath,
        attempt: u32,
        outcome: u8,
        at: u64,
    ) -> Option<usize> {
        let index = self.running.remove(&(item, path, attempt))?;
        self.attempts.ended[index] = i64::try_from(at).unwrap_or(i64::MAX);
        self.attempts.outcome[index] = outcome;
        Some(index)
    }

    pub fn ended(&mut self, item: ItemId, execution: &Execution, at: u64) {
        self.rest(item, Some(execution.path()), 0, at);
        self.rest(item, Some(execution.path()), 2, at);
        if self.ends.item.len() >= MOST {
            self.left_out += 1;
            return;
        }
        let all = &mut self.ends;
        all.at.push(at);
        all.item.push(number(item));
        all.step.push(execution.step.0);
        all.element.push(execution.element.map_or(-1, i64::from));
        all.status.push(code(execution.status));
        all.attempts.push(execution.attempt.unwrap_or(0));
        all.took.push(execution.duration_ms.unwrap_or(-1.0));
    }

    /// The item waits before a step from now on.
    pub fn wait(&mut self, item: ItemId, path: StepPath, why: u8, at: u64) {
        self.waiting.entry(item).or_default().push((path, why, self.waits.item.len()));
        self.waits.item.push(number(item));
        self.waits.step.push(path.step.0);
        self.waits.began.push(at);
        self.waits.ended.push(-1);
        self.waits.why.push(why);
    }

    /// It waits no longer for this reason, before this step or any.
    pub fn rest(&mut self, item: ItemId, path: Option<StepPath>, why: u8, at: u64) {
        let Some(open) = self.waiting.get_mut(&item) else { return };
        let waits = &mut self.waits.ended;
        open.retain(|(own, reason, index)| {
            let over = *reason == why && path.is_none_or(|path| path == *own);
            if over {
                waits[*index] = i64::try_from(at).unwrap_or(i64::MAX);
            }
            !over
        });
    }

    pub fn end_waits(&mut self, item: ItemId, at: u64) {
        (0..=INSIDE).for_each(|why| self.rest(item, None, why, at));
        self.waiting.remove(&item);
    }

    /// The titles of steps whose effects would be compensated if the item failed now, the last first.
    pub fn would_compensate(&self, graph: &Graph, item: i64) -> Vec<String> {
        let done = self.of(item).filter(|(_, status)| *status == code(Status::Success));
        let mut steps: Vec<usize> = done.map(|(step, _)| step).collect();
        steps.reverse();
        let mut titles = Vec::new();
        for step in steps {
            let by = graph.steps.get(step).and_then(|step| Some((step, graph.step(step.compensate?))));
            let title = by.map(|(step, by)| format!("{} by {}", step.title, by.title));
            titles.extend(title.filter(|title| !titles.contains(title)));
        }
        titles
    }

    /// The steps that were compensated for an item, each with the step that did it.
    pub fn compensated(&self, graph: &Graph, item: i64) -> Vec<String> {
        let mut titles = Vec::new();
        for (step, status) in self.of(item).filter(|(_, status)| *status == code(Status::Compensated)) {
            let of = graph.steps.iter().filter(|other| other.compensate.is_some_and(|by| by.index() == step));
            let of: Vec<&str> = of.map(|other| other.title.as_str()).collect();
            let by = graph.steps.get(step).map_or("", |step| &step.title);
            let _ = status;
            titles.push(if of.is_empty() { by.to_owned() } else { format!("{} by {by}", of.join(", ")) });
        }
        titles
    }

    /// The steps of an item with the statuses of their ends, in the order of time.
    fn of(&self, item: i64) -> impl Iterator<Item = (usize, u8)> {
        let ends = &self.ends;
        let own = (0..ends.item.len()).filter(move |at| ends.item[*at] == item);
        own.map(move |at| (ends.step[at] as usize, ends.status[at]))
    }
}

fn outcome(answer: &Answer) -> u8 {
    match answer {
        Ok(_) => 1,
        Err(failure) if is_lost(failure) => 4,
        Err(failure) if failure.cause == Cause::Stopped => 3,
        Err(_) => 2,
    }
}
