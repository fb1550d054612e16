//! What an agent's messages during one turn mean: its answer, its tokens and its cost. Agents differ in all of them.

use super::super::contract::LARGEST;
use crate::value::Value;
use crate::value::budget::{self, Budget};
use crate::value::dollars::Dollars;
use crate::value::number;

/// The events of one turn so far.
#[derive(Debug, Default)]
pub struct Turn {
    /// The text of the message with the last id.
    numbered: Option<(String, String)>,
    /// The text of messages without an id since the last call of a tool.
    loose: String,
    /// A tool was called since.
    called: bool,
    /// What was said since the last message or call of a tool.
    part: String,
    /// An error that the agent reported in an update.
    error: Option<String>,
}

/// How a turn ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    Said(String),
    /// Why an answer is missing, and whether another attempt may have one.
    Failed {
        message: String,
        retryable: bool,
    },
    Cancelled,
}

impl Turn {
    /// Takes the update of a `session/update`. Returns a text that it completes.
    pub fn take(&mut self, update: &Value) -> Option<String> {
        let kind = update.get("sessionUpdate").and_then(Value::as_str).unwrap_or_default();
        self.error = codex_error(update).or(self.error.take());
        match kind {
            "agent_message_chunk" => {
                let text = update.get("content")?.get("text")?.as_str()?;
                let id = update.get("messageId").and_then(Value::as_str);
                let is_new = id.is_some() && id != self.numbered.as_ref().map(|(last, _)| last.as_str());
                let part = if is_new { self.part() } else { None };
                push(&mut self.part, text);
                match (id, &mut self.numbered) {
                    (Some(id), Some((last, said))) if id == last => push(said, text),
                    (Some(id), numbered) => *numbered = Some((id.to_owned(), text.to_owned())),
                    (None, _) => {
                        if std::mem::take(&mut self.called) {
                            self.loose.clear();
                        }
                        push(&mut self.loose, text);
                    }
                }
                part
            }
            "tool_call" => {
                self.called = true;
                self.part()
            }
            _ => None,
        }
    }

    /// The text since the last complete one, if there is any.
    pub fn part(&mut self) -> Option<String> {
        Some(std::mem::take(&mut self.part)).filter(|part| !part.is_empty())
    }

    /// The end of the turn by the result of its prompt.
    pub fn end(self, result: &Value) -> Ended {
        if let Some(error) = codex_error(result).or(self.error) {
            return Ended::Failed { message: error, retryable: true };
        }
        let failed = |message: &str| Ended::Failed { message: message.to_owned(), retryable: false };
        match result.get("stopReason").and_then(Value::as_str) {
            // Messages without an id beside others are warnings.
            Some("end_turn") => Ended::Said(self.numbered.map_or(self.loose, |(_, text)| text)),
            Some("cancelled") => Ended::Cancelled,
            Some("refusal") => failed("the agent refused to continue"),
            Some("max_tokens") => failed("the agent reached its most tokens"),
            Some("max_turn_requests") => failed("the agent reached its most requests in a turn"),
            Some(other) => failed(&format!("the agent stopped: {other}")),
            None => failed("the agent ended its turn without a reason"),
        }
    }
}

/// One byte more than allowed, at most, shows that the answer is too large.
fn push(said: &mut String, text: &str) {
    if said.len() <= LARGEST {
        said.push_str(text);
    }
}

/// Codex ends a turn normally after an error of its provider.
fn codex_error(value: &Value) -> Option<String> {
    let error = value.get("_meta")?.get("codex")?.get("error").filter(|error| !error.is_null())?;
    if ["willRetry", "will_retry"].iter().any(|name| error.get(*name) == Some(&Value::Bool(true))) {
        return None;
    }
    let message = error.as_str().or_else(|| error.get("message")?.as_str());
    Some(message.map_or_else(|| error.to_string(), str::to_owned))
}

/// Tokens and cost of a session.
#[derive(Debug, Default)]
pub struct Spent {
    pub tokens: Option<u64>,
    /// In dollars, since the session began.
    pub cost: Option<Value>,
    pub model: Option<String>,
}

impl Spent {
    /// Takes the update of a `session/update`.
    pub fn take(&mut self, update: &Value) {
        let cost =
            update.get("cost").filter(|cost| cost.get("currency").and_then(Value::as_str) == Some("USD"));
        self.dollars(cost.and_then(|cost| cost.get("amount")));
        if update.get("sessionUpdate").and_then(Value::as_str) == Some("config_option_update") {
            self.configured(update);
        }
    }

    /// Takes what the session has cost. Agents report 0 where they do not know the price.
    pub fn dollars(&mut self, amount: Option<&Value>) {
        if let Some(amount) = amount.and_then(Dollars::read).filter(|amount| !amount.is_zero()) {
            self.cost = Some(amount.value());
        }
    }

    /// Adds what a part of the session has cost.
    pub fn more_dollars(&mut self, amount: Option<&Value>) {
        let sum = match (self.cost.as_ref().and_then(Dollars::of), amount.and_then(Dollars::read)) {
            (Some(one), Some(other)) => one.plus(other),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return,
        };
        self.dollars(Some(&sum.value()));
    }

    /// Adds the tokens of a turn by the result of its prompt. Returns its usage in words.
    pub fn add(&mut self, result: &Value) -> String {
        let quota = result.get("_meta").and_then(|meta| meta.get("quota"));
        let tokens = result.get("usage").and_then(tokens);
        let tokens =
            tokens.or_else(|| tokens_of(quota?.get("token_count")?, &["input_tokens", "output_tokens"]));
        if let Some(tokens) = tokens {
            self.tokens = Some(self.tokens.unwrap_or(0).saturating_add(tokens));
        }
        let used =
            quota.and_then(|quota| quota.get("model_usage")?.as_array()?.last()?.get("model")?.as_str());
        if let Some(model) = used {
            self.model = Some(model.to_owned());
        }
        self.words(tokens)
    }

    /// What is left of a budget.
    pub fn left(&self, budget: Budget) -> Budget {
        let dollars = self.cost.as_ref().and_then(Dollars::of);
        budget.left(&budget::Spent { tokens: self.tokens.unwrap_or(0), dollars })
    }

    /// Adds what another process has spent. Returns its usage in words.
    pub fn more(&mut self, other: Spent) -> String {
        if let Some(tokens) = other.tokens {
            self.tokens = Some(self.tokens.unwrap_or(0).saturating_add(tokens));
        }
        self.more_dollars(other.cost.as_ref());
        self.model = other.model.or(self.model.take());
        self.words(other.tokens)
    }

    /// The tokens of a turn and the cost of the session in words.
    fn words(&self, tokens: Option<u64>) -> String {
        let tokens = tokens.map_or("tokens not reported".to_owned(), |tokens| format!("{tokens} tokens"));
        tokens + &self.cost.as_ref().map_or_else(String::new, |cost| format!(", ${cost} so far"))
    }

    /// Takes the model from the result of `session/new`.
    pub fn configured(&mut self, session: &Value) {
        let options = session.get("configOptions").and_then(Value::as_array);
        let is_model = |option: &&Value| option.get("category").and_then(Value::as_str) == Some("model");
        let chosen = options.and_then(|options| options.iter().find(is_model)?.get("currentValue")?.as_str());
        let current = || session.get("models")?.get("currentModelId")?.as_str();
        if let Some(model) = chosen.or_else(current) {
            self.model = Some(model.to_owned());
        }
    }
}

/// All tokens of a turn, those of a cache included.
fn tokens(usage: &Value) -> Option<u64> {
    let parts = ["inputTokens", "outputTokens", "cachedReadTokens", "cachedWriteTokens"];
    usage.get("totalTokens").and_then(number::reported).or_else(|| tokens_of(usage, &parts))
}

/// The sum of those of the members that are present.
pub fn tokens_of(usage: &Value, names: &[&str]) -> Option<u64> {
    names.iter().filter_map(|name| usage.get(*name).and_then(number::reported)).reduce(u64::saturating_add)
}
