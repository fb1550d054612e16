//! `[channels.NAME]`: limits of the steps of a channel, and where its events go to or come from.

use super::read::{Item, Key, Reader};
use super::{Channel, EventRoute, Header, NatsRoute};
use crate::adapter::http::Url;
use crate::diag::catalogue;
use crate::event::TypePattern;
use crate::spec::is_event_type;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::de::DeTable;

pub(super) const CHANNEL: [&str; 12] = [
    "concurrency",
    "rate",
    "types",
    "append",
    "follow",
    "post",
    "listen",
    "nats",
    "stream",
    "prefix",
    "user",
    "key",
];

/// The ways of events: two go out, two come in, and one does both.
pub(super) const ROUTES: [&str; 5] = ["append", "follow", "post", "listen", "nats"];

/// What only a channel of NATS has.
const OF_NATS: [&str; 3] = ["stream", "prefix", "user"];

impl Reader {
    pub(super) fn channel(&mut self, table: &DeTable<'_>) -> Channel {
        let mut channel = Channel::default();
        let mut key: Option<Header> = None;
        let mut way = None;
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "concurrency" => channel.concurrency = self.count("concurrency", value),
                "rate" => channel.rate = self.rate(value),
                "types" => channel.types = self.types(value),
                "key" => key = self.key(value),
                route if ROUTES.contains(&route) && way.is_some() => {
                    self.bad::<()>(route, value, "in a channel of its own: a channel has one way of events");
                }
                route if ROUTES.contains(&route) => {
                    way = Some(name);
                    channel.route = match route {
                        "nats" => self.nats(name, value, table).map(EventRoute::Nats),
                        _ => self.route(route, value),
                    };
                }
                of_nats if OF_NATS.contains(&of_nats) => {
                    if !table.contains_key("nats") {
                        self.bad::<()>(of_nats, value, "beside nats");
                    }
                }
                _ => self.unknown(name, &CHANNEL),
            }
        }
        if let Some(name) = way.filter(|_| channel.types.is_empty() && !table.contains_key("types")) {
            self.lacks(name, "types", "types = [\"order.created\", \"order.*\"]");
        }
        match &mut channel.route {
            Some(
                EventRoute::Post { key: slot, .. }
                | EventRoute::Listen { key: slot, .. }
                | EventRoute::Nats(NatsRoute { key: slot, .. }),
            ) => *slot = key,
            Some(EventRoute::Append(_) | EventRoute::Follow(_)) | None => {
                let other = table.iter().find(|(name, _)| name.get_ref() == "key");
                if let Some((_, value)) = other.filter(|_| !table.contains_key("nats")) {
                    self.bad::<()>("key", value, "beside post, listen or nats");
                }
            }
        }
        channel
    }

    fn route(&mut self, name: &str, value: &Item<'_>) -> Option<EventRoute> {
        if name == "post" {
            return self.url(name, value).map(|url: Url| EventRoute::Post { url, key: None });
        }
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        match (name, text) {
            ("append", Some(path)) => Some(EventRoute::Append(PathBuf::from(path))),
            ("follow", Some(path)) => Some(EventRoute::Follow(PathBuf::from(path))),
            ("listen", Some(text)) => match text.parse::<SocketAddr>() {
                Ok(address) => Some(EventRoute::Listen { address, key: None }),
                Err(_) => self.bad(name, value, "an address and a port, such as \"127.0.0.1:8791\""),
            },
            _ => self.bad(name, value, "the path of a file"),
        }
    }

    /// The stream of a channel whose server is `value`.
    fn nats(&mut self, name: &Key<'_>, value: &Item<'_>, table: &DeTable<'_>) -> Option<NatsRoute> {
        if !self.nats {
            self.problems.push(catalogue::settings_not_built(name.span().into(), "nats"));
            return None;
        }
        let server = self.nats_server(value);
        let mut text = |key: &str, expected: &str, is: fn(&str) -> bool| {
            let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
            let text = value.get_ref().as_str().filter(|text| is(text)).map(str::to_owned);
            text.or_else(|| self.bad(key, value, expected))
        };
        let stream = text("stream", "letters, digits, - and _, such as \"ORDERS\"", is_stream);
        let prefix =
            text("prefix", "the beginning of subjects, such as \"shop\" or \"shop.eu\"", is_event_type);
        let user = text("user", "the name of a user; its password is the key", |text| !text.is_empty());
        if !table.contains_key("stream") {
            self.lacks(name, "stream", "stream = \"ORDERS\"");
        }
        if let Some((_, user)) = table.iter().find(|(name, _)| name.get_ref() == "user")
            && !table.contains_key("key")
        {
            self.bad::<()>("user", user, "beside key, which is its password");
        }
        let types = table.iter().find(|(name, _)| name.get_ref() == "types");
        let all = |types: &Item<'_>| {
            let mut types = types.get_ref().as_array().into_iter().flat_map(|types| types.iter());
            types.any(|one| one.get_ref().as_str() == Some("*"))
        };
        if let Some((_, types)) = types.filter(|(_, types)| all(types) && !table.contains_key("prefix")) {
            // The server has subjects of its own.
            self.bad::<()>("types", types, "narrower than \"*\" in a channel of NATS without a prefix");
        }
        Some(NatsRoute { server: server?, stream: stream?, prefix, user, key: None })
    }

    fn nats_server(&mut self, value: &Item<'_>) -> Option<String> {
        let expected =
            "an address such as \"nats://127.0.0.1:4222\" or \"tls://…\", without a user or a password";
        let url = value.get_ref().as_str().and_then(|text| Url::parse(text).ok());
        let is_server = |url: &Url| {
            matches!(url.scheme(), "nats" | "tls")
                && url.has_host()
                && (url.username(), url.password()) == ("", None)
                && matches!(url.path(), "" | "/")
        };
        let text = url.filter(is_server).map(|url| url.as_str().trim_end_matches('/').to_owned());
        text.or_else(|| self.bad("nats", value, expected))
    }

    fn types(&mut self, value: &Item<'_>) -> Vec<TypePattern> {
        let expected = "a list of types, such as [\"order.created\", \"order.*\"]";
        let Some(list) = value.get_ref().as_array() else {
            return self.bad("types", value, expected).unwrap_or_default();
        };
        let mut types = Vec::new();
        for one in list {
            let text = one.get_ref().as_str().unwrap_or_default();
            let is_type = match text.strip_suffix("*") {
                Some("") => true,
                Some(begin) => begin.strip_suffix('.').is_some_and(is_event_type),
                None => is_event_type(text),
            };
            match is_type {
                true => types.push(TypePattern(text.to_owned())),
                false => {
                    let expected = "a type such as \"order.created\" or \"order.*\"";
                    self.bad::<()>("types", one, expected);
                }
            }
        }
        types
    }
}

/// Whether a stream can have this name.
fn is_stream(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=128).contains(&text.len()) && text.chars().all(is_name)
}
