//! Events across the border between the outermost run and the runs of documents within it. Does not decide who takes
//! which.

use super::Loop;
use crate::adapter::channel::Incoming;
use crate::adapter::{Hearing, InnerGates, OuterEvents, Topic};
use crate::engine::{Out, Run};
use crate::event::Millis;
use crate::graph::Graph;
use std::collections::BTreeSet;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The events of the outermost run, as the loop of a run uses them.
#[derive(Default)]
pub struct Border {
    /// For the runs within.
    pub events: OuterEvents,
    /// What this run hears, if it is within another one.
    pub hearing: Option<Hearing>,
    /// What the runs within the outermost one publish, if this is the outermost one.
    pub emitted: Option<UnboundedReceiver<Incoming>>,
    /// Where the gates of the runs within are reported.
    pub gates: InnerGates,
}

impl Border {
    /// That of a run which is not within another one.
    pub fn outermost(graph: &Graph, gates: InnerGates) -> Border {
        match graph.documents().next() {
            None => Border::default(),
            Some(_) => {
                let (events, emitted) = OuterEvents::new();
                Border { events, hearing: None, emitted: Some(emitted), gates }
            }
        }
    }

    /// That of a run within another one.
    pub fn within(events: OuterEvents, hearing: Option<Hearing>, gates: InnerGates) -> Border {
        Border { events, hearing, emitted: None, gates }
    }

    /// Whether this is the outermost run, and documents run in it.
    pub(super) fn is_outermost(&self) -> bool {
        self.emitted.is_some()
    }

    /// An item waits at a gate, and a person is asked about it: the outermost run waits for the answer.
    pub(super) fn ask(&self) {
        if self.gates.answers {
            self.hearing.iter().for_each(|hearing| hearing.asked(true));
        }
    }

    /// Whether a document is not at rest.
    pub(super) fn is_busy(&self) -> bool {
        self.is_outermost() && self.events.is_busy()
    }
}

/// A channel whose receiver does this with all that is sent, one after the other.
pub fn for_each<T: Send + 'static>(mut act: impl FnMut(T) + Send + 'static) -> UnboundedSender<T> {
    let (sender, mut all) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(one) = all.recv().await {
            act(one);
        }
    });
    sender
}

/// The next event that a run within publishes; never, in a run within another one.
pub(super) async fn emitted(from: &mut Option<UnboundedReceiver<Incoming>>) -> Option<Incoming> {
    match from {
        Some(emitted) => emitted.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits for an event of the outermost run that this one may take.
pub(super) async fn news(hearing: &Option<Hearing>) {
    match hearing {
        Some(hearing) => hearing.news().await,
        None => std::future::pending().await,
    }
}

/// The events that a run may take, and the types that it waits for now.
fn wanted(graph: &Graph, run: &Run, key: &str) -> (BTreeSet<Topic>, BTreeSet<String>) {
    let topic = |(kind, once): (&str, bool)| {
        let subject = if once { crate::event::RUN_SUBJECT } else { key };
        (kind.to_owned(), subject.to_owned())
    };
    let mut topics: BTreeSet<Topic> = graph.awaited_by_key().into_iter().map(topic).collect();
    let mut awaits = BTreeSet::new();
    for (_, _, step, subject, _) in run.awaiting() {
        let Some(waits) = &graph.step(step).awaits else { continue };
        awaits.insert(waits.event.clone());
        topics.insert((waits.event.clone(), subject.to_string()));
    }
    (topics, awaits)
}

impl Loop<'_> {
    /// Takes the events of the outermost run that steps of this one may take. A run that stops leaves them to the next
    /// runner.
    pub(super) fn hear_outer(&self, run: &mut Run, now: Millis, out: &mut Out) {
        let Some(hearing) = &self.border.hearing else { return };
        while run.stopped().is_none() {
            let (topics, awaits) = wanted(&self.graph, run, hearing.key());
            hearing.want(topics, awaits);
            let events = hearing.take();
            if events.is_empty() {
                return;
            }
            events.into_iter().for_each(|event| run.handle(self.received(event), now, out));
        }
    }
}
