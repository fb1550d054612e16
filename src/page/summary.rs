//! A run for a pull request or a job's summary: as Markdown, as JUnit, and as annotations of GitHub. Names and messages
//! are code spans, so that none is a mention, a link or markup.

use super::data::{PageCause, PageData};
use crate::diag::render::visible;
use crate::event::Status;
use crate::graph::StepId;
use crate::stats::Group;
use crate::value::words;
use crate::view::stats::{Report, code, found};
use crate::view::{self, count, milliseconds, outcome};
use quick_junit::{NonSuccessKind, Report as Junit, SerializeError, TestCase, TestCaseStatus, TestSuite};
use std::fmt::Write;
use std::time::Duration;

/// The most keys of a cause, and the most items of a JUnit report.
const KEYS: usize = 5;
const CASES: usize = 10_000;

/// The colours of outcomes in a flowchart, for light and dark pages.
const CLASSES: [(&str, &str); 5] = [
    ("ok", "fill:#dcefe3,stroke:#24704a,color:#123"),
    ("bad", "fill:#f7dbd7,stroke:#b03126,color:#311"),
    ("comp", "fill:#e8dff4,stroke:#68469a,color:#213"),
    ("run", "fill:#dbe7f9,stroke:#2155ad,color:#123"),
    ("none", "fill:#eee,stroke:#999,color:#444"),
];

/// The verdict first, then failures and unmet expectations, the figures, and the flowchart.
pub fn markdown(data: &PageData) -> String {
    let run = &data.run;
    let (sign, word) = verdict(data);
    let mut out = format!("## {sign} {}: {word}\n\n", code(&run.workflow));
    let total = run.counts.total.unwrap_or(data.items.keys.len() as u64);
    let mut facts = vec![format!("{} {}", count(total), words::by_count(total, "item", "items"))];
    facts.push(outcome(&run.counts));
    facts.push(milliseconds(data.stats.run.wall_ms.map_or(run.end as f64, |wall| wall.0)));
    if run.tokens > 0 {
        facts.push(words::tokens(run.tokens));
    }
    facts.extend(run.cost.clone());
    let _ = writeln!(out, "{} · run {}\n", facts.join(" · "), code(&run.name));
    for gate in data.gates.iter().filter(|gate| gate.state == "waiting").take(KEYS) {
        let who = gate.by.as_ref().map(|by| format!(" for {}", code(by))).unwrap_or_default();
        let _ = writeln!(
            out,
            "- waits{who} at the gate of {}: {}",
            code(&gate.title),
            code(&one_line(&gate.question))
        );
    }
    for (channel, why) in data.unpublished.iter().take(KEYS) {
        let _ = writeln!(out, "- an event was not published to {}: {}", code(channel), code(&one_line(why)));
    }
    if !data.causes.is_empty() {
        let failed: u64 = data.causes.iter().map(|cause| cause.count).sum();
        let _ = writeln!(
            out,
            "### {} failed\n\n| items | step | cause | keys |\n| ---: | --- | --- | --- |",
            words::count(failed, "item")
        );
        for cause in &data.causes {
            let keys: Vec<String> = cause.keys.iter().take(KEYS).map(|key| code(key)).collect();
            let more = cause.count.saturating_sub(keys.len() as u64);
            let more = if more > 0 { format!(" and {} more", count(more)) } else { String::new() };
            let keys = keys.join(" ") + &more;
            let cells = [count(cause.count), step(data, cause), code(&why(cause)), keys];
            let _ = writeln!(out, "{}", row(cells));
        }
        out.push('\n');
    }
    let unmet: Vec<_> = data.verdicts.iter().filter(|verdict| verdict.met == Some(false)).collect();
    if !unmet.is_empty() {
        out.push_str("### Expectations that are not met\n\n");
        for verdict in unmet {
            let step = verdict.step.as_deref().map(|step| format!("{}: ", code(step))).unwrap_or_default();
            let _ = writeln!(out, "- {step}{}, found {}", code(&verdict.expectation), found(verdict));
        }
        out.push('\n');
    }
    let mut report = Report { expectations: &data.verdicts, ..Report::of(&data.stats) };
    if let Some(compared) = &data.compared {
        out.push_str(&compared.markdown());
        report = compared.report(report);
    }
    let _ = writeln!(
        out,
        "<details><summary>Figures</summary>\n\n{}\n\n</details>\n",
        report.markdown().trim_end()
    );
    let _ = writeln!(
        out,
        "<details><summary>Steps</summary>\n\n```mermaid\n{}```\n\n</details>",
        flowchart(data)
    );
    out
}

/// A row of a table: bars within cells are part of them.
fn row(cells: [String; 4]) -> String {
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn verdict(data: &PageData) -> (&'static str, &'static str) {
    use crate::history::State;
    match data.run.status {
        State::Running => ("▶", "running"),
        State::Paused => ("⏸", "paused"),
        State::Waiting => ("⏳", "waiting"),
        State::Done => ("✅", "done"),
        State::Unmet => ("❌", "expectations are not met"),
        State::Failed => ("❌", "failed"),
        State::Cancelled => ("⏹", "cancelled"),
    }
}

fn step(data: &PageData, cause: &PageCause) -> String {
    cause
        .step
        .and_then(|step| data.steps.get(step))
        .map_or_else(|| "deadline".to_owned(), |step| code(&step.title))
}

fn why(cause: &PageCause) -> String {
    let code = cause.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
    one_line(&format!("{code}{}", cause.message))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The document's flowchart, each step in the colour of its outcome.
fn flowchart(data: &PageData) -> String {
    let mut out = view::graph::mermaid(&data.graph);
    let mut of: Vec<(&str, Vec<String>)> = CLASSES.iter().map(|(name, _)| (*name, Vec::new())).collect();
    for (index, step) in data.graph.steps.iter().enumerate() {
        let mut groups = data.stats.groups.iter();
        let group =
            groups.find(|group| !group.nested && group.phase().is_some_and(|phase| **phase == *step.phase));
        let running = data.attempts.step.iter().zip(&data.attempts.ended);
        let running = running.into_iter().any(|(step, ended)| *step as usize == index && *ended < 0);
        let name = state(group, running);
        if let Some((_, steps)) = of.iter_mut().find(|(known, _)| *known == name) {
            steps.push(format!("s{}", StepId(index as u32).0));
        }
    }
    for ((name, style), (_, steps)) in CLASSES.iter().zip(&of) {
        if !steps.is_empty() {
            let _ = writeln!(out, "    classDef {name} {style}\n    class {} {name}", steps.join(","));
        }
    }
    out
}

fn state(group: Option<&Group>, running: bool) -> &'static str {
    match group {
        Some(group) if group.failed() > 0 => "bad",
        _ if running => "run",
        Some(group) if group.with(Status::Compensated) > 0 => "comp",
        Some(group) if group.done() > 0 => "ok",
        _ => "none",
    }
}

/// JUnit: the run is a suite, each item a test, and each expectation another.
///
/// # Errors
/// An error of the XML writer.
pub fn junit(data: &PageData) -> Result<String, SerializeError> {
    let mut report = Junit::new("orderflow");
    let mut suite = TestSuite::new(&data.run.workflow);
    // The last state of each item, when it began and when that state began.
    let mut states: Vec<Option<(u8, u64, u64)>> = vec![None; data.items.keys.len()];
    for at in 0..data.items.at.len() {
        let item = usize::try_from(data.items.item[at]).ok();
        if let Some(known) = item.and_then(|item| states.get_mut(item)) {
            let now = data.items.at[at];
            *known = Some((data.items.state[at], known.map_or(now, |(_, begun, _)| begun), now));
        }
    }
    let states = states.into_iter().map(Option::unwrap_or_default);
    for (item, (state, begun, ended)) in states.enumerate().take(CASES) {
        let status = match state {
            1 => TestCaseStatus::success(),
            0 | 3 => TestCaseStatus::skipped(),
            _ => {
                let cause =
                    usize::try_from(data.items.cause[item]).ok().and_then(|cause| data.causes.get(cause));
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                if let Some(cause) = cause {
                    let step = cause
                        .step
                        .and_then(|step| data.steps.get(step))
                        .map_or("deadline", |step| &step.title);
                    status.set_message(format!("{step}: {}", why(cause)));
                    status.set_type(cause.code.clone().unwrap_or_else(|| "failed".to_owned()));
                    status.set_description(cause.log.join("\n"));
                }
                status
            }
        };
        let mut case = TestCase::new(&data.items.keys[item], status);
        case.set_classname(&data.run.path);
        case.set_time(Duration::from_millis(ended.saturating_sub(begun)));
        suite.add_test_case(case);
    }
    for verdict in data.verdicts.iter().filter(|verdict| verdict.met.is_some()) {
        let mut status = TestCaseStatus::success();
        if verdict.met == Some(false) {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("found {}", found(verdict)));
            status.set_type("expectation");
        }
        let step = verdict.step.as_deref().map(|step| format!("{step}: ")).unwrap_or_default();
        let mut case = TestCase::new(visible(&format!("{step}{}", verdict.expectation)), status);
        case.set_classname(&data.run.path);
        suite.add_test_case(case);
    }
    report.add_test_suite(suite);
    report.to_string()
}

/// Annotations of GitHub: an error for each cause and each unmet expectation, at the heading of its step.
pub fn github(data: &PageData) -> String {
    let mut out = String::new();
    let line =
        |step: Option<usize>| step.and_then(|step| data.graph.steps.get(step)).map_or(1, |step| step.line);
    let mut add = |line: usize, title: &str, text: &str| {
        let file = property(&data.run.path);
        let _ = writeln!(out, "::error file={file},line={line},title={}::{}", property(title), escaped(text));
    };
    for cause in &data.causes {
        let title = cause.step.and_then(|step| data.steps.get(step)).map_or("deadline", |step| &step.title);
        let keys = cause.keys.join(", ");
        let more = cause.count.saturating_sub(cause.keys.len() as u64);
        let more = if more > 0 { format!(" and {} more", count(more)) } else { String::new() };
        add(
            line(cause.step),
            &format!("{title} failed for {}", words::count(cause.count, "item")),
            &format!("{} ({keys}{more})", why(cause)),
        );
    }
    for verdict in data.verdicts.iter().filter(|verdict| verdict.met == Some(false)) {
        let of = verdict.step.as_deref();
        let step = data
            .graph
            .steps
            .iter()
            .position(|step| of.is_some_and(|name| name == step.title || name == step.phase));
        let text = format!("{}, found {}", visible(&verdict.expectation), found(verdict));
        add(line(step), &format!("{}: an expectation is not met", visible(of.unwrap_or("the run"))), &text);
    }
    out
}

/// The text of a command of GitHub, and the value of one of its properties.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}
