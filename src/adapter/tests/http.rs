//! What a service's statuses, redirects and connections mean, with a real server on the loopback interface.

use super::super::http::{Client, HeaderName, HeaderValue, Service};
use super::super::{Adapter, Stop, Urgency};
use super::{PATIENCE, call, describe, until};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A service on a free port, and the adapter for it.
pub(super) fn serve<T: 'static>(answers: impl Handler<T, ()>) -> Arc<dyn Adapter> {
    Arc::new(at(listen(answers), "/steps?team=1"))
}

/// Serves until the test's runtime ends.
pub(super) fn listen<T: 'static>(answers: impl Handler<T, ()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let router = Router::new().fallback(answers);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(super) fn at(address: SocketAddr, path: &str) -> Service {
    let url = format!("http://{address}{path}").parse().unwrap();
    let key = (HeaderName::from_static("x-api-key"), HeaderValue::from_static("k-123"));
    Service::new(Client::new().unwrap(), url, vec![key])
}

/// How an attempt for `a::Order` ends, in one line; the port is written as `PORT`.
async fn ended(service: &dyn Adapter, address: SocketAddr) -> String {
    let folder = tempfile::tempdir().unwrap();
    let call = call(folder.path(), "a::Order", json!({"order": 1}));
    let outputs = call.outputs.clone();
    let (_stopper, stop) = Stop::new();
    let answer =
        tokio::time::timeout(PATIENCE, service.call(call, stop)).await.expect("no end of the attempt");
    describe(&outputs, &answer).replace(&address.port().to_string(), "PORT")
}

pub(super) fn respond(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn statuses_say_whether_there_was_an_effect() {
    let (json, problem) = ("application/json", "application/problem+json");
    #[rustfmt::skip]
    let cases: [(u16, &str, &str, &str); 20] = [
        (200, json, r#"{"a":{"id":1},"tokens_used":7,"fee":1.50}"#, r#"a={"id":1}; tokens 7; fee=1.50"#),
        (201, "application/vnd.order+json; charset=utf-8", r#"{"id":1}"#, r#"a={"id":1}"#),
        (200, json, r#""E17""#, r#"BadOutput: output `a`: expected Order, got `E17`; Unknown, final"#),
        (200, json, "", "BadOutput: expected the output `a`; the answer is not JSON: it is empty; Unknown, final"),
        (200, json, r#"{"error":{"message":"declined"}}"#, "Refused: declined; Failed, again"),
        (204, "text/plain", "", "BadOutput: expected the output `a`; the answer is empty; Unknown, final"),
        (400, problem, r#"{"title":"Bad","detail":"no such order"}"#, "Refused(400): the service answered 400 Bad Request: no such order; Failed, final"),
        (401, json, r#"{"message":"no key"}"#, "Refused(401): the service answered 401 Unauthorized: no key; Failed, final; unavailable"),
        (404, "text/html", "<html>oh</html>", "Refused(404): the service answered 404 Not Found; Failed, final"),
        (408, "text/plain", "", "Refused(408): the service answered 408 Request Timeout; NotExecuted, again"),
        (409, json, r#"{"error":{"message":"busy","retryable":true,"code":"lock"}}"#, "Refused(lock): busy; Failed, again"),
        (422, "text/plain", "\nnot in stock\nmore", "Refused(422): the service answered 422 Unprocessable Entity: not in stock; Failed, final"),
        (425, "text/plain", "", "Refused(425): the service answered 425 Too Early; NotExecuted, again"),
        (429, "text/plain", "", "Refused(429): the service answered 429 Too Many Requests; NotExecuted, again"),
        (500, json, r#"{"detail":"boom","tokens_used":7}"#, "Refused(500): the service answered 500 Internal Server Error: boom; Unknown, again; tokens 7"),
        (500, json, r#"{"error":"boom"}"#, "Refused(500): boom; Unknown, again"),
        (500, json, r#"{"error":{"message":"full","outcome":"failed","retryable":false}}"#, "Refused(500): full; Failed, final"),
        (503, "text/plain", "", "Refused(503): the service answered 503 Service Unavailable; Unknown, again"),
        (302, "text/plain", "", "Refused: the service answered 302 Found: /elsewhere; it is not followed to another address; Failed, final"),
        (202, json, r#"{"a":{"id":1}}"#, "BadOutput: the service accepted the request, but its answer is elsewhere: `http://127.0.0.2:1/x`; only addresses of http://127.0.0.1:PORT are asked; Unknown, final"),
    ];
    for (status, kind, body, expected) in cases {
        let location = if status == 202 { "http://127.0.0.2:1/x" } else { "/elsewhere" };
        let response =
            move || async move { respond(status, &[("content-type", kind), ("location", location)], body) };
        let address = listen(response);
        assert_eq!(ended(&at(address, "/"), address).await, expected, "{status} {body}");
    }
}

/// Seconds, or a date in one of its three forms, which counts from that of the response; the body counts before the header.
#[tokio::test]
async fn a_service_says_how_long_it_wants_to_be_left_alone() {
    let now = "Sun, 06 Nov 1994 08:49:37 GMT";
    let busy = |status: u16| match status {
        429 => "Refused(429): the service answered 429 Too Many Requests; NotExecuted, again",
        408 => "Refused(408): the service answered 408 Request Timeout; NotExecuted, again",
        502 => "Refused(502): the service answered 502 Bad Gateway; Unknown, again",
        _ => "Refused(503): the service answered 503 Service Unavailable; Unknown, again",
    };
    for (status, said, after) in [
        (429, "7", "; after 7000 ms"),
        (503, " 120 ", "; after 120000 ms"),
        (408, "1", "; after 1000 ms"),
        (502, "1", "; after 1000 ms"),
        (503, "Sun, 06 Nov 1994 08:50:07 GMT", "; after 30000 ms"),
        (429, "Sunday, 06-Nov-94 08:49:39 GMT", "; after 2000 ms"),
        (503, "Sun Nov  6 08:49:38 1994", "; after 1000 ms"),
        // Its time has come.
        (503, "Sun, 06 Nov 1994 08:00:00 GMT", "; after 0 ms"),
        (503, "18446744073709551615", "; after 18446744073709551615 ms"),
        (503, "soon", ""),
        (503, "-1", ""),
        (503, "", ""),
    ] {
        let headers = move || respond(status, &[("retry-after", said), ("date", now)], "");
        let address = listen(move || async move { headers() });
        let expected = format!("{}{after}", busy(status));
        assert_eq!(ended(&at(address, "/"), address).await, expected, "{status} {said}");
    }
    for (status, body, expected) in [
        (
            503,
            r#"{"error":{"message":"busy","retry_after_ms":5}}"#,
            "Refused(503): busy; Unknown, again; after 5 ms",
        ),
        (503, r#"{"error":{"message":"busy","retryable":false}}"#, "Refused(503): busy; Unknown, final"),
        (400, "", "Refused(400): the service answered 400 Bad Request; Failed, final"),
        (401, r#"{"error":{"message":"no","unavailable":false}}"#, "Refused(401): no; Failed, final"),
        (401, r#"{"error":"no"}"#, "Refused(401): no; Failed, final; unavailable"),
        (402, "", "Refused(402): the service answered 402 Payment Required; Failed, final; unavailable"),
        (403, "", "Refused(403): the service answered 403 Forbidden; Failed, final"),
        (
            407,
            "",
            "Refused(407): the service answered 407 Proxy Authentication Required; Failed, final; unavailable",
        ),
        (
            500,
            r#"{"error":{"message":"no","unavailable":true}}"#,
            "Refused(agent_unavailable): no; Unknown, final; unavailable",
        ),
    ] {
        let response = move || async move { respond(status, &[("retry-after", "7")], body) };
        let address = listen(response);
        assert_eq!(ended(&at(address, "/"), address).await, expected, "{status} {body}");
    }
}

/// The request as it arrives, and a redirect within the service before it.
#[tokio::test]
async fn the_context_is_in_the_headers_and_stays_over_a_redirect() {
    let address = listen(|request: Request| async move {
        if request.uri().path() == "/" {
            return respond(307, &[("location", "/now")], "");
        }
        let (head, body) = request.into_parts();
        let mut lines: Vec<String> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.retain(|line| {
            !["host", "content-length", "user-agent", "referer"].contains(&line.split(':').next().unwrap())
        });
        lines.sort_unstable();
        let body = to_bytes(body, 1000).await.unwrap();
        let told =
            format!("{} {}\n{}\n{}", head.method, head.uri, lines.join("\n"), String::from_utf8_lossy(&body));
        axum::Json(json!({"a": told})).into_response()
    });
    let folder = tempfile::tempdir().unwrap();
    let mut call = call(folder.path(), "a::String", json!({"order": "ü"}));
    call.context.item = "Größe 7 \"%\"\r\nx: y".into();
    call.context.element = Some(2);
    let answer = at(address, "/").call(call, Stop::new().1).await.unwrap();
    let told = answer.outputs[0].1.as_str().unwrap().to_owned();
    let expected = [
        "POST /now",
        "accept: application/json, text/plain;q=0.9, */*;q=0.1",
        "ce-agent: payment-service",
        "ce-attempt: 3",
        "ce-channel: payments",
        "ce-deadline: 2026-11-20T08:00:00.000Z",
        "ce-element: 2",
        "ce-forwardkey: key-of-what-is-undone",
        "ce-id: 7-0-3",
        "ce-run: run-1",
        "ce-source: /runs/run-1",
        "ce-specversion: 1.0",
        "ce-step: ProcessPayment",
        "ce-subject: Gr%C3%B6%C3%9Fe%207%20%22%25%22%0D%0Ax:%20y",
        "ce-type: orderflow.step",
        "content-type: application/json",
        "idempotency-key: key-of-the-effect",
        "traceparent: 00-1-2-01",
        "x-api-key: k-123",
        "{\"order\":\"ü\"}",
    ];
    assert_eq!(told, expected.join("\n"));
}

#[tokio::test]
async fn an_accepted_attempt_is_asked_for_until_it_is_over() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = polls.clone();
    let address = listen(move |request: Request| {
        let polls = counted.clone();
        async move {
            if request.uri().path() == "/" {
                return respond(202, &[("location", "jobs/7"), ("retry-after", "0")], "");
            }
            assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/jobs/7"));
            assert_eq!(request.headers()["x-api-key"], "k-123");
            match polls.fetch_add(1, Ordering::SeqCst) {
                0 => respond(202, &[("retry-after", "0")], ""),
                1 => respond(503, &[("retry-after", "0")], ""),
                _ => respond(200, &[("content-type", "application/json")], r#"{"a":{"id":7}}"#),
            }
        }
    });
    let begin = Instant::now();
    assert_eq!(ended(&at(address, "/"), address).await, r#"a={"id":7}"#);
    assert_eq!(polls.load(Ordering::SeqCst), 3);
    // No pause is shorter than the first one, and they grow.
    assert!(begin.elapsed() >= Duration::from_millis(200 + 400 + 800), "{:?}", begin.elapsed());
}

/// Nothing listens; the connection is closed before the answer, and in the middle of it.
#[tokio::test]
async fn a_lost_connection_is_told_from_a_request_that_was_never_sent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lost = ended(&at(free, "/"), free).await;
    assert_eq!(
        lost,
        "Start: cannot connect to http://127.0.0.1:PORT/: Connection refused (os error 111); NotExecuted, again"
    );
    for (says, expected) in [
        ("", "Protocol: no answer from http://127.0.0.1:PORT/: "),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
            "Protocol: no answer from http://127.0.0.1:PORT/: ",
        ),
        ("I am no server\r\n\r\n", "Protocol: no answer from http://127.0.0.1:PORT/: "),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            stream.write_all(says.as_bytes()).await.unwrap();
        });
        let told = ended(&at(address, "/"), address).await;
        assert!(told.starts_with(expected) && told.ends_with("; Unknown, again"), "{says:?}: {told}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_kept() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let address = listen(move || {
        let sent = counted.clone();
        async move {
            let endless = futures_util::stream::repeat_with(move || {
                sent.fetch_add(1 << 16, Ordering::SeqCst);
                Ok::<_, std::io::Error>(vec![b'x'; 1 << 16])
            });
            (StatusCode::OK, Body::from_stream(endless))
        }
    });
    let told = ended(&at(address, "/"), address).await;
    assert_eq!(told, "BadOutput: the answer is larger than 16 MiB; Unknown, final");
    assert!(sent.load(Ordering::SeqCst) < 64 << 20);
}

/// The service sees the closed connection.
#[tokio::test]
async fn a_cancelled_attempt_closes_its_connection() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (began, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begin, drop) = (began.clone(), dropped.clone());
    let service = serve(move || {
        let (begin, guard) = (begin.clone(), Dropped(drop.clone()));
        async move {
            let _guard = guard;
            begin.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let call = call(folder.path(), "a::Order", json!({}));
    let outputs = call.outputs.clone();
    let (stopper, stop) = Stop::new();
    let ask = async {
        until("the service works", || began.load(Ordering::SeqCst) == 1).await;
        stopper.ask(Urgency::Terminate);
    };
    let (answer, ()) = tokio::join!(service.call(call, stop), ask);
    let told = describe(&outputs, &answer);
    assert_eq!(told, "Stopped: the request was cancelled before an answer; Unknown, again");
    until("the service sees it", || dropped.load(Ordering::SeqCst) == 1).await;
}

/// The job of an accepted attempt may have worked before it vanished.
#[tokio::test]
async fn after_it_was_accepted_no_status_means_without_effect() {
    for (status, expected) in [
        (404, "Refused(404): the service answered 404 Not Found; Unknown, final"),
        (410, "Refused(410): the service answered 410 Gone; Unknown, final"),
        (
            302,
            "Refused: the service answered 302 Found: /x; it is not followed to another address; Unknown, final",
        ),
    ] {
        let address = listen(move |request: Request| async move {
            match request.uri().path() {
                "/" => respond(202, &[("location", "/job"), ("retry-after", "0")], ""),
                _ => respond(status, &[("location", "/x")], ""),
            }
        });
        assert_eq!(ended(&at(address, "/"), address).await, expected);
    }
}

#[tokio::test]
async fn another_address_of_the_answer_is_asked_at_once_and_not_without_end() {
    let hops = Arc::new(AtomicUsize::new(0));
    for (most, expected) in [
        (2, r#"a={"id":7}"#),
        (
            100,
            "Refused: the service answered 303 See Other: /next; it is not followed to another address; Unknown, final",
        ),
    ] {
        hops.store(0, Ordering::SeqCst);
        let counted = hops.clone();
        let address = listen(move |request: Request| {
            let hops = counted.clone();
            async move {
                let get = request.uri().path() != "/";
                assert_eq!(request.method().as_str(), if get { "GET" } else { "POST" });
                match hops.fetch_add(1, Ordering::SeqCst) {
                    hop if hop < most => respond(303, &[("location", "/next")], ""),
                    _ => respond(200, &[("content-type", "application/json")], r#"{"a":{"id":7}}"#),
                }
            }
        });
        assert_eq!(ended(&at(address, "/"), address).await, expected);
    }
    assert!(hops.load(Ordering::SeqCst) < 10);
}
