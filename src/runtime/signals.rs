//! Ctrl-C and SIGTERM: the first asks the run to stop, the second kills what still runs, the third leaves.

use super::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The number of the first signal that came, 0 while none has.
#[derive(Clone, Debug, Default)]
pub struct Caught(Arc<AtomicI32>);

impl Caught {
    pub fn number(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }
}

/// Begins to listen; `leave` is called at the third signal with the first one's number and does not return.
///
/// # Errors
/// When the system refuses to hand over signals.
pub fn listen(leave: fn(i32) -> !) -> std::io::Result<(mpsc::Receiver<Request>, Caught)> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    // Whoever was told to outlive its terminal, as by nohup, does.
    let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    let (sender, receiver) = mpsc::channel(4);
    let caught = Caught::default();
    tokio::spawn(relay([interrupt, terminate], hangup, sender, caught.clone(), leave));
    Ok((receiver, caught))
}

/// Whether the process was started with SIGHUP ignored; where that cannot be told, it was not.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is the first signal, which SIGHUP is.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

async fn relay(
    [mut interrupt, mut terminate]: [Signal; 2],
    mut hangup: Option<Signal>,
    sender: mpsc::Sender<Request>,
    caught: Caught,
    leave: fn(i32) -> !,
) {
    for count in 1.. {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            () = hung_up(&mut hangup) => 15,
        };
        if count == 1 {
            caught.0.store(number, Ordering::Relaxed);
        }
        // The run may be over already; then nobody needs to know.
        match count {
            1 => drop(sender.send(Request::Stop).await),
            2 => drop(sender.send(Request::Kill).await),
            _ => leave(caught.number().unwrap_or(number)),
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}
