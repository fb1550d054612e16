//! Reports each process that an adapter starts, so that it is found again even if the runner dies. Does not know how
//! the reports are used.

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
    /// The attempt for which it was started.
    pub attempt: Attempt,
    /// It also serves other attempts, as a worker does.
    pub stays: bool,
    pub process: ProcessIdentity,
}

/// Identifies one process permanently: a process id alone is reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    pub pid: u32,
    /// The process group that it leads.
    pub group: u32,
    /// Clock ticks from the system's start to its own.
    pub started: u64,
    /// The system's identifier of its current boot.
    pub boot: Arc<str>,
}

impl ProcessIdentity {
    /// `None` if the system does not provide it.
    pub(super) fn of(pid: Pid) -> Option<ProcessIdentity> {
        let number = u32::try_from(pid.as_raw_nonzero().get()).ok()?;
        Some(ProcessIdentity {
            pid: number,
            group: number,
            started: system::see(pid)?.id.1,
            boot: system::boot()?,
        })
    }
}

/// Where an adapter reports the processes of an attempt; may be unused.
#[derive(Clone, Debug, Default)]
pub struct Spawns(Option<(Attempt, UnboundedSender<Spawned>)>);

impl Spawns {
    pub fn of(attempt: Attempt, to: UnboundedSender<Spawned>) -> Self {
        Spawns(Some((attempt, to)))
    }

    /// Reports a process, if it can be identified; one that `stays` is not this attempt's alone.
    pub(super) fn tell(&self, process: Option<&ProcessIdentity>, stays: bool) {
        if let (Some((attempt, to)), Some(process)) = (&self.0, process) {
            // Without a receiver the report is not needed.
            let _ = to.send(Spawned { attempt: *attempt, stays, process: process.clone() });
        }
    }
}

/// A unique mark for a process, of this runner or of any other: `<run>/<runner>-<its start>-<number>`.
pub(super) fn new_mark(run: &str) -> Arc<str> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{run}/{}{}", *HERE, COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Whether this very process has given the mark, rather than another runner that was started by an agent.
pub(super) fn is_of_here(mark: &str) -> bool {
    mark.rsplit('/').next().is_some_and(|end| end.starts_with(&*HERE))
}

/// Whether the mark was given in this run, by a runner that has exited.
pub(super) fn is_orphan_of(run: &str, mark: &str) -> bool {
    let rest = mark.strip_prefix(run).and_then(|rest| rest.strip_prefix('/'));
    rest.and_then(runner).is_some_and(|runner| system::see(runner.0).is_none_or(|seen| seen.id != runner))
}

fn runner(end_of_mark: &str) -> Option<system::Id> {
    let mut parts = end_of_mark.split('-');
    Some((system::pid(parts.next()?.parse().ok()?)?, parts.next()?.parse().ok()?))
}

/// The part of all marks of this process after the run.
static HERE: LazyLock<String> = LazyLock::new(|| {
    let here = rustix::process::getpid();
    let started = system::see(here).map_or(0, |seen| seen.id.1);
    format!("{}-{started}-", here.as_raw_nonzero())
});
