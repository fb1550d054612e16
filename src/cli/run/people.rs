//! People who have to act on an active run: a command informs them, and the one at the terminal is asked.

use super::super::approve::user;
use super::super::terminal::Terminal;
use super::super::trust;
use super::display::Display;
use super::notices::{self, Attendance, tell_all};
use super::questions::{self, Input};
use crate::adapter::program::Program;
use crate::adapter::question::Question;
use crate::adapter::{InnerGate, InnerGates, ShownGate};
use crate::diag::render::{visible, visible_json};
use crate::engine::Ask;
use crate::event::{Decision, Event, EventKind, GateId, ItemEvent, ItemId};
use crate::graph::Graph;
use crate::runtime::{Observer, QuestionDesk, Request, unix_millis};
use crate::value::{Value, words};
use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The most characters of a value that are shown with a question.
const SHOWN: usize = 500;

/// The most lines of a text that are shown with a question.
const LINES: usize = 40;

/// What is known of a run to those who ask.
pub struct Desk {
    pub graph: Arc<Graph>,
    /// The run's whole name, and its short one.
    pub run: String,
    pub name: String,
    pub document: String,
    pub home: PathBuf,
    /// The command that informs people, if there is one.
    pub notify: Option<Program>,
    /// The progress display of the terminal at which a person is asked.
    pub display: Option<Display>,
    /// Whether the questions of agents wait for other processes.
    pub away: bool,
}

/// What was decided since the run began or continued, by any process.
#[derive(Clone, Default)]
pub struct DecidedHere(Arc<Mutex<HashMap<(ItemId, GateId), String>>>);

impl Observer for DecidedHere {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        let EventKind::Item(item, change) = &event.kind else { return Ok(()) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            ItemEvent::GateReached { gate, .. } => drop(known.remove(&(*item, *gate))),
            ItemEvent::Decided { gate, decision } => drop(known.insert((*item, *gate), decision.said())),
            ItemEvent::GateExpired(gate) => {
                known.insert((*item, *gate), "the time to decide has passed".to_owned());
            }
            ItemEvent::Settled { .. } => known.retain(|(other, _), _| other != item),
            _ => {}
        }
        Ok(())
    }
}

impl DecidedHere {
    fn about(&self, ask: &Ask) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(ask.item, ask.gate)).cloned()
    }
}

/// Where a run sends those that wait, questions of agents, and the gates of documents.
#[derive(Default)]
pub struct Reached {
    pub asks: Option<UnboundedSender<Ask>>,
    pub questions: Option<UnboundedSender<Question>>,
    pub inner: InnerGates,
}

impl Desk {
    /// Whether a person is asked at the terminal.
    pub fn asks(&self) -> bool {
        self.display.is_some()
    }

    /// Begins to inform and to ask.
    pub fn open(self, requests: Sender<Request>, decided: DecidedHere) -> (Reached, Attendance) {
        if self.notify.is_none() && self.display.is_none() && !self.away {
            return (Reached::default(), Attendance { informing: None });
        }
        let (sender, asks) = unbounded_channel();
        let (inner, inner_asks) = unbounded_channel();
        let inner = InnerGates::new(inner, self.asks());
        let (to_tell, tells) = unbounded_channel();
        let desk = Arc::new(self);
        let informing = desk.notify.is_some().then(|| tokio::spawn(tell_all(desk.clone(), tells)));
        let to_ask = desk.display.clone().map(|display| {
            let (to_ask, asked) = std::sync::mpsc::channel::<Asked>();
            let desk = desk.clone();
            // It waits for its terminal as long as the process lives.
            std::thread::spawn(move || desk.ask_all(&asked, &display, &requests, &decided));
            to_ask
        });
        let questions = (to_ask.is_some() || desk.away).then(|| {
            let here = to_ask.clone().map(|to_ask| -> Arc<dyn Fn(Question) + Send + Sync> {
                // Without a receiver it stays unanswered here.
                Arc::new(move |question| drop(to_ask.send(Asked::Agent(question))))
            });
            let asking = QuestionDesk::new(trust::inbox(&desk.home), here, desk.away);
            let (sender, mut questions) = unbounded_channel::<Question>();
            let to_tell = to_tell.downgrade();
            tokio::spawn(async move {
                while let Some(question) = questions.recv().await {
                    if let Some(to_tell) = to_tell.upgrade().filter(|_| question.may_be_stored) {
                        let _ = to_tell.send(notices::asked(&question));
                    }
                    tokio::spawn(asking.clone().ask(question));
                }
            });
            sender
        });
        let desk = desk.clone();
        tokio::spawn(async move { desk.share((asks, inner_asks), to_tell, to_ask).await });
        (Reached { asks: Some(sender), questions, inner }, Attendance { informing })
    }

    fn title(&self, gate: GateId) -> String {
        self.graph.gate(gate).map(|gate| self.graph.gated(gate)).unwrap_or_default()
    }

    /// A gate of this run, as people see it.
    fn shown(&self, ask: &Ask) -> ShownGate {
        let gate = self.graph.gate(ask.gate);
        let within = gate.and_then(|gate| gate.within).and_then(|time| u64::try_from(time.as_millis()).ok());
        let named = |(id, value): &(_, Arc<Value>)| (self.graph.value(*id).name.clone(), value.clone());
        ShownGate {
            title: self.title(ask.gate),
            item: if ask.item == ItemId::RUN { None } else { Some(ask.key.to_string()) },
            key: ask.key.clone(),
            question: ask.question.clone(),
            by: gate.and_then(|gate| gate.by.clone()),
            since: ask.since,
            until: within.map(|within| ask.since.saturating_add(within)),
            inputs: ask.inputs.iter().map(named).collect(),
            agent: None,
        }
    }

    /// Asks about a gate in a document. Returns whether the input has ended.
    fn ask_inside(&self, gate: InnerGate, requests: &Sender<Request>, terminal: &mut Terminal) -> bool {
        let reply = match (gate.is_open)() {
            true => self.ask(&gate.shown, terminal),
            false => Reply::Later,
        };
        let (approved, note) = match reply {
            Reply::Yes(note) => (true, note),
            Reply::No(note) => (false, note),
            Reply::Later | Reply::Gone => {
                drop(gate);
                // Fails only if the run is over.
                let _ = requests.blocking_send(Request::LaterInside);
                return reply == Reply::Gone;
            }
        };
        if !(gate.is_open)() {
            terminal.talk(&format!(
                "{}: it was decided before; the answer changes nothing\n",
                visible(&gate.shown.key)
            ));
        }
        let by = gate.shown.by.clone().unwrap_or_else(user);
        (gate.decide)(Decision { approved, by, note, at: unix_millis() });
        false
    }

    /// Hands each that waits to both, those of documents once in the life of this process.
    async fn share(
        &self,
        (mut asks, mut inner): (UnboundedReceiver<Ask>, UnboundedReceiver<InnerGate>),
        to_tell: UnboundedSender<ShownGate>,
        to_ask: Option<std::sync::mpsc::Sender<Asked>>,
    ) {
        let mut known = HashSet::new();
        let (mut over, mut inner_over) = (false, false);
        while !(over && inner_over) {
            tokio::select! {
                ask = asks.recv(), if !over => match ask {
                    None => over = true,
                    Some(ask) => {
                        if !ask.again {
                            let _ = to_tell.send(self.shown(&ask));
                        }
                        if let Some(to_ask) = &to_ask {
                            let _ = to_ask.send(Asked::Gate(ask));
                        }
                    }
                },
                gate = inner.recv(), if !inner_over => match gate {
                    None => inner_over = true,
                    Some(gate) if !known.insert((gate.at.clone(), gate.shown.since)) => {}
                    Some(gate) => {
                        if !gate.again {
                            let _ = to_tell.send(gate.shown.clone());
                        }
                        if let Some(to_ask) = &to_ask {
                            let _ = to_ask.send(Asked::Inside(gate));
                        }
                    }
                },
            }
        }
    }

    /// Asks one question after the other.
    fn ask_all(
        &self,
        asked: &std::sync::mpsc::Receiver<Asked>,
        display: &Display,
        requests: &Sender<Request>,
        decided: &DecidedHere,
    ) {
        let mut terminal = Terminal::new();
        let mut gone = false;
        for asked in asked {
            let ask = match asked {
                Asked::Gate(ask) => ask,
                Asked::Inside(gate) => {
                    if !gone {
                        gone |= undrawn(display, || self.ask_inside(gate, requests, &mut terminal));
                    }
                    continue;
                }
                // It stays unanswered if it is dropped.
                Asked::Agent(question) => {
                    if !gone && !question.reply.is_closed() {
                        gone |= undrawn(display, || questions::ask(question, &mut terminal)) == Input::Ended;
                    }
                    continue;
                }
            };
            let answer = match gone || decided.about(&ask).is_some() {
                true => Reply::Later,
                false => undrawn(display, || self.ask(&self.shown(&ask), &mut terminal)),
            };
            gone |= matches!(answer, Reply::Gone);
            let (approved, note) = match answer {
                Reply::Yes(note) => (true, note),
                Reply::No(note) => (false, note),
                Reply::Later | Reply::Gone => {
                    // Fails only if the run is over.
                    let _ = requests.blocking_send(Request::Later(ask.item, ask.gate));
                    continue;
                }
            };
            if let Some(why) = decided.about(&ask) {
                terminal.talk(&format!(
                    "{}: {}; the answer changes nothing\n",
                    visible(&ask.key),
                    visible(&why)
                ));
            }
            let by = self.graph.gate(ask.gate).and_then(|gate| gate.by.clone()).unwrap_or_else(user);
            let decision = Decision { approved, by, note, at: unix_millis() };
            let _ = requests.blocking_send(Request::Answer(ask.item, ask.gate, decision));
        }
    }

    fn ask(&self, gate: &ShownGate, terminal: &mut Terminal) -> Reply {
        let title = visible(&gate.title);
        let by = gate.by.as_ref().map(|by| format!(", to be decided by {}", visible(by))).unwrap_or_default();
        let item = gate.item.as_deref().map_or("all items".to_owned(), visible);
        let mut text = format!("\n{title} waits for {item}{by}\n");
        if !gate.question.is_empty() {
            text.push_str(&format!("  {}\n", visible(&gate.question)));
        }
        for (name, value) in &gate.inputs {
            let name = visible(name);
            // A text of several lines is read as a text.
            if let Some(lines) = value.as_str().filter(|text| text.contains('\n')) {
                text.push_str(&format!("    {name}:\n"));
                let shown = lines.lines().take(LINES).map(|line| format!("      {}\n", visible(line)));
                text.extend(shown);
                let more = lines.lines().count().saturating_sub(LINES);
                if more > 0 {
                    text.push_str(&format!("      … and {}\n", words::count(more, "more line")));
                }
                continue;
            }
            let shown: String = value.to_string().chars().take(SHOWN).collect();
            text.push_str(&format!("    {name}: {}\n", visible_json(&shown)));
        }
        forget_input();
        terminal.talk(&text);
        loop {
            match line("approve it? [y]es, [n]o, [l]ater; a note may follow: ", terminal) {
                None => return Reply::Gone,
                Some(answer) => {
                    if let Some(reply) = Reply::read(&answer) {
                        return reply;
                    }
                }
            }
        }
    }
}

/// What a person at the terminal is asked.
enum Asked {
    Gate(Ask),
    Inside(InnerGate),
    Agent(Question),
}

/// Asks while the display is hidden: it would be drawn over the question.
fn undrawn<T>(display: &Display, ask: impl FnOnce() -> T) -> T {
    display.hide();
    let answer = ask();
    display.unhide();
    answer
}

/// Input from before a question is not an answer to it.
pub(super) fn forget_input() {
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
}

/// A line that a person types; `None` if the input has ended.
pub(super) fn line(prompt: &str, terminal: &mut Terminal) -> Option<String> {
    terminal.talk(prompt);
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).unwrap_or(0) == 0 {
        terminal.talk("\n");
        return None;
    }
    Some(line)
}

/// An answer at the terminal, with the note that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Yes(Option<String>),
    No(Option<String>),
    Later,
    /// The input has ended.
    Gone,
}

impl Reply {
    pub(super) fn read(line: &str) -> Option<Reply> {
        let line = line.trim();
        let (word, note) = line.split_once([' ', ',', ':']).unwrap_or((line, ""));
        let note = note.trim_start_matches([',', ':', ' ']).trim();
        let note = (!note.is_empty()).then(|| note.to_owned());
        match word.to_lowercase().as_str() {
            "y" | "yes" => Some(Reply::Yes(note)),
            "n" | "no" => Some(Reply::No(note)),
            "l" | "later" => Some(Reply::Later),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reply;

    #[test]
    fn an_answer_is_a_word_and_a_note() {
        let note = |text: &str| Some(text.to_owned());
        for (line, reply) in [
            ("y\n", Some(Reply::Yes(None))),
            (" YES \n", Some(Reply::Yes(None))),
            ("yes, ticket 4711\n", Some(Reply::Yes(note("ticket 4711")))),
            ("no: too expensive", Some(Reply::No(note("too expensive")))),
            ("n not on a Friday", Some(Reply::No(note("not on a Friday")))),
            ("l\n", Some(Reply::Later)),
            ("later tomorrow\n", Some(Reply::Later)),
            ("\n", None),
            ("maybe\n", None),
            ("nope\n", None),
        ] {
            assert_eq!(Reply::read(line), reply, "{line:?}");
        }
    }
}
