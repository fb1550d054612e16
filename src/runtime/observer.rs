//! Those who observe a run: they see its events, and may show what running attempts are just saying.

use crate::event::{Event, ItemId, StepPath};

/// Observes the events of a run. Sees every event once, in order, before its effects begin.
pub trait Observer {
    /// Processes an event.
    ///
    /// # Errors
    /// An error that stops the run, such as a trace that cannot be written.
    fn see(&mut self, event: &Event) -> anyhow::Result<()>;

    /// How many running attempts it can show the last words of; 0 if no person watches. What none of the observers of a
    /// run shows when it begins is not collected.
    fn room(&self) -> usize {
        0
    }

    /// Shows a problem that does not stop the run.
    fn warn(&mut self, _why: &str) {}

    /// Shows the last words of running attempts, without secrets, in the order of their start; those before are over.
    fn show_live(&mut self, _words: &[LastWords]) {}
}

/// What a running attempt is just saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    pub item: ItemId,
    pub step: StepPath,
    pub attempt: u32,
    /// The end of a text, of any number of lines; not empty.
    pub text: String,
}
