//! The command line: arguments, settings, exit codes. The only room that prints or reads the environment;
//! a file a command.

mod adopt;
mod agents;
mod allowed;
mod answer;
mod approve;
mod cancel;
mod children;
mod clashes;
mod completions;
mod doctor;
mod document;
mod exit;
mod fix;
mod fmt;
mod format;
mod given;
mod graph;
mod guide;
mod help;
mod init;
mod logs;
mod lsp;
mod man;
mod mcp;
mod plan;
mod problems;
mod report;
mod resolve;
mod resume;
mod retry;
mod run;
mod runs;
mod schema;
mod serve;
pub mod settings;
mod show;
mod signal;
mod stats;
mod stream;
mod synonyms;
mod terminal;
mod test;
mod top;
mod trace;
mod trust;
mod validate;
mod verify;
#[cfg(feature = "restate")]
mod worker;

pub use exit::Exit;
use help::with_exits;
use terminal::Terminal;

use crate::{adapter, disk, runtime};
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Run workflows written as markdown documents
#[derive(Parser)]
#[command(name = "orderflow", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = with_exits("\
Examples:
  orderflow validate workflow.md        every problem of the document at once
  orderflow run workflow.md             run it for the items it names
  orderflow run --replay workflow.md    replay the executions it records
  orderflow resume last                 continue a run that was interrupted
  orderflow retry last                  retry its failed items
  orderflow show last                   the latest run: status and statistics
  orderflow stats session.toon          statistics of the last run", &Exit::ALL))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<Stored<run::Args>>),
    Resume(Stored<resume::Args>),
    Approve(Stored<approve::Approve>),
    Reject(Stored<approve::Reject>),
    Answer(Stored<answer::Args>),
    Signal(Stored<signal::Args>),
    Cancel(Stored<cancel::Args>),
    Retry(Stored<retry::Args>),
    Resolve(Stored<resolve::Args>),
    Adopt(Stored<adopt::Args>),
    Runs(Stored<runs::Args>),
    Show(Stored<show::Args>),
    Report(Stored<report::Args>),
    Serve(Stored<serve::Args>),
    Logs(Stored<logs::Args>),
    Top(Stored<top::Args>),
    Validate(validate::Args),
    Fmt(fmt::Args),
    Verify(verify::Args),
    Test(test::Args),
    Stats(stats::Args),
    Plan(plan::Args),
    Graph(graph::Args),
    Agents(agents::Args),
    Doctor(doctor::Args),
    Trust(trust::Args),
    Init(init::Args),
    Lsp(lsp::Args),
    Mcp(Stored<mcp::Args>),
    Guide(guide::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[cfg(feature = "restate")]
    Worker(worker::Args),
}

// The options of a command on stored runs. Not a doc comment: clap would use it as the help of each command.
#[derive(clap::Args)]
struct Stored<T: clap::Args> {
    #[command(flatten)]
    args: T,
    /// Store runs in this folder [default: ORDERFLOW_STATE, else .orderflow next to orderflow.toml or the document]
    #[arg(long, value_name = "DIR", value_parser = stream::folder, global = true)]
    state: Option<PathBuf>,
}

impl Command {
    fn state(&self) -> Option<&Path> {
        match self {
            Command::Run(stored) => stored.state.as_deref(),
            Command::Resume(stored) => stored.state.as_deref(),
            Command::Approve(stored) => stored.state.as_deref(),
            Command::Reject(stored) => stored.state.as_deref(),
            Command::Answer(stored) => stored.state.as_deref(),
            Command::Signal(stored) => stored.state.as_deref(),
            Command::Cancel(stored) => stored.state.as_deref(),
            Command::Retry(stored) => stored.state.as_deref(),
            Command::Resolve(stored) => stored.state.as_deref(),
            Command::Adopt(stored) => stored.state.as_deref(),
            Command::Runs(stored) => stored.state.as_deref(),
            Command::Show(stored) => stored.state.as_deref(),
            Command::Report(stored) => stored.state.as_deref(),
            Command::Serve(stored) => stored.state.as_deref(),
            Command::Logs(stored) => stored.state.as_deref(),
            Command::Top(stored) => stored.state.as_deref(),
            Command::Mcp(stored) => stored.state.as_deref(),
            Command::Validate(_)
            | Command::Fmt(_)
            | Command::Verify(_)
            | Command::Test(_)
            | Command::Stats(_)
            | Command::Plan(_)
            | Command::Graph(_)
            | Command::Agents(_)
            | Command::Doctor(_)
            | Command::Trust(_)
            | Command::Init(_)
            | Command::Lsp(_)
            | Command::Guide(_)
            | Command::Schema(_)
            | Command::Completions(_)
            | Command::Man(_) => None,
            #[cfg(feature = "restate")]
            Command::Worker(_) => None,
        }
    }
}

/// Runs the program with these arguments, the program's own name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    allowed::fit_allocator(&args);
    if let Err(stop) = allowed::check() {
        let error = stop.into();
        Terminal::new().error(&error);
        return Exit::of(&error);
    }
    adapter::shield();
    // If the system refuses, such a write ends the process by default.
    let _ = runtime::outlive_large_files();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(mut error) => {
            synonyms::correct(&mut error, &args);
            run::hint(&mut error, &args);
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            Terminal::new().arguments(error);
            return exit;
        }
    };
    let mut terminal = Terminal::new();
    if let Err(error) = prepare(cli.command.state()) {
        terminal.error(&error);
        return Exit::of(&error);
    }
    let done = match cli.command {
        Command::Run(stored) => run::run(stored.args, &mut terminal),
        Command::Resume(stored) => resume::run(stored.args, &mut terminal),
        Command::Approve(stored) => approve::approve(stored.args, &mut terminal),
        Command::Reject(stored) => approve::reject(stored.args, &mut terminal),
        Command::Answer(stored) => answer::run(stored.args, &mut terminal),
        Command::Signal(stored) => signal::signal(stored.args, &mut terminal),
        Command::Cancel(stored) => cancel::run(stored.args, &mut terminal),
        Command::Retry(stored) => retry::run(stored.args, &mut terminal),
        Command::Resolve(stored) => resolve::run(stored.args, &mut terminal),
        Command::Adopt(stored) => adopt::run(stored.args, &mut terminal),
        Command::Runs(stored) => runs::run(stored.args, &mut terminal),
        Command::Show(stored) => show::run(stored.args, &mut terminal),
        Command::Report(stored) => report::run(stored.args, &mut terminal),
        Command::Serve(stored) => serve::run(&stored.args, &mut terminal),
        Command::Logs(stored) => logs::run(stored.args, &mut terminal),
        Command::Top(stored) => top::run(stored.args, &mut terminal),
        Command::Validate(args) => validate::run(args, &mut terminal),
        Command::Fmt(args) => fmt::run(args, &mut terminal),
        Command::Verify(args) => verify::run(args, &mut terminal),
        Command::Test(args) => test::run(args, &mut terminal),
        Command::Stats(args) => stats::run(args, &mut terminal),
        Command::Plan(args) => plan::run(args, &mut terminal),
        Command::Graph(args) => graph::run(args, &mut terminal),
        Command::Trust(args) => trust::run(args, &mut terminal),
        Command::Init(args) => init::run(args, &mut terminal),
        Command::Lsp(args) => lsp::run(args, &mut terminal),
        Command::Mcp(stored) => mcp::run(&stored.args, &mut terminal),
        Command::Guide(args) => guide::run(args, &mut terminal),
        Command::Schema(args) => schema::run(args, &mut terminal),
        Command::Man(args) => man::run(args, &mut terminal),
        Command::Agents(args) => agents::run(args, &mut terminal),
        Command::Doctor(args) => doctor::run(args, &mut terminal),
        Command::Completions(args) => completions::run(args, &mut terminal),
        #[cfg(feature = "restate")]
        Command::Worker(args) => worker::run(args, &mut terminal),
    };
    match done {
        Ok(exit) => exit,
        Err(error) => {
            terminal.error(&error);
            Exit::of(&error)
        }
    }
}

/// Sets the user who owns files, and the folder of runs.
fn prepare(state: Option<&Path>) -> anyhow::Result<()> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    // Like git: under sudo, files belong to the original user.
    if rustix::process::geteuid().is_root()
        && let Some(user) = std::env::var("SUDO_UID").ok().as_deref().and_then(number)
    {
        disk::accept_owner(user);
    }
    let owners = std::env::var_os("ORDERFLOW_OWNERS").unwrap_or_default();
    for said in owners.to_string_lossy().split(',').filter(|said| !said.is_empty()) {
        let Some(user) = number(said) else {
            let message = format!("ORDERFLOW_OWNERS has {said:?}, which is not a user number");
            return Err(exit::Stop::new(Exit::Usage, message)
                .help("write numbers, such as 1000,1001: id -u")
                .into());
        };
        disk::accept_owner(user);
    }
    let named = std::env::var_os("ORDERFLOW_STATE").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if let Some(folder) = state.map(Path::to_owned).or(named) {
        if folder.as_os_str().is_empty() {
            let error = exit::Stop::new(Exit::Usage, "--state has no name of a folder");
            return Err(error.help("name a folder, or leave out --state").into());
        }
        let folder = std::path::absolute(folder).context("cannot read the current folder")?;
        // A link to it may be replaced while a run runs.
        runs::find::store_in(disk::real(&folder).unwrap_or(folder));
    }
    Ok(())
}
