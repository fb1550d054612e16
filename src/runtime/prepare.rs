//! Prepares an attempt: makes the call that its adapter gets, with inputs, files, folder, instructions and keys.

use super::bindings::{Bindings, BoundStep};
use super::files::Room;
use super::names::{attempt_name, folder_name};
use super::{AgentQuestions, Loop, Workspace, identity};
use crate::adapter::question::Questions;
use crate::adapter::redact::ItemRedactor;
use crate::adapter::{
    self, AttemptLog, Context, Conversation, InnerGates, LiveWords, OuterEvents, Rests, Spawns,
};
use crate::engine::Call;
use crate::event::{ItemId, Millis};
use crate::graph::{Graph, Instructions};
use crate::spans::{SpanId, TraceContext};
use crate::value::{Type, Value, in_conditions};
use std::path::PathBuf;
use std::sync::Arc;

/// What attempts are made with.
pub(super) struct Ground<'a> {
    pub graph: &'a Graph,
    pub run_id: &'a Arc<str>,
    pub outermost: &'a Arc<str>,
    pub trace: TraceContext,
    pub forward_key: Option<&'a str>,
    pub bindings: &'a Bindings,
    pub workspace: &'a Workspace,
    pub questions: Option<&'a AgentQuestions>,
    /// The events of the documents that its steps run.
    pub events: Option<&'a OuterEvents>,
    /// Where the gates of these documents are reported.
    pub gates: Option<&'a InnerGates>,
    /// Whether the run has a journal.
    pub stores: bool,
    /// When the run's deadline passes.
    pub until: Option<Millis>,
}

impl Loop<'_> {
    pub(super) fn ground(&self) -> Ground<'_> {
        Ground {
            graph: &self.graph,
            run_id: &self.run_id,
            outermost: &self.outermost,
            trace: self.trace,
            forward_key: self.forward_key.as_deref(),
            bindings: &self.bindings,
            workspace: &self.workspace,
            questions: self.questions.as_ref(),
            events: Some(&self.border.events),
            gates: Some(&self.border.gates),
            stores: self.durable.is_some(),
            until: self.until(),
        }
    }
}

/// The call of an attempt, and its folder. What connects it to the loop, such as its conversation, is not set yet.
///
/// # Errors
/// Why the attempt cannot be made: a file or a value that is missing.
pub(super) fn prepare(
    all: &Ground<'_>,
    binding: &BoundStep,
    call: &Call,
    now: Millis,
) -> Result<(adapter::Call, Room), String> {
    let name = |id| Arc::<str>::from(all.graph.value(id).name.as_str());
    let (key, forward_key) = identity::keys_of(all.run_id, all.graph, call);
    let item = match call.item {
        ItemId::RUN => "run".to_owned(),
        ItemId(number) => number.to_string(),
    };
    let element = call.step.element.map(|element| format!(".{element}")).unwrap_or_default();
    let attempt_id = format!("{item}-{}{element}-{}", call.step.step.0, call.attempt);
    let place = (&*binding.phase, call.step.element);
    let span = SpanId::of_attempt(all.run_id, call.item, place, call.attempt);
    let mut inputs = Vec::with_capacity(call.inputs.len());
    let mut paths = Vec::new();
    for (id, value) in &call.inputs {
        let value = match all.bindings.files.contains(id) {
            true => {
                let files = all.workspace.finder().absolute(value, call.item, &call.key);
                let files = files.map_err(|wrong| format!("input `{}`: {wrong}", name(*id)))?;
                paths_in(&files, &mut paths);
                Arc::new(files)
            }
            false if all.graph.value(*id).ty.as_ref().is_some_and(Type::holds_files) => {
                let files = all.bindings.moved.today(value);
                paths_in(&files, &mut paths);
                Arc::new(files)
            }
            false => value.clone(),
        };
        inputs.push((name(*id), value));
    }
    let instructions = instructions(&binding.instructions, &inputs)?;
    let place = attempt_name(&binding.phase, call.step.element, call.attempt);
    let outputs = binding.outputs.clone();
    let wanted = binding.adapter.has_folder();
    let room = all.workspace.room((call.item, &call.key), &place, &attempt_id, outputs, wanted);
    let room = if all.stores { room.lasting() } else { room };
    let place = (folder_name(call.item, &call.key), place);
    let call = adapter::Call {
        context: Context {
            run: all.run_id.clone(),
            outermost: all.outermost.clone(),
            step: binding.phase.clone(),
            item: call.key.clone(),
            attempt: call.attempt,
            repeated: call.repeated,
            element: call.step.element,
            traceparent: all.trace.below(span).to_string(),
            idempotency_key: key,
            forward_key: forward_key.or_else(|| all.forward_key.map(str::to_owned)),
            agent: binding.agent.clone(),
            channel: binding.channel.clone(),
            budget: call.left,
            deadline: stopped_by(all, call).map(|due| identity::moment(due.saturating_sub(now))),
        },
        inputs,
        files: paths,
        outputs: binding.outputs.clone(),
        instructions,
        dir: room.path(),
        input: room.input(),
        scratch: all.workspace.scratch(),
        attempt_id,
        home: all.workspace.root().to_owned(),
        place,
        spawns: Spawns::default(),
        conversation: Conversation::default(),
        live: LiveWords::default(),
        questions: Questions::default(),
        log: AttemptLog::default(),
        rests: Rests::default(),
        events: all.events.cloned().unwrap_or_default(),
        gates: all.gates.cloned().unwrap_or_default(),
        redactor: ItemRedactor::default(),
    };
    Ok((call, room))
}

/// The paths of files: of one, or of those in a list.
fn paths_in(files: &Value, paths: &mut Vec<PathBuf>) {
    match files {
        Value::String(path) => paths.push(path.into()),
        Value::Array(files) => files.iter().for_each(|file| paths_in(file, paths)),
        _ => {}
    }
}

/// A step's instructions with the values of this attempt; empty if it has none.
fn instructions(of: &Instructions, inputs: &[(Arc<str>, Arc<Value>)]) -> Result<String, String> {
    let named: Vec<(String, &Value)> = match of.is_empty() {
        true => Vec::new(),
        false => inputs.iter().map(|(name, value)| (in_conditions(name), &**value)).collect(),
    };
    of.filled(&|wanted| named.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value))
}

/// The latest time at which an attempt is stopped: its own deadline, that of its item, or that of the run, which
/// compensations and steps that run always ignore.
fn stopped_by(all: &Ground<'_>, call: &Call) -> Option<Millis> {
    let lasts = call.compensates.is_some() || all.graph.step(call.step.step).always;
    let run = all.until.filter(|_| !lasts);
    call.until.into_iter().chain(run).min()
}
