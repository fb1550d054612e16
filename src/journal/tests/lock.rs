//! One runner for a run.

use super::super::{Lock, LockError};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_second_runner_is_refused_and_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!Lock::is_held(folder.path()).unwrap());
    let lock = Lock::acquire(folder.path()).unwrap();
    assert!(Lock::is_held(folder.path()).unwrap());
    match Lock::acquire(folder.path()) {
        Err(LockError::By(Some(pid))) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert!(!Lock::is_held(folder.path()).unwrap());
    Lock::acquire(folder.path()).unwrap();
    assert!(matches!(Lock::acquire(&folder.path().join("nowhere")), Err(LockError::Storage(_))));
}

#[test]
fn the_previous_holder_is_not_named_while_the_next_one_acquires() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lock"), "4711\n").unwrap();
    // As the next holder has it before it has locked the file.
    let acquiring = std::fs::File::open(folder.path()).unwrap();
    acquiring.lock().unwrap();
    assert!(matches!(Lock::acquire(folder.path()), Err(LockError::By(None))));
    drop(acquiring);
    Lock::acquire(folder.path()).unwrap();
}

#[test]
fn of_many_that_race_one_wins_however_many_only_ask() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let over = AtomicBool::new(false);
    // Nothing may panic before the askers know that it is over: they would be waited for without end.
    let winners: Vec<_> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        Lock::is_held(path)?;
                    }
                    std::io::Result::Ok(())
                })
            })
            .collect();
        let winners = (0..200).map(|_| winners_of_a_race(path)).collect();
        over.store(true, Ordering::Relaxed);
        for asker in askers {
            asker.join().unwrap().unwrap();
        }
        winners
    });
    assert_eq!(winners, [const { Some(1) }; 200]);
}

/// How many of three at once got the lock; `None` where the storage made trouble.
fn winners_of_a_race(path: &Path) -> Option<usize> {
    let start = Barrier::new(3);
    let end = Barrier::new(3);
    let tries: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let lock = Lock::acquire(path);
                    end.wait();
                    lock
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let troubled = tries.iter().any(|lock| matches!(lock, Err(LockError::Storage(_))));
    (!troubled).then(|| tries.iter().filter(|lock| lock.is_ok()).count())
}

/// A process that is being started has all that is open until it has become its program, locks too.
#[test]
fn what_was_let_go_of_is_free_while_processes_start() {
    let folder = tempfile::tempdir().unwrap();
    let over = AtomicBool::new(false);
    let held = std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                Command::new("true").status()?;
            }
            std::io::Result::Ok(())
        });
        let held = (0..500).filter(|_| Lock::acquire(folder.path()).is_err()).count();
        over.store(true, Ordering::Relaxed);
        starter.join().unwrap().unwrap();
        held
    });
    assert_eq!(held, 0);
}

#[test]
fn a_folder_that_went_away_under_its_runner_can_be_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    std::fs::create_dir(&path).unwrap();
    let first = Lock::acquire(&path).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let second = Lock::acquire(&path).unwrap();
    drop(first);
    assert!(Lock::is_held(&path).unwrap());
    drop(second);
}
