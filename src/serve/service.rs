//! What the server is asked for, and what answers. Does not know HTTP.

use crate::event::Arrival;
use crate::value::{Object, Value};
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: String,
    pub help: Option<String>,
    /// Further messages, such as the problems of a document.
    pub detail: Option<String>,
}

/// What is wrong, in the terms of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request makes no sense.
    Malformed,
    /// Something that it names does not exist.
    Unknown,
    /// It makes sense, but the run or the document does not allow it.
    Invalid,
    /// A grant is missing, or the run is of another user.
    NotTrusted,
    /// The run is active elsewhere, or has changed.
    Conflict,
    /// The server or its machine is at fault.
    Internal,
}

/// The answer to a question, in JSON.
pub type Answered = Result<Value, Refusal>;

/// Something that is being done.
pub type Doing<'a> = Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPart {
    pub offset: usize,
    pub limit: usize,
}

/// Which parts of a run's logs to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsRequest {
    pub step: Option<String>,
    pub item: Option<String>,
    pub attempt: Option<u32>,
    /// Only those after the part with this number.
    pub after: i64,
    /// The most parts.
    pub limit: usize,
}

/// A request to change a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAct {
    Decide(DecideRequest),
    Answer(AnswerRequest),
    Signal(Arrival),
    Cancel,
    /// Failed items: those with these keys, or all.
    Retry(Vec<String>),
    /// Failed items, some with other inputs: by key, and by input the value.
    RetryEdited(Vec<(String, Object)>),
    Resume,
}

/// A decision about a gate.
#[derive(Clone, Debug, PartialEq)]
pub struct DecideRequest {
    pub approved: bool,
    /// The step or group behind the gate.
    pub step: String,
    /// The keys of items; `None` for all, now and later.
    pub items: Option<Vec<String>>,
    /// The name to record.
    pub by: Option<String>,
    pub note: Option<String>,
}

/// An answer to the question of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerRequest {
    /// The id of the question.
    pub question: String,
    pub agrees: bool,
    /// The values that it asks for, by name.
    pub values: Object,
    /// The name to record.
    pub by: Option<String>,
    pub note: Option<String>,
}

/// A run to start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartRequest {
    /// Relative to the served folder.
    pub document: String,
    /// The items; `None` for those that the document names.
    pub items: Option<Vec<Object>>,
    pub inputs: Object,
    /// Only the items with these keys.
    pub keys: Vec<String>,
    /// Whether made-up answers stand for those of the agents.
    pub stub: bool,
    /// The trace of the request, as W3C trace context.
    pub traceparent: Option<String>,
}

/// What answers: the runs of a folder. All but `act` and `start` block.
pub trait RunService: Send + Sync + 'static {
    /// The folders of all runs.
    ///
    /// # Errors
    /// They cannot be listed.
    fn homes(&self) -> Result<Vec<PathBuf>, Refusal>;
    /// The folder of a run.
    ///
    /// # Errors
    /// It does not exist.
    fn home(&self, run: &str) -> Result<PathBuf, Refusal>;
    /// The page of a run, with its content security policy. It is compared with the run `baseline`; without one, a run that
    /// no process runs with an earlier one.
    ///
    /// # Errors
    /// The run does not exist, or cannot be read.
    fn page(&self, run: &str, baseline: Option<&str>) -> Result<(String, String), Refusal>;
    /// The same as `orderflow report` writes it.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    fn report(&self, run: &str) -> Result<(String, String), Refusal>;
    fn runs(&self) -> Answered;
    fn run(&self, run: &str) -> Answered;
    fn items(&self, run: &str, part: ListPart) -> Answered;
    fn item(&self, run: &str, key: &str) -> Answered;
    fn gates(&self, run: &str) -> Answered;
    /// The questions of agents that wait for a person.
    fn questions(&self, run: &str) -> Answered;
    /// The failed items that can be retried, with their inputs.
    fn dead_letters(&self, run: &str) -> Answered;
    fn logs(&self, run: &str, request: &LogsRequest) -> Answered;
    fn files(&self, run: &str) -> Answered;
    /// Opens a file that [`files`](Self::files) lists.
    ///
    /// # Errors
    /// It does not list this one, or the file is gone.
    fn file(&self, run: &str, path: &str) -> Result<File, Refusal>;
    fn act(&self, run: String, act: RunAct) -> Doing<'_>;
    fn start(&self, request: StartRequest) -> Doing<'_>;
}

/// Does it, and with `resume` continues the run if no process runs it.
///
/// # Errors
/// Why it is not done, or why the run cannot continue.
pub async fn act_and_resume(service: &dyn RunService, run: String, act: RunAct, resume: bool) -> Answered {
    let done = service.act(run.clone(), act).await?;
    if resume {
        match service.act(run, RunAct::Resume).await {
            Err(refusal) if refusal.kind != RefusalKind::Conflict => return Err(refusal),
            // An active run has taken it.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(done)
}

impl Refusal {
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into(), help: None, detail: None }
    }
}
