//! How much may run at once: in the run, per agent, on a channel; and how often a channel may start.

use super::waits::{Limit, Waits};
use crate::event::{ItemId, Millis, StepPath};
use crate::graph::{Graph, StepId};
use crate::value::words;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// The limits of a run, by name. A name without an entry is limited only by `jobs`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most steps that run at once.
    pub jobs: usize,
    /// The steps that run programs on this machine, if not all do.
    pub programs: Option<Programs>,
    pub agents: HashMap<String, usize>,
    pub channels: HashMap<String, ChannelLimit>,
}

/// Steps that share the processors of this machine, and how many of them may run at once.
#[derive(Clone, Debug)]
pub struct Programs {
    pub most: usize,
    pub steps: HashSet<StepId>,
}

/// What a channel of a document allows; `None` is not limited.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelLimit {
    pub concurrency: Option<usize>,
    /// Starts per second.
    pub rate: Option<f64>,
}

impl Limits {
    /// Limits only the number of running steps.
    pub fn jobs(jobs: usize) -> Self {
        Limits { jobs, programs: None, agents: HashMap::new(), channels: HashMap::new() }
    }
}

/// The queue of ready steps, by agent and channel, the oldest item first, and counts of running ones. The order
/// depends on items and steps only, not on when they became ready, so a folded run chooses the same.
#[derive(Debug)]
pub(super) struct ReadyLine {
    jobs: usize,
    running: usize,
    programs: Gauge,
    agents: Vec<Gauge>,
    channels: Vec<Gauge>,
    lanes: Vec<Lane>,
    /// The lane of each step, by step.
    lane_of: Vec<usize>,
    /// The rank of each step within its item, by step.
    rank: Vec<u32>,
    waits: Waits,
    /// Steps whose agent is unavailable.
    unavailable: BTreeSet<StepId>,
    /// Those of them that are ready: they end instead of starting.
    refused: BTreeSet<Place>,
}

/// A ready step by the age of its item and its rank in it.
type Place = (ItemId, u32, StepPath);

#[derive(Debug, Default)]
struct Gauge {
    name: String,
    most: Option<usize>,
    running: usize,
    /// Microseconds between starts.
    interval: Option<u64>,
    /// The earliest next start, in microseconds since the run began.
    next: u64,
}

impl Gauge {
    fn full(&self) -> bool {
        self.most.is_some_and(|most| self.running >= most)
    }
}

#[derive(Debug)]
struct Lane {
    agent: Option<usize>,
    channel: Option<usize>,
    /// Whether its steps share the processors of this machine.
    program: bool,
    ready: BTreeSet<Place>,
}

/// What to do next about ready steps.
pub(super) enum Next {
    Step(ItemId, StepPath),
    /// Nothing may start before this time, because of a channel's rate.
    At(Millis),
    Nothing,
}

impl ReadyLine {
    pub fn new(graph: &Graph, limits: &Limits) -> Self {
        let mut line = ReadyLine {
            jobs: limits.jobs.max(1),
            running: 0,
            programs: Gauge {
                most: limits.programs.as_ref().map(|programs| programs.most.max(1)),
                ..Gauge::default()
            },
            agents: Vec::new(),
            channels: Vec::new(),
            lanes: Vec::new(),
            lane_of: Vec::new(),
            rank: vec![u32::MAX; graph.steps.len()],
            waits: Waits::default(),
            unavailable: BTreeSet::new(),
            refused: BTreeSet::new(),
        };
        for (rank, id) in graph.order.iter().enumerate() {
            line.rank[id.index()] = rank as u32;
        }
        let (mut agents, mut channels, mut lanes) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (id, step) in graph.ids().zip(&graph.steps) {
            let agent = step.agent.as_deref().filter(|name| limits.agents.contains_key(*name)).map(|name| {
                *agents.entry(name).or_insert_with(|| {
                    let most = limits.agents.get(name).copied();
                    line.agents.push(Gauge { name: name.to_owned(), most, ..Gauge::default() });
                    line.agents.len() - 1
                })
            });
            let channel =
                step.channel.as_deref().and_then(|name| Some((name, limits.channels.get(name)?))).map(
                    |(name, limit)| {
                        *channels.entry(name).or_insert_with(|| {
                            line.channels.push(Gauge {
                                name: name.to_owned(),
                                most: limit.concurrency,
                                interval: limit.rate.map(|rate| (1_000_000.0 / rate) as u64),
                                ..Gauge::default()
                            });
                            line.channels.len() - 1
                        })
                    },
                );
            let program = limits.programs.as_ref().is_some_and(|programs| programs.steps.contains(&id));
            let lane = *lanes.entry((agent, channel, program)).or_insert_with(|| {
                line.lanes.push(Lane { agent, channel, program, ready: BTreeSet::new() });
                line.lanes.len() - 1
            });
            line.lane_of.push(lane);
        }
        line
    }

    pub fn push(&mut self, item: ItemId, step: StepPath, at: Millis) {
        if let Some(limit) = self.limit(step, at) {
            self.waits.begin(item, step, limit, at);
        }
        let place = (item, self.rank[step.index()], step);
        self.put(place);
    }

    fn put(&mut self, place: Place) {
        let (_, _, step) = place;
        match self.unavailable.contains(&step.step) {
            true => self.refused.insert(place),
            false => self.lanes[self.lane_of[step.index()]].ready.insert(place),
        };
    }

    pub fn remove(&mut self, item: ItemId, step: StepPath, at: Millis) {
        self.waits.end(item, step, at);
        let rank = self.rank[step.index()];
        self.lanes[self.lane_of[step.index()]].ready.remove(&(item, rank, step));
        self.refused.remove(&(item, rank, step));
    }

    /// None of these steps starts any more.
    pub fn refuse(&mut self, steps: impl Iterator<Item = StepId>) {
        self.unavailable.extend(steps);
        let unavailable = &self.unavailable;
        for lane in &mut self.lanes {
            let ready = std::mem::take(&mut lane.ready).into_iter();
            let (mut refused, ready): (BTreeSet<_>, _) =
                ready.partition(|(_, _, step)| unavailable.contains(&step.step));
            lane.ready = ready;
            self.refused.append(&mut refused);
        }
    }

    /// These steps may start again.
    pub fn restore(&mut self, steps: impl Iterator<Item = StepId>) {
        for step in steps {
            self.unavailable.remove(&step);
        }
        std::mem::take(&mut self.refused).into_iter().for_each(|place| self.put(place));
    }

    /// The first ready step that ends because its agent is unavailable.
    pub fn first_refused(&self) -> Option<(ItemId, StepPath)> {
        self.refused.first().map(|(item, _, step)| (*item, *step))
    }

    /// The limit that a ready step waits for; `None` if it can start at once.
    fn limit(&self, step: StepPath, at: Millis) -> Option<Limit> {
        let lane = &self.lanes[self.lane_of[step.index()]];
        let due = at.saturating_add(1).saturating_mul(1000);
        let channel = lane.channel.map(|channel| &self.channels[channel]);
        let agent = lane.agent.map(|agent| &self.agents[agent]);
        match (channel, agent) {
            (Some(gauge), _) if gauge.full() || gauge.next >= due => Some(Limit::Channel(gauge.name.clone())),
            (_, Some(gauge)) if gauge.full() => Some(Limit::Agent(gauge.name.clone())),
            _ if lane.program && self.programs.full() => Some(Limit::Programs),
            _ => (self.running >= self.jobs).then_some(Limit::Jobs),
        }
    }

    /// Counts an item's waiting time from zero again.
    pub fn forget(&mut self, item: ItemId, at: Millis) {
        self.waits.forget(item, at);
    }

    /// What an item has waited for and how long, in words; `None` if it did not wait.
    pub fn waited(&self, item: ItemId, now: Millis) -> Option<String> {
        let waits = self.waits.of(item, now).into_iter().map(|(limit, time)| {
            let time = words::measured(Duration::from_millis(time));
            match limit {
                Limit::Channel(name) => format!("{time} for the channel {name}"),
                Limit::Agent(name) => format!("{time} for the agent {name}"),
                Limit::Programs => {
                    let most = self.programs.most.unwrap_or(self.jobs);
                    format!("{time} for a place among the {most} programs")
                }
                Limit::Jobs => format!("{time} for a place among the {} jobs", self.jobs),
            }
        });
        let waits: Vec<String> = waits.collect();
        (!waits.is_empty()).then(|| format!("it had waited {}", waits.join(" and ")))
    }

    #[cfg(test)]
    pub fn ready(&self) -> BTreeSet<(ItemId, StepPath)> {
        self.lanes
            .iter()
            .flat_map(|lane| &lane.ready)
            .chain(&self.refused)
            .map(|(item, _, step)| (*item, *step))
            .collect()
    }

    /// Whether a free place has no step to fill it.
    pub fn idle(&self) -> bool {
        self.running < self.jobs && self.lanes.iter().all(|lane| lane.ready.is_empty() || self.full(lane))
    }

    fn full(&self, lane: &Lane) -> bool {
        lane.agent.is_some_and(|agent| self.agents[agent].full())
            || lane.channel.is_some_and(|channel| self.channels[channel].full())
            || lane.program && self.programs.full()
    }

    /// The step that is to start now.
    pub fn next(&self, now: Millis) -> Next {
        if self.running >= self.jobs {
            return Next::Nothing;
        }
        let now = now.saturating_mul(1000);
        let mut best: Option<Place> = None;
        let mut wake: Option<u64> = None;
        for lane in &self.lanes {
            let Some(head) = lane.ready.first() else { continue };
            if self.full(lane) {
                continue;
            }
            // A start is due from the millisecond that contains its time.
            let due = lane.channel.map_or(0, |channel| self.channels[channel].next / 1000 * 1000);
            if due > now {
                wake = Some(wake.map_or(due, |wake| wake.min(due)));
            } else if best.is_none_or(|other| *head < other) {
                best = Some(*head);
            }
        }
        match (best, wake) {
            (Some((item, _, step)), _) => Next::Step(item, step),
            (None, Some(wake)) => Next::At(wake / 1000),
            (None, None) => Next::Nothing,
        }
    }

    pub fn started(&mut self, item: ItemId, step: StepPath, at: Millis) {
        self.remove(item, step, at);
        self.returned(step);
        if let Some(channel) = self.lanes[self.lane_of[step.index()]].channel {
            let gauge = &mut self.channels[channel];
            if let Some(interval) = gauge.interval {
                gauge.next = gauge.next.max(at.saturating_mul(1000)).saturating_add(interval);
            }
        }
    }

    /// A running step that had left its place takes one again, even if none is free.
    pub fn returned(&mut self, step: StepPath) {
        self.running += 1;
        let lane = &self.lanes[self.lane_of[step.index()]];
        self.programs.running += usize::from(lane.program);
        if let Some(agent) = lane.agent {
            self.agents[agent].running += 1;
        }
        if let Some(channel) = lane.channel {
            self.channels[channel].running += 1;
        }
    }

    /// A running step leaves its place.
    pub fn finished(&mut self, step: StepPath) {
        self.running = self.running.saturating_sub(1);
        let lane = &self.lanes[self.lane_of[step.index()]];
        self.programs.running = self.programs.running.saturating_sub(usize::from(lane.program));
        if let Some(agent) = lane.agent {
            let running = &mut self.agents[agent].running;
            *running = running.saturating_sub(1);
        }
        if let Some(channel) = lane.channel {
            let running = &mut self.channels[channel].running;
            *running = running.saturating_sub(1);
        }
    }
}
