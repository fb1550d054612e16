//! Coding agents without a protocol, with programs that print what the real ones were seen to print.

use super::super::coder::{Cli, CodingAgent};
use super::super::program::Program;
use super::super::{Adapter, Call, Stop, Urgency};
use super::{PATIENCE, call, describe, until};
use crate::value::budget::Budget;
use crate::value::dollars::Dollars;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// A program that notes its arguments and its prompt, and prints these files in turn, the last one again and again.
fn program(folder: &Path, prints: &[(&str, &str, i32)]) -> Program {
    for (index, (out, log, exit)) in prints.iter().enumerate() {
        let script = format!("cat {index}.out\ncat {index}.log >&2\nexit {exit}\n");
        for (end, text) in [("out", *out), ("log", *log), ("sh", &script)] {
            std::fs::write(folder.join(format!("{index}.{end}")), text).unwrap();
        }
    }
    let path = folder.join("agent");
    let last = prints.len() - 1;
    let script = format!(
        "#!/bin/sh\nn=$(ls | grep -c '^prompt')\nprintf '%s\\n' \"$@\" > args.$n\ncat > prompt.$n\n\
         test $n -gt {last} && n={last}\n. ./$n.sh\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let env = vec![("PATH".to_owned(), std::env::var_os("PATH").unwrap())];
    Program { command: vec![path.to_string_lossy().into_owned()], folder: folder.to_owned(), env }
}

fn agent(cli: Cli, folder: &Path, prints: &[(&str, &str, i32)]) -> CodingAgent {
    CodingAgent { headless: Some(cli), ..CodingAgent::new(program(folder, prints)) }
}

/// One attempt at `a::Boolean`, in one line.
async fn attempt(agent: &CodingAgent, folder: &Path) -> String {
    attempt_within(agent, folder, None).await
}

/// The same with a budget.
async fn attempt_within(agent: &CodingAgent, folder: &Path, budget: Option<Budget>) -> String {
    let mut call: Call = call(folder, "a::Boolean", json!({}));
    call.context.budget = budget;
    let outputs = call.outputs.clone();
    let (_stopper, stop) = Stop::new();
    let answer = tokio::time::timeout(PATIENCE, agent.call(call, stop)).await.expect("an end of the attempt");
    describe(&outputs, &answer)
}

/// The object that claude prints, with other members.
fn claude(other: Value) -> String {
    let mut result = json!({
        "type": "result", "subtype": "success", "is_error": false, "api_error_status": null, "result": "Done.",
        "session_id": "s-1", "total_cost_usd": 0.25, "permission_denials": [],
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 5},
        "modelUsage": {"claude-opus-5-5": {"costUSD": 0.24}, "claude-haiku-5": {"costUSD": 0.01}},
    });
    let Value::Object(other) = other else { panic!("an object") };
    other.into_iter().for_each(|(name, value)| result[name] = value);
    result.to_string()
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

fn codex(end: &[Value]) -> String {
    let mut events = vec![
        json!({"type": "thread.started", "thread_id": "t-1"}),
        json!({"type": "item.completed", "item": {"id": "item_0", "type": "error", "message": "Model metadata for `gpt-5` not found."}}),
        json!({"type": "turn.started"}),
    ];
    events.extend(end.iter().cloned());
    lines(&events)
}

fn codex_says(text: &str) -> Value {
    json!({"type": "item.completed", "item": {"id": "item_1", "type": "agent_message", "text": text}})
}

/// A name, an agent, its output with its log and exit, and what comes of it.
type Case = (&'static str, Cli, (String, &'static str, i32), &'static str);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let usage = json!({"type": "turn.completed", "usage": {"input_tokens": 20, "cached_input_tokens": 5, "output_tokens": 10}});
    let finish = |cost: f64| json!({"type": "step_finish", "sessionID": "o-1", "part": {"reason": "stop", "tokens": {"total": 30}, "cost": cost}});
    let no_credit = json!({"type": "turn.failed", "error": {"message": "unexpected status 402 Payment Required"}});
    let start = json!({"type": "step_start", "sessionID": "o-1", "part": {}});
    let says = |text: &str| json!({"type": "text", "sessionID": "o-1", "part": {"type": "text", "text": text}});
    let gemini = json!({"session_id": "g-1", "response": "{\"a\": true}", "stats": {"models": {
        "gemini-3.1-pro": {"tokens": {"total": 30}}, "gemini-3.5-flash-lite": {"tokens": {"total": 10}}}}});
    let gemini_error = "at async Turn.run {\n  status: 401\n}\n{\n  \"session_id\": \"g\",\n  \"error\": {\"type\": \"Error\", \"message\": \"invalid x-api-key\", \"code\": 401}\n}";
    vec![
        ("claude: the outputs by the schema", Cli::Claude, (claude(json!({"structured_output": {"a": true}})), "", 0),
            r#"a=true; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: a price that is not known is reported as 0", Cli::Claude,
            (claude(json!({"structured_output": {"a": true}, "total_cost_usd": 0})), "", 0),
            r#"a=true; tokens 20; model="claude-opus-5-5"; session="s-1""#),
        ("claude: a provider's 529 is an error beside success", Cli::Claude,
            (claude(json!({"is_error": true, "api_error_status": 529, "result": "API Error: 529 Overloaded."})), "", 1),
            r#"Refused: API Error: 529 Overloaded.; Unknown, again; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: a refused key", Cli::Claude,
            (claude(json!({"is_error": true, "api_error_status": 401, "result": "Invalid API key", "usage": {}, "modelUsage": {}, "total_cost_usd": 0})), "", 1),
            r#"Refused(agent_unavailable): Invalid API key; NotExecuted, final; unavailable; session="s-1""#),
        ("claude: a credit that ends in the middle", Cli::Claude,
            (claude(json!({"is_error": true, "api_error_status": 402, "result": "no credit"})), "", 1),
            r#"Refused(agent_unavailable): no credit; Unknown, final; unavailable; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: a model that never keeps to the schema ends well", Cli::Claude, (claude(json!({})), "", 0),
            r#"BadOutput: expected the output `a`; the answer is not JSON: expected a value (line 1, column 1); Unknown, final; tokens 40; model="claude-opus-5-5"; cost_usd=0.5; session="s-1""#),
        ("claude: the most turns", Cli::Claude, (claude(json!({"subtype": "error_max_turns", "result": null})), "", 1),
            r#"Refused: claude ended with error_max_turns; Unknown, final; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: a budget that is spent", Cli::Claude,
            (claude(json!({"subtype": "error_max_budget_usd", "is_error": true, "result": null})), "", 1),
            r#"Refused(budget): claude stopped: the budget is spent; Unknown, final; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: an error of its own", Cli::Claude,
            (claude(json!({"subtype": "error_during_execution", "is_error": true, "result": null})), "", 1),
            r#"Refused: claude ended with error_during_execution; Unknown, again; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: it cannot do its step, and may have changed something", Cli::Claude,
            (claude(json!({"structured_output": {"error": {"message": "too hard"}}})), "", 0),
            r#"Refused: too hard; Unknown, again; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: it cannot do its step, and says that it has changed nothing", Cli::Claude,
            (claude(json!({"structured_output": {"error": {"message": "too hard", "outcome": "failed"}}})), "", 0),
            r#"Refused: too hard; Failed, again; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#),
        ("claude: tools that are not allowed", Cli::Claude,
            (claude(json!({"permission_denials": [{"tool_name": "Bash", "tool_use_id": "1"}]})), "", 0),
            r#"BadOutput: expected the output `a`; the answer is not JSON: expected a value (line 1, column 1); not allowed: Bash; Unknown, final; tokens 40; model="claude-opus-5-5"; cost_usd=0.5; session="s-1""#),
        ("codex: the last message, warnings before it", Cli::Codex, (codex(&[codex_says("Looking."), codex_says(r#"{"a": true}"#), usage.clone()]), "", 0),
            r#"a=true; tokens 30; session="t-1""#),
        ("codex: an error of its provider", Cli::Codex,
            (codex(&[json!({"type": "error", "message": "529"}), json!({"type": "turn.failed", "error": {"message": "unexpected status 529: Overloaded"}})]), "", 1),
            r#"Refused: unexpected status 529: Overloaded; Unknown, again; session="t-1""#),
        ("codex: a refused key", Cli::Codex,
            (codex(&[json!({"type": "turn.failed", "error": {"message": "unexpected status 401 Unauthorized: invalid x-api-key"}})]), "", 1),
            r#"Refused(agent_unavailable): unexpected status 401 Unauthorized: invalid x-api-key; NotExecuted, final; unavailable; session="t-1""#),
        ("codex: a credit that ends in the middle", Cli::Codex,
            (codex(&[json!({"type": "item.started", "item": {"id": "item_1", "type": "command_execution", "command": "touch a"}}), no_credit.clone()]), "", 1),
            r#"Refused(agent_unavailable): unexpected status 402 Payment Required; Unknown, final; unavailable; session="t-1""#),
        ("codex: a credit that ends after words", Cli::Codex,
            (codex(&[json!({"type": "item.completed", "item": {"id": "item_1", "type": "reasoning", "text": "Hm."}}), codex_says("Looking."), no_credit]), "", 1),
            r#"Refused(agent_unavailable): unexpected status 402 Payment Required; NotExecuted, final; unavailable; session="t-1""#),
        ("codex: it cannot do its step", Cli::Codex, (codex(&[codex_says(r#"{"error": {"message": "too hard"}}"#), usage.clone()]), "", 0),
            r#"Refused: too hard; Unknown, again; tokens 30; session="t-1""#),
        ("codex: an end in the middle", Cli::Codex, (codex(&[codex_says(r#"{"a": true}"#)]), "out of memory\n", 137),
            "Exit(137): the agent exited with 137 before it answered: out of memory; Unknown, again"),
        ("gemini: tokens over all models", Cli::Gemini, (gemini.to_string(), "", 0),
            r#"a=true; tokens 40; model="gemini-3.1-pro"; session="g-1""#),
        ("gemini: no login", Cli::Gemini, (String::new(), "Please set an Auth method\n", 41),
            "Refused(agent_unavailable): gemini needs a login; NotExecuted, final; unavailable"),
        ("gemini: bad input", Cli::Gemini, (String::new(), "", 42), "Refused: gemini rejected its input; Unknown, final"),
        ("gemini: the most turns", Cli::Gemini, (String::new(), "", 53), "Refused: gemini reached its most turns; Unknown, final"),
        ("gemini: an error at the end of its log; it exits with the status, cut to a byte, and does not say what it did", Cli::Gemini,
            (String::new(), gemini_error, 145),
            "Refused(agent_unavailable): invalid x-api-key; Unknown, final; unavailable"),
        ("gemini: an error that is all of its log", Cli::Gemini,
            (String::new(), "{\"error\": {\"message\": \"no credit\", \"code\": 402}}\n", 146),
            "Refused(agent_unavailable): no credit; Unknown, final; unavailable"),
        ("opencode: steps are added up, the last one has the answer", Cli::Opencode,
            (lines(&[start.clone(), says("Looking."), finish(0.25), start.clone(), says(r#"{"a": "#), says("true}"), finish(0.5)]), "", 0),
            r#"a=true; tokens 60; cost_usd=0.75; session="o-1""#),
        ("opencode: a price that is not known is reported as 0", Cli::Opencode, (lines(&[start.clone(), says(r#"{"a": true}"#), finish(0.0)]), "", 0),
            r#"a=true; tokens 30; session="o-1""#),
        ("opencode: an error that another attempt does not change", Cli::Opencode,
            (lines(&[json!({"type": "error", "sessionID": "o-1", "error": {"name": "APIError", "data": {"message": "bad form", "statusCode": 400, "isRetryable": false}}})]), "", 1),
            r#"Refused: bad form; Unknown, final; session="o-1""#),
        ("opencode: a credit that ends in the middle", Cli::Opencode,
            (lines(&[start.clone(), json!({"type": "tool_use", "sessionID": "o-1", "part": {"type": "tool", "tool": "write"}}),
                json!({"type": "error", "sessionID": "o-1", "error": {"name": "APIError", "data": {"message": "no credit", "statusCode": 402, "isRetryable": false}}})]), "", 1),
            r#"Refused(agent_unavailable): no credit; Unknown, final; unavailable; session="o-1""#),
        ("opencode: a refused key", Cli::Opencode,
            (lines(&[json!({"type": "error", "sessionID": "o-1", "error": {"name": "APIError", "data": {"message": "invalid x-api-key", "statusCode": 401, "isRetryable": false}}})]), "", 1),
            r#"Refused(agent_unavailable): invalid x-api-key; NotExecuted, final; unavailable; session="o-1""#),
        ("nothing printed", Cli::Claude, (String::new(), "command line is wrong\n", 2),
            "Exit(2): the agent exited with 2 before it answered: command line is wrong; Unknown, again"),
        ("a result, and an exit with an error", Cli::Codex, (codex(&[codex_says(r#"{"a": true}"#), usage]), "", 3),
            r#"Exit(3): the agent exited with 3 before it answered; Unknown, again; tokens 30; session="t-1""#),
    ]
}

#[tokio::test]
async fn outputs_mean_what_the_real_programs_mean() {
    let mut wrong = Vec::new();
    for (name, cli, (out, log, exit), expected) in cases() {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(cli, folder.path(), &[(&out, log, exit)]);
        let told = attempt(&agent, folder.path()).await;
        if told != expected {
            wrong.push(format!("{name}:\n  expected {expected}\n  but      {told}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The prompt is on standard input; the correction continues the session, where the program can.
#[tokio::test]
async fn each_program_is_started_in_its_own_way() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}"#;
    let wrong = json!({"session_id": "g-1", "response": "no", "stats": {"models": {}}}).to_string();
    let says = json!({"type": "text", "sessionID": "o-1", "part": {"text": "no"}});
    let finish = json!({"type": "step_finish", "sessionID": "o-1", "part": {}});
    let usage = json!({"type": "turn.completed", "usage": {}});
    for (cli, out, first, second) in [
        (Cli::Claude, claude(json!({})),
            format!("-p\n--output-format\njson\n--json-schema\n{schema}\n--allowedTools\nRead,Edit,Write,NotebookEdit\n"),
            format!("-p\n--output-format\njson\n--json-schema\n{schema}\n--allowedTools\nRead,Edit,Write,NotebookEdit\n--resume\ns-1\n")),
        (Cli::Codex, codex(&[codex_says("no"), usage]),
            "exec\n--json\n--skip-git-repo-check\n-c\nsandbox_mode=workspace-write\n--output-schema\nFOLDER/7-0-3.schema.json\n-\n".into(),
            "exec\n--json\n--skip-git-repo-check\n-c\nsandbox_mode=workspace-write\n--output-schema\nFOLDER/7-0-3.schema.json\nresume\nt-1\n-\n".into()),
        (Cli::Gemini, wrong,
            "-p\nDo what is asked above.\n--output-format\njson\n--approval-mode\nauto_edit\n".into(),
            "-p\nDo what is asked above.\n--output-format\njson\n--approval-mode\nauto_edit\n".into()),
        (Cli::Opencode, lines(&[says, finish]),
            "run\n--format\njson\n".into(), "run\n--format\njson\n--session\no-1\n".into()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(cli, folder.path(), &[(&out, "", 0)]);
        agent.allow = vec!["read".into(), "edit".into()];
        assert!(attempt(&agent, folder.path()).await.starts_with("BadOutput: "), "{cli:?}");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let shown = |name: &str| read(name).replace(&*folder.path().to_string_lossy(), "FOLDER");
        assert_eq!((shown("args.0"), shown("args.1")), (first, second), "{cli:?}");
        let [asked, corrected] = [read("prompt.0"), read("prompt.1")];
        assert!(asked.starts_with("Be brief.\nAnd polite.\n\nAnswer with one JSON object"), "{asked}");
        assert!(asked.contains(schema), "{asked}");
        match cli {
            Cli::Gemini => assert!(corrected.starts_with(&format!("{asked}\n\nThis was asked before. That answer")), "{corrected}"),
            _ => assert!(corrected.starts_with("That answer cannot be used: "), "{corrected}"),
        }
        assert!(!folder.path().join("7-0-3.schema.json").exists() && !folder.path().join("args.2").exists());
    }
}

/// The first process may have changed something, and has cost something.
#[tokio::test]
async fn a_correction_that_cannot_start_leaves_the_outcome_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(Cli::Claude, folder.path(), &[(&claude(json!({})), "", 0)]);
    std::fs::write(folder.path().join("0.sh"), "cat 0.out\nrm agent\n").unwrap();
    let told = attempt(&agent, folder.path()).await;
    let path = folder.path().display();
    let expected = format!(
        "Start: cannot start {path}/agent: no such file in {path}; Unknown, final; tokens 20; model=\"claude-opus-5-5\"; cost_usd=0.25; session=\"s-1\""
    );
    assert_eq!(told, expected);
}

/// The correction gets what the first process has left of the budget, and there is none if that is nothing.
#[tokio::test]
async fn a_correction_gets_what_is_left_of_the_budget() {
    let misfit = "expected the output `a`; the answer is not JSON: expected a value (line 1, column 1)";
    let rest = "model=\"claude-opus-5-5\"; cost_usd";
    let unfit = |end: &str| format!("{misfit}{end}; Unknown, final; tokens");
    let spent = format!("Refused(budget): {}", unfit("; not corrected: the budget is spent"));
    for (tokens, dollars, limits, expected) in [
        (
            None,
            Some("1"),
            &["1", "0.75"][..],
            format!("BadOutput: {} 40; {rest}=0.5; session=\"s-1\"", unfit("")),
        ),
        (None, Some("0.25"), &["0.25"], format!("{spent} 20; {rest}=0.25; session=\"s-1\"")),
        (Some(20), None, &[], format!("{spent} 20; {rest}=0.25; session=\"s-1\"")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(Cli::Claude, folder.path(), &[(&claude(json!({})), "", 0)]);
        let budget = Budget { tokens, dollars: dollars.map(|text| Dollars::parse(text).unwrap()) };
        let told = attempt_within(&agent, folder.path(), Some(budget)).await;
        assert_eq!(told, expected, "{budget}");
        let words =
            |at: usize| std::fs::read_to_string(folder.path().join(format!("args.{at}"))).unwrap_or_default();
        let given: Vec<String> = [words(0), words(1)]
            .iter()
            .filter_map(|words| Some(words.split_once("--max-budget-usd\n")?.1.lines().next()?.to_owned()))
            .collect();
        assert_eq!(given, limits, "{budget}");
    }
}

#[tokio::test]
async fn nothing_is_corrected_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(Cli::Claude, folder.path(), &[(&claude(json!({})), "", 0)]);
    let script = "trap 'cat 0.out; exit 0' TERM\n: > ready\nwhile :; do sleep 0.01; done\n";
    std::fs::write(folder.path().join("0.sh"), script).unwrap();
    let call = call(folder.path(), "a::Boolean", json!({}));
    let (outputs, ready) = (call.outputs.clone(), folder.path().join("ready"));
    let (stopper, stop) = Stop::new();
    let ask = async {
        until("the agent works", || ready.exists()).await;
        stopper.ask(Urgency::Terminate);
    };
    let (answer, ()) = tokio::join!(agent.call(call, stop), ask);
    let expected = r#"Stopped: expected the output `a`; the answer is not JSON: expected a value (line 1, column 1); not corrected: it was stopped; Unknown, again; tokens 20; model="claude-opus-5-5"; cost_usd=0.25; session="s-1""#;
    assert_eq!(describe(&outputs, &answer), expected);
    assert!(!folder.path().join("args.1").exists());
}

#[tokio::test]
async fn a_stop_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(Cli::Claude, folder.path(), &[("", "", 0)]);
    std::fs::write(folder.path().join("0.sh"), "trap '' TERM\n: > ready\nsleep 1000\n").unwrap();
    agent.grace = Duration::from_millis(200);
    let call = call(folder.path(), "a::Boolean", json!({}));
    let (outputs, ready) = (call.outputs.clone(), folder.path().join("ready"));
    let (stopper, stop) = Stop::new();
    let ask = async {
        until("the agent works", || ready.exists()).await;
        stopper.ask(Urgency::Terminate);
    };
    let (answer, ()) = tokio::join!(agent.call(call, stop), ask);
    assert_eq!(describe(&outputs, &answer), "Stopped: ended by signal 9; Unknown, again");
}
