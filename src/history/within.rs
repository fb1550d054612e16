//! The run of a document within an attempt of another run: what it shares with the runs around it, and what it gives.

use super::child_end::{ChildEnd, EndedChild, KeptRun};
use super::children::ChildDocument;
use super::earlier::Watch;
use super::taken::LockedRun;
use super::{History, People, Prepared, RunEnd, Runner, leave};
use crate::adapter::channel::Sink;
use crate::adapter::{Call, Hearing, InnerGate, InnerGates, ShownGate};
use crate::disk::Folder;
use crate::engine::{Ask, Run};
use crate::event::{ItemId, ItemState, Settlement};
use crate::graph::Graph;
use crate::journal;
use crate::runtime::{
    self, Asks, Border, BoundSink, DecisionRequest, Finder, Inbox, MovedFiles, NewItem, Outbox, Requests,
    event_source,
};
use crate::value::{Object, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    pub kept: KeptRun,
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
        let moved = MovedFiles::between(&taken.history.options.home, &self.root);
        let prepared = Prepared { bindings: prepared.bindings.with_moved(moved), ..prepared };
        let runner = Runner::resume(taken, prepared, &mut [&mut watch]).await?.0;
        self.driven_to_end(runner, watch, item, requests).await
    }

    /// How people and events take part in it.
    fn people(&mut self, journaled: bool) -> People {
        let call = self.call;
        let border = std::mem::take(&mut self.border);
        let bound = |(name, types)| {
            let sink = Sink::Outer(border.events.up()?);
            Some(BoundSink { name, types, sink })
        };
        let sinks: Vec<_> = self.document.sinks().into_iter().filter_map(bound).collect();
        let source = event_source(&self.document.text.path);
        People {
            asks: border.gates.is_open().then(|| self.report_gates(&border)),
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

    /// Where items of the run that wait for people are sent: to those who are informed and asked about the outermost run.
    fn report_gates(&self, border: &Border) -> Asks {
        let graph = self.graph.clone();
        let place = (self.root.clone(), Inbox::of(&self.root, &self.document.inbox_key));
        let (gates, hearing) = (border.gates.clone(), border.hearing.clone());
        runtime::for_each(move |ask| {
            gates.report(inner_gate(&graph, &place, &gates, hearing.clone(), ask));
        })
    }

    /// Runs the run to its end.
    pub async fn driven_to_end(
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
        if journaled {
            leave(&self.root);
        }
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
        let (graph, kept) = (self.graph.clone(), self.kept);
        EndedChild { graph, end, stays, made, declared, spent, attempts, lasts, kept }
    }
}

/// A gate of the run in the folder `root` with this inbox, as people outside see it.
fn inner_gate(
    graph: &Arc<Graph>,
    (root, inbox): &(PathBuf, Inbox),
    gates: &InnerGates,
    hearing: Option<Hearing>,
    ask: Ask,
) -> InnerGate {
    let Ask { key, gate: id, question, inputs, since, again, .. } = ask;
    let gate = graph.gate(id);
    let name = gate.map(|gate| graph.gate_name(gate)).unwrap_or_default();
    let within = gate.and_then(|gate| gate.within).and_then(|time| u64::try_from(time.as_millis()).ok());
    let inputs = inputs.into_iter().map(|(id, value)| (graph.value(id).name.clone(), value)).collect();
    let (inbox, poked, item) = (inbox.clone(), hearing.clone(), key.to_string());
    let asked = name.clone();
    let decide = move |decision| {
        let items = Some(vec![item.clone()]);
        let request = DecisionRequest { gate: asked.clone(), items, decision, name: None };
        // A gate that stays undecided is asked about again when the run resumes.
        let _ = inbox.put(&request);
        poked.iter().for_each(Hearing::poke);
    };
    let home = root.to_owned();
    let is_open = move || {
        let waiting = History::open(&home).and_then(|history| Ok(history.gates()?.waiting));
        waiting.map_or(true, |waiting| waiting.iter().any(|one| one.gate == id))
    };
    let shown = ShownGate {
        title: format!("{}/{name}", gates.path),
        item: Some(key.to_string()),
        key,
        question,
        by: gate.and_then(|gate| gate.by.clone()),
        since,
        until: within.map(|within| since.saturating_add(within)),
        inputs,
        agent: None,
    };
    InnerGate {
        shown,
        again,
        at: (root.to_owned(), id),
        is_open: Box::new(is_open),
        decide: Box::new(decide),
        hearing: hearing.filter(|_| gates.answers),
    }
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
