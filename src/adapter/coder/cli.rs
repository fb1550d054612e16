//! Coding agents without a protocol: a program that gets the prompt on its standard input and prints what came of it as
//! JSON. Knows their command lines and the forms of their output; each has its own.

use super::super::contract::CLOSED_BY_PROVIDER;
use super::super::prompt;
use super::is_closed;
use super::session::End;
use super::turn::{Spent, tokens_of};
use crate::value::dollars::Dollars;
use crate::value::{Value, json};
use std::path::Path;

/// A coding agent that can be started without a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cli {
    Claude,
    Codex,
    Gemini,
    Opencode,
}

/// The longest schema that is an argument, in bytes: Linux allows twice as much.
const LONGEST_SCHEMA: usize = 64 * 1024;

/// gemini exits with this code without a login.
const NO_LOGIN: i32 = 41;
/// gemini's codes for bad input, and for its limit of turns.
const NO_INPUT: i32 = 42;
const MOST_TURNS: i32 = 53;

/// The kinds of tools with the names that claude has for them.
const CLAUDE: [(&str, &str); 6] = [
    ("read", "Read"),
    ("search", "Glob,Grep"),
    ("edit", "Edit,Write,NotebookEdit"),
    ("execute", "Bash"),
    ("fetch", "WebFetch,WebSearch"),
    ("think", "Task"),
];

/// What the output of a program means.
pub struct Printed {
    pub answer: Result<String, End>,
    pub spent: Spent,
    /// By which the program continues it.
    pub session: Option<String>,
    /// The tools that it was not allowed to use.
    pub denied: Vec<String>,
    /// It has used a tool, or may have.
    pub worked: bool,
}

impl Cli {
    /// Those that exist, in their order.
    pub const ALL: [Cli; 4] = [Cli::Claude, Cli::Codex, Cli::Gemini, Cli::Opencode];

    /// The program's name, which is also that of the preset.
    pub fn program(self) -> &'static str {
        match self {
            Cli::Claude => "claude",
            Cli::Codex => "codex",
            Cli::Gemini => "gemini",
            Cli::Opencode => "opencode",
        }
    }

    /// The arguments of a start. `schema` is that of the answer, with the file that holds it; `session` is continued;
    /// `dollars` may be spent.
    pub fn arguments(
        self,
        schema: Option<(&Value, &Path)>,
        allow: &[String],
        session: Option<&str>,
        dollars: Option<Dollars>,
    ) -> Vec<String> {
        let may = |kind: &str| allow.iter().any(|allowed| allowed == kind);
        let mut words: Vec<String> = Vec::new();
        let mut add = |all: &[&str]| words.extend(all.iter().map(|word| (*word).to_owned()));
        match self {
            Cli::Claude => {
                add(&["-p", "--output-format", "json"]);
                let schema = schema.map(|(schema, _)| schema.to_string());
                if let Some(schema) = schema.filter(|schema| schema.len() <= LONGEST_SCHEMA) {
                    add(&["--json-schema", &schema]);
                }
                let tools = CLAUDE.iter().filter(|(kind, _)| may(kind)).map(|(_, tools)| *tools);
                let tools = tools.collect::<Vec<_>>().join(",");
                if !tools.is_empty() {
                    add(&["--allowedTools", &tools]);
                }
                if let Some(dollars) = dollars {
                    add(&["--max-budget-usd", &dollars.value().to_string()]);
                }
                if let Some(session) = session {
                    add(&["--resume", session]);
                }
            }
            Cli::Codex => {
                let sandbox = if may("edit") || may("execute") { "workspace-write" } else { "read-only" };
                add(&["exec", "--json", "--skip-git-repo-check", "-c", &format!("sandbox_mode={sandbox}")]);
                if let Some((_, file)) = schema {
                    add(&["--output-schema", &file.to_string_lossy()]);
                }
                if let Some(session) = session {
                    add(&["resume", session]);
                }
                add(&["-"]);
            }
            Cli::Gemini => {
                let mode = match (may("edit"), may("execute")) {
                    (true, true) => "yolo",
                    (true, false) => "auto_edit",
                    (false, _) => "default",
                };
                add(&["-p", "Do what is asked above.", "--output-format", "json", "--approval-mode", mode]);
            }
            Cli::Opencode => {
                add(&["run", "--format", "json"]);
                if let Some(session) = session {
                    add(&["--session", session]);
                }
            }
        }
        words
    }

    /// Whether it can be given this schema of its answer.
    pub fn takes(self, schema: &Value) -> bool {
        match self {
            Cli::Claude => true,
            // It always asks its provider for a strict form.
            Cli::Codex => prompt::is_strict(schema),
            Cli::Gemini | Cli::Opencode => false,
        }
    }

    /// Variables that a start needs.
    pub fn variables(self, allow: &[String]) -> Vec<(&'static str, String)> {
        let verdict = |kind: &str| if allow.iter().any(|allowed| allowed == kind) { "allow" } else { "deny" };
        match self {
            Cli::Opencode => {
                let (edit, bash, fetch) = (verdict("edit"), verdict("execute"), verdict("fetch"));
                let permission = serde_json::json!({"edit": edit, "bash": bash, "webfetch": fetch});
                vec![("OPENCODE_PERMISSION", permission.to_string())]
            }
            Cli::Claude | Cli::Codex | Cli::Gemini => Vec::new(),
        }
    }

    /// Whether it continues a session, rather than being given everything once more.
    pub fn continues(self) -> bool {
        self != Cli::Gemini
    }

    /// The meaning of the output; `None` if the program has printed nothing that it prints at its end.
    pub fn read(self, out: &str, log: &str, exit: Option<i32>) -> Option<Printed> {
        match self {
            Cli::Claude => claude(&json::parse(out.trim()).ok()?),
            Cli::Codex => codex(&events(out)),
            Cli::Gemini => gemini(out, log, exit),
            Cli::Opencode => opencode(&events(out)),
        }
    }
}

/// The lines that are objects.
fn events(out: &str) -> Vec<Value> {
    out.lines().filter_map(|line| json::parse(line.trim()).ok()).filter(Value::is_object).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn failed(message: &str, status: Option<u64>, retryable: bool) -> End {
    match status.is_some_and(is_closed) {
        true => End::Unavailable(message.to_owned()),
        false => End::Failed { message: message.to_owned(), retryable },
    }
}

/// One object. An error of the provider has `is_error` beside `"subtype": "success"`, other errors have a subtype of their
/// own; a model that never keeps to the schema ends well and without `structured_output`, so its words are checked as
/// any answer.
fn claude(result: &Value) -> Option<Printed> {
    let mut spent = Spent::default();
    let usage = result.get("usage").unwrap_or(&Value::Null);
    let parts = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
    spent.tokens = tokens_of(usage, &parts);
    spent.dollars(result.get("total_cost_usd"));
    let models = result.get("modelUsage").and_then(Value::as_object);
    // Beside its model it uses a small one.
    let cost = |usage: &Value| usage.get("costUSD").and_then(Value::as_f64).unwrap_or(0.0);
    let dearest = models.and_then(|models| models.iter().max_by(|a, b| cost(a.1).total_cmp(&cost(b.1))));
    spent.model = dearest.map(|(name, _)| name.clone());
    let said = text(result, "result").unwrap_or_default();
    let subtype = text(result, "subtype")?;
    let is_error = result.get("is_error") == Some(&Value::Bool(true));
    let status = result.get("api_error_status").and_then(Value::as_u64);
    let answer = match (subtype, result.get("structured_output").filter(|output| !output.is_null())) {
        ("error_max_budget_usd", _) => Err(End::Spent("claude stopped: the budget is spent".to_owned())),
        ("success", _) if is_error => {
            Err(failed(if said.is_empty() { "claude failed" } else { said }, status, true))
        }
        ("success", Some(output)) => Ok(output.to_string()),
        ("success", None) => Ok(said.to_owned()),
        _ => {
            let message = format!("claude ended with {subtype}");
            Err(failed(&message, status, subtype == "error_during_execution"))
        }
    };
    let denied = result.get("permission_denials").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut denied: Vec<String> =
        denied.iter().filter_map(|denial| text(denial, "tool_name").map(str::to_owned)).collect();
    denied.dedup();
    let turns = result.get("num_turns").and_then(Value::as_u64).unwrap_or(0);
    let worked = turns > 1 || spent.tokens.unwrap_or(0) > 0;
    Some(Printed { answer, spent, session: text(result, "session_id").map(str::to_owned), denied, worked })
}

/// Events: the last message is the answer. Items of type `error` are warnings.
fn codex(events: &[Value]) -> Option<Printed> {
    let mut spent = Spent::default();
    let (mut session, mut said, mut end, mut worked) = (None, None, None, false);
    for event in events {
        let item = event.get("item").unwrap_or(&Value::Null);
        let kind = text(item, "type").unwrap_or("agent_message");
        worked = worked || !matches!(kind, "agent_message" | "reasoning" | "error");
        match text(event, "type") {
            Some("thread.started") => session = text(event, "thread_id").map(str::to_owned),
            Some("item.completed") if text(item, "type") == Some("agent_message") => {
                said = text(item, "text").map(str::to_owned);
            }
            Some("turn.completed") => {
                let usage = event.get("usage").unwrap_or(&Value::Null);
                spent.tokens = tokens_of(usage, &["input_tokens", "output_tokens"]);
                end = Some(Ok(()));
            }
            Some("turn.failed") => {
                let message = event.get("error").and_then(|error| text(error, "message"));
                let message = message.unwrap_or("codex failed");
                let named = |code: &u16| message.contains(&format!("status {code}"));
                let status = CLOSED_BY_PROVIDER.into_iter().find(named);
                end = Some(Err(failed(message, status.map(u64::from), true)));
            }
            _ => {}
        }
    }
    let answer = end?.map(|()| said.unwrap_or_default());
    worked = worked || spent.tokens.unwrap_or(0) > 0;
    Some(Printed { answer, spent, session, denied: Vec::new(), worked })
}

/// One object on standard output, or one with an error at the end of the log. That does not say what was done before.
fn gemini(out: &str, log: &str, exit: Option<i32>) -> Option<Printed> {
    let mut spent = Spent::default();
    let failure = |end: End| {
        let worked = exit != Some(NO_LOGIN);
        Some(Printed { answer: Err(end), spent: Spent::default(), session: None, denied: Vec::new(), worked })
    };
    let begin = log.rfind("\n{").or(log.starts_with('{').then_some(0));
    let at_end = || begin.and_then(|at| json::parse(log[at..].trim()).ok());
    let result = json::parse(out.trim()).ok().or_else(at_end);
    let error = result.as_ref().and_then(|result| result.get("error"));
    let message = error.and_then(|error| text(error, "message"));
    match (exit, error) {
        (Some(NO_LOGIN), _) => {
            return failure(End::Unavailable(message.unwrap_or("gemini needs a login").to_owned()));
        }
        (Some(NO_INPUT), _) => {
            return failure(failed(message.unwrap_or("gemini rejected its input"), None, false));
        }
        (Some(MOST_TURNS), _) => {
            return failure(failed(message.unwrap_or("gemini reached its most turns"), None, false));
        }
        (_, Some(error)) => {
            let status = error.get("code").and_then(Value::as_u64);
            return failure(failed(message.unwrap_or("gemini failed"), status, true));
        }
        _ => {}
    }
    let result = result?;
    let mut most = 0;
    for (name, model) in result.get("stats")?.get("models")?.as_object()? {
        let tokens = model.get("tokens").and_then(|tokens| tokens_of(tokens, &["total"]));
        if let Some(tokens) = tokens {
            spent.tokens = Some(spent.tokens.unwrap_or(0).saturating_add(tokens));
        }
        if tokens.unwrap_or(0) >= most {
            (most, spent.model) = (tokens.unwrap_or(0), Some(name.clone()));
        }
    }
    let session = text(&result, "session_id").map(str::to_owned);
    let answer = Ok(text(&result, "response")?.to_owned());
    Some(Printed { answer, spent, session, denied: Vec::new(), worked: true })
}

/// Events: the texts since the last step began are the answer.
fn opencode(events: &[Value]) -> Option<Printed> {
    let mut spent = Spent::default();
    let (mut session, mut said, mut end, mut worked) = (None, String::new(), None, false);
    for event in events {
        session = session.or_else(|| text(event, "sessionID").map(str::to_owned));
        let part = event.get("part").unwrap_or(&Value::Null);
        match text(event, "type") {
            Some("step_start") => said.clear(),
            Some("text") => said.push_str(text(part, "text").unwrap_or_default()),
            Some("tool_use") => worked = true,
            Some("step_finish") => {
                worked = true;
                if let Some(tokens) = part.get("tokens").and_then(|tokens| tokens_of(tokens, &["total"])) {
                    spent.tokens = Some(spent.tokens.unwrap_or(0).saturating_add(tokens));
                }
                spent.more_dollars(part.get("cost"));
                end = Some(Ok(()));
            }
            Some("error") => {
                let error = event.get("error").unwrap_or(&Value::Null);
                let data = error.get("data").unwrap_or(&Value::Null);
                let message =
                    text(data, "message").or_else(|| text(error, "name")).unwrap_or("opencode failed");
                let status = data.get("statusCode").and_then(Value::as_u64);
                let retryable = data.get("isRetryable") != Some(&Value::Bool(false));
                end = Some(Err(failed(message, status, retryable)));
            }
            _ => {}
        }
    }
    let answer = end?.map(|()| said);
    Some(Printed { answer, spent, session, denied: Vec::new(), worked })
}

/// Whether a text that an agent printed can be an argument: the id of a session, and nothing that looks like an option.
pub fn is_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=256).contains(&text.len()) && text.chars().all(fits) && !text.starts_with('-')
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_an_agent_prints_is_no_option() {
        for id in ["s-1", "ses_1aB", "0199c1c6-7e2f-7d0a-a1b2-0123456789ab"] {
            assert!(super::is_id(id), "{id}");
        }
        for text in ["", "-c", "--dangerously-skip-permissions", "a b", "a\0", "../x", &"a".repeat(257)] {
            assert!(!super::is_id(text), "{text:?}");
        }
    }
}
