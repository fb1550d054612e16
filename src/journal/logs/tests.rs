//! Logs are read as they were written, and a file that is not one never panics or hangs.

use super::super::Unreadable;
use super::*;
use rusqlite::Connection;
use std::path::Path;
use tempfile::TempDir;

fn attempt(id: i64, key: &str, number: u32) -> LogChange {
    let (phase, title) = ("Pay".to_owned(), "Pay Now".to_owned());
    LogChange::Attempt { id, item: id.unsigned_abs(), key: key.into(), phase, title, element: None, number }
}

fn chunk(id: i64, attempt: i64, text: &str) -> LogChange {
    LogChange::Chunk { id, attempt, at: id.unsigned_abs() * 10, stream: 0, text: text.into() }
}

fn texts(folder: &Path, filter: &LogFilter, after: i64) -> Result<Vec<String>, UnreadableLogs> {
    let mut texts = Vec::new();
    if let Some(mut reader) = LogReader::open(folder)? {
        reader.each(filter, after, |part: LogPart| {
            let left_out = if part.left_out > 0 { format!("({})", part.left_out) } else { String::new() };
            texts.push(format!("{} {} {}{left_out}", part.key, part.attempt, part.text));
            Ok::<(), UnreadableLogs>(())
        })?;
    }
    Ok(texts)
}

fn written() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (mut store, ..) = LogStore::open(folder.path()).unwrap();
    let changes = [
        attempt(1, "a", 1),
        attempt(2, "b", 1),
        chunk(1, 1, "x"),
        chunk(3, 2, "y"),
        chunk(4, 1, "gone"),
        chunk(5, 1, "z\0€"),
    ];
    store.append(&changes).unwrap();
    let left_out = LogChange::LeftOut { id: 2, attempt: 1, at: 20, bytes: 7 };
    store.append(&[LogChange::Remove { id: 4 }, left_out]).unwrap();
    store.close();
    folder
}

#[test]
fn logs_are_read_in_order_by_item_and_behind_a_part() {
    let folder = written();
    let all = LogFilter::default();
    assert_eq!(texts(folder.path(), &all, 0).unwrap(), ["a 1 x", "a 1 (7)", "b 1 y", "a 1 z\0€"]);
    assert_eq!(texts(folder.path(), &all, 3).unwrap(), ["a 1 z\0€"]);
    let a = LogFilter { key: Some("a".into()), ..LogFilter::default() };
    assert_eq!(texts(folder.path(), &a, 0).unwrap(), ["a 1 x", "a 1 (7)", "a 1 z\0€"]);
    let other = LogFilter { steps: Some(vec!["Ship".into()]), ..LogFilter::default() };
    assert_eq!(texts(folder.path(), &other, 0).unwrap(), [""; 0]);
    let mut reader = LogReader::open(folder.path()).unwrap().unwrap();
    assert!(reader.has_item("a").unwrap() && !reader.has_item("c").unwrap());
    assert!(reader.is_one(&a).unwrap() && !reader.is_one(&all).unwrap());
}

#[test]
fn a_resumed_run_appends_and_a_reader_sees_what_is_written_meanwhile() {
    let folder = written();
    let (mut store, attempts, parts) = LogStore::open(folder.path()).unwrap();
    assert_eq!((attempts, parts), (2, 5));
    let mut reader = LogReader::open(folder.path()).unwrap().unwrap();
    store.append(&[attempt(3, "c", 2), chunk(6, 3, "w")]).unwrap();
    let mut seen = Vec::new();
    reader
        .each(&LogFilter::default(), 5, |part| {
            seen.push((part.text, part.at, part.attempt));
            Ok::<(), UnreadableLogs>(())
        })
        .unwrap();
    assert_eq!(seen, [("w".to_owned(), 60, 2)]);
}

#[test]
fn a_run_that_logs_nothing_has_no_file() {
    let folder = TempDir::new().unwrap();
    assert!(!has_logs(folder.path()));
    assert!(LogReader::open(folder.path()).unwrap().is_none());
}

/// Files of other programs, forged rows, and files cut or changed anywhere.
#[test]
fn a_damaged_or_foreign_file_is_an_error_and_never_overwritten() {
    let folder = written();
    let path = folder.path().join(LOGS);
    let whole = std::fs::read(&path).unwrap();
    let refuses = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let read = texts(folder.path(), &LogFilter::default(), 0);
        let opened = LogStore::open(folder.path());
        assert!(read.is_err() && opened.is_err(), "{read:?}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    };
    refuses(b"");
    refuses(&[b'x'; 5000]);
    refuses(&whole[..600]);
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        // Other text may be read; it must end.
        let _ = texts(folder.path(), &LogFilter::default(), 0);
        let _ = texts(folder.path(), &LogFilter { key: Some("a".into()), ..LogFilter::default() }, 0);
    }
    for sql in [
        "CREATE VIEW more AS SELECT 1",
        "DROP INDEX chunk_by_attempt",
        "CREATE TRIGGER t AFTER INSERT ON chunk BEGIN SELECT 1; END",
        "INSERT INTO chunk VALUES (9, 1, -1, 0, 0, '')",
        "INSERT INTO chunk VALUES (9, 1, 1, 900, 0, '')",
        "UPDATE attempt SET number = -1",
        "UPDATE attempt SET element = 'x'",
    ] {
        std::fs::write(&path, &whole).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let read = texts(folder.path(), &LogFilter::default(), 0);
        assert!(matches!(&read, Err(UnreadableLogs(Unreadable::Damaged { .. }))), "{sql}: {read:?}");
    }
    std::fs::write(&path, &whole).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO chunk VALUES (9223372036854775807, 1, 1, 0, 0, '')")
        .unwrap();
    assert!(LogStore::open(folder.path()).is_err());
}

#[test]
fn links_and_pipes_in_its_place_are_refused() {
    let folder = written();
    let path = folder.path().join(LOGS);
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(LogReader::open(folder.path()).is_err() && LogStore::open(folder.path()).is_err());
    std::fs::remove_file(&path).unwrap();
    let wal = folder.path().join("logs.db-wal");
    std::fs::rename(&elsewhere, &path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &wal).unwrap();
    assert!(LogReader::open(folder.path()).is_err() && LogStore::open(folder.path()).is_err());
}
