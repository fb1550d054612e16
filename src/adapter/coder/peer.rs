//! The process of a coding agent for the time of one attempt: lines in, lines out, its log, and its end. Knows nothing
//! of what is said.
//!
//! Writing, reading and the log are tasks of their own, so a full pipe blocks none of the others.

use super::super::program::{LINGER, LOG, Started, Tail, hear};
use super::super::worker::{Lines, TooLong};
use super::super::{AttemptLog, LogStream, Stop, Urgency};
use super::message::{self, Message};
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// How many messages may wait to be handled, and how many lines to be written.
const WAITING: usize = 64;
const UNWRITTEN: usize = 1024;

/// The time that the agent has to exit once its input has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is said to the agent and heard from it.
pub struct Peer {
    send: Sender<String>,
    heard: Receiver<Heard>,
    log: Log,
}

/// A message, or why a line is malformed, and its share of the room for those that wait.
type Heard = (Result<Message, String>, Option<OwnedSemaphorePermit>);

/// The log of an attempt, and its end.
#[derive(Clone)]
pub struct Log {
    tail: Arc<Mutex<Tail>>,
    all: AttemptLog,
}

impl Log {
    fn new(all: AttemptLog) -> Self {
        Log { tail: Arc::new(Mutex::new(Tail::new(LOG))), all }
    }

    fn take(&self, stream: LogStream, bytes: &[u8]) {
        self.all.take(stream, bytes);
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }

    pub fn line(&self, text: &str) {
        self.take(LogStream::Report, format!("{text}\n").as_bytes());
    }

    pub fn text(&self) -> String {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

impl Peer {
    /// Queues a line; an agent that has closed its input gets none.
    ///
    /// # Errors
    /// When the agent reads so slowly that too many lines wait.
    pub fn send(&self, line: String) -> Result<(), String> {
        match self.send.try_send(line) {
            Err(TrySendError::Full(_)) => Err("the agent does not read its input".to_owned()),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// The next message; `None` at the end of the agent's output, or an error at a malformed line.
    pub async fn hear(&mut self) -> Option<Result<Message, String>> {
        self.heard.recv().await.map(|(heard, _)| heard)
    }

    pub fn log(&self) -> &Log {
        &self.log
    }
}

/// Talks with a process, then ends it with its whole tree. `talk` must end once nothing more is heard.
pub async fn attend<T, F: Future<Output = T>>(
    started: Started,
    log: AttemptLog,
    stop: &mut Stop,
    talk: impl FnOnce(Peer) -> F,
) -> (T, io::Result<ExitStatus>, String) {
    let Started { mut child, tree, .. } = started;
    let ((send, queue), (tell, heard), log) = (channel(UNWRITTEN), channel(WAITING), Log::new(log));
    let mut pipes = JoinSet::new();
    pipes.spawn(write(child.stdin.take(), queue));
    pipes.spawn(read(child.stdout.take(), tell));
    let (stderr, own) = (child.stderr.take(), log.clone());
    pipes.spawn(async move { hear(stderr, |chunk| own.take(LogStream::Stderr, chunk)).await });
    let talk = talk(Peer { send, heard, log: log.clone() });
    tokio::pin!(talk);
    let ended = tokio::select! {
        biased;
        ended = &mut talk => Some(ended),
        _ = child.wait() => tokio::time::timeout(LINGER, &mut talk).await.ok(),
    };
    let ended = match ended {
        Some(ended) => ended,
        // Another process holds its output open.
        None => {
            tree.end(LINGER, stop).await;
            pipes.abort_all();
            talk.await
        }
    };
    // Its input has ended.
    let status = tokio::select! {
        status = child.wait() => status,
        () = stop.asked(Urgency::Kill) => tokio::join!(child.wait(), tree.kill()).0,
        () = tokio::time::sleep(FAREWELL) => {
            let ask = tree.end(LINGER, stop);
            tokio::join!(child.wait(), ask).0
        }
    };
    tree.end(LINGER, stop).await;
    let _ = tokio::time::timeout(LINGER, async { while pipes.join_next().await.is_some() {} }).await;
    (ended, status, log.text())
}

/// Writes lines until their queue is closed, then closes the input.
async fn write(stdin: Option<ChildStdin>, mut queue: Receiver<String>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(line) = queue.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads lines to the end of the output. After a malformed line, or when nothing listens any more, it only discards.
async fn read(stdout: Option<ChildStdout>, tell: Sender<Heard>) {
    let Some(mut stdout) = stdout else { return };
    let mut lines = Lines::new(message::LONGEST);
    let mut tell = Some(tell);
    // The messages that wait have at most the size of the largest one together.
    let room = Arc::new(Semaphore::new(message::LONGEST));
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
        if tell.is_none() {
            continue;
        }
        let mut messages = Vec::new();
        let taken = lines.take(&chunk[..read], |line| {
            messages.extend(message::read(line).map_err(Unfit)?.map(|message| (line.len(), message)));
            Ok(())
        });
        for (size, message) in messages {
            let Some(to) = &tell else { break };
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            let share = tokio::select! {
                share = room.clone().acquire_many_owned(size) => share.ok(),
                () = to.closed() => None,
            };
            if to.send((Ok(message), share)).await.is_err() {
                tell = None;
            }
        }
        if let Err(Unfit(why)) = taken
            && let Some(to) = tell.take()
        {
            let _ = to.send((Err(why), None)).await;
        }
    }
    if let (Some(tell), Ok(Some(message))) = (tell, message::read(lines.rest())) {
        let _ = tell.send((Ok(message), None)).await;
    }
}

/// Why a line is malformed.
struct Unfit(String);

impl From<TooLong> for Unfit {
    fn from(TooLong: TooLong) -> Self {
        Unfit(format!("the agent wrote a line longer than {} MiB", message::LONGEST >> 20))
    }
}
