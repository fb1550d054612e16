//! The children of this process: processes that it has started, and orphans of those, which become its children too if
//! the system supports that. Knows nothing of calls.

use super::child::Child;
use super::program::aside;
use super::spawned::is_of_here;
use super::system::{self, Id, Seen};
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock};

/// Held while a process is started and registered, and while orphans are listed: an unregistered child looks like an
/// orphan.
static STARTING: RwLock<()> = RwLock::new(());

/// How often changing orphans are listed before the result "none selected" is accepted.
const MOST_LOOKS: u32 = 64;

static OWN: LazyLock<Mutex<Own>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Own {
    /// Whether orphans become children of this process, and no other part of it starts programs.
    adopting: bool,
    /// Children from before the first start, left by a shell that has become this program. They and their descendants
    /// are ignored.
    strangers: HashSet<Id>,
    /// Started programs that have not ended, by number.
    running: HashMap<u64, Pid>,
    next: u64,
    /// How many orphans were reaped.
    buried: u64,
    /// Orphans of unknown origin, with the programs that were running when they were first seen.
    doubtful: HashMap<Id, HashSet<u64>>,
}

impl Own {
    /// The programs that an orphan may belong to: they ran when it was first seen, and still do.
    fn doubt(&mut self, orphan: Id) -> &HashSet<u64> {
        let Own { running, doubtful, .. } = self;
        let suspects = doubtful.entry(orphan).or_insert_with(|| running.keys().copied().collect());
        suspects.retain(|one| running.contains_key(one));
        suspects
    }

    /// Whether an orphan comes from a program that was started here, and not from a child from before.
    fn is_from_here(&self, orphan: Id) -> bool {
        self.adopting && (self.strangers.is_empty() || system::is_branded(orphan.0))
    }
}

fn own() -> MutexGuard<'static, Own> {
    // The register is intact even after a panic: no code panics while it holds the lock.
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the orphans of all started programs children of this process, if the system supports that. Must be called
/// before the first start, and only if no other part of this process starts programs: all ended children are reaped,
/// and the origin of an orphan may be inferred from the other programs.
pub fn adopt() {
    #[cfg(target_os = "linux")]
    {
        let mut own = own();
        own.strangers = system::children(getpid()).iter().map(|seen| seen.id).collect();
        own.adopting = rustix::process::set_child_subreaper(Some(getpid())).is_ok();
    }
}

/// A started program's place in the register, until it and its descendants have ended.
#[derive(Debug)]
pub struct Registration(u64);

impl Drop for Registration {
    fn drop(&mut self) {
        own().running.remove(&self.0);
    }
}

/// Starts a program so that it is not mistaken for an orphan.
///
/// # Errors
/// Those of `spawn`.
pub fn start(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<(Child, Pid, Registration)> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let child = spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("it ended before it was seen"))?;
    let mut own = own();
    let number = own.next;
    own.next += 1;
    own.running.insert(number, pid);
    Ok((child, pid, Registration(number)))
}

/// Protects this process's memory, environment and files from other programs of this user: it holds the secrets of all
/// agents. Must be called first.
pub fn shield() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A process that cannot be dumped cannot be branded any more.
        if !system::children(getpid()).is_empty() {
            system::brand();
        }
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// The running orphans; ended ones are reaped. All processes, if orphans do not become children.
pub fn orphans() -> Vec<Seen> {
    look().living
}

/// Whether certainly no orphan exists. Takes much less time than listing them, and waits for no program that starts.
pub fn none_left() -> bool {
    own().adopting && system::has_no_orphan()
}

/// Those of the orphans and their descendants that `select` finds. An orphan that starts another and ends, repeatedly,
/// may be missed between listing orphans and inspecting them, so the result is empty only if no orphan has come or
/// gone meanwhile.
pub fn among_orphans(mut select: impl FnMut(Vec<Seen>) -> Vec<Seen>) -> Vec<Seen> {
    for _ in 0..MOST_LOOKS {
        let before = look();
        let (ids, buried) = (before.ids(), before.buried);
        let found = select(before.living);
        if !found.is_empty() || !before.adopted {
            return found;
        }
        let after = look();
        if after.buried == buried && after.ids() == ids {
            break;
        }
    }
    Vec::new()
}

/// The result of listing the orphans once.
struct Look {
    living: Vec<Seen>,
    buried: u64,
    /// Whether they are children of this process.
    adopted: bool,
}

impl Look {
    fn ids(&self) -> Vec<Id> {
        self.living.iter().map(|seen| seen.id).collect()
    }
}

fn look() -> Look {
    let _nobody_starts = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let mut own = own();
    if !own.adopting {
        return Look { living: system::all(), buried: 0, adopted: false };
    }
    let mut orphans = system::children(getpid());
    let running: HashSet<Pid> = own.running.values().copied().collect();
    orphans.retain(|seen| !running.contains(&seen.pid()) && !own.strangers.contains(&seen.id));
    let (dead, living): (Vec<Seen>, Vec<Seen>) = orphans.into_iter().partition(Seen::has_ended);
    for seen in dead {
        own.buried += 1;
        let _ = waitpid(Some(seen.pid()), WaitOptions::NOHANG);
    }
    let there: HashSet<Id> = living.iter().map(|seen| seen.id).collect();
    own.doubtful.retain(|id, _| there.contains(id));
    Look { living, buried: own.buried, adopted: true }
}

/// Reaps the orphans that have ended, and records which programs run when the others are first seen.
pub fn bury() {
    if !own().adopting || system::has_no_orphan() {
        return;
    }
    for orphan in aside(orphans) {
        if system::mark(orphan.pid()).is_none_or(|mark| !is_of_here(&mark)) {
            own().doubt(orphan.id);
        }
    }
}

/// Whether an orphan of unknown origin can only be this program's: no other program that ran when it was first seen is
/// still running.
pub fn must_be_of(orphan: Id, entry: &Registration) -> bool {
    let mut own = own();
    let others = own.doubt(orphan).iter().any(|one| *one != entry.0);
    own.is_from_here(orphan) && !others
}

/// Whether an orphan of unknown origin was certainly started from here.
pub fn must_be_ours(orphan: Id) -> bool {
    own().is_from_here(orphan)
}
