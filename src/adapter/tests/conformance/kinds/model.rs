//! A language model behind each of the three interfaces.

use super::super::super::http::{listen, respond};
use super::super::super::model::{at, says};
use super::super::{Does, Kind, Refusal};
use super::service::{half, hangs_up, slowly, works_on};
use crate::adapter::Adapter;
use crate::adapter::model::Protocol;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct LanguageModel(&'static str, Protocol);

pub const CHAT: LanguageModel = LanguageModel("chat", Protocol::Chat);
pub const MESSAGES: LanguageModel = LanguageModel("messages", Protocol::Messages);
pub const RESPONSES: LanguageModel = LanguageModel("responses", Protocol::Responses);

impl Kind for LanguageModel {
    fn name(&self) -> &'static str {
        self.0
    }

    fn has_effects(&self) -> bool {
        false
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        let protocol = self.1;
        let address = match does {
            Does::Dies => hangs_up(Vec::new()),
            Does::Breaks(bytes) => hangs_up(half(&body(protocol, bytes))),
            other => {
                let (does, ready) = (other.clone(), folder.join("item/ready"));
                listen(move |request: Request| {
                    let (does, ready) = (does.clone(), ready.clone());
                    async move { served(protocol, &does, request, ready).await }
                })
            }
        };
        Arc::new(at(address, protocol))
    }
}

/// The provider's response with this text of the model.
fn body(protocol: Protocol, text: &[u8]) -> Vec<u8> {
    says(protocol, std::str::from_utf8(text).unwrap()).to_string().into_bytes()
}

async fn served(protocol: Protocol, does: &Does, request: Request, ready: PathBuf) -> Response {
    let (head, sent) = request.into_parts();
    let sent: Value = serde_json::from_slice(&to_bytes(sent, usize::MAX).await.unwrap()).unwrap();
    let answer = |value: Value| body(protocol, value.to_string().as_bytes()).into_response();
    let error = |message: &str| json!({"error": {"type": "api_error", "message": message}}).to_string();
    match does {
        Does::Says(bytes) | Does::Blurts(bytes) => body(protocol, bytes).into_response(),
        Does::Dawdles(bytes) => slowly(body(protocol, bytes)),
        Does::Refuses(why) => match why {
            Refusal::BadInput => respond(400, &[], &error("bad form")),
            Refusal::Busy => respond(529, &[], &error("overloaded")),
            Refusal::Pause => respond(429, &[("retry-after", "2")], &error("slow down")),
            Refusal::Unavailable => respond(402, &[], &error("no credit")),
            Refusal::Crash => respond(500, &[], &error("boom")),
        },
        Does::Returns => answer(json!({"a": inputs(protocol, &sent)})),
        Does::Tells("KEY") => answer(json!({"a": head.headers["idempotency-key"].to_str().unwrap()})),
        Does::Babbles(bytes) => bytes.clone().into_response(),
        Does::Ignores => works_on(ready).await,
        other => panic!("a model cannot do {other:?}"),
    }
}

/// The inputs in the block of JSON of a prompt.
fn inputs(protocol: Protocol, sent: &Value) -> Value {
    let prompt = match protocol {
        Protocol::Chat => &sent["messages"][1]["content"],
        Protocol::Messages => &sent["messages"][0]["content"],
        Protocol::Responses => &sent["input"][0]["content"][0]["text"],
    };
    let block = prompt.as_str().unwrap().split("```json\n").nth(1).unwrap();
    serde_json::from_str(block.split("\n```").next().unwrap()).unwrap()
}
