//! Finds and ends the processes that a dead runner left running. Does not know where their starts are recorded.
//!
//! They are identified by the mark in their environment, with their groups and all their descendants. A journal may be
//! forged, so a process in it is never ended for that reason; the journal only provides the groups that a program has
//! led.

use super::program::LINGER;
use super::spawned::{ProcessIdentity, is_orphan_of};
use super::system::{self, Seen};
use super::{Stop, tree};
use rustix::process::{Pid, getpid};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The result, by process id, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrphanReport {
    /// Processes that were running and have ended.
    pub ended: Vec<u32>,
    /// Processes that could not be ended, such as those of another user.
    pub left: Vec<u32>,
    /// Running processes in the journal that do not carry the run's mark: they are not ended.
    pub unmarked: Vec<u32>,
}

/// How often all processes are listed before the result "none" is accepted: one that starts another and ends,
/// repeatedly, may be missed.
const LOOKS: u32 = 2;
/// The number of lists after something was found.
const MORE_LOOKS: u32 = 8;

/// Ends the processes of a run whose runner has exited: those that carry the run's mark, with their groups and all
/// their descendants; `started` are the leaders of groups in the journal. They are asked to end, and killed after
/// `grace`, or at once if `stop` requests it. Processes of an active runner, as in a copied folder, are ignored.
pub async fn end(run: &str, started: &[ProcessIdentity], grace: Duration, stop: &mut Stop) -> OrphanReport {
    let lost = Lost::new(run, started);
    // A process that starts after this and leaves its parents is only identified by its mark.
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
    OrphanReport { ended, left, unmarked }
}

/// The search.
struct Lost<'a> {
    run: &'a str,
    leaders: HashSet<system::Id>,
    /// Those that were found before. They count even when the process between them and a leader has ended.
    known: Mutex<HashSet<system::Id>>,
}

impl<'a> Lost<'a> {
    fn new(run: &'a str, started: &[ProcessIdentity]) -> Self {
        let boot = system::boot();
        let here = started.iter().filter(|process| Some(&process.boot) == boot.as_ref());
        let id =
            |process: &ProcessIdentity| Some((system::pid(process.pid.try_into().ok()?)?, process.started));
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

    /// The groups of the run: led by one of them, now or earlier. While one of them is in it, the number of a group
    /// cannot be reused; afterwards it can.
    fn groups(&self, roots: &[Seen]) -> HashSet<Pid> {
        let mut leaders: HashSet<Pid> = self.leaders.iter().map(|leader| leader.0).collect();
        leaders.extend(roots.iter().map(Seen::pid));
        roots.iter().filter_map(|seen| seen.group).filter(|group| leaders.contains(group)).collect()
    }

    fn is_lost(&self, seen: &Seen) -> bool {
        system::mark(seen.pid()).is_some_and(|mark| is_orphan_of(self.run, &mark))
    }
}
