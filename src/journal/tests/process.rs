//! Runners as processes of their own: racing for a run, killed while they write, out of room.

use super::*;
use crate::journal::{Lock, LockError};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What this test binary does as a child of itself: its part and its folder.
const PART: &str = "ORDERFLOW_JOURNAL_CHILD";

/// Before what a child says, among what the test harness says.
const SAYS: &str = "child says ";

/// How a child is called: its own limits, if any, are set by a shell.
fn child(part: &str, folder: &Path, shell: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "journal::tests::process::child_of_these_tests", "--nocapture"]);
    command.env(PART, format!("{part} {}", folder.display()));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The next thing that a child says; none when it has ended.
fn heard(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    lines.find_map(|line| {
        let line = line.ok()?;
        Some(line[line.find(SAYS)? + SAYS.len()..].to_owned())
    })
}

fn events() -> Vec<Record> {
    some(600)
}

/// Nothing, unless it is started by one of the tests below.
#[test]
fn child_of_these_tests() {
    let Ok(asked) = std::env::var(PART) else { return };
    let (part, folder) = asked.split_once(' ').unwrap();
    let folder = Path::new(folder);
    match part {
        "lock" => {
            let lock = Lock::acquire(folder);
            match &lock {
                Ok(_) => println!("{SAYS}held"),
                Err(LockError::By(pid)) => println!("{SAYS}refused {pid:?}"),
                Err(LockError::Storage(error)) => panic!("{error}"),
            }
            std::io::stdin().lines().for_each(drop);
            drop(lock);
        }
        "write" => {
            let _lock = Lock::acquire(folder).unwrap();
            let mut store = Store::create(folder, &header()).unwrap();
            let mut promised = 0;
            for batch in events().chunks(3).cycle() {
                match store.append(batch) {
                    Ok(()) => promised += batch.len(),
                    Err(trouble) => {
                        assert!(store.append(batch).is_err());
                        println!("{SAYS}{trouble}");
                        return;
                    }
                }
                println!("{SAYS}{promised}");
            }
        }
        other => panic!("{other}"),
    }
}

/// What a child kept is at least what it said, and no more than a batch beyond; it can be gone on with.
fn judge(folder: &Path, promised: usize) {
    assert!(!Lock::is_held(folder).unwrap());
    let (found, read) = read_all(folder).unwrap();
    assert_eq!(found, header());
    assert!((promised..=promised + 3).contains(&read.len()), "{} of {promised}", read.len());
    let events = events();
    let given = events.chunks(3).cycle().flatten().take(read.len());
    assert!(read.iter().eq(given));
    let (mut store, _) = Store::open(folder).unwrap();
    store.append(&events).unwrap();
    drop(store);
    assert!(read_all(folder).unwrap().1[read.len()..] == events);
}

#[test]
fn of_processes_that_race_for_a_run_one_wins_and_its_end_frees_the_run() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut children: Vec<_> = (0..4).map(|_| child("lock", folder.path(), "")).collect();
        let said: Vec<String> = children.iter_mut().map(|(_, lines)| heard(lines).unwrap()).collect();
        let winner = said.iter().position(|said| said == "held").unwrap();
        let pid = children[winner].0.id();
        for (index, said) in said.iter().enumerate().filter(|(index, _)| *index != winner) {
            // While it acquires the lock, its holder has no name.
            assert!(
                [format!("refused {:?}", Some(pid)), "refused None".into()].contains(said),
                "{index}: {said}"
            );
        }
        assert!(Lock::is_held(folder.path()).unwrap());
        children[winner].0.kill().unwrap();
        children[winner].0.wait().unwrap();
        drop(Lock::acquire(folder.path()).unwrap());
        for (mut child, _) in children {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

#[test]
fn a_writer_that_is_killed_lost_nothing_that_it_promised_and_is_read_while_it_lives() {
    for commits in [1, 2, 7, 40] {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, mut lines) = child("write", folder.path(), "");
        let mut promised = 0;
        for _ in 0..commits {
            promised = heard(&mut lines).unwrap().parse().unwrap();
            assert!(Lock::is_held(folder.path()).unwrap());
            let read = read_all(folder.path()).unwrap().1;
            assert!(read.len() >= promised);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(said) = heard(&mut lines) {
            promised = said.parse().unwrap();
        }
        judge(folder.path(), promised);
    }
}

#[test]
fn a_writer_without_room_says_so_and_keeps_what_it_promised() {
    // Blocks of 512 bytes that a file may have; the signal that tells of too many is turned into an error.
    for blocks in [100, 300] {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, mut lines) =
            child("write", folder.path(), &format!("trap '' XFSZ; ulimit -f {blocks};"));
        let (mut promised, mut trouble) = (0, None);
        while let Some(said) = heard(&mut lines) {
            match said.parse() {
                Ok(number) => promised = number,
                Err(_) => trouble = Some(said),
            }
        }
        child.wait().unwrap();
        let trouble = trouble.expect("the limit is reached");
        assert!(trouble.starts_with("cannot write the journal "), "{trouble}");
        assert!(promised > 0);
        judge(folder.path(), promised);
    }
}

#[test]
fn a_folder_that_is_gone_or_may_not_be_written_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    assert!(Store::create(&gone, &header()).is_err());
    std::fs::create_dir(&gone).unwrap();
    let all = some(24);
    kept(&gone, &[&all]);
    let (mut store, _) = Store::open(&gone).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    // What is written now reaches a file that nobody can find again.
    assert!(store.append(&all).is_err());
    assert!(store.append(&all).is_err());
}
