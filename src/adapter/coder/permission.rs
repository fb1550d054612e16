//! What a coding agent may do: the kinds of tools, and the answers to its requests for permission.

use super::message::LONGEST_ID;
use crate::value::Value;
use serde_json::json;
use std::collections::HashMap;

/// The kinds of tools, as the protocol names them.
pub const KINDS: [&str; 10] =
    ["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"];

/// The open tool calls of a session, by their ids: an update may leave out what an earlier one had.
#[derive(Debug, Default)]
pub struct Calls {
    open: HashMap<String, Value>,
    /// How much is stored of them, in bytes.
    stored: usize,
}

/// The most open tool calls that are stored, the largest input of one, and the most of all together, in bytes.
const MOST_CALLS: usize = 1000;
const LARGEST_INPUT: usize = 64 * 1024;
const MOST_STORED: usize = 4 << 20;

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// A tool call that has ended.
pub struct ToolCall {
    pub name: String,
    /// What the tool was given, how it ended and what came out.
    pub text: String,
}

/// A decision on a request for permission.
pub struct PermissionReply {
    /// The result of the request.
    pub result: Value,
    pub allowed: bool,
    pub kind: String,
    /// Such as "edit src/main.rs: rejected".
    pub line: String,
}

impl Calls {
    /// Takes the update of a `session/update`. Returns a tool call that it ends.
    pub fn take(&mut self, update: &Value) -> Option<ToolCall> {
        let id = update.get("toolCallId").and_then(Value::as_str)?;
        if id.len() > LONGEST_ID {
            return None;
        }
        let is_new = self.open.len() >= MOST_CALLS && !self.open.contains_key(id);
        if is_new || self.stored > MOST_STORED {
            (self.open, self.stored) = (HashMap::new(), 0);
        }
        let call = self.open.entry(id.to_owned()).or_insert_with(|| json!({}));
        for name in ["kind", "title", "rawInput"] {
            if let Some(value) = update.get(name).filter(|value| size(value) <= LARGEST_INPUT) {
                self.stored += size(value);
                call[name] = value.clone();
            }
        }
        let status = update.get("status").and_then(Value::as_str);
        let status = status.filter(|status| matches!(*status, "completed" | "failed"))?;
        let call = self.open.remove(id)?;
        let held = call.as_object().into_iter().flatten().map(|(_, value)| size(value)).sum();
        self.stored = self.stored.saturating_sub(held);
        let text = |name: &str| call.get(name).and_then(Value::as_str);
        let input = call.get("rawInput").map(Value::to_string).unwrap_or_default();
        let output = update.get("content").or_else(|| update.get("rawOutput"));
        let output = output.map(Value::to_string).unwrap_or_default();
        Some(ToolCall {
            name: text("title").or_else(|| text("kind")).unwrap_or("tool").to_owned(),
            text: format!("{input} {status}: {output}"),
        })
    }

    /// What a request for permission is about.
    pub fn request<'a>(&'a self, params: &'a Value) -> Permission<'a> {
        let call = params.get("toolCall").unwrap_or(&Value::Null);
        let text = |name: &str| call.get(name).and_then(Value::as_str);
        let known = text("kind").or_else(|| self.open.get(text("toolCallId")?)?.get("kind")?.as_str());
        let kind = known.filter(|kind| KINDS.contains(kind)).unwrap_or("other");
        let options = params.get("options").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Permission { kind, title: text("title"), options }
    }
}

/// A request for permission.
pub struct Permission<'a> {
    /// One of [`KINDS`].
    pub kind: &'a str,
    title: Option<&'a str>,
    options: &'a [Value],
}

/// How a request for permission is answered.
pub enum Verdict<'a> {
    Allowed,
    /// By the person who was asked, with these words about it.
    AllowedBy(&'a str),
    Rejected,
    RejectedBy(&'a str),
    /// The turn is cancelled.
    Cancelled,
}

impl Permission<'_> {
    /// Whether it can be allowed once, and not only for good.
    pub fn can_be_allowed(&self) -> bool {
        self.option("allow_once").is_some()
    }

    fn option(&self, wanted: &str) -> Option<&Value> {
        let is_wanted = |option: &&Value| option.get("kind").and_then(Value::as_str) == Some(wanted);
        self.options.iter().find(is_wanted)?.get("optionId").filter(|id| id.is_string())
    }

    /// Such as "permission to edit src/main.rs".
    pub fn text(&self) -> String {
        let title = self.title.map(|title| format!(" {title}")).unwrap_or_default();
        format!("permission to {}{title}", self.kind)
    }

    /// The answer to it. What can only be allowed for good is rejected.
    pub fn answer(&self, verdict: &Verdict<'_>) -> PermissionReply {
        let once = match verdict {
            Verdict::Allowed | Verdict::AllowedBy(_) => self.option("allow_once"),
            Verdict::Rejected | Verdict::RejectedBy(_) | Verdict::Cancelled => None,
        };
        let rejected = || self.option("reject_once").filter(|_| !matches!(verdict, Verdict::Cancelled));
        let outcome = match once.or_else(rejected) {
            Some(id) => json!({"outcome": "selected", "optionId": id}),
            None => json!({"outcome": "cancelled"}),
        };
        let by = match verdict {
            Verdict::AllowedBy(by) | Verdict::RejectedBy(by) => by,
            Verdict::Allowed | Verdict::Rejected | Verdict::Cancelled => "",
        };
        let word = if once.is_some() { "allowed" } else { "rejected" };
        PermissionReply {
            result: json!({"outcome": outcome}),
            allowed: once.is_some(),
            kind: self.kind.to_owned(),
            line: format!("{}: {word}{by}", self.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_calls_do_not_fill_the_memory() {
        let mut calls = Calls::default();
        let call = |id: String, input: &str| json!({"toolCallId": id, "kind": "edit", "rawInput": input});
        let input = "x".repeat(LARGEST_INPUT);
        for number in 0..500 {
            calls.take(&call(number.to_string(), &input));
            calls.take(&call(format!("{number}{}", "x".repeat(LONGEST_ID)), &input));
            calls.take(&call("0".to_owned(), &input));
        }
        let held: usize = calls.open.iter().map(|(id, call)| id.len() + call.to_string().len()).sum();
        assert!(held < 2 * MOST_STORED, "{held}");
        // Calls that end make room.
        let mut calls = Calls::default();
        for number in 0..500 {
            calls.take(&call("kept".to_owned(), "x"));
            calls.take(&call(number.to_string(), &input));
            calls.take(&json!({"toolCallId": number.to_string(), "status": "completed"}));
        }
        assert_eq!(calls.open.len(), 1);
    }

    #[test]
    fn permissions_are_given_once_and_only_if_allowed() {
        let options = |kinds: &[&str]| -> Value {
            kinds.iter().map(|kind| json!({"optionId": format!("id-{kind}"), "kind": kind})).collect()
        };
        let all = options(&["allow_always", "allow_once", "reject_always", "reject_once"]);
        let mut calls = Calls::default();
        calls.take(&json!({"sessionUpdate": "tool_call", "toolCallId": "1", "kind": "edit"}));
        for (call, options, cancelled, chosen, line) in [
            (
                json!({"kind": "edit", "title": "a.rs"}),
                &all,
                false,
                "id-allow_once",
                "permission to edit a.rs: allowed",
            ),
            (json!({"toolCallId": "1"}), &all, false, "id-allow_once", "permission to edit: allowed"),
            (json!({"kind": "execute"}), &all, false, "id-reject_once", "permission to execute: rejected"),
            (json!({"kind": "paint"}), &all, false, "id-reject_once", "permission to other: rejected"),
            (json!({}), &all, false, "id-reject_once", "permission to other: rejected"),
            (json!({"kind": "edit"}), &all, true, "", "permission to edit: rejected"),
            (
                json!({"kind": "edit"}),
                &options(&["allow_always", "reject_once"]),
                false,
                "id-reject_once",
                "permission to edit: rejected",
            ),
            (json!({"kind": "edit"}), &options(&["allow_always"]), false, "", "permission to edit: rejected"),
            (
                json!({"kind": "edit"}),
                &options(&["reject_once"]),
                false,
                "id-reject_once",
                "permission to edit: rejected",
            ),
            (json!({"kind": "fetch"}), &options(&["allow_once"]), false, "", "permission to fetch: rejected"),
            (json!({"kind": "edit"}), &Value::Null, false, "", "permission to edit: rejected"),
        ] {
            let params = json!({"toolCall": call, "options": options});
            let request = calls.request(&params);
            let allowed = ["read", "edit"].contains(&request.kind);
            let verdict = match (cancelled, allowed) {
                (true, _) => Verdict::Cancelled,
                (false, true) => Verdict::Allowed,
                (false, false) => Verdict::Rejected,
            };
            let decision = request.answer(&verdict);
            let outcome = &decision.result["outcome"];
            assert_eq!((outcome["optionId"].as_str().unwrap_or(""), &*decision.line), (chosen, line));
            assert_eq!(outcome["outcome"], if chosen.is_empty() { "cancelled" } else { "selected" });
        }
    }
    #[test]
    fn the_answer_of_a_person_names_the_person() {
        let options =
            json!([{"optionId": "yes", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]);
        let params = json!({"toolCall": {"kind": "execute", "title": "ls"}, "options": options});
        let calls = Calls::default();
        let request = calls.request(&params);
        assert!(request.can_be_allowed());
        let answer = |verdict: Verdict| {
            let PermissionReply { result, allowed, line, .. } = request.answer(&verdict);
            (result["outcome"]["optionId"].as_str().unwrap_or("").to_owned(), allowed, line)
        };
        assert_eq!(
            [answer(Verdict::AllowedBy(" by ana")), answer(Verdict::RejectedBy(" by ana: no"))],
            [
                ("yes".to_owned(), true, "permission to execute ls: allowed by ana".to_owned()),
                ("no".to_owned(), false, "permission to execute ls: rejected by ana: no".to_owned()),
            ]
        );
        let for_good = json!({"toolCall": {}, "options": [{"optionId": "yes", "kind": "allow_always"}]});
        assert!(!calls.request(&for_good).can_be_allowed());
    }
}
