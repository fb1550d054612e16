//! Turns recorded rows into the events that a run would have had: each row exactly once and as recorded, on a virtual
//! clock. Decides nothing; it only reproduces past events.

use super::layout::Layout;
use super::link::{LinkedItem, link, reachable, state};
use super::row::Row;
use crate::event::{
    Event, Execution, ItemError, ItemEvent, ItemId, ItemState, Millis, Recorded, RunEvent, Settlement,
    Status, StepEvent,
};
use crate::graph::{Graph, StepId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The events of a recorded run, in the order of their times. A row starts at its recorded start; one without starts
/// as soon as the rows that it waits for have ended.
///
/// # Errors
/// The indices of rows whose phase is not a step of the graph; then it returns no events.
pub fn replay(graph: &Graph, rows: &[Row]) -> Result<Vec<Event>, Vec<usize>> {
    let layout = Layout::of(graph);
    let unknown: Vec<usize> =
        (0..rows.len()).filter(|row| layout.place(&rows[*row].phase).is_none()).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let mut recorded = vec![false; layout.phases.len()];
    for row in rows {
        if let Some(place) = layout.place(&row.phase) {
            recorded[place] = true;
        }
    }
    let mut events = Vec::new();
    let mut items = link(&layout, rows);
    // In the order of the record, where a session file has the rows of an item together.
    items.sort_by_key(|item| item.rows.iter().min().copied());
    for (number, item) in items.iter().enumerate() {
        Telling::new(&layout, rows, &recorded, number, item).tell(&mut events);
    }
    tell_run(&layout, rows, &mut events);
    // Stable: simultaneous events stay in the order of the items and their steps.
    events.sort_by(|one, other| one.0.total_cmp(&other.0));
    Ok(events.into_iter().map(|(_, event)| event).collect())
}

/// The events of one item as they are made.
struct Telling<'a> {
    layout: &'a Layout,
    rows: &'a [Row],
    recorded: &'a [bool],
    number: ItemId,
    key: &'a Arc<str>,
    /// The rows of each phase that are still to be replayed.
    ahead: Vec<VecDeque<usize>>,
    /// When the last execution of a phase ended, and how.
    done: BTreeMap<usize, (f64, Status)>,
    /// How each execution ended last.
    last: BTreeMap<(usize, u64), (Status, bool)>,
    /// The row that decided the item's end.
    failure: Option<usize>,
    /// When the current visit began, and the latest time so far.
    began: f64,
    now: f64,
}

impl<'a> Telling<'a> {
    fn new(
        layout: &'a Layout,
        rows: &'a [Row],
        recorded: &'a [bool],
        number: usize,
        item: &'a LinkedItem,
    ) -> Self {
        let mut ahead = vec![VecDeque::new(); layout.phases.len()];
        for row in &item.rows {
            if let Some(place) = layout.place(&rows[*row].phase) {
                ahead[place].push_back(*row);
            }
        }
        let started = item.rows.iter().filter_map(|row| rows[*row].started_ms).min();
        let began = started.map_or(0.0, |started| started as f64);
        Telling {
            layout,
            rows,
            recorded,
            number: ItemId(number as u64),
            key: &item.key,
            ahead,
            done: BTreeMap::new(),
            last: BTreeMap::new(),
            failure: None,
            began,
            now: began,
        }
    }

    fn tell(mut self, events: &mut Vec<(f64, Event)>) {
        let (item, key) = (self.number, Arc::clone(self.key));
        events.push((
            self.now,
            ItemEvent::Admitted { key: Arc::clone(&key), inputs: Vec::new() }.of(item, self.at()),
        ));
        loop {
            let rows = self.visit();
            self.end(rows, events);
            let handled = if self.state().is_failure() { self.handlers() } else { Vec::new() };
            if handled.is_empty() {
                break;
            }
            events.push((self.now, ItemEvent::Failed.of(item, self.at())));
            self.began = self.now;
            self.end(handled, events);
            if self.ahead.iter().all(VecDeque::is_empty) {
                break;
            }
            events.push((self.now, ItemEvent::Requeued.of(item, self.at())));
            self.began = self.now;
        }
        let rest = self.ahead.iter_mut().flat_map(std::mem::take).collect();
        self.end(rest, events);
        let (state, error) = (self.state(), self.error());
        events.push((
            self.now,
            ItemEvent::Settled { key, end: Settlement::new(state, error) }.of(item, self.at()),
        ));
    }

    /// Takes the forward rows of one visit. While a handler may still requeue the item, a step runs once a visit and
    /// only if the item can have reached it; after that all remaining rows are taken.
    fn visit(&mut self) -> Vec<usize> {
        let layout = self.layout;
        let may_return =
            layout.phases.iter().zip(&self.ahead).any(|(phase, rows)| phase.handler && !rows.is_empty());
        let mut taken = Vec::new();
        let mut last: BTreeMap<usize, Status> =
            self.done.iter().map(|(place, (_, status))| (*place, *status)).collect();
        for place in (0..layout.phases.len()).filter(|place| !layout.phases[*place].handler) {
            if may_return && !reachable(layout, place, self.recorded, |need| last.get(&need).copied()) {
                continue;
            }
            let mut seen = BTreeSet::new();
            while let Some(row) = self.ahead[place].front().copied() {
                if may_return && !seen.insert(layout.execution(&self.rows[row].borrowed())) {
                    break;
                }
                self.ahead[place].pop_front();
                last.insert(place, self.rows[row].status);
                taken.push(row);
            }
        }
        taken
    }

    /// Takes the next row of every handler.
    fn handlers(&mut self) -> Vec<usize> {
        let phases = self.layout.phases.iter().zip(&mut self.ahead);
        phases.filter(|(phase, _)| phase.handler).filter_map(|(_, rows)| rows.pop_front()).collect()
    }

    /// Adds the ends of executions in the order of their times.
    fn end(&mut self, rows: Vec<usize>, events: &mut Vec<(f64, Event)>) {
        let mut ended = Vec::with_capacity(rows.len());
        for row in rows {
            let recorded = &self.rows[row];
            let Some(place) = self.layout.place(&recorded.phase) else { continue };
            let phase = &self.layout.phases[place];
            let before = phase.needs.iter().map(|(need, _)| *need).chain([place]);
            let ready = before.filter_map(|place| self.done.get(&place)).map(|(end, _)| *end);
            let ready = ready.fold(self.began, f64::max);
            let start = recorded.started_ms.map_or(ready, |started| started as f64);
            let end = start + recorded.duration_ms.unwrap_or(0.0);
            self.done.insert(place, (end, recorded.status));
            if let Some(execution) = self.layout.execution(&recorded.borrowed()) {
                let again = self.last.contains_key(&execution);
                self.last.insert(execution, (recorded.status, again));
            }
            if recorded.status.is_failure() && !phase.optional && !phase.handler {
                self.failure = Some(row);
            }
            let step = phase.step.unwrap_or(StepId(0));
            ended.push((end, StepEvent::Ended(execution(step, row, recorded))));
        }
        ended.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (end, event) in ended {
            self.now = self.now.max(end);
            events.push((self.now, event.of(self.number, self.at())));
        }
    }

    fn state(&self) -> ItemState {
        state(self.layout, self.last.iter().map(|(execution, (status, again))| (*execution, *status, *again)))
    }

    fn error(&self) -> Option<ItemError> {
        let row = &self.rows[self.failure.filter(|_| self.state().is_failure())?];
        Some(ItemError {
            step: self.layout.place(&row.phase).and_then(|place| self.layout.phases[place].step),
            message: row.error.clone().unwrap_or_else(|| row.status.name().to_owned()),
            code: None,
            attempts: row.attempt.unwrap_or(1),
        })
    }

    fn at(&self) -> Millis {
        self.now.round() as Millis
    }
}

/// Adds the events of the steps that ran once after all items.
fn tell_run(layout: &Layout, rows: &[Row], events: &mut Vec<(f64, Event)>) {
    let of_run = rows.iter().enumerate().filter(|(_, row)| layout.is_of_run(&row.borrowed()));
    let of_run: Vec<(usize, &Row)> = of_run.collect();
    if of_run.is_empty() {
        return;
    }
    let began = events.iter().map(|(at, _)| *at).fold(0.0, f64::max);
    let mut now = began;
    let mut last: BTreeMap<(usize, u64), (Status, bool)> = BTreeMap::new();
    // The handlers of the run count like its steps.
    let mut handlers = ItemState::Succeeded;
    events.push((began, RunEvent::StepsBegan.at(began.round() as Millis)));
    for (index, row) in of_run {
        let phase = layout.place(&row.phase).map(|place| &layout.phases[place]);
        let Some((phase, step)) = phase.and_then(|phase| Some((phase, phase.step?))) else { continue };
        now += row.duration_ms.unwrap_or(0.0);
        if row.status.is_failure() && phase.handler && !phase.undoes && !phase.optional {
            handlers = ItemState::Failed;
        }
        if let Some(execution) = layout.execution(&row.borrowed()) {
            let again = last.contains_key(&execution);
            last.insert(execution, (row.status, again));
        }
        let ended = StepEvent::Ended(execution(step, index, row));
        events.push((now, ended.of(ItemId::RUN, now.round() as Millis)));
    }
    let fates = last.into_iter().map(|(execution, (status, again))| (execution, status, again));
    let state = match state(layout, fates) {
        ItemState::Succeeded => handlers,
        state => state,
    };
    events.push((now, RunEvent::StepsEnded(Settlement::new(state, None)).at(now.round() as Millis)));
}

fn execution(step: StepId, index: usize, row: &Row) -> Execution {
    Execution {
        step,
        element: None,
        status: row.status,
        input: row.input.clone(),
        output: row.output.clone(),
        duration_ms: row.duration_ms,
        tokens_used: row.tokens_used,
        columns: row.columns.clone(),
        attempt: row.attempt,
        started_ms: row.started_ms,
        error: row.error.clone(),
        code: None,
        recorded: Some(Box::new(Recorded {
            index,
            agent: row.agent.clone(),
            channel: row.channel.clone(),
            item: row.item.clone(),
            spelled: row.spelled.clone(),
        })),
    }
}
