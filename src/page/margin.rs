//! The margin of a step: what happened to it over all items, in a few lines.

use super::collect::code;
use super::data::PageData;
use super::glyphs::glyph;
use crate::event::Status;
use crate::graph::Kind;
use crate::history::State;
use crate::stats::Group;
use crate::value::words;
use crate::view::{count, milliseconds};
use maud::{Markup, html};

/// What is happening at each step now.
#[derive(Clone, Default)]
struct StepNow {
    running: u64,
    /// By the reason of the wait.
    waiting: [u64; 6],
    retried: u64,
    dollars: f64,
}

/// For what steps wait, by its number on the page.
const WAITS: [&str; 6] = [
    "to be retried",
    "for a person",
    "for an event",
    "for the next round",
    "for a free place",
    "in its document",
];

/// The margins of all steps.
pub struct Margins<'a> {
    data: &'a PageData,
    now: Vec<StepNow>,
}

/// A line of a margin.
struct MarginLine {
    icon: &'static str,
    class: &'static str,
    text: String,
}

impl<'a> Margins<'a> {
    pub fn of(data: &'a PageData) -> Margins<'a> {
        let mut now = vec![StepNow::default(); data.steps.len()];
        let (attempts, waits, ends) = (&data.attempts, &data.waits, &data.ends);
        for at in 0..attempts.item.len() {
            if let Some(step) = now.get_mut(attempts.step[at] as usize) {
                step.running += u64::from(attempts.ended[at] < 0);
                step.dollars += attempts.dollars[at];
            }
        }
        for at in (0..waits.item.len()).filter(|at| waits.ended[*at] < 0) {
            if let Some(step) = now.get_mut(waits.step[at] as usize)
                && let Some(waiting) = step.waiting.get_mut(usize::from(waits.why[at]))
            {
                *waiting += 1;
            }
        }
        for at in (0..ends.item.len()).filter(|at| ends.attempts[*at] > 1) {
            if let Some(step) = now.get_mut(ends.step[at] as usize) {
                step.retried += 1;
            }
        }
        Margins { data, now }
    }

    /// The margin of one step.
    pub fn draw(&self, step: usize) -> Markup {
        let Some(known) = self.data.graph.steps.get(step) else { return html! {} };
        let groups = self.data.stats.groups.iter();
        let mut groups = groups.filter(|group| !group.nested);
        let group = groups.find(|group| group.phase().is_some_and(|phase| **phase == *known.phase));
        let now = self.now.get(step).cloned().unwrap_or_default();
        let lines = self.lines(known.kind, group, &now);
        let state = state(group, &now);
        html! {
            div class={ "m m-" (state) } data-margin=(step) role="group" aria-label={ (self.data.steps[step].title) ": what happened" } {
                @for line in lines {
                    p class=(line.class) { @if !line.icon.is_empty() { (glyph(line.icon)) " " } (line.text) }
                }
                @if let Some(group) = group { @if group.count > 1 { (bar(group)) } }
                @if let Some(group) = group { (times(group, &now)) }
                a.open data-open=(step) href={ "#step=" (self.data.steps[step].phase) } { "Details" }
            }
        }
    }

    fn lines(&self, kind: Kind, group: Option<&Group>, now: &StepNow) -> Vec<MarginLine> {
        let mut lines = Vec::new();
        let mut add = |icon, class, text: String| lines.push(MarginLine { icon, class, text });
        let single = self.data.run.single;
        let at = |number: u64, what: &str| {
            if single { what.to_owned() } else { format!("{} {what}", count(number)) }
        };
        let running = now.running.saturating_sub(now.waiting[5]);
        if running > 0 {
            let (icon, what) = if self.data.run.live { ("run", "running") } else { ("stop", "interrupted") };
            add(icon, "b run", at(running, what));
        }
        for (why, waiting) in now.waiting.iter().enumerate().filter(|(_, waiting)| **waiting > 0) {
            let icon = if why == 1 { "person" } else { "wait" };
            let verb = if *waiting == 1 { "waits" } else { "wait" };
            let what = &format!("{verb} {}", WAITS[why]);
            add(icon, "b wait", at(*waiting, what));
        }
        if let Some(group) = group {
            let done = group.done();
            let tried = group.tried();
            let (icon, class, word) = match kind {
                Kind::Compensation => ("comp", "b comp", "compensated"),
                _ => ("ok", "b ok", "succeeded"),
            };
            if done > 0 {
                let text = match (single && done == 1, done == tried) {
                    (true, true) => word.to_owned(),
                    (_, true) => format!("{} {word}", count(done)),
                    _ => format!("{} of {} {word}", count(done), count(tried)),
                };
                add(icon, class, text);
            }
            for (status, word) in [
                (Status::Failed, "failed"),
                (Status::Timeout, "timed out"),
                (Status::CompensationFailed, "failed to compensate"),
            ] {
                let number = group.with(status);
                if number > 0 {
                    add("bad", "b bad", at(number, word));
                }
            }
            let skipped = group.with(Status::Skipped);
            if skipped > 0 {
                add("skip", "dim", at(skipped, "skipped"));
            }
            let cancelled = group.with(Status::Cancelled);
            if cancelled > 0 {
                add("stop", "dim", at(cancelled, "cancelled"));
            }
        }
        if lines.is_empty() {
            let over = !matches!(self.data.run.status, State::Running | State::Paused | State::Waiting);
            let text = match (kind, over) {
                (Kind::Forward, true) => "not reached",
                (Kind::Forward, false) => "not reached yet",
                (Kind::Handler | Kind::Compensation, _) => "not needed",
            };
            lines.push(MarginLine { icon: "none", class: "dim", text: text.to_owned() });
        }
        lines
    }
}

/// The state of a step in one word, the worst first.
fn state(group: Option<&Group>, now: &StepNow) -> &'static str {
    let with = |status| group.is_some_and(|group| group.with(status) > 0);
    if group.is_some_and(|group| group.failed() > 0) {
        "bad"
    } else if now.running > 0 {
        "run"
    } else if now.waiting.iter().any(|waiting| *waiting > 0) {
        "wait"
    } else if with(Status::Compensated) {
        "comp"
    } else if with(Status::Success) {
        "ok"
    } else {
        "none"
    }
}

/// The shares of the ends, as a bar.
fn bar(group: &Group) -> Markup {
    let parts = [
        ("ok", group.with(Status::Success)),
        ("comp", group.with(Status::Compensated)),
        ("stop", group.with(Status::Cancelled)),
        ("bad", group.failed()),
    ];
    let all: u64 = parts.iter().map(|(_, number)| number).sum();
    let mut rects = Vec::new();
    let mut at = 0.0;
    for (name, number) in parts.into_iter().filter(|(_, number)| *number > 0) {
        let wide = number as f64 * 100.0 / all.max(1) as f64;
        rects.push((name, at, wide));
        at += wide;
    }
    html! {
        svg.shares aria-hidden="true" viewBox="0 0 100 4" preserveAspectRatio="none" {
            @for (name, at, wide) in rects {
                rect class={ "f-" (name) } x=(figure(at)) y="0" width=(figure(wide)) height="4" {}
            }
        }
    }
}

fn figure(number: f64) -> String {
    format!("{number:.2}")
}

/// The times, attempts, tokens and costs of a step.
fn times(group: &Group, now: &StepNow) -> Markup {
    let mut parts = Vec::new();
    match (group.count, group.p50_ms, group.p95_ms) {
        (1, Some(time), _) => parts.push(milliseconds(time.0)),
        (_, Some(p50), Some(p95)) => {
            parts.push(format!("p50 {}", milliseconds(p50.0)));
            parts.push(format!("p95 {}", milliseconds(p95.0)));
        }
        _ => {}
    }
    if now.retried > 0 {
        parts.push(format!("{} retried", count(now.retried)));
    }
    if let Some(tokens) = group.tokens_used.filter(|tokens| *tokens > 0) {
        parts.push(words::tokens(tokens));
    }
    if now.dollars > 0.0 {
        parts.push(dollars(now.dollars));
    }
    html! { @if !parts.is_empty() { p.dim { (parts.join(" · ")) } } }
}

/// Two digits after the point, or two that are not zero.
pub fn dollars(amount: f64) -> String {
    let places = if amount >= 0.1 { 2 } else { (1.0 - amount.log10().floor()).clamp(2.0, 8.0) as usize };
    format!("${amount:.places$}")
}

/// The number of a status, for the script.
pub fn statuses() -> Vec<&'static str> {
    let mut names = vec![""; Status::ALL.len()];
    for status in Status::ALL {
        names[usize::from(code(status))] = status.name();
    }
    names
}
