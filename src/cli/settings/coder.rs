//! The keys of coding agents: what is started, where it works and what it may do.

use super::read::{Item, Reader};
use super::{Coder, Reach};
use crate::adapter::coder::{Cli, KINDS, PRESETS};
use crate::adapter::workfolder::WorkFolder;
use crate::diag::catalogue;
use std::path::PathBuf;
use toml::de::DeTable;

/// The keys that only a coding agent has.
pub const KEYS: [&str; 3] = ["folder", "allow", "mode"];

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
                "mode" => self.mode(table, value, coder),
                "allow" => coder.allow = self.allowed(value),
                _ => {}
            }
        }
    }

    /// `mode = "headless"`: the program of a preset without the protocol.
    fn mode(&mut self, table: &DeTable<'_>, value: &Item<'_>, coder: &mut Coder) {
        let preset = table.get("preset").and_then(|preset| preset.get_ref().as_str());
        match value.get_ref().as_str() {
            Some("acp") => {}
            Some("headless") => {
                let known = Cli::ALL.into_iter().find(|cli| Some(cli.program()) == preset);
                if let Some(cli) = known {
                    (coder.command, coder.headless) = (vec![cli.program().to_owned()], known);
                } else if !table.contains_key("preset") {
                    self.problems.push(catalogue::settings_idle_key(value.span().into(), "mode", "preset"));
                }
            }
            _ => drop(self.bad::<()>("mode", value, "\"acp\" or \"headless\"")),
        }
    }

    fn allowed(&mut self, value: &Item<'_>) -> Vec<String> {
        let mut words = self.words("allow", value);
        for word in value.get_ref().as_array().into_iter().flatten() {
            let unknown = word.get_ref().as_str().filter(|kind| !KINDS.contains(kind));
            let problem = |kind| catalogue::settings_unknown_tool(word.span().into(), kind, &KINDS);
            self.problems.extend(unknown.map(problem));
        }
        words.retain(|word| KINDS.contains(&word.as_str()));
        words
    }
}
