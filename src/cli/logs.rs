//! `orderflow logs`: what the attempts of a run logged, also while it runs.

use super::exit::{Exit, Stop};
use super::format::TextFormat;
use super::help::with_exits;
use super::runs::find;
use super::terminal::Terminal;
use crate::diag::render::{visible, visible_json};
use crate::history::{InnerLogs, WantedLogs};
use crate::journal::logs::{LogFilter, LogPart, LogReader, RUN_STEPS, UnreadableLogs};
use crate::journal::{Lock, Unreadable};
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
    format: TextFormat,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let run = find::one(&args.run)?;
    let (step, item, attempt) = (args.step.as_deref(), args.item.as_deref(), args.attempt);
    let wanted = WantedLogs { step, item, attempt };
    let mut own = wanted.own(&run)?;
    let is_one = item.is_some() && step.is_some() && attempt.is_some();
    let mut printer =
        Printer { has_names: !is_one, times: args.times, format: args.format, ..Printer::default() };
    let (mut reader, mut last) = (None, 0);
    let mut inner = Inner::default();
    loop {
        // Before the logs are read: what is written until then is read, too.
        let is_active = args.follow && Lock::is_held(&run)?;
        if let Some(filter) = &mut own {
            if reader.is_none() {
                reader = LogReader::open(&run).map_err(unreadable)?;
            }
            if let Some(reader) = &mut reader {
                known(reader, filter)?;
                if !args.follow {
                    printer.has_names = !reader.is_one(filter).map_err(unreadable)?;
                }
                let read = reader.each(filter, last, |part| {
                    last = part.id;
                    printer.part(&part, terminal);
                    Ok::<(), UnreadableLogs>(())
                });
                read.map_err(unreadable)?;
            }
        } else if is_active && item.is_some() {
            inner.print(&run, &wanted, true, (&mut printer, terminal))?;
        }
        printer.flush(terminal);
        if !is_active || terminal.is_closed() {
            break;
        }
        std::thread::sleep(EVERY);
    }
    printer.rest(terminal);
    inner.print(&run, &wanted, own.is_none(), (&mut printer, terminal))?;
    printer.rest(terminal);
    if last == 0 && inner.last.is_empty() {
        let chosen = step.is_some() || item.is_some() || attempt.is_some();
        let what = if chosen { "no such log is stored" } else { "no attempt has logged anything" };
        terminal.talk(&format!("{what}\n"));
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

/// What was printed of the logs of documents.
#[derive(Default)]
struct Inner {
    /// The last part of each.
    last: BTreeMap<PathBuf, i64>,
}

impl Inner {
    /// Prints what has come. `alone` is whether no other logs are printed.
    fn print(
        &mut self,
        run: &Path,
        wanted: &WantedLogs<'_>,
        alone: bool,
        (printer, terminal): (&mut Printer, &mut Terminal),
    ) -> anyhow::Result<()> {
        let all = inner_logs(run, wanted)?;
        let many = all.len() > 1;
        for logs in all {
            let Some(mut reader) = LogReader::open(&logs.home).map_err(unreadable)? else { continue };
            // Such a run has one item and may have many attempts.
            let is_one = alone && !many && reader.is_one(&logs.filter).map_err(unreadable)?;
            printer.has_names = !is_one;
            let mut last = self.last.get(&logs.home).copied().unwrap_or_default();
            let read = reader.each(&logs.filter, last, |part| {
                last = part.id;
                printer.part(&logs.outside(part), terminal);
                Ok::<(), UnreadableLogs>(())
            });
            read.map_err(unreadable)?;
            if last > 0 {
                self.last.insert(logs.home, last);
            }
            printer.rest(terminal);
        }
        Ok(())
    }
}

/// The logs of documents that are asked for.
fn inner_logs(run: &Path, wanted: &WantedLogs<'_>) -> anyhow::Result<Vec<InnerLogs>> {
    let step = wanted.step.unwrap_or_default();
    let unknown = || Stop::new(Exit::Invalid, format!("the run has no step {}", visible(step)));
    Ok(wanted.inner(run)?.ok_or_else(unknown)?)
}

fn unreadable(error: UnreadableLogs) -> anyhow::Error {
    let exit = match &error.0 {
        Unreadable::Storage { .. } | Unreadable::Missing { .. } => Exit::Io,
        Unreadable::Version { .. } | Unreadable::Damaged { .. } => Exit::Journal,
    };
    let help = "the run itself is intact: orderflow show has the last lines of failed attempts";
    Stop::new(exit, visible(&error.to_string())).help(help).into()
}

/// `run` is the name of the steps for all items, unless an item has it.
fn known(reader: &mut LogReader, filter: &mut LogFilter) -> anyhow::Result<()> {
    if filter.key.as_deref() == Some("run") && !reader.has_item("run").map_err(unreadable)? {
        filter.key = Some(RUN_STEPS.to_owned());
    }
    Ok(())
}

/// How many parts a log may have for one answer to name those of the next one.
const PARTS: i64 = 1 << 32;

/// Some parts of the logs of a run: `{parts, next}`; `next` is the number after which the others follow. If a step is
/// named, those of the documents that it runs follow, too.
///
/// # Errors
/// The run has no such step, or its logs cannot be read.
pub fn page(run: &Path, request: &LogsRequest) -> anyhow::Result<Value> {
    let (step, item, attempt) = (request.step.as_deref(), request.item.as_deref(), request.attempt);
    let wanted = WantedLogs { step, item, attempt };
    let (mut parts, mut next, mut size) = (Vec::new(), request.after, 0);
    let mut read = |home: &Path, filter: &mut LogFilter, base: i64, inner: Option<&InnerLogs>| {
        let Some(mut reader) = LogReader::open(home).map_err(unreadable)? else { return Ok(false) };
        if inner.is_none() {
            known(&mut reader, filter)?;
        }
        let read = reader.each(filter, (next - base).max(0), |part| {
            if parts.len() >= request.limit || size > MOST {
                return Err(None);
            }
            (next, size) = (base + part.id, size + part.text.len());
            let part = match inner {
                Some(logs) => logs.outside(part),
                None => part,
            };
            parts.push(json(&part, (part.left_out == 0).then_some(&part.text)));
            Ok(())
        });
        match read {
            Err(Some(error)) => Err(unreadable(error)),
            Err(None) => Ok(true),
            Ok(()) => Ok(false),
        }
    };
    let own = wanted.own(run)?;
    let is_full = match own {
        Some(mut filter) if request.after < PARTS => read(run, &mut filter, 0, None)?,
        _ => false,
    };
    if step.is_some() && !is_full {
        for (mut logs, number) in inner_logs(run, &wanted)?.into_iter().zip(1..) {
            let base = PARTS.saturating_mul(number);
            let mut filter = std::mem::take(&mut logs.filter);
            if request.after < base.saturating_add(PARTS)
                && read(&logs.home.clone(), &mut filter, base, Some(&logs))?
            {
                break;
            }
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
    format: TextFormat,
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
        if self.format == TextFormat::Json {
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
