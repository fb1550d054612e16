//! What a step says reaches its agent, with values in their places and nothing executed.

use crate::place::Place;
use crate::python;

const DOCUMENT: &str = r#"---
inputs: {guest: JSON, note: String}
---
# T

## Greet
guest, note → text::String

Greet {{ guest.name }} ({{ guest.friends|length }}), `not {{ here }}`: {{ note }}!

[timeout:: 10s]

1. Say \{{ twice.
2. If guest.name == "x" → Never

> Be brief, {{ guest.name }}.

```prompt
{{ guest.friends }}
```

```js
{{ no.text }}
```

```sh run
cat "$ORDERFLOW_INSTRUCTIONS"
```

## Never
note → never::String

```sh run
test -z "$ORDERFLOW_INSTRUCTIONS" && echo none
```

## After [after:: Greet]
note → after::String

```sh run
test -z "${ORDERFLOW_INSTRUCTIONS-}" && echo none
```
"#;

#[test]
fn values_are_filled_in_and_what_they_hold_stays_text() {
    let place = Place::new(DOCUMENT);
    let guest = r#"{"name":"A {{ note }} $(id) <b>","friends":[1,"é"]}"#;
    let told = place.orderflow("validate flow.md");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let mut command = place.command("run flow.md --trust --quiet --input note=`ls`");
    command.args(["--input", &format!("guest={guest}")]);
    let told = crate::program::told(command.output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = place.orderflow("show last --item 1 --format json").out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let text = shown["steps"][0]["attempts"][0]["outputs"]["text"]
        .as_str()
        .map(str::to_owned)
        .unwrap_or_else(|| panic!("{shown:#}"));
    let expected = "Greet A {{ note }} $(id) <b> (2), `not {{ here }}`: `ls`!\n\n\
        1. Say {{ twice.\n\nBe brief, A {{ note }} $(id) <b>.\n\n[1,\"é\"]";
    assert_eq!(text, expected);
}

#[test]
fn a_missing_member_fails_the_step_before_its_agent_is_asked() {
    let place = Place::new(
        "# T\n\n## Greet\nguest::JSON → text::String\n\nGreet {{ guest.name }}.\n\n```sh run\ntouch asked\n```\n",
    );
    let told = place.run("--quiet --input guest={}");
    assert_eq!(told.exit, Some(1));
    assert!(told.err.contains("Greet failed: the instructions need {{ guest.name }}: "), "{}", told.err);
    assert!(!place.path("asked").exists());
}

/// A worker gets them as a parameter; without any, null.
#[test]
fn a_worker_gets_the_text() {
    let place =
        Place::new("# T\n\n## A @w\nx::String → a::String\n\nDo {{ x }}.\n\n## B @w\na → b::String\n");
    place.write(
        "w.py",
        "import json, sys\nfor line in sys.stdin:\n    call = json.loads(line)\n    \
         print(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': str(call['params']['instructions'])}), flush=True)\n",
    );
    place.write("orderflow.toml", "[agents.w]\nworker = [\"python3\", \"w.py\"]\n");
    let mut command = place.command("run flow.md --quiet --input x=it");
    let told = crate::program::told(command.env("PATH", python::path()).output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["A 1 #1 success", "B 1 #1 success"]);
    let text = place.read("session.toon");
    assert!(text.contains("Do it.") && text.contains(",None,"), "{text}");
}
