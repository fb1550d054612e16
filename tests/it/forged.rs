//! Journals with valid checksums that say what never happened, as a folder from elsewhere may hold them: no command
//! panics, hangs or ends a process that is not the run's. `ORDERFLOW_SEEDS` asks for more of them.

use crate::place::Place;
use orderflow::event::{
    AttemptEvent, Event, EventKind, ItemEvent, ItemId, RunEvent, Settlement, StepId, StepPath,
};
use orderflow::journal::{
    self, Header, Journal, Process, Record, Revision, StepDefinition, Store, Unreadable,
};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Forged journals, where nobody asks for more.
const SEEDS: u64 = 40;

/// Retries, a list, what is undone, failures, and a step for all items.
const DOCUMENT: &str = "\
---
title: Parcels
items: parcels.csv
---

## Weigh
name::String -> weight::Integer, parts::Integer[]
[retry:: 2 fixed 1s]

```sh run
printf '{\"weight\": %s, \"parts\": [1, 2]}' \"${#IN_NAME}\"
```

## Pack
[each:: part in parts]
part -> box::String

```sh run
echo \"box $IN_PART\"
```

## Reserve
weight, box -> place::String
[compensate:: Release]

```sh run
echo \"place $IN_WEIGHT\"
```

## Release

```sh run
true
```

## Send
place -> sent::String

```sh run
test -e go || : > waiting
until test -e go || ! test -e waiting; do sleep 0.05; done
test \"$IN_PLACE\" != 'place 4' || exit 65
echo sent
```

## Sum
[per:: run]
[compensate:: Unsum]
sent -> sum::Integer

```sh run
echo 2
```

## Unsum

```sh run
true
```
";

/// A generator of numbers that are the same for a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())].clone()
    }
}

fn numbers() -> Vec<Value> {
    let mut all: Vec<Value> =
        [0, 1, 2, 3, 7, u64::from(u32::MAX), u64::MAX - 1, u64::MAX, 1 << 53].map(Value::from).to_vec();
    all.extend([json!(-1), json!(i64::MIN), json!(-0.5), json!(1e308), json!(null), json!("1"), json!([])]);
    all
}

fn texts() -> Vec<Value> {
    let long = "x".repeat(70_000);
    ["", "\u{1b}[2J\u{7}\r\n", "../../x", "run", "succeeded", "failed", &long].map(Value::from).to_vec()
}

/// Puts something else into one place of a value, wherever that is.
fn spoil(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            let at = dice.roll(object.len());
            match (dice.roll(12), object.values_mut().nth(at)) {
                (0, _) => object.clear(),
                (_, Some(inner)) => spoil(inner, dice),
                (_, None) => {}
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = dice.roll(list.len());
            match dice.roll(8) {
                0 => list.clear(),
                1 => list.push(list[at].clone()),
                _ => spoil(&mut list[at], dice),
            }
        }
        Value::String(_) => *value = dice.of(&texts()),
        _ => *value = dice.of(&numbers()),
    }
}

/// The same for what has a form of its own, which it keeps.
fn spoiled<T: serde::Serialize + serde::de::DeserializeOwned>(whole: &T, dice: &mut Dice) -> Option<T> {
    (0..20).find_map(|_| {
        let mut value = serde_json::to_value(whole).ok()?;
        spoil(&mut value, dice);
        serde_json::from_value(value).ok()
    })
}

pub fn read(home: &Path) -> (Header, Vec<Record>) {
    let (header, records) = journal::read(home).unwrap();
    let mut all = Vec::new();
    let each = |record| -> Result<(), Unreadable> {
        all.push(record);
        Ok(())
    };
    records.each(each).unwrap();
    (header, all)
}

pub fn write(home: &Path, header: &Header, records: &[Record]) {
    drop(fs::remove_dir_all(home));
    fs::create_dir_all(home).unwrap();
    let mut store = Store::create(home, header).unwrap();
    store.append(records).unwrap();
    store.tidy().unwrap();
}

/// Changes what a journal says in a few places.
fn forge(
    header: &mut Header,
    records: &mut Vec<Record>,
    others: &[Record],
    sentinel: &Process,
    dice: &mut Dice,
) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(records.len());
        match dice.roll(17) {
            0 => drop(records.remove(at)),
            1 => records.insert(at, records[at].clone()),
            2 => {
                let other = dice.roll(records.len());
                records.swap(at, other);
            }
            3 => records.insert(at, dice.of(others)),
            4 => records.truncate(at + 1),
            5 => *header = spoiled(header, dice).unwrap_or_else(|| header.clone()),
            6 => {
                let mut options = header.options.clone();
                for (name, value) in [
                    ("jobs", dice.of(&[json!(0), json!(1u64 << 63), json!(1), json!(u64::MAX)])),
                    (
                        "deadline",
                        dice.of(&[json!({"secs": u64::MAX, "nanos": 0}), json!({"secs": 0, "nanos": 1})]),
                    ),
                    (
                        "tolerate",
                        dice.of(&[
                            json!({"Percent": 1e308}),
                            json!({"Percent": -1}),
                            json!({"Count": u64::MAX}),
                        ]),
                    ),
                ] {
                    if dice.roll(2) == 0 {
                        options["args"][name] = value;
                    }
                }
                header.options = options;
            }
            7 => header.items["total"] = dice.of(&numbers()),
            8 => {
                let mut text = header.document.text.clone();
                let half = text.len() / 2;
                text.truncate(dice.of(&[0, half, text.len()]));
                let document = journal::DocumentText { path: "flow.md".into(), text };
                let definition: Vec<StepDefinition> =
                    header.definition.iter().take(1 + dice.roll(6)).cloned().collect();
                records.insert(at, Record::Revised(Revision { document, definition }));
            }
            9 => {
                let pid = dice.of(&[0, 1, u32::MAX, std::process::id(), sentinel.pid]);
                records.insert(at, Record::Spawned(Process { pid, group: pid, ..sentinel.clone() }));
            }
            10 => {
                let (item, key) = (dice.of(&[ItemId(0), ItemId(1), ItemId(9), ItemId::RUN]), "a".into());
                let retried = ItemEvent::Retried { key, inputs: None, attempt: None }.of(item, 5);
                records.insert(at, Record::Event(retried));
            }
            11 => {
                let item = dice.of(&[ItemId(0), ItemId(1), ItemId(u64::MAX - 1), ItemId::RUN]);
                let step = StepPath {
                    step: StepId(dice.of(&[0, 1, 3, 4, u32::MAX])),
                    element: dice.of(&[None, Some(0), Some(2), Some(u32::MAX)]),
                };
                let attempt = dice.of(&[0, 1, 2, u32::MAX]);
                let started = AttemptEvent::Started.of(item, step, attempt, dice.of(&[0, 9, u64::MAX]));
                records.insert(at, Record::Event(started));
            }
            12 => {
                let event = dice.of(&[
                    RunEvent::StepsBegan.at(5),
                    ItemEvent::Requeued.of(ItemId::RUN, 5),
                    ItemEvent::CompensationBegan(StepId(5)).of(ItemId::RUN, 5),
                ]);
                records.insert(at, Record::Event(event));
            }
            _ => {
                if let Record::Event(event) = &records[at]
                    && let Some(event) = spoiled(event, dice)
                {
                    records[at] = Record::Event(event);
                }
            }
        }
        if records.is_empty() {
            return;
        }
    }
}

/// Runs a command on a forged journal; its exit code.
fn survives(command: &mut Command, what: &str) -> Option<i32> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    let teller = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let begin = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what} hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    drop(reader.join());
    let err = teller.join().unwrap().unwrap();
    let code = ended.code();
    assert!(code.is_some_and(|code| code != 70), "{what}: {ended:?}\n{err}");
    assert!(!err.contains("panicked"), "{what}\n{err}");
    code
}

/// A process that no run has started.
struct Sentinel(Child);

impl Sentinel {
    fn new() -> Sentinel {
        Sentinel(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    /// As a journal would name it.
    fn process(&self) -> Process {
        let pid = self.0.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let started = stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(19).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
        let step = StepPath { step: StepId(0), element: None };
        let started = started.parse().unwrap();
        Process { item: ItemId(0), step, attempt: 1, pid, group: pid, started, boot }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The commands that only look, and those that act once a run is taken over.
const LOOKING: [&str; 8] = [
    "show RUN",
    "show RUN --format json",
    "show RUN --item ann",
    "show RUN --session trace.toon",
    "show RUN --dead-letters",
    "runs",
    "runs --step Send --format json",
    "resume --explain RUN",
];

const ACTING: [&str; 4] = [
    "resume RUN --trust --quiet",
    "retry RUN --trust --quiet",
    "resolve RUN --item anna --note x",
    "cancel RUN --trust --quiet",
];

/// A run of three items, one of which was failing and undone, as it was when it had ended twice; and one that was killed.
fn runs(place: &Place) -> Vec<(Header, Vec<Record>)> {
    place.write("parcels.csv", "name\nann\nanna\njo\n");
    place.write("go", "");
    assert_eq!(place.run("--quiet --tolerate 1 --key name").exit, Some(0));
    assert_eq!(place.orderflow("retry last --quiet --trust").exit, Some(0));
    fs::remove_file(place.path("go")).unwrap();
    let mut runner = place.begin("--quiet --key name");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    let mut all: Vec<_> = fs::read_dir(place.path(".orderflow/runs")).unwrap().collect();
    assert_eq!(all.len(), 2);
    let all = all.drain(..).map(|entry| read(&entry.unwrap().path())).collect();
    fs::remove_dir_all(place.path(".orderflow/runs")).unwrap();
    all
}

#[test]
fn no_forged_journal_is_more_than_damaged() {
    let seeds = std::env::var("ORDERFLOW_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let place = Place::new(DOCUMENT);
    let real = runs(&place);
    let mut sentinel = Sentinel::new();
    let named = sentinel.process();
    let home = place.path(".orderflow/runs/forged");
    let mut refused = 0;
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let (mut header, mut records) = dice.of(&real);
        let others = dice.of(&real).1;
        forge(&mut header, &mut records, &others, &named, &mut dice);
        write(&home, &header, &records);
        let looks = [dice.of(&LOOKING), dice.of(&LOOKING), "resume --explain RUN"];
        for command in looks.into_iter().chain(["adopt --yes RUN", dice.of(&ACTING)]) {
            let args = command.replace("RUN", ".orderflow/runs/forged");
            let code = survives(&mut place.command(&args), &format!("seed {seed}: {args}"));
            refused += u32::from(code == Some(7));
        }
        assert!(
            sentinel.0.try_wait().unwrap().is_none(),
            "seed {seed}: a process was ended that is no run's"
        );
    }
    assert!(refused > 0, "none of them was found out");
}

#[test]
fn what_cannot_have_happened_is_named_with_its_row() {
    let place = Place::new(DOCUMENT);
    let (mut header, records) = runs(&place).swap_remove(1);
    let first = records.iter().find(|record| {
        matches!(record, Record::Event(Event { kind: EventKind::Item(_, ItemEvent::Admitted { .. }), .. }))
    });
    let first = first.unwrap().clone();
    let home = place.path(".orderflow/runs/forged");
    let path = StepPath { step: StepId(0), element: None };
    let started = |item, attempt, at| AttemptEvent::Started.of(item, path, attempt, at);
    let nowhere = StepPath { step: StepId(u32::MAX), element: None };
    let (item, other) = (ItemId(0), ItemId(u64::MAX - 1));
    let misplaced = |what: &str| format!("{what} cannot follow what is before it");
    for (event, why) in [
        (ItemEvent::Failed.of(other, 1), misplaced(&format!("`item_failed` of item {}", other.0))),
        (
            RunEvent::StepsEnded(Settlement::new(orderflow::event::ItemState::Failed, None)).at(1),
            misplaced("`run_steps_ended` of the run"),
        ),
        (started(item, 1, u64::MAX), "the time of `attempt_started` is out of range".to_owned()),
        (
            AttemptEvent::Started.of(item, nowhere, 1, 1),
            "an event names a step or a value that the document does not have".to_owned(),
        ),
    ] {
        write(&home, &header, &[first.clone(), Record::Event(event)]);
        for command in ["show forged", "show forged --item ann", "resume --explain forged"] {
            let told = place.orderflow(&command.replace("forged", ".orderflow/runs/forged"));
            assert_eq!(told.exit, Some(7), "{command}{}", told.err);
            let damaged = format!("is damaged at row 1: {why}\n");
            assert!(told.err.ends_with(&damaged), "{}{damaged}", told.err);
        }
    }
    // What only the state of its item rules out is found where the run is folded.
    write(&home, &header, &[first.clone(), Record::Event(started(item, 2, 1))]);
    let told = place.orderflow("show .orderflow/runs/forged --item ann");
    assert_eq!(told.exit, Some(7), "{}", told.err);
    let why = misplaced("`attempt_started` of item 0");
    assert!(told.err.ends_with(&format!("is damaged at row 1: {why}\n")), "{}", told.err);

    header.items["total"] = u64::MAX.into();
    write(&home, &header, std::slice::from_ref(&first));
    let told = place.orderflow("show .orderflow/runs/forged");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.out.contains("18,446,744,073,709,551,614 not started"), "{}", told.out);
}

/// As many records as this, all of them possible.
const MANY: u32 = 100_000;

#[test]
fn many_records_of_one_item_take_no_longer_than_they_are_many() {
    let place = Place::new(DOCUMENT);
    let (header, mut records) = runs(&place).swap_remove(1);
    records.retain(|record| {
        matches!(record, Record::Event(Event { kind: EventKind::Item(_, ItemEvent::Admitted { .. }), .. }))
    });
    records.truncate(1);
    let started = |element| {
        let step = StepPath { step: StepId(1), element: Some(element) };
        Record::Event(AttemptEvent::Started.of(ItemId(0), step, 1, 1))
    };
    records.extend((0..MANY).map(started));
    let home = place.path(".orderflow/runs/forged");
    write(&home, &header, &records);
    for command in ["show .orderflow/runs/forged", "runs", "show .orderflow/runs/forged --dead-letters"] {
        assert_eq!(survives(&mut place.command(command), command), Some(0), "{command}");
    }
}
