//! Events over HTTP: POST of CloudEvents to a service in structured mode, and a listener that takes them in structured
//! and in binary mode.

use super::{Door, Refused, arrival, decode};
use crate::adapter::http::{Client, HeaderValue, Url};
use crate::event::Arrival;
use crate::value::{Value, json};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The media type of a CloudEvent in structured mode.
const STRUCTURED: &str = "application/cloudevents+json";

/// How long a service may take to accept an event.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest body that is taken: the data and the attributes.
const LARGEST: usize = Arrival::LARGEST + (64 << 10);

/// The most characters of a refusal that a message shows.
const EXCERPT: usize = 200;

/// A service to which events are posted.
pub struct Posted {
    client: Client,
    url: Url,
    /// `Authorization`, if it asks for one.
    key: Option<HeaderValue>,
}

impl Posted {
    pub fn new(client: Client, url: Url, key: Option<HeaderValue>) -> Posted {
        Posted { client, url, key }
    }

    pub(super) async fn post(&self, id: &str, text: &str) -> Result<(), Refused> {
        let mut request = self.client.post(self.url.clone());
        request = request.header(CONTENT_TYPE, STRUCTURED).body(text.to_owned());
        // An id with other characters is not sent in the header; the event has it.
        if let Ok(id) = HeaderValue::from_str(id) {
            request = request.header("Idempotency-Key", id);
        }
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        let answered = async {
            let response = self.client.send(request).await.map_err(|error| Refused {
                message: format!("{} cannot be reached: {}", self.url, error.without_url()),
                again: true,
            })?;
            let status = response.status();
            if status.is_success() {
                return Ok(());
            }
            let code = status.as_u16();
            let again = status.is_server_error() || matches!(code, 404 | 408 | 425 | 429);
            Err(Refused { message: format!("{} answered {code}", self.url), again })
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(answer) => answer,
            Err(_) => {
                let message = format!("{} did not answer within {} s", self.url, PATIENCE.as_secs());
                Err(Refused { message, again: true })
            }
        }
    }
}

/// A listener that accepts events while the run lives.
pub struct Listener {
    listener: std::net::TcpListener,
    /// What `Authorization` must be.
    key: Option<String>,
}

struct Gatekeeper {
    door: Door,
    key: Option<String>,
}

impl Listener {
    /// Listens at this address.
    ///
    /// # Errors
    /// The address is in use, or not one of this machine.
    pub fn bind(address: SocketAddr, key: Option<String>) -> std::io::Result<Listener> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Listener { listener, key })
    }

    /// The address, with the port that the system has chosen for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until the task is ended.
    pub async fn serve(self, door: Door) {
        let Ok(listener) = tokio::net::TcpListener::from_std(self.listener) else { return };
        let keeper = Arc::new(Gatekeeper { door, key: self.key });
        let router =
            Router::new().route("/", post(take)).layer(DefaultBodyLimit::max(LARGEST)).with_state(keeper);
        // It ends with its task.
        let _ = axum::serve(listener, router).await;
    }
}

async fn take(State(keeper): State<Arc<Gatekeeper>>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = |status: StatusCode, text: String| (status, text + "\n").into_response();
    let said = headers.get(AUTHORIZATION.as_str()).and_then(|value| value.to_str().ok());
    if let Some(key) = &keeper.key
        && !said.is_some_and(|said| is_same(said, key))
    {
        return answer(StatusCode::UNAUTHORIZED, "this channel has a key".to_owned());
    }
    let arrival = match received(&headers, &body, (keeper.door.clock)()) {
        Ok(arrival) => arrival,
        Err(why) => return answer(StatusCode::BAD_REQUEST, why),
    };
    if !keeper.door.takes(&arrival.kind) {
        let kind: String = arrival.kind.chars().take(EXCERPT).collect();
        return answer(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("this channel takes no event of the type {kind}"),
        );
    }
    let accepted = match keeper.door.enter(arrival).await {
        Some(durable) => durable.await.is_ok(),
        None => false,
    };
    match accepted {
        true => StatusCode::ACCEPTED.into_response(),
        false => answer(StatusCode::SERVICE_UNAVAILABLE, "the run has ended".to_owned()),
    }
}

/// Compares without a hint in the time that it takes.
fn is_same(said: &str, key: &str) -> bool {
    let differ = said.bytes().zip(key.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    said.len() == key.len() && differ == 0
}

/// An event in structured or binary mode.
///
/// # Errors
/// What is wrong with it.
pub fn received(headers: &HeaderMap, body: &Bytes, now: u64) -> Result<Arrival, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media = header("content-type").unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == STRUCTURED {
        return decode(text, now);
    }
    if header("ce-specversion").is_none() {
        return Err(format!(
            "it is not a CloudEvent: send {STRUCTURED}, or the headers ce-id, ce-type and so on"
        ));
    }
    if !text.is_empty() && media != "application/json" {
        return Err("its data is not application/json".to_owned());
    }
    let data = match text {
        "" => Value::Null,
        text => json::parse(text).map_err(|error| format!("its data is not JSON: {}", json::why(&error)))?,
    };
    let attribute = |name: &str| Ok(header(&format!("ce-{name}")).map(decoded));
    arrival(&attribute, data, now)
}

/// A header as the HTTP binding of CloudEvents encodes it.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
