//! Running attempts: begun on tasks of their own, stopped on request, each reported exactly once.

use super::files::{MovedFiles, Room};
use super::live::LiveBoard;
use super::timers::Timers;
use super::workspace::attempt_name;
use super::{AgentQuestions, Loop, Workspace, identity};
use crate::adapter::question::Questions;
use crate::adapter::redact::{ItemRedactor, Redactor};
use crate::adapter::{
    self, Adapter, AttemptLog, Bound, Context, Conversation, Declared, InnerGates, LiveWords, LogIntake,
    LogPlace, OuterEvents, Rests, Said, Spawned, Spawns, Stop, Stopper, Urgency, contract,
};
use crate::engine::{Call, EngineInput, Timer};
use crate::event::{Answer, Cause, ItemId, Millis, Outcome, Relayed, StepPath, StopReason};
use crate::graph::{Graph, Instructions, StepId, ValueId};
use crate::spans::{SpanId, TraceContext};
use crate::value::{Type, Value, in_conditions};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// The adapter and the name of each step, by step.
pub struct Bindings {
    steps: Arc<[BoundStep]>,
    /// The values that are files and made by steps.
    files: Arc<HashSet<ValueId>>,
    /// Where the files are that were given to the run.
    moved: MovedFiles,
    /// Removes secrets from reports of attempts.
    redactor: Redactor,
    /// The adapters belong to another run, which closes them.
    lent: bool,
    /// Adapters of runs within this one, which it closes.
    nested: Vec<Arc<dyn Adapter>>,
}

struct BoundStep {
    adapter: Arc<dyn Adapter>,
    phase: Arc<str>,
    title: Arc<str>,
    agent: Option<Arc<str>>,
    channel: Option<Arc<str>>,
    outputs: Arc<[Declared]>,
    instructions: Instructions,
}

impl Bindings {
    /// Binds every step of the graph to its adapter, given in the order of the steps.
    pub fn new(graph: &Graph, adapters: Vec<Arc<dyn Adapter>>) -> Self {
        let bind = |((id, step), adapter): ((StepId, &crate::graph::Step), Arc<dyn Adapter>)| BoundStep {
            adapter,
            phase: step.phase.as_str().into(),
            title: step.title.as_str().into(),
            agent: step.agent.as_deref().map(Arc::from),
            channel: step.channel.as_deref().map(Arc::from),
            outputs: step.outputs.iter().map(|output| declared(graph, id, output)).collect(),
            instructions: step.instructions.clone(),
        };
        let steps = graph.ids().zip(&graph.steps).zip(adapters);
        let (steps, files) = (steps.map(bind).collect(), Arc::new(files(graph)));
        let (redactor, moved) = (Redactor::default(), MovedFiles::default());
        Bindings { steps, files, moved, redactor, lent: false, nested: Vec::new() }
    }

    /// The same adapters for another run, which does not close them. `redactor` is for its values.
    pub fn lend(&self, redactor: Redactor) -> Self {
        let (steps, files) = (self.steps.clone(), self.files.clone());
        let moved = MovedFiles::default();
        Bindings { steps, files, moved, redactor, lent: true, nested: Vec::new() }
    }

    /// Also closes these adapters, of runs within this one.
    pub fn with_nested(self, nested: Vec<Arc<dyn Adapter>>) -> Self {
        Bindings { nested, ..self }
    }

    /// Steps get the files that were given to the run from where they are today.
    pub fn with_moved(self, moved: MovedFiles) -> Self {
        Bindings { moved, ..self }
    }

    /// Removes secrets from reports of attempts.
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        Bindings { redactor, ..self }
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// What limits how many attempts of a step can usefully run at once.
    pub fn bound(&self, step: StepId) -> Bound {
        self.steps.get(step.index()).map_or(Bound::Elsewhere, |binding| binding.adapter.bound())
    }

    /// Each adapter once: steps may share one.
    fn adapters(&self) -> Vec<&Arc<dyn Adapter>> {
        let mut adapters: Vec<&Arc<dyn Adapter>> = Vec::new();
        for BoundStep { adapter, .. } in self.steps.iter() {
            if !adapters.iter().any(|known| Arc::ptr_eq(known, adapter)) {
                adapters.push(adapter);
            }
        }
        adapters
    }

    /// Ends what a dead runner of this run has left elsewhere.
    ///
    /// # Errors
    /// What could not be ended.
    pub async fn recover(&self, run: &str) -> Result<(), String> {
        for adapter in self.adapters() {
            adapter.recover(run).await?;
        }
        Ok(())
    }

    /// Ends programs that adapters leave running between calls.
    pub(super) async fn close(&self, stop: &Stop) {
        if self.lent {
            return;
        }
        let mut closing = JoinSet::new();
        let mut adapters = self.adapters();
        for nested in &self.nested {
            if !adapters.iter().any(|known| Arc::ptr_eq(known, nested)) {
                adapters.push(nested);
            }
        }
        for adapter in adapters {
            let (adapter, stop) = (adapter.clone(), stop.clone());
            closing.spawn(async move { adapter.close(stop).await });
        }
        while closing.join_next().await.is_some() {}
    }
}

fn declared(graph: &Graph, step: StepId, output: &crate::graph::Output) -> Declared {
    let name = graph.value(output.value).name.clone();
    let ty = graph.made_type(step, output);
    Declared { id: output.value, name, ty, optional: output.optional }
}

/// The values that are files and made by steps, with the elements of lists of them.
fn files(graph: &Graph) -> HashSet<ValueId> {
    let made = graph.steps.iter().flat_map(|step| &step.outputs).map(|output| output.value);
    let is_file = |id: &ValueId| graph.value(*id).ty.as_ref().is_some_and(Type::holds_files);
    let mut files: HashSet<ValueId> = made.filter(is_file).collect();
    for each in graph.steps.iter().filter_map(|step| step.each) {
        if files.contains(&each.list) {
            files.insert(each.element);
        }
    }
    files
}

/// What a question of an attempt is about: the item, the step and its agent.
fn about(context: &Context) -> (Arc<str>, Arc<str>, Option<Arc<str>>) {
    (context.item.clone(), context.step.clone(), context.agent.clone())
}

pub(super) fn timer_of(call: &Call) -> Timer {
    Timer::Attempt { item: call.item, step: call.step, attempt: call.attempt }
}

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

pub(super) struct Calls {
    answers: UnboundedSender<EngineInput>,
    /// Processes that were started for the calls.
    spawned: UnboundedSender<Spawned>,
    /// Messages of the calls.
    said: UnboundedSender<Said>,
    under_way: HashMap<(ItemId, StepPath, u32), Stopper>,
    /// What the attempts are just saying.
    pub live: LiveBoard,
    /// Where the attempts log; `None` without a journal.
    logs: Option<Arc<LogIntake>>,
    killed: bool,
    paused: bool,
}

impl Calls {
    pub fn new(
        answers: UnboundedSender<EngineInput>,
        spawned: UnboundedSender<Spawned>,
        said: UnboundedSender<Said>,
        live: LiveBoard,
        logs: Option<Arc<LogIntake>>,
    ) -> Self {
        let under_way = HashMap::new();
        Calls { answers, spawned, said, under_way, live, logs, killed: false, paused: false }
    }

    pub fn begin(&mut self, all: &Ground<'_>, call: Call, now: Millis) {
        let (stopper, stop) = Stop::new();
        if self.paused {
            stopper.pause();
        }
        let report = EndReport::new(&call, self.answers.clone());
        self.under_way.insert((call.item, call.step, call.attempt), stopper);
        let Some(binding) = all.bindings.steps.get(call.step.index()) else { return };
        let (adapter, redactor, item) = (binding.adapter.clone(), all.bindings.redactor.clone(), call.item);
        let attempt = (call.item, call.step, call.attempt);
        let spawns = Spawns::of(attempt, self.spawned.clone());
        // Without a journal they are not stored.
        let conversation = match all.stores {
            true => Conversation::of(attempt, &binding.outputs, redactor.clone(), self.said.clone()),
            false => Conversation::default(),
        };
        let (call, room) = match request(all, binding, &call, now) {
            Ok((request, room)) => {
                let live = self.live.begin(attempt, &binding.outputs);
                let conversation = conversation.clone();
                let redactor = ItemRedactor::new(redactor.clone(), item);
                let questions = match all.questions.cloned() {
                    Some(to) => {
                        let secret = binding.outputs.iter().any(Declared::is_secret);
                        let clean = (redactor.clone(), conversation.clone());
                        Questions::new(to, about(&request.context), clean, !secret)
                    }
                    None => Questions::default(),
                };
                let log = self.log(binding, &call, live.clone());
                let answers = self.answers.clone();
                let rests = Rests::new(move |waits| {
                    let (item, step, attempt) = attempt;
                    // The receiver is only gone when the run is.
                    let _ = answers.send(EngineInput::Waits { item, step, attempt, waits });
                });
                (
                    adapter::Call { spawns, conversation, live, questions, log, rests, redactor, ..request },
                    room,
                )
            }
            Err(wrong) => {
                let answer = contract::failure(Cause::Start, wrong, Outcome::NotExecuted, false);
                return report.give(Err(answer));
            }
        };
        let is_shared = adapter.is_shared();
        let log = call.log.clone();
        tokio::spawn(async move {
            let answer = match room.open() {
                Ok(()) => adapter.call(call, stop).await,
                Err(error) => {
                    let message = format!("cannot prepare the attempt: {error}");
                    Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true))
                }
            };
            let closed = match answer.is_ok() && room.is_slow() {
                true => tokio::task::spawn_blocking(move || room.close(answer)).await,
                false => Ok(room.close(answer)),
            };
            // A panic has been reported as a failure.
            let Ok(mut answer) = closed else { return };
            redactor.answer(item, is_shared, &mut answer);
            let relayed = match &mut answer {
                Ok(reply) => &mut reply.relayed,
                Err(failure) => &mut failure.relayed,
            };
            for Relayed { role, party, text } in std::mem::take(relayed) {
                conversation.say(role, Some(&party), &text);
            }
            conversation.end();
            log.end();
            report.give(answer);
        });
    }

    /// Where an attempt logs.
    fn log(&self, binding: &BoundStep, call: &Call, live: LiveWords) -> AttemptLog {
        let Some(intake) = &self.logs else { return AttemptLog::shown(live) };
        let place = LogPlace {
            item: call.item,
            key: call.key.clone(),
            phase: binding.phase.clone(),
            title: binding.title.clone(),
            element: call.step.element,
            attempt: call.attempt,
        };
        let is_shared = binding.adapter.is_shared();
        AttemptLog::stored(live, place, &binding.outputs, is_shared, intake)
    }

    /// Reports a call that is not made.
    pub fn refuse(&self, call: &Call) {
        let message = "not started: the journal could not be written".to_owned();
        let answer = contract::failure(Cause::Start, message, Outcome::NotExecuted, false);
        EndReport::new(call, self.answers.clone()).give(Err(answer));
    }

    pub fn stop(&self, attempt: (ItemId, StepPath, u32), why: StopReason) {
        if let Some(stopper) = self.under_way.get(&attempt) {
            stopper.say(why);
            stopper.ask(self.urgency());
        }
    }

    /// How urgently attempts are stopped.
    pub fn urgency(&self) -> Urgency {
        if self.killed { Urgency::Kill } else { Urgency::Terminate }
    }

    /// The run pauses: attempts that are stopped are repeated later.
    pub fn pause(&mut self) {
        if !std::mem::replace(&mut self.paused, true) {
            self.under_way.values().for_each(Stopper::pause);
        }
    }

    pub fn kill_all(&mut self) {
        self.killed = true;
        self.under_way.values().for_each(|stopper| stopper.ask(Urgency::Kill));
    }

    /// Whether an attempt is under way.
    pub fn any(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Asks all attempts to end; they are repeated when the run resumes.
    pub fn leave(&mut self) {
        self.pause();
        self.under_way.values().for_each(|stopper| stopper.ask(Urgency::Terminate));
    }

    /// Removes an attempt that has ended.
    pub fn over(&mut self, input: &EngineInput, timers: &mut Timers) {
        if let EngineInput::Finished { item, step, attempt, .. } = input {
            self.under_way.remove(&(*item, *step, *attempt));
            self.live.end((*item, *step, *attempt));
            timers.cancel(Timer::Attempt { item: *item, step: *step, attempt: *attempt });
        }
    }
}

fn request(
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
    let place = (super::folder_name(call.item, &call.key), place);
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

/// Reports an attempt's end when dropped, even if the adapter panics.
struct EndReport {
    id: (ItemId, StepPath, u32),
    answers: UnboundedSender<EngineInput>,
    given: bool,
}

impl EndReport {
    fn new(call: &Call, answers: UnboundedSender<EngineInput>) -> Self {
        EndReport { id: (call.item, call.step, call.attempt), answers, given: false }
    }

    fn give(mut self, answer: Answer) {
        self.send(answer);
    }

    fn send(&mut self, result: Answer) {
        let (item, step, attempt) = self.id;
        self.given = true;
        // The receiver is only gone when the run is.
        let _ = self.answers.send(EngineInput::Finished { item, step, attempt, result });
    }
}

impl Drop for EndReport {
    fn drop(&mut self) {
        if !self.given {
            let message = "the adapter broke; this is a bug of orderflow".to_owned();
            self.send(Err(contract::failure(Cause::Protocol, message, Outcome::Unknown, false)));
        }
    }
}
