//! Going on with a run that is kept, as it was asked for.

use super::super::document::Document;
use super::super::exit::Exit;
use super::super::terminal::Terminal;
use super::keep::{self, Past};
use super::{Format, inputs, jobs, live};
use crate::journal::{Held, Lock};
use anyhow::Context;
use std::path::Path;

/// What may differ from how the run was asked for.
#[derive(clap::Args)]
pub struct Again {
    /// How many steps may run at once [default: as when the run began]
    #[arg(long, short, value_name = "N", value_parser = jobs)]
    jobs: Option<usize>,
    /// Let the programs inside the document run
    #[arg(long)]
    trust: bool,
    /// How the result is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Say nothing but the result and what went wrong
    #[arg(long, short)]
    quiet: bool,
}

/// # Errors
/// What keeps the run from going on.
pub fn go_on(home: &Path, how: &Again, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = std::path::absolute(home).context("cannot tell the current folder")?;
    let past = Past::take(&home)?;
    let options = past.options()?;
    let mut args = options.args;
    // A folder that was carried elsewhere brings no grant, and its paths are those of the new place.
    if options.home == home && options.folder.is_dir() {
        std::env::set_current_dir(&options.folder)
            .with_context(|| format!("cannot go to {}", options.folder.display()))?;
    } else {
        args.trust = false;
    }
    args.trust |= how.trust;
    args.jobs = how.jobs.or(args.jobs);
    (args.format, args.quiet, args.strict) = (how.format, how.quiet, false);
    if let Some(kept) = inputs::kept(&past.header.items, &home) {
        args.items = Some(kept);
    }
    let text = past.header.document.text.clone();
    let (document, graph, settings) = Document::again(&args.file, text, terminal)?;
    let exit = live::run(&args, &document, graph, &settings, Some(past), terminal)?;
    terminal.finish()?;
    Ok(exit)
}

/// Gives a run up. One that lives is told so; of one that was left the end is written here.
///
/// # Errors
/// What keeps it from being told or written.
pub fn give_up(home: &Path, how: &Again, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let word = home.join(keep::CANCEL);
    std::fs::write(&word, "").with_context(|| format!("cannot write {}", word.display()))?;
    match Lock::acquire(home) {
        Err(Held::By(_)) => {
            terminal.talk("the run was told to stop; its own process says how it ended\n");
            Ok(Exit::Ok)
        }
        Err(Held::Storage(error)) => Err(error).with_context(|| format!("cannot lock {}", home.display())),
        Ok(lock) => {
            drop(lock);
            match go_on(home, how, terminal)? {
                // That its items did not all succeed is what was asked for.
                Exit::Failed => Ok(Exit::Ok),
                exit => Ok(exit),
            }
        }
    }
}
