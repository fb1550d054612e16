//! The example of a deployment: an approval in CI, the wait until the host is healthy, and the way back.

use crate::place::Place;
use crate::program::{Told, told};
use crate::python::{path, python};
use crate::workflows::workflows;
use std::process::{Child, Stdio};

/// A web host that ends with its test.
pub struct Host(Child);

impl Host {
    pub fn start(place: &Place) -> Host {
        let mut command = python();
        command.arg(place.path("workflows/deploy/host.py")).arg(place.path("site"));
        std::fs::create_dir(place.path("site")).unwrap();
        let host = Host(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        place.await_file("site/port");
        host
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn orderflow(place: &Place, args: &str) -> Told {
    told(place.command(args).env("PATH", path()).env("SITE", place.path("site")).output().unwrap())
}

/// Builds version 2 in a first job, which ends with 5; the run's folder.
fn build(place: &Place) -> String {
    let waits = orderflow(place, "run workflows/deploy.md --input version=2");
    assert_eq!(waits.exit, Some(5), "{}", waits.err);
    let asks = "waiting at the gate of Make Live (Make version 2 live?): 1\n";
    assert!(waits.err.contains(asks), "{}", waits.err);
    assert_eq!(live(place), "releases/1");
    let run = std::fs::read_dir(place.path("workflows/.orderflow/runs")).unwrap().next().unwrap().unwrap();
    run.path().display().to_string()
}

fn approve(place: &Place, run: &str) -> Told {
    let mut command = place.command(&format!("approve {run} --as ops --resume --quiet"));
    command.arg("Make Live").env("PATH", path()).env("SITE", place.path("site"));
    told(command.output().unwrap())
}

fn live(place: &Place) -> String {
    std::fs::read_link(place.path("site/current")).unwrap().display().to_string()
}

/// The rows of a step in the trace.
fn rows(place: &Place, phase: &str) -> Vec<String> {
    let rows = place.rows("session.toon");
    rows.into_iter().filter(|row| row.starts_with(phase)).collect()
}

#[test]
fn a_version_is_built_approved_later_made_live_and_awaited() {
    let place = workflows();
    let _host = Host::start(&place);
    let run = build(&place);
    let done = approve(&place, &run);
    assert_eq!(done.exit, Some(0), "{}", done.err);
    let said = "approved Make Live for all items; 1 waits now\n  1: Make version 2 live?\n";
    assert!(done.err.starts_with(said), "{}", done.err);
    assert_eq!(live(&place), "releases/2");
    assert_eq!(place.read("site/deployments.log"), "version 2\n");
    let looks = rows(&place, "AwaitHealth");
    assert!(looks.len() > 1, "the host has to load the release first: {looks:?}");
    assert!(looks.iter().all(|row| row == "AwaitHealth 1 #1 success"), "{looks:?}");
}

#[test]
fn a_version_that_does_not_become_healthy_is_rolled_back() {
    let place = workflows();
    let _host = Host::start(&place);
    place.write("site/page.html", "<html>Version VERSION");
    let run = build(&place);
    let failed = approve(&place, &run);
    assert_eq!(failed.exit, Some(1), "{}", failed.err);
    let looks = rows(&place, "AwaitHealth");
    assert_eq!(looks.len(), 10, "{looks:?}");
    assert_eq!(looks[9], "AwaitHealth 1 #1 failed (`health.ok` does not hold after 10 rounds)");
    assert_eq!(rows(&place, "RollBack"), ["RollBack 1 #1 compensated"]);
    assert_eq!(rows(&place, "RemoveBuild"), ["RemoveBuild 1 #1 compensated"]);
    assert_eq!(live(&place), "releases/1");
    assert!(!place.path("site/releases/2").exists() && !place.path("site/deployments.log").exists());
}

/// Its recorded rows fit it, and meet its expectations.
#[test]
fn the_recorded_rows_of_the_deploy_fit_it() {
    let place = workflows();
    let verified = orderflow(&place, "verify workflows/deploy.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
    let judged = orderflow(&place, "stats workflows/deploy.md");
    assert_eq!(judged.exit, Some(0), "{}{}", judged.out, judged.err);
}

#[test]
fn a_rejected_version_never_becomes_live() {
    let place = workflows();
    let _host = Host::start(&place);
    let run = build(&place);
    let mut command = place.command(&format!("reject {run} --as ops --resume --quiet"));
    command.arg("Make Live").env("PATH", path()).env("SITE", place.path("site"));
    let rejected = told(command.output().unwrap());
    assert_eq!(rejected.exit, Some(1), "{}", rejected.err);
    assert_eq!(live(&place), "releases/1");
    assert_eq!(rows(&place, "RemoveBuild"), ["RemoveBuild 1 #1 compensated"]);
    assert!(!place.path("site/releases/2").exists());
}
