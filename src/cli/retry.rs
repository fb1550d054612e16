//! `orderflow retry`: runs the failed items of a run again, from the steps that failed.

use super::exit::Exit;
use super::help::with_exits;
use super::run;
use super::runs::find;
use super::terminal::Terminal;
use std::path::PathBuf;

/// Retry a run's failed items
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow retry last                        all failed items of the latest run
  orderflow retry last --item order_003       only this one
  orderflow retry last --item run             failed steps for all items
  orderflow retry last --use-current          with the current document
  orderflow show last                         which items failed, and why
  orderflow show last --dead-letters -o failed.toon
                                              write a table of them to edit
  orderflow retry last --items failed.toon    the rows of the edited table

It stays the same run: completed steps do not run again, and a failed step gets the same idempotency key. An \
item whose row was edited restarts with other inputs and new keys. Steps that run once for all items are \
compensated and run again after the items, over all results and with new keys.

The run uses the document as it was when the run started, or with --use-current the current one. Agents are \
the current ones. A paused run continues, too. The session file lists all executions. A document with \
executions added by --write is not changed.", &[Exit::Failed, Exit::Invalid, Exit::NotTrusted, Exit::NeedsPerson, Exit::Changed, Exit::Journal, Exit::Locked, Exit::Deadline, Exit::Interrupted, Exit::Terminated]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Retry only the item with this key; repeatable
    #[arg(long, value_name = "KEY")]
    item: Vec<String>,
    /// Retry only the rows of this table, as written by show --dead-letters, or of standard input (-); edited rows restart
    #[arg(long, value_name = "FILE", conflicts_with = "item")]
    items: Option<PathBuf>,
    /// Use the current document; steps that succeeded must be unchanged
    #[arg(long)]
    use_current: bool,
    #[command(flatten)]
    how: run::Again,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = find::one_to_act_on(&args.run)?;
    let ask = match &args.items {
        Some(file) => run::Ask::Edited { file, current: args.use_current },
        None => run::Ask::Retry { keys: &args.item, current: args.use_current },
    };
    run::go_on(&home, &args.how, &ask, terminal)
}
