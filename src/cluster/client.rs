//! The client of a run on Restate: begins it, follows it, and passes requests on.

use super::entrance::Current;
use super::wire::{self, Chunk, ENTRANCE, Input, RUNS, Start, What};
use crate::adapter::ingress::{Ingress, NoAnswer};
use crate::runtime::{Inbox, News, Request, unix_millis};
use anyhow::Context as _;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// The most that a run begins with, in bytes: a server takes no larger messages.
const LARGEST: usize = 24 << 20;

/// How long a follower waits for servers that cannot be reached, in milliseconds.
const PATIENCE: u64 = 60_000;

/// How long an answer with events may take before another server is asked, at first and at most, in milliseconds.
const POLL: u64 = 4_000;
const LONGEST_POLL: u64 = 30_000;

/// How long nothing has to be new before the server is asked whether an operator has ended the run, in milliseconds.
const OVER: u64 = 1_000;

/// How long a follower waits before it asks again, at first and at most.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(250);

/// A run on Restate.
pub struct Client {
    pub(super) ingress: Ingress,
    pub(super) run: String,
    /// How many inputs the server has, as far as it has said.
    given: AtomicU64,
    /// How many requests were passed on.
    passed: AtomicU64,
}

/// What a follower hears, and where it passes requests on.
pub struct Followed {
    pub news: mpsc::Receiver<anyhow::Result<News>>,
    pub requests: mpsc::UnboundedSender<Request>,
}

#[derive(Deserialize)]
struct Answer {
    chunks: Vec<Chunk>,
    heard: u64,
    #[serde(default)]
    ended: Option<Ended>,
}

#[derive(Deserialize)]
struct Ended {
    why: Option<String>,
}

impl Client {
    /// # Errors
    /// An address is not one.
    pub fn new(ingress: &[String], run: &str) -> anyhow::Result<Client> {
        Ok(Client {
            ingress: Ingress::new(ingress)?,
            run: run.to_owned(),
            given: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        })
    }

    /// Begins the run, or a further generation of it.
    ///
    /// # Errors
    /// It cannot be begun.
    pub async fn begin(&self, start: &Start, generation: u64) -> anyhow::Result<u64> {
        let body = serde_json::to_vec(start)?;
        if body.len() > LARGEST {
            anyhow::bail!(
                "its items and what has happened take {} MiB, and a server takes {} MiB at once: run fewer items",
                body.len() >> 20,
                LARGEST >> 20
            );
        }
        let key = format!("{}-{generation}", self.run);
        let begun = self.ingress.post(&[ENTRANCE, &self.run, "begin"], body, Some(&key), None).await?;
        let current: Current = serde_json::from_slice(&begun).context("the worker is of another version")?;
        Ok(current.generation)
    }

    /// The generation of the run, and how many events came before it; `None` if it has not begun.
    ///
    /// # Errors
    /// No server can be reached.
    pub async fn current(&self) -> anyhow::Result<Option<(u64, u64)>> {
        let current = self.ingress.post(&[ENTRANCE, &self.run, "current"], Vec::new(), None, None).await?;
        if current.is_empty() {
            return Ok(None);
        }
        let current: Current =
            serde_json::from_slice(&current).context("the worker is of another version")?;
        self.given.fetch_max(current.next, Ordering::Relaxed);
        Ok(Some((current.generation, current.before)))
    }

    /// Follows a generation, without its first `known` events; requests that come from files are removed from `inbox` once
    /// the server has them.
    pub fn follow(self: &Arc<Self>, generation: u64, known: u64, inbox: Inbox) -> Followed {
        let (send, news) = mpsc::channel(16);
        let (requests, mut asked) = mpsc::unbounded_channel();
        let own = self.clone();
        tokio::spawn(async move {
            if let Err(error) = own.hear(generation, known, &send).await {
                // The receiver is gone once the run is left.
                let _ = send.send(Err(error)).await;
            }
        });
        let own = self.clone();
        tokio::spawn(async move {
            while let Some(request) = asked.recv().await {
                own.pass_on(request, &inbox).await;
                own.passed.fetch_add(1, Ordering::Relaxed);
            }
        });
        Followed { news, requests }
    }

    async fn hear(
        &self,
        generation: u64,
        mut known: u64,
        send: &mpsc::Sender<anyhow::Result<News>>,
    ) -> anyhow::Result<()> {
        let key = wire::key(&self.run, generation);
        let (mut next, mut pause) = (0, FIRST);
        let (mut lost, mut patience) = (None, POLL);
        let mut quiet = None;
        // When the server is asked whether the run is over, and what it has said.
        let (mut asks, mut over) = (unix_millis() + OVER, None);
        loop {
            let (given, passed) = (self.given.load(Ordering::Relaxed), self.passed.load(Ordering::Relaxed));
            let body = serde_json::to_vec(&next)?;
            let answer = match self.ingress.post(&[RUNS, &key, "events"], body, None, Some(patience)).await {
                Ok(answer) => answer,
                Err(NoAnswer::Unreachable(_))
                    if unix_millis().saturating_sub(*lost.get_or_insert_with(unix_millis)) < PATIENCE =>
                {
                    patience = (patience * 2).min(LONGEST_POLL);
                    tokio::time::sleep(LONGEST).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            (lost, patience) = (None, POLL);
            let Answer { chunks, heard, ended } =
                serde_json::from_slice(&answer).context("the worker is of another version")?;
            let is_new = !chunks.is_empty();
            next += chunks.len();
            let (mut events, mut messages, mut logs) = (Vec::new(), Vec::new(), Vec::new());
            for mut chunk in chunks {
                let skipped = chunk.events.len().min(usize::try_from(known).unwrap_or(usize::MAX));
                known -= skipped as u64;
                events.extend(chunk.events.drain(skipped..));
                // Those of events that are stored are stored, too.
                if skipped == 0 {
                    messages.append(&mut chunk.messages);
                    logs.append(&mut chunk.logs);
                }
            }
            if !events.is_empty() && send.send(Ok(News::Events { events, messages, logs })).await.is_err() {
                return Ok(());
            }
            if let Some(Ended { why }) = ended {
                if let Some(why) = why {
                    anyhow::bail!("the run has ended on the server: {why}");
                }
                let _ = send.send(Ok(News::Ended)).await;
                return Ok(());
            }
            if is_new {
                (asks, over) = (unix_millis() + OVER, None);
            } else if let Some(why) = over {
                // A run that ends by itself leaves its end in its state first.
                anyhow::bail!("the run was ended on the server: {why}");
            } else if unix_millis() >= asks {
                asks = unix_millis() + 5 * OVER;
                over = self.over(&key).await;
            }
            // Everything that was passed on by then has had its effect, and all of it was heard.
            let now = (next, passed);
            if !is_new && heard >= given && quiet != Some(now) {
                quiet = Some(now);
                if send.send(Ok(News::Quiet { passed })).await.is_err() {
                    return Ok(());
                }
            }
            pause = if is_new { FIRST } else { (pause * 2).min(LONGEST) };
            tokio::time::sleep(pause).await;
        }
    }

    /// How the run has ended, if the server knows that it has.
    async fn over(&self, key: &str) -> Option<String> {
        match self.ingress.get(&["restate", "workflow", RUNS, key, "output"]).await {
            Ok(_) => Some("without a result".to_owned()),
            // It is not ready.
            Err(NoAnswer::Refused(470, _) | NoAnswer::Unreachable(_) | NoAnswer::Unknown(_)) => None,
            Err(NoAnswer::Refused(_, why)) => Some(why),
        }
    }

    /// Passes on the requests of people that are stored in `inbox`.
    pub async fn deliver(&self, inbox: &Inbox) {
        for request in inbox.stored() {
            self.pass_on(request.into(), inbox).await;
        }
    }

    async fn pass_on(&self, request: Request, inbox: &Inbox) {
        let (what, name) = match request {
            Request::Decide(request) => {
                let name = request.name.clone();
                (What::Decide(request), name)
            }
            Request::Signal(request) => {
                let name = request.name.clone();
                (What::Signal(request), name)
            }
            Request::Answer(item, gate, decision) => (What::Answer(item, gate, decision), None),
            Request::Cancel(why) => (What::Stop(why), Some("cancel".to_owned())),
            Request::Stop | Request::Kill | Request::Later(..) | Request::LaterInside => return,
        };
        let input = Input { at: unix_millis(), what };
        let Ok(body) = serde_json::to_vec(&input) else { return };
        let key = name.as_ref().map(|name| format!("{}-{name}", self.run));
        loop {
            match self.ingress.post(&[ENTRANCE, &self.run, "put"], body.clone(), key.as_deref(), None).await {
                Ok(current) => {
                    if let Ok(current) = serde_json::from_slice::<Current>(&current) {
                        self.given.fetch_max(current.next, Ordering::Relaxed);
                    }
                    break;
                }
                // A file stays until a server has it.
                Err(_) => tokio::time::sleep(LONGEST).await,
            }
        }
        if let Some(name) = name {
            inbox.done(&name);
        }
    }
}
