//! `orderflow cancel`: cancels a run, whether it is active or was left.

use super::exit::Exit;
use super::help::with_exits;
use super::run;
use super::runs::find;
use super::terminal::Terminal;

/// Cancel a run and compensate what it did
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow cancel last    the latest run here
  orderflow cancel 0194a   the run whose name begins so

An active run is asked to stop, and its own process reports how it ended. For an interrupted run, this \
command compensates and writes the trace. Items that had not ended are cancelled, or compensated if they did \
something that can be compensated. A cancelled run cannot be resumed; Ctrl-C only pauses a run.", &[Exit::Invalid, Exit::NotTrusted, Exit::NeedsPerson, Exit::Changed, Exit::Journal, Exit::Locked, Exit::Deadline, Exit::Interrupted, Exit::Terminated]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    #[command(flatten)]
    how: run::Again,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = find::one_to_act_on(&args.run)?;
    run::cancel(&home, &args.how, terminal)
}
