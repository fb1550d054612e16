//! TOML to the answers of agents and people, with every problem at its place.

use super::model::{CaseAnswer, CaseDecision};
use super::reader::{CaseReader, Item};
use crate::adapter::contract;
use crate::diag::catalogue;
use crate::event::{Answer, Reply, Values};
use crate::graph::{GateId, Graph, Kind, StepId};
use crate::value::{Object, Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::DeTable;

const ANSWER: [&str; 5] = ["outputs", "error", "takes", "tokens_used", "cost_usd"];
const ERROR: [&str; 6] = ["message", "code", "retryable", "outcome", "retry_after_ms", "unavailable"];
const GATE: [&str; 4] = ["decision", "by", "note", "after"];

impl CaseReader<'_> {
    pub(super) fn answers(&mut self, value: &Item<'_>) -> BTreeMap<StepId, Vec<CaseAnswer>> {
        let mut answers = BTreeMap::new();
        for (key, value) in self.table("answers", value).into_iter().flat_map(DeTable::iter) {
            let Some(step) = self.step(key.get_ref(), key.span().into()) else { continue };
            let all = self.several(value).into_iter().filter_map(|one| self.answer(step, one)).collect();
            answers.insert(step, all);
        }
        answers
    }

    fn answer(&mut self, step: StepId, value: &Item<'_>) -> Option<CaseAnswer> {
        let table = self.table("an answer", value)?;
        let (mut outputs, mut error, mut takes) = (None, None, 0);
        let (mut tokens, mut columns) = (None, Vec::new());
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "outputs" => outputs = Some(self.outputs(step, value)),
                "error" if outputs.is_none() && !table.contains_key("outputs") => error = self.error(value),
                "error" => {
                    self.problems.push(catalogue::case_both(key.span().into(), "outputs", "error"));
                }
                "takes" => takes = self.time("takes", value).unwrap_or(0),
                "tokens_used" => tokens = self.count("tokens_used", value),
                "cost_usd" => {
                    let cost = self.value(value).filter(Value::is_number);
                    let cost = cost.or_else(|| self.bad("cost_usd", value, "a number of dollars"));
                    columns.extend(cost.map(|cost| (Arc::from("cost_usd"), cost)));
                }
                _ => self.unknown(key, &ANSWER),
            }
        }
        let answer = match error {
            Some(Err(mut failure)) => {
                (failure.tokens_used, failure.columns) = (tokens, columns);
                Err(failure)
            }
            Some(Ok(_)) | None => {
                let some = outputs.is_some();
                let outputs = stubbed(self.graph, step, outputs.unwrap_or_default(), some);
                Ok(Reply { outputs, tokens_used: tokens, columns, ..Reply::default() })
            }
        };
        Some(CaseAnswer { answer, takes })
    }

    fn outputs(&mut self, step: StepId, value: &Item<'_>) -> Values {
        let graph = self.graph;
        let declared = &graph.step(step).outputs;
        let mut outputs = Vec::new();
        for (key, value) in self.table("outputs", value).into_iter().flat_map(DeTable::iter) {
            let known =
                declared.iter().find(|output| graph.value(output.value).name == key.get_ref().as_ref());
            let Some(output) = known else {
                let names = declared.iter().map(|output| &*graph.value(output.value).name);
                let known = names;
                let what = format!("output of {}", graph.step(step).title);
                self.problems.push(catalogue::case_unknown_name(
                    key.span().into(),
                    &what,
                    key.get_ref(),
                    known,
                ));
                continue;
            };
            let ty = graph.made_type(step, output);
            let read =
                self.value(value).and_then(|found| self.admit(found, ty.as_ref(), key.get_ref(), value));
            outputs.extend(read.map(|found| (output.value, Arc::new(found))));
        }
        outputs
    }

    /// The failure of an agent that answers with this error, by the contract of agents.
    fn error(&mut self, value: &Item<'_>) -> Option<Answer> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.text("error", value)?;
        }
        for (key, _) in table.into_iter().flat_map(DeTable::iter) {
            if !ERROR.contains(&key.get_ref().as_ref()) {
                self.unknown(key, &ERROR);
            }
        }
        let error = self.value(value)?;
        let answer = Value::Object(Object::from_iter([("error".to_owned(), error)]));
        let failure = contract::result(&[], &answer.to_string()).err()?;
        if let Some((_, why)) = failure.message.split_once("(malformed error: ") {
            let why = why.trim_end_matches(')');
            self.problems.push(catalogue::case_misfit(value.span().into(), why));
        }
        Some(Err(failure))
    }

    pub(super) fn gates(&mut self, value: &Item<'_>) -> BTreeMap<GateId, Vec<CaseDecision>> {
        let graph = self.graph;
        let mut gates = BTreeMap::new();
        for (key, value) in self.table("gates", value).into_iter().flat_map(DeTable::iter) {
            let name = key.get_ref().as_ref();
            let is_meant =
                |gate: &crate::graph::Gate| graph.gated(gate) == name || graph.gate_name(gate) == name;
            let Some(gate) = graph.gates.iter().position(is_meant) else {
                let names: Vec<String> = graph.gates.iter().map(|gate| graph.gated(gate)).collect();
                let known = names.iter().map(String::as_str);
                self.problems.push(catalogue::case_unknown_name(key.span().into(), "gate", name, known));
                continue;
            };
            let all = self.several(value).into_iter().filter_map(|one| self.decision(one)).collect();
            gates.insert(GateId(u32::try_from(gate).unwrap_or(u32::MAX)), all);
        }
        gates
    }

    fn decision(&mut self, value: &Item<'_>) -> Option<CaseDecision> {
        let verdict = |reader: &mut Self, value: &Item<'_>| {
            let word = |approved| if approved { "approve" } else { "reject" };
            reader.one_of("decision", value, [true, false].into_iter(), word)
        };
        let Some(table) = value.get_ref().as_table() else {
            let approved = verdict(self, value)?;
            return Some(CaseDecision { approved, by: None, note: None, after: 0 });
        };
        let mut decision = CaseDecision { approved: false, by: None, note: None, after: 0 };
        let mut approved = None;
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "decision" => approved = verdict(self, value),
                "by" => decision.by = self.text("by", value),
                "note" => decision.note = self.text("note", value),
                "after" => decision.after = self.time("after", value).unwrap_or(0),
                _ => self.unknown(key, &GATE),
            }
        }
        if !table.contains_key("decision") {
            let help = "write decision = \"approve\" or decision = \"reject\"";
            self.problems.push(catalogue::case_lacks(value.span().into(), "a decision", help));
        }
        approved.map(|approved| CaseDecision { approved, ..decision })
    }
}

/// The outputs of an attempt: those that are given, and samples of their types for the others. If some are given, an
/// optional one is absent otherwise.
pub(super) fn stubbed(graph: &Graph, id: StepId, given: Values, some: bool) -> Values {
    let step = graph.step(id);
    let mut outputs = given;
    for output in &step.outputs {
        let known = outputs.iter().any(|(value, _)| *value == output.value);
        if known || some && output.optional {
            continue;
        }
        // A failure handler requeues nothing by itself.
        let sample = match graph.made_type(id, output).unwrap_or(Type::String).sample() {
            Value::Bool(_) if step.kind == Kind::Handler => Value::Bool(false),
            sample => sample,
        };
        outputs.push((output.value, Arc::new(sample)));
    }
    outputs
}
