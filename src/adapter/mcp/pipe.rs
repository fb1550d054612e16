//! The process of an MCP server: messages as lines on its standard input and output, its log, and its end. Does not
//! know what the messages mean.
//!
//! A server may greet on its standard output before its first message; that is log. Later lines must be messages.

use super::super::program::{LINGER, Program, Started, ended, hear, last_word};
use super::super::spawned::Spawns;
use super::super::worker::{LONGEST_LINE, Lines, TooLong};
use super::super::{LogStream, Stop, Stopper, Urgency};
use super::log::Log;
use crate::event::Cause;
use crate::value::json;
use crate::value::words::excerpt;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};

/// How many messages may wait to be read or written.
const WAITING: usize = 64;

/// How many requests of the server may be unanswered, and the largest one, in bytes.
const UNANSWERED: usize = 64;
const LARGEST_REQUEST: usize = 1 << 20;

/// How long a server need not read answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server's process; it is asked to end when this is dropped.
pub struct Process {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

struct Shared {
    /// Ends the process: first by closing its input, then by signals.
    stopper: Stopper,
    log: Arc<Log>,
    loss: Mutex<Option<Loss>>,
    /// The room for requests of the server.
    room: Semaphore,
}

/// Why calls were lost.
#[derive(Clone, Debug)]
pub struct Loss {
    pub cause: Cause,
    /// What happened, such as `the server exited with 1`.
    end: String,
    /// The reason as the end of a message, such as `: out of paper`.
    why: String,
    pub retryable: bool,
}

impl Loss {
    fn because(cause: Cause, end: String, retryable: bool) -> Self {
        Loss { cause, end, why: String::new(), retryable }
    }

    /// What happened, and `meanwhile`, if the process ended by itself.
    pub fn message(&self, meanwhile: &str) -> String {
        let meanwhile = if matches!(self.cause, Cause::Exit(_) | Cause::Signal(_)) { meanwhile } else { "" };
        format!("{}{meanwhile}{}", self.end, self.why)
    }
}

/// The messages of a process, for rmcp.
pub struct Pipe {
    incoming: mpsc::Receiver<ServerJsonRpcMessage>,
    outgoing: Option<mpsc::Sender<Line>>,
}

/// A line to write, and who waits for it.
struct Line {
    text: String,
    /// Room for another request of the server, if this answers one.
    frees: usize,
    /// At least a part of it was written.
    begun: Arc<AtomicBool>,
    written: oneshot::Sender<io::Result<()>>,
}

impl Process {
    /// Starts a server for a run. `grace` is the time between the request to end and a kill.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn start(
        program: &Program,
        run: &str,
        spawns: &Spawns,
        grace: Duration,
        log: Arc<Log>,
    ) -> io::Result<(Process, Pipe)> {
        let started = program.start(run, |_| ()).await?;
        spawns.tell(started.process.as_ref(), true);
        let (stopper, stop) = Stop::new();
        let (ending, over) = watch::channel(false);
        let (heard, incoming) = mpsc::channel(WAITING);
        let (outgoing, lines) = mpsc::channel(WAITING);
        let shared =
            Arc::new(Shared { stopper, log, loss: Mutex::new(None), room: Semaphore::new(UNANSWERED) });
        let own = shared.clone();
        tokio::spawn(async move {
            let status = own.attend(started, stop, grace, heard, lines).await;
            own.settle(status);
            // Only tasks that wait for the end have a receiver.
            let _ = ending.send(true);
        });
        Ok((Process { shared, ended: over }, Pipe { incoming, outgoing: Some(outgoing) }))
    }

    /// Kills the process, for this reason.
    pub fn kill(&self, message: String) {
        self.shared.blame(Loss::because(Cause::Stopped, message, true));
    }

    /// Ends the process by closing its input, then by signals, or by a kill if that is requested.
    pub async fn close(&self, stop: &mut Stop) {
        self.shared.stopper.ask(Urgency::Terminate);
        tokio::select! {
            _ = self.loss() => {}
            () = stop.asked(Urgency::Kill) => {
                self.shared.stopper.ask(Urgency::Kill);
                self.loss().await;
            }
        }
    }

    /// Ends the process by closing its input, then by signals.
    pub async fn end(&self) {
        self.shared.stopper.ask(Urgency::Terminate);
        self.loss().await;
    }

    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// How the process ended, once it has.
    pub async fn loss(&self) -> Loss {
        // An error means that the watching task has ended, and with it the process.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
        let lost = || Loss::because(Cause::Protocol, "lost track of the server".into(), true);
        self.shared.loss().clone().unwrap_or_else(lost)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shared.stopper.ask(Urgency::Terminate);
    }
}

impl Shared {
    fn loss(&self) -> std::sync::MutexGuard<'_, Option<Loss>> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process; the first reason counts.
    fn blame(&self, loss: Loss) {
        self.loss().get_or_insert(loss);
        self.stopper.ask(Urgency::Kill);
    }

    /// Runs the process to its end.
    async fn attend(
        &self,
        started: Started,
        mut stop: Stop,
        grace: Duration,
        heard: mpsc::Sender<ServerJsonRpcMessage>,
        lines: mpsc::Receiver<Line>,
    ) -> io::Result<ExitStatus> {
        let Started { mut child, tree, .. } = started;
        let (mut urgent, mut last) = (stop.clone(), stop.clone());
        let write = self.write(child.stdin.take(), lines, stop.clone());
        let read = self.read(child.stdout.take(), heard);
        let log = hear(child.stderr.take(), |chunk| self.log.take(LogStream::Stderr, chunk));
        let pipes = async { tokio::join!(biased; log, write, read) };
        let exit = async {
            tokio::select! {
                status = child.wait() => return status,
                () = stop.asked(Urgency::Terminate) => {}
            }
            tokio::select! {
                status = child.wait() => return status,
                () = stop.asked(Urgency::Kill) => {}
                () = tokio::time::sleep(LINGER) => {}
            }
            tokio::join!(child.wait(), tree.end(grace, &mut urgent)).0
        };
        tokio::pin!(pipes, exit);
        let (status, quiet) = tokio::select! {
            status = &mut exit => (status, false),
            _ = &mut pipes => (exit.await, true),
        };
        self.stopper.ask(Urgency::Terminate);
        // Answers that were written before the end count: the rest of the pipe is read.
        let quiet = quiet || tokio::time::timeout(LINGER, &mut pipes).await.is_ok();
        // No descendant outlives the server.
        tree.end(LINGER, &mut last).await;
        if !quiet {
            let _ = tokio::time::timeout(LINGER, &mut pipes).await;
        }
        status
    }

    /// Writes lines until no more can come, the process is to end, or its input is closed.
    async fn write(&self, stdin: Option<ChildStdin>, mut lines: mpsc::Receiver<Line>, mut stop: Stop) {
        let Some(mut stdin) = stdin else { return };
        let write = async {
            while let Some(Line { text, frees, begun, written }) = lines.recv().await {
                let mut rest = text.as_bytes();
                let done = loop {
                    match stdin.write(rest).await {
                        Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                        Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                        Err(error) => break Err(error),
                    }
                    begun.store(true, Ordering::Relaxed);
                    if rest.is_empty() {
                        break Ok(());
                    }
                };
                let failed = done.is_err();
                self.room.add_permits(frees);
                // The caller may have gone.
                let _ = written.send(done);
                if failed {
                    break;
                }
            }
        };
        tokio::select! {
            () = write => {}
            () = stop.asked(Urgency::Terminate) => {}
        }
        self.stopper.ask(Urgency::Terminate);
    }

    /// Reads messages to the end of the output, or to the first line that is not a message.
    async fn read(&self, stdout: Option<ChildStdout>, heard: mpsc::Sender<ServerJsonRpcMessage>) {
        let Some(mut stdout) = stdout else { return };
        let mut lines = Lines::new(LONGEST_LINE);
        let mut chunk = vec![0; 64 * 1024];
        let mut spoken = false;
        while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
            let mut messages = Vec::new();
            let taken = lines.take(&chunk[..read], |line| match message(line) {
                _ if !spoken && is_own(line) => Err(Unfit(REPEATS.to_owned())),
                Ok(Some(ServerJsonRpcMessage::Request(_))) if line.len() > LARGEST_REQUEST => Err(Unfit(
                    format!("the server asked for something with more than {} MiB", LARGEST_REQUEST >> 20),
                )),
                Ok(message) => {
                    spoken |= message.is_some();
                    messages.extend(message);
                    Ok(())
                }
                Err(_) if !spoken => {
                    self.log.take(LogStream::Stdout, line);
                    self.log.take(LogStream::Stdout, b"\n");
                    Ok(())
                }
                Err(why) => Err(Unfit(why)),
            });
            for message in messages {
                if matches!(message, ServerJsonRpcMessage::Request(_)) {
                    match tokio::time::timeout(PATIENCE, self.room.acquire()).await {
                        Ok(share) => share.into_iter().for_each(SemaphorePermit::forget),
                        Err(_) => {
                            let why = "the server does not read the answers to its requests".to_owned();
                            return self.blame(Loss::because(Cause::Protocol, why, false));
                        }
                    }
                }
                if heard.send(message).await.is_err() {
                    break;
                }
            }
            if let Err(Unfit(message)) = taken {
                return self.blame(Loss::because(Cause::Protocol, message, false));
            }
        }
        self.log.take(LogStream::Stdout, lines.rest());
        // It cannot answer any more, mostly because it has ended.
        self.stopper.ask(Urgency::Terminate);
    }

    fn settle(&self, status: io::Result<ExitStatus>) {
        let (cause, end) = ended(status);
        let why = last_word(&self.log.since(0));
        self.loss().get_or_insert(Loss { cause, end: format!("the server {end}"), why, retryable: true });
    }
}

/// Why a line is not a message.
struct Unfit(String);

impl From<TooLong> for Unfit {
    fn from(TooLong: TooLong) -> Self {
        Unfit(format!("the server wrote a line longer than {} MiB", LONGEST_LINE >> 20))
    }
}

const REPEATS: &str = "the server repeats what it is sent instead of answering: it does not speak MCP";

/// Whether a line is a request that only a client makes.
fn is_own(line: &[u8]) -> bool {
    let request = std::str::from_utf8(line).ok().and_then(|text| json::parse(text).ok());
    let method = request.as_ref().filter(|request| request.get("id").is_some());
    let method = method.and_then(|request| request.get("method")?.as_str());
    matches!(method, Some("initialize" | "server/discover" | "tools/list" | "tools/call"))
}

/// The message of a line; `None` for a blank line, and for a notification that nothing here knows.
pub fn message(line: &[u8]) -> Result<Option<ServerJsonRpcMessage>, String> {
    let shown =
        |why: &str| format!("the server wrote {why} on stdout: {}", excerpt(&String::from_utf8_lossy(line)));
    let text = std::str::from_utf8(line).map_err(|_| shown("text that is not UTF-8"))?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    if json::most_values(text) > json::MOST_VALUES {
        return Err(format!("the server wrote a line with more than {} values", json::MOST_VALUES));
    }
    match serde_json::from_str(text) {
        Ok(message) => Ok(Some(message)),
        Err(_) if is_notification(text) => Ok(None),
        Err(error) if error.is_syntax() || error.is_eof() => Err(shown("non-JSON")),
        Err(_) => Err(shown("something other than a JSON-RPC 2.0 message")),
    }
}

fn is_notification(text: &str) -> bool {
    json::parse(text).is_ok_and(|value| value.get("method").is_some() && value.get("id").is_none())
}

impl Transport<RoleClient> for Pipe {
    type Error = io::Error;

    fn send(&mut self, item: ClientJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        let line = serde_json::to_string(&item).map(|line| line + "\n");
        let frees =
            usize::from(matches!(item, ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_)));
        async move {
            let closed = || io::Error::from(io::ErrorKind::NotConnected);
            let ((written, done), begun) = (oneshot::channel(), Arc::new(AtomicBool::new(false)));
            let line = Line { text: line?, frees, begun: begun.clone(), written };
            outgoing.ok_or_else(closed)?.send(line).await.map_err(|_| closed())?;
            let done = done.await.map_err(|_| closed()).flatten();
            // The server may have read a part of the message.
            if begun.load(Ordering::Relaxed) { Ok(()) } else { done }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.outgoing = None;
        Ok(())
    }
}
