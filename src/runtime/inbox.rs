//! Decisions of people, and events that they send, on their way to the runner of a run: files in a folder of the run, written by other processes, and
//! answers at the terminal. A file is removed once what it says is in the journal.

use crate::disk::{Folder, Kind};
use crate::engine::{EngineInput, Run};
use crate::event::{Arrival, Decision, GateId, ItemId};
use crate::graph::Graph;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder in a run's folder.
const FOLDER: &str = "inbox";

/// The largest request in bytes, and the most requests that are looked at: beyond, none is read.
const LARGEST: usize = 16 << 20;
const MOST: usize = 10_000;

/// A decision, by the names that people use: those of steps, groups and items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// What the gate is before: the phase of a step, or the name of a group.
    pub gate: String,
    /// The keys of items that wait there; `None` for all, now and later.
    pub items: Option<Vec<String>>,
    pub decision: Decision,
    /// The file that it was in.
    #[serde(skip)]
    pub name: Option<String>,
}

impl DecisionRequest {
    /// The gate that it is about.
    pub fn gate(&self, graph: &Graph) -> Option<GateId> {
        graph
            .gates
            .iter()
            .zip(0..)
            .find(|(gate, _)| graph.gate_name(gate) == self.gate)
            .map(|(_, id)| GateId(id))
    }

    /// The decision for the engine; nothing for a gate that the document does not have.
    pub(crate) fn inputs(&self, graph: &Graph, run: &Run) -> Vec<EngineInput> {
        let Some(gate) = self.gate(graph) else { return Vec::new() };
        let input = |item| EngineInput::Decide { gate, item, decision: self.decision.clone() };
        let Some(keys) = &self.items else { return vec![input(None)] };
        let waits = run.waiting().filter(|(_, _, at, _)| *at == gate);
        let waits: HashMap<&Arc<str>, ItemId> = waits.map(|(item, key, ..)| (key, item)).collect();
        let items = keys.iter().filter_map(|key| waits.get(&Arc::from(key.as_str())).copied());
        items.collect::<BTreeSet<_>>().into_iter().map(|item| input(Some(item))).collect()
    }
}

/// An event that another process sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    pub signal: Arc<Arrival>,
    /// The file that it was in.
    #[serde(skip)]
    pub name: Option<String>,
}

/// What another process asks of the runner.
#[derive(Clone, Debug, PartialEq)]
pub enum InboxRequest {
    Decide(DecisionRequest),
    Signal(SignalRequest),
}

impl InboxRequest {
    fn read(text: &[u8], name: String) -> Option<InboxRequest> {
        if let Ok(request) = serde_json::from_slice::<DecisionRequest>(text) {
            return Some(InboxRequest::Decide(DecisionRequest { name: Some(name), ..request }));
        }
        let request = serde_json::from_slice::<SignalRequest>(text).ok();
        let request = request.filter(|request| request.signal.fault().is_none())?;
        Some(InboxRequest::Signal(SignalRequest { name: Some(name), ..request }))
    }
}

/// The requests in a run's folder.
#[derive(Clone, Debug)]
pub struct Inbox {
    home: PathBuf,
}

impl Inbox {
    pub fn of(home: &Path) -> Inbox {
        Inbox { home: home.to_owned() }
    }

    /// Adds a request, durably. Returns its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, request: &impl Serialize) -> io::Result<String> {
        let folder = Folder::open(&self.home)?.make(FOLDER)?;
        // Names are in the order of time.
        let name = format!("{}.json", super::new_run_id());
        folder.replace(&name, serde_json::to_string(request)?.as_bytes())?;
        Ok(name)
    }

    /// The requests that are not in `seen`, the oldest first, and adds them to it. Other files are left alone.
    pub fn take(&self, seen: &mut BTreeSet<String>) -> Vec<InboxRequest> {
        let folder = Folder::open(&self.home).and_then(|home| home.folder(FOLDER));
        let Ok(folder) = folder else { return Vec::new() };
        let entries = folder.entries_up_to(MOST).unwrap_or_default();
        let names = entries.into_iter().filter(|(_, kind)| *kind == Kind::File);
        let names: Vec<String> = names.filter_map(|(name, _)| name.into_string().ok()).collect();
        // Those that are gone were answered.
        seen.retain(|name| names.contains(name));
        let mut requests = Vec::new();
        for name in names.into_iter().filter(|name| !name.starts_with('.')) {
            if !seen.insert(name.clone()) {
                continue;
            }
            let text = folder.read(&name, LARGEST).ok().flatten();
            requests.extend(text.and_then(|text| InboxRequest::read(&text, name)));
        }
        requests
    }

    /// The requests that no runner has taken yet, the oldest first.
    pub fn stored(&self) -> Vec<InboxRequest> {
        self.take(&mut BTreeSet::new())
    }

    /// Whether it has no requests.
    pub fn is_empty(&self) -> bool {
        let folder = Folder::open(&self.home).and_then(|home| home.folder(FOLDER));
        let names = folder.and_then(|folder| folder.entries_up_to(MOST)).unwrap_or_default();
        !names.iter().any(|(name, kind)| *kind == Kind::File && !name.to_string_lossy().starts_with('.'))
    }

    /// Whether a request has not been answered.
    pub fn holds(&self, name: &str) -> bool {
        Folder::open(&self.home).and_then(|home| home.folder(FOLDER)).is_ok_and(|inbox| inbox.has_file(name))
    }

    /// Removes a request.
    pub fn done(&self, name: &str) {
        // One that stays is taken again by the next runner, and decides nothing then.
        let _ = Folder::open(&self.home)
            .and_then(|home| home.folder(FOLDER))
            .and_then(|inbox| inbox.remove(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(note: &str) -> DecisionRequest {
        let decision = Decision { approved: true, by: "ops".into(), note: Some(note.into()), at: 7 };
        DecisionRequest { gate: "Ship".into(), items: Some(vec!["a".into()]), decision, name: None }
    }

    #[test]
    fn requests_are_taken_once_in_their_order_and_removed_when_they_are_done() {
        let home = tempfile::tempdir().unwrap();
        let inbox = Inbox::of(home.path());
        let mut seen = BTreeSet::new();
        assert_eq!(inbox.take(&mut seen), []);
        let names: Vec<String> =
            ["one", "two"].iter().map(|note| inbox.put(&request(note)).unwrap()).collect();
        let taken = inbox.take(&mut seen);
        let named = |at: usize, note| {
            InboxRequest::Decide(DecisionRequest { name: Some(names[at].clone()), ..request(note) })
        };
        assert_eq!(taken, [named(0, "one"), named(1, "two")]);
        assert_eq!(inbox.take(&mut seen), []);
        assert!(inbox.holds(&names[0]));
        inbox.done(&names[0]);
        assert!(!inbox.holds(&names[0]));
        assert_eq!(inbox.take(&mut seen), []);
        // Another runner knows nothing of the first one.
        assert_eq!(inbox.take(&mut BTreeSet::new()), [named(1, "two")]);
    }

    #[test]
    fn links_large_files_and_other_texts_are_not_taken() {
        let home = tempfile::tempdir().unwrap();
        let inbox = Inbox::of(home.path());
        let folder = home.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        let text = serde_json::to_string(&request("x")).unwrap();
        std::fs::write(home.path().join("outside"), &text).unwrap();
        std::os::unix::fs::symlink(home.path().join("outside"), folder.join("a.json")).unwrap();
        std::fs::write(folder.join("b.json"), "{}").unwrap();
        std::fs::write(folder.join("c.json"), format!("{text}{}", " ".repeat(LARGEST))).unwrap();
        std::fs::create_dir(folder.join("d.json")).unwrap();
        assert_eq!(inbox.take(&mut BTreeSet::new()), []);
        std::fs::write(folder.join("e.json"), &text).unwrap();
        assert_eq!(inbox.take(&mut BTreeSet::new()).len(), 1);
    }
}
