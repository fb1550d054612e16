//! What a runner that has died left running: found again by what it had told of it, and ended. Knows nothing of where
//! that was kept.
//!
//! A number alone names no process: it is used again, after a new start of the system at the latest. One is taken for
//! what it was only where the start of the system and its own are the same too, or where it carries the mark with
//! which it was started.

use super::spawned::Spawned;
use super::system::{self, Seen};
use super::{Stop, tree};
use rustix::process::{Pid, getpid};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What became of what was left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Processes that ran and do no more, by number.
    pub ended: Vec<i32>,
    /// Processes that could not be ended, such as those of another user.
    pub left: Vec<i32>,
}

/// Ends what runs still of what was started, with all that descends from it: asks it first, and kills it after
/// `grace`, or at once where `stop` says so. Processes of another start of the system are passed over.
pub async fn end(started: &[Spawned], grace: Duration, stop: &mut Stop) -> Report {
    let lost = Lost::new(started);
    tree::end(|| lost.living(), None, grace, stop).await;
    let left: Vec<i32> = lost.living().iter().map(|seen| seen.pid().as_raw_nonzero().get()).collect();
    let known = lost.known.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut ended: Vec<i32> = known.iter().map(|id| id.0.as_raw_nonzero().get()).collect();
    ended.retain(|pid| !left.contains(pid));
    ended.sort_unstable();
    Report { ended, left }
}

/// What is looked for.
struct Lost<'a> {
    leaders: HashSet<system::Id>,
    marks: HashSet<&'a str>,
    /// Those that were once found. They stay so when the process between them and a leader has ended.
    known: Mutex<HashSet<system::Id>>,
}

impl<'a> Lost<'a> {
    fn new(started: &'a [Spawned]) -> Self {
        let boot = system::boot();
        let here = started.iter().filter(|process| process.boot.is_some() && process.boot == boot);
        let id = |process: &Spawned| Some((system::pid(process.pid)?, process.started?));
        Lost {
            leaders: here.clone().filter_map(id).collect(),
            marks: here.map(|process| &*process.mark).filter(|mark| !mark.is_empty()).collect(),
            known: Mutex::default(),
        }
    }

    fn living(&self) -> Vec<Seen> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = system::all();
        all.retain(|seen| !seen.has_ended() && seen.pid() != getpid());
        // The group of a leader that lives is its own; that of one that is gone may be another's by now.
        let groups: HashSet<Option<Pid>> =
            all.iter().filter(|seen| self.leaders.contains(&seen.id)).map(|seen| Some(seen.pid())).collect();
        let mut roots = all.clone();
        roots.retain(|seen| {
            self.leaders.contains(&seen.id)
                || known.contains(&seen.id)
                || groups.contains(&seen.group)
                || system::mark(seen.pid()).is_some_and(|mark| self.marks.contains(&*mark))
        });
        let living = system::families(roots, system::children_among(&all));
        known.extend(living.iter().map(|seen| seen.id));
        living
    }
}
