//! Whether anything of a program's process group still lives. Knows nothing of calls.

use rustix::process::{Pid, test_kill_process_group};
use std::time::Duration;

/// Between the first looks at a group, and at most between later ones.
const FIRST: Duration = Duration::from_millis(5);
const MOST: Duration = Duration::from_millis(100);

/// Ends when nothing of the group lives any more. Nobody tells of the end of processes that are not our own, so
/// it looks again and again.
pub(super) async fn gone(group: Option<Pid>) {
    let Some(group) = group else { return };
    let mut pause = FIRST;
    while test_kill_process_group(group).is_ok() && lives(group) {
        tokio::time::sleep(pause).await;
        pause = MOST.min(pause * 2);
    }
}

/// Whether a process of the group has not ended. One that has ended stays in its group until its parent collects
/// it, and in many containers the first process, the parent of all orphans, never does. True where there is no
/// `/proc` to tell.
fn lives(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return true };
    let stats = processes.flatten().filter_map(|process| std::fs::read(process.path().join("stat")).ok());
    let group = group.as_raw_nonzero().get().to_string();
    let mut states = stats.filter_map(|stat| state(&stat, &group)).peekable();
    states.peek().is_none() || states.any(|state| !matches!(state, b'Z' | b'X'))
}

/// The state of a process, from its `stat`, where it is of the group.
fn state(stat: &[u8], group: &str) -> Option<u8> {
    // The name in parentheses may hold anything.
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat[name + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    (fields.nth(1)? == group.as_bytes()).then_some(state)
}
