//! `run --write`: adds the executions of a run to their document.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::runs::find;
use super::super::terminal::Terminal;
use super::super::trust;
use super::record::Trace;
use super::{Launch, own};
use crate::diag::render::visible;
use crate::disk::exchange;
use crate::event::ItemId;
use crate::history::{History, RunOptions, State, definition};
use crate::runtime::Observer;
use crate::session::{MOST_ROWS, Refusal, Row, append, missing, recorded};
use crate::value::words;
use std::path::Path;

/// How often a document that others write to is read again.
const TRIES: usize = 20;

/// The rows of a run, up to the number that a document accepts.
#[derive(Default)]
pub struct NewRows {
    rows: Vec<(ItemId, Option<u32>, Row)>,
    count: usize,
}

impl NewRows {
    pub fn push(&mut self, item: ItemId, element: Option<u32>, row: &Row) {
        self.count += 1;
        if self.count <= MOST_ROWS {
            self.rows.push((item, element, row.clone()));
        }
    }

    /// By item, those of elements in the order of their list, then as they happened; else their number.
    fn rows(mut self) -> Result<Vec<Row>, usize> {
        if self.count > MOST_ROWS {
            return Err(self.count);
        }
        self.rows.sort_by_key(|(item, element, _)| (*item, *element));
        Ok(self.rows.into_iter().map(|(_, _, row)| row).collect())
    }
}

/// Rejects a run that would have too many rows: every item leaves at least one.
///
/// # Errors
/// Stops if the document does not accept that number of rows, or is not a file.
pub fn prepare(options: &RunOptions, items: u64) -> Result<(), Stop> {
    if !options.write {
        return Ok(());
    }
    if options.file == Path::new("-") {
        let message = "cannot write into a document from standard input; nothing was run";
        return Err(Stop::new(Exit::Usage, message));
    }
    if items > MOST_ROWS as u64 {
        let message = format!(
            "{items} items are too many for --write: a document takes {MOST_ROWS} rows of a run; nothing was run"
        );
        let help = "run them without --write; session.toon takes any number";
        return Err(Stop::new(Exit::Invalid, message).help(help));
    }
    Ok(())
}

/// Adds the rows to the document. `phases` are those of its steps.
///
/// # Errors
/// Stops if the document does not accept them; the run's trace has them in any case.
pub fn write(
    launch: &Launch,
    document: &Document,
    phases: &[String],
    (run, home): (&str, &Path),
    kept: NewRows,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let name = visible(&document.source.name);
    let (place, help) = match launch.no_journal {
        true => {
            let place = format!("they are in {}", visible(&launch.options.trace().display().to_string()));
            (place.clone(), place)
        }
        false => {
            let (place, called) = (own::name(home), visible(&find::called(home)?));
            (
                format!("they are in {place}"),
                format!("orderflow show {called} --write adds them; they are in {place}"),
            )
        }
    };
    let rows = kept.rows().map_err(|count| too_many(&name, count).help(&place))?;
    if !put(document, &launch.options.file, phases, run, &rows).map_err(|stop| stop.help(&place))? {
        return Err(refused(&name, Exit::Changed, "it has changed since the run started").help(help).into());
    }
    if !launch.show.quiet {
        written(rows.len(), &name, terminal);
    }
    Ok(())
}

/// Adds the missing rows of a run that has ended to its document.
///
/// # Errors
/// Stops if the run has not ended or the document does not accept them.
pub fn later(history: &History, held: bool, terminal: &mut Terminal) -> anyhow::Result<()> {
    let (home, options) = (history.home(), &history.options);
    // The path of the document comes from the run.
    trust::runs::refuse_foreign(home)?;
    if options.stub || options.from.is_some() || !options.only.is_empty() {
        let message =
            "a run with --stub, --only or --from is not written into its document; nothing was written";
        return Err(Stop::new(Exit::Usage, message).into());
    }
    prepare(&RunOptions { write: true, ..options.clone() }, 0)?;
    if !matches!(history.outline()?.state(history.basis(), held), State::Done | State::Failed) {
        let message = "the run has not ended; nothing was written";
        return Err(Stop::new(Exit::Usage, message).help("continue it with orderflow resume RUN").into());
    }
    let mut record = Trace::new(&history.graph, None, Some(NewRows::default()))?;
    history.replay(|event| record.see(event))?;
    let file = match options.is_in_place(home) {
        true => options.folder.join(&options.file),
        false => options.file.clone(),
    };
    let here = std::env::current_dir().unwrap_or_default();
    let file = file.strip_prefix(here).unwrap_or(&file);
    let name = visible(&file.display().to_string());
    let finished = record.finish(&history.head(true), 0)?;
    let rows = finished.kept.unwrap_or_default().rows().map_err(|count| too_many(&name, count))?;
    for _ in 0..TRIES {
        let mut document = Document::read_again(file)?;
        let graph = document.sound(false, terminal)?;
        if definition(&graph) != definition(&history.graph) {
            return Err(refused(&name, Exit::Changed, "its steps have changed since the run started").into());
        }
        let phases: Vec<String> = graph.steps.iter().map(|step| step.phase.clone()).collect();
        let there = recorded(&document.source, &document.spec).rows;
        let rows = missing(rows.clone(), &there, &history.header().run);
        if rows.is_empty() {
            terminal.talk(&format!("{name} has all executions of the run\n"));
            return Ok(());
        }
        if put(&document, file, &phases, &history.header().run, &rows)? {
            written(rows.len(), &name, terminal);
            return Ok(());
        }
    }
    Err(refused(&name, Exit::Changed, "it changes again and again").into())
}

fn refused(name: &str, exit: Exit, why: &str) -> Stop {
    Stop::new(exit, format!("the executions were not written into {name}: {why}"))
}

fn too_many(name: &str, count: usize) -> Stop {
    refused(name, Exit::Failed, &format!("there are {count}, and a document takes {MOST_ROWS} of a run"))
}

fn written(count: usize, name: &str, terminal: &mut Terminal) {
    let executions = words::count(count, "execution");
    terminal.talk(&format!("{executions} written into {name}\n"));
}

/// Writes the rows into the document's file; false if its contents have changed.
fn put(document: &Document, file: &Path, phases: &[String], run: &str, rows: &[Row]) -> Result<bool, Stop> {
    let name = visible(&document.source.name);
    let text = append(&document.source, &document.spec, phases, run, rows).map_err(|why| match why {
        Refusal::TooMany(count) => too_many(&name, count),
        Refusal::TooLarge(bytes) => {
            let why = format!("it would have {bytes} bytes, more than a document may have");
            refused(&name, Exit::Failed, &why)
        }
        Refusal::Unreadable => refused(&name, Exit::Internal, "it could not be read afterwards"),
    })?;
    exchange(file, &document.source.text, &text)
        .map_err(|error| Stop::new(Exit::Io, format!("cannot write {name}: {error}")))
}
