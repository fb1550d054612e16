//! TOML to cases, with every problem at its place.

use super::model::{Case, CaseAnswer, CaseDecision, CaseEvent, CaseExpectations};
use super::reader::{CaseReader, Item, Key};
use crate::diag::{Diagnostic, Source, Span, catalogue};
use crate::event::Values;
use crate::graph::{GateId, Graph, StepId, ValueId};
use crate::value::{Type, Value};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::DeTable;

/// The most problems of a text that are shown one by one.
const MOST_PROBLEMS: usize = 100;

const TOP: [&str; 4] = ["inputs", "answers", "gates", "case"];
const CASE: [&str; 9] = ["name", "key", "inputs", "answers", "gates", "events", "until", "cancel", "expect"];
const EVENT: [&str; 5] = ["type", "data", "subject", "after", "id"];

/// The fences `toml test` of a document, each with its lines.
pub fn fences(document: &Source) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open: Option<Option<Span>> = None;
    for (event, range) in Parser::new(&document.text).into_offset_iter() {
        match (event, &mut open) {
            (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))), _) => {
                let is_test = info.split_whitespace().eq(["toml", "test"]);
                open = is_test.then_some(None);
            }
            (Event::Text(_), Some(text)) => {
                let span = Span::from(range);
                *text = Some(text.map_or(span, |known| known.to(span)));
            }
            (Event::End(TagEnd::CodeBlock), _) => {
                if let Some(Some(text)) = open.take() {
                    let line = document.position(text.start).line;
                    found.push(Source::excerpt(&*document.name, line, document.slice(text)));
                }
            }
            _ => {}
        }
    }
    found
}

/// Reads a text with cases of a document. The problems are in the order of their places.
pub fn read(source: &Source, graph: &Graph) -> (Vec<Case>, Vec<Diagnostic>) {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let syntax = |error: &toml::de::Error| {
        catalogue::case_syntax(error.span().map_or(Span::new(0, 0), Span::from), error.message())
    };
    let mut reader = CaseReader { graph, problems: errors.iter().map(syntax).collect() };
    let mut cases = Vec::new();
    // The contents of malformed text would only cause misleading problems.
    if reader.problems.is_empty() {
        cases = reader.cases(table.get_ref());
    }
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.span);
    if problems.len() > MOST_PROBLEMS {
        let rest = catalogue::too_many_problems(&problems.split_off(MOST_PROBLEMS));
        problems.push(rest);
    }
    (cases, problems)
}

/// What all cases of a text have, unless they say otherwise.
#[derive(Clone, Default)]
struct Shared {
    inputs: BTreeMap<ValueId, Arc<Value>>,
    answers: BTreeMap<StepId, Vec<CaseAnswer>>,
    gates: BTreeMap<GateId, Vec<CaseDecision>>,
}

impl CaseReader<'_> {
    fn cases(&mut self, table: &DeTable<'_>) -> Vec<Case> {
        let mut shared = Shared::default();
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "case" => {}
                _ if self.shared(key, value, &mut shared) => {}
                _ => self.unknown(key, &TOP),
            }
        }
        let mut cases: Vec<Case> = Vec::new();
        let listed = table.iter().filter(|(key, _)| key.get_ref() == "case");
        for (_, value) in listed {
            for one in self.list("case", value).unwrap_or_default() {
                let Some(table) = self.table("case", one) else { continue };
                let Some(case) = self.case(table, one.span().into(), shared.clone()) else { continue };
                match cases.iter().find(|known| known.name == case.name) {
                    Some(first) => {
                        self.problems.push(catalogue::case_duplicate(case.span, &case.name, first.span))
                    }
                    None => cases.push(case),
                }
            }
        }
        cases
    }

    /// Reads a key that a text and a case may have; false if it is another one.
    fn shared(&mut self, key: &Key<'_>, value: &Item<'_>, shared: &mut Shared) -> bool {
        match key.get_ref().as_ref() {
            "inputs" => shared.inputs.extend(self.inputs(value)),
            "answers" => shared.answers.extend(self.answers(value)),
            "gates" => shared.gates.extend(self.gates(value)),
            _ => return false,
        }
        true
    }

    fn case(&mut self, table: &DeTable<'_>, span: Span, mut shared: Shared) -> Option<Case> {
        let name = table.iter().find(|(key, _)| key.get_ref() == "name");
        let Some((_, name)) = name else {
            self.problems.push(catalogue::case_lacks(span, "a name", "write name = \"what happens\""));
            return None;
        };
        let span: Span = name.span().into();
        let name = self.text("name", name)?;
        let (mut key, mut events, mut until, mut cancel) = ("1".to_owned(), Vec::new(), None, None);
        let mut misspelt = false;
        let mut expect = CaseExpectations::default();
        for (written, value) in table.iter() {
            match written.get_ref().as_ref() {
                "name" => {}
                "key" => key = self.text("key", value).unwrap_or(key),
                "events" => {
                    let list = self.list("events", value).unwrap_or_default();
                    events = list.into_iter().filter_map(|one| self.event(one)).collect();
                }
                "until" => until = self.time("until", value),
                "cancel" => cancel = self.time("cancel", value),
                "inputs" => {
                    let before = self.problems.len();
                    self.shared(written, value, &mut shared);
                    // An input with a wrong name is not missing, too.
                    misspelt = self.problems.len() > before;
                }
                "expect" => expect = self.expectations(value),
                _ if self.shared(written, value, &mut shared) => {}
                _ => self.unknown(written, &CASE),
            }
        }
        let graph = self.graph;
        for input in &graph.inputs {
            if !misspelt && !shared.inputs.contains_key(input) && !graph.may_lack(*input) {
                let name = &graph.value(*input).name;
                let help =
                    format!("write it below [case.inputs], or below [inputs] for all cases: {name} = …");
                self.problems.push(catalogue::case_lacks(span, &format!("the input `{name}`"), &help));
            }
        }
        let inputs: Values = shared.inputs.into_iter().collect();
        let (answers, gates) = (shared.answers, shared.gates);
        Some(Case { name, span, key, inputs, answers, gates, events, until, cancel, expect })
    }

    fn inputs(&mut self, value: &Item<'_>) -> Vec<(ValueId, Arc<Value>)> {
        let graph = self.graph;
        let mut inputs = Vec::new();
        for (key, value) in self.table("inputs", value).into_iter().flat_map(DeTable::iter) {
            let id = graph.inputs.iter().copied().find(|id| graph.value(*id).name == key.get_ref().as_ref());
            let Some(id) = id else {
                let known = graph.inputs.iter().map(|id| &*graph.value(*id).name);
                let problem = catalogue::case_unknown_name(key.span().into(), "input", key.get_ref(), known);
                self.problems.push(problem);
                continue;
            };
            let ty = graph.value(id).ty.as_ref();
            let read = self.value(value).and_then(|found| self.admit(found, ty, key.get_ref(), value));
            inputs.extend(read.map(|found| (id, Arc::new(found))));
        }
        inputs
    }

    /// A value, if it fits its type.
    pub(super) fn admit(
        &mut self,
        found: Value,
        ty: Option<&Type>,
        name: &str,
        at: &Item<'_>,
    ) -> Option<Value> {
        let Some(ty) = ty else { return Some(found) };
        match ty.admit(found) {
            Ok(value) => Some(value),
            Err(misfits) => {
                self.problems.push(catalogue::case_misfit(at.span().into(), &misfits.of(name)));
                None
            }
        }
    }

    fn event(&mut self, value: &Item<'_>) -> Option<CaseEvent> {
        let table = self.table("an event", value)?;
        let mut event =
            CaseEvent { kind: String::new(), data: Value::Null, subject: None, after: 0, id: None };
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "type" => event.kind = self.event_type(value)?,
                "data" => event.data = self.value(value)?,
                "subject" => event.subject = self.text("subject", value),
                "after" => event.after = self.time("after", value)?,
                "id" => event.id = self.text("id", value),
                _ => self.unknown(key, &EVENT),
            }
        }
        if event.kind.is_empty() {
            let help = "write type = \"order.shipped\"";
            self.problems.push(catalogue::case_lacks(value.span().into(), "the type of an event", help));
            return None;
        }
        Some(event)
    }

    /// The type of an event that a step waits for.
    fn event_type(&mut self, value: &Item<'_>) -> Option<String> {
        let kind = self.text("type", value)?;
        let awaited = self.graph.awaited_here();
        if awaited.contains(kind.as_str()) {
            return Some(kind);
        }
        let known = awaited.iter().copied();
        self.problems.push(catalogue::case_unknown_name(value.span().into(), "awaited event", &kind, known));
        None
    }
}
