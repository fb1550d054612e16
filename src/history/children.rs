//! A document that a step of another document runs: a run of its own in the folder of the run, with its own journal.
//! The adapter of such a step begins the run, or continues it where it was left.

use super::child_end::{ChildEnd, KeptRun, broken, refused};
use super::earlier::{EarlierRun, Watch, began_by, run_id};
use super::taken::LockedRun;
use super::used;
use super::within::Within;
use super::{New, Prepared, RunOptions, Runner, SpanDestination, Tracing};
use crate::adapter::{Adapter, Call, Context, Ending, HearingEnd, Stop, contract};
use crate::engine::Policy;
use crate::event::{Cause, ItemState, Outcome, TypePattern, ValueId};
use crate::graph::Graph;
use crate::journal::{self, DocumentText};
use crate::runtime::{self, Bindings, Border, Inbox, InboxKey, NewItem, Requests, Workspace};
use crate::spans::TraceContext;
use crate::value::budget::Spent;
use std::path::PathBuf;
use std::sync::Arc;

/// A document that a step runs, with all that its runs need.
pub struct ChildDocument {
    pub text: DocumentText,
    pub graph: Arc<Graph>,
    pub policy: Policy,
    /// Makes the bindings of one run: its adapters are shared by all, its redactor is its own.
    pub bindings: Box<dyn Fn() -> Bindings + Send + Sync>,
    /// Where the spans of its runs are sent.
    pub spans: Option<SpanDestination>,
    /// Requests about its runs count if they have this key.
    pub inbox_key: InboxKey,
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
    pub(super) fn sinks(&self) -> Vec<(Arc<str>, Vec<TypePattern>)> {
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
    pub kept: KeptRun,
}

impl Adapter for ChildAgent {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        let (document, kept) = (self.document.clone(), self.kept);
        Box::pin(async move {
            let mut pauses = stop.clone();
            let rests = call.rests.clone();
            let hearing = call.events.hear(call.context.item.clone());
            let _end = HearingEnd(hearing.clone());
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
                let home = runtime::nested_home(&call.home, (&call.place.0, &name));
                let inbox = Inbox::of(&home, &document.inbox_key);
                let inbox = document.has_gates().then_some(inbox);
                let (document, call, heard) = (document.clone(), call.clone(), hearing.clone());
                let run = move |requests| async move {
                    let used = match document.has_awaits().then(|| used::before(&call, by)).transpose() {
                        Ok(used) => used.unwrap_or_default(),
                        Err(error) => {
                            return refused(format!("cannot run {}: {error:#}", document.text.path));
                        }
                    };
                    let border = {
                        let gates = call.gates.within(&call.context.step);
                        Border::within(call.events.clone().after(used), Some(heard), gates)
                    };
                    run(&document, kept, &call, (by, &name), (requests, border)).await
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

/// Begins the run of a document for one attempt, or continues it; `by` is the attempt that has begun it, with its name.
async fn run(
    document: &ChildDocument,
    kept: KeptRun,
    call: &Call,
    by: (u32, &str),
    (requests, border): (Requests, Border),
) -> ChildEnd {
    let journaled = kept.journaled;
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
    let end = match driven((document, kept), opened, call, requests, border).await {
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
    let workspace = workspace.with_key(document.inbox_key.clone());
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
    (document, kept): (&ChildDocument, KeptRun),
    opened: OpenedRun,
    call: &Call,
    requests: Requests,
    border: Border,
) -> anyhow::Result<ChildEnd> {
    let OpenedRun { graph, root, prepared, run, item, .. } = opened;
    let outermost = call.context.outermost.clone();
    let within = Within { document, graph, root, call: Some(call), outermost, border, kept };
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
