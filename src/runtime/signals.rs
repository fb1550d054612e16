//! Ctrl-C and SIGTERM: the first asks the run to stop, the second kills what still runs, the third exits. Also notices
//! that the run was cancelled by another process.

use super::{Inbox, Request, Requests};
use crate::adapter;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The interval between checks for orphans that have ended.
const PAUSE: Duration = Duration::from_millis(100);

/// The interval between checks for a cancellation, and for decisions of people.
const EVERY: Duration = Duration::from_millis(200);

/// The number of the first signal that came, 0 before it.
#[derive(Clone, Debug, Default)]
pub struct Caught(Arc<AtomicI32>);

impl Caught {
    pub fn number(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }
}

/// Begins to listen; `leave` is called at the third signal with the first one's number and does not return.
/// `cancelled` returns whether another process has cancelled the run; `inbox` has the decisions that other processes
/// leave. The sender is for requests of this process.
///
/// # Errors
/// When signals cannot be received.
pub fn listen(
    leave: fn(i32) -> !,
    cancelled: impl Fn() -> bool + Send + 'static,
    inbox: Inbox,
) -> std::io::Result<(Requests, mpsc::Sender<Request>, Caught)> {
    let ignored = ignored();
    let hear = |kind: SignalKind| {
        // A process that was started to ignore the signal, by nohup or a shell's `&`, does.
        let heard = ignored & (1 << (kind.as_raw_value() - 1)) == 0;
        heard.then(|| signal(kind)).transpose()
    };
    let signals =
        [hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?, hear(SignalKind::hangup())?];
    let (sender, receiver) = mpsc::channel(4);
    let caught = Caught::default();
    tokio::spawn(hear_word(sender.clone(), cancelled, inbox));
    tokio::spawn(relay(signals, sender.clone(), caught.clone(), leave));
    Ok((receiver, sender, caught))
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail, instead of ending this process. Programs that it
/// starts get the signal as always.
///
/// # Errors
/// When signals cannot be received.
pub fn outlive_large_files() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // It remains caught after the listener is dropped.
    runtime.block_on(async { signal(kind).map(drop) })
}

/// Reaps orphans, as their new parent must, until the returned value is dropped.
pub(super) fn bury() -> Option<AbortOnDrop> {
    let mut ended = signal(SignalKind::child()).ok()?;
    Some(AbortOnDrop(tokio::spawn(async move {
        while ended.recv().await.is_some() {
            adapter::bury();
            // If many orphans end, one check is enough for all.
            tokio::time::sleep(PAUSE).await;
        }
    })))
}

/// A task that ends when this is dropped.
pub(super) struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The signals that the process was started to ignore, the lowest bit being the first one; zero if unknown, as outside
/// of Linux.
fn ignored() -> u64 {
    let status = crate::disk::of_the_kernel("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

async fn relay(
    [mut interrupt, mut terminate, mut hangup]: [Option<Signal>; 3],
    sender: mpsc::Sender<Request>,
    caught: Caught,
    leave: fn(i32) -> !,
) {
    for count in 1.. {
        let number = tokio::select! {
            () = received(&mut interrupt) => 2,
            () = received(&mut terminate) => 15,
            () = received(&mut hangup) => 15,
        };
        if count == 1 {
            caught.0.store(number, Ordering::Relaxed);
        }
        // Fails only if the run is over.
        match count {
            1 => drop(sender.send(Request::Stop).await),
            2 => drop(sender.send(Request::Kill).await),
            _ => leave(caught.number().unwrap_or(number)),
        }
    }
}

/// Checks for a cancellation and for decisions at intervals. A signal would be faster, but needs a process that already
/// listens.
async fn hear_word(sender: mpsc::Sender<Request>, cancelled: impl Fn() -> bool, inbox: Inbox) {
    let mut seen = BTreeSet::new();
    while !cancelled() {
        for request in inbox.take(&mut seen) {
            // Fails only if the run is over.
            let _ = sender.send(request.into()).await;
        }
        tokio::time::sleep(EVERY).await;
    }
    let _ = sender.send(Request::Cancel(crate::event::StopReason::Cancelled)).await;
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
