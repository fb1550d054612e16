//! What is left of a runner that has died, with real processes: which are ended and which are let live.

use super::super::orphans::{self, OrphanReport};
use super::super::process::ProgramAgent;
use super::super::program::Program;
use super::super::spawned::{ProcessIdentity as Told, new_mark};
use super::super::{Adapter, Call, Spawns, Stop, Urgency};
use super::{PATIENCE, about, call, is_gone, until};
use crate::event::{ItemId, StepId};
use rustix::process::Pid;
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What stands in a mark behind its run: a runner that is gone.
const GONE: &str = "999999999-1-0";

/// A program that was started by somebody else, and is not to outlive the test.
struct Scene {
    folder: TempDir,
    child: Child,
    told: Told,
}

impl Scene {
    fn new(source: &str, mark: Option<&str>) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", source]).current_dir(folder.path()).process_group(0);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(mark.map(|mark| ("ORDERFLOW_PROCESS", mark)));
        // What it leaves behind must not hold the pipes of whoever reads what the tests say.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let told = Told::of(Pid::from_child(&child)).unwrap();
        Scene { folder, child, told }
    }

    async fn number(&self, file: &str) -> u32 {
        let number = || std::fs::read_to_string(self.folder.path().join(file)).ok()?.trim().parse().ok();
        until("the program has written its number", || number().is_some()).await;
        number().unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends what is left of a run. Tests that give marks have runs of their own: they go on at the same time.
async fn end(run: &str, told: Told) -> OrphanReport {
    let (_stopper, mut stop) = Stop::new();
    orphans::end(run, &[told], Duration::from_millis(300), &mut stop).await
}

const WAITS: &str = "echo $$ > part; mv part ready; exec sleep 1000";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_a_start_is_what_the_system_says() {
    let folder = tempfile::tempdir().unwrap();
    let command = ["sh", "-c", WAITS].map(str::to_owned).to_vec();
    let path = ("PATH".to_owned(), std::env::var_os("PATH").unwrap());
    let process = ProgramAgent::new(Program { command, folder: folder.path().to_owned(), env: vec![path] });
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let attempt = (ItemId(7), StepId(0).into(), 3);
    let call = Call { spawns: Spawns::of(attempt, sender), ..call(folder.path(), "", json!({})) };
    let (stopper, stop) = Stop::new();
    let ending = tokio::spawn(async move { drop(process.call(call, stop).await) });
    let spawned = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!((spawned.attempt, spawned.stays), (attempt, false));

    let told = &spawned.process;
    let text = std::fs::read_to_string(format!("/proc/{}/stat", told.pid)).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(fields[2], told.group.to_string());
    assert_eq!(fields[19], told.started.to_string());
    assert_eq!(&*told.boot, boot.trim());

    let report = orphans::end("run-1", std::slice::from_ref(told), Duration::ZERO, &mut Stop::new().1).await;
    assert_eq!(report, OrphanReport::default(), "its runner lives");
    assert!(!is_gone(told.pid));
    stopper.ask(Urgency::Kill);
    tokio::time::timeout(PATIENCE, ending).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_carries_no_mark_is_let_live_whatever_the_journal_says() {
    for mark in [None, Some("run-20/999999999-1-0")] {
        let scene = Scene::new(WAITS, mark);
        let pid = scene.number("ready").await;
        let unmarked = if mark.is_none() { vec![pid] } else { Vec::new() };
        let expected = OrphanReport { unmarked, ..OrphanReport::default() };
        assert_eq!(end("run-2", scene.told.clone()).await, expected);
        assert!(!is_gone(pid));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_run_has_started_is_let_live() {
    let scene = Scene::new(WAITS, Some(&format!("run-30/{GONE}")));
    let pid = scene.number("ready").await;
    assert_eq!(end("run-3", scene.told.clone()).await, OrphanReport::default());
    assert!(!is_gone(pid));
    let ended = OrphanReport { ended: vec![pid], ..OrphanReport::default() };
    assert_eq!(end("run-30", scene.told.clone()).await, ended);
    assert!(is_gone(pid));
    assert_eq!(end("run-30", scene.told.clone()).await, OrphanReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_it_has_started_is_ended_too() {
    let far = "setsid sh -c 'trap \"\" TERM; echo $$ > part3; mv part3 far; while :; do sleep 1000; done' &";
    let near = "(trap '' TERM; exec sleep 1000) &\necho $! > near";
    let scene = Scene::new(&format!("{far}\n{near}\n{WAITS}"), Some(&format!("run-21/{GONE}")));
    let pids = [scene.number("far").await, scene.number("near").await, scene.number("ready").await];
    let report = end("run-21", scene.told.clone()).await;
    assert!(report.left.is_empty(), "{report:?}");
    assert!(pids.iter().all(|pid| report.ended.contains(pid) && is_gone(*pid)), "{pids:?} {report:?}");
}

/// One in a group that carries no mark and whose parents are gone is known by the others in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_known_by_those_that_are_still_in_it() {
    let waits = |file: &str| format!("sh -c 'echo $$ > p{file}; mv p{file} {file}; exec sleep 1000'");
    let source = format!(
        "(env -i PATH=\"$PATH\" {} &)\n({} &)\nuntil test -e near && test -e bare; do sleep 0.01; done",
        waits("bare"),
        waits("near")
    );
    let scene = Scene::new(&source, Some(&format!("run-8/{GONE}")));
    let pids = [scene.number("bare").await, scene.number("near").await];
    until("the program itself has ended", || is_gone(scene.told.pid)).await;
    let report = end("run-8", scene.told.clone()).await;
    assert!(report.left.is_empty(), "{report:?}");
    assert!(pids.iter().all(|pid| report.ended.contains(pid) && is_gone(*pid)), "{pids:?} {report:?}");
}

/// What is asked to end or killed does not start something before, of which nobody knows any more whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_again_and_again_does_not_get_away() {
    // Deaf to the request or not.
    for deaf in ["", "trap \"\" TERM; "] {
        get_away(deaf).await;
    }
}

async fn get_away(deaf: &str) {
    let again = format!("{deaf}echo $$ > pfar; mv pfar far; while :; do sleep 1000; done");
    let run = format!("run-22{}", deaf.len());
    let source = format!("env -i PATH=\"$PATH\" setsid sh -c '{again}' &\n{WAITS}");
    let scene = Scene::new(&source, Some(&format!("{run}/{GONE}")));
    let (far, _) = (scene.number("far").await, scene.number("ready").await);
    let report = end(&run, scene.told.clone()).await;
    assert!(report.ended.contains(&far) && report.left.is_empty(), "{report:?}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let in_its_group =
        |pid: &u32| about(*pid).is_some_and(|(state, group)| group == far && !matches!(state, 'Z' | 'X'));
    assert_eq!(pids.filter(in_its_group).collect::<Vec<u32>>(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_told_of_is_known_by_its_mark() {
    let source = "setsid sh -c 'echo $$ > part; mv part far; exec sleep 1000' &";
    for (mark, ends) in [
        (&*format!("run-9/{GONE}"), true),
        (&*format!("run-90/{GONE}"), false),
        ("run-9", false),
        ("run-9/", false),
        // It lives: it is this very process.
        (&*new_mark("run-9"), false),
    ] {
        let scene = Scene::new(source, Some(mark));
        let far = scene.number("far").await;
        let dead = Told { started: 1, ..scene.told.clone() };
        let report = end("run-9", dead).await;
        assert_eq!((report.ended.contains(&far), is_gone(far)), (ends, ends), "{mark}: {report:?}");
        if !ends {
            rustix::process::kill_process(Pid::from_raw(far as i32).unwrap(), rustix::process::Signal::KILL)
                .unwrap();
        }
    }
}
