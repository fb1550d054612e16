//! Recorded exchanges with services: the same ends of attempts from the record, without the service.

use super::super::exchanges::{Exchanges, Recorder, Recording};
use super::super::http::Service;
use super::super::redact::{ItemRedactor, Redactor};
use super::super::{Adapter, Stop, Urgency};
use super::http::{at, listen, respond};
use super::{PATIENCE, call, describe};
use crate::event::ItemId;
use axum::extract::Request;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// How an attempt ends, in one line.
async fn ended(service: Service, folder: &Path, name: &str, run: &str) -> String {
    let mut call = call(folder, "a::String", json!({"name": name, "pin": "4711-0815"}));
    call.redactor = ItemRedactor::new(Redactor::new([("KEY", "k-123"), ("PIN", "4711-0815")]), ItemId(0));
    // Of another run, at another time.
    (call.context.run, call.context.idempotency_key) = (run.into(), format!("key of {run}"));
    (call.context.traceparent, call.context.deadline) = (format!("00-{run}"), Some(run.to_owned()));
    call.attempt_id = run.to_owned();
    let outputs = call.outputs.clone();
    let (stopper, stop) = Stop::new();
    if name == "hangs" {
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            stopper.ask(Urgency::Terminate);
        });
    }
    let answer = tokio::time::timeout(PATIENCE, service.call(call, stop)).await.expect("an end");
    describe(&outputs, &answer)
}

async fn answer(request: Request) -> axum::response::Response {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (method.as_str(), body["name"].as_str().unwrap_or(&path)) {
        ("POST", "json") => respond(200, &[("content-type", "application/json")], r#"{"a":"k-123","fee":2}"#),
        ("POST", "text") => respond(200, &[("content-type", "text/plain")], "{\"a\":5}"),
        ("POST", "busy") => respond(503, &[("retry-after", "7")], "busy with 4711-0815"),
        ("POST", "moved") => respond(302, &[("location", "/elsewhere")], ""),
        ("POST", "polled") => respond(202, &[("location", "/jobs/1"), ("retry-after", "0")], ""),
        ("POST", "refused") => respond(202, &[("location", "/jobs/3")], ""),
        (_, "/jobs/1") => respond(303, &[("location", "/jobs/2")], ""),
        (_, "/jobs/2") => respond(200, &[("content-type", "application/json")], r#""done""#),
        (_, "/jobs/3") => respond(404, &[], "gone"),
        _ => std::future::pending().await,
    }
}

const NAMES: [&str; 7] = ["json", "text", "busy", "moved", "polled", "refused", "hangs"];

#[tokio::test]
async fn a_service_answers_from_its_record_as_it_did() {
    let address = listen(answer);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exchanges.jsonl");
    let recorder = Arc::new(Exchanges::Record(Recorder::open(&file, false).unwrap()));
    let mut first = Vec::new();
    for name in NAMES {
        let live = ended(at(address, "/steps?key=k-123"), folder.path(), name, "run-0").await;
        let service = at(address, "/steps?key=k-123").with_exchanges(recorder.clone());
        let recorded = ended(service, folder.path(), name, "run-1").await;
        assert_eq!(recorded, live, "{name}");
        first.push(recorded);
    }
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), NAMES.len(), "polls are one exchange: {lines}");
    assert!(!lines.contains("k-123") && !lines.contains("4711") && !lines.contains("run-1"), "{lines}");

    // On another machine, without a key: nothing listens there.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let replay = Arc::new(Exchanges::Replay(Recording::open(&file).unwrap()));
    for (name, first) in NAMES.into_iter().zip(first) {
        let service = at(nowhere, "/steps?key=other").with_exchanges(replay.clone());
        let again = ended(service, folder.path(), name, "run-2").await;
        let expected = match name {
            "hangs" => {
                "Protocol: the recorded request was stopped before its answer; Unknown, again".to_owned()
            }
            _ => first.replace("k-123", "[secret:KEY]").replace("4711-0815", "[secret:PIN]"),
        };
        assert_eq!(again, expected, "{name}");
    }
    for (path, name) in [("/steps", "new"), ("/other", "json")] {
        let service = at(nowhere, path).with_exchanges(replay.clone());
        let missing = ended(service, folder.path(), name, "run-2").await;
        let message = "exchanges.jsonl has no answer for `ProcessPayment` of the item `order-7`, attempt 3: ";
        assert!(missing.starts_with("Start: ") && missing.contains(message), "{missing}");
        assert!(missing.ends_with("; NotExecuted, final"), "{missing}");
    }
}
