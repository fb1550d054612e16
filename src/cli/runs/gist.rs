//! The summary of an inactive run for lists, stored when the run ends or pauses, so that it need not be computed from
//! all events.

use super::super::trust;
use crate::event::Millis;
use crate::history::{Basis, Counts, History, Outline, State};
use crate::journal::{self, Header, Records};
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gist {
    pub workflow: String,
    /// The path of the newest document.
    pub document: String,
    pub state: State,
    pub counts: Counts,
    /// From the run's beginning to its last event, without the pauses.
    pub last: Millis,
}

impl Gist {
    pub fn new(workflow: &str, document: &str, outline: &Outline, basis: Basis, held: bool) -> Gist {
        Gist {
            workflow: workflow.to_owned(),
            document: document.to_owned(),
            state: outline.state(basis, held),
            counts: outline.counts(basis),
            last: outline.last,
        }
    }

    /// Computes the summary.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn of(history: &History, held: bool) -> anyhow::Result<Gist> {
        let (title, path) = (&history.graph.title, &history.header().document.path);
        let mut gist = Gist::new(title, path, history.outline()?, history.basis(), held);
        // What was stored since the run ended is not waited for any more.
        if gist.state == State::Waiting {
            let (gates, events) = history.moving_on()?;
            gist.counts.waiting = gist.counts.waiting.saturating_sub(gates);
            gist.counts.awaiting = gist.counts.awaiting.saturating_sub(events);
            if gates + events > 0 {
                gist.state = State::Paused;
            }
        }
        Ok(gist)
    }

    /// The stored summary if the journal is unchanged; else it is computed and stored.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn find(folder: &Path, header: Header, records: Records, held: bool) -> anyhow::Result<Gist> {
        if !held && let Some(gist) = trust::runs::found(folder, &header, &records) {
            return Ok(gist);
        }
        let gist = Gist::of(&History::of(folder, header, records)?, held)?;
        if !held {
            gist.store(folder);
        }
        Ok(gist)
    }

    /// Stores it for the current journal. A summary that cannot be stored is computed again.
    pub fn store(&self, folder: &Path) {
        let stored = journal::read_at_rest(folder).map_err(anyhow::Error::from);
        let _ =
            stored.and_then(|(header, records)| trust::runs::store_found(folder, &header, &records, self));
    }
}
