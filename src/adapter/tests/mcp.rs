//! What tools of MCP servers are promised besides: results of every form, errors, one process for all calls, restarts,
//! cancelled calls, and servers over HTTP.

use super::super::http::{Client, HeaderName, HeaderValue};
use super::super::mcp::{Mcp, Server};
use super::super::{Adapter, Call, Stop, Stopper, Urgency};
use super::conformance::kinds::mcp::{server, server_with};
use super::http::{listen, respond};
use super::{PATIENCE, call, describe, is_gone, until};
use crate::event::Answer;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A server in a folder of its own.
pub(super) struct Scene {
    pub folder: TempDir,
    pub mcp: Arc<Mcp>,
}

/// An attempt that goes on by itself.
pub(super) struct Asked {
    stopper: Stopper,
    ending: JoinHandle<Answer>,
    call: Call,
}

pub(super) fn scene(work: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("item")).unwrap();
    let mcp = Arc::new(server(folder.path(), work).with_grace(Duration::from_secs(20)));
    Scene { folder, mcp }
}

impl Scene {
    pub fn ask(&self, outputs: &str, inputs: Value) -> Asked {
        asked(&self.mcp, call(self.folder.path(), outputs, inputs))
    }

    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub async fn close(&self) {
        let (stopper, stop) = Stop::new();
        stopper.ask(Urgency::Terminate);
        tokio::time::timeout(PATIENCE, self.mcp.close(stop)).await.expect("the server closes");
    }
}

pub(super) fn asked(mcp: &Arc<Mcp>, call: Call) -> Asked {
    let (stopper, stop) = Stop::new();
    let (mcp, asked) = (mcp.clone(), call.clone());
    Asked { stopper, ending: tokio::spawn(async move { mcp.call(asked, stop).await }), call }
}

impl Asked {
    async fn answer(self) -> Answer {
        tokio::time::timeout(PATIENCE, self.ending).await.expect("the attempt ends").unwrap()
    }

    pub async fn told(self) -> String {
        let outputs = self.call.outputs.clone();
        describe(&outputs, &self.answer().await)
    }
}

/// A server whose tool answers with the result in the input `is`.
const REPEATS: &str = "send(id=id, result=call['arguments']['is'])";

#[tokio::test]
async fn results_of_every_form_are_outputs_or_failures() {
    let scene = scene(REPEATS);
    let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let structured = |value: Value| json!({"content": [{"type": "text", "text": "for people"}], "structuredContent": value});
    #[rustfmt::skip]
    let cases = [
        ("a::Order", structured(json!({"a": {"id": 1}, "fee": 2})), r#"a={"id":1}; fee=2"#),
        ("a::Order", structured(json!({"id": 1})), r#"a={"id":1}"#),
        ("a::Integer", structured(json!({"result": 5})), "a=5"),
        ("a::String[]", structured(json!({"result": ["x"]})), r#"a=["x"]"#),
        ("result::Integer", structured(json!({"result": 5})), "result=5"),
        ("a::JSON", structured(json!({"result": 5})), r#"a={"result":5}"#),
        ("a::Integer", structured(json!(5)), "a=5"),
        ("a::String", structured(json!({"a": "x"})), r#"a="x""#),
        ("a::String", structured(json!({"id": 1})), "BadOutput: output `a` is not of type String: expected String, found an object; Unknown, final"),
        ("a::Order, b::Order", structured(json!({"a": {}})), "BadOutput: missing output `b`; Unknown, final"),
        ("a::String", json!({"content": [], "structuredContent": null}), "BadOutput: expected the output `a`; the answer is empty; Unknown, final"),
        ("a::String", text("Dear Ada"), r#"a="Dear Ada""#),
        ("a::Integer", text("7"), "a=7"),
        ("a::Order", text(r#"{"a": {"id": 1}}"#), r#"a={"id":1}"#),
        ("a::Integer", text("seven"), "BadOutput: output `a`: expected Integer, got `seven`; Unknown, final"),
        ("a::String", json!({"content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]}), r#"a="x\ny""#),
        ("", json!({"content": []}), ""),
        ("", json!({}), ""),
        ("a?::String", json!({"content": []}), ""),
        ("", json!({"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}]}), ""),
        ("a::String", json!({"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}]}),
            "BadOutput: the tool answered with content of the type `image`; only text and structured content are outputs; Unknown, final"),
        ("a::String", json!({"content": [{"type": "text", "text": "\n no such order \n at x"}], "isError": true}), "Refused: no such order; Unknown, again"),
        ("a::String", json!({"content": [], "isError": true}), "Refused: the tool gave no message; Unknown, again"),
        ("a::String", json!({"content": [{"type": "text", "text": "{\"error\": {\"message\": \"no\", \"code\": \"E1\", \"retryable\": false, \"outcome\": \"failed\"}}"}], "isError": true}),
            "Refused(E1): no; Failed, final"),
        ("a::File", text("x"), "Start: a tool makes no files: give the output `a` another type; NotExecuted, final"),
        ("a::String", json!({"resultType": "task", "taskId": "t", "status": "working", "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": null}),
            "BadOutput: the server's answer is not the result of a tool: it is a task, which takes longer; Unknown, final"),
    ];
    for (outputs, is, expected) in cases {
        let told = scene.ask(outputs, json!({"is": is})).told().await;
        assert_eq!(told, expected, "{outputs} {is}");
    }
    assert_eq!(scene.lines("starts").len(), 1, "one process answers all");
    scene.close().await;
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let scene = scene(
        "say(b'{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"structuredContent\":{\"a\":12345678901234567890.10}}}\\n' % id)",
    );
    assert_eq!(scene.ask("a::Number", json!({})).told().await, "a=12345678901234567890.10");
    scene.close().await;
}

#[tokio::test]
async fn errors_of_the_protocol_say_whether_there_was_an_effect() {
    let scene = scene("send(id=id, error={'code': call['arguments']['code'], 'message': 'no'})");
    for (code, expected) in [
        (-32700, "Refused: the server answered with the error -32700: no; Failed, final"),
        (-32600, "Refused: the server answered with the error -32600: no; Failed, final"),
        (-32601, "Refused: the server answered with the error -32601: no; Failed, final"),
        (-32602, "Refused: the server answered with the error -32602: no; Failed, final"),
        (-32603, "Refused: the server answered with the error -32603: no; Unknown, again"),
        (-32000, "Refused: the server answered with the error -32000: no; Unknown, again"),
        (7, "Refused: the server answered with the error 7: no; Unknown, again"),
    ] {
        assert_eq!(scene.ask("a::JSON", json!({"code": code})).told().await, expected);
    }
    scene.close().await;
}

/// What the server says besides is the log of the attempt; greetings before its first message are, too.
#[tokio::test]
async fn logs_progress_and_questions_are_in_the_log() {
    let work = "token = call['_meta']['progressToken']\n\
        def progress(**more): send(method='notifications/progress', params={'progressToken': token, **more})\n\
        log('begun')\n\
        log({'step': 1})\n\
        progress(progress=1, total=4)\n\
        progress(progress=2.5, total=4)\n\
        send(method='notifications/own', params={})\n\
        send(id='q1', method='elicitation/create', params={'message': 'Which size?', 'requestedSchema': {'type': 'object', 'properties': {}}})\n\
        said = json.loads(sys.stdin.readline())\n\
        send(**text(said['id'] + ' ' + said['result']['action'], isError=True))";
    let scene = scene(work);
    let path = scene.folder.path().join("server.py");
    let source = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("print('hello from the server', flush=True)\n{source}")).unwrap();
    let failure = scene.ask("a::JSON", json!({})).answer().await.unwrap_err();
    assert_eq!(failure.message, "q1 decline");
    let log = "begun\n{\"step\":1}\nthe server asked and was declined: Which size?\nprogress: 2.5 of 4\n";
    assert_eq!(failure.log, log);
    scene.close().await;
}

/// The progress of calls that are over takes no room from others.
#[tokio::test]
async fn progress_that_comes_too_late_is_left_out() {
    let work = "def progress(token, n): send(method='notifications/progress', params={'progressToken': token, 'progress': n})\n\
        if call['arguments']['late']:\n    send(**text('done'))\n    [progress(f'late-{n}', n) for n in range(2000)]\n\
        else:\n    progress(call['_meta']['progressToken'], 7)\n    send(**text('no', isError=True))";
    let scene = scene(work);
    assert_eq!(scene.ask("a::String", json!({"late": true})).told().await, "a=\"done\"");
    let failure = scene.ask("a::String", json!({"late": false})).answer().await.unwrap_err();
    assert_eq!(failure.log, "progress: 7\n");
    scene.close().await;
}

#[tokio::test]
async fn a_list_of_tools_without_end_is_refused() {
    let scene = scene("");
    let path = scene.folder.path().join("server.py");
    let source = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, source.replace("result={'tools':", "result={'nextCursor': 'more', 'tools':"))
        .unwrap();
    let told = scene.ask("a::String", json!({})).told().await;
    let expected = "BadOutput: the server's answer is not the result of a tool: its list of tools has more than 1000 pages; NotExecuted, final";
    assert_eq!(told, expected);
    let server = scene.lines("starts")[0].parse().unwrap();
    assert!(is_gone(server), "it has ended before the attempt");
}

#[tokio::test]
async fn the_key_and_the_trace_are_beside_the_arguments() {
    let scene = scene(
        "meta = call['_meta']\nmeta.pop('progressToken')\nsend(**result(structuredContent={'a': [call['name'], call['arguments'], meta]}))",
    );
    let mut call = call(scene.folder.path(), "a::JSON", json!({"order": {"id": 1}, "note": "x"}));
    call.context.element = Some(2);
    let answer = asked(&scene.mcp, call).answer().await.unwrap();
    let expected = json!(["work", {"order": {"id": 1}, "note": "x"}, {
        "traceparent": "00-1-2-01",
        "orderflow/idempotency_key": "key-of-the-effect",
        "orderflow/forward_key": "key-of-what-is-undone",
        "orderflow/run": "run-1",
        "orderflow/step": "ProcessPayment",
        "orderflow/item": "order-7",
        "orderflow/attempt": 3,
        "orderflow/element": 2,
        "orderflow/deadline": "2026-11-20T08:00:00.000Z",
        "io.modelcontextprotocol/logLevel": "info",
    }]);
    assert_eq!(*answer.outputs[0].1, expected);
    scene.close().await;
}

/// A server need not answer a cancelled call, so another answer shows that it lives.
#[tokio::test]
async fn a_call_is_cancelled_and_the_server_stays() {
    let scene =
        scene("if call['arguments']['stays']: ready()\nelse: send(**result(structuredContent={'a': 1}))");
    let slow = scene.ask("a::JSON", json!({"stays": true}));
    until("the tool works", || scene.folder.path().join("item/ready").exists()).await;
    slow.stopper.ask(Urgency::Terminate);
    assert_eq!(slow.told().await, "Stopped: the call was cancelled before an answer; Unknown, again");
    until("the server was asked to end the call", || scene.lines("cancels").len() == 1).await;
    assert_eq!(scene.ask("a::JSON", json!({"stays": false})).told().await, "a=1");
    assert_eq!(scene.lines("starts").len(), 1);
    scene.close().await;
    assert!(is_gone(scene.lines("starts")[0].parse().unwrap()));
}

/// Makes a server one of 2026, whose list of tools is that in a file and may be stored for a day.
fn of_2026(scene: &Scene) {
    let path = scene.folder.path().join("server.py");
    let source = std::fs::read_to_string(&path).unwrap();
    let discovers = "    if method == 'server/discover':\n        send(id=id, result={'resultType': 'complete', \
        'supportedVersions': ['2026-07-28'], 'capabilities': {'tools': {}}, 'ttlMs': 86400000, 'cacheScope': 'private'})\n\
        \x20   elif method == 'tools/list':\n        send(id=id, result={'resultType': 'complete', 'ttlMs': 86400000, \
        'cacheScope': 'private', 'tools': [{'name': name, 'inputSchema': {'type': 'object'}} for name in open('tools').read().split()]})\n    elif";
    std::fs::write(
        &path,
        source.replacen("    if method == 'initialize':", &format!("{discovers} method == 'initialize':"), 1),
    )
    .unwrap();
    std::fs::write(scene.folder.path().join("tools"), "work").unwrap();
}

#[tokio::test]
async fn a_server_that_answers_nothing_more_is_killed_with_all_its_calls() {
    for is_of_2026 in [false, true] {
        killed_with_all_its_calls(is_of_2026).await;
    }
}

/// A list of tools that is stored does not say that a tool is missing.
#[tokio::test]
async fn a_tool_that_came_after_the_first_call_is_found() {
    let mut scene = scene("");
    let work = "send(**result(structuredContent={'a': call['name']}))";
    scene.mcp = Arc::new(server_with(scene.folder.path(), work, None));
    of_2026(&scene);
    let mut call = call(scene.folder.path(), "a::String", json!({}));
    call.context.step = "Work".into();
    assert_eq!(asked(&scene.mcp, call.clone()).told().await, "a=\"work\"");
    std::fs::write(scene.folder.path().join("tools"), "work pack").unwrap();
    call.context.step = "Pack".into();
    assert_eq!(asked(&scene.mcp, call).told().await, "a=\"pack\"");
    scene.close().await;
}

async fn killed_with_all_its_calls(is_of_2026: bool) {
    let mut scene = scene("");
    let work = "if call['arguments']['blocks']: time.sleep(1000)";
    scene.mcp = Arc::new(server(scene.folder.path(), work).with_grace(Duration::from_millis(50)));
    if is_of_2026 {
        of_2026(&scene);
    }
    let first = scene.ask("a::JSON", json!({"blocks": false}));
    until("the first call", || scene.lines("calls").len() == 1).await;
    let second = scene.ask("a::JSON", json!({"blocks": true}));
    until("the second call", || scene.lines("calls").len() == 2).await;
    first.stopper.ask(Urgency::Terminate);
    assert_eq!(first.told().await, "Stopped: the call was cancelled before an answer; Unknown, again");
    let killed = "Stopped: the server was killed while this call was in flight: \
        it did not answer after ProcessPayment of order-7 was cancelled; Unknown, again";
    assert_eq!(second.told().await, killed);
    assert!(is_gone(scene.lines("starts")[0].parse().unwrap()));
    scene.close().await;
}

#[tokio::test]
async fn lines_that_are_no_messages_end_the_server() {
    let huge = "say(b'x' * (16 * 1024 * 1024 + 65537) + b'\\n')";
    let many = "say(b'{\"id\": 1, \"result\": [' + b'[],' * 1000001 + b'1]}\\n')";
    for (work, expected) in [
        ("say(b'paid\\n')", "Protocol: the server wrote non-JSON on stdout: paid; Unknown, final"),
        (
            "say(b'{\"a\": 1}\\n')",
            "Protocol: the server wrote something other than a JSON-RPC 2.0 message on stdout: {\"a\": 1}; Unknown, final",
        ),
        (
            "say(b'\\xff\\n')",
            "Protocol: the server wrote text that is not UTF-8 on stdout: \u{fffd}; Unknown, final",
        ),
        (huge, "Protocol: the server wrote a line longer than 16 MiB; Unknown, final"),
        (many, "Protocol: the server wrote a line with more than 1000000 values; Unknown, final"),
    ] {
        let scene = scene(work);
        assert_eq!(scene.ask("a::JSON", json!({})).told().await, expected);
        scene.close().await;
    }
}

#[tokio::test]
async fn a_missing_tool_makes_the_agent_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let other = |tool: Option<&str>| Arc::new(server_with(folder.path(), "send(**text('1'))", tool));
    let mut call = call(folder.path(), "a::JSON", json!({}));
    let missing = "Start(agent_unavailable): the server has no tool `pay`; it has `work`; NotExecuted, final; unavailable";
    assert_eq!(asked(&other(Some("pay")), call.clone()).told().await, missing);
    let unnamed = "Start: no tool of the server is named as the step ProcessPayment: name one, tool = \"…\"; it has `work`; NotExecuted, final";
    assert_eq!(asked(&other(None), call.clone()).told().await, unnamed);
    call.context.step = "Work".into();
    assert_eq!(asked(&other(None), call).told().await, "a=1");
}

/// A server over HTTP that answers requests by their methods; `call` answers calls of its tool `work`.
fn over_http<F>(call: impl Fn(Value) -> F + Clone + Send + Sync + 'static) -> Arc<Mcp>
where
    F: Future<Output = Response> + Send,
{
    over_http_again(call, |_| respond(405, &[], ""))
}

/// The same; `again` answers when a stream of events is connected to again after the event with this id.
pub(super) fn over_http_again<F>(
    call: impl Fn(Value) -> F + Clone + Send + Sync + 'static,
    again: impl Fn(&str) -> Response + Clone + Send + Sync + 'static,
) -> Arc<Mcp>
where
    F: Future<Output = Response> + Send,
{
    let address = listen(move |request: Request| {
        let (call, again) = (call.clone(), again.clone());
        async move {
            let (head, body) = request.into_parts();
            let message: Value =
                serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap_or_default();
            let answer =
                |result: Value| json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
            match message["method"].as_str() {
                _ if head.headers.get("authorization").is_none_or(|key| key != "Bearer k-123") => {
                    respond(401, &[], "no key")
                }
                Some("initialize") => answer(
                    json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "far", "version": "2"}}),
                ),
                Some("tools/list") => {
                    answer(json!({"tools": [{"name": "work", "inputSchema": {"type": "object"}}]}))
                }
                Some("tools/call") => call(message).await,
                Some(method) if method.starts_with("notifications/") => respond(202, &[], ""),
                Some(_) => json(
                    json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}}),
                ),
                None => {
                    again(head.headers.get("last-event-id").map_or("", |id| id.to_str().unwrap_or_default()))
                }
            }
        }
    });
    Arc::new(http(&format!("http://{address}/mcp"), "Bearer k-123"))
}

pub(super) fn json(value: Value) -> Response {
    respond(200, &[("content-type", "application/json")], &value.to_string())
}

fn http(url: &str, key: &str) -> Mcp {
    let key = (HeaderName::from_static("authorization"), HeaderValue::from_str(key).unwrap());
    let server =
        Server::Http { client: Client::new().unwrap(), url: url.parse().unwrap(), headers: vec![key] };
    Mcp::new(server, Some("work".to_owned()))
}

pub(super) async fn ended(mcp: &Arc<Mcp>) -> String {
    let folder = tempfile::tempdir().unwrap();
    asked(mcp, call(folder.path(), "a::Order", json!({"order": 1}))).told().await
}

#[tokio::test]
async fn answers_over_http_are_outputs_or_failures() {
    let large = "x".repeat(16 * 1024 * 1024 + 65537);
    let result = |result: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{result}}}");
    let stream = format!(
        ": hello\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"level\":\"info\",\"data\":\"begun\"}}}}\n\ndata: {}\n\n",
        result(r#"{"structuredContent":{"a":{"id":1.50}}}"#)
    );
    let (json, sse) = ("application/json", "text/event-stream");
    #[rustfmt::skip]
    let cases = [
        (200, json, result(r#"{"structuredContent":{"a":{"id":1}}}"#), r#"a={"id":1}"#),
        (200, sse, stream, r#"a={"id":1.50}"#),
        (200, json, result(r#"{"structuredContent":{"a":{"n":12345678901234567890123}}}"#), r#"a={"n":12345678901234567890123}"#),
        (200, json, "{".to_owned(), "BadOutput: the server's answer is not a JSON-RPC 2.0 message; Unknown, final"),
        (200, "text/html", "<html>".to_owned(), "BadOutput: the server's answer is text/html, not JSON; Unknown, final"),
        (200, json, large, "BadOutput: the answer is larger than 16 MiB; Unknown, final"),
        (400, "text/plain", "no".to_owned(), "Refused(400): the server answered 400 Bad Request; Failed, final"),
        (401, "text/plain", "no".to_owned(), "Refused(agent_unavailable): the server answered 401 Unauthorized; NotExecuted, final; unavailable"),
        (403, "text/plain", "no".to_owned(), "Refused(403): the server answered 403 Forbidden; Failed, final"),
        (404, "text/plain", "no".to_owned(), "Refused(404): the server answered 404 Not Found; Failed, final"),
        (429, "text/plain", "no".to_owned(), "Refused(429): the server answered 429 Too Many Requests; NotExecuted, again; after 7000 ms"),
        (500, "text/plain", "no".to_owned(), "Refused(500): the server answered 500 Internal Server Error; Unknown, again; after 7000 ms"),
        (307, "text/plain", "no".to_owned(), "Refused(307): the server answered 307 Temporary Redirect; Failed, final"),
    ];
    for (status, kind, body, expected) in cases {
        let mcp = over_http(move |message| {
            let body = body.replace("ID", &message["id"].to_string());
            async move {
                respond(
                    status,
                    &[("content-type", kind), ("retry-after", "7"), ("location", "http://127.0.0.2:1/")],
                    &body,
                )
            }
        });
        assert_eq!(ended(&mcp).await, expected, "{status} {kind}");
    }
}

#[tokio::test]
async fn a_server_over_http_that_is_not_there_was_not_called() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = ended(&Arc::new(http(&format!("http://{gone}/mcp?key=1"), "x"))).await;
    let expected = format!(
        "Start: cannot connect to http://{gone}/mcp: Connection refused (os error 111); NotExecuted, again"
    );
    assert_eq!(told, expected);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let address = listen(move |_: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { respond(401, &[("www-authenticate", "Bearer")], "") }
    });
    let refused =
        "Refused(agent_unavailable): the server answered 401 Unauthorized; NotExecuted, final; unavailable";
    assert_eq!(ended(&Arc::new(http(&format!("http://{address}/mcp"), "x"))).await, refused);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_lost_connection_over_http_has_an_unknown_outcome() {
    let mcp = over_http(|_| async { panic!("the connection is closed") });
    let told = ended(&mcp).await;
    assert!(told.starts_with("Protocol: no answer from http://127.0.0.1:"), "{told}");
    assert!(told.ends_with("; Unknown, again"), "{told}");
}

#[tokio::test]
async fn a_cancelled_call_over_http_ends_at_once() {
    let (begun, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let mcp = over_http(move |_| {
        let begun = begun.clone();
        async move {
            begun.send(()).unwrap();
            std::future::pending().await
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let asked = asked(&mcp, call(folder.path(), "a::Order", json!({})));
    calls.recv().await.unwrap();
    asked.stopper.ask(Urgency::Terminate);
    assert_eq!(asked.told().await, "Stopped: the call was cancelled before an answer; Unknown, again");
}
