//! Statistics of a large session file beside counting its lines.

use super::pair::{Case, Unit};
use super::{Sizes, pipeline};
use anyhow::ensure;
use orderflow::session::{Entries, Head, Recorder};
use orderflow::stats::{Dimension, Fold, Live};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> anyhow::Result<Vec<Case<'a>>> {
    let rows = sizes.recorded * pipeline::STEPS;
    let (path, orders) = (folder.join("large.toon"), sizes.recorded);
    let (here, there) = (path.clone(), path);
    Ok(vec![Case {
        name: format!("stats: {rows} rows"),
        unit: Unit::BytesPerSecond,
        floor_name: "line count",
        ours: Box::new(move || {
            record(orders, &here)?;
            timed(&here, |file| counted(file, rows))
        }),
        floor: Box::new(move || {
            record(orders, &there)?;
            timed(&there, |file| lines(file, rows))
        }),
    }])
}

/// Makes the file where it is not there yet: orders that do nothing, six rows each.
pub fn record(orders: u64, path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let graph = pipeline::graph()?;
    let mut recorder = Recorder::new(&graph, path)?;
    let mut live = Live::new(&graph, Vec::new());
    let mut entries = Entries::new(&graph);
    pipeline::engine(orders, |event| {
        let Some(entry) = entries.take(event) else { return Ok(()) };
        live.take(&entry);
        Ok(recorder.take(entry)?)
    })?;
    recorder.finish(&Head { complete: true, ..Head::default() }, &live.finish().run.summary())?;
    Ok(())
}

fn timed(path: &Path, work: impl FnOnce(File) -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let begin = Instant::now();
    work(file)?;
    Ok(bytes as f64 / begin.elapsed().as_secs_f64())
}

/// The figures by step of a session file; the number of its rows.
pub fn fold(file: File) -> anyhow::Result<u64> {
    let mut fold = Fold::new(vec![Dimension::Phase]);
    let session = fold.session(file)?;
    ensure!(session.problems.is_empty(), "every row counts");
    Ok(fold.finish().run.rows)
}

fn counted(file: File, rows: u64) -> anyhow::Result<()> {
    let found = fold(file)?;
    ensure!(found == rows, "every row counts: {found}");
    Ok(())
}

fn lines(mut file: File, rows: u64) -> anyhow::Result<()> {
    let mut chunk = vec![0; 256 << 10];
    let mut lines = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &chunk[..read]).count() as u64;
    }
    ensure!(lines > rows, "every row is a line: {lines}");
    Ok(())
}
