//! The HTTP server: runs, their items and gates as JSON, and requests to change them. It knows who may ask and how, and
//! leaves what happens to a [`RunService`].

mod access;
mod body;
mod feed;
mod metrics;
mod pages;
mod reply;
mod routes;
mod service;

pub use access::{AccessRules, SHORTEST_TOKEN, is_token};
pub use service::{
    AnswerRequest, Answered, DecideRequest, Doing, ListPart, LogsRequest, Refusal, RefusalKind, RunAct,
    RunService, StartRequest, act_and_resume,
};

use access::Admission;
use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use feed::Feeds;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::Metrics;
use reply::{failed, guarded};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long the headers of a request may take, and how long a connection may be without one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may take to be computed.
const ANSWERING: Duration = Duration::from_secs(120);

/// The most headers of a request, and the bytes that a connection stores of one.
const HEADERS: usize = 64;
const BUFFER: usize = 64 << 10;

/// How many questions read journals at the same time.
const READING: usize = 4;

/// The pause after the system has refused a connection, such as for a lack of files.
const PAUSE: Duration = Duration::from_millis(100);

/// A server before it serves.
pub struct HttpServer {
    pub listener: TcpListener,
    pub rules: AccessRules,
    pub service: Arc<dyn RunService>,
    /// The most connections at the same time.
    pub connections: usize,
}

/// What all requests share.
#[derive(Clone)]
struct State(Arc<Reads>);

struct Reads {
    service: Arc<dyn RunService>,
    rules: AccessRules,
    permits: Arc<Semaphore>,
    feeds: Feeds,
    metrics: Metrics,
}

impl HttpServer {
    /// Serves until the task is ended; with it, all connections end.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn serve(self) -> std::io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let reads = Reads {
            feeds: Feeds::default(),
            metrics: Metrics::default(),
            service: self.service,
            rules: self.rules,
            permits: Semaphore::new(READING).into(),
        };
        let state = State(Arc::new(reads));
        let router: Router =
            routes::router().layer(middleware::from_fn_with_state(state.clone(), admit)).with_state(state);
        let connections = Arc::new(Semaphore::new(self.connections));
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let permit = connections.clone().acquire_owned().await;
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // Events are small and must not wait for more of them.
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(router.clone());
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            builder.max_headers(HEADERS).max_buf_size(BUFFER);
            tasks.spawn(async move {
                // A client that breaks off is not an error.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                drop(permit);
            });
            while tasks.try_join_next().is_some() {}
        }
    }
}

/// Lets in what may be let in, and completes the answer.
async fn admit(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let response = match state.0.rules.check(&request) {
        Admission::Admitted => match tokio::time::timeout(ANSWERING, next.run(request)).await {
            Ok(response) => response,
            Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "the answer took longer than 120 s"),
        },
        Admission::ByLink => by_link(&state, &request),
        Admission::Refused(status, why) => {
            let mut response = failed(status, why);
            if status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    };
    guarded(as_json(response))
}

/// A cookie instead of the token in the address, which browsers store and show.
fn by_link(state: &State, request: &Request) -> Response {
    let cookie = state.0.rules.set_cookie(request).and_then(|cookie| HeaderValue::try_from(cookie).ok());
    let path = HeaderValue::from_str(request.uri().path()).ok();
    // `//` at the beginning would be another host.
    let path = path.filter(|path| !path.as_bytes().starts_with(b"//"));
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, path.unwrap_or(HeaderValue::from_static("/")));
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// A refusal of the router itself as JSON.
fn as_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let why = status.canonical_reason().unwrap_or("refused").to_lowercase();
    let mut json = failed(status, &why);
    json.headers_mut().extend(response.headers().get(ALLOW).map(|allow| (ALLOW, allow.clone())));
    json
}
