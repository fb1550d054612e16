//! Streams of events from MCP servers over HTTP: what is not a message, streams that end, and answers that cannot come.

use super::http::respond;
use super::mcp::{ended, json, over_http_again};
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A stream with these events, which stays open.
fn held(events: String) -> Response {
    let begun = stream::iter([Ok::<_, Infallible>(Bytes::from(events))]);
    let body = Body::from_stream(begun.chain(stream::pending()));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

fn closed(events: &str) -> Response {
    respond(200, &[("content-type", "text/event-stream")], events)
}

const RESULT: &str =
    "data: {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"structuredContent\":{\"a\":{\"id\":1}}}}\n\n";

const UNFIT: &str = "BadOutput: the server's answer is not a JSON-RPC 2.0 message; Unknown, final";

#[tokio::test]
async fn events_that_no_answer_can_follow_end_the_call() {
    let large = format!("data: {}\n\n", "x".repeat(16 * 1024 * 1024 + 65537));
    let error = "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32602,\"message\":\"no\"}}\n\n";
    #[rustfmt::skip]
    let cases = [
        ("data: paid\n\n".to_owned(), UNFIT),
        ("data: {\"a\": 1}\n\n".to_owned(), UNFIT),
        ("id: 7\nevent: message\ndata: {\n\n".to_owned(), UNFIT),
        (large, "BadOutput: the answer is larger than 16 MiB; Unknown, final"),
        (error.to_owned(), "Refused: the server answered with the error -32602: no; Failed, final"),
        (RESULT.replace("ID", "4711"), "Protocol: the server closed the connection before an answer; Unknown, again"),
        (format!("id: 7\ndata:\n\nevent: ping\ndata: x\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/own\"}}\n\n{RESULT}"), r#"a={"id":1}"#),
    ];
    for (events, expected) in cases {
        let shown = events.chars().take(80).collect::<String>();
        let answers = move |message: Value| {
            let events = events.replace("ID", &message["id"].to_string());
            async move { held(events) }
        };
        let mcp = over_http_again(answers, |_| respond(405, &[], ""));
        assert_eq!(ended(&mcp).await, expected, "{shown}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_the_answer_end_the_call() {
    let result =
        |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": {"structuredContent": {"a": {"id": 1}}}});
    let other = "BadOutput: the server answered another request; Unknown, final";
    let cases: [(Option<Value>, &str); 5] = [
        (Some(result(4711.into())), other),
        (Some(json!({"jsonrpc": "2.0", "method": "notifications/own"})), other),
        (Some(json!({"jsonrpc": "2.0", "id": 4711, "error": {"code": -32602, "message": "no"}})), other),
        (
            Some(json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32602, "message": "no"}})),
            "Refused: the server answered with the error -32602: no; Failed, final",
        ),
        (None, "BadOutput: the server accepted the request without an answer; Unknown, final"),
    ];
    for (body, expected) in cases {
        let shown = format!("{body:?}");
        let answers = move |_| {
            let response = body.clone().map_or_else(|| respond(202, &[], ""), json);
            async move { response }
        };
        let mcp = over_http_again(answers, |_| respond(405, &[], ""));
        assert_eq!(ended(&mcp).await, expected, "{shown}");
    }
}

/// A call whose stream ends after the event `7:x` of two: what it told, and how often its stream was connected to again.
async fn resumed(again: impl Fn(u64) -> Response + Clone + Send + Sync + 'static) -> (String, usize) {
    let tries = Arc::new(AtomicUsize::new(0));
    let (counted, id) = (tries.clone(), Arc::new(std::sync::Mutex::new(0)));
    let asked = id.clone();
    let answers = move |message: Value| {
        *asked.lock().unwrap() = message["id"].as_u64().unwrap();
        async { closed("id: 7:w\ndata:\n\nid: 7:x\nretry: 1\ndata:\n\n") }
    };
    let mcp = over_http_again(answers, move |last| {
        assert_eq!(last, "7:x");
        counted.fetch_add(1, Ordering::Relaxed);
        again(*id.lock().unwrap())
    });
    (ended(&mcp).await, tries.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_stream_that_ended_is_connected_to_again_a_few_times() {
    let lost = "Protocol: the server closed the connection before an answer; Unknown, again";
    let (answered, empty, refused, gone, unfit) = tokio::join!(
        resumed(|id| closed(&RESULT.replace("ID", &id.to_string()))),
        resumed(|_| closed("")),
        resumed(|_| respond(500, &[], "")),
        resumed(|_| respond(405, &[], "")),
        resumed(|_| held("data: paid\n\n".to_owned())),
    );
    assert_eq!(answered, (r#"a={"id":1}"#.to_owned(), 1));
    assert_eq!(empty, (lost.to_owned(), 4));
    assert_eq!(refused, (lost.to_owned(), 4));
    assert_eq!(gone, (lost.to_owned(), 1));
    assert_eq!(unfit, (UNFIT.to_owned(), 1));
}

/// A server that asked something has begun to work, so what becomes of the next round says nothing about the effect.
#[tokio::test]
async fn a_round_that_is_refused_after_a_question_has_an_unknown_outcome() {
    let question = json!({"method": "elicitation/create", "params": {"message": "Which size?", "requestedSchema": {"type": "object", "properties": {}}}});
    let asks =
        json!({"resultType": "input_required", "inputRequests": {"size": question}, "requestState": "s"});
    let refused = |status: u16| respond(status, &[], "");
    let rejected =
        |id: &Value| json(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "no"}}));
    for (status, expected) in [
        (429, "Refused(429): the server answered 429 Too Many Requests; Unknown, again"),
        (404, "Refused(404): the server answered 404 Not Found; Unknown, final"),
        (0, "Refused: the server answered with the error -32602: no; Unknown, final"),
    ] {
        let asks = asks.clone();
        let answers = move |message: Value| {
            let response = match message["params"].get("inputResponses") {
                None => json(json!({"jsonrpc": "2.0", "id": message["id"], "result": asks})),
                Some(_) if status == 0 => rejected(&message["id"]),
                Some(_) => refused(status),
            };
            async move { response }
        };
        assert_eq!(ended(&over_http_again(answers, |_| respond(405, &[], ""))).await, expected);
    }
}
