//! The end of each command's help: examples, paragraphs, exit codes, in one form. Knows no command.

use super::exit::Exit;

/// The text followed by the exit codes: those of every command, and these. Paragraphs of the text are one line each,
/// since clap wraps them.
pub(super) fn with_exits(text: &str, others: &[Exit]) -> String {
    let all = Exit::ALL.into_iter().filter(|exit| exit.is_of_all_commands() || others.contains(exit));
    let rows: String = all.map(|exit| format!("\n  {:<3}  {}", exit.code(), exit.meaning())).collect();
    format!("{text}\n\nExit codes:{rows}")
}
