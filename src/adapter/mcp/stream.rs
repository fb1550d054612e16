//! The HTTP client of a conversation, which ends every request to which no answer can come any more. Does not know what
//! messages mean for a step.
//!
//! rmcp leaves out what is not a message, and connects without end to a stream of events that ends each time: a call
//! would wait for good. Its answer becomes the error [`UNFIT`] here. The ids of a stream's events carry the request to
//! which the stream belongs, so that a stream that is connected to again is still known.

use super::super::contract;
use super::super::http::{HeaderName, HeaderValue};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rmcp::model::{ClientJsonRpcMessage, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::{Error as SseError, Sse};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The code of the errors that are made here.
pub const UNFIT: ErrorCode = ErrorCode(i32::MIN);

const NO_MESSAGE: &str = "the server's answer is not a JSON-RPC 2.0 message";

const NO_ANSWER: &str = "the server accepted the request without an answer";

/// The pause before a stream is connected to again, in milliseconds, whatever the server asks for.
const LEAST_PAUSE: u64 = 200;
const LONGEST_PAUSE: u64 = 30_000;

type Events = BoxStream<'static, Result<Sse, SseError>>;

type Headers = HashMap<HeaderName, HeaderValue>;

type Failed = StreamableHttpError<reqwest::Error>;

/// The client for a stream of messages, whose answers are limited in size and checked before they are read.
#[derive(Clone)]
pub struct Checked(pub reqwest::Client);

pub fn too_large() -> String {
    format!("the answer is larger than {} MiB", contract::LARGEST >> 20)
}

/// How often and after which pauses a stream that has ended is connected to again.
pub fn retries() -> ExponentialBackoff {
    let mut retries = ExponentialBackoff::default();
    retries.max_times = Some(4);
    retries.max_delay = Some(Duration::from_secs(2));
    retries
}

impl StreamableHttpClient for Checked {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, auth, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        use StreamableHttpPostResponse::{Accepted, Json, Sse};
        let request = match &message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        // The answer can come by the stream of the session.
        let elsewhere = session.is_some();
        let response =
            self.0.post_message_with_response_limits(uri, message, session, auth, headers, limits).await?;
        Ok(match (response, request) {
            (Accepted, Some(request)) if !elsewhere => Json(unfit(Some(request), NO_ANSWER), None),
            (Json(message, session), Some(request)) => Json(answer(message, request), session),
            (Sse(events, session), request) => Sse(checked(events, request), session),
            (response, _) => response,
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), Failed> {
        self.0.delete_session(uri, session, auth, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failed> {
        let size = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session, last, auth, headers, size).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        auth: Option<String>,
        headers: Headers,
        size: usize,
    ) -> Result<Events, Failed> {
        let (request, last) = last.map_or((None, None), |id| split(&id));
        let events =
            self.0.get_stream_with_max_sse_event_size(uri, session, last, auth, headers, size).await?;
        let mut events = checked(events, request.clone());
        if request.is_none() {
            return Ok(events);
        }
        // Only a stream on which something comes is one that was found again.
        match events.next().await {
            Some(Ok(first)) => Ok(stream::iter([Ok(first)]).chain(events).boxed()),
            Some(Err(error)) => Err(error.into()),
            None => Err(StreamableHttpError::UnexpectedEndOfStream),
        }
    }
}

/// Events whose ids carry the request, and whose messages rmcp can read.
fn checked(events: Events, request: Option<RequestId>) -> Events {
    let check = move |event: Result<Sse, SseError>| match event {
        Ok(mut event) => {
            event.id = event.id.map(|id| joined(request.as_ref(), &id));
            event.retry = event.retry.map(|pause| pause.clamp(LEAST_PAUSE, LONGEST_PAUSE));
            if let Some(data) = &event.data
                && matches!(event.event.as_deref(), None | Some("" | "message"))
            {
                match super::pipe::message(data.as_bytes()) {
                    Ok(Some(ServerJsonRpcMessage::Error(error))) if error.id.is_none() => {
                        let error = ServerJsonRpcMessage::error(error.error, request.clone());
                        event.data = serde_json::to_string(&error).ok();
                    }
                    Ok(_) => {}
                    Err(_) => event.data = serde_json::to_string(&unfit(request.clone(), NO_MESSAGE)).ok(),
                }
            }
            Ok(event)
        }
        // Only rmcp's limit is described so; its type is private.
        Err(SseError::Body(error)) if error.to_string().contains("maximum size") => {
            let error = unfit(request.clone(), &too_large());
            Ok(Sse::default().data(serde_json::to_string(&error).unwrap_or_default()))
        }
        Err(error) => Err(error),
    };
    events.map(check).boxed()
}

/// The answer to a request in the body of its response.
fn answer(message: ServerJsonRpcMessage, request: RequestId) -> ServerJsonRpcMessage {
    match message {
        ServerJsonRpcMessage::Error(error) if error.id.is_none() => {
            ServerJsonRpcMessage::error(error.error, Some(request))
        }
        ServerJsonRpcMessage::Error(error) if error.id.as_ref().is_some_and(|id| same(id, &request)) => {
            ServerJsonRpcMessage::Error(error)
        }
        ServerJsonRpcMessage::Response(response) if same(&response.id, &request) => {
            ServerJsonRpcMessage::Response(response)
        }
        _ => unfit(Some(request), "the server answered another request"),
    }
}

/// Some servers answer a number as text.
fn same(id: &RequestId, request: &RequestId) -> bool {
    id.to_string() == request.to_string()
}

fn unfit(request: Option<RequestId>, why: &str) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::error(ErrorData::new(UNFIT, why.to_owned(), None), request)
}

/// The id of an event, with the request of its stream; the requests of rmcp have numbers.
fn joined(request: Option<&RequestId>, id: &str) -> String {
    match request {
        Some(RequestId::Number(request)) => format!("{request}:{id}"),
        Some(RequestId::String(_)) | None => format!(":{id}"),
    }
}

fn split(id: &str) -> (Option<RequestId>, Option<String>) {
    let (request, id) = id.split_once(':').unwrap_or(("", id));
    (request.parse().ok().map(RequestId::Number), Some(id.to_owned()))
}
