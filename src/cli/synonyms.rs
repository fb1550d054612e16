//! Other names of commands and options, which lead to the right ones. They are not accepted: scripts have one spelling.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// Words for commands that other tools have.
const COMMANDS: [(&[&str], &[&str]); 11] = [
    (&["list", "ls", "history", "jobs", "ps"], &["runs"]),
    (&["status", "info", "describe", "inspect", "logs", "log"], &["show", "runs"]),
    (&["start", "exec", "execute", "launch"], &["run"]),
    (&["check", "lint", "fmt"], &["validate"]),
    (&["send", "emit", "event", "events", "publish", "wait"], &["signal"]),
    (&["deny", "decline", "refuse"], &["reject"]),
    (&["accept", "allow", "confirm"], &["approve"]),
    (&["continue", "restart"], &["resume", "retry"]),
    (&["stop", "kill", "abort"], &["cancel"]),
    (&["draw", "diagram"], &["graph"]),
    (&["new", "create"], &["init"]),
];

/// The same for options of commands.
const OPTIONS: [(&[&str], &[&str], &str); 5] = [
    (&["approve", "reject"], &["--by", "--user", "--approver"], "--as"),
    (&["approve", "reject"], &["--reason", "--comment", "--message"], "--note"),
    (&["signal"], &["--payload", "--body"], "--data"),
    (&["signal"], &["--subject", "--for"], "--item"),
    (&["run"], &["--param", "--set", "--var"], "--input"),
];

/// The error with the right name instead of one that only looks similar.
pub fn correct(error: &mut Error, args: &[OsString]) {
    let written = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let written = written(ContextKind::InvalidSubcommand).unwrap_or_default();
            let known = COMMANDS.iter().find(|(names, _)| names.contains(&written.as_str()));
            if let Some((_, right)) = known {
                let right = right.iter().map(|one| (*one).to_owned()).collect();
                error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(right));
            }
        }
        ErrorKind::UnknownArgument => {
            let written = written(ContextKind::InvalidArg).unwrap_or_default();
            let name = written.split('=').next().unwrap_or_default().to_owned();
            let command = args.get(1).and_then(|command| command.to_str()).unwrap_or_default();
            let known = OPTIONS
                .iter()
                .find(|(commands, names, _)| commands.contains(&command) && names.contains(&name.as_str()));
            if let Some((.., right)) = known {
                error.insert(ContextKind::SuggestedArg, ContextValue::String((*right).to_owned()));
            }
        }
        _ => {}
    }
}
