//! The progress and failures of an active run on standard error.

use super::super::terminal::Terminal;
use super::board::Board;
use super::display::{Display, Style};
use super::{LogFormat, Show, logged};
use crate::adapter::orphans::OrphanReport;
use crate::diag::render::visible;
use crate::engine::{Run, UnavailableAgent, UnavailableAgents};
use crate::event::{
    AttemptEvent, Event, EventKind, Execution, Failure, ItemEvent, ItemId, RunEvent, Status, StepEvent,
    StopReason,
};
use crate::graph::{Graph, StepId};
use crate::runtime::{LastWords, Observer};
use crate::spec::Mark;
use crate::value::words;
use crate::view::causes::Causes;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many failures of one cause are shown one by one at a terminal, and so many with their logs elsewhere.
const OF_A_CAUSE: u64 = 3;

/// How often further ones are shown.
const EVERY: Duration = Duration::from_secs(5);

/// The most lines of a failed agent's log that are shown.
const LOG_LINES: usize = 5;

pub struct Progress {
    graph: Arc<Graph>,
    total: u64,
    style: Style,
    /// Whether events are shown as JSON.
    json: bool,
    display: Display,
    thread: Option<JoinHandle<()>>,
    causes: Causes,
    /// The numbers of failures that are not shown yet, by the place of their cause.
    more: BTreeMap<usize, u64>,
    said: Instant,
    /// The end of the log of each step's last failed attempt, of items in flight.
    logs: HashMap<ItemId, Vec<(StepId, String)>>,
    unavailable: UnavailableAgents,
}

impl Progress {
    pub fn new(graph: Arc<Graph>, total: u64, show: Show, terminal: &Terminal) -> Self {
        let style = match (show.is_quiet(), terminal.watched()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Drawn,
            (false, false) => Style::Lines,
        };
        let (display, thread) = Display::start(Board::new(graph.clone(), total), style);
        Progress {
            graph,
            total,
            style,
            json: show.log_format == LogFormat::Json,
            display,
            thread,
            causes: Causes::default(),
            more: BTreeMap::new(),
            said: Instant::now(),
            logs: HashMap::new(),
            unavailable: UnavailableAgents::default(),
        }
    }

    /// The display, to be hidden while a person is asked; `None` if standard error is not a terminal.
    pub fn display(&self) -> Option<Display> {
        (self.style == Style::Drawn).then(|| self.display.clone())
    }

    /// Observes past events without showing them.
    pub fn past(&mut self) -> Past<'_> {
        Past(self)
    }

    /// Shows as JSON which run begins or continues.
    pub fn began(&self, (run, name): (&str, &str), workflow: &str, document: &str) {
        if self.json {
            let began = json!({
                "at_ms": self.display.board(|board| board.time()), "event": "run-began", "run": run, "name": name,
                "workflow": workflow, "document": document, "items": self.total,
            });
            self.display.say(&logged::text(&began));
        }
    }

    /// Shows a message for people.
    fn say(&self, text: &str) {
        match self.json {
            true => {
                let message = json!({ "event": "message", "text": text.trim_end() });
                self.display.say(&logged::text(&message));
            }
            false => self.display.say(text),
        }
    }

    /// Shows the processes that the last runner left running.
    pub fn orphans(&mut self, report: &OrphanReport) {
        let count = report.ended.len();
        if count > 0 && self.style == Style::Lines {
            let processes = words::count(count, "process");
            self.display.say(&format!("ended {processes} that the last runner had left\n"));
        }
        for pid in &report.unmarked {
            self.say(&format!(
                "warning: the journal names process {pid}, which does not carry this run's mark; it was not ended\n"
            ));
        }
    }

    /// Shows where a run is resumed.
    pub fn resumed(&mut self, run: &Run) {
        let settled = self.display.board(|board| {
            board.continues();
            board.settled()
        });
        if self.style == Style::Lines {
            let total = self.total;
            let again = match run.under_way() {
                0 => String::new(),
                again => format!("; retrying {}", words::count(again, "interrupted attempt")),
            };
            self.display.say(&format!("continuing: {settled} of {total} items done{again}\n"));
        }
    }

    /// Removes the display.
    pub fn finish(mut self) {
        self.display.close(self.thread.take());
    }

    fn failure(&mut self, item: ItemId, execution: &Execution) {
        let key = self.display.board(|board| visible(board.key(item)));
        let graph = self.graph.clone();
        let step = graph.step(execution.step);
        let error = execution.error.as_deref().unwrap_or("");
        let how = if execution.status == Status::Timeout { "" } else { " failed" };
        let optional =
            if step.mark == Some(Mark::Optional) { " (optional step, the item continues)" } else { "" };
        let (title, shown) = (visible(&step.title), visible(error));
        let count = self.count(
            Some(&step.title),
            &key,
            &format!("{how}: {shown}{optional}"),
            execution.code.as_deref(),
        );
        if count > OF_A_CAUSE && self.style == Style::Drawn {
            return self.say_more(false);
        }
        let attempts = match execution.attempt {
            Some(number @ 2..) => format!(" (attempt {number})"),
            _ => String::new(),
        };
        let mut text = format!("{key}: {title}{how}: {shown}{attempts}{optional}\n");
        let known = self.logs.get(&item).filter(|_| count <= OF_A_CAUSE);
        let log = known.and_then(|logs| logs.iter().find(|(id, _)| *id == execution.step));
        let lines: Vec<&str> = log.map(|(_, log)| log.lines().collect()).unwrap_or_default();
        // A log of one line is already in the message.
        let is_shown = matches!(lines[..], [only] if error.ends_with(only));
        let lines = if is_shown { Vec::new() } else { lines };
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            text.push_str(&format!("  | {}\n", visible(line)));
        }
        self.display.say(&text);
    }

    /// Counts a failure; returns how many of its cause there are.
    fn count(&mut self, step: Option<&str>, key: &str, message: &str, code: Option<&str>) -> u64 {
        let place = self.causes.add(step, key, message, code);
        let count = self.causes.get(place).map_or(1, |cause| cause.count);
        if count > OF_A_CAUSE {
            *self.more.entry(place).or_default() += 1;
        }
        count
    }

    /// Shows how many further failures of each cause there were, unless that was shown just now.
    fn say_more(&mut self, last: bool) {
        if self.said.elapsed() < EVERY && !last {
            return;
        }
        self.said = Instant::now();
        for (place, count) in std::mem::take(&mut self.more) {
            let Some(cause) = self.causes.get(place) else { continue };
            let step = cause.step.as_deref().map(visible).unwrap_or_default();
            let items = words::count(count, "more item");
            self.display.say(&format!("{items}: {step}{}\n", cause.message));
        }
    }

    /// Takes note of a failed attempt, by which its agent may be unavailable from now on.
    fn attempt_failed(&mut self, step: StepId, failure: &Failure) {
        let Some(one) = self.unavailable.take(&self.graph, step, failure) else { return };
        let rest = match one.agent {
            UnavailableAgent::Named(_) => "its other steps fail without an attempt",
            UnavailableAgent::Of(_) => "the step fails for other items without an attempt",
        };
        self.display.say(&format!("{}; {rest}\n", visible(&one.why(&self.graph))));
    }

    /// None of its steps has failed, so the reason is shown here.
    fn late(&mut self, item: ItemId) {
        let key = self.display.board(|board| visible(board.key(item)));
        let count = self.count(None, &key, &StopReason::ItemDeadline.to_string(), None);
        match count > OF_A_CAUSE && self.style == Style::Drawn {
            true => self.say_more(false),
            false => self.display.say(&format!("{key}: {}\n", StopReason::ItemDeadline)),
        }
    }
}

/// Counts past events without showing them.
pub struct Past<'p>(&'p mut Progress);

impl Observer for Past<'_> {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        self.0.display.board(|board| board.see(event));
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

impl Observer for Progress {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        if self.json {
            let line = self.display.board(|board| {
                let line = logged::line(event, board, &self.graph);
                board.see(event);
                line
            });
            line.into_iter().for_each(|line| self.display.say(&line));
            return Ok(());
        }
        self.display.board(|board| board.see(event));
        match &event.kind {
            EventKind::Run(RunEvent::Stopped(why)) => {
                let said = why.to_string();
                let said = said.strip_prefix("cancelled: ").unwrap_or(&said);
                let running = self.display.board(|board| board.running());
                self.display.say(&format!("stopping: {said}{}\n", waiting(running, *why)));
            }
            EventKind::Item(item, ItemEvent::Settled { .. }) => drop(self.logs.remove(item)),
            EventKind::Item(item, ItemEvent::DeadlinePassed { .. }) => self.late(*item),
            EventKind::Step(item, StepEvent::Ended(execution)) if execution.status.is_failure() => {
                // Why the agent is unavailable was shown at once.
                if !execution.is_refused() {
                    self.failure(*item, execution);
                }
            }
            EventKind::Attempt(item, step, _, AttemptEvent::Finished(Err(failure))) => {
                self.attempt_failed(step.step, failure);
                let logs = self.logs.entry(*item).or_default();
                logs.retain(|(id, _)| *id != step.step);
                logs.push((step.step, failure.log.clone()));
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    }

    fn warn(&mut self, why: &str) {
        self.say(&format!("warning: {}\n", visible(why)));
    }

    fn room(&self) -> usize {
        self.display.room()
    }

    fn show_live(&mut self, words: &[LastWords]) {
        self.display.board(|board| board.hear(words));
    }
}
