//! Which agents run which steps: a table for people and a list for scripts.

use super::plan::{Doer, by, by_json};
use super::table::table;
use super::text;
use crate::diag::render::visible;
use serde_json::{Value, json};

/// One way in which steps are run.
#[derive(Clone, Debug)]
pub struct Binding {
    /// `None` for steps that have no agent.
    pub agent: Option<String>,
    pub doer: Doer,
    /// Phases of the steps.
    pub steps: Vec<String>,
    /// The most calls at a time, if limited.
    pub concurrency: Option<usize>,
    /// Names of the variables that it gets.
    pub env: Vec<String>,
    /// Names of the secrets that it gets.
    pub secrets: Vec<String>,
    pub effects: bool,
    pub idempotent: bool,
}

/// The table; `width` is the terminal's, in columns.
pub fn table_of(bindings: &[Binding], width: Option<usize>) -> String {
    let row = |binding: &Binding| {
        let limit = binding.concurrency.map(|most| format!("{most} at a time"));
        let promises = [(!binding.effects, "no effects"), (binding.idempotent, "idempotent")];
        let promises = promises.iter().filter(|(holds, _)| *holds).map(|(_, what)| (*what).to_owned());
        vec![
            visible(binding.agent.as_deref().unwrap_or("-")),
            visible(&binding.steps.join(", ")),
            by(&binding.doer),
            limit.into_iter().chain(promises).collect::<Vec<_>>().join(", "),
            visible(&binding.env.join(", ")),
            visible(&binding.secrets.join(", ")),
        ]
    };
    table(
        &["agent", "steps", "done by", "limits and promises", "environment", "secrets"],
        bindings.iter().map(row),
        width,
    )
}

/// The same as a list of objects, indented, with a final newline.
pub fn json(bindings: &[Binding]) -> String {
    let object = |binding: &Binding| {
        json!({
            "agent": binding.agent, "steps": binding.steps, "by": by_json(&binding.doer),
            "concurrency": binding.concurrency, "env": binding.env, "secrets": binding.secrets,
            "effects": binding.effects, "idempotent": binding.idempotent,
        })
    };
    text::json(&Value::Array(bindings.iter().map(object).collect()))
}
