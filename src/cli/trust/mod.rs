//! `orderflow trust`: allows the programs inside a document to run until they change. Also the checks and questions
//! before any of them runs.

mod grants;
mod inner;
pub mod runs;
mod wanted;

use super::document::Document;
use super::exit::{Exit, Stop};
use super::settings::Settings;
use super::terminal::Terminal;
use crate::cli::help::with_exits;
use crate::diag::render::visible;
use crate::graph::{Graph, Step};
use crate::runtime::{Inbox, InboxKey};
use crate::view::table::table;
use anyhow::Context;
use grants::{Grant, Grants};
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
pub use wanted::Wanted;
use wanted::{RequestedNames, digest};

/// Allow the programs in a document to run
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow trust workflow.md             show the document's programs and ask
  orderflow trust --yes workflow.md       grant without asking, for scripts
  orderflow trust --list                  all grants
  orderflow trust --revoke workflow.md    revoke a grant

A grant is for one document at its path, and for its programs: their language, their text, the agent of \
their step, and the variables that they get. Prose may change; a changed program needs another grant. Grants \
are stored in $XDG_STATE_HOME/orderflow, or ~/.local/state/orderflow. Nothing is run.", &[Exit::Invalid, Exit::NotTrusted]))]
pub struct Args {
    /// The workflow document
    #[arg(value_name = "FILE", required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Grant without asking
    #[arg(long, conflicts_with_all = ["list", "revoke"])]
    yes: bool,
    /// Show all grants
    #[arg(long, conflicts_with_all = ["file", "revoke"])]
    list: bool,
    /// Revoke the document's grant
    #[arg(long)]
    revoke: bool,
}

/// The key in this user's state with which commands sign decisions and events; without state, a key of this process.
pub fn inbox_key() -> InboxKey {
    grants::state().map_or_else(|_| InboxKey::default(), |state| InboxKey::in_folder(state.join("orderflow")))
}

/// The inbox of a run for commands of this user.
pub fn inbox(home: &Path) -> Inbox {
    Inbox::of(home, &inbox_key())
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    match &args.file {
        None => list(terminal)?,
        Some(file) if args.revoke => revoke(file, terminal)?,
        Some(file) => grant(file, args.yes, terminal)?,
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

fn grant(file: &Path, yes: bool, terminal: &mut Terminal) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return Err(Stop::new(Exit::Usage, "a document on standard input has no place to grant").into());
    }
    let grants = Grants::open()?;
    let (document, graph, settings) = Document::open(file, false, terminal)?;
    let children = document.run_by(&graph);
    let all = std::iter::once((&document, &graph)).chain(children);
    let all: Vec<Wanted> = all
        .map(|(document, graph)| Wanted::of(document, graph, &settings))
        .filter(|wanted| !wanted.is_empty())
        .collect();
    let name = visible(&document.source.name);
    if all.is_empty() {
        terminal.talk(&format!("nothing in {name} needs a grant\n"));
        return Ok(());
    }
    all.iter().for_each(|wanted| terminal.talk(&wanted.text()));
    if !yes {
        let refused = |message: &str| Stop::new(Exit::NotTrusted, message);
        if !answers(terminal) {
            let nobody = refused("cannot ask here; nothing was granted");
            return Err(nobody.help("look at them, then grant them with --yes").into());
        }
        if ask("let them run until they change? [y]es, [N]o ", terminal)? == Consent::No {
            return Err(refused("nothing was granted").into());
        }
    }
    for wanted in &all {
        grants.keep(wanted.path(), wanted, None)?;
    }
    terminal.talk(&format!("granted; orderflow run {name} will not ask until they change\n"));
    Ok(())
}

fn revoke(file: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let grants = Grants::open()?;
    let name = visible(&file.display().to_string());
    terminal.talk(&match grants.forget(file)? {
        true => format!("the grant of {name} is taken back\n"),
        false => format!("{name} has no grant\n"),
    });
    // A grant is for a document and all that it runs. One that is gone or broken now shows nothing of the kind.
    let Ok((document, graph, _)) = Document::open(file, false, terminal) else { return Ok(()) };
    for (child, _) in document.run_by(&graph) {
        if grants.forget(child.path())? {
            let name = visible(&child.source.name);
            terminal.talk(&format!("the grant of {name} is taken back\n"));
        }
    }
    Ok(())
}

fn list(terminal: &mut Terminal) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for grant in Grants::open()?.all()? {
        match grant {
            Ok(grant) => rows.push(row(&grant)),
            Err(error) => terminal.error(&error),
        }
    }
    if rows.is_empty() {
        terminal.talk("no document has a grant\n");
        return Ok(());
    }
    terminal.data(&table(&["document", "programs", "knowing"], rows, terminal.width()));
    Ok(())
}

fn row(grant: &Grant) -> Vec<String> {
    let program = |granted: &grants::Granted| format!("{} ({})", granted.step, granted.language);
    let programs: Vec<String> = grant.programs.iter().map(program).collect();
    vec![visible(&grant.document), visible(&programs.join(", ")), grant.asks.names()]
}

/// Which programs of a document may run.
pub struct Trust {
    asks: RequestedNames,
    /// The operator allows all of them.
    all: bool,
    grant: Option<Grant>,
}

impl Trust {
    /// Reads the grants of a document; a grant that cannot be read is reported and ignored.
    pub fn of(file: &Path, graph: &Graph, settings: &Settings, terminal: &mut Terminal) -> Trust {
        let programs = graph.steps.iter().any(|step| step.program.is_some());
        let all = settings.allows_fences(file);
        let needed = programs && !all && file != Path::new("-");
        let grant = if needed { kept(file, terminal) } else { None };
        Trust { asks: RequestedNames::of(graph), all, grant }
    }

    /// Whether the step's own program may run.
    pub fn allows(&self, step: &Step) -> bool {
        let granted = |grant: &Grant| digest(step, &self.asks).is_some_and(|digest| grant.covers(&digest));
        self.all || self.grant.as_ref().is_some_and(granted)
    }
}

fn kept(file: &Path, terminal: &mut Terminal) -> Option<Grant> {
    // Without a state folder there can be no grants.
    match Grants::open().ok()?.of(file) {
        Ok(grant) => grant,
        Err(error) => {
            terminal.error(&error);
            None
        }
    }
}

/// Allows the programs of the document to run if they have a grant, or if the user at the terminal agrees; returns
/// whether that was for this run only.
///
/// # Errors
/// Stops with the list of programs that want to run.
pub fn allow(
    file: &Path,
    document: &Document,
    graph: &Graph,
    settings: &Settings,
    terminal: &mut Terminal,
) -> anyhow::Result<bool> {
    let wanted = Wanted::of(document, graph, settings);
    if settings.allows_fences(file) || wanted.is_empty() {
        return Ok(false);
    }
    let grants = Grants::open().ok().filter(|_| file != Path::new("-"));
    let grant = grants.as_ref().and_then(|_| kept(file, terminal));
    let hashes: BTreeSet<String> = wanted.programs().map(|(_, _, hash)| hash).collect();
    if grant.as_ref().is_some_and(|grant| hashes.iter().all(|hash| grant.covers(hash))) {
        return Ok(false);
    }
    terminal.talk(&wanted.text());
    let changed = grant.is_some();
    if changed {
        terminal.talk("some of them have changed since they were granted\n");
    }
    if answers(terminal) {
        let choices = if grants.is_some() { "[y]es, [a]lways, [N]o" } else { "[y]es, [N]o" };
        match (ask(&format!("run them? {choices} "), terminal)?, grants) {
            (Consent::Always, Some(grants)) => return grants.keep(file, &wanted, grant).map(|()| false),
            (Consent::Once | Consent::Always, _) => return Ok(true),
            (Consent::No, _) => {}
        }
    }
    let keep = match file == Path::new("-") {
        true => String::new(),
        false => format!(", grant them with orderflow trust {}", file.display()),
    };
    Err(Stop::new(Exit::NotTrusted, "programs in the document have no grant; nothing was run")
        .help(format!(
            "check them, then run again with --trust{keep}, or set fences = true in orderflow.toml"
        ))
        .into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consent {
    No,
    Once,
    Always,
}

/// Whether a person sees the question and can answer it.
pub fn answers(terminal: &Terminal) -> bool {
    std::io::stdin().is_terminal() && terminal.watched()
}

/// Asks a question; returns whether the answer is yes.
///
/// # Errors
/// When the answer cannot be read.
pub fn agreed(question: &str, terminal: &mut Terminal) -> anyhow::Result<bool> {
    Ok(ask(question, terminal)? != Consent::No)
}

fn ask(question: &str, terminal: &mut Terminal) -> anyhow::Result<Consent> {
    // Input from before the question is not an answer to it.
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
    terminal.talk(question);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Consent::Once,
        "a" | "always" => Consent::Always,
        _ => Consent::No,
    })
}
