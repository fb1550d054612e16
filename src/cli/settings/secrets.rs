//! Secrets by their names, in the keys `key`, `headers` and `secrets`.

use super::read::{Item, Reader, found};
use super::{Header, Origin, Secret, clear};
use crate::adapter::http::{HeaderName, HeaderValue};
use crate::diag::catalogue;

impl Reader {
    /// `secret:NAME`, as a bearer token.
    pub(super) fn key(&mut self, value: &Item<'_>) -> Option<Header> {
        let name = value.get_ref().as_str().and_then(|text| text.strip_prefix(SECRET));
        let header = |name: &str| Header { text: "Bearer ".into(), secret: Some(name.to_owned()) };
        let name = name.filter(|name| is_variable(name));
        let expected = "\"secret:\" and the name of a secret, such as \"secret:API_KEY\"";
        name.map(header).or_else(|| self.in_clear("key", value, expected, "write secret:NAME"))
    }

    pub(super) fn headers(&mut self, value: &Item<'_>) -> Vec<(HeaderName, Header)> {
        let expected = "a table such as { X-Api-Key = \"secret:API_KEY\" }";
        let Some(table) = value.get_ref().as_table() else {
            return self.bad("headers", value, expected).unwrap_or_default();
        };
        let mut headers = Vec::new();
        for (key, value) in table {
            let name = HeaderName::from_bytes(key.get_ref().as_bytes()).ok();
            let header = value.get_ref().as_str().and_then(header);
            match (name, header) {
                (Some(name), Some(header)) => {
                    if clear::in_header(name.as_str(), &header.text).is_some() && header.secret.is_none() {
                        let name = key.get_ref();
                        self.problems.push(catalogue::settings_clear_secret(value.span().into(), name));
                    }
                    headers.push((name, header));
                }
                (None, _) => {
                    self.bad::<()>(key.get_ref(), value, "below the name of a header");
                }
                (_, None) => {
                    let expected = "text, which may end with \"secret:\" and the name of a secret";
                    self.bad::<()>(key.get_ref(), value, expected);
                }
            }
        }
        headers
    }

    /// `["KEY"]`, each in the environment, or `{ KEY = "file:/run/secrets/key" }`.
    pub(super) fn secrets(&mut self, value: &Item<'_>) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = Vec::new();
        if let Some(table) = value.get_ref().as_table() {
            for (key, place) in table {
                let from = place.get_ref().as_str().and_then(origin);
                let expected = "\"file:\" and a path, or \"env:\" and a variable's name";
                let write = "write \"env:NAME\" with its variable";
                let from = from.or_else(|| self.in_clear(key.get_ref(), place, expected, write));
                if !is_variable(key.get_ref()) {
                    self.bad::<()>(key.get_ref(), place, A_VARIABLE);
                }
                secrets.extend(from.map(|from| Secret { name: key.get_ref().to_string(), from }));
            }
            return secrets;
        }
        let Some(list) = value.get_ref().as_array() else {
            let expected = "a list of names, or a table such as { KEY = \"file:/run/secrets/key\" }";
            return self.bad("secrets", value, expected).unwrap_or_default();
        };
        for name in list {
            let text = name.get_ref().as_str();
            match text.filter(|name| is_variable(name) && !clear::is_issued(name)) {
                Some(text) if secrets.iter().any(|known| known.name == text) => {}
                Some(text) => {
                    secrets
                        .push(Secret { name: text.to_owned(), from: Origin::Environment(text.to_owned()) });
                }
                None => drop(self.in_clear::<()>("secrets", name, A_VARIABLE, "write the variable's name")),
            }
        }
        secrets
    }

    /// A value that is perhaps the secret itself, where its name belongs.
    fn in_clear<T>(&mut self, key: &str, value: &Item<'_>, expected: &str, write: &str) -> Option<T> {
        let found = found(value.get_ref());
        let problem = catalogue::settings_bad_value(value.span().into(), key, expected, &found);
        self.problems.push(problem.help(format!("put a secret in the environment, and {write}")));
        None
    }
}

const A_VARIABLE: &str = "the name of a variable, such as PAYMENT_KEY";

pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The prefix of the name of a secret.
const SECRET: &str = "secret:";

/// `Token secret:NAME`, or text alone.
fn header(text: &str) -> Option<Header> {
    let (text, secret) = match text.split_once(SECRET) {
        Some((text, name)) => (text, Some(name.to_owned())),
        None => (text, None),
    };
    let fits = HeaderValue::from_str(text).is_ok() && secret.as_deref().is_none_or(is_variable);
    fits.then(|| Header { text: text.to_owned(), secret })
}

/// Whether a text names the place of a secret.
pub(super) fn is_origin(text: &str) -> bool {
    origin(text).is_some()
}

fn origin(text: &str) -> Option<Origin> {
    match text.split_once(':')? {
        ("env", name) if is_variable(name) => Some(Origin::Environment(name.to_owned())),
        ("file", path) if !path.is_empty() => Some(Origin::File(path.into())),
        _ => None,
    }
}
