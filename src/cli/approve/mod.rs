//! `orderflow approve` and `orderflow reject`: decide about items that wait at a gate. The decision goes to the journal,
//! or to the runner of an active run, which journals it.

mod inside;
mod outcome;
mod tasks;

use self::outcome::{DecisionOutcome, outcomes_json};
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::run;
use super::runs::find;
use super::terminal::Terminal;
use super::trust;
use crate::diag::render::{visible, visible_json};
use crate::event::{Decision, Event, GateId, ItemEvent, ItemId, RunEvent};
use crate::graph::Graph;
use crate::history::{self, GateLog, History, LockedRun, Ruling, try_lock};
use crate::journal::{Lock, LockError};
use crate::runtime::{DecisionRequest, Inbox, unix_millis};
use anyhow::Context;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait until the runner of an active run has taken a decision, and how often to look.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Approve items that wait at a gate
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow show last                                 what waits, and why
  orderflow approve last                              the only gate at which items wait
  orderflow approve last 'Deploy'                     all items, also later ones
  orderflow approve last 'Deploy' --item order_003    only this item
  orderflow approve last 'Deploy' --as ops --note 'ticket 4711'
  orderflow approve last 'Deploy' --resume            and continue the run
  orderflow approve last --from approvals.md          the ticked tasks of a file

An active run continues at once. A run that waits continues with --resume, or by orderflow resume. The first \
decision counts: a later one is reported and changes nothing. The name is a record, not a login.

In a file for --from, a task such as - [x] Needs sign-off by ops approves the gate with this text, or the gate \
of the step with this title. Tasks that are not ticked decide nothing.", EXITS))]
pub struct Approve {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// The step or group behind the gate [default: the only one at which items wait]
    step: Option<String>,
    /// Approve the gates that this file ticks, or standard input (-)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["step", "item"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// Reject items that wait at a gate
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow reject last 'Deploy' --note 'not on a Friday'
  orderflow reject last 'Deploy' --item order_003 --as ops

The step fails with the note, as if its agent had failed: it is not retried, and the item is compensated or \
handled as the document says. orderflow retry asks again.", EXITS))]
pub struct Reject {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// The step or group behind the gate
    step: String,
    #[command(flatten)]
    how: How,
}

const EXITS: &[Exit] = &[
    Exit::Failed,
    Exit::Invalid,
    Exit::NotTrusted,
    Exit::NeedsPerson,
    Exit::Journal,
    Exit::Locked,
    Exit::Deadline,
    Exit::Interrupted,
    Exit::Terminated,
];

#[derive(clap::Args)]
struct How {
    /// Decide only about the item with this key; repeatable [default: all that wait, now and later]
    #[arg(long, value_name = "KEY")]
    item: Vec<String>,
    /// The name to record [default: the name of the user]
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// The note to record, such as a reason
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Continue the run if no process runs it
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    again: run::Again,
}

/// A gate, and the items to decide about; `None` for all.
struct Wanted {
    gate: GateId,
    items: Option<Vec<String>>,
}

pub fn approve(args: Approve, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    decide(&args.run, args.step.as_deref(), args.from.as_deref(), true, args.how, terminal)
}

pub fn reject(args: Reject, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    decide(&args.run, Some(&args.step), None, false, args.how, terminal)
}

/// The name of the user, as the environment has it.
pub fn user() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|name| !name.trim().is_empty());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "unknown".to_owned())
}

fn decide(
    run: &str,
    step: Option<&str>,
    from: Option<&Path>,
    approved: bool,
    how: How,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let home = std::path::absolute(find::one_to_act_on(run)?).context("cannot read the current folder")?;
    trust::runs::refuse_foreign(&home)?;
    let by = how.by.clone().unwrap_or_else(user);
    let by = by.trim().trim_start_matches('@').to_owned();
    if by.is_empty() {
        return Err(Stop::new(Exit::Usage, "the name is empty").help("write a name: --as NAME").into());
    }
    let decision = Decision { approved, by, note: how.note.clone(), at: unix_millis() };
    let tasks = from.map(tasks::read).transpose()?;
    // Read once for the messages; it is read again under the lock.
    let history = History::open(&home)?;
    let log = history.gates()?;
    if let Some(step) = step.filter(|step| history.gate_called(step).is_err())
        && let Some((title, inner)) = inside::find(&history, step)?
    {
        drop(history);
        let outcomes = inside::decide(&home, &title, inner, &how.item, &decision, terminal)?;
        return end(&home, outcomes, (&[], 0), &decision, &how, terminal);
    }
    let (wanted, unmatched) = match (step, &tasks) {
        (_, Some(tasks)) => tasks.wanted(&history.graph, &log),
        (Some(step), None) => {
            let items = (!how.item.is_empty()).then(|| how.item.clone());
            (vec![Wanted { gate: history.gate_called(step)?, items }], Vec::new())
        }
        (None, None) => {
            let items = (!how.item.is_empty()).then(|| how.item.clone());
            (vec![Wanted { gate: only(&history.graph, &log)?, items }], Vec::new())
        }
    };
    let ticked = wanted.len();
    let mut allowed = Vec::new();
    for one in wanted {
        match permitted(&history.graph, one.gate, &decision) {
            // A file has the tasks of all.
            Err(_) if tasks.is_some() => terminal.talk(&left_out(&history.graph, one.gate)),
            Err(stop) => return Err(stop.into()),
            Ok(()) => allowed.push(one),
        }
    }
    drop(history);
    let outcomes = carry_out((&home, &home), &allowed, &decision, terminal)?;
    end(&home, outcomes, (&unmatched, ticked), &decision, &how, terminal)
}

/// Shows what came of a decision, and continues the run if that is wanted; `outcomes` also says whether the run is active.
fn end(
    home: &Path,
    (outcomes, active): (Vec<DecisionOutcome>, bool),
    (unmatched, ticked): (&[String], usize),
    decision: &Decision,
    how: &How,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let name = find::called(home)?;
    tell(&outcomes, decision, (&name, active), how, terminal)?;
    for text in unmatched {
        terminal.talk(&format!("no gate of this run has the text `{}`\n", visible(text)));
    }
    let contrary = |(_, found): &(Option<String>, Option<Decision>)| {
        found.as_ref().is_none_or(|found| found.approved != decision.approved)
    };
    // The tasks of a pull request are not only approvals.
    let failed =
        !unmatched.is_empty() && ticked == 0 || outcomes.iter().flat_map(|one| &one.already).any(contrary);
    if how.resume && !active {
        let exit = run::go_on(home, &how.again, &run::Ask::Resume { current: false }, terminal)?;
        return Ok(if exit == Exit::Ok && failed { Exit::Failed } else { exit });
    }
    terminal.finish()?;
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

/// The only gate at which items wait.
///
/// # Errors
/// Items wait at several gates, or at none.
fn only(graph: &Graph, log: &GateLog) -> Result<GateId, Stop> {
    let gates: std::collections::BTreeSet<GateId> = log.waiting.iter().map(|one| one.gate).collect();
    let title = |id: &GateId| graph.gate(*id).map(|gate| format!("`{}`", visible(&graph.gated(gate))));
    match gates.iter().collect::<Vec<_>>().as_slice() {
        [only] => Ok(**only),
        [] => Err(Stop::new(Exit::Invalid, "no item waits at a gate; nothing was recorded")),
        several => {
            let titles: Vec<String> = several.iter().filter_map(|id| title(id)).collect();
            let message = format!("items wait at several gates: {}; nothing was recorded", titles.join(", "));
            Err(Stop::new(Exit::Usage, message).help("name the step or group behind one of them"))
        }
    }
}

/// What is said of a task that another person decides.
fn left_out(graph: &Graph, gate: GateId) -> String {
    let gate = graph.gate(gate);
    let title = gate.map(|gate| visible(&graph.gated(gate))).unwrap_or_default();
    let by = gate.and_then(|gate| gate.by.as_deref()).map(visible).unwrap_or_default();
    format!("{title} is left out: only {by} decides at its gate\n")
}

/// Whether this person may decide at a gate.
fn permitted(graph: &Graph, gate: GateId, decision: &Decision) -> Result<(), Stop> {
    let Some(gate) = graph.gate(gate) else { return Ok(()) };
    match gate.by.as_ref().filter(|by| **by != decision.by) {
        None => Ok(()),
        Some(by) => {
            let (title, by, you) = (visible(&graph.gated(gate)), visible(by), visible(&decision.by));
            let message = format!(
                "only {by} decides at the gate of `{title}`, and you are {you}; nothing was recorded"
            );
            Err(Stop::new(Exit::NotTrusted, message).help(format!("decide in the name of {by}: --as {by}")))
        }
    }
}

/// Records the decision, or has the runner of an active run record it. `home` is the folder of the run with the gate, and
/// `outer` that of the run that it is within, or the same. Returns what came of it, and whether the run is active.
fn carry_out(
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
            let inbox = Inbox::of(home);
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
    let (inbox, graph) = (Inbox::of(history.home()), &history.graph);
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

fn tell(
    all: &[DecisionOutcome],
    decision: &Decision,
    (run, active): (&str, bool),
    how: &How,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    if how.again.is_json() && !how.resume {
        let shown = outcomes_json(all, decision, run);
        terminal.data(&(visible_json(&serde_json::to_string_pretty(&shown)?) + "\n"));
        return Ok(());
    }
    all.iter().for_each(|one| terminal.talk(&one.text(decision)));
    if all.iter().any(DecisionOutcome::continues) && !active && !how.resume {
        terminal.talk(&format!("  continue the run with orderflow resume {}\n", visible(run)));
    }
    Ok(())
}

/// Records a decision about one gate as the commands do, and returns what they show with `--format json`.
///
/// # Errors
/// As for the commands.
pub fn record_decision(
    home: &Path,
    step: &str,
    items: Option<Vec<String>>,
    decision: &Decision,
    terminal: &mut Terminal,
) -> anyhow::Result<Value> {
    trust::runs::refuse_foreign(home)?;
    let history = History::open(home)?;
    if history.gate_called(step).is_err()
        && let Some((title, inner)) = inside::find(&history, step)?
    {
        drop(history);
        let keys = items.unwrap_or_default();
        let (outcomes, _) = inside::decide(home, &title, inner, &keys, decision, terminal)?;
        return Ok(outcomes_json(&outcomes, decision, &find::called(home)?));
    }
    let gate = history.gate_called(step)?;
    permitted(&history.graph, gate, decision)?;
    drop(history);
    let (outcomes, _) = carry_out((home, home), &[Wanted { gate, items }], decision, terminal)?;
    Ok(outcomes_json(&outcomes, decision, &find::called(home)?))
}
