//! TOML to what a case expects, with every problem at its place.

use super::model::{CaseEnd, CaseExpectations, ExpectedEnds, StepEnd};
use super::reader::{CaseReader, Item, Key};
use crate::diag::{Span, catalogue};
use crate::graph::{Kind, StepId, ValueId};
use crate::value::Value;
use toml::de::DeTable;

const EXPECT: [&str; 9] =
    ["state", "failed", "error", "lifecycle", "steps", "values", "attempts", "compensations", "published"];

impl CaseReader<'_> {
    pub(super) fn expectations(&mut self, value: &Item<'_>) -> CaseExpectations {
        let graph = self.graph;
        let mut expect = CaseExpectations::default();
        for (key, value) in self.table("expect", value).into_iter().flat_map(DeTable::iter) {
            let span: Span = value.span().into();
            match key.get_ref().as_ref() {
                "state" => {
                    let end = self.one_of("state", value, CaseEnd::all(), CaseEnd::name);
                    expect.state = end.map(|end| (end, span));
                }
                "failed" => {
                    let name = self.text("failed", value);
                    expect.failed = name.and_then(|name| Some((self.step(&name, span)?, span)));
                }
                "error" => expect.error = self.text("error", value).map(|text| (text, span)),
                "lifecycle" => {
                    let name = self.text("lifecycle", value);
                    let known = |name: &String| graph.states.iter().position(|state| state == name);
                    match name.as_ref().and_then(known) {
                        Some(at) => {
                            let state = crate::graph::StateId(u32::try_from(at).unwrap_or(u32::MAX));
                            expect.lifecycle = Some((state, span));
                        }
                        None => self.problems.extend(name.map(|name| {
                            let known = graph.states.iter().map(String::as_str);
                            catalogue::case_unknown_name(span, "state", &name, known)
                        })),
                    }
                }
                "steps" => {
                    for (key, value) in self.table("steps", value).into_iter().flat_map(DeTable::iter) {
                        let step = self.step(key.get_ref(), key.span().into());
                        let ends = self.ends(value);
                        let place: Span = Span::from(key.span()).to(value.span().into());
                        expect.steps.extend(step.zip(ends).map(|(step, ends)| (step, ends, place)));
                    }
                }
                "values" => {
                    for (key, value) in self.table("values", value).into_iter().flat_map(DeTable::iter) {
                        expect.values.extend(self.expected_value(key, value));
                    }
                }
                "attempts" => {
                    for (key, value) in self.table("attempts", value).into_iter().flat_map(DeTable::iter) {
                        let step = self.step(key.get_ref(), key.span().into());
                        let count = self.count(key.get_ref(), value);
                        let place: Span = Span::from(key.span()).to(value.span().into());
                        expect.attempts.extend(step.zip(count).map(|(step, count)| (step, count, place)));
                    }
                }
                "compensations" => {
                    let list = self.list("compensations", value).unwrap_or_default();
                    let steps = list.into_iter().filter_map(|one| self.compensation(one)).collect();
                    expect.compensations = Some((steps, span));
                }
                "published" => {
                    let list = self.list("published", value).unwrap_or_default();
                    let types = list.into_iter().filter_map(|one| self.published(one)).collect();
                    expect.published = Some((types, span));
                }
                _ => self.unknown(key, &EXPECT),
            }
        }
        expect
    }

    fn ends(&mut self, value: &Item<'_>) -> Option<ExpectedEnds> {
        let mut one = |value| self.one_of("status", value, StepEnd::all(), StepEnd::name);
        match value.get_ref().as_array() {
            None => one(value).map(ExpectedEnds::All),
            Some(list) => list.iter().map(one).collect::<Option<_>>().map(ExpectedEnds::Each),
        }
    }

    fn expected_value(&mut self, key: &Key<'_>, value: &Item<'_>) -> Option<(ValueId, Value, Span)> {
        let names = || self.graph.values.iter().map(|value| value.name.as_str());
        let Some(at) = names().position(|name| name == key.get_ref()) else {
            let known = names();
            let problem = catalogue::case_unknown_name(key.span().into(), "value", key.get_ref(), known);
            self.problems.push(problem);
            return None;
        };
        let place: Span = Span::from(key.span()).to(value.span().into());
        let id = ValueId(u32::try_from(at).unwrap_or(u32::MAX));
        self.value(value).map(|found| (id, found, place))
    }

    fn compensation(&mut self, value: &Item<'_>) -> Option<StepId> {
        let name = self.text("compensations", value)?;
        let step = self.step(&name, value.span().into())?;
        if self.graph.step(step).kind == Kind::Compensation {
            return Some(step);
        }
        let all = self.graph.steps.iter().filter(|step| step.kind == Kind::Compensation);
        let known = all.map(|step| step.title.as_str());
        self.problems.push(catalogue::case_unknown_name(value.span().into(), "compensation", &name, known));
        None
    }

    fn published(&mut self, value: &Item<'_>) -> Option<String> {
        let kind = self.text("published", value)?;
        let all = || self.graph.steps.iter().flat_map(|step| &step.emits).map(String::as_str);
        if all().any(|known| known == kind) {
            return Some(kind);
        }
        let known = all();
        self.problems.push(catalogue::case_unknown_name(
            value.span().into(),
            "published event",
            &kind,
            known,
        ));
        None
    }
}
