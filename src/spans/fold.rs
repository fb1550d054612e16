//! The fold: from events to the spans of what has ended.

use super::{Attribute, GenAi, Moment, SpanId, TraceContext, TraceSpan, names};
use crate::event::{
    Answer, AttemptEvent, Cause, Event, EventKind, Execution, Failure, ItemEvent, ItemId, Millis, Outcome,
    RunEvent, Settlement, StepEvent, StepPath, TokenUsage, UnixMillis,
};
use crate::graph::{Graph, StepId};
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most moments of a span, as OpenTelemetry limits them; further ones are left out.
const MOMENTS: usize = 128;

/// The most bytes of a message.
const MESSAGE: usize = 4096;

/// What a fold is about.
#[derive(Clone)]
pub struct SpanSubject {
    pub graph: Arc<Graph>,
    pub run: Arc<str>,
    /// The name of the document.
    pub document: Arc<str>,
    /// Above the run.
    pub context: TraceContext,
    /// The agents of the steps, by step.
    pub agents: Arc<[Option<GenAi>]>,
}

/// Folds the events of a run, and gives the span of everything that ends.
pub struct SpanFold {
    subject: SpanSubject,
    /// The clock at the beginning of the run's time. The time of a run does not pass while no process runs it.
    clock: UnixMillis,
    began: UnixMillis,
    last: Millis,
    items: BTreeMap<ItemId, OpenItem>,
    /// The span of the run, or of its last retry.
    id: SpanId,
    /// When it was retried last, in its own time.
    retried: Option<Millis>,
}

struct OpenItem {
    key: Arc<str>,
    id: SpanId,
    began: UnixMillis,
    moments: Vec<Moment>,
    steps: BTreeMap<StepPath, OpenStep>,
}

struct OpenStep {
    id: SpanId,
    began: UnixMillis,
    moments: Vec<Moment>,
    attempts: BTreeMap<u32, OpenAttempt>,
}

struct OpenAttempt {
    began: UnixMillis,
    repeated: bool,
    moments: Vec<Moment>,
}

type Attributes = Vec<(&'static str, Attribute)>;

impl SpanFold {
    /// `clock` is the time at which the run began.
    pub fn new(subject: SpanSubject, clock: UnixMillis) -> SpanFold {
        let id = SpanId::of_run(&subject.run);
        SpanFold { subject, clock, began: clock, last: 0, items: BTreeMap::new(), id, retried: None }
    }

    /// The run continues now, after the events so far.
    pub fn resumed(&mut self, now: UnixMillis) {
        self.clock = now.saturating_sub(self.last);
    }

    /// The span of the run as a whole, now that it has ended so.
    pub fn ended(&self, result: &str, is_failure: bool) -> TraceSpan {
        let Self { subject, id, retried, .. } = self;
        let (name, parent) = match retried {
            // What ran before has a span of its own.
            Some(_) => ("retry", subject.context.parent.or(Some(SpanId::of_run(&subject.run)))),
            None => ("run", subject.context.parent),
        };
        let attributes: Attributes = vec![
            (names::RUN, (&*subject.run).into()),
            (names::WORKFLOW, subject.graph.title.as_str().into()),
            (names::DOCUMENT, (&*subject.document).into()),
            (names::RESULT, result.into()),
        ];
        TraceSpan {
            remote: subject.context.parent.is_some(),
            attributes,
            error: is_failure.then(|| result.to_owned()),
            ..self.span(*id, parent, format!("{name} {}", subject.graph.title), self.began)
        }
    }

    /// Processes an event; the span of what it ends, if it ends something.
    pub fn see(&mut self, event: &Event) -> Option<TraceSpan> {
        self.last = event.at;
        let at = self.now();
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => {
                self.open(ItemId::RUN, "steps for all items".into(), at);
                None
            }
            EventKind::Run(RunEvent::StepsEnded(end)) => self.settle(ItemId::RUN, end),
            EventKind::Run(_) => None,
            EventKind::Item(item, change) => self.item(*item, change, at),
            EventKind::Step(item, StepEvent::Ended(execution)) => self.step(*item, execution),
            EventKind::Step(item, change) => {
                let open = self.items.get_mut(item)?;
                moment_of_step(change)
                    .into_iter()
                    .for_each(|(name, with)| add(&mut open.moments, name, at, with));
                None
            }
            EventKind::Attempt(item, path, attempt, change) => {
                self.attempt(*item, *path, *attempt, change, at)
            }
        }
    }

    fn now(&self) -> UnixMillis {
        self.clock.saturating_add(self.last)
    }

    fn open(&mut self, item: ItemId, key: Arc<str>, began: UnixMillis) {
        // An item that is retried begins again, so its place in the order of events is a part of its identity.
        let run = &self.subject.run;
        let id = SpanId::of(&[run, "item", &item.0.to_string(), &self.last.to_string()]);
        self.items.insert(item, OpenItem { key, id, began, moments: Vec::new(), steps: BTreeMap::new() });
    }

    fn item(&mut self, item: ItemId, change: &ItemEvent, at: UnixMillis) -> Option<TraceSpan> {
        if let Some(key) = change.begins() {
            let again = !matches!(change, ItemEvent::Admitted { .. });
            if again && self.retried != Some(self.last) {
                (self.retried, self.began) = (Some(self.last), at);
                self.id = SpanId::of(&[&self.subject.run, "retry", &self.last.to_string()]);
            }
            self.open(item, key.clone(), at);
            return None;
        }
        if let ItemEvent::Settled { end, .. } = change {
            return self.settle(item, end);
        }
        let open = self.items.get_mut(&item)?;
        let title =
            |step: &StepId| self.subject.graph.steps.get(step.index()).map(|step| step.title.as_str());
        let (name, with): (_, Attributes) = match change {
            ItemEvent::DeadlinePassed { .. } => (names::DEADLINE, Vec::new()),
            ItemEvent::CompensationBegan(step) => (
                names::COMPENSATES,
                title(step).map(|title| (names::REASON, title.into())).into_iter().collect(),
            ),
            ItemEvent::Requeued => (names::REQUEUED, Vec::new()),
            ItemEvent::GateReached { .. } => (names::GATE, Vec::new()),
            ItemEvent::Decided { decision, .. } => {
                let name = if decision.approved { names::APPROVED } else { names::REJECTED };
                (name, vec![(names::BY, decision.by.as_str().into())])
            }
            ItemEvent::GateExpired(_) => (names::EXPIRED, Vec::new()),
            ItemEvent::RoundBegan { round, .. } => {
                (names::ROUND, vec![(names::ROUND, u64::from(*round).into())])
            }
            _ => return None,
        };
        add(&mut open.moments, name, at, with);
        None
    }

    fn settle(&mut self, item: ItemId, end: &Settlement) -> Option<TraceSpan> {
        let OpenItem { key, id, began, moments, .. } = self.items.remove(&item)?;
        let error = end.state.is_failure().then(|| match &end.error {
            Some(error) => shortened(&error.message),
            None => end.state.name().to_owned(),
        });
        let attributes = vec![
            (names::RUN, (&*self.subject.run).into()),
            (names::ITEM, (&*key).into()),
            (names::STATE, end.state.name().into()),
        ];
        let name = if item == ItemId::RUN { "steps for all items" } else { "item" };
        let above = Some(self.id);
        Some(TraceSpan { attributes, moments, error, ..self.span(id, above, name.to_owned(), began) })
    }

    fn step(&mut self, item: ItemId, execution: &Execution) -> Option<TraceSpan> {
        let at = self.now();
        let (path, graph) = (execution.path(), self.subject.graph.clone());
        let step = graph.steps.get(path.index())?;
        let open = self.items.get_mut(&item)?;
        let (key, above) = (open.key.clone(), open.id);
        let begun = open.steps.remove(&path);
        // A step that was skipped, or cancelled before its agent was called, took no time.
        if begun.is_none() && !execution.status.is_failure() {
            return None;
        }
        let open = begun.unwrap_or_else(|| {
            let place =
                [&*self.subject.run, "refused", &item.0.to_string(), &step.phase, &self.last.to_string()];
            OpenStep { id: SpanId::of(&place), began: at, moments: Vec::new(), attempts: BTreeMap::new() }
        });
        let mut attributes = self.about(&key, path);
        attributes.push((names::STATUS, execution.status.name().into()));
        attributes.extend(execution.attempt.map(|count| (names::ATTEMPTS, u64::from(count).into())));
        spent(&mut attributes, execution.tokens_used, &execution.columns);
        attributes.extend(execution.code.as_deref().map(|code| (names::ERROR, code.into())));
        let failure = execution.status.is_failure();
        let why = || execution.error.as_deref().map_or_else(|| execution.status.name().to_owned(), shortened);
        let error = failure.then(why);
        let (id, began, moments) = (open.id, open.began, open.moments);
        Some(TraceSpan {
            attributes,
            moments,
            error,
            ..self.span(id, Some(above), step.title.clone(), began)
        })
    }

    fn attempt(
        &mut self,
        item: ItemId,
        path: StepPath,
        attempt: u32,
        change: &AttemptEvent,
        at: UnixMillis,
    ) -> Option<TraceSpan> {
        let run = self.subject.run.clone();
        let graph = self.subject.graph.clone();
        let step = graph.steps.get(path.index())?;
        let open = self.items.get_mut(&item)?;
        let key = open.key.clone();
        let open = open.steps.entry(path).or_insert_with(|| {
            let element = path.element.map_or(String::new(), |element| element.to_string());
            let place = [&*run, "step", &item.0.to_string(), &step.phase, &element, &attempt.to_string()];
            OpenStep { id: SpanId::of(&place), began: at, moments: Vec::new(), attempts: BTreeMap::new() }
        });
        if let AttemptEvent::RetryScheduled { due } = change {
            add(
                &mut open.moments,
                names::RETRY,
                at,
                vec![(names::DUE, due.saturating_sub(self.last).into())],
            );
            return None;
        }
        let begins = || OpenAttempt { began: at, repeated: false, moments: Vec::new() };
        match change {
            AttemptEvent::Started => drop(open.attempts.insert(attempt, begins())),
            AttemptEvent::Repeated => {
                let open = open.attempts.entry(attempt).or_insert_with(begins);
                open.repeated = true;
                add(&mut open.moments, names::RESTARTED, at, Vec::new());
            }
            AttemptEvent::Stopped(reason) => {
                let open = open.attempts.get_mut(&attempt)?;
                let reason = vec![(names::REASON, reason.to_string().into())];
                add(&mut open.moments, names::STOPPED, at, reason);
            }
            AttemptEvent::Waits | AttemptEvent::Awaits | AttemptEvent::Continues => {
                let waits = !matches!(change, AttemptEvent::Continues);
                let open = open.attempts.get_mut(&attempt)?;
                add(&mut open.moments, if waits { names::WAITS } else { names::CONTINUES }, at, Vec::new());
            }
            AttemptEvent::Finished(answer) => {
                let above = open.id;
                let ended = open.attempts.remove(&attempt)?;
                return Some(self.answered((item, path, attempt), &key, above, ended, answer));
            }
            AttemptEvent::RetryScheduled { .. } | AttemptEvent::RetryDue => {}
        }
        None
    }

    fn answered(
        &self,
        (item, path, attempt): (ItemId, StepPath, u32),
        key: &str,
        above: SpanId,
        ended: OpenAttempt,
        answer: &Answer,
    ) -> TraceSpan {
        let OpenAttempt { began, repeated, moments } = ended;
        let step = &self.subject.graph.steps[path.index()];
        let ai = self.subject.agents.get(path.index()).and_then(Option::as_ref);
        let mut attributes = self.about(key, path);
        attributes.push((names::ATTEMPT, u64::from(attempt).into()));
        attributes.extend(repeated.then_some((names::REPEATED, true.into())));
        let (tokens, columns) = match answer {
            Ok(reply) => (reply.tokens_used, &reply.columns),
            Err(failure) => (failure.tokens_used, &failure.columns),
        };
        let usage = answer.as_ref().map_or_else(|failure| failure.usage, |reply| reply.usage);
        spent(&mut attributes, tokens, columns);
        if let Some(ai) = ai {
            attributes.extend(asked(ai, step.agent.as_deref()));
            let answered =
                columns.iter().find(|(name, _)| &**name == "model").and_then(|(_, model)| model.as_str());
            attributes.extend(answered.map(|model| (names::ANSWERED, model.into())));
            if let Some(TokenUsage { input, output }) = usage {
                attributes.extend([(names::INPUT, input.into()), (names::OUTPUT, output.into())]);
            }
        }
        if let Err(failure) = answer {
            attributes.push((names::ERROR, error_type(failure).into()));
            let outcome = match failure.outcome {
                Outcome::Failed => "failed",
                Outcome::NotExecuted => "not_executed",
                Outcome::Unknown => "unknown",
            };
            attributes.push((names::OUTCOME, outcome.into()));
        }
        let name = match ai {
            Some(GenAi { operation, model, tool, .. }) => {
                let of =
                    model.as_deref().or(tool.as_deref()).or(step.agent.as_deref()).unwrap_or(&step.title);
                format!("{operation} {of}")
            }
            None => format!("call {}", step.agent.as_deref().unwrap_or(&step.title)),
        };
        let id = SpanId::of_attempt(&self.subject.run, item, (&step.phase, path.element), attempt);
        let error = answer.as_ref().err().map(|failure| shortened(&failure.message));
        let calls = step.document.is_none();
        TraceSpan { calls, attributes, moments, error, ..self.span(id, Some(above), name, began) }
    }

    /// The attributes of everything about a step.
    fn about(&self, key: &str, path: StepPath) -> Attributes {
        let step = &self.subject.graph.steps[path.index()];
        let mut attributes: Attributes = vec![
            (names::RUN, (&*self.subject.run).into()),
            (names::ITEM, key.into()),
            (names::PHASE, step.phase.as_str().into()),
        ];
        attributes.extend(path.element.map(|element| (names::ELEMENT, u64::from(element).into())));
        attributes.extend(step.agent.as_deref().map(|agent| (names::AGENT, agent.into())));
        attributes.extend(step.channel.as_deref().map(|channel| (names::CHANNEL, channel.into())));
        attributes
    }

    fn span(&self, id: SpanId, parent: Option<SpanId>, name: String, began: UnixMillis) -> TraceSpan {
        TraceSpan {
            trace: self.subject.context.trace,
            id,
            parent,
            remote: false,
            name,
            calls: false,
            began,
            ended: self.now().max(began),
            attributes: Vec::new(),
            moments: Vec::new(),
            error: None,
        }
    }
}

fn add(moments: &mut Vec<Moment>, name: &'static str, at: UnixMillis, attributes: Attributes) {
    if moments.len() < MOMENTS {
        moments.push(Moment { name, at, attributes });
    }
}

fn moment_of_step(change: &StepEvent) -> Option<(&'static str, Attributes)> {
    let name = match change {
        StepEvent::AwaitBegan { .. } => names::AWAITS,
        StepEvent::EventTaken { .. } => names::TAKEN,
        StepEvent::AwaitExpired(_) => names::LATE,
        StepEvent::ConditionHeld(_)
        | StepEvent::BranchTaken { .. }
        | StepEvent::Ended(_)
        | StepEvent::ElementsEnded(_) => return None,
    };
    Some((name, Vec::new()))
}

fn spent(attributes: &mut Attributes, tokens: Option<u64>, columns: &[(Arc<str>, Value)]) {
    attributes.extend(tokens.map(|tokens| (names::TOKENS, tokens.into())));
    let cost = columns.iter().find(|(name, _)| &**name == "cost_usd").and_then(|(_, cost)| cost.as_f64());
    attributes.extend(cost.map(|cost| (names::COST, Attribute::Decimal(cost))));
}

fn asked(ai: &GenAi, agent: Option<&str>) -> Attributes {
    let GenAi { operation, provider, model, tool } = ai;
    let named = [(names::PROVIDER, provider), (names::MODEL, model), (names::TOOL, tool)];
    let named = named.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?.into())));
    let agent = agent.map(|agent| (names::AGENT_NAME, agent.into()));
    [(names::OPERATION, (*operation).into())].into_iter().chain(named).chain(agent).collect()
}

/// The agent's own code, else the kind of failure.
fn error_type(failure: &Failure) -> String {
    match (&failure.code, &failure.cause) {
        (Some(code), _) => code.clone(),
        (None, Cause::Start) => "start".to_owned(),
        (None, Cause::Exit(code)) => format!("exit_{code}"),
        (None, Cause::Signal(signal)) => format!("signal_{signal}"),
        (None, Cause::Stopped) => "stopped".to_owned(),
        (None, Cause::Protocol) => "protocol".to_owned(),
        (None, Cause::Refused) => "refused".to_owned(),
        (None, Cause::BadOutput) => "bad_output".to_owned(),
    }
}

/// The beginning of a message.
fn shortened(message: &str) -> String {
    let most = message.len().min(MESSAGE);
    let end = (0..=most).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message[..end].to_owned()
}
