//! Follows a run that is driven elsewhere: its events are stored and shown as if it were driven here.

use super::durable::{Durable, Pending, on_disk};
use super::logs::ReceivedLogs;
use super::{Inbox, Observer, Request, Requests};
use crate::adapter::redact::Redactor;
use crate::engine::{Out, Run};
use crate::event::Event;
use crate::journal::Message;
use crate::journal::logs::LogChange;
use tokio::sync::mpsc::{Receiver, UnboundedSender};

/// What is heard of the run.
#[derive(Debug)]
pub enum News {
    /// What happened next, with the conversations and the logs of attempts that have ended.
    Events { events: Vec<Event>, messages: Vec<Message>, logs: Vec<Vec<LogChange>> },
    /// Nothing new, after this many requests were passed on.
    Quiet { passed: u64 },
    /// Nothing more happens.
    Ended,
}

/// Where news come from.
pub type NewsFeed = Receiver<anyhow::Result<News>>;

/// Where requests are passed on.
pub type RequestSender = UnboundedSender<Request>;

/// The follower of a run.
pub struct Mirror<'a> {
    pub observers: Vec<&'a mut dyn Observer>,
    pub durable: Option<Durable>,
    pub redactor: Redactor,
    pub logs: ReceivedLogs,
    /// The requests of other processes.
    pub inbox: Inbox,
    /// Whether to stay while only people and events can move the run on.
    pub waits: bool,
    /// The run was cancelled before it is followed.
    pub cancelled: bool,
    /// The run was left while it was driven elsewhere.
    pub left: bool,
}

impl Mirror<'_> {
    /// Follows until the run has ended, is left on request, or waits for people or events. Requests of people are passed
    /// on.
    ///
    /// # Errors
    /// Why no more can be heard or stored, or an observer that failed.
    pub async fn follow(
        &mut self,
        run: &mut Run,
        mut news: NewsFeed,
        mut requests: Requests,
        pass_on: RequestSender,
    ) -> anyhow::Result<()> {
        let mut held = Pending::default();
        let (mut ended, mut quiet) = (false, false);
        let mut asked = 0;
        self.left = true;
        loop {
            tokio::select! {
                biased;
                number = on_disk(&mut self.durable) => self.show(held.up_to(number?))?,
                Some(request) = requests.recv() => match request {
                    Request::Stop | Request::Kill => break,
                    // The receiver is gone once nothing more is heard.
                    request => {
                        asked += 1;
                        drop(pass_on.send(request));
                    }
                },
                heard = news.recv(), if !ended => match heard.transpose()? {
                    Some(News::Events { events, messages, logs }) => {
                        quiet = false;
                        self.logs.take(logs);
                        if let Some(durable) = &mut self.durable {
                            durable.received(messages);
                        }
                        self.take(run, events, &mut held)?;
                    }
                    Some(News::Quiet { passed }) => quiet = passed >= asked,
                    Some(News::Ended) => {
                        self.left = false;
                        ended = true;
                    }
                    None => ended = true,
                },
            }
            let quiet = quiet && self.inbox.is_empty() && (!self.cancelled || run.stopped().is_some());
            let over = ended || quiet && run.rests() && !self.waits;
            if over && held.is_empty() {
                self.left = self.left && !run.rests();
                return Ok(());
            }
        }
        // What was heard is kept.
        while !held.is_empty() {
            let number = on_disk(&mut self.durable).await?;
            self.show(held.up_to(number))?;
        }
        Ok(())
    }

    /// Closes the logs; warns of those that are missing.
    pub fn close_logs(&mut self) {
        if let Err(why) = std::mem::take(&mut self.logs).close() {
            self.observers.iter_mut().for_each(|observer| observer.warn(&why));
        }
    }

    fn take(&mut self, run: &mut Run, events: Vec<Event>, held: &mut Pending) -> anyhow::Result<()> {
        events.iter().try_for_each(|event| run.recall(event))?;
        let mut out = Out { events, effects: Vec::new() };
        match &mut self.durable {
            Some(durable) => {
                durable.keep(&mut out, Vec::new(), held, &self.redactor);
                Ok(())
            }
            None => self.show(out),
        }
    }

    fn show(&mut self, mut out: Out) -> anyhow::Result<()> {
        let shown = out.events.drain(..);
        shown
            .into_iter()
            .try_for_each(|event| self.observers.iter_mut().try_for_each(|observer| observer.see(&event)))
    }
}
