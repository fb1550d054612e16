//! One table of what every adapter must do, whoever does the step. An adapter joins with a maker, which knows
//! how to make an agent that does what a case says, and a test of one line.

use super::super::fake::fake;
use super::super::process::ProgramAgent;
use super::super::program::Program;
use super::super::worker::Worker;
use super::super::{Adapter, Call, Stop, Urgency, contract, fence};
use super::http::serve;
use super::{PATIENCE, call, describe, until};
use crate::event::{Answer, Cause, Outcome};
use crate::value::Value;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// What an agent does with a call.
#[derive(Clone, Debug)]
enum Does {
    /// Reads its inputs and answers with these bytes.
    Says(Vec<u8>),
    /// Answers with these bytes and never looks at its inputs.
    Blurts(Vec<u8>),
    /// Logs two lines, answers with these bytes, and fails in the way that its kind has for it.
    Fails(Vec<u8>),
    /// Answers `{"a": <its inputs>}`.
    Returns,
    /// Answers `{"a": "<what it is told under this name>"}`.
    Tells(&'static str),
    /// Makes the file `ready` in the item's folder, and answers with these bytes once it is asked to stop.
    Finishes(Vec<u8>),
    /// Makes the file `ready`, and does not care that it is asked to stop.
    Ignores,
}

/// What comes of an error that is not the whole answer.
const STRAY: &str = "BadOutput: the answer has an error in it, but is not that error as JSON: `{\"error\":{\"message\":\"declined\"}}`; \
    print the error alone, and the log to standard error; Unknown, final";

const LOG: &str = "first words\nlast words\n";

/// An agent for what a case says; the folder is its own.
type Maker = fn(&Does, &Path) -> Arc<dyn Adapter>;

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
            r#"BadOutput: expected the output `a`; the answer is not JSON: duplicate key "a" in one object at line 1 column 11; Unknown, final"#),
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
        case("an answer when asked to stop", "a::Order", Does::Finishes(br#"{"a":{}}"#.to_vec()), "a={}"),
        case("an agent that is killed", "a::Order", Does::Ignores, "Stopped: ended by signal 9; Unknown, again"),
    ];
    for (name, told) in [
        ("RUN", "run-1"), ("STEP", "ProcessPayment"), ("ITEM", "order-7"), ("ATTEMPT", "3"), ("KEY", "key-of-the-effect"),
        ("AGENT", "payment-service"), ("CHANNEL", "payments"), ("DEADLINE", "2026-11-20T08:00:00.000Z"),
        ("INSTRUCTIONS", "Be brief.\nAnd polite."),
    ] {
        cases.push(case("context", "a::String", Does::Tells(name), &format!("a={told:?}")));
    }
    let (mebi, most) = ("x".repeat(1 << 20), contract::LARGEST);
    let large = |name, does, answer: &str| Case { inputs: json!({"text": mebi}), ..case(name, "a::JSON", does, answer) };
    cases.push(large("a mebibyte in and out", Does::Returns, "a=(1048587 bytes)"));
    cases.push(large("a mebibyte that nobody reads", Does::Blurts(br#"{"a":1}"#.to_vec()), "a=1"));
    cases.push(case("the largest answer", "a::String", Does::Says(vec![b'x'; most]), "a=(16777218 bytes)"));
    cases.push(case("an answer that is too large", "a::String", Does::Says(vec![b'x'; most + 1]),
        "BadOutput: the answer is larger than 16 MiB; Unknown, final"));
    cases
}

/// Holds an adapter to every case, and says all that it gets wrong.
async fn conforms(make: Maker) {
    conforms_to(cases(), make).await;
}

async fn conforms_to(cases: Vec<Case>, make: Maker) {
    let mut wrong = Vec::new();
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let adapter = make(&case.does, folder.path());
        let call = call(folder.path(), case.outputs, case.inputs.clone());
        let (outputs, ready) = (call.outputs.clone(), call.dir.join("ready"));
        std::fs::create_dir_all(&call.dir).unwrap();
        let (stopper, stop) = Stop::new();
        let ask = async {
            let kill = match case.does {
                Does::Finishes(_) => false,
                Does::Ignores => true,
                _ => return,
            };
            until("the agent works", || ready.exists()).await;
            stopper.ask(Urgency::Terminate);
            if kill {
                stopper.ask(Urgency::Kill);
            }
        };
        let both = async { tokio::join!(adapter.call(call, stop), ask).0 };
        let Ok(answer) = tokio::time::timeout(PATIENCE, both).await else {
            panic!("{}: no end of the attempt", case.name);
        };
        let told = describe(&outputs, &answer);
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
    conforms(command).await;
}

#[tokio::test]
async fn a_shell_fence_conforms() {
    conforms(shell).await;
}

#[tokio::test]
async fn a_python_fence_conforms() {
    conforms(python).await;
}

/// Its answers travel as JSON, which is always UTF-8.
#[tokio::test]
async fn a_worker_conforms() {
    let can_say = |case: &Case| match &case.does {
        Does::Says(bytes) => std::str::from_utf8(bytes).is_ok(),
        _ => true,
    };
    conforms_to(cases().into_iter().filter(can_say).collect(), worker).await;
}

/// Its failures are statuses, and a cancelled request has no answer: `http` has a table of its own for these. Only what
/// fits a header is beside its inputs.
#[tokio::test]
async fn a_service_conforms() {
    let can_do = |case: &Case| {
        let other = matches!(case.does, Does::Fails(_) | Does::Finishes(_) | Does::Ignores);
        !other && !matches!(case.does, Does::Tells("INSTRUCTIONS"))
    };
    conforms_to(cases().into_iter().filter(can_do).collect(), service).await;
}

#[tokio::test]
async fn a_closure_conforms() {
    conforms(closure).await;
}

fn command(does: &Does, folder: &Path) -> Arc<dyn Adapter> {
    let program = folder.join("agent");
    std::fs::write(&program, format!("#!/bin/sh\n{}", shell_source(does, folder))).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    process(vec![program.to_string_lossy().into_owned()], folder)
}

fn shell(does: &Does, folder: &Path) -> Arc<dyn Adapter> {
    let words = fence::interpreter("sh").unwrap().iter().map(|word| word.to_string());
    process(fenced(words.collect(), folder, &shell_source(does, folder)), folder)
}

fn python(does: &Does, folder: &Path) -> Arc<dyn Adapter> {
    let mut words: Vec<String> =
        fence::interpreter("python").unwrap().iter().map(|word| word.to_string()).collect();
    words[0].clone_from(&PYTHON);
    process(fenced(words, folder, &python_source(does, folder)), folder)
}

/// The interpreter itself: what PATH finds may be a slow way to it.
pub(super) static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output =
        std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
});

fn fenced(mut words: Vec<String>, folder: &Path, source: &str) -> Vec<String> {
    let program = folder.join("program");
    std::fs::write(&program, source).unwrap();
    words.push(program.to_string_lossy().into_owned());
    words
}

fn process(command: Vec<String>, folder: &Path) -> Arc<dyn Adapter> {
    let path = std::env::var_os("PATH").unwrap();
    let env = vec![("PATH".to_owned(), path)];
    Arc::new(ProgramAgent::new(Program { command, folder: folder.to_owned(), env }))
}

/// The bytes that an agent says, in a file of its own.
fn kept(bytes: &[u8], folder: &Path) -> PathBuf {
    let path = folder.join("answer");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn shell_source(does: &Does, folder: &Path) -> String {
    let cat = |bytes: &[u8]| format!("cat '{}'", kept(bytes, folder).display());
    let ready = ": > \"$ORDERFLOW_DIR/ready\"";
    match does {
        Does::Says(bytes) => format!("cat > /dev/null\n{}\n", cat(bytes)),
        Does::Blurts(bytes) => format!("{}\n", cat(bytes)),
        Does::Fails(bytes) => {
            format!("cat > /dev/null\necho first words >&2; echo last words >&2\n{}\nexit 1\n", cat(bytes))
        }
        Does::Returns => "printf '{\"a\":'; cat; printf '}'\n".to_owned(),
        Does::Tells("INSTRUCTIONS") => "cat \"$ORDERFLOW_INSTRUCTIONS\"".to_owned(),
        Does::Tells(name) => format!("printf '{{\"a\":\"%s\"}}' \"$ORDERFLOW_{name}\"\n"),
        Does::Finishes(bytes) => {
            format!("trap \"{}; exit 0\" TERM\n{ready}\nsleep 1000 & wait\n", cat(bytes))
        }
        Does::Ignores => format!("trap '' TERM\n{ready}\nsleep 1000\n"),
    }
}

fn python_source(does: &Does, folder: &Path) -> String {
    let head = "import json, os, signal, sys, time\n\
        def ready(): open(os.environ['ORDERFLOW_DIR'] + '/ready', 'w').close()\n\
        def say(*_): sys.stdout.buffer.write(open('answer', 'rb').read())\n";
    let body = match does {
        Does::Says(bytes) | Does::Blurts(bytes) | Does::Fails(bytes) | Does::Finishes(bytes) => {
            kept(bytes, folder);
            match does {
                Does::Says(_) => "json.load(sys.stdin)\nsay()",
                Does::Fails(_) => "print('first words\\nlast words', file=sys.stderr)\nsay()\nsys.exit(1)",
                Does::Finishes(_) => {
                    "def end(*_): say(); sys.exit()\nsignal.signal(signal.SIGTERM, end)\nready()\nsignal.pause()"
                }
                _ => "say()",
            }
        }
        Does::Returns => "print(json.dumps({'a': json.load(sys.stdin)}))",
        Does::Tells("INSTRUCTIONS") => {
            "print(json.dumps({'a': open(os.environ['ORDERFLOW_INSTRUCTIONS']).read()}))"
        }
        Does::Tells(name) => &format!("print(json.dumps({{'a': os.environ['ORDERFLOW_{name}']}}))"),
        Does::Ignores => "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\ntime.sleep(1000)",
    };
    format!("{head}{body}\n")
}

fn worker(does: &Does, folder: &Path) -> Arc<dyn Adapter> {
    std::fs::write(folder.join("worker"), worker_source(does, folder)).unwrap();
    let command = vec![PYTHON.clone(), "-S".to_owned(), "worker".to_owned()];
    Arc::new(Worker::new(Program { command, folder: folder.to_owned(), env: Vec::new() }, 1))
}

fn worker_source(does: &Does, folder: &Path) -> String {
    if let Does::Says(bytes) | Does::Blurts(bytes) | Does::Fails(bytes) | Does::Finishes(bytes) = does {
        kept(bytes, folder);
    }
    if matches!(does, Does::Blurts(_)) {
        let source = "import json, os\nid = int(os.read(0, 40).split(b'\"id\":')[1].split(b',')[0])\n\
            print(json.dumps({'jsonrpc': '2.0', 'id': id, 'result': open('answer').read()}))\n";
        return source.to_owned();
    }
    let run = match does {
        Does::Says(_) | Does::Blurts(_) => "tell(id=call['id'], result=open('answer', newline='').read())",
        Does::Fails(_) => {
            "error = json.load(open('answer'))['error']\n        \
             error = {'message': error} if isinstance(error, str) else error\n        \
             tell(method='step/log', params={'id': call['id'], 'message': 'first words'})\n        \
             tell(method='step/log', params={'id': call['id'], 'message': 'last words'})\n        \
             tell(id=call['id'], error={'code': -32000, 'message': error.pop('message'), 'data': error})"
        }
        Does::Returns => "tell(id=call['id'], result={'a': params['inputs']})",
        Does::Tells(name) => {
            let name = if *name == "KEY" { "idempotency_key".to_owned() } else { name.to_lowercase() };
            &format!("tell(id=call['id'], result={{'a': str(params['{name}'])}})")
        }
        Does::Finishes(_) | Does::Ignores => "open(params['dir'] + '/ready', 'w').close()",
    };
    let cancel = match does {
        Does::Finishes(_) => "tell(id=params['id'], result=json.load(open('answer')))",
        _ => "pass",
    };
    format!(
        "import json, sys\n\
        def tell(**message): print(json.dumps({{'jsonrpc': '2.0', **message}}), flush=True)\n\
        for line in sys.stdin:\n    \
            call = json.loads(line)\n    \
            params = call['params']\n    \
            if call['method'] == 'step/run':\n        {run}\n    \
            if call['method'] == 'step/cancel':\n        {cancel}\n"
    )
}

fn service(does: &Does, _: &Path) -> Arc<dyn Adapter> {
    let does = does.clone();
    serve(move |request: Request| {
        let does = does.clone();
        async move { served(&does, request).await }
    })
}

async fn served(does: &Does, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Does::Blurts(bytes) = does {
        return text(bytes.clone());
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let inputs: Value = serde_json::from_slice(&body).unwrap();
    match does {
        Does::Says(bytes) => text(bytes.clone()),
        Does::Returns => Json(json!({"a": inputs})).into_response(),
        Does::Tells(name) => {
            let name = match *name {
                "ITEM" => "ce-subject".to_owned(),
                "KEY" => "idempotency-key".to_owned(),
                name => format!("ce-{}", name.to_lowercase().replace('_', "")),
            };
            Json(json!({"a": head.headers[name].to_str().unwrap()})).into_response()
        }
        other => panic!("a service cannot do {other:?}"),
    }
}

fn text(bytes: Vec<u8>) -> Response {
    ([("content-type", "text/plain")], bytes).into_response()
}

fn closure(does: &Does, _: &Path) -> Arc<dyn Adapter> {
    let does = does.clone();
    fake(move |call, stop| {
        let does = does.clone();
        async move { in_process(&does, &call, stop).await }
    })
}

async fn in_process(does: &Does, call: &Call, mut stop: Stop) -> Answer {
    let ready = || std::fs::write(call.dir.join("ready"), "").unwrap();
    let say = |bytes: &[u8]| contract::done(&call.outputs, &contract::text(bytes.to_vec())?);
    match does {
        Does::Says(bytes) | Does::Blurts(bytes) => say(bytes),
        Does::Fails(bytes) => {
            let text = contract::text(bytes.clone())?;
            let mut failure = contract::refused(&call.outputs, &text, true, Outcome::Failed).unwrap();
            failure.log = LOG.to_owned();
            Err(failure)
        }
        Does::Returns => say(format!("{{\"a\":{}}}", contract::inputs(call)).as_bytes()),
        Does::Tells(name) => say(json!({"a": told(call, name)}).to_string().as_bytes()),
        Does::Finishes(bytes) => {
            ready();
            stop.asked(Urgency::Terminate).await;
            say(bytes)
        }
        Does::Ignores => {
            ready();
            stop.asked(Urgency::Kill).await;
            let message = "ended by signal 9".to_owned();
            Err(contract::failure(Cause::Stopped, message, Outcome::Unknown, true))
        }
    }
}

fn told(call: &Call, name: &str) -> String {
    let context = &call.context;
    match name {
        "RUN" => context.run.to_string(),
        "STEP" => context.step.to_string(),
        "ITEM" => context.item.to_string(),
        "ATTEMPT" => context.attempt.to_string(),
        "ELEMENT" => context.element.map(|element| element.to_string()).unwrap_or_default(),
        "KEY" => context.idempotency_key.clone(),
        "FORWARD_KEY" => context.forward_key.clone().unwrap_or_default(),
        "AGENT" => context.agent.as_deref().unwrap_or_default().to_owned(),
        "CHANNEL" => context.channel.as_deref().unwrap_or_default().to_owned(),
        "DEADLINE" => context.deadline.clone().unwrap_or_default(),
        "INSTRUCTIONS" => call.instructions.clone(),
        other => panic!("nothing is told under {other}"),
    }
}
