//! Faults of models, by a mock that speaks the three interfaces of providers: what a run makes of each.

use crate::aimock::Aimock;
use crate::place::Place;
use crate::program::Told;
use serde_json::{Value, json};

const PROTOCOLS: [&str; 3] = ["chat", "messages", "responses"];

const DOCUMENT: &str = "---\ntolerate: 100%\n---\n# Faults\n\n## Ask @judge [retry:: 2 fixed 10ms]\n\
    question::String → yes::Boolean\n\nAnswer this question: {{ question }}\n";

/// A model of the mock: its name, and its answers in order, the last one again and again.
type Scripted = (&'static str, Vec<Value>);

/// A response with this text of the model, a fault by its rate, or an error with a status.
fn says(text: &str) -> Value {
    json!({"response": {"content": text}})
}

fn fault(rate: &str) -> Value {
    json!({"response": {"content": "never"}, "chaos": {rate: 1}})
}

/// A stream whose connection drops in the middle of the answer.
fn truncated() -> Value {
    json!({"response": {"content": YES}, "chunkSize": 3, "truncateAfterChunks": 3})
}

fn ends(text: &str, end: &str) -> Value {
    json!({"response": {"content": text, "finishReason": end}})
}

fn error(status: u16, kind: &str, message: &str) -> Value {
    json!({"response": {"error": {"message": message, "type": kind, "code": kind}, "status": status}})
}

fn limit(seconds: u64) -> Value {
    let mut limit = error(429, "rate_limit_error", "slow down");
    limit["response"]["retryAfter"] = seconds.into();
    limit
}

/// Each model exists once for each protocol, as `NAME-PROTOCOL`, since the mock counts its answers.
fn fixtures(models: &[Scripted]) -> Value {
    let mut fixtures = Vec::new();
    for protocol in PROTOCOLS {
        for (name, answers) in models {
            for (index, answer) in answers.iter().enumerate() {
                let mut fixture = answer.clone();
                fixture["match"] = json!({"model": format!("{name}-{protocol}")});
                if index + 1 < answers.len() {
                    fixture["match"]["sequenceIndex"] = index.into();
                }
                fixtures.push(fixture);
            }
        }
    }
    json!({"fixtures": fixtures})
}

/// A place with a mock of these models; `None` where there is no mock.
fn scene(models: &[Scripted]) -> Option<(Place, Aimock)> {
    let place = Place::new(DOCUMENT);
    let mock = Aimock::start(place.folder(), &fixtures(models))?;
    Some((place, mock))
}

/// A run whose agent is this model behind this protocol.
fn run(place: &Place, mock: &Aimock, protocol: &str, model: &str, args: &str) -> Told {
    place.write(
        "orderflow.toml",
        &format!(
            "[providers.mock]\nurl = \"http://{}/v1\"\nprotocol = \"{protocol}\"\n\
             [agents.judge]\nmodel = \"mock/{model}-{protocol}\"\nmax-tokens = 100\nconcurrency = 1\n",
            mock.address
        ),
    );
    place.orderflow(&format!("run flow.md --quiet {args}"))
}

/// One item; how its step ended.
fn row(place: &Place, mock: &Aimock, protocol: &str, model: &str) -> String {
    let told = run(place, mock, protocol, model, "--input question=Is-it-so?");
    assert_eq!(told.exit, Some(0), "{protocol}: {model}: {}", told.err);
    let rows = place.rows("session.toon");
    let [row] = &rows[..] else { panic!("{protocol}: {model}: {rows:?}") };
    row.strip_prefix("Ask 1 ").unwrap().to_owned()
}

const YES: &str = r#"{"yes":true}"#;

/// The answers of a model, how the step ends, and how many requests it took.
#[test]
fn each_fault_has_its_end_behind_each_protocol() {
    let cases: Vec<(Scripted, &str, usize)> = vec![
        (("good", vec![says(YES)]), "#1 success", 1),
        (("fenced", vec![says(&format!("```json\n{YES}\n```"))]), "#1 success", 1),
        (("wrong", vec![says(r#"{"yes":"so it is"}"#), says(YES)]), "#1 success", 2),
        (("lacking", vec![says("{}"), says(YES)]), "#1 success", 2),
        (("words", vec![says("Yes, it is so."), says(YES)]), "#1 success", 2),
        (
            ("stubborn", vec![says(r#"{"yes":"so it is"}"#)]),
            "#1 failed (output `yes` is not of type Boolean: expected Boolean, found a string)",
            2,
        ),
        (("dropped-once", vec![fault("dropRate"), says(YES)]), "#2 success", 2),
        (
            ("dropped", vec![fault("dropRate")]),
            "#3 failed (the model's provider answered 500 Internal Server Error: Chaos: request dropped)",
            3,
        ),
        (("disconnected-once", vec![fault("disconnectRate"), says(YES)]), "#2 success", 2),
        (
            ("disconnected", vec![fault("disconnectRate")]),
            "#3 failed (no answer from [..]: connection closed before message completed)",
            3,
        ),
        (("malformed-once", vec![fault("malformedRate"), says(YES)]), "#2 success", 2),
        (
            ("malformed", vec![fault("malformedRate")]),
            "#3 failed (the provider's answer is not JSON: expected a key in double quotes (line 1, column 2))",
            3,
        ),
        (("truncated-once", vec![truncated(), says(YES)]), "#2 success", 2),
        (("truncated", vec![truncated()]), "#3 failed (no answer from [..])", 3),
        (("overloaded", vec![error(529, "overloaded_error", "busy"), says(YES)]), "#2 success", 2),
        (
            ("bad", vec![error(400, "invalid_request_error", "bad form")]),
            "#1 failed (the model's provider answered 400 Bad Request: bad form)",
            1,
        ),
        (("cut", vec![ends(r#"{"yes":"#, "length")]), "#1 failed (the answer [..])", 1),
        (("refuses", vec![ends("I will not.", "content_filter")]), "#1 failed (the model [..] to answer)", 1),
    ];
    let models: Vec<Scripted> = cases.iter().map(|(model, ..)| model.clone()).collect();
    let Some((place, mock)) = scene(&models) else { return };
    for protocol in PROTOCOLS {
        for ((model, _), expected, requests) in &cases {
            let told = row(&place, &mock, protocol, model);
            snapbox::Assert::new().eq(format!("{model}: {told}"), format!("{model}: {expected}"));
            let asked = mock.asked(&format!("{model}-{protocol}"));
            assert_eq!(asked.len(), *requests, "{protocol}: {model}");
        }
    }
}

/// The second turn repeats the wrong answer and says what is wrong with it.
#[test]
fn a_correction_names_the_misfit() {
    let Some((place, mock)) = scene(&[("lacking", vec![says(r#"{"no":true}"#), says(YES)])]) else { return };
    for protocol in PROTOCOLS {
        assert_eq!(row(&place, &mock, protocol, "lacking"), "#1 success");
        let asked = mock.asked(&format!("lacking-{protocol}"));
        let said = |turn: usize| asked[turn]["messages"].as_array().unwrap().len();
        assert_eq!(said(0) + 2, said(1), "{protocol}");
        let last = asked[1]["messages"].as_array().unwrap().last().unwrap().to_string();
        assert!(last.contains("That answer cannot be used: output `yes` is not of type Boolean: expected Boolean, found an object"), "{last}");
    }
}

/// The pause that a provider asks for is in the journal's times, although the step's own backoff is 10 ms.
#[test]
fn a_rate_limit_is_waited_for() {
    let Some((place, mock)) = scene(&[("limited", vec![limit(1), says(YES)])]) else { return };
    for protocol in PROTOCOLS {
        assert_eq!(row(&place, &mock, protocol, "limited"), "#2 success");
        let shown = place.orderflow("show last --item 1 --format json").out;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let attempts = &shown["steps"][0]["attempts"];
        let (refused, asked_again) = (&attempts[0]["finished_ms"], &attempts[1]["started_ms"]);
        let waited = asked_again.as_u64().unwrap() - refused.as_u64().unwrap();
        assert!((1000..10_000).contains(&waited), "{protocol}: {waited} ms: {shown}");
        assert_eq!(attempts[0]["error"]["outcome"], "not_executed", "{shown}");
    }
}

#[test]
fn a_rate_limit_beyond_the_deadline_fails_at_once() {
    let Some((place, mock)) = scene(&[("closed", vec![limit(3000)])]) else { return };
    place.write("flow.md", &DOCUMENT.replace("10ms]", "10ms] [deadline:: 20m]"));
    for protocol in PROTOCOLS {
        let told = row(&place, &mock, protocol, "closed");
        assert!(told.contains("429 Too Many Requests: slow down") && told.contains("deadline"), "{told}");
        assert_eq!(mock.asked(&format!("closed-{protocol}")).len(), 1);
    }
}

/// One request for many items: the others would get the same answer.
#[test]
fn an_agent_that_only_a_person_can_help_is_asked_once() {
    let models: Vec<Scripted> = vec![
        ("401", vec![error(401, "authentication_error", "invalid key")]),
        ("402", vec![error(402, "billing_error", "no credit")]),
        ("quota", vec![error(429, "insufficient_quota", "quota used up")]),
    ];
    let Some((place, mock)) = scene(&models) else { return };
    let items = (1..=20).map(|id| format!("{{\"id\": \"{id}\", \"question\": \"Is it {id}?\"}}\n"));
    place.write("items.jsonl", &items.collect::<String>());
    for protocol in PROTOCOLS {
        for (model, why) in [
            ("401", "401 Unauthorized: invalid key"),
            ("402", "402 Payment Required: no credit"),
            ("quota", "429 Too Many Requests: quota used up"),
        ] {
            let told = run(&place, &mock, protocol, model, "--items items.jsonl");
            assert_eq!(told.exit, Some(0), "{}", told.err);
            assert_eq!(mock.asked(&format!("{model}-{protocol}")).len(), 1, "{protocol}: {model}");
            let rows = place.rows("session.toon");
            let refused = format!("#1 failed (the model's provider answered {why})");
            let closed = "#0 failed (agent `judge` is unavailable: the model's provider answered ";
            let count = |end: &str| rows.iter().filter(|row| row.contains(end)).count();
            assert_eq!((count(&refused), count(&format!("{closed}{why})"))), (1, 19), "{rows:?}");
        }
    }
}
