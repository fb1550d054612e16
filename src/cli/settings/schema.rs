//! The JSON Schema of `orderflow.toml`, made from the tables of keys that the reader knows.

use super::channels::{CHANNEL, ROUTES};
use super::notify::NOTIFY;
use super::read::{AGENT, TOP, WAYS};
use super::{Engine, containers, providers};
use crate::adapter::coder::{KINDS, PRESETS};
use crate::adapter::worker::MOST;
use crate::value::{Object, Value};
use serde_json::json;

/// The schema of a whole file.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "orderflow.toml",
        "description": "Who does the work of workflows, with what limits and grants",
    });
    let table = table(&TOP, &top, json!({}));
    if let (Value::Object(schema), Value::Object(table)) = (&mut schema, table) {
        schema.extend(table);
    }
    schema
}

/// A table with these keys, and further rules.
fn table(keys: &[&str], of: &dyn Fn(&str) -> Value, rules: Value) -> Value {
    let properties: Object = keys.iter().map(|key| ((*key).to_owned(), of(key))).collect();
    let mut table = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if let (Value::Object(table), Value::Object(rules)) = (&mut table, rules) {
        table.extend(rules);
    }
    table
}

/// A table of names, each with such a table.
fn named(what: &str, table: Value) -> Value {
    json!({"description": what, "type": "object", "additionalProperties": table})
}

fn about(what: &str, mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), what.into());
    }
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

/// A command line: a program with its arguments.
fn program() -> Value {
    json!({"type": "array", "items": text(), "minItems": 1})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 1})
}

fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"enum": names.into_iter().collect::<Vec<_>>()})
}

fn url() -> Value {
    json!({"type": "string", "pattern": "^https?://"})
}

fn secret() -> Value {
    json!({"type": "string", "pattern": "^secret:[A-Za-z_][A-Za-z0-9_]*$"})
}

fn headers() -> Value {
    json!({"type": "object", "additionalProperties": text()})
}

fn top(key: &str) -> Value {
    let ways: Vec<Value> = WAYS.iter().map(|way| json!({"required": [way]})).collect();
    let none = json!({"not": {"anyOf": ways}});
    let one_way: Vec<Value> = ways.into_iter().chain([none]).collect();
    match key {
        "fences" => about("Whether the programs in documents of this folder may run", flag()),
        "agents" => named("Agents by their names", table(&AGENT, &agent, json!({"oneOf": one_way}))),
        "channels" => named("Channels by their names", table(&CHANNEL, &channel, routes())),
        "providers" => {
            named("Providers of models by their names", table(&providers::KEYS, &provider, json!({})))
        }
        "notify" => {
            let command = table(&NOTIFY, &notify, json!({"required": ["command"]}));
            about("The command that is run when someone has to act", command)
        }
        _ => json!(false),
    }
}

/// A channel has one way of events at most, and types with one.
fn routes() -> Value {
    let ways: Vec<Value> = ROUTES.iter().map(|way| json!({"required": [way, "types"]})).collect();
    let any: Vec<Value> = ROUTES.iter().map(|way| json!({"required": [way]})).collect();
    let none = json!({"not": {"anyOf": any}});
    json!({"oneOf": ways.into_iter().chain([none]).collect::<Vec<_>>()})
}

fn agent(key: &str) -> Value {
    match key {
        "command" => about("A program that is started for every attempt, with its arguments", program()),
        "worker" => about("A program that stays and answers many calls, with its arguments", program()),
        "processes" => about(
            "With worker: the most processes",
            json!({"type": "integer", "minimum": 1, "maximum": MOST}),
        ),
        "container" => {
            let table = table(&containers::KEYS, &container, json!({"required": ["image"]}));
            about("A program in a container that is started for every attempt", table)
        }
        "http" => about("The address of a service that answers POST", url()),
        "start" => about("With http: the program that starts the service, with its arguments", program()),
        "paths" => about(
            "With http: the paths of single steps at the service",
            json!({"type": "object", "additionalProperties": {"type": "string", "pattern": "^/([^/]|$)"}}),
        ),
        "mcp" => about("The command of an MCP server, or its address", json!({"anyOf": [program(), url()]})),
        "tool" => about("With mcp: the tool of the server", json!({"type": "string", "minLength": 1})),
        "key" => about("The bearer token: secret: and the name of a secret", secret()),
        "headers" => about("Headers of requests; a value may end with secret: and a name", headers()),
        "model" => about(
            "The names of a provider and its model, such as openai/gpt-5",
            json!({"type": "string", "pattern": "^[^/]+/."}),
        ),
        "acp" => about("A coding agent that speaks the Agent Client Protocol, with its arguments", program()),
        "preset" => about("A known coding agent", one_of(PRESETS.iter().map(|(name, _)| *name))),
        "folder" => about("Where a coding agent works", one_of(["shared", "copy", "worktree"])),
        "allow" => about(
            "The kinds of tools that a coding agent may use without a question",
            json!({"type": "array", "items": one_of(KINDS)}),
        ),
        "ask" => about("Whether a person is asked what the agent asks", flag()),
        "mode" => about("With preset: how the coding agent is spoken to", one_of(["acp", "headless"])),
        "instructions" => about("The file of instructions that precede every prompt", text()),
        "max-tokens" => about("With model: the most tokens of an answer", count()),
        "concurrency" => about("The most calls at a time", count()),
        "env" => {
            about("Environment variables that it gets; with ? behind a name, it may be missing", texts())
        }
        "secrets" => about(
            "Secrets that it gets as variables: names, or names with file: or env: and a place",
            json!({"anyOf": [texts(), {
                "type": "object",
                "additionalProperties": {"type": "string", "pattern": "^(file:.|env:[A-Za-z_])"},
            }]}),
        ),
        "effects" => about(
            "Whether it has effects, or which steps have",
            json!({"anyOf": [flag(), {"type": "object", "additionalProperties": flag()}]}),
        ),
        "idempotent" => about("Whether a repeated call with the same key has no further effect", flag()),
        _ => json!(false),
    }
}

fn container(key: &str) -> Value {
    match key {
        "image" => about("The name of the image", json!({"type": "string", "pattern": "^[^-]"})),
        "command" => about("The program in the container, with its arguments", program()),
        "network" => about("Whether it has a network", flag()),
        "engine" => about("The engine of containers", one_of(Engine::ALL.map(Engine::name))),
        _ => json!(false),
    }
}

fn channel(key: &str) -> Value {
    let path = || json!({"type": "string", "minLength": 1});
    match key {
        "concurrency" => about("The most attempts at a time", count()),
        "rate" => about(
            "The most starts in a time, such as 50/s, 10/m or 100/h",
            json!({"type": "string", "pattern": r"^\s*\+?[0-9.][0-9.eE+-]*\s*/\s*[smh]\s*$"}),
        ),
        "types" => about("The types of its events, such as order.created or order.*", texts()),
        "append" => about("Events are appended to this file", path()),
        "follow" => about("Events are the lines of this file", path()),
        "post" => about("Events are posted to this address", url()),
        "listen" => about(
            "Events are posted to this address and port",
            json!({"type": "string", "pattern": ":[0-9]+$"}),
        ),
        "nats" => {
            about("The address of a server of NATS", json!({"type": "string", "pattern": "^(nats|tls)://"}))
        }
        "stream" => {
            about("With nats: the stream", json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}))
        }
        "prefix" => about("With nats: the beginning of the subjects", path()),
        "user" => about("With nats: the user whose password is the key", path()),
        "key" => about("A bearer token, or a password: secret: and the name of a secret", secret()),
        _ => json!(false),
    }
}

fn provider(key: &str) -> Value {
    let dollars = json!({"type": "number", "minimum": 0});
    match key {
        "protocol" => about("The interface", one_of(["chat", "messages", "responses"])),
        "url" => about("The address of the interface", url()),
        "key" => about("secret: and the name of a secret", secret()),
        "headers" => about("Headers of requests; a value may end with secret: and a name", headers()),
        "price" => about(
            "Dollars for a million tokens",
            table(&providers::PRICE, &|_| dollars.clone(), json!({"required": providers::PRICE})),
        ),
        _ => json!(false),
    }
}

fn notify(key: &str) -> Value {
    match key {
        "command" => about("The program with its arguments", program()),
        "env" => about("Environment variables that it gets", texts()),
        _ => json!(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Diagnostic, Source};

    fn accepts(text: &str) -> bool {
        let table: toml::Table = text.parse().unwrap();
        let value = serde_json::to_value(table).unwrap();
        jsonschema::validator_for(&schema()).unwrap().is_valid(&value)
    }

    fn reads(text: &str) -> bool {
        let (_, problems) = super::super::read::read_as(&Source::new("orderflow.toml", text), true);
        !problems.iter().any(Diagnostic::is_error)
    }

    /// No key of the tables is without a schema.
    #[test]
    fn every_key_has_a_description() {
        fn look(schema: &Value, at: &str) {
            for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
                let at = format!("{at}.{key}");
                let is_price = at.contains(".price.");
                assert!(inner["description"].is_string() || is_price, "{at}: {inner}");
                look(inner, &at);
                look(&inner["additionalProperties"], &at);
            }
        }
        look(&schema(), "");
    }

    /// Whatever the schema says of these, the reader says as well.
    #[test]
    fn the_schema_and_the_reader_agree() {
        let agent = |keys: &str| format!("[agents.a]\n{keys}\n");
        let channel = |keys: &str| format!("[channels.a]\n{keys}\n");
        let right = [
            String::new(),
            "fences = true\n[notify]\ncommand = [\"x\"]\nenv = [\"A\", \"B?\"]\n".into(),
            agent("command = [\"x\", \"y\"]\nconcurrency = 2\nenv = [\"A?\"]\neffects = { Pay = false }\nidempotent = true"),
            agent("worker = [\"x\"]\nprocesses = 4\neffects = false\nsecrets = [\"K\"]"),
            agent("container = { image = \"x\", command = [\"y\"], network = true, engine = \"podman\" }"),
            agent("http = \"http://127.0.0.1:8080/x\"\nstart = [\"x\"]\npaths = { Pay = \"/pay\" }\nkey = \"secret:K\""),
            agent("mcp = [\"x\"]\ntool = \"t\"\nask = true"),
            agent("mcp = \"https://x/mcp\"\nheaders = { X-Key = \"secret:K\" }"),
            agent("model = \"openai/gpt-5\"\nmax-tokens = 100\ninstructions = \"x.md\""),
            agent("preset = \"claude\"\nmode = \"headless\"\nfolder = \"worktree\""),
            agent("acp = [\"x\"]\nallow = [\"read\"]\nask = true\nsecrets = { K = \"file:/x\", L = \"env:L\" }"),
            agent("concurrency = 3"),
            channel("concurrency = 3\nrate = \"50/s\""),
            channel("rate = \" 1.5 / m \""),
            channel("append = \"x.jsonl\"\ntypes = [\"order.*\"]"),
            channel("nats = \"nats://127.0.0.1:4222\"\nstream = \"S\"\nprefix = \"a\"\nuser = \"u\"\nkey = \"secret:K\"\ntypes = [\"*\"]"),
            channel("listen = \"127.0.0.1:80\"\ntypes = [\"a\"]\nkey = \"secret:K\""),
            "[providers.p]\nprotocol = \"chat\"\nurl = \"http://x/v1\"\nkey = \"secret:K\"\nprice = { input = 1, output = 2.5 }\n".into(),
        ];
        for text in right {
            assert!(reads(&text), "the reader refuses {text}");
            assert!(accepts(&text), "the schema refuses {text}");
        }
        let wrong = [
            "fences = 1\n".into(),
            "agent = {}\n".into(),
            "agents = 1\n".into(),
            "[notify]\ncommand = []\n".into(),
            "[agents]\na = 1\n".into(),
            agent("command = \"x\""),
            agent("command = []"),
            agent("comand = [\"x\"]"),
            agent("command = [\"x\"]\nworker = [\"y\"]"),
            agent("worker = [\"x\"]\nprocesses = 0"),
            agent("container = { command = [\"y\"] }"),
            agent("container = { image = \"-x\" }"),
            agent("container = { image = \"x\", engine = \"lxc\" }"),
            agent("http = \"ftp://x\""),
            agent("http = \"http://x\"\npaths = { Pay = \"pay\" }"),
            agent("http = \"http://x\"\nkey = \"K\""),
            agent("model = \"gpt\""),
            agent("preset = \"x\""),
            agent("acp = [\"x\"]\nfolder = \"y\""),
            agent("command = [\"x\"]\nconcurrency = -1"),
            agent("command = [\"x\"]\nenv = \"A\""),
            agent("command = [\"x\"]\neffects = \"no\""),
            agent("command = [\"x\"]\nsecrets = { K = \"x\" }"),
            channel("rate = \"50\""),
            channel("rate = 50"),
            channel("append = \"x\""),
            channel("append = \"x\"\npost = \"http://x\"\ntypes = [\"a\"]"),
            channel("nats = \"http://x\"\nstream = \"S\"\ntypes = [\"a\"]"),
            "[providers.p]\nurl = \"http://x\"\nprotocol = \"soap\"\n".into(),
            "[providers.p]\nurl = \"http://x\"\nprice = { input = 1 }\n".into(),
        ];
        for text in wrong {
            assert!(!reads(&text), "the reader accepts {text}");
            assert!(!accepts(&text), "the schema accepts {text}");
        }
    }
}
