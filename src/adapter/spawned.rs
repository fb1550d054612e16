//! Word of each process that an adapter starts, so that it is found again even if the runner dies. Knows nothing of
//! what is done with it.

use super::system;
use crate::event::{ItemId, StepPath};
use rustix::process::Pid;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::sync::mpsc::UnboundedSender;

/// An attempt within a run.
pub type Attempt = (ItemId, StepPath, u32);

/// A process that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawned {
    /// None for a process that stays for other attempts, such as a worker's.
    pub attempt: Option<Attempt>,
    pub pid: i32,
    /// The process group that it leads.
    pub group: i32,
    /// Clock ticks from the system's start to its own. With `pid` and `boot` it names one process for ever; none
    /// where the system does not tell.
    pub started: Option<u64>,
    /// Names the time since the system's start.
    pub boot: Option<Arc<str>>,
    /// The value of `ORDERFLOW_PROCESS` for it and all that it starts; different for every process.
    pub mark: Arc<str>,
}

impl Spawned {
    pub(super) fn new(pid: Pid, mark: Arc<str>) -> Self {
        let started = system::see(pid).map(|seen| seen.id.1);
        let pid = pid.as_raw_nonzero().get();
        Spawned { attempt: None, pid, group: pid, started, boot: system::boot(), mark }
    }
}

/// Where an adapter tells of what it starts for an attempt; nobody need listen.
#[derive(Clone, Debug, Default)]
pub struct Spawns(Option<(Attempt, UnboundedSender<Spawned>)>);

impl Spawns {
    pub fn of(attempt: Attempt, to: UnboundedSender<Spawned>) -> Self {
        Spawns(Some((attempt, to)))
    }

    /// Tells of a process; one that `stays` is not this attempt's alone.
    pub(super) fn tell(&self, process: &Spawned, stays: bool) {
        if let Some((attempt, to)) = &self.0 {
            let attempt = (!stays).then_some(*attempt);
            // Whoever does not listen any more has no use for it.
            let _ = to.send(Spawned { attempt, ..process.clone() });
        }
    }
}

/// A mark that no other process has, of this runner or of any other.
pub(super) fn new_mark(run: &str) -> Arc<str> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{run}{}{}", *HERE, COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Whether this very process has given the mark, rather than another runner that was started by an agent.
pub(super) fn is_of_here(mark: &str) -> bool {
    mark.contains(&*HERE)
}

/// What stands in every mark that this process gives.
static HERE: LazyLock<String> = LazyLock::new(|| {
    let here = rustix::process::getpid();
    let started = system::see(here).map_or(0, |seen| seen.id.1);
    format!("/{}-{started}-", here.as_raw_nonzero())
});
