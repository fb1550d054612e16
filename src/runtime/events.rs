//! Events on their way from their sources to the run. A source reports an event as accepted only once it is durable.

use crate::adapter::channel::Incoming;
use crate::event::TypePattern;
use tokio::sync::mpsc;

/// The sources of a run.
pub struct Sources {
    pub events: mpsc::Receiver<Incoming>,
    /// The types that they bring.
    pub types: Vec<TypePattern>,
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
