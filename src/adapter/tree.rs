//! A started program with all its descendants, in its process group or not, orphaned or not. Knows nothing of calls.
//!
//! Only processes that are known to be descendants are signalled, never an id that once was one.

use super::adopted::{self, Registration};
use super::program::{GRACE, LINGER, aside};
use super::spawned::is_of_here;
use super::system::{self, Id, Seen};
use super::{Stop, Urgency};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The interval between the first checks for running processes, and at most between later ones.
const FIRST: Duration = Duration::from_millis(5);
const MOST: Duration = Duration::from_millis(100);

/// All processes of one start.
#[derive(Debug)]
pub struct Tree {
    /// The id of the program itself, which is that of its group.
    leader: Pid,
    started: Option<u64>,
    mark: Arc<str>,
    entry: Registration,
    /// Those that were seen in it before.
    known: Mutex<HashSet<Id>>,
}

impl Tree {
    /// `started` is when the program began, in the system's ticks; `mark` is in its environment.
    pub fn new(leader: Pid, started: Option<u64>, mark: Arc<str>, entry: Registration) -> Self {
        Tree { leader, started, mark, entry, known: Mutex::default() }
    }

    /// Sends a signal to each running process.
    pub fn signal(&self, signal: Signal) {
        send(signal, &aside(|| self.living()), self.group());
    }

    /// Sends a signal to the program and its group, but not to processes that have left it.
    pub fn signal_group(&self, signal: Signal) {
        send(signal, &[], aside(|| self.group()));
    }

    /// Sends a signal to each of them, and returns once none is left.
    pub async fn end_by(&self, signal: Signal) {
        ended(signal, || self.living(), self.group()).await;
    }

    /// Asks the remaining processes to end, and kills them after `grace`, or at once if `stop` requests it.
    pub async fn end(&self, grace: Duration, stop: &mut Stop) {
        if self.is_over() {
            return;
        }
        end(|| self.living(), self.group(), grace, stop).await;
    }

    /// Whether it has certainly ended: the program has, and no orphan exists that could be of it.
    fn is_over(&self) -> bool {
        self.program().is_none() && adopted::none_left()
    }

    /// Kills the remaining processes. Those that cannot be killed, such as programs of another user, are not waited
    /// for.
    pub async fn kill(&self) {
        // At once, before listing processes: it may be about to end in another way.
        send(Signal::KILL, &[], self.group());
        let _ = tokio::time::timeout(LINGER, self.end_by(Signal::KILL)).await;
    }

    /// Whether one of its processes listens on this TCP port; `None` if the system does not say.
    pub fn listens_on(&self, port: u16) -> Option<bool> {
        let sockets = system::listeners(port)?;
        Some(aside(|| self.living()).iter().any(|seen| system::holds(seen.pid(), &sockets)))
    }

    fn program(&self) -> Option<Seen> {
        system::see(self.leader).filter(|seen| Some(seen.id.1) == self.started)
    }

    /// Its group, as long as that is certainly its own: while the program exists, or if nothing else can be known.
    fn group(&self) -> Option<Pid> {
        (self.program().is_some() || system::is_blind()).then_some(self.leader)
    }

    fn living(&self) -> Vec<Seen> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let living = adopted::among_orphans(|mut roots| {
            roots.retain(|orphan| self.owns(orphan, &known));
            roots.extend(self.program());
            families(roots)
        });
        known.extend(living.iter().map(|seen| seen.id));
        living
    }

    fn owns(&self, orphan: &Seen, known: &HashSet<Id>) -> bool {
        match system::mark(orphan.pid()) {
            Some(mark) if is_of_here(&mark) => *mark == *self.mark,
            _ if known.contains(&orphan.id) || orphan.group == Some(self.leader) => true,
            _ => adopted::must_be_of(orphan.id, &self.entry),
        }
    }
}

/// The running members of the families.
fn families(roots: Vec<Seen>) -> Vec<Seen> {
    let mut living = system::families(roots, system::children);
    living.retain(|seen| !seen.has_ended());
    living
}

/// Ends all remaining processes that this process has started, once none is needed any more: asks them first, and
/// kills them after the grace period, or at once if `stop` requests it.
pub async fn sweep(stop: &mut Stop) {
    let left = || {
        adopted::among_orphans(|mut roots| {
            let ours = |orphan: &Seen| system::mark(orphan.pid()).is_some_and(|mark| is_of_here(&mark));
            roots.retain(|orphan| adopted::must_be_ours(orphan.id) || ours(orphan));
            families(roots)
        })
    };
    end(left, None, GRACE, stop).await;
}

/// Asks running processes to end, and kills them after `grace`, or at once if `stop` requests it. Those that cannot be
/// killed are not waited for.
pub async fn end(living: impl Fn() -> Vec<Seen>, group: Option<Pid>, grace: Duration, stop: &mut Stop) {
    tokio::select! {
        biased;
        () = ended(Signal::TERM, &living, group) => return,
        () = stop.asked(Urgency::Kill) => {}
        () = tokio::time::sleep(grace) => {}
    }
    let _ = tokio::time::timeout(LINGER, ended(Signal::KILL, living, group)).await;
}

/// Sends a signal to running processes and returns once none is left. The system only reports the end of own children,
/// so it polls. Processes that appear later are killed, but not asked: they may clean up after the others.
async fn ended(signal: Signal, living: impl Fn() -> Vec<Seen>, group: Option<Pid>) {
    let mut now = if signal == Signal::KILL { hold(&living).await } else { aside(&living) };
    send(signal, &now, group);
    let mut signalled: HashSet<Id> = now.iter().map(|seen| seen.id).collect();
    let mut pause = FIRST;
    while !now.is_empty()
        || group.is_some_and(|group| system::is_blind() && test_kill_process_group(group).is_ok())
    {
        tokio::time::sleep(pause).await;
        now = if signal == Signal::KILL { hold(&living).await } else { aside(&living) };
        let new: Vec<Seen> = now.iter().filter(|seen| signalled.insert(seen.id)).copied().collect();
        // Processes that appear again and again do not get time for it.
        pause = if new.is_empty() { MOST.min(pause * 2) } else { FIRST };
        if signal == Signal::KILL {
            send(signal, &new, None);
        }
    }
}

/// Stops running processes, so that none starts another between the time it is found and the signal that ends it. A
/// process started before that is found by the next list. They stay stopped until they are killed or asked to end.
pub async fn hold(living: impl Fn() -> Vec<Seen>) -> Vec<Seen> {
    let mut stopped: HashSet<Id> = HashSet::new();
    loop {
        let now = aside(&living);
        let new: Vec<Seen> = now.iter().filter(|seen| stopped.insert(seen.id)).copied().collect();
        if new.is_empty() {
            return now;
        }
        send(Signal::STOP, &new, None);
        tokio::task::yield_now().await;
    }
}

/// Sends a signal to a whole group at once, and to those of the processes that are not in it. A stopped process
/// receives a request to end only when it continues.
fn send(signal: Signal, to: &[Seen], group: Option<Pid>) {
    let goes_on = (signal == Signal::TERM).then_some(Signal::CONT);
    for signal in std::iter::once(signal).chain(goes_on) {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
        let outside = to.iter().filter(|seen| group.is_none() || seen.group != group);
        outside.for_each(|seen| system::signal(seen, signal));
    }
}
