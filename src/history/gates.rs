//! The gates of a stored run: who waits at them, and what was decided. Decides nothing itself.

use super::History;
use super::error::{Error, ErrorKind};
use super::is_cancelled;
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::event::{Decision, Event, EventKind, GateId, ItemEvent, ItemId, Millis, RunEvent, UnixMillis};
use crate::value::words;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// The name of the steps that run once after all items, if an item has the key `run`.
const RUN: &str = ":run";

/// An item that waits at a gate.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub item: ItemId,
    pub key: Arc<str>,
    pub gate: GateId,
    /// With its values.
    pub question: String,
    pub since: UnixMillis,
    /// What was decided meanwhile: it counts once the run continues.
    pub stored: Option<Decision>,
}

/// The gates of a run as its journal shows them.
#[derive(Clone, Debug, Default)]
pub struct GateLog {
    pub waiting: Vec<Waiting>,
    /// The last decision about each item, `None` if the time to decide passed.
    decided: BTreeMap<(ItemId, GateId), Option<Decision>>,
    /// What was decided about all items.
    pub standing: BTreeMap<GateId, Decision>,
    keys: HashMap<Arc<str>, ItemId>,
    /// The questions that were asked.
    asked: Vec<(ItemId, GateId, String)>,
    /// The time of the run's last event.
    pub last: Millis,
}

/// What a person asks for, resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    /// It takes effect.
    New,
    /// Something was decided before.
    Already(Decision),
    /// The time to decide has passed.
    Late,
}

impl History {
    /// The gates of the run.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn gates(&self) -> anyhow::Result<GateLog> {
        let mut log = GateLog::default();
        let run = self.fold(|event, _| log.see(event))?;
        let asked = run.waiting().filter_map(|(item, key, gate, since)| {
            let question = run.ask(item, gate)?.question;
            let stored = run.stored_decision(item, gate).cloned();
            Some(Waiting { item, key: key.clone(), gate, question, since, stored })
        });
        log.waiting = asked.collect();
        log.standing = self
            .graph
            .gates
            .iter()
            .zip(0..)
            .map(|(_, id)| GateId(id))
            .filter_map(|gate| Some((gate, run.standing(gate)?.clone())))
            .collect();
        Ok(log)
    }

    /// Whether the run has ended or was cancelled, so that no item comes to a gate.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn is_over(&self) -> anyhow::Result<bool> {
        Ok(is_cancelled(&self.home) || self.outline()?.is_over(self.basis()))
    }

    /// The gate before the step or group of this name.
    ///
    /// # Errors
    /// It does not exist, or several have this name.
    pub fn gate_called(&self, name: &str) -> Result<GateId, Error> {
        let graph = &self.graph;
        let refuse =
            |message: String| Error::new(ErrorKind::Invalid, format!("{message}; nothing was recorded"));
        match graph.gates_called(name).as_slice() {
            [only] => Ok(*only),
            [] if graph.gates.is_empty() => Err(refuse("this workflow has no gates".to_owned())),
            [] => {
                let titles: Vec<String> = graph.gates.iter().map(|gate| graph.gated(gate)).collect();
                let what = if graph.called(name).is_empty() { "no step or group" } else { "no gate of" };
                let message = match what {
                    "no gate of" => format!("`{}` has no gate", visible(name)),
                    _ => format!("the workflow has {what} `{}`", visible(name)),
                };
                let help = match nearest(name, titles.iter().map(String::as_str)) {
                    Some(near) => words::did_you_mean(near),
                    None => format!("gates are before {}", visible(&titles.join(", "))),
                };
                Err(refuse(message).help(help))
            }
            several => {
                let names = several.iter().filter_map(|id| Some(graph.gate_name(graph.gate(*id)?)));
                let help = format!("name one of {}", visible(&names.collect::<Vec<_>>().join(", ")));
                Err(refuse(format!("several steps with a gate are called `{}`", visible(name))).help(help))
            }
        }
    }
}

impl GateLog {
    fn see(&mut self, event: &Event) {
        self.last = self.last.max(event.at);
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => {
                self.keys.insert(key.clone(), *item);
            }
            EventKind::Item(item, ItemEvent::GateReached { gate, question, .. }) => {
                self.decided.remove(&(*item, *gate));
                let asked = (*item, *gate, question.clone());
                if !self.asked.contains(&asked) {
                    self.asked.push(asked);
                }
            }
            EventKind::Item(item, ItemEvent::Decided { gate, decision }) => {
                self.decided.insert((*item, *gate), Some(decision.clone()));
            }
            EventKind::Item(item, ItemEvent::GateExpired(gate)) => {
                drop(self.decided.insert((*item, *gate), None))
            }
            EventKind::Run(RunEvent::Decided { .. }) => {}
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    /// The item with this key; `run` is the name of the steps for all items, unless an item has it.
    pub fn item(&self, key: &str) -> Option<ItemId> {
        let known = self.keys.get(key).copied();
        known.or_else(|| ["run", RUN].contains(&key).then_some(ItemId::RUN))
    }

    /// What was asked about an item, with its values.
    pub fn question(&self, item: ItemId, gate: GateId) -> Option<&str> {
        let asked = self.asked.iter().rev().find(|(of, at, _)| (*of, *at) == (item, gate));
        asked.map(|(_, _, question)| question.as_str())
    }

    /// The key of an item.
    pub fn key(&self, item: ItemId) -> Option<&Arc<str>> {
        self.keys.iter().find(|(_, known)| **known == item).map(|(key, _)| key)
    }

    /// What a decision about an item comes to; `None` if it does not wait and nothing was decided. `within` is the time
    /// to decide, and `now` the clock.
    pub fn ruling(
        &self,
        item: ItemId,
        gate: GateId,
        within: Option<Duration>,
        now: UnixMillis,
    ) -> Option<Ruling> {
        if let Some(waiting) = self.waiting.iter().find(|one| (one.item, one.gate) == (item, gate)) {
            return Some(if is_late(waiting, within, now) { Ruling::Late } else { Ruling::New });
        }
        self.decided.get(&(item, gate)).map(|decided| match decided {
            Some(decision) => Ruling::Already(decision.clone()),
            None => Ruling::Late,
        })
    }

    /// The gates at which a question was asked that is answered by now, each with the keys of the items.
    pub fn answered(&self, is: impl Fn(&str) -> bool) -> BTreeMap<GateId, Vec<String>> {
        let keys: HashMap<ItemId, &Arc<str>> = self.keys.iter().map(|(key, item)| (*item, key)).collect();
        let mut found: BTreeMap<GateId, Vec<String>> = BTreeMap::new();
        for (item, gate, _) in self.asked.iter().filter(|(.., question)| is(question)) {
            let key = keys.get(item).filter(|_| self.decided.contains_key(&(*item, *gate)));
            found.entry(*gate).or_default().extend(key.map(|key| key.to_string()));
        }
        found.retain(|_, keys| !keys.is_empty());
        found
    }

    /// The items at a gate whose time to decide has passed, though the run has not noticed yet.
    pub fn late(
        &self,
        gate: GateId,
        within: Option<Duration>,
        now: UnixMillis,
    ) -> impl Iterator<Item = ItemId> + '_ {
        let late = move |one: &&Waiting| one.gate == gate && is_late(one, within, now);
        self.waiting.iter().filter(late).map(|one| one.item)
    }

    /// The items about which this was decided.
    pub fn decided_by<'a>(
        &'a self,
        gate: GateId,
        decision: &'a Decision,
    ) -> impl Iterator<Item = ItemId> + 'a {
        let is = move |(_, found): &(&(ItemId, GateId), &Option<Decision>)| found.as_ref() == Some(decision);
        self.decided
            .iter()
            .filter(is)
            .map(|((item, at), _)| (*item, *at))
            .filter(move |(_, at)| *at == gate)
            .map(|(item, _)| item)
    }
}

/// Whether the time to decide has passed at this time of the clock.
pub fn is_late(waiting: &Waiting, within: Option<Duration>, now: UnixMillis) -> bool {
    let within = within.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    within.is_some_and(|within| waiting.since.saturating_add(within) <= now)
}
