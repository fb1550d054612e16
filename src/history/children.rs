//! A document that a step of another document runs: a run of its own in the folder of the run, with its own journal.
//! The adapter of such a step begins the run, or continues it where it was left.

use super::taken::{LockedRun, request_cancel};
use super::{New, People, Prepared, RunEnd, RunOptions, Runner};
use crate::adapter::{Adapter, Call, Declared, Ending, Stop, contract};
use crate::disk::Folder;
use crate::engine::{Policy, RetryRequest, Run, spend};
use crate::event::{
    Answer, AttemptEvent, BUDGET, Cause, Event, EventKind, Failure, ItemEvent, ItemId, ItemState, Outcome,
    Reply, RunEvent, Settlement, ValueId,
};
use crate::graph::Graph;
use crate::journal::{self, DocumentText};
use crate::runtime::{self, Bindings, Finder, Inbox, NestedRun, NewItem, Observer, Requests, Workspace};
use crate::value::budget::Spent;
use crate::value::dollars::Dollars;
use crate::value::{Object, Value};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A document that a step runs, with all that its runs need.
pub struct ChildDocument {
    pub text: DocumentText,
    pub graph: Arc<Graph>,
    pub policy: Policy,
    /// Makes the bindings of one run: its adapters are shared by all, its redactor is its own.
    pub bindings: Box<dyn Fn() -> Bindings + Send + Sync>,
}

impl ChildDocument {
    /// A graph whose values the step can take when a run has ended.
    pub fn graph(mut graph: Graph) -> Graph {
        let mut gives: Vec<ValueId> = graph.gives().chain(graph.gathered.iter().copied()).collect();
        gives.sort_unstable();
        gives.dedup();
        graph.gathered = gives;
        graph
    }

    /// Whether its runs may wait for people or events.
    fn waits(&self) -> bool {
        let graph = &self.graph;
        !graph.gates.is_empty() || graph.steps.iter().any(|step| step.awaits.is_some())
    }

    fn prepared(&self, graph: Arc<Graph>, workspace: Workspace) -> Prepared {
        Prepared {
            graph,
            policy: self.policy.clone(),
            bindings: (self.bindings)(),
            workspace,
            deadline: None,
            owns_orphans: false,
            sinks: Vec::new(),
        }
    }
}

/// Runs a document as a step.
pub struct ChildAgent {
    pub document: Arc<ChildDocument>,
    /// Whether its runs have a journal.
    pub journaled: bool,
}

impl Adapter for ChildAgent {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        let (document, journaled) = (self.document.clone(), self.journaled);
        Box::pin(async move {
            let mut pauses = stop.clone();
            let (item, attempt) = &call.place;
            let inbox = Inbox::of(&runtime::nested_home(&call.home, (item, attempt)));
            let hears = document.waits();
            let rests = call.rests.clone();
            loop {
                // It runs; an attempt that is repeated may have waited before.
                rests.say(false);
                let (document, call) = (document.clone(), call.clone());
                let run = move |requests| async move { run(&document, journaled, &call, requests).await };
                match runtime::nested(stop.clone(), hears.then(|| inbox.clone()), run).await {
                    Ok(Some(ChildEnd::Waits(wakes))) => {
                        rests.say(true);
                        runtime::woken(&inbox, wakes, &mut pauses).await;
                        if pauses.pauses() {
                            return ChildEnd::Paused.answer(&pauses);
                        }
                    }
                    Ok(Some(ended)) => return ended.answer(&pauses),
                    Ok(None) => {
                        return Err(broken("the run of the document broke; this is a bug of orderflow"));
                    }
                    Err(error) => {
                        let message = format!("cannot start a thread: {error}");
                        return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
                    }
                }
            }
        })
    }
}

/// Compensates a step that ran a document: by the compensations of the document, for each run of it.
pub struct ChildRevoker {
    pub document: Arc<ChildDocument>,
    /// The phase of the step.
    pub phase: String,
}

impl Adapter for ChildRevoker {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(async move {
            let mut spent = Spent::default();
            let mut last = None;
            let runs = runtime::nested_runs(&call.home, &call.place.0, &self.phase).into_iter();
            // What was done last is compensated first.
            for run in runs.rev().filter(|run| run.element == call.context.element) {
                let NestedRun { element, attempt, home: root } = run;
                let attempt = runtime::attempt_name(&self.phase, element, attempt);
                let key = call.context.forward_key.as_deref().unwrap_or_default();
                let id = run_id(key, &attempt);
                let (document, pauses) = (self.document.clone(), stop.clone());
                let outermost = call.context.outermost.clone();
                let run =
                    move |requests| async move { revoked(&document, &id, &root, outermost, requests).await };
                let ended = match runtime::nested(stop.clone(), None, run).await {
                    Ok(Some(ended)) => ended,
                    Ok(None) => {
                        return Err(broken("the run of the document broke; this is a bug of orderflow"));
                    }
                    Err(error) => {
                        let message = format!("cannot start a thread: {error}");
                        return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
                    }
                };
                match ended {
                    ChildEnd::Other => {}
                    ChildEnd::Ended(ended) => {
                        spent.add(ended.spent);
                        if ended.remains() && last.is_none() {
                            last = Some(ended.failure(false));
                        }
                    }
                    other => return other.answer(&pauses),
                }
            }
            let (tokens_used, columns) = figures(spent);
            match last {
                // Its compensations were retried as its document says, so they are not retried once more here.
                Some(failure) => {
                    Err(Box::new(Failure { tokens_used, columns, retryable: false, ..*failure }))
                }
                None => Ok(Reply { tokens_used, columns, ..Reply::default() }),
            }
        })
    }
}

/// Compensates all that the run of a document with this id has done, or continues to.
async fn revoked(
    document: &ChildDocument,
    id: &str,
    root: &Path,
    outermost: Arc<str>,
    requests: Requests,
) -> ChildEnd {
    match revoking(document, id, root, outermost, requests).await {
        Ok(end) => end,
        Err(error) => refused(format!("cannot compensate {}: {error:#}", document.text.path)),
    }
}

async fn revoking(
    document: &ChildDocument,
    id: &str,
    root: &Path,
    outermost: Arc<str>,
    requests: Requests,
) -> anyhow::Result<ChildEnd> {
    // A link is refused, as when the run began.
    let (above, name) = Folder::above(root)?;
    above.folder(&name)?;
    if !journal::is_there(root) || journal::read(root)?.0.run != id {
        return Ok(ChildEnd::Other);
    }
    let mut taken = LockedRun::take(root)?;
    if taken.history.header().document.text != document.text.text {
        anyhow::bail!("this run of it began with another text");
    }
    let outline = taken.history.outline()?;
    let counts = outline.counts(taken.history.basis());
    let before = taken.history.spent()?;
    if counts.succeeded > 0 {
        taken.revoke = Some(ItemId(0));
    } else if counts.compensation_failed > 0 {
        taken.retry = vec![RetryRequest { item: ItemId(0), inputs: None }];
    } else if !outline.is_over(taken.history.basis()) {
        request_cancel(root)?;
    }
    let prepared = document.prepared(document.graph.clone(), Workspace::open(root)?);
    let attempt = (None, outermost);
    let end = continued(document.graph.clone(), root, taken, prepared, None, requests, attempt).await?;
    Ok(match end {
        // What it spent before is part of the row of the step.
        ChildEnd::Ended(mut ended) => {
            ended.spent = ended.spent.less(&before);
            ChildEnd::Ended(ended)
        }
        other => other,
    })
}

/// The end of a run of a document.
enum ChildEnd {
    /// It did not begin, or could not continue.
    Refused(Box<Failure>),
    /// It has done nothing, or is that of another execution of the step.
    Other,
    /// It was paused.
    Paused,
    /// It was left because only people and events can move it on; it is to continue after this time at the latest.
    Waits(Option<Duration>),
    Ended(Box<EndedChild>),
}

struct EndedChild {
    graph: Arc<Graph>,
    end: Settlement,
    /// Its item has succeeded, and only its steps for all items have failed.
    stays: bool,
    /// The outputs that the step declares, as an object.
    made: Result<Object, String>,
    declared: Arc<[Declared]>,
    spent: Spent,
    attempts: bool,
}

fn broken(message: &str) -> Box<Failure> {
    contract::failure(Cause::Protocol, message.to_owned(), Outcome::Unknown, false)
}

fn refused(message: String) -> ChildEnd {
    ChildEnd::Refused(contract::failure(Cause::Start, message, Outcome::Unknown, false))
}

impl ChildEnd {
    fn answer(self, stop: &Stop) -> Answer {
        match self {
            ChildEnd::Refused(failure) => Err(failure),
            ChildEnd::Other | ChildEnd::Paused | ChildEnd::Waits(_) => {
                let message = "the run of the document was paused".to_owned();
                Err(contract::failure(Cause::Stopped, message, Outcome::Unknown, false))
            }
            ChildEnd::Ended(ended) => ended.answer(stop.urgency() > crate::adapter::Urgency::None),
        }
    }
}

impl EndedChild {
    /// The answer of the step.
    fn answer(self, stopped: bool) -> Answer {
        let (tokens_used, columns) = figures(self.spent);
        let answer = match self.end.state {
            ItemState::Succeeded => match &self.made {
                Ok(made) => contract::done(&self.declared, &Value::Object(made.clone()).to_string()),
                Err(why) => Err(contract::bad(why.clone())),
            },
            _ => Err(self.failure(stopped)),
        };
        match answer {
            Ok(reply) => Ok(Reply { tokens_used, columns, ..reply }),
            Err(failure) => Err(Box::new(Failure { tokens_used, columns, ..*failure })),
        }
    }

    /// Whether an effect remains that should have been compensated.
    fn remains(&self) -> bool {
        self.stays || self.end.state == ItemState::CompensationFailed || !self.end.uncompensated.is_empty()
    }

    fn failure(&self, stopped: bool) -> Box<Failure> {
        let title = |error: &crate::event::ItemError| {
            let step = error.step.and_then(|id| self.graph.steps.get(id.index()));
            step.map_or(String::new(), |step| format!("{}: ", step.title))
        };
        let cancelled = self.end.state == ItemState::Cancelled
            || self.end.error.as_ref().is_some_and(|error| error.step.is_none());
        let mut message = match &self.end.error {
            // Only the run of the document was cancelled: the step was stopped.
            _ if stopped && cancelled => "the run of the document was stopped".to_owned(),
            Some(error) => format!("{}{}", title(error), error.message),
            None => "it was cancelled".to_owned(),
        };
        for remains in &self.end.uncompensated {
            message.push_str(&format!("; {}not compensated: {}", title(remains), remains.message));
        }
        let stays = self.remains();
        let outcome = match stays {
            true => Outcome::Unknown,
            false if self.attempts => Outcome::Failed,
            false => Outcome::NotExecuted,
        };
        let cause = if stopped { Cause::Stopped } else { Cause::Refused };
        let code = self.end.error.as_ref().and_then(|error| error.code.clone());
        // The agent of an inner step is not the agent of this step.
        let code = code.filter(|code| code != crate::event::UNAVAILABLE);
        let retryable = !stays && code.as_deref() != Some(BUDGET);
        Box::new(Failure { code, ..*contract::failure(cause, message, outcome, retryable) })
    }
}

/// The tokens and the columns of a step whose document has spent so much.
fn figures(spent: Spent) -> (Option<u64>, Vec<(Arc<str>, Value)>) {
    let cost = spent.dollars.map(Dollars::value);
    let columns = cost.into_iter().map(|cost| (COST.into(), cost)).collect();
    ((spent.tokens > 0).then_some(spent.tokens), columns)
}

/// The column in which agents report dollars.
const COST: &str = "cost_usd";

/// Collects what a run spends and how its item ends.
#[derive(Default)]
struct Watch {
    end: Option<Settlement>,
    /// How its steps for all items ended.
    once: Option<Settlement>,
    spent: Spent,
    attempts: bool,
}

impl Observer for Watch {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        spend(&mut self.spent, event);
        match &event.kind {
            EventKind::Item(ItemId(0), ItemEvent::Settled { end, .. }) => self.end = Some(end.clone()),
            EventKind::Run(RunEvent::StepsEnded(end)) => self.once = Some(end.clone()),
            EventKind::Attempt(_, _, _, AttemptEvent::Started) => self.attempts = true,
            _ => {}
        }
        Ok(())
    }
}

/// The id of the run of an attempt with this name, for a step with this idempotency key.
fn run_id(key: &str, attempt: &str) -> String {
    blake3::hash(format!("{key} {attempt}").as_bytes()).to_hex()[..32].to_owned()
}

/// Begins the run of a document for one attempt, or continues it.
async fn run(document: &ChildDocument, journaled: bool, call: &Call, requests: Requests) -> ChildEnd {
    match driven(document, journaled, call, requests).await {
        Ok(end) => end,
        Err(error) => {
            let message = format!("cannot run {}: {error:#}", document.text.path);
            let (item, attempt) = &call.place;
            match journaled && !journal::is_there(&runtime::nested_home(&call.home, (item, attempt))) {
                // Without a journal nothing was done.
                true => {
                    ChildEnd::Refused(contract::failure(Cause::Start, message, Outcome::NotExecuted, true))
                }
                false => refused(message),
            }
        }
    }
}

async fn driven(
    document: &ChildDocument,
    journaled: bool,
    call: &Call,
    requests: Requests,
) -> anyhow::Result<ChildEnd> {
    let (item, attempt) = &call.place;
    let workspace = Workspace::nested(&call.home, (item, attempt))?;
    let root = workspace.root().to_owned();
    let mut graph = document.graph.clone();
    if let Some(left) = call.context.budget {
        // The outer run allows no more than this.
        let settings = &mut Arc::make_mut(&mut graph).settings;
        settings.run_budget = Some(settings.run_budget.map_or(left, |own| own.least(left)));
    }
    let new_item = match new_item(&graph, call) {
        Ok(item) => item,
        Err(why) => {
            let failure = contract::failure(Cause::Start, why, Outcome::NotExecuted, false);
            return Ok(ChildEnd::Refused(failure));
        }
    };
    let prepared = document.prepared(graph.clone(), workspace);
    let id = run_id(&call.context.idempotency_key, attempt);
    if journaled && journal::is_there(&root) {
        let taken = LockedRun::take(&root)?;
        if taken.history.header().run != id {
            anyhow::bail!("{} has a run of another step", root.display());
        }
        if taken.history.header().document.text != document.text.text {
            anyhow::bail!("this run of it began with another text");
        }
        let began = taken.history.outline()?.admitted() > 0;
        let item = (!began).then_some(new_item);
        let attempt = (Some(call), call.context.outermost.clone());
        return continued(graph, &root, taken, prepared, item, requests, attempt).await;
    }
    let runner = match journaled {
        true => {
            let options = RunOptions {
                home: root.clone(),
                file: document.text.path.clone().into(),
                uncompensated: graph.without_compensation(),
                ..RunOptions::default()
            };
            let started = format!("{:.3}", runtime::now());
            let text = document.text.clone();
            Runner::begin(New { run: id, started, document: text, options, items: None }, prepared)?
        }
        false => Runner::fleeting(id, prepared),
    };
    let watch = Watch::default();
    let attempt = (Some(call), call.context.outermost.clone());
    to_its_end(graph, &root, runner, watch, Some(new_item), requests, attempt).await
}

/// Continues a run from its journal.
async fn continued(
    graph: Arc<Graph>,
    root: &Path,
    taken: LockedRun,
    prepared: Prepared,
    item: Option<NewItem>,
    requests: Requests,
    attempt: (Option<&Call>, Arc<str>),
) -> anyhow::Result<ChildEnd> {
    let mut watch = Watch::default();
    RunEnd::clear(root);
    let runner = Runner::resume(taken, prepared, &mut [&mut watch]).await?.0;
    to_its_end(graph, root, runner, watch, item, requests, attempt).await
}

/// Runs a run to its end; `call` is the attempt that gets its values, and `outermost` the run that this process drives.
async fn to_its_end(
    graph: Arc<Graph>,
    root: &Path,
    runner: Runner,
    mut watch: Watch,
    item: Option<NewItem>,
    requests: Requests,
    (call, outermost): (Option<&Call>, Arc<str>),
) -> anyhow::Result<ChildEnd> {
    let mut items = item.into_iter().map(Ok);
    // The agents of its steps ask whom those of this run ask.
    let questions = call.and_then(|call| call.questions.sender());
    let journaled = journal::is_there(root);
    let within = call.map(|call| call.rests.clone());
    let outermost = Some(outermost);
    let people = People { questions, waits: !journaled, within, outermost, ..People::default() };
    let outcome = runner.drive(&mut items, vec![&mut watch], requests, people).await;
    let (ending, waits, wakes) = (outcome.ending(), outcome.waits(), outcome.wakes);
    if let Some(trouble) = outcome.trouble {
        return Err(trouble);
    }
    let Some(ending) = ending else {
        return Ok(if waits { ChildEnd::Waits(wakes) } else { ChildEnd::Paused });
    };
    if journaled {
        ending.store(root);
    }
    let Watch { end, once, spent, attempts } = watch;
    let end = end.unwrap_or_else(|| Settlement::new(ItemState::Cancelled, None));
    // Without its steps for all items it has not succeeded, and what its item did stays for the compensation.
    let stays = end.state == ItemState::Succeeded;
    let (end, stays) = match once.filter(|once| once.state.is_failure()) {
        Some(once) if stays => (once, true),
        _ => (end, false),
    };
    let made = match call {
        Some(call) if end.state == ItemState::Succeeded => outputs(&graph, &outcome.run, call, root),
        _ => Ok(Object::new()),
    };
    let declared = call.map(|call| call.outputs.clone()).unwrap_or_default();
    Ok(ChildEnd::Ended(Box::new(EndedChild { graph, end, stays, made, declared, spent, attempts })))
}

/// The item of the run: the inputs of the step.
///
/// # Errors
/// An input does not have the type that the document declares.
fn new_item(graph: &Graph, call: &Call) -> Result<NewItem, String> {
    let mut inputs = Vec::new();
    for id in &graph.inputs {
        let info = graph.value(*id);
        let Some((_, value)) = call.inputs.iter().find(|(name, _)| **name == *info.name) else { continue };
        if let Some(Err(misfits)) = info.ty.as_ref().map(|ty| ty.fits(value)) {
            return Err(format!("input {}", misfits.of(&info.name)));
        }
        inputs.push((*id, value.clone()));
    }
    Ok(NewItem { key: call.context.item.clone(), inputs })
}

/// The outputs that the step declares, by name; files are copied to the attempt's folder.
///
/// # Errors
/// A file cannot be copied.
fn outputs(graph: &Graph, run: &Run, call: &Call, root: &Path) -> Result<Object, String> {
    let (mut object, mut files) = (Object::new(), BTreeSet::new());
    for output in call.outputs.iter() {
        let Some(id) = graph.given_by(&output.name) else { continue };
        let Some(value) = run.made_by(ItemId(0), id) else { continue };
        let holds_files = graph.value(id).ty.as_ref().is_some_and(crate::value::Type::holds_files);
        let value = match holds_files {
            true => {
                paths(&value, &mut files);
                runtime::below_items(&value)
            }
            false => Arc::unwrap_or_clone(value),
        };
        object.insert(output.name.clone(), value);
    }
    copy(files, call, root).map_err(|error| format!("its files: {error:#}"))?;
    Ok(object)
}

/// The paths in a value of files.
fn paths(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(path) => drop(into.insert(path.clone())),
        Value::Array(all) => all.iter().for_each(|one| paths(one, into)),
        _ => {}
    }
}

/// Copies files to the attempt's folder, each once: two outputs may be the same one.
fn copy(files: BTreeSet<String>, call: &Call, root: &Path) -> anyhow::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let to = Folder::open(&call.dir)?;
    let files: Value = files.into_iter().collect();
    Finder::open(root)?.export(&files, (ItemId(0), &call.context.item), &to)?;
    Ok(())
}
