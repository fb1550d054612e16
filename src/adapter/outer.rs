//! The events of a run, for the runs of documents within it, at any depth: all events are those of the outermost run,
//! and only its journal says which came. It posts them on a board. A run within it hears those that its steps may
//! take, and hands up those that its steps publish.

use super::channel::Incoming;
use crate::event::Arrival;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};

/// The type and the subject of an event.
pub type Topic = (String, String);

/// The ids of the events that steps took on earlier visits, by the phases of the steps that lead to each, and its own,
/// joined by `/`: they wait for others.
pub type UsedEvents = BTreeMap<String, BTreeSet<String>>;

/// The events of the outermost run. Without one, none comes.
#[derive(Clone, Default)]
pub struct OuterEvents {
    shared: Option<Arc<Shared>>,
    used: Arc<UsedEvents>,
}

struct Shared {
    board: Mutex<Board>,
    emitted: mpsc::UnboundedSender<Incoming>,
}

/// What the outermost run has posted, and who hears it.
#[derive(Default)]
struct Board {
    /// The number of the next event.
    next: u64,
    posted: HashMap<Topic, BTreeMap<u64, Arc<Arrival>>>,
    hearers: BTreeMap<u64, Hearer>,
    /// The number of the next hearer.
    next_hearer: u64,
    /// The hearers by what they want.
    wanted: HashMap<Topic, BTreeSet<u64>>,
}

/// A run within the outermost one.
struct Hearer {
    /// What it wants, each with the number of the first event that it has not heard.
    topics: BTreeMap<Topic, u64>,
    /// The types that it waits for.
    awaits: BTreeSet<String>,
    /// Whether only people and events can move it on.
    rests: bool,
    /// How many of its gates a person is asked about.
    asked: usize,
    /// There is something else for it to look at.
    poked: bool,
    wake: Arc<Notify>,
}

impl Board {
    fn has_news(&self, hearer: &Hearer) -> bool {
        let news = |(topic, from): (&Topic, &u64)| {
            self.posted.get(topic).is_some_and(|all| all.range(*from..).next().is_some())
        };
        hearer.poked || hearer.topics.iter().any(news)
    }

    fn forget(&mut self, id: u64) {
        let Some(hearer) = self.hearers.remove(&id) else { return };
        for topic in hearer.topics.keys() {
            self.want_no_more(topic, id);
        }
    }

    fn want_no_more(&mut self, topic: &Topic, id: u64) {
        if let Some(all) = self.wanted.get_mut(topic) {
            all.remove(&id);
            if all.is_empty() {
                self.wanted.remove(topic);
            }
        }
    }
}

impl OuterEvents {
    /// Those of a run that other runs may be within, and what their steps publish.
    pub fn new() -> (OuterEvents, mpsc::UnboundedReceiver<Incoming>) {
        let (emitted, published) = mpsc::unbounded_channel();
        let shared = Shared { board: Mutex::default(), emitted };
        (OuterEvents { shared: Some(Arc::new(shared)), used: Arc::default() }, published)
    }

    fn board(&self) -> Option<MutexGuard<'_, Board>> {
        // Nothing panics while it is locked.
        self.shared.as_ref().map(|shared| shared.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the steps of the run that has these took before.
    pub fn used(&self) -> &UsedEvents {
        &self.used
    }

    /// For the run of the document of a step, whose steps took these before.
    pub fn after(self, used: UsedEvents) -> OuterEvents {
        OuterEvents { used: Arc::new(used), ..self }
    }

    /// Posts an event, which is durable.
    pub fn post(&self, event: Arc<Arrival>) {
        let Some(mut board) = self.board() else { return };
        let topic = (event.kind.clone(), event.subject.clone());
        let number = board.next;
        board.next += 1;
        let hearers = board.wanted.get(&topic).into_iter().flatten();
        hearers.filter_map(|id| board.hearers.get(id)).for_each(|hearer| hearer.wake.notify_one());
        board.posted.entry(topic).or_default().insert(number, event);
    }

    /// Removes the events with this subject, except those of types that `stays` names.
    pub fn remove(&self, subject: &str, stays: impl Fn(&str) -> bool) {
        if let Some(mut board) = self.board() {
            board.posted.retain(|(kind, of), _| of != subject || stays(kind));
        }
    }

    /// Whether a run within is not at rest, has not heard an event that it wants, or has a gate about which a person is
    /// asked.
    pub fn is_busy(&self) -> bool {
        let busy = |board: MutexGuard<'_, Board>| {
            let busy = |hearer: &Hearer| !hearer.rests || hearer.asked > 0 || board.has_news(hearer);
            board.hearers.values().any(busy)
        };
        self.board().is_some_and(busy)
    }

    /// Whether a run within waits for an event of a type that is one of these.
    pub fn awaits(&self, is: impl Fn(&str) -> bool) -> bool {
        let any = |board: MutexGuard<'_, Board>| {
            board.hearers.values().flat_map(|hearer| &hearer.awaits).any(|kind| is(kind))
        };
        self.board().is_some_and(any)
    }

    /// The way to the outermost run for what the steps of a run within it publish; `None` where none is.
    pub fn up(&self) -> Option<Upward> {
        self.shared.clone().map(Upward)
    }

    /// A run within begins to hear; its item has this key.
    pub fn hear(&self, key: Arc<str>) -> Hearing {
        let wake = Arc::new(Notify::new());
        let id = match self.board() {
            Some(mut board) => {
                let id = board.next_hearer;
                board.next_hearer += 1;
                let (topics, awaits) = Default::default();
                board.hearers.insert(
                    id,
                    Hearer { topics, awaits, rests: false, asked: 0, poked: false, wake: wake.clone() },
                );
                id
            }
            None => 0,
        };
        Hearing(Arc::new(Ear { events: self.clone(), id, key, wake }))
    }
}

/// The way to the outermost run for published events.
#[derive(Clone)]
pub struct Upward(Arc<Shared>);

impl Upward {
    /// Hands up an event that a step has published; returns once it is durable there. An event that the outermost run no
    /// longer takes, because it ends, is handed up again when the run resumes.
    pub async fn publish(&self, event: Arc<Arrival>) {
        let (durable, reported) = oneshot::channel();
        let sent = self.0.emitted.send(Incoming { arrival: event, durable });
        if sent.is_err() || reported.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for OuterEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OuterEvents")
    }
}

/// What a run hears of the outermost one. It ends with its last copy.
#[derive(Clone)]
pub struct Hearing(Arc<Ear>);

struct Ear {
    events: OuterEvents,
    id: u64,
    key: Arc<str>,
    wake: Arc<Notify>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some(mut board) = self.events.board() {
            board.forget(self.id);
        }
    }
}

/// Ends a hearing when it is dropped, with all copies of it.
pub struct HearingEnd(pub Hearing);

impl Drop for HearingEnd {
    fn drop(&mut self) {
        let Hearing(ear) = &self.0;
        if let Some(mut board) = ear.events.board() {
            board.forget(ear.id);
        }
    }
}

impl Hearing {
    /// The key of its item.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// What it wants from now on, and the types that the run waits for now.
    pub fn want(&self, topics: BTreeSet<Topic>, awaits: BTreeSet<String>) {
        let id = self.0.id;
        let Some(mut board) = self.0.events.board() else { return };
        let Some(hearer) = board.hearers.get_mut(&id) else { return };
        hearer.awaits = awaits;
        if hearer.topics.keys().eq(&topics) {
            return;
        }
        let before = std::mem::take(&mut hearer.topics);
        let from = |topic: &Topic| before.get(topic).copied().unwrap_or_default();
        hearer.topics = topics.iter().map(|topic| (topic.clone(), from(topic))).collect();
        for topic in before.keys().filter(|topic| !topics.contains(topic)) {
            board.want_no_more(topic, id);
        }
        for topic in topics {
            board.wanted.entry(topic).or_default().insert(id);
        }
    }

    /// The events that it has not heard, in the order of the outermost run.
    pub fn take(&self) -> Vec<Arc<Arrival>> {
        let Some(mut board) = self.0.events.board() else { return Vec::new() };
        let board = &mut *board;
        let Some(hearer) = board.hearers.get_mut(&self.0.id) else { return Vec::new() };
        hearer.poked = false;
        let mut all = BTreeMap::new();
        for (topic, from) in &mut hearer.topics {
            let posted = board.posted.get(topic).into_iter().flat_map(|posted| posted.range(*from..));
            all.extend(posted.map(|(number, event)| (*number, event.clone())));
            *from = board.next;
        }
        all.into_values().collect()
    }

    /// Waits until there is an event that it has not heard.
    pub async fn news(&self) {
        loop {
            let has_news = self.0.events.board().is_some_and(|board| {
                board.hearers.get(&self.0.id).is_some_and(|hearer| board.has_news(hearer))
            });
            if has_news {
                return;
            }
            self.0.wake.notified().await;
        }
    }

    /// A person is asked about a gate of the run, or not any more.
    pub fn asked(&self, is_asked: bool) {
        let Some(mut board) = self.0.events.board() else { return };
        if let Some(hearer) = board.hearers.get_mut(&self.0.id) {
            hearer.asked = if is_asked { hearer.asked + 1 } else { hearer.asked.saturating_sub(1) };
        }
    }

    /// There is something for the run to look at besides events.
    pub fn poke(&self) {
        if let Some(mut board) = self.0.events.board()
            && let Some(hearer) = board.hearers.get_mut(&self.0.id)
        {
            hearer.poked = true;
            self.0.wake.notify_one();
        }
    }

    /// Only people and events can move the run on, or not any more.
    pub fn rest(&self, rests: bool) {
        let Some(mut board) = self.0.events.board() else { return };
        if let Some(hearer) = board.hearers.get_mut(&self.0.id) {
            hearer.rests = rests;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn event(id: &str, kind: &str, subject: &str) -> Arc<Arrival> {
        let (id, kind, subject) = (id.to_owned(), kind.to_owned(), subject.to_owned());
        Arc::new(Arrival { id, kind, subject, source: None, data: Arc::new(Value::Null), at: 1 })
    }

    fn topics(all: &[(&str, &str)]) -> BTreeSet<Topic> {
        all.iter().map(|(kind, subject)| ((*kind).to_owned(), (*subject).to_owned())).collect()
    }

    fn ids(all: &[Arc<Arrival>]) -> Vec<&str> {
        all.iter().map(|event| event.id.as_str()).collect()
    }

    #[test]
    fn a_run_hears_each_event_that_it_wants_once_and_in_order() {
        let (events, _emitted) = OuterEvents::new();
        events.post(event("1", "b", "k"));
        events.post(event("2", "a", "k"));
        events.post(event("3", "a", "other"));
        let hearing = events.hear("k".into());
        assert!(hearing.take().is_empty());
        hearing.want(topics(&[("a", "k"), ("b", "k")]), BTreeSet::new());
        assert_eq!(ids(&hearing.take()), ["1", "2"]);
        assert!(hearing.take().is_empty());
        events.post(event("4", "a", "k"));
        // What it wants besides is heard from the beginning, the rest is not heard again.
        hearing.want(topics(&[("a", "k"), ("a", "other")]), BTreeSet::new());
        assert_eq!(ids(&hearing.take()), ["3", "4"]);
        // The next one hears all that is left.
        events.remove("k", |kind| kind == "b");
        let next = events.hear("k".into());
        next.want(topics(&[("a", "k"), ("b", "k")]), BTreeSet::new());
        assert_eq!(ids(&next.take()), ["1"]);
    }

    #[test]
    fn the_outermost_run_is_busy_until_all_within_rest_and_have_heard() {
        let (events, _emitted) = OuterEvents::new();
        assert!(!events.is_busy());
        let hearing = events.hear("k".into());
        assert!(events.is_busy());
        hearing.want(topics(&[("a", "k")]), BTreeSet::from(["a".to_owned()]));
        hearing.rest(true);
        assert!(!events.is_busy() && events.awaits(|kind| kind == "a") && !events.awaits(|kind| kind == "b"));
        events.post(event("1", "a", "other"));
        assert!(!events.is_busy());
        events.post(event("2", "a", "k"));
        assert!(events.is_busy());
        hearing.take();
        assert!(!events.is_busy());
        let copy = hearing.clone();
        drop(hearing);
        assert!(events.awaits(|_| true));
        drop(copy);
        assert!(!events.awaits(|_| true));
    }

    #[tokio::test]
    async fn an_event_that_comes_before_the_wait_is_news() {
        let (events, mut emitted) = OuterEvents::new();
        let hearing = events.hear("k".into());
        hearing.want(topics(&[("a", "k")]), BTreeSet::new());
        events.post(event("1", "a", "k"));
        hearing.news().await;
        hearing.take();
        let later = tokio::spawn({
            let hearing = hearing.clone();
            async move { hearing.news().await }
        });
        events.post(event("2", "a", "k"));
        later.await.unwrap();
        // Up: it returns once the event is durable.
        let up = tokio::spawn({
            let up = events.up().unwrap();
            async move { up.publish(event("3", "a", "k")).await }
        });
        let Incoming { arrival, durable } = emitted.recv().await.unwrap();
        assert_eq!(arrival.id, "3");
        assert!(!up.is_finished());
        durable.send(()).unwrap();
        up.await.unwrap();
        assert!(OuterEvents::default().up().is_none());
    }
}
