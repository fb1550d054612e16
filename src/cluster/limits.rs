//! How many attempts of an agent run at once, over all runs and all workers: a virtual object of Restate, keyed by the agent,
//! that grants permits in the order in which they were asked for.
//!
//! The run holds a permit, not the worker: a worker that dies takes none with it. A run gives each back when its attempt has
//! ended. For a run that an operator has killed, a handler that waits for the end of the run does.

use super::coordinator::{read, write};
use super::wire::LIMITS;
use crate::event::{Millis, UnixMillis};
use bytes::Bytes;
use restate_sdk::context::RequestTarget;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// The virtual object that counts the attempts of an agent over all runs and workers.
pub struct AgentLimits;

/// A permit that a run asks for, or gives back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permit {
    /// The invocation that drives the run.
    pub run: String,
    /// Distinguishes it from all others of the run.
    pub number: u64,
}

impl Permit {
    /// The signal by which it is granted.
    pub fn signal(number: u64) -> String {
        format!("permit-{number}")
    }
}

/// A message to the permits of an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PermitMessage {
    /// The run waits for it; `most` attempts may run at once.
    Ask { permit: Permit, most: usize },
    /// It is not needed any more.
    Return(Permit),
    /// The run that this invocation has driven is over.
    Over(String),
}

/// What a run asks of the limits of agents.
pub struct RunPermits<'a, 'ctx> {
    pub ctx: &'a WorkflowContext<'ctx>,
    /// When the run's own time was zero, by the clock.
    pub began: UnixMillis,
    /// The number of the last permit.
    pub number: u64,
}

/// The agent of a permit, and its number.
pub type HeldPermit = (String, u64);

impl RunPermits<'_, '_> {
    /// Asks for a permit, now in the run's own time.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn ask(&mut self, agent: &str, most: usize, now: Millis) -> Result<HeldPermit, TerminalError> {
        let run = self.ctx.invocation_id().to_owned();
        self.number += 1;
        let permit = Permit { run, number: self.number };
        self.tell(agent, PermitMessage::Ask { permit, most }, now)?;
        Ok((agent.to_owned(), self.number))
    }

    /// Gives it back, whether or not it was granted.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn give_back(&self, (agent, number): HeldPermit, now: Millis) -> Result<(), TerminalError> {
        let run = self.ctx.invocation_id().to_owned();
        self.tell(&agent, PermitMessage::Return(Permit { run, number }), now)
    }

    fn tell(&self, agent: &str, message: PermitMessage, now: Millis) -> Result<(), TerminalError> {
        let target = RequestTarget::object(LIMITS, agent, "tell");
        let message = write(&(message, self.began.saturating_add(now)))?;
        self.ctx.request::<Bytes, ()>(target, message).send();
        Ok(())
    }
}

/// The permits of an agent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Permits {
    most: usize,
    granted: BTreeSet<Permit>,
    waiting: VecDeque<Permit>,
    /// The runs whose end is waited for.
    #[serde(default)]
    watched: BTreeSet<String>,
}

impl Permits {
    fn take(&mut self, message: PermitMessage) {
        match message {
            PermitMessage::Ask { permit, most } => {
                self.most = most;
                self.waiting.push_back(permit);
            }
            PermitMessage::Return(permit) => {
                self.granted.remove(&permit);
                self.waiting.retain(|other| *other != permit);
            }
            PermitMessage::Over(run) => {
                self.granted.retain(|permit| permit.run != run);
                self.waiting.retain(|permit| permit.run != run);
                self.watched.remove(&run);
            }
        }
    }

    /// The run of a message whose end is not yet waited for.
    fn watches(&mut self, message: &PermitMessage) -> Option<String> {
        let PermitMessage::Ask { permit: Permit { run, .. }, .. } = message else { return None };
        self.watched.insert(run.clone()).then(|| run.clone())
    }

    /// Grants those that may be granted now.
    fn grant(&mut self) -> Vec<Permit> {
        let free = self.most.saturating_sub(self.granted.len()).min(self.waiting.len());
        let now: Vec<Permit> = self.waiting.drain(..free).collect();
        self.granted.extend(now.iter().cloned());
        now
    }
}

const PERMITS: &str = "permits";

#[restate_sdk::object(name = "orderflow.limits", client_visibility = "pub(super)")]
impl AgentLimits {
    /// Takes a message with the time at which it was sent, and grants what may be granted then.
    #[handler]
    async fn tell(&self, ctx: ObjectContext<'_>, message: Bytes) -> Result<(), HandlerError> {
        let (message, at): (PermitMessage, UnixMillis) = read(&message)?;
        let before: Option<Bytes> = ctx.get(PERMITS).await?;
        let mut permits: Permits = before.map(|before| read(&before)).transpose()?.unwrap_or_default();
        if let Some(run) = permits.watches(&message) {
            // Not sent by the run itself: who kills a run kills what it has called.
            let target = RequestTarget::object(LIMITS, ctx.key(), "watch");
            ctx.request::<String, ()>(target, run).send();
        }
        permits.take(message);
        for Permit { run, number } in permits.grant() {
            ctx.invocation_handle(run).signal(Permit::signal(number)).resolve(write(&at)?);
        }
        ctx.set(PERMITS, write(&permits)?);
        Ok(())
    }

    /// Waits until the run that an invocation drives is over, whatever ends it.
    #[handler]
    async fn watch(&self, ctx: SharedObjectContext<'_>, run: String) -> Result<(), HandlerError> {
        // A run that failed or was killed is over, too.
        let _ = ctx.invocation_handle(run.clone()).attach::<()>().await;
        let target = RequestTarget::object(LIMITS, ctx.key(), "tell");
        let over: (PermitMessage, UnixMillis) = (PermitMessage::Over(run), 0);
        ctx.request::<Bytes, ()>(target, write(&over)?).send();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(run: &str, number: u64) -> Permit {
        Permit { run: run.to_owned(), number }
    }

    #[test]
    fn permits_are_granted_in_order_and_those_of_a_run_that_is_over_are_free() {
        let mut permits = Permits::default();
        let mut granted = |message| {
            permits.take(message);
            permits.grant()
        };
        let ask = |run, number| PermitMessage::Ask { permit: permit(run, number), most: 2 };
        assert_eq!(granted(ask("a", 1)), [permit("a", 1)]);
        assert_eq!(granted(ask("a", 2)), [permit("a", 2)]);
        assert_eq!(granted(ask("b", 1)), []);
        assert_eq!(granted(ask("a", 3)), []);
        assert_eq!(granted(ask("c", 1)), []);
        assert_eq!(granted(PermitMessage::Return(permit("a", 1))), [permit("b", 1)]);
        // One that waits is not needed any more.
        assert_eq!(granted(PermitMessage::Return(permit("a", 3))), []);
        assert_eq!(granted(PermitMessage::Over("a".to_owned())), [permit("c", 1)]);
        // A lower limit holds back what follows, and a higher one lets it in.
        let lower = PermitMessage::Ask { permit: permit("b", 2), most: 1 };
        assert_eq!(granted(lower), []);
        assert_eq!(granted(PermitMessage::Return(permit("c", 1))), []);
        let higher = PermitMessage::Ask { permit: permit("b", 3), most: 4 };
        assert_eq!(granted(higher), [permit("b", 2), permit("b", 3)]);
    }
}
