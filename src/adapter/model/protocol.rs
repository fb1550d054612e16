//! The three interfaces of model providers: converts a conversation to a request, and a response to a turn.

use super::super::http::Url;
use super::super::prompt;
use super::Model;
use crate::event::TokenUsage;
use crate::value::dollars::Dollars;
use crate::value::{Object, Value, json, number};
use serde_json::json;

/// The interface of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Chat Completions, which most servers have.
    Chat,
    /// Messages, of Anthropic.
    Messages,
    /// Responses, of OpenAI.
    Responses,
}

/// One message of a conversation.
pub struct Message {
    role: &'static str,
    text: String,
}

impl Message {
    pub fn user(text: String) -> Self {
        Message { role: "user", text }
    }

    pub fn assistant(text: String) -> Self {
        Message { role: "assistant", text }
    }

    fn json(&self) -> Value {
        json!({"role": self.role, "content": self.text})
    }

    /// The same for Responses, where a message is one kind of item among others.
    fn item(&self) -> Value {
        let kind = if self.role == "assistant" { "output_text" } else { "input_text" };
        json!({"type": "message", "role": self.role, "content": [{"type": kind, "text": self.text}]})
    }
}

/// The answer of a model.
#[derive(Debug, PartialEq)]
pub struct Turn {
    /// What it wrote, or why it gave no complete answer.
    pub text: Result<String, String>,
    /// Whether the limit of its tokens ended it.
    pub cut: bool,
    /// The model that answered.
    pub model: Option<String>,
    pub usage: Usage,
}

/// The usage of turns; `None` if the provider does not report it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens, including cached ones.
    pub input: u64,
    pub output: u64,
    /// Dollars, if the provider reports them.
    pub cost: Option<Dollars>,
    known: bool,
}

impl Usage {
    pub fn tokens(&self) -> Option<u64> {
        self.known.then(|| self.input.saturating_add(self.output))
    }

    /// The tokens by their direction.
    pub fn by_direction(&self) -> Option<TokenUsage> {
        self.known.then_some(TokenUsage { input: self.input, output: self.output })
    }

    pub fn add(&mut self, other: &Usage) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.known |= other.known;
        self.cost = match (self.cost, other.cost) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.or(other),
        };
    }

    fn read(usage: Option<&Value>, input: &[&str], output: &str) -> Usage {
        let Some(usage) = usage.filter(|usage| usage.is_object()) else { return Usage::default() };
        let count = |name: &str| usage.get(name).and_then(number::reported);
        Usage {
            input: input.iter().filter_map(|name| count(name)).fold(0, u64::saturating_add),
            output: count(output).unwrap_or(0),
            cost: usage.get("cost").and_then(Dollars::read),
            known: count(output).is_some(),
        }
    }
}

impl Protocol {
    pub fn address(self, base: &Url) -> Url {
        let end = match self {
            Protocol::Chat => "chat/completions",
            Protocol::Messages => "messages",
            Protocol::Responses => "responses",
        };
        let mut url = base.clone();
        url.set_path(&format!("{}/{end}", base.path().trim_end_matches('/')));
        url
    }

    /// Headers of its requests in addition to the operator's.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Protocol::Messages => &[("anthropic-version", "2023-06-01")],
            Protocol::Chat | Protocol::Responses => &[],
        }
    }

    /// `most` is the most tokens of the answer.
    pub fn request(self, model: &Model, messages: &[Message], form: Option<&Value>, most: u32) -> Value {
        let said: Vec<Value> = messages.iter().map(Message::json).collect();
        let mut body = Object::new();
        body.insert("model".into(), model.name.as_str().into());
        match self {
            Protocol::Chat => {
                let system = model.system.iter().map(|text| json!({"role": "system", "content": text}));
                body.insert("messages".into(), system.chain(said).collect());
                body.insert("max_tokens".into(), most.into());
                if let Some(form) = form {
                    let schema =
                        json!({"name": "outputs", "schema": form, "strict": prompt::is_strict(form)});
                    body.insert(
                        "response_format".into(),
                        json!({"type": "json_schema", "json_schema": schema}),
                    );
                }
            }
            Protocol::Messages => {
                body.insert("messages".into(), said.into());
                body.insert("max_tokens".into(), most.into());
                body.extend(model.system.iter().map(|text| ("system".into(), text.as_str().into())));
                if let Some(form) = form {
                    body.insert(
                        "output_config".into(),
                        json!({"format": {"type": "json_schema", "schema": form}}),
                    );
                }
            }
            Protocol::Responses => {
                body.insert("input".into(), messages.iter().map(Message::item).collect());
                body.insert("max_output_tokens".into(), most.into());
                body.insert("store".into(), false.into());
                body.extend(model.system.iter().map(|text| ("instructions".into(), text.as_str().into())));
                if let Some(form) = form {
                    let format = json!({"type": "json_schema", "name": "outputs", "schema": form, "strict": prompt::is_strict(form)});
                    body.insert("text".into(), json!({"format": format}));
                }
            }
        }
        Value::Object(body)
    }

    /// Reads a response.
    ///
    /// # Errors
    /// The problem of the response.
    pub fn turn(self, body: &str) -> Result<Turn, String> {
        let body = parse(body)?;
        let (text, end, usage) = match self {
            Protocol::Chat => {
                let choice = &body["choices"][0];
                let usage = Usage::read(body.get("usage"), &["prompt_tokens"], "completion_tokens");
                (content(&choice["message"]["content"]), choice["finish_reason"].as_str(), usage)
            }
            Protocol::Messages => {
                let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
                let usage = Usage::read(body.get("usage"), &input, "output_tokens");
                (content(&body["content"]), body["stop_reason"].as_str(), usage)
            }
            Protocol::Responses => {
                let messages = body["output"].as_array().into_iter().flatten();
                let said = messages
                    .filter(|part| part["type"] == "message")
                    .filter_map(|part| content(&part["content"]));
                let said: Vec<String> = said.collect();
                let usage = Usage::read(body.get("usage"), &["input_tokens"], "output_tokens");
                let end = body["incomplete_details"]["reason"].as_str().or(body["status"].as_str());
                ((!said.is_empty()).then(|| said.concat()), end, usage)
            }
        };
        let cut = "the answer was cut off at the limit of its tokens; raise max-tokens in orderflow.toml";
        let is_cut = matches!(end, Some("length" | "max_tokens" | "max_output_tokens"));
        let text = match (end, refusal(&body)) {
            (_, Some(refusal)) => Err(format!("the model refused: {refusal}")),
            (_, None) if is_cut => Err(cut.to_owned()),
            (Some("incomplete" | "cancelled" | "model_context_window_exceeded"), None) => {
                Err("the answer is incomplete".to_owned())
            }
            (Some("content_filter" | "refusal"), None) => Err("the model refused to answer".to_owned()),
            (Some("failed" | "error"), None) => {
                let why = body["error"]["message"].as_str().map(|why| format!(": {why}"));
                Err(format!("the model failed to answer{}", why.unwrap_or_default()))
            }
            (_, None) => {
                text.ok_or_else(|| "the provider's answer has no text of the model in it".to_owned())
            }
        };
        Ok(Turn { text, cut: is_cut, model: body["model"].as_str().map(str::to_owned), usage })
    }
}

/// A response, or an event of one, as JSON.
///
/// # Errors
/// It is not JSON, or would take far more memory than its text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if json::most_values(text) > json::MOST_VALUES {
        return Err(format!("the provider's answer has more than {} values", json::MOST_VALUES));
    }
    json::parse(text).map_err(|error| format!("the provider's answer is not JSON: {}", json::problem(&error)))
}

/// The words of a refusal: a member of the message in Chat, a part of it in Responses.
fn refusal(body: &Value) -> Option<&str> {
    let messages = body["output"].as_array().into_iter().flatten();
    let mut parts = messages.filter_map(|message| message["content"].as_array()).flatten();
    let said = parts.find_map(|part| part["refusal"].as_str());
    said.or_else(|| body["choices"][0]["message"]["refusal"].as_str())
}

/// The text of a message: as it is, or in parts.
pub(super) fn content(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
        _ => None,
    }
}
