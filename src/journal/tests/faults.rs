//! Every call to the storage fails in turn, once or for good, and power is lost at every one of them.

use super::disk::{Disk, Fault, with};
use super::*;
use crate::engine::simulator::roll;
use crate::journal::FILE;
use std::collections::BTreeMap;

/// What became of a run's records.
#[derive(Default)]
struct Fate {
    created: bool,
    /// How many the journal said are durable, and how many it was given.
    promised: usize,
    given: usize,
}

/// A whole life: made, appended to, tidied, appended to, closed, opened, appended to, closed. Goes on after an error
/// in the store's first use only as far as asking whether more is refused.
fn live(folder: &Path, all: &[Record]) -> Fate {
    let mut fate = Fate::default();
    let Ok(mut store) = Store::create(folder, &header()) else { return fate };
    fate.created = true;
    let mut batches = all.chunks(all.len().div_ceil(6));
    for batch in batches.by_ref().take(3) {
        if !keep(&mut store, batch, &mut fate) {
            return fate;
        }
    }
    // What cannot be put in order is still there.
    let _ = store.tidy();
    for batch in batches.by_ref().take(2) {
        if !keep(&mut store, batch, &mut fate) {
            return fate;
        }
    }
    drop(store);
    let Ok((mut store, found)) = Store::open(folder) else { return fate };
    assert_eq!(found, header());
    for batch in batches {
        if !keep(&mut store, batch, &mut fate) {
            return fate;
        }
    }
    fate
}

fn keep(store: &mut Store, batch: &[Record], fate: &mut Fate) -> bool {
    fate.given += batch.len();
    let kept = store.append(batch).is_ok();
    if kept {
        fate.promised += batch.len();
    } else {
        assert!(store.append(batch).is_err(), "more was taken after trouble");
        assert!(store.tidy().is_err());
    }
    kept
}

/// What is read is what was given, at least up to what was promised; and a new runner goes on with it.
fn judge(folder: &Path, all: &[Record], fate: &Fate, what: &str) {
    let read = match read_all(folder) {
        Err(Unreadable::Missing { .. }) => {
            assert!(!fate.created, "{what}: the journal is gone");
            return;
        }
        other => other.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    assert_eq!(read.0, header());
    let length = read.1.len();
    assert!((fate.promised..=fate.given).contains(&length), "{what}: {length} of {}", fate.promised);
    assert!(read.1 == all[..length], "{what}");
    let (mut store, _) = Store::open(folder).unwrap_or_else(|error| panic!("{what}: {error}"));
    store.append(&all[length..]).unwrap();
    drop(store);
    assert!(read_all(folder).unwrap().1 == all, "{what}");
}

fn all() -> Vec<Record> {
    some(40)
}

/// Lives once for every call that there is. Returns how often each kind of call failed.
fn every_call(
    fault: fn(u64) -> Fault,
    mut after: impl FnMut(&Path, &Fate, Disk, u64),
) -> BTreeMap<&'static str, u64> {
    let all = all();
    let mut failed = BTreeMap::new();
    for number in 0.. {
        let folder = folder();
        let (fate, disk) = with(fault(number), || live(folder.path(), &all));
        if disk.calls <= number {
            assert_eq!(fate.promised, all.len(), "without a fault all is kept");
            break;
        }
        for (what, times) in &disk.failed {
            *failed.entry(*what).or_default() += times;
        }
        after(folder.path(), &fate, disk, number);
    }
    failed
}

#[test]
fn a_call_that_fails_once_costs_no_record_that_was_promised() {
    let all = all();
    let failed = every_call(Fault::At, |folder, fate, _, number| {
        judge(folder, &all, fate, &format!("call {number} failed"));
    });
    for what in ["open", "write", "sync", "read", "lock", "shm_lock", "shm_map", "delete", "truncate"] {
        assert!(failed.contains_key(what), "{what} never failed: {failed:?}");
    }
}

#[test]
fn a_disk_that_dies_costs_no_record_that_was_promised() {
    let all = all();
    every_call(Fault::From, |folder, fate, _, number| {
        judge(folder, &all, fate, &format!("all calls failed from {number} on"));
    });
}

#[test]
fn a_loss_of_power_costs_no_record_that_was_promised() {
    let all = all();
    let rounds = std::env::var("ORDERFLOW_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1);
    for round in 0..rounds {
        every_call(Fault::From, |folder, fate, disk, number| {
            if fate.created {
                assert!(disk.is_synced(&folder.join("journal.new")), "put in place before it was durable");
            }
            let mut rolls = 0;
            disk.lose_power(|below| {
                rolls += 1;
                roll(round, &[number, rolls], below)
            });
            // The memory that processes shared is gone too.
            let _ = std::fs::remove_file(folder.join(format!("{FILE}-shm")));
            judge(folder, &all, fate, &format!("power was lost at call {number}, round {round}"));
        });
    }
}

#[test]
fn reading_from_a_disk_that_fails_gives_a_first_part_and_says_so() {
    let all = all();
    let folder = folder();
    let mut store = Store::create(folder.path(), &header()).unwrap();
    all.chunks(5).for_each(|batch| store.append(batch).unwrap());
    for number in 0.. {
        let mut seen = Vec::new();
        let (result, disk) = with(Fault::At(number), || {
            let (found, records) = read(folder.path())?;
            records.each(|record| {
                seen.push(record);
                Ok::<_, Unreadable>(())
            })?;
            Ok::<_, Unreadable>(found)
        });
        match result {
            Ok(found) => assert!(found == header() && seen == all),
            Err(Unreadable::Storage { .. }) => assert!(all.starts_with(&seen)),
            Err(other) => panic!("call {number}: {other}"),
        }
        if disk.calls <= number {
            break;
        }
    }
}
