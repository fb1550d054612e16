//! `orderflow resume`: goes on with a run that was interrupted or killed, from its own folder.

use super::exit::Exit;
use super::run;
use super::runs::find;
use super::terminal::Terminal;

/// Resume an interrupted run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow resume last              the latest run here
  orderflow resume 0194a             the run whose name begins so
  orderflow resume path/to/run       a run's folder, also one that was copied from elsewhere
  orderflow resume --explain last    what would run again and why; nothing is run
  orderflow resume --use-current last    go on with the document as it is now

What has been completed does not run again. An attempt that was under way is made again, with the same idempotency key.
The document is the one that the run began with, whatever has become of the file, or, with
--use-current, the one of now, from then on. A run that has ended says so, with
the exit code that it had.

Exit codes: those of orderflow run, and 6 the items have changed, or a step that has begun, 7 the journal cannot be read, 8 another runner has the run")]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Say what would run again and why, and run nothing
    #[arg(long)]
    explain: bool,
    /// Use the current document: only steps that have not started may change
    #[arg(long, conflicts_with = "explain")]
    use_current: bool,
    #[command(flatten)]
    how: run::Again,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    if args.explain {
        return run::explain(&find::one(&args.run)?, &args.how, terminal);
    }
    let home = find::one_to_act_on(&args.run)?;
    run::go_on(&home, &args.how, &run::Ask::Resume { current: args.use_current }, terminal)
}
