//! `[channels.NAME]`: limits of the steps of a channel, and where its events go to or come from.

use super::read::{Item, Reader};
use super::{Channel, EventRoute, Header};
use crate::adapter::http::Url;
use crate::event::TypePattern;
use crate::spec::is_event_type;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::de::DeTable;

const CHANNEL: [&str; 8] = ["concurrency", "rate", "types", "append", "follow", "post", "listen", "key"];

/// The ways of events: two go out, and two come in.
const ROUTES: [&str; 4] = ["append", "follow", "post", "listen"];

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
                    channel.route = self.route(route, value);
                }
                _ => self.unknown(name, &CHANNEL),
            }
        }
        if let Some(name) = way.filter(|_| channel.types.is_empty() && !table.contains_key("types")) {
            self.lacks(name, "types", "types = [\"order.created\", \"order.*\"]");
        }
        match &mut channel.route {
            Some(EventRoute::Post { key: slot, .. } | EventRoute::Listen { key: slot, .. }) => *slot = key,
            Some(EventRoute::Append(_) | EventRoute::Follow(_)) | None => {
                if let Some((_, value)) = table.iter().find(|(name, _)| name.get_ref() == "key") {
                    self.bad::<()>("key", value, "beside post or listen");
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
