//! What an agent reports beside its outputs: what it has spent, columns of the trace, and messages with others. Knows
//! nothing of outputs and errors.

use super::Declared;
use super::contract::{bad, excerpt_of};
use crate::event::{Failure, Relayed, Role, STANDARD, TAIL};
use crate::value::dollars::Dollars;
use crate::value::number::whole;
use crate::value::words::excerpt;
use crate::value::{Object, Value};
use std::sync::Arc;

/// The longest name of a column, in bytes.
const LONGEST_NAME: usize = 256;

/// The members of an answer that are not outputs.
pub fn beside<'a>(
    declared: &'a [Declared],
    object: &'a Object,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.iter().filter(|(name, _)| declared.iter().all(|output| output.name != **name))
}

type Columns = (Option<u64>, Vec<(Arc<str>, Value)>);

pub fn columns(object: &Object) -> Result<Columns, Box<Failure>> {
    let mut columns = (None, Vec::new());
    object.iter().try_for_each(|(name, value)| column(name, value, &mut columns))?;
    Ok(columns)
}

/// Takes one member of an answer that is not an output.
fn column(name: &str, value: &Value, (tokens, columns): &mut Columns) -> Result<(), Box<Failure>> {
    if let Some(wrong) = misreported(name, value) {
        return Err(bad(wrong));
    }
    match value {
        Value::Array(_) | Value::Object(_) => {}
        Value::Null | Value::Bool(false) if name == "error" => {}
        Value::Null if SPENT.contains(&name) => {}
        value if name == TOKENS => *tokens = whole(value),
        _ if STANDARD.into_iter().chain(TAIL).any(|standard| standard == name) => {
            return Err(bad(format!(
                "`{name}` is a standard column of the trace; report it under another name"
            )));
        }
        _ if name.len() > LONGEST_NAME => {
            return Err(bad(format!(
                "the name of a column is longer than {LONGEST_NAME} bytes: `{}`",
                excerpt(name)
            )));
        }
        value => columns.push((Arc::from(name), value.clone())),
    }
    Ok(())
}

/// The members in which an agent reports what it has spent.
const TOKENS: &str = "tokens_used";
const COST: &str = "cost_usd";
const SPENT: [&str; 2] = [TOKENS, COST];

pub fn is_spent((name, _): &(&String, &Value)) -> bool {
    SPENT.contains(&name.as_str())
}

/// Why a member does not say what was spent: it would count as nothing.
pub fn misreported(name: &str, value: &Value) -> Option<String> {
    let (must, fits) = match (name, value) {
        (_, Value::Null) => return None,
        (TOKENS, value) => ("a whole number", whole(value).is_some()),
        (COST, value) => ("a number of dollars, such as 0.25", Dollars::reported(value).is_some()),
        _ => return None,
    };
    (!fits).then(|| format!("`{name}` must be {must}, not {}", excerpt_of(value)))
}

/// Adds what an agent reports to a failure: what it has spent counts without a result as well.
pub fn charge<'a>(failure: &mut Failure, members: impl Iterator<Item = (&'a String, &'a Value)>) {
    let mut reported = (None, Vec::new());
    for (name, value) in members.filter(|(name, _)| *name != "error") {
        // A member that cannot be taken does not take the others with it.
        let _ = column(name, value, &mut reported);
    }
    (failure.tokens_used, failure.columns) = reported;
}

/// The most messages with others that an answer reports.
const MOST_RELAYED: usize = 1000;

/// The messages with others that an answer reports: `[{"to": "sales-db", "text": "COMMIT"}]`, or `from`.
pub fn relayed(reported: &Object) -> Vec<Relayed> {
    let list = reported.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let one = |message: &Value| {
        let text = |name| Some(message.get(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty());
        let (role, party) = match (text("to"), text("from")) {
            (Some(party), None) => (Role::Sent, party),
            (None, Some(party)) => (Role::Received, party),
            _ => return None,
        };
        Some(Relayed { role, party, text: text("text")? })
    };
    list.iter().take(MOST_RELAYED).filter_map(one).collect()
}
