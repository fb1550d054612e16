//! The results of a finished run: the session file, tables and statistics on standard output, a summary on standard
//! error.

use super::super::exit::{Exit, Stop};
use super::super::report::summarise;
use super::super::stream;
use super::super::terminal::Terminal;
use super::own;
use super::write::NewRows;
use super::{Format, Launch};
use crate::diag::render::{visible, visible_json};
use crate::disk::Target;
use crate::engine::{DeadLetter, Run, Tally, Unavailable, UnavailableAgent};
use crate::event::{ItemError, ItemState};
use crate::graph::Graph;
use crate::stats::{self, Stats, Verdict};
use crate::value::budget::{Budget, Spent};
use crate::value::dollars::Dollars;
use crate::value::words;
use crate::view::causes::{Cause, Causes};
use crate::view::stats::Report;
use crate::view::{self, Executions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The most causes of failures that are named.
const LETTERS: usize = 10;

/// The execution tables of a run of more items are left out.
const TABLES: u64 = 10;

/// The results of a finished run.
pub struct Finished {
    pub stats: Stats,
    /// The expectations of the document, judged; empty if they were not judged.
    pub verdicts: Vec<Verdict>,
    pub(super) executions: Executions,
    /// The rows that are to be added to the document.
    pub kept: Option<NewRows>,
    /// Where the trace was written.
    pub(super) session: Option<PathBuf>,
    /// Whether standard output has the trace, and so nothing else.
    pub(super) on_output: bool,
}

impl Finished {
    /// Copies the run's own trace to where the user expects it. A failure at the default path is only a warning.
    ///
    /// # Errors
    /// When the path that the user named cannot be written to.
    pub(super) fn publish(
        &mut self,
        launch: &Launch,
        home: &Path,
        terminal: &mut Terminal,
    ) -> anyhow::Result<()> {
        let target = match &launch.options.session {
            Some(named) => stream::target(named),
            None => Target::unnamed(launch.options.trace()),
        };
        self.on_output = launch.options.trace_file().is_none();
        self.session = Some(own::path(home)).filter(|_| !self.on_output);
        let name = || visible(&launch.options.trace().display().to_string());
        match target.and_then(|target| own::copy(home, &target)) {
            Ok(()) => {
                self.session = launch.options.trace_file().map(Path::to_owned);
                Ok(())
            }
            // The reader closed its end.
            Err(error) if self.on_output && error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) if launch.options.session.is_none() => {
                if !launch.show.quiet {
                    terminal.talk(&format!("note: cannot write {} here: {error}\n", name()));
                }
                Ok(())
            }
            Err(error) => {
                let help = format!("the run's own trace is {}", own::name(home));
                Err(Stop::new(Exit::Io, format!("cannot write {}: {error}", name())).help(help).into())
            }
        }
    }

    /// How the items ended, not counting those that an interrupted run still has in flight.
    pub fn tally(&self, admitted: u64) -> Tally {
        let mut tally = Tally { admitted, ..Tally::default() };
        for (state, count) in self.stats.run.items_by_status.iter().flatten() {
            *tally.of(*state) += count;
        }
        tally
    }

    /// Judges what the document expects of its steps. A column that no agent reported meets no expectation.
    pub fn judge(&mut self, graph: &Graph) {
        self.verdicts = stats::judge_all(graph, &self.stats);
    }
}

/// Shows the result on standard output, unless the trace is there. A stored run has its name and its failed items.
/// `results` follow the statistics; those of a run of one item replace them. `all_tables` also shows what is left out
/// for its length.
///
/// # Errors
/// When the statistics cannot be written as JSON.
pub fn show(
    format: Format,
    finished: &Finished,
    stored: Option<(&str, &Run, &Graph)>,
    (results, all_tables): (&str, bool),
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    if finished.on_output {
        return Ok(());
    }
    let report = Report { expectations: &finished.verdicts, ..Report::of(&finished.stats) };
    let text = match format {
        Format::Table => {
            let rest =
                finished.session.as_ref().map_or("the record".into(), |path| path.display().to_string());
            let width = terminal.width();
            let run = &finished.stats.run;
            let items = run.items.unwrap_or(0);
            let all = items + run.in_flight.unwrap_or(0) + run.not_started.unwrap_or(0);
            let has_tables = all_tables || items <= TABLES;
            let tables = if has_tables { finished.executions.draw(width, &rest) } else { String::new() };
            let figures = match all == 1 && stored.is_some() && !all_tables {
                false => report.table(width),
                true if finished.verdicts.is_empty() => String::new(),
                true => view::stats::verdicts(&finished.verdicts, width),
            };
            let text = tables + &figures;
            // Their first line is empty.
            let results =
                if text.ends_with("\n\n") || text.is_empty() { results.trim_start() } else { results };
            text + results
        }
        Format::Json => {
            let mut report = serde_json::to_value(&report)?;
            if let Some((id, run, graph)) = stored {
                report["run"]["id"] = id.into();
                let failed = run.dead_letters().iter();
                report["failed"] = failed.map(|letter| failure(letter, graph)).collect();
                let unavailable = run.unavailable().iter();
                report["unavailable"] = unavailable.map(|one| unavailable_json(one, graph)).collect();
                let unpublished = run.not_published();
                let unpublished: Vec<_> =
                    unpublished.map(|(channel, id, why)| unpublished_json(channel, id, why)).collect();
                if !unpublished.is_empty() {
                    report["unpublished"] = unpublished.into();
                }
                report["spent"] = run.spent().json();
                report["budget"] = graph.settings.run_budget.map(|budget| budget.json()).into();
            }
            visible_json(&serde_json::to_string_pretty(&report)?) + "\n"
        }
        Format::Markdown | Format::Junit | Format::Github => {
            return match format.of_report().zip(stored) {
                Some((format, (id, ..))) => summarise(id, format, terminal),
                None => Ok(()),
            };
        }
    };
    terminal.data(&text);
    Ok(())
}

/// Shows where the trace is.
pub fn written(finished: &Finished, terminal: &mut Terminal) {
    if let Some(session) = &finished.session {
        let here = std::env::current_dir().unwrap_or_default();
        let session = session.strip_prefix(here).unwrap_or(session);
        terminal.talk(&format!("trace written to {}\n", visible(&session.display().to_string())));
    }
}

/// Shows which results are stubs.
pub fn stubbed(steps: &[String], values: &[String], terminal: &mut Terminal) {
    for (what, names) in [("step", steps), ("value", values)] {
        if !names.is_empty() {
            let s = words::by_count(names.len(), "", "s");
            terminal.talk(&format!("stubbed: the {what}{s} {}\n", visible(&names.join(", "))));
        }
    }
}

/// Shows failures of the run as a whole, and remaining effects of cancelled items. `fleeting` if the run cannot be
/// resumed.
pub fn tell_trouble(run: &Run, graph: &Graph, fleeting: bool, terminal: &mut Terminal) {
    let not_run: Vec<_> = run.not_run().map(|id| format!("`{}`", visible(&graph.step(id).title))).collect();
    if !not_run.is_empty() {
        let s = words::by_count(not_run.len(), "", "s");
        let steps = not_run.join(", ");
        let why = if run.stopped().is_some() { "the run was stopped" } else { "items were left" };
        terminal.talk(&format!("not run, since {why}: the step{s} {steps}\n"));
    }
    if let Some(end) = run.run_steps().filter(|end| end.state.is_failure()) {
        let error = end.error.as_ref();
        let step = error.and_then(|error| Some(&graph.step(error.step?).title));
        let step = step.map(|title| format!("{}: ", visible(title))).unwrap_or_default();
        let message = error.map(|error| visible(&error.message)).unwrap_or_default();
        terminal.talk(&format!("a step for all items failed: {step}{message}\n"));
        for error in &end.uncompensated {
            terminal.talk(&format!("    {}\n", uncompensated(error, graph)));
        }
    }
    for letter in run.abandoned().iter().filter(|_| fleeting).take(LETTERS) {
        let key = visible(&letter.key);
        for error in &letter.end.uncompensated {
            terminal.talk(&format!("  {key}: {}\n", uncompensated(error, graph)));
        }
    }
}

/// Shows the steps that successful items did not run; with `all`, also those that a decision left out.
pub fn left_out(finished: &Finished, graph: &Graph, all: bool, terminal: &mut Terminal) {
    let title = |name: &str| match graph.by_phase(name) {
        Some(id) => visible(&graph.step(id).title),
        None => visible(name),
    };
    let run = &finished.stats.run;
    let decided = view::stats::decided(run, &title).filter(|_| all);
    let decided = decided.map(|steps| format!("left out {steps}"));
    for line in view::stats::missing(run, &title).into_iter().chain(decided) {
        terminal.talk(&format!("  {line}\n"));
    }
}

/// The summary: how the items ended by this tally, and which failed.
pub fn conclude(run: &Run, tally: Tally, total: u64, graph: &Graph, terminal: &mut Terminal) {
    let Tally { admitted, succeeded, failed, compensated, compensation_failed, cancelled } = tally;
    let mut parts = vec![format!("{succeeded} succeeded")];
    let left = total.saturating_sub(admitted);
    let (waiting, awaiting) = (run.waiting_items(), run.awaiting_items());
    let counts = [
        (failed, "failed"),
        (compensated, "compensated"),
        (compensation_failed, "with a failed compensation"),
        (cancelled, "cancelled"),
        (admitted.saturating_sub(tally.settled()).saturating_sub(waiting + awaiting), "in flight"),
        (waiting, "waiting for a person"),
        (awaiting, "waiting for an event"),
        (left, "not started"),
    ];
    for (count, what) in counts {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let verdict = if run.tolerated() { "" } else { ", more than tolerated" };
    let items = words::count(total, "item");
    terminal.talk(&format!("{items}: {}{verdict}\n", parts.join(", ")));
    for one in run.unavailable() {
        terminal.talk(&format!("  {}\n", unavailable(one, graph)));
    }
    if let Some(spending) = spending(run.spent(), graph) {
        terminal.talk(&format!("  spent {spending}\n"));
    }
    terminal.talk(&failures(run.dead_letters(), graph));
}

/// Failed items by cause, the most frequent first. An item that is the only one of its cause, or has a failed
/// compensation, has a line of its own.
pub fn failures(letters: &[DeadLetter], graph: &Graph) -> String {
    let (mut causes, mut own) = (Causes::default(), Vec::new());
    let mut firsts: Vec<&DeadLetter> = Vec::new();
    for letter in letters {
        match &letter.end.error {
            Some(error) if letter.end.uncompensated.is_empty() => {
                let step = error.step.map(|step| &*graph.step(step).title);
                let is_compensated = letter.end.state == ItemState::Compensated;
                let end = if is_compensated { COMPENSATED } else { "" };
                let code = error.code.as_ref().map(|code| format!("{code}{end}"));
                let message = format!("{}{end}", error.message);
                if causes.add(step, &letter.key, &message, code.as_deref()) == firsts.len() {
                    firsts.push(letter);
                }
            }
            _ => own.push(letter),
        }
    }
    let mut lines: Vec<String> =
        own.into_iter().map(|letter| format!("  {}\n", describe(letter, graph))).collect();
    lines.extend(causes.sorted().into_iter().map(|(place, cause)| match (cause.count, firsts.get(place)) {
        (1, Some(letter)) => format!("  {}\n", describe(letter, graph)),
        _ => by_cause(cause),
    }));
    let more = lines.len().saturating_sub(LETTERS);
    lines.truncate(LETTERS);
    if more > 0 {
        lines.push(format!("  … and {}\n", words::count(more, "more cause")));
    }
    lines.concat()
}

const COMPENSATED: &str = " (compensated)";

/// A cause with the number of its items and the first of their keys.
pub fn by_cause(cause: &Cause) -> String {
    let step = cause.step.as_ref().map(|step| format!("{}: ", visible(step))).unwrap_or_default();
    let keys: Vec<String> = cause.keys.iter().map(|key| visible(key)).collect();
    let more = cause.count.saturating_sub(keys.len() as u64);
    let more = if more > 0 { format!(", … and {more} more") } else { String::new() };
    let items = words::count(cause.count, "item");
    format!("  {items}: {step}{}\n    {}{more}\n", visible(&cause.message), keys.join(", "))
}

/// The name of a stored run, and what to do next.
pub fn next(run: &Run, name: &str, terminal: &mut Terminal) {
    let name = visible(name);
    let commands = match run.dead_letters().is_empty() {
        true => vec![(format!("orderflow show {name}"), "")],
        false => vec![
            (format!("orderflow show {name} --failed"), "failures by cause, with their logs"),
            (format!("orderflow retry {name}"), "retry the failed items"),
        ],
    };
    if let [(only, _)] = &commands[..] {
        return terminal.talk(&format!("run {name}: {only}\n"));
    }
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let lines = commands.iter().map(|(command, what)| format!("  {command:<width$}  {what}\n"));
    terminal.talk(&format!("run {name}:\n{}", lines.collect::<String>()));
}

/// The last event of a run as JSON: how its items ended by this tally, what it has spent, and the exit code.
pub fn ended(run: &Run, tally: Tally, total: u64, (id, name): (&str, &str), exit: u8) -> serde_json::Value {
    let Tally { admitted, succeeded, failed, compensated, compensation_failed, cancelled } = tally;
    let (waiting, awaiting) = (run.waiting_items(), run.awaiting_items());
    serde_json::json!({
        "event": "run-ended", "run": id, "name": name, "exit": exit,
        "counts": {
            "total": total, "succeeded": succeeded, "failed": failed, "compensated": compensated,
            "compensation_failed": compensation_failed, "cancelled": cancelled,
            "in_flight": admitted.saturating_sub(tally.settled()), "waiting": waiting, "awaiting": awaiting,
            "not_started": total.saturating_sub(admitted), "unpublished": run.not_published().count(),
        },
        "spent": run.spent().json(),
    })
}

/// Shows the events that channels did not accept.
pub fn not_published(run: &Run, quiet: bool, terminal: &mut Terminal) {
    let refused: Vec<String> = run
        .not_published()
        .map(|(channel, id, why)| format!("channel {}: {} ({})", visible(channel), visible(why), visible(id)))
        .collect();
    // It is the reason of the exit code: one line reports it in any case.
    if let (true, [first, ..]) = (quiet, refused.as_slice()) {
        let more = refused.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        terminal.talk(&format!("warning: an event was not published to {first}{more}\n"));
        return;
    }
    for one in refused.iter().take(LETTERS) {
        terminal.talk(&format!("warning: an event was not published to {one}\n"));
    }
    let more = refused.len().saturating_sub(LETTERS);
    if more > 0 {
        terminal.talk(&format!("warning: … and {more} more\n"));
    }
    if !refused.is_empty() {
        terminal.talk("  help: orderflow resume sends them again\n");
    }
}

/// Such as ``agent `writer` is unavailable: no credit; 132 executions failed without an attempt``.
pub fn unavailable(one: &Unavailable, graph: &Graph) -> String {
    let why = visible(&one.why(graph));
    match one.refused {
        0 => why,
        many => format!("{why}; {} failed without an attempt", words::count(many, "execution")),
    }
}

/// `{channel, id, why}` of an event that a channel did not accept.
pub fn unpublished_json(channel: &str, id: &str, why: &str) -> serde_json::Value {
    serde_json::json!({ "channel": channel, "id": id, "why": why })
}

/// `{agent, step, message, refused}` of an agent that is unavailable; the step is that of an agent without a name.
pub fn unavailable_json(one: &Unavailable, graph: &Graph) -> serde_json::Value {
    let (agent, step) = match &one.agent {
        UnavailableAgent::Named(name) => (Some(name), None),
        UnavailableAgent::Of(step) => (None, Some(&graph.step(*step).title)),
    };
    serde_json::json!({ "agent": agent, "step": step, "message": one.message, "refused": one.refused })
}

/// What a run has spent, and its budget; `None` if it spent nothing, such as with stubs, or neither matters.
pub fn spending(spent: &Spent, graph: &Graph) -> Option<String> {
    if spent.is_nothing() {
        return None;
    }
    match graph.settings.run_budget {
        Some(Budget { tokens, dollars }) => {
            // The other unit has no limit, and may have been spent all the same.
            let tokens_spent = tokens.is_none() && spent.tokens > 0;
            let tokens_spent = tokens_spent.then(|| words::tokens(spent.tokens));
            let dollars_spent = spent.dollars.filter(|_| dollars.is_none()).map(Dollars::rounded);
            let limited = Budget { tokens, dollars }.spending(spent);
            Some(
                [limited]
                    .into_iter()
                    .chain(tokens_spent)
                    .chain(dollars_spent)
                    .collect::<Vec<_>>()
                    .join(" and "),
            )
        }
        None => (graph.has_budgets() || spent.dollars.is_some()).then(|| spent.to_string()),
    }
}

/// `{key, step, error}` of a failed item; the step is its title.
fn failure(letter: &DeadLetter, graph: &Graph) -> serde_json::Value {
    let step = letter.end.error.as_ref().and_then(|error| error.step);
    let error = letter.end.error.as_ref().map(|error| &error.message);
    serde_json::json!({ "key": letter.key, "step": step.map(|step| &graph.step(step).title), "error": error })
}

fn error_text(error: &ItemError, graph: &Graph) -> String {
    let step = error.step.map(|step| format!("{}: ", visible(&graph.step(step).title)));
    step.unwrap_or_default() + &visible(&error.message)
}

fn uncompensated(error: &ItemError, graph: &Graph) -> String {
    format!("not compensated: {}", error_text(error, graph))
}

fn describe(letter: &DeadLetter, graph: &Graph) -> String {
    let Some(error) = &letter.end.error else { return visible(&letter.key) };
    let mut text = format!("{}: {}", visible(&letter.key), error_text(error, graph));
    if letter.end.state == ItemState::Compensated {
        text.push_str(COMPENSATED);
    }
    for error in &letter.end.uncompensated {
        text.push_str(&format!("\n    {}", uncompensated(error, graph)));
    }
    text
}
