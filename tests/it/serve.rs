//! `orderflow serve`: runs over HTTP, in the JSON of the commands, and requests to change them.

use crate::place::Place;
use crate::program::told;
use crate::serving::{Answer, Serving};
use serde_json::{Value, json};

const FLOW: &str = "\
# Orders

## Pay
name::String -> receipt::File

```sh run
echo \"$IN_NAME\" > \"$ORDERFLOW_DIR/receipt.txt\"
echo receipt.txt
```

## Ship [effects:: none]
> [!gate] Ship {{ name }}?

name, receipt -> shipped::String

```sh run
test \"$(cat \"$IN_RECEIPT\")\" != bad || exit 1
echo yes
```

## Close [await:: order.closed] [effects:: none]
shipped, order_closed::JSON -> closed::String

```sh run
echo closed
```
";

fn place(document: &str) -> Place {
    let place = Place::new(document);
    place.write("orderflow.toml", "fences = true\n");
    place
}

fn serve(place: &Place) -> Serving {
    Serving::start(place.command("serve"))
}

fn parsed(place: &Place, command: &str) -> Value {
    let told = place.orderflow(command);
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{command}: {}{}", told.out, told.err))
}

/// A run of these items, started over HTTP.
#[track_caller]
fn started(server: &Serving, body: Value) -> String {
    let answer = server.post("/api/runs", &body.to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["run"].as_str().unwrap().to_owned()
}

#[track_caller]
fn until(place: &Place, server: &Serving, run: &str, state: &str) -> Value {
    let path = format!("/api/runs/{run}");
    place.until(state, || server.json(&path)["state"] == state);
    server.json(&path)
}

#[track_caller]
fn says(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{answer:?}");
}

#[test]
fn a_run_is_started_shown_decided_and_signalled_over_http() {
    let place = place(FLOW);
    let server = serve(&place);
    assert_eq!(server.json("/api/runs"), json!([]));
    let items = json!([{"id": "a", "name": "Ann"}, {"id": "b/ü", "name": "bad"}]);
    let run = started(&server, json!({"document": "flow.md", "items": items}));
    until(&place, &server, &run, "waiting");
    let base = format!("/api/runs/{run}");
    // The gates, with the values of each item.
    let gates = server.json(&format!("{base}/gates"));
    assert_eq!(gates[0]["step"], "Ship");
    let asked = gates[0]["waiting"].as_array().unwrap();
    let asked: Vec<_> = asked.iter().map(|one| (&one["item"], &one["question"])).collect();
    assert_eq!(asked, [(&json!("a"), &json!("Ship Ann?")), (&json!("b/ü"), &json!("Ship bad?"))]);
    let body = json!({"step": "Ship", "items": ["a"], "by": "@ops", "note": "4711"});
    let approved = server.post(&format!("{base}/approve?resume=true"), &body.to_string());
    assert_eq!(approved.status, 200, "{approved:?}");
    let approved = approved.json();
    assert_eq!((&approved["by"], &approved["gates"][0]["items"]), (&json!("ops"), &json!(["a"])));
    let no = server
        .post(&format!("{base}/reject?resume=true"), &json!({"step": "Ship", "items": ["b/ü"]}).to_string());
    assert_eq!(no.status, 200, "{no:?}");
    place.until("one failed", || server.json(&base)["counts"]["failed"] == 1);
    until(&place, &server, &run, "waiting");
    // An event in binary mode, and in structured mode with the same id.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "e1"),
        ("ce-source", "/shop"),
        ("ce-type", "order.closed"),
        ("ce-subject", "a"),
        ("content-type", "application/json"),
    ];
    let signal = format!("{base}/signal?resume=true");
    let sent = server.ask("POST", &signal, &headers, "{\"total\": 1}");
    assert_eq!(sent.status, 202, "{sent:?}");
    assert_eq!((&sent.json()["already"], &sent.json()["steps"][0]["step"]), (&json!(false), &json!("Close")));
    until(&place, &server, &run, "failed");
    let event =
        json!({"specversion": "1.0", "id": "e1", "source": "/shop", "type": "order.closed", "subject": "a"});
    let again =
        server.ask("POST", &signal, &[("content-type", "application/cloudevents+json")], &event.to_string());
    assert_eq!((again.status, &again.json()["already"]), (202, &json!(true)), "{again:?}");
    // One shape for commands and HTTP.
    let mut shown = parsed(&place, "show last --format json");
    let items = shown.as_object_mut().unwrap().remove("items").unwrap();
    assert_eq!(server.json(&base), shown);
    assert_eq!(server.json("/api/runs/last"), shown);
    assert_eq!(server.json(&format!("{base}/items")), json!({"items": items, "total": 2, "offset": 0}));
    let second = server.json(&format!("{base}/items?offset=1&limit=1"));
    assert_eq!(second, json!({"items": [items[1]], "total": 2, "offset": 1}));
    assert_eq!(server.json("/api/runs"), parsed(&place, "runs --format json"));
    let item = server.json(&format!("{base}/items/b%2F%C3%BC"));
    let mut command = place.command("show last --format json --item");
    assert_eq!(item, serde_json::from_str::<Value>(&told(command.arg("b/ü").output().unwrap()).out).unwrap());
    // Its page has buttons, as long as they do something.
    let page = server.get(&format!("/runs/{run}")).text();
    assert!(page.contains(&format!("data-serve=\"{base}\"")), "{page}");
    // And as a file that makes no requests.
    let report = format!("/runs/{run}/report.html");
    assert!(page.contains(&format!("<a href=\"{report}\" download=\"report-")), "{page}");
    let report = server.get(&report);
    assert_eq!((report.status, report.header("content-disposition")), (200, Some("attachment")));
    assert!(report.header("content-security-policy").unwrap().contains("connect-src 'none'"), "{report:?}");
    assert!(report.text() == place.orderflow("report last -o -").out, "{}", report.text());
    assert!(server.get("/").text().contains(&format!("<a href=\"/runs/{run}\">")));
    // Its files are those that its steps have made.
    let files = server.json(&format!("{base}/files"));
    let of_a = files.as_array().unwrap().iter().find(|file| file["item"] == "a").unwrap();
    assert_eq!((&of_a["step"], &of_a["attempt"], &of_a["bytes"]), (&json!("Pay"), &json!(1), &json!(4)));
    let path = of_a["path"].as_str().unwrap();
    let file = server.get(&format!("{base}/files/{path}"));
    assert_eq!((file.status, file.text().as_str()), (200, "Ann\n"));
    assert_eq!(file.header("content-disposition"), Some("attachment"));
    // Its failed item is retried, and the gate asks again.
    assert_eq!(server.post(&format!("{base}/retry"), "{\"items\": [\"b/ü\"]}").status, 202);
    until(&place, &server, &run, "waiting");
    assert_eq!(server.post(&format!("{base}/cancel"), "").status, 202);
    until(&place, &server, &run, "cancelled");
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let place = place(FLOW);
    place.write("sub/broken.md", "# Broken\n\n## Pay [retry:: x]\na -> b\n");
    place.write("secret.txt", "x\n");
    let server = serve(&place);
    let start = |body: Value| server.post("/api/runs", &body.to_string());
    let outside = "the document must be a markdown file below the served folder";
    for document in ["../flow.md", "/etc/passwd", "secret.txt", "sub/../flow.md", "-x", "", "./flow.md\0.md"]
    {
        says(&start(json!({"document": document})), 422, outside);
    }
    std::os::unix::fs::symlink("/etc", place.path("etc.md")).unwrap();
    says(&start(json!({"document": "etc.md"})), 422, outside);
    says(&start(json!({"document": "no.md"})), 404, "the served folder has no such document");
    let broken = start(json!({"document": "sub/broken.md"}));
    assert_eq!(broken.status, 422, "{broken:?}");
    let detail = broken.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("--> sub/broken.md:3:"), "{detail}");
    let unknown = start(json!({"document": "flow.md", "inputs": {"nme": "x"}}));
    says(&unknown, 422, "the workflow has no input `nme`; nothing was run");
    assert_eq!(unknown.json()["help"], "did you mean `name`?");
    says(
        &start(json!({"document": "flow.md", "inputs": {"a=b": 1}})),
        422,
        "the name of an input has no `=`",
    );
    says(
        &start(json!({"document": "flow.md", "x": 1})),
        400,
        "the body does not fit: unknown field `x`, expected one of `document`, `items`, `inputs`, `keys`",
    );
    assert_eq!(server.json("/api/runs"), json!([]));
    says(&server.get("/api/runs/last"), 404, "no runs are stored here");
    let run = started(&server, json!({"document": "flow.md", "inputs": {"name": "@Ann"}}));
    until(&place, &server, &run, "waiting");
    let base = format!("/api/runs/{run}");
    assert_eq!(server.json(&format!("{base}/gates"))[0]["waiting"][0]["question"], "Ship @Ann?");
    let no_gate = server.post(&format!("{base}/approve"), "{\"step\": \"Pay\"}");
    says(&no_gate, 422, "`Pay` has no gate; nothing was recorded");
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "s", "type": "order.closd", "subject": "1"});
    let structured = [("content-type", "application/cloudevents+json")];
    let wrong = server.ask("POST", &format!("{base}/signal"), &structured, &event.to_string());
    says(
        &wrong,
        422,
        "no step of this workflow waits for an event of the type `order.closd`; nothing was recorded",
    );
    let no_event = server.post(&format!("{base}/signal"), "{}");
    assert_eq!(no_event.status, 400, "{no_event:?}");
    // A run that another process runs is not resumed a second time.
    let mut other = place.command("resume last --wait --quiet").spawn().unwrap();
    until(&place, &server, &run, "running");
    assert_eq!(server.post(&format!("{base}/resume"), "").status, 409);
    assert_eq!(server.post(&format!("{base}/retry"), "").status, 409);
    assert_eq!(server.post(&format!("{base}/approve?resume=true"), "{\"step\": \"Ship\"}").status, 200);
    assert_eq!(server.post(&format!("{base}/cancel"), "").status, 202);
    other.wait().unwrap();
    until(&place, &server, &run, "cancelled");
}

#[test]
fn a_run_stays_when_its_server_is_killed() {
    let place = place(
        "# Slow\n\n## Wait [effects:: none]\nname::String -> out::String\n\n```sh run\ntouch began\nuntil test -e go; do sleep 0.02; done\necho done\n```\n",
    );
    let mut server = serve(&place);
    let run = started(&server, json!({"document": "flow.md", "inputs": {"name": "x"}}));
    place.await_file("began");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    place.write("go", "");
    place.until("the run ends", || parsed(&place, "runs --format json")[0]["state"] == "done");
    assert_eq!(parsed(&place, "runs --format json")[0]["run"], run);
    let again = serve(&place);
    assert_eq!(again.json(&format!("/api/runs/{run}"))["state"], "done");
}

#[test]
fn only_what_is_allowed_is_listened_at() {
    let place = place(FLOW);
    let all = place.orderflow("serve --addr 0.0.0.0:0");
    assert_eq!(all.exit, Some(2));
    assert_eq!(
        all.err,
        "error: 0.0.0.0:0 can be reached from other machines, and this server speaks no TLS\n  \
         help: put a proxy before it: --behind-proxy https://HOST --token-file FILE\n"
    );
    let no_token = place.orderflow("serve --addr 0.0.0.0:0 --behind-proxy https://flows.example.org");
    assert_eq!(no_token.exit, Some(2), "{no_token:?}");
    place.write("token", "short\n");
    let short = place.orderflow("serve --token-file token");
    assert_eq!(short.exit, Some(3));
    assert!(
        short.err.starts_with("error: token has no token: at least 16 letters, digits, and -_.~\n"),
        "{short:?}"
    );
    for origin in
        ["flows.example.org", "https://flows.example.org/a", "ftp://flows.example.org", "https://a@b"]
    {
        let wrong = place.orderflow(&format!("serve --token-file token --behind-proxy {origin}"));
        assert_eq!(wrong.exit, Some(2), "{wrong:?}");
    }
    // A token that is given is not printed.
    place.write("token", "0123456789abcdef-~._\n");
    let mut server = Serving::start(place.command("serve --token-file token --addr 0"));
    assert_eq!(server.token, "");
    server.token = "0123456789abcdef-~._".to_owned();
    assert_eq!(server.json("/api/runs"), json!([]));
    // Ctrl-C is its end.
    let child = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(child, rustix::process::Signal::INT).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_link_gives_a_browser_a_cookie() {
    let place = place(FLOW);
    let server = serve(&place);
    let link = server.ask_without_token("GET", &format!("/api/runs?token={}", server.token), &[], "");
    assert_eq!((link.status, link.header("location")), (303, Some("/api/runs")));
    let cookie = link.header("set-cookie").unwrap();
    let port = server.address.port();
    assert_eq!(cookie, format!("orderflow-{port}={}; path=/; httponly; samesite=strict", server.token));
    let pair = cookie.split(';').next().unwrap();
    let list = server.ask_without_token("GET", "/api/runs", &[("cookie", pair)], "");
    assert_eq!((list.status, list.text().as_str()), (200, "[]\n"));
    let elsewhere =
        server.ask_without_token("GET", &format!("//evil.example.org/?token={}", server.token), &[], "");
    assert_eq!((elsewhere.status, elsewhere.header("location")), (303, Some("/")));
}

const LETTERS: &str = "\
---
items: letters.jsonl
key: id
---
# Letters

## Send
name::String, towns::String[], code?::Secret -> sent::String

```sh run
echo \"$IN_NAME $IN_TOWNS $IN_CODE\" >> sent.log
case \"$IN_NAME\" in Bo*|Cy) exit 65;; esac
echo sent
```
";

#[test]
fn failed_items_are_retried_with_other_inputs() {
    let place = place(LETTERS);
    place.write(
        "letters.jsonl",
        "{\"id\": \"a\", \"name\": \"Ada\", \"towns\": [\"Rome\"]}\n\
         {\"id\": \"b\", \"name\": \"Bo, jr\", \"towns\": [\"Oslo\", \"Bonn\"], \"code\": \"4711-0815\"}\n\
         {\"id\": \"c\", \"name\": \"Cy\", \"towns\": []}\n",
    );
    let server = serve(&place);
    let run = started(&server, json!({"document": "flow.md"}));
    until(&place, &server, &run, "failed");
    let base = format!("/api/runs/{run}");
    let letters = server.json(&format!("{base}/dead-letters"));
    assert_eq!(
        letters[0],
        json!({"key": "b", "step": "Send", "error": "exited with 65 (bad input)", "attempts": 1,
            "inputs": {"name": "Bo, jr", "towns": ["Oslo", "Bonn"], "code": "[secret:code]"}})
    );
    assert_eq!(letters.as_array().unwrap().len(), 2, "{letters}");

    // Whatever does not fit is refused as a whole.
    let retry = |body: Value| server.post(&format!("{base}/retry"), &body.to_string());
    for (edited, problem) in [
        (json!([{"key": "b", "inputs": {"towns": "Oslo"}}]), "`towns`"),
        (json!([{"key": "b", "inputs": {"town": "Oslo"}}]), "did you mean `towns`"),
        (json!([{"key": "a", "inputs": {"name": "Eve"}}]), "`a`"),
        (json!([{"key": "b", "inputs": {}}, {"key": "b", "inputs": {}}]), "duplicate key `b`"),
    ] {
        let answer = retry(json!({"edited": edited}));
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.text().contains(problem), "{problem}: {}", answer.text());
    }
    // What is sent back as it was stays, the secret too.
    let edited = json!([{"key": "b", "inputs": {"name": "Ben\n\"B\", @x", "towns": ["Oslo"], "code": "[secret:code]"}}]);
    let answer = retry(json!({"items": ["c"], "edited": edited}));
    assert_eq!(answer.status, 202, "{answer:?}");
    let ended = until(&place, &server, &run, "failed");
    assert_eq!(
        (ended["counts"]["succeeded"].as_u64(), ended["counts"]["failed"].as_u64()),
        (Some(2), Some(1))
    );
    let sent = place.read("sent.log");
    assert!(sent.contains("Ben\n\"B\", @x [\"Oslo\"] 4711-0815\n"), "{sent}");
    assert_eq!(sent.matches("Cy [] ").count(), 2, "{sent}");
}
