//! The number of columns that the agents of a step may report over a whole run, and their size in one row: the trace
//! has a cell for each in every row, and must remain readable. Knows nothing of the columns' meaning.

use crate::adapter::contract;
use crate::engine::EngineInput;
use crate::graph::StepId;
use crate::value::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The most different columns of one step.
const MOST: usize = 256;

/// The most memory that the names of all columns of all steps may take, in bytes, including the overhead of each. A
/// reader of the trace takes twice as much.
const NAMES: usize = 4 << 20;
const EACH: usize = 32;

/// The most that the columns of one answer may take, in bytes: half of what a line of a trace may have.
pub const ROW: usize = 16 << 20;

/// The columns that each step has reported so far.
#[derive(Debug, Default)]
pub struct ReportedColumns {
    of: HashMap<StepId, HashSet<Arc<str>>>,
    /// The memory of their names, in bytes.
    taken: usize,
}

impl ReportedColumns {
    /// Fails an answer with too many columns, as one that does not fit; a failure loses its columns.
    pub fn hold(&mut self, input: &mut EngineInput) {
        let EngineInput::Finished { step, result, .. } = input else { return };
        let reported = match result {
            Ok(reply) => &reply.columns,
            Err(failure) => &failure.columns,
        };
        if reported.is_empty() {
            return;
        }
        let Some(many) = self.too_many(step.step, reported) else { return };
        match result {
            Ok(reply) => {
                let mut failure = contract::bad(many);
                failure.tokens_used = reply.tokens_used;
                *result = Err(failure);
            }
            Err(failure) => {
                failure.columns.clear();
                failure.message = format!("{} ({many})", failure.message);
            }
        }
    }

    /// Why a trace does not accept these columns; otherwise counts them.
    pub fn too_many(&mut self, step: StepId, reported: &[(Arc<str>, Value)]) -> Option<String> {
        let size: usize = reported.iter().map(|(_, value)| size(value)).sum();
        if size > ROW {
            return Some(format!("the columns of one answer take more than {} MiB", ROW >> 20));
        }
        let seen = self.of.entry(step).or_default();
        let mut new: HashSet<&Arc<str>> = HashSet::new();
        for (name, _) in reported.iter().filter(|(name, _)| !seen.contains(name)) {
            new.insert(name);
            if seen.len() + new.len() > MOST {
                return Some(format!(
                    "{name:?} is one column too many: a step has at most {MOST} over all its items"
                ));
            }
        }
        let taken = self.taken + new.iter().map(|name| name.len() + EACH).sum::<usize>();
        if taken > NAMES {
            return Some(format!("the names of all columns of a run take more than {} MiB", NAMES >> 20));
        }
        self.taken = taken;
        let new: Vec<Arc<str>> = new.into_iter().cloned().collect();
        seen.extend(new);
        None
    }
}

/// The size of a value in a row, escapes included.
fn size(value: &Value) -> usize {
    let escaped = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => "\\u0000".len(),
        _ => 1,
    };
    match value {
        Value::String(text) => text.bytes().map(escaped).sum(),
        Value::Number(number) => number.as_str().len(),
        // Columns hold scalars.
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => "false".len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ItemId, Reply};
    use serde_json::json;

    fn finished(step: u32, result: crate::event::Answer) -> EngineInput {
        EngineInput::Finished { item: ItemId(0), step: StepId(step).into(), attempt: 1, result }
    }

    fn reply(columns: impl IntoIterator<Item = String>) -> Reply {
        let columns = columns.into_iter().map(|name| (name.into(), json!(1))).collect();
        Reply { columns, ..Reply::default() }
    }

    /// How the answer of a step fares.
    fn held(columns: &mut ReportedColumns, step: u32, result: crate::event::Answer) -> Result<usize, String> {
        let mut input = finished(step, result);
        columns.hold(&mut input);
        let EngineInput::Finished { result, .. } = input else { unreachable!() };
        result.map(|reply| reply.columns.len()).map_err(|failure| {
            assert!(failure.columns.is_empty());
            failure.message
        })
    }

    #[test]
    fn a_step_has_so_many_columns_over_all_its_items() {
        let mut columns = ReportedColumns::default();
        for item in 0..MOST {
            assert_eq!(held(&mut columns, 0, Ok(reply([format!("c{item}")]))), Ok(1));
        }
        let known = Ok(reply(["c7".to_owned()]));
        assert_eq!(held(&mut columns, 0, known), Ok(1));
        let many = "\"new\" is one column too many: a step has at most 256 over all its items";
        let both = ["c7".to_owned(), "new".to_owned()];
        assert_eq!(held(&mut columns, 0, Ok(reply(both.clone()))), Err(many.to_owned()));
        assert_eq!(held(&mut columns, 1, Ok(reply(both.clone()))), Ok(2));
        let mut failure = contract::bad("no".to_owned());
        failure.columns = reply(both).columns;
        assert_eq!(held(&mut columns, 0, Err(failure)), Err(format!("no ({many})")));
        let at_once = reply((0..=MOST).map(|number| format!("c{number:03}")));
        assert_eq!(
            held(&mut columns, 2, Ok(at_once)).unwrap_err(),
            "\"c256\" is one column too many: a step has at most 256 over all its items"
        );
    }

    #[test]
    fn the_names_of_a_run_and_the_values_of_an_answer_are_no_more_than_a_trace_takes() {
        let mut columns = ReportedColumns::default();
        let named = |step| reply((0..100).map(|number| format!("{number:0>256}{step}")));
        let mut steps = 0;
        let why = loop {
            match held(&mut columns, steps, Ok(named(steps))) {
                Ok(_) => steps += 1,
                Err(why) => break why,
            }
        };
        assert_eq!(why, "the names of all columns of a run take more than 4 MiB");
        assert!((100..200).contains(&steps), "{steps}");
        assert_eq!(held(&mut columns, 0, Ok(named(0))), Ok(100), "what is known takes nothing");
        // Secrets may become longer when they are redacted.
        let valued = |value| Reply { columns: vec![("c".into(), json!(value))], ..Reply::default() };
        assert_eq!(held(&mut columns, 0, Ok(valued("\"".repeat(ROW / 2)))), Ok(1));
        assert_eq!(
            held(&mut columns, 0, Ok(valued("\"".repeat(ROW / 2 + 1)))),
            Err("the columns of one answer take more than 16 MiB".to_owned())
        );
        assert!(held(&mut columns, 0, Ok(valued("\u{1}".repeat(ROW / 5)))).is_err());
    }
}
