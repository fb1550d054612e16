//! Journals with valid checksums and values that no step of the document can have made: an error with the row, for every
//! command. What `--stub` makes up, and names in the place of secrets, may not fit a type and are no error.

use crate::forged::{read, write};
use crate::place::Place;
use crate::share::one_of;
use orderflow::event::{AttemptEvent, Event, EventKind, ItemEvent, StepEvent, StepId, ValueId};
use orderflow::journal::{DocumentText, Header, Record, Revision};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

const DOCUMENT: &str = "\
---
title: Parcels
items: parcels.jsonl
---

## Weigh
parcel::Parcel -> weight::Integer, note::String?, parts::Integer[]

```sh run
echo '{\"weight\": 3, \"parts\": [1, 2], \"grams\": 5}'
```

## Pack
[each:: part in parts]
part -> box::Box

```sh run
echo '{\"box\": {\"code\": \"abcdefgh\"}}'
```

## Types

```json schema
{\"$defs\": {
  \"Parcel\": {\"type\": \"object\", \"properties\": {\"id\": {\"type\": \"string\"}}, \"required\": [\"id\"]},
  \"Code\": {\"type\": \"string\", \"pattern\": \"^[a-z]{8}$\"},
  \"Box\": {\"type\": \"object\", \"properties\": {\"code\": {\"$ref\": \"#/$defs/Code\"}}, \"required\": [\"code\"]}
}}
```
";

fn home(place: &Place) -> PathBuf {
    std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path()
}

/// A run of one item, as its journal has it.
fn run(place: &Place, args: &str) -> (Header, Vec<Record>) {
    place.write("parcels.jsonl", "{\"id\": \"vase\"}\n");
    let told = place.run(&format!("--quiet {args}"));
    assert_eq!(told.exit, Some(0), "{}", told.err);
    read(&home(place))
}

fn events(records: &mut [Record]) -> impl Iterator<Item = &mut Event> {
    records.iter_mut().filter_map(|record| if let Record::Event(event) = record { Some(event) } else { None })
}

/// Changes what a step has answered.
fn answered(records: &mut [Record], step: u32, change: impl Fn(&mut Outputs)) {
    for event in events(records) {
        if let EventKind::Attempt(_, path, _, AttemptEvent::Finished(Ok(reply))) = &mut event.kind
            && path.step == StepId(step)
        {
            change(&mut reply.outputs);
        }
    }
}

fn columns(records: &mut [Record], columns: &[(String, Value)]) {
    for event in events(records) {
        if let EventKind::Attempt(_, _, _, AttemptEvent::Finished(Ok(reply))) = &mut event.kind {
            reply.columns =
                columns.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect();
        }
    }
}

type Change = Box<dyn Fn(&mut Vec<Record>)>;
type Forge = (&'static str, Change);
type Outputs = Vec<(ValueId, Arc<Value>)>;

fn value(at: usize, new: Value) -> impl Fn(&mut Outputs) {
    move |outputs| outputs[at].1 = Arc::new(new.clone())
}

fn forgeries() -> Vec<Forge> {
    let of = |step: u32, change: fn(&mut Outputs)| -> Change {
        Box::new(move |records| answered(records, step, change))
    };
    let with = |names: fn() -> Vec<(String, Value)>| -> Change {
        Box::new(move |records| columns(records, &names()))
    };
    let key = "k".repeat(4097);
    vec![
        (
            "`attempt_finished` of item 0: output `weight` is not of type Integer: expected Integer, found a string",
            Box::new(|records| answered(records, 0, value(0, json!("3")))),
        ),
        (
            "`attempt_finished` of item 0: output parts[1]: expected Integer, found a number",
            Box::new(|records| answered(records, 0, value(2, json!([1, 2.5])))),
        ),
        (
            "`attempt_finished` of item 0: output `weight` is missing",
            of(0, |outputs| drop(outputs.remove(0))),
        ),
        ("`attempt_finished` of item 0: output `parts` is missing", of(0, |outputs| outputs.truncate(2))),
        (
            "`attempt_finished` of item 0: it has output `weight` twice",
            of(0, |outputs| outputs.push(outputs[0].clone())),
        ),
        (
            "`attempt_finished` of item 0: its step does not declare output `weight`",
            of(1, |outputs| outputs.push((ValueId(1), Arc::new(json!(1))))),
        ),
        // An element has one box, not the list of all.
        (
            "`attempt_finished` of item 0: output `box` is not of type Box: expected an object, found a list",
            Box::new(|records| answered(records, 1, value(0, json!([{"code": "abcdefgh"}])))),
        ),
        (
            "`attempt_finished` of item 0: output box.code: expected text like /^[a-z]{8}$/, found \"ABC\"",
            Box::new(|records| answered(records, 1, value(0, json!({"code": "ABC"})))),
        ),
        (
            "`item_admitted` of item 0: input parcel.id: expected a string, found a number",
            Box::new(|records| {
                for event in events(records) {
                    if let EventKind::Item(_, ItemEvent::Admitted { inputs, .. }) = &mut event.kind {
                        inputs[0].1 = Arc::new(json!({"id": 5}));
                    }
                }
            }),
        ),
        (
            "`item_admitted` of item 0: the item's key is longer than 4096 bytes",
            Box::new(move |records| {
                for event in events(records) {
                    if let EventKind::Item(_, ItemEvent::Admitted { key: old, .. }) = &mut event.kind {
                        *old = key.as_str().into();
                    }
                }
            }),
        ),
        (
            "`attempt_finished` of item 0: it has column `usd` twice",
            with(|| vec![("usd".into(), json!(1)), ("usd".into(), json!(2))]),
        ),
        (
            "`attempt_finished` of item 0: it has column `status` twice",
            with(|| vec![("status".into(), json!(1))]),
        ),
        ("`attempt_finished` of item 0: column `usd` is a list", with(|| vec![("usd".into(), json!([1]))])),
        (
            "`attempt_finished` of item 0: \"c256\" is one column too many: a step has at most 256 over all its items",
            with(|| (0..257).map(|at| (format!("c{at}"), json!(1))).collect()),
        ),
        (
            "`attempt_finished` of item 0: the names of all columns of a run take more than 4 MiB",
            with(|| (0..200).map(|at| (format!("{at:0>30000}"), json!(1))).collect()),
        ),
        (
            "`attempt_finished` of item 0: the columns of one answer take more than 16 MiB",
            with(|| vec![("usd".into(), json!("x".repeat((16 << 20) + 1)))]),
        ),
        (
            "`step_ended` of item 0: its texts take more than 16 MiB",
            Box::new(|records| {
                for event in events(records) {
                    if let EventKind::Step(_, StepEvent::Ended(execution)) = &mut event.kind {
                        execution.output = Some("x".repeat((16 << 20) + 1));
                    }
                }
            }),
        ),
    ]
}

#[test]
fn a_value_that_a_step_cannot_have_made_is_named_with_its_row() {
    let place = Place::new(DOCUMENT);
    let (header, records) = run(&place, "");
    let home = home(&place);
    let share = one_of(4);
    for (number, (why, forge)) in forgeries().into_iter().enumerate() {
        let mut forged = records.clone();
        forge(&mut forged);
        assert_ne!(forged, records, "{why}");
        write(&home, &header, &forged);
        let folder = home.display();
        let commands = ["show RUN", "show RUN --item vase", "show RUN --session -", "resume --explain RUN"];
        for command in commands.into_iter().skip(number % share).step_by(share) {
            let told = place.orderflow(&command.replace("RUN", &folder.to_string()));
            assert_eq!(told.exit, Some(7), "{command} {why}: {}{}", told.out, told.err);
            let row = told.err.rsplit_once(" is damaged at row ").map(|(_, row)| row).unwrap_or(&told.err);
            let named = row.split_once(": ").map(|(_, named)| named.trim_end());
            assert_eq!(named, Some(why), "{command}: {}", told.err);
        }
    }
}

/// The types of the document count that the run went by then, not those of the newest.
#[test]
fn values_are_held_against_the_document_of_their_time() {
    let place = Place::new(DOCUMENT);
    let (header, mut records) = run(&place, "");
    let home = home(&place);
    let text = DOCUMENT.replace("weight::Integer", "weight::String");
    let revision = |text: String| {
        let document = DocumentText { path: "flow.md".into(), text };
        Record::Revised(Revision { document, definition: header.definition.clone() })
    };
    records.push(revision(text.clone()));
    write(&home, &header, &records);
    let shown = place.orderflow(&format!("show {}", home.display()));
    assert_eq!(shown.exit, Some(0), "made as an integer, before the revision: {}", shown.err);
    let revised = records.pop().unwrap();
    records.insert(0, revised);
    write(&home, &header, &records);
    let shown = place.orderflow(&format!("show {}", home.display()));
    assert_eq!(shown.exit, Some(7), "{}", shown.err);
    let why = "`attempt_finished` of item 0: output `weight` is not of type String: expected String, found a number";
    assert!(shown.err.trim_end().ends_with(why), "{}", shown.err);
}

#[test]
fn what_honest_runs_store_fits() {
    // What is made up does not follow a pattern.
    let place = Place::new(&DOCUMENT.replace("```sh run", "```sh"));
    let (header, mut records) = run(&place, "--stub");
    let home = home(&place);
    let shows = || {
        let told = place.orderflow(&format!("show {}", home.display()));
        assert_eq!((told.exit, told.err.as_str()), (Some(0), ""));
    };
    shows();
    let place = Place::new(DOCUMENT);
    drop(std::mem::replace(&mut records, run(&place, "").1));
    answered(&mut records, 1, value(0, json!({"code": "[secret:KEY]"})));
    write(&home, &header, &records);
    shows();
}

/// An input that was given for the whole run is held against the document that the run follows now.
#[test]
fn a_given_input_that_does_not_fit_any_more_is_refused() {
    let document = "# T\n\n## First\n-> a::String\n\n```sh run\ntest -e go || { touch waiting; sleep 100; }\necho a\n```\n\n\
                    ## Last\na, count::Integer -> b::String\n\n```sh run\necho b\n```\n";
    let place = Place::new(document);
    let mut runner = place.begin("--quiet --input count=5");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    place.write("flow.md", &document.replace("count::Integer", "count::String"));
    let told = place.orderflow("resume last --use-current --trust --quiet");
    let expected = "error: the run was started with --input count: expected String, found a number; nothing was run\n  \
                    help: restore its type in the document, or start a new run\n";
    assert_eq!((told.exit, told.err.as_str()), (Some(6), expected));
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
}
