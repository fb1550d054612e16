//! The gates of an item: since when it waits, or who decided what.

use crate::diag::render::visible;
use crate::event::{Decision, GateId, UnixMillis};
use crate::graph::Graph;
use crate::runtime::clock;
use crate::value::Value;
use serde_json::json;

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
