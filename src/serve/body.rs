//! The bodies of requests, with a limit of size and time.

use super::reply::failed;
use super::service::{Refusal, RefusalKind};
use crate::event::Arrival;
use crate::value::json;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How large a body may be.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    Request,
    /// The data of an event and its attributes.
    Event,
    /// The items of a run.
    Items,
}

impl Limit {
    fn bytes(self) -> usize {
        match self {
            Limit::Request => 64 << 10,
            Limit::Event => Arrival::LARGEST + (64 << 10),
            Limit::Items => 16 << 20,
        }
    }
}

/// A body that was read whole.
pub struct Body {
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Body {
    /// Reads it.
    ///
    /// # Errors
    /// The response to a body that is too large, too slow, or cut off.
    pub async fn of(request: Request, limit: Limit) -> Result<Body, Response> {
        let (head, body) = request.into_parts();
        match tokio::time::timeout(PATIENCE, to_bytes(body, limit.bytes())).await {
            Ok(Ok(bytes)) => Ok(Body { headers: head.headers, bytes }),
            Ok(Err(error)) if is_too_large(&error) => {
                let message = format!("the body is larger than {} bytes", limit.bytes());
                Err(failed(StatusCode::PAYLOAD_TOO_LARGE, &message))
            }
            Ok(Err(_)) => Err(failed(StatusCode::BAD_REQUEST, "the body was cut off")),
            Err(_) => Err(failed(StatusCode::REQUEST_TIMEOUT, "the body took longer than 30 s")),
        }
    }

    /// Its JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let media = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            return Err(malformed("the Content-Type is not application/json"));
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|_| malformed("the body is not UTF-8"))?;
        let value = json::parse(text)
            .map_err(|error| malformed(&format!("the body is not JSON: {}", json::why(&error))))?;
        serde_json::from_value(value).map_err(|error| malformed(&format!("the body does not fit: {error}")))
    }

    /// The same, where it may be empty.
    ///
    /// # Errors
    /// As for [`json`](Self::json).
    pub fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Refusal> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Malformed, message)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
