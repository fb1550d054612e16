//! `orderflow run`: from the command line to a finished run; every check comes before the first item starts.

mod adapters;
mod again;
mod bind;
mod board;
mod channels;
mod described;
mod display;
mod elsewhere;
mod ending;
mod explain;
mod inputs;
mod limits;
mod live;
mod logged;
mod notices;
mod own;
mod paths;
mod people;
mod probe;
mod programs;
mod progress;
mod questions;
mod record;
mod replay;
mod report;
mod results;
mod secrets;
mod spoken;
mod telemetry;
mod threads;
mod waits;
mod within;
mod write;

use super::clashes;
use super::document::Document;
use super::exit::{Exit, Stop};
use super::settings::Settings;
use super::stream;
use super::terminal::Terminal;
use crate::adapter::exchanges::{Exchanges, Recorder, Recording};
use crate::cli::help::with_exits;
use crate::diag::render::visible;
use crate::disk;
use crate::graph::{Graph, NotAlone};
use crate::history::RunOptions;
use crate::items;
use crate::spec::{self, OnItemError, Tolerance};
use anyhow::Context;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run a workflow for the items it names
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow run workflow.md                       the items the document names
  orderflow run workflow.md --items orders.csv    other items, one a row
  orderflow run workflow.md --items 'in/*.txt'    one item for each file
  orderflow run workflow.md --item order_003      only the item with this key
  orderflow run workflow.md --stub                stub steps without an agent
  orderflow run workflow.md --only 'Ship' --stub  one step with stubbed inputs
  orderflow run workflow.md --input name=Ada      a run without items
  orderflow run workflow.md --jobs 4              at most 4 steps at once
  orderflow run workflow.md --tolerate 2%         up to 2% of the items may fail
  orderflow run --write workflow.md               add executions to the document
  orderflow run --replay workflow.md              replay recorded executions
  orderflow run --replay=session.toon flow.md     replay those of a session file
  orderflow run flow.md --session - | gzip > a.gz trace on standard output

The programs of agents are in orderflow.toml, in the folder of the document or a folder above it, up to the \
repository's root. Programs inside the document run only with a grant: fences = true in orderflow.toml, \
orderflow trust, --trust, or a yes when asked.

Ctrl-C asks running steps to end and kills them after 10 s. A second Ctrl-C kills them at once, a third one \
exits immediately.", &[Exit::Failed, Exit::Invalid, Exit::NotTrusted, Exit::NeedsPerson, Exit::Changed, Exit::Deadline, Exit::Interrupted, Exit::Terminated]))]
pub struct Args {
    /// The workflow document
    file: PathBuf,
    /// Read items from a file (.jsonl, .json, .csv, .tsv, .toon), from a folder or glob with one file an item, or from
    /// standard input as JSON lines (-)
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    items: Option<PathBuf>,
    /// Run only the item with this key; repeatable
    #[arg(long, value_name = "KEY", conflicts_with = "replay")]
    item: Vec<String>,
    /// How to treat items with duplicate keys
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, conflicts_with = "replay")]
    duplicates: Duplicates,
    /// Run only this step; repeatable. Values of other steps come from --input or --stub
    #[arg(long, value_name = "STEP", conflicts_with = "replay")]
    only: Vec<String>,
    /// Run this step and all that depend on it. Values of other steps come from --input or --stub
    #[arg(long, value_name = "STEP", conflicts_with_all = ["only", "replay"])]
    from: Option<String>,
    /// Stub the outputs of steps without an agent, by their types
    #[arg(long, conflicts_with = "replay")]
    stub: bool,
    /// Set a workflow input for every item, as JSON or text. @FILE reads a file, @- standard input; @@TEXT is the text
    /// @TEXT
    #[arg(long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    /// Use this field of an item as its key [default: id, or the only field that ends in _id]
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// Run at most this many steps at once [default: CPUs + 2]
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = jobs)]
    jobs: Option<usize>,
    /// Let this many items fail: a count such as 3, or a share such as 2%
    #[arg(long, value_name = "COUNT|PERCENT", allow_negative_numbers = true, value_parser = tolerate)]
    tolerate: Option<Tolerance>,
    /// What to do with other items once one failed: stop, drain or continue
    #[arg(long, value_name = "WHAT", value_parser = item_error)]
    on_item_error: Option<OnItemError>,
    /// Stop the run after this time, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    deadline: Option<Duration>,
    /// Replay recorded executions instead of running: the document's own, or those of a session file
    #[arg(long, value_name = "SESSION", num_args = 0..=1, require_equals = true,
          conflicts_with_all = ["record", "exchanges"])]
    replay: Option<Option<PathBuf>>,
    /// Write the trace to this file, or to standard output instead of the tables (-) [default: session.toon; none for a
    /// replay]
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Add the executions to the document, below their steps; at most 1,000 of a run
    #[arg(long, conflicts_with_all = ["replay", "only", "from", "stub"])]
    write: bool,
    /// Write no journal: the run cannot be resumed
    #[arg(long, conflicts_with = "replay")]
    no_journal: bool,
    /// Allow the programs inside the document to run
    #[arg(long)]
    trust: bool,
    /// Wait for people when nothing else can happen, instead of ending with exit code 5
    #[arg(long, conflicts_with = "replay")]
    wait: bool,
    /// Count warnings about the document as errors
    #[arg(long, conflicts_with = "replay")]
    strict: bool,
    #[cfg(feature = "restate")]
    #[command(flatten)]
    engine: EngineArgs,
    /// The id of the new run; `orderflow serve` knows it before the run begins
    #[arg(long, hide = true, value_name = "ID", value_parser = run_id, conflicts_with_all = ["replay", "no_journal"])]
    run_id: Option<String>,
    #[command(flatten)]
    exchanges: ExchangesArgs,
    #[command(flatten)]
    show: Show,
}

/// What drives the run.
#[cfg(feature = "restate")]
#[derive(clap::Args, Clone, Debug)]
struct EngineArgs {
    /// What drives the run: this process, or a Restate server with workers
    #[arg(long, value_enum, value_name = "WHICH", default_value_t, conflicts_with_all = ["replay", "no_journal"])]
    engine: Engine,
    /// The addresses of the Restate server, such as http://localhost:8080,http://other:8080
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        requires = "engine",
        required_if_eq("engine", "restate")
    )]
    ingress: Vec<String>,
}

#[cfg(feature = "restate")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// This process
    #[default]
    Local,
    /// A Restate server and the workers that are registered there
    Restate,
}

#[cfg(feature = "restate")]
impl EngineArgs {
    /// The addresses of the server that drives the run; empty for this process.
    fn ingress(self) -> Vec<String> {
        if self.engine == Engine::Restate { self.ingress } else { Vec::new() }
    }
}

/// The form of the ids that runs have.
fn run_id(said: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let fits = (8..=64).contains(&said.len()) && said.chars().all(is_plain) && !said.starts_with('-');
    if fits { Ok(said.to_owned()) } else { Err("write 8 to 64 letters, digits and dashes".to_owned()) }
}

/// Exchanges with models and services.
#[derive(clap::Args, Clone, Debug, Default)]
struct ExchangesArgs {
    /// Write every exchange with a model or a service to this file, without secrets; resume and retry add to it
    #[arg(long, value_name = "FILE", conflicts_with = "exchanges")]
    record: Option<PathBuf>,
    /// Answer the requests to models and services from this file, which --record wrote, instead of asking them
    #[arg(long, value_name = "FILE")]
    exchanges: Option<PathBuf>,
}

impl ExchangesArgs {
    /// Whether the models and services of the run are not asked.
    fn replays(&self) -> bool {
        self.record.is_none() && self.exchanges.is_some()
    }

    /// Opens the file, which replaces an earlier record unless the run is resumed: nothing may refuse the run afterwards.
    ///
    /// # Errors
    /// When one cannot be read or written.
    fn open(&self, append: bool) -> anyhow::Result<Exchanges> {
        Ok(match (&self.record, &self.exchanges) {
            (Some(path), _) => Exchanges::Record(Recorder::open(path, append)?),
            (None, Some(path)) => Exchanges::Replay(Recording::open(path)?),
            (None, None) => Exchanges::Live,
        })
    }
}

/// How the result is shown.
#[derive(clap::Args, Clone, Copy)]
struct Show {
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show only the result, errors and what the run waits for
    #[arg(long, short)]
    quiet: bool,
    /// Show the table of executions of each step also for more than ten items, and statistics also for one item
    #[arg(long)]
    tables: bool,
    /// How to show on standard error what happens during the run
    #[arg(long, value_enum, default_value_t, conflicts_with = "quiet")]
    log_format: LogFormat,
}

impl Show {
    /// Whether messages for people are left out.
    fn is_quiet(self) -> bool {
        self.quiet || self.log_format == LogFormat::Json
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Progress and failures, for people
    #[default]
    Text,
    /// An event a line as a JSON object, for programs
    Json,
}

/// A run that is to begin or resume, with its options.
struct Launch {
    options: RunOptions,
    /// The id of a new run, if it is given.
    id: Option<String>,
    /// `--input` of a new run, to be read.
    inputs: Vec<String>,
    no_journal: bool,
    trust: bool,
    /// Whether to wait for people when nothing else can happen.
    wait: bool,
    exchanges: ExchangesArgs,
    show: Show,
    /// A message to show once the run can no longer be refused.
    notice: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// An execution table for each step and a summary
    #[default]
    Table,
    /// The statistics as one JSON object
    Json,
    /// A summary for a pull request or a job, as report --format markdown
    Markdown,
    /// One test for each item and each expectation
    Junit,
    /// Annotations in a pull request
    Github,
}

impl Format {
    /// The same as a format of reports.
    fn of_report(self) -> Option<super::report::Format> {
        match self {
            Format::Table | Format::Json => None,
            Format::Markdown => Some(super::report::Format::Markdown),
            Format::Junit => Some(super::report::Format::Junit),
            Format::Github => Some(super::report::Format::Github),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Duplicates {
    /// Run no item
    #[default]
    Error,
    /// Run only the first of them
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
pub(super) use elsewhere::deliver;
#[cfg(feature = "restate")]
pub(super) use elsewhere::{Served, served};
pub(super) use explain::explain;
pub(super) use own::{copy as copy_trace, name as trace_name, open as open_trace};
pub(super) use paths::text as refuse_unless_text;
pub(super) use probe::{Probed, probe};
pub(super) use record::Trace;
pub(super) use replay::hint;
pub(super) use report::{
    Finished, by_cause, failures, spending, unavailable as unavailable_text, unavailable_json,
    unpublished_json,
};
pub(super) use secrets::is_there;
pub(super) use waits::{AskedItem, GateQueue, InnerWaits, approve_text, signal_text, word};
pub(super) use write::later as write_later;

impl Args {
    /// The options, without the run's folder and the values of its inputs.
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
            traceparent: telemetry::of_caller(),
            #[cfg(feature = "restate")]
            ingress: self.engine.ingress(),
            ..RunOptions::default()
        };
        let Args { input: inputs, run_id: id, no_journal, trust, wait, exchanges, show, .. } = self;
        Ok(Launch { options, id, inputs, no_journal, trust, wait, exchanges, show, notice: None })
    }
}

impl Launch {
    /// Rejects a path where no trace can be written, before anything runs.
    fn check_trace(&self) -> Result<(), Stop> {
        match &self.options.session {
            Some(named) => check_named(named, self.show.format),
            None => {
                let target = disk::Target::unnamed(self.options.trace());
                // With a journal the run's own folder has a trace, too.
                let usable = target.and_then(|target| if self.no_journal { target.check() } else { Ok(()) });
                usable.map_err(|error| {
                    Stop::new(Exit::Io, format!("cannot write the trace: {error}; nothing was run"))
                        .help("name another file with --session, or remove what is in its place")
                })
            }
        }
    }
}

impl Launch {
    /// Rejects options that name one file for two things, or a document or the settings.
    fn check_clashes(&self, document: &Document, graph: &Graph, settings: &Settings) -> Result<(), Stop> {
        let options = &self.options;
        let named = options.session.as_deref();
        let unnamed = named.is_none().then(|| options.trace());
        let mut others =
            vec![("--items", options.items.as_deref()), ("--exchanges", self.exchanges.exchanges.as_deref())];
        let children = document.run_by(graph).into_iter();
        others.extend(children.map(|(child, _)| ("a document that a step runs", Some(child.path()))));
        let mut written = vec![("--session", named), ("--record", self.exchanges.record.as_deref())];
        clashes::refuse(&options.file, &written, &others, "nothing was run")?;
        let appended = channels::appended(graph, settings);
        let of_channels: Vec<_> =
            appended.iter().map(|(key, path)| (key.as_str(), Some(path.as_path()))).collect();
        others.append(&mut written);
        others.push(("the trace", unnamed));
        clashes::refuse(&options.file, &of_channels, &others, "nothing was run")?;
        // A default path is not an option.
        let record = [("--record", self.exchanges.record.as_deref())];
        clashes::refuse(&options.file, &record, &[("the trace", unnamed)], "nothing was run")
    }
}

/// Rejects a path for the trace that the user named if it cannot be written.
fn check_named(named: &Path, format: Format) -> Result<(), Stop> {
    if stream::is_standard(named) && format != Format::Table {
        let name = format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let message =
            format!("--session - and --format {name} both write to standard output; nothing was run");
        return Err(Stop::new(Exit::Usage, message).help("name a file for the trace: --session FILE"));
    }
    stream::target(named).and_then(|target| target.check()).map_err(|error| {
        let name = visible(&named.display().to_string());
        Stop::new(Exit::Usage, format!("cannot write the trace to `{name}`: {error}; nothing was run"))
            .help("name a file in a folder that you can write to: --session FILE")
    })
}

/// The error for a step that cannot run alone.
fn not_alone(why: NotAlone, options: &RunOptions) -> Stop {
    let option = if options.from.is_some() { "--from" } else { "--only" };
    let stop = Stop::new(Exit::Invalid, visible(&format!("{option} {why}; nothing was run")));
    match why.help {
        Some(help) => stop.help(help),
        None => stop,
    }
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    if args.show.format.of_report().is_some() && (args.no_journal || args.replay.is_some()) {
        let message = "this --format is made from the journal of a run; nothing was run";
        return Err(Stop::new(Exit::Usage, message)
            .help("leave out --no-journal and --replay, or write --format json")
            .into());
    }
    let exit = match &args.replay {
        Some(session) => {
            replay::refuse_session(&args)?;
            if let Some(named) = &args.session {
                check_named(named, args.show.format)?;
            }
            let written = [("--session", args.session.as_deref())];
            let others = [("--replay", session.as_deref())];
            clashes::refuse(&args.file, &written, &others, "nothing was replayed")?;
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
