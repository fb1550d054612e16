//! `orderflow runs`: lists stored runs and their executions, and removes runs.

pub mod find;
pub mod gist;
pub mod list;
mod prune;
mod query;

use super::exit::Exit;
use super::terminal::Terminal;
use crate::cli::format::TableFormat;
use crate::cli::help::with_exits;
use crate::journal::Header;
use jiff::Timestamp;
use std::time::Duration;

/// List stored runs, or what a step did in them
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = with_exits("\
Examples:
  orderflow runs                          every run here, the latest first
  orderflow runs --status paused          runs that can be resumed
  orderflow runs --status waiting         runs that wait for a person or an event
  orderflow runs --since 2d --format json
                                          for scripts: a list
  orderflow runs --step 'Pay' --status failed,timeout --since 2d
                                          executions of one step in all runs
  orderflow runs prune --keep 20          remove all but the latest 20

Runs are stored in .orderflow in the folder of orderflow.toml or of the document. The command searches the \
current folder, the folders directly below it, and those above it up to the repository's root.", &[Exit::Invalid, Exit::Journal]))]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show only runs that are running, paused, waiting, done, unmet, failed, cancelled or unreadable; with --step, only executions
    /// with this status, such as failed or timeout
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Show only runs that started within this time, such as 2d or 5h
    #[arg(long, value_name = "TIME", value_parser = super::run::duration)]
    since: Option<Duration>,
    /// Show the executions of this step, by its title or its name in traces
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

#[derive(clap::Subcommand)]
enum Command {
    Prune(prune::Args),
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let exit = match (&args.command, &args.step) {
        (Some(Command::Prune(prune)), _) => prune::run(prune, terminal)?,
        (None, Some(step)) => query::run(&args, step, terminal)?,
        (None, None) => list::run(&args, terminal)?,
    };
    terminal.finish()?;
    Ok(exit)
}

/// Whether a run began since then. A run without a readable time is not left out.
fn began_since(header: &Header, since: Option<Duration>) -> bool {
    let Some(since) = since else { return true };
    let then = crate::runtime::now().checked_sub(since).unwrap_or(Timestamp::MIN);
    header.started.parse::<Timestamp>().map_or(true, |started| started >= then)
}
