//! A small journal, cut at every byte and with every bit flipped: what is read was kept, or it is said not to be
//! readable. `ORDERFLOW_DAMAGE=all` tries every one, otherwise some of each part.

use super::*;
use crate::journal::FILE;
use crate::journal::chain::Checksum;
use crate::value::Value;
use std::fs;
use std::path::PathBuf;

/// Records of each commit that stands beside the main file.
const LAST: usize = 4;

/// A journal's files as a killed runner leaves them.
struct Files {
    /// The main file and the log beside it.
    parts: Vec<(String, Vec<u8>)>,
    kept: Vec<Record>,
}

/// Some commits; closed, or with the last of them beside the main file.
fn files(closed: bool) -> Files {
    let folder = folder();
    let kept = some(24);
    let mut store = Store::create(folder.path(), &header()).unwrap();
    let (first, rest) = kept.split_at(kept.len() / 2);
    first.chunks(2).for_each(|batch| store.append(batch).unwrap());
    store.tidy().unwrap();
    rest.chunks(LAST).for_each(|batch| store.append(batch).unwrap());
    if closed {
        drop(store);
    }
    let names = [FILE.to_owned(), format!("{FILE}-wal")];
    let parts = names.map(|name| {
        let content = fs::read(folder.path().join(&name)).unwrap_or_default();
        (name, content)
    });
    assert_eq!(parts[1].1.is_empty(), closed);
    Files { parts: parts.into(), kept }
}

/// How far apart the places are that are tried.
fn stride(usual: usize) -> usize {
    if std::env::var("ORDERFLOW_DAMAGE").is_ok_and(|all| all == "all") { 1 } else { usual }
}

/// What a reader makes of damaged files.
enum Read {
    All,
    /// The first records, and no word of others.
    Some(usize),
    Refused,
}

struct Patient {
    folder: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

impl Patient {
    fn new(files: &Files) -> Patient {
        let folder = folder();
        let paths = files.parts.iter().map(|(name, _)| folder.path().join(name)).collect();
        Patient { folder, paths }
    }

    fn read(&self, files: &Files, part: usize, content: &[u8], what: &str) -> Read {
        for (index, (_, whole)) in files.parts.iter().enumerate() {
            fs::write(&self.paths[index], if index == part { content } else { whole }).unwrap();
        }
        let _ = fs::remove_file(self.folder.path().join(format!("{FILE}-shm")));
        let mut seen = Vec::new();
        let result = read(self.folder.path()).and_then(|(found, records)| {
            records.each(|record| {
                seen.push(record);
                Ok::<_, Unreadable>(())
            })?;
            Ok(found)
        });
        assert!(files.kept.starts_with(&seen), "{what}: other records");
        match result {
            Ok(found) => {
                assert_eq!(found, header(), "{what}");
                if seen.len() == files.kept.len() { Read::All } else { Read::Some(seen.len()) }
            }
            Err(Unreadable::Damaged { .. } | Unreadable::Version { .. }) => Read::Refused,
            Err(other) => panic!("{what}: {other}"),
        }
    }
}

#[test]
fn a_flipped_bit_is_harmless_or_found() {
    for closed in [true, false] {
        let files = files(closed);
        let patient = Patient::new(&files);
        let (mut refused, mut lost) = (0, 0);
        for (part, (name, whole)) in files.parts.iter().enumerate() {
            for bit in (0..whole.len() * 8).step_by(stride(83)) {
                let mut content = whole.clone();
                content[bit / 8] ^= 1 << (bit % 8);
                match patient.read(&files, part, &content, &format!("bit {bit} of {name}")) {
                    Read::All => {}
                    Read::Refused => refused += 1,
                    // A broken last commit cannot be told from one that power took before it was durable.
                    Read::Some(seen) => {
                        assert!(
                            part == 1 && seen == files.kept.len() - LAST,
                            "bit {bit} of {name}: {seen} of {}",
                            files.kept.len()
                        );
                        lost += 1;
                    }
                }
            }
        }
        assert!(refused > 50, "{refused} refused");
        assert!(closed == (lost == 0), "{lost} without the last commit");
    }
}

#[test]
fn a_cut_journal_is_a_first_part_or_refused() {
    for closed in [true, false] {
        let files = files(closed);
        let patient = Patient::new(&files);
        let mut parts = 0;
        for (part, (name, whole)) in files.parts.iter().enumerate() {
            for length in (0..whole.len()).step_by(stride(61)) {
                match patient.read(&files, part, &whole[..length], &format!("{length} bytes of {name}")) {
                    Read::All => assert!(part == 1 || !closed, "{length} bytes of {name} are enough"),
                    // Cut at its end, the log is as it was before its last commits.
                    Read::Some(_) => {
                        assert_eq!(part, 1, "{length} bytes of {name}");
                        parts += 1;
                    }
                    Read::Refused => assert_eq!(part, 0, "{length} bytes of {name}"),
                }
            }
        }
        assert!(closed == (parts == 0));
    }
}

/// What a disk does that loses a write, or puts one in another place.
#[test]
fn a_page_that_is_old_empty_or_another_one_is_harmless_or_found() {
    const PAGE: usize = 4096;
    let folder = folder();
    let kept = some(200);
    let mut store = Store::create(folder.path(), &header()).unwrap();
    let mut states = Vec::new();
    for batch in kept.chunks(20) {
        store.append(batch).unwrap();
        store.tidy().unwrap();
        states.push(fs::read(folder.path().join(FILE)).unwrap());
    }
    let whole = states.pop().unwrap();
    let files = Files { parts: vec![(FILE.to_owned(), whole.clone())], kept };
    let patient = Patient::new(&files);
    let mut refused = 0;
    for (at, page) in whole.chunks(PAGE).enumerate() {
        let here = at * PAGE..at * PAGE + PAGE;
        let older = states.iter().filter_map(|state| state.get(here.clone()));
        for other in older.chain([&[0; PAGE][..]]).chain(whole.chunks(PAGE)).filter(|other| *other != page) {
            let mut content = whole.clone();
            content[here.clone()].copy_from_slice(other);
            match patient.read(&files, 0, &content, &format!("page {at}")) {
                Read::All => {}
                Read::Some(seen) => panic!("page {at}: {seen} records, and no word of the others"),
                Read::Refused => refused += 1,
            }
        }
    }
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn a_row_that_is_missing_changed_or_in_another_place_is_named() {
    let folder = folder();
    let all = some(24);
    let journal = folder.path().join(FILE);
    let cases = [
        ("DELETE FROM batch WHERE number = 3", "at row 3: row 4 is in its place"),
        ("DELETE FROM batch WHERE number > 4", "is damaged: 6 rows were written, and the last one here is 4"),
        (
            "UPDATE batch SET records = replace(records, '\"at\":', '\"at\":1') WHERE number = 2",
            "at row 2: its checksum does not fit",
        ),
        ("UPDATE batch SET sum = 7 WHERE number = 2", "at row 2: it is not what a row is"),
        ("UPDATE batch SET number = -number WHERE number = 2", "at row 1: row -2 is in its place"),
        ("DELETE FROM tail", "an unknown number of rows were written, and the last one here is 6"),
        (
            "UPDATE header SET text = replace(text, 'orders.md', 'others.md')",
            "the header: its checksum does not fit",
        ),
        ("DROP TABLE batch", "its tables are not those of a journal"),
        // Whoever made it could have what is called a table computed without end, or act when it is written to.
        (
            "ALTER TABLE batch RENAME TO rows; CREATE VIEW batch AS SELECT * FROM rows",
            "its tables are not those of a journal",
        ),
        (
            "DROP TABLE header; CREATE VIEW header AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 \
             FROM n) SELECT max(x) AS text, 1 AS sum FROM n",
            "its tables are not those of a journal",
        ),
        (
            "CREATE TRIGGER more AFTER INSERT ON batch BEGIN DELETE FROM batch; END",
            "its tables are not those of a journal",
        ),
        ("CREATE TABLE more (x)", "its tables are not those of a journal"),
    ];
    for (change, message) in cases {
        let _ = fs::remove_file(&journal);
        kept(folder.path(), &all.chunks(all.len().div_ceil(6)).collect::<Vec<_>>());
        let connection = rusqlite::Connection::open(&journal).unwrap();
        connection.execute_batch(change).unwrap();
        connection.close().unwrap();
        let error = read_all(folder.path()).unwrap_err();
        assert!(matches!(error, Unreadable::Damaged { .. }), "{change}: {error}");
        assert!(error.to_string().contains(message), "{change}: {error}");
        assert!(Store::open(folder.path()).is_err(), "{change}");
    }
}

/// What is small on disk, packed, would take many times the memory of its text.
#[test]
fn a_header_or_a_record_of_too_many_values_is_not_read() {
    let folder = folder();
    let many = format!("[{}0]", "[],".repeat(4_000_000));
    let header = Header { options: Value::from("MARK"), ..header() };
    let mut store = Store::create(folder.path(), &header).unwrap();
    store.append(&some(2)).unwrap();
    store.tidy().unwrap();
    drop(store);
    let change = |sql: &str, text: &str, sum: &[u8]| {
        let connection = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
        connection.execute(sql, rusqlite::params![text, sum]).unwrap();
    };
    let first = header.text().unwrap();
    let row = format!("{{\"unknown\":{many}}}\n");
    let sum = Checksum::begin(&first).next(1, row.as_bytes());
    change("UPDATE batch SET records = ?1, sum = ?2", &row, sum.bytes());
    let (_, records) = read(folder.path()).unwrap();
    let error = records.each(|_| Ok::<(), Unreadable>(())).unwrap_err().to_string();
    assert!(error.contains("a record of it has more values than there can be"), "{error}");
    drop(records);
    let text = first.replace("\"MARK\"", &many);
    change("UPDATE header SET text = ?1, sum = ?2", &text, Checksum::begin(&text).bytes());
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("the header: it has more values than a run can be given"), "{error}");
}
