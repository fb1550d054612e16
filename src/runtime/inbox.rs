//! Decisions of people, and events that they send, on their way to the runner of a run: files in a folder of the run,
//! written by other processes, and answers at the terminal. A file is removed once what it says is in the journal.
//!
//! The name of a file shows that a command of this user has written it: who can write into a run's folder, for example by
//! an archive that is unpacked there, can approve nothing.

use crate::disk::{Folder, Kind};
use crate::engine::{EngineInput, Run};
use crate::event::{Arrival, Decision, GateId, ItemId};
use crate::graph::Graph;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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

/// The key with which the commands of this user sign their requests. Clones are the same key.
#[derive(Clone, Debug, Default)]
pub struct InboxKey {
    /// The folder with its file.
    folder: Option<PathBuf>,
    /// In place of that, for requests of this process alone, where the folder cannot be used.
    own: Arc<OnceLock<Option<Key>>>,
}

impl InboxKey {
    /// The key in a folder that only this user can read; it is made there with the first request.
    pub fn in_folder(folder: PathBuf) -> InboxKey {
        InboxKey { folder: Some(folder), own: Arc::default() }
    }

    fn own(&self) -> Option<&Key> {
        self.own.get_or_init(|| Key::new().ok()).as_ref()
    }
}

/// The file of the key, and its size in bytes.
const KEY: &str = "key";
const SIZE: usize = 32;

struct Key([u8; SIZE]);

impl fmt::Debug for Key {
    /// Without its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    fn new() -> io::Result<Key> {
        let mut bytes = [0; SIZE];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Key(bytes))
    }

    /// The key, if this user has one.
    fn read(folder: &Path) -> io::Result<Option<Key>> {
        let bytes = Folder::open(folder)?.read(KEY, SIZE)?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Key))
    }

    /// The key, which is made if this user has none.
    fn ensure(folder: &Path) -> io::Result<Key> {
        let file = Folder::ensure(folder)?.open_or_create(KEY)?;
        // Of two commands that make it at once, one waits for the other.
        file.lock()?;
        if let Some(key) = Key::read(folder)? {
            return Ok(key);
        }
        let key = Key::new()?;
        file.set_len(0)?;
        (&file).write_all(&key.0)?;
        file.sync_all()?;
        Ok(key)
    }

    /// The name of the file with this text in the inbox of the run in this folder. A folder that is moved stays the same;
    /// one that was removed may have left its number to another run, but not its time of birth.
    fn name(&self, home: &Folder, id: &str, text: &[u8]) -> io::Result<String> {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&home.identity()?.1.to_le_bytes()).update(&home.own_birth().unwrap_or(0).to_le_bytes());
        hasher.update(id.as_bytes()).update(b"\n").update(text);
        Ok(format!("{id}-{}.json", &hasher.finalize().to_hex()[..32]))
    }
}

/// The requests in a run's folder.
#[derive(Clone, Debug)]
pub struct Inbox {
    home: PathBuf,
    key: InboxKey,
}

impl Inbox {
    /// That of the run in the folder `home`; only requests with this key count.
    pub fn of(home: &Path, key: &InboxKey) -> Inbox {
        Inbox { home: home.to_owned(), key: key.clone() }
    }

    /// The folder of the run.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// The name of a file with this text that only a command of this user can give it.
    pub(super) fn sign(&self, home: &Folder, id: &str, text: &[u8]) -> io::Result<String> {
        let key = self.key.folder.as_ref().and_then(|folder| Key::ensure(folder).ok());
        let key = key.as_ref().or(self.key.own()).ok_or(io::ErrorKind::Other)?;
        key.name(home, id, text)
    }

    /// Whether a command of this user has given this file its name.
    pub(super) fn has_signed(&self, home: &Folder, name: &str, text: &[u8]) -> bool {
        self.is_own(&mut None, home, name, text)
    }

    /// Adds a request, durably. Returns its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, request: &impl Serialize) -> io::Result<String> {
        let home = Folder::open(&self.home)?;
        let text = serde_json::to_string(request)?;
        // Names are in the order of time.
        let name = self.sign(&home, &super::new_run_id(), text.as_bytes())?;
        home.make(FOLDER)?.replace(&name, text.as_bytes())?;
        Ok(name)
    }

    /// Whether a command of this user has written this text into the file.
    fn is_own(&self, key: &mut Option<Key>, home: &Folder, name: &str, text: &[u8]) -> bool {
        if key.is_none() {
            *key = self.key.folder.as_ref().and_then(|folder| Key::read(folder).ok().flatten());
        }
        let Some((id, _)) = name.split_once('-') else { return false };
        let made = |key: &Key| key.name(home, id, text).is_ok_and(|own| own == name);
        key.as_ref().is_some_and(made) || self.key.own().is_some_and(made)
    }

    /// The requests that are not in `seen`, the oldest first, and adds them to it. Other files are left alone.
    pub fn take(&self, seen: &mut BTreeSet<String>) -> Vec<InboxRequest> {
        self.look(seen).0
    }

    /// How many of its files no command of this user has written, or are no requests: they do not count.
    pub fn ignored(&self) -> usize {
        self.look(&mut BTreeSet::new()).1
    }

    /// The new requests, and how many other files there are.
    fn look(&self, seen: &mut BTreeSet<String>) -> (Vec<InboxRequest>, usize) {
        let Ok(home) = Folder::open(&self.home) else { return (Vec::new(), 0) };
        let Ok(folder) = home.folder(FOLDER) else { return (Vec::new(), 0) };
        let entries = folder.entries_up_to(MOST).unwrap_or_default();
        let names = entries.into_iter().filter(|(_, kind)| *kind == Kind::File);
        let names: Vec<String> = names.filter_map(|(name, _)| name.into_string().ok()).collect();
        // Those that are gone were answered.
        seen.retain(|name| names.contains(name));
        let (mut requests, mut others, mut key) = (Vec::new(), 0, None);
        for name in names.into_iter().filter(|name| !name.starts_with('.')) {
            if !seen.insert(name.clone()) {
                continue;
            }
            let text = folder.read(&name, LARGEST).ok().flatten();
            let text = text.filter(|text| self.is_own(&mut key, &home, &name, text));
            match text.and_then(|text| InboxRequest::read(&text, name)) {
                Some(request) => requests.push(request),
                None => others += 1,
            }
        }
        (requests, others)
    }

    /// The requests that no runner has taken yet, the oldest first.
    pub fn stored(&self) -> Vec<InboxRequest> {
        self.take(&mut BTreeSet::new())
    }

    /// Whether it has no requests; other files do not count.
    pub fn is_empty(&self) -> bool {
        self.stored().is_empty()
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
        let inbox = Inbox::of(home.path(), &InboxKey::in_folder(home.path().join("state")));
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
        let inbox = Inbox::of(home.path(), &InboxKey::in_folder(home.path().join("state")));
        let (folder, text) = (home.path().join(FOLDER), serde_json::to_string(&request("x")).unwrap());
        let key = Key::ensure(&home.path().join("state")).unwrap();
        let place = Folder::open(home.path()).unwrap();
        let named = |id: &str, text: &str| folder.join(key.name(&place, id, text.as_bytes()).unwrap());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(home.path().join("outside"), &text).unwrap();
        std::os::unix::fs::symlink(home.path().join("outside"), named("a", &text)).unwrap();
        std::fs::write(named("b", "{}"), "{}").unwrap();
        let large = format!("{text}{}", " ".repeat(LARGEST));
        std::fs::write(named("c", &large), &large).unwrap();
        std::fs::create_dir(named("d", &text)).unwrap();
        assert_eq!(inbox.take(&mut BTreeSet::new()), []);
        std::fs::write(named("e", &text), &text).unwrap();
        assert_eq!(inbox.take(&mut BTreeSet::new()).len(), 1);
    }

    /// What somebody else has put there is left alone: under another name, with another text, by another key, in another
    /// run.
    #[test]
    fn only_this_users_requests_are_taken() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = InboxKey::in_folder(home.path().join("state"));
        let inbox = Inbox::of(home.path(), &key);
        let name = inbox.put(&request("x")).unwrap();
        let file = home.path().join(FOLDER).join(&name);
        let text = std::fs::read_to_string(&file).unwrap();
        let beside = |name: &str| home.path().join(FOLDER).join(name);
        std::fs::write(beside("0.json"), &text).unwrap();
        std::fs::write(beside(&name.replacen('-', "0-", 1)), &text).unwrap();
        assert_eq!((inbox.stored().len(), inbox.ignored()), (1, 2));
        std::fs::write(&file, text.replace("ops", "me")).unwrap();
        assert_eq!(inbox.stored(), []);
        std::fs::create_dir(other.path().join(FOLDER)).unwrap();
        std::fs::write(other.path().join(FOLDER).join(&name), &text).unwrap();
        assert_eq!(Inbox::of(other.path(), &key).stored(), []);
        std::fs::write(&file, &text).unwrap();
        assert_eq!(Inbox::of(home.path(), &InboxKey::in_folder(other.path().join("state"))).stored(), []);
        assert_eq!(inbox.stored().len(), 1);
    }
}
