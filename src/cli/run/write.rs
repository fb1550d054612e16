//! `run --write`: the executions of a run become part of their document.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::Args;
use crate::diag::render::visible;
use crate::disk::exchange;
use crate::event::ItemId;
use crate::session::{MOST_ROWS, Refusal, Row, append};
use anyhow::Context;
use std::path::Path;

/// The rows of a run, as many as a document takes.
#[derive(Default)]
pub struct Kept {
    rows: Vec<(ItemId, Option<u32>, Row)>,
    count: usize,
}

impl Kept {
    pub fn push(&mut self, item: ItemId, element: Option<u32>, row: &Row) {
        self.count += 1;
        if self.count <= MOST_ROWS {
            self.rows.push((item, element, row.clone()));
        }
    }

    /// By item, those of elements in the order of their list, then as they happened; else how many there are.
    fn rows(mut self) -> Result<Vec<Row>, usize> {
        if self.count > MOST_ROWS {
            return Err(self.count);
        }
        self.rows.sort_by_key(|(item, element, _)| (*item, *element));
        Ok(self.rows.into_iter().map(|(_, _, row)| row).collect())
    }
}

/// Refuses what cannot end well before anything is run: every item leaves at least a row.
///
/// # Errors
/// Stops where the document takes no such number of rows, or is no file.
pub fn prepare(args: &Args, items: u64) -> Result<(), Stop> {
    if !args.write {
        return Ok(());
    }
    if args.file == Path::new("-") {
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

/// Writes the rows into the document. `phases` are those of its steps.
///
/// # Errors
/// Stops where the document does not take them; the session file has them in any case.
pub fn write(
    args: &Args,
    document: &Document,
    phases: &[String],
    run: &str,
    kept: Kept,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let name = visible(&document.source.name);
    let session = args.trace().display().to_string();
    let help = format!("they stand in {}", visible(&session));
    let refuse = |exit: Exit, why: String| {
        Stop::new(exit, format!("the executions were not written into {name}: {why}")).help(&help)
    };
    let too_many =
        |count| refuse(Exit::Failed, format!("there are {count}, and a document takes {MOST_ROWS} of a run"));
    let rows = kept.rows().map_err(too_many)?;
    let count = rows.len();
    let written = append(&document.source, &document.spec, phases, run, &rows).map_err(|why| match why {
        Refusal::TooMany(count) => too_many(count),
        Refusal::TooLarge(bytes) => {
            refuse(Exit::Failed, format!("it would have {bytes} bytes, more than a document may have"))
        }
        Refusal::Unreadable => refuse(Exit::Internal, "it could not be read afterwards".to_owned()),
    })?;
    let exchanged = exchange(&args.file, &document.source.text, &written);
    if !exchanged.with_context(|| format!("cannot write {name}"))? {
        return Err(refuse(Exit::Changed, "it has changed since the run began".to_owned()).into());
    }
    if !args.quiet {
        let executions = if count == 1 { "execution" } else { "executions" };
        terminal.talk(&format!("{count} {executions} written into {name}\n"));
    }
    Ok(())
}
