//! The roles in the conversation between orderflow and an agent. A conversation is only for people: no event and no
//! state depends on it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The author or the kind of a message in a conversation. The names are a format of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The system prompt.
    System,
    /// What the agent is asked, and corrections of its answers.
    User,
    /// What the agent answers.
    Assistant,
    /// A tool that the agent uses, and its result.
    Tool,
    /// A permission that the agent asks for, and the decision.
    Permission,
    /// What the agent sent to another party while it worked.
    Sent,
    /// What it received from another party.
    Received,
    /// Tokens and costs.
    Usage,
    /// A remark of orderflow, such as about messages that are not stored.
    Notice,
    /// A role of a later version.
    #[serde(other)]
    Other,
}

/// A message between an agent and another party, as the agent reports it with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// [`Role::Sent`] or [`Role::Received`].
    pub role: Role,
    pub party: String,
    pub text: String,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            Role::Permission => "permission",
            Role::Sent => "sent to",
            Role::Received => "received from",
            Role::Usage => "usage",
            Role::Notice => "notice",
            Role::Other => "other",
        })
    }
}
