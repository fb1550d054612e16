//! Journals of earlier versions stay readable. `UPDATE=1` writes those of the current version anew.

use super::*;
use crate::event::{
    Arrival, AttemptEvent, Cause, Decision, DrainReason, Execution, Failure, GateId, ItemError, ItemEvent,
    ItemId, ItemState, NotRun, Outcome, RepeatId, Reply, Role, RunEvent, Settlement, Status, StepEvent,
    StepId, StepPath, StopReason, ValueId,
};
use crate::journal::{Asked, FILE, Message, Process, Revision, version1};
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
        retry_after_ms: None,
        unavailable: false,
        tokens_used: Some(5),
        columns: columns.clone(),
        log: "line\n".into(),
        relayed: Vec::new(),
        usage: None,
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
    let reply =
        Reply { outputs: values.clone(), tokens_used: Some(7), columns: columns.clone(), ..Reply::default() };
    let finished = |result| AttemptEvent::Finished(result).of(item, path, attempt, at);
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
    let uncompensated =
        ItemError { step: Some(step), message: "bank closed".into(), code: None, attempts: 5 };
    let events = vec![
        ItemEvent::Admitted { key: "order-3".into(), inputs: values }.of(item, at),
        AttemptEvent::Started.of(item, path, attempt, at),
        AttemptEvent::Stopped(StopReason::GroupDeadline).of(item, path, attempt, at),
        finished(Ok(reply)),
        finished(Ok(Reply::default())),
        finished(Err(Box::new(failure))),
        finished(Err(Box::new(bare))),
        AttemptEvent::RetryScheduled { due: 2000 }.of(item, step, attempt, at),
        AttemptEvent::RetryDue.of(item, step, attempt, at),
        StepEvent::BranchTaken { step, chain: 1, arm: Some(0) }.of(item, at),
        StepEvent::BranchTaken { step, chain: 1, arm: None }.of(item, at),
        StepEvent::ConditionHeld(step).of(item, at),
        StepEvent::Ended(execution).of(item, 1000),
        StepEvent::ElementsEnded(step).of(item, at),
        ItemEvent::DeadlinePassed { waited: None }.of(item, at),
        ItemEvent::Failed.of(item, at),
        ItemEvent::Requeued.of(item, at),
        ItemEvent::Settled { key: "order-3".into(), end: Settlement::new(ItemState::Failed, Some(error)) }
            .of(item, at),
        RunEvent::ItemsExhausted.at(at),
        RunEvent::StepsBegan.at(at),
        AttemptEvent::Started.of(ItemId::RUN, step, 1, at),
        RunEvent::StepsEnded(Settlement::new(ItemState::Succeeded, None)).at(at),
        RunEvent::Drained(DrainReason::Tolerance).at(at),
        RunEvent::Stopped(StopReason::Interrupted).at(at),
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
        ItemEvent::Retried { key: "order-3".into(), inputs: None, attempt: None }.of(item, at),
        ItemEvent::Retried { key: "order-3".into(), inputs: Some(again), attempt: None }.of(item, at),
        ItemEvent::CompensationBegan(step).of(item, at),
        ItemEvent::Resolved { key: "order-3".into(), note: "by hand".into() }.of(item, at),
        AttemptEvent::Repeated.of(item, path, attempt, at),
        ItemEvent::Settled {
            key: "order-3".into(),
            end: Settlement {
                uncompensated: vec![uncompensated.clone()],
                ..Settlement::new(ItemState::CompensationFailed, None)
            },
        }
        .of(item, at),
        RunEvent::StepsEnded(Settlement {
            uncompensated: vec![uncompensated],
            ..Settlement::new(ItemState::Compensated, None)
        })
        .at(at),
    ]));
    let definition = vec![StepDefinition { phase: "Pay".into(), hash: "a0".into() }];
    let document = DocumentText { path: "orders.md".into(), text: "# Orders\n\n## Pay @bank\n".into() };
    all.push(Record::Asked(Asked { item, key: "4be1".into(), input: "77aa".into() }));
    all.push(Record::Revised(Revision { document, definition }));
    let left = NotRun { step, because: "needs b (Review was skipped)".into(), decided: true };
    all.extend(records(&[
        ItemEvent::DeadlinePassed { waited: Some("waited 2 s for a place".into()) }.of(item, at),
        ItemEvent::Settled {
            key: "order-3".into(),
            end: Settlement { not_run: vec![left], ..Settlement::new(ItemState::Succeeded, None) },
        }
        .of(item, at),
    ]));
    let message = |role, name: Option<&str>, text: &str| {
        let name = name.map(str::to_owned);
        Record::Message(Message { at, item, step: path, attempt, role, name, text: text.to_owned() })
    };
    let roles = [Role::System, Role::User, Role::Assistant, Role::Permission, Role::Notice];
    all.extend(roles.map(|role| message(role, None, "a \"letter\"\nof two lines")));
    all.push(message(Role::Tool, Some("read"), "orders.md"));
    all.push(message(Role::Usage, Some("small-1"), "20 tokens in, 10 out"));
    let (gate, since) = (GateId(0), 1_795_968_000_000);
    let approved = Decision { approved: true, by: "ops".into(), note: None, at: since + 5 };
    let rejected = Decision { approved: false, note: Some("too expensive".into()), ..approved.clone() };
    all.extend(records(&[
        ItemEvent::GateReached { gate, question: "Needs sign-off by ops".into(), since }.of(item, at),
        ItemEvent::Decided { gate, decision: rejected }.of(item, at),
        ItemEvent::GateExpired(gate).of(item, at),
        RunEvent::Decided { gate, decision: approved }.at(at),
        ItemEvent::Revoked { key: "order-3".into() }.of(item, at),
    ]));
    let arrival = Arrival {
        id: "delivery-7".into(),
        kind: "order.shipped".into(),
        subject: "order-3".into(),
        source: Some("warehouse".into()),
        data: Arc::new(json!({"weight": 2, "$serde_json::private::Number": []})),
        at: since,
    };
    let bare = Arrival { id: "8".into(), source: None, data: Arc::new(Value::Null), ..arrival.clone() };
    all.extend(records(&[
        RunEvent::Received(Arc::new(arrival)).at(at),
        RunEvent::Received(Arc::new(bare.clone())).at(at),
        StepEvent::AwaitBegan { step, subject: "order-3".into(), since }.of(item, at),
        StepEvent::EventTaken { step, event: 1, at: since + 5 }.of(item, at),
        StepEvent::AwaitExpired(step).of(item, at),
        RunEvent::Published { channel: "orders".into(), id: "r/3/Pay/0/order.paid".into() }.at(at),
        RunEvent::NotPublished {
            channel: "orders".into(),
            id: "r/3/Pay/0/order.paid".into(),
            why: "answered 503".into(),
        }
        .at(at),
    ]));
    all.extend(records(&[
        ItemEvent::RoundBegan { repeat: RepeatId(0), round: 2 }.of(item, at),
        ItemEvent::RoundScheduled { repeat: RepeatId(0), due: at + 5000 }.of(item, at),
        ItemEvent::RepeatEnded(RepeatId(0)).of(item, at),
        AttemptEvent::Waits.of(item, path, attempt, at),
        AttemptEvent::Continues.of(item, path, attempt, at),
        AttemptEvent::Awaits.of(item, path, attempt, at),
        RunEvent::Emitted(Arc::new(bare)).at(at),
    ]));
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

/// A program of version 1 has only its own form for events: it refuses a line of the current one, rather than pass it over.
#[test]
fn a_reader_of_version_1_refuses_an_event_of_the_current_form() {
    for record in every_kind() {
        let Record::Event(event) = record else { continue };
        let line = json!({ "event": event }).to_string();
        let refused = version1::event(&line).unwrap_err().to_string();
        assert!(refused.starts_with("unknown variant `at`"), "{refused}");
    }
}

/// Only roles that this version knows are written; others are read.
#[test]
fn a_message_of_a_later_version_is_read() {
    let line =
        r#"{"message":{"at":1,"item":3,"step":{"step":1},"attempt":2,"role":"judge","text":"x","score":5}}"#;
    let [Record::Message(message)] = &crate::journal::records(line).unwrap()[..] else { panic!("{line}") };
    assert_eq!((message.role, &*message.text), (Role::Other, "x"));
}

#[test]
fn what_is_wrong_with_a_line_is_told_in_terms_of_its_own_form() {
    let flat = r#"{"event":{"condition_held":{"item":3,"step":1}}}"#;
    let current = r#"{"event":{"at":7,"kind":{"step":[3,{"condition_held":"x"}]}}}"#;
    let neither = r#"{"event":{"when":7}}"#;
    let wrong = |line| crate::journal::records(line).unwrap_err();
    assert_eq!(wrong(flat), (45, "missing field `at` at line 1 column 46".to_owned()));
    let why = "invalid type: string \"x\", expected u32 at line 1 column 56".to_owned();
    assert_eq!(wrong(current), (55, why));
    assert!(wrong(neither).1.starts_with("unknown field `when`"), "{:?}", wrong(neither));
}

/// What is in journals is a promise to later versions: seen here, so that it does not change unnoticed.
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

const LINES: &str = r##"{"event":{"at":1234,"kind":{"attempt":[3,{"step":1,"element":2},2,{"finished":{"Err":{"cause":{"exit":3},"code":"E7","message":"no stock","outcome":"unknown","retryable":true,"tokens_used":5,"columns":[["cost",145.50]],"log":"line\n"}}}]}}}
{"event":{"at":1234,"kind":{"step":[3,{"condition_held":1}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"settled":{"key":"order-3","end":{"state":"failed","error":{"step":1,"message":"no stock","attempts":2}}}}]}}}
{"event":{"at":1234,"kind":{"run":{"stopped":"interrupted"}}}}
{"spawned":{"item":3,"step":{"step":1,"element":2},"attempt":2,"pid":4711,"group":4711,"started":123456,"boot":"0e6a1c0e-8c2b-4a51-8f4e-000000000000"}}
{"event":{"at":1234,"kind":{"item":[3,{"retried":{"key":"order-3"}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"retried":{"key":"order-3","inputs":[[0,{"id":"a\né","$serde_json::private::Number":[]}]]}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"compensation_began":1}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"resolved":{"key":"order-3","note":"by hand"}}]}}}
{"event":{"at":1234,"kind":{"attempt":[3,{"step":1,"element":2},2,"repeated"]}}}
{"event":{"at":1234,"kind":{"item":[3,{"settled":{"key":"order-3","end":{"state":"compensation_failed","uncompensated":[{"step":1,"message":"bank closed","attempts":5}]}}}]}}}
{"event":{"at":1234,"kind":{"run":{"steps_ended":{"state":"compensated","uncompensated":[{"step":1,"message":"bank closed","attempts":5}]}}}}}
{"asked":{"item":3,"key":"4be1","input":"77aa"}}
{"revised":{"document":{"path":"orders.md","text":"# Orders\n\n## Pay @bank\n"},"definition":[{"phase":"Pay","hash":"a0"}]}}
{"event":{"at":1234,"kind":{"item":[3,{"deadline_passed":{"waited":"waited 2 s for a place"}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"settled":{"key":"order-3","end":{"state":"succeeded","not_run":[{"step":1,"because":"needs b (Review was skipped)","decided":true}]}}}]}}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"system","text":"a \"letter\"\nof two lines"}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"user","text":"a \"letter\"\nof two lines"}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"assistant","text":"a \"letter\"\nof two lines"}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"permission","text":"a \"letter\"\nof two lines"}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"notice","text":"a \"letter\"\nof two lines"}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"tool","name":"read","text":"orders.md"}}
{"message":{"at":1234,"item":3,"step":{"step":1,"element":2},"attempt":2,"role":"usage","name":"small-1","text":"20 tokens in, 10 out"}}
{"event":{"at":1234,"kind":{"item":[3,{"gate_reached":{"gate":0,"question":"Needs sign-off by ops","since":1795968000000}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"decided":{"gate":0,"decision":{"approved":false,"by":"ops","note":"too expensive","at":1795968000005}}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"gate_expired":0}]}}}
{"event":{"at":1234,"kind":{"run":{"decided":{"gate":0,"decision":{"approved":true,"by":"ops","at":1795968000005}}}}}}
{"event":{"at":1234,"kind":{"item":[3,{"revoked":{"key":"order-3"}}]}}}
{"event":{"at":1234,"kind":{"run":{"received":{"id":"delivery-7","type":"order.shipped","subject":"order-3","source":"warehouse","data":{"weight":2,"$serde_json::private::Number":[]},"at":1795968000000}}}}}
{"event":{"at":1234,"kind":{"run":{"received":{"id":"8","type":"order.shipped","subject":"order-3","data":null,"at":1795968000000}}}}}
{"event":{"at":1234,"kind":{"step":[3,{"await_began":{"step":1,"subject":"order-3","since":1795968000000}}]}}}
{"event":{"at":1234,"kind":{"step":[3,{"event_taken":{"step":1,"event":1,"at":1795968000005}}]}}}
{"event":{"at":1234,"kind":{"step":[3,{"await_expired":1}]}}}
{"event":{"at":1234,"kind":{"run":{"published":{"channel":"orders","id":"r/3/Pay/0/order.paid"}}}}}
{"event":{"at":1234,"kind":{"run":{"not_published":{"channel":"orders","id":"r/3/Pay/0/order.paid","why":"answered 503"}}}}}
{"event":{"at":1234,"kind":{"item":[3,{"round_began":{"repeat":0,"round":2}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"round_scheduled":{"repeat":0,"due":6234}}]}}}
{"event":{"at":1234,"kind":{"item":[3,{"repeat_ended":0}]}}}
{"event":{"at":1234,"kind":{"attempt":[3,{"step":1,"element":2},2,"waits"]}}}
{"event":{"at":1234,"kind":{"attempt":[3,{"step":1,"element":2},2,"continues"]}}}
{"event":{"at":1234,"kind":{"attempt":[3,{"step":1,"element":2},2,"awaits"]}}}
{"event":{"at":1234,"kind":{"run":{"emitted":{"id":"8","type":"order.shipped","subject":"order-3","data":null,"at":1795968000000}}}}}
"##;
