//! What a list says of a run that does not live, stored when the run ends or rests, so that it is read and not computed
//! from all events.

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
    /// From the run's beginning to the last that happened, without the pauses.
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

    /// # Errors
    /// Where the journal is damaged.
    pub fn of(history: &History, held: bool) -> anyhow::Result<Gist> {
        let (title, path) = (&history.graph.title, &history.header().document.path);
        Ok(Gist::new(title, path, history.outline()?, history.basis(), held))
    }

    /// What is stored of a run where its journal is as it was; else what its journal says, which is then stored.
    ///
    /// # Errors
    /// Stops where the journal is damaged.
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

    /// Stores it for the journal as it is. What cannot be stored is computed again.
    pub fn store(&self, folder: &Path) {
        let stored = journal::read_at_rest(folder).map_err(anyhow::Error::from);
        let _ =
            stored.and_then(|(header, records)| trust::runs::store_found(folder, &header, &records, self));
    }
}
