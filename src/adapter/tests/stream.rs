//! Models that stream: the same answers, costs and failures as without, and an end of the connection with the attempt.

use super::super::exchanges::{Exchanges, Recorder, Recording};
use super::super::model::{Model, Protocol};
use super::super::redact::{ItemRedactor, Redactor};
use super::super::{Adapter, Call, Stop, Urgency};
use super::http::{listen, respond};
use super::model::{ALL, Provider, at, says};
use super::{PATIENCE, call, describe, until};
use crate::event::ItemId;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The events by which a provider streams this response, with three characters of its text in each.
pub(in crate::adapter) fn events(protocol: Protocol, whole: &Value) -> Vec<(&'static str, Value)> {
    let parts = |text: &Value| -> Vec<String> {
        let letters: Vec<char> = text.as_str().unwrap_or_default().chars().collect();
        letters.chunks(3).map(|part| part.iter().collect()).collect()
    };
    let model = &whole["model"];
    let mut events = Vec::new();
    match protocol {
        Protocol::Chat => {
            let choice = &whole["choices"][0];
            let mut chunk = |delta: Value, end: &Value| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": end});
                events.push(("", json!({"model": model, "choices": [choice], "usage": null})));
            };
            chunk(json!({"role": "assistant", "content": ""}), &Value::Null);
            for part in parts(&choice["message"]["content"]) {
                chunk(json!({"content": part}), &Value::Null);
            }
            for part in parts(&choice["message"]["refusal"]) {
                chunk(json!({"refusal": part}), &Value::Null);
            }
            chunk(json!({}), &choice["finish_reason"]);
            if let Some(usage) = whole.get("usage") {
                events.push(("", json!({"model": model, "choices": [], "usage": usage})));
            }
        }
        Protocol::Messages => {
            let mut start = whole.clone();
            (start["content"], start["stop_reason"]) = (json!([]), Value::Null);
            if start["usage"].is_object() {
                start["usage"]["output_tokens"] = 1.into();
            }
            events.push(("message_start", json!({"type": "message_start", "message": start})));
            events.push(("ping", json!({"type": "ping"})));
            for (index, block) in whole["content"].as_array().unwrap().iter().enumerate() {
                let kind = block["type"].as_str().unwrap();
                let mut empty = block.clone();
                empty[kind] = "".into();
                let mut event = |name: &'static str, more: (&str, Value)| {
                    let mut event = json!({"type": name, "index": index});
                    event[more.0] = more.1;
                    events.push((name, event));
                };
                event("content_block_start", ("content_block", empty));
                for part in parts(&block[kind]) {
                    let mut delta = json!({"type": format!("{kind}_delta")});
                    delta[kind] = part.into();
                    event("content_block_delta", ("delta", delta));
                }
                event("content_block_stop", ("stopped", true.into()));
            }
            let mut end = json!({"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}});
            if let Some(tokens) = whole["usage"].get("output_tokens") {
                end["usage"] = json!({"output_tokens": tokens});
            }
            events.push(("message_delta", end));
            events.push(("message_stop", json!({"type": "message_stop"})));
        }
        Protocol::Responses => {
            let name = "response.created";
            events.push((name, json!({"type": name, "response": {"status": "in_progress", "output": []}})));
            let messages = whole["output"].as_array().unwrap().iter();
            for content in messages.filter_map(|message| message["content"].as_array()).flatten() {
                let name = "response.output_text.delta";
                for part in parts(&content["text"]) {
                    events.push((name, json!({"type": name, "delta": part})));
                }
            }
            let name = match whole["status"].as_str().unwrap() {
                "incomplete" => "response.incomplete",
                "failed" => "response.failed",
                _ => "response.completed",
            };
            events.push((name, json!({"type": name, "response": whole})));
        }
    }
    events
}

/// The events as text, and the mark after those of Chat.
pub(in crate::adapter) fn text(protocol: Protocol, events: &[(&str, Value)]) -> String {
    let mut text = String::new();
    for (name, data) in events {
        if !name.is_empty() {
            text.push_str(&format!("event: {name}\n"));
        }
        text.push_str(&format!("data: {data}\n\n"));
    }
    if protocol == Protocol::Chat { text + "data: [DONE]\n\n" } else { text }
}

const STREAM: (&str, &str) = ("content-type", "text/event-stream; charset=utf-8");

/// A provider that gives these streams in order, and the last one again and again.
pub(super) fn streaming(streams: Vec<String>) -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let known = seen.clone();
    let address = listen(move |request: Request| {
        let (known, streams) = (known.clone(), streams.clone());
        async move {
            let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let mut seen = known.lock().unwrap();
            seen.push(serde_json::from_slice(&body).unwrap());
            respond(200, &[STREAM], &streams[(seen.len() - 1).min(streams.len() - 1)])
        }
    });
    (address, seen)
}

/// How an attempt ends, in one line; the port is written as `PORT`.
async fn ended(address: SocketAddr, protocol: Protocol, outputs: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let call = call(folder.path(), outputs, json!({}));
    let (declared, model) = (call.outputs.clone(), at(address, protocol));
    let (_stopper, stop) = Stop::new();
    let answer = tokio::time::timeout(PATIENCE, model.call(call, stop)).await.expect("no end of the attempt");
    describe(&declared, &answer).replace(&address.port().to_string(), "PORT")
}

/// Answers that fit, do not fit, were cut off or refused, with and without usage.
#[tokio::test]
async fn a_streamed_answer_is_the_same_as_one_that_is_not() {
    let mut cases = Vec::new();
    for protocol in ALL {
        for text in [r#"{"a":true}"#, "", "```json\n{\"a\": false}\n```", r#"{"a":"yes"}"#, "Grüße, 世界 🦀"]
        {
            let mut whole = says(protocol, text);
            cases.push((protocol, whole.clone()));
            whole.as_object_mut().unwrap().remove("usage");
            cases.push((protocol, whole));
        }
        let mut cut = says(protocol, r#"{"a":tr"#);
        match protocol {
            Protocol::Chat => cut["choices"][0]["finish_reason"] = "length".into(),
            Protocol::Messages => cut["stop_reason"] = "max_tokens".into(),
            Protocol::Responses => {
                cut["status"] = "incomplete".into();
                cut["incomplete_details"] = json!({"reason": "max_output_tokens"});
            }
        }
        cases.push((protocol, cut));
    }
    let mut refused = says(Protocol::Chat, "");
    refused["choices"][0]["message"]["refusal"] = "I will not".into();
    cases.push((Protocol::Chat, refused));
    let mut refused = says(Protocol::Messages, "I");
    refused["stop_reason"] = "refusal".into();
    cases.push((Protocol::Messages, refused));
    let mut failed = says(Protocol::Responses, "");
    (failed["status"], failed["error"]) = ("failed".into(), json!({"message": "lost it"}));
    cases.push((Protocol::Responses, failed));
    assert_eq!(cases.len(), 36);
    for (protocol, whole) in cases {
        for outputs in ["a::Boolean", "a::String"] {
            let plain = Provider::new(vec![(200, whole.clone())]);
            let (address, seen) = streaming(vec![text(protocol, &events(protocol, &whole))]);
            let expected = ended(plain.address(), protocol, outputs).await;
            assert_eq!(ended(address, protocol, outputs).await, expected, "{protocol:?} {whole}");
            // A provider that does not stream gets the same requests.
            let asked: Vec<Value> = plain.seen().into_iter().map(|(_, body)| body).collect();
            assert_eq!(*seen.lock().unwrap(), asked);
            let usage = asked[0].get("stream_options").map(|options| &options["include_usage"]);
            let expected = (protocol == Protocol::Chat).then_some(&Value::Bool(true));
            assert_eq!((&asked[0]["stream"], usage), (&Value::Bool(true), expected));
        }
    }
}

/// Secrets are replaced although they come in parts, and either recording answers both.
#[tokio::test]
async fn an_exchange_is_recorded_as_if_it_were_not_streamed() {
    for protocol in ALL {
        let whole = says(protocol, "The code is 4711-0815.");
        let plain = Provider::new(vec![(200, whole.clone())]);
        let (address, _) = streaming(vec![text(protocol, &events(protocol, &whole))]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exchanges.jsonl");
        let answer = async |address, exchanges| {
            let call = Call {
                redactor: ItemRedactor::new(Redactor::new([("pin", "4711-0815")]), ItemId(3)),
                ..call(folder.path(), "a::String", json!({}))
            };
            let (declared, model) =
                (call.outputs.clone(), Model { exchanges: Arc::new(exchanges), ..at(address, protocol) });
            describe(&declared, &model.call(call, Stop::new().1).await)
        };
        let mut lines = Vec::new();
        for address in [plain.address(), address] {
            let told = answer(address, Exchanges::Record(Recorder::open(&file, false).unwrap())).await;
            let expected = r#"a="The code is 4711-0815."; tokens 30; model="small-2026"; cost_usd=0.000009"#;
            assert_eq!(told, expected, "{protocol:?}");
            let recorded = std::fs::read_to_string(&file).unwrap();
            let mut line: Value = serde_json::from_str(&recorded).unwrap();
            let body = line["response"]["body"].take();
            assert!(body.as_str().unwrap().contains("The code is [secret:pin]."), "{body}");
            lines.push(line);
            let told = answer(address, Exchanges::Replay(Recording::open(&file).unwrap())).await;
            assert_eq!(told, expected.replace("4711-0815", "[secret:pin]"), "{protocol:?}");
        }
        assert_eq!(lines[0], lines[1], "{protocol:?}");
    }
}

/// As the same errors are as responses.
#[tokio::test]
async fn an_error_in_a_stream_means_what_its_status_does() {
    let provider = "the model's provider answered";
    let busy = format!("Refused(overloaded_error): {provider} 529: Overloaded; NotExecuted, again");
    let limit =
        format!("Refused(rate_limit_exceeded): {provider} 429 Too Many Requests: slow; NotExecuted, again");
    let boom = format!("Refused(server_error): {provider} 500 Internal Server Error: boom; Failed, again");
    let quota = format!(
        "Refused(agent_unavailable): {provider} 429 Too Many Requests: used up; NotExecuted, final; unavailable"
    );
    let bad = format!("Refused(invalid_request_error): {provider} 400 Bad Request: bad; Failed, final");
    let gateway = format!("Refused(502): {provider} 502 Bad Gateway: upstream; Failed, again");
    let nested = |error: Value| json!({"type": "error", "error": error});
    let cases = [
        (Protocol::Messages, nested(json!({"type": "overloaded_error", "message": "Overloaded"})), &busy),
        (Protocol::Messages, nested(json!({"type": "invalid_request_error", "message": "bad"})), &bad),
        (
            Protocol::Responses,
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}),
            &limit,
        ),
        (Protocol::Responses, json!({"type": "error", "code": "server_error", "message": "boom"}), &boom),
        (Protocol::Responses, nested(json!({"code": "insufficient_quota", "message": "used up"})), &quota),
        (Protocol::Chat, json!({"error": {"type": "server_error", "message": "boom"}}), &boom),
        (Protocol::Chat, json!({"error": {"type": "server_error", "code": null, "message": "boom"}}), &boom),
        (
            Protocol::Chat,
            json!({"choices": [{"delta": {}, "finish_reason": "error"}], "error": {"code": 502, "message": "upstream"}}),
            &gateway,
        ),
    ];
    for (protocol, error, expected) in cases {
        let whole = says(protocol, "a long answer");
        for before in 0..3 {
            let mut events = events(protocol, &whole);
            events.truncate(before);
            events.push(("error", error.clone()));
            let (address, _) = streaming(vec![text(protocol, &events)]);
            assert_eq!(&ended(address, protocol, "a::String").await, expected, "{protocol:?} {error}");
        }
    }
}

/// After any event but the last: an answer that looks whole is not.
#[tokio::test]
async fn a_stream_without_its_end_is_a_failure() {
    for protocol in ALL {
        let whole = says(protocol, r#"{"a":true}"#);
        let all = events(protocol, &whole);
        for count in 0..all.len() {
            let events = text(Protocol::Messages, &all[..count]);
            let (address, seen) = streaming(vec![events]);
            let expected =
                "Protocol: the stream of the provider's answer ended before the answer; Failed, again";
            assert_eq!(ended(address, protocol, "a::Boolean").await, expected, "{protocol:?} {count}");
            assert_eq!(seen.lock().unwrap().len(), 1);
        }
    }
    // The mark of the end alone does not say that the answer is whole, and the usage says as much as the mark.
    let mut all = events(Protocol::Chat, &says(Protocol::Chat, r#"{"a":true}"#));
    let (unmarked, _) = streaming(vec![text(Protocol::Messages, &all)]);
    let told = ended(unmarked, Protocol::Chat, "a::Boolean").await;
    assert_eq!(told, r#"a=true; tokens 30; model="small-2026"; cost_usd=0.000009"#);
    all.retain(|(_, event)| event["choices"][0]["finish_reason"].is_null());
    let (marked, _) = streaming(vec![text(Protocol::Chat, &all)]);
    let told = ended(marked, Protocol::Chat, "a::Boolean").await;
    assert!(told.ends_with("ended before the answer; Failed, again"), "{told}");
}

#[tokio::test]
async fn a_stream_whose_connection_drops_is_a_failure() {
    for protocol in ALL {
        let whole = says(protocol, r#"{"a":true}"#);
        let all = text(protocol, &events(protocol, &whole));
        let end = all.trim_end().len();
        for sent in [0, 1, end / 2, end] {
            let part = all[..sent].to_owned();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 8192]).await.unwrap() > 0);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(format!("{head}{:x}\r\n{part}\r\n", sent.max(1)).as_bytes()).await.unwrap();
            });
            let told = ended(address, protocol, "a::Boolean").await;
            let lost = "Protocol: no answer from http://127.0.0.1:PORT/v1/";
            assert!(
                told.starts_with(lost) && told.ends_with("; Failed, again"),
                "{protocol:?} {sent}: {told}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_stream_of_an_answer_is_a_failure() {
    let not_json =
        "Protocol: the provider's answer is not JSON: expected value (line 1, column 1); Failed, again";
    for protocol in ALL {
        for (stream, expected) in [
            ("data: oops\n\n", not_json.replace("expected value", "expected a value")),
            (
                "oops\n\n",
                "Protocol: the stream of the provider's answer ended before the answer; Failed, again".into(),
            ),
        ] {
            let (address, _) = streaming(vec![stream.to_owned()]);
            assert_eq!(ended(address, protocol, "a::String").await, expected, "{protocol:?}");
        }
    }
}

/// One event, or text in many of them.
#[tokio::test]
async fn a_stream_is_bounded() {
    for protocol in ALL {
        let words = "x".repeat(1 << 20);
        let events = events(protocol, &says(protocol, "x"));
        let (_, event) = events.iter().find(|(_, event)| event.to_string().contains("\"x\"")).unwrap();
        let event = format!("data: {}\n\n", event.to_string().replace("\"x\"", &format!("\"{words}\"")));
        for part in [event, words.clone()] {
            let sent = Arc::new(AtomicUsize::new(0));
            let counted = sent.clone();
            let address = listen(move || {
                let (sent, part) = (counted.clone(), Bytes::from(part.clone()));
                async move {
                    let endless = futures_util::stream::repeat_with(move || {
                        sent.fetch_add(part.len(), Ordering::SeqCst);
                        Ok::<_, Infallible>(part.clone())
                    });
                    let response = Response::builder().header(STREAM.0, STREAM.1);
                    response.body(Body::from_stream(endless)).unwrap()
                }
            });
            let told = ended(address, protocol, "a::String").await;
            assert_eq!(told, "BadOutput: the answer is larger than 16 MiB; Failed, final", "{protocol:?}");
            assert!(sent.load(Ordering::SeqCst) < 64 << 20);
        }
    }
}

/// A provider that may not stream, for this model or account.
#[tokio::test]
async fn a_request_is_made_without_a_stream_where_streams_are_refused() {
    for protocol in ALL {
        let message = "Your organization must be verified to stream this model";
        let error = json!({"error": {"message": message, "param": "stream", "code": "unsupported_value"}});
        let provider = Provider::new(vec![(400, error), (200, says(protocol, r#"{"a":true}"#))]);
        let told = ended(provider.address(), protocol, "a::Boolean").await;
        assert_eq!(told, r#"a=true; tokens 30; model="small-2026"; cost_usd=0.000009"#);
        let mut seen: Vec<Value> = provider.seen().into_iter().map(|(_, body)| body).collect();
        let members = seen[0].as_object_mut().unwrap();
        assert_eq!(members.remove("stream"), Some(Value::Bool(true)));
        members.remove("stream_options");
        assert_eq!(seen[0], seen[1]);
    }
}

/// The provider sees the closed connection in the middle of its answer.
#[tokio::test]
async fn a_cancelled_attempt_closes_its_stream() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for protocol in ALL {
        let (began, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (begin, over) = (began.clone(), dropped.clone());
        let first = text(Protocol::Messages, &events(protocol, &says(protocol, "long"))[..2]);
        let address = listen(move || {
            let (begin, guard, first) = (begin.clone(), Dropped(over.clone()), Bytes::from(first.clone()));
            async move {
                let words = futures_util::stream::unfold((guard, 0), move |(guard, sent)| {
                    let (begin, first) = (begin.clone(), first.clone());
                    async move {
                        if sent > 0 {
                            begin.fetch_add(1, Ordering::SeqCst);
                            std::future::pending::<()>().await;
                        }
                        Some((Ok::<_, Infallible>(first), (guard, sent + 1)))
                    }
                });
                Response::builder().header(STREAM.0, STREAM.1).body(Body::from_stream(words)).unwrap()
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let call = call(folder.path(), "a::String", json!({}));
        let (stopper, stop) = Stop::new();
        let model = at(address, protocol);
        let attempt = tokio::spawn(async move { model.call(call, stop).await });
        until("the model answers", || began.load(Ordering::SeqCst) == 1).await;
        stopper.ask(Urgency::Terminate);
        let failure = attempt.await.unwrap().unwrap_err();
        assert_eq!(failure.message, "the request was cancelled before an answer");
        until("the provider sees it", || dropped.load(Ordering::SeqCst) == 1).await;
    }
}
