//! What the bytes of an answer mean, and what an agent gets: one table for all kinds that hand on an agent's own answer.

use super::kinds::{CLOSURE, COMMAND, CONTAINER, PYTHON, SERVICE, SHELL, TOOL, WORKER};
use super::{Does, Kind, LOG, attempt, gap};
use crate::adapter::contract;
use crate::value::Value;
use serde_json::json;

/// What comes of an error that is not the whole answer.
const STRAY: &str = "BadOutput: the answer has an error in it, but is not that error as JSON: `{\"error\":{\"message\":\"declined\"}}`; \
    print the error alone, and the log to standard error; Unknown, final";

struct Case {
    name: &'static str,
    outputs: &'static str,
    inputs: Value,
    does: Does,
    answer: String,
}

fn case(name: &'static str, outputs: &'static str, does: Does, answer: &str) -> Case {
    Case { name, outputs, inputs: json!({"order": {"id": 1}}), does, answer: answer.to_owned() }
}

fn says(text: &str) -> Does {
    Does::Says(text.into())
}

fn fails(text: &str) -> Does {
    Does::Fails(text.into())
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("an output by its name", "a::Order", says(r#"{"a":{"id":1}}"#), r#"a={"id":1}"#),
        case("an output without its name", "a::Order", says("{\"id\": 1}\n"), r#"a={"id":1}"#),
        case("a scalar without its name", "a::Boolean", says("true\n"), "a=true"),
        case("a list without its name", "a::Integer[]", says("[1, 2]"), "a=[1,2]"),
        case("an amount keeps its digits", "a::Number", says(r#"{"a":145.50}"#), "a=145.50"),
        case("text loses its final newline", "a::String", says("two\nlines\n\n"), r#"a="two\nlines\n""#),
        case("text that is JSON", "a::String", says("5\n"), r#"a="5""#),
        case("text that is an object", "a::String", says("{\"x\": 1}\n\n"), r#"a="{\"x\": 1}\n""#),
        case("no text", "a::String", says(""), r#"BadOutput: expected the output `a`; the answer is empty; Unknown, final"#),
        case("no text that may be null", "a::String?", says(""),
            r#"BadOutput: expected the output `a`; the answer is empty; Unknown, final"#),
        case("no path", "a::File", says(""), r#"BadOutput: expected the output `a`; the answer is empty; Unknown, final"#),
        case("an empty text on purpose", "a::String", says("\n"), r#"a="""#),
        case("an empty text by its name", "a::String", says(r#"{"a":""}"#), r#"a="""#),
        case("no text where it is optional", "a?::String", says(""), ""),
        case("words where no type is given", "a", says("some words"), r#"a="some words""#),
        case("several outputs", "a::Order, b::Boolean", says(r#"{"b":true,"a":{}}"#), "a={}; b=true"),
        case("no outputs, words", "", says("done\n"), ""),
        case("no outputs, columns", "", says(r#"{"carrier":"UPS","tokens_used":7}"#), r#"tokens 7; carrier="UPS""#),
        case("tokens and columns", "a::Order", says(r#"{"a":{},"fee":1.50,"tokens_used":7,"trail":[1]}"#), "a={}; tokens 7; fee=1.50"),
        case("a standard column", "a::Order", says(r#"{"a":{},"status":"x"}"#),
            r#"BadOutput: `status` is a standard column of the trace; report it under another name; Unknown, final"#),
        case("tokens that are no number", "a::Order", says(r#"{"a":{},"tokens_used":"7"}"#),
            r#"BadOutput: `tokens_used` must be a whole number, not "7"; Unknown, final"#),
        case("a cost in words", "a::Order", says(r#"{"a":{},"cost_usd":"0.25","tokens_used":7}"#),
            r#"BadOutput: `cost_usd` must be a number of dollars, such as 0.25, not "0.25"; Unknown, final; tokens 7"#),
        case("a cost below zero", "a::Order", says(r#"{"a":{},"cost_usd":-1}"#),
            "BadOutput: `cost_usd` must be a number of dollars, such as 0.25, not -1; Unknown, final"),
        case("a cost that is null", "a::Order", says(r#"{"a":{},"cost_usd":null}"#), "a={}"),
        case("what an output of a wrong type has cost", "a::Boolean", says(r#"{"a":"yes","fee":2,"tokens_used":7,"cost_usd":0.25}"#),
            "BadOutput: output `a` is not of type Boolean: expected Boolean, found a string; Unknown, final; tokens 7; cost_usd=0.25"),
        case("what a missing output has cost", "a::Order, b::Order", says(r#"{"b":{},"tokens_used":7}"#),
            "BadOutput: missing output `a`; found `tokens_used`; Unknown, final; tokens 7"),
        case("what an error has cost", "a", says(r#"{"error":{"message":"no","tokens_used":7,"cost_usd":0.25}}"#),
            "Refused: no; Failed, again; tokens 7; cost_usd=0.25"),
        case("what a failure has cost", "a", fails(r#"{"error":{"message":"no","tokens_used":7,"cost_usd":0.25}}"#),
            "Refused: no; Failed, again; tokens 7; cost_usd=0.25"),
        case("an error whose cost is text", "a", says(r#"{"error":{"message":"no","tokens_used":"7"},"cost_usd":0.25}"#),
            r#"Refused: no (malformed error: `tokens_used` must be a whole number, not "7"); Failed, final; cost_usd=0.25"#),
        case("an optional output that is there", "a::Order, b?::Order", says(r#"{"a":{},"b":{"id":2}}"#), r#"a={}; b={"id":2}"#),
        case("an optional output that is absent", "a::Order, b?::Order", says(r#"{"a":{}}"#), "a={}"),
        case("an optional output that is null", "a?::Order", says(r#"{"a":null,"why":"none left"}"#), r#"why="none left""#),
        case("nothing said where all is optional", "a?::Order", says("\n"), ""),
        case("one of several that is null", "a::Order, b?::Order", says(r#"{"a":{},"b":null}"#), "a={}"),
        case("an output that may be null", "a::Order, b::Order?", says(r#"{"a":{}}"#), "a={}; b=null"),
        case("a missing output", "a::Order, b::Order", says(r#"{"a":{},"c":{}}"#),
            r#"BadOutput: missing output `b`; found `c`; Unknown, final"#),
        case("no answer", "a::Order", says(""), r#"BadOutput: expected the output `a`; the answer is empty; Unknown, final"#),
        case("an answer for none of several", "a::Order, b::Order", says("true"),
            r#"BadOutput: expected an object with the outputs `a`, `b`; the answer is a Boolean; Unknown, final"#),
        case("an output of a wrong type", "a::Boolean", says(r#"{"a":"yes"}"#),
            r#"BadOutput: output `a` is not of type Boolean: expected Boolean, found a string; Unknown, final"#),
        case("an output that is no JSON", "a::Order", says("oops"),
            r#"BadOutput: output `a`: expected Order, got `oops`; Unknown, final"#),
        case("words in place of several outputs", "a::Order, b::Order", says("so it is,\n\x1b[1m as long as this line may be and longer"),
            r#"BadOutput: expected an object with the outputs `a`, `b`, got `so it is,\n\u{1b}[1m as long as this line may …`; Unknown, final"#),
        case("a key that stands twice", "a::Order", says(r#"{"a":{},"a":{}}"#),
            r#"BadOutput: expected the output `a`; the answer is not JSON: duplicate key `a` in one object (line 1, column 11); Unknown, final"#),
        case("an answer that is not UTF-8", "a::String", Does::Says(b"ab\xff".to_vec()),
            "BadOutput: the answer is not UTF-8 at byte 2; Unknown, final"),
        case("an error in words", "a::Order", says(r#"{"error":"declined"}"#), "Refused: declined; Failed, again"),
        case("an error as an object", "a::Order",
            says(r#"{"error":{"message":"declined","code":"card","retryable":false,"outcome":"unknown"},"fee":2,"tokens_used":7}"#),
            "Refused(card): declined; Unknown, final; tokens 7; fee=2"),
        case("an error without a word", "a::Order", says(r#"{"error":{}}"#), "Refused: the agent gave no message; Failed, again"),
        case("no error", "a::Order", says(r#"{"error":null,"a":{}}"#), "a={}"),
        case("an output that is named error", "error::String", says(r#"{"error":"E17"}"#), r#"error="E17""#),
        case("a failure with an error in words", "a::Order", fails(r#"{"error":"declined"}"#), "Refused: declined; Failed, again"),
        case("a failure with an error as an object", "a::Order",
            fails(r#"{"error":{"message":"declined","retryable":false,"outcome":"not executed"}}"#),
            "Refused: declined; NotExecuted, final"),
        case("a failure where nothing is made", "", fails(r#"{"error":"declined"}"#), "Refused: declined; Failed, again"),
        case("an error behind a line of log", "a::String", says("paying\n{\"error\":{\"message\":\"declined\"}}\n"), STRAY),
        case("an error in JSON that is none", "a::String", says("{\"error\":{\"message\":\"declined\"},}"),
            &STRAY.replace("declined\"}}`", "declined\"},}`")),
        case("an error behind a line of log, for any type", "a", says("paying\n{\"error\":{\"message\":\"declined\"}}"), STRAY),
        case("an error behind a line of log where nothing is made", "", says("paying\n{\"error\":{\"message\":\"declined\"}}"), STRAY),
        case("an error in text that is declared", "error::String", says("x\n{\"error\":1}"), r#"error="x\n{\"error\":1}""#),
        case("an error with a string for a Boolean", "a::String", says(r#"{"error":{"message":"no","retryable":"false"}}"#),
            r#"Refused: no (malformed error: `retryable` must be true or false, not "false"); Failed, final"#),
        case("an error with a number for a Boolean", "a", fails(r#"{"error":{"message":"no","retryable":0}}"#),
            r#"Refused: no (malformed error: `retryable` must be true or false, not 0); Failed, final"#),
        case("an error with another spelling", "a", says(r#"{"error":{"message":"no","isRetriable":false}}"#),
            r#"Refused: no (malformed error: `isRetriable` must be written `retryable`); Failed, final"#),
        case("an error with an unknown outcome", "a", says(r#"{"error":{"message":"no","outcome":"maybe"}}"#),
            r#"Refused: no (malformed error: `outcome` must be failed, unknown or not executed, not "maybe"); Unknown, final"#),
        case("an error whose outcome is no word", "a", says(r#"{"error":{"message":"no","outcome":true}}"#),
            r#"Refused: no (malformed error: `outcome` must be failed, unknown or not executed, not true); Unknown, final"#),
        case("an error whose message is no text", "a", says(r#"{"error":{"message":{"en":"no"}}}"#),
            r#"Refused: {"en":"no"} (malformed error: `message` must be text, not an object); Failed, final"#),
        case("an error whose code is a list", "a", says(r#"{"error":{"message":"no","code":[402]}}"#),
            r#"Refused([402]): no (malformed error: `code` must be text or a number, not a list); Failed, final"#),
        case("an error whose code is a number", "a", says(r#"{"error":{"message":"no","code":402}}"#), "Refused(402): no; Failed, again"),
        case("an error that is a number", "a::String", says(r#"{"error":5}"#),
            r#"Refused: malformed error: `error` must be text or an object, not 5; Unknown, final"#),
        case("an error with empty words", "a::String", says(r#"{"error":""}"#), "Refused: the agent gave no message; Failed, again"),
        case("an error with members that are null", "a",
            says(r#"{"error":{"message":"no","code":null,"retryable":null,"outcome":null}}"#), "Refused: no; Failed, again"),
        case("an error that asks for a pause", "a::String", says(r#"{"error":{"message":"busy","retry_after_ms":1500}}"#), "Refused: busy; Failed, again; after 1500 ms"),
        case("a failure that asks for a pause", "a", fails(r#"{"error":{"message":"busy","retry_after_ms":2e3}}"#), "Refused: busy; Failed, again; after 2000 ms"),
        case("an error that asks for no pause", "a", says(r#"{"error":{"message":"busy","retry_after_ms":null,"unavailable":null}}"#), "Refused: busy; Failed, again"),
        case("an error that asks for a part of a millisecond", "a", says(r#"{"error":{"message":"busy","retry_after_ms":0.5}}"#), r#"Refused: busy (malformed error: `retry_after_ms` must be a whole number of milliseconds, not 0.5); Failed, final"#),
        case("an error that asks for a time in the past", "a", says(r#"{"error":{"message":"busy","retry_after_ms":-1}}"#), r#"Refused: busy (malformed error: `retry_after_ms` must be a whole number of milliseconds, not -1); Failed, final"#),
        case("an error that asks for a pause in words", "a", says(r#"{"error":{"message":"busy","retry_after_ms":"1500"}}"#), r#"Refused: busy (malformed error: `retry_after_ms` must be a whole number of milliseconds, not "1500"); Failed, final"#),
        case("an error that asks for a pause by another name", "a", says(r#"{"error":{"message":"busy","retryAfter":2}}"#), r#"Refused: busy (malformed error: `retryAfter` must be written `retry_after_ms`); Failed, final"#),
        case("an agent that is unavailable", "a::String", says(r#"{"error":{"message":"no credit","unavailable":true}}"#), "Refused(agent_unavailable): no credit; Failed, final; unavailable"),
        case("an agent that is unavailable, with a code", "a", fails(r#"{"error":{"message":"no credit","unavailable":true,"code":"billing"}}"#), "Refused(billing): no credit; Failed, final; unavailable"),
        case("an agent that is available", "a", says(r#"{"error":{"message":"no","unavailable":false,"available":true}}"#), "Refused: no; Failed, again"),
        case("an agent that is unavailable by a number", "a", says(r#"{"error":{"message":"no","unavailable":1}}"#), r#"Refused: no (malformed error: `unavailable` must be true or false, not 1); Failed, final"#),
        case("an agent that is unavailable by another name", "a", says(r#"{"error":{"message":"no","isUnavailable":true}}"#), r#"Refused: no (malformed error: `isUnavailable` must be written `unavailable`); Failed, final"#),
        case("a long message", "a", says(&format!(r#"{{"error":"{}"}}"#, "x".repeat(3000))),
            &format!("Refused: {}…; Failed, again", "x".repeat(2000))),
        case("a list of too many values", "a::JSON", says(&format!("[{}1]", "[],".repeat(500_000))),
            "BadOutput: the answer has more than 1000000 values; Unknown, final"),
        case("inputs by their names", "a::JSON", Does::Returns, r#"a={"order":{"id":1}}"#),
    ];
    for (name, told) in [
        ("RUN", "run-1"), ("STEP", "ProcessPayment"), ("ITEM", "order-7"), ("ATTEMPT", "3"), ("KEY", "key-of-the-effect"),
        ("AGENT", "payment-service"), ("CHANNEL", "payments"), ("DEADLINE", "2026-11-20T08:00:00.000Z"),
        ("INSTRUCTIONS", "Be brief.\nAnd polite."),
    ] {
        cases.push(case(name, "a::String", Does::Tells(name), &format!("a={told:?}")));
    }
    let (mebi, most) = ("x".repeat(1 << 20), contract::LARGEST);
    let large = |name, does, answer: &str| Case { inputs: json!({"text": mebi}), ..case(name, "a::JSON", does, answer) };
    cases.push(large("a mebibyte in and out", Does::Returns, "a=(1048587 bytes)"));
    cases.push(large("a mebibyte that is not read", Does::Blurts(br#"{"a":1}"#.to_vec()), "a=1"));
    cases.push(case("the largest answer", "a::String", Does::Says(vec![b'x'; most]), "a=(16777218 bytes)"));
    cases.push(case("an answer that is too large", "a::String", Does::Says(vec![b'x'; most + 1]),
        "BadOutput: the answer is larger than 16 MiB; Unknown, final"));
    cases
}

/// Asks an agent of a kind for every case that it can do, and reports all wrong answers.
async fn conforms(kind: &dyn Kind) {
    let mut wrong = Vec::new();
    for case in cases() {
        // A tool makes no files.
        let files = kind.name() == "mcp" && case.outputs.contains("::File");
        if files || gap(kind.name(), &case.does).is_some() {
            continue;
        }
        let (answer, told) = attempt(kind, case.name, case.outputs, &case.does, case.inputs).await;
        if told != case.answer {
            wrong.push(format!("{}:\n  expected {}\n  but      {told}", case.name, case.answer));
        }
        let log = answer.err().map(|failure| failure.log);
        let expected = if matches!(case.does, Does::Fails(_)) { LOG } else { "" };
        if log.is_some_and(|log| log != expected) {
            wrong.push(format!("{}: the log is not {expected:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_command_conforms() {
    conforms(&COMMAND).await;
}

#[tokio::test]
async fn a_container_conforms() {
    conforms(&CONTAINER).await;
}

#[tokio::test]
async fn a_shell_fence_conforms() {
    conforms(&SHELL).await;
}

#[tokio::test]
async fn a_python_fence_conforms() {
    conforms(&PYTHON).await;
}

#[tokio::test]
async fn a_worker_conforms() {
    conforms(&WORKER).await;
}

#[tokio::test]
async fn a_tool_conforms() {
    conforms(&TOOL).await;
}

#[tokio::test]
async fn a_service_conforms() {
    conforms(&SERVICE).await;
}

#[tokio::test]
async fn a_closure_conforms() {
    conforms(&CLOSURE).await;
}
