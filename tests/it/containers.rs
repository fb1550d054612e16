//! Programs in containers as agents. Only a docker client is here, without a daemon: a stand-in runs the containers as
//! plain processes, and records every command line.

use crate::place::Place;
use crate::program::{Told, told};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A folder with a document, and the stand-in's daemon, which ends with the test.
pub struct Dock {
    pub place: Place,
    daemon: Child,
}

impl Drop for Dock {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

impl Dock {
    pub fn new(document: &str, agent: &str) -> Dock {
        let place = Place::new(document);
        place.write("orderflow.toml", &format!("[agents.shop]\n{agent}\n"));
        place.write("daemon/keep", "");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/docker.py");
        let daemon = Command::new("python3")
            .args([script, "--daemon", "socket"])
            .current_dir(place.path("daemon"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        place.await_file("daemon/socket");
        place.write("bin/docker", &format!("#!/bin/sh\nexec python3 {script} \"$@\"\n"));
        let docker = place.path("bin/docker");
        std::fs::set_permissions(docker, std::fs::Permissions::from_mode(0o755)).unwrap();
        Dock { place, daemon }
    }

    pub fn command(&self, args: &str) -> Command {
        let mut command = self.place.command(args);
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
        let path = std::env::join_paths([vec![self.place.path("bin")], path].concat()).unwrap();
        command.env("PATH", path);
        command.env("DOCKER_HOST", format!("unix://{}", self.place.path("daemon/socket").display()));
        command
    }

    pub fn orderflow(&self, args: &str) -> Told {
        told(self.command(args).output().unwrap())
    }

    fn begin(&self) -> std::io::Result<Child> {
        self.command("run flow.md --quiet --input a=1").stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// The command lines so far.
    fn calls(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.place.path("daemon/calls")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const SHIP: &str = "# Ship\n\n## Print Label @shop\nname::String → label::File\n\nPrint {{ name }} in capitals.\n\n\
    ## Read Label @shop\nlabel → text::String, attempts::Integer\n";

/// In the container, all of the contract is where the variables say.
const PROGRAM: &str = r#"container = { image = "shop:1.2", command = ["sh", "-c", '''
echo "working on $ORDERFLOW_STEP" >&2
if [ "$ORDERFLOW_STEP" = PrintLabel ]; then
  test ${#PAY_KEY} = 7 || exit 3
  grep -q "in capitals" "$ORDERFLOW_INSTRUCTIONS" || exit 4
  cat > "$ORDERFLOW_DIR/input.json"
  cmp "$ORDERFLOW_DIR/input.json" "$ORDERFLOW_INPUT" || exit 5
  echo "$IN_NAME for $SHOP" > "$ORDERFLOW_DIR/label.txt"
  echo label.txt
else
  printf '{"text": "%s", "attempts": %s, "home": "%s"}' "$(cat "$IN_LABEL")" "$ORDERFLOW_ATTEMPT" "${HOME-none}" > "$ORDERFLOW_OUTPUT"
fi
'''] }
env = ["SHOP"]
secrets = ["PAY_KEY"]"#;

#[test]
fn a_container_of_the_stand_in_for_docker_has_the_contract_of_a_program() {
    let dock = Dock::new(SHIP, PROGRAM);
    let mut command = dock.command("run flow.md --quiet --input name=Ada");
    let ran = told(command.env("SHOP", "Bookshop").env("PAY_KEY", "letmein").output().unwrap());
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let shown = dock.orderflow("show last --item 1").out;
    assert!(
        shown.contains(
            "makes text: \"Ada for Bookshop\"\n    makes attempts: 1\n    reports home: \"none\"\n"
        ),
        "{shown}"
    );
    let calls = dock.calls();
    assert_eq!(calls.len(), 2);
    for word in calls.iter().flatten() {
        assert!(!["Ada", "Bookshop", "letmein"].iter().any(|value| word.contains(value)), "{word}");
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let run = calls[0].iter().find_map(|word| word.strip_prefix("--label=orderflow.run=")).unwrap();
    let place = |word: &String| match word.split_once('=') {
        Some(("--label", label)) if label.starts_with("orderflow.process=") => {
            "--label=orderflow.process=MARK".to_owned()
        }
        _ => word.replace(run, "RUN").replace(&dock.place.folder().display().to_string(), "FOLDER"),
    };
    let words: Vec<String> = calls[1].iter().map(place).collect();
    let home = "FOLDER/.orderflow/runs/RUN";
    let scratch = words.iter().find_map(|word| word.strip_prefix("--cidfile=")).unwrap();
    let scratch =
        scratch.strip_suffix("/0-1-1.cid").unwrap().strip_prefix(&format!("{home}/")).unwrap().to_owned();
    let own = |name: &str| words.iter().any(|word| word == &format!("--env={name}"));
    assert!(
        ["SHOP", "PAY_KEY", "ORDERFLOW_DIR", "ORDERFLOW_OUTPUT", "IN_LABEL", "TRACEPARENT"]
            .into_iter()
            .all(own),
        "{words:?}"
    );
    assert!(!["PATH", "HOME", "ORDERFLOW_INSTRUCTIONS", "DOCKER_HOST"].into_iter().any(own), "{words:?}");
    let others: Vec<&String> = words.iter().filter(|word| !word.starts_with("--env=")).collect();
    let mounted = |path: &str| format!("--mount=type=bind,source={home}/{path},target={home}/{path}");
    let expected = [
        "run".to_owned(),
        "--rm".to_owned(),
        "--interactive".to_owned(),
        "--name=orderflow-RUN-0-1-1".to_owned(),
        format!("--cidfile={home}/{scratch}/0-1-1.cid"),
        "--label=orderflow.run=RUN".to_owned(),
        "--label=orderflow.process=MARK".to_owned(),
        "--stop-timeout=0".to_owned(),
        "--network=none".to_owned(),
        format!("--user={user}:{group}"),
        mounted(&format!("{scratch}/0-1-1.box")),
        mounted(&format!("{scratch}/slot-1.files")),
        format!("{},readonly", mounted("items/000000-1/PrintLabel.1/label.txt")),
        "shop:1.2".to_owned(),
        "sh".to_owned(),
        "-c".to_owned(),
    ];
    assert_eq!(others[..others.len() - 1], expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_container_of_the_stand_in_for_docker_can_have_the_network() {
    let dock = Dock::new(
        "# T\n\n## A @shop\na::Integer → b::Integer\n",
        "container = { image = \"x\", command = [\"echo\", \"2\"], network = true, engine = \"docker\" }",
    );
    assert_eq!(dock.orderflow("run flow.md --quiet --input a=1").exit, Some(0));
    assert!(!dock.calls()[0].iter().any(|word| word.contains("network")));
    let told = dock.orderflow("agents flow.md");
    assert!(told.out.ends_with("shop   A      container x with network: echo 2\n"), "{}", told.out);
}

#[test]
fn failures_of_the_stand_in_for_docker_say_whether_anything_ran() {
    let document = "# T\n\n## A @shop\na::Integer → b::Integer\n";
    let failed = |agent: &str, host: Option<&str>| {
        let dock = Dock::new(document, agent);
        let mut command = dock.command("run flow.md --quiet --input a=1");
        if let Some(host) = host {
            command.env("DOCKER_HOST", host);
        }
        assert_eq!(told(command.output().unwrap()).exit, Some(1));
        let shown = dock.orderflow("show last --item 1 --format json").out;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let attempt = &shown["steps"][0]["attempts"][0];
        (
            attempt["error"]["message"].as_str().unwrap_or_default().to_owned(),
            attempt["error"]["outcome"].clone(),
        )
    };
    let missing = failed("container = { image = \"missing\" }", None);
    assert_eq!(
        missing.0,
        "exited with 125: docker: Error response from daemon: pull access denied for missing"
    );
    assert_eq!(missing.1, "not_executed");
    let gone = failed("container = { image = \"x\" }", Some("unix:///nowhere"));
    assert_eq!(gone.0, "exited with 125: docker: Cannot connect to the Docker daemon at unix:///nowhere.");
    assert_eq!(gone.1, "not_executed");
    let own = failed("container = { image = \"x\", command = [\"sh\", \"-c\", \"exit 125\"] }", None);
    assert_eq!(own.0, "exited with 125");
    assert_eq!(own.1, "unknown");
    // Podman removes the file with the id together with the container.
    let silent = failed("container = { image = \"tidy\", command = [\"sh\", \"-c\", \"exit 125\"] }", None);
    assert_eq!(silent, ("exited with 125".to_owned(), "unknown".into()));
    let source = "sleep 2; echo 'Error: no paper' >&2; exit 125";
    let loud =
        failed(&format!("container = {{ image = \"tidy\", command = [\"sh\", \"-c\", {source:?}] }}"), None);
    assert_eq!(loud, ("exited with 125: Error: no paper".to_owned(), "unknown".into()));
}

#[test]
fn without_docker_and_podman_nothing_starts() {
    let place = Place::new("# T\n\n## A @shop\na::Integer → b::Integer\n");
    for (engine, message) in [
        ("", "`shop` is a container, and `docker` or `podman` was not found"),
        (", engine = \"podman\"", "`shop` is a container, and `podman` was not found"),
    ] {
        place.write("orderflow.toml", &format!("[agents.shop]\ncontainer = {{ image = \"x\"{engine} }}\n"));
        let mut command = place.command("run flow.md --input a=1");
        let told = told(command.env("PATH", place.folder()).output().unwrap());
        assert_eq!(told.exit, Some(3), "{}", told.err);
        assert!(told.err.contains(&format!("error[missing-engine]: {message}\n")), "{}", told.err);
        assert!(told.err.ends_with("error: not every step can be done; nothing was run\n"), "{}", told.err);
    }
}

/// A program that ignores SIGTERM, after it has written its number to the file `pid`; later it succeeds.
fn stubborn(image: &str) -> Dock {
    let dock = Dock::new("# T\n\n## Pay @shop\na::Integer → paid::Integer\n", "");
    let pid = dock.place.path("pid").display().to_string();
    let source = format!(
        "trap '' TERM; echo \"$ORDERFLOW_KEY\" >> {pid}.keys; if test -e {pid}; then echo 1; exit; fi; echo $$ > {pid}.new; mv {pid}.new {pid}; while :; do sleep 0.1; done"
    );
    dock.place.write(
        "orderflow.toml",
        &format!(
            "[agents.shop]\ncontainer = {{ image = {image:?}, command = [\"sh\", \"-c\", {source:?}] }}\n"
        ),
    );
    dock
}

fn is_gone(pid: &str) -> bool {
    let stat =
        std::fs::read_to_string(PathBuf::from(format!("/proc/{}/stat", pid.trim()))).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn a_container_of_the_stand_in_for_docker_is_ended_by_its_label() {
    // With the second image, the client is killed before the id of the container is known.
    for image in ["x", "late"] {
        let dock = stubborn(image);
        let mut child = dock.begin().unwrap();
        dock.place.await_file("pid");
        let pid = dock.place.read("pid");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        dock.place.until("the container outlives a request", || !is_gone(&pid));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        child.wait().unwrap();
        let calls = dock.calls();
        let mark = calls[0].iter().find_map(|word| word.strip_prefix("--label=orderflow.process=")).unwrap();
        let [_, listed, removed] = &calls[..] else { panic!("{calls:?}") };
        let filter = format!("--filter=label=orderflow.process={mark}");
        assert_eq!(*listed, ["ps", "--all", "--quiet", "--no-trunc", &filter]);
        assert_eq!(removed[..2], ["rm", "--force"]);
        dock.place.until("the container has ended", || is_gone(&pid));
    }
}

/// The client that runs a container.
fn client(dock: &Dock) -> Pid {
    let word = format!("--cidfile={}", dock.place.folder().display());
    let runs = |entry: &std::fs::DirEntry| {
        std::fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|words| words.contains(&word))
    };
    let entry = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).find(runs).unwrap();
    Pid::from_raw(entry.file_name().to_str().unwrap().parse().unwrap()).unwrap()
}

#[test]
fn the_container_of_a_killed_client_of_the_stand_in_for_docker_is_ended_or_reported() {
    for (image, stuck) in [("x", false), ("late", false), ("late", true)] {
        let dock = stubborn(image);
        let mut child = dock.begin().unwrap();
        dock.place.await_file("pid");
        let pid = dock.place.read("pid");
        if stuck {
            dock.place.write("daemon/stuck", "");
        }
        kill_process(client(&dock), Signal::KILL).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let shown = dock.orderflow("show last --item 1 --format json").out;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let error = &shown["steps"][0]["attempts"][0]["error"];
        assert_eq!(error["outcome"], "unknown");
        let docker = dock.place.path("bin/docker").display().to_string();
        let why =
            format!("ended by signal 9; its container may still run: {docker} failed: Error: device busy");
        assert_eq!(error["message"], if stuck { &*why } else { "ended by signal 9" });
        if stuck {
            kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
        }
        dock.place.until("the container has ended", || is_gone(&pid));
    }
}

#[test]
fn resume_ends_the_container_of_a_killed_runner_by_the_stand_in_for_docker() {
    let dock = stubborn("x");
    let mut child = dock.begin().unwrap();
    dock.place.await_file("pid");
    let pid = dock.place.read("pid");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_gone(&pid), "it was left");
    let mut elsewhere = dock.command("resume last");
    let failed = told(elsewhere.env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
    assert_eq!(failed.exit, Some(74), "{}", failed.err);
    assert!(failed.err.contains("cannot end what the last runner has left running: "), "{}", failed.err);
    assert!(!is_gone(&pid), "it was not asked");
    for problem in ["broken", "stuck"] {
        dock.place.write(&format!("daemon/{problem}"), "");
        let failed = dock.orderflow("resume last");
        assert_eq!(failed.exit, Some(74), "{}", failed.err);
        assert!(failed.err.contains("cannot end what the last runner has left running: "), "{}", failed.err);
        assert!(!is_gone(&pid), "it could not be ended");
        std::fs::remove_file(dock.place.path(&format!("daemon/{problem}"))).unwrap();
    }
    let told = dock.orderflow("resume last");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    dock.place.until("the container has ended", || is_gone(&pid));
    let keys = dock.place.read("pid.keys");
    let keys: Vec<&str> = keys.lines().collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(dock.place.rows("session.toon"), ["Pay 1 #1 success"]);
}
