//! An agent that is an HTTP service: every attempt is one POST with the inputs as its JSON body, the context in its
//! headers, and the answer in the response. Does not know where its address and its keys come from.
//!
//! The context is that of a CloudEvents message in binary mode, with `Idempotency-Key` and `traceparent` beside it. A
//! service that needs longer answers 202 with a `Location`, which is polled until it returns another status.

pub use super::client::Client;
use super::client::{HOPS, same_service};
use super::exchanges::{Asked, Exchanges, Received};
use super::launch::Launch;
use super::{Adapter, Bound, Call, Closing, Ending, Stop, Urgency, contract};
use crate::event::{Answer, Cause, Failure, Outcome};
use crate::value::budget::Budget;
use crate::value::{Value, json};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
pub use reqwest::Url;
use reqwest::header::{self, HeaderMap};
pub use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// The interval of polls of an accepted attempt: at first, and at most.
const FIRST_POLL: Duration = Duration::from_millis(200);
const LONGEST_POLL: Duration = Duration::from_secs(30);

/// The most polls in a row that may fail.
const LOST_POLLS: u32 = 10;

/// The most characters of a refusal that a message shows.
const EXCERPT: usize = 300;

/// The largest body of a refusal that is read as JSON, in bytes.
const LARGEST_REFUSAL: usize = 1 << 20;

/// The accepted types of an answer.
const ACCEPTED: &str = "application/json, text/plain;q=0.9, */*;q=0.1";

/// The characters that header values cannot contain, by the HTTP binding of CloudEvents.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// A service that answers POST.
pub struct Service {
    client: Client,
    url: Url,
    /// Those of single steps, by their phases.
    urls: BTreeMap<String, Url>,
    /// Those of the operator, such as `Authorization`.
    headers: HeaderMap,
    /// Its program, if orderflow starts it.
    launch: Option<Launch>,
    /// Shared by all models and services of a run.
    exchanges: Arc<Exchanges>,
}

impl Service {
    pub fn new(client: Client, url: Url, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let headers = headers.into_iter().collect();
        Service { client, url, urls: BTreeMap::new(), headers, launch: None, exchanges: Arc::default() }
    }

    /// Sets the addresses of single steps, by their phases.
    pub fn with_urls(self, urls: BTreeMap<String, Url>) -> Self {
        Service { urls, ..self }
    }

    /// Records its exchanges, or answers from a record.
    pub fn with_exchanges(self, exchanges: Arc<Exchanges>) -> Self {
        Service { exchanges, ..self }
    }

    /// Starts this program before the first call.
    pub fn started_by(self, launch: Launch) -> Self {
        Service { launch: Some(launch), ..self }
    }
}

impl Adapter for Service {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }

    fn bound(&self) -> Bound {
        if self.launch.is_some() { Bound::Processors } else { Bound::Elsewhere }
    }

    fn is_shared(&self) -> bool {
        self.launch.is_some()
    }

    fn close(&self, mut stop: Stop) -> Closing<'_> {
        Box::pin(async move {
            if let Some(launch) = &self.launch {
                launch.close(&mut stop).await;
            }
        })
    }
}

/// The answer to a request; a stop closes its connection, which the other side sees.
pub(super) async fn unless_stopped(
    answer: impl Future<Output = Answer>,
    mut stop: Stop,
    outcome: Outcome,
) -> Answer {
    tokio::select! {
        biased;
        answer = answer => answer,
        () = stop.asked(Urgency::Terminate) => {
            let message = "the request was cancelled before an answer".to_owned();
            Err(contract::failure(Cause::Stopped, message, outcome, true))
        }
    }
}

impl Service {
    async fn attempt(&self, call: Call, mut stop: Stop) -> Answer {
        let mut url = self.urls.get(&*call.context.step).unwrap_or(&self.url).clone();
        let replays = matches!(*self.exchanges, Exchanges::Replay(_));
        let Some(launch) = self.launch.as_ref().filter(|_| !replays) else {
            return unless_stopped(self.exchange(url, &call), stop, Outcome::Unknown).await;
        };
        let mut is_first = true;
        loop {
            let running = tokio::select! {
                biased;
                running = launch.running(&call.context.outermost, &call.spawns) => running?,
                () = stop.asked(Urgency::Terminate) => {
                    let message = "stopped before the service was started".to_owned();
                    return Err(contract::failure(Cause::Stopped, message, Outcome::NotExecuted, true));
                }
            };
            // Only an address without a host has no port.
            let _ = url.set_port(Some(running.port()));
            let since = running.logged();
            let mut failure =
                match unless_stopped(self.exchange(url.clone(), &call), stop.clone(), Outcome::Unknown).await
                {
                    Err(failure) => failure,
                    reply => return reply,
                };
            let end = match failure.cause {
                Cause::Start | Cause::Protocol => running.end_within_a_moment().await,
                _ => None,
            };
            // The program had ended before the request was sent, so it is started again.
            if is_first && end.is_some() && failure.cause == Cause::Start {
                is_first = false;
                continue;
            }
            failure.message.extend(end.map(|end| format!("; {end}")));
            failure.log = running.log_since(since);
            return Err(failure);
        }
    }

    async fn exchange(&self, url: Url, call: &Call) -> Answer {
        let asked = || Asked::of_service(call, url.path());
        let received = match &*self.exchanges {
            Exchanges::Live => self.send(&url, call).await,
            Exchanges::Record(recorder) => {
                let open = recorder.begin(call, asked(), Outcome::Unknown);
                let received = self.send(&url, call).await;
                open.end(&received)?;
                received
            }
            Exchanges::Replay(recording) => recording.answer(call, &asked()),
        };
        read(received?, call)
    }

    async fn send(&self, url: &Url, call: &Call) -> Result<Received, Box<Failure>> {
        let request = self.client.post(url.clone()).headers(self.headers.clone());
        let request =
            request.headers(context(call)).header(header::ACCEPT, ACCEPTED).body(contract::inputs(call));
        let response = self.client.send(request).await.map_err(|error| lost(url, &error))?;
        match location(url, &response)? {
            None => received(response, false).await,
            Some(location) => received(self.settled(url, response, location, call).await?, true).await,
        }
    }

    /// The final response of an accepted attempt: that of its location.
    async fn settled(
        &self,
        url: &Url,
        mut response: Response,
        mut location: Url,
        call: &Call,
    ) -> Result<Response, Box<Failure>> {
        let (mut pause, mut failed, mut hops) = (FIRST_POLL, 0, 0);
        loop {
            let asked = retry_after(response.headers());
            if response.status() != StatusCode::SEE_OTHER || asked.is_some() {
                // A service that wants to be asked at once is asked as one that says nothing.
                let asked = asked.filter(|asked| !asked.is_zero());
                tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_POLL)).await;
                pause = (pause * 2).min(LONGEST_POLL);
            }
            let asked = self.client.request(Method::GET, location.clone()).headers(self.headers.clone());
            let traced = asked.header("traceparent", header_value(&call.context.traceparent));
            let temporary =
                |status: StatusCode| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            match self.client.send(traced).await {
                Ok(now) if now.status() == StatusCode::ACCEPTED => (response, failed) = (now, 0),
                Ok(now) if now.status() == StatusCode::SEE_OTHER && hops < HOPS => {
                    location = self::location(url, &now)?.unwrap_or(location);
                    (response, hops) = (now, hops + 1);
                }
                Ok(now) if failed < LOST_POLLS && temporary(now.status()) => {
                    (response, failed) = (now, failed + 1);
                }
                Ok(now) => return Ok(now),
                Err(_) if failed < LOST_POLLS => failed += 1,
                Err(error) => return Err(lost_answer(&location, &error)),
            }
        }
    }
}

/// The location of an accepted attempt's answer, which was asked at `url`; `None` if the response is the answer.
fn location(url: &Url, response: &Response) -> Result<Option<Url>, Box<Failure>> {
    if !matches!(response.status(), StatusCode::ACCEPTED | StatusCode::SEE_OTHER) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(header::LOCATION) else { return Ok(None) };
    let to = location.to_str().ok().and_then(|location| response.url().join(location).ok());
    match to.filter(|to| same_service(url, to)) {
        Some(to) => Ok(Some(to)),
        None => Err(contract::bad(format!(
            "the service accepted the request, but its answer is elsewhere: `{}`; only addresses of {} are asked",
            String::from_utf8_lossy(location.as_bytes()),
            url.origin().ascii_serialization()
        ))),
    }
}

/// The context headers.
fn context(call: &Call) -> HeaderMap {
    let context = &call.context;
    let text = |text: &str| Some(header_value(text));
    let optional = |text: Option<&str>| text.map(header_value);
    let Budget { tokens, dollars } = context.budget.unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE.as_str(), text("application/json")),
        ("idempotency-key", text(&context.idempotency_key)),
        ("traceparent", text(&context.traceparent)),
        ("ce-specversion", text("1.0")),
        ("ce-type", text("orderflow.step")),
        ("ce-source", text(&format!("/runs/{}", context.run))),
        ("ce-id", text(&call.attempt_id)),
        ("ce-subject", text(&context.item)),
        ("ce-run", text(&context.run)),
        ("ce-step", text(&context.step)),
        ("ce-attempt", text(&context.attempt.to_string())),
        ("ce-element", optional(context.element.map(|element| element.to_string()).as_deref())),
        ("ce-forwardkey", optional(context.forward_key.as_deref())),
        ("ce-agent", optional(context.agent.as_deref())),
        ("ce-channel", optional(context.channel.as_deref())),
        ("ce-deadline", optional(context.deadline.as_deref())),
        ("ce-budgettokens", optional(tokens.map(|tokens| tokens.to_string()).as_deref())),
        ("ce-budgetusd", optional(dollars.map(|dollars| dollars.value().to_string()).as_deref())),
    ];
    let named = headers.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)));
    named.collect()
}

pub(super) fn header_value(text: &str) -> HeaderValue {
    let encoded = utf8_percent_encode(text, ENCODED).to_string();
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

/// What a response has in it.
async fn received(response: Response, is_accepted: bool) -> Result<Received, Box<Failure>> {
    let (status, headers) = (response.status(), response.headers());
    let is_json = media_type(headers).is_some_and(|kind| kind.ends_with("json"));
    let target = headers.get(header::LOCATION).filter(|_| status.is_redirection());
    let location = target.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let retry_after = retry_after(headers);
    let body = body(response).await?;
    let body = match status.is_success() {
        true => contract::text(body)?,
        false => String::from_utf8_lossy(&body).into_owned(),
    };
    Ok(Received { status: status.as_u16(), retry_after, body, is_json, is_accepted, location })
}

/// The meaning of a response for the attempt. Once the service has accepted it, no status means that it had no effect.
fn read(received: Received, call: &Call) -> Answer {
    let Received { status, retry_after, body: text, is_json, is_accepted: accepted, location } = received;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() {
        return match serde_json::from_str::<String>(&text) {
            Ok(text) if is_json => contract::done(&call.outputs, &text),
            _ if is_json => contract::result(&call.outputs, &text),
            _ => contract::done(&call.outputs, &text),
        };
    }
    if status.is_redirection() {
        let to = location.map_or_else(String::new, |to| format!(": {to}"));
        let message =
            format!("the service answered {}{to}; it is not followed to another address", named(status));
        let outcome = if accepted { Outcome::Unknown } else { Outcome::Failed };
        return Err(contract::failure(Cause::Refused, message, outcome, false));
    }
    Err(refused(status, &text, retry_after, call, accepted))
}

/// The body of a response, up to one byte more than allowed, to detect a larger one.
pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, Box<Failure>> {
    let url = response.url().clone();
    let mut body = Vec::new();
    while body.len() <= contract::LARGEST {
        match chunk(&mut response).await {
            Ok(Some(part)) => body.extend_from_slice(part.as_ref()),
            Ok(None) => break,
            Err(error) => return Err(lost_answer(&url, &error)),
        }
    }
    Ok(body)
}

/// The next part of a body. Parts can come without a pause, so others have a turn after each.
pub(super) async fn chunk(response: &mut Response) -> reqwest::Result<Option<impl AsRef<[u8]>>> {
    let part = response.chunk().await;
    tokio::task::yield_now().await;
    part
}

pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
}

/// An answer with a status of failure. Its body may say more, as any agent's answer may, and counts before the headers.
fn refused(
    status: StatusCode,
    body: &str,
    pause: Option<Duration>,
    call: &Call,
    accepted: bool,
) -> Box<Failure> {
    let (outcome, retryable) = match status.as_u16() {
        _ if accepted => (Outcome::Unknown, status.is_server_error()),
        // The service did not begin: too slow, too early, too often.
        408 | 425 | 429 => (Outcome::NotExecuted, true),
        400..=499 => (Outcome::Failed, false),
        _ => (Outcome::Unknown, true),
    };
    let mut failure = contract::refused_or(&call.outputs, body, retryable, outcome, || {
        let why = reason(body).map(|why| format!(": {why}")).unwrap_or_default();
        contract::failure(
            Cause::Refused,
            format!("the service answered {}{why}", named(status)),
            outcome,
            retryable,
        )
    });
    failure.code.get_or_insert_with(|| status.as_u16().to_string());
    if failure.retryable && failure.retry_after_ms.is_none() {
        failure.retry_after_ms = pause.map(milliseconds);
    }
    let closed = contract::CLOSED.contains(&status.as_u16());
    failure.unavailable |= closed && !is_said_to_be_available(body);
    failure
}

/// A status with its name, if it has one.
pub(super) fn named(status: StatusCode) -> String {
    let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}{name}", status.as_str())
}

pub(super) fn milliseconds(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the body of a refusal says that the service can still work for others.
fn is_said_to_be_available(body: &str) -> bool {
    let said = refusal(body);
    let said = said.as_ref().and_then(|body| body.get("error")?.get("unavailable")?.as_bool());
    said == Some(false)
}

/// The body of a refusal as JSON. A large one is not read: it would take many times its size.
pub(super) fn refusal(body: &str) -> Option<Value> {
    if body.len() > LARGEST_REFUSAL { None } else { json::parse(body).ok() }
}

/// The text in a refusal's body: the detail of a problem as in RFC 9457, a message, or a line of text.
pub(super) fn reason(body: &str) -> Option<String> {
    let words = match refusal(body) {
        Some(Value::Object(problem)) => {
            let said = ["detail", "message", "error_description", "title"].into_iter();
            said.filter_map(|name| problem.get(name)?.as_str()).next()?.to_owned()
        }
        Some(_) => return None,
        None if body.trim_start().starts_with('<') => return None,
        None => body.lines().map(str::trim).find(|line| !line.is_empty())?.to_owned(),
    };
    Some(words.chars().take(EXCERPT).collect())
}

/// The time that a service wants to be left alone: in seconds, or until a date, which counts from that of its response.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let said = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let (until, now) = (date(said)?, date(text(header::DATE)?)?);
    Some(until.duration_since(now).unwrap_or_default())
}

/// The failure without a response: before the request was sent, or after it may have been.
pub(super) fn lost(url: &Url, error: &reqwest::Error) -> Box<Failure> {
    if error.is_connect() {
        let message = format!("cannot connect to {}: {}", shown(url), cause(error));
        return contract::failure(Cause::Start, message, Outcome::NotExecuted, true);
    }
    lost_answer(url, error)
}

pub(super) fn lost_answer(url: &Url, error: &reqwest::Error) -> Box<Failure> {
    let message = format!("no answer from {}: {}", shown(url), cause(error));
    contract::failure(Cause::Protocol, message, Outcome::Unknown, true)
}

/// An address without its parts that may be secret.
pub(super) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The innermost cause: the others repeat the address.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
