//! Which agents run which steps: a table for people and a list for scripts.

use super::plan::{Doer, by, by_json};
use super::table::table;
use super::text;
use crate::diag::render::visible;
use crate::value::words;
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

/// An agent that was asked whether it is there.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `None` for a program of the document whose step has no agent.
    pub agent: Option<String>,
    /// The key that binds it, such as `http`; `program` for one of the document.
    pub kind: &'static str,
    /// Its name and version, or where it is.
    pub answers: String,
    /// Its model, or its tools.
    pub has: Vec<String>,
    /// What is missing, and what to do.
    pub missing: Vec<(String, String)>,
}

/// The most names that a cell of the table has.
const NAMES: usize = 5;

/// The table of what agents answered, and below it everything that is missing; `width` is the terminal's, in columns.
pub fn presence_table(asked: &[Asked], width: Option<usize>) -> String {
    let row = |asked: &Asked| {
        let there = if asked.missing.is_empty() { "yes" } else { "no" };
        vec![
            visible(asked.agent.as_deref().unwrap_or("-")),
            asked.kind.to_owned(),
            there.to_owned(),
            visible(&asked.answers),
            visible(&words::first(&asked.has, NAMES, asked.has.len())),
        ]
    };
    let mut out = table(&["agent", "kind", "there", "answers", "has"], asked.iter().map(row), width);
    for asked in asked {
        for (what, help) in &asked.missing {
            let agent = visible(asked.agent.as_deref().unwrap_or("-"));
            out.push_str(&format!("\n{agent}: {}\n  help: {}\n", visible(what), visible(help)));
        }
    }
    out
}

/// The same as a list of objects, indented, with a final newline.
pub fn presence_json(asked: &[Asked]) -> String {
    let object = |asked: &Asked| {
        let missing = |(what, help): &(String, String)| json!({"what": what, "help": help});
        json!({
            "agent": asked.agent, "kind": asked.kind, "answers": asked.answers, "has": asked.has,
            "missing": asked.missing.iter().map(missing).collect::<Vec<_>>(),
        })
    };
    text::json(&Value::Array(asked.iter().map(object).collect()))
}
