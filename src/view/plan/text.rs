//! A plan as a page for people.

use super::missing::missing;
use super::{Doer, Given, Name, replaced};
use crate::adapter::workfolder::WorkFolder;
use crate::diag::render::visible;
use crate::graph::{Graph, Step, StepId};
use crate::spec::{Backoff, OnItemError, Retry, Tolerance};
use crate::value::words;
use crate::view::decisions;
use crate::view::graph::{often, sign};
use crate::view::stages;
use crate::view::table::{pairs, table};
use anstyle::Style;
use std::fmt::Write;

const BOLD: Style = Style::new().bold();

/// The page, with styles for a terminal. `doers` are by step; `width` is the terminal's, in columns.
pub fn text(graph: &Graph, doers: &[Doer], given: &[Given], width: Option<usize>) -> String {
    let mut out = format!("{BOLD}{}{BOLD:#}\n\n", visible(&graph.title));
    out += &pairs(facts(graph), width);
    let stages = stages(graph);
    let staged = stages.iter().enumerate();
    let staged = staged.flat_map(|(at, stage)| stage.iter().map(move |id| ((at + 1).to_string(), *id)));
    let late = graph.compensations().chain(graph.handlers());
    let after = |id: StepId| if graph.step(id).once { "last" } else { "failed" };
    let steps = staged.chain(late.map(|id| (after(id).to_owned(), id)));
    let doer = |id: StepId| doers.get(id.index()).unwrap_or(&Doer::Missing);
    let rows = steps.map(|(stage, id)| row(graph, stage, id, doer(id)));
    out += "\n";
    out += &table(&["stage", "step", "agent", "channel", "state", "limits", "done by"], rows, width);
    out += &decided(graph, width);
    out += &waits(graph, width);
    out += &events(graph, width);
    out += &repeats(graph, width);
    out += &may_not_run(graph, width);
    out += "\nThe steps of one stage are parallel.";
    if graph.compensations().next().is_some() {
        out += " Compensations run for failed items.";
    }
    if graph.handlers().any(|id| !graph.step(id).once) {
        out += " Those of stage failed run once for each failed item.";
    }
    if graph.handlers().any(|id| graph.step(id).once) {
        out += " Those of stage last run once after all items.";
    }
    out += "\n";
    out += &gets(given, width);
    out += &open(graph, doers, given);
    out
}

/// The decisions and conditions; empty without any.
fn decided(graph: &Graph, width: Option<usize>) -> String {
    let mut rows = Vec::new();
    for step in &graph.steps {
        let title = visible(&step.title);
        rows.extend(decisions::when(step).map(|when| vec![title.clone(), when, "it runs".to_owned()]));
        for (at, arm) in
            decisions::texts(graph, step).into_iter().flat_map(|arms| arms.into_iter().enumerate())
        {
            let title = if at == 0 { title.clone() } else { String::new() };
            rows.push(vec![title, arm.condition.unwrap_or("otherwise".to_owned()), arm.target]);
        }
    }
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&["step", "if", "then"], rows, width)) }
}

/// The gates; empty without any.
fn waits(graph: &Graph, width: Option<usize>) -> String {
    let rows: Vec<Vec<String>> = graph
        .gates
        .iter()
        .map(|gate| {
            let by = gate.by.as_ref().map_or("anyone".to_owned(), |by| format!("@{}", visible(by)));
            let within = gate.within.map(words::duration).unwrap_or_default();
            vec![visible(&graph.gated(gate)), visible(&gate.question.text()), by, within]
        })
        .collect();
    let header = ["waits before", "for a person to decide", "by", "within"];
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&header, rows, width)) }
}

/// The events that steps wait for and publish; empty without any.
fn events(graph: &Graph, width: Option<usize>) -> String {
    let mut rows = Vec::new();
    for step in &graph.steps {
        let title = || visible(&step.title);
        let waits =
            |awaits: &crate::graph::Await| vec![title(), "waits for".to_owned(), visible(&awaits.text())];
        rows.extend(step.awaits.as_ref().map(waits));
        rows.extend(step.emits.iter().map(|event| vec![title(), "publishes".to_owned(), visible(event)]));
        let inside = |what: &str, event: &str| vec![title(), format!("{what} inside"), visible(event)];
        rows.extend(step.inside.awaits.iter().map(|awaits| inside("waits", &awaits.event)));
        rows.extend(step.inside.emits.iter().map(|event| inside("publishes", event)));
    }
    let header = ["step", "", "event"];
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&header, rows, width)) }
}

/// The loops; empty without any.
fn repeats(graph: &Graph, width: Option<usize>) -> String {
    let active = graph.repeats.iter().filter(|repeat| !repeat.steps.is_empty());
    let rows: Vec<Vec<String>> = active
        .map(|repeat| {
            let every = repeat.every.map(words::duration).unwrap_or_default();
            let until = visible(repeat.until.condition.text.trim());
            vec![visible(&graph.repeated(repeat)), until, format!("{} rounds", repeat.most), every]
        })
        .collect();
    let header = ["repeats", "until", "at most", "every"];
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&header, rows, width)) }
}

/// Steps that may not run because a value may be absent; empty without any.
fn may_not_run(graph: &Graph, width: Option<usize>) -> String {
    let all = missing(graph);
    let rows: Vec<Vec<String>> = graph
        .order
        .iter()
        .flat_map(|id| all[id.index()].iter().map(move |one| (graph.step(*id), one)))
        .map(|(step, one)| vec![titled(step), visible(&one.value), one.because.clone()])
        .collect();
    let header = ["may not run", "needs", "but"];
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&header, rows, width)) }
}

/// A title with its mark.
fn titled(step: &Step) -> String {
    let mark = step.mark.map(|mark| format!(" {}", sign(mark))).unwrap_or_default();
    format!("{}{mark}", visible(&step.title))
}

/// Which agents get which variables and secrets; empty if none does.
fn gets(given: &[Given], width: Option<usize>) -> String {
    if given.is_empty() {
        return String::new();
    }
    let name = |name: &Name| format!("{}{}", visible(&name.name), if name.set { "" } else { " (unset)" });
    let names = |names: &[Name]| names.iter().map(name).collect::<Vec<_>>().join(", ");
    let row = |given: &Given| {
        vec![visible(given.agent.as_deref().unwrap_or("-")), names(&given.env), names(&given.secrets)]
    };
    format!("\n{}\n", table(&["agent", "environment", "secrets"], given.iter().map(row), width))
}

/// The settings of the whole run.
fn facts(graph: &Graph) -> Vec<(&'static str, String)> {
    let settings = &graph.settings;
    let input = |id: &crate::graph::ValueId| {
        let value = graph.value(*id);
        let ty = value.ty.as_ref().map(|ty| format!("::{ty}")).unwrap_or_default();
        visible(&format!("{}{ty}", value.name))
    };
    let inputs: Vec<String> = graph.inputs.iter().map(input).collect();
    let inputs = if inputs.is_empty() { "none".to_owned() } else { inputs.join(", ") };
    let items = match &settings.items {
        Some(items) => visible(items),
        None => "one, from --input, or many, from --items".to_owned(),
    };
    let tolerate = match settings.tolerate {
        Tolerance::Percent(0.0) | Tolerance::Count(0) => "no item may fail".to_owned(),
        Tolerance::Percent(percent) => format!("{percent}% of the items may fail"),
        Tolerance::Count(count) => format!("{count} of the items may fail"),
    };
    let rule = match settings.on_item_error {
        OnItemError::Stop => "a failed item stops the others",
        OnItemError::Drain => "after a failed item no further one starts",
        OnItemError::Continue => "a failed item does not stop the others",
    };
    let key = settings.key.iter().map(|key| ("key", visible(key)));
    let jobs = settings.jobs.map_or("CPUs + 2".to_owned(), |jobs| jobs.to_string());
    let jobs = ("jobs", format!("{jobs} steps at a time"));
    let deadline =
        settings.deadline.iter().map(|most| ("deadline", format!("{} an item", words::duration(*most))));
    let item = settings.budget.map(|budget| format!("{budget} an item"));
    let run = settings.run_budget.map(|budget| format!("{budget} the run"));
    let budgets: Vec<String> = item.into_iter().chain(run).collect();
    let budget = (!budgets.is_empty()).then(|| ("budget", budgets.join(", ")));
    let rest = key.chain([jobs]).chain(deadline).chain(budget);
    [("inputs", inputs), ("items", items), ("failures", format!("{tolerate}; {rule}"))]
        .into_iter()
        .chain(rest)
        .collect()
}

/// The front matter's word for it.
pub(super) fn rule(rule: OnItemError) -> &'static str {
    match rule {
        OnItemError::Stop => "stop",
        OnItemError::Drain => "drain",
        OnItemError::Continue => "continue",
    }
}

fn row(graph: &Graph, stage: String, id: StepId, doer: &Doer) -> Vec<String> {
    let step = graph.step(id);
    let text = |text: &Option<String>| visible(text.as_deref().unwrap_or("-"));
    let title = titled(step);
    let state = decisions::state(graph, step).unwrap_or_default();
    vec![stage, title, text(&step.agent), text(&step.channel), state, limits(graph, id), by(doer)]
}

/// What runs a step, in words.
pub fn by(doer: &Doer) -> String {
    match doer {
        Doer::Command(command) => visible(&command.join(" ")),
        Doer::Worker { command, processes } => {
            let several = if *processes > 1 { format!(" ×{processes}") } else { String::new() };
            format!("worker{several}: {}", visible(&command.join(" ")))
        }
        Doer::Container { image, command, network } => {
            let network = if *network { " with network" } else { "" };
            let command = if command.is_empty() { String::new() } else { format!(": {}", command.join(" ")) };
            visible(&format!("container {image}{network}{command}"))
        }
        Doer::Http { url, start } if start.is_empty() => visible(url),
        Doer::Http { url, start } => format!("{}, started by {}", visible(url), visible(&start.join(" "))),
        Doer::Mcp { server, tool } => {
            let tool = tool.as_ref().map(|tool| format!(" {tool}")).unwrap_or_default();
            visible(&format!("tool{tool} of {server}"))
        }
        Doer::Model { name, url, priced } => {
            let price = if *priced { "" } else { ", unpriced" };
            format!("model {} at {}{price}", visible(name), visible(url))
        }
        Doer::Coder { command, headless, work, allow } => {
            let headless = if *headless { ", headless" } else { "" };
            let work = match work {
                WorkFolder::Shared => "",
                WorkFolder::Copy => ", in a copy",
                WorkFolder::Worktree => ", in a worktree",
            };
            let allow = if allow.is_empty() { String::new() } else { format!(", may {}", allow.join(", ")) };
            format!("coding agent: {}{headless}{work}{allow}", visible(&command.join(" ")))
        }
        Doer::Fence { language, line, granted } => {
            let grant = if *granted { "" } else { ", needs a grant" };
            format!("{} program at line {line}{grant}", visible(language))
        }
        Doer::Document(path) => format!("document {}", visible(path)),
        Doer::Missing => "unbound".to_owned(),
    }
}

fn limits(graph: &Graph, id: StepId) -> String {
    let step = graph.step(id);
    let often = often(graph, step);
    let retry = step.retry.map(retry);
    let timeout = step.timeout.map(|most| format!("timeout {}", words::duration(most)));
    let deadline = step.deadline.map(|most| format!("deadline {}", words::duration(most)));
    let budget = step.budget.map(|budget| format!("budget {budget}"));
    let groups = graph.around(id).map(|group| &graph.groups[group]).filter_map(|group| {
        let budget = group.budget?;
        Some(format!("budget of {}: {budget}", visible(&group.title)))
    });
    let limits = often.into_iter().chain(retry).chain(timeout).chain(deadline).chain(budget).chain(groups);
    limits.collect::<Vec<_>>().join(", ")
}

fn retry(retry: Retry) -> String {
    let backoff = match retry.backoff {
        usual if usual == Backoff::default() => String::new(),
        Backoff::Fixed(pause) => format!(" fixed {}", words::duration(pause)),
        Backoff::Exponential { first, most } => {
            format!(" exponential {}..{}", words::duration(first), words::duration(most))
        }
    };
    format!("retry {}{backoff}", retry.retries)
}

/// What is missing before the workflow can run.
fn open(graph: &Graph, doers: &[Doer], given: &[Given]) -> String {
    let mut out = String::new();
    let nobody = doers.iter().filter(|doer| **doer == Doer::Missing).count();
    if nobody > 0 {
        let _ = writeln!(
            out,
            "{nobody} of the {} steps have no agent or program yet: bind agents in orderflow.toml, or add program fences.",
            graph.steps.len()
        );
    }
    if doers.iter().any(|doer| matches!(doer, Doer::Fence { granted: false, .. })) {
        out += "Programs of the document run only after orderflow trust, with --trust, or with fences = true in orderflow.toml.\n";
    }
    for (step, doer) in graph.steps.iter().zip(doers) {
        if let (Some(language), Some(agent)) = (replaced(step, doer), &step.agent) {
            let (title, language, agent) = (visible(&step.title), visible(language), visible(agent));
            let _ =
                writeln!(out, "The {language} program of {title} is not used: orderflow.toml binds {agent}.");
        }
    }
    if given.iter().flat_map(|given| &given.secrets).any(|name| !name.set) {
        out += "Nothing runs before all secrets are there.\n";
    }
    out
}
