//! What runs and what waits, as lines for a person who watches. Updated at every event, so it does little then. Does not
//! know where the lines are shown.

use super::spoken;
use crate::diag::render::visible;
use crate::event::{
    AttemptEvent, Event, EventKind, GateId, ItemEvent, ItemId, ItemState, Millis, RunEvent, StepEvent,
    StepPath,
};
use crate::graph::{Graph, StepId};
use crate::runtime::LastWords;
use crate::value::words;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The rate is that of this time.
const RECENTLY: Duration = Duration::from_secs(10);

/// The shortest time that gives a rate.
const ENOUGH: Duration = Duration::from_secs(1);

/// The most kinds of waiting that are shown.
const KINDS: usize = 4;

pub struct Board {
    graph: Arc<Graph>,
    total: u64,
    settled: u64,
    failed: u64,
    /// Executions of steps that have ended.
    steps: u64,
    began: Instant,
    /// The time of the run when it began or continued here.
    past: Millis,
    items: HashMap<ItemId, OpenItem>,
    /// The items that neither run nor wait for anything known: a limit holds them.
    held: u64,
    running: HashMap<(ItemId, StepPath, u32), Running>,
    gates: BTreeMap<GateId, u64>,
    awaits: BTreeMap<StepId, u64>,
    retries: BTreeSet<(Millis, ItemId, StepPath)>,
    /// How many items were done at earlier times.
    samples: VecDeque<(Instant, u64)>,
}

struct OpenItem {
    key: Arc<str>,
    /// What runs of it, and what it waits for.
    reasons: u64,
}

struct Running {
    since: Instant,
    words: String,
}

impl Board {
    pub fn new(graph: Arc<Graph>, total: u64) -> Self {
        Board {
            graph,
            total,
            settled: 0,
            failed: 0,
            steps: 0,
            began: Instant::now(),
            past: 0,
            items: HashMap::new(),
            held: 0,
            running: HashMap::new(),
            gates: BTreeMap::new(),
            awaits: BTreeMap::new(),
            retries: BTreeSet::new(),
            samples: VecDeque::new(),
        }
    }

    /// The key of an item in flight.
    pub fn key(&self, item: ItemId) -> &str {
        self.items.get(&item).map_or("", |known| &known.key)
    }

    /// How many attempts are running.
    pub fn running(&self) -> u64 {
        self.running.len() as u64
    }

    /// The time of the run at the last event.
    pub fn time(&self) -> Millis {
        self.past
    }

    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// The run continues here: the attempts that were running are repeated now.
    pub fn continues(&mut self) {
        self.began = Instant::now();
        self.running.values_mut().for_each(|running| running.since = self.began);
    }

    pub fn see(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => self.open(ItemId::RUN, "after all items".into()),
            EventKind::Run(RunEvent::StepsEnded(_)) => self.close(ItemId::RUN),
            EventKind::Run(_) => {}
            EventKind::Item(item, change) => self.item(*item, change),
            EventKind::Step(item, change) => match change {
                StepEvent::Ended(_) => self.steps += 1,
                StepEvent::AwaitBegan { step, .. } => {
                    *self.awaits.entry(*step).or_default() += 1;
                    self.reasons(*item, 1);
                }
                StepEvent::EventTaken { step, .. } | StepEvent::AwaitExpired(step) => {
                    if let Some(count) = self.awaits.get_mut(step).filter(|count| **count > 0) {
                        *count -= 1;
                        self.reasons(*item, -1);
                    }
                }
                StepEvent::ConditionHeld(_) | StepEvent::BranchTaken { .. } | StepEvent::ElementsEnded(_) => {
                }
            },
            EventKind::Attempt(item, step, attempt, change) => match change {
                AttemptEvent::Started => {
                    let running = Running { since: Instant::now(), words: String::new() };
                    if self.running.insert((*item, *step, *attempt), running).is_none() {
                        self.reasons(*item, 1);
                    }
                }
                AttemptEvent::Finished(_) => {
                    if self.running.remove(&(*item, *step, *attempt)).is_some() {
                        self.reasons(*item, -1);
                    }
                }
                AttemptEvent::RetryScheduled { due } => {
                    self.retries.insert((*due, *item, *step));
                    self.reasons(*item, 1);
                }
                AttemptEvent::RetryDue => self.due(*item, *step),
                AttemptEvent::Stopped(_)
                | AttemptEvent::Repeated
                | AttemptEvent::Waits
                | AttemptEvent::Awaits
                | AttemptEvent::Continues => {}
            },
        }
        self.past = self.past.max(event.at);
    }

    fn item(&mut self, item: ItemId, change: &ItemEvent) {
        match change {
            ItemEvent::Admitted { key, .. } => self.open(item, key.clone()),
            ItemEvent::Settled { end, .. } => {
                self.close(item);
                // An item that is cancelled, as by Ctrl-C, is not done.
                self.settled += u64::from(end.state != ItemState::Cancelled);
                self.failed += u64::from(end.state.is_failure());
            }
            ItemEvent::GateReached { gate, .. } => {
                *self.gates.entry(*gate).or_default() += 1;
                self.reasons(item, 1);
            }
            ItemEvent::Decided { gate, .. } | ItemEvent::GateExpired(gate) => {
                if let Some(count) = self.gates.get_mut(gate).filter(|count| **count > 0) {
                    *count -= 1;
                    self.reasons(item, -1);
                }
            }
            ItemEvent::DeadlinePassed { .. }
            | ItemEvent::CompensationBegan(_)
            | ItemEvent::Failed
            | ItemEvent::Requeued
            | ItemEvent::Retried { .. }
            | ItemEvent::Resolved { .. }
            | ItemEvent::Revoked { .. }
            | ItemEvent::RoundBegan { .. }
            | ItemEvent::RoundScheduled { .. }
            | ItemEvent::RepeatEnded(_) => {}
        }
    }

    fn open(&mut self, item: ItemId, key: Arc<str>) {
        if self.items.insert(item, OpenItem { key, reasons: 0 }).is_none_or(|known| known.reasons > 0) {
            self.held += 1;
        }
    }

    /// A failed item may leave a retry behind.
    fn close(&mut self, item: ItemId) {
        let Some(known) = self.items.remove(&item) else { return };
        if known.reasons == 0 {
            self.held -= 1;
        } else {
            self.retries.retain(|(_, other, _)| *other != item);
        }
    }

    fn due(&mut self, item: ItemId, step: StepPath) {
        let found = self.retries.iter().find(|(_, of, at)| (*of, *at) == (item, step)).copied();
        if let Some(found) = found {
            self.retries.remove(&found);
            self.reasons(item, -1);
        }
    }

    fn reasons(&mut self, item: ItemId, more: i64) {
        let Some(known) = self.items.get_mut(&item) else { return };
        let before = known.reasons;
        known.reasons = before.saturating_add_signed(more);
        match (before, known.reasons) {
            (0, 1..) => self.held = self.held.saturating_sub(1),
            (1.., 0) => self.held += 1,
            _ => {}
        }
    }

    /// What running attempts are just saying; those that are not named say nothing new.
    pub fn hear(&mut self, words: &[LastWords]) {
        for LastWords { item, step, attempt, text } in words {
            if let Some(running) = self.running.get_mut(&(*item, *step, *attempt)) {
                running.words.clone_from(text);
            }
        }
    }

    /// The line about all items, such as `37/200 items · 2 failed · 41/s · about 3 s left`.
    pub fn all(&mut self, now: Instant) -> String {
        self.samples.push_back((now, self.settled));
        while self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > RECENTLY) {
            self.samples.pop_front();
        }
        let mut parts = match self.total {
            1 => vec![words::count(self.steps, "step") + " done"],
            total => vec![format!("{}/{total} items", self.settled)],
        };
        if self.failed > 0 {
            parts.push(format!("{} failed", self.failed));
        }
        match self.rate(now).filter(|_| self.total != 1) {
            Some(rate) => {
                parts.push(match rate {
                    10.0.. => format!("{rate:.0}/s"),
                    1.0.. => format!("{rate:.1}/s"),
                    _ => format!("{:.1}/min", rate * 60.0),
                });
                let left = self.total.saturating_sub(self.settled) as f64 / rate;
                if let Some(left) = Duration::try_from_secs_f64(left).ok().filter(|left| !left.is_zero()) {
                    parts.push(format!("about {} left", about(left)));
                }
            }
            None => parts.push(about(now.duration_since(self.began))),
        }
        parts.join(" · ")
    }

    /// Items a second, recently.
    fn rate(&self, now: Instant) -> Option<f64> {
        let (at, settled) = self.samples.front()?;
        let time = now.duration_since(*at);
        let done = self.settled.checked_sub(*settled).filter(|done| *done > 0)?;
        (time >= ENOUGH).then(|| done as f64 / time.as_secs_f64())
    }

    /// What waits, and for what, in so many lines at most.
    fn waiting(&self, now: Instant, most: usize) -> Vec<String> {
        let items = |count: u64| {
            format!("{} {}", words::count(count, "item"), words::by_count(count, "waits", "wait"))
        };
        let title = |id: StepId| visible(&self.graph.step(id).title);
        let gates = self.gates.iter().filter(|(_, count)| **count > 0).filter_map(|(gate, count)| {
            Some(format!(
                "{} for a person: {}",
                items(*count),
                visible(&self.graph.gated(self.graph.gate(*gate)?))
            ))
        });
        let awaits = self.awaits.iter().filter(|(_, count)| **count > 0).filter_map(|(step, count)| {
            let event = &self.graph.step(*step).awaits.as_ref()?.event;
            Some(format!("{} for the event {}: {}", items(*count), visible(event), title(*step)))
        });
        let time = self.past_now(now);
        let retries = self.retries.first().map(|(due, item, step)| {
            let wait = about(Duration::from_millis(due.saturating_sub(time)));
            let (key, title) = (visible(self.key(*item)), title(step.step));
            match self.retries.len() {
                1 => format!("{key}: {title} is retried in {wait}"),
                several => format!("{several} retries wait, the next in {wait}: {key}: {title}"),
            }
        });
        let held = (self.held > 0).then(|| format!("{} for a limit", items(self.held)));
        gates.chain(awaits).chain(retries).chain(held).take(most).collect()
    }

    /// The time of the run.
    fn past_now(&self, now: Instant) -> Millis {
        let here = u64::try_from(now.duration_since(self.began).as_millis()).unwrap_or(Millis::MAX);
        self.past.max(here)
    }

    /// All lines: the first about all items, then the running steps, the slowest first, then what waits.
    pub fn lines(&mut self, now: Instant, columns: usize, rows: usize) -> Vec<String> {
        let mut lines = vec![spoken::cut(&self.all(now), columns)];
        let waiting = self.waiting(now, KINDS.min(rows / 3));
        let room = rows.saturating_sub(1 + waiting.len());
        let mut running: Vec<_> = self.running.iter().collect();
        running
            .sort_unstable_by_key(|((item, step, attempt), running)| (running.since, *item, *step, *attempt));
        let more = if running.len() > room { running.len() + 1 - room.max(1) } else { 0 };
        for ((item, step, attempt), Running { since, words }) in
            running.into_iter().take(room.saturating_sub(usize::from(more > 0)))
        {
            let element = step.element.map(|element| format!("[{element}]")).unwrap_or_default();
            let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            let name = format!("{}: {}{element}{again}", self.key(*item), self.graph.step(step.step).title);
            lines.push(spoken::line(&about(now.duration_since(*since)), &name, words, columns));
        }
        if more > 0 && room > 0 {
            lines.push(format!("{:>10}  … {more} more running", ""));
        }
        lines.extend(waiting.iter().map(|line| spoken::cut(&format!("  {line}"), columns)));
        lines
    }

    /// One line without a terminal: all items, and the longest running step.
    pub fn line(&mut self, now: Instant) -> String {
        let mut line = self.all(now);
        let longest = self.running.iter().min_by_key(|(_, running)| running.since);
        if let Some(((item, step, _), Running { since, .. })) = longest {
            let (key, title) = (visible(self.key(*item)), visible(&self.graph.step(step.step).title));
            let running = self.running.len();
            line.push_str(&format!(
                " · {running} running, the longest {key}: {title}, {}",
                about(now.duration_since(*since))
            ));
        }
        for waits in self.waiting(now, KINDS) {
            line.push_str(&format!(" · {waits}"));
        }
        line
    }
}

/// A time for a person who watches it: `0.4 s`, `12 s`, `3 min`, `2 h`.
fn about(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds @ ..9.95 => format!("{seconds:.1} s"),
        seconds @ ..99.5 => format!("{seconds:.0} s"),
        seconds @ ..5970.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}
