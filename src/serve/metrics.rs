//! Figures of all stored runs in the text form of Prometheus. What a journal comes to is computed once.

use crate::event::{EventKind, Status, StepEvent};
use crate::history::{Counts, History, State};
use crate::journal::{self, Lock};
use crate::value::budget::Spent;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The upper bounds of the histogram of durations, in seconds.
const BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

/// The state of a run whose journal cannot be read.
const UNREADABLE: &str = "unreadable";

/// The figures of one run.
struct RunFigures {
    workflow: String,
    state: &'static str,
    counts: Option<Counts>,
    spent: Spent,
    steps: BTreeMap<String, StepFigures>,
}

/// The executions of a step.
#[derive(Clone, Default)]
struct StepFigures {
    by_status: BTreeMap<Status, u64>,
    /// How many took no longer than each bound, and longer than the one before.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// The end of a journal, and whether a process runs the run: what its figures depend on.
type Tip = ((i64, String), bool);

/// The figures that are known.
#[derive(Default)]
pub struct Metrics {
    known: Mutex<HashMap<PathBuf, (Tip, Arc<RunFigures>)>>,
}

impl Metrics {
    /// The figures of these runs as text.
    pub fn text(&self, homes: &[PathBuf]) -> String {
        let all: Vec<Arc<RunFigures>> = homes.iter().map(|home| self.of(home)).collect();
        let current: HashSet<&PathBuf> = homes.iter().collect();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|home, _| current.contains(home));
        written(&all)
    }

    fn of(&self, home: &Path) -> Arc<RunFigures> {
        let read = || -> anyhow::Result<Arc<RunFigures>> {
            let held = Lock::is_held(home)?;
            let (header, records) = journal::read(home)?;
            let tip = (records.tip()?, held);
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(home).cloned();
            if let Some((_, figures)) = known.filter(|(known, _)| *known == tip) {
                return Ok(figures);
            }
            let figures = Arc::new(RunFigures::of(&History::of(home, header, records)?, held)?);
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(home.to_owned(), (tip, figures.clone()));
            Ok(figures)
        };
        read().unwrap_or_else(|_| Arc::new(RunFigures::unreadable()))
    }
}

impl RunFigures {
    fn of(history: &History, held: bool) -> anyhow::Result<RunFigures> {
        let (outline, basis) = (history.outline()?, history.basis());
        let mut steps: BTreeMap<String, StepFigures> = BTreeMap::new();
        history.replay(|event| {
            if let EventKind::Step(_, StepEvent::Ended(execution)) = &event.kind {
                let step = steps.entry(history.graph.step(execution.step).title.clone()).or_default();
                *step.by_status.entry(execution.status).or_default() += 1;
                // One without an attempt has no time.
                if execution.attempt.is_some() {
                    step.took(execution.duration_ms.unwrap_or(0.0) / 1000.0);
                }
            }
            Ok(())
        })?;
        Ok(RunFigures {
            workflow: history.graph.title.clone(),
            state: outline.state(basis, held).name(),
            counts: Some(outline.counts(basis)),
            spent: history.spent()?,
            steps,
        })
    }

    fn unreadable() -> RunFigures {
        let (workflow, spent, steps) = Default::default();
        RunFigures { workflow, state: UNREADABLE, counts: None, spent, steps }
    }
}

impl StepFigures {
    fn took(&mut self, seconds: f64) {
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }

    fn add(&mut self, other: &StepFigures) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.buckets.iter_mut().zip(other.buckets).for_each(|(all, one)| *all += one);
        self.count += other.count;
        self.seconds += other.seconds;
    }
}

/// The sums over all runs of each workflow.
fn written(all: &[Arc<RunFigures>]) -> String {
    let mut runs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut items: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut spent: BTreeMap<&str, Spent> = BTreeMap::new();
    let mut steps: BTreeMap<(&str, &str), StepFigures> = BTreeMap::new();
    for one in all {
        let workflow = one.workflow.as_str();
        if one.state != UNREADABLE {
            State::ALL.iter().for_each(|state| *runs.entry((workflow, state.name())).or_default() += 0);
        }
        *runs.entry((workflow, one.state)).or_default() += 1;
        for (state, count) in one.counts.iter().flat_map(states) {
            *items.entry((workflow, state)).or_default() += count;
        }
        spent.entry(workflow).or_default().add(one.spent);
        for (step, figures) in &one.steps {
            steps.entry((workflow, step)).or_default().add(figures);
        }
    }
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, lines: Vec<String>| {
        let _ = writeln!(out, "# HELP orderflow_{name} {help}\n# TYPE orderflow_{name} {kind}");
        lines.iter().for_each(|line| out.push_str(line));
    };
    let of = |name: &str, label: &str, all: &BTreeMap<(&str, &str), u64>| {
        let line = |((workflow, value), count): (&(&str, &str), &u64)| {
            let labels = [("workflow", *workflow), (label, *value)];
            format!("orderflow_{name}{} {count}\n", labelled(&labels))
        };
        all.iter().map(line).collect::<Vec<String>>()
    };
    family("runs", "gauge", "Stored runs.", of("runs", "state", &runs));
    family("items", "gauge", "Items of stored runs.", of("items", "state", &items));
    let tokens = spent.iter().map(|(workflow, spent)| {
        format!("orderflow_tokens{} {}\n", labelled(&[("workflow", workflow)]), spent.tokens)
    });
    family("tokens", "gauge", "Tokens that stored runs have used.", tokens.collect());
    let costs = spent.iter().filter_map(|(workflow, spent)| {
        let dollars = spent.json()["usd"].as_f64()?;
        Some(format!("orderflow_cost_usd{} {dollars}\n", labelled(&[("workflow", workflow)])))
    });
    family("cost_usd", "gauge", "What stored runs have cost, in US dollars.", costs.collect());
    let executions = steps.iter().flat_map(|((workflow, step), figures)| {
        figures.by_status.iter().map(move |(status, count)| {
            let labels = [("workflow", *workflow), ("step", *step), ("status", status.name())];
            format!("orderflow_executions{} {count}\n", labelled(&labels))
        })
    });
    family("executions", "gauge", "Executions of steps in stored runs.", executions.collect());
    let times = steps.iter().map(|((workflow, step), figures)| histogram(workflow, step, figures));
    let help = "The time of the last attempt of each execution.";
    family("step_duration_seconds", "histogram", help, times.collect());
    out
}

fn histogram(workflow: &str, step: &str, figures: &StepFigures) -> String {
    let mut out = String::new();
    let mut sum = 0;
    let labels = [("workflow", workflow), ("step", step)];
    let mut bucket = |bound: &str, count: u64| {
        let labels = labelled(&[labels[0], labels[1], ("le", bound)]);
        let _ = writeln!(out, "orderflow_step_duration_seconds_bucket{labels} {count}");
    };
    for (bound, count) in BOUNDS.iter().zip(figures.buckets) {
        sum += count;
        bucket(&bound.to_string(), sum);
    }
    bucket("+Inf", figures.count);
    let labels = labelled(&labels);
    let _ = writeln!(out, "orderflow_step_duration_seconds_sum{labels} {}", figures.seconds);
    let _ = writeln!(out, "orderflow_step_duration_seconds_count{labels} {}", figures.count);
    out
}

/// The states of items; those in flight are in exactly one of the last three.
fn states(counts: &Counts) -> [(&'static str, u64); 9] {
    let rest = counts.in_flight.saturating_sub(counts.waiting).saturating_sub(counts.awaiting);
    [
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
        ("compensated", counts.compensated),
        ("compensation_failed", counts.compensation_failed),
        ("cancelled", counts.cancelled),
        ("not_started", counts.not_started.unwrap_or(0)),
        ("in_flight", rest),
        ("waiting", counts.waiting),
        ("awaiting", counts.awaiting),
    ]
}

/// `{workflow="…",step="…"}`.
fn labelled(labels: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", labels.join(","))
}
