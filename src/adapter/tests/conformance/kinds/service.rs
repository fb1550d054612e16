//! An HTTP service on the loopback interface, and one that hangs up.

use super::super::super::http::{at, respond, serve};
use super::super::{Does, Kind, Refusal};
use crate::adapter::Adapter;
use crate::value::Value;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct HttpService;

pub const SERVICE: HttpService = HttpService;

impl Kind for HttpService {
    fn name(&self) -> &'static str {
        "service"
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        match does {
            Does::Babbles(bytes) => Arc::new(at(hangs_up(bytes.clone()), "/steps")),
            Does::Dies => Arc::new(at(hangs_up(Vec::new()), "/steps")),
            Does::Breaks(bytes) => Arc::new(at(hangs_up(half(bytes)), "/steps")),
            other => {
                let (does, ready) = (other.clone(), folder.join("item/ready"));
                serve(move |request: Request| {
                    let (does, ready) = (does.clone(), ready.clone());
                    async move { served(&does, request, ready).await }
                })
            }
        }
    }
}

async fn served(does: &Does, request: Request, ready: PathBuf) -> Response {
    let (head, body) = request.into_parts();
    if let Does::Blurts(bytes) = does {
        return text(bytes.clone());
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let inputs: Value = serde_json::from_slice(&body).unwrap();
    match does {
        Does::Says(bytes) => text(bytes.clone()),
        Does::Dawdles(bytes) => slowly(bytes.clone()),
        Does::Returns => Json(json!({"a": inputs})).into_response(),
        Does::Refuses(why) => match why {
            Refusal::BadInput => respond(422, &[], "no such order"),
            Refusal::Busy => respond(503, &[], "busy"),
            Refusal::Pause => respond(429, &[("retry-after", "2")], "busy"),
            Refusal::Unavailable => respond(402, &[], "no credit"),
            Refusal::Crash => respond(500, &[], "boom"),
        },
        Does::Tells(name) => {
            let name = match *name {
                "ITEM" => "ce-subject".to_owned(),
                "KEY" => "idempotency-key".to_owned(),
                name => format!("ce-{}", name.to_lowercase().replace('_', "")),
            };
            Json(json!({"a": head.headers[name].to_str().unwrap()})).into_response()
        }
        Does::Ignores => works_on(ready).await,
        other => panic!("a service cannot do {other:?}"),
    }
}

fn text(bytes: Vec<u8>) -> Response {
    ([("content-type", "text/plain")], bytes).into_response()
}

/// A body in two parts, with a moment between them.
pub(super) fn slowly(mut bytes: Vec<u8>) -> Response {
    let rest = bytes.split_off(bytes.len() / 2);
    let parts = futures_util::stream::unfold(vec![rest, bytes], |mut parts| async move {
        if parts.len() == 1 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Some((Ok::<_, std::io::Error>(parts.pop()?), parts))
    });
    Body::from_stream(parts).into_response()
}

/// Works without end, as the connection may be closed long before.
pub(super) async fn works_on(ready: PathBuf) -> Response {
    std::fs::write(ready, "").unwrap();
    std::future::pending().await
}

/// Half of a response with this body.
pub(super) fn half(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body[..body.len() / 2]].concat()
}

/// A server that reads one request, writes these bytes and closes the connection, again and again.
pub(super) fn hangs_up(bytes: Vec<u8>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
        }
    });
    address
}

/// Unread bytes would reset the connection before the answer is read.
async fn read_request(stream: &mut TcpStream) {
    let (mut request, mut chunk) = (Vec::new(), [0; 1 << 16]);
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
            return;
        }
    }
}
