//! Pages for browsers: the list of runs, and the page of each.

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// A page with its content security policy; no other page may show it in a frame.
pub fn page(html: String, policy: &str) -> Response {
    let policy = format!("{policy}; frame-ancestors 'none'");
    let kind = [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
    (kind, html).into_response()
}
