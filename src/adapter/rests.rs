//! What an attempt reports while what it runs waits for people or events. Does not know who listens.

use crate::event::WaitsFor;
use std::fmt;
use std::sync::Arc;

/// Where an attempt reports that what it runs waits for people or events and for nothing else, or does no longer.
#[derive(Clone, Default)]
pub struct Rests(Option<Arc<dyn Fn(Option<WaitsFor>) + Send + Sync>>);

impl Rests {
    pub fn new(report: impl Fn(Option<WaitsFor>) + Send + Sync + 'static) -> Rests {
        Rests(Some(Arc::new(report)))
    }

    /// What moves it on; `None` if it does not wait.
    pub fn say(&self, waits: Option<WaitsFor>) {
        if let Some(report) = &self.0 {
            report(waits);
        }
    }
}

impl fmt::Debug for Rests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rests")
    }
}
