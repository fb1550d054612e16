//! The events of runs for followers: one reader for each run that is followed, and the latest events in memory. A
//! follower that is behind them reads the journal itself until it has caught up; one that is gone costs nothing.

use crate::diag::render::visible_json;
use crate::history::Follower;
use crate::journal::{self, Lock};
use crate::runtime::{open_questions, unix_millis};
use crate::view::happening::event_json;
use axum::body::Bytes;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How often the reader looks for events, and how often a silent follower gets a comment.
const EVERY: Duration = Duration::from_millis(100);
const SILENCE: Duration = Duration::from_secs(15);

/// How many events are in memory, and with how many bytes.
const LATEST: usize = 4096;
const BYTES: usize = 8 << 20;

/// How many events are read at once, and about how many bytes are sent at once.
const PIECE: u64 = 1024;
const CHUNK: usize = 64 << 10;

/// How long after a write another one may have the same time.
const SAME_TIME_MS: u64 = 1000;

/// How many journals are read at the same time for followers.
const READING: usize = 2;

/// The runs that are followed.
pub struct Feeds {
    all: Mutex<HashMap<PathBuf, Weak<Feed>>>,
    permits: Arc<Semaphore>,
}

/// One run that is followed.
struct Feed {
    latest: Mutex<Latest>,
    state: watch::Sender<FeedState>,
}

/// What followers wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FeedState {
    /// The number of the last event.
    last: u64,
    /// Whether a process runs the run, and the ids of the questions that its agents ask.
    active: Active,
    /// Whether the events up to the end have been read.
    complete: bool,
    /// The journal cannot be read.
    broken: bool,
}

/// Whether a process runs the run, and the ids of the questions that wait for a person.
type Active = (bool, Arc<[String]>);

/// The latest events, each as one message.
#[derive(Default)]
struct Latest {
    /// The number of the first, if there are any.
    first: u64,
    events: VecDeque<Bytes>,
    bytes: usize,
}

/// The events after a number.
enum After {
    Some(Bytes, u64),
    None,
    /// They are no longer in memory.
    Behind,
}

/// A follower of one run, after the event with the number `sent`.
pub struct Following {
    feed: Arc<Feed>,
    state: watch::Receiver<FeedState>,
    home: PathBuf,
    permits: Arc<Semaphore>,
    sent: u64,
    /// Whether it ends with the current events.
    ends: bool,
    /// What was sent last about the run's process.
    active: Option<Active>,
    /// Its own reader, as long as it is behind.
    reader: Option<Box<Follower>>,
    over: bool,
}

impl Default for Feeds {
    fn default() -> Self {
        Feeds { all: Mutex::default(), permits: Arc::new(Semaphore::new(READING)) }
    }
}

impl Feeds {
    /// Follows the run in the folder `home` after the event with the number `sent`; with `ends`, up to its current end.
    pub fn follow(&self, home: &Path, sent: u64, ends: bool) -> Following {
        let mut all = locked(&self.all);
        all.retain(|_, feed| feed.strong_count() > 0);
        // What others have read may be a moment old, and the current end may be behind it.
        let shared = all.get(home).filter(|_| !ends).and_then(Weak::upgrade);
        let feed = shared.unwrap_or_else(|| {
            let feed = Arc::new(Feed { latest: Mutex::default(), state: watch::Sender::default() });
            if !ends {
                all.insert(home.to_owned(), Arc::downgrade(&feed));
            }
            tokio::spawn(read(Arc::downgrade(&feed), home.to_owned(), self.permits.clone()));
            feed
        });
        let (state, home, permits) = (feed.state.subscribe(), home.to_owned(), self.permits.clone());
        Following { feed, state, home, permits, sent, ends, active: None, reader: None, over: false }
    }
}

/// Reads for a feed as long as it has followers.
async fn read(feed: Weak<Feed>, home: PathBuf, permits: Arc<Semaphore>) {
    let mut look = Look { home, reader: None, sign: None };
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let known = match feed.upgrade() {
            Some(feed) => feed.state.borrow().clone(),
            None => return,
        };
        let looked = tokio::task::spawn_blocking(move || {
            let seen = look.look(known);
            drop(permit);
            (look, seen)
        });
        let Ok((back, (state, events))) = looked.await else { return };
        look = back;
        let Some(feed) = feed.upgrade() else { return };
        locked(&feed.latest).extend(state.last, events);
        let (broken, complete) = (state.broken, state.complete);
        feed.state.send_if_modified(|known| {
            let is_new = *known != state;
            *known = state;
            is_new
        });
        if broken {
            return;
        }
        if complete {
            drop(feed);
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// The reader of a feed.
struct Look {
    home: PathBuf,
    reader: Option<Follower>,
    /// When the journal was last written to, as far as it has been read.
    sign: Option<i64>,
}

impl Look {
    /// The next events.
    fn look(&mut self, known: FeedState) -> (FeedState, Vec<Bytes>) {
        // Before the events are read: a run that ends meanwhile has written all of them.
        let questions = open_questions(&self.home).into_iter().map(|question| question.id).collect();
        let active = (Lock::is_held(&self.home).unwrap_or(false), questions);
        let sign = journal::last_sign(&self.home);
        let old = |sign: i64| u64::try_from(sign).is_ok_and(|sign| sign + SAME_TIME_MS < unix_millis());
        if known.complete && active == known.active && sign == self.sign && sign.is_some_and(old) {
            return (known, Vec::new());
        }
        let mut events = Vec::new();
        let read = match &mut self.reader {
            Some(reader) => piece(reader, 0, &mut events),
            None => Follower::open(&self.home).and_then(|mut reader| {
                let complete = piece(&mut reader, 0, &mut events);
                self.reader = Some(reader);
                complete
            }),
        };
        let last = self.reader.as_ref().map_or(0, Follower::count);
        match read {
            Ok(complete) => {
                if complete {
                    self.sign = sign;
                }
                (FeedState { last, active, complete, broken: false }, events)
            }
            Err(_) => (FeedState { last, active, complete: true, broken: true }, events),
        }
    }
}

/// Reads the next events after the number `sent`. Returns whether the end was reached.
fn piece(reader: &mut Follower, sent: u64, events: &mut Vec<Bytes>) -> anyhow::Result<bool> {
    reader.read(PIECE, |one| {
        if one.number <= sent {
            return;
        }
        let mut shown = event_json(one.number, one.event, one.key, one.graph);
        if let (Some(redactor), Some(item)) = (one.redactor, one.event.item()) {
            redactor.shown(item, &mut shown);
        }
        let shown = visible_json(&shown.to_string());
        events.push(format!("id: {}\ndata: {shown}\n\n", one.number).into());
    })
}

impl Latest {
    /// Adds events, the last of which has this number.
    fn extend(&mut self, last: u64, events: Vec<Bytes>) {
        self.bytes += events.iter().map(Bytes::len).sum::<usize>();
        self.events.extend(events);
        while self.events.len() > LATEST || self.bytes > BYTES {
            self.bytes -= self.events.pop_front().map_or(0, |event| event.len());
        }
        self.first = last + 1 - self.events.len() as u64;
    }

    /// Those after a number, up to about [`CHUNK`].
    fn after(&self, sent: u64) -> After {
        let next = self.first + self.events.len() as u64;
        if sent + 1 >= next {
            return After::None;
        }
        let Some(skipped) = (sent + 1).checked_sub(self.first) else { return After::Behind };
        joined(sent, self.events.iter().skip(skipped as usize))
    }
}

/// Some of these events, which follow a number, as one chunk.
fn joined<'a>(mut sent: u64, events: impl Iterator<Item = &'a Bytes>) -> After {
    let mut chunk = Vec::new();
    for event in events {
        chunk.extend_from_slice(event);
        sent += 1;
        if chunk.len() >= CHUNK {
            break;
        }
    }
    After::Some(chunk.into(), sent)
}

impl Following {
    /// What is sent next; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            let state = self.state.borrow_and_update().clone();
            let after = locked(&self.feed.latest).after(self.sent);
            match after {
                After::Some(chunk, sent) => {
                    (self.sent, self.reader) = (sent, None);
                    return Some(chunk);
                }
                After::Behind => match self.catch_up().await {
                    Ok(chunk) if chunk.is_empty() => continue,
                    Ok(chunk) => return Some(chunk),
                    Err(()) => return self.broken(),
                },
                After::None => {}
            }
            if state.broken {
                return self.broken();
            }
            if state.complete && self.active.as_ref() != Some(&state.active) {
                // A number from elsewhere is that of an event to come.
                self.sent = self.sent.min(state.last);
                let (active, questions) = &state.active;
                let said = json!({ "active": active, "questions": &**questions });
                self.active = Some(state.active.clone());
                return Some(format!("event: run\ndata: {said}\n\n").into());
            }
            if state.complete && self.ends {
                return None;
            }
            match tokio::time::timeout(SILENCE, self.state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                // Shows that the connection lives, to proxies, too.
                Err(_) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
        None
    }

    fn broken(&mut self) -> Option<Bytes> {
        self.over = true;
        Some(Bytes::from_static(b"event: failure\ndata: {\"error\":\"the journal cannot be read\"}\n\n"))
    }

    /// The next events from the journal.
    async fn catch_up(&mut self) -> Result<Bytes, ()> {
        let permit = self.permits.clone().acquire_owned().await.map_err(drop)?;
        let (home, sent, reader) = (self.home.clone(), self.sent, self.reader.take());
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => Box::new(Follower::open(&home)?),
            };
            let mut events = Vec::new();
            piece(&mut reader, sent, &mut events)?;
            drop(permit);
            anyhow::Ok((reader, events))
        });
        let (reader, events) = read.await.map_err(drop)?.map_err(drop)?;
        self.sent = self.sent.max(reader.count());
        self.reader = Some(reader);
        Ok(events.concat().into())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
