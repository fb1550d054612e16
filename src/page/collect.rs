//! Collects what a page shows from a stored run: one pass over its events for what happened, one for the statistics,
//! one for the conversations.

use super::causes;
use super::data::{PageAwait, PageData, PageGate, PageInput, PageRun, PageStep, PageText, PageValue};
use super::details::{Details, KnownDetails, Shown, lines, number};
use super::files::FileReader;
use super::inner::{self, InnerReader};
use super::logs;
use super::moments::Moments;
use super::rail::Rail;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::engine::Run;
use crate::event::{
    AttemptEvent, Decision, Event, EventKind, GateId, ItemEvent, ItemId, RunEvent, Settlement, Status,
    StepEvent, UnixMillis, Values,
};
use crate::graph::{Graph, Step};
use crate::history::{History, quiet};
use crate::runtime::{clock, open_questions};
use crate::session::Entries;
use crate::stats::{self, Dimension, Live};
use crate::value::words;
use crate::view::count;
use std::collections::{BTreeMap, HashMap};

/// The most gates and awaited events that a page shows.
const WAITS: usize = 200;

/// Follows a run through its events.
struct Collector<'a> {
    graph: &'a Graph,
    shown: Shown<'a>,
    moments: Moments,
    details: Details,
    gates: Vec<PageGate>,
    open_gates: HashMap<(ItemId, GateId), usize>,
    /// The ends of items that failed.
    failed: BTreeMap<ItemId, Settlement>,
    events: u64,
    end: u64,
    more_gates: u64,
}

impl PageData {
    /// The run of `history` as its journal is; `name` is what commands call it, `live` whether a process runs it.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn collect(history: &History, name: &str, live: bool) -> anyhow::Result<PageData> {
        let graph = &*history.graph;
        let redactor = Redactor::default().of_values(graph.secrets());
        let shown =
            Shown { files: FileReader::new(history), run: &history.header().run, graph, redactor: &redactor };
        let mut collector = Collector {
            graph,
            shown,
            moments: Moments::default(),
            details: Details::default(),
            gates: Vec::new(),
            open_gates: HashMap::new(),
            failed: BTreeMap::new(),
            events: 0,
            end: 0,
            more_gates: 0,
        };
        let run = history.fold(|event, run| {
            redactor.learn(event);
            collector.see(event, run);
        })?;
        let Collector { mut moments, details, mut gates, failed, events, end, more_gates, .. } = collector;
        let mut details = details.close();
        history.all_messages(|message| {
            details.hear(&message);
            Ok(())
        })?;
        let mut inside = InnerReader::new(history.home(), live);
        details.look_inside(graph, &mut inside);
        let (logs, unread) = logs::add(history, &mut details);
        // Their secrets have been removed.
        let own = gates.len();
        gates.extend(inner::gates(history, &moments.items.keys, WAITS)?);
        let (gates_own, gates_inner) = gates.split_at_mut(own);
        for gate in gates_own {
            let item = item_of(gate.item);
            redactor.shown_text(item, &mut gate.question);
            gate.given.iter_mut().for_each(|given| redactor.shown_text(item, &mut given.text));
            gate.said.iter_mut().for_each(|said| redactor.shown_text(item, said));
            gate.compensated = moments.would_compensate(graph, gate.item);
        }
        for gate in gates_inner {
            gate.compensated = moments.would_compensate(graph, gate.item);
        }
        let causes = causes::of(graph, &failed, &details, &redactor, &mut moments);
        let (stats, verdicts) = figures(history)?;
        let outline = history.outline()?;
        let (counts, status) = (outline.counts(history.basis()), outline.state(history.basis(), live));
        let spent = history.spent()?;
        let mut cut = cut(&moments, &details, more_gates);
        if inside.left_out > 0 {
            let runs = several(inside.left_out, "run");
            cut.push(format!("{runs} of documents had no room: orderflow show --item KEY has them."));
        }
        cut.extend(unread.map(|why| visible(&why)));
        let mut awaits = awaits(graph, &run);
        awaits.extend(inner::awaits(history, &moments.items.keys, WAITS)?);
        let page = PageRun {
            id: history.header().run.clone(),
            name: visible(name),
            workflow: visible(&graph.title),
            path: visible(&history.header().document.path),
            started: visible(&history.header().started),
            state: status.name(),
            status,
            live,
            single: counts.total.unwrap_or(0).max(moments.items.keys.len() as u64) == 1,
            counts,
            end,
            now: end + if live { quiet(history.home()) } else { 0 },
            events,
            tokens: spent.tokens,
            cost: spent.dollars.map(|dollars| dollars.rounded()),
        };
        Ok(PageData {
            run: page,
            steps: graph
                .steps
                .iter()
                .enumerate()
                .map(|(index, step)| page_step(graph, index, step))
                .collect(),
            values: graph.values.iter().map(|info| page_value(&info.name, info.ty.as_ref())).collect(),
            items: moments.items,
            attempts: moments.attempts,
            ends: moments.ends,
            waits: moments.waits,
            gates,
            awaits,
            questions: if live { open_questions(history.home()) } else { Vec::new() },
            unpublished: run
                .not_published()
                .map(|(channel, _, why)| (visible(channel), visible(why)))
                .collect(),
            causes,
            details: details.json(&redactor),
            logs,
            cut,
            rail: Rail::of(graph),
            past: Vec::new(),
            others: Vec::new(),
            changed: None,
            compared: None,
            graph: history.graph.clone(),
            document: history.header().document.text.clone(),
            stats,
            verdicts,
        })
    }
}

/// What the page does not have.
fn cut(moments: &Moments, details: &KnownDetails, more_gates: u64) -> Vec<String> {
    let mut cut = Vec::new();
    if moments.left_out > 0 {
        let more = several(moments.left_out, "event");
        cut.push(format!("The timeline and the slider have no room for the last {more}."));
    }
    if details.left_out > 0 {
        let items = several(details.left_out, "item");
        cut.push(format!("Inputs, outputs and logs of {items} had no room: orderflow show has them."));
    }
    if details.silent > 0 {
        let messages = several(details.silent, "message");
        cut.push(format!("{messages} of conversations had no room: orderflow show --conversation has them."));
    }
    if details.unlogged > 0 {
        let parts = several(details.unlogged, "part");
        cut.push(format!("{parts} of logs had no room: orderflow logs has them."));
    }
    if more_gates > 0 {
        cut.push(format!("{} more are not shown here.", several(more_gates, "gate")));
    }
    cut
}

fn several(number: u64, what: &str) -> String {
    format!("{} {}", count(number), words::by_count(number, what, &format!("{what}s")))
}

/// The statistics of a run, and whether they are as its document expects.
pub fn figures(history: &History) -> anyhow::Result<(stats::Stats, Vec<stats::Verdict>)> {
    let graph = &history.graph;
    let mut entries = Entries::new(graph);
    let mut live = Live::new(graph, vec![Dimension::Phase]);
    history.replay(|event| {
        entries.take(event).iter().for_each(|entry| live.take(entry));
        Ok(())
    })?;
    let stats = live.finish();
    let verdicts = stats::judge_all(graph, &stats);
    Ok((stats, verdicts))
}

fn page_step(graph: &Graph, index: usize, step: &Step) -> PageStep {
    let agent = step.agent.iter().map(|agent| format!("@{}", visible(agent)));
    let channel = step.channel.iter().map(|channel| format!("#{}", visible(channel)));
    let compensates = graph.steps.iter().enumerate();
    let compensates = compensates.filter(|(_, other)| other.compensate.is_some_and(|by| by.index() == index));
    let takes = step.given().map(|input| PageInput {
        value: input.value.index(),
        optional: input.optional,
        from: input.makers.iter().map(|maker| maker.index()).collect(),
    });
    PageStep {
        title: visible(&step.title),
        phase: visible(&step.phase),
        kind: step.kind.name(),
        who: agent.chain(channel).collect::<Vec<_>>().join(" "),
        once: step.once,
        each: step.each.is_some(),
        compensation: step.compensate.map(|by| by.index()),
        compensates: compensates.map(|(other, _)| other).collect(),
        takes: takes.collect(),
        makes: step.outputs.iter().map(|output| output.value.index()).collect(),
        needs: step.needs.iter().map(|need| need.step.index()).collect(),
    }
}

fn page_value(name: &str, ty: Option<&crate::value::Type>) -> PageValue {
    PageValue { name: visible(name), ty: ty.map(|ty| visible(&ty.to_string())) }
}

/// The events that items wait for.
fn awaits(graph: &Graph, run: &Run) -> Vec<PageAwait> {
    let all = run.awaiting().filter_map(|(item, key, step, subject, since)| {
        Some(PageAwait {
            item: number(item),
            key: visible(key),
            step: step.index(),
            title: None,
            event: visible(&graph.step(step).awaits.as_ref()?.event),
            subject: visible(subject),
            since: clock(since),
        })
    });
    all.take(WAITS).collect()
}

/// The item with this number on the page.
pub fn item_of(number: i64) -> ItemId {
    u64::try_from(number).map_or(ItemId::RUN, ItemId)
}

impl Collector<'_> {
    fn see(&mut self, event: &Event, run: &Run) {
        self.events += 1;
        self.end = self.end.max(event.at);
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => self.begin((ItemId::RUN, "run"), None, event.at),
            EventKind::Run(RunEvent::StepsEnded(end)) => self.settle(ItemId::RUN, end, event.at),
            EventKind::Run(RunEvent::Decided { gate, decision }) => {
                // Each item gets its own event once the run continues.
                let open = self.open_gates.keys().filter(|(_, other)| other == gate);
                let items: Vec<ItemId> = open.map(|(item, _)| *item).collect();
                items.into_iter().for_each(|item| self.decide(item, *gate, Some(decision), event.at));
            }
            EventKind::Run(_) => {}
            EventKind::Item(item, change) => self.item(*item, change, event.at, run),
            EventKind::Step(item, change) => self.step(*item, change, event.at),
            EventKind::Attempt(item, path, attempt, change) => {
                self.moments.attempt(*item, *path, *attempt, change, event.at);
                match change {
                    AttemptEvent::Started => {
                        self.details.started(*item, *path, *attempt, run, &self.shown);
                    }
                    AttemptEvent::Stopped(why) => self.details.stopped(*item, *path, *attempt, *why),
                    AttemptEvent::Finished(answer) => {
                        self.details.finished(*item, *path, *attempt, answer, &self.shown);
                    }
                    AttemptEvent::Repeated
                    | AttemptEvent::RetryScheduled { .. }
                    | AttemptEvent::RetryDue
                    | AttemptEvent::Waits
                    | AttemptEvent::Awaits
                    | AttemptEvent::Continues => {}
                }
            }
        }
    }

    fn item(&mut self, item: ItemId, change: &ItemEvent, at: u64, run: &Run) {
        match change {
            ItemEvent::Admitted { key, inputs } => {
                self.moments.admit(visible(key));
                self.begin((item, key), Some(inputs), at);
            }
            ItemEvent::Retried { key, inputs, .. } => self.begin((item, key), inputs.as_ref(), at),
            ItemEvent::Resolved { key, note, .. } => {
                self.begin((item, key), None, at);
                self.details.resolve(item, note);
            }
            ItemEvent::Revoked { key, .. } => self.begin((item, key), None, at),
            ItemEvent::Settled { end, .. } => self.settle(item, end, at),
            ItemEvent::GateReached { gate, question, since } => {
                self.reach(item, *gate, question, *since, at, run);
            }
            ItemEvent::Decided { gate, decision } => self.decide(item, *gate, Some(decision), at),
            ItemEvent::GateExpired(gate) => self.decide(item, *gate, None, at),
            ItemEvent::RoundScheduled { repeat, .. } => {
                let first = self.graph.repeats.get(repeat.index()).and_then(|repeat| repeat.steps.first());
                first.iter().for_each(|step| self.moments.wait(item, (**step).into(), 3, at));
            }
            ItemEvent::RoundBegan { .. } => self.moments.rest(item, None, 3, at),
            ItemEvent::DeadlinePassed { .. } | ItemEvent::CompensationBegan(_) | ItemEvent::Failed => {
                self.leave(item, at);
            }
            _ => {}
        }
    }

    fn step(&mut self, item: ItemId, change: &StepEvent, at: u64) {
        match change {
            StepEvent::Ended(execution) => self.moments.ended(item, execution, at),
            StepEvent::AwaitBegan { step, .. } => self.moments.wait(item, (*step).into(), 2, at),
            StepEvent::EventTaken { step, .. } | StepEvent::AwaitExpired(step) => {
                self.moments.rest(item, Some((*step).into()), 2, at);
            }
            _ => {}
        }
    }

    fn begin(&mut self, (item, key): (ItemId, &str), inputs: Option<&Values>, at: u64) {
        self.failed.remove(&item);
        self.moments.state(item, 0, at);
        self.details.begin(item, key, inputs, &self.shown);
    }

    fn settle(&mut self, item: ItemId, end: &Settlement, at: u64) {
        self.leave(item, at);
        self.moments.end_waits(item, at);
        self.moments.state(item, end.state as u8 + 1, at);
        let failed = end.state.is_failure() || !end.uncompensated.is_empty();
        if failed {
            self.failed.insert(item, end.clone());
        }
        self.details.settle(item, failed);
    }

    fn reach(&mut self, item: ItemId, id: GateId, question: &str, since: UnixMillis, at: u64, run: &Run) {
        let Some(gate) = self.graph.gate(id) else { return };
        let step = self.graph.steps.iter().position(|step| step.gates.contains(&id)).unwrap_or(0);
        self.moments.wait(item, crate::graph::StepId(step as u32).into(), 1, at);
        if self.gates.len() >= WAITS {
            self.more_gates += 1;
            return;
        }
        let key = run.key(item).map_or("run", |key| key);
        let given = run.ask(item, id).map(|ask| self.shown.with_files(item, key, &ask.inputs));
        let given = given.unwrap_or_default();
        let until = gate.within.map(|within| clock(since.saturating_add(within.as_millis() as u64)));
        self.open_gates.insert((item, id), self.gates.len());
        self.gates.push(PageGate {
            item: number(item),
            key: visible(key),
            step,
            title: visible(&self.graph.gated(gate)),
            question: lines(question),
            by: gate.by.as_deref().map(visible),
            since: clock(since),
            until,
            at,
            ended: None,
            state: "waiting",
            said: None,
            given: given.into_iter().map(|given| PageText { html: None, ..given }).collect(),
            compensated: Vec::new(),
        });
    }

    fn decide(&mut self, item: ItemId, id: GateId, decision: Option<&Decision>, at: u64) {
        let step = self.graph.steps.iter().position(|step| step.gates.contains(&id)).unwrap_or(0);
        self.moments.rest(item, Some(crate::graph::StepId(step as u32).into()), 1, at);
        if let Some(gate) = self.open_gates.remove(&(item, id)).and_then(|at| self.gates.get_mut(at)) {
            gate.ended = Some(at);
            gate.state = decision.map_or("expired", |decision| decision.verb());
            gate.said = decision.map(|decision| visible(&decision.said()));
        }
    }

    /// The item waits no longer, whatever for.
    fn leave(&mut self, item: ItemId, at: u64) {
        let open: Vec<(ItemId, GateId)> =
            self.open_gates.keys().filter(|(other, _)| *other == item).copied().collect();
        for known in open {
            if let Some(gate) = self.open_gates.remove(&known).and_then(|at| self.gates.get_mut(at)) {
                (gate.ended, gate.state) = (Some(at), "left");
            }
        }
        self.moments.rest(item, None, 1, at);
        self.moments.rest(item, None, 2, at);
    }
}

/// A status's number on the page.
pub fn code(status: Status) -> u8 {
    Status::ALL.iter().position(|known| *known == status).unwrap_or(0) as u8
}
