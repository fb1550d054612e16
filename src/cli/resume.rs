//! `orderflow resume`: continues a run that was interrupted or killed, from its own folder.

use super::exit::Exit;
use super::help::with_exits;
use super::run;
use super::runs::find;
use super::terminal::Terminal;

/// Resume an interrupted run
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow resume last                  the latest run here
  orderflow resume 0194a                 the run whose name begins so
  orderflow resume path/to/run           a run's folder
  orderflow resume --explain last        show what would run, and why
  orderflow resume --use-current last    continue with the current document

Completed steps do not run again. An interrupted attempt is retried with the same idempotency key. The run \
uses the document as it was when the run started, or with --use-current the current one from now on. If the \
run has ended, resume reports that and exits with its exit code.", &[Exit::Failed, Exit::Invalid, Exit::NotTrusted, Exit::NeedsPerson, Exit::Changed, Exit::Journal, Exit::Locked, Exit::Deadline, Exit::Interrupted, Exit::Terminated]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Show what would run and why; run nothing
    #[arg(long)]
    explain: bool,
    /// Use the current document; only steps that have not started may change
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
