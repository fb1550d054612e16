//! What happened inside the documents that steps ran: the steps of each run within the run, as far as there is room.

use super::data::{PageAwait, PageGate, PageText};
use super::details::{Shown, end_of, lines};
use super::files::FileReader;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{Answer, AttemptEvent, Event, EventKind, ItemEvent, ItemId, Status, StepEvent, StepPath};
use crate::graph::Graph;
use crate::history::History;
use crate::journal;
use crate::journal::logs::{LogFilter, LogReader, UnreadableLogs};
use crate::runtime::{attempt_name, clock, folder_name, nested_home, nested_run};
use anstream::adapter::strip_str;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most runs within runs that are read, and the bytes of what is shown of them.
const RUNS: usize = 300;
const BYTES: usize = 2 << 20;

/// How deep documents are shown within each other.
const DEEPEST: usize = 8;

/// The run of a document within the run.
#[derive(Clone, Serialize)]
pub struct InnerPage {
    /// The path of the document.
    document: String,
    steps: Vec<InnerStep>,
}

/// A step of it, with its last attempt.
#[derive(Clone, Serialize)]
struct InnerStep {
    /// With the steps around it, as in `Check/Lint`.
    title: String,
    /// A status, `running`, `waiting` or `interrupted`.
    state: &'static str,
    attempts: u32,
    /// In milliseconds, -1 if unknown.
    took: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What a person is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    log: String,
}

impl InnerPage {
    /// The end of the log of the step that failed last.
    pub fn log(&self) -> &str {
        let mut failed = self.steps.iter().rev().filter(|step| step.error.is_some() && !step.log.is_empty());
        failed.next().map_or("", |step| &step.log)
    }

    fn size(&self) -> usize {
        let step = |step: &InnerStep| {
            let texts = [&step.error, &step.question].into_iter().flatten().map(String::len).sum::<usize>();
            step.title.len() + step.log.len() + texts + 100
        };
        self.steps.iter().map(step).sum()
    }
}

/// Reads runs within the run at a folder.
pub struct InnerReader<'a> {
    home: &'a Path,
    /// Whether a process runs it.
    live: bool,
    runs: usize,
    bytes: usize,
    /// Runs without room.
    pub left_out: u64,
}

impl<'a> InnerReader<'a> {
    pub fn new(home: &'a Path, live: bool) -> InnerReader<'a> {
        InnerReader { home, live, runs: 0, bytes: 0, left_out: 0 }
    }

    /// The run that an attempt of a step has begun; `None` if it has begun none, or it cannot be read.
    pub fn read(
        &mut self,
        item: (ItemId, &str),
        phase: &str,
        path: StepPath,
        attempt: u32,
    ) -> Option<InnerPage> {
        let home = home_of(self.home, item, phase, path, attempt);
        if !journal::is_there(&home) {
            return None;
        }
        if self.runs >= RUNS || self.bytes >= BYTES {
            self.left_out += 1;
            return None;
        }
        let page = self.steps(&home, 0).ok()?;
        self.bytes += page.size();
        Some(page)
    }

    fn steps(&mut self, home: &Path, deep: usize) -> anyhow::Result<InnerPage> {
        self.runs += 1;
        let history = History::open(home)?;
        let graph = &*history.graph;
        let redactor = Redactor::default().of_values(graph.secrets());
        let mut found = Found { graph, steps: Vec::new(), item: (ItemId(0), "".into()) };
        history.replay(|event| {
            redactor.learn(event);
            found.see(event);
            Ok(())
        })?;
        let Found { mut steps, item, .. } = found;
        // Without its logs, the last lines of failed attempts are there.
        let _ = logs(home, graph, &mut steps);
        let mut all = Vec::new();
        for (path, mut step) in steps {
            let known = graph.step(path.step);
            if step.state == "running" && !self.live {
                step.state = "interrupted";
            }
            for text in
                [step.error.as_mut(), step.question.as_mut(), Some(&mut step.log)].into_iter().flatten()
            {
                redactor.shown_text(item.0, text);
            }
            step.error = step.error.map(|error| visible(&error));
            step.question = step.question.map(|question| lines(&question));
            step.log = lines(&strip_str(end_of(&step.log)).to_string());
            let (attempt, title) = (step.attempts, step.title.clone());
            all.push(step);
            if known.document.is_none() || known.revokes || deep >= DEEPEST || self.runs >= RUNS {
                continue;
            }
            let inner = home_of(home, (item.0, &item.1), &known.phase, path, attempt);
            if journal::is_there(&inner) {
                let inner = self.steps(&inner, deep + 1)?.steps.into_iter();
                all.extend(inner.map(|step| InnerStep { title: format!("{title}/{}", step.title), ..step }));
            }
        }
        Ok(InnerPage { document: visible(&history.header().document.path), steps: all })
    }
}

fn home_of(home: &Path, (item, key): (ItemId, &str), phase: &str, path: StepPath, attempt: u32) -> PathBuf {
    let item = folder_name(item, key);
    match nested_run(home, &item, phase, path.element, attempt) {
        Some(run) => run.home,
        None => nested_home(home, (&item, &attempt_name(phase, path.element, attempt))),
    }
}

/// The steps of a run with one item, in the order in which they began.
struct Found<'a> {
    graph: &'a Graph,
    steps: Vec<(StepPath, InnerStep)>,
    item: (ItemId, Arc<str>),
}

impl Found<'_> {
    fn step(&mut self, path: StepPath) -> &mut InnerStep {
        let at = self.steps.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
            let element = path.element.map(|element| format!("[{element}]")).unwrap_or_default();
            let title = visible(&self.graph.step(path.step).title) + &element;
            let (error, question, log) = (None, None, String::new());
            self.steps.push((
                path,
                InnerStep { title, state: "running", attempts: 0, took: -1.0, error, question, log },
            ));
            self.steps.len() - 1
        });
        &mut self.steps[at].1
    }

    fn see(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => self.item = (*item, key.clone()),
            EventKind::Item(_, ItemEvent::GateReached { gate, question, .. }) => {
                let step = self.graph.steps.iter().position(|step| step.gates.contains(gate));
                if let Some(step) = step {
                    let step = self.step(crate::graph::StepId(step as u32).into());
                    (step.state, step.question) = ("waiting", Some(question.clone()));
                }
            }
            EventKind::Item(_, ItemEvent::Decided { .. } | ItemEvent::GateExpired(_)) => {
                // Its step begins, or the item fails.
                self.steps.retain(|(_, step)| step.question.is_none());
            }
            EventKind::Step(_, StepEvent::AwaitBegan { step, .. }) => {
                self.step((*step).into()).state = "waiting"
            }
            EventKind::Step(_, StepEvent::Ended(execution)) if execution.status != Status::Skipped => {
                let step = self.step(execution.path());
                step.state = execution.status.name();
                step.took = execution.duration_ms.unwrap_or(-1.0);
                step.error = execution.error.clone();
            }
            EventKind::Attempt(_, path, number, change) => self.attempt(*path, *number, change),
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) => {}
        }
    }

    fn attempt(&mut self, path: StepPath, number: u32, change: &AttemptEvent) {
        let step = self.step(path);
        match change {
            AttemptEvent::Started | AttemptEvent::Repeated | AttemptEvent::Continues => {
                (step.state, step.attempts) = ("running", number);
            }
            AttemptEvent::Waits | AttemptEvent::Awaits | AttemptEvent::RetryScheduled { .. } => {
                step.state = "waiting";
            }
            AttemptEvent::Finished(answer) => {
                let answer: &Answer = answer;
                step.error = answer.as_ref().err().map(|failure| failure.message.clone());
                step.log = answer.as_ref().err().map_or_else(String::new, |failure| failure.log.clone());
            }
            AttemptEvent::Stopped(_) | AttemptEvent::RetryDue => {}
        }
    }
}

/// The ends of the stored logs instead of the last lines of failures.
fn logs(home: &Path, graph: &Graph, steps: &mut [(StepPath, InnerStep)]) -> Result<(), UnreadableLogs> {
    let Some(mut reader) = LogReader::open(home)? else { return Ok(()) };
    let mut stored: Vec<String> = vec![String::new(); steps.len()];
    reader.each(&LogFilter::default(), 0, |part| {
        let same = |(path, step): &(StepPath, InnerStep)| {
            let phase = &graph.step(path.step).phase;
            (path.element, step.attempts) == (part.element, part.attempt) && *phase == part.phase
        };
        if let Some(at) = steps.iter().position(same) {
            stored[at].push_str(&part.text);
            if stored[at].len() > BYTES {
                stored[at] = end_of(&stored[at]).to_owned();
            }
        }
        Ok::<(), UnreadableLogs>(())
    })?;
    for ((_, step), log) in steps.iter_mut().zip(stored).filter(|(_, log)| !log.is_empty()) {
        step.log = log;
    }
    Ok(())
}

/// The events that steps of documents wait for; `keys` are those of the items in their order.
///
/// # Errors
/// A journal is damaged.
pub fn awaits(history: &History, keys: &[String], most: usize) -> anyhow::Result<Vec<PageAwait>> {
    let runs = if history.graph.has_inner_events() { history.inner_runs(most)? } else { Vec::new() };
    let all = history.inner_awaits(&runs, None)?.into_iter().filter(|one| !one.stored).map(|one| {
        let outer = one.title.split('/').next().and_then(|phase| history.graph.by_phase(phase));
        let key = visible(&one.key);
        PageAwait {
            item: keys.iter().position(|known| *known == key).map_or(-1, |at| at as i64),
            key,
            step: outer.map_or(0, |step| step.index()),
            title: Some(visible(&one.title)),
            event: visible(&one.event),
            subject: visible(&one.subject),
            since: clock(one.since),
        }
    });
    Ok(all.take(most).collect())
}

/// The gates inside documents at which items wait; `keys` are those of the items in their order.
///
/// # Errors
/// A journal is damaged.
pub fn gates(history: &History, keys: &[String], most: usize) -> anyhow::Result<Vec<PageGate>> {
    let mut all = Vec::new();
    for inner in history.inner_runs(most)? {
        let waiting = inner.waiting()?;
        if waiting.is_empty() {
            continue;
        }
        let graph = &*inner.history.graph;
        let redactor = Redactor::default().of_values(graph.secrets());
        let run = inner.history.fold(|event, _| redactor.learn(event))?;
        let header = inner.history.header();
        let shown =
            Shown { files: FileReader::new(&inner.history), run: &header.run, graph, redactor: &redactor };
        let outer = inner.path.split('/').next().and_then(|phase| history.graph.by_phase(phase));
        let key = visible(&inner.key);
        let item = keys.iter().position(|known| *known == key).map_or(-1, |at| at as i64);
        for one in waiting.into_iter().filter(|one| one.stored.is_none()) {
            let Some(gate) = graph.gate(one.gate) else { continue };
            let mut question = one.question.clone();
            redactor.shown_text(one.item, &mut question);
            let ask = run.ask(one.item, one.gate);
            let given = ask.map(|ask| shown.with_files(one.item, &one.key, &ask.inputs)).unwrap_or_default();
            let until = gate.within.map(|within| clock(one.since.saturating_add(within.as_millis() as u64)));
            all.push(PageGate {
                item,
                key: key.clone(),
                step: outer.map_or(0, |step| step.index()),
                title: visible(&inner.gated(one.gate)),
                question: lines(&question),
                by: gate.by.as_deref().map(visible),
                since: clock(one.since),
                until,
                at: 0,
                ended: None,
                state: "waiting",
                said: None,
                given: given.into_iter().map(|given| PageText { html: None, ..given }).collect(),
                compensated: Vec::new(),
            });
        }
    }
    Ok(all)
}
