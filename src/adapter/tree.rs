//! A started program with all that it has started in turn, in its process group or out of it, orphaned or not. Knows
//! nothing of calls.
//!
//! Only those are signalled that are seen to descend from the program, never a number that once was one of them.

use super::adopted::{self, Entry};
use super::program::{GRACE, LINGER, aside};
use super::spawned::is_of_here;
use super::system::{self, Id, Seen};
use super::{Stop, Urgency};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between the first looks at what still lives, and at most between later ones.
const FIRST: Duration = Duration::from_millis(5);
const MOST: Duration = Duration::from_millis(100);

/// All that has come of one start.
#[derive(Debug)]
pub struct Tree {
    /// The number of the program itself, which is that of its group.
    leader: Pid,
    started: Option<u64>,
    mark: Arc<str>,
    entry: Entry,
    /// Those that were once seen in it.
    known: Mutex<HashSet<Id>>,
}

impl Tree {
    /// `started` is when the program has begun, in the system's ticks; `mark` is what its environment carries.
    pub fn new(leader: Pid, started: Option<u64>, mark: Arc<str>, entry: Entry) -> Self {
        Tree { leader, started, mark, entry, known: Mutex::default() }
    }

    /// Sends a signal to each that lives now.
    pub fn signal(&self, signal: Signal) {
        send(signal, &aside(|| self.living()), self.group());
    }

    /// Sends a signal to each of them, and returns once none is left.
    pub async fn end_by(&self, signal: Signal) {
        ended(signal, || self.living(), self.group()).await;
    }

    /// Asks what is left to end, and kills it after `grace`, or at once where `stop` says so.
    pub async fn end(&self, grace: Duration, stop: &mut Stop) {
        end(|| self.living(), self.group(), grace, stop).await;
    }

    /// Kills what is left. What cannot be killed, such as a program of another user's, is not waited for.
    pub async fn kill(&self) {
        // At once, before a look around: it may just be about to end in another way.
        send(Signal::KILL, &[], self.group());
        let _ = tokio::time::timeout(LINGER, self.end_by(Signal::KILL)).await;
    }

    fn program(&self) -> Option<Seen> {
        system::see(self.leader).filter(|seen| Some(seen.id.1) == self.started)
    }

    /// Its group, as long as that is sure to be its own: while the program is there, or where nothing else can be told.
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

/// Those of the families that live.
fn families(roots: Vec<Seen>) -> Vec<Seen> {
    let mut living = system::families(roots, system::children);
    living.retain(|seen| !seen.has_ended());
    living
}

/// Ends all that is left of what this process has started, once nothing of it runs that may be kept: asks it first,
/// and kills it after the grace, or at once where `stop` says so.
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

/// Asks those that live to end, and kills them after `grace`, or at once where `stop` says so. What cannot be killed
/// is not waited for.
pub async fn end(living: impl Fn() -> Vec<Seen>, group: Option<Pid>, grace: Duration, stop: &mut Stop) {
    tokio::select! {
        biased;
        () = ended(Signal::TERM, &living, group) => return,
        () = stop.asked(Urgency::Kill) => {}
        () = tokio::time::sleep(grace) => {}
    }
    let _ = tokio::time::timeout(LINGER, ended(Signal::KILL, living, group)).await;
}

/// Sends those that live a signal and returns once none lives. Nobody tells of the end of processes that are not our
/// own children, so it looks again and again. Those that come later are killed too, but not asked: they may be what
/// cleans up after the others.
async fn ended(signal: Signal, living: impl Fn() -> Vec<Seen>, group: Option<Pid>) {
    let mut now = if signal == Signal::KILL { hold(&living).await } else { aside(&living) };
    send(signal, &now, group);
    let mut told: HashSet<Id> = now.iter().map(|seen| seen.id).collect();
    let mut pause = FIRST;
    while !now.is_empty()
        || group.is_some_and(|group| system::is_blind() && test_kill_process_group(group).is_ok())
    {
        tokio::time::sleep(pause).await;
        now = if signal == Signal::KILL { hold(&living).await } else { aside(&living) };
        let new: Vec<Seen> = now.iter().filter(|seen| told.insert(seen.id)).copied().collect();
        // What starts others again and again is not given the time for it.
        pause = if new.is_empty() { MOST.min(pause * 2) } else { FIRST };
        if signal == Signal::KILL {
            send(signal, &new, None);
        }
    }
}

/// Stops those that live, so that none starts another one between the look at it and a signal that ends it. What one has
/// started before it was stopped is seen when it is looked at again. They stay so until they are killed or asked to end.
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

/// Sends a signal to a group, all of it at one moment, and to those of the processes that are not in it. What was
/// stopped hears a request to end only when it goes on.
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
