//! One runner for a run.

use super::super::{Held, Lock};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

#[test]
fn a_second_runner_is_refused_and_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!Lock::is_held(folder.path()).unwrap());
    let lock = Lock::acquire(folder.path()).unwrap();
    assert!(Lock::is_held(folder.path()).unwrap());
    match Lock::acquire(folder.path()) {
        Err(Held::By(Some(pid))) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert!(!Lock::is_held(folder.path()).unwrap());
    Lock::acquire(folder.path()).unwrap();
    assert!(matches!(Lock::acquire(&folder.path().join("nowhere")), Err(Held::Storage(_))));
}

#[test]
fn of_many_that_race_one_wins_however_many_only_ask() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Lock::is_held(path).unwrap();
                }
            });
        }
        for round in 0..200 {
            let winners = AtomicU32::new(0);
            let ready = std::sync::Barrier::new(3);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        ready.wait();
                        let lock = Lock::acquire(path);
                        match &lock {
                            Ok(_) => {
                                winners.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(Held::By(_)) => {}
                            Err(Held::Storage(error)) => panic!("{error}"),
                        }
                        ready.wait();
                        drop(lock);
                    });
                }
            });
            assert_eq!(winners.into_inner(), 1, "round {round}");
        }
        over.store(true, Ordering::Relaxed);
    });
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
