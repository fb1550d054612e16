//! `orderflow run`: from the command line to a finished run, step by step; every check comes before the first
//! item starts.

mod again;
mod bind;
mod explain;
mod inputs;
mod limits;
mod live;
mod own;
mod paths;
mod progress;
mod replay;
mod report;
mod secrets;
mod write;

use super::document::Document;
use super::exit::{Exit, Stop};
use super::stream;
use super::terminal::Terminal;
use crate::diag::render::visible;
use crate::disk;
use crate::graph::NotAlone;
use crate::history::RunOptions;
use crate::items;
use crate::spec::{self, OnItemError, Tolerance};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run a workflow for the items it names
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow run workflow.md                              the items that the document names
  orderflow run workflow.md --items orders.csv           other items, one a row
  orderflow run workflow.md --items 'mails/*.txt'        one for each file
  orderflow run workflow.md --item order_003             only the item with this key
  orderflow run workflow.md --stub                       agents that are not written yet have stand-ins
  orderflow run workflow.md --only 'Ship Order' --stub   try one step; what it takes is made up
  orderflow run workflow.md --input name=Ada             a run without items
  orderflow run workflow.md --jobs 4 --tolerate 2%       at most 4 steps at once; up to 2% of items may fail
  orderflow run --write workflow.md                      add what was done to the document itself
  orderflow run --replay workflow.md                     re-enact the executions that the document records
  orderflow run --replay=session.toon workflow.md        re-enact those of a session file
  orderflow run workflow.md --session - | gzip > a.gz    the trace on standard output

Who does the work is said by orderflow.toml, beside the document or above it up to the repository's root.
Programs inside the document run only with a grant: fences = true there, orderflow trust, --trust, or a yes when
asked.

Ctrl-C asks running steps to end and kills them after 10 s, a second one kills them now, a third leaves at once.

Exit codes: 0 ok, 1 more items failed than tolerated or figures are not as the document expects, 3 invalid
document or data and nothing was run, 4 a program in the document has no grant, 5 what an item did could not be
undone, 6 the items changed during the run, or with --write the document did, 74 input or output failed, 124
deadline, 130 and 143 interrupted")]
pub struct Args {
    /// The workflow document
    file: PathBuf,
    /// Items to run: a file (.jsonl, .json, .csv, .tsv, .toon), a folder or glob with a file an item, or - for
    /// JSON lines on standard input
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    items: Option<PathBuf>,
    /// Run only the item with this key; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "replay")]
    item: Vec<String>,
    /// What a second item with a key means
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, conflicts_with = "replay")]
    duplicates: Duplicates,
    /// Run only this step; may be given several times. What other steps make comes from --input or --stub
    #[arg(long, value_name = "STEP", conflicts_with = "replay")]
    only: Vec<String>,
    /// Run this step and all that follow from it. What other steps make comes from --input or --stub
    #[arg(long, value_name = "STEP", conflicts_with_all = ["only", "replay"])]
    from: Option<String>,
    /// Make up the outputs of steps that nobody is bound to, by their types
    #[arg(long, conflicts_with = "replay")]
    stub: bool,
    /// A workflow input, the same for every item; JSON or text. @FILE reads it from a file, @- from standard input;
    /// @@TEXT is the text @TEXT
    #[arg(long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    /// The field of an item that is its key [default: id, or the only field that ends in _id]
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// How many steps may run at once [default: CPUs + 2]
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = jobs)]
    jobs: Option<usize>,
    /// How many items may fail: a count such as 3, or a share such as 2%
    #[arg(long, value_name = "COUNT|PERCENT", allow_negative_numbers = true, value_parser = tolerate)]
    tolerate: Option<Tolerance>,
    /// What a failed item means for the others: stop, drain or continue
    #[arg(long, value_name = "WHAT", value_parser = item_error)]
    on_item_error: Option<OnItemError>,
    /// The longest the whole run may take, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    deadline: Option<Duration>,
    /// Re-enact recorded executions instead of running: the document's own, or those of a session file
    #[arg(long, value_name = "SESSION", num_args = 0..=1, require_equals = true)]
    replay: Option<Option<PathBuf>>,
    /// Where the trace is written, - for standard output in the place of the tables [default: session.toon; a replay writes
    /// none unless told]
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Add the executions to the document, below their steps; up to 1,000 of a run
    #[arg(long, conflicts_with_all = ["replay", "only", "from", "stub"])]
    write: bool,
    /// Keep no journal: a run that is interrupted cannot go on
    #[arg(long, conflicts_with = "replay")]
    no_journal: bool,
    /// Let the programs inside the document run
    #[arg(long)]
    trust: bool,
    /// Count warnings about the document as errors
    #[arg(long, conflicts_with = "replay")]
    strict: bool,
    #[command(flatten)]
    show: Show,
}

/// How a run is shown.
#[derive(clap::Args, Clone, Copy)]
struct Show {
    /// How the result is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Say nothing but the result and what went wrong
    #[arg(long, short)]
    quiet: bool,
}

/// A run that is to begin or to go on, as it was asked for.
struct Launch {
    options: RunOptions,
    /// `--input` of a new run, to be read.
    inputs: Vec<String>,
    no_journal: bool,
    trust: bool,
    show: Show,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// An execution table for each step and a summary
    #[default]
    Table,
    /// The statistics as one JSON object
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Duplicates {
    /// No item is run
    #[default]
    Error,
    /// Only the first of them is run
    Skip,
}

impl From<Duplicates> for items::Duplicates {
    fn from(said: Duplicates) -> Self {
        match said {
            Duplicates::Error => items::Duplicates::Error,
            Duplicates::Skip => items::Duplicates::Skip,
        }
    }
}

pub(super) use again::{Again, Ask, cancel, go_on};
pub(super) use bind::environment;
pub(super) use explain::explain;
pub(super) use own::{copy as copy_trace, name as trace_name, open as open_trace};
pub(super) use paths::text as refuse_unless_text;
pub(super) use replay::hint;
pub(super) use report::Record as Trace;
pub(super) use secrets::is_there;
pub(super) use write::later as write_later;

impl Args {
    /// What is asked for, apart from what the run's folder and the values of its inputs will be.
    fn launch(self) -> anyhow::Result<Launch> {
        let options = RunOptions {
            folder: std::env::current_dir().context("cannot read the current folder")?,
            file: self.file,
            items: self.items,
            item: self.item,
            duplicates: self.duplicates.into(),
            key: self.key,
            only: self.only,
            from: self.from,
            stub: self.stub,
            jobs: self.jobs,
            tolerate: self.tolerate,
            on_item_error: self.on_item_error,
            deadline: self.deadline,
            session: self.session,
            write: self.write,
            ..RunOptions::default()
        };
        let Args { input: inputs, no_journal, trust, show, .. } = self;
        Ok(Launch { options, inputs, no_journal, trust, show })
    }
}

impl Launch {
    /// Refuses a place where no trace can be written, before anything is run.
    fn check_trace(&self) -> Result<(), Stop> {
        match &self.options.session {
            Some(named) => check_named(named, self.show.format),
            None => {
                let target = disk::Target::unnamed(self.options.trace());
                // With a journal there is a trace in the run's own folder, too.
                let usable = target.and_then(|target| if self.no_journal { target.check() } else { Ok(()) });
                usable.map_err(|error| {
                    Stop::new(Exit::Io, format!("cannot write the trace: {error}; nothing was run"))
                        .help("name another file with --session, or remove what is in its place")
                })
            }
        }
    }
}

/// Refuses a place for the trace that the user named and where none can be written.
fn check_named(named: &Path, format: Format) -> Result<(), Stop> {
    if stream::is_standard(named) && format == Format::Json {
        let message = "--session - and --format json both write to standard output; nothing was run";
        return Err(Stop::new(Exit::Usage, message).help("name a file for the trace: --session FILE"));
    }
    stream::target(named).and_then(|target| target.check()).map_err(|error| {
        let name = visible(&named.display().to_string());
        Stop::new(Exit::Usage, format!("cannot write the trace to `{name}`: {error}; nothing was run"))
            .help("name a file in a folder that you can write to: --session FILE")
    })
}

/// Stops where a step cannot be run by itself.
fn not_alone(why: NotAlone, options: &RunOptions) -> Stop {
    let option = if options.from.is_some() { "--from" } else { "--only" };
    let stop = Stop::new(Exit::Invalid, visible(&format!("{option} {why}; nothing was run")));
    match why.help {
        Some(help) => stop.help(help),
        None => stop,
    }
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let exit = match &args.replay {
        Some(session) => {
            replay::refuse_session(&args)?;
            if let Some(named) = &args.session {
                check_named(named, args.show.format)?;
            }
            let mut document = Document::read(&args.file)?;
            let graph = document.sound(false, terminal)?;
            replay::replay(&args, session.as_deref(), &document, &graph, terminal)?
        }
        None => {
            let (document, graph, settings) = Document::open(&args.file, args.strict, terminal)?;
            live::run(args.launch()?, &document, graph, &settings, None, terminal)?
        }
    };
    terminal.finish()?;
    Ok(exit)
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a whole number above 0".into()),
        Ok(jobs) => Ok(jobs),
    }
}

fn tolerate(text: &str) -> Result<Tolerance, String> {
    spec::tolerance(text)
        .ok_or_else(|| "write a count such as 3, or a share of at most 100%, such as 2%".into())
}

fn item_error(text: &str) -> Result<OnItemError, String> {
    spec::on_item_error(text).ok_or_else(|| "write stop, drain or continue".into())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    spec::duration(text).ok_or_else(|| format!("`{}` is not a duration; write 5s, 5m or 5h", visible(text)))
}
