//! What a run waits for: people at gates, also inside documents, and events; with the commands that continue it.

use super::super::terminal::Terminal;
use crate::diag::render::visible;
use crate::engine::Run;
use crate::event::{GateId, ItemId, StepId};
use crate::graph::{Gate, Graph};
use crate::history::{History, InnerAwaiting, InnerRun};
use std::collections::BTreeMap;

/// The most items that wait that are named.
const NAMED: usize = 10;

/// An item that waits at a gate: its key on the command line, and the question with its values.
pub struct AskedItem {
    pub item: ItemId,
    pub key: String,
    pub question: String,
}

impl AskedItem {
    /// The steps for all items have a name of their own.
    pub fn new(item: ItemId, key: &str, question: String) -> AskedItem {
        let key = if item == ItemId::RUN { "run".to_owned() } else { key.to_owned() };
        AskedItem { item, key, question }
    }
}

/// Items that wait at one gate, and the command that approves exactly them.
pub struct GateQueue<'a> {
    gate: &'a Gate,
    title: String,
    items: Vec<AskedItem>,
    /// Whether all of them have the same question.
    alike: bool,
}

impl<'a> GateQueue<'a> {
    pub fn new(gate: &'a Gate, graph: &Graph, items: Vec<AskedItem>) -> GateQueue<'a> {
        let alike = items.windows(2).all(|pair| pair[0].question == pair[1].question);
        GateQueue { gate, title: graph.gated(gate), items, alike }
    }

    /// The question in brackets, if it is that of all.
    fn question(&self) -> String {
        let question = self.items.first().filter(|_| self.alike).map(|one| visible(&one.question));
        question.filter(|question| !question.is_empty()).map(|text| format!(" ({text})")).unwrap_or_default()
    }

    /// The command for these items; for all of them and later ones if they are too many.
    fn command(&self, items: &[AskedItem], name: &str) -> String {
        let listed = items.len() <= NAMED;
        let items = items.iter().filter(|_| listed).map(|one| format!(" --item {}", word(&one.key)));
        let by = self.gate.by.as_ref().map(|by| format!(" --as {}", word(by))).unwrap_or_default();
        let (name, title) = (visible(name), word(&self.title));
        format!("orderflow approve {name} {title}{}{by}", items.collect::<String>())
    }

    /// One line for each question.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let (title, question) = (visible(&self.title), self.question());
        if self.alike {
            return vec![format!("at the gate of {title}{question}: {}", self.command(&self.items, name))];
        }
        let shown = self.items.iter().take(NAMED).map(|one| {
            let (key, question) = (visible(&one.key), visible(&one.question));
            let command = self.command(std::slice::from_ref(one), name);
            format!("{key} at the gate of {title} ({question}): {command}")
        });
        let more = self.items.len().saturating_sub(NAMED);
        shown.chain((more > 0).then(|| format!("… and {more} more at the gate of {title}"))).collect()
    }

    /// The same at the end of a run.
    fn tell(&self, name: &str, terminal: &mut Terminal) {
        let more = self.items.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("… and {more} more"));
        let shown = |one: &AskedItem| match one.item {
            ItemId::RUN => "the steps for all items".to_owned(),
            _ => visible(&one.key),
        };
        let keys: Vec<String> = self.items.iter().take(NAMED).map(shown).chain(more).collect();
        let (title, question) = (visible(&self.title), self.question());
        terminal.talk(&format!("waiting at the gate of {title}{question}: {}\n", keys.join(", ")));
        if self.alike {
            let command = self.command(&self.items, name);
            let it = match self.items.len() {
                1 => "it",
                _ => "them",
            };
            let all = if self.items.len() > NAMED { ", and those that come later," } else { "" };
            terminal.talk(&format!(
                "  approve {it}{all} with {command} --resume, or reject {it} with orderflow reject\n"
            ));
            return;
        }
        for one in self.items.iter().take(NAMED) {
            let command = self.command(std::slice::from_ref(one), name);
            terminal.talk(&format!("  {}: {}\n", visible(&one.key), visible(&one.question)));
            terminal.talk(&format!(
                "    approve it with {command} --resume, or reject it with orderflow reject\n"
            ));
        }
    }
}

/// Shows the gates at which items wait, and the command that approves them.
pub fn waiting(run: &Run, graph: &Graph, name: &str, terminal: &mut Terminal) {
    let mut gates: BTreeMap<GateId, Vec<AskedItem>> = BTreeMap::new();
    for (item, key, gate, _) in run.waiting() {
        let question = run.ask(item, gate).map(|ask| ask.question).unwrap_or_default();
        gates.entry(gate).or_default().push(AskedItem::new(item, key, question));
    }
    for (id, items) in gates {
        if let Some(gate) = graph.gate(id) {
            GateQueue::new(gate, graph, items).tell(name, terminal);
        }
    }
}

/// How many runs of documents are looked at for what waits in them.
pub const INNER: usize = 1000;

/// What items wait for inside documents, each with the command that continues them.
pub struct InnerWaits {
    pub gates: Vec<InnerGateText>,
    pub awaits: Vec<InnerAwaitText>,
}

impl InnerWaits {
    /// Reads it; `name` is that of the run.
    ///
    /// # Errors
    /// A journal is damaged.
    pub fn of(history: &History, name: &str) -> anyhow::Result<InnerWaits> {
        let runs = history.inner_runs(INNER)?;
        let awaits = InnerAwaitText::all(history.inner_awaits(&runs, None)?, name);
        Ok(InnerWaits { gates: inner_gates(&runs, name)?, awaits })
    }
}

/// The gates inside documents at which items wait, each with the keys of the items, and the command that approves it.
fn inner_gates(runs: &[InnerRun], name: &str) -> anyhow::Result<Vec<InnerGateText>> {
    let mut all: BTreeMap<String, InnerGateText> = BTreeMap::new();
    for inner in runs {
        for waiting in inner.waiting()? {
            let Some(gate) = inner.history.graph.gate(waiting.gate) else { continue };
            let title = inner.gated(waiting.gate);
            let by = gate.by.as_ref().map(|by| format!(" --as {}", word(by))).unwrap_or_default();
            let known = all.entry(title.clone()).or_insert_with(|| InnerGateText {
                command: format!("orderflow approve {} {}{by}", visible(name), word(&title)),
                title,
                question: String::new(),
                keys: Vec::new(),
                by: gate.by.clone(),
            });
            known.question = if known.keys.is_empty() { waiting.question } else { gate.question.text() };
            known.keys.push(inner.key.to_string());
        }
    }
    Ok(all.into_values().collect())
}

/// An event that items wait for inside a document.
pub struct InnerAwaitText {
    /// The step, such as `Review/Check`.
    pub title: String,
    pub event: String,
    /// The subjects for which it has not come.
    pub subjects: Vec<String>,
    /// Those for which it has come: the run takes it when it continues.
    pub stored: Vec<String>,
    /// The command that sends the first one.
    pub command: String,
}

impl InnerAwaitText {
    fn all(awaits: Vec<InnerAwaiting>, name: &str) -> Vec<InnerAwaitText> {
        let mut all: BTreeMap<(String, String), InnerAwaitText> = BTreeMap::new();
        for one in awaits {
            let InnerAwaiting { title, event, subject, stored, .. } = one;
            let known = all.entry((title.clone(), event.clone())).or_insert_with(|| InnerAwaitText {
                command: String::new(),
                title,
                event,
                subjects: Vec::new(),
                stored: Vec::new(),
            });
            if known.command.is_empty() && !stored {
                known.command = signal_text(&known.event, &subject, name);
            }
            let to = if stored { &mut known.stored } else { &mut known.subjects };
            to.push(subject.to_string());
        }
        all.into_values().collect()
    }

    /// `order.shipped before Review/Check`
    pub fn asks(&self) -> String {
        format!("{} before {}", visible(&self.event), visible(&self.title))
    }

    /// The lines of a run, with its name.
    pub fn lines(&self, name: &str) -> String {
        let (event, title, run) = (visible(&self.event), visible(&self.title), visible(name));
        let stored = self.stored.iter().take(NAMED).map(|subject| {
            let subject = visible(subject);
            format!("{:<10} {event} for {subject} has come, and {title} takes it: continue with orderflow resume {run}\n", "stored")
        });
        let waits = (!self.subjects.is_empty())
            .then(|| format!("{:<10} for {}: {}\n", "waits", self.asks(), self.command));
        stored.chain(waits).collect()
    }
}

/// A gate inside a document.
pub struct InnerGateText {
    /// Such as `Review/Check`.
    pub title: String,
    /// With its values if one item waits there.
    pub question: String,
    pub keys: Vec<String>,
    /// Who decides.
    pub by: Option<String>,
    pub command: String,
}

impl InnerGateText {
    pub fn asks(&self) -> String {
        let question = visible(&self.question);
        if question.is_empty() { question } else { format!(" ({question})") }
    }
}

/// The first of these, and how many more there are.
fn listed(all: &[String]) -> String {
    let more = all.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("… and {more} more"));
    let shown = all.iter().take(NAMED).map(|one| visible(one));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// The same at the end of a run.
pub fn waiting_inside(history: &History, name: &str, terminal: &mut Terminal) -> anyhow::Result<()> {
    let InnerWaits { gates, awaits } = InnerWaits::of(history, name)?;
    for gate in gates {
        let (title, keys) = (visible(&gate.title), listed(&gate.keys));
        terminal.talk(&format!("waiting at the gate of {title}{}: {keys}\n", gate.asks()));
        let command = &gate.command;
        terminal.talk(&format!("  approve it with {command} --resume, or reject it with orderflow reject\n"));
    }
    for one in awaits.iter().filter(|one| !one.subjects.is_empty()) {
        terminal.talk(&format!("waiting for {}: {}\n", one.asks(), listed(&one.subjects)));
        terminal.talk(&format!("  send it with {} --resume\n", one.command));
    }
    Ok(())
}

/// Shows the events that items wait for, and the command that sends one.
pub fn awaiting(run: &Run, graph: &Graph, name: &str, terminal: &mut Terminal) {
    let mut steps: BTreeMap<StepId, Vec<&str>> = BTreeMap::new();
    for (_, _, step, subject, _) in run.awaiting() {
        steps.entry(step).or_default().push(subject);
    }
    for (id, subjects) in steps {
        let step = graph.step(id);
        let Some(awaits) = &step.awaits else { continue };
        let more = subjects.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("… and {more} more"));
        let keys = subjects.iter().take(NAMED).map(|key| visible(key)).chain(more);
        let (title, event) = (visible(&step.title), visible(&awaits.event));
        terminal
            .talk(&format!("waiting for {event} before {title}: {}\n", keys.collect::<Vec<_>>().join(", ")));
        let one = subjects.first().copied().unwrap_or_default();
        terminal.talk(&format!("  send it with {} --resume\n", signal_text(&awaits.event, one, name)));
    }
}

/// The command that sends an event.
pub fn signal_text(event: &str, subject: &str, name: &str) -> String {
    format!("orderflow signal {} {} --item {} --data JSON", visible(name), word(event), word(subject))
}

/// A gate at which items wait, and the command that approves all of them.
pub fn approve_text(gate: &Gate, graph: &Graph, name: &str) -> String {
    let question = visible(&gate.question.text());
    let question = if question.is_empty() { question } else { format!(" ({question})") };
    let by = gate.by.as_ref().map(|by| format!(" --as {}", word(by))).unwrap_or_default();
    let (title, run) = (graph.gated(gate), visible(name));
    format!("at the gate of {}{question}: orderflow approve {run} {}{by}", visible(&title), word(&title))
}

/// A word of a command line.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    let text = visible(text);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
