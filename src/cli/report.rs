//! `orderflow report`: the page of a run as one file.

use super::clashes;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::runs::find;
use super::stream;
use super::terminal::Terminal;
use crate::diag::render::visible;
use crate::disk::Target;
use crate::history::History;
use crate::journal::Lock;
use crate::page::{self, PageData, PageMode};
use crate::view::bytes;
use anyhow::Context;
use std::io::Write;
use std::path::PathBuf;

/// Write the page of a stored run to one file
#[derive(clap::Args)]
#[command(after_help = with_exits("\
The page is the run's document with what happened in its margins: steps, items, failures, a timeline and figures. It needs no network and makes no requests.

Examples:
  orderflow report last                     write report-RUN.html
  orderflow report last -o today.html       name the file
  orderflow report last -o - > today.html   to standard output", &[Exit::NotTrusted, Exit::Changed, Exit::Journal]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Write to this file, or to standard output (-) [default: report-RUN.html]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let folder = find::one(&args.run)?;
    // Before its events are read: a run that ends meanwhile is still shown as running.
    let held = Lock::is_held(&folder)?;
    let history = History::open(&folder)?;
    let document = history.options.folder.join(&history.options.file);
    clashes::refuse(&document, &[("--output", args.output.as_deref())], &[], "nothing was written")?;
    let data = PageData::collect(&history, &find::called(&folder)?, held)?;
    let text = page::render(&data, &PageMode::File)?;
    let file = match args.output {
        Some(file) if stream::is_standard(&file) => {
            terminal.data(&text);
            terminal.finish()?;
            return Ok(Exit::Ok);
        }
        Some(file) => file,
        None => PathBuf::from(format!("report-{}.html", find::short_name(&folder)?)),
    };
    let name = visible(&file.display().to_string());
    if !args.force && file.is_file() {
        let message = format!("{name} exists already; nothing was written");
        return Err(Stop::new(Exit::Io, message)
            .help("name another file with --output, or overwrite it with --force")
            .into());
    }
    let written = Target::of(&file).and_then(|target| target.write(|out| out.write_all(text.as_bytes())));
    written.with_context(|| format!("cannot write {name}"))?;
    terminal.talk(&format!("report written to {name} ({})\n", bytes(text.len() as u64)));
    terminal.finish()?;
    Ok(Exit::Ok)
}
