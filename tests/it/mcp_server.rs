//! `orderflow mcp`: what the client of a coding agent gets, over standard input and output.

use crate::place::Place;
use crate::program::told;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService, ServiceExt};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const FLOW: &str = "\
# Orders

## Pay
total::Number -> paid::String

```sh run
echo paying >&2
echo \"$IN_TOTAL\"
```

## Ship [effects:: none]
> [!gate] Ship for {{ paid }}?

paid -> shipped::String

```sh run
echo yes
```
";

/// A client and its server.
struct Client {
    service: RunningService<RoleClient, ()>,
    child: Child,
}

impl Client {
    async fn start(place: &Place) -> Client {
        let mut command = Command::from(place.command("mcp"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let streams = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let service = ().serve(streams).await.unwrap();
        Client { service, child }
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        let Value::Object(arguments) = arguments else { panic!("{arguments}") };
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.service.call_tool(request).await.unwrap()
    }

    /// The data of a tool that succeeds, which the text has, too.
    #[track_caller]
    fn data(result: &CallToolResult) -> Value {
        assert_eq!(result.is_error, Some(false), "{result:?}");
        let data = result.structured_content.clone().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text(result)).unwrap(), data);
        data
    }

    async fn get(&self, tool: &str, arguments: Value) -> Value {
        Self::data(&self.call(tool, arguments).await)
    }

    /// The text of a tool that fails.
    async fn error(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!((result.is_error, &result.structured_content), (Some(true), &None), "{result:?}");
        text(&result)
    }

    async fn until(&self, run: &str, state: &str) -> Value {
        let begin = Instant::now();
        loop {
            let status = self.get("status", json!({"run": run})).await;
            if status["state"] == state {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Closes the input; the exit code and what the server wrote on standard error.
    async fn end(self) -> (Option<i32>, String) {
        let Client { service, child } = self;
        service.cancel().await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn text(result: &CallToolResult) -> String {
    let all = serde_json::to_value(&result.content).unwrap();
    assert_eq!((all[0]["type"].as_str(), all.as_array().unwrap().len()), (Some("text"), 1), "{all}");
    all[0]["text"].as_str().unwrap().to_owned()
}

fn granted() -> Place {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", "fences = true\n");
    place
}

fn parsed(place: &Place, command: &str) -> Value {
    serde_json::from_str(&place.orderflow(command).out).unwrap()
}

#[tokio::test]
async fn tools_describe_themselves_and_answer_as_the_commands_do() {
    let place = granted();
    place.write("broken.md", "# B\n\n## Pay [timeout:: 10x]\na -> b\n");
    let client = Client::start(&place).await;
    let server = client.service.peer_info().unwrap();
    assert_eq!(serde_json::to_value(&server).unwrap()["serverInfo"]["name"], "orderflow");
    let tools = client.service.list_all_tools().await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(
        names,
        [
            "guide", "validate", "plan", "test", "run", "status", "show", "logs", "resume", "retry",
            "cancel", "approve", "reject", "signal", "stats"
        ]
    );
    for tool in &tools {
        assert!(tool.description.as_ref().is_some_and(|about| !about.is_empty()), "{tool:?}");
        assert_eq!(tool.input_schema["type"], "object");
        assert_eq!(tool.input_schema["additionalProperties"], false);
        let reads = tool.annotations.as_ref().unwrap().read_only_hint.unwrap();
        assert_eq!(
            reads,
            !["run", "resume", "retry", "cancel", "approve", "reject", "signal"].contains(&&*tool.name),
            "{}",
            tool.name
        );
    }
    let good = client.get("validate", json!({"document": "flow.md"})).await;
    assert_eq!(good, json!({"valid": true, "problems": []}));
    // Clients also write the path in other ways.
    let absolute = place.path("broken.md").canonicalize().unwrap();
    for path in ["broken.md", "./broken.md", absolute.to_str().unwrap()] {
        let broken = client.get("validate", json!({"document": path})).await;
        assert_eq!(broken["problems"], parsed(&place, "validate --format json broken.md"));
        let codes = broken["problems"].as_array().unwrap().iter().map(|problem| &problem["code"]);
        assert!(codes.into_iter().any(|code| code == "bad-duration"), "{broken}");
        assert_eq!(broken["valid"], false);
    }
    assert_eq!(
        client.get("plan", json!({"document": "flow.md"})).await,
        parsed(&place, "plan --format json flow.md")
    );
    let guide = client.call("guide", json!({})).await;
    assert_eq!(text(&guide), place.orderflow("guide").out);
    let topics = tools[0].input_schema["properties"]["topic"]["enum"].as_array().unwrap();
    assert!(topics.contains(&json!("gates")), "{topics:?}");
    for topic in topics {
        let page = client.call("guide", json!({"topic": topic})).await;
        assert_eq!(text(&page), place.orderflow(&format!("guide {}", topic.as_str().unwrap())).out);
    }
    let error = client.error("guide", json!({"topic": "gate"})).await;
    assert!(error.contains("unknown topic") && error.contains("gates"), "{error}");
    // A plan of a broken document shows its problems, as the terminal does.
    let error = client.error("plan", json!({"document": "broken.md"})).await;
    assert!(error.contains("error[bad-duration]: `10x` is not a duration"), "{error}");
    // Many at once, and an answer to each.
    let all = (0..12).map(|_| client.get("validate", json!({"document": "flow.md"})));
    assert!(futures_util::future::join_all(all).await.iter().all(|answer| *answer == good));
    assert_eq!(client.end().await, (Some(0), String::new()));
}

#[tokio::test]
async fn a_run_is_started_approved_and_shown() {
    let place = granted();
    let client = Client::start(&place).await;
    assert_eq!(client.get("status", json!({})).await, json!({"runs": []}));
    let items = json!([{"id": "a", "total": 1.50}, {"id": "b", "total": 2}]);
    let started = client.get("run", json!({"document": "flow.md", "items": items})).await;
    let run = started["run"].as_str().unwrap();
    let status = client.until(run, "waiting").await;
    let waiting: Vec<&Value> = status["gates"][0]["waiting"].as_array().unwrap().iter().collect();
    assert_eq!((waiting.len(), &waiting[0]["item"]), (2, &json!("a")), "{status}");
    let asked = json!({"run": run, "step": "Ship", "items": ["a"], "by": "ann", "note": "fine"});
    let approved = client.get("approve", asked).await;
    assert_eq!((&approved["by"], &approved["gates"][0]["items"]), (&json!("ann"), &json!(["a"])));
    let rejected = client.get("reject", json!({"run": run, "step": "Ship", "items": ["b"]})).await;
    assert_eq!(rejected["gates"][0]["items"], json!(["b"]), "{rejected}");
    client.until(run, "failed").await;
    // As the command shows it.
    let mut shown = client.get("show", json!({"run": "last", "limit": 1})).await;
    let object = shown.as_object_mut().unwrap();
    let (items, total) = (object.remove("items").unwrap(), object.remove("total").unwrap());
    object.remove("offset");
    let mut expected = parsed(&place, "show last --format json");
    let all = expected.as_object_mut().unwrap().remove("items").unwrap();
    assert_eq!((shown, items.as_array().unwrap().len(), total), (expected, 1, json!(2)));
    assert_eq!(items[0], all[0]);
    assert_eq!(
        client.get("show", json!({"run": run, "item": "a"})).await,
        parsed(&place, "show last --item a --format json")
    );
    let logs = client.get("logs", json!({"run": run, "step": "Pay", "item": "a"})).await;
    assert_eq!(logs["parts"][0]["text"], "paying\n", "{logs}");
    let next =
        client.get("logs", json!({"run": run, "step": "Pay", "after": logs["next"], "item": "a"})).await;
    assert_eq!(next["parts"], json!([]), "{next}");
    let runs = client.get("status", json!({})).await;
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
    let stats = client.get("stats", json!({"sessions": ["session.toon"], "by": ["status"]})).await;
    assert_eq!(stats, parsed(&place, "stats --format json --by status session.toon"));
    assert_eq!(client.end().await.0, Some(0));
}

#[tokio::test]
async fn a_signal_reaches_a_run() {
    let place = granted();
    place.write(
        "wait.md",
        "# W\n\n## Close [await:: order.closed] [effects:: none]\nname::String, order_closed::JSON -> closed::String\n\n\
         ```sh run\necho closed\n```\n",
    );
    let client = Client::start(&place).await;
    let items = json!([{"id": "a", "name": "Ann"}]);
    let run = client.get("run", json!({"document": "wait.md", "items": items})).await;
    client.until(run["run"].as_str().unwrap(), "waiting").await;
    let event = json!({"run": "last", "type": "order.closed", "item": "a", "data": {"total": 1}, "id": "e1"});
    let sent = client.get("signal", event.clone()).await;
    assert_eq!((&sent["already"], &sent["steps"][0]["step"]), (&json!(false), &json!("Close")), "{sent}");
    client.until("last", "done").await;
    assert_eq!(client.get("signal", event).await["already"], true);
    let error = client.error("signal", json!({"run": "last", "type": "", "item": "a"})).await;
    assert_eq!(error, "error: the event cannot be sent: its type is empty; nothing was recorded");
    client.end().await;
}

#[tokio::test]
async fn programs_need_a_grant_of_a_person() {
    let place = Place::new(FLOW);
    let client = Client::start(&place).await;
    let run = json!({"document": "flow.md", "items": [{"id": "a", "total": 1}]});
    let error = client.error("run", run.clone()).await;
    let terminal = place.orderflow("run flow.md");
    assert_eq!(format!("{error}\n"), terminal.err);
    assert!(error.contains("orderflow trust flow.md"), "{error}");
    assert_eq!(client.get("status", json!({})).await, json!({"runs": []}));
    // There is no argument that grants them.
    let mut trusting = run.clone();
    trusting["trust"] = json!(true);
    let error = client.error("run", trusting).await;
    assert!(error.starts_with("error: the arguments do not fit: unknown field `trust`"), "{error}");
    let trusted = place.orderflow("trust flow.md --yes");
    assert_eq!(trusted.exit, Some(0), "{}", trusted.err);
    client.get("run", run).await;
    client.until("last", "waiting").await;
    client.end().await;
}

#[tokio::test]
async fn paths_outside_and_wrong_arguments_are_refused() {
    let place = granted();
    place.write("inside/flow.md", FLOW);
    place.write("notes.txt", "x");
    std::os::unix::fs::symlink(place.path("flow.md"), place.path("inside/link.md")).unwrap();
    let inside = Place::new(FLOW);
    std::os::unix::fs::symlink(place.path("flow.md"), inside.path("link.md")).unwrap();
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, inside.path("pipe.md"), pipe, 0o600.into(), 0).unwrap();
    std::fs::create_dir(inside.path("folder.md")).unwrap();
    let client = Client::start(&inside).await;
    let outside = "error: the document must be a markdown file below the served folder";
    let absolute = place.path("flow.md");
    for path in [
        "../flow.md",
        absolute.to_str().unwrap(),
        "link.md",
        "/etc/passwd",
        "flow.md/../../x.md",
        "pipe.md",
        "folder.md",
        "-",
        "",
    ] {
        for tool in ["validate", "plan", "run"] {
            assert_eq!(client.error(tool, json!({"document": path})).await, outside, "{tool} {path}");
        }
    }
    for path in ["../notes.txt", "/etc/passwd", "link.md", "pipe.md", ".."] {
        let error = client.error("stats", json!({"sessions": [path]})).await;
        assert_eq!(error, "error: the file must be one below the served folder", "{path}");
    }
    let error = client.error("validate", json!({"document": "none.md"})).await;
    assert_eq!(error, "error: the served folder has no such document");
    // Runs are named by their ids, and not by paths.
    for run in ["../x", "/tmp", "nope", ""] {
        let error = client.error("status", json!({"run": run})).await;
        assert!(error.starts_with("error: "), "{run}: {error}");
    }
    let error = client.error("validate", json!({})).await;
    assert_eq!(error, "error: the arguments do not fit: missing field `document`");
    let error = client.error("show", json!({"run": "last", "limit": -1})).await;
    assert!(error.starts_with("error: the arguments do not fit: "), "{error}");
    let unknown = CallToolRequestParams::new("trust");
    let error = client.service.call_tool(unknown).await.unwrap_err();
    assert!(error.to_string().contains("no tool is called trust"), "{error}");
    client.end().await;
}

/// What `orderflow mcp` makes of this input: its exit code and both outputs.
fn fed(input: &[u8]) -> crate::program::Told {
    let place = granted();
    let mut command = place.command("mcp");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A server that has ended does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    told(child.wait_with_output().unwrap())
}

#[test]
fn garbage_ends_nothing_but_itself() {
    let start = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    for garbage in [&b""[..], b"\n\n", b"not JSON\n", b"\xff\xfe\0\n", b"{\"jsonrpc\": \"2.0\"", b"[[[[[[\n"]
    {
        let ended = fed(garbage);
        assert_eq!((ended.exit, &*ended.out, &*ended.err), (Some(0), "", ""), "{garbage:?}");
        let input =
            [garbage, b"\n", start.as_bytes(), b"\n", garbage, b"\n", ping.as_bytes(), b"\n"].concat();
        let served = fed(&input);
        assert_eq!((served.exit, &*served.err), (Some(0), ""), "{garbage:?}");
        let answers: Vec<Value> =
            served.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let answered =
            |id: Value| answers.iter().any(|answer| answer["id"] == id && answer["result"].is_object());
        assert!(answered(json!(1)) && answered(json!("p")), "{garbage:?}: {}", served.out);
    }
    let deep = [&b"["[..]; 100_000].concat();
    assert_eq!(fed(&[&deep[..], b"\n"].concat()).exit, Some(0));
    // A message that no client begins with.
    let other = fed(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    let message = "error: the input is not of an MCP client\n  help: start it from a coding agent, as docs/mcp.md shows\n";
    assert_eq!((other.exit, &*other.out, &*other.err), (Some(2), "", message));
}

#[tokio::test]
async fn cases_are_tested_and_agents_made_up() {
    let place = Place::new("# Orders\n\n## Pay @bank [effects:: none]\ntotal::Number -> paid::Boolean\n");
    place.write(
        "flow.test.toml",
        "[[case]]\nname = 'pays'\ninputs = { total = 1 }\n[case.answers]\nPay = { outputs = { paid = true } }\n\
         [[case]]\nname = 'fails'\ninputs = { total = 1 }\nexpect = { state = 'failed' }\n[case.answers]\nPay = { outputs = { paid = true } }\n",
    );
    let client = Client::start(&place).await;
    let tested = client.get("test", json!({"document": "flow.md"})).await;
    assert_eq!(tested["passed"], false, "{tested}");
    assert_eq!(tested["documents"], parsed(&place, "test --format json flow.md"));
    let one = client.get("test", json!({"document": "flow.md", "cases": ["pays"]})).await;
    assert_eq!(
        (&one["passed"], one["documents"][0]["cases"].as_array().unwrap().len()),
        (&json!(true), 1),
        "{one}"
    );
    let unknown = client.error("test", json!({"document": "flow.md", "cases": ["pay"]})).await;
    assert!(unknown.contains("unknown case `pay`"), "{unknown}");
    // No program is bound to the agent.
    let items = json!([{"id": "a", "total": 1}]);
    let started = client.get("run", json!({"document": "flow.md", "items": items, "stub": true})).await;
    client.until(started["run"].as_str().unwrap(), "done").await;
    assert_eq!(client.end().await, (Some(0), String::new()));
}

#[tokio::test]
async fn failed_items_are_retried_and_runs_cancelled() {
    let place = Place::new(
        "# Orders\n\n## Pay [effects:: none]\ntotal::Number -> paid::String\n\n```sh run\n\
         test -f open || exit 1\necho yes\n```\n\n## Ship\n> [!gate] Ship?\n\npaid -> shipped::String\n\n\
         ```sh run\necho yes\n```\n",
    );
    place.write("orderflow.toml", "fences = true\n");
    let client = Client::start(&place).await;
    let items = json!([{"id": "a", "total": 1}]);
    let started = client.get("run", json!({"document": "flow.md", "items": items})).await;
    let run = started["run"].as_str().unwrap();
    client.until(run, "failed").await;
    let unknown = client.error("retry", json!({"run": run, "items": ["b"]})).await;
    assert!(unknown.contains("`b`"), "{unknown}");
    place.write("open", "");
    let retried = client.get("retry", json!({"run": run, "items": ["a"]})).await;
    assert_eq!(retried["run"], run, "{retried}");
    client.until(run, "waiting").await;
    let resumed = client.call("resume", json!({"run": run})).await;
    assert!(resumed.is_error == Some(false), "{resumed:?}");
    client.get("cancel", json!({"run": run})).await;
    client.until(run, "cancelled").await;
    assert_eq!(client.end().await, (Some(0), String::new()));
}
