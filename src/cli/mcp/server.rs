//! Answers calls of tools: by the functions behind `orderflow serve`, or by the commands with `--format json`.

use super::super::guide;
use super::super::serve::FolderDesk;
use super::tools::{
    self, ActArguments, DecideArguments, DocumentArguments, GuideArguments, LogsArguments, RetryArguments,
    RunArguments, ShowArguments, SignalArguments, StatsArguments, StatsGrouping, StatusArguments,
    TestArguments,
};
use crate::diag::render::{visible, visible_json};
use crate::event::Arrival;
use crate::runtime::{new_run_id, unix_millis};
use crate::serve::{
    Answered, DecideRequest, ListPart, LogsRequest, Refusal, RefusalKind, RunAct, RunService, StartRequest,
    act_and_resume,
};
use crate::value::{Object, Value};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many questions read documents and journals at the same time.
const READING: usize = 4;

/// The most items or parts of logs in a result.
const MOST: u32 = 1000;

/// What a client's model reads first.
const INSTRUCTIONS: &str = "Runs workflows written as markdown documents. Read guide before you write a document, and \
validate it afterwards. run returns an id at once: ask status about it. A document whose programs have no grant is \
refused: a person has to check it and run the command that the error names.";

/// The tools for the documents and runs of a folder.
#[derive(Clone)]
pub struct ToolServer {
    desk: Arc<FolderDesk>,
    folder: PathBuf,
    reading: Arc<Semaphore>,
}

/// The result of a tool.
enum ToolOutput {
    Data(Value),
    Text(&'static str),
}

impl ToolServer {
    pub fn new(desk: Arc<FolderDesk>, folder: PathBuf) -> ToolServer {
        ToolServer { desk, folder, reading: Arc::new(Semaphore::new(READING)) }
    }

    /// The result of a tool; `None` if it does not exist.
    ///
    /// # Errors
    /// Why it has none, as the terminal shows it.
    async fn call(&self, tool: &str, arguments: Object) -> Option<Result<ToolOutput, String>> {
        let done = match tool {
            "guide" => match page(arguments) {
                Ok(page) => return Some(Ok(ToolOutput::Text(page))),
                Err(refusal) => Err(refusal),
            },
            "test" => self.test(arguments).await,
            "resume" => {
                self.act::<ActArguments>(arguments, |ActArguments { run }| (run, RunAct::Resume)).await
            }
            "cancel" => {
                self.act::<ActArguments>(arguments, |ActArguments { run }| (run, RunAct::Cancel)).await
            }
            "retry" => self.act(arguments, |RetryArguments { run, items }| (run, RunAct::Retry(items))).await,
            "validate" => self.validate(arguments).await,
            "plan" => self.plan(arguments).await,
            "stats" => self.stats(arguments).await,
            "run" => self.run(arguments).await,
            "status" => self.status(arguments).await,
            "show" => self.show(arguments).await,
            "logs" => self.logs(arguments).await,
            "approve" => self.decide(true, arguments).await,
            "reject" => self.decide(false, arguments).await,
            "signal" => self.signal(arguments).await,
            _ => return None,
        };
        Some(done.map(ToolOutput::Data).map_err(|refusal| text(&refusal)))
    }

    async fn validate(&self, arguments: Object) -> Answered {
        let DocumentArguments { document } = read(arguments)?;
        let document = self.desk.document(self.below(&document))?;
        let (problems, code) = self.command(&["validate"], vec![document]).await?;
        Ok(json!({ "valid": code == 0, "problems": problems }))
    }

    async fn plan(&self, arguments: Object) -> Answered {
        let DocumentArguments { document } = read(arguments)?;
        let document = self.desk.document(self.below(&document))?;
        Ok(self.command(&["plan"], vec![document]).await?.0)
    }

    async fn test(&self, arguments: Object) -> Answered {
        let TestArguments { document, cases } = read(arguments)?;
        let document = self.desk.document(self.below(&document))?;
        let cases: Vec<String> = cases.iter().map(|case| format!("--case={case}")).collect();
        let command: Vec<&str> = std::iter::once("test").chain(cases.iter().map(String::as_str)).collect();
        let (documents, code) = self.command(&command, vec![document]).await?;
        Ok(json!({ "passed": code == 0, "documents": documents }))
    }

    async fn act<T: DeserializeOwned>(
        &self,
        arguments: Object,
        act: impl FnOnce(T) -> (String, RunAct),
    ) -> Answered {
        let (run, act) = act(read(arguments)?);
        act_and_resume(&*self.desk, run, act, false).await
    }

    async fn stats(&self, arguments: Object) -> Answered {
        let StatsArguments { sessions, by } = read(arguments)?;
        let sessions = sessions.iter().map(|session| self.desk.file(self.below(session)));
        let sessions = sessions.collect::<Result<Vec<_>, _>>()?;
        let by: Vec<&str> = by.into_iter().map(StatsGrouping::name).collect();
        let by = format!("--by={}", by.join(","));
        let command = if by.ends_with('=') { vec!["stats"] } else { vec!["stats", &by] };
        Ok(self.command(&command, sessions).await?.0)
    }

    async fn run(&self, arguments: Object) -> Answered {
        let RunArguments { document, items, inputs, keys, stub } = read(arguments)?;
        let document = self.below(&document).to_owned();
        self.desk.start(StartRequest { document, items, inputs, keys, stub, traceparent: None }).await
    }

    async fn status(&self, arguments: Object) -> Answered {
        let StatusArguments { run } = read(arguments)?;
        self.ask(move |desk| match run {
            None => Ok(json!({ "runs": desk.runs()? })),
            Some(run) => {
                let mut status = desk.run(&run)?;
                status["gates"] = desk.gates(&run)?;
                Ok(status)
            }
        })
        .await
    }

    async fn show(&self, arguments: Object) -> Answered {
        let ShowArguments { run, item, offset, limit } = read(arguments)?;
        let part = ListPart { offset: offset as usize, limit: limit.min(MOST) as usize };
        self.ask(move |desk| match item {
            Some(key) => desk.item(&run, &key),
            None => {
                let (mut shown, items) = (desk.run(&run)?, desk.items(&run, part)?);
                if let (Value::Object(shown), Value::Object(items)) = (&mut shown, items) {
                    shown.extend(items);
                }
                Ok(shown)
            }
        })
        .await
    }

    async fn logs(&self, arguments: Object) -> Answered {
        let LogsArguments { run, step, item, attempt, after, limit } = read(arguments)?;
        let wanted =
            LogsRequest { step, item, attempt, after: after.into(), limit: limit.min(MOST) as usize };
        self.ask(move |desk| desk.logs(&run, &wanted)).await
    }

    async fn decide(&self, approved: bool, arguments: Object) -> Answered {
        let DecideArguments { run, step, items, by, note, resume } = read(arguments)?;
        let act = RunAct::Decide(DecideRequest { approved, step, items, by, note });
        act_and_resume(&*self.desk, run, act, resume).await
    }

    async fn signal(&self, arguments: Object) -> Answered {
        let SignalArguments { run, kind, item, data, id, resume } = read(arguments)?;
        let arrival = Arrival {
            id: id.unwrap_or_else(new_run_id),
            kind,
            subject: item,
            source: None,
            data: Arc::new(data.unwrap_or_else(|| Value::Object(Object::new()))),
            at: unix_millis(),
        };
        if let Some(fault) = arrival.fault() {
            let message = format!("the event cannot be sent: {fault}; nothing was recorded");
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        act_and_resume(&*self.desk, run, RunAct::Signal(arrival), resume).await
    }

    /// Asks the desk, which reads.
    async fn ask(&self, question: impl FnOnce(&FolderDesk) -> Answered + Send + 'static) -> Answered {
        let _place = self.reading.acquire().await.map_err(internal)?;
        let desk = self.desk.clone();
        tokio::task::spawn_blocking(move || question(&desk)).await.map_err(internal)?
    }

    /// What a command on files shows with `--format json`, and its exit code.
    async fn command(&self, command: &[&str], files: Vec<PathBuf>) -> Result<(Value, i32), Refusal> {
        let _place = self.reading.acquire().await.map_err(internal)?;
        self.desk.shown(command, files).await
    }

    /// A path as relative to the folder, if it leads there: clients also write absolute ones.
    fn below<'a>(&self, said: &'a str) -> &'a str {
        let path = Path::new(said);
        let below = path.strip_prefix(&self.folder).or_else(|_| path.strip_prefix("."));
        below.ok().and_then(Path::to_str).unwrap_or(said)
    }
}

impl ServerHandler for ToolServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("orderflow", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(done) = self.call(&request.name, request.arguments.unwrap_or_default()).await else {
            let message = format!("no tool is called {}", visible(&request.name));
            return Err(ErrorData::invalid_params(message, None));
        };
        let result = match done {
            Ok(ToolOutput::Data(data)) => {
                let text = visible_json(&data.to_string());
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(data);
                result
            }
            Ok(ToolOutput::Text(text)) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(error)]),
        };
        Ok(result.into())
    }
}

/// The page of a topic, or the whole language.
fn page(arguments: Object) -> Result<&'static str, Refusal> {
    let GuideArguments { topic } = read(arguments)?;
    let Some(topic) = topic else { return Ok(guide::card()) };
    guide::page(&topic).ok_or_else(|| {
        let message = format!("unknown topic {}", visible(&topic));
        let help = format!("the topics are {}", guide::topics().join(", "));
        Refusal { help: Some(help), ..Refusal::new(RefusalKind::Invalid, message) }
    })
}

fn read<T: DeserializeOwned>(arguments: Object) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        Refusal::new(
            RefusalKind::Malformed,
            format!("the arguments do not fit: {}", visible(&error.to_string())),
        )
    })
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalKind::Internal, format!("a bug in orderflow: {error}"))
}

/// An error as the terminal shows it.
fn text(refusal: &Refusal) -> String {
    let Refusal { message, help, detail, .. } = refusal;
    let detail = detail.as_ref().map(|detail| format!("{detail}\n")).unwrap_or_default();
    let help = help.as_ref().map(|help| format!("\n  help: {}", visible(help))).unwrap_or_default();
    // Several lines are what a command has shown.
    let message =
        if message.contains('\n') { message.clone() } else { format!("error: {}", visible(message)) };
    detail + &message + &help
}
