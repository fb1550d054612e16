//! Agents that are HTTP services: values of `orderflow.toml`.

use super::Reach;
use super::read::{Item, Reader};
use crate::adapter::http::Url;
use crate::adapter::launch;
use std::collections::BTreeMap;
use toml::de::DeTable;

/// Keys that only services have.
pub(super) const KEYS: [&str; 2] = ["start", "paths"];

impl Reader {
    /// `http`, with the other keys of a service in the same table.
    pub(super) fn service(&mut self, table: &DeTable<'_>, value: &Item<'_>) -> Option<Reach> {
        let url = self.url("http", value);
        let get = |name: &str| table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
        let start = get("start").map(|value| self.program("start", value)).unwrap_or_default();
        let url = url?;
        if !start.is_empty() && launch::local(&url).is_none() {
            let expected = "an address of this machine, such as \"http://127.0.0.1:8080/steps\", as `start` starts the service here";
            return self.bad("http", value, expected);
        }
        if url.port() == Some(0) && start.is_empty() {
            let expected = "an address with a port; port 0 is for services that `start` starts";
            return self.bad("http", value, expected);
        }
        let urls = get("paths").map(|value| self.paths(&url, value)).unwrap_or_default();
        Some(Reach::Http { url, urls, headers: Vec::new(), start })
    }

    /// The addresses of single steps: paths at the same service.
    fn paths(&mut self, url: &Url, value: &Item<'_>) -> BTreeMap<String, Url> {
        let expected = "a table of paths, such as { CreateOrder = \"/orders\" }";
        let Some(paths) = value.get_ref().as_table() else {
            self.bad::<()>("paths", value, expected);
            return BTreeMap::new();
        };
        let path = |(phase, value): (&super::read::Key<'_>, &Item<'_>)| {
            let phase = phase.get_ref().to_string();
            let path =
                value.get_ref().as_str().filter(|path| path.starts_with('/') && !path.starts_with("//"));
            match path.and_then(|path| url.join(path).ok()).filter(|to| to.origin() == url.origin()) {
                Some(to) => Some((phase, to)),
                None => self.bad(&phase, value, "a path at the service that begins with `/`"),
            }
        };
        paths.iter().filter_map(path).collect()
    }
}
