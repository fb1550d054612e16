//! A coding agent over the Agent Client Protocol.

use super::super::super::acp::coder;
use super::super::{Does, Kind, Refusal};
use crate::adapter::Adapter;
use crate::value::Value;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

pub struct Coder;

pub const CODER: Coder = Coder;

impl Kind for Coder {
    fn name(&self) -> &'static str {
        "acp"
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        let mut script = json!({"session/prompt": [turn(does, folder)]});
        if let Does::Refuses(Refusal::Unavailable) = does {
            script["session/new"] = json!([{"error": {"code": -32000, "message": "no credit"}}]);
        }
        Arc::new(coder(folder, &script))
    }
}

/// What it does with a prompt.
fn turn(does: &Does, folder: &Path) -> Value {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let end = json!({"end": "end_turn"});
    let ready = json!({"run": format!(": > '{}'", folder.join("item/ready").display())});
    match does {
        Does::Says(bytes) | Does::Blurts(bytes) => json!([{"say": text(bytes)}, end]),
        Does::Dawdles(bytes) => {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            json!([{"say": text(first)}, {"sleep": 0.3}, {"say": text(second)}, end])
        }
        Does::Fails(bytes) => json!([{"log": "first words\nlast words"}, {"say": text(bytes)}, end]),
        Does::Refuses(why) => match why {
            Refusal::BadInput => {
                let error = r#"{"error": {"message": "no such order", "retryable": false}}"#;
                json!([{"say": error}, end])
            }
            Refusal::Busy => json!([{"error": {"code": -32603, "message": "busy"}}]),
            Refusal::Pause => {
                json!([{"say": r#"{"error": {"message": "busy", "retry_after_ms": 2000}}"#}, end])
            }
            Refusal::Unavailable => json!([]),
            Refusal::Crash => {
                json!([{"error": {"code": -32603, "message": "Internal error", "data": "boom"}}])
            }
        },
        Does::Returns => json!([{"inputs": "a"}, end]),
        Does::Tells(name) => json!([{"variable": format!("ORDERFLOW_{name}")}, end]),
        Does::Babbles(bytes) => json!([{"raw": bytes}]),
        Does::Dies => json!([{"kill": null}]),
        Does::Breaks(bytes) => {
            let line = json!({"jsonrpc": "2.0", "id": 3, "result": text(bytes)}).to_string();
            json!([{"raw": line.as_bytes()[..line.len() / 2]}, {"kill": null}])
        }
        Does::Finishes(bytes) => json!([ready, {"wait": "session/cancel"}, {"say": text(bytes)}, end]),
        Does::Ignores => json!([ready, {"deafen": 1000}]),
    }
}
