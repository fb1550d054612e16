//! The table of stored runs: what each was and its state. A journal that cannot be read has a line, too.

use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::gist::Gist;
use super::{Args, began_since, find};
use crate::cli::format::TableFormat;
use crate::diag::render::{visible, visible_json};
use crate::event::Millis;
use crate::history::{Counts, State, quiet};
use crate::journal::{self, Header, Lock};
use crate::runtime::open_questions;
use crate::value::words;
use crate::view::table::table;
use crate::view::{milliseconds, outcome};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The state of a run whose journal cannot be read.
const UNREADABLE: &str = "unreadable";

/// A run in the list, as scripts see it.
#[derive(Clone, Serialize)]
pub struct RunLine {
    /// Its whole name.
    pub run: String,
    /// Its short name, unambiguous among the runs here.
    pub name: String,
    pub path: PathBuf,
    pub workflow: Option<String>,
    pub document: Option<String>,
    /// RFC 3339.
    pub started: Option<String>,
    pub state: &'static str,
    pub counts: Option<Counts>,
    /// From its beginning to now, or to its last event if it is not running; without the pauses.
    pub wall_ms: Option<Millis>,
    /// How many questions of agents wait for a person.
    pub questions: usize,
    /// Why it cannot be read.
    pub error: Option<String>,
}

impl RunLine {
    pub fn of(header: &Header, folder: &Path, name: String, gist: Gist) -> RunLine {
        let Gist { workflow, document, state, counts, last } = gist;
        RunLine {
            run: header.run.clone(),
            name,
            path: folder.to_owned(),
            workflow: Some(workflow),
            document: Some(document),
            started: Some(header.started.clone()),
            state: state.name(),
            counts: Some(counts),
            wall_ms: Some(last + if state == State::Running { quiet(folder) } else { 0 }),
            questions: if state == State::Running { open_questions(folder).len() } else { 0 },
            error: None,
        }
    }

    /// The line of a run, whatever it is.
    pub fn read(folder: &Path, name: &str) -> RunLine {
        let read = || -> anyhow::Result<RunLine> {
            // Before its events are read: a run that ends meanwhile is still shown as running.
            let held = Lock::is_held(folder)?;
            let (header, records) = journal::read(folder)?;
            let gist = Gist::find(folder, header.clone(), records, held)?;
            Ok(RunLine::of(&header, folder, name.to_owned(), gist))
        };
        read().unwrap_or_else(|why| RunLine::unreadable(folder, name.to_owned(), &why))
    }

    fn unreadable(folder: &Path, name: String, why: &anyhow::Error) -> RunLine {
        RunLine {
            run: find::name(folder),
            name,
            path: folder.to_owned(),
            workflow: None,
            document: None,
            started: None,
            state: UNREADABLE,
            counts: None,
            wall_ms: None,
            questions: 0,
            error: Some(format!("{why:#}")),
        }
    }

    /// What agents ask, after other words.
    fn asked(&self) -> String {
        if self.questions == 0 {
            String::new()
        } else {
            format!(", {}", words::count(self.questions as u64, "question"))
        }
    }

    pub fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.as_deref().map(visible).unwrap_or_default();
        vec![
            visible(&self.name),
            text(&self.workflow),
            self.started.as_deref().map(moment).unwrap_or_default(),
            self.state.to_owned(),
            self.counts.as_ref().map(outcome).unwrap_or_default() + &self.asked(),
            self.wall_ms.map(|time| milliseconds(time as f64)).unwrap_or_default(),
            text(&self.error),
        ]
    }
}

/// `2026-11-20 14:43:02` for a time in the form of traces.
fn moment(started: &str) -> String {
    let seconds = started.split('.').next().unwrap_or(started);
    visible(seconds.trim_end_matches('Z')).replacen('T', " ", 1)
}

pub fn run(args: &Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let known: Vec<&str> = State::ALL.map(State::name).into_iter().chain([UNREADABLE]).collect();
    if let Some(unknown) = args.status.iter().find(|status| !known.contains(&status.as_str())) {
        return Err(Stop::new(Exit::Usage, format!("no run has the status {}", visible(unknown)))
            .help(format!("a run is {}; with --step, executions have a status", known.join(", ")))
            .into());
    }
    let folders = find::all()?;
    let wanted =
        |line: &RunLine| args.status.is_empty() || args.status.iter().any(|status| *status == line.state);
    let lines: Vec<RunLine> = lines(&folders, args.since).into_iter().filter(wanted).collect();
    match args.format {
        TableFormat::Json => terminal.data(&(visible_json(&serde_json::to_string_pretty(&lines)?) + "\n")),
        TableFormat::Table if lines.is_empty() => {
            let kept =
                if folders.is_empty() { "no runs are stored here" } else { "no run here has this status" };
            terminal.talk(&format!("{kept}\n"));
        }
        TableFormat::Table => {
            let header = ["run", "workflow", "started (UTC)", "state", "items", "time", "problem"];
            terminal.data(&table(&header, lines.iter().map(RunLine::cells), terminal.width()));
            if lines.iter().any(|line| line.state == State::Waiting.name()) {
                terminal.talk("waiting runs need a person or an event: orderflow show RUN has the command\n");
            }
            if lines.iter().any(|line| line.questions > 0) {
                terminal.talk("agents ask questions: orderflow answer RUN has them\n");
            }
        }
    }
    Ok(Exit::Ok)
}

/// The lines of these runs, which must be all runs found here, the latest first.
pub fn lines(folders: &[PathBuf], since: Option<Duration>) -> Vec<RunLine> {
    let of = |(folder, name): (&PathBuf, String)| {
        line(since, folder, &name).unwrap_or_else(|why| Some(RunLine::unreadable(folder, name, &why)))
    };
    find::latest_first(folders).into_iter().filter_map(of).collect()
}

/// The line of one run; `None` if it began too long ago.
fn line(since: Option<Duration>, folder: &Path, name: &str) -> anyhow::Result<Option<RunLine>> {
    // Before its events are read: a run that ends meanwhile is still shown as running.
    let held = Lock::is_held(folder)?;
    let (header, records) = journal::read(folder)?;
    if !began_since(&header, since) {
        return Ok(None);
    }
    let gist = Gist::find(folder, header.clone(), records, held)?;
    Ok(Some(RunLine::of(&header, folder, name.to_owned(), gist)))
}
