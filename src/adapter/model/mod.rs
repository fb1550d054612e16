//! An agent that is a language model behind an HTTP interface: the step's instructions and inputs are the prompt, the
//! declared outputs are the form of the answer. Does not know where its address, its key and its price come from.
//!
//! - `presence` asks whether a model is there, `protocol` converts a conversation to a request and a response to a turn,
//!   `stream` gathers the events of a streamed response, this is an attempt.
//!
//! A model may ignore the form, so every answer is checked against the outputs. One that does not fit is corrected
//! once, with the misfit as the next message.

mod events;
mod presence;
mod protocol;
mod purse;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use presence::present;
pub use protocol::Protocol;

use super::exchanges::{Asked, Exchanges, Received};
use super::http::{self, Client, HeaderName, HeaderValue, Url};
use super::{Adapter, Bound, Call, Declared, Ending, Stop, contract, prompt};
use crate::event::{Answer, Cause, Failure, Outcome, Reply, Role, UNAVAILABLE};
use crate::value::dollars::Dollars;
use crate::value::{Type, Value};
use protocol::{Message, Turn, Usage};
use purse::Purse;
use reqwest::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// A model, and how to call it.
pub struct Model {
    pub client: Client,
    pub protocol: Protocol,
    /// The interface's base address, such as `https://api.openai.com/v1`.
    pub url: Url,
    /// The operator's own, with the key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The provider's name for it.
    pub name: String,
    /// The system prompt.
    pub system: Option<String>,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    pub price: Option<Price>,
    /// The provider reports the cost of each answer.
    pub reports_cost: bool,
    /// Shared by all models and services of a run.
    pub exchanges: Arc<Exchanges>,
}

/// Dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub input: Dollars,
    pub output: Dollars,
}

impl Adapter for Model {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        // A model changes nothing.
        Box::pin(async move {
            let mut spent = Usage::default();
            let talk = self.converse(&call, &mut spent);
            // What was spent before a stop in the middle counts.
            let answer = http::unless_stopped(talk, stop, Outcome::Failed).await;
            answer.map_err(|failure| self.paid(failure, &spent))
        })
    }

    fn bound(&self) -> Bound {
        Bound::Elsewhere
    }
}

impl Model {
    /// Asks, and once more if the answer does not fit.
    async fn converse(&self, call: &Call, spent: &mut Usage) -> Answer {
        if let Some(file) =
            call.outputs.iter().find(|output| output.ty.as_ref().is_some_and(Type::holds_files))
        {
            let why = format!("a model makes no files: give the output `{}` another type", file.name);
            return Err(contract::failure(Cause::Start, why, Outcome::NotExecuted, false));
        }
        let purse = Purse::of(self, call)?;
        let form = prompt::form(&call.outputs);
        let talk = &call.conversation;
        if let Some(system) = &self.system {
            talk.say(Role::System, None, system);
        }
        let prompt = prompt::for_model(call, form.as_ref());
        talk.say(Role::User, None, &prompt);
        let mut messages = vec![Message::user(prompt)];
        let mut corrected = false;
        let mut most = purse.most(spent).ok_or_else(Purse::spent)?;
        loop {
            let turn = self.ask(call, &messages, form.as_ref(), most).await?;
            if let Ok(text) = &turn.text {
                talk.say(Role::Assistant, None, text);
            }
            let model = turn.model.as_deref().unwrap_or(&self.name);
            talk.say(Role::Usage, Some(model), &self.usage(&turn.usage));
            spent.add(&turn.usage);
            purse.check(&turn.usage)?;
            let text = turn.text.map_err(|why| match turn.cut && most < self.max_tokens {
                true => Purse::cut(most),
                false => contract::failure(Cause::Protocol, why, Outcome::Failed, false),
            })?;
            match answer(&call.outputs, form.is_some(), &text) {
                // Other members that the model wrote are not a report: only the provider knows the cost.
                Ok(reply) => {
                    let columns = self.columns(spent, turn.model.as_deref());
                    let usage = spent.by_direction();
                    return Ok(Reply { tokens_used: spent.tokens(), columns, usage, ..reply });
                }
                Err(misfit) if corrected || misfit.cause == Cause::Refused => {
                    let (cause, message) = (misfit.cause, misfit.message);
                    return Err(contract::failure(cause, message, Outcome::Failed, false));
                }
                Err(misfit) => {
                    most = purse.most(spent).ok_or_else(|| Purse::uncorrected(&misfit))?;
                    let correction = prompt::correction(&misfit.message);
                    talk.say(Role::User, None, &correction);
                    messages.push(Message::assistant(text));
                    messages.push(Message::user(correction));
                    corrected = true;
                }
            }
        }
    }

    async fn ask(
        &self,
        call: &Call,
        messages: &[Message],
        form: Option<&Value>,
        most: u32,
    ) -> Result<Turn, Box<Failure>> {
        let request = self.protocol.request(self, messages, form, most);
        let asked = || {
            let first = self.protocol.request(self, &messages[..1], form, most);
            let by = (self.protocol, messages.len().div_ceil(2));
            Asked::of_model(call, by, first, request.clone())
        };
        let received = match &*self.exchanges {
            Exchanges::Live => self.send(call, &request).await,
            Exchanges::Record(recorder) => {
                let open = recorder.begin(call, asked(), Outcome::Failed);
                let received = self.send(call, &request).await;
                open.end(&received)?;
                received
            }
            Exchanges::Replay(recording) => recording.answer(call, &asked()),
        }?;
        let status = StatusCode::from_u16(received.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !status.is_success() {
            let mut failure = refused(status, &received.body, received.retry_after);
            if status == StatusCode::NOT_FOUND {
                let asked = http::shown(&self.protocol.address(&self.url));
                failure.message.push_str(&format!("; it was asked at {asked}"));
            }
            return Err(failure);
        }
        self.protocol.turn(&received.body).map_err(garbled)
    }

    /// Sends a request over the network, to be answered by a stream if the provider has one.
    async fn send(&self, call: &Call, request: &Value) -> Result<Received, Box<Failure>> {
        let received = self.post(call, &stream::streamed(self.protocol, request)).await?;
        if stream::is_refused(&received) { self.post(call, request).await } else { Ok(received) }
    }

    async fn post(&self, call: &Call, request: &Value) -> Result<Received, Box<Failure>> {
        let url = self.protocol.address(&self.url);
        let mut asked = self.client.post(url.clone()).header("content-type", "application/json");
        for (name, value) in self.protocol.headers().iter().copied() {
            asked = asked.header(name, value);
        }
        for (name, value) in &self.headers {
            asked = asked.header(name, value);
        }
        let asked = asked
            .header("idempotency-key", http::header_value(&call.context.idempotency_key))
            .header("traceparent", http::header_value(&call.context.traceparent))
            .body(request.to_string());
        let response = self.client.send(asked).await.map_err(|error| harmless(http::lost(&url, &error)))?;
        let (status, retry_after) = (response.status(), http::retry_after(response.headers()));
        if status.is_success() && http::media_type(response.headers()).as_deref() == Some("text/event-stream")
        {
            return stream::read(self.protocol, response, &call.live).await;
        }
        let body = http::body(response).await.map_err(harmless)?;
        let body = match status.is_success() {
            false => String::from_utf8_lossy(&body).into_owned(),
            true if body.len() <= contract::LARGEST && std::str::from_utf8(&body).is_err() => {
                return Err(garbled("the provider's answer is not UTF-8".to_owned()));
            }
            true => contract::text(body).map_err(harmless)?,
        };
        Ok(Received { status: status.as_u16(), retry_after, body, ..Received::default() })
    }

    /// A failure with the cost so far.
    fn paid(&self, mut failure: Box<Failure>, spent: &Usage) -> Box<Failure> {
        if spent.tokens().is_some() {
            failure.tokens_used = spent.tokens();
            failure.usage = spent.by_direction();
            failure.columns = self.columns(spent, None);
        }
        failure
    }

    fn columns(&self, spent: &Usage, model: Option<&str>) -> Vec<(Arc<str>, Value)> {
        let mut columns = Vec::new();
        let model = model.unwrap_or(&self.name);
        columns.push((Arc::from("model"), model.into()));
        columns.extend(self.cost(spent).map(|cost| (Arc::from("cost_usd"), cost.value())));
        columns
    }

    /// The usage of a turn in words.
    fn usage(&self, usage: &Usage) -> String {
        let tokens = match usage.tokens() {
            Some(_) => format!("{} tokens in, {} out", usage.input, usage.output),
            None => "tokens not reported".to_owned(),
        };
        tokens + &self.cost(usage).map_or_else(String::new, |cost| format!(", ${}", cost.value()))
    }

    /// The cost: as reported by the provider, else by the price of the reported tokens; `None` without either.
    fn cost(&self, spent: &Usage) -> Option<Dollars> {
        let priced =
            |price: Price| price.input.of_tokens(spent.input).plus(price.output.of_tokens(spent.output));
        spent.cost.or_else(|| spent.tokens().and(self.price).map(priced))
    }
}

/// Garbled on the way, or from something in front of the provider: another attempt may get the model's answer.
fn garbled(why: String) -> Box<Failure> {
    contract::failure(Cause::Protocol, why, Outcome::Failed, true)
}

/// The outputs in a model's text: as JSON of the form, or the text itself as the only output.
fn answer(outputs: &[Declared], formed: bool, text: &str) -> Answer {
    match outputs {
        _ if formed => prompt::result(outputs, text, Outcome::Failed),
        [only] if text.trim().is_empty() => Err(contract::bad(format!("output `{}` is empty", only.name))),
        [only] => {
            let named = Value::Object([(only.name.clone(), text.trim().into())].into_iter().collect());
            contract::result(outputs, &named.to_string())
        }
        _ => Ok(Reply::default()),
    }
}

/// A model has no effects besides its cost.
fn harmless(mut failure: Box<Failure>) -> Box<Failure> {
    if failure.outcome == Outcome::Unknown {
        failure.outcome = Outcome::Failed;
    }
    failure
}

/// The provider's own words in the body of a refusal.
fn refusal_message(body: &str) -> Option<String> {
    let parsed = http::refusal(body);
    let said = parsed.as_ref().and_then(|body| body.get("error")?.get("message")?.as_str());
    said.map(str::to_owned).or_else(|| http::reason(body))
}

/// A status of failure. One that is caused by the key, the account or the model's name is final for the agent.
fn refused(status: StatusCode, body: &str, pause: Option<Duration>) -> Box<Failure> {
    let error = http::refusal(body);
    let error = error.as_ref().and_then(|body| body.get("error"));
    let said = |name: &str| error.and_then(|error| error.get(name)).and_then(Value::as_str);
    let code = said("code").or(said("type"));
    let exhausted = code
        .is_some_and(|code| code.contains("quota") || code.contains("credit") || code.contains("billing"));
    let status_code = status.as_u16();
    let unavailable = contract::CLOSED_BY_PROVIDER.contains(&status_code) || status_code == 404 || exhausted;
    let (outcome, retryable) = match status_code {
        _ if unavailable => (Outcome::NotExecuted, false),
        408 | 425 | 429 | 503 | 529 => (Outcome::NotExecuted, true),
        400..=499 => (Outcome::Failed, false),
        _ => (Outcome::Failed, true),
    };
    let why = refusal_message(body).map(|why| format!(": {why}")).unwrap_or_default();
    let mut failure = contract::failure(
        Cause::Refused,
        format!("the model's provider answered {}{why}", http::named(status)),
        outcome,
        retryable,
    );
    failure.code = Some(match (unavailable, code) {
        (true, _) => UNAVAILABLE.to_owned(),
        (false, Some(code)) => code.to_owned(),
        (false, None) => status.as_u16().to_string(),
    });
    failure.unavailable = unavailable;
    if retryable {
        failure.retry_after_ms = pause.map(http::milliseconds);
    }
    failure
}
