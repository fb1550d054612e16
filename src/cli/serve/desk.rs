//! The runs of a folder for the server: the same functions that the commands use answer, in the same JSON.

use super::super::answer::{Answer, give, name_of, question_json};
use super::super::approve::record_decision;
use super::super::exit::{Exit, Stop};
use super::super::runs::{find, list};
use super::super::signal::record_event;
use super::super::terminal::Terminal;
use super::super::{logs, report, show};
use super::children::Commanded;
use crate::disk::{Named, real};
use crate::event::{Arrival, Decision};
use crate::history::History;
use crate::history::dead_letters::{self, LetterTable};
use crate::journal::{self, Lock};
use crate::page::{self, OtherRun, PageData, PageMode};
use crate::runtime::{clock, new_run_id, open_questions, unix_millis};
use crate::serve::{
    AnswerRequest, Answered, DecideRequest, Doing, ListPart, LogsRequest, Refusal, RefusalKind, RunAct,
    RunService, StartRequest,
};
use crate::value::Value;
use anyhow::Context;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The runs of the folder in which the server was started.
pub struct FolderDesk {
    folder: PathBuf,
    commanded: Commanded,
    earlier: EarlierRuns,
}

/// By the folder of an active run, the earlier runs of its document: they stay the same while its page is read.
#[derive(Default)]
struct EarlierRuns(Mutex<HashMap<PathBuf, Vec<OtherRun>>>);

/// For how many runs they are known at once.
const KNOWN: usize = 64;

impl EarlierRuns {
    fn of(&self, history: &History, home: &Path) -> Vec<OtherRun> {
        let known = |all: &HashMap<_, Vec<OtherRun>>| all.get(home).cloned();
        if let Some(found) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let found = report::earlier(history, home);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KNOWN {
            all.clear();
        }
        all.insert(home.to_owned(), found.clone());
        found
    }
}

impl FolderDesk {
    /// `pages` says whether the runs have pages on which people answer what agents ask.
    ///
    /// # Errors
    /// The path of this program is not known.
    pub fn new(folder: PathBuf, pages: bool) -> anyhow::Result<FolderDesk> {
        let program = std::env::current_exe().context("cannot find the path of orderflow")?;
        let state = find::stored_in().map(Path::to_owned);
        let commanded = Commanded { program, folder: folder.clone(), state, pages };
        Ok(FolderDesk { commanded, folder, earlier: EarlierRuns::default() })
    }

    /// A document of the served folder.
    ///
    /// # Errors
    /// It is elsewhere, no markdown, or does not exist.
    pub fn document(&self, said: &str) -> Result<PathBuf, Refusal> {
        if Path::new(said).extension().is_none_or(|end| end != "md") {
            let message = "the document must be a markdown file below the served folder";
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        self.below(said, ("document", "a markdown file"))
    }

    /// A file of the served folder.
    ///
    /// # Errors
    /// It is elsewhere, or does not exist.
    pub fn file(&self, said: &str) -> Result<PathBuf, Refusal> {
        self.below(said, ("file", "one"))
    }

    fn below(&self, said: &str, (what, kind): (&str, &str)) -> Result<PathBuf, Refusal> {
        let outside = || {
            let message = format!("the {what} must be {kind} below the served folder");
            Refusal::new(RefusalKind::Invalid, message)
        };
        let path = Path::new(said);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_below || said.contains('\0') {
            return Err(outside());
        }
        let unknown = |_| Refusal::new(RefusalKind::Unknown, format!("the served folder has no such {what}"));
        let found = real(&self.folder.join(path)).map_err(unknown)?;
        let folder = real(&self.folder).map_err(|error| internal(&error.into()))?;
        // A pipe would keep the command that reads it for ever.
        let is_file = Named::file(found.clone()).about().is_ok_and(|about| about.is_file());
        match found.starts_with(folder) && is_file {
            true => Ok(path.to_owned()),
            false => Err(outside()),
        }
    }

    /// What a command on files of the served folder shows with `--format json`, and its exit code.
    ///
    /// # Errors
    /// Why it shows nothing.
    pub async fn shown(&self, command: &[&str], files: Vec<PathBuf>) -> Result<(Value, i32), Refusal> {
        let mut arguments: Vec<OsString> = command.iter().map(OsString::from).collect();
        arguments.extend(["--format=json", "--"].map(OsString::from));
        arguments.extend(files.into_iter().map(OsString::from));
        self.commanded.shown(arguments).await
    }

    async fn begin(&self, request: StartRequest) -> Answered {
        let document = self.document(&request.document)?;
        let run = new_run_id();
        let mut arguments: Vec<OsString> = ["run", "--quiet", "--run-id", &run].map(OsString::from).into();
        if request.stub {
            arguments.push("--stub".into());
        }
        let mut input = Vec::new();
        if let Some(items) = request.items {
            arguments.push("--items=-".into());
            for item in items {
                input.extend_from_slice(Value::Object(item).to_string().as_bytes());
                input.push(b'\n');
            }
        }
        for (name, value) in request.inputs {
            if name.contains('=') {
                return Err(Refusal::new(RefusalKind::Invalid, "the name of an input has no `=`"));
            }
            let value = match value {
                // A text that begins with `@` would be the name of a file.
                Value::String(text) if text.starts_with('@') => format!("@{text}"),
                Value::String(text) => text,
                other => other.to_string(),
            };
            arguments.push(format!("--input={name}={value}").into());
        }
        arguments.extend(request.keys.iter().map(|key| format!("--item={key}").into()));
        arguments.push("--".into());
        arguments.push(document.into());
        if arguments.iter().any(|argument| argument.as_encoded_bytes().contains(&0)) {
            return Err(Refusal::new(RefusalKind::Invalid, "a text has a NUL character"));
        }
        let began = |_| {
            let all = find::all().unwrap_or_default();
            all.iter().any(|folder| find::name(folder) == run)
        };
        let trace = request.traceparent.as_deref();
        self.commanded.run(arguments, input, trace, began).await?;
        Ok(json!({ "run": run }))
    }

    async fn act(&self, run: String, act: RunAct) -> Answered {
        let home = home(&run)?;
        match act {
            RunAct::Decide(request) => blocking(move || decide(&home, request)).await,
            RunAct::Answer(request) => {
                let AnswerRequest { question, agrees, values, by, note } = request;
                let answer = Answer { agrees, values, by, note };
                blocking(move || give(&home, &question, answer)).await
            }
            RunAct::Signal(arrival) => blocking(move || signal(&home, arrival)).await,
            RunAct::Cancel => self.command(&home, "cancel", Vec::new(), Vec::new()).await,
            RunAct::Retry(keys) => self.command(&home, "retry", of_items(&keys), Vec::new()).await,
            RunAct::RetryEdited(edits) => {
                let place = home.clone();
                let table =
                    blocking(move || with_letters(&place, |table| table.edited(&edits).into())).await?;
                let table = table.as_str().unwrap_or_default().as_bytes().to_vec();
                self.command(&home, "retry", vec!["--items=-".into()], table).await
            }
            RunAct::Resume => self.command(&home, "resume", Vec::new(), Vec::new()).await,
        }
    }

    /// A command that may run until the run has ended. It has begun once it has added to the journal.
    async fn command(&self, home: &Path, name: &str, more: Vec<OsString>, input: Vec<u8>) -> Answered {
        let mut arguments: Vec<OsString> = vec![name.into(), "--quiet".into()];
        arguments.extend(more);
        arguments.push("--".into());
        arguments.push(home.into());
        if arguments.iter().any(|argument| argument.as_encoded_bytes().contains(&0)) {
            return Err(Refusal::new(RefusalKind::Invalid, "a text has a NUL character"));
        }
        let before = tip(home);
        if before.is_none() {
            return Err(Refusal::new(RefusalKind::Internal, "the journal of the run cannot be read"));
        }
        let begun = |process| journal::last_holder(home) == Some(process) && tip(home) != before;
        self.commanded.run(arguments, input, None, begun).await?;
        Ok(json!({ "run": find::name(home) }))
    }

    /// The page of the run in the folder `home`, with its content security policy.
    fn page_of(
        &self,
        home: &Path,
        baseline: Option<&Path>,
        mode: &PageMode,
    ) -> anyhow::Result<(String, String)> {
        let held = Lock::is_held(home)?;
        let history = History::open(home)?;
        let mut data = PageData::collect(&history, &find::called(home)?, held)?;
        match held && *mode != PageMode::File {
            true => {
                let earlier = self.earlier.of(&history, home);
                report::compare_active(&mut data, &history, home, (baseline, earlier))?;
            }
            false => report::compare(&mut data, &history, home, baseline)?,
        }
        Ok((page::render(&data, mode)?, page::policy(mode)))
    }
}

impl RunService for FolderDesk {
    fn homes(&self) -> Result<Vec<PathBuf>, Refusal> {
        find::all().map_err(|error| refusal(&error))
    }

    fn home(&self, run: &str) -> Result<PathBuf, Refusal> {
        home(run)
    }

    fn page(&self, run: &str, baseline: Option<&str>) -> Result<(String, String), Refusal> {
        let home = self::home(run)?;
        let baseline = baseline.map(self::home).transpose()?;
        let mode = PageMode::Served { api: format!("/api/runs/{}", find::name(&home)) };
        self.page_of(&home, baseline.as_deref(), &mode).map_err(|error| refusal(&error))
    }

    fn report(&self, run: &str) -> Result<(String, String), Refusal> {
        self.page_of(&self::home(run)?, None, &PageMode::File).map_err(|error| refusal(&error))
    }

    fn runs(&self) -> Answered {
        answer(|| {
            let folders = find::all()?;
            Ok(serde_json::to_value(list::lines(&folders, None))?)
        })
    }

    fn run(&self, run: &str) -> Answered {
        let home = home(run)?;
        answer(|| {
            let held = Lock::is_held(&home)?;
            show::read(&History::open(&home)?, held, drop)
        })
    }

    fn items(&self, run: &str, part: ListPart) -> Answered {
        let home = home(run)?;
        answer(|| {
            let held = Lock::is_held(&home)?;
            let (mut items, mut total) = (Vec::new(), 0);
            show::read(&History::open(&home)?, held, |item| {
                if (part.offset..part.offset.saturating_add(part.limit)).contains(&total) {
                    items.push(item);
                }
                total += 1;
            })?;
            Ok(json!({ "items": items, "total": total, "offset": part.offset }))
        })
    }

    fn item(&self, run: &str, key: &str) -> Answered {
        let home = home(run)?;
        let held = Lock::is_held(&home).map_err(|error| internal(&error.into()))?;
        let found = History::open(&home).and_then(|history| show::item::read(&history, key, held));
        found.map_err(|error| match Exit::of(&error) {
            Exit::Invalid => Refusal { kind: RefusalKind::Unknown, ..refusal(&error) },
            _ => refusal(&error),
        })
    }

    fn gates(&self, run: &str) -> Answered {
        let home = home(run)?;
        answer(|| gates(&History::open(&home)?))
    }

    fn questions(&self, run: &str) -> Answered {
        Ok(open_questions(&home(run)?).into_iter().map(question_json).collect())
    }

    fn dead_letters(&self, run: &str) -> Answered {
        let home = home(run)?;
        answer(|| with_letters(&home, |table| table.json()))
    }

    fn logs(&self, run: &str, request: &LogsRequest) -> Answered {
        let home = home(run)?;
        logs::page(&home, request).map_err(|error| match Exit::of(&error) {
            Exit::Invalid => Refusal { kind: RefusalKind::Unknown, ..refusal(&error) },
            _ => refusal(&error),
        })
    }

    fn files(&self, run: &str) -> Answered {
        let home = home(run)?;
        answer(|| show::files::list(&History::open(&home)?))
    }

    fn file(&self, run: &str, path: &str) -> Result<File, Refusal> {
        let home = home(run)?;
        let found = History::open(&home).and_then(|history| show::files::open(&history, path));
        let found = found.map_err(|error| refusal(&error))?;
        found.ok_or_else(|| Refusal::new(RefusalKind::Unknown, "no step of this run has made such a file"))
    }

    fn act(&self, run: String, act: RunAct) -> Doing<'_> {
        Box::pin(self.act(run, act))
    }

    fn start(&self, request: StartRequest) -> Doing<'_> {
        Box::pin(self.begin(request))
    }
}

/// The folder of a run by `last` or by the beginning of its name. Never a path.
fn home(run: &str) -> Result<PathBuf, Refusal> {
    let unknown = || Refusal::new(RefusalKind::Unknown, "this folder has no such run");
    if run.is_empty() || !run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(unknown());
    }
    let home = find::one(run).map_err(|error| Refusal { kind: RefusalKind::Unknown, ..refusal(&error) })?;
    // The command also takes a folder of this name for a run.
    let is_stored = find::all().map_err(|error| internal(&error))?.contains(&home);
    if is_stored { Ok(home) } else { Err(unknown()) }
}

fn decide(home: &Path, request: DecideRequest) -> anyhow::Result<Value> {
    let DecideRequest { approved, step, items, by, note } = request;
    let by = name_of(by)?;
    let decision = Decision { approved, by, note, at: unix_millis() };
    record_decision(home, &step, items, &decision, &mut Terminal::new())
}

/// Asks the table of failed items that can be retried.
fn with_letters(home: &Path, ask: impl FnOnce(&LetterTable<'_>) -> Value) -> anyhow::Result<Value> {
    let history = History::open(home)?;
    let letters = dead_letters::retryable(&history)?;
    Ok(ask(&LetterTable::of(&history.graph, &letters, &history.options.given)))
}

/// The options that name these items.
fn of_items(keys: &[String]) -> Vec<OsString> {
    keys.iter().map(|key| format!("--item={key}").into()).collect()
}

fn signal(home: &Path, arrival: Arrival) -> anyhow::Result<Value> {
    record_event(home, &Arc::new(arrival), &mut Terminal::new())
}

/// `[{step, by, decided: {approved, by, note, at}, waiting: [{item, question, since, until}]}]`, in the order
/// of the document.
fn gates(history: &History) -> anyhow::Result<Value> {
    let log = history.gates()?;
    let mut waiting: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for one in &log.waiting {
        let within = history.graph.gate(one.gate).and_then(|gate| gate.within);
        let until = within.and_then(|within| one.since.checked_add(u64::try_from(within.as_millis()).ok()?));
        waiting.entry(one.gate).or_default().push(json!({
            "item": &*one.key,
            "question": one.question,
            "since": clock(one.since),
            "until": until.map(clock),
        }));
    }
    let gates = history.graph.gates.iter().zip(0..).map(|(gate, id)| {
        let id = crate::event::GateId(id);
        let decided = log.standing.get(&id).map(|decision| {
            json!({
                "approved": decision.approved,
                "by": decision.by,
                "note": decision.note,
                "at": clock(decision.at),
            })
        });
        json!({
            "step": history.graph.gated(gate),
            "by": gate.by,
            "decided": decided,
            "waiting": waiting.remove(&id).unwrap_or_default(),
        })
    });
    Ok(gates.collect::<Vec<_>>().into())
}

/// The number of rows of a journal and the checksum of the last.
fn tip(home: &Path) -> Option<(i64, String)> {
    journal::read(home).ok()?.1.tip().ok()
}

async fn blocking(act: impl FnOnce() -> anyhow::Result<Value> + Send + 'static) -> Answered {
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => done.map_err(|error| refusal(&error)),
        Err(_) => Err(Refusal::new(RefusalKind::Internal, "a bug in orderflow")),
    }
}

fn answer(ask: impl FnOnce() -> anyhow::Result<Value>) -> Answered {
    ask().map_err(|error| refusal(&error))
}

fn internal(error: &anyhow::Error) -> Refusal {
    Refusal { kind: RefusalKind::Internal, ..refusal(error) }
}

/// An error of a command, with its help.
fn refusal(error: &anyhow::Error) -> Refusal {
    let kind = match Exit::of(error) {
        Exit::Usage | Exit::Invalid | Exit::NeedsPerson => RefusalKind::Invalid,
        Exit::NotTrusted => RefusalKind::NotTrusted,
        Exit::Changed | Exit::Locked => RefusalKind::Conflict,
        Exit::Ok
        | Exit::Failed
        | Exit::Journal
        | Exit::Internal
        | Exit::Io
        | Exit::Deadline
        | Exit::Interrupted
        | Exit::Terminated => RefusalKind::Internal,
    };
    Refusal {
        kind,
        message: format!("{error:#}"),
        help: Stop::help_of(error).map(str::to_owned),
        detail: None,
    }
}
