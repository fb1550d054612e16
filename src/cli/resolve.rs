//! `orderflow resolve`: marks failed compensations of an item as resolved by hand.

use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::runs::find;
use super::show::session;
use super::terminal::Terminal;
use super::trust;
use crate::diag::render::visible;
use crate::event::{Event, ItemEvent, ItemState, Millis, Settlement};
use crate::history::{Failed, Failures, History, LockedRun};
use crate::value::words;
use anyhow::Context;
use std::sync::Arc;

/// Mark a failed compensation as resolved by hand
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow resolve last --item order_003 --note 'refunded, ticket 4711'
  orderflow show last    which items have a failed compensation

The item then counts as compensated. Its note is stored in the run: orderflow show RUN --item KEY shows it. \
The session file is updated if it is unchanged since the run. Nothing is run.

To retry a failed compensation instead, use orderflow retry RUN. A resolved item is retried only if --item \
names it.", &[Exit::Invalid, Exit::NotTrusted, Exit::Journal, Exit::Locked]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Resolve the item with this key; repeatable
    #[arg(long, value_name = "KEY", required = true)]
    item: Vec<String>,
    /// Store this note about what was done
    #[arg(long, value_name = "TEXT")]
    note: String,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home =
        std::path::absolute(find::one_to_act_on(&args.run)?).context("cannot read the current folder")?;
    if args.note.trim().is_empty() {
        return Err(Stop::new(Exit::Usage, "the note is empty")
            .help("write what was done: --note TEXT")
            .into());
    }
    trust::runs::refuse_foreign(&home)?;
    let taken = LockedRun::take(&home)?;
    let failures = taken.history.failures()?;
    let mut resolved = args
        .item
        .iter()
        .map(|key| resolvable(&taken.history, failures, key))
        .collect::<anyhow::Result<Vec<_>>>()?;
    resolved.sort_by_key(|(_, failed)| failed.item);
    resolved.dedup_by_key(|(_, failed)| failed.item);
    let count = resolved.len();
    let events = resolved.into_iter().flat_map(|(key, failed)| ends(failures.last, key, failed, &args.note));
    let events = events.collect();
    let trace = session::left(&taken.history)?;
    let writing = trust::runs::Writing::begin(&home, &[&taken.history.graph], false)
        .context("cannot store that the run is yours")?;
    let _lock = taken.append(events)?;
    drop(writing);
    terminal.talk(&format!("{} resolved\n", words::count(count, "item")));
    session::anew(&History::open(&home)?, trace.as_deref(), terminal)?;
    Ok(Exit::Ok)
}

/// The failed item with this key, if it has a failed compensation.
fn resolvable<'a>(
    history: &History,
    failures: &'a Failures,
    key: &str,
) -> anyhow::Result<(Arc<str>, &'a Failed)> {
    if failures.once_failed.is_some() && failures.is_run(key) {
        let message = "steps for all items cannot be resolved by hand yet; nothing was stored";
        let help = "retry their compensation: orderflow retry RUN --item run";
        return Err(Stop::new(Exit::Usage, message).help(help).into());
    }
    match history.failed(failures, key)? {
        failed if failed.state == ItemState::CompensationFailed => Ok((key.into(), failed)),
        _ => {
            let message = format!("item `{}` has no failed compensation; nothing was stored", visible(key));
            let help = "orderflow show RUN lists failed compensations";
            Err(Stop::new(Exit::Invalid, message).help(help).into())
        }
    }
}

/// The events by which the item is resolved and gets its new end.
fn ends(at: Millis, key: Arc<str>, failed: &Failed, note: &str) -> [Event; 2] {
    let (item, error) = (failed.item, failed.error.clone());
    [
        ItemEvent::Resolved { key: key.clone(), note: note.to_owned() }.of(item, at),
        ItemEvent::Settled { key, end: Settlement::new(ItemState::Compensated, error) }.of(item, at),
    ]
}
