//! `orderflow stats`.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::terminal::Terminal;
use super::trace;
use crate::diag::render;
use crate::session::{self, Layout};
use crate::stats::{Dimension, Fold, Stats};
use crate::view;
use anyhow::Context;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest document, in bytes.
const DOCUMENT: u64 = 1 << 20;

/// Show what recorded runs did: counts, times, tokens, numbers of your own
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow stats session.toon                        the last run, step by step
  orderflow stats workflow.md                         the executions recorded in a document
  orderflow stats --by agent,status session.toon      grouped by agent and outcome
  orderflow stats --format json session.toon          for scripts: {run: {...}, groups: [...]}
  orderflow stats monday.toon tuesday.toon            several runs together
  zcat old.toon.gz | orderflow stats -                a session from standard input

Exit codes: 0 ok, 3 a session is not valid, 74 a file could not be read")]
pub struct Args {
    /// Session files, or documents (.md) with recorded executions; `-` is a session on standard input
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<PathBuf>,
    /// What to group by
    #[arg(long, value_enum, value_delimiter = ',', default_value = "step")]
    by: Vec<By>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Step,
    Agent,
    Channel,
    Status,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// Aligned columns and a summary of the run
    #[default]
    Table,
    /// All figures; times in milliseconds
    Json,
    /// One line a group
    Csv,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut fold = Fold::new(dimensions(&args.by));
    let mut unread = None;
    let mut sound = true;
    for path in &args.sessions {
        let read = if is_document(path) {
            document(path, &mut fold, terminal)
        } else {
            session_file(path, &mut fold, terminal)
        };
        match read {
            Ok(whole) => sound &= whole,
            // The other files are still checked; the first failure decides the exit.
            Err(error) if unread.is_none() => unread = Some(error),
            Err(error) => terminal.error(&error),
        }
    }
    if let Some(error) = unread {
        return Err(error);
    }
    if !sound {
        return Ok(Exit::Invalid);
    }
    show(&fold.finish(), args.format, terminal)?;
    Ok(Exit::Ok)
}

fn dimensions(by: &[By]) -> Vec<Dimension> {
    let mut dimensions = Vec::new();
    for by in by {
        let dimension = match by {
            By::Step => Dimension::Phase,
            By::Agent => Dimension::Agent,
            By::Channel => Dimension::Channel,
            By::Status => Dimension::Status,
        };
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    dimensions
}

/// Whether a file is a document: by its name, else by a trace fence in it.
fn is_document(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase();
    match end.as_str() {
        "md" | "markdown" => true,
        "toon" => false,
        // What is no file, such as a pipe, can be read but once.
        _ if !path.is_file() => false,
        _ => {
            let mut text = Vec::new();
            // A file that cannot be read says so when it is read in earnest.
            let read = File::open(path).and_then(|file| file.take(DOCUMENT).read_to_end(&mut text));
            let fence = |line: &[u8]| line.trim_ascii_start().starts_with(b"```session-toon");
            read.is_ok() && text.split(|byte| *byte == b'\n').any(fence)
        }
    }
}

/// Folds a document's executions; false where the document is not valid, which has then been said.
fn document(path: &Path, fold: &mut Fold, terminal: &mut Terminal) -> anyhow::Result<bool> {
    let document = Document::read(path)?;
    let recorded = session::recorded(&document.source, &document.spec);
    let Some(graph) = document.graph else {
        let colour = terminal.talk_colour();
        terminal.talk(&render::human(&document.source, &document.problems, colour));
        return Ok(false);
    };
    if recorded.rows.is_empty() {
        let message = format!("{} records no executions", render::visible(&document.source.name));
        let help = "executions stand in `session-toon` fences below their steps; `run` writes those of a run to session.toon";
        terminal.error(&Stop::new(Exit::Invalid, message).help(help).into());
        return Ok(false);
    }
    fold.document(&Layout::of(&graph), &recorded.rows);
    Ok(true)
}

/// Folds a session file; false where it is not valid, which has then been said.
fn session_file(path: &Path, fold: &mut Fold, terminal: &mut Terminal) -> anyhow::Result<bool> {
    let (name, session) = if path == Path::new("-") {
        let session = fold.session(io::stdin().lock()).context("cannot read standard input")?;
        ("<stdin>".to_owned(), session)
    } else {
        let name = path.display().to_string();
        let session = File::open(path).and_then(|file| fold.session(file));
        let session = session.with_context(|| format!("cannot read {name}"))?;
        (name, session)
    };
    trace::tell(&name, &session, terminal);
    Ok(session.problems.is_empty())
}

fn show(stats: &Stats, format: Format, terminal: &mut Terminal) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => view::stats::table(stats, terminal.width()),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(stats)?),
        Format::Csv => view::stats::csv(stats)?,
    };
    terminal.data(&text);
    terminal.finish()?;
    Ok(())
}
