//! The progress and failures of an active run on standard error.

use super::super::terminal::Terminal;
use super::spoken;
use crate::adapter::orphans::OrphanReport;
use crate::diag::render::visible;
use crate::engine::{Run, UnavailableAgent, UnavailableAgents};
use crate::event::{
    AttemptEvent, Event, EventKind, Execution, Failure, ItemEvent, ItemId, ItemState, RunEvent, Status,
    StepEvent, StopReason,
};
use crate::graph::{Graph, StepId};
use crate::runtime::{LastWords, Observer};
use crate::spec::Mark;
use crate::value::words;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most failures that are shown as they happen.
const FAILURES: u64 = 20;

/// The most lines of a failed agent's log that are shown.
const LOG_LINES: usize = 5;

/// How often a run without a terminal reports its progress.
const EVERY: Duration = Duration::from_secs(10);

pub struct Progress<'a> {
    graph: Arc<Graph>,
    terminal: &'a mut Terminal,
    bar: ProgressBar,
    /// Whether standard error is not a terminal, so that progress is printed in lines.
    plain: bool,
    total: u64,
    settled: u64,
    failed: u64,
    running: u64,
    failures: u64,
    said: Instant,
    in_flight: HashMap<ItemId, InFlight>,
    /// What running attempts are just saying.
    words: Vec<LastWords>,
    unavailable: UnavailableAgents,
}

struct InFlight {
    key: Arc<str>,
    /// The end of the log of each step's last failed attempt.
    logs: Vec<(StepId, String)>,
}

impl<'a> Progress<'a> {
    pub fn new(graph: Arc<Graph>, total: u64, quiet: bool, terminal: &'a mut Terminal) -> Self {
        let watched = terminal.watched() && !quiet;
        let bar = if watched { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if watched {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} items, {msg} [{elapsed}]{prefix}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message("0 running, 0 failed");
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress {
            graph,
            terminal,
            bar,
            plain: !watched && !quiet,
            total,
            settled: 0,
            failed: 0,
            running: 0,
            failures: 0,
            said: Instant::now(),
            in_flight: HashMap::new(),
            words: Vec::new(),
            unavailable: UnavailableAgents::default(),
        }
    }

    /// The display, to be hidden while a person is asked; `None` if standard error is not a terminal.
    pub fn bar(&self) -> Option<ProgressBar> {
        (!self.bar.is_hidden()).then(|| self.bar.clone())
    }

    /// Observes past events without showing them.
    pub fn past(&mut self) -> Past<'_, 'a> {
        Past(self)
    }

    /// Shows the processes that the last runner left running.
    pub fn orphans(&mut self, report: &OrphanReport) {
        let count = report.ended.len();
        if count > 0 && self.plain {
            let processes = words::count(count, "process");
            self.terminal.talk(&format!("ended {processes} that the last runner had left\n"));
        }
        for pid in &report.unmarked {
            self.terminal.talk(&format!(
                "warning: the journal names process {pid}, which does not carry this run's mark; it was not ended\n"
            ));
        }
    }

    /// Shows where a run is resumed.
    pub fn resumed(&mut self, run: &Run) {
        // They are repeated without another start event.
        self.running = run.under_way() as u64;
        self.draw();
        if self.plain {
            let (settled, total) = (self.settled, self.total);
            let again = match run.under_way() {
                0 => String::new(),
                again => format!("; retrying {}", words::count(again, "interrupted attempt")),
            };
            self.terminal.talk(&format!("continuing: {settled} of {total} items done{again}\n"));
        }
    }

    /// Removes the display and shows how many failures were not shown.
    pub fn finish(self) {
        self.bar.finish_and_clear();
        if self.failures > FAILURES {
            let more = self.failures - FAILURES;
            self.terminal.talk(&format!("… and {more} more failures; the session file has them all\n"));
        }
    }

    /// An item that is cancelled, as by Ctrl-C, is not done.
    fn settle(&mut self, item: ItemId, state: ItemState) {
        self.in_flight.remove(&item);
        self.settled += u64::from(state != ItemState::Cancelled);
        self.failed += u64::from(state.is_failure());
    }

    fn draw(&mut self) {
        if !self.bar.is_hidden() {
            self.bar.set_position(self.settled);
            self.bar.set_message(format!("{} running, {} failed", self.running, self.failed));
        }
        if self.plain && self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let (settled, total, failed) = (self.settled, self.total, self.failed);
            self.terminal.talk(&format!("{settled} of {total} items done, {failed} failed\n"));
        }
    }

    /// Shows below the bar what running attempts are just saying.
    fn draw_words(&self) {
        let (columns, _) = self.terminal.screen();
        let lines = self.words.iter().map(|LastWords { item, step, text, .. }| {
            let key = self.in_flight.get(item).map_or("", |known| &known.key);
            let element = step.element.map(|element| format!("[{element}]")).unwrap_or_default();
            let name = format!("{key}: {}{element}", self.graph.step(step.step).title);
            // A line that fills the last column would be wrapped by some terminals.
            format!("\n{}", spoken::line(&name, text, columns.saturating_sub(1)))
        });
        self.bar.set_prefix(lines.collect::<String>());
    }

    fn failure(&mut self, item: ItemId, execution: &Execution) {
        self.failures += 1;
        if self.failures > FAILURES {
            return;
        }
        let in_flight = self.in_flight.get(&item);
        let key = in_flight.map_or("", |known| &known.key);
        let step = self.graph.step(execution.step);
        let attempts = match execution.attempt {
            Some(number @ 2..) => format!(" (attempt {number})"),
            _ => String::new(),
        };
        let error = execution.error.as_deref().unwrap_or("");
        let how = if execution.status == Status::Timeout { "" } else { " failed" };
        let optional =
            if step.mark == Some(Mark::Optional) { " (optional step, the item continues)" } else { "" };
        let (key, title, told) = (visible(key), visible(&step.title), visible(error));
        let mut text = format!("{key}: {title}{how}: {told}{attempts}{optional}\n");
        let log = in_flight.and_then(|known| known.logs.iter().find(|(id, _)| *id == execution.step));
        let lines: Vec<&str> = log.map(|(_, log)| log.lines().collect()).unwrap_or_default();
        // A log of one line is already in the message.
        let told = |lines: &[&str]| matches!(lines, [only] if error.ends_with(only));
        let lines = if told(&lines) { Vec::new() } else { lines };
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            text.push_str(&format!("  | {}\n", visible(line)));
        }
        let terminal = &mut *self.terminal;
        self.bar.suspend(|| terminal.talk(&text));
    }

    /// Takes note of a failed attempt, by which its agent may be unavailable from now on.
    fn attempt_failed(&mut self, step: StepId, failure: &Failure) {
        let Some(one) = self.unavailable.take(&self.graph, step, failure) else { return };
        let rest = match one.agent {
            UnavailableAgent::Named(_) => "its other steps fail without an attempt",
            UnavailableAgent::Of(_) => "the step fails for other items without an attempt",
        };
        let text = format!("{}; {rest}\n", visible(&one.why(&self.graph)));
        let terminal = &mut *self.terminal;
        self.bar.suspend(|| terminal.talk(&text));
    }

    /// The steps that run once after all items.
    fn begin_once(&mut self) {
        let key = "after all items".into();
        self.in_flight.insert(ItemId::RUN, InFlight { key, logs: Vec::new() });
    }

    fn begin(&mut self, item: ItemId, key: &Arc<str>) {
        self.in_flight.insert(item, InFlight { key: key.clone(), logs: Vec::new() });
    }

    /// None of its steps has failed, so the reason is shown here.
    fn late(&mut self, item: ItemId) {
        self.failures += 1;
        if self.failures > FAILURES {
            return;
        }
        let key = self.in_flight.get(&item).map_or("", |known| &known.key);
        let text = format!("{}: {}\n", visible(key), StopReason::ItemDeadline);
        let terminal = &mut *self.terminal;
        self.bar.suspend(|| terminal.talk(&text));
    }
}

/// Counts past events without showing them.
pub struct Past<'p, 'a>(&'p mut Progress<'a>);

impl Observer for Past<'_, '_> {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        let Past(progress) = self;
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => progress.begin_once(),
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => progress.begin(*item, key),
            EventKind::Item(item, ItemEvent::Settled { end, .. }) => progress.settle(*item, end.state),
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    }
}

/// The attempts that are still running, and how to stop waiting.
fn waiting(running: u64, why: StopReason) -> String {
    let steps = match running {
        0 => return String::new(),
        more => format!("{} {}", words::count(more, "running step"), words::by_count(more, "was", "were")),
    };
    let again = if why == StopReason::Interrupted { "; Ctrl-C again kills at once" } else { "" };
    format!("; {steps} asked to end and may take 10s{again}")
}

impl Observer for Progress<'_> {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => self.begin_once(),
            EventKind::Run(RunEvent::Stopped(why)) => {
                let said = why.to_string();
                let said = said.strip_prefix("cancelled: ").unwrap_or(&said);
                let text = format!("stopping: {said}{}\n", waiting(self.running, *why));
                let terminal = &mut *self.terminal;
                self.bar.suspend(|| terminal.talk(&text));
            }
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => self.begin(*item, key),
            EventKind::Item(item, ItemEvent::Settled { end, .. }) => {
                self.settle(*item, end.state);
                self.draw();
            }
            EventKind::Item(item, ItemEvent::DeadlinePassed { .. }) => self.late(*item),
            EventKind::Step(item, StepEvent::Ended(execution)) if execution.status.is_failure() => {
                // Why the agent is unavailable was shown at once.
                if !execution.is_refused() {
                    self.failure(*item, execution);
                }
            }
            EventKind::Attempt(_, _, _, AttemptEvent::Started) => {
                self.running += 1;
                self.draw();
            }
            EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(result)) => {
                self.running = self.running.saturating_sub(1);
                let shown = self.words.len();
                self.words
                    .retain(|words| (words.item, words.step, words.attempt) != (*item, *step, *attempt));
                if self.words.len() < shown {
                    self.draw_words();
                }
                if let Err(failure) = result {
                    self.attempt_failed(step.step, failure);
                }
                if let (Err(failure), Some(known)) = (result, self.in_flight.get_mut(item)) {
                    known.logs.retain(|(id, _)| *id != step.step);
                    known.logs.push((step.step, failure.log.clone()));
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    }

    /// Rows below the bar, without the last one of the terminal.
    fn room(&self) -> usize {
        if self.bar.is_hidden() { 0 } else { self.terminal.screen().1.saturating_sub(2) }
    }

    fn show_live(&mut self, words: &[LastWords]) {
        self.words = words.to_vec();
        self.draw_words();
    }
}
