//! Streams of NATS JetStream: events are published to one, and a durable consumer takes events from it. The crate below
//! connects again when the server was away.

use super::{Door, Refused, decode};
use crate::event::{Arrival, TypePattern};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{AckKind, Context, Message, stream};
use async_nats::{ConnectOptions, Event};
use futures_util::StreamExt;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;

/// How long an attempt waits for a connection.
const CONNECTING: Duration = Duration::from_secs(2);

/// How long the server may take to accept an event.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause before a consumer that has failed is asked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a stream that is created here knows the ids of its events.
const KNOWN: Duration = Duration::from_secs(60 * 60);

/// How long the server keeps the place of a run that does not ask for events.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many messages are on their way at once.
const BATCH: usize = 64;

/// How one logs in.
pub struct Login {
    /// Without a user the secret is a token.
    pub user: Option<String>,
    pub secret: String,
}

/// A stream of a server.
pub struct NatsStream {
    server: String,
    name: String,
    /// The beginning of the subjects, before the type.
    prefix: Option<String>,
    types: Vec<TypePattern>,
    login: Option<Login>,
    context: OnceCell<Context>,
    /// Whether it is connected, and why not.
    state: watch::Sender<Result<(), String>>,
}

impl NatsStream {
    pub fn new(
        server: String,
        name: String,
        prefix: Option<String>,
        types: Vec<TypePattern>,
        login: Option<Login>,
    ) -> NatsStream {
        let state = watch::Sender::new(Err("it does not answer".to_owned()));
        NatsStream { server, name, prefix, types, login, context: OnceCell::new(), state }
    }

    fn subject(&self, kind: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}.{kind}"),
            None => kind.to_owned(),
        }
    }

    /// The subjects of all its types.
    fn subjects(&self) -> Vec<String> {
        let wide = |pattern: &TypePattern| match pattern.0.strip_suffix('*') {
            Some(begin) => format!("{begin}>"),
            None => pattern.0.clone(),
        };
        self.types.iter().map(|pattern| self.subject(&wide(pattern))).collect()
    }

    /// What a consumer asks for: one subject, as older servers take no more.
    fn filter(&self) -> String {
        match &self.subjects()[..] {
            [one] => one.clone(),
            _ => self.prefix.as_ref().map(|prefix| format!("{prefix}.>")).unwrap_or_default(),
        }
    }

    fn wrong(&self, why: impl Display) -> String {
        format!("{}: {why}", self.server)
    }

    /// The connection, once there is one.
    async fn connected(&self) -> Result<&Context, String> {
        let context = self.context.get_or_try_init(|| self.connect()).await?;
        let mut state = self.state.subscribe();
        let is_there = tokio::time::timeout(CONNECTING, state.wait_for(Result::is_ok)).await.is_ok();
        if is_there {
            return Ok(context);
        }
        let why = self.state.borrow().clone().err().unwrap_or_default();
        Err(format!("{} cannot be reached: {why}", self.server))
    }

    async fn connect(&self) -> Result<Context, String> {
        let state = self.state.clone();
        let mut options = ConnectOptions::new()
            .name("orderflow")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .event_callback(move |event| {
                match event {
                    Event::Connected => drop(state.send_replace(Ok(()))),
                    Event::Disconnected => {
                        drop(state.send_replace(Err("the connection was lost".to_owned())))
                    }
                    // What goes wrong without a connection is the reason for its absence.
                    Event::ClientError(error) => drop(state.send_if_modified(|state| {
                        let lacks = state.is_err();
                        if lacks {
                            *state = Err(error.to_string());
                        }
                        lacks
                    })),
                    _ => {}
                }
                std::future::ready(())
            });
        options = match &self.login {
            Some(Login { user: Some(user), secret }) => {
                options.user_and_password(user.clone(), secret.clone())
            }
            Some(Login { user: None, secret }) => options.token(secret.clone()),
            None => options,
        };
        let client = options.connect(self.server.as_str()).await.map_err(|error| self.wrong(error))?;
        Ok(async_nats::jetstream::new(client))
    }

    /// The stream, which is created if it is missing.
    async fn stream(&self, context: &Context) -> Result<stream::Stream, String> {
        let config = stream::Config {
            name: self.name.clone(),
            subjects: self.subjects(),
            duplicate_window: KNOWN,
            ..stream::Config::default()
        };
        let made = context.get_or_create_stream(config).await;
        made.map_err(|error| self.wrong(format_args!("the stream {}: {error}", self.name)))
    }

    /// Publishes an event, and waits until the stream has it.
    pub(super) async fn publish(&self, event: &Arrival, text: &str) -> Result<(), Refused> {
        let late = || Err(self.wrong(format_args!("no answer within {} s", PATIENCE.as_secs())));
        let sent = tokio::time::timeout(PATIENCE, self.send(event, text)).await;
        sent.unwrap_or_else(|_| late()).map_err(|message| Refused { message, again: true })
    }

    async fn send(&self, event: &Arrival, text: &str) -> Result<(), String> {
        let context = self.connected().await?;
        let mut created = false;
        loop {
            let mut message = PublishMessage::build().payload(text.to_owned().into());
            // An id with other characters is not sent in the header; the event has it.
            if event.id.chars().all(|c| c.is_ascii_graphic()) {
                message = message.message_id(&event.id);
            }
            message = message.expected_stream(&self.name);
            let accepted = match context.send_publish(self.subject(&event.kind), message).await {
                Ok(accepted) => accepted.await,
                Err(error) => Err(error),
            };
            match accepted {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == PublishErrorKind::StreamNotFound && !created => {
                    self.stream(context).await?;
                    created = true;
                }
                Err(error) if error.kind() == PublishErrorKind::StreamNotFound => {
                    let subject = self.subject(&event.kind);
                    return Err(self.wrong(format_args!(
                        "the stream {} does not have the subject {subject}",
                        self.name
                    )));
                }
                Err(error) => return Err(self.wrong(error)),
            }
        }
    }

    /// Takes events that came since this time, as RFC 3339 writes it, until the run is over, with a consumer of this name. `warn` gets what is wrong.
    pub async fn consume(
        self: Arc<Self>,
        consumer: String,
        since: String,
        door: Door,
        mut warn: impl FnMut(String),
    ) {
        let mut taking = Taking { door, acknowledged: JoinSet::new(), faults: 0 };
        let mut said = String::new();
        loop {
            let ended = self.take((&consumer, &since), &mut taking, &mut said, &mut warn).await;
            let Err(why) = ended else { return };
            if why != said {
                warn(format!("{why}; it is tried again"));
                said = why;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes events until the run is over.
    async fn take(
        &self,
        (consumer, since): (&str, &str),
        taking: &mut Taking,
        said: &mut String,
        warn: &mut impl FnMut(String),
    ) -> Result<(), String> {
        let context = self.connected().await?;
        let since = async_nats::datetime::parse_rfc3339(since);
        let since = since.map(|start_time| DeliverPolicy::ByStartTime { start_time });
        let config = pull::Config {
            durable_name: Some(consumer.to_owned()),
            deliver_policy: since.unwrap_or_default(),
            ack_policy: AckPolicy::Explicit,
            filter_subject: self.filter(),
            inactive_threshold: KEPT,
            ..pull::Config::default()
        };
        let stream = self.stream(context).await?;
        let consumer = stream.get_or_create_consumer(consumer, config).await;
        let consumer = consumer.map_err(|error| self.wrong(error))?;
        let messages = consumer.stream().max_messages_per_batch(BATCH).messages().await;
        let mut messages = messages.map_err(|error| self.wrong(error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.wrong(error))?;
            said.clear();
            match taking.one(message).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(why) => {
                    taking.faults += 1;
                    if taking.faults <= 10 {
                        warn(self.wrong(format_args!("an event was not read: {why}")));
                    }
                }
            }
        }
        Err(self.wrong("the consumer has ended"))
    }
}

/// What is done with the messages of a consumer.
struct Taking {
    door: Door,
    acknowledged: JoinSet<()>,
    faults: u64,
}

impl Taking {
    /// Hands in an event, which is acknowledged once it is durable. False if the run is over.
    async fn one(&mut self, message: Message) -> Result<bool, String> {
        while self.acknowledged.try_join_next().is_some() {}
        let text = std::str::from_utf8(&message.payload).map_err(|_| "it is not UTF-8".to_owned());
        let arrival = match text.and_then(|text| decode(text, (self.door.clock)())) {
            Ok(arrival) => arrival,
            Err(why) => {
                // It would come again and again.
                let _ = message.ack_with(AckKind::Term).await;
                return Err(why);
            }
        };
        if !self.door.takes(&arrival.kind) {
            let _ = message.ack().await;
            return Ok(true);
        }
        let Some(durable) = self.door.enter(arrival).await else { return Ok(false) };
        self.acknowledged.spawn(async move {
            if durable.await.is_ok() {
                // One that is lost comes again, and has a known id.
                let _ = message.ack().await;
            }
        });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_subjects_and_a_consumer_asks_for_no_more_than_needed() {
        let stream = |prefix: Option<&str>, types: &[&str]| {
            let types = types.iter().map(|one| TypePattern((*one).to_owned())).collect();
            let prefix = prefix.map(str::to_owned);
            NatsStream::new("nats://x".into(), "S".into(), prefix, types, None)
        };
        let one = stream(None, &["order.*"]);
        assert_eq!((one.subject("order.paid"), one.filter()), ("order.paid".into(), "order.>".into()));
        let two = stream(Some("shop"), &["order.paid", "stock.low"]);
        assert_eq!(two.subjects(), ["shop.order.paid", "shop.stock.low"]);
        assert_eq!((two.subject("stock.low"), two.filter()), ("shop.stock.low".into(), "shop.>".into()));
        let all = stream(Some("shop"), &["*"]);
        assert_eq!((all.subjects(), all.filter()), (vec!["shop.>".to_owned()], "shop.>".into()));
        assert_eq!(stream(None, &["a", "b"]).filter(), "");
    }
}
