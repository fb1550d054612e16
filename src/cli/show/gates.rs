//! The gates of an item: since when it waits, or who decided what.

use super::super::run::{AskedItem, GateQueue};
use crate::diag::render::visible;
use crate::event::{Decision, GateId, UnixMillis};
use crate::graph::Graph;
use crate::history::{Waiting, is_late};
use crate::runtime::clock;
use crate::value::{Value, words};
use serde_json::json;
use std::collections::BTreeMap;

/// The lines of a run about gates: who waits, and the command that approves exactly them; what is decided already and
/// counts once the run continues; whose time has passed.
pub(super) fn lines(waiting: &[Waiting], graph: &Graph, run: &str, now: UnixMillis) -> Vec<String> {
    let mut out = Vec::new();
    let resume = format!("continue with orderflow resume {}", visible(run));
    let mut gates: BTreeMap<GateId, Vec<&Waiting>> = BTreeMap::new();
    waiting.iter().for_each(|one| gates.entry(one.gate).or_default().push(one));
    for (id, all) in gates {
        let Some(gate) = graph.gate(id) else { continue };
        let title = visible(&graph.gated(gate));
        let late = |one: &&Waiting| one.stored.is_none() && is_late(one, gate.within, now);
        let stored: Vec<&&Waiting> = all.iter().filter(|one| one.stored.is_some()).collect();
        if let Some(decision) = stored.first().and_then(|one| one.stored.as_ref()) {
            let (said, many) = (visible(&decision.said()), words::count(stored.len(), "item"));
            out.push(format!("{:<10} the gate of {title} is {said}, for {many}: {resume}\n", "stored"));
        }
        let passed = all.iter().copied().filter(late).count();
        if passed > 0 {
            let many = words::count(passed, "item");
            out.push(format!(
                "{:<10} no longer at the gate of {title}: the time of {many} has passed; {resume}\n",
                "waits"
            ));
        }
        let open = all.iter().copied().filter(|one| one.stored.is_none() && !late(one));
        let open: Vec<AskedItem> =
            open.map(|one| AskedItem::new(one.item, &one.key, one.question.clone())).collect();
        if !open.is_empty() {
            let lines = GateQueue::new(gate, graph, open).lines(run).into_iter();
            out.extend(lines.map(|line| format!("{:<10} {line}\n", "waits")));
        }
    }
    out
}

/// A gate that the item has reached.
pub(super) struct StoryGate {
    pub gate: GateId,
    pub question: String,
    pub since: UnixMillis,
    /// `Some(None)` if the time to decide passed.
    pub outcome: Option<Option<Decision>>,
}

impl StoryGate {
    fn title(&self, graph: &Graph) -> String {
        graph.gate(self.gate).map(|gate| graph.gated(gate)).unwrap_or_default()
    }

    pub fn json(&self, graph: &Graph) -> Value {
        let decision = self.outcome.as_ref().and_then(Option::as_ref);
        let state = match &self.outcome {
            None => "waiting",
            Some(Some(decision)) => decision.verb(),
            Some(None) => "expired",
        };
        json!({
            "step": self.title(graph),
            "question": self.question,
            "since": clock(self.since),
            "state": state,
            "by": decision.map(|decision| &decision.by),
            "note": decision.and_then(|decision| decision.note.as_ref()),
            "at": decision.map(|decision| clock(decision.at)),
        })
    }

    pub fn text(&self, out: &mut String, graph: &Graph) {
        let title = visible(&self.title(graph));
        let how = match &self.outcome {
            None => format!("waits since {}: {}", clock(self.since), visible(&self.question)),
            Some(Some(decision)) => format!("{} at {}", visible(&decision.said()), clock(decision.at)),
            Some(None) => format!("no decision in time; it waited since {}", clock(self.since)),
        };
        out.push_str(&format!("  gate of {title}: {}\n", how.trim_end_matches(": ")));
    }
}
