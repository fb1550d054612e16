//! What an MCP server reports while it works: its log, and the progress of calls. Knows nothing of processes.

use super::super::program::{LOG, Tail};
use super::super::question::Questions;
use super::super::{AttemptLog, LiveWords, LogStream};
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ElicitRequestParams, GetMeta, JsonRpcMessage, ProgressToken,
    RequestId, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The longest progress that is stored of a call, in characters.
const LONGEST_PROGRESS: usize = 1000;

/// The end of a server's log, and the last progress of each call in flight.
pub struct Log {
    state: Mutex<State>,
    /// Signals that it is known who is asked.
    known: Notify,
}

struct State {
    tail: Tail,
    progress: HashMap<ProgressToken, Reported>,
    /// The logs of the attempts in flight, by number.
    attempts: HashMap<u64, AttemptLog>,
    next: u64,
}

/// The last progress of a call, and where it is shown.
#[derive(Default)]
struct Reported {
    /// The call was sent.
    sent: bool,
    text: String,
    live: LiveWords,
    /// Who is asked what the server asks during the call; `None` until that is known, just after it was sent.
    questions: Option<Questions>,
}

impl Log {
    pub fn new() -> Self {
        let (progress, attempts) = Default::default();
        let state = State { tail: Tail::new(LOG), progress, attempts, next: 0 };
        Log { state: Mutex::new(state), known: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self, stream: LogStream, chunk: &[u8]) {
        let mut state = self.state();
        state.tail.take(chunk);
        state.attempts.values().for_each(|attempt| attempt.take(stream, chunk));
    }

    fn line(&self, line: &str) {
        self.take(LogStream::Report, format!("{line}\n").as_bytes());
    }

    /// The server does not say for which attempt it logs: until the guard is dropped, it is taken for this one, too.
    pub fn attend(self: &Arc<Self>, attempt: &AttemptLog) -> Attended {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.attempts.insert(number, attempt.clone());
        drop(state);
        Attended { log: self.clone(), number }
    }

    /// How many bytes have come so far.
    pub fn total(&self) -> u64 {
        self.state().tail.total()
    }

    /// What came after the first `from` bytes, as far as it is stored.
    pub fn since(&self, from: u64) -> String {
        self.state().tail.since(from)
    }

    /// Remembers the progress of a call from now on.
    fn begin(&self, call: ProgressToken) {
        self.state().progress.entry(call).or_default().sent = true;
    }

    /// Shows the progress of a call and asks its questions; it is sent before or after this.
    pub fn show(&self, call: ProgressToken, live: LiveWords, questions: Questions) {
        let mut state = self.state();
        let reported = state.progress.entry(call).or_default();
        live.say(&reported.text);
        (reported.live, reported.questions) = (live, Some(questions));
        drop(state);
        self.known.notify_waiters();
    }

    /// Where the questions of the server go: during several calls it does not say which one asks.
    pub async fn questions(&self) -> Questions {
        loop {
            let known = self.known.notified();
            let mut known = std::pin::pin!(known);
            known.as_mut().enable();
            match self.known_questions() {
                Some(questions) => return questions,
                // A server may ask before the call knows that it was sent.
                None => known.await,
            }
        }
    }

    fn known_questions(&self) -> Option<Questions> {
        let state = self.state();
        let mut calls = state.progress.values();
        match (calls.next(), calls.next()) {
            (Some(only), None) => only.questions.clone(),
            _ => Some(Questions::default()),
        }
    }

    /// The last progress of a call, which is over; `None` if it was never sent.
    pub fn end(&self, call: &ProgressToken) -> Option<String> {
        let ended = self.state().progress.remove(call);
        self.known.notify_waiters();
        ended.filter(|reported| reported.sent).map(|reported| reported.text)
    }

    /// Records what a message reports.
    #[expect(deprecated, reason = "servers of 2025 send their log as notifications")]
    fn record(&self, message: &ServerJsonRpcMessage) {
        let JsonRpcMessage::Notification(message) = message else { return };
        match &message.notification {
            ServerNotification::ProgressNotification(progress) => {
                let progress = &progress.params;
                let counted = match progress.total {
                    Some(total) => format!("{} of {total}", progress.progress),
                    None => progress.progress.to_string(),
                };
                let text = progress.message.clone().unwrap_or(counted);
                // What comes after the end of the call is too late.
                if let Some(last) = self.state().progress.get_mut(&progress.progress_token) {
                    last.text = text.chars().take(LONGEST_PROGRESS).collect();
                    last.live.say(&last.text);
                }
            }
            ServerNotification::LoggingMessageNotification(log) => match log.params.data.as_str() {
                Some(text) => self.line(text),
                None => self.line(&log.params.data.to_string()),
            },
            _ => {}
        }
    }

    /// Records how a question of the server was answered.
    pub fn answered(&self, question: &ElicitRequestParams, how: &str) {
        let text = match question {
            ElicitRequestParams::FormElicitationParams { message, .. }
            | ElicitRequestParams::UrlElicitationParams { message, .. } => message.as_str(),
            _ => "a question",
        };
        self.line(&format!("the server asked and was {how}: {text}"));
    }
}

/// An attempt in flight.
pub struct Attended {
    log: Arc<Log>,
    number: u64,
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.log.state().attempts.remove(&self.number);
    }
}

/// A transport whose messages are recorded in their order. The answers to the first request that come after a timeout
/// of rmcp are left out, since they would be taken for those to the second one.
pub struct Recorded<T> {
    pub inner: T,
    pub log: Arc<Log>,
    pub began: Option<RequestId>,
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Recorded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &item
            && matches!(request.request, ClientRequest::InitializeRequest(_))
        {
            self.began = Some(request.id.clone());
        }
        let called = match &item {
            JsonRpcMessage::Request(request)
                if matches!(request.request, ClientRequest::CallToolRequest(_)) =>
            {
                request.request.get_meta().get_progress_token()
            }
            _ => None,
        };
        called.iter().for_each(|call| self.log.begin(call.clone()));
        let (sending, log) = (self.inner.send(item), self.log.clone());
        async move {
            let sent = sending.await;
            if sent.is_err() {
                called.iter().for_each(|call| drop(log.end(call)));
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let message = self.inner.receive().await?;
            if !self.is_late(&message) {
                self.log.record(&message);
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

impl<T> Recorded<T> {
    fn is_late(&self, message: &ServerJsonRpcMessage) -> bool {
        let id = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        match (id, &self.began) {
            (Some(RequestId::Number(id)), Some(RequestId::Number(began))) => id < began,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::redact::ItemRedactor;
    use rmcp::model::NumberOrString;

    /// A server may ask before the call knows that it was sent.
    #[tokio::test]
    async fn a_question_waits_until_it_is_known_who_is_asked() {
        let log = Log::new();
        assert!(!log.questions().await.is_open(), "nothing was called");
        let call = |number| ProgressToken(NumberOrString::Number(number));
        log.begin(call(1));
        let mut asked = std::pin::pin!(log.questions());
        tokio::select! {
            biased;
            _ = &mut asked => panic!("it is not known yet"),
            () = async {} => {}
        }
        let (to, _open) = tokio::sync::mpsc::unbounded_channel();
        let about = ("a".into(), "Clean".into(), None);
        let clean = (ItemRedactor::default(), Default::default());
        log.show(call(1), LiveWords::default(), Questions::new(to, about, clean, true));
        assert!(asked.await.is_open());
        log.begin(call(2));
        assert!(!log.questions().await.is_open(), "two calls");
    }
}
