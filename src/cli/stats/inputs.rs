//! The sessions and documents that `stats` reads, and the expectations in the documents.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::super::trace;
use super::expectations;
use crate::diag::{Source, Span, catalogue, render};
use crate::disk::Named;
use crate::session::{self, Layout};
use crate::spec::Expectation;
use crate::stats::{self, Dimension, Fold, Judged, RunStats, Unknown, Verdict};
use anyhow::Context;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest document, in bytes.
const DOCUMENT: u64 = 1 << 20;

/// The contents besides the figures.
pub struct Inputs {
    /// Whether all inputs are valid; problems have been shown.
    pub sound: bool,
    claims: Vec<Claims>,
}

/// What a document expects, judged by its own executions.
struct Claims {
    source: Source,
    judged: Vec<(Span, Result<Verdict, Unknown>)>,
}

impl Inputs {
    /// Folds all inputs.
    ///
    /// # Errors
    /// The first input that cannot be read; the others have been read nevertheless.
    pub fn read(paths: &[PathBuf], fold: &mut Fold, terminal: &mut Terminal) -> anyhow::Result<Inputs> {
        let mut inputs = Inputs { sound: true, claims: Vec::new() };
        let mut unread = None;
        for path in paths {
            let read = if is_document(path) {
                document(path, fold, terminal).map(|claims| {
                    let sound = claims.is_some();
                    inputs.claims.extend(claims);
                    sound
                })
            } else {
                session_file(path, fold, terminal)
            };
            match read {
                Ok(sound) => inputs.sound &= sound,
                // The other files are still checked; the first failure decides the exit.
                Err(error) if unread.is_none() => unread = Some(error),
                Err(error) => terminal.error(&error),
            }
        }
        unread.map_or(Ok(inputs), Err)
    }

    /// Judges the requested expectations and those of the documents; `None` if a step or column does not exist, which
    /// has been shown.
    pub fn verdicts(
        self,
        expected: &[Expectation],
        judged: &Judged,
        run: &RunStats,
        terminal: &mut Terminal,
    ) -> Option<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        let mut sound = true;
        for verdict in stats::judge(expected, judged, run) {
            match verdict {
                Ok(verdict) => verdicts.push(verdict),
                Err(Unknown { verdict, what, help }) => {
                    let message = format!("cannot judge {}: {what}", render::visible(&verdict.text()));
                    terminal.error(&Stop::new(Exit::Invalid, message).help(help).into());
                    sound = false;
                }
            }
        }
        let colour = terminal.talk_colour();
        for Claims { source, judged } in self.claims {
            for (place, verdict) in judged {
                match verdict {
                    Ok(verdict) => verdicts.push(verdict),
                    Err(Unknown { what, help, .. }) => {
                        let problem = catalogue::unknown_figure(place, &what, &help);
                        terminal.talk(&render::one(&source, &problem, colour));
                        sound = false;
                    }
                }
            }
        }
        sound.then_some(verdicts)
    }
}

/// Whether a file is a document: by its name, else by a trace fence in it.
fn is_document(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase();
    match end.as_str() {
        "md" | "markdown" => true,
        "toon" => false,
        // An input that is not a file, such as a pipe, can be read only once.
        _ if !path.is_file() => false,
        _ => {
            let mut text = Vec::new();
            // An error is reported by the actual reading.
            let read =
                Named::by_user(path).open().and_then(|file| file.take(DOCUMENT).read_to_end(&mut text));
            let fence = |line: &[u8]| line.trim_ascii_start().starts_with(b"```session-toon");
            read.is_ok() && text.split(|byte| *byte == b'\n').any(fence)
        }
    }
}

/// Folds a document's executions; `None` if the document is not valid, which has been shown.
fn document(path: &Path, fold: &mut Fold, terminal: &mut Terminal) -> anyhow::Result<Option<Claims>> {
    let document = Document::read(path)?;
    let recorded = session::recorded(&document.source, &document.spec);
    let Some(graph) = document.graph else {
        let colour = terminal.talk_colour();
        terminal.talk(&render::human(&document.source, &document.problems, colour));
        return Ok(None);
    };
    if recorded.rows.is_empty() {
        let message = format!("{} records no executions", render::visible(&document.source.name));
        let help = "executions are in `session-toon` fences below their steps; `run` writes those of a run to session.toon";
        terminal.error(&Stop::new(Exit::Invalid, message).help(help).into());
        return Ok(None);
    }
    let layout = Layout::of(&graph);
    fold.document(&layout, &recorded.rows);
    let mut own = Fold::new(vec![Dimension::Phase]);
    own.document(&layout, &recorded.rows);
    let judged = expectations::claims(&document.spec, &graph, &own.finish());
    Ok(Some(Claims { source: document.source, judged }))
}

/// Folds a session file; false if it is not valid, which has been shown.
fn session_file(path: &Path, fold: &mut Fold, terminal: &mut Terminal) -> anyhow::Result<bool> {
    let (name, session) = if path == Path::new("-") {
        let session = fold.session(io::stdin().lock()).context("cannot read standard input")?;
        ("<stdin>".to_owned(), session)
    } else {
        let name = path.display().to_string();
        let session = Named::by_user(path).open().and_then(|file| fold.session(file));
        let session = session.with_context(|| format!("cannot read {name}"))?;
        (name, session)
    };
    trace::tell(&name, &session, terminal);
    let sound = session.problems.is_empty();
    if sound && session.head.is_some_and(|head| !head.complete) {
        let name = render::visible(&name);
        terminal.talk(&format!("{name}: the run was stopped before it had done all its items\n"));
    }
    Ok(sound)
}
