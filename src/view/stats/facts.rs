//! The facts about a run as a whole, a line each.

use super::super::measure::{about, count, milliseconds, percent};
use crate::stats::{EXACT, Group, LeftOut, RunStats, Stats};
use std::sync::Arc;

/// The most steps of a critical path that are shown.
const STEPS: usize = 10;

/// The run's figures by name; `show` prepares a step's name for display. Without the critical path.
pub(super) fn facts(stats: &Stats, show: &dyn Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let run = &stats.run;
    let slowest = run
        .slowest_step
        .as_ref()
        .map(|slowest| format!("{}, {} on average", show(&slowest.phase), milliseconds(slowest.mean_ms.0)));
    let wall = match (run.wall_ms, run.sequential_ms) {
        (None, _) => Some("unknown: rows do not say when they started".to_owned()),
        (Some(wall), None) => Some(milliseconds(wall.0)),
        (Some(_), Some(_)) => None,
    };
    let lines = [
        ("items", Some(items(run))),
        ("executions", Some(count(run.executions))),
        ("wall time", wall),
        ("work", work(run)),
        ("an item", mean_item(run)),
        ("slowest step", slowest),
        ("tokens", run.tokens_used.map(count)),
        ("percentiles", estimates(&stats.groups)),
    ];
    let mut facts: Vec<_> = lines.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let left_out = missing(run, show).into_iter().chain(decided(run, show));
    facts.splice(1..1, left_out.map(|line| ("left out", line)));
    facts
}

/// The most steps left out by decisions that are named.
const NAMED: usize = 10;

/// A line for each step that did not run because something was missing.
pub fn missing(run: &RunStats, show: &dyn Fn(&str) -> String) -> Vec<String> {
    let missing = |one: &LeftOut| {
        let because = match (one.items, one.because.strip_prefix("needs ")) {
            (Some(several), Some(what)) if several > 1 => format!("need {what}"),
            _ => one.because.clone(),
        };
        let items = one.items.map(|items| count(items) + " ").unwrap_or_default();
        format!("{}: {items}not run, {}", name(one, show), show(&because))
    };
    run.left_out.iter().filter(|one| !one.decided).map(missing).collect()
}

/// The steps that decisions left out, in one line.
pub fn decided(run: &RunStats, show: &dyn Fn(&str) -> String) -> Option<String> {
    let decided: Vec<&LeftOut> = run.left_out.iter().filter(|one| one.decided).collect();
    let more = decided.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{more} more"));
    let named = decided.iter().take(NAMED).map(|one| match one.items {
        Some(items) => format!("{} {}", count(items), name(one, show)),
        None => name(one, show),
    });
    let named: Vec<String> = named.chain(more).collect();
    (!named.is_empty()).then(|| format!("by decisions: {}", named.join(", ")))
}

fn name(one: &LeftOut, show: &dyn Fn(&str) -> String) -> String {
    let critical = if one.critical { " (critical)" } else { "" };
    format!("{}{critical}", show(&one.phase))
}

/// A note on the error of estimated percentiles; `None` if all are exact.
fn estimates(groups: &[Group]) -> Option<String> {
    let error = groups.iter().map(|group| group.percentile_error.0).fold(0.0, f64::max);
    let (sign, error, exact) = (about(""), percent(error), count(EXACT as u64));
    (error != percent(0.0)).then(|| {
        format!("{sign} is at most {error} too high; up to {exact} executions of a group they are exact")
    })
}

/// The time of all executions, the wall time, and the time that parallel steps have saved.
fn work(run: &RunStats) -> Option<String> {
    let work = run.sequential_ms?;
    let mut text = milliseconds(work.0);
    if let Some(wall) = run.wall_ms {
        text.push_str(&format!(" in {} of wall time", milliseconds(wall.0)));
        // Waits between attempts are no work.
        if wall.0 > 0.0 && work.0 / wall.0 >= 0.05 {
            text.push_str(&format!(" ({:.1} at once)", work.0 / wall.0));
        }
    }
    if let Some(saved) = run.saved_ms.filter(|saved| saved.0 > 0.0) {
        let each = run.items.map(|items| items.saturating_add(run.in_flight.unwrap_or(0)));
        let each = each.filter(|items| *items > 0);
        let (saved, of) = each.map_or((saved.0, "in all"), |items| (saved.0 / items as f64, "an item"));
        text.push_str(&format!("; parallel steps saved {} {of}", milliseconds(saved)));
    }
    Some(text)
}

/// The critical path's steps, prepared for display: of a long one the first and the last.
pub(super) fn path(run: &RunStats, show: &dyn Fn(&str) -> String) -> Option<Vec<String>> {
    let path = run.critical_path.as_ref()?;
    let shown = |steps: &[Arc<str>]| steps.iter().map(|phase| show(phase)).collect::<Vec<_>>();
    if path.len() <= STEPS {
        return Some(shown(path));
    }
    let (first, last) = (&path[..STEPS / 2], &path[path.len() - (STEPS / 2 - 1)..]);
    let more = format!("… {} more …", count((path.len() - first.len() - last.len()) as u64));
    Some([shown(first), vec![more], shown(last)].concat())
}

fn mean_item(run: &RunStats) -> Option<String> {
    let all = run.mean_item_ms?;
    let succeeded = run.mean_succeeded_item_ms.filter(|succeeded| *succeeded != all);
    let succeeded = succeeded.map(|mean| format!("; {} where it succeeded", milliseconds(mean.0)));
    Some(format!("{} on average{}", milliseconds(all.0), succeeded.unwrap_or_default()))
}

fn items(run: &RunStats) -> String {
    let Some(items) = run.items else {
        return "unknown: rows do not say to which item they belong".to_owned();
    };
    let states = run.items_by_status.iter().flatten();
    let states = states.map(|(state, number)| format!("{} {}", count(*number), state.name()));
    let in_flight = run.in_flight.map(|items| format!("{} in flight", count(items)));
    let left = run.not_started.map(|left| format!("{} not started", count(left)));
    let states: Vec<_> = states.chain(in_flight).chain(left).collect();
    let ended = if run.in_flight.is_some() { " ended" } else { "" };
    if states.is_empty() { count(items) } else { format!("{}{ended}: {}", count(items), states.join(", ")) }
}
