//! Asks a provider for its models: whether the key is accepted, and whether the model is among them. Costs nothing.

use super::super::http::{self, Client, HeaderName, HeaderValue, Url};
use super::super::probe::{Missing, Presence, closed, text};
use super::Protocol;
use crate::value::{Value, json, nearest, words};
use reqwest::StatusCode;

/// The names of the models of a provider, and whether they are of a server that ignores the name in a request.
struct Models {
    names: Vec<String>,
    any: bool,
}

/// Whether a provider is there, accepts the key, and has the model.
pub async fn present(
    client: &Client,
    protocol: Protocol,
    url: &Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    name: &str,
) -> Presence {
    let ask = async |end: &str| {
        let mut url = url.clone();
        url.set_path(&format!("{}/{end}", url.path().trim_end_matches('/')));
        let mut request = client.get(url.clone());
        for (name, value) in protocol.headers().iter().copied() {
            request = request.header(name, value);
        }
        let request = request.headers(headers.iter().cloned().collect());
        let response = client.send(request).await.map_err(|error| http::lost(&url, &error).message)?;
        let status = response.status();
        let body = http::body(response).await.map_err(|failure| failure.message)?;
        Ok::<(StatusCode, Vec<u8>), String>((status, body))
    };
    let (status, body) = match ask("models").await {
        Ok(answer) => answer,
        Err(why) => {
            return Presence::missing(why, "start the provider, or correct its `url` in orderflow.toml");
        }
    };
    let host = url.host_str().unwrap_or_default();
    if let Some(missing) = closed(status.as_u16()) {
        return Presence { missing: vec![missing], ..Presence::there(host) };
    }
    let models = if status.is_success() { text(body).and_then(|text| read(&text)) } else { None };
    let Some(models) = models else {
        return match status.as_u16() {
            // It does not list them, so the model cannot be looked up.
            404 | 405 | 501 => Presence::there(format!("{host}, which does not list its models")),
            _ => Presence::missing(
                format!("it answers {status} to a request for its models"),
                "correct its `url` in orderflow.toml",
            ),
        };
    };
    let mut presence = Presence::there(host);
    // An alias is not in the list.
    let there = models.any
        || models.names.iter().any(|known| known == name)
        || matches!(ask(&format!("models/{name}")).await, Ok((status, _)) if status.is_success());
    if there {
        presence.has.push(name.to_owned());
        return presence;
    }
    let help = match nearest(name, models.names.iter().map(String::as_str)) {
        Some(near) => words::did_you_mean(near),
        None => format!("it has {}", words::first(&models.names, 10, models.names.len())),
    };
    presence.missing.push(Missing { what: format!("the provider has no model `{name}`"), help });
    presence
}

/// The list in a response, as all three interfaces have it.
fn read(text: &str) -> Option<Models> {
    let list = json::parse(text).ok()?;
    let list = list.get("data")?.as_array()?;
    let text = |model: &Value, name: &str| model.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Models {
        names: list.iter().filter_map(|model| text(model, "id")).collect(),
        any: list.iter().any(|model| text(model, "owned_by").as_deref() == Some("llamacpp")),
    })
}
