//! Answers in JSON, and the headers that all answers have.

use super::service::{Answered, Refusal, RefusalKind};
use crate::diag::render::visible_json;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What a browser may do with an answer that is not a page: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// JSON as a response; control characters are escaped as in the output of commands.
pub fn answered(status: StatusCode, answer: Answered) -> Response {
    match answer {
        Ok(value) => json_text(status, &value.to_string()),
        Err(refusal) => refused(&refusal),
    }
}

fn json_text(status: StatusCode, text: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], visible_json(text) + "\n").into_response()
}

/// `{error, help, detail}`.
pub fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.kind {
        RefusalKind::Malformed => StatusCode::BAD_REQUEST,
        RefusalKind::Unknown => StatusCode::NOT_FOUND,
        RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::NotTrusted => StatusCode::FORBIDDEN,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let Refusal { message, help, detail, .. } = refusal;
    json_text(status, &json!({ "error": message, "help": help, "detail": detail }).to_string())
}

/// The same with any status.
pub fn failed(status: StatusCode, message: &str) -> Response {
    json_text(status, &json!({ "error": message, "help": null, "detail": null }).to_string())
}

/// Adds the headers that every answer has; those that it has already stay.
pub fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(CONTENT_SECURITY_POLICY, NOTHING);
    add(X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(X_FRAME_OPTIONS, "DENY");
    add(REFERRER_POLICY, "no-referrer");
    add(CACHE_CONTROL, "no-store");
    add(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}
