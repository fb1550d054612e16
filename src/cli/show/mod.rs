//! `orderflow show`: one stored run, its items, or one item with all inputs and outputs.

mod attempts;
mod case;
mod conversation;
mod events;
mod failed;
pub mod files;
mod gates;
pub mod item;
mod items;
mod nested;
mod outputs;
pub mod session;

use super::answer;
use super::clashes;
use super::exit::{Exit, Stop};
use super::format::TableFormat;
use super::run::{Finished, InnerWaits, Trace, spending, unavailable_json, unavailable_text, write_later};
use super::runs::find;
use super::runs::gist::Gist;
use super::runs::list::RunLine;
use super::stream;
use super::terminal::Terminal;
use super::trust;
use crate::cli::help::with_exits;
use crate::diag::render::{visible, visible_json};
use crate::disk::Target;
use crate::history::{EventLog, History, State, dead_letters};
use crate::journal::Lock;
use crate::runtime::{InboxRequest, Observer, open_questions, unix_millis};
use crate::value::words;
use crate::view::stats::Report;
use crate::view::{milliseconds, outcome};
use anyhow::Context;
use conversation::Filter;
use items::{ItemTable, ShownItem};
use outputs::OutputFormat;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Show a stored run: its status, statistics and items
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow show last                       the latest run here
  orderflow show 0194a --item order_003     inputs, outputs and logs of one item
  orderflow show last --item run            the steps for all items
  orderflow show last --item 7 --conversation
                                            what its agents were asked and answered
  orderflow show last --item 7 --case >> flow.test.toml
                                            a case for orderflow test
  orderflow show last --failed              why items failed, by cause
  orderflow show last --results csv         the outputs of all items
  orderflow show last --session trace.toon  write the session file, up to now
  orderflow show last --dead-letters -o failed.toon
                                            the failed items as a table to edit
                                            for orderflow retry --items
  orderflow show last --files files         copy the files of its steps
  orderflow show last --write               add its executions to its document
  orderflow show path/to/run --format json  for scripts", &[Exit::Failed, Exit::Invalid, Exit::NotTrusted, Exit::Changed, Exit::Journal]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Show inputs, outputs and logs of this item
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
    /// Show what the agents of the item were asked and what they answered; without --item, of the only one
    #[arg(long)]
    conversation: bool,
    /// With --conversation: only the messages of this step, by its title or its name in traces
    #[arg(long, value_name = "STEP", requires = "conversation")]
    step: Option<String>,
    /// With --conversation: only the messages of the attempt with this number
    #[arg(long, value_name = "NUMBER", requires = "conversation")]
    attempt: Option<u32>,
    /// Print the item as a case for orderflow test; without --item, the only one
    #[arg(long, conflicts_with_all = ["conversation", "session", "dead_letters", "files", "failed", "results", "write", "format"])]
    case: bool,
    /// Write the run's trace to this file, or to standard output (-)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["item", "conversation", "format"])]
    session: Option<PathBuf>,
    /// Write a table of the failed items, to be edited for orderflow retry --items
    #[arg(long, conflicts_with_all = ["item", "conversation", "session", "format"])]
    dead_letters: bool,
    /// Write the table of --dead-letters to this new file, or to standard output (-) [default: -]
    #[arg(long, short, value_name = "FILE", requires = "dead_letters")]
    output: Option<PathBuf>,
    /// Overwrite the file of --output
    #[arg(long, requires = "output")]
    force: bool,
    /// Copy the files that the run's steps made to this folder; never overwrite
    #[arg(long, value_name = "DIR", value_parser = stream::folder, conflicts_with_all = ["item", "conversation", "session", "dead_letters", "format"])]
    files: Option<PathBuf>,
    /// Show the failures by cause, with the end of a log and what was compensated
    #[arg(long, conflicts_with_all = ["item", "conversation", "session", "dead_letters", "files"])]
    failed: bool,
    /// Print the outputs of all items
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with_all = ["item", "conversation", "session", "dead_letters", "files", "failed", "format"])]
    results: Option<OutputFormat>,
    /// Add the executions of an ended run to its document, as run --write does; existing ones are not changed
    #[arg(long, conflicts_with_all = ["item", "conversation", "session", "dead_letters", "files", "failed", "results", "format"])]
    write: bool,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let folder = find::one(&args.run)?;
    // Before its events are read: a run that ends meanwhile is still shown as running.
    let held = Lock::is_held(&folder)?;
    let history = History::open(&folder)?;
    let document = history.options.folder.join(&history.options.file);
    let written = [("--session", args.session.as_deref()), ("--output", args.output.as_deref())];
    clashes::refuse(&document, &written, &[], "nothing was written")?;
    let only = match args.conversation && args.item.is_none() {
        true => Some(item::only(&history)?),
        false => None,
    };
    match (&args.files, &args.session, args.item.as_ref().or(only.as_ref())) {
        _ if args.dead_letters => letters(&history, args.output.as_deref(), args.force, terminal)?,
        _ if args.failed => failed::show(&history, args.format, terminal)?,
        _ if let Some(format) = args.results => outputs::print(&history, format, terminal)?,
        _ if args.case => case::print(&history, args.item.as_deref(), terminal)?,
        _ if args.write => write_later(&history, held, terminal)?,
        (Some(target), ..) => files::export(&history, target, terminal)?,
        (None, Some(target), _) => session::write(&history, target, terminal)?,
        (None, None, Some(key)) => {
            let filter = Filter { step: args.step.as_deref(), attempt: args.attempt };
            let filter = args.conversation.then_some(filter);
            item::show(&history, key, held, filter.as_ref(), args.format, terminal)?;
        }
        (None, None, None) => whole(&history, held, args.format, terminal)?,
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

/// Writes the table of failed items.
fn letters(
    history: &History,
    output: Option<&Path>,
    force: bool,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let letters = dead_letters::of(history)?;
    let text = dead_letters::LetterTable::of(&history.graph, &letters, &history.options.given).text();
    let many = match letters.len() {
        0 => "no item of this run failed".to_owned(),
        several => words::count(several, "failed item"),
    };
    let Some(file) = output.filter(|file| !stream::is_standard(file)) else {
        terminal.data(&text);
        if letters.is_empty() {
            terminal.talk(&format!("{many}\n"));
        }
        return Ok(());
    };
    let name = visible(&file.display().to_string());
    if !force && file.is_file() {
        // It may have been edited.
        let message = format!("{name} exists already; nothing was written");
        return Err(Stop::new(Exit::Io, message)
            .help("name another file, or overwrite it with --force")
            .into());
    }
    let written = Target::of(file).and_then(|target| target.write(|out| out.write_all(text.as_bytes())));
    written.with_context(|| format!("cannot write {name}"))?;
    terminal.talk(&format!("{many}: written to {name}\n"));
    Ok(())
}

/// A run and what its events come to.
struct Whole<'a> {
    line: RunLine,
    figures: Finished,
    /// Whether its expectations are decided: a running run may still meet them.
    ended: bool,
    /// With the items in flight, and those that were stored there.
    items: ItemTable<'a>,
    log: Option<EventLog>,
    stored: StoredRequests,
}

/// What other processes have stored for the next runner.
#[derive(Default)]
struct StoredRequests {
    decisions: usize,
    events: usize,
}

impl<'a> Whole<'a> {
    /// Reads it; `settled` gets each item that has ended.
    fn read(
        history: &'a History,
        held: bool,
        mut settled: impl FnMut(ShownItem, &mut ItemTable<'a>),
    ) -> anyhow::Result<Whole<'a>> {
        let (graph, folder) = (&history.graph, history.home());
        let outline = history.outline()?;
        let mut trace = Trace::new(graph, None, None)?.nested_in(graph, folder);
        let mut items = ItemTable::new(graph, held);
        history.replay(|event| {
            trace.see(event)?;
            if let Some(item) = items.see(event) {
                settled(item, &mut items);
            }
            Ok(())
        })?;
        let mut figures = trace.finish(&history.head(false), outline.left(history.basis()))?;
        figures.judge(graph);
        let gist = Gist::of(history, held)?;
        let ended = match gist.state {
            State::Running | State::Paused | State::Waiting => false,
            State::Done | State::Unmet | State::Failed | State::Cancelled => true,
        };
        let line = RunLine::of(history.header(), folder, find::short_name(folder)?, gist);
        let waits = graph.publishes() || !graph.awaited().is_empty();
        let log = if waits { Some(history.event_log(None)?.0) } else { None };
        // An active run is about to take them.
        let stored = if held { StoredRequests::default() } else { StoredRequests::of(folder) };
        Ok(Whole { line, figures, ended, items, log, stored })
    }

    fn report(&self) -> Report<'_> {
        let verdicts = if self.ended { &self.figures.verdicts } else { &[][..] };
        Report { expectations: verdicts, ..Report::of(&self.figures.stats) }
    }

    /// All but its items.
    fn json(&self, history: &History) -> anyhow::Result<serde_json::Value> {
        let graph = &history.graph;
        let mut object = serde_json::to_value(&self.line)?;
        object["figures"] = serde_json::to_value(self.report())?;
        let unavailable = history.unavailable()?.iter();
        object["unavailable"] = unavailable.map(|one| unavailable_json(one, graph)).collect();
        object["spent"] = history.spent()?.json();
        if let Some(log) = &self.log {
            object["events"] = events::json(log);
        }
        let StoredRequests { decisions, events } = self.stored;
        if decisions + events > 0 {
            object["stored"] = json!({"decisions": decisions, "events": events});
        }
        object["budget"] = graph.settings.run_budget.map(|budget| budget.json()).into();
        Ok(object)
    }
}

/// The run as `--format json` has it, without its items; these are passed to `item`.
///
/// # Errors
/// Its journal is damaged.
pub fn read(
    history: &History,
    held: bool,
    mut item: impl FnMut(serde_json::Value),
) -> anyhow::Result<serde_json::Value> {
    let graph = &history.graph;
    let whole = Whole::read(history, held, |settled, _| item(settled.json(graph)))?;
    whole.items.open().for_each(|open| item(open.json(graph)));
    whole.json(history)
}

/// Shows the run and its items.
fn whole(history: &History, held: bool, format: TableFormat, terminal: &mut Terminal) -> anyhow::Result<()> {
    if format == TableFormat::Json {
        let mut listed = 0;
        terminal.data("{\"items\": [");
        let run = read(history, held, |item| {
            let begin = if listed == 0 { "\n" } else { ",\n" };
            listed += 1;
            terminal.data(&format!("{begin}  {}", visible_json(&item.to_string())));
        })?;
        let run = visible_json(&serde_json::to_string_pretty(&run)?);
        terminal.data(&format!("\n],\n{}\n", run.trim_start_matches("{\n")));
        return Ok(());
    }
    let graph = &history.graph;
    let all = Whole::read(history, held, |settled, items| items.keep(settled))?;
    let width = terminal.width();
    let unavailable = history.unavailable()?.iter();
    let unavailable: String = unavailable.map(|one| format!("{}\n", unavailable_text(one, graph))).collect();
    let spent = spending(&history.spent()?, graph);
    let spent = spent.map_or_else(String::new, |spent| format!("{:<10} {spent}\n", "spent"));
    let name = &all.line.name;
    let waits = match graph.gates.is_empty() || held && all.items.gates().is_empty() {
        true => Vec::new(),
        false => gates::lines(&history.gates()?.waiting, graph, name, unix_millis()),
    };
    let inner = InnerWaits::of(history, name)?;
    let gates = inner.gates.iter().map(|gate| {
        let (title, asks) = (visible(&gate.title), gate.asks());
        format!("{:<10} at the gate of {title}{asks}: {}\n", "waits", gate.command)
    });
    let inner: String = gates.chain(inner.awaits.iter().map(|one| one.lines(name))).collect();
    let asked = if held { open_questions(history.home()) } else { Vec::new() };
    let asked = asked.iter().map(|one| {
        let (item, text) = (visible(&one.item), visible(&one.text));
        format!("{:<10} {item}: an agent asks: {text}: {}\n", "asks", answer::command(one, name))
    });
    let inner = asked.collect::<String>() + &inner;
    let stored = all.stored.text();
    let events = all.log.as_ref().map(|log| events::lines(log, graph, name)).unwrap_or_default();
    let about = about(&all.line) + &spent + &waits.concat() + &inner + &events + &stored + &unavailable;
    terminal.data(&format!("{about}\n{}\n{}", all.report().table(width), all.items.draw(width)));
    Ok(())
}

impl StoredRequests {
    fn of(home: &Path) -> StoredRequests {
        let all = trust::inbox(home).stored();
        let decides = |request: &&InboxRequest| matches!(request, InboxRequest::Decide(_));
        let decisions = all.iter().filter(decides).count();
        StoredRequests { decisions, events: all.len() - decisions }
    }

    /// A line; empty without any.
    fn text(&self) -> String {
        let some = |number: usize, what: &str| (number > 0).then(|| words::count(number, what));
        let decisions = some(self.decisions, "decision").into_iter();
        let all: Vec<String> = decisions.chain(some(self.events, "event")).collect();
        match all.is_empty() {
            true => String::new(),
            false => {
                format!("{:<10} {}: the run takes them when it is resumed\n", "stored", all.join(" and "))
            }
        }
    }
}

/// The first lines: the run's name and progress.
fn about(line: &RunLine) -> String {
    let text = |text: &Option<String>| text.as_deref().map(visible).unwrap_or_default();
    let path = visible(&line.path.display().to_string());
    let mut out = text(&line.workflow) + "\n\n";
    let time = line.wall_ms.map(|time| milliseconds(time as f64)).unwrap_or_default();
    // The time at which a runner was killed is unknown.
    let paused = line.state == State::Paused.name();
    let time = if paused { format!("{time} up to the last event") } else { time };
    let facts = [
        ("run", visible(&line.run)),
        ("state", line.state.to_owned()),
        ("items", line.counts.map(|counts| outcome(&counts)).unwrap_or_default()),
        ("started", text(&line.started)),
        ("time", time),
        ("document", text(&line.document)),
        ("folder", path),
    ];
    for (what, fact) in facts {
        out.push_str(&format!("{what:<10} {fact}\n"));
    }
    out
}
