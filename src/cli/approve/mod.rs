//! `orderflow approve` and `orderflow reject`: decide about items that wait at a gate. The decision goes to the journal,
//! or to the runner of an active run, which journals it.

mod inside;
mod outcome;
mod record;
mod tasks;

use self::outcome::{DecisionOutcome, outcomes_json};
use self::record::carry_out;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::run;
use super::runs::find;
use super::terminal::Terminal;
use super::trust;
use crate::diag::render::{visible, visible_json};
use crate::event::{Decision, GateId};
use crate::graph::Graph;
use crate::history::{GateLog, History};
use crate::runtime::unix_millis;
use anyhow::Context;
use serde_json::Value;
use std::path::{Path, PathBuf};

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
