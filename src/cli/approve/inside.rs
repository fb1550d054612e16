//! Gates inside the documents that steps of a run run, named by the steps that lead to them: `Review/Check`.

use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::{DecisionOutcome, Wanted, carry_out, permitted};
use crate::diag::render::visible;
use crate::event::{Decision, GateId};
use crate::history::{History, InnerRun};
use std::path::Path;

/// A run of a document, and the gate in it.
type InnerGate = (InnerRun, GateId);

/// The gates of this name in the runs of documents that items in flight are in, with the name in full. `None` if the name
/// does not lead into a document.
///
/// # Errors
/// A journal is damaged; or the step runs a document, and no item is in it.
pub fn find(history: &History, name: &str) -> anyhow::Result<Option<(String, Vec<InnerGate>)>> {
    let mut found = Vec::new();
    for inner in history.inner_runs(usize::MAX)? {
        let rest = name.strip_prefix(&inner.path).and_then(|rest| rest.strip_prefix('/'));
        let Some(gate) = rest.and_then(|rest| inner.history.gate_called(rest).ok()) else { continue };
        found.push((inner, gate));
    }
    if let Some((inner, gate)) = found.first() {
        return Ok(Some((inner.gated(*gate), found)));
    }
    let outer = name.split_once('/').map(|(outer, _)| outer);
    let leads = outer.is_some_and(|outer| {
        let graph = &history.graph;
        graph.called(outer).iter().any(|id| graph.step(*id).document.is_some())
    });
    match leads {
        true => {
            let message = format!("no item is at `{}`; nothing was recorded", visible(name));
            Err(Stop::new(Exit::Invalid, message).help("orderflow show RUN lists who waits").into())
        }
        false => Ok(None),
    }
}

/// Decides about the items with these keys, or about all that wait now. Returns what came of it, and whether the run is
/// active.
pub fn decide(
    outer: &Path,
    title: &str,
    gates: Vec<InnerGate>,
    keys: &[String],
    decision: &Decision,
    terminal: &mut Terminal,
) -> anyhow::Result<(Vec<DecisionOutcome>, bool)> {
    let refuse = |message: String| {
        let stop = Stop::new(Exit::Invalid, format!("{message}; nothing was recorded"));
        stop.help("orderflow show RUN lists who waits")
    };
    if let Some(key) = keys.iter().find(|key| !gates.iter().any(|(inner, _)| *inner.key == **key)) {
        return Err(refuse(format!("item `{}` is not at `{}`", visible(key), visible(title))).into());
    }
    let mut all = Vec::new();
    for (inner, gate) in gates {
        permitted(&inner.history.graph, gate, decision)?;
        let waits = || anyhow::Ok(inner.waiting()?.iter().any(|one| one.gate == gate));
        if keys.iter().any(|key| **key == *inner.key) || keys.is_empty() && waits()? {
            all.push((inner.home, gate, inner.key));
        }
    }
    if all.is_empty() {
        return Err(refuse(format!("no item waits at the gate of `{}`", visible(title))).into());
    }
    let mut outcome = DecisionOutcome::new(title.to_owned());
    let mut active = false;
    for (home, gate, key) in all {
        // The inner run has one item, with the key of the outer one.
        let wanted = [Wanted { gate, items: Some(vec![key.to_string()]) }];
        let (one, is_active) = carry_out((outer, &home), &wanted, decision, terminal)?;
        active |= is_active;
        for one in one {
            outcome.items.extend(one.items);
            outcome.questions.extend(one.questions);
            outcome.already.extend(one.already);
        }
    }
    outcome.waiting = outcome.items.len();
    Ok((vec![outcome], active))
}
