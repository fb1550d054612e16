//! One process of a worker: its calls, its answers, and the end of open calls when it ends.
//!
//! Four tasks run at once and none waits for another: writing lines, reading lines, reading the log, and watching the
//! process. A call is registered before its line is queued, and leaves the register exactly once.

use super::super::program::{LINGER, LOG, Program, Started, Tail, ended, hear, last_word};
use super::super::{AttemptLog, Call, LiveWords, LogStream, Stop, Stopper, Urgency};
use super::lines::{Lines, TooLong};
use super::message::{self, CallRequest, Message, WorkerAnswer};
use crate::event::Cause;
use rustix::process::Signal;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::pipe::Sender;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Notify, oneshot, watch};

/// The random bits of an id; 31 remain for calls.
const CHANCE: u32 = 22;

/// A process that is running, or has ended.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    state: Mutex<LinkState>,
    /// Signals that there is a line to write.
    more: Notify,
    /// Ends the process: first by closing its input, then by a kill.
    stopper: Stopper,
    ended: watch::Receiver<bool>,
}

struct LinkState {
    /// The number of the next call, from 1.
    next: u64,
    /// Makes ids that cannot be guessed.
    keyed: RandomState,
    open: HashMap<u64, OpenCall>,
    /// Lines to write, with the id of the call that each requests.
    queue: VecDeque<(Option<u64>, String)>,
    /// Its standard input, while it is open.
    stdin: Weak<Sender>,
    /// The number of bytes written to it.
    written: u64,
    /// The end of its standard error.
    log: Tail,
    /// It takes no further calls.
    closed: bool,
    /// It has closed its standard input.
    deaf: bool,
    /// At least one call was answered.
    answered: bool,
    /// Why this program has ended it, if so.
    blame: Option<Loss>,
    /// How it ended.
    loss: Option<Loss>,
}

/// A call without an answer.
struct OpenCall {
    reply: oneshot::Sender<Heard>,
    /// At least a part of its line was written.
    sent: bool,
    /// The number of bytes written before its line.
    begin: u64,
    log: Tail,
    progress: Option<String>,
    live: LiveWords,
    /// Everything that it logs.
    all: AttemptLog,
    /// The position of the worker's log when the call began.
    since: u64,
}

/// The result of a call.
pub enum Heard {
    Answered {
        answer: WorkerAnswer,
        log: String,
    },
    /// The process ended without an answer.
    Lost {
        loss: Loss,
        log: String,
    },
    /// The process ended before the call was sent to it.
    NeverSent,
}

/// Why calls were lost.
#[derive(Clone, Debug)]
pub struct Loss {
    pub cause: Cause,
    /// The error message of the calls in flight.
    pub message: String,
    /// How the process ended, such as `ended by signal 9`.
    pub end: String,
    pub retryable: bool,
}

impl Heard {
    /// The result of a call is unknown.
    pub fn gone() -> Heard {
        let end = "lost track of the worker".to_owned();
        let loss = Loss { cause: Cause::Protocol, message: end.clone(), end, retryable: true };
        Heard::Lost { loss, log: String::new() }
    }
}

impl Loss {
    /// Why the process has ended, independent of calls.
    pub fn why(&self) -> &str {
        if self.cause == Cause::Protocol { &self.message } else { &self.end }
    }
}

impl Link {
    /// Starts the process, for its first call; `grace` is the time between the end of its input and a kill.
    pub async fn start(program: &Program, grace: Duration, call: &Call) -> io::Result<Link> {
        let started = program.start(&call.context.outermost, |_| ()).await?;
        call.spawns.tell(started.process.as_ref(), true);
        let (stopper, stop) = Stop::new();
        let (ending, over) = watch::channel(false);
        let state = LinkState {
            next: 1,
            keyed: RandomState::new(),
            open: HashMap::new(),
            queue: VecDeque::new(),
            stdin: Weak::new(),
            written: 0,
            log: Tail::new(LOG),
            closed: false,
            deaf: false,
            answered: false,
            blame: None,
            loss: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), more: Notify::new(), stopper, ended: over });
        let own = shared.clone();
        tokio::spawn(async move {
            let status = own.attend(started, stop, grace).await;
            own.settle(status);
            // Only tasks that wait for the end have a receiver.
            let _ = ending.send(true);
        });
        Ok(Link(shared))
    }

    /// Requests an attempt; `None` if the process takes no more calls.
    pub fn ask(
        &self,
        request: &CallRequest,
        live: LiveWords,
        all: AttemptLog,
    ) -> Option<(u64, oneshot::Receiver<Heard>)> {
        let mut state = self.0.state();
        if state.closed {
            return None;
        }
        let (reply, heard) = oneshot::channel();
        let id = state.id(state.next);
        state.next += 1;
        let since = state.log.total();
        state.open.insert(
            id,
            OpenCall { reply, sent: false, begin: 0, log: Tail::new(LOG), progress: None, live, all, since },
        );
        state.queue.push_back((Some(id), request.line(id)));
        drop(state);
        self.0.more.notify_one();
        Some((id, heard))
    }

    /// Asks the process to end a call soon. Returns whether the call was withdrawn, because it was never sent.
    pub fn cancel(&self, id: u64) -> bool {
        let mut state = self.0.state();
        let unsent = state.open.get(&id).is_some_and(|open| !open.sent);
        if unsent {
            state.open.remove(&id);
            state.queue.retain(|(of, _)| *of != Some(id));
            return true;
        }
        state.queue.push_back((None, message::cancel(id)));
        drop(state);
        self.0.more.notify_one();
        false
    }

    /// Kills the process; its lost calls get the reason.
    pub fn kill(&self, why: String) {
        self.0.give_up(Cause::Signal(Signal::KILL.as_raw()), why, true);
    }

    /// Takes no more calls, and ends the process by closing its input, or by a kill if that is requested.
    pub async fn close(&self, stop: &mut Stop) {
        self.0.state().closed = true;
        self.0.stopper.ask(Urgency::Terminate);
        tokio::select! {
            () = self.ended() => {}
            () = stop.asked(Urgency::Kill) => {
                self.0.stopper.ask(Urgency::Kill);
                self.ended().await;
            }
        }
    }

    pub fn is_closed(&self) -> bool {
        self.0.state().closed
    }

    /// Returns once the process has ended and its calls are settled.
    pub async fn ended(&self) {
        // An error means that the watching task has ended, and with it the process.
        let _ = self.0.ended.clone().wait_for(|ended| *ended).await;
    }

    /// How the process ended, if it ended without having answered any call.
    pub fn died_at_once(&self) -> Option<Loss> {
        let state = self.0.state();
        state.loss.clone().filter(|_| !state.answered)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        // The state is intact even after a panic: no code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more calls and kills the process; the first reason counts.
    fn give_up(&self, cause: Cause, message: String, retryable: bool) {
        let mut state = self.state();
        state.closed = true;
        state.blame.get_or_insert(Loss { cause, message, end: String::new(), retryable });
        drop(state);
        self.stopper.ask(Urgency::Kill);
    }

    /// Runs the process to its end.
    async fn attend(&self, started: Started, mut stop: Stop, grace: Duration) -> io::Result<ExitStatus> {
        let Started { mut child, tree, .. } = started;
        let mut urgent = stop.clone();
        let write = self.write(child.stdin.take(), stop.clone());
        let read = self.read(child.stdout.take());
        let log = hear(child.stderr.take(), |chunk| self.state().hear(LogStream::Stderr, chunk));
        // The log before an answer is read first, and so belongs to the call.
        let pipes = async { tokio::join!(biased; log, write, read) };
        let exit = async {
            tokio::select! {
                status = child.wait() => return status,
                () = stop.asked(Urgency::Terminate) => {}
            }
            tokio::select! {
                status = child.wait() => return status,
                () = stop.asked(Urgency::Kill) => {}
                () = tokio::time::sleep(grace) => {
                    let what = if self.state().deaf { "input" } else { "output" };
                    let why = format!("the worker closed its standard {what} and did not end");
                    self.give_up(Cause::Protocol, why, true);
                }
            }
            tokio::join!(child.wait(), tree.kill()).0
        };
        tokio::pin!(pipes, exit);
        let (status, quiet) = tokio::select! {
            status = &mut exit => (status, false),
            _ = &mut pipes => (exit.await, true),
        };
        // The rest of the input is not read any more, even if another process holds the pipe open.
        self.state().closed = true;
        self.stopper.ask(Urgency::Terminate);
        // Answers that were written before the end count: the rest of the pipe is read.
        let quiet = quiet || tokio::time::timeout(LINGER, &mut pipes).await.is_ok();
        // No descendant outlives the worker.
        tree.end(LINGER, &mut urgent).await;
        if !quiet {
            let _ = tokio::time::timeout(LINGER, &mut pipes).await;
        }
        status
    }

    /// Writes queued lines until the input is to be closed, or is not read any more.
    async fn write(&self, stdin: Option<ChildStdin>, mut stop: Stop) {
        let Some(Ok(stdin)) = stdin.map(|stdin| Sender::from_owned_fd(stdin.into_owned_fd()?)) else {
            return;
        };
        let stdin = Arc::new(stdin);
        self.state().stdin = Arc::downgrade(&stdin);
        let lines = async {
            loop {
                let Some((id, line)) = self.next_line() else {
                    self.more.notified().await;
                    continue;
                };
                let mut rest = line.as_bytes();
                while !rest.is_empty() {
                    match write_some(&stdin, rest).await {
                        Ok(written) => {
                            rest = rest.get(written..).unwrap_or_default();
                            self.state().written += written as u64;
                        }
                        Err(_) if rest.len() == line.len() => return self.take_back(id),
                        Err(_) => return,
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.asked(Urgency::Terminate) => return,
            () = lines => {}
            _ = stdin.ready(Interest::ERROR) => {}
        }
        // The pipe is closed, mostly because the process has ended.
        let mut state = self.state();
        (state.closed, state.deaf) = (true, true);
        drop(state);
        self.stopper.ask(Urgency::Terminate);
    }

    fn next_line(&self) -> Option<(Option<u64>, String)> {
        let mut state = self.state();
        let (id, line) = state.queue.pop_front()?;
        let written = state.written;
        if let Some(open) = id.and_then(|id| state.open.get_mut(&id)) {
            (open.sent, open.begin) = (true, written);
        }
        Some((id, line))
    }

    /// Marks a call whose line was not written.
    fn take_back(&self, id: Option<u64>) {
        let mut state = self.state();
        if let Some(open) = id.and_then(|id| state.open.get_mut(&id)) {
            open.sent = false;
        }
    }

    /// Reads the worker's output to its end, or to the first malformed line.
    async fn read(&self, stdout: Option<ChildStdout>) {
        let Some(mut stdout) = stdout else { return };
        let mut lines = Lines::new(message::LONGEST);
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
            if let Err(Unfit(why)) = lines.take(&chunk[..read], |line| self.take(line)) {
                return self.give_up(Cause::Protocol, why, false);
            }
        }
        if self.take(lines.rest()).is_err() {
            // An incomplete line was cut off by the process's end, which is the better reason.
            self.state().hear(LogStream::Stdout, lines.rest());
        }
        // It cannot answer any more, mostly because it has ended.
        self.state().closed = true;
        self.stopper.ask(Urgency::Terminate);
    }

    fn take(&self, line: &[u8]) -> Result<(), Unfit> {
        let Some(message) = message::read(line).map_err(Unfit)? else { return Ok(()) };
        let mut state = self.state();
        match message {
            Message::Over { id, .. } if !state.was_asked(id) => {
                return Err(Unfit(format!("worker answered the call {id}, which was never asked")));
            }
            Message::Over { id, .. } if state.open.get(&id).is_some_and(|open| !state.has_heard(open)) => {
                return Err(Unfit(format!("worker answered the call {id} before it read it")));
            }
            Message::Over { id, answer } => {
                state.answered = true;
                // A second answer, or one to a withdrawn call, changes nothing.
                if let Some(open) = state.open.remove(&id) {
                    let log = state.log_of(&open);
                    let _ = open.reply.send(Heard::Answered { answer, log });
                }
            }
            Message::Log { id, text } => {
                let line = format!("{text}\n");
                match id.and_then(|id| state.open.get_mut(&id)) {
                    Some(open) => {
                        open.all.take(LogStream::Report, line.as_bytes());
                        open.log.take(line.as_bytes());
                    }
                    None => state.hear(LogStream::Report, line.as_bytes()),
                }
            }
            Message::Progress { id, text } => {
                if let Some(open) = state.open.get_mut(&id) {
                    open.live.say(&text);
                    open.progress = Some(text);
                }
            }
            Message::Other => {}
        }
        Ok(())
    }

    /// Ends every open call because the process has ended.
    fn settle(&self, status: io::Result<ExitStatus>) {
        let mut state = self.state();
        let loss = state.loss(status);
        state.closed = true;
        state.loss = Some(loss.clone());
        state.queue.clear();
        let open: Vec<OpenCall> = state.open.drain().map(|(_, open)| open).collect();
        for open in open {
            let heard = match open.sent {
                true => Heard::Lost { loss: loss.clone(), log: state.log_of(&open) },
                false => Heard::NeverSent,
            };
            let _ = open.reply.send(heard);
        }
    }
}

impl LinkState {
    /// The id of a call: its number, and a random part, so that an answer to an unread call does not match. The
    /// numbers of every language can hold it.
    fn id(&self, number: u64) -> u64 {
        (number << CHANCE) | (self.keyed.hash_one(number) & ((1 << CHANCE) - 1))
    }

    fn was_asked(&self, id: u64) -> bool {
        let number = id >> CHANCE;
        (1..self.next).contains(&number) && id == self.id(number)
    }

    /// Whether the process has read any part of the line of a call, as far as the system shows.
    fn has_heard(&self, open: &OpenCall) -> bool {
        let unread = self.stdin.upgrade().and_then(|stdin| rustix::io::ioctl_fionread(&*stdin).ok());
        open.sent && self.written.saturating_sub(unread.unwrap_or(0)) > open.begin
    }

    /// Takes what the process logs, for all open calls: it does not say for which.
    fn hear(&mut self, stream: LogStream, chunk: &[u8]) {
        self.log.take(chunk);
        self.open.values().for_each(|open| open.all.take(stream, chunk));
    }

    /// The log of a call: its own, else that of the worker since the call began.
    fn log_of(&self, open: &OpenCall) -> String {
        let mut log = open.log.text();
        if let Some(progress) = &open.progress {
            log.push_str(&format!("progress: {progress}\n"));
        }
        if log.is_empty() { self.log.since(open.since) } else { log }
    }

    fn loss(&self, status: io::Result<ExitStatus>) -> Loss {
        let (cause, end) = ended(status);
        match self.blame.clone() {
            Some(blame) => Loss { end, ..blame },
            None => {
                let why = last_word(&self.log.text());
                let message = format!("the worker {end} while this call was in flight{why}");
                let end = format!("{end}{why}");
                Loss { cause, message, end, retryable: true }
            }
        }
    }
}

/// Writes as much as the pipe accepts, once it accepts any.
async fn write_some(pipe: &Sender, bytes: &[u8]) -> io::Result<usize> {
    loop {
        pipe.writable().await?;
        match pipe.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return written,
        }
    }
}

/// Why a worker's line is malformed.
struct Unfit(String);

impl From<TooLong> for Unfit {
    fn from(TooLong: TooLong) -> Self {
        Unfit(format!("worker wrote a line longer than {} MiB", message::LONGEST >> 20))
    }
}
