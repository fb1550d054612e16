//! The results of a run of one item: the outputs that no step took, as text on the screen.

use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{
    AttemptEvent, Event, EventKind, ItemEvent, ItemId, ItemState, RunEvent, StepPath, ValueId,
};
use crate::graph::{Graph, Kind, StepId};
use crate::runtime::Observer;
use crate::value::{Value, words};
use crate::view::presentable;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// The most results that are shown.
const RESULTS: usize = 20;

/// The most lines, and the most characters of a line, that are shown of a result.
const LINES: usize = 40;
const LINE: usize = 2000;

/// The most bytes of a result that are looked at.
const TEXT: usize = 1 << 17;

/// The longest JSON that is shown on one line, in characters.
const ONE_LINE: usize = 80;

/// Collects what the steps of an item make.
pub struct Results {
    graph: Arc<Graph>,
    redactor: Redactor,
    /// Whether the run has one item; of several, nothing is collected.
    one: bool,
    key: Arc<str>,
    succeeded: bool,
    made: BTreeMap<(StepId, ValueId), Made>,
    taken: BTreeSet<ValueId>,
}

/// By the item and the element; an element is `None` where the step has no list.
type Made = BTreeMap<(ItemId, Option<u32>), Arc<Value>>;

impl Results {
    pub fn new(graph: Arc<Graph>, redactor: Redactor, items: u64) -> Self {
        let (made, taken) = Default::default();
        Results { graph, redactor, one: items == 1, key: "1".into(), succeeded: false, made, taken }
    }

    /// The results below a line with the command that shows all of the run named so; empty without results, and unless
    /// the item has succeeded.
    pub fn text(&self, run: Option<&str>) -> String {
        let results = self.results();
        if results.is_empty() || !self.succeeded {
            return String::new();
        }
        let mut out = match run {
            Some(run) => {
                let (run, key) = (super::waits::word(run), super::waits::word(&self.key));
                format!("\nresults; all inputs and outputs: orderflow show {run} --item {key}\n")
            }
            None => "\nresults\n".to_owned(),
        };
        for (name, presented) in results.iter().take(RESULTS) {
            let mut text = presented.text();
            self.redactor.shown_text(presented.item, &mut text);
            out.push_str(&shown(name, &text));
        }
        let more = results.len().saturating_sub(RESULTS);
        if more > 0 {
            out.push_str(&format!("  … and {}\n", words::count(more, "more value")));
        }
        out
    }

    /// The outputs that no step took, in the order of the steps.
    fn results(&self) -> Vec<(&str, Presented<'_>)> {
        let mut results = Vec::new();
        for ((_, id), made) in self.made.iter().filter(|((_, id), _)| !self.taken.contains(id)) {
            let Some(((item, element), _)) = made.first_key_value() else { continue };
            let all = made.values().map(|value| presentable(*id, value, &self.graph)).collect();
            let presented = Presented { item: *item, list: element.is_some(), all };
            results.push((self.graph.value(*id).name.as_str(), presented));
        }
        results
    }

    fn began(&mut self, step: StepPath) {
        let step = self.graph.step(step.step);
        // A compensation takes what is compensated, and a handler what has failed: neither passes a result on.
        if step.kind == Kind::Forward {
            self.taken.extend(step.inputs.iter().map(|input| input.value));
            self.made.retain(|(_, id), _| !step.inputs.iter().any(|input| input.value == *id));
        }
    }
}

impl Observer for Results {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        if !self.one {
            return Ok(());
        }
        match &event.kind {
            EventKind::Item(_, ItemEvent::Admitted { key, .. }) => self.key = Arc::clone(key),
            EventKind::Item(_, ItemEvent::Settled { end, .. }) => {
                self.succeeded = end.state == ItemState::Succeeded;
            }
            // All steps run again.
            EventKind::Item(_, ItemEvent::Retried { inputs: Some(_), .. }) => {
                self.made.clear();
                self.taken.clear();
            }
            EventKind::Run(RunEvent::StepsBegan) => {
                let graph = &self.graph;
                self.made.retain(|(step, _), _| !graph.step(*step).once);
            }
            EventKind::Attempt(_, step, _, AttemptEvent::Started) => self.began(*step),
            EventKind::Attempt(item, step, _, AttemptEvent::Finished(Ok(reply)))
                if self.graph.step(step.step).kind == Kind::Forward =>
            {
                for (id, value) in &reply.outputs {
                    let made = self.made.entry((step.step, *id)).or_default();
                    made.insert((*item, step.element), Arc::clone(value));
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    }
}

/// A value, or the values of all elements. May be many megabytes.
struct Presented<'a> {
    item: ItemId,
    list: bool,
    all: Vec<Cow<'a, Value>>,
}

impl Presented<'_> {
    /// The start of it: text as it is, anything else as JSON.
    fn text(&self) -> String {
        if let (false, Some(Value::String(text))) = (self.list, self.all.last().map(Cow::as_ref)) {
            let end = (0..=TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
            return text[..end.unwrap_or(0)].trim_end().to_owned();
        }
        let line = start(|out| serde_json::to_writer(out, self));
        match line.chars().nth(ONE_LINE) {
            None => line,
            Some(_) => start(|out| serde_json::to_writer_pretty(out, self)),
        }
    }
}

impl Serialize for Presented<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.list, self.all.last()) {
            (false, Some(only)) => only.serialize(serializer),
            _ => serializer.collect_seq(&self.all),
        }
    }
}

/// The start of a text that is written; the rest is not made.
fn start(write: impl FnOnce(&mut dyn io::Write) -> serde_json::Result<()>) -> String {
    struct Most(Vec<u8>);
    impl io::Write for Most {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match TEXT.checked_sub(self.0.len()) {
                None | Some(0) => Err(io::ErrorKind::WriteZero.into()),
                Some(room) => self.0.write(&bytes[..room.min(bytes.len())]),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut most = Most(Vec::new());
    // What is too long is cut.
    let _ = write(&mut most);
    String::from_utf8_lossy(&most.0).into_owned()
}

/// Of several lines below the name.
fn shown(name: &str, text: &str) -> String {
    let name = visible(name);
    let line = |line: &str| match line.char_indices().nth(LINE) {
        Some((end, _)) => visible(&line[..end]) + "…",
        None => visible(line),
    };
    let mut lines = text.lines();
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let Some(second) = second else { return format!("  {name}: {}\n", line(first)) };
    let mut out = format!("  {name}:\n");
    for text in [first, second].into_iter().chain(lines.by_ref().take(LINES - 2)) {
        out.push_str(format!("    {}", line(text)).trim_end());
        out.push('\n');
    }
    let more = lines.count();
    if more > 0 {
        out.push_str(&format!("    … {}\n", words::count(more, "more line")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_shown_in_lines_and_everything_else_as_json() {
        let shown = |name: &str, value: &Value| {
            let all = vec![Cow::Borrowed(value)];
            super::shown(name, &Presented { item: ItemId(0), list: false, all }.text())
        };
        assert_eq!(shown("ok", &json!(true)), "  ok: true\n");
        assert_eq!(shown("letter", &json!("Dear Ada\n")), "  letter: Dear Ada\n");
        assert_eq!(shown("letter", &json!("")), "  letter: \n");
        assert_eq!(shown("l", &json!("a\n\n b\u{1b}[2J\r\n")), "  l:\n    a\n\n     b\u{fffd}[2J\n");
        let long = json!({"a": "x".repeat(ONE_LINE)});
        assert_eq!(
            shown("l", &long),
            format!("  l:\n    {{\n      \"a\": \"{}\"\n    }}\n", "x".repeat(ONE_LINE))
        );
    }

    #[test]
    fn a_long_result_is_bounded() {
        let text: String = (1..=100).map(|line| format!("{line}\n")).collect();
        let shown_lines = shown("l", &text);
        assert!(shown_lines.ends_with("    39\n    40\n    … 60 more lines\n"), "{shown_lines}");
        assert_eq!(shown("l", &"x".repeat(LINE + 1)), format!("  l: {}…\n", "x".repeat(LINE)));
        let text = json!("€".repeat(TEXT));
        let list = Presented { item: ItemId(0), list: true, all: vec![Cow::Borrowed(&text)] };
        assert_eq!(list.text().len(), TEXT);
        assert_eq!(Presented { list: false, ..list }.text().len(), TEXT - TEXT % 3);
    }
}
