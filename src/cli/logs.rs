//! `orderflow logs`: what the attempts of a run logged, also while it runs.

use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::runs::find;
use super::show;
use super::terminal::Terminal;
use crate::diag::render::{visible, visible_json};
use crate::graph::Step;
use crate::history::History;
use crate::journal::logs::{LogFilter, LogPart, LogReader, RUN_STEPS, UnreadableLogs};
use crate::journal::{self, Lock, Unreadable};
use crate::runtime;
use crate::serve::LogsRequest;
use crate::value::{Value, words};
use crate::view::milliseconds;
use anstream::adapter::strip_str;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often an active run is asked for more.
const EVERY: Duration = Duration::from_millis(200);

/// Output is written in pieces of about this size, in bytes.
const PIECE: usize = 32 << 10;

/// The longest line that is joined from parts, in bytes.
const LINE: usize = 64 << 10;

/// How much of the logs one answer has, in bytes.
const MOST: usize = 1 << 20;

/// Print what the attempts of a run logged
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow logs last                           all of the latest run here
  orderflow logs last -f                        follow it until it ends
  orderflow logs 0194a --item order_003         one item
  orderflow logs last --step Review             also of the document that this step runs
  orderflow logs last --step 'Pay' --attempt 2  the second attempts of a step
  orderflow logs last --format json             for scripts: an object a line

A log is the standard error of a program, and its standard output where it is not the answer; of workers and MCP servers \
also the lines that they report. The first and the last 512 KiB of each attempt are stored, without secrets.", &[Exit::Invalid, Exit::Journal]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Only of this step, by its title or its name in traces
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Only of the item with this key; run for the steps for all items
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
    /// Only of the attempts with this number
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
    /// Continue with what is logged from now on, until the run ends
    #[arg(long, short)]
    follow: bool,
    /// Begin each line with the time since the run began
    #[arg(long, short)]
    times: bool,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines behind their item and step
    #[default]
    Text,
    /// An object a line, for scripts
    Json,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let run = find::one(&args.run)?;
    let (home, mut filter) = chosen(&run, args.step.as_deref(), args.item.clone(), args.attempt)?;
    let is_one = args.item.is_some() && args.step.is_some() && args.attempt.is_some();
    let mut printer =
        Printer { has_names: !is_one, times: args.times, format: args.format, ..Printer::default() };
    let (mut reader, mut last) = (None, 0);
    loop {
        // Before the logs are read: what is written until then is read, too.
        let is_active = args.follow && Lock::is_held(&run)?;
        if reader.is_none() {
            reader = LogReader::open(&home).map_err(unreadable)?;
        }
        if let Some(reader) = &mut reader {
            known(reader, &mut filter)?;
            if !args.follow {
                printer.has_names = !reader.is_one(&filter).map_err(unreadable)?;
            }
            let read = reader.each(&filter, last, |part| {
                last = part.id;
                printer.part(&part, terminal);
                Ok::<(), UnreadableLogs>(())
            });
            read.map_err(unreadable)?;
        }
        printer.flush(terminal);
        if !is_active || terminal.is_closed() {
            break;
        }
        std::thread::sleep(EVERY);
    }
    printer.rest(terminal);
    let has_inner = documents(&home, &mut filter, (&mut printer, terminal))?;
    if last == 0 && !has_inner {
        let chosen = args.step.is_some() || args.item.is_some() || args.attempt.is_some();
        let what = if chosen { "no such log is stored" } else { "no attempt has logged anything" };
        terminal.talk(&format!("{what}\n"));
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

fn unreadable(error: UnreadableLogs) -> anyhow::Error {
    let exit = match &error.0 {
        Unreadable::Storage { .. } | Unreadable::Missing { .. } => Exit::Io,
        Unreadable::Version { .. } | Unreadable::Damaged { .. } => Exit::Journal,
    };
    let help = "the run itself is intact: orderflow show has the last lines of failed attempts";
    Stop::new(exit, visible(&error.to_string())).help(help).into()
}

/// The folder of the run whose logs are shown, which may be within the named one, and which of them.
fn chosen(
    run: &Path,
    step: Option<&str>,
    key: Option<String>,
    attempt: Option<u32>,
) -> anyhow::Result<(PathBuf, LogFilter)> {
    let Some(name) = step else { return Ok((run.to_owned(), LogFilter { key, steps: None, attempt })) };
    let history = History::open(run)?;
    let phases = |history: &History, name: &str| -> Vec<String> {
        history.graph.called(name).into_iter().map(|id| history.graph.step(id).phase.clone()).collect()
    };
    let steps = phases(&history, name);
    if !steps.is_empty() {
        return Ok((run.to_owned(), LogFilter { key, steps: Some(steps), attempt }));
    }
    let inner = match (&key, name.contains('/')) {
        (Some(key), true) => show::within(&history, key, name),
        _ => None,
    };
    if let Some((inner, name)) = inner {
        let steps = phases(&inner, &name);
        if !steps.is_empty() {
            return Ok((inner.home().to_owned(), LogFilter { key, steps: Some(steps), attempt }));
        }
    }
    let stop = Stop::new(Exit::Invalid, format!("the run has no step {}", visible(name)));
    Err(match name.contains('/') && key.is_none() {
        true => stop.help("name the item whose document has this step: --item KEY").into(),
        false => stop.into(),
    })
}

/// `run` is the name of the steps for all items, unless an item has it.
fn known(reader: &mut LogReader, filter: &mut LogFilter) -> anyhow::Result<()> {
    if filter.key.as_deref() == Some("run") && !reader.has_item("run").map_err(unreadable)? {
        filter.key = Some(RUN_STEPS.to_owned());
    }
    Ok(())
}

/// Prints the logs of the documents that steps of the run in `home` have run, also below each other. Returns whether there
/// were any.
fn documents(
    home: &Path,
    filter: &mut LogFilter,
    (printer, terminal): (&mut Printer, &mut Terminal),
) -> anyhow::Result<bool> {
    let mut found = false;
    if runtime::nested_items(home).is_empty() {
        return Ok(found);
    }
    let outer = History::open(home)?;
    let mut inner = Vec::new();
    nested(&outer, filter.steps.take().as_deref(), &Within::default(), &mut inner)?;
    for (home, within) in inner {
        let Some(mut reader) = LogReader::open(&home).map_err(unreadable)? else { continue };
        let read = reader.each(filter, 0, |part| {
            found = true;
            // Such a run has one item and may have many attempts.
            printer.has_names = true;
            printer.part(&within.outside(part), terminal);
            Ok::<(), UnreadableLogs>(())
        });
        read.map_err(unreadable)?;
        printer.rest(terminal);
    }
    Ok(found)
}

/// Finds the runs of the documents of these steps, or of all steps.
fn nested(
    outer: &History,
    steps: Option<&[String]>,
    around: &Within,
    all: &mut Vec<(PathBuf, Within)>,
) -> anyhow::Result<()> {
    let documents: Vec<&Step> = outer.graph.documents().map(|(id, _)| outer.graph.step(id)).collect();
    let wanted = |step: &&&Step| !step.revokes && steps.is_none_or(|steps| steps.contains(&step.phase));
    for item in runtime::nested_items(outer.home()) {
        for step in documents.iter().filter(wanted) {
            // One that was refused, or whose runner died as it began, has a folder only.
            let runs = runtime::nested_runs(outer.home(), &item, &step.phase).into_iter();
            for run in runs.filter(|run| journal::is_there(&run.home)) {
                let inner = History::open(&run.home)?;
                let within = around.in_step(step, begin(&inner).saturating_sub(begin(outer)));
                all.push((run.home, within.clone()));
                nested(&inner, None, &within, all)?;
            }
        }
    }
    Ok(())
}

/// When a run began, in milliseconds.
fn begin(history: &History) -> i64 {
    history.header().started.parse().map_or(0, |began: jiff::Timestamp| began.as_millisecond())
}

/// The steps around the run of a document, each with a slash behind it, and when it began after the outermost run.
#[derive(Clone, Default)]
struct Within {
    title: String,
    phase: String,
    since: i64,
}

impl Within {
    fn in_step(&self, step: &Step, since: i64) -> Within {
        let Within { title, phase, since: before } = self;
        Within {
            title: format!("{title}{}/", step.title),
            phase: format!("{phase}{}/", step.phase),
            since: before + since,
        }
    }

    /// A part of its log as the outermost run has it.
    fn outside(&self, part: LogPart) -> LogPart {
        let title = format!("{}{}", self.title, part.title);
        let phase = format!("{}{}", self.phase, part.phase);
        LogPart { title, phase, at: part.at.saturating_add_signed(self.since), ..part }
    }
}

/// Some parts of the logs of a run: `{parts, next}`; `next` is the number after which the others follow.
///
/// # Errors
/// The run has no such step, or its logs cannot be read.
pub fn page(run: &Path, wanted: &LogsRequest) -> anyhow::Result<Value> {
    let (home, mut filter) = chosen(run, wanted.step.as_deref(), wanted.item.clone(), wanted.attempt)?;
    let (mut parts, mut next, mut size) = (Vec::new(), wanted.after, 0);
    if let Some(mut reader) = LogReader::open(&home).map_err(unreadable)? {
        known(&mut reader, &mut filter)?;
        let read = reader.each(&filter, wanted.after, |part| {
            if parts.len() >= wanted.limit || size > MOST {
                return Err(None);
            }
            (next, size) = (part.id, size + part.text.len());
            parts.push(json(&part, (part.left_out == 0).then_some(&part.text)));
            Ok(())
        });
        if let Err(Some(error)) = read {
            return Err(unreadable(error));
        }
    }
    Ok(json!({ "parts": parts, "next": next }))
}

/// A line, or a part of one; `None` where lines are left out.
fn json(part: &LogPart, text: Option<&str>) -> Value {
    json!({
        "item": part.item_key(), "step": part.title, "phase": part.phase, "element": part.element,
        "attempt": part.attempt, "at_ms": part.at, "stream": text.map(|_| stream(part.stream)),
        "text": text, "left_out": text.is_none().then_some(part.left_out),
    })
}

/// Joins parts to lines and prints them.
#[derive(Default)]
struct Printer {
    /// Begins each line with its item and step.
    has_names: bool,
    times: bool,
    format: Format,
    /// The starts of lines whose ends are to come, by log and stream.
    open: BTreeMap<(i64, u8), (LogPart, String)>,
    out: String,
}

impl Printer {
    fn part(&mut self, part: &LogPart, terminal: &mut Terminal) {
        if part.left_out > 0 {
            let begun = self.open.range((part.log, 0)..=(part.log, u8::MAX)).map(|(place, _)| *place);
            for place in begun.collect::<Vec<_>>() {
                if let Some((part, text)) = self.open.remove(&place) {
                    self.line(&part, Some(&text));
                }
            }
            self.line(part, None);
        }
        let place = (part.log, part.stream);
        let begun = self.open.remove(&place).map(|(_, text)| text).unwrap_or_default();
        let mut rest = begun + &part.text;
        while let Some(end) = rest.find('\n') {
            let later = rest.split_off(end + 1);
            self.line(part, Some(&rest));
            rest = later;
        }
        if rest.len() > LINE {
            self.line(part, Some(&rest));
        } else if !rest.is_empty() {
            self.open.insert(place, (LogPart { text: String::new(), ..part.clone() }, rest));
        }
        if self.out.len() > PIECE {
            self.flush(terminal);
        }
    }

    /// Prints the lines without an end.
    fn rest(&mut self, terminal: &mut Terminal) {
        for (_, (part, text)) in std::mem::take(&mut self.open) {
            self.line(&part, Some(&text));
        }
        self.flush(terminal);
    }

    fn flush(&mut self, terminal: &mut Terminal) {
        if !self.out.is_empty() {
            terminal.data(&std::mem::take(&mut self.out));
        }
    }

    /// A line; `None` where lines are left out.
    fn line(&mut self, part: &LogPart, text: Option<&str>) {
        let text = text.map(|text| text.trim_end_matches(['\n', '\r']));
        if self.format == Format::Json {
            self.out.push_str(&visible_json(&json(part, text).to_string()));
            self.out.push('\n');
            return;
        }
        if self.times {
            self.out.push_str(&format!("{:>10}  ", milliseconds(part.at as f64)));
        }
        if self.has_names {
            let element = part.element.map(|element| format!("[{element}]")).unwrap_or_default();
            let attempt = match part.attempt {
                ..=1 => String::new(),
                number => format!(" (attempt {number})"),
            };
            let (key, title) = (visible(part.item_key()), visible(&part.title));
            self.out.push_str(&format!("{key}: {title}{element}{attempt}: "));
        }
        match text {
            // What moves the cursor or changes colours is removed.
            Some(text) => self.out.push_str(&visible(&strip_str(text).to_string())),
            None => {
                self.out.push_str(&format!("[… {} are not stored …]", words::count(part.left_out, "byte")))
            }
        }
        self.out.push('\n');
    }
}

/// The name of a stream in JSON.
fn stream(number: u8) -> &'static str {
    match number {
        0 => "stderr",
        1 => "stdout",
        _ => "report",
    }
}
