//! Checks of a single row: its agent, channel, status and attempts.

use super::super::document::Cell;
use super::super::row::Row;
use super::DocumentRecord;
use super::item::is_done;
use crate::diag::{Diagnostic, catalogue};
use crate::event::{EVENT_COLUMNS, GATE_COLUMNS, Status};
use crate::graph::{Kind, Step};
use crate::value::{Type, Value, kind};
use std::collections::HashSet;
use std::sync::Arc;

impl DocumentRecord<'_> {
    pub(super) fn row(&self, index: usize, differences: &mut Vec<Diagnostic>) {
        let (row, place) = (&self.rows[index], &self.places[index]);
        let Some(step) = self.step(index).map(|id| self.graph.step(id)) else { return };
        for (what, cell, said, own) in [
            ("agent", Cell::Agent, &row.agent, &step.agent),
            ("channel", Cell::Channel, &row.channel, &step.channel),
        ] {
            // A cell that is empty in the row is not a difference.
            if let Some(said) = said.as_deref().filter(|said| Some(*said) != own.as_deref()) {
                let own = own.as_deref();
                differences.push(catalogue::row_doer(place.cell(cell), &step.title, what, said, own));
            }
        }
        if let Some((why, help)) = impossible(step, row.status) {
            let span = place.cell(Cell::Status);
            differences.push(catalogue::row_status(span, &step.title, row.status.name(), why, help));
        }
        let most = step.retry.as_ref().map_or(1, |retry| retry.retries.saturating_add(1));
        if let Some(attempt) = row.attempt.filter(|attempt| *attempt > most) {
            differences.push(catalogue::row_attempt(place.cell(Cell::Attempt), &step.title, attempt, most));
        }
        if let Some(why) = self.shut(step, index) {
            differences.push(catalogue::row_gate(place.cell(Cell::Phase), &step.title, &why));
        }
        if let Some(awaits) = step.awaits.as_ref().filter(|_| self.has_begun(index)) {
            let column = |name: &str| row.columns.iter().find(|(known, _)| **known == *name);
            let [kind, id, waited] = EVENT_COLUMNS
                .map(|name| column(name).map(|(_, value)| value).filter(|value| !value.is_null()));
            let other = kind.filter(|kind| kind.as_str() != Some(&awaits.event));
            let why = match (id, other, waited.is_some_and(|time| !is_time(time))) {
                (None, ..) => Some(format!("no event `{}` is recorded", awaits.event)),
                (_, Some(other), _) => {
                    Some(format!("it waits for `{}`, and the event is {other}", awaits.event))
                }
                (.., true) => Some(format!("its `{}` is not a time", EVENT_COLUMNS[2])),
                (Some(_), None, false) => None,
            };
            if let Some(why) = why {
                differences.push(catalogue::row_event(place.cell(Cell::Phase), &step.title, &why));
            }
        }
        if let Some((ty, found)) = self.misfit(step, index) {
            let label = row.output.as_deref().unwrap_or_default();
            differences.push(catalogue::row_type(place.cell(Cell::Output), label, &ty, found));
        }
    }

    /// Finds rows of documents without the row of the step that ran the document.
    pub(super) fn nested(&self, differences: &mut Vec<Diagnostic>) {
        let about = |row: &Row| (row.phase.to_string(), row.item.clone());
        let ran = self.rows.iter().filter(|row| row.status != Status::Skipped).map(about);
        let ran: HashSet<(String, Option<Arc<str>>)> = ran.collect();
        for (row, place) in self.rows.iter().zip(self.places) {
            let Some(outer) = row.borrowed().outer() else { continue };
            let outer = (outer, row.item.clone());
            if !ran.contains(&outer) {
                let span = place.cell(Cell::Phase);
                differences.push(catalogue::row_nested(span, &row.phase, &outer.0, row.item.as_deref()));
            }
        }
    }

    /// Whether an attempt was made.
    fn has_begun(&self, index: usize) -> bool {
        let row = &self.rows[index];
        is_done(row.status) || row.attempt.is_some()
    }

    /// Why a step cannot have begun, by what was decided at its gates.
    fn shut(&self, step: &Step, index: usize) -> Option<String> {
        let row = &self.rows[index];
        if step.gates.is_empty() || !self.has_begun(index) {
            return None;
        }
        let [what, who, ..] = GATE_COLUMNS.map(|name| row.columns.iter().find(|(known, _)| **known == *name));
        let text =
            |cell: Option<&(Arc<str>, Value)>| cell.and_then(|(_, value)| value.as_str()).map(str::to_owned);
        let waited = row.columns.iter().find(|(known, _)| **known == *GATE_COLUMNS[3]);
        if let Some((name, _)) = waited.filter(|(_, value)| !value.is_null() && !is_time(value)) {
            return Some(format!("its `{name}` is not a time"));
        }
        let what = text(what).unwrap_or_default();
        let open = what.split("; ").filter(|word| *word == "approved").count();
        if let Some(other) = what.split("; ").find(|word| !word.is_empty() && *word != "approved") {
            return Some(format!("its gate was {other}"));
        }
        if open < step.gates.len() {
            return Some("no approval is recorded".to_owned());
        }
        // The last gate is the step's own, or that of the innermost group.
        let by = self.graph.gate(*step.gates.last()?)?.by.as_ref()?;
        let who = text(who)?;
        let last = who.rsplit("; ").next().unwrap_or_default();
        (last != by).then(|| format!("{by} decides at its gate, and {last} has approved it"))
    }

    /// An output whose label shows that it does not have the declared type.
    fn misfit(&self, step: &Step, index: usize) -> Option<(String, &'static str)> {
        let row = &self.rows[index];
        let [output] = step.outputs.as_slice() else { return None };
        let ty = self.graph.value(output.value).ty.as_ref()?;
        // A label of any other type may differ from the value.
        let scalar = matches!(ty, Type::Boolean | Type::Integer | Type::Number);
        let label = row.output.as_deref().filter(|_| scalar && row.status == Status::Success)?;
        let value: Value = serde_json::from_str(label).ok()?;
        let plain = value.is_number() || value.is_boolean();
        (plain && ty.fits(&value).is_err()).then(|| (ty.to_string(), kind(&value)))
    }
}

/// Whether a value is a time in milliseconds.
fn is_time(value: &Value) -> bool {
    value.as_number().is_some_and(|number| !number.to_string().starts_with('-'))
}

/// Why a step cannot end with this status, and what to do.
fn impossible(step: &Step, status: Status) -> Option<(&'static str, &'static str)> {
    match status {
        Status::Success | Status::Failed | Status::Timeout if step.kind == Kind::Compensation => {
            Some(("compensates another step", "a compensation is compensated or compensation_failed"))
        }
        Status::Success | Status::Failed | Status::Cancelled => None,
        Status::Timeout => (step.timeout.is_none() && step.deadline.is_none())
            .then_some(("has neither a timeout nor a deadline", "give it one: [timeout:: 30s]")),
        Status::Skipped => (!step.is_conditional())
            .then_some(("has no condition", "only a step that its condition refuses is skipped")),
        Status::Compensated | Status::CompensationFailed => match step.kind {
            Kind::Compensation => None,
            Kind::Forward | Kind::Handler => Some((
                "compensates no other step",
                "a step that another names in `[compensate:: …]` is compensated or compensation_failed",
            )),
        },
    }
}
