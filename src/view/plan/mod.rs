//! The plan of a run: the source of its items, its steps by stage, and what runs each.

mod json;
mod missing;
mod text;

pub use json::{by as by_json, json};
pub use text::{by, text};

use crate::adapter::workfolder::WorkFolder;
use crate::graph::Step;
use serde::Serialize;

/// The variables and secrets that an agent's programs get besides `PATH`, `HOME` and `LANG`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    /// `None` for programs of the document without an agent.
    pub agent: Option<String>,
    /// Variables.
    pub env: Vec<Name>,
    pub secrets: Vec<Name>,
}

/// A variable or a secret, by name, and whether it is currently set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    pub name: String,
    pub set: bool,
}

/// What would run a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doer {
    /// The program bound to the step's agent, with its arguments.
    Command(Vec<String>),
    /// The worker program bound to the step's agent, with the most processes of it.
    Worker { command: Vec<String>, processes: usize },
    /// A program in a container of this image; without words the program of the image.
    Container { image: String, command: Vec<String>, network: bool },
    /// The service bound to the step's agent, by its address.
    Http { url: String, start: Vec<String> },
    /// The tool of an MCP server, by its name if it is not the step's; the server by its command or address.
    Mcp { server: String, tool: Option<String> },
    /// A provider's model, by the names of both, at the provider's address; whether it has a price.
    Model { name: String, url: String, priced: bool },
    /// A coding agent by its command line, over the protocol or headless, where it works and what it may do.
    Coder { command: Vec<String>, headless: bool, work: WorkFolder, allow: Vec<String> },
    /// The program fence of the document that opens at this line, and whether it may run.
    Fence { language: String, line: usize, granted: bool },
    /// Another document, by its path as the step names it.
    Document(String),
    /// Neither an adapter nor a program: the step cannot run.
    Missing,
}

/// The language of a step's program that is replaced by something else.
fn replaced<'a>(step: &'a Step, doer: &Doer) -> Option<&'a str> {
    match doer {
        Doer::Command(_)
        | Doer::Worker { .. }
        | Doer::Container { .. }
        | Doer::Http { .. }
        | Doer::Mcp { .. }
        | Doer::Model { .. }
        | Doer::Coder { .. } => step.program.as_ref().map(|program| &*program.language.value),
        Doer::Fence { .. } | Doer::Document(_) | Doer::Missing => None,
    }
}
