//! `orderflow cancel`: gives a run up, whether it lives or was left.

use super::exit::Exit;
use super::run;
use super::runs::find;
use super::terminal::Terminal;

/// Cancel a run and compensate what it did
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow cancel last              the latest run here
  orderflow cancel 0194a             the run whose name begins so

A run that lives is told to stop, and its own process says how it ended. Of a run that was interrupted or killed the trace is
written here. Items that had not ended are cancelled, or compensated where they had done what can be undone. Ctrl-C only pauses a
run; a cancelled run does not go on.

Exit codes: 0 the run was told to stop or is given up, 2 there is no such run, 5 something
could not be undone, 7 its journal cannot be read")]
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
