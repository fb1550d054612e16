//! Events of steps on their way to the channels to which they are published. Does not know how a channel is reached, or
//! which events are to be published: the engine does.

use crate::adapter::channel::Sink;
use crate::event::{Arrival, TypePattern};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A channel to which events are published.
pub struct BoundSink {
    pub name: Arc<str>,
    pub types: Vec<TypePattern>,
    pub sink: Sink,
}

/// What the events that the steps of a document publish name as their source.
pub fn event_source(document: &str) -> String {
    format!("orderflow/{}", document.replace(' ', "%20"))
}

/// How an attempt to publish an event has ended.
pub(super) struct Publication {
    pub channel: Arc<str>,
    pub id: String,
    /// Why it was not accepted.
    pub failed: Option<String>,
}

/// The channels of a run. Each publishes one event after the other, in the order of the run.
pub struct Outbox {
    queues: BTreeMap<Arc<str>, mpsc::UnboundedSender<Arc<Arrival>>>,
    done: mpsc::UnboundedReceiver<Publication>,
    /// Events that no channel has answered for.
    open: usize,
}

impl Outbox {
    /// Begins to publish; `source` is what the events name as theirs.
    pub fn open(sinks: Vec<BoundSink>, source: &str) -> Outbox {
        let (report, done) = mpsc::unbounded_channel();
        let mut queues = BTreeMap::new();
        for BoundSink { name, sink, .. } in sinks {
            let (queue, mut events) = mpsc::unbounded_channel::<Arc<Arrival>>();
            let (report, source, channel) = (report.clone(), source.to_owned(), name.clone());
            tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    let failed = sink.publish(&source, &event).await.err();
                    let (channel, id) = (channel.clone(), event.id.clone());
                    if report.send(Publication { channel, id, failed }).is_err() {
                        return;
                    }
                }
            });
            queues.insert(name, queue);
        }
        Outbox { queues, done, open: 0 }
    }

    pub(super) fn publish(&mut self, channel: &Arc<str>, event: Arc<Arrival>) {
        let queue = self.queues.get(channel);
        self.open += usize::from(queue.is_some_and(|queue| queue.send(event).is_ok()));
    }

    /// Whether every event was answered for.
    pub(super) fn is_done(&self) -> bool {
        self.open == 0
    }

    async fn next(&mut self) -> Option<Publication> {
        let one = self.done.recv().await;
        self.open = self.open.saturating_sub(usize::from(one.is_some()));
        one
    }
}

/// The next publication that has ended; never, without channels.
pub(super) async fn next(outbox: &mut Option<Outbox>) -> Option<Publication> {
    match outbox {
        Some(outbox) => outbox.next().await,
        None => std::future::pending().await,
    }
}
