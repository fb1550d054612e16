//! What an item's labels tell of its values, and which decisions follow from them. A label is a value only
//! where a scalar is declared; all else stays unknown.

use super::Record;
use crate::event::Status;
use crate::graph::{Guard, StepId, Target, ValueId};
use crate::value::{Type, Value};
use std::collections::HashMap;

/// The values of one item as far as they are known.
pub(super) struct Known<'a> {
    record: Record<'a>,
    values: HashMap<ValueId, Value>,
}

/// Where a chain of conditions leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    Unknown,
    /// The arm that is taken; none where no arm holds.
    Arm(Option<u32>),
}

impl<'a> Known<'a> {
    pub fn of(record: Record<'a>, rows: &[usize]) -> Known<'a> {
        let mut known = Known { record, values: HashMap::new() };
        for row in rows {
            let recorded = &record.rows[*row];
            let Some(step) = record.step(*row).map(|id| record.graph.step(id)) else { continue };
            // One element's label says nothing of the list.
            if step.each.is_some() || step.once {
                continue;
            }
            // A label is that of the first value; with several, one cannot tell which was there.
            if let ([input], Some(label)) = (step.inputs.as_slice(), &recorded.input) {
                known.learn(input.value, label);
            }
            if let ([output], Some(label), Status::Success) =
                (step.outputs.as_slice(), &recorded.output, recorded.status)
            {
                known.learn(output.value, label);
            }
        }
        known
    }

    fn learn(&mut self, id: ValueId, label: &str) {
        let info = self.record.graph.value(id);
        let value = match info.ty.as_ref() {
            Some(ty @ (Type::Boolean | Type::Integer | Type::Number)) => {
                serde_json::from_str(label).ok().filter(|value| ty.fits(value).is_ok())
            }
            // A text that is too long for a label is known by the value's own name.
            Some(Type::String) if !label.starts_with(&format!("{}_", info.name)) => {
                Some(Value::String(label.to_owned()))
            }
            _ => None,
        };
        if let Some(value) = value {
            self.values.entry(id).or_insert(value);
        }
    }

    /// Whether a condition holds; none where that is unknown.
    pub fn holds(&self, guard: &Guard) -> Option<bool> {
        if !guard.names.iter().all(|(_, id)| self.values.contains_key(id)) {
            return None;
        }
        let value = |name: &str| {
            let (_, id) = guard.names.iter().find(|(known, _)| known == name)?;
            self.values.get(id)
        };
        guard.condition.holds(&value).ok()
    }

    /// Where a chain of a step that succeeded leads.
    pub fn branch(&self, step: StepId, chain: u32) -> Branch {
        let Some(arms) = self.record.graph.step(step).chains.get(chain as usize) else {
            return Branch::Unknown;
        };
        for (arm, index) in arms.iter().zip(0u32..) {
            match arm.guard.as_ref().map_or(Some(true), |guard| self.holds(guard)) {
                Some(true) => return Branch::Arm(Some(index)),
                Some(false) => {}
                None => return Branch::Unknown,
            }
        }
        Branch::Arm(None)
    }

    /// The reason for which a chain would have made its step fail.
    pub fn fails(&self, step: StepId) -> Option<&'a str> {
        let chains = &self.record.graph.step(step).chains;
        chains.iter().zip(0u32..).find_map(|(arms, chain)| match self.branch(step, chain) {
            Branch::Arm(Some(arm)) => match &arms.get(arm as usize)?.target {
                Target::Fail(reason) => Some(reason.as_str()),
                Target::Step(_) | Target::Skip(_) | Target::Elsewhere | Target::End => None,
            },
            Branch::Arm(None) | Branch::Unknown => None,
        })
    }
}
