//! The pauses between the starts of a program that stays and keeps dying. Does not know what it does.

use super::contract;
use crate::event::{Cause, Failure, Outcome};
use std::time::Duration;
use tokio::task::JoinHandle;

/// After this many deaths in a row without an answer, calls fail at once while the program pauses.
const DEATHS: u32 = 5;

/// The pause after the first death; it doubles with each, up to the longest.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// The deaths of a program in a row.
#[derive(Default)]
pub struct Restarts {
    deaths: u32,
    /// How it died last.
    why: String,
    /// Ends when it may be started again.
    rest: Option<JoinHandle<()>>,
}

impl Restarts {
    /// Records that the program has died: after an answer, or without one for this reason.
    pub fn died(&mut self, without_answer: Option<String>) {
        self.deaths = if without_answer.is_some() { self.deaths + 1 } else { 0 };
        self.rest = without_answer.is_some().then(|| {
            let doubled = REST.saturating_mul(1 << (self.deaths - 1).min(16));
            tokio::spawn(tokio::time::sleep(doubled.min(LONGEST_REST)))
        });
        self.why = without_answer.unwrap_or_default();
    }

    /// Waits until the program may be started again; `who` is what it is, such as `worker`.
    ///
    /// # Errors
    /// When it has died too often and still pauses.
    pub async fn wait(&mut self, who: &str) -> Result<(), Box<Failure>> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        if self.deaths >= DEATHS && !rest.is_finished() {
            let message = format!(
                "the {who} ended {} times in a row before it answered anything, and pauses; last: {}",
                self.deaths, self.why
            );
            return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
        }
        let _ = rest.await;
        self.rest = None;
        Ok(())
    }
}
