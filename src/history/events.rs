//! The events of a stored run: who waits for one, which came, and which of them nothing has taken.

use super::inside::InnerRun;
use super::{History, used};
use crate::adapter::UsedEvents;
use crate::engine::Run;
use crate::event::{
    Arrival, Event, EventKind, ItemEvent, ItemId, Millis, RunEvent, StepEvent, StepId, UnixMillis,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A step of an item that waits for an event.
#[derive(Clone, Debug)]
pub struct AwaitingStep {
    pub item: ItemId,
    pub key: Arc<str>,
    pub step: StepId,
    /// What the event's subject must be.
    pub subject: Arc<str>,
    pub since: UnixMillis,
    /// The event that has come meanwhile: it is taken once the run continues.
    pub stored: Option<u64>,
}

/// An event from outside that no step has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntakenEvent {
    pub id: String,
    pub kind: String,
    pub subject: String,
    /// Why not.
    pub why: String,
}

/// The events of a run as its journal shows them.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    pub awaiting: Vec<AwaitingStep>,
    /// How many came from outside.
    pub received: u64,
    pub untaken: Vec<UntakenEvent>,
    /// Events of steps that channels did not accept: channel, id, and the reason.
    pub unpublished: Vec<(Arc<str>, String, String)>,
    /// Whether another event is accepted: not too many wait for a step.
    pub has_room: bool,
    /// The time of the run's last event.
    pub last: Millis,
}

impl History {
    /// The events of the run; with one that is to be sent, also what comes of it.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn event_log(&self, sent: Option<&Arrival>) -> anyhow::Result<(EventLog, Prospect)> {
        let mut seen = Seen::default();
        let run = self.fold(|event, run| seen.see(event, run))?;
        let awaiting = run.awaiting().map(|(item, key, step, subject, since)| AwaitingStep {
            item,
            key: key.clone(),
            step,
            subject: subject.clone(),
            since,
            stored: run.stored_event(item, step),
        });
        let awaiting: Vec<AwaitingStep> = awaiting.collect();
        // An event that is about to be taken is not left over.
        awaiting.iter().filter_map(|one| one.stored).for_each(|number| drop(seen.open.remove(&number)));
        let prospect = sent.map(|sent| self.prospect(&run, &seen, &awaiting, sent)).unwrap_or_default();
        let inside = if sent.is_some() { Vec::new() } else { self.forget_taken_inside(&mut seen)? };
        let mut untaken = Vec::new();
        for (number, [id, kind, subject]) in &seen.open {
            let arrival = run.event(*number).filter(|_| untaken.len() < EXPLAINED);
            let refused = arrival.map(|arrival| self.inner_refusal(&inside, &run, arrival)).transpose()?;
            let why = match refused.flatten() {
                Some(InnerRefusal::Takes) => continue,
                Some(InnerRefusal::Because(why)) => why,
                None => self.why_untaken(&run, &seen, &awaiting, *number, (kind, subject)),
            };
            let (id, kind, subject) = (id.clone(), kind.clone(), subject.clone());
            untaken.push(UntakenEvent { id, kind, subject, why });
        }
        let log = EventLog {
            untaken,
            received: seen.received,
            unpublished: run
                .not_published()
                .map(|(channel, id, why)| (channel.clone(), id.to_owned(), why.to_owned()))
                .collect(),
            has_room: run.has_room(),
            last: seen.last,
            awaiting,
        };
        Ok((log, prospect))
    }

    fn prospect(&self, run: &Run, seen: &Seen, awaiting: &[AwaitingStep], sent: &Arrival) -> Prospect {
        let title = |step: StepId| self.graph.step(step).title.clone();
        let meant = awaiting.iter().filter(|one| self.is_for(one, &sent.kind, &sent.subject));
        let (mut takers, mut refusals) = (Vec::new(), Vec::new());
        for one in meant {
            match run.refusal_of(one.item, one.step, sent) {
                None => takers.push((one.key.to_string(), title(one.step))),
                Some(why) => refusals.push((title(one.step), why)),
            }
        }
        Prospect {
            known: run.knows_event(&sent.id),
            item: seen.keys.contains(&*sent.subject),
            takers,
            refusals,
        }
    }

    /// Leaves out the events that steps of documents have taken, and returns the runs of documents in flight. If there
    /// are too many runs of documents to know, those that documents wait for are left out.
    fn forget_taken_inside(&self, seen: &mut Seen) -> anyhow::Result<Vec<InnerRun>> {
        let mut open = seen.open.values();
        if !open.any(|[_, kind, _]| self.graph.is_awaited_inside(kind)) {
            return Ok(Vec::new());
        }
        let (mut most, mut all) = (INNER, UsedEvents::new());
        let complete = used::taken(self, &mut most, &mut all)?;
        let taken = used::ids(&all);
        seen.open.retain(|_, [id, kind, _]| {
            !self.graph.is_awaited_inside(kind) || complete && !taken.contains(id.as_str())
        });
        self.inner_runs(INNER)
    }

    /// Why the steps of documents that wait for such an event do not take this one, or that one will.
    fn inner_refusal(
        &self,
        inside: &[InnerRun],
        run: &Run,
        arrival: &Arrival,
    ) -> anyhow::Result<Option<InnerRefusal>> {
        if !self.graph.is_awaited_inside(&arrival.kind) {
            return Ok(None);
        }
        let mut why = None;
        for inner in inside {
            for one in inner.awaiting(run, Some(arrival))? {
                match one.refusal {
                    None => return Ok(Some(InnerRefusal::Takes)),
                    Some(refusal) => why = Some(format!("{}: {refusal}", one.title)),
                }
            }
        }
        Ok(why.map(InnerRefusal::Because))
    }

    fn is_for(&self, one: &AwaitingStep, kind: &str, subject: &str) -> bool {
        let event = self.graph.step(one.step).awaits.as_ref().map(|awaits| awaits.event.as_str());
        event == Some(kind) && *one.subject == *subject
    }

    fn why_untaken(
        &self,
        run: &Run,
        seen: &Seen,
        awaiting: &[AwaitingStep],
        number: u64,
        (kind, subject): (&str, &str),
    ) -> String {
        if !self.graph.awaited().contains(kind) {
            return "no step waits for this type".to_owned();
        }
        let waits = awaiting.iter().find(|one| self.is_for(one, kind, subject));
        let arrival = run.event(number);
        let refused = waits.zip(arrival).and_then(|(one, arrival)| {
            let why = run.refusal_of(one.item, one.step, arrival)?;
            Some(format!("{}: {why}", self.graph.step(one.step).title))
        });
        if let Some(why) = refused {
            return why;
        }
        let one = (kind.to_owned(), subject.to_owned());
        let steps = || {
            self.graph
                .steps
                .iter()
                .filter(|step| step.awaits.as_ref().is_some_and(|awaits| awaits.event == kind))
        };
        let inside = self.graph.is_awaited_inside(kind);
        let by_key = |step: &crate::graph::Step| {
            let by_value = step.awaits.as_ref().is_some_and(|awaits| awaits.subject.is_some());
            !by_value && if step.once { subject == RUN_KEY } else { seen.keys.contains(subject) }
        };
        let by_value =
            steps().any(|step| step.awaits.as_ref().is_some_and(|awaits| awaits.subject.is_some()));
        let why = match () {
            () if seen.taken.contains(&one) => "its step has taken another event",
            () if seen.expired.contains(&one) => "its step no longer waits: no event had come in time",
            () if waits.is_none() && arrival.is_none() => "its item has ended",
            () if steps().any(by_key) || inside => "no step has come to it",
            () if by_value => "no step waits for this subject",
            () => "no item has this key",
        };
        why.to_owned()
    }
}

/// What steps of documents make of an event for which they wait.
enum InnerRefusal {
    /// One of them takes it.
    Takes,
    /// None takes it, and why.
    Because(String),
}

/// How many runs of documents are read for what their steps have taken, and how many events are looked for in those in
/// flight.
const INNER: usize = 1000;
const EXPLAINED: usize = 10;

/// What comes of an event that is to be sent.
#[derive(Clone, Debug, Default)]
pub struct Prospect {
    /// It came before.
    pub known: bool,
    /// Whether an item with its subject as key has started.
    pub item: bool,
    /// The items that wait for it, each with the title of the step.
    pub takers: Vec<(String, String)>,
    /// The steps that wait for such an event but not for this one, with the reason.
    pub refusals: Vec<(String, String)>,
}

#[derive(Default)]
struct Seen {
    received: u64,
    /// By number, those that nothing has taken: id, type and subject.
    open: BTreeMap<u64, [String; 3]>,
    keys: HashSet<Arc<str>>,
    /// The types and subjects of events that a step has taken, or for which one has waited too long.
    taken: HashSet<(String, String)>,
    expired: HashSet<(String, String)>,
    subjects: HashMap<(ItemId, StepId), Arc<str>>,
    last: Millis,
}

/// The key of the steps that run once after all items.
const RUN_KEY: &str = "run";

impl Seen {
    /// The type and the subject of the event that a step of an item waits for.
    fn meant(&self, run: &Run, item: ItemId, step: StepId) -> Option<(String, String)> {
        let kind = run.graph().step(step).awaits.as_ref()?.event.clone();
        Some((kind, self.subjects.get(&(item, step))?.to_string()))
    }

    fn see(&mut self, event: &Event, run: &Run) {
        self.last = self.last.max(event.at);
        match &event.kind {
            EventKind::Run(RunEvent::Received(arrival)) => {
                self.received += 1;
                let Arrival { id, kind, subject, .. } = &**arrival;
                let number = run.events_so_far().saturating_sub(1);
                self.open.insert(number, [id.clone(), kind.clone(), subject.clone()]);
            }
            EventKind::Step(item, StepEvent::AwaitBegan { step, subject, .. }) => {
                self.subjects.insert((*item, *step), subject.clone());
            }
            EventKind::Step(item, StepEvent::EventTaken { step, event, .. }) => {
                self.open.remove(event);
                self.taken.extend(self.meant(run, *item, *step));
            }
            EventKind::Step(item, StepEvent::AwaitExpired(step)) => {
                self.expired.extend(self.meant(run, *item, *step));
            }
            EventKind::Item(_, ItemEvent::Admitted { key, .. }) => drop(self.keys.insert(key.clone())),
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }
}
