//! What happened to an item, as a mermaid sequence diagram: between the agents of its steps and the parties with which
//! they report to have exchanged messages.

use crate::diag::render::visible;
use crate::event::{
    Answer, AttemptEvent, Event, EventKind, Execution, ItemId, Relayed, Role, Status, StepEvent, StepPath,
};
use crate::graph::{Graph, StepId};
use crate::journal::Message;
use crate::value::words::excerpt;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The participant that starts the steps that take nothing from other agents.
const ORIGIN: &str = "orderflow";

/// The participant that carries the events of steps without a channel.
const EVENTS: &str = "events";

/// A diagram of one item, drawn from its messages first and then its events.
pub struct SequenceDiagram<'a> {
    graph: &'a Graph,
    item: ItemId,
    /// In the order in which they first appear.
    participants: Vec<String>,
    lines: Vec<String>,
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
            EventKind::Step(item, StepEvent::Ended(end)) if *item == self.item => self.published(end),
            EventKind::Step(item, StepEvent::EventTaken { step, .. }) if *item == self.item => {
                if let Some(awaits) = &self.graph.step(*step).awaits {
                    let (channel, agent) = (self.channel(*step), self.agent(*step));
                    self.line(&channel, &agent, false, &awaits.event);
                    self.called.insert(*step);
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
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

    fn attempt(&mut self, path: StepPath, number: u32, answer: &Answer) {
        let step = self.graph.step(path.step);
        let agent = self.agent(path.step);
        let reported = self.reported.remove(&(path, number)).unwrap_or_default();
        let title = match path.element {
            Some(element) => format!("{}[{element}]", step.title),
            None => step.title.clone(),
        };
        let from = self.sources(path.step);
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
        match answer {
            Ok(_) => {
                let askers = match from.is_empty() {
                    true => BTreeSet::from([ORIGIN.to_owned()]),
                    false => from.into_iter().map(|(source, _)| source).collect(),
                };
                self.asked.insert(path.step, (self.asked.len(), askers));
            }
            Err(failure) => {
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

    /// The identifier of a participant, which is added if it is new.
    fn id(&mut self, name: &str) -> String {
        let number = match self.participants.iter().position(|known| known == name) {
            Some(number) => number,
            None => {
                self.participants.push(name.to_owned());
                self.participants.len() - 1
            }
        };
        format!("p{}", number + 1)
    }

    /// The diagram, without a fence around it.
    pub fn text(&self) -> String {
        let mut out = "sequenceDiagram\n".to_owned();
        for (number, name) in self.participants.iter().enumerate() {
            let _ = writeln!(out, "    participant p{} as {}", number + 1, plain(name));
        }
        for line in &self.lines {
            let _ = writeln!(out, "    {line}");
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
