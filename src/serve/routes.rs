//! The addresses of the server, each with its answer.

use super::body::{Body, Limit};
use super::pages;
use super::reply::{answered, failed, refused};
use super::service::{
    AnswerRequest, DecideRequest, ListPart, LogsRequest, Refusal, RefusalKind, RunAct, RunService,
    StartRequest, act_and_resume,
};
use super::{Reads, State};
use crate::adapter::channel;
use crate::event::Arrival;
use crate::runtime::unix_millis;
use crate::value::Object;
use axum::Router;
use axum::extract::{Path, RawQuery, Request, State as Shared};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::unfold;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::io::Read;

/// The description of all addresses but the pages.
const DESCRIPTION: &str = include_str!("openapi.json");

/// How many items an answer has unless the request says otherwise, and the most of them.
const ITEMS: usize = 1000;
const MOST_ITEMS: usize = 10_000;

/// How many parts of logs an answer has at most.
const MOST_PARTS: usize = 1000;

/// The largest number of a list or an event: above it, some readers of JSON lose digits.
const LARGEST_NUMBER: u64 = 1 << 53;

/// The largest file that is sent.
const LARGEST_FILE: u64 = 256 << 20;

/// The body of a decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideBody {
    step: String,
    #[serde(default)]
    items: Option<Vec<String>>,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    note: Option<String>,
}

/// The body of an answer to the question of an agent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    question: String,
    agrees: bool,
    #[serde(default)]
    values: Object,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    note: Option<String>,
}

/// The body of a retry.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RetryBody {
    items: Vec<String>,
    /// Items that restart with other inputs.
    edited: Vec<EditedItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditedItem {
    key: String,
    inputs: Object,
}

impl RetryBody {
    fn act(self) -> RunAct {
        if self.edited.is_empty() {
            return RunAct::Retry(self.items);
        }
        let plain = self.items.into_iter().map(|key| (key, Object::new()));
        let edited = self.edited.into_iter().map(|EditedItem { key, inputs }| (key, inputs));
        RunAct::RetryEdited(plain.chain(edited).collect())
    }
}

/// The body of a request that needs none.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyBody {}

/// The body of a start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartBody {
    document: String,
    #[serde(default)]
    items: Option<Vec<Object>>,
    #[serde(default)]
    inputs: Object,
    #[serde(default)]
    keys: Vec<String>,
}

/// All addresses.
pub fn router() -> Router<State> {
    Router::new()
        .route("/", get(list))
        .route("/runs/{run}", get(page))
        .route("/runs/{run}/report.html", get(report))
        .route("/metrics", get(metrics))
        .route("/api/openapi.json", get(description))
        .route("/api/runs", get(runs).post(start))
        .route("/api/runs/{run}", get(run))
        .route("/api/runs/{run}/items", get(items))
        .route("/api/runs/{run}/items/{key}", get(item))
        .route("/api/runs/{run}/events", get(events))
        .route("/api/runs/{run}/gates", get(gates))
        .route("/api/runs/{run}/questions", get(questions))
        .route("/api/runs/{run}/dead-letters", get(dead_letters))
        .route("/api/runs/{run}/logs", get(logs))
        .route("/api/runs/{run}/files", get(files))
        .route("/api/runs/{run}/files/{*path}", get(file))
        .route("/api/runs/{run}/approve", post(approve))
        .route("/api/runs/{run}/reject", post(reject))
        .route("/api/runs/{run}/answer", post(answer))
        .route("/api/runs/{run}/signal", post(signal))
        .route("/api/runs/{run}/cancel", post(cancel))
        .route("/api/runs/{run}/retry", post(retry))
        .route("/api/runs/{run}/resume", post(resume))
        .fallback(async || failed(StatusCode::NOT_FOUND, "this server has no such page"))
}

/// Asks what blocks on a thread of its own.
async fn ask<T: Send + 'static>(
    state: State,
    question: impl FnOnce(&dyn RunService) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let Reads { service, permits, .. } = state.0.as_ref();
    let service = service.clone();
    let permit = permits.clone().acquire_owned().await;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = question(service.as_ref());
        drop(permit);
        answer
    });
    asked.await.unwrap_or_else(|_| Err(Refusal::new(RefusalKind::Internal, "a bug in orderflow")))
}

async fn list(Shared(state): Shared<State>) -> Response {
    match ask(state, |service| service.runs()).await {
        Ok(runs) => {
            let (html, policy) = crate::page::list(&runs);
            pages::page(html, &policy)
        }
        Err(refusal) => refused(&refusal),
    }
}

async fn page(Shared(state): Shared<State>, Path(run): Path<String>, RawQuery(query): RawQuery) -> Response {
    let mut query = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let baseline = query.find(|(name, _)| name == "baseline").map(|(_, run)| run.into_owned());
    match ask(state, move |service| service.page(&run, baseline.as_deref())).await {
        Ok((html, policy)) => pages::page(html, &policy),
        Err(refusal) => refused(&refusal),
    }
}

/// The page as a file that makes no requests.
async fn report(Shared(state): Shared<State>, Path(run): Path<String>) -> Response {
    match ask(state, move |service| service.report(&run)).await {
        Ok((html, policy)) => {
            ([(CONTENT_DISPOSITION, "attachment")], pages::page(html, &policy)).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

/// The text form of Prometheus.
async fn metrics(Shared(state): Shared<State>) -> Response {
    let all = state.clone();
    match ask(state, move |service| Ok(all.0.metrics.text(&service.homes()?))).await {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn description() -> Response {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

async fn runs(Shared(state): Shared<State>) -> Response {
    answered(StatusCode::OK, ask(state, |service| service.runs()).await)
}

async fn run(Shared(state): Shared<State>, Path(run): Path<String>) -> Response {
    answered(StatusCode::OK, ask(state, move |service| service.run(&run)).await)
}

async fn items(Shared(state): Shared<State>, Path(run): Path<String>, RawQuery(query): RawQuery) -> Response {
    let part = match list_part(query.as_deref()) {
        Ok(part) => part,
        Err(refusal) => return refused(&refusal),
    };
    answered(StatusCode::OK, ask(state, move |service| service.items(&run, part)).await)
}

async fn item(Shared(state): Shared<State>, Path((run, key)): Path<(String, String)>) -> Response {
    answered(StatusCode::OK, ask(state, move |service| service.item(&run, &key)).await)
}

/// Server-sent events.
async fn events(
    Shared(state): Shared<State>,
    Path(run): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let (sent, ends) = match followed(query.as_deref(), &headers) {
        Ok(followed) => followed,
        Err(refusal) => return refused(&refusal),
    };
    let home = match ask(state.clone(), move |service| service.home(&run)).await {
        Ok(home) => home,
        Err(refusal) => return refused(&refusal),
    };
    let following = state.0.feeds.follow(&home, sent, ends);
    let chunks = unfold(following, async |mut following| {
        let chunk = following.next().await?;
        Some((Ok::<_, Infallible>(chunk), following))
    });
    // Some proxies would collect the events.
    let kind = [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (kind, axum::body::Body::from_stream(chunks)).into_response()
}

async fn gates(Shared(state): Shared<State>, Path(run): Path<String>) -> Response {
    answered(StatusCode::OK, ask(state, move |service| service.gates(&run)).await)
}

async fn questions(Shared(state): Shared<State>, Path(run): Path<String>) -> Response {
    answered(StatusCode::OK, ask(state, move |service| service.questions(&run)).await)
}

async fn dead_letters(Shared(state): Shared<State>, Path(run): Path<String>) -> Response {
    answered(StatusCode::OK, ask(state, move |service| service.dead_letters(&run)).await)
}

async fn logs(Shared(state): Shared<State>, Path(run): Path<String>, RawQuery(query): RawQuery) -> Response {
    match logs_request(query.as_deref()) {
        Ok(wanted) => answered(StatusCode::OK, ask(state, move |service| service.logs(&run, &wanted)).await),
        Err(refusal) => refused(&refusal),
    }
}

async fn files(Shared(state): Shared<State>, Path(run): Path<String>) -> Response {
    answered(StatusCode::OK, ask(state, move |service| service.files(&run)).await)
}

/// A file as bytes that a browser stores and does not show: it may be a page.
async fn file(Shared(state): Shared<State>, Path((run, path)): Path<(String, String)>) -> Response {
    let read = move |service: &dyn RunService| {
        let file = service.file(&run, &path)?;
        let broken = |error: std::io::Error| Refusal::new(RefusalKind::Internal, error.to_string());
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(broken)?;
        match bytes.len() as u64 > LARGEST_FILE {
            true => Err(Refusal::new(RefusalKind::Invalid, "the file is larger than 256 MiB")),
            false => Ok(bytes),
        }
    };
    match ask(state, read).await {
        Ok(bytes) => {
            let kind = [(CONTENT_TYPE, "application/octet-stream"), (CONTENT_DISPOSITION, "attachment")];
            (kind, bytes).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

async fn start(Shared(state): Shared<State>, request: Request) -> Response {
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let traceparent = traceparent.map(str::to_owned);
    let StartBody { document, items, inputs, keys } = match read(request, Limit::Items).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let request = StartRequest { document, items, inputs, keys, stub: false, traceparent };
    answered(StatusCode::CREATED, state.0.service.start(request).await)
}

async fn approve(state: Shared<State>, run: Path<String>, query: RawQuery, request: Request) -> Response {
    decide(state.0, run.0, query.0, true, request).await
}

async fn reject(state: Shared<State>, run: Path<String>, query: RawQuery, request: Request) -> Response {
    decide(state.0, run.0, query.0, false, request).await
}

async fn decide(
    state: State,
    run: String,
    query: Option<String>,
    approved: bool,
    request: Request,
) -> Response {
    let DecideBody { step, items, by, note } = match read(request, Limit::Request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let request = DecideRequest { approved, step, items, by, note };
    let done = match resumes(query.as_deref()) {
        Ok(resume) => act_and_resume(&*state.0.service, run, RunAct::Decide(request), resume).await,
        Err(refusal) => Err(refusal),
    };
    answered(StatusCode::OK, done)
}

async fn answer(Shared(state): Shared<State>, Path(run): Path<String>, request: Request) -> Response {
    let AnswerBody { question, agrees, values, by, note } = match read(request, Limit::Request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let request = AnswerRequest { question, agrees, values, by, note };
    answered(StatusCode::OK, state.0.service.act(run, RunAct::Answer(request)).await)
}

async fn signal(
    Shared(state): Shared<State>,
    Path(run): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let body = match Body::of(request, Limit::Event).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let arrival: Arrival = match channel::received(&body.headers, &body.bytes, unix_millis()) {
        Ok(arrival) => arrival,
        Err(why) => return failed(StatusCode::BAD_REQUEST, &why),
    };
    let done = match resumes(query.as_deref()) {
        Ok(resume) => act_and_resume(&*state.0.service, run, RunAct::Signal(arrival), resume).await,
        Err(refusal) => Err(refusal),
    };
    answered(StatusCode::ACCEPTED, done)
}

async fn cancel(Shared(state): Shared<State>, Path(run): Path<String>, request: Request) -> Response {
    match read_or_default::<EmptyBody>(request).await {
        Ok(EmptyBody {}) => answered(StatusCode::ACCEPTED, state.0.service.act(run, RunAct::Cancel).await),
        Err(response) => response,
    }
}

async fn resume(Shared(state): Shared<State>, Path(run): Path<String>, request: Request) -> Response {
    match read_or_default::<EmptyBody>(request).await {
        Ok(EmptyBody {}) => answered(StatusCode::ACCEPTED, state.0.service.act(run, RunAct::Resume).await),
        Err(response) => response,
    }
}

async fn retry(Shared(state): Shared<State>, Path(run): Path<String>, request: Request) -> Response {
    match read_or_default::<RetryBody>(request).await {
        Ok(body) => answered(StatusCode::ACCEPTED, state.0.service.act(run, body.act()).await),
        Err(response) => response,
    }
}

/// A body that must be there.
async fn read<T: DeserializeOwned>(request: Request, limit: Limit) -> Result<T, Response> {
    Body::of(request, limit).await?.json().map_err(|refusal| refused(&refusal))
}

/// A body that may be missing.
async fn read_or_default<T: DeserializeOwned + Default>(request: Request) -> Result<T, Response> {
    Body::of(request, Limit::Request).await?.json_or_default().map_err(|refusal| refused(&refusal))
}

fn resumes(query: Option<&str>) -> Result<bool, Refusal> {
    let mut resume = false;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        resume = match (&*name, &*value) {
            ("resume", "true") => true,
            ("resume", "false") => false,
            _ => return Err(unknown_parameter(&name, &value)),
        };
    }
    Ok(resume)
}

/// After which event a client follows, and whether it stops at the current end.
fn followed(query: Option<&str>, headers: &HeaderMap) -> Result<(u64, bool), Refusal> {
    let (mut sent, mut ends) = (0, false);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (&*name, &*value, value.parse::<u64>()) {
            ("after", _, Ok(number)) if number <= LARGEST_NUMBER => sent = number,
            ("follow", "true", _) => ends = false,
            ("follow", "false", _) => ends = true,
            _ => return Err(unknown_parameter(&name, &value)),
        }
    }
    if let Some(last) = headers.get("last-event-id") {
        let number = last.to_str().ok().and_then(|last| last.parse::<u64>().ok());
        let wrong = || Refusal::new(RefusalKind::Malformed, "Last-Event-ID is not the number of an event");
        sent = number.filter(|number| *number <= LARGEST_NUMBER).ok_or_else(wrong)?;
    }
    Ok((sent, ends))
}

fn list_part(query: Option<&str>) -> Result<ListPart, Refusal> {
    let mut part = ListPart { offset: 0, limit: ITEMS };
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (&*name, value.parse::<usize>().ok()) {
            ("offset", Some(offset)) if offset as u64 <= LARGEST_NUMBER => part.offset = offset,
            ("limit", Some(limit)) if (1..=MOST_ITEMS).contains(&limit) => part.limit = limit,
            _ => return Err(unknown_parameter(&name, &value)),
        }
    }
    Ok(part)
}

fn logs_request(query: Option<&str>) -> Result<LogsRequest, Refusal> {
    let mut wanted = LogsRequest { limit: MOST_PARTS, ..LogsRequest::default() };
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (&*name, value.parse::<u64>().ok()) {
            ("step", _) => wanted.step = Some(value.into_owned()),
            ("item", _) => wanted.item = Some(value.into_owned()),
            ("attempt", Some(number)) if u32::try_from(number).is_ok() => {
                wanted.attempt = Some(number as u32)
            }
            ("after", Some(number)) if number <= LARGEST_NUMBER => wanted.after = number as i64,
            ("limit", Some(limit)) if (1..=MOST_PARTS as u64).contains(&limit) => {
                wanted.limit = limit as usize
            }
            _ => return Err(unknown_parameter(&name, &value)),
        }
    }
    Ok(wanted)
}

fn unknown_parameter(name: &str, value: &str) -> Refusal {
    Refusal::new(RefusalKind::Malformed, format!("unknown parameter `{name}={value}`"))
}
