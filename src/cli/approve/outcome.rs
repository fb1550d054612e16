//! What came of a decision about gates, as text and as JSON.

use crate::diag::render::visible;
use crate::event::{Decision, GateId, ItemId};
use crate::graph::Graph;
use crate::history::GateLog;
use crate::runtime::clock;
use crate::value::words;
use serde_json::{Value, json};

/// The most questions that are shown.
const QUESTIONS: usize = 10;

/// What came of the decision about one gate.
pub(super) struct DecisionOutcome {
    /// What the gate is before.
    pub title: String,
    /// The keys of items that it decided about; for all items, how many of them wait.
    pub items: Vec<String>,
    pub all: bool,
    pub waiting: usize,
    /// How many waited until their time had passed.
    pub late: usize,
    /// How many have a decision that counts once the run continues.
    pub stored: usize,
    /// What was asked about the items, by key, where that depends on the item.
    pub questions: Vec<(String, String)>,
    /// Earlier decisions that stay, by item; `None` as a key for all items, as a decision for a time that passed.
    pub already: Vec<(Option<String>, Option<Decision>)>,
}

/// The decision and what came of it at each gate, as JSON.
pub(super) fn outcomes_json(all: &[DecisionOutcome], decision: &Decision, run: &str) -> Value {
    json!({
        "run": run,
        "approved": decision.approved,
        "by": decision.by,
        "note": decision.note,
        "at": clock(decision.at),
        "gates": all.iter().map(DecisionOutcome::json).collect::<Vec<Value>>(),
    })
}

impl DecisionOutcome {
    /// Whether the run continues by what is stored.
    pub fn continues(&self) -> bool {
        match self.all {
            true => self.stored > 0 || self.already.is_empty() && self.waiting + self.late > 0,
            false => !self.items.is_empty(),
        }
    }

    pub fn new(title: String) -> DecisionOutcome {
        let (items, questions, already) = Default::default();
        DecisionOutcome { title, items, all: false, waiting: 0, late: 0, stored: 0, questions, already }
    }

    /// Takes note of what was asked about an item, if it depends on the item.
    pub fn asked(&mut self, graph: &Graph, log: &GateLog, item: ItemId, gate: GateId) {
        let written = graph.gate(gate).map(|gate| gate.question.text());
        let question = log.question(item, gate).filter(|asked| Some(*asked) != written.as_deref());
        if let Some(question) = question.filter(|_| self.questions.len() < QUESTIONS) {
            let key = log.key(item).map_or("run", |key| key);
            self.questions.push((key.to_owned(), question.to_owned()));
        }
    }

    fn json(&self) -> Value {
        let already = self.already.iter().map(|(item, found)| {
            json!({
                "item": item,
                "approved": found.as_ref().map(|found| found.approved),
                "by": found.as_ref().map(|found| &found.by),
                "note": found.as_ref().and_then(|found| found.note.as_ref()),
                "at": found.as_ref().map(|found| clock(found.at)),
            })
        });
        json!({
            "step": self.title,
            "items": (!self.all).then_some(&self.items),
            "waiting": self.waiting,
            "questions": self.questions.iter().map(|(item, text)| json!({"item": item, "question": text})).collect::<Vec<_>>(),
            "already": already.collect::<Vec<_>>(),
        })
    }

    pub fn text(&self, decision: &Decision) -> String {
        let (title, verb) = (visible(&self.title), decision.verb());
        let mut text = String::new();
        match (self.all, self.items.as_slice()) {
            (true, _) if self.already.is_empty() => {
                let now = match self.waiting {
                    0 => "none waits now".to_owned(),
                    1 => "1 waits now".to_owned(),
                    more => format!("{more} wait now"),
                };
                text.push_str(&format!("{verb} {title} for all items; {now}\n"));
                if self.late > 0 {
                    let late = words::count(self.late, "item");
                    text.push_str(&format!("  too late for {late}: the time to decide has passed\n"));
                }
            }
            (false, [only]) => text.push_str(&format!("{verb} {title} for {}\n", visible(only))),
            (false, [_, _, ..]) => {
                text.push_str(&format!("{verb} {title} for {}\n", words::count(self.items.len(), "item")));
            }
            _ => {}
        }
        for (key, question) in &self.questions {
            text.push_str(&format!("  {}: {}\n", visible(key), visible(question)));
        }
        for (item, found) in &self.already {
            let whose = item.as_ref().map(|item| format!(" for {}", visible(item))).unwrap_or_default();
            text.push_str(&match found {
                Some(found) => format!(
                    "{title} was already {}{whose}, at {}; nothing was recorded\n",
                    visible(&found.said()),
                    clock(found.at)
                ),
                None => format!("the time to decide about {title}{whose} has passed; nothing was recorded\n"),
            });
        }
        text
    }
}
