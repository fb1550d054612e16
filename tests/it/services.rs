//! Agents that are HTTP services, as a user binds them: with keys, limits and a run that is killed.

use crate::place::Place;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// A request as the service saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    step: String,
    item: String,
    attempt: String,
    key: String,
    pub token: String,
    /// The method and the path.
    pub asked: String,
    pub body: Value,
}

/// A service on a free port that remembers every request and answers by a function of it; it ends with the test.
pub struct Service {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: tokio::runtime::Runtime,
}

/// What the service answers; none for no answer at all.
pub type Answers = fn(&Seen) -> Option<(u16, Value)>;

impl Service {
    pub fn new(answers: Answers) -> Service {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let known = seen.clone();
        let respond = move |request: Request| {
            let known = known.clone();
            async move {
                let (head, body) = request.into_parts();
                let header =
                    |name| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let seen = Seen {
                    step: header("ce-step"),
                    item: header("ce-subject"),
                    attempt: header("ce-attempt"),
                    key: header("idempotency-key"),
                    token: header("authorization"),
                    asked: format!("{} {}", head.method, head.uri.path()),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                };
                known.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
                let Some((status, answer)) = answers(&seen) else { return std::future::pending().await };
                let response = Response::builder().status(status).header("content-type", "application/json");
                response.body(Body::from(answer.to_string())).unwrap()
            }
        };
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().fallback(respond)).await
        });
        Service { address, seen, _runtime: runtime }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Settings that bind the agent `pay` to it.
    fn settings(&self) -> String {
        format!("[agents.pay]\nhttp = \"http://{}/steps?team=1\"\nkey = \"secret:PAY_KEY\"\n", self.address)
    }
}

const DOCUMENT: &str =
    "# T\n\n## Pay @pay [retry:: 2 fixed 10ms]\norder::JSON → receipt::String, fee::Number\n";

fn place(service: &Service) -> Place {
    let place = Place::new(DOCUMENT);
    place.write("orderflow.toml", &service.settings());
    place.write(
        "items.jsonl",
        "{\"id\":\"ü 1\",\"order\":{\"sum\":5}}\n{\"id\":\"2\",\"order\":{\"sum\":7}}\n",
    );
    place
}

#[test]
fn a_service_is_called_with_its_key_which_is_shown_nowhere() {
    let service = Service::new(|seen| {
        if seen.body["order"]["sum"] == 7 {
            return Some((422, json!({"detail": format!("no account for {}", seen.token)})));
        }
        Some((200, json!({"receipt": "r-5", "fee": 1.50, "tokens_used": 3, "bank": "A"})))
    });
    let place = place(&service);
    let run = |args: &str| {
        let mut command = place.command(args);
        crate::program::told(command.env("PAY_KEY", "s3cret-key-of-pay").output().unwrap())
    };
    let told = run("run flow.md --items items.jsonl");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let expected = "2: Pay failed: the service answered 422 Unprocessable Entity: no account for Bearer [secret:PAY_KEY]";
    assert!(told.err.contains(expected), "{}", told.err);
    assert_eq!(
        place.rows("session.toon"),
        [
            "Pay ü 1 #1 success",
            "Pay 2 #1 failed (the service answered 422 Unprocessable Entity: no account for Bearer [secret:PAY_KEY])"
        ]
    );
    let mut seen = service.seen();
    seen.sort_by_key(|seen| seen.body.to_string());
    assert_eq!(seen.len(), 2);
    assert_eq!((&*seen[0].step, &*seen[0].item, &*seen[0].attempt), ("Pay", "%C3%BC%201", "1"));
    assert_eq!(seen[0].body, json!({"order": {"sum": 5}}));
    assert!(seen.iter().all(|seen| seen.token == "Bearer s3cret-key-of-pay" && !seen.key.is_empty()));
    assert_ne!(seen[0].key, seen[1].key);

    let url = format!("http://{}/steps?team=1", service.address);
    let agents = run("agents --format json flow.md");
    let agents: Value = serde_json::from_str(&agents.out).unwrap();
    assert_eq!(agents[0]["by"], json!({"kind": "http", "url": url}));
    assert_eq!(agents[0]["secrets"], json!(["PAY_KEY"]));
    assert!(run("plan flow.md").out.contains(&url));
}

#[test]
fn without_its_key_nothing_is_run() {
    let service = Service::new(|_| Some((200, json!({}))));
    let told = place(&service).orderflow("run flow.md --items items.jsonl");
    assert_eq!(told.exit, Some(3));
    assert!(told.err.contains("pay: PAY_KEY is not set in the environment"), "{}", told.err);
    assert_eq!(service.seen(), []);
}

/// The first answer of every call is lost: the second attempt has the same key, and the next run of the killed one, too.
#[test]
fn a_killed_run_asks_again_with_the_same_key() {
    let service = Service::new(|seen| match (&*seen.attempt, &*seen.item) {
        ("1", "2") => Some((503, json!({}))),
        ("2", "2") => Some((200, json!({"receipt": "r", "fee": 1}))),
        _ => None,
    });
    let place = place(&service);
    let begin = |args: &str| {
        let mut command = place.command(args);
        command.env("PAY_KEY", "k").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    for (command, requests) in [("run flow.md --items items.jsonl --quiet", 3), ("resume last --quiet", 4)] {
        let mut runner = begin(command);
        place.until("the service is asked", || service.seen().len() == requests);
        // What has succeeded is in the journal before the run is killed.
        place.until("the other item has succeeded", || {
            place.orderflow("show last --item 2").out.starts_with("2: succeeded")
        });
        runner.kill().unwrap();
        runner.wait().unwrap();
    }
    let keys = |item: &str| -> Vec<(String, String)> {
        let seen = service.seen().into_iter().filter(|seen| seen.item == item);
        seen.map(|seen| (seen.attempt, seen.key)).collect()
    };
    let (first, second) = (keys("%C3%BC%201"), keys("2"));
    assert_eq!(first.len(), 2);
    assert_eq!(first[0], first[1], "the attempt that was in flight is repeated under its number and key");
    assert_eq!(second.iter().map(|(attempt, _)| &**attempt).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(second[0].1, second[1].1);
}
