//! Asks a provider for its models: whether the key is accepted, and whether the model is among them. Costs nothing.

use super::super::http::{self, Client, HeaderName, HeaderValue, Url};
use super::super::probe::{Missing, Presence, closed, text};
use super::{Protocol, refusal_message};
use crate::value::{Value, json, nearest, words};
use reqwest::{Method, StatusCode};

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
    key: &str,
) -> Presence {
    let send = async |method: Method, url: Url| {
        let is_empty = method == Method::POST;
        let mut request = client.request(method, url.clone());
        if is_empty {
            request = request.header("content-type", "application/json").body("{}");
        }
        for (name, value) in protocol.headers().iter().copied() {
            request = request.header(name, value);
        }
        let request = request.headers(headers.iter().cloned().collect());
        let response = client.send(request).await.map_err(|error| http::lost(&url, &error).message)?;
        let status = response.status();
        let body = http::body(response).await.map_err(|failure| failure.message)?;
        Ok::<(StatusCode, Vec<u8>), String>((status, body))
    };
    let ask = async |end: &str| {
        let mut url = url.clone();
        url.set_path(&format!("{}/{end}", url.path().trim_end_matches('/')));
        send(Method::GET, url).await
    };
    let (status, body) = match ask("models").await {
        Ok(answer) => answer,
        Err(why) => {
            return Presence::missing(why, "start the provider, or correct its `url` in orderflow.toml");
        }
    };
    let host = url.host_str().unwrap_or_default();
    let said = |body: &[u8]| refusal_message(&String::from_utf8_lossy(body));
    if let Some(missing) = closed(status.as_u16(), said(&body), key) {
        return Presence { missing: vec![missing], ..Presence::there(host) };
    }
    let models = if status.is_success() { text(body).and_then(|text| read(&text)) } else { None };
    let Some(models) = models else {
        return match status.as_u16() {
            // It does not list them, or has another address; a request without a model costs nothing.
            404 | 405 | 501 => {
                let address = protocol.address(url);
                match send(Method::POST, address.clone()).await {
                    Ok((StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _)) => Presence::missing(
                        format!("it has nothing at {}", http::shown(&address)),
                        "correct its `url` in orderflow.toml, which usually ends with /v1",
                    ),
                    Ok((status, body)) => Presence {
                        missing: closed(status.as_u16(), said(&body), key).into_iter().collect(),
                        ..Presence::there(format!("{host}, which does not list its models"))
                    },
                    Err(why) => Presence::missing(why, "correct its `url` in orderflow.toml"),
                }
            }
            _ => Presence::missing(
                format!("it answers {status} to a request for its models"),
                "correct its `url` in orderflow.toml",
            ),
        };
    };
    let mut presence = Presence::there(host);
    if models.any && !models.names.iter().any(|known| known == name) {
        presence.answers = format!("{host}, under any name");
        presence.has = models.names;
        return presence;
    }
    // An alias is not in the list.
    let there = models.names.iter().any(|known| known == name)
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
