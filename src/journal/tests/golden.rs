//! Journals of earlier versions stay readable. `UPDATE=1` writes those of the current version anew.

use super::*;
use crate::event::{
    Cause, DrainReason, Execution, Failure, ItemError, ItemId, ItemState, Outcome, Reply, Status, StepId,
    StepPath, StopReason, ValueId,
};
use crate::journal::{Asked, FILE, Process, Revision};
use std::fs;
use std::path::PathBuf;

/// One record of every kind, in an order that is only added to.
fn every_kind() -> Vec<Record> {
    let (item, step) = (ItemId(3), StepId(1));
    let path = StepPath::element(step, 2);
    let (attempt, at) = (2, 1234);
    let number = "145.50".parse().map(Value::Number).unwrap();
    let columns = vec![("cost".into(), number)];
    let values = vec![(ValueId(0), Arc::new(json!({"id": "a\n\u{e9}", "$serde_json::private::Number": []})))];
    let again = values.clone();
    let failure = Failure {
        cause: Cause::Exit(3),
        code: Some("E7".into()),
        message: "no stock".into(),
        outcome: Outcome::Unknown,
        retryable: true,
        tokens_used: Some(5),
        columns: columns.clone(),
        log: "line\n".into(),
    };
    let bare = Failure {
        cause: Cause::Signal(9),
        code: None,
        outcome: Outcome::NotExecuted,
        retryable: false,
        tokens_used: None,
        columns: Vec::new(),
        log: String::new(),
        ..failure.clone()
    };
    let reply = Reply { outputs: values.clone(), tokens_used: Some(7), columns: columns.clone() };
    let finished = |result| Event::AttemptFinished { item, step: path, attempt, result, at };
    let execution = Execution {
        step,
        element: Some(2),
        status: Status::CompensationFailed,
        input: Some("order_1".into()),
        output: None,
        duration_ms: Some(0.1 + 0.2),
        tokens_used: Some(12),
        columns,
        attempt: Some(2),
        started_ms: Some(1000),
        error: Some("no stock".into()),
        code: None,
        recorded: None,
    };
    let error = ItemError { step: Some(step), message: "no stock".into(), code: None, attempts: 2 };
    let standing = ItemError { step: Some(step), message: "bank closed".into(), code: None, attempts: 5 };
    let events = vec![
        Event::ItemAdmitted { item, key: "order-3".into(), inputs: values, at },
        Event::AttemptStarted { item, step: path, attempt, at },
        Event::AttemptStopped { item, step: path, attempt, why: StopReason::GroupDeadline, at },
        finished(Ok(reply)),
        finished(Ok(Reply::default())),
        finished(Err(Box::new(failure))),
        finished(Err(Box::new(bare))),
        Event::RetryScheduled { item, step: step.into(), attempt, due: 2000, at },
        Event::RetryDue { item, step: step.into(), attempt, at },
        Event::BranchTaken { item, step, chain: 1, arm: Some(0), at },
        Event::BranchTaken { item, step, chain: 1, arm: None, at },
        Event::ConditionHeld { item, step, at },
        Event::StepEnded { item, execution },
        Event::ElementsEnded { item, step, at },
        Event::ItemDeadlinePassed { item, waited: None, at },
        Event::ItemFailed { item, at },
        Event::ItemPutBack { item, at },
        Event::ItemSettled {
            item,
            key: "order-3".into(),
            state: ItemState::Failed,
            error: Some(error),
            standing: Vec::new(),
            left_out: Vec::new(),
            at,
        },
        Event::ItemsExhausted { at },
        Event::RunStepsBegan { at },
        Event::AttemptStarted { item: ItemId::RUN, step: step.into(), attempt: 1, at },
        Event::RunStepsEnded {
            state: ItemState::Succeeded,
            error: None,
            standing: Vec::new(),
            left_out: Vec::new(),
            at,
        },
        Event::RunDrained { why: DrainReason::Tolerance, at },
        Event::RunStopped { why: StopReason::Interrupted, at },
    ];
    let process = Process {
        item,
        step: path,
        attempt,
        pid: 4711,
        group: 4711,
        started: 123_456,
        boot: "0e6a1c0e-8c2b-4a51-8f4e-000000000000".into(),
    };
    let mut all = records(&events);
    all.push(Record::Spawned(process));
    all.extend(records(&[
        Event::ItemRetried { item, key: "order-3".into(), inputs: None, at },
        Event::ItemRetried { item, key: "order-3".into(), inputs: Some(again), at },
        Event::CompensationBegan { item, undoes: step, at },
        Event::ItemResolved { item, key: "order-3".into(), note: "by hand".into(), at },
        Event::AttemptRepeated { item, step: path, attempt, at },
        Event::ItemSettled {
            item,
            key: "order-3".into(),
            state: ItemState::CompensationFailed,
            error: None,
            standing: vec![standing.clone()],
            left_out: Vec::new(),
            at,
        },
        Event::RunStepsEnded {
            state: ItemState::Compensated,
            error: None,
            standing: vec![standing],
            left_out: Vec::new(),
            at,
        },
    ]));
    let definition = vec![Definition { phase: "Pay".into(), hash: "a0".into() }];
    let document = Document { path: "orders.md".into(), text: "# Orders\n\n## Pay @bank\n".into() };
    all.push(Record::Asked(Asked { item, key: "4be1".into(), input: "77aa".into() }));
    all.push(Record::Revised(Revision { document, definition }));
    all
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal")
}

/// The journal closed, and as a killed runner leaves it.
fn write(folder: &Path) {
    for (name, killed) in [("closed", false), ("killed", true)] {
        let place = folder.join(format!("{}-{name}", Version::CURRENT));
        fs::create_dir_all(&place).unwrap();
        let run = tempfile::tempdir().unwrap();
        let mut store = Store::create(run.path(), &header()).unwrap();
        every_kind().chunks(7).for_each(|batch| store.append(batch).unwrap());
        let store = killed.then_some(store);
        for file in [FILE.to_owned(), format!("{FILE}-wal")] {
            let _ = fs::remove_file(place.join(&file));
            if run.path().join(&file).exists() {
                fs::copy(run.path().join(&file), place.join(&file)).unwrap();
            }
        }
        drop(store);
    }
}

#[test]
fn journals_of_all_versions_are_read() {
    if std::env::var_os("UPDATE").is_some() {
        write(&goldens());
    }
    let expected = every_kind();
    let mut current = 0;
    for place in fs::read_dir(goldens()).unwrap() {
        let place = place.unwrap();
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(place.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let (found, read) = read_all(copy.path()).unwrap();
        let of_this_version = found.version == Version::CURRENT;
        assert_eq!(Header { version: Version::CURRENT, ..found }, header());
        assert!(!read.is_empty() && expected.starts_with(&read), "{:?}: {read:#?}", place.file_name());
        if of_this_version {
            assert_eq!(read.len(), expected.len(), "UPDATE=1 adds the new kinds of records");
            current += 1;
        }
        let (mut store, _) = Store::open(copy.path()).unwrap();
        store.append(&expected).unwrap();
        assert_eq!(read_all(copy.path()).unwrap().1[read.len()..], expected);
    }
    assert_eq!(current, 2);
}

/// What stands in journals is a promise to later versions: seen here, so that it does not change unnoticed.
#[test]
fn records_are_lines_that_people_can_read() {
    let mut row = Vec::new();
    let all = every_kind();
    let (first, later) = all.split_at(24);
    for record in first.iter().skip(5).step_by(6).chain(later) {
        crate::journal::record::encode(record, &mut row, Path::new("")).unwrap();
    }
    assert_eq!(String::from_utf8(row).unwrap(), LINES);
}

const LINES: &str = r##"{"event":{"attempt_finished":{"item":3,"step":{"step":1,"element":2},"attempt":2,"result":{"Err":{"cause":{"exit":3},"code":"E7","message":"no stock","outcome":"unknown","retryable":true,"tokens_used":5,"columns":[["cost",145.50]],"log":"line\n"}},"at":1234}}}
{"event":{"condition_held":{"item":3,"step":1,"at":1234}}}
{"event":{"item_settled":{"item":3,"key":"order-3","state":"failed","error":{"step":1,"message":"no stock","attempts":2},"at":1234}}}
{"event":{"run_stopped":{"why":"interrupted","at":1234}}}
{"spawned":{"item":3,"step":{"step":1,"element":2},"attempt":2,"pid":4711,"group":4711,"started":123456,"boot":"0e6a1c0e-8c2b-4a51-8f4e-000000000000"}}
{"event":{"item_retried":{"item":3,"key":"order-3","at":1234}}}
{"event":{"item_retried":{"item":3,"key":"order-3","inputs":[[0,{"id":"a\né","$serde_json::private::Number":[]}]],"at":1234}}}
{"event":{"compensation_began":{"item":3,"undoes":1,"at":1234}}}
{"event":{"item_resolved":{"item":3,"key":"order-3","note":"by hand","at":1234}}}
{"event":{"attempt_repeated":{"item":3,"step":{"step":1,"element":2},"attempt":2,"at":1234}}}
{"event":{"item_settled":{"item":3,"key":"order-3","state":"compensation_failed","error":null,"standing":[{"step":1,"message":"bank closed","attempts":5}],"at":1234}}}
{"event":{"run_steps_ended":{"state":"compensated","error":null,"standing":[{"step":1,"message":"bank closed","attempts":5}],"at":1234}}}
{"asked":{"item":3,"key":"4be1","input":"77aa"}}
{"revised":{"document":{"path":"orders.md","text":"# Orders\n\n## Pay @bank\n"},"definition":[{"phase":"Pay","hash":"a0"}]}}
"##;
