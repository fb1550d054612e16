//! Runs that are cancelled while they are active, paused or retried.

use crate::resume::{DOCUMENT, kill, kill_tree, orderflow, rows, scene, start};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn a_run_can_be_given_up_while_it_lives_and_after_it_was_left() {
    let scene = scene();
    let folder = scene.path();
    fs::write(folder.join("w.md"), DOCUMENT.replacen("sleep 0.02", "sleep 5", 2)).unwrap();
    let begin = || {
        let lines = || fs::read_to_string(folder.join("effects")).unwrap_or_default().lines().count();
        let before = lines();
        let mut runner = start(folder, &["run", "w.md", "--quiet"]);
        while lines() == before {
            assert!(runner.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(1));
        }
        runner
    };
    let told = |args: &[&str]| {
        let output = orderflow(folder, args);
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    };
    let mut runner = begin();
    assert_eq!(told(&["cancel", "last"]).1, Some(0));
    assert_eq!(runner.wait().unwrap().code(), Some(1));
    let (message, code) = told(&["resume", "last"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("cancelled") && message.contains("compensated"), "{message}");

    let mut runner = begin();
    kill(&mut runner);
    kill_tree(folder);
    let (message, code) = told(&["cancel", "last"]);
    assert_eq!(code, Some(0), "{message}");
    let cancelled = rows(&folder.join("session.toon"));
    assert!(cancelled.iter().any(|row| row.contains("cancelled")), "{cancelled:?}");
    assert_eq!(told(&["resume", "last"]).1, Some(1), "a run that was given up does not go on");
}

/// Whoever comes first: a run that was given up does nothing any more, and one that has ended says so.
#[test]
fn a_retry_that_is_given_up_as_it_begins_does_not_go_on() {
    for pause in [0, 3, 10, 30, 60, 100, 200, 400] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let document = "# T\n## A\no -> a\n```sh run\ntest -e mended || exit 65\necho $$ > working\nexec sleep 1000\n```\n";
        fs::write(folder.join("w.md"), document).unwrap();
        fs::write(folder.join("orderflow.toml"), "fences = true\n").unwrap();
        assert_eq!(orderflow(folder, &["run", "w.md", "--quiet", "--input", "o=1"]).status.code(), Some(1));
        fs::write(folder.join("mended"), "").unwrap();
        let mut retry = start(folder, &["retry", "last", "--quiet"]);
        std::thread::sleep(Duration::from_millis(pause));
        let cancel = || {
            let output = orderflow(folder, &["cancel", "last"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "after {pause} ms: {said}");
            said
        };
        let mut said = cancel();
        while said.contains("has ended") && retry.try_wait().unwrap().is_none() {
            // It came before the retry had begun.
            said = cancel();
        }
        let exit = retry.wait().unwrap().code();
        match said.contains("has ended") {
            true => assert_eq!(exit, Some(8), "{said}"),
            false => assert!(matches!(exit, Some(1 | 2)), "after {pause} ms: {exit:?} {said}"),
        }
        // It may have been ended before it had written its number.
        let working = fs::read_to_string(folder.join("working")).unwrap_or_default();
        if let Ok(pid) = working.trim().parse::<u32>() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(stat.is_empty() || stat.contains(") Z "), "after {pause} ms it works still: {stat}");
        }
        if exit != Some(8) {
            let again = orderflow(folder, &["retry", "last"]);
            let said = String::from_utf8_lossy(&again.stderr).into_owned();
            assert_eq!(again.status.code(), Some(2), "{said}");
            assert!(said.contains("was cancelled and does not continue"), "{said}");
        }
    }
}
