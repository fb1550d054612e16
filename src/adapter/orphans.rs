//! What a runner that has died left running: found again and ended. Knows nothing of where it was noted what had been
//! started.
//!
//! What was left is known by the mark that it carries, with its group and all that descends from it. A journal may come
//! from anybody: that it names a process is no reason to end that. It only says which groups a program has led.

use super::program::LINGER;
use super::spawned::{Process, is_orphan_of};
use super::system::{self, Seen};
use super::{Stop, tree};
use rustix::process::{Pid, getpid};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What became of what was left, by number, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Processes that ran and do no more.
    pub ended: Vec<u32>,
    /// Processes that could not be ended, such as those of another user.
    pub left: Vec<u32>,
    /// Processes that the journal names and that still run, but do not carry the run's mark: they are let live.
    pub unmarked: Vec<u32>,
}

/// Looks at all processes before it is taken for true that nothing is left: one that starts another and ends, again and
/// again, may be missed.
const LOOKS: u32 = 2;
/// Looks after something was found.
const MORE_LOOKS: u32 = 8;

/// Ends what runs still of a run whose runner is gone: what carries the run's mark, with its group and all that descends
/// from it; `started` are the leaders of groups, as the journal has them. It is asked first, and killed after `grace`, or at once where `stop` says so. What a
/// runner has started that lives, as where a run's folder was copied, is passed over.
pub async fn end(run: &str, started: &[Process], grace: Duration, stop: &mut Stop) -> Report {
    let lost = Lost::new(run, started);
    // What is started from here on and leaves its parents is known by nothing but its mark.
    let _ = tokio::time::timeout(LINGER, tree::hold(|| lost.living())).await;
    tree::end(|| lost.living(), None, grace, stop).await;
    let number = |id: &system::Id| u32::try_from(id.0.as_raw_nonzero().get()).ok();
    let mut left: Vec<u32> = lost.living().iter().filter_map(|seen| number(&seen.id)).collect();
    let known = lost.known.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut ended: Vec<u32> = known.iter().filter_map(number).filter(|pid| !left.contains(pid)).collect();
    let here = lost.leaders.iter().filter(|id| !known.contains(id) && id.0 != getpid());
    let lives = |id: &&system::Id| system::see(id.0).is_some_and(|seen| seen.id == **id && !seen.has_ended());
    let unmarked = here.filter(lives).filter(|id| system::mark(id.0).is_none());
    let mut unmarked: Vec<u32> = unmarked.filter_map(number).collect();
    [&mut left, &mut ended, &mut unmarked].into_iter().for_each(|pids| pids.sort_unstable());
    Report { ended, left, unmarked }
}

/// What is looked for.
struct Lost<'a> {
    run: &'a str,
    leaders: HashSet<system::Id>,
    /// Those that were once found. They stay so when the process between them and a leader has ended.
    known: Mutex<HashSet<system::Id>>,
}

impl<'a> Lost<'a> {
    fn new(run: &'a str, started: &[Process]) -> Self {
        let boot = system::boot();
        let here = started.iter().filter(|process| Some(&process.boot) == boot.as_ref());
        let id = |process: &Process| Some((system::pid(process.pid.try_into().ok()?)?, process.started));
        Lost { run, leaders: here.filter_map(id).collect(), known: Mutex::default() }
    }

    fn living(&self) -> Vec<Seen> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = if known.is_empty() { LOOKS } else { MORE_LOOKS };
        let living =
            (0..looks).map(|_| self.look(&known)).find(|living| !living.is_empty()).unwrap_or_default();
        known.extend(living.iter().map(|seen| seen.id));
        living
    }

    fn look(&self, known: &HashSet<system::Id>) -> Vec<Seen> {
        let mut all = system::all();
        all.retain(|seen| !seen.has_ended() && seen.pid() != getpid());
        let mut roots = all.clone();
        roots.retain(|seen| known.contains(&seen.id) || self.is_lost(seen));
        let groups = self.groups(&roots);
        roots.extend(all.iter().filter(|seen| seen.group.is_some_and(|group| groups.contains(&group))));
        system::families(roots, system::children_among(&all))
    }

    /// The groups that are their own: led by one of them, now or once. The number of a group is nobody else's as long
    /// as one of them is still in it; afterwards it may be.
    fn groups(&self, roots: &[Seen]) -> HashSet<Pid> {
        let mut leaders: HashSet<Pid> = self.leaders.iter().map(|leader| leader.0).collect();
        leaders.extend(roots.iter().map(Seen::pid));
        roots.iter().filter_map(|seen| seen.group).filter(|group| leaders.contains(group)).collect()
    }

    fn is_lost(&self, seen: &Seen) -> bool {
        system::mark(seen.pid()).is_some_and(|mark| is_orphan_of(self.run, &mark))
    }
}
