//! A worker: a program started once for many calls, several of them in flight, in several processes. Requests go to
//! its standard input and answers come from its standard output, a JSON-RPC 2.0 object a line.
//!
//! - `lines` cuts the stream, `message` parses lines, `link` is one process, this is all of them.
//!
//! A process is started when a call needs it and none is idle, and again after it has died. A call that was in flight
//! then fails with an unknown outcome; an answered call is never repeated.

mod lines;
mod link;
pub(super) mod message;
#[cfg(test)]
mod tests;

use super::program::{GRACE, Program};
use super::restarts::Restarts;
use super::{Adapter, Call, Closing, Ending, Stop, Urgency, contract};
use crate::event::{Answer, Cause, Failure, Outcome};
pub(super) use lines::{Lines, TooLong};
use link::{Heard, Link, Loss};
pub(super) use message::{CallRequest, LONGEST as LONGEST_LINE, cancel};
pub use message::{Message, WorkerAnswer, read};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot::Receiver;
use tokio::task::JoinSet;

/// The most processes of a worker: each has a seat, whether it runs or not.
pub const MOST: usize = 1000;

/// A program that answers many calls.
pub struct Worker {
    program: Program,
    /// The time between the request to stop and the kill.
    grace: Duration,
    seats: Vec<Seat>,
    /// Calls in flight, by seat.
    loads: Mutex<Vec<usize>>,
}

/// The place of one process.
#[derive(Default)]
struct Seat(tokio::sync::Mutex<Sitter>);

#[derive(Default)]
struct Sitter {
    link: Option<Link>,
    restarts: Restarts,
}

impl Worker {
    /// `processes` is how many may run at a time, from one to 1,000.
    pub fn new(program: Program, processes: usize) -> Self {
        let processes = processes.clamp(1, MOST);
        let seats = (0..processes).map(|_| Seat::default()).collect();
        Worker { program, grace: GRACE, seats, loads: Mutex::new(vec![0; processes]) }
    }

    /// Sets the time between the request to stop and the kill.
    pub fn with_grace(self, grace: Duration) -> Self {
        Worker { grace, ..self }
    }
}

impl Adapter for Worker {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn close(&self, stop: Stop) -> Closing<'_> {
        Box::pin(async move {
            let mut closing = JoinSet::new();
            for Seat(sitter) in &self.seats {
                if let Some(link) = sitter.lock().await.link.take() {
                    let mut stop = stop.clone();
                    closing.spawn(async move { link.close(&mut stop).await });
                }
            }
            closing.join_all().await;
        })
    }
}

impl Worker {
    async fn attempt(&self, call: Call, mut stop: Stop) -> Answer {
        let request = CallRequest::new(&call).map_err(|error| {
            let message = format!("cannot prepare the attempt: {error}");
            contract::failure(Cause::Start, message, Outcome::NotExecuted, true)
        })?;
        loop {
            let (seat, _load) = self.least_loaded();
            let link = tokio::select! {
                biased;
                link = self.link(seat, &call) => link?,
                () = stop.asked(Urgency::Terminate) => return Err(not_begun()),
            };
            let Some((id, heard)) = link.ask(&request, call.live.clone(), call.log.clone()) else { continue };
            match self.listen(&link, id, heard, &call, &mut stop).await {
                Heard::Answered { answer, log } => {
                    return message::judge(&call, answer).map_err(|failure| with(failure, log));
                }
                Heard::Lost { loss, log } => return Err(with(lost(loss, &stop), log)),
                // It was never sent, so sending it to another process is not a repetition.
                Heard::NeverSent if stop.urgency() == Urgency::None => {}
                Heard::NeverSent => return Err(not_begun()),
            }
        }
    }

    /// Waits for the answer, and makes the call end when requested.
    async fn listen(
        &self,
        link: &Link,
        id: u64,
        mut heard: Receiver<Heard>,
        call: &Call,
        stop: &mut Stop,
    ) -> Heard {
        tokio::select! {
            heard = &mut heard => return heard.unwrap_or_else(|_| Heard::gone()),
            () = stop.asked(Urgency::Terminate) => {}
        }
        if link.cancel(id) {
            return Heard::NeverSent;
        }
        tokio::select! {
            heard = &mut heard => return heard.unwrap_or_else(|_| Heard::gone()),
            () = stop.asked(Urgency::Kill) => {}
            () = tokio::time::sleep(self.grace) => {}
        }
        let (step, item) = (&call.context.step, &call.context.item);
        link.kill(format!(
            "the worker was killed while this call was in flight: {step} of {item} did not end when asked to"
        ));
        heard.await.unwrap_or_else(|_| Heard::gone())
    }

    /// The seat with the fewest calls; among equals the first, so that no process is started before it is needed.
    fn least_loaded(&self) -> (usize, Load<'_>) {
        let mut loads = self.loads();
        let least = (0..loads.len()).min_by_key(|seat| loads.get(*seat)).unwrap_or(0);
        if let Some(load) = loads.get_mut(least) {
            *load += 1;
        }
        (least, Load { worker: self, seat: least })
    }

    fn loads(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seat's process, started if it is not running.
    async fn link(&self, seat: usize, call: &Call) -> Result<Link, Box<Failure>> {
        let Some(Seat(sitter)) = self.seats.get(seat) else { return Err(not_begun()) };
        let mut sitter = sitter.lock().await;
        if let Some(link) = &sitter.link {
            if !link.is_closed() {
                return Ok(link.clone());
            }
            link.ended().await;
            let without_answer = link.died_at_once().map(|loss| loss.why().to_owned());
            sitter.link = None;
            sitter.restarts.died(without_answer);
        }
        sitter.restarts.wait("worker").await?;
        let link = Link::start(&self.program, self.grace, call).await;
        let link = link.map_err(|error| self.program.not_started(&error))?;
        sitter.link = Some(link.clone());
        Ok(link)
    }
}

/// A call's part of its seat's load.
struct Load<'a> {
    worker: &'a Worker,
    seat: usize,
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        if let Some(load) = self.worker.loads().get_mut(self.seat) {
            *load -= 1;
        }
    }
}

fn with(mut failure: Box<Failure>, log: String) -> Box<Failure> {
    failure.log = log;
    failure
}

fn not_begun() -> Box<Failure> {
    contract::failure(Cause::Stopped, "stopped before it started".to_owned(), Outcome::NotExecuted, true)
}

/// The failure of a call that was in flight when its process ended.
fn lost(loss: Loss, stop: &Stop) -> Box<Failure> {
    match stop.urgency() {
        Urgency::None => contract::failure(loss.cause, loss.message, Outcome::Unknown, loss.retryable),
        _ => contract::failure(Cause::Stopped, loss.end, Outcome::Unknown, true),
    }
}
