//! What was kept is read again.

use super::*;
use crate::event::{ItemEvent, ItemId, Role, StepId, StepPath};
use crate::journal::{FILE, Message, Process};

#[test]
fn what_was_kept_is_read_again_and_makes_the_same_run() {
    for seed in 0..40 {
        let events = simulated(seed);
        let folder = tempfile::tempdir().unwrap();
        let all = records(&events);
        kept(folder.path(), &all.chunks(1 + seed as usize % 7).collect::<Vec<_>>());
        let (found, read) = read_all(folder.path()).unwrap();
        assert_eq!(found, header());
        assert_eq!(read, all, "seed {seed}");

        let (graph, policy) = (Arc::new(random_graph(seed)), random_policy(seed));
        let read: Vec<Event> = read
            .into_iter()
            .map(|record| match record {
                Record::Event(event) => event,
                other => panic!("{other:?}"),
            })
            .collect();
        let before = Run::fold(graph.clone(), policy.clone(), &events).unwrap();
        let after = Run::fold(graph, policy, &read).unwrap();
        assert_eq!(format!("{after:?}"), format!("{before:?}"), "seed {seed}");
    }
}

#[test]
fn a_store_that_is_opened_again_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process {
        item: ItemId(3),
        step: StepPath::element(StepId(1), 4),
        attempt: 2,
        pid: 4711,
        group: 4711,
        started: 123_456,
        boot: "5e0a".into(),
    };
    let all = [some(12), vec![Record::Spawned(process)]].concat();
    kept(folder.path(), &[]);
    for record in &all {
        let (mut store, found) = Store::open(folder.path()).unwrap();
        assert_eq!(found, header());
        store.append(std::slice::from_ref(record)).unwrap();
    }
    assert_eq!(read_all(folder.path()).unwrap().1, all);
    assert!(
        Store::create(folder.path(), &header()).unwrap_err().to_string().contains("there is one already")
    );
}

#[test]
fn a_journal_is_one_file_once_it_is_closed_and_can_be_copied_before() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = some(30);
    let mut store = Store::create(folder.path(), &header()).unwrap();
    store.append(&all).unwrap();
    store.tidy().unwrap();
    std::fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
    assert_eq!(read_all(copy.path()).unwrap().1, all);
    drop(store);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), [FILE]);
}

#[test]
fn what_is_there_is_read_while_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let all = some(25);
    let mut store = Store::create(folder.path(), &header()).unwrap();
    for (index, record) in all.iter().enumerate() {
        let (_, open) = read(folder.path()).unwrap();
        store.append(std::slice::from_ref(record)).unwrap();
        assert_eq!(read_all(folder.path()).unwrap().1, all[..=index]);
        let mut seen = 0;
        open.each(|_| {
            seen += 1;
            Ok::<_, Unreadable>(())
        })
        .unwrap();
        assert!(seen == index || seen == index + 1);
    }
}

#[test]
fn there_is_none_and_there_is_one_of_another_version_and_one_with_more_keys() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_all(folder.path()), Err(Unreadable::Missing { .. })));
    assert!(matches!(read_all(&folder.path().join("nowhere")), Err(Unreadable::Missing { .. })));

    let later = Version { major: Version::CURRENT.major, minor: 7 };
    drop(Store::create(folder.path(), &Header { version: later, ..header() }).unwrap());
    assert_eq!(read_all(folder.path()).unwrap().0.version, later);
    std::fs::remove_file(folder.path().join(FILE)).unwrap();

    let other = Version { major: Version::CURRENT.major + 1, minor: 0 };
    drop(Store::create(folder.path(), &Header { version: other, ..header() }).unwrap());
    let error = read_all(folder.path()).unwrap_err();
    assert!(matches!(error, Unreadable::Version { found, .. } if found == other));
    assert!(
        error.to_string().ends_with("is of version 6.0, and this program reads up to version 5.0"),
        "{error}"
    );
}

#[test]
fn a_row_of_many_records_is_split_and_a_long_record_fits() {
    let folder = tempfile::tempdir().unwrap();
    let admitted = |number: u64, length: usize| {
        let inputs = vec![(crate::event::ValueId(0), Arc::new("x".repeat(length).into()))];
        Record::Event(ItemEvent::Admitted { key: "k".into(), inputs }.of(ItemId(number), number))
    };
    let mut all: Vec<Record> = (0..20_000).map(|number| admitted(number, 20)).collect();
    all.insert(5, admitted(77, 17 << 20));
    kept(folder.path(), &[&all]);
    assert!(read_all(folder.path()).unwrap().1 == all);
}

/// Conversations are long; only those who show them read them.
#[test]
fn messages_are_read_only_by_who_asks_for_them() {
    let message = |text: &str| {
        Record::Message(Message {
            at: 1,
            item: ItemId(0),
            step: StepPath::from(StepId(0)),
            attempt: 1,
            role: Role::User,
            name: None,
            text: text.to_owned(),
        })
    };
    let (events, folder) = (some(3), tempfile::tempdir().unwrap());
    let [first, second, third] = &events[..] else { panic!("{events:?}") };
    let all = [first.clone(), message("a"), second.clone(), message("b"), third.clone()];
    kept(folder.path(), &[&all]);
    assert_eq!(read_all(folder.path()).unwrap().1, all);
    let (_, records) = read(folder.path()).unwrap();
    let (mut others, mut messages) = (Vec::new(), Vec::new());
    records
        .each_at(|record, _| {
            others.push(record);
            Ok::<_, Unreadable>(())
        })
        .unwrap();
    records
        .messages(|record| {
            messages.push(record);
            Ok::<_, Unreadable>(())
        })
        .unwrap();
    assert_eq!(others, events);
    assert_eq!(messages, [message("a"), message("b")]);
}
