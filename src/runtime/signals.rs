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
    let hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(4);
    let caught = Caught::default();
    tokio::spawn(relay([interrupt, terminate, hangup], sender, caught.clone(), leave));
    Ok((receiver, caught))
}

async fn relay(signals: [Signal; 3], sender: mpsc::Sender<Request>, caught: Caught, leave: fn(i32) -> !) {
    let [mut interrupt, mut terminate, mut hangup] = signals;
    for count in 1.. {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 15,
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
