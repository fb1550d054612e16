//! The keys of coding agents: what is started, where it works and what it may do.

use super::read::{Item, Reader};
use super::{Coder, Reach};
use crate::adapter::acp::{KINDS, PRESETS};
use crate::adapter::workfolder::WorkFolder;
use crate::diag::catalogue;
use std::path::PathBuf;
use toml::de::DeTable;

/// The keys that only a coding agent has.
pub const KEYS: [&str; 2] = ["folder", "allow"];

/// Whether a table is one of a coding agent.
pub fn is_one(table: &DeTable<'_>) -> bool {
    table.contains_key("acp") || table.contains_key("preset")
}

impl Reader {
    /// `acp = ["opencode", "acp"]`.
    pub(super) fn acp(&mut self, value: &Item<'_>) -> Reach {
        Reach::Coder(Coder { command: self.program("acp", value), ..Coder::default() })
    }

    /// `preset = "claude"`: a command line by its name.
    pub(super) fn preset(&mut self, value: &Item<'_>) -> Option<Reach> {
        let known = PRESETS.map(|(name, _)| format!("\"{name}\""));
        let named = value.get_ref().as_str();
        let found = PRESETS.into_iter().find(|(name, _)| Some(*name) == named);
        let Some((_, words)) = found else {
            let [first @ .., last] = &known;
            return self.bad("preset", value, &format!("{} or {last}", first.join(", ")));
        };
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Some(Reach::Coder(Coder { command, ..Coder::default() }))
    }

    /// The other keys of a coding agent.
    pub(super) fn coder(&mut self, table: &DeTable<'_>, coder: &mut Coder) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "instructions" => {
                    let path = value.get_ref().as_str().map(PathBuf::from);
                    coder.instructions =
                        path.or_else(|| self.bad("instructions", value, "the path of a file"));
                }
                "folder" => {
                    let work = match value.get_ref().as_str() {
                        Some("shared") => Some(WorkFolder::Shared),
                        Some("copy") => Some(WorkFolder::Copy),
                        Some("worktree") => Some(WorkFolder::Worktree),
                        _ => self.bad("folder", value, "\"shared\", \"copy\" or \"worktree\""),
                    };
                    coder.work = work.unwrap_or_default();
                }
                "allow" => coder.allow = self.allowed(value),
                _ => {}
            }
        }
    }

    fn allowed(&mut self, value: &Item<'_>) -> Vec<String> {
        let words = self.words("allow", value);
        let (known, unknown): (Vec<String>, Vec<String>) =
            words.into_iter().partition(|word| KINDS.contains(&word.as_str()));
        if let Some(word) = unknown.first() {
            self.problems.push(catalogue::settings_unknown_tool(value.span().into(), word, &KINDS));
        }
        known
    }
}
