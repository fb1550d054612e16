//! Events on their way from their sources to the run. A source reports an event as accepted only once it is durable.

use crate::event::Arrival;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// An event from a source, and where to report that it is durable.
#[derive(Debug)]
pub struct Incoming {
    pub arrival: Arc<Arrival>,
    /// Dropped without a report if the run ends before.
    pub durable: oneshot::Sender<()>,
}

/// The sources of a run.
pub struct Sources {
    pub events: mpsc::Receiver<Incoming>,
    /// The types that they bring.
    pub types: Vec<TypePattern>,
}

/// A type of events, or all that begin with the words before `.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(pub String);

impl TypePattern {
    /// Whether a type is one of these.
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(begin) => kind.starts_with(begin),
            None => self.0 == kind,
        }
    }
}

impl Sources {
    /// Whether events of this type may come.
    pub fn bring(&self, kind: &str) -> bool {
        self.types.iter().any(|pattern| pattern.matches(kind))
    }
}

/// The next event of the sources; never, without any.
pub(super) async fn next(sources: &mut Option<Sources>) -> Option<Incoming> {
    match sources {
        Some(sources) => sources.events.recv().await,
        None => std::future::pending().await,
    }
}
