//! JSON-RPC 2.0 between orderflow and coding agents: lines to messages and back. Knows nothing of processes and of what
//! the methods mean.

use super::super::worker::LONGEST_LINE;
use crate::value::{Value, json};
use serde_json::json;

/// The longest line that is read, in bytes: the largest answer and the text around it.
pub const LONGEST: usize = LONGEST_LINE;

/// The longest part of a line that is shown in a message, in characters.
const SHOWN: usize = 120;

/// The longest id of a request or a call of a tool, in bytes: ids are stored and sent back.
pub const LONGEST_ID: usize = 1024;

/// JSON-RPC's code for a method that the other side does not have.
pub const METHOD_NOT_FOUND: i64 = -32601;

/// A line of the agent.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The answer to the request of this number.
    Answer {
        id: u64,
        result: Result<Value, RpcError>,
    },
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    Notice {
        method: String,
        params: Value,
    },
    /// Not a message: programs that start the agent may print lines.
    Text(String),
}

/// An error of JSON-RPC 2.0, as the agent reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Value,
}

/// Reads a line; `None` for a blank one. A line that does not begin with `{` is text.
///
/// # Errors
/// The problem, as a message for the agent's author.
pub fn read(line: &[u8]) -> Result<Option<Message>, String> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(format!("the agent wrote a line that is not UTF-8: {}", shown(line)));
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with('{') {
        return Ok(Some(Message::Text(text.to_owned())));
    }
    let strange =
        |why: &str| format!("the agent wrote a malformed message: {why} (it wrote {})", shown(line));
    let Ok(Value::Object(mut object)) = json::parse(text) else { return Err(strange("it is not JSON")) };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(strange("expected \"jsonrpc\": \"2.0\""));
    }
    let id = object.shift_remove("id");
    let params = object.shift_remove("params").unwrap_or(Value::Null);
    match (object.shift_remove("method"), id) {
        (Some(Value::String(_)), Some(id)) if id.to_string().len() > LONGEST_ID => {
            Err(strange(&format!("its \"id\" is longer than {LONGEST_ID} bytes")))
        }
        (Some(Value::String(method)), Some(id)) => Ok(Some(Message::Request { id, method, params })),
        (Some(Value::String(method)), None) => Ok(Some(Message::Notice { method, params })),
        (Some(_), _) => Err(strange("\"method\" must be a string")),
        (None, id) => {
            let Some(id) = id.as_ref().and_then(Value::as_u64) else {
                return Err(strange("expected the \"id\" of the request that it answers"));
            };
            let result = match (object.shift_remove("result"), object.shift_remove("error")) {
                (_, Some(Value::Object(error))) => Err(RpcError {
                    code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
                    message: error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
                    data: error.get("data").cloned().unwrap_or_default(),
                }),
                (Some(result), None | Some(Value::Null)) => Ok(result),
                _ => return Err(strange("expected either \"result\" or \"error\"")),
            };
            Ok(Some(Message::Answer { id, result }))
        }
    }
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more}")
}

pub fn request(id: u64, method: &str, params: Value) -> String {
    line(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
}

pub fn notice(method: &str, params: Value) -> String {
    line(json!({"jsonrpc": "2.0", "method": method, "params": params}))
}

/// The answer to a request of the agent.
pub fn answer(id: &Value, result: Result<Value, i64>) -> String {
    line(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(code) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "not available here"}})
        }
    })
}

fn line(message: Value) -> String {
    format!("{message}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_or_problems() {
        let error = |code, message: &str, data| Err(RpcError { code, message: message.into(), data });
        for (line, expected) in [
            ("", Ok(None)),
            ("Loaded cached credentials.\r", Ok(Some(Message::Text("Loaded cached credentials.".into())))),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
                Ok(Some(Message::Answer { id: 1, result: Ok(json!({})) })),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m","data":"d"}}"#,
                Ok(Some(Message::Answer { id: 1, result: error(-32603, "m", json!("d")) })),
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"m"}"#,
                Ok(Some(Message::Request { id: json!("a"), method: "m".into(), params: Value::Null })),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"m","params":[]}"#,
                Ok(Some(Message::Notice { method: "m".into(), params: json!([]) })),
            ),
            (r#"{"jsonrpc":"2.0","id":1"#, Err("it is not JSON")),
            (r#"{"id":1,"result":{}}"#, Err("expected \"jsonrpc\": \"2.0\"")),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Err("expected the \"id\"")),
            (r#"{"jsonrpc":"2.0","id":1}"#, Err("expected either \"result\" or \"error\"")),
            (r#"{"jsonrpc":"2.0","method":1}"#, Err("\"method\" must be a string")),
        ] {
            match (read(line.as_bytes()), expected) {
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{line}: {found}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{line}"),
            }
        }
        let asked =
            |id: &str| read(json!({"jsonrpc": "2.0", "id": id, "method": "m"}).to_string().as_bytes());
        assert!(asked(&"x".repeat(LONGEST_ID - 2)).is_ok());
        let long = asked(&"x".repeat(LONGEST_ID - 1)).unwrap_err();
        assert!(long.contains("its \"id\" is longer than 1024 bytes"), "{long}");
        assert!(read(b"ab\xff").unwrap_err().contains("not UTF-8"));
    }
}
