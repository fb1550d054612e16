//! Durable steps beside the bare database: the same bytes, in as many commits of the same size.

use super::Sizes;
use super::pair::{Case, Unit};
use super::pipeline;
use anyhow::{Context, ensure};
use orderflow::event::{EventKind, StepEvent};
use orderflow::journal::{self, DocumentText, Header, Journal, Record, Store, Version, Writer, WriterReport};
use orderflow::value::Value;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Records of steps that end at about the same time: a commit.
const TOGETHER: usize = 256;

/// What is kept, and its rows as text.
struct Load {
    folder: PathBuf,
    batches: Vec<Vec<Record>>,
    rows: Vec<String>,
    steps: u64,
}

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> anyhow::Result<Vec<Case<'a>>> {
    let grouped = Rc::new(Load::new(sizes.orders, TOGETHER, &folder.join("grouped"))?);
    let single = Rc::new(Load::new(sizes.single_commits, 4, &folder.join("single"))?);
    let queued = grouped.clone();
    let case = |name: String, load: Rc<Load>, ours: fn(&Load) -> anyhow::Result<()>| {
        let floor = load.clone();
        Case {
            name,
            unit: Unit::StepsPerSecond,
            floor_name: "SQLite, the same bytes and commits",
            ours: Box::new(move || load.rate(ours)),
            floor: Box::new(move || floor.rate(|load| bare(&load.folder, &load.rows))),
        }
    };
    Ok(vec![
        case(format!("journal: {TOGETHER} records a commit"), grouped, append),
        case("journal: thread with a queue".into(), queued, write),
        case("journal: a step a commit".into(), single, append),
    ])
}

impl Load {
    fn new(orders: u64, together: usize, folder: &Path) -> anyhow::Result<Load> {
        let (mut records, mut steps) = (Vec::new(), 0);
        pipeline::engine(orders, |event| {
            steps += u64::from(matches!(&event.kind, EventKind::Step(_, StepEvent::Ended(_))));
            records.push(Record::Event(event.clone()));
            Ok(())
        })?;
        let batches: Vec<Vec<Record>> = records.chunks(together).map(<[Record]>::to_vec).collect();
        std::fs::create_dir_all(folder)?;
        let mut load = Load { folder: folder.to_owned(), batches, rows: Vec::new(), steps };
        append(&load)?;
        load.rows = rows(folder)?;
        ensure!(load.rows.len() == load.batches.len(), "a row a commit");
        Ok(load)
    }

    /// Steps a second.
    fn rate(&self, work: fn(&Load) -> anyhow::Result<()>) -> anyhow::Result<f64> {
        let begin = Instant::now();
        work(self)?;
        Ok(self.steps as f64 / begin.elapsed().as_secs_f64())
    }
}

/// What a journal holds, a row a commit.
pub fn rows(folder: &Path) -> anyhow::Result<Vec<String>> {
    let connection = Connection::open(folder.join(journal::FILE))?;
    let mut rows = connection.prepare("SELECT records FROM batch ORDER BY number")?;
    let rows = rows.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A path in the folder where no database is.
fn fresh(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    for left in ["", "-wal", "-shm"] {
        let left = folder.join(format!("{name}{left}"));
        if left.exists() {
            std::fs::remove_file(left)?;
        }
    }
    Ok(folder.join(name))
}

/// An empty journal.
pub fn store(folder: &Path) -> anyhow::Result<Store> {
    fresh(folder, journal::FILE)?;
    let header = Header {
        version: Version::CURRENT,
        run: "measured".into(),
        started: "2026-11-20T12:00:00Z".into(),
        document: DocumentText { path: "pipeline.md".into(), text: String::new() },
        definition: Vec::new(),
        options: Value::Null,
        items: Value::Null,
    };
    Ok(Store::create(folder, &header)?)
}

fn append(load: &Load) -> anyhow::Result<()> {
    let mut store = store(&load.folder)?;
    for batch in &load.batches {
        store.append(batch)?;
    }
    Ok(store.tidy()?)
}

/// As a run does it: batches are handed over while earlier ones are committed.
fn write(load: &Load) -> anyhow::Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let writer = Writer::start(store(&load.folder)?, move |what| {
        // Whoever listens no longer does not mind.
        let _ = tell.send(what);
    })?;
    for (number, batch) in load.batches.iter().enumerate() {
        writer.send(number as u64, batch.clone());
    }
    writer.close()?;
    let last = told.iter().last().context("something was kept")?;
    let all = load.batches.len() as u64 - 1;
    ensure!(matches!(last, WriterReport::Durable { up_to } if up_to == all), "all was kept: {last:?}");
    Ok(())
}

/// The bare database: a row a commit.
pub fn bare(folder: &Path, rows: &[String]) -> anyhow::Result<()> {
    let mut connection = Connection::open(fresh(folder, "bare.db")?)?;
    connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous=FULL; CREATE TABLE batch (number INTEGER PRIMARY KEY, records TEXT)",
    )?;
    for (number, row) in rows.iter().enumerate() {
        let transaction = connection.transaction()?;
        transaction.execute("INSERT INTO batch VALUES (?1, ?2)", params![number as i64, row])?;
        transaction.commit()?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
