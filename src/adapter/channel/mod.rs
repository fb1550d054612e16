//! Channels: where events of a run are published, and where events come from, as CloudEvents 1.0. Does not know which
//! steps publish and wait.

mod file;
mod http;
#[cfg(feature = "nats")]
mod nats;

pub use file::{Appended, Followed};
pub use http::{Listener, Posted, received};
#[cfg(feature = "nats")]
pub use nats::{Login, NatsStream};

use super::Upward;
use crate::event::{Arrival, TypePattern};
use crate::value::{Object, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Whether channels of NATS were built.
pub const NATS: bool = cfg!(feature = "nats");

/// The pauses between the attempts to publish an event.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// An event from a source, and where to report that it is durable.
#[derive(Debug)]
pub struct Incoming {
    pub arrival: Arc<Arrival>,
    /// Dropped without a report if the run ends before.
    pub durable: oneshot::Sender<()>,
}

/// Where a source hands in events.
#[derive(Clone)]
pub struct Door {
    pub events: mpsc::Sender<Incoming>,
    /// The types that it brings.
    pub types: Vec<TypePattern>,
    /// The clock, in milliseconds since 1970.
    pub clock: fn() -> u64,
}

impl Door {
    /// Whether events of this type are let in.
    pub fn takes(&self, kind: &str) -> bool {
        self.types.iter().any(|one| one.matches(kind))
    }

    /// Hands in an event. Returns where its durability is reported; `None` if the run is over.
    pub async fn enter(&self, arrival: Arrival) -> Option<oneshot::Receiver<()>> {
        let (durable, reported) = oneshot::channel();
        self.events.send(Incoming { arrival: Arc::new(arrival), durable }).await.ok()?;
        Some(reported)
    }
}

/// Where events are published.
pub enum Sink {
    Append(Appended),
    Post(Posted),
    #[cfg(feature = "nats")]
    Nats(Arc<NatsStream>),
    /// The run around the document whose step publishes.
    Outer(Upward),
}

/// Why an event was not accepted, and whether another attempt may help.
pub struct Refused {
    pub message: String,
    pub again: bool,
}

impl Sink {
    /// Publishes an event, with retries.
    ///
    /// # Errors
    /// Why it was not accepted at last.
    pub async fn publish(&self, source: &str, event: &Arrival) -> Result<(), String> {
        if let Sink::Outer(run) = self {
            let source = event.source.clone().or_else(|| Some(source.to_owned()));
            run.publish(Arc::new(Arrival { source, ..event.clone() })).await;
            return Ok(());
        }
        let text = encode(source, event);
        let mut pauses = PAUSES.into_iter();
        loop {
            let refused = match self {
                Sink::Append(file) => file.append(&text).await,
                Sink::Post(service) => service.post(&event.id, &text).await,
                #[cfg(feature = "nats")]
                Sink::Nats(stream) => stream.publish(event, &text).await,
                Sink::Outer(_) => Ok(()),
            };
            let Err(refused) = refused else { return Ok(()) };
            match pauses.next().filter(|_| refused.again) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(refused.message),
            }
        }
    }
}

/// A CloudEvent in JSON, on one line.
fn encode(source: &str, event: &Arrival) -> String {
    let mut members = Object::new();
    let text = |text: &str| Value::String(text.to_owned());
    members.insert("specversion".into(), text("1.0"));
    members.insert("id".into(), text(&event.id));
    members.insert("source".into(), text(event.source.as_deref().unwrap_or(source)));
    members.insert("type".into(), text(&event.kind));
    members.insert("subject".into(), text(&event.subject));
    let time = i64::try_from(event.at).ok().filter(|_| event.has_time());
    if let Some(time) = time.and_then(|time| jiff::Timestamp::from_millisecond(time).ok()) {
        members.insert("time".into(), text(&time.to_string()));
    }
    members.insert("datacontenttype".into(), text("application/json"));
    members.insert("data".into(), (*event.data).clone());
    Value::Object(members).to_string()
}

/// Reads a CloudEvent in JSON.
///
/// # Errors
/// What is wrong with it.
fn decode(text: &str, now: u64) -> Result<Arrival, String> {
    let value = json::parse(text).map_err(|error| format!("it is not JSON: {}", json::why(&error)))?;
    let Value::Object(mut members) = value else { return Err("it is not a JSON object".to_owned()) };
    if members.contains_key("data_base64") {
        return Err("its data is binary; only JSON is read".to_owned());
    }
    let data = members.remove("data").unwrap_or(Value::Null);
    let attribute = |name: &str| match members.get(name) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(format!("its `{name}` is not a text")),
    };
    arrival(&attribute, data, now)
}

/// An event of these attributes.
fn arrival(
    attribute: &dyn Fn(&str) -> Result<Option<String>, String>,
    data: Value,
    now: u64,
) -> Result<Arrival, String> {
    let required = |name: &str| attribute(name)?.ok_or_else(|| format!("it has no `{name}`"));
    if required("specversion")? != "1.0" {
        return Err("its `specversion` is not 1.0".to_owned());
    }
    let arrival = Arrival {
        id: required("id")?,
        kind: required("type")?,
        subject: required("subject")?,
        source: attribute("source")?,
        data: Arc::new(data),
        at: now,
    };
    match arrival.fault() {
        Some(fault) => Err(fault),
        None => Ok(arrival),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_can_be_read_again() {
        let event = Arrival {
            id: "run/0/Pay/0/order.paid".into(),
            kind: "order.paid".into(),
            subject: "o1".into(),
            source: None,
            data: Arc::new(json::parse(r#"{"total": 12.50, "note": "a\nb"}"#).unwrap()),
            at: 1_795_968_000_000,
        };
        let text = encode("orderflow/shop.md", &event);
        let said = concat!(
            r#"{"specversion":"1.0","id":"run/0/Pay/0/order.paid","source":"orderflow/shop.md","#,
            r#""type":"order.paid","subject":"o1","time":"2026-11-29T16:00:00Z","#,
            r#""datacontenttype":"application/json","data":{"total":12.50,"note":"a\nb"}}"#
        );
        assert_eq!(text, said);
        let read = decode(&text, 7).unwrap();
        assert_eq!(read, Arrival { source: Some("orderflow/shop.md".into()), at: 7, ..event });
    }

    #[test]
    fn what_is_not_an_event_is_refused_with_the_reason() {
        let wrong = |text: &str| decode(text, 0).unwrap_err();
        assert!(wrong("{").starts_with("it is not JSON: "));
        assert_eq!(wrong("[]"), "it is not a JSON object");
        assert_eq!(wrong("{}"), "it has no `specversion`");
        assert_eq!(wrong(r#"{"specversion":"0.3"}"#), "its `specversion` is not 1.0");
        let bare = r#"{"specversion":"1.0","id":"1","source":"s","type":"a.b"}"#;
        assert_eq!(wrong(bare), "it has no `subject`");
        let long = format!(
            r#"{{"specversion":"1.0","id":"{}","source":"s","type":"a.b","subject":"x"}}"#,
            "1".repeat(2000)
        );
        assert_eq!(wrong(&long), "its id is longer than 1024 bytes");
    }
}
