//! `orderflow signal`: sends an event to a run. It goes to the journal, or to the runner of an active run, which journals
//! it.

use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::run;
use super::runs::find;
use super::stream;
use super::terminal::Terminal;
use super::trust;
use crate::diag::nearest;
use crate::diag::render::{visible, visible_json};
use crate::disk::read_at_most;
use crate::event::{Arrival, RunEvent};
use crate::history::{History, LockedRun, Prospect, try_lock};
use crate::journal::LockError;
use crate::runtime::{InboxRequest, SignalRequest, clock, new_run_id, unix_millis};
use crate::value::{Object, Value, json as read_json, words};
use anyhow::Context;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait until the runner of an active run has taken an event, and how often to look.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Send an event to a run
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow signal last order.shipped --item order_003
  orderflow signal last order.shipped --item order_003 --data '{\"carrier\": \"DHL\"}'
  orderflow signal last order.shipped --item order_003 --data @shipped.json --resume
  orderflow signal last order.shipped --item order_003 --id delivery-4711

An active run takes the event at once. A run that waits takes it when it continues: with --resume, or by \
orderflow resume. An event that comes before its step is stored for it. A second event with the same id is ignored.", EXITS))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// The type of the event, as in `[await:: order.shipped]`
    #[arg(value_name = "TYPE")]
    kind: String,
    /// The subject of the event: the key of an item, or the value that the step names with `for`
    #[arg(long, value_name = "KEY")]
    item: String,
    /// The payload, as JSON or as @FILE; @- is standard input [default: {}]
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// The id of the event [default: a new one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Continue the run if no process runs it
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    again: run::Again,
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

/// How many runs of documents are looked at for steps that wait for an event.
const INNER: usize = 1000;

/// The largest file of a payload: its text may have white space.
const LARGEST: usize = 16 << 20;

pub fn signal(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home =
        std::path::absolute(find::one_to_act_on(&args.run)?).context("cannot read the current folder")?;
    trust::runs::refuse_foreign(&home)?;
    let arrival = Arc::new(Arrival {
        id: args.id.clone().unwrap_or_else(new_run_id),
        kind: args.kind.clone(),
        subject: args.item.clone(),
        source: None,
        data: Arc::new(data(args.data.as_deref())?),
        at: unix_millis(),
    });
    if let Some(fault) = arrival.fault() {
        return Err(refused(format!("the event cannot be sent: {fault}")).into());
    }
    let sent = send(&home, &arrival, terminal)?;
    tell(&sent, &arrival, &find::called(&home)?, &args, terminal)?;
    if args.resume && !sent.active {
        return run::go_on(&home, &args.again, &run::Ask::Resume { current: false }, terminal);
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

fn refused(message: String) -> Stop {
    Stop::new(Exit::Invalid, format!("{message}; nothing was recorded"))
}

/// The payload of the command line, or of a file that it names.
fn data(said: Option<&str>) -> anyhow::Result<Value> {
    let Some(said) = said else { return Ok(Value::Object(Object::new())) };
    let (text, of) = match said.strip_prefix('@') {
        None => (said.to_owned(), "--data".to_owned()),
        Some(file) => {
            let of = visible(file);
            let bytes = stream::open(Path::new(file)).and_then(|from| read_at_most(from, LARGEST));
            let bytes = bytes.with_context(|| format!("cannot read {of}"))?;
            let text = String::from_utf8(bytes);
            (text.map_err(|_| refused(format!("{of} is not UTF-8")))?, of)
        }
    };
    let value = read_json::parse(&text).map_err(|error| {
        let stop = refused(format!("{of} is not JSON: {}", visible(&read_json::why(&error))));
        stop.help("write JSON, as in --data '{\"carrier\": \"DHL\"}', or --data @FILE")
    })?;
    Ok(value)
}

/// What came of an event.
struct Sent {
    prospect: Prospect,
    active: bool,
    /// The runner has not taken it yet.
    late: bool,
}

fn send(home: &Path, arrival: &Arc<Arrival>, terminal: &mut Terminal) -> anyhow::Result<Sent> {
    match try_lock(home) {
        Ok(lock) => {
            let taken = LockedRun::locked(home, lock)?;
            if taken.history.options.ingress.is_empty() {
                return record(home, taken, arrival);
            }
            // Its server takes the event, whether or not the run is followed.
            let (mut prospect, _) = check(&taken.history, arrival)?;
            prospect.known |= is_stored(home, arrival);
            if !prospect.known {
                let request = SignalRequest { signal: arrival.clone(), name: None };
                trust::inbox(home).put(&request).context("cannot hand the event to the run")?;
            }
            run::deliver(home, &taken.history.options, &taken.history.header().run);
            Ok(Sent { prospect, active: false, late: false })
        }
        Err(LockError::Storage(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", home.display()))
        }
        Err(LockError::By(_)) => {
            let (mut prospect, _) = check(&History::open(home)?, arrival)?;
            prospect.known |= is_stored(home, arrival);
            if prospect.known {
                return Ok(Sent { prospect, active: true, late: false });
            }
            let inbox = trust::inbox(home);
            let request = SignalRequest { signal: arrival.clone(), name: None };
            let name = inbox.put(&request).context("cannot hand the event to the run")?;
            let since = Instant::now();
            while inbox.holds(&name) {
                if let Ok(lock) = try_lock(home) {
                    // Its runner is gone, and has not taken it.
                    inbox.done(&name);
                    return record(home, LockedRun::locked(home, lock)?, arrival);
                }
                if since.elapsed() > PATIENCE {
                    terminal.talk("the event is stored; the run takes it as soon as it can\n");
                    return Ok(Sent { prospect, active: true, late: true });
                }
                std::thread::sleep(PAUSE);
            }
            Ok(Sent { prospect, active: true, late: false })
        }
    }
}

/// Whether an event with its id is stored for the next runner.
fn is_stored(home: &Path, arrival: &Arrival) -> bool {
    let same = |request: &InboxRequest| match request {
        InboxRequest::Signal(request) => request.signal.id == arrival.id,
        InboxRequest::Decide(_) => false,
    };
    trust::inbox(home).stored().iter().any(same)
}

/// Records the event in the journal of a run that no process runs.
fn record(home: &Path, taken: LockedRun, arrival: &Arc<Arrival>) -> anyhow::Result<Sent> {
    let (mut prospect, last) = check(&taken.history, arrival)?;
    prospect.known |= is_stored(home, arrival);
    if !prospect.known {
        let writing = trust::runs::Writing::begin(home, &[&taken.history.graph], false)
            .context("cannot store that the run is yours")?;
        let _lock = taken.append(vec![RunEvent::Received(arrival.clone()).at(last)])?;
        drop(writing);
    }
    Ok(Sent { prospect, active: false, late: false })
}

/// What comes of the event, and the time of the run's last one.
///
/// # Errors
/// The run takes no such event.
fn check(history: &History, arrival: &Arrival) -> anyhow::Result<(Prospect, u64)> {
    let kind = visible(&arrival.kind);
    let awaited = history.graph.awaited();
    if !awaited.contains(arrival.kind.as_str()) {
        let stop = refused(format!("no step of this workflow waits for an event of the type `{kind}`"));
        let near = nearest(&arrival.kind, awaited.iter().copied()).map(words::did_you_mean);
        let list =
            || format!("steps wait for {}", visible(&Vec::from_iter(awaited.iter().copied()).join(", ")));
        let help = near.or_else(|| (!awaited.is_empty()).then(list));
        return Err(help.into_iter().fold(stop, Stop::help).into());
    }
    let (log, mut prospect) = history.event_log(Some(arrival))?;
    if prospect.known {
        return Ok((prospect, log.last));
    }
    let runs =
        if history.graph.is_awaited_inside(&arrival.kind) { history.inner_runs(INNER)? } else { Vec::new() };
    for inner in history.inner_awaits(&runs, Some(arrival))? {
        match inner.refusal {
            None => prospect.takers.push((inner.key.to_string(), inner.title)),
            Some(why) => prospect.refusals.push((inner.title, why)),
        }
    }
    if history.is_over()? {
        return Err(refused("the run is over, and no step waits for an event".to_owned()).into());
    }
    if !log.has_room {
        let stop = refused("the run holds too many events that no step has taken".to_owned());
        return Err(stop.help("orderflow show lists them").into());
    }
    Ok((prospect, log.last))
}

fn sent_json(sent: &Sent, arrival: &Arrival, run: &str) -> Value {
    let Prospect { known, takers, refusals, .. } = &sent.prospect;
    json!({
        "run": run,
        "id": arrival.id,
        "type": arrival.kind,
        "subject": arrival.subject,
        "at": clock(arrival.at),
        "already": known,
        "steps": takers.iter().map(|(item, step)| json!({"item": item, "step": step})).collect::<Vec<_>>(),
        "refused": refusals.iter().map(|(step, why)| json!({"step": step, "why": why})).collect::<Vec<_>>(),
    })
}

/// Sends an event as the command does, and returns what it shows with `--format json`.
///
/// # Errors
/// As for the command.
pub fn record_event(home: &Path, arrival: &Arc<Arrival>, terminal: &mut Terminal) -> anyhow::Result<Value> {
    trust::runs::refuse_foreign(home)?;
    let sent = send(home, arrival, terminal)?;
    Ok(sent_json(&sent, arrival, &find::called(home)?))
}

fn tell(
    sent: &Sent,
    arrival: &Arrival,
    name: &str,
    args: &Args,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let Prospect { known, item, takers, refusals } = &sent.prospect;
    if args.again.is_json() {
        if !args.resume {
            let shown = sent_json(sent, arrival, name);
            terminal.data(&(visible_json(&serde_json::to_string_pretty(&shown)?) + "\n"));
        }
        return Ok(());
    }
    let what = format!("{} for {}", visible(&arrival.kind), visible(&arrival.subject));
    if *known {
        let id = visible(&arrival.id);
        terminal.talk(&format!("an event with the id {id} came before; nothing was recorded\n"));
        return Ok(());
    }
    if sent.late {
        return Ok(());
    }
    let steps: Vec<String> = takers.iter().take(10).map(|(_, step)| visible(step)).collect();
    let mut text = match (steps.is_empty(), sent.active) {
        (false, true) => format!("sent {what}: {} continues\n", words::and(&steps)),
        (false, false) => format!("stored {what}: {} takes it\n", words::and(&steps)),
        (true, _) => format!("stored {what}: no step waits for it now\n"),
    };
    for (step, why) in refusals.iter().take(10) {
        text.push_str(&format!("  {} does not take it: {}\n", visible(step), visible(why)));
    }
    if takers.is_empty() && refusals.is_empty() && !item {
        text.push_str(&format!("  no item with the key {} has started\n", visible(&arrival.subject)));
    }
    if !steps.is_empty() && !sent.active && !args.resume {
        text.push_str(&format!("  continue the run with orderflow resume {}\n", visible(name)));
    }
    terminal.talk(&text);
    Ok(())
}
