//! `orderflow retry`: has the failed items of a run run again, where they failed.

use super::exit::Exit;
use super::run;
use super::runs::find;
use super::terminal::Terminal;
use std::path::PathBuf;

/// Retry a run's failed items
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow retry last                              all items of the latest run that have failed
  orderflow retry last --item order_003             only this one; may be given several times
  orderflow retry last --item run                   the failed steps that run once after all items
  orderflow retry last --use-current                by the document as it is now, such as a mended program
  orderflow show last                               which have failed, and why
  orderflow show last --dead-letters -o failed.toon a table of them to edit
  orderflow retry last --items failed.toon          its rows: those that were edited from the start, with new keys

It is the same run: what has been completed does not run again, and what failed is asked for again with the same
idempotency key. Steps that run once for all items run again after the items, over all results and with new keys; what
they did before is compensated first. The document is the one that the run began with, or with --use-current the one of now; the agents are
those of now. A run that was paused goes on, too. The session file has the rows of all executions; a document that was written to (--write) stays as it is.

Exit codes: those of orderflow resume, and 3 no such item has failed, or the table is wrong")]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Only the item with this key
    #[arg(long, value_name = "KEY")]
    item: Vec<String>,
    /// Only the rows of this table, which show --dead-letters has written, - for standard input; rows that were edited run
    /// from their start
    #[arg(long, value_name = "FILE", conflicts_with = "item")]
    items: Option<PathBuf>,
    /// Use the current document: only what has succeeded must stay as it was
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
