//! What is left of a runner that has died, with real processes: which are ended and which are let live.

use super::super::orphans::{self, Report};
use super::super::process::Process;
use super::super::program::Program;
use super::super::{Adapter, Call, Spawned, Spawns, Stop, Stopper, Urgency};
use super::{PATIENCE, call, is_gone, until};
use crate::event::{ItemId, StepId};
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A program that runs, and what was told of its start.
struct Scene {
    folder: TempDir,
    process: Spawned,
    stopper: Stopper,
    ending: JoinHandle<()>,
}

async fn scene(source: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let command = ["sh", "-c", source].map(str::to_owned).to_vec();
    let path = ("PATH".to_owned(), std::env::var("PATH").unwrap());
    let process = Process::new(Program { command, folder: folder.path().to_owned(), env: vec![path] });
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let spawns = Spawns::of((ItemId(7), StepId(0).into(), 3), told);
    let call = Call { spawns, ..call(folder.path(), "", json!({})) };
    let (stopper, stop) = Stop::new();
    let ending = tokio::spawn(async move { drop(process.call(call, stop).await) });
    let process = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    Scene { folder, process, stopper, ending }
}

impl Scene {
    fn number(&self, file: &str) -> Option<u32> {
        std::fs::read_to_string(self.folder.path().join(file)).ok()?.trim().parse().ok()
    }

    async fn is_ready(&self, file: &str) -> u32 {
        until("the program has written its number", || self.number(file).is_some()).await;
        self.number(file).unwrap()
    }

    async fn over(self) {
        self.stopper.ask(Urgency::Kill);
        tokio::time::timeout(PATIENCE, self.ending).await.unwrap().unwrap();
    }
}

async fn end(process: Spawned) -> Report {
    let (_stopper, mut stop) = Stop::new();
    orphans::end(&[process], Duration::from_millis(300), &mut stop).await
}

const WAITS: &str = "echo $$ > part; mv part ready; exec sleep 1000";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_a_start_is_what_the_system_says() {
    let scene = scene(WAITS).await;
    let pid = scene.is_ready("ready").await;
    let process = &scene.process;
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(process.attempt, Some((ItemId(7), StepId(0).into(), 3)));
    assert_eq!((process.pid, process.group), (pid as i32, fields[2].parse().unwrap()));
    assert_eq!(process.started, fields[19].parse().ok());
    assert_eq!(process.boot.as_deref(), Some(boot.trim()));
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let mark = format!("ORDERFLOW_PROCESS={}", process.mark);
    assert!(environment.split('\0').any(|entry| entry == mark), "{environment}");
    scene.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_very_process_is_ended() {
    let scene = scene(WAITS).await;
    let pid = scene.is_ready("ready").await;
    let same = || Spawned { mark: "another".into(), ..scene.process.clone() };
    let others = [
        Spawned { started: same().started.map(|ticks| ticks + 1), ..same() },
        Spawned { started: None, ..same() },
        Spawned { boot: Some("00000000-0000-0000-0000-000000000000".into()), ..scene.process.clone() },
        Spawned { boot: None, ..scene.process.clone() },
    ];
    for other in others {
        assert_eq!(end(other.clone()).await, Report::default(), "{other:?}");
        assert!(!is_gone(pid), "{other:?}");
    }
    let ended = Report { ended: vec![pid as i32], left: Vec::new() };
    assert_eq!(end(same()).await, ended);
    assert!(is_gone(pid));
    assert_eq!(end(same()).await, Report::default(), "its number may be another's now");
    scene.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_it_has_started_is_ended_too() {
    let far =
        "env -i setsid sh -c 'trap \"\" TERM; echo $$ > part3; mv part3 far; while :; do sleep 1000; done' &";
    let near = "(trap '' TERM; echo near; exec sleep 1000) &\necho $! > near";
    let source = format!("{far}\n{near}\n{WAITS}");
    let scene = scene(&source).await;
    let mut pids = Vec::new();
    for file in ["far", "near", "ready"] {
        pids.push(scene.is_ready(file).await);
    }
    let report = end(Spawned { mark: "another".into(), ..scene.process.clone() }).await;
    assert!(report.left.is_empty() && report.ended.len() >= 4, "{report:?}");
    assert!(
        pids.iter().all(|pid| report.ended.contains(&(*pid as i32)) && is_gone(*pid)),
        "{pids:?} {report:?}"
    );
    scene.over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_the_program_is_known_by_its_mark() {
    let source = "setsid sh -c 'echo $$ > part; mv part far; exec sleep 1000' &\nexec sleep 1000";
    let scene = scene(source).await;
    let far = scene.is_ready("far").await;
    let dead = Spawned { pid: i32::MAX, group: i32::MAX, started: Some(1), ..scene.process.clone() };
    let report = end(dead).await;
    assert!(report.ended.contains(&(far as i32)), "{report:?}");
    assert!(is_gone(far));
    scene.over().await;
}
