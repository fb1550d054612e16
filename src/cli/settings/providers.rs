//! Providers of models: those that `orderflow.toml` describes, and those that everybody has.

use super::read::{Item, Key, Reader};
use super::{Header, Provider, Reach};
use crate::adapter::http::{AUTHORIZATION, HeaderName, Url};
use crate::adapter::model::{Price, Protocol};
use crate::diag::catalogue;
use crate::value::dollars::Dollars;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// The most tokens of a model's answer, by default.
const MAX_TOKENS: u32 = 8192;

/// The members of a price.
pub(super) const PRICE: [&str; 2] = ["input", "output"];

pub(super) const KEYS: [&str; 5] = ["protocol", "url", "key", "headers", "price"];

/// Names with their interface, address and the secret that is their key.
const COMMON: [(&str, Protocol, &str, Option<&str>); 4] = [
    ("anthropic", Protocol::Messages, "https://api.anthropic.com/v1", Some("ANTHROPIC_API_KEY")),
    ("ollama", Protocol::Chat, "http://127.0.0.1:11434/v1", None),
    ("openai", Protocol::Responses, "https://api.openai.com/v1", Some("OPENAI_API_KEY")),
    ("openrouter", Protocol::Chat, "https://openrouter.ai/api/v1", Some("OPENROUTER_API_KEY")),
];

/// The provider that says what an answer costs.
const REPORTS_COST: &str = "openrouter";

/// The providers that need no table.
pub(super) fn common() -> BTreeMap<String, Provider> {
    let provider = |(name, protocol, url, key): (&str, Protocol, &str, Option<&str>)| {
        let url = Url::parse(url).ok()?;
        let headers = key.map(|key| bearer(protocol, key)).into_iter().collect();
        Some((
            name.to_owned(),
            Provider { protocol, url, headers, price: None, reports_cost: name == REPORTS_COST },
        ))
    };
    COMMON.into_iter().filter_map(provider).collect()
}

/// The header in which a provider wants its key.
fn bearer(protocol: Protocol, secret: &str) -> (HeaderName, Header) {
    let secret = Some(secret.to_owned());
    match protocol {
        Protocol::Messages => (HeaderName::from_static("x-api-key"), Header { text: String::new(), secret }),
        Protocol::Chat | Protocol::Responses => (AUTHORIZATION, Header { text: "Bearer ".into(), secret }),
    }
}

impl Reader {
    /// `provider/model`.
    pub(super) fn model(&mut self, value: &Item<'_>) -> Option<Reach> {
        let named = value.get_ref().as_str().and_then(|text| text.split_once('/'));
        let named = named.filter(|(provider, model)| !provider.is_empty() && !model.is_empty());
        let Some((provider, _)) = named else {
            return self.bad(
                "model",
                value,
                "the names of a provider and its model, such as \"openai/gpt-5\"",
            );
        };
        let Some(found) = self.providers.get(provider).cloned() else {
            if self.wrong.contains(provider) {
                return None;
            }
            let known = self.providers.keys().map(String::as_str);
            self.problems.push(catalogue::settings_unknown_provider(value.span().into(), provider, known));
            return None;
        };
        let name = value.get_ref().as_str().unwrap_or_default().to_owned();
        Some(Reach::Model { name, provider: found, system: None, max_tokens: MAX_TOKENS })
    }

    /// A provider; where its name is a common one, what the table does not say is as everybody has it.
    pub(super) fn provider(&mut self, name: &Key<'_>, table: &DeTable<'_>) -> Option<Provider> {
        let known = common().remove(name.get_ref().as_ref());
        let get = |key: &str| table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value);
        for (key, _) in table.iter().filter(|(key, _)| !KEYS.contains(&key.get_ref().as_ref())) {
            self.unknown(key, &KEYS);
        }
        let protocol = match get("protocol") {
            Some(value) => self.protocol(value)?,
            None => known.as_ref().map_or(Protocol::Chat, |known| known.protocol),
        };
        let url = match (get("url"), &known) {
            (Some(value), _) => self.url("url", value)?,
            (None, Some(known)) => known.url.clone(),
            (None, None) => {
                self.lacks(name, "url", "the address of its interface, such as \"http://127.0.0.1:8080/v1\"");
                return None;
            }
        };
        let own = get("headers").map(|value| self.headers(value)).unwrap_or_default();
        let mut headers = match get("key") {
            Some(value) => self
                .key(value)
                .and_then(|key| key.secret)
                .map(|key| bearer(protocol, &key))
                .into_iter()
                .collect(),
            None if own.is_empty() => known.map(|known| known.headers).unwrap_or_default(),
            None => Vec::new(),
        };
        headers.extend(own);
        let price = get("price").and_then(|value| self.price(value));
        let reports_cost = name.get_ref() == REPORTS_COST;
        Some(Provider { protocol, url, headers, price, reports_cost })
    }

    fn protocol(&mut self, value: &Item<'_>) -> Option<Protocol> {
        match value.get_ref().as_str() {
            Some("chat") => Some(Protocol::Chat),
            Some("messages") => Some(Protocol::Messages),
            Some("responses") => Some(Protocol::Responses),
            _ => self.bad("protocol", value, "\"chat\", \"messages\" or \"responses\""),
        }
    }

    fn price(&mut self, value: &Item<'_>) -> Option<Price> {
        let expected = "dollars for a million tokens, such as { input = 3.00, output = 15.00 }";
        let Some(table) = value.get_ref().as_table() else { return self.bad("price", value, expected) };
        for (key, _) in table.iter().filter(|(key, _)| !PRICE.contains(&key.get_ref().as_ref())) {
            self.unknown(key, &PRICE);
        }
        let [input, output] = PRICE.map(|key| {
            let Some((_, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else {
                return self.bad_because("price", value, expected, &format!(" without `{key}`"));
            };
            let text = match value.get_ref() {
                DeValue::Float(number) => number.as_str(),
                DeValue::Integer(number) => number.as_str(),
                _ => "",
            };
            let dollars = Dollars::parse(text).filter(|_| !text.starts_with('-'));
            dollars.or_else(|| self.bad(key, value, "dollars for a million tokens, such as 3.00"))
        });
        Some(Price { input: input?, output: output? })
    }
}
