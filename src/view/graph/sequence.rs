//! What happened to an item, as a mermaid sequence diagram: between the agents of its steps and the parties with which
//! they report to have exchanged messages.

use crate::diag::render::visible;
use crate::event::{
    Answer, AttemptEvent, Event, EventKind, Execution, GateId, ItemEvent, ItemId, ItemState, Relayed, Role,
    Status, StepEvent, StepPath,
};
use crate::graph::{GateOf, Graph, Kind, RepeatId, StepId};
use crate::journal::Message;
use crate::value::words::excerpt;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The participant that starts the steps that take nothing from other agents.
const ORIGIN: &str = "orderflow";

/// The participant that carries the events of steps without a channel.
const EVENTS: &str = "events";

/// An agent, or a person who decides.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Participant {
    name: String,
    decides: bool,
}

/// What the lines of a frame belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Round(RepeatId),
    Compensation,
    Document,
}

/// A diagram of one item, drawn from its messages first and then its events.
pub struct SequenceDiagram<'a> {
    graph: &'a Graph,
    item: ItemId,
    /// In the order in which they first appear.
    participants: Vec<Participant>,
    lines: Vec<String>,
    /// The frames that are open, the outermost first.
    frames: Vec<Frame>,
    /// Attempts whose call is drawn.
    calls: BTreeSet<(StepPath, u32)>,
    /// Steps whose failure is drawn.
    failed: BTreeSet<StepPath>,
    /// What agents report of each attempt.
    reported: BTreeMap<(StepPath, u32), Vec<Relayed>>,
    /// The participants that asked for each step that has ended well, with its place in that order.
    asked: BTreeMap<StepId, (usize, BTreeSet<String>)>,
    /// The agents that report to have received something, each with the party that sent it.
    heard: BTreeSet<(String, String)>,
    /// The steps that an event calls.
    called: BTreeSet<StepId>,
}

impl<'a> SequenceDiagram<'a> {
    pub fn new(graph: &'a Graph, item: ItemId) -> Self {
        SequenceDiagram {
            graph,
            item,
            participants: Vec::new(),
            lines: Vec::new(),
            frames: Vec::new(),
            calls: BTreeSet::new(),
            failed: BTreeSet::new(),
            reported: BTreeMap::new(),
            asked: BTreeMap::new(),
            heard: BTreeSet::new(),
            called: BTreeSet::new(),
        }
    }

    /// Takes the next message of the item; all of them come before its events.
    pub fn hear(&mut self, message: Message) {
        let Message { step, attempt, role, name, text, .. } = message;
        if let (Role::Sent | Role::Received, Some(party)) = (role, name) {
            self.reported.entry((step, attempt)).or_default().push(Relayed { role, party, text });
        }
    }

    /// Takes the next event of the run.
    pub fn see(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Attempt(item, path, number, AttemptEvent::Finished(answer)) if *item == self.item => {
                self.attempt(*path, *number, answer);
            }
            EventKind::Step(item, change) if *item == self.item => self.step(change),
            EventKind::Item(item, change) if *item == self.item => self.change(change),
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    fn step(&mut self, change: &StepEvent) {
        match change {
            StepEvent::Ended(end) => {
                self.published(end);
                self.ended(end);
            }
            StepEvent::AwaitBegan { step, subject, .. } => {
                self.enter_rounds(*step);
                if let Some(awaits) = &self.graph.step(*step).awaits {
                    let text =
                        format!("{} waits for {} of {subject}", self.graph.step(*step).title, awaits.event);
                    self.note(*step, &text);
                }
            }
            StepEvent::EventTaken { step, .. } => {
                if let Some(awaits) = &self.graph.step(*step).awaits {
                    let (channel, agent) = (self.channel(*step), self.agent(*step));
                    self.line(&channel, &agent, false, &awaits.event);
                    self.called.insert(*step);
                }
            }
            StepEvent::AwaitExpired(_)
            | StepEvent::ConditionHeld(_)
            | StepEvent::BranchTaken { .. }
            | StepEvent::ElementsEnded(_) => {}
        }
    }

    /// A change of the item: gates, rounds, compensation, and its end.
    fn change(&mut self, change: &ItemEvent) {
        match change {
            ItemEvent::GateReached { gate, question, .. } => {
                let Some(step) = self.behind(*gate) else { return };
                self.enter_rounds(step);
                let title = self.graph.gate(*gate).map(|gate| self.graph.gated(gate)).unwrap_or_default();
                let question = if question.is_empty() { String::new() } else { format!(": {question}") };
                self.note(step, &format!("{title} waits for an approval{question}"));
            }
            ItemEvent::Decided { gate, decision } => {
                let Some(step) = self.behind(*gate) else { return };
                let title = self.graph.gate(*gate).map(|gate| self.graph.gated(gate)).unwrap_or_default();
                let note = decision.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                let person = self.number(&decision.by, true);
                let agent = self.agent(step);
                let agent = self.id(&agent);
                let text = plain(&format!("{} {title}{note}", decision.verb()));
                self.lines.push(format!("{person}->>{agent}: {text}"));
            }
            ItemEvent::RoundBegan { repeat, round } => {
                self.leave(Frame::Round(*repeat));
                self.enter_round(*repeat, *round);
            }
            ItemEvent::RepeatEnded(repeat) => self.leave(Frame::Round(*repeat)),
            ItemEvent::CompensationBegan(_) | ItemEvent::Revoked { .. } => {
                if !self.frames.contains(&Frame::Compensation) {
                    self.leave_all();
                    self.frames.push(Frame::Compensation);
                    self.lines.push("critical compensation".to_owned());
                }
            }
            ItemEvent::Requeued | ItemEvent::Retried { .. } => {
                self.leave_all();
                let what = if *change == ItemEvent::Requeued { "requeued" } else { "retried" };
                let over = self.id(ORIGIN);
                self.lines.push(format!("Note over {over}: the item is {what}"));
            }
            ItemEvent::Settled { end, .. } => {
                self.leave_all();
                let how = match end.state {
                    ItemState::Succeeded => return,
                    ItemState::Failed => "failed",
                    ItemState::Compensated => "failed and is compensated",
                    ItemState::CompensationFailed => "failed, and its compensation failed",
                    ItemState::Cancelled => "was cancelled",
                };
                let over = self.id(ORIGIN);
                self.lines.push(format!("Note over {over}: the item {how}"));
            }
            ItemEvent::Admitted { .. }
            | ItemEvent::DeadlinePassed { .. }
            | ItemEvent::Failed
            | ItemEvent::Resolved { .. }
            | ItemEvent::GateExpired(_)
            | ItemEvent::RoundScheduled { .. } => {}
        }
    }

    /// A step that failed without a failed attempt: it was rejected, too late, not reached, or stopped.
    fn ended(&mut self, end: &Execution) {
        let path = StepPath { step: end.step, element: end.element };
        let known = self.failed.remove(&path);
        let failed = matches!(end.status, Status::Failed | Status::Timeout | Status::CompensationFailed);
        if !failed || known {
            return;
        }
        if let Some(attempt) = end.attempt {
            self.call(path, attempt);
        }
        let why = end.error.as_deref().map(|error| format!(": {}", excerpt(error))).unwrap_or_default();
        let how = if end.status == Status::Timeout { "timed out" } else { "failed" };
        self.note(end.step, &format!("{} {how}{why}", self.graph.step(end.step).title));
    }

    /// The step before which a gate is; of a group its first.
    fn behind(&self, gate: GateId) -> Option<StepId> {
        match self.graph.gate(gate)?.of {
            GateOf::Step(step) => Some(step),
            GateOf::Group(group) => self
                .graph
                .order
                .iter()
                .copied()
                .find(|id| self.graph.around(*id).any(|around| around == group)),
        }
    }

    fn note(&mut self, step: StepId, text: &str) {
        let agent = self.agent(step);
        let over = self.id(&agent);
        self.lines.push(format!("Note over {over}: {}", plain(text)));
    }

    /// Opens the frames of the first rounds of the loops around a step.
    fn enter_rounds(&mut self, step: StepId) {
        for repeat in self.graph.step(step).repeats.clone() {
            if !self.frames.contains(&Frame::Round(repeat)) {
                self.enter_round(repeat, 1);
            }
        }
    }

    fn enter_round(&mut self, repeat: RepeatId, round: u32) {
        let Some(of) = self.graph.repeats.get(repeat.index()) else { return };
        let until = of.until.condition.text.trim();
        self.frames.push(Frame::Round(repeat));
        self.lines.push(format!("loop {}", plain(&format!("round {round}, until {until}"))));
    }

    /// Closes a frame, and those in it.
    fn leave(&mut self, frame: Frame) {
        if let Some(at) = self.frames.iter().position(|open| *open == frame) {
            for _ in self.frames.drain(at..) {
                self.lines.push("end".to_owned());
            }
        }
    }

    fn leave_all(&mut self) {
        for _ in self.frames.drain(..) {
            self.lines.push("end".to_owned());
        }
    }

    /// Draws the run of a document by an attempt, in a frame of its own: `draw` takes what happened in it.
    ///
    /// # Errors
    /// Those of `draw`.
    pub fn within(
        &mut self,
        (path, attempt, name): (StepPath, u32, &str),
        graph: &Graph,
        draw: impl FnOnce(&mut SequenceDiagram<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.call(path, attempt);
        self.frames.push(Frame::Document);
        self.lines.push(format!("opt {}", plain(name)));
        let mut inner = SequenceDiagram::new(graph, ItemId(0));
        inner.participants = std::mem::take(&mut self.participants);
        let done = draw(&mut inner);
        inner.leave_all();
        self.participants = inner.participants;
        self.lines.append(&mut inner.lines);
        self.leave(Frame::Document);
        done
    }

    /// The events that a step publishes by its success.
    fn published(&mut self, end: &Execution) {
        if end.status != Status::Success {
            return;
        }
        for event in &self.graph.step(end.step).emits {
            let (agent, channel) = (self.agent(end.step), self.channel(end.step));
            self.line(&agent, &channel, false, event);
        }
    }

    /// What carries the events of a step.
    fn channel(&self, step: StepId) -> String {
        self.graph.step(step).channel.clone().unwrap_or_else(|| EVENTS.to_owned())
    }

    /// The messages by which an attempt was asked for, and those that it reports; once.
    fn call(&mut self, path: StepPath, number: u32) {
        if !self.calls.insert((path, number)) {
            return;
        }
        self.enter_rounds(path.step);
        let step = self.graph.step(path.step);
        let agent = self.agent(path.step);
        let reported = self.reported.remove(&(path, number)).unwrap_or_default();
        let title = match path.element {
            Some(element) => format!("{}[{element}]", step.title),
            None => step.title.clone(),
        };
        let undone = self.graph.compensated_by(path.step).filter(|_| step.kind == Kind::Compensation);
        let title = match undone {
            Some(undone) => format!("{title}, which compensates {}", self.graph.step(undone).title),
            None => title,
        };
        // A failure, and no other step, is the reason of a compensation and of a failure handler.
        let from = if step.kind == Kind::Forward { self.sources(path.step) } else { Vec::new() };
        let is_told = reported.first().is_some_and(|first| first.role == Role::Received);
        let mut is_asked = is_told || self.called.contains(&path.step);
        for (source, names) in from.iter().filter(|(source, _)| *source != agent) {
            let is_answer = self.asked_by(path.step, source, &agent);
            is_asked |= !is_answer;
            let text = if is_answer { names.join(", ") } else { format!("{title} ({})", names.join(", ")) };
            self.line(source, &agent, is_answer, &text);
        }
        if from.is_empty() && !is_asked {
            is_asked = true;
            self.line(ORIGIN, &agent, false, &title);
        }
        for Relayed { role, party, text } in &reported {
            match role {
                Role::Received => {
                    self.heard.insert((agent.clone(), party.clone()));
                    self.line(party, &agent, false, text);
                }
                _ => {
                    let is_answer = self.heard.contains(&(agent.clone(), party.clone()));
                    self.line(&agent, party, is_answer, text);
                }
            }
        }
        if reported.is_empty() && !is_asked {
            self.line(&agent, &agent, false, &title);
        }
    }

    fn attempt(&mut self, path: StepPath, number: u32, answer: &Answer) {
        self.call(path, number);
        let step = self.graph.step(path.step);
        let agent = self.agent(path.step);
        let title = match path.element {
            Some(element) => format!("{}[{element}]", step.title),
            None => step.title.clone(),
        };
        let from = self.sources(path.step);
        match answer {
            Ok(_) => {
                let askers = match from.is_empty() {
                    true => BTreeSet::from([ORIGIN.to_owned()]),
                    false => from.into_iter().map(|(source, _)| source).collect(),
                };
                self.asked.insert(path.step, (self.asked.len(), askers));
            }
            Err(failure) => {
                self.failed.insert(path);
                let text = plain(&format!("{title} failed: {}", excerpt(&failure.message)));
                let over = self.id(&agent);
                self.lines.push(format!("Note over {over}: {text}"));
            }
        }
    }

    /// The agents that made the inputs of a step, in the order in which they did, each with the names.
    fn sources(&self, step: StepId) -> Vec<(String, Vec<&'a str>)> {
        let mut made: Vec<(usize, String, &'a str)> = Vec::new();
        for input in &self.graph.step(step).inputs {
            let name = self.graph.value(input.value).name.as_str();
            let makers =
                input.makers.iter().filter_map(|maker| Some((self.asked.get(maker)?.0, self.agent(*maker))));
            made.extend(makers.map(|(place, agent)| (place, agent, name)));
        }
        made.sort();
        let mut sources: Vec<(String, Vec<&str>)> = Vec::new();
        for (_, agent, name) in made {
            match sources.iter_mut().find(|(known, _)| *known == agent) {
                Some((_, names)) => names.push(name),
                None => sources.push((agent, vec![name])),
            }
        }
        sources
    }

    /// Whether an agent asked the source for all that the source made of the step's inputs.
    fn asked_by(&self, step: StepId, source: &str, agent: &str) -> bool {
        let makers = self.graph.step(step).inputs.iter().flat_map(|input| &input.makers);
        let mut asked =
            makers.filter(|maker| self.agent(**maker) == source).filter_map(|maker| self.asked.get(maker));
        asked.all(|(_, askers)| askers.contains(agent))
    }

    /// The name of a step's agent; that of the step if it has none.
    fn agent(&self, step: StepId) -> String {
        let step = self.graph.step(step);
        step.agent.clone().unwrap_or_else(|| step.title.clone())
    }

    fn line(&mut self, from: &str, to: &str, is_answer: bool, text: &str) {
        let arrow = if is_answer { "-->>" } else { "->>" };
        let (from, to) = (self.id(from), self.id(to));
        self.lines.push(format!("{from}{arrow}{to}: {}", plain(text)));
    }

    /// The identifier of an agent, which is added if it is new.
    fn id(&mut self, name: &str) -> String {
        self.number(name, false)
    }

    /// The same of an agent or a person.
    fn number(&mut self, name: &str, decides: bool) -> String {
        let wanted = Participant { name: name.to_owned(), decides };
        let number = match self.participants.iter().position(|known| *known == wanted) {
            Some(number) => number,
            None => {
                self.participants.push(wanted);
                self.participants.len() - 1
            }
        };
        format!("p{}", number + 1)
    }

    /// The diagram, without a fence around it.
    pub fn text(&mut self) -> String {
        self.leave_all();
        let mut out = "sequenceDiagram\n".to_owned();
        for (number, Participant { name, decides }) in self.participants.iter().enumerate() {
            let what = if *decides { "actor" } else { "participant" };
            let _ = writeln!(out, "    {what} p{} as {}", number + 1, plain(name));
        }
        let mut depth = 1;
        for line in &self.lines {
            let opens = ["loop ", "critical ", "opt "].iter().any(|word| line.starts_with(word));
            depth -= usize::from(line == "end");
            let _ = writeln!(out, "{}{line}", "    ".repeat(depth));
            depth += usize::from(opens);
        }
        out
    }
}

/// Text on one line, without characters that mermaid would interpret.
fn plain(text: &str) -> String {
    let line: String = visible(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    line.chars().fold(String::new(), |mut out, letter| {
        match letter {
            '#' => out.push_str("#35;"),
            ';' => out.push_str("#59;"),
            // Two of them begin a comment or a setting of the whole diagram.
            '%' => out.push_str("#37;"),
            other => out.push(other),
        }
        out
    })
}
