//! The children of this process: those that it has started, and the orphans among all that they have started, which
//! become its children too where the system can do that. Knows nothing of calls.

use super::program::aside;
use super::spawned::is_of_here;
use super::system::{self, Id, Seen};
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::process::Child;

/// Held by whoever starts a process until it is registered, and by whoever looks for orphans: a child that is not
/// registered yet looks like one.
static STARTING: RwLock<()> = RwLock::new(());

/// Looks at orphans that come and go all the time, before it is taken for true that none of them is meant.
const MOST_LOOKS: u32 = 64;

static OWN: LazyLock<Mutex<Own>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Own {
    /// Orphans come here, and nobody else in this process starts programs.
    adopting: bool,
    /// Children that were there before any was started, as a shell leaves them that has become this program. They
    /// and theirs are nobody's business here.
    strangers: HashSet<Id>,
    /// What was started and is not over, by number.
    running: HashMap<u64, Pid>,
    next: u64,
    /// How many orphans were buried.
    buried: u64,
    /// Orphans that do not show whose they are, with what was running when they were first seen.
    doubtful: HashMap<Id, HashSet<u64>>,
}

impl Own {
    /// Those that an orphan may belong to, of what ran when it was first seen and still does.
    fn doubt(&mut self, orphan: Id) -> &HashSet<u64> {
        let Own { running, doubtful, .. } = self;
        let suspects = doubtful.entry(orphan).or_insert_with(|| running.keys().copied().collect());
        suspects.retain(|one| running.contains_key(one));
        suspects
    }

    /// Whether an orphan comes from a program that was started here, and not from a child that was there before.
    fn is_from_here(&self, orphan: Id) -> bool {
        self.adopting && (self.strangers.is_empty() || system::is_branded(orphan.0))
    }
}

fn own() -> MutexGuard<'static, Own> {
    // No code panics while it holds the lock, so the register is whole.
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the orphans among all that is started from here children of this process, where the system can do that. To
/// be called before the first start, where nobody else in this process starts programs: all that ends is buried, and
/// whose orphan it is may be told by what else runs.
pub fn adopt() {
    #[cfg(target_os = "linux")]
    {
        let mut own = own();
        own.strangers = system::children(getpid()).iter().map(|seen| seen.id).collect();
        own.adopting = rustix::process::set_child_subreaper(Some(getpid())).is_ok();
    }
}

/// A started program's place in the register, until all that belongs to it is over.
#[derive(Debug)]
pub struct Entry(u64);

impl Drop for Entry {
    fn drop(&mut self) {
        own().running.remove(&self.0);
    }
}

/// Starts a program so that it is never taken for an orphan.
///
/// # Errors
/// Those of `spawn`.
pub fn start(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<(Child, Pid, Entry)> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let child = spawn()?;
    let pid = child.id().and_then(|id| system::pid(i32::try_from(id).ok()?));
    let pid = pid.ok_or_else(|| io::Error::other("it ended before it was seen"))?;
    let mut own = own();
    let number = own.next;
    own.next += 1;
    own.running.insert(number, pid);
    Ok((child, pid, Entry(number)))
}

/// Keeps other programs of this user from this one's memory, environment and files: it holds the secrets of all
/// agents. To be called first of all.
pub fn shield() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // What is not to be dumped cannot be branded any more.
        if !system::children(getpid()).is_empty() {
            system::brand();
        }
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// The orphans that live; those that have ended are buried. All processes, where orphans do not come here.
pub fn orphans() -> Vec<Seen> {
    look().living
}

/// Those of the orphans, with all that descends from them, that `select` finds. That there are none is only said of one
/// moment: one that starts another and ends, again and again, may be missed between the list of orphans and the look at
/// it. So none is the answer only if no orphan has come or gone meanwhile.
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

/// What is seen of the orphans in one look.
struct Look {
    living: Vec<Seen>,
    buried: u64,
    /// They are children of this process.
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

/// Buries the orphans that have ended, and notes what runs when the others are first seen.
pub fn bury() {
    if !own().adopting {
        return;
    }
    for orphan in aside(orphans) {
        if system::mark(orphan.pid()).is_none_or(|mark| !is_of_here(&mark)) {
            own().doubt(orphan.id);
        }
    }
}

/// Whether an orphan that does not show whose it is can only be this program's: nothing else that ran when it was
/// first seen runs still.
pub fn must_be_of(orphan: Id, entry: &Entry) -> bool {
    let mut own = own();
    let others = own.doubt(orphan).iter().any(|one| *one != entry.0);
    own.is_from_here(orphan) && !others
}

/// Whether an orphan that does not show whose it is was started from here all the same.
pub fn must_be_ours(orphan: Id) -> bool {
    own().is_from_here(orphan)
}
