//! What a run of a workflow would do: where its items come from, its steps by stage, who does each.

mod json;
mod missing;
mod text;

pub use json::{by as by_json, json};
pub use text::{by, text};

use crate::graph::Step;
use serde::Serialize;

/// What whoever does an agent's steps is given beside `PATH`, `HOME` and `LANG`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    /// None for programs of the document that are nobody's.
    pub agent: Option<String>,
    /// Variables.
    pub env: Vec<Name>,
    pub secrets: Vec<Name>,
}

/// A variable or a secret, by name; whether it is there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    pub name: String,
    pub set: bool,
}

/// By what a step would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doer {
    /// The program that the operator binds to the step's agent, with its arguments.
    Command(Vec<String>),
    /// The program that the operator keeps running for the step's agent, in up to so many processes.
    Worker { command: Vec<String>, processes: usize },
    /// The service that the operator names for the step's agent, by its address.
    Http(String),
    /// A provider's model, by the names of both, at the provider's address; whether it has a price.
    Model { name: String, url: String, priced: bool },
    /// The program fence of the document that opens at this line, and whether it may run.
    Fence { language: String, line: usize, granted: bool },
    /// Neither an adapter nor a program: the step cannot run.
    Nobody,
}

/// The language of a step's program that something else is used in place of.
fn replaced<'a>(step: &'a Step, doer: &Doer) -> Option<&'a str> {
    match doer {
        Doer::Command(_) | Doer::Worker { .. } | Doer::Http(_) | Doer::Model { .. } => {
            step.program.as_ref().map(|program| &*program.language.value)
        }
        Doer::Fence { .. } | Doer::Nobody => None,
    }
}
