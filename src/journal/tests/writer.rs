//! The thread keeps what it is given, tells of it in order, and stops at the first trouble.

use super::super::{Trouble, Writer, WriterReport};
use super::*;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

type Commits = Arc<Mutex<Vec<Vec<Record>>>>;

/// Keeps records in memory, at most so many commits, each when it is let through.
struct Fake {
    kept: Commits,
    gate: Receiver<()>,
    most: usize,
}

fn fake(most: usize) -> (Fake, Commits, Sender<()>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (open, gate) = mpsc::channel();
    (Fake { kept: kept.clone(), gate, most }, kept, open)
}

impl Journal for Fake {
    fn append(&mut self, records: &[Record]) -> Result<(), Trouble> {
        self.gate.recv().unwrap();
        let mut kept = self.kept.lock().unwrap();
        if kept.len() == self.most {
            return Err(Trouble::new(Path::new("fake"), "no space left"));
        }
        kept.push(records.to_vec());
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

#[test]
fn what_waits_becomes_one_commit() {
    let (journal, kept, open) = fake(usize::MAX);
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(journal, move |what| tell.send(what).unwrap()).unwrap();
    let all = some(9);
    for (number, record) in all.iter().enumerate() {
        writer.send(number as u64, vec![record.clone()]);
    }
    for _ in 0..all.len() {
        open.send(()).unwrap();
    }
    writer.close().unwrap();
    let kept = kept.lock().unwrap();
    assert_eq!(kept.concat(), all);
    // Each batch is one record: so many are durable when it is told.
    let mut durable = 0;
    for (what, commit) in told.iter().zip(kept.iter()) {
        let WriterReport::Durable { up_to } = what else { panic!("{what:?}") };
        durable += commit.len() as u64;
        assert_eq!(up_to + 1, durable);
    }
    assert_eq!(durable, all.len() as u64);
    // The first commit takes what had come before it began and is held up until all has come.
    assert!(kept.len() <= 2, "{} commits", kept.len());
}

#[test]
fn after_trouble_nothing_is_kept_and_nothing_is_told_as_kept() {
    for commits in 0..4 {
        let (journal, kept, open) = fake(commits);
        let (tell, told) = mpsc::channel();
        let writer = Writer::start(journal, move |what| tell.send(what).unwrap()).unwrap();
        let all = some(9);
        let mut answers = Vec::new();
        for (number, record) in all.iter().enumerate().take(commits + 1) {
            writer.send(number as u64, vec![record.clone()]);
            open.send(()).unwrap();
            answers.push(told.recv().unwrap());
        }
        assert!(matches!(answers.pop(), Some(WriterReport::Trouble(_))));
        assert!(answers.iter().all(|answer| matches!(answer, WriterReport::Durable { .. })));
        writer.send(99, all.clone());
        let trouble = writer.close().unwrap_err();
        assert_eq!(trouble.to_string(), "cannot write the journal fake: no space left");
        assert_eq!(told.iter().count(), 0);
        assert_eq!(kept.lock().unwrap().concat(), all[..commits]);
    }
}

#[test]
fn a_real_journal_is_whole_when_its_writer_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &header()).unwrap();
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(store, move |what| tell.send(what).unwrap()).unwrap();
    let all = some(50);
    for (number, batch) in all.chunks(3).enumerate() {
        writer.send(number as u64, batch.to_vec());
    }
    writer.close().unwrap();
    let last = all.chunks(3).len() as u64 - 1;
    assert!(matches!(told.iter().last(), Some(WriterReport::Durable { up_to }) if up_to == last));
    assert_eq!(read_all(folder.path()).unwrap().1, all);
}
