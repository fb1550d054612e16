//! An editor as the language server sees it: `orderflow lsp` with messages in and out.

use crate::place::Place;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

pub struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    requests: i64,
    version: i64,
    /// Notices that came while an answer was waited for.
    pub notices: Vec<Value>,
}

impl Editor {
    /// Starts the server in the folder of a place, with these capabilities of the client.
    pub fn start(place: &Place, capabilities: Value) -> Editor {
        let mut editor = Editor::silent(place);
        let started = editor
            .ask("initialize", json!({"processId": null, "rootUri": null, "capabilities": capabilities}));
        assert_eq!(started["serverInfo"]["name"], "orderflow");
        editor.say("initialized", json!({}));
        editor
    }

    /// The same without `initialize`.
    pub fn silent(place: &Place) -> Editor {
        let mut command = place.command("lsp");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Editor { child, input, output, requests: 0, version: 0, notices: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    pub fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.write(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    pub fn say(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// The result of a request, or its error as `{"error": …}`.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => json!({"error": error}),
                    None => message["result"].clone(),
                };
            }
            self.notices.push(message);
        }
    }

    pub fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server ended");
            match line.trim_end() {
                "" => break,
                header => length = header.strip_prefix("Content-Length: ").unwrap().parse().unwrap(),
            }
        }
        let mut text = vec![0; length];
        self.output.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub fn open(&mut self, uri: &str, text: &str) {
        let document = json!({"uri": uri, "languageId": "markdown", "version": 0, "text": text});
        self.say("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Replaces what is between two places, each a line and a column from 0.
    pub fn change(&mut self, uri: &str, (from, to): ((u32, u32), (u32, u32)), text: &str) {
        let at = |(line, character): (u32, u32)| json!({"line": line, "character": character});
        let change = json!({"range": {"start": at(from), "end": at(to)}, "text": text});
        self.changes(uri, json!([change]));
    }

    pub fn changes(&mut self, uri: &str, changes: Value) {
        self.version += 1;
        let document = json!({"uri": uri, "version": self.version});
        self.say("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}));
    }

    /// An answer about a place in a document.
    pub fn at(&mut self, method: &str, uri: &str, (line, character): (u32, u32), more: Value) -> Value {
        let mut params =
            json!({"textDocument": {"uri": uri}, "position": {"line": line, "character": character}});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask(method, params)
    }

    /// The next notice of this kind.
    pub fn notice(&mut self, method: &str) -> Value {
        if let Some(at) = self.notices.iter().position(|notice| notice["method"] == method) {
            return self.notices.remove(at)["params"].clone();
        }
        loop {
            let message = self.receive();
            if message["method"] == method {
                return message["params"].clone();
            }
            self.notices.push(message);
        }
    }

    /// The next problems of a document: each its place, its code and its message.
    pub fn problems(&mut self, uri: &str) -> Vec<String> {
        loop {
            let shown = self.notice("textDocument/publishDiagnostics");
            if shown["uri"] != uri {
                continue;
            }
            let all = shown["diagnostics"].as_array().unwrap().iter();
            let one = |problem: &Value| {
                let message = problem["message"].as_str().unwrap();
                format!("{} {} {message}", place(&problem["range"]), problem["code"].as_str().unwrap())
            };
            return all.map(one).collect();
        }
    }

    /// Ends it in order; the exit code and what it wrote on standard error.
    pub fn end(mut self) -> (Option<i32>, String) {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.say("exit", Value::Null);
        self.leave()
    }

    /// Closes the connection.
    pub fn leave(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        let mut error = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (self.child.wait().unwrap().code(), error)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A range as `line:column-line:column`, from 0.
pub fn place(range: &Value) -> String {
    let at = |position: &Value| format!("{}:{}", position["line"], position["character"]);
    format!("{}-{}", at(&range["start"]), at(&range["end"]))
}

/// The address of a file of the place.
pub fn uri(place: &Place, name: &str) -> String {
    format!("file://{}", place.path(name).canonicalize().unwrap_or_else(|_| place.path(name)).display())
}
