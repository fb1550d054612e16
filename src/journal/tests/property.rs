//! Whatever an agent or an item brings, it is read as it was kept.

use super::*;
use crate::event::{AttemptEvent, Cause, Event, EventKind, ItemEvent, StepEvent, Values};
use crate::event::{Execution, Failure, ItemId, Outcome, Reply, Status, StepId, ValueId};
use proptest::prelude::*;
use serde_json::{Number, Value};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("$serde_json::private::Number".to_owned()),
        Just("$serde_json::private::RawValue".to_owned()),
        Just("\u{0}\"\\\n\r\u{2028}\u{feff}".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    let texts = ["-0", "1e400", "0.10", "123456789012345678901234567890.5E-7"];
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_map(|float| Number::from_f64(float).unwrap_or(0.into())),
        proptest::sample::select(texts.to_vec()).prop_map(|text| text.parse().unwrap()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let members = proptest::collection::vec((text(), inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn values() -> impl Strategy<Value = Values> {
    let one = (any::<u32>(), value()).prop_map(|(id, value)| (ValueId(id), Arc::new(value)));
    proptest::collection::vec(one, 0..4)
}

fn columns() -> impl Strategy<Value = Vec<(Arc<str>, Value)>> {
    let one = (text(), value()).prop_map(|(name, value)| (name.into(), value));
    proptest::collection::vec(one, 0..3)
}

fn event() -> impl Strategy<Value = Event> {
    let (item, step, attempt) = (ItemId(u64::MAX), StepId(u32::MAX), u32::MAX);
    let admitted = (text(), values(), any::<u64>())
        .prop_map(move |(key, inputs, at)| ItemEvent::Admitted { key: key.into(), inputs }.of(item, at));
    let finished = move |result, at| AttemptEvent::Finished(result).of(item, step, attempt, at);
    let answered = (values(), any::<Option<u64>>(), columns(), any::<u64>()).prop_map(
        move |(outputs, tokens_used, columns, at)| {
            finished(Ok(Reply { outputs, tokens_used, columns, ..Reply::default() }), at)
        },
    );
    let failed = (text(), proptest::option::of(text()), columns(), text(), any::<i32>()).prop_map(
        move |(message, code, columns, log, exit)| {
            let failure = Failure::new(Cause::Exit(exit), message, Outcome::Unknown, false);
            let failure = Failure {
                retry_after_ms: u64::try_from(exit).ok(),
                unavailable: exit % 2 == 0,
                code,
                columns,
                log,
                ..failure
            };
            finished(Err(Box::new(failure)), 0)
        },
    );
    let time = any::<f64>().prop_map(|time| time.is_finite().then_some(time));
    let ended =
        (time, proptest::option::of(text()), columns()).prop_map(move |(duration_ms, label, columns)| {
            Event {
                kind: EventKind::Step(
                    item,
                    StepEvent::Ended(Execution {
                        step,
                        element: None,
                        status: Status::Success,
                        input: label.clone(),
                        output: label.clone(),
                        duration_ms,
                        tokens_used: None,
                        columns,
                        attempt: Some(attempt),
                        started_ms: None,
                        error: label,
                        code: None,
                        recorded: None,
                    }),
                ),
                at: 7,
            }
        });
    prop_oneof![admitted, answered, failed, ended]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_events_are_read_as_they_were_kept(
        batches in proptest::collection::vec(proptest::collection::vec(event(), 1..8), 1..5),
    ) {
        let folder = folder();
        let batches: Vec<Vec<Record>> = batches.iter().map(|batch| records(batch)).collect();
        kept(folder.path(), &batches.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let read = read_all(folder.path()).unwrap().1;
        prop_assert_eq!(read, batches.concat());
    }
}
