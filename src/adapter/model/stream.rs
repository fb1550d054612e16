//! A streamed answer of a model: gathers its events to the response that the provider would have sent without streaming,
//! so that everything else is the same for both. An answer without its end is a failure.

use super::events::{Event, Events};
use super::{Protocol, garbled, harmless, protocol};
use crate::adapter::exchanges::Received;
use crate::adapter::{LiveWords, contract, http};
use crate::event::Failure;
use crate::value::{Object, Value};
use reqwest::Response;
use serde_json::json;

/// The statuses that errors have without streaming, by a part of their names; others are the provider's own faults.
const STATUSES: [(&str, u16); 8] = [
    ("overloaded", 529),
    ("rate_limit", 429),
    ("quota", 429),
    ("authentication", 401),
    ("billing", 402),
    ("permission", 403),
    ("not_found", 404),
    ("invalid", 400),
];
const OTHER: u16 = 500;

/// The members of a chunk of Chat that its response has as well.
const OF_CHAT: [&str; 4] = ["id", "created", "model", "usage"];

/// Asks for a stream. Chat reports the usage only if it is asked for.
pub(super) fn streamed(protocol: Protocol, request: &Value) -> Value {
    let mut request = request.clone();
    if let Value::Object(members) = &mut request {
        members.insert("stream".into(), true.into());
        if protocol == Protocol::Chat {
            members.insert("stream_options".into(), json!({"include_usage": true}));
        }
    }
    request
}

/// Whether the provider does not stream, as for some models and accounts: the request is made again without it.
pub(super) fn is_refused(received: &Received) -> bool {
    matches!(received.status, 400 | 422) && received.body.contains("stream")
}

/// Reads a stream until the answer ends. Its text is `live` as it arrives.
pub(super) async fn read(
    protocol: Protocol,
    mut response: Response,
    live: &LiveWords,
) -> Result<Received, Box<Failure>> {
    let url = response.url().clone();
    let (mut events, mut gathered) = (Events::default(), Gathered::new(protocol, live.clone()));
    // Of an earlier turn.
    live.say("");
    loop {
        let part =
            http::chunk(&mut response).await.map_err(|error| harmless(http::lost_answer(&url, &error)))?;
        let Some(part) = part else { return gathered.end() };
        for event in events.push(part.as_ref())? {
            if let Some(received) = gathered.take(&event)? {
                return Ok(received);
            }
        }
    }
}

/// What has arrived of an answer.
pub(super) struct Gathered {
    protocol: Protocol,
    live: LiveWords,
    /// The response without the text.
    members: Object,
    text: Option<String>,
    refusal: Option<String>,
    /// Why the model ended, which the end of a whole answer says.
    reason: Option<Value>,
    /// The event that ends a stream has arrived.
    done: bool,
}

impl Gathered {
    pub fn new(protocol: Protocol, live: LiveWords) -> Self {
        let members = Object::new();
        Gathered { protocol, live, members, text: None, refusal: None, reason: None, done: false }
    }

    /// Takes an event; the response if it ends the answer.
    ///
    /// # Errors
    /// The event is not JSON, the answer is too large, or the stream ends before the answer.
    pub fn take(&mut self, event: &Event) -> Result<Option<Received>, Box<Failure>> {
        if event.data.trim() == "[DONE]" {
            self.done = self.protocol == Protocol::Chat;
            return self.end().map(Some);
        }
        let mut said = protocol::parse(&event.data).map_err(garbled)?;
        let kind = said["type"].as_str().unwrap_or(&event.name).to_owned();
        if kind == "error" || said["error"].is_object() || said["error"].is_string() {
            return Ok(Some(refusal(said)));
        }
        match (self.protocol, kind.as_str()) {
            (Protocol::Chat, _) => self.chunk(&said)?,
            (Protocol::Messages, "message_start") => {
                if let Some(Value::Object(message)) = said.get_mut("message").map(Value::take) {
                    self.members = message;
                }
                // It counts what the answer has so far.
                if let Some(Value::Object(usage)) = self.members.get_mut("usage") {
                    usage.shift_remove("output_tokens");
                }
            }
            (Protocol::Messages, "content_block_start") => {
                self.say(said["content_block"]["text"].as_str())?
            }
            (Protocol::Messages, "content_block_delta") => self.say(said["delta"]["text"].as_str())?,
            (Protocol::Messages, "message_delta") => self.delta(&said),
            (Protocol::Messages, "message_stop") => {
                self.done = true;
                return self.end().map(Some);
            }
            (Protocol::Responses, "response.output_text.delta") => self.say(said["delta"].as_str())?,
            (
                Protocol::Responses,
                "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled",
            ) => {
                return self.response(said.get_mut("response").map(Value::take)).map(Some);
            }
            _ => {}
        }
        Ok(None)
    }

    /// The response when nothing more arrives.
    ///
    /// # Errors
    /// The answer is not whole.
    pub fn end(&mut self) -> Result<Received, Box<Failure>> {
        // Some servers send no `[DONE]`; with the usage nothing is missing.
        let done = self.done || (self.protocol == Protocol::Chat && self.members.contains_key("usage"));
        let reason = self.reason.take().filter(|_| done);
        let Some(reason) = reason else {
            return Err(garbled("the stream of the provider's answer ended before the answer".to_owned()));
        };
        let mut body = std::mem::take(&mut self.members);
        let text = self.text.take();
        match self.protocol {
            Protocol::Chat => {
                let mut message = json!({"role": "assistant", "content": text});
                if let (Some(refusal), Value::Object(message)) = (self.refusal.take(), &mut message) {
                    message.insert("refusal".into(), refusal.into());
                }
                let choice = json!({"index": 0, "message": message, "finish_reason": reason});
                body.insert("object".into(), "chat.completion".into());
                body.insert("choices".into(), json!([choice]));
            }
            Protocol::Messages | Protocol::Responses => {
                let parts = text.map(|text| json!({"type": "text", "text": text}));
                body.insert("content".into(), parts.into_iter().collect());
                body.insert("stop_reason".into(), reason);
            }
        }
        received(Value::Object(body))
    }

    /// A chunk of Chat. Only its first choice was asked for.
    fn chunk(&mut self, said: &Value) -> Result<(), Box<Failure>> {
        for name in OF_CHAT {
            if let Some(value) = said.get(name).filter(|value| !value.is_null() && *value != "") {
                self.members.insert(name.into(), value.clone());
            }
        }
        let choices = said["choices"].as_array().into_iter().flatten();
        for choice in choices.filter(|choice| choice["index"].as_u64().unwrap_or(0) == 0) {
            self.say(protocol::content(&choice["delta"]["content"]).as_deref())?;
            if let Some(words) = choice["delta"]["refusal"].as_str() {
                append(&mut self.refusal, words)?;
            }
            if !choice["finish_reason"].is_null() {
                self.reason = Some(choice["finish_reason"].clone());
            }
        }
        Ok(())
    }

    /// The end of Messages, with the usage of all of the answer.
    fn delta(&mut self, said: &Value) {
        if let Some(reason) = said["delta"].get("stop_reason").filter(|reason| !reason.is_null()) {
            self.reason = Some(reason.clone());
        }
        let Some(counts) = said["usage"].as_object() else { return };
        let usage = self.members.entry("usage").or_insert_with(|| json!({}));
        if let Value::Object(usage) = usage {
            let known = counts.iter().filter(|(_, count)| !count.is_null());
            usage.extend(known.map(|(name, count)| (name.clone(), count.clone())));
        }
    }

    /// The response that the last event of Responses has in it, with the text that arrived if it has none.
    fn response(&mut self, response: Option<Value>) -> Result<Received, Box<Failure>> {
        let Some(Value::Object(mut members)) = response else {
            return Err(garbled("the last event of the provider's answer has no response in it".to_owned()));
        };
        let has_output = members.get("output").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if let (Some(text), false) = (self.text.take(), has_output) {
            let part = json!({"type": "output_text", "text": text});
            members.insert(
                "output".into(),
                json!([{"type": "message", "role": "assistant", "content": [part]}]),
            );
        }
        received(Value::Object(members))
    }

    fn say(&mut self, words: Option<&str>) -> Result<(), Box<Failure>> {
        let Some(words) = words else { return Ok(()) };
        append(&mut self.text, words)?;
        self.live.add(words);
        Ok(())
    }
}

fn append(text: &mut Option<String>, words: &str) -> Result<(), Box<Failure>> {
    let text = text.get_or_insert_default();
    if text.len() + words.len() > contract::LARGEST {
        return Err(harmless(contract::too_large()));
    }
    text.push_str(words);
    Ok(())
}

/// An error in a stream, as the response that it would be without one.
fn refusal(mut said: Value) -> Received {
    let error = match said.get_mut("error").map(Value::take) {
        Some(Value::String(message)) => json!({"message": message}),
        Some(error @ Value::Object(_)) => error,
        // The event itself, whose type is only that it is an error.
        _ => {
            if let Value::Object(members) = &mut said {
                members.shift_remove("type");
            }
            said
        }
    };
    let named = |member: &str| {
        let name = error[member].as_str()?;
        STATUSES.iter().find(|(part, _)| name.contains(part)).map(|(_, status)| *status)
    };
    let number = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let status = number.filter(|code| (400..600).contains(code)).or_else(|| named("code"));
    let status = status.or_else(|| named("type")).unwrap_or(OTHER);
    Received { status, body: json!({"error": error}).to_string(), ..Received::default() }
}

/// A response within the bounds of one that is not streamed.
fn received(body: Value) -> Result<Received, Box<Failure>> {
    let body = contract::text(body.to_string().into_bytes()).map_err(harmless)?;
    Ok(Received { status: 200, body, ..Received::default() })
}
