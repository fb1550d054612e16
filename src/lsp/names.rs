//! The names that `orderflow.toml` defines, with their places in it.

use super::Places;
use crate::diag::{Source, Span};

/// A name of an agent or a channel.
#[derive(Clone, Debug)]
pub struct OperatorName {
    pub name: String,
    /// The key of its table.
    pub span: Span,
    /// The text of its table, without secrets.
    pub text: String,
}

/// What the operator names. Without a file it is empty.
#[derive(Debug, Default)]
pub struct OperatorNames {
    /// The file with the lines of its text.
    pub file: Option<(Source, Places)>,
    pub agents: Vec<OperatorName>,
    pub channels: Vec<OperatorName>,
    /// The phases of steps, where agents name them.
    pub phases: Vec<(String, Span)>,
}

impl OperatorNames {
    pub fn agent(&self, name: &str) -> Option<&OperatorName> {
        self.agents.iter().find(|agent| agent.name == name)
    }

    pub fn channel(&self, name: &str) -> Option<&OperatorName> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}
