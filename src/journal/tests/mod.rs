//! What a journal promises: what was kept is read again, all of it or a true first part, and nothing else.

mod damage;
mod disk;
mod faults;
mod golden;
mod keep;
mod lock;
mod process;
mod property;
mod writer;

use super::{DocumentText, Header, Journal, Record, StepDefinition, Store, Unreadable, Version, read};
use crate::engine::simulator::{World, random_graph, random_policy};
use crate::engine::{Out, Run};
use crate::event::Event;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

fn header() -> Header {
    Header {
        version: Version::CURRENT,
        run: "0199f0".into(),
        started: "2026-11-20T14:30:00Z".into(),
        document: DocumentText { path: "orders.md".into(), text: "# Orders\n\n## Pay\n".into() },
        definition: vec![StepDefinition { phase: "Pay".into(), hash: "9f".into() }],
        options: json!({"jobs": 4, "rate": "0.10".parse::<serde_json::Number>().unwrap()}),
        items: json!([{"$serde_json::private::Number": "a name like any other"}]),
    }
}

/// What happens in a simulated world, which is the same every time.
fn simulated(seed: u64) -> Vec<Event> {
    let graph = Arc::new(random_graph(seed));
    let mut run = Run::new(graph.clone(), random_policy(seed));
    World::new(seed, graph).live(&mut run, &mut Out::default())
}

/// A folder in memory, where there is such a place: thousands of small journals need no disk of their own.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The first so many records of simulated worlds.
fn some(count: usize) -> Vec<Record> {
    records(&(0..).flat_map(simulated).take(count).collect::<Vec<_>>())
}

fn records(events: &[Event]) -> Vec<Record> {
    events.iter().cloned().map(Record::Event).collect()
}

fn read_all(folder: &Path) -> Result<(Header, Vec<Record>), Unreadable> {
    let mut all = Vec::new();
    let (header, records) = read(folder)?;
    records.each(|record| {
        all.push(record);
        Ok::<_, Unreadable>(())
    })?;
    Ok((header, all))
}

/// A journal of these batches, closed.
fn kept(folder: &Path, batches: &[&[Record]]) {
    let mut store = Store::create(folder, &header()).unwrap();
    for batch in batches {
        store.append(batch).unwrap();
    }
    store.tidy().unwrap();
}
