//! Infers an item's values from its labels. A label is a value only if a scalar is declared; all else stays unknown.

use super::DocumentRecord;
use crate::engine::Retraced;
use crate::event::Status;
use crate::graph::ValueId;
use crate::value::{Type, Value};

impl DocumentRecord<'_> {
    /// Takes the values of an item from the labels of its rows.
    pub(super) fn learn(self, rows: &[usize], item: &mut Retraced<'_>) {
        for row in rows {
            let recorded = &self.rows[*row];
            let Some(step) = self.step(*row).map(|id| self.graph.step(id)) else { continue };
            // One element's label does not determine the list.
            if step.each.is_some() || step.once {
                continue;
            }
            // A label is that of the first value; with several, it is unknown which was present.
            if let ([input], Some(label)) = (step.inputs.as_slice(), &recorded.input)
                && input.feedback.is_none()
                && let Some(value) = self.value(input.value, label)
            {
                item.learn(input.value, value);
            }
            if let Some((id, value)) = self.made(*row) {
                item.learn(id, value);
            }
        }
    }

    /// What an execution made, as far as its label shows.
    pub(super) fn made(self, row: usize) -> Option<(ValueId, Value)> {
        let recorded = &self.rows[row];
        let step = self.step(row).map(|id| self.graph.step(id)).filter(|step| step.each.is_none())?;
        match (step.outputs.as_slice(), &recorded.output, recorded.status) {
            ([output], Some(label), Status::Success) => {
                Some((output.value, self.value(output.value, label)?))
            }
            _ => None,
        }
    }

    fn value(self, id: ValueId, label: &str) -> Option<Value> {
        let info = self.graph.value(id);
        match info.ty.as_ref()? {
            ty @ (Type::Boolean | Type::Integer | Type::Number) => {
                serde_json::from_str(label).ok().filter(|value| ty.fits(value).is_ok())
            }
            // A text that is too long for a label is labelled with the value's name.
            Type::String if !label.starts_with(&format!("{}_", info.name)) => {
                Some(Value::String(label.to_owned()))
            }
            _ => None,
        }
    }
}
