//! `orderflow adopt`: takes over a run that was started elsewhere, after showing what resuming it would run, write and
//! read.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::plan::doer;
use super::run;
use super::runs::find;
use super::settings::{self, Settings};
use super::terminal::Terminal;
use super::trust::{self, Trust, Wanted, runs::Owner};
use crate::diag::render::visible;
use crate::history::{self, History};
use crate::journal::LockError;
use crate::runtime::Workspace;
use crate::value::words;
use crate::view::plan::Doer;
use anyhow::Context;
use std::path::Path;

/// Adopt a run that was started elsewhere
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow show path/to/run                look at the run first
  orderflow adopt path/to/run               show what it would run, then ask
  orderflow adopt --yes .orderflow/runs/*   adopt the runs of an artifact

Commands that only read can use a run that was started elsewhere (in a repository, an artifact, a copy). To \
resume, retry, cancel or resolve it, adopt it first, with the programs in its document. Decisions and events that \
are still in its inbox do not count: only those of your own commands do. Nothing is run.", &[Exit::Invalid, Exit::NotTrusted, Exit::Journal, Exit::Locked]))]
pub struct Args {
    /// The run's folder, or the beginning of its name
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Adopt it without asking
    #[arg(long)]
    yes: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let homes = args.runs.iter().map(|said| find::one(said)).collect::<anyhow::Result<Vec<_>>>()?;
    for home in &homes {
        one(home, args.yes, terminal)?;
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

fn one(home: &Path, yes: bool, terminal: &mut Terminal) -> anyhow::Result<()> {
    let name = visible(&find::called(home)?);
    if let Owner::Own(_) = trust::runs::owner(home)? {
        terminal.talk(&format!("{name} is yours already\n"));
        return Ok(());
    }
    // Locked, so that no other process resumes it meanwhile; rejects what is not a run's folder of this user.
    run::refuse_unless_text("the path of the run's folder", home)?;
    Workspace::check(home).map_err(|error| {
        let (folder, error) = (visible(&home.display().to_string()), visible(&error.to_string()));
        let message = format!("the run in {folder} cannot be taken over: {error}");
        Stop::new(Exit::NotTrusted, message)
    })?;
    let _lock = match history::try_lock(home) {
        Err(LockError::By(_)) => {
            return Err(Stop::new(Exit::Locked, format!("another runner has the run {name}")).into());
        }
        Err(LockError::Storage(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", home.display()));
        }
        Ok(lock) => lock,
    };
    let kept = History::open(home)?;
    let options = &kept.options;
    if !options.children.is_empty() {
        let message = format!("the run {name} has steps that run other documents, and cannot be taken over");
        return Err(Stop::new(Exit::NotTrusted, message)
            .help("their runs have journals of their own: run its items in a new run")
            .into());
    }
    // Paths start from the folder where the run began, if that is here, else from the current folder.
    let base = match options.is_in_place(home) {
        true => options.folder.clone(),
        false => std::env::current_dir().context("cannot read the current folder")?,
    };
    let file = base.join(&options.file);
    let document = Document::of(
        visible(&options.file.display().to_string()),
        kept.header().document.text.clone().into_bytes(),
    );
    let settings = settings::look(&file)?.settings;
    let wanted = Wanted::of(&document, &kept.graph, &settings);
    let trust = Trust::of(&file, &kept.graph, &settings, terminal);
    let mut text = format!("the run {name} was not started here by you\n\n");
    let mut say = |what: &str, fact: &str| text.push_str(&format!("  {what:<9} {}\n", visible(fact)));
    say("workflow", &kept.graph.title);
    say("document", &file.display().to_string());
    say("started", &kept.header().started);
    say("works in", &base.display().to_string());
    // Programs run in the folder of the settings, or without them in that of the document.
    let folder = std::path::absolute(&settings.folder)?;
    if folder != base {
        say("agents in", &folder.display().to_string());
    }
    if let Some(settings) = &settings.file {
        say("settings", &std::path::absolute(settings)?.display().to_string());
    }
    for line in agents(&kept, &settings, &trust, &document) {
        say("runs", &line);
    }
    for path in options.writes(home, &base) {
        say("writes", &path.display().to_string());
    }
    for path in options.reads(&kept.graph, &base) {
        say("reads", &path.display().to_string());
    }
    for input in options.files_of_items(&kept.graph) {
        say("reads", &format!("the files that items name as {input}"));
    }
    // Those of another machine or user have another key, and a copy of the folder has another identity.
    let ignored = trust::inbox(home).ignored();
    if ignored > 0 {
        let files = words::count(ignored, "file");
        say(
            "ignores",
            &format!("{files} in its inbox, which your commands did not write: decide or signal again"),
        );
    }
    terminal.talk(&text);
    if !wanted.is_empty() {
        terminal.talk(&format!("\n{}", wanted.text()));
    }
    if !yes {
        let refused = |message: &str| Stop::new(Exit::NotTrusted, message);
        if !trust::answers(terminal) {
            return Err(refused("cannot ask here; nothing was taken over")
                .help("read the above, then take it over with --yes")
                .into());
        }
        if !trust::agreed("\ntake it over? [y]es, [N]o ", terminal)? {
            return Err(refused("nothing was taken over").into());
        }
    }
    trust::runs::adopt(home, kept.header(), kept.records(), &kept.graph)
        .context("cannot store that the run is yours")?;
    terminal.talk(&format!("{name} is yours now; continue it with orderflow resume {name}\n"));
    Ok(())
}

/// What runs the steps, a line for each program.
fn agents(kept: &History, settings: &Settings, trust: &Trust, document: &Document) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &kept.graph.steps {
        let agent = step.agent.as_ref().map(|agent| format!("@{agent}: ")).unwrap_or_default();
        let line = match doer(step, settings, trust, &document.source) {
            Doer::Command(command) | Doer::Worker { command, .. } | Doer::Coder { command, .. } => {
                format!("{agent}{}", command.join(" "))
            }
            Doer::Container { image, command, .. } => {
                format!("{agent}{image} {}", command.join(" "))
            }
            Doer::Http { url, start } if start.is_empty() => format!("{agent}{url}"),
            Doer::Http { url, start } => format!("{agent}{} at {url}", start.join(" ")),
            Doer::Mcp { server, .. } => format!("{agent}{server}"),
            Doer::Model { name, url, .. } => format!("{agent}{name} at {url}"),
            Doer::Fence { language, .. } => format!("{agent}the {language} program of {}", step.title),
            Doer::Document(path) => format!("the document {path}"),
            Doer::Missing => format!("{agent}nothing yet; orderflow.toml binds no program"),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}
