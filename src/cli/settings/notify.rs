//! `[notify]`: the command that is run when someone has to act.

use super::read::{Item, Reader};

pub(super) const NOTIFY: [&str; 2] = ["command", "env"];

/// A command with its arguments, and the names of the variables that it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    pub command: Vec<String>,
    pub env: Vec<String>,
}

impl Reader {
    pub(super) fn notify(&mut self, value: &Item<'_>) -> Option<Notify> {
        let Some(table) = value.get_ref().as_table() else {
            return self.bad("notify", value, "a table with a command, such as command = [\"notify.sh\"]");
        };
        let mut notify = Notify::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "command" => notify.command = self.program("command", value),
                "env" => notify.env = self.variables(value),
                _ => self.unknown(key, &NOTIFY),
            }
        }
        (!notify.command.is_empty()).then_some(notify)
    }
}
