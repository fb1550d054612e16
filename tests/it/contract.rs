//! The published schema of the agent contract, held against what orderflow and agents really say to one another.

use crate::python::path;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const DOCUMENT: &str = "\
---
items: items.jsonl
tolerate: 100%
---
# Talk

## Work @worker #talk [timeout:: 8s]
order::JSON → done::JSON, note?::String

## Print @command
done → line::String
";

const ITEMS: &str = r#"{"id": "answers", "order": {"id": 1, "total": 145.50}}
{"id": "columns", "order": [1, "two", null]}
{"id": "refuses", "order": "x"}
{"id": "breaks", "order": 7}
{"id": "hangs", "order": {}}
"#;

/// Writes down every line in both directions.
const WORKER: &str = r#"
import json, sys
told = open("told.jsonl", "a")
def tell(**message):
    line = json.dumps({"jsonrpc": "2.0", **message})
    print(line, file=told, flush=True)
    print(line, flush=True)
for line in sys.stdin:
    told.write(line)
    message = json.loads(line)
    params = message["params"]
    id = message.get("id", params.get("id"))
    tell(method="step/log", params={"id": id, "message": "looking"})
    tell(method="step/progress", params={"id": id, "done": 1, "total": 2})
    match params.get("item"):
        case "answers": tell(id=id, result={"done": params["inputs"]["order"], "note": "so"})
        case "columns": tell(id=id, result={"done": 1, "tokens_used": 7, "fee": 1.5})
        case "refuses": tell(id=id, result={"error": {"message": "no", "code": "no_order", "retryable": False}})
        case "breaks": tell(id=id, error={"code": -32603, "message": "oops", "data": {"outcome": "failed"}})
        case None: tell(id=id, error={"code": -32000, "message": "cancelled", "data": {"outcome": "unknown"}})
"#;

const COMMAND: &str = r#"
import os, sys
inputs = sys.stdin.read()
with open("command.jsonl", "a") as told:
    print(inputs, os.environ["ORDERFLOW_OUTPUTS"], sep="\n", file=told)
print('{"line": "printed", "pages": 1}')
"#;

const SETTINGS: &str = "\
[agents.worker]
worker = [\"python3\", \"-S\", \"worker.py\"]
[agents.command]
command = [\"python3\", \"-S\", \"command.py\"]
";

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agent-contract.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The schema of one definition.
fn definition(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}"), "$defs": schema()["$defs"]})
}

fn wrong(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(value).map(|error| error.to_string()).collect()
}

#[test]
fn real_traffic_fits_the_schema() {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("talk.md", DOCUMENT),
        ("items.jsonl", ITEMS),
        ("worker.py", WORKER),
        ("command.py", COMMAND),
        ("orderflow.toml", SETTINGS),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(["run", "--quiet", "talk.md"])
        .current_dir(folder.path())
        .env("PATH", path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let told = lines("told.jsonl");
    for line in &told {
        assert_eq!(wrong(&schema(), line), [""; 0], "{line}");
    }
    for (name, least) in [("run", 5), ("cancel", 1), ("response", 5), ("log", 6), ("progress", 6)] {
        let definition = definition(name);
        let count = told.iter().filter(|line| wrong(&definition, line).is_empty()).count();
        assert_eq!(count, least, "lines that are {name}");
    }
    let command = lines("command.jsonl");
    assert_eq!(command.len(), 4);
    for pair in command.chunks(2) {
        assert_eq!(wrong(&definition("inputs"), &pair[0]), [""; 0]);
        assert_eq!(wrong(&definition("outputs"), &pair[1]), [""; 0]);
    }
}

#[test]
fn what_is_no_contract_does_not_fit() {
    for (name, value) in [
        ("answer", json!({"error": {"code": "x"}})),
        ("answer", json!({"error": 5})),
        ("answer", json!({"tokens_used": "7"})),
        ("answer", json!({"error": {"message": "no", "outcome": "maybe"}})),
        ("response", json!({"jsonrpc": "2.0", "id": 1})),
        ("response", json!({"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": "no"}})),
        ("response", json!({"jsonrpc": "2.0", "id": "1", "result": 1})),
        ("response", json!({"id": 1, "result": 1})),
        ("log", json!({"jsonrpc": "2.0", "method": "step/log", "params": {}})),
    ] {
        assert!(!wrong(&definition(name), &value).is_empty(), "{name}: {value}");
    }
}
