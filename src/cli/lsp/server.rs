//! What the editor asks, and the answers. Knows nothing of the connection.

use super::super::run::word;
use super::desk::{Desk, ReadDocument};
use super::last::{self, LastRun};
use super::runs::{self, EndedRun};
use super::{Input, renames, uri};
use crate::diag::render::visible;
use crate::diag::{Source, Span};
use crate::graph;
use crate::lsp::{self, Encoding, Entity, KnownTypes, Mention, NotRenamed};
use gen_lsp_types::{
    CompletionItem, DocumentHighlight, Location, Position, PrepareRenamePlaceholder, Range,
    TextDocumentContentChangeEvent, Uri,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::Sender;

/// The numbers of errors in the protocol.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const NOT_INITIALIZED: i32 = -32002;
const CANCELLED: i32 = -32800;
const REQUEST_FAILED: i32 = -32803;

/// An answer, or the number of an error with its message.
type Answer = Result<Value, (i32, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before `initialize`.
    New,
    Running,
    /// After `shutdown`.
    Stopped,
    /// After `exit`; whether `shutdown` came before.
    Ended(bool),
}

pub struct Server {
    pub state: State,
    desk: Desk,
    /// What is sent next.
    out: Vec<Value>,
    /// Where the ends of runs are sent.
    runs: Sender<Input>,
    /// Whether the editor opens documents by request.
    opens: bool,
    /// How many requests were sent.
    asked: u64,
}

/// The id of a request that the editor no longer waits for.
pub fn cancels(message: &[u8]) -> Option<Value> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let cancels = message["method"] == "$/cancelRequest";
    cancels.then(|| message["params"]["id"].clone())
}

impl Server {
    pub fn new(runs: Sender<Input>) -> Server {
        let desk = Desk::new(Encoding::Utf16);
        Server { state: State::New, desk, out: Vec::new(), runs, opens: false, asked: 0 }
    }

    /// What is to be sent.
    pub fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.out)
    }

    /// Processes a message; a request in `cancelled` is not answered otherwise.
    pub fn message(&mut self, message: &[u8], cancelled: &HashSet<Value>) {
        let message: Value = match serde_json::from_slice(message) {
            Ok(message) => message,
            Err(error) => return self.reply(Value::Null, Err((PARSE_ERROR, format!("not JSON: {error}")))),
        };
        let id = message.get("id").cloned();
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // The answer to a request of the server needs nothing.
            let answers = message.get("result").is_some() || message.get("error").is_some();
            if !answers {
                let why = "a message has a method";
                self.reply(id.unwrap_or_default(), Err((INVALID_REQUEST, why.to_owned())));
            }
            return;
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        let Some(id) = id else { return self.notice(method, params) };
        let answer = match self.state {
            _ if cancelled.contains(&id) => Err((CANCELLED, "cancelled".to_owned())),
            State::New if method != "initialize" => {
                Err((NOT_INITIALIZED, "the first request is initialize".to_owned()))
            }
            State::Running if method == "initialize" => {
                Err((INVALID_REQUEST, "initialize is sent once".to_owned()))
            }
            State::Stopped | State::Ended(_) => Err((INVALID_REQUEST, "the server was shut down".to_owned())),
            State::New | State::Running => self.request(method, params),
        };
        self.reply(id, answer);
    }

    fn reply(&mut self, id: Value, answer: Answer) {
        self.out.push(match answer {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
            }
        });
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.out.push(json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Sends the problems of all texts that have changed.
    pub fn refresh(&mut self) {
        for shown in self.desk.refresh() {
            let params = json!({
                "uri": shown.uri, "version": shown.version, "diagnostics": shown.problems,
            });
            self.notify("textDocument/publishDiagnostics", params);
        }
    }

    fn notice(&mut self, method: &str, params: &Value) {
        let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
        let version =
            params["textDocument"]["version"].as_i64().and_then(|version| i32::try_from(version).ok());
        let version = version.unwrap_or_default();
        match method {
            "exit" => self.state = State::Ended(self.state == State::Stopped),
            _ if self.state != State::Running => {}
            "textDocument/didOpen" => {
                let text = params["textDocument"]["text"].as_str();
                if let (Some(text), false) = (text, uri.is_empty()) {
                    self.desk.open(Uri::from(uri), version, text.to_owned());
                }
            }
            "textDocument/didChange" => {
                let changes = read::<Vec<TextDocumentContentChangeEvent>>(&params["contentChanges"]);
                let applied = changes.is_ok_and(|changes| self.desk.change(uri, version, changes));
                if !applied {
                    let why = format!("a change of {uri} cannot be applied");
                    self.notify("window/logMessage", json!({"type": 2, "message": why}));
                }
            }
            "textDocument/didClose" => {
                if let Some(uri) = self.desk.close(uri) {
                    let params = json!({"uri": uri, "diagnostics": []});
                    self.notify("textDocument/publishDiagnostics", params);
                }
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => self.desk.forget_all(),
            _ => {}
        }
    }

    fn request(&mut self, method: &str, params: &Value) -> Answer {
        match method {
            "initialize" => Ok(self.initialize(params)),
            "shutdown" => {
                self.state = State::Stopped;
                Ok(Value::Null)
            }
            "textDocument/documentSymbol" => self.about(params, |read| lsp::outline(&read.page())),
            "textDocument/hover" => self.at(params, |read, offset| {
                let run = OnceCell::new();
                let figures = |phase: &str| run.get_or_init(|| last_run(read)).figures.get(phase).cloned();
                json!(lsp::hover(&read.page(), read.mentions(), offset, &figures))
            }),
            "textDocument/definition" => self.at(params, |read, offset| json!(definition(read, offset))),
            "textDocument/references" => {
                let declared = params["context"]["includeDeclaration"].as_bool().unwrap_or(true);
                self.at(params, |read, offset| json!(references(read, offset, declared)))
            }
            "textDocument/documentHighlight" => {
                self.at(params, |read, offset| json!(highlights(read, offset)))
            }
            "textDocument/prepareRename" => self.at(params, |read, offset| json!(prepare(read, offset))),
            "textDocument/rename" => {
                let new = params["newName"].as_str().unwrap_or_default().to_owned();
                let place = self.at(params, |_, offset| json!(offset))?;
                let Some(offset) = place.as_u64() else { return Ok(Value::Null) };
                let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
                let renamed = renames::rename(&mut self.desk, uri, offset as usize, &new);
                renamed.map(|edit| json!(edit)).map_err(|NotRenamed(why)| (REQUEST_FAILED, why))
            }
            "textDocument/completion" => {
                let types = self.desk.types(params["textDocument"]["uri"].as_str().unwrap_or_default());
                self.at(params, |read, offset| json!(complete(read, offset, &types)))
            }
            "textDocument/codeAction" => self
                .within(params, |read, part, uri| json!(lsp::actions(&read.page(), part, &Uri::from(uri)))),
            "textDocument/codeLens" => {
                let uri = Uri::from(params["textDocument"]["uri"].as_str().unwrap_or_default());
                self.about(params, |read| lsp::lenses(&read.page(), &uri))
            }
            "workspace/executeCommand" => {
                let command = params["command"].as_str().unwrap_or_default();
                let uri = params["arguments"][0].as_str().unwrap_or_default();
                self.command(command, uri).map_err(|why| (REQUEST_FAILED, why))
            }
            "textDocument/semanticTokens/full" => self
                .about(params, |read| lsp::tokens(&read.page(), read.mentions(), Span::new(0, usize::MAX))),
            "textDocument/semanticTokens/range" => {
                self.within(params, |read, part, _| json!(lsp::tokens(&read.page(), read.mentions(), part)))
            }
            _ => Err((METHOD_NOT_FOUND, format!("unknown method {method}"))),
        }
    }

    fn initialize(&mut self, params: &Value) -> Value {
        let encodings = params["capabilities"]["general"]["positionEncodings"].as_array();
        let utf8 = encodings.is_some_and(|all| all.iter().any(|one| one == "utf-8"));
        let encoding = if utf8 { Encoding::Utf8 } else { Encoding::Utf16 };
        self.desk = Desk::new(encoding);
        self.opens = params["capabilities"]["window"]["showDocument"]["support"] == true;
        self.state = State::Running;
        json!({
            "capabilities": {
                "positionEncoding": if utf8 { "utf-8" } else { "utf-16" },
                "textDocumentSync": {"openClose": true, "change": 2, "save": true},
                "documentSymbolProvider": true,
                "hoverProvider": true,
                "definitionProvider": true,
                "referencesProvider": true,
                "documentHighlightProvider": true,
                "renameProvider": {"prepareProvider": true},
                "completionProvider": {"triggerCharacters": ["@", "#", "[", ":", ".", "{", " "]},
                "codeActionProvider": {"codeActionKinds": ["quickfix", "source.fixAll"]},
                "codeLensProvider": {},
                "executeCommandProvider": {"commands": lsp::COMMANDS.map(|(command, _)| command)},
                "semanticTokensProvider": {
                    "legend": {"tokenTypes": lsp::KINDS, "tokenModifiers": lsp::MARKS},
                    "full": true,
                    "range": true,
                },
            },
            "serverInfo": {"name": "orderflow", "version": env!("CARGO_PKG_VERSION")},
        })
    }

    /// A command about a document.
    fn command(&mut self, command: &str, uri: &str) -> Result<Value, String> {
        let stub = match command {
            "orderflow.run" => false,
            "orderflow.stub" => true,
            "orderflow.openLastFailure" => return self.open_last_failure(uri),
            _ => return Err(format!("unknown command {command}")),
        };
        let path = uri::path(uri).ok_or("only a file can be run")?;
        if !self.desk.is_saved(uri) {
            return Err("save the document first: a run reads the file".to_owned());
        }
        runs::start(&path, stub, self.runs.clone())?;
        Ok(Value::Null)
    }

    /// Shows the end of a run that the editor has started.
    pub fn ended(&mut self, run: &EndedRun) {
        let name = run.document.display();
        self.notify("window/logMessage", json!({"type": 3, "message": format!("{name}\n{}", run.log)}));
        let kind = if run.ok { 3 } else { 1 };
        self.notify("window/showMessage", json!({"type": kind, "message": run.message}));
    }

    /// Leads to the step at which an item failed last; the place is also the result.
    fn open_last_failure(&mut self, uri: &str) -> Result<Value, String> {
        let read = self.desk.read(uri).ok_or("the document is not open")?;
        let run = last_run(read);
        let Some(failure) = run.failure else {
            return Err("the last run of this document has no failed item".to_owned());
        };
        let spec = &read.document.spec;
        let phases = graph::phases(spec);
        let step = failure.phase.as_ref().and_then(|phase| phases.iter().position(|known| known == phase));
        let step = step.and_then(|step| spec.steps.get(step));
        let place = step.map(|step| location(read, step.title.span));
        let title = step.map(|step| format!(" at {}", visible(&step.title.value))).unwrap_or_default();
        let (key, named) = (visible(&failure.key), word(&failure.key));
        let message = format!(
            "item {key} failed{title}: {}\norderflow show {} --item {named}",
            failure.message, run.name
        );
        self.notify("window/showMessage", json!({"type": 1, "message": message}));
        if let (Some(place), true) = (&place, self.opens) {
            self.asked += 1;
            let params = json!({"uri": place.uri, "takeFocus": true, "selection": place.range});
            let id = format!("orderflow-{}", self.asked);
            self.out
                .push(json!({"jsonrpc": "2.0", "id": id, "method": "window/showDocument", "params": params}));
        }
        Ok(json!(place))
    }

    /// An answer about a whole document; null about anything else.
    fn about<T: serde::Serialize>(
        &mut self,
        params: &Value,
        answer: impl FnOnce(&ReadDocument) -> T,
    ) -> Answer {
        let Some(uri) = params["textDocument"]["uri"].as_str() else {
            return Err((INVALID_PARAMS, "the request names no document".to_owned()));
        };
        Ok(self.desk.read(uri).map_or(Value::Null, |read| json!(answer(read))))
    }

    /// An answer about a part of a document.
    fn within(&mut self, params: &Value, answer: impl FnOnce(&ReadDocument, Span, &str) -> Value) -> Answer {
        let range: Range = read(&params["range"]).map_err(|why| (INVALID_PARAMS, why))?;
        let uri = params["textDocument"]["uri"].as_str().unwrap_or_default();
        self.about(params, |read| answer(read, read.places.span(&read.document.source.text, range), uri))
    }

    /// An answer about a place in a document.
    fn at(&mut self, params: &Value, answer: impl FnOnce(&ReadDocument, usize) -> Value) -> Answer {
        let position: Position = read(&params["position"]).map_err(|why| (INVALID_PARAMS, why))?;
        self.about(params, |read| {
            let offset = read.places.offset(&read.document.source.text, position);
            answer(read, offset)
        })
    }
}

/// The last run of a document; empty without one.
fn last_run(read: &ReadDocument) -> LastRun {
    last::of(read.document.path(), &read.settings.folder).unwrap_or_default()
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

fn uri_of(source: &Source) -> Uri {
    uri::uri(Path::new(&source.name))
}

fn location(read: &ReadDocument, span: Span) -> Location {
    Location { uri: uri_of(&read.document.source), range: read.page().range(span) }
}

/// Where the name at an offset gets its meaning.
fn definition(read: &ReadDocument, offset: usize) -> Vec<Location> {
    let mentions = read.mentions();
    let Some(mention) = mentions.at(offset) else { return Vec::new() };
    let named = |span: Span| {
        let (source, places) = read.names.file.as_ref()?;
        Some(Location { uri: uri_of(source), range: places.range(&source.text, span) })
    };
    match &mention.entity {
        Entity::Agent(name) => read.names.agent(name).and_then(|one| named(one.span)).into_iter().collect(),
        Entity::Channel(name) => {
            read.names.channel(name).and_then(|one| named(one.span)).into_iter().collect()
        }
        Entity::Document(path) => {
            let folder = read.document.path().parent().unwrap_or(Path::new(""));
            let path = crate::disk::normal(&folder.join(path));
            let top = Position { line: 0, character: 0 };
            vec![Location { uri: uri::uri(&path), range: Range { start: top, end: top } }]
        }
        entity => mentions.definitions(entity).iter().map(|one| location(read, one.span)).collect(),
    }
}

fn references(read: &ReadDocument, offset: usize, declared: bool) -> Vec<Location> {
    let mentions = read.mentions();
    let Some(mention) = mentions.at(offset) else { return Vec::new() };
    let all = mentions.of_entity(&mention.entity).filter(|one| declared || !one.defines);
    all.map(|one| location(read, one.span)).collect()
}

fn highlights(read: &ReadDocument, offset: usize) -> Vec<DocumentHighlight> {
    let mentions = read.mentions();
    let Some(mention) = mentions.at(offset) else { return Vec::new() };
    let all = mentions.of_entity(&mention.entity);
    all.map(|one| DocumentHighlight { range: read.page().range(one.span), kind: None }).collect()
}

fn complete(read: &ReadDocument, offset: usize, types: &KnownTypes) -> Vec<CompletionItem> {
    let documents = || {
        let path = read.document.path();
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut all = super::super::children::beside(folder, "");
        all.retain(|name| *name != own);
        all.sort();
        all
    };
    lsp::completions(&read.page(), read.mentions(), offset, (types, &documents))
}

fn prepare(read: &ReadDocument, offset: usize) -> Option<PrepareRenamePlaceholder> {
    let mention: &Mention = read.mentions().at(offset)?;
    let fixed = matches!(mention.entity, Entity::Event(_) | Entity::Document(_));
    let placeholder = read.document.source.slice(mention.span).to_owned();
    (!fixed).then(|| PrepareRenamePlaceholder { range: read.page().range(mention.span), placeholder })
}
