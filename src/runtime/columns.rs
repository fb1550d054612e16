//! How many columns the agents of a step may report over a whole run: the trace has a cell for each in every row.
//! Knows nothing of what stands in them.

use crate::adapter::contract;
use crate::engine::Input;
use crate::graph::StepId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The most different columns of one step.
const MOST: usize = 256;

/// The columns that each step has reported so far.
#[derive(Default)]
pub(super) struct Columns(HashMap<StepId, HashSet<Arc<str>>>);

impl Columns {
    /// Fails an answer that would be one column too many, as one that does not fit; a failure goes on without its
    /// columns.
    pub fn hold(&mut self, input: &mut Input) {
        let Input::Finished { step, result, .. } = input else { return };
        let reported = match result {
            Ok(reply) => &reply.columns,
            Err(failure) => &failure.columns,
        };
        if reported.is_empty() {
            return;
        }
        let seen = self.0.entry(step.step).or_default();
        let new: HashSet<&Arc<str>> =
            reported.iter().map(|(name, _)| name).filter(|name| !seen.contains(*name)).collect();
        if seen.len() + new.len() <= MOST {
            let new: Vec<Arc<str>> = new.into_iter().cloned().collect();
            seen.extend(new);
            return;
        }
        let names = reported.iter().map(|(name, _)| name).filter(|name| new.contains(name));
        let one = names.map(|name| &**name).nth(MOST - seen.len()).unwrap_or_default();
        let many = format!("{one:?} is one column too many: a step has at most {MOST} over all its items");
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ItemId, Reply};
    use serde_json::json;

    fn finished(step: u32, result: crate::event::Answer) -> Input {
        Input::Finished { item: ItemId(0), step: StepId(step).into(), attempt: 1, result }
    }

    fn reply(columns: impl IntoIterator<Item = String>) -> Reply {
        let columns = columns.into_iter().map(|name| (name.into(), json!(1))).collect();
        Reply { outputs: Vec::new(), tokens_used: None, columns }
    }

    /// How the answer of a step fares.
    fn held(columns: &mut Columns, step: u32, result: crate::event::Answer) -> Result<usize, String> {
        let mut input = finished(step, result);
        columns.hold(&mut input);
        let Input::Finished { result, .. } = input else { unreachable!() };
        result.map(|reply| reply.columns.len()).map_err(|failure| {
            assert!(failure.columns.is_empty());
            failure.message
        })
    }

    #[test]
    fn a_step_has_so_many_columns_over_all_its_items() {
        let mut columns = Columns::default();
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
}
