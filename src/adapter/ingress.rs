//! Asks the servers of Restate, as a client: the first that answers. Knows nothing of what is asked.

use super::client::Client;
use crate::event::Millis;
use reqwest::StatusCode;
pub use reqwest::Url;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer, in bytes.
const LARGEST: usize = 64 << 20;

/// The entrances of one Restate cluster.
pub struct Ingress {
    client: Client,
    urls: Vec<Url>,
    /// The one that answered last.
    current: AtomicUsize,
}

/// A request.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Get,
    Post { body: &'a [u8], key: Option<&'a str> },
}

/// Why an answer does not come.
#[derive(Debug)]
pub enum NoAnswer {
    /// No server could be reached; the reason of the last one.
    Unreachable(String),
    /// The server does not know the service or its handler.
    Unknown(String),
    /// The server, or a handler, refused.
    Refused(u16, String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoAnswer::Unreachable(why) => write!(f, "no server of Restate can be reached: {why}"),
            NoAnswer::Unknown(why) => write!(f, "the server of Restate does not know it: {why}"),
            NoAnswer::Refused(status, why) => write!(f, "the server of Restate refused ({status}): {why}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl Ingress {
    /// # Errors
    /// An address is not one, or HTTP cannot be set up.
    pub fn new(urls: &[String]) -> anyhow::Result<Ingress> {
        let urls = urls.iter().map(|url| Url::parse(url).map_err(|why| anyhow::anyhow!("{url}: {why}")));
        let urls = urls.collect::<anyhow::Result<Vec<Url>>>()?;
        Ok(Ingress { client: Client::new()?, urls, current: AtomicUsize::new(0) })
    }

    /// Sends `body` to a handler, `path` being its parts, and returns its answer. With a `key`, the request is carried out
    /// once however often it is sent. Every server is tried once.
    ///
    /// # Errors
    /// No answer comes.
    pub async fn post(
        &self,
        path: &[&str],
        body: Vec<u8>,
        key: Option<&str>,
        patience: Option<Millis>,
    ) -> Result<Vec<u8>, NoAnswer> {
        self.answer(path, Asked::Post { body: &body, key }, patience).await
    }

    /// Asks for what is stored at a path. Every server is tried once.
    ///
    /// # Errors
    /// No answer comes.
    pub async fn get(&self, path: &[&str]) -> Result<Vec<u8>, NoAnswer> {
        self.answer(path, Asked::Get, None).await
    }

    async fn answer(
        &self,
        path: &[&str],
        asked: Asked<'_>,
        patience: Option<Millis>,
    ) -> Result<Vec<u8>, NoAnswer> {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = NoAnswer::Unreachable("it has no address".to_owned());
        for place in (0..self.urls.len()).map(|next| (first + next) % self.urls.len()) {
            let Some(url) = self.urls.get(place) else { continue };
            match self.ask(url, path, asked, patience).await {
                Err(error @ NoAnswer::Unreachable(_)) => last = error,
                answer => {
                    self.current.store(place, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(last)
    }

    async fn ask(
        &self,
        url: &Url,
        path: &[&str],
        asked: Asked<'_>,
        patience: Option<Millis>,
    ) -> Result<Vec<u8>, NoAnswer> {
        let mut url = url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        let patience = patience.map_or(PATIENCE, Duration::from_millis);
        let request = match asked {
            Asked::Get => self.client.get(url.clone()),
            Asked::Post { body, key } => {
                let mut request = self.client.post(url.clone());
                if !body.is_empty() {
                    request = request.header("content-type", "application/octet-stream").body(body.to_vec());
                }
                if let Some(key) = key {
                    request = request.header("idempotency-key", key);
                }
                request
            }
        };
        let request = request.timeout(patience);
        let lost = |error: reqwest::Error| {
            let mut why: &dyn std::error::Error = &error;
            while let Some(cause) = why.source() {
                why = cause;
            }
            let host = url.host_str().unwrap_or_default();
            let port = url.port_or_known_default().unwrap_or_default();
            NoAnswer::Unreachable(format!("{host}:{port}: {why}"))
        };
        let answer = async {
            let response = request.send().await.map_err(lost)?;
            let status = response.status();
            let mut response = response;
            let mut bytes = Vec::new();
            while let Some(more) = response.chunk().await.map_err(lost)? {
                if bytes.len() + more.len() > LARGEST {
                    return Err(NoAnswer::Refused(status.as_u16(), "its answer is too large".to_owned()));
                }
                bytes.extend_from_slice(&more);
            }
            Ok((status, bytes))
        };
        let (status, bytes) = self.client.within(answer).await?;
        let text = || String::from_utf8_lossy(&bytes).chars().take(500).collect::<String>();
        match status {
            StatusCode::NOT_FOUND => Err(NoAnswer::Unknown(text())),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Err(NoAnswer::Unreachable(text()))
            }
            status if status.is_success() => Ok(bytes),
            status => Err(NoAnswer::Refused(status.as_u16(), text())),
        }
    }
}
