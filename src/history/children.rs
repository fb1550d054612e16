//! A document that a step of another document runs: a run of its own in the folder of the run, with its own journal.
//! The adapter of such a step begins the run, or continues it where it was left.

use super::earlier::{EarlierRun, Watch, began_by, run_id};
use super::taken::LockedRun;
use super::used;
use super::{New, People, Prepared, RunEnd, RunOptions, Runner, SpanDestination, Tracing};
use crate::adapter::channel::Sink;
use crate::adapter::{Adapter, Call, Context, Declared, Ending, Stop, contract};
use crate::disk::Folder;
use crate::engine::{Policy, Run};
use crate::event::{
    Answer, BUDGET, Cause, Failure, ItemId, ItemState, Outcome, Reply, Settlement, TypePattern, ValueId,
    WaitsFor,
};
use crate::graph::Graph;
use crate::journal::{self, DocumentText};
use crate::runtime::{
    self, Bindings, Border, BoundSink, Finder, Inbox, NewItem, Outbox, Requests, Workspace, event_source,
};
use crate::spans::TraceContext;
use crate::value::budget::Spent;
use crate::value::dollars::Dollars;
use crate::value::{Object, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A document that a step runs, with all that its runs need.
pub struct ChildDocument {
    pub text: DocumentText,
    pub graph: Arc<Graph>,
    pub policy: Policy,
    /// Makes the bindings of one run: its adapters are shared by all, its redactor is its own.
    pub bindings: Box<dyn Fn() -> Bindings + Send + Sync>,
    /// Where the spans of its runs are sent.
    pub spans: Option<SpanDestination>,
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

    /// Whether its runs may wait for people.
    fn has_gates(&self) -> bool {
        !self.graph.gates.is_empty()
    }

    /// Whether steps wait for events, also in documents that it runs.
    fn has_awaits(&self) -> bool {
        !self.graph.awaited().is_empty()
    }

    /// The channel to which its steps publish: the outermost run.
    fn sinks(&self) -> Vec<(Arc<str>, Vec<TypePattern>)> {
        let publishes = self.graph.steps.iter().any(|step| !step.emits.is_empty());
        publishes.then(|| (OUTERMOST.into(), vec![TypePattern("*".to_owned())])).into_iter().collect()
    }

    /// What a run of it needs, for an attempt of a step with this context.
    pub(super) fn prepared(&self, graph: Arc<Graph>, workspace: Workspace, of: &Context) -> Prepared {
        let context = TraceContext::parse(&of.traceparent);
        Prepared {
            graph,
            policy: self.policy.clone(),
            bindings: (self.bindings)(),
            workspace,
            deadline: None,
            owns_orphans: false,
            sinks: self.sinks(),
            tracing: Tracing { context, spans: self.spans.clone() },
        }
    }
}

/// The name of the channel to the outermost run in the journals of the runs within it.
const OUTERMOST: &str = "outer run";

/// Runs a document as a step.
pub struct ChildAgent {
    pub document: Arc<ChildDocument>,
    /// Whether its runs have a journal.
    pub journaled: bool,
    /// Whether the compensations of the document are those of the step.
    pub revoked: bool,
}

impl Adapter for ChildAgent {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        let (document, journaled, revoked) = (self.document.clone(), self.journaled, self.revoked);
        Box::pin(async move {
            let mut pauses = stop.clone();
            let rests = call.rests.clone();
            let hearing = call.events.hear(call.context.item.clone());
            let mut spent = Spent::default();
            loop {
                // It runs; an attempt that is repeated may have waited before.
                hearing.rest(false);
                rests.say(None);
                let by = match began_by(&call) {
                    Ok(by) => by,
                    Err(error) => {
                        let message = format!("cannot run {}: {error:#}", document.text.path);
                        return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
                    }
                };
                let name = runtime::attempt_name(&call.context.step, call.context.element, by);
                let inbox = Inbox::of(&runtime::nested_home(&call.home, (&call.place.0, &name)));
                let inbox = document.has_gates().then_some(inbox);
                let (document, call, heard) = (document.clone(), call.clone(), hearing.clone());
                let run = move |requests| async move {
                    let used = match document.has_awaits().then(|| used::before(&call, by)).transpose() {
                        Ok(used) => used.unwrap_or_default(),
                        Err(error) => {
                            return refused(format!("cannot run {}: {error:#}", document.text.path));
                        }
                    };
                    let border = Border::within(call.events.clone().after(used), Some(heard));
                    run(&document, (journaled, revoked), &call, (by, &name), (requests, border)).await
                };
                match runtime::nested(stop.clone(), inbox.clone(), run).await {
                    Ok(Some(ChildEnd::Lagged(more))) => spent.add(more),
                    Ok(Some(ChildEnd::Waits(what, wakes))) => {
                        hearing.rest(true);
                        rests.say(Some(what));
                        runtime::woken(inbox.as_ref(), &hearing, wakes, &mut pauses).await;
                        if pauses.pauses() {
                            return ChildEnd::Paused.answer(&pauses);
                        }
                    }
                    Ok(Some(ChildEnd::Ended(mut ended))) => {
                        ended.spent.add(spent);
                        return ChildEnd::Ended(ended).answer(&pauses);
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

/// The end of a run of a document.
pub(super) enum ChildEnd {
    /// It did not begin, or could not continue.
    Refused(Box<Failure>),
    /// It has done nothing, or is that of another execution of the step.
    Other,
    /// It was paused.
    Paused,
    /// It was left because only people and events can move it on; it is to continue after this time at the latest.
    Waits(WaitsFor, Option<Duration>),
    /// What an earlier attempt had left has ended; it has spent this since.
    Lagged(Spent),
    Ended(Box<EndedChild>),
}

pub(super) struct EndedChild {
    graph: Arc<Graph>,
    end: Settlement,
    /// Its item has succeeded, and only its steps for all items have failed.
    stays: bool,
    /// The outputs that the step declares, as an object.
    made: Result<Object, String>,
    declared: Arc<[Declared]>,
    pub(super) spent: Spent,
    attempts: bool,
    /// Whether it may have left an effect that nothing compensates, so that a retry has to continue it.
    lasts: bool,
    /// Whether it can be continued.
    journaled: bool,
    /// Whether the compensations of the document are those of the step.
    revoked: bool,
}

pub(super) fn broken(message: &str) -> Box<Failure> {
    contract::failure(Cause::Protocol, message.to_owned(), Outcome::Unknown, false)
}

pub(super) fn refused(message: String) -> ChildEnd {
    ChildEnd::Refused(contract::failure(Cause::Start, message, Outcome::Unknown, false))
}

impl ChildEnd {
    pub(super) fn answer(self, stop: &Stop) -> Answer {
        match self {
            ChildEnd::Refused(failure) => Err(failure),
            ChildEnd::Other | ChildEnd::Paused | ChildEnd::Waits(..) | ChildEnd::Lagged(_) => {
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
                Ok(made) => self.outputs(made),
                Err(why) => Err(contract::bad(why.clone())),
            },
            _ => Err(self.failure(stopped)),
        };
        match answer {
            Ok(reply) => Ok(Reply { tokens_used, columns, ..reply }),
            Err(failure) => Err(Box::new(Failure { tokens_used, columns, ..*failure })),
        }
    }

    /// The values that the document made, as outputs of the step.
    fn outputs(&self, made: &Object) -> Answer {
        let lacks = |output: &&Declared| !output.optional && !made.contains_key(&output.name);
        match self.declared.iter().find(lacks) {
            Some(output) => {
                let message = format!("output `{}`: the document ended without it", output.name);
                Err(contract::bad(message))
            }
            // A single output could otherwise be this object itself.
            None if made.is_empty() => Ok(Reply::default()),
            None => contract::done(&self.declared, &Value::Object(made.clone()).to_string()),
        }
    }

    /// Whether an effect remains that should have been compensated.
    pub(super) fn remains(&self) -> bool {
        self.stays || self.end.state == ItemState::CompensationFailed || !self.end.uncompensated.is_empty()
    }

    pub(super) fn failure(&self, stopped: bool) -> Box<Failure> {
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
        // What the compensations of the document can compensate has been compensated.
        let outcome = match stays || self.lasts && !self.revoked {
            true => Outcome::Unknown,
            false if self.attempts => Outcome::Failed,
            false => Outcome::NotExecuted,
        };
        let cause = if stopped { Cause::Stopped } else { Cause::Refused };
        let code = self.end.error.as_ref().and_then(|error| error.code.clone());
        // The agent of an inner step is not the agent of this step.
        let code = code.filter(|code| code != crate::event::UNAVAILABLE);
        let again = self.journaled || !self.lasts;
        let retryable = !stays && again && code.as_deref() != Some(BUDGET);
        Box::new(Failure { code, ..*contract::failure(cause, message, outcome, retryable) })
    }
}

/// The tokens and the columns of a step whose document has spent so much.
pub(super) fn figures(spent: Spent) -> (Option<u64>, Vec<(Arc<str>, Value)>) {
    let cost = spent.dollars.map(Dollars::value);
    let columns = cost.into_iter().map(|cost| (COST.into(), cost)).collect();
    ((spent.tokens > 0).then_some(spent.tokens), columns)
}

/// The column in which agents report dollars.
const COST: &str = "cost_usd";

/// Begins the run of a document for one attempt, or continues it; `by` is the attempt that has begun it, with its name.
async fn run(
    document: &ChildDocument,
    (journaled, revoked): (bool, bool),
    call: &Call,
    by: (u32, &str),
    (requests, border): (Requests, Border),
) -> ChildEnd {
    let opened = open(document, journaled, call, by);
    let opened = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(refused)) => return refused,
        Err(error) => {
            let message = format!("cannot run {}: {error:#}", document.text.path);
            // An attempt that is repeated may have had its effect.
            return match journaled && call.context.repeated {
                true => refused(message),
                false => {
                    ChildEnd::Refused(contract::failure(Cause::Start, message, Outcome::NotExecuted, true))
                }
            };
        }
    };
    let (before, lags, root) = (opened.before, opened.lags, opened.root.clone());
    let end = match driven(document, opened, call, requests, border).await {
        Ok(end) => end,
        Err(error) => {
            let message = format!("cannot run {}: {error:#}", document.text.path);
            // Without a journal nothing was done.
            return match journaled && !journal::is_there(&root) {
                true => {
                    ChildEnd::Refused(contract::failure(Cause::Start, message, Outcome::NotExecuted, true))
                }
                false => refused(message),
            };
        }
    };
    match end {
        ChildEnd::Ended(mut ended) => {
            ended.spent = ended.spent.less(&before);
            (ended.journaled, ended.revoked) = (journaled, revoked);
            let still = ended.end.state == ItemState::CompensationFailed;
            match lags && ended.end.state != ItemState::Succeeded && !still {
                true => ChildEnd::Lagged(ended.spent),
                false => ChildEnd::Ended(ended),
            }
        }
        other => other,
    }
}

/// A run of a document, ready to run for an attempt.
struct OpenedRun {
    graph: Arc<Graph>,
    root: PathBuf,
    prepared: Prepared,
    /// The run to continue, or the description of a new one, if it has a journal.
    run: Result<LockedRun, (String, Option<New>)>,
    item: Option<NewItem>,
    before: Spent,
    lags: bool,
}

fn open(
    document: &ChildDocument,
    journaled: bool,
    call: &Call,
    (by, name): (u32, &str),
) -> anyhow::Result<Result<OpenedRun, ChildEnd>> {
    let workspace = Workspace::nested(&call.home, (&call.place.0, name))?;
    let root = workspace.root().to_owned();
    let new_item = match new_item(&document.graph, call) {
        Ok(item) => item,
        Err(why) => {
            let failure = contract::failure(Cause::Start, why, Outcome::NotExecuted, false);
            return Ok(Err(ChildEnd::Refused(failure)));
        }
    };
    let id = run_id(&call.context.idempotency_key, name);
    let mut earlier = None;
    let run = match journaled && journal::is_there(&root) {
        true => {
            let mut taken = LockedRun::take(&root)?;
            if taken.history.header().run != id {
                anyhow::bail!("{} has a run of another step", root.display());
            }
            if taken.history.header().document.text != document.text.text {
                anyhow::bail!("this run of it began with another text");
            }
            let found = EarlierRun::of(&taken.history, by, call.context.attempt)?;
            taken.retry = found.retries(call.context.attempt);
            earlier = Some(found);
            Ok(taken)
        }
        false => Err(id),
    };
    let (before, lags, began) =
        earlier.map_or_else(Default::default, |found| (found.before, found.lags(), found.began));
    let mut graph = document.graph.clone();
    if let Some(left) = call.context.budget {
        // The outer run allows no more than this; it knows what earlier attempts have spent.
        let left = left.after(&before);
        let settings = &mut Arc::make_mut(&mut graph).settings;
        settings.run_budget = Some(settings.run_budget.map_or(left, |own| own.least(left)));
    }
    let run = run.map_err(|id| {
        let new = journaled.then(|| New {
            run: id.clone(),
            started: format!("{:.3}", runtime::now()),
            document: document.text.clone(),
            options: RunOptions {
                home: root.clone(),
                file: document.text.path.clone().into(),
                uncompensated: graph.without_compensation(),
                inner_events: graph.inner_events(),
                ..RunOptions::default()
            },
            items: None,
        });
        (id, new)
    });
    let prepared = document.prepared(graph.clone(), workspace, &call.context);
    let item = (!began).then_some(new_item);
    Ok(Ok(OpenedRun { graph, root, prepared, run, item, before, lags }))
}

async fn driven(
    document: &ChildDocument,
    opened: OpenedRun,
    call: &Call,
    requests: Requests,
    border: Border,
) -> anyhow::Result<ChildEnd> {
    let OpenedRun { graph, root, prepared, run, item, .. } = opened;
    let outermost = call.context.outermost.clone();
    let within = Within { document, graph, root, call: Some(call), outermost, border };
    match run {
        Ok(taken) => within.continued(taken, prepared, item, requests).await,
        Err((id, new)) => {
            let runner = match new {
                Some(new) => Runner::begin(new, prepared)?,
                None => Runner::fleeting(id, prepared),
            };
            let watch = Watch::new(within.graph.clone());
            within.driven_to_end(runner, watch, item, requests).await
        }
    }
}

/// The run of a document and what is around it.
pub(super) struct Within<'a> {
    pub document: &'a ChildDocument,
    /// What it means, with the budget of the attempt.
    pub graph: Arc<Graph>,
    /// Its folder.
    pub root: PathBuf,
    /// The attempt that gets its values; a compensation gets none.
    pub call: Option<&'a Call>,
    /// The run that this process drives.
    pub outermost: Arc<str>,
    pub border: Border,
}

impl Within<'_> {
    /// Continues the run from its journal.
    pub async fn continued(
        self,
        taken: LockedRun,
        prepared: Prepared,
        item: Option<NewItem>,
        requests: Requests,
    ) -> anyhow::Result<ChildEnd> {
        let mut watch = Watch::new(self.graph.clone());
        RunEnd::clear(&self.root);
        let runner = Runner::resume(taken, prepared, &mut [&mut watch]).await?.0;
        self.driven_to_end(runner, watch, item, requests).await
    }

    /// How people and events take part in it.
    fn people(&mut self, journaled: bool) -> People {
        let call = self.call;
        let border = std::mem::take(&mut self.border);
        let sinks = self.document.sinks().into_iter();
        let sink = || Sink::Outer(border.events.clone());
        let sinks: Vec<_> = sinks.map(|(name, types)| BoundSink { name, types, sink: sink() }).collect();
        let source = event_source(&self.document.text.path);
        People {
            // The agents of its steps ask whom those of the outer run ask.
            questions: call.and_then(|call| call.questions.sender()),
            waits: !journaled,
            within: call.map(|call| call.rests.clone()),
            outermost: Some(self.outermost.clone()),
            forward_key: call.and_then(|call| call.context.forward_key.as_deref()).map(Arc::from),
            outbox: (!sinks.is_empty()).then(|| Outbox::open(sinks, &source)),
            border: Some(border),
            ..People::default()
        }
    }

    /// Runs the run to its end.
    async fn driven_to_end(
        mut self,
        runner: Runner,
        mut watch: Watch,
        item: Option<NewItem>,
        requests: Requests,
    ) -> anyhow::Result<ChildEnd> {
        let mut items = item.into_iter().map(Ok);
        let journaled = journal::is_there(&self.root);
        let mut runner = runner;
        for (phase, ids) in self.border.events.used() {
            self.graph.by_phase(phase).into_iter().for_each(|step| runner.run.use_up(step, ids));
        }
        let people = self.people(journaled);
        let outcome = runner.drive(&mut items, vec![&mut watch], requests, people).await;
        let (ending, waits, wakes) = (outcome.ending(), outcome.waits(), outcome.wakes);
        if let Some(trouble) = outcome.trouble {
            return Err(trouble);
        }
        let Some(ending) = ending else {
            let what = outcome.run.waits_for();
            return Ok(if waits { ChildEnd::Waits(what, wakes) } else { ChildEnd::Paused });
        };
        if journaled {
            ending.store(&self.root);
        }
        Ok(ChildEnd::Ended(Box::new(self.ended(watch, &outcome.run))))
    }

    /// What has come of the run.
    fn ended(&self, watch: Watch, run: &Run) -> EndedChild {
        let Watch { end, once, spent, attempts, lasts, .. } = watch;
        let end = end.unwrap_or_else(|| Settlement::new(ItemState::Cancelled, None));
        // Without its steps for all items it has not succeeded, and what its item did stays for the compensation.
        let stays = end.state == ItemState::Succeeded;
        let (end, stays) = match once.filter(|once| once.state.is_failure()) {
            Some(once) if stays => (once, true),
            _ => (end, false),
        };
        let made = match self.call {
            Some(call) if end.state == ItemState::Succeeded => outputs(&self.graph, run, call, &self.root),
            _ => Ok(Object::new()),
        };
        let declared = self.call.map(|call| call.outputs.clone()).unwrap_or_default();
        let (journaled, revoked) = (true, true);
        let graph = self.graph.clone();
        EndedChild { graph, end, stays, made, declared, spent, attempts, lasts, journaled, revoked }
    }
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
