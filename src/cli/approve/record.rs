//! Records a decision in the journal of a run, or hands it to the runner of an active run, which records it.

use super::Wanted;
use super::outcome::DecisionOutcome;
use crate::cli::exit::{Exit, Stop};
use crate::cli::runs::find;
use crate::cli::terminal::Terminal;
use crate::cli::{run, trust};
use crate::diag::render::visible;
use crate::event::{Decision, Event, GateId, ItemEvent, ItemId, RunEvent};
use crate::graph::Graph;
use crate::history::{self, GateLog, History, LockedRun, Ruling, try_lock};
use crate::journal::{Lock, LockError};
use crate::runtime::DecisionRequest;
use anyhow::Context;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait until the runner of an active run has taken a decision, and how often to look.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Records the decision, or has the runner of an active run record it. `home` is the folder of the run with the gate, and
/// `outer` that of the run that it is within, or the same. Returns what came of it, and whether the run is active.
pub(super) fn carry_out(
    (outer, home): (&Path, &Path),
    wanted: &[Wanted],
    decision: &Decision,
    terminal: &mut Terminal,
) -> anyhow::Result<(Vec<DecisionOutcome>, bool)> {
    match try_lock(outer) {
        Ok(lock) if away(outer)? => {
            // Its server takes the decision, whether or not the run is followed.
            drop(lock);
            let history = History::open(home)?;
            let before = outcome(&history, wanted, decision)?;
            hand_over(&history, wanted, decision)?;
            run::deliver(outer, &history.options, &history.header().run);
            Ok((before, false))
        }
        Ok(lock) => Ok((record((outer, home), lock, wanted, decision)?, false)),
        Err(LockError::Storage(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", outer.display()))
        }
        Err(LockError::By(_)) => {
            let history = History::open(home)?;
            let before = outcome(&history, wanted, decision)?;
            let inbox = trust::inbox(home);
            let names = hand_over(&history, wanted, decision)?;
            drop(history);
            let since = Instant::now();
            while names.iter().any(|name| inbox.holds(name)) {
                if let Ok(lock) = try_lock(outer) {
                    // Its runner is gone, and has not taken all of it.
                    names.iter().for_each(|name| inbox.done(name));
                    return Ok((record((outer, home), lock, wanted, decision)?, false));
                }
                if since.elapsed() > PATIENCE {
                    terminal.talk("the decision is stored; the run takes it as soon as it can\n");
                    return Ok((before, true));
                }
                std::thread::sleep(PAUSE);
            }
            let history = History::open(home)?;
            Ok((after(&history, wanted, decision)?, true))
        }
    }
}

/// Whether a server drives the run.
fn away(home: &Path) -> anyhow::Result<bool> {
    Ok(!History::open(home)?.options.ingress.is_empty())
}

/// Stores the decision for the runner; returns the names of the files.
fn hand_over(history: &History, wanted: &[Wanted], decision: &Decision) -> anyhow::Result<Vec<String>> {
    let (inbox, graph) = (trust::inbox(history.home()), &history.graph);
    let mut names = Vec::new();
    for one in wanted {
        let gate = graph.gate(one.gate).map(|gate| graph.gate_name(gate)).unwrap_or_default();
        let items = one.items.clone();
        let request = DecisionRequest { gate, items, decision: decision.clone(), name: None };
        names.push(inbox.put(&request).context("cannot hand the decision to the run")?);
    }
    Ok(names)
}

/// What the decision comes to for a run as it is.
///
/// # Errors
/// An item does not wait at the gate.
fn outcome(
    history: &History,
    wanted: &[Wanted],
    decision: &Decision,
) -> anyhow::Result<Vec<DecisionOutcome>> {
    let log = history.gates()?;
    wanted.iter().map(|one| Ok(resolve(history, &log, one, decision)?.0)).collect()
}

/// What the decision comes to at one gate, and the events that record it.
fn resolve(
    history: &History,
    log: &GateLog,
    wanted: &Wanted,
    decision: &Decision,
) -> anyhow::Result<(DecisionOutcome, Vec<Event>)> {
    let (gate, at) = (wanted.gate, log.last);
    let title = || gated(&history.graph, gate);
    let within = history.graph.gate(gate).and_then(|gate| gate.within);
    let waiting = log.waiting.iter().filter(|one| one.gate == gate).count();
    let mut outcome =
        DecisionOutcome { all: wanted.items.is_none(), waiting, ..DecisionOutcome::new(title()) };
    let mut events = Vec::new();
    let Some(keys) = &wanted.items else {
        let late: Vec<ItemId> = log.late(gate, within, decision.at).collect();
        outcome.waiting -= late.len();
        // A decision that is stored already counts for its items.
        let stored = log.waiting.iter().filter(|one| one.gate == gate && one.stored.is_some()).count();
        outcome.waiting = outcome.waiting.saturating_sub(stored);
        outcome.stored = stored;
        let waits = log.waiting.iter().filter(|one| one.gate == gate && !late.contains(&one.item));
        waits.for_each(|one| outcome.asked(&history.graph, log, one.item, gate));
        events.extend(late.into_iter().map(|item| ItemEvent::GateExpired(gate).of(item, at)));
        outcome.late = waiting - outcome.waiting;
        match log.standing.get(&gate) {
            // Those that wait have had their decision: they are asked again.
            Some(found) if outcome.waiting == 0 || found.at >= decision.at => {
                outcome.already.push((None, Some(found.clone())))
            }
            None if history.is_over()? => {
                let message = format!(
                    "the run is over, and no item waits at the gate of `{}`; nothing was recorded",
                    visible(&title())
                );
                return Err(Stop::new(Exit::Invalid, message).into());
            }
            _ => events.push(RunEvent::Decided { gate, decision: decision.clone() }.at(at)),
        }
        return Ok((outcome, events));
    };
    let mut seen = std::collections::BTreeSet::new();
    for key in keys.iter().filter(|key| seen.insert(key.as_str())) {
        let item = log.item(key);
        match item.and_then(|item| Some((item, log.ruling(item, gate, within, decision.at)?))) {
            Some((item, Ruling::New)) => {
                outcome.items.push(key.clone());
                outcome.asked(&history.graph, log, item, gate);
                events.push(ItemEvent::Decided { gate, decision: decision.clone() }.of(item, at));
            }
            Some((_, Ruling::Already(found))) => outcome.already.push((Some(key.clone()), Some(found))),
            Some((_, Ruling::Late)) => outcome.already.push((Some(key.clone()), None)),
            None => {
                let message = match item {
                    Some(_) => {
                        let title = visible(&title());
                        format!("item `{}` does not wait at the gate of `{title}`", visible(key))
                    }
                    None => format!("the run has started no item with the key `{}`", visible(key)),
                };
                let run = find::called(history.home())
                    .map(|run| visible(&run))
                    .unwrap_or_else(|_| "RUN".to_owned());
                let help = format!(
                    "orderflow show {run} lists who waits; without --item, the decision is for all items, also later ones"
                );
                return Err(Stop::new(Exit::Invalid, message + "; nothing was recorded").help(help).into());
            }
        }
    }
    Ok((outcome, events))
}

/// Records the decision in the journal of a run that no process runs.
fn record(
    (outer, home): (&Path, &Path),
    lock: Lock,
    wanted: &[Wanted],
    decision: &Decision,
) -> anyhow::Result<Vec<DecisionOutcome>> {
    let is_inner = outer != home;
    let (_outer, taken) = match is_inner {
        true => (Some(lock), LockedRun::take(home)?),
        false => (None, LockedRun::locked(home, lock)?),
    };
    if is_inner {
        let known = trust::runs::refuse_foreign(outer)?;
        trust::runs::inner_ends(&known).check(outer, &taken.history)?;
    }
    let log = taken.history.gates()?;
    let mut all = Vec::new();
    let mut events = Vec::new();
    for one in wanted {
        let (outcome, more) = resolve(&taken.history, &log, one, decision)?;
        all.push(outcome);
        events.extend(more);
    }
    if !events.is_empty() {
        // A run within another one has the owner of the outer one.
        let writing = trust::runs::Writing::begin(outer, &[], false);
        let writing = writing.context("cannot store that the run is yours")?;
        let _lock = taken.append(events)?;
        if is_inner {
            history::leave(home);
        }
        drop(writing);
    }
    Ok(all)
}

/// What came of a decision that the runner has taken.
fn after(history: &History, wanted: &[Wanted], decision: &Decision) -> anyhow::Result<Vec<DecisionOutcome>> {
    let log = history.gates()?;
    let outcome = |one: &Wanted| {
        let gate = one.gate;
        let mine: std::collections::BTreeSet<ItemId> = log.decided_by(gate, decision).collect();
        let all = one.items.is_none();
        let mut outcome =
            DecisionOutcome { all, waiting: mine.len(), ..DecisionOutcome::new(gated(&history.graph, gate)) };
        mine.iter().for_each(|item| outcome.asked(&history.graph, &log, *item, gate));
        let Some(keys) = &one.items else {
            let found = log.standing.get(&gate).filter(|found| *found != decision);
            outcome.already.extend(found.map(|found| (None, Some(found.clone()))));
            return outcome;
        };
        for key in keys {
            let Some(item) = log.item(key) else { continue };
            if mine.contains(&item) {
                outcome.items.push(key.clone());
                continue;
            }
            let found = match log.ruling(item, gate, None, decision.at) {
                Some(Ruling::Already(found)) => Some(found),
                _ => None,
            };
            outcome.already.push((Some(key.clone()), found));
        }
        outcome
    };
    Ok(wanted.iter().map(outcome).collect())
}

/// What a gate is before.
fn gated(graph: &Graph, gate: GateId) -> String {
    graph.gate(gate).map(|gate| graph.gated(gate)).unwrap_or_default()
}
