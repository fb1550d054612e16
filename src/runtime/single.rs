//! Single attempts of a run that another process drives.

use super::Workspace;
use super::bindings::Bindings;
use super::calls::Calls;
use super::drive::millis;
use super::durable::message;
use super::live::LiveBoard;
use super::logs::collected;
use super::prepare::Ground;
use crate::adapter::{LogIntake, Stop};
use crate::engine::{Call, EngineInput};
use crate::event::{Answer, Cause, Millis, Outcome, StopReason};
use crate::graph::Graph;
use crate::journal::Message;
use crate::journal::logs::LogChange;
use crate::spans::TraceContext;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What came of an attempt.
pub struct Made {
    pub result: Answer,
    /// Its conversation.
    pub messages: Vec<Message>,
    /// What it has logged, as changes of a file without other logs.
    pub log: Vec<LogChange>,
}

/// What the attempts of one run are made with.
pub struct Attempts {
    pub graph: Arc<Graph>,
    pub run_id: Arc<str>,
    pub trace: TraceContext,
    pub bindings: Bindings,
    /// A folder of this process for the run.
    pub workspace: Workspace,
    /// The deadline of the run, from its begin.
    pub deadline: Option<Duration>,
}

impl Attempts {
    /// Makes one attempt, now in the run's own time. It logs at most so many bytes. Each reason that comes from `stops` asks it to stop.
    pub async fn make(
        &self,
        call: Call,
        now: Millis,
        mut stops: mpsc::UnboundedReceiver<StopReason>,
        logged: usize,
    ) -> Made {
        let (sender, mut answers) = mpsc::unbounded_channel();
        let (starts, _spawned) = mpsc::unbounded_channel();
        let (talk, mut said) = mpsc::unbounded_channel();
        let begun = Instant::now();
        let clock = move || now.saturating_add(millis(begun.elapsed()));
        let mut messages = Vec::new();
        let mut hear = |said| messages.push(message(said, clock()));
        let intake = Arc::new(LogIntake::new(clock));
        let mut calls = Calls::new(sender, starts, talk, LiveBoard::new(false), Some(intake.clone()));
        let attempt = (call.item, call.step, call.attempt);
        calls.begin(&self.ground(), call, now);
        let result = loop {
            tokio::select! {
                biased;
                answer = answers.recv() => match answer {
                    Some(EngineInput::Finished { result, .. }) => break result,
                    Some(_) => {}
                    // Every attempt is reported.
                    None => break Err(lost()),
                },
                Some(why) = stops.recv() => calls.stop(attempt, why),
                Some(said) = said.recv() => hear(said),
            }
        };
        while let Ok(said) = said.try_recv() {
            hear(said);
        }
        Made { result, messages, log: collected(&intake, self.bindings.redactor(), logged) }
    }

    /// Ends the programs that stay between attempts.
    pub async fn close(&self) {
        let (_stopper, stop) = Stop::new();
        self.bindings.close(&stop).await;
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            graph: &self.graph,
            run_id: &self.run_id,
            outermost: &self.run_id,
            trace: self.trace,
            forward_key: None,
            bindings: &self.bindings,
            workspace: &self.workspace,
            questions: None,
            events: None,
            gates: None,
            stores: true,
            until: self.deadline.map(millis),
        }
    }
}

fn lost() -> Box<crate::event::Failure> {
    let message = "the attempt was not reported; this is a bug of orderflow".to_owned();
    Box::new(crate::event::Failure::new(Cause::Protocol, message, Outcome::Unknown, false))
}
