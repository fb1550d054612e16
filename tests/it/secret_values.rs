//! Values of type `Secret`: handed on as they are, and shown nowhere.

use crate::place::Place;

/// A token that a step makes, and a password that the item brings.
const DOCUMENT: &str = "\
---
items: items.jsonl
tolerate: 100%
---
# Login

## Make Token
user::String, password::Secret → token::Secret, parts::Secret[]

```sh run
echo \"password $IN_PASSWORD\" >&2
printf '{\"token\": \"tok-%s-private\", \"parts\": [\"part-one-%s\", \"xy\"], \"note\": \"made tok-%s-private\"}' \\
  \"$IN_USER\" \"$IN_USER\" \"$IN_USER\"
```

## Use
token, user → greeting::String, ok::Boolean

```sh run
[ \"$IN_TOKEN\" = \"tok-$IN_USER-private\" ] && printf '{\"greeting\": \"Bearer %s\", \"ok\": true}' \"$IN_TOKEN\"
```

## Part @x [each:: part in parts]
part, greeting → length::Integer

```sh run
printf '%s' \"${#IN_PART}\"
```

## Log In
token, password, ok, length → done::String

```sh run
echo \"log in with $IN_TOKEN and part-one-$ORDERFLOW_ITEM of $IN_PASSWORD\" >&2
test -e open || exit 65
printf 'in as %s' \"$IN_TOKEN\"
```

## Sum Up [per:: run]
token → count::Integer

```sh run
echo \"failed with tok-ada-private and tok-bob-private\" >&2
test -e open || exit 65
echo 2
```
";

const ITEMS: &str = "{\"id\": \"ada\", \"user\": \"ada\", \"password\": \"pass-of-ada\"}\n\
                     {\"id\": \"bob\", \"user\": \"bob\", \"password\": \"pw\"}\n";

/// What must not be seen.
const SECRETS: [&str; 6] =
    ["tok-ada-private", "tok-bob-private", "pass-of-ada", "part-one-ada", "part-one-bob", "\"xy\""];

fn unseen(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} shows {secret}:\n{text}");
    }
}

#[test]
fn a_secret_value_is_handed_on_and_shown_nowhere() {
    let place = Place::new(DOCUMENT);
    place.write("items.jsonl", ITEMS);
    let ran = place.orderflow("run flow.md --trust");
    assert_eq!(ran.exit, Some(1), "{}{}", ran.out, ran.err);
    let trace = place.read("session.toon");
    for label in ["token_ada", "log in with [secret:token]", "of [secret:password]"] {
        assert!(trace.contains(label), "no {label} in\n{trace}");
    }
    assert!(trace.contains("Bearer [secret:token]") && trace.contains("made [secret:token]"), "{trace}");
    let seen = |what: &str| {
        let told = place.orderflow(what);
        unseen(what, &told.out);
        unseen(what, &told.err);
        told.out
    };
    for (what, text) in [("output", ran.out), ("messages", ran.err), ("trace", trace)] {
        unseen(what, &text);
    }
    for what in ["show last", "show last --format json", "show last --dead-letters"] {
        seen(what);
    }
    let item = seen("show last --item ada");
    assert!(item.contains("takes password: \"[secret:password]\""), "{item}");
    assert!(item.contains("makes greeting: \"Bearer [secret:token]\""), "{item}");
    seen("show last --item ada --format json");
    seen("show last --item :run");

    // What the journal gives back is the value itself, and is known as a secret.
    place.write("open", "");
    let table = seen("show last --dead-letters");
    assert!(table.contains(",[secret:password]\n") || table.contains("\"[secret:password]\""), "{table}");
    place.write("failed.toon", &table);
    let again = place.orderflow("retry last --items failed.toon --trust");
    unseen("retry", &(again.out.clone() + &again.err));
    assert!(again.err.contains("2 succeeded"), "{}{}", again.out, again.err);
    let trace = place.read("session.toon");
    unseen("trace", &trace);
    assert!(trace.contains("in as [secret:token]"), "{trace}");
}

/// The document hands its secret back, and one step of it waits for a person.
const OUTER: &str = "\
# Login

## Make Token
user::String → token::Secret

```sh run
printf 'tok-%s-private' \"$IN_USER\"
```

## Visit [document:: visit.md] [retry:: 0]
token, user → greeting::String, part::Secret

## Leave
part, token, greeting → done::String

```sh run
echo \"leaving with $IN_PART, $IN_TOKEN and $IN_GREETING\" >&2
echo \"left with $IN_PART and $IN_TOKEN\"
```
";

const VISIT: &str = "\
# Visit

## Greet
token::Secret, user::String → greeting::String

```sh run
echo \"greets with $IN_TOKEN\" >&2
printf 'Bearer %s' \"$IN_TOKEN\"
```

## Split
token, user, greeting → part::Secret

> [!gate] May {{ user }} enter?

```sh run
echo \"splits $IN_TOKEN\" >&2
printf 'part-one-%s' \"$IN_USER\"
```
";

#[test]
fn a_secret_that_a_document_gets_and_gives_is_shown_nowhere() {
    let place = Place::new("");
    place.write("login.md", OUTER);
    place.write("visit.md", VISIT);
    let seen = |what: &str, exit: i32| {
        let told = place.orderflow(what);
        assert_eq!(told.exit, Some(exit), "{what}: {}{}", told.out, told.err);
        unseen(what, &told.out);
        unseen(what, &told.err);
        told.out
    };
    let looks = || {
        for what in [
            "show last",
            "show last --format json",
            "show last --failed",
            "show last --item 1 --format json",
            "show last --session -",
            "report last --output report.html --force",
            "resume --explain last",
        ] {
            seen(what, 0);
        }
        unseen("the page", &place.read("report.html"));
        seen("show last --item 1", 0) + &seen("logs last", 0)
    };
    seen("run login.md --trust --input user=ada", 5);
    let waits = looks();
    assert!(waits.contains("greets with [secret:token]"), "{waits}");
    seen("approve last Visit/Split --as ops", 0);
    seen("resume last", 0);
    let done = looks();
    let left = "left with [secret:part] and [secret:token]";
    assert!(done.contains("leaving with [secret:part], [secret:token] and Bearer [secret:token]"), "{done}");
    assert!(done.contains(left), "{done}");
    assert!(place.read("session.toon").contains("token_1,\"Bearer [secret:token]\""));
    unseen("trace", &place.read("session.toon"));
}

/// A process that serves both items at the same time, and logs the passwords of both before it fails one of them.
const SHARED: &str = r#"
import json, sys
calls = []
def send(id, **members): print(json.dumps({"jsonrpc": "2.0", "id": id, **members}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    method, id = call.get("method"), call.get("id")
    if method == "initialize":
        send(id, result={"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}})
    elif method == "tools/list":
        send(id, result={"tools": [{"name": "log_in", "inputSchema": {"type": "object"}}]})
    elif method in ("step/run", "tools/call"):
        params = call["params"]
        calls.append((id, (params.get("inputs") or params.get("arguments"))["user"]))
        if len(calls) == 2:
            print("pass-of-ada pass-of-bob", file=sys.stderr, flush=True)
            for id, user in calls:
                if user == "bob":
                    send(id, error={"code": -32000, "message": "no"})
                else:
                    send(id, result="done" if method == "step/run" else {"content": [{"type": "text", "text": "done"}]})
    elif id is not None:
        send(id, error={"code": -32601, "message": "unknown method"})
"#;

#[test]
fn the_log_of_a_shared_process_shows_no_secret_of_another_item() {
    for kind in ["worker", "mcp"] {
        let place = Place::new(
            "---\nitems: items.jsonl\n---\n# Login\n\n## Log In @shop\nuser::String, password::Secret → done::String\n",
        );
        place.write("items.jsonl", &ITEMS.replace("\"pw\"", "\"pass-of-bob\""));
        place.write("shared.py", SHARED);
        place.write("orderflow.toml", &format!("[agents.shop]\n{kind} = [\"python3\", \"shared.py\"]\n"));
        let ran = place.orderflow("run flow.md --jobs 2");
        assert_eq!(ran.exit, Some(1), "{kind}: {}{}", ran.out, ran.err);
        let shown = place.orderflow("show last --item bob --format json").out;
        assert!(shown.contains("[secret:password] [secret:password]"), "{kind}: {shown}");
        for (what, text) in [("messages", ran.err), ("item", shown), ("trace", place.read("session.toon"))] {
            assert!(!text.contains("pass-of"), "{kind}, {what}: {text}");
        }
    }
}
