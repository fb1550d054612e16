//! Pages for browsers: the list of runs, and the page of each.

use crate::diag::render::visible;
use crate::value::Value;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = "\
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{margin:2rem auto;max-width:64rem;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #8884;\
vertical-align:top}.n{text-align:right;font-variant-numeric:tabular-nums}";

/// A page with its content security policy; no other page may show it in a frame.
pub fn page(html: String, policy: &str) -> Response {
    let policy = format!("{policy}; frame-ancestors 'none'");
    let kind = [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
    (kind, html).into_response()
}

/// The runs of `orderflow runs --format json`, each with a link to its page.
pub fn list(runs: &Value) -> Response {
    let text = |run: &Value, name: &str| run[name].as_str().map(visible).unwrap_or_default();
    let count = |run: &Value, name: &str| run["counts"][name].as_u64().unwrap_or(0);
    let failed = |run: &Value| {
        ["failed", "compensated", "compensation_failed"].into_iter().map(|name| count(run, name)).sum::<u64>()
    };
    let waiting = |run: &Value| count(run, "waiting") + count(run, "awaiting");
    let runs = runs.as_array().map(Vec::as_slice).unwrap_or_default();
    let page_text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Runs" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Runs" }
                @if runs.is_empty() {
                    p { "No runs are stored here." }
                } @else {
                    table {
                        tr {
                            th { "Run" } th { "Workflow" } th { "State" } th.n { "Succeeded" } th.n { "Failed" }
                            th.n { "Waiting" } th { "Started" }
                        }
                        @for run in runs {
                            tr {
                                td { a href={ "/runs/" (text(run, "run")) } { (text(run, "name")) } }
                                td { (text(run, "workflow")) @if run["error"].is_string() { (text(run, "error")) } }
                                td { (text(run, "state")) }
                                td.n { (count(run, "succeeded")) }
                                td.n { (failed(run)) }
                                td.n { (waiting(run)) }
                                td { (text(run, "started")) }
                            }
                        }
                    }
                }
            }
        }
    };
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    page(page_text.into_string(), &format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'"))
}
