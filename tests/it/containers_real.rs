//! Programs in containers of a real engine: podman with an image of busybox, where both can be used.

use crate::parts::found;
use crate::place::Place;
use crate::program::{Told, told};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const IMAGE: &str = "localhost/orderflow-test";

/// Sets what points podman to the configuration and the storage of these tests.
fn with_podman(command: &mut Command) -> &mut Command {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("podman");
    command.env("CONTAINERS_CONF", folder.join("containers.conf"));
    command.env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"))
}

/// What podman prints.
fn podman(words: &[&str]) -> String {
    let output = with_podman(&mut Command::new("podman")).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with a document and an agent `shop` in a container of this shell script, and these further members; `None`,
/// after a notice, if podman cannot run it.
fn port(document: &str, script: &str, members: &str, settings: &str) -> Option<Place> {
    static RUNS: OnceLock<bool> = OnceLock::new();
    let runs = RUNS.get_or_init(|| {
        let mut command = Command::new("timeout");
        command.args(["60", "podman", "run", "--rm", "--network=none", IMAGE, "true"]).stdin(Stdio::null());
        with_podman(&mut command).output().is_ok_and(|output| output.status.success())
    });
    found("podman", "`tests/it/support/podman.sh target/podman`", runs.then_some(()))?;
    let place = Place::new(document);
    place.write(
        "orderflow.toml",
        &format!(
            "[agents.shop]\ncontainer = {{ image = \"{IMAGE}\", engine = \"podman\", command = [\"sh\", \"-c\", {script:?}]{members} }}\n{settings}\n"
        ),
    );
    Some(place)
}

fn orderflow(place: &Place, args: &str) -> Told {
    told(with_podman(&mut place.command(args)).output().unwrap())
}

/// The file with this name in a folder of an attempt, below `.orderflow`.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries
        .filter_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => find(&entry.path(), name),
            _ => (entry.file_name() == name).then(|| entry.path()),
        })
        .next()
}

fn await_file(place: &Place, name: &str) -> PathBuf {
    let mut found = None;
    place.until(name, || {
        found = find(&place.path(".orderflow"), name);
        found.is_some()
    });
    found.unwrap()
}

/// The containers of the only run in a folder.
fn containers(place: &Place) -> Vec<String> {
    let run = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().file_name();
    let filter = format!("--filter=label=orderflow.run={}", run.to_string_lossy());
    podman(&["ps", "--all", "--quiet", "--no-trunc", &filter]).lines().map(str::to_owned).collect()
}

const SHIP: &str = "# Ship\n\n## Print Label @shop\nname::String → label::File\n\nPrint {{ name }} in capitals.\n\n\
    ## Read Label @shop\nlabel → text::String, attempts::Integer\n";

/// Values that no other program's command line has.
const SECRET: &str = "the-key-of-a-real-shop";
const SHOP: &str = "the-shop-of-a-real-town";

#[test]
fn a_container_of_podman_has_the_contract_of_a_program() {
    let script = r#"
        if [ "$ORDERFLOW_STEP" = PrintLabel ]; then
            test ${#PAY_KEY} = 22 || exit 3
            grep -q "in capitals" "$ORDERFLOW_INSTRUCTIONS" || exit 4
            cat > "$ORDERFLOW_DIR/input.json"
            cmp "$ORDERFLOW_DIR/input.json" "$ORDERFLOW_INPUT" || exit 5
            echo "$IN_NAME for $SHOP" > "$ORDERFLOW_DIR/label.txt"
            : > "$ORDERFLOW_DIR/ready"
            until test -e "$ORDERFLOW_DIR/go"; do sleep 0.05; done
            echo label.txt
        else
            if echo more >> "$IN_LABEL"; then exit 6; fi
            printf '{"text": "%s", "attempts": %s}' "$(cat "$IN_LABEL")" "$ORDERFLOW_ATTEMPT" > "$ORDERFLOW_OUTPUT"
        fi"#;
    let settings = "env = [\"SHOP\"]\nsecrets = [\"PAY_KEY\"]";
    let Some(place) = port(SHIP, script, "", settings) else { return };
    let mut command = place.command("run flow.md --trust --quiet --input name=Ada");
    with_podman(&mut command).env("SHOP", SHOP).env("PAY_KEY", SECRET);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ready = await_file(&place, "ready");
    let words = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok());
    let mut clients = 0;
    for words in words {
        assert!(!words.contains(SECRET) && !words.contains(SHOP), "{words}");
        if words.contains("--env=PAY_KEY\0") {
            assert!(!words.contains("Ada"), "{words}");
            clients += 1;
        }
    }
    assert!(clients > 0, "a client was seen");
    assert_eq!(containers(&place).len(), 1);
    std::fs::write(ready.with_file_name("go"), "").unwrap();
    let ran = told(child.wait_with_output().unwrap());
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let shown = orderflow(&place, "show last --item 1").out;
    assert!(shown.contains(&format!("makes text: \"Ada for {SHOP}\"\n    makes attempts: 1\n")), "{shown}");
    let label = std::fs::metadata(await_file(&place, "label.txt")).unwrap();
    assert_eq!(label.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(containers(&place), [""; 0]);
}

#[test]
fn a_container_of_podman_has_the_network_only_if_it_is_asked_for() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            drop(stream.map(|mut stream| stream.write_all(b"welcome\n")));
        }
    });
    let document = "# T\n\n## A @shop\nport::Integer → word::String\n";
    let script =
        "{ nc -w 10 127.0.0.1 \"$IN_PORT\" < /dev/null || echo unreachable; } > \"$ORDERFLOW_OUTPUT\" 2>&1";
    for (network, word) in [
        (", network = true", "welcome"),
        ("", "nc: can't connect to remote host (127.0.0.1): Connection refused\\nunreachable"),
    ] {
        let Some(place) = port(document, script, network, "") else { return };
        let ran = orderflow(&place, &format!("run flow.md --trust --quiet --input port={}", address.port()));
        assert_eq!(ran.exit, Some(0), "{}", ran.err);
        let shown = orderflow(&place, "show last --item 1").out;
        assert!(shown.contains(&format!("makes word: \"{word}\"\n")), "{shown}");
    }
}

#[test]
fn failures_of_podman_say_whether_anything_ran() {
    let document = "# T\n\n## A @shop\na::Integer → b::Integer\n";
    let failed = |script: &str, image: &str| {
        let place = port(document, script, "", "")?;
        place.write("orderflow.toml", &place.read("orderflow.toml").replace(IMAGE, image));
        let ran = orderflow(&place, "run flow.md --trust --quiet --input a=1");
        assert_eq!(ran.exit, Some(1), "{}", ran.err);
        let shown = orderflow(&place, "show last --item 1 --format json").out;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let error = &shown["steps"][0]["attempts"][0]["error"];
        Some(format!("{}; {}", error["message"].as_str().unwrap(), error["outcome"].as_str().unwrap()))
    };
    // Podman 4.3 loses what a program prints before the client has attached to it.
    let Some(own) = failed("sleep 2; echo no paper >&2; exit 7", IMAGE) else { return };
    assert_eq!(own, "exited with 7: no paper; unknown");
    assert_eq!(failed("exit 125", IMAGE).unwrap(), "exited with 125; unknown");
    let missing = failed("true", "orderflow-missing").unwrap();
    assert!(missing.starts_with("exited with 125: Error: "), "{missing}");
    assert!(missing.ends_with("; not_executed"), "{missing}");
}

#[test]
fn a_timeout_ends_a_container_of_podman() {
    // The first process of a container gets only the signals that it handles.
    let document = "# T\n\n## A @shop [timeout:: 2s]\na::Integer → b::Integer\n";
    let Some(place) = port(document, ": > \"$ORDERFLOW_DIR/ready\"; while :; do sleep 0.1; done", "", "")
    else {
        return;
    };
    let begin = Instant::now();
    let mut command = place.command("run flow.md --trust --quiet --input a=1");
    let child = with_podman(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_file(&place, "ready");
    let ran = told(child.wait_with_output().unwrap());
    assert_eq!(ran.exit, Some(1), "{}", ran.err);
    assert!(ran.err.contains("timed out after 2s"), "{}", ran.err);
    assert!(begin.elapsed() > Duration::from_secs(12), "it had time to end");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(containers(&place), [""; 0]);
}

#[test]
fn a_container_of_podman_can_end_when_it_is_asked_to() {
    let document = "# T\n\n## A @shop\na::Integer → b::Integer\n";
    let script = "trap 'echo 2 > \"$ORDERFLOW_OUTPUT\"; exit' TERM; : > \"$ORDERFLOW_DIR/ready\"; while :; do sleep 0.1; done";
    let Some(place) = port(document, script, "", "") else { return };
    let mut command = place.command("run flow.md --trust --quiet --input a=1");
    let mut child = with_podman(&mut command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_file(&place, "ready");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait().unwrap();
    let shown = orderflow(&place, "show last --item 1").out;
    assert!(shown.contains("makes b: 2\n"), "{shown}");
    assert_eq!(containers(&place), [""; 0]);
}

#[test]
fn resume_ends_the_container_of_a_killed_runner_by_podman() {
    let document = "# T\n\n## Pay @shop\na::Integer → key::String\n";
    let script = "trap '' TERM; echo \"$ORDERFLOW_KEY\" > \"$ORDERFLOW_DIR/new\"; mv \"$ORDERFLOW_DIR/new\" \"$ORDERFLOW_DIR/key\"; \
        until test -e \"$ORDERFLOW_DIR/go\"; do sleep 0.05; done; echo \"$ORDERFLOW_KEY\"";
    let Some(place) = port(document, script, "", "") else { return };
    let mut command = place.command("run flow.md --trust --quiet --input a=1");
    let mut child = with_podman(&mut command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let first = await_file(&place, "key");
    let key = std::fs::read_to_string(&first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let left = containers(&place);
    assert_eq!(left.len(), 1);
    std::fs::remove_file(&first).unwrap();
    let mut command = place.command("resume last");
    let child = with_podman(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let second = await_file(&place, "key");
    let now = containers(&place);
    assert_eq!(now.len(), 1);
    assert_ne!(now, left);
    std::fs::write(second.with_file_name("go"), "").unwrap();
    let resumed = told(child.wait_with_output().unwrap());
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    let shown = orderflow(&place, "show last --item 1").out;
    assert!(shown.contains(&format!("makes key: {:?}\n", key.trim())), "{shown}");
    assert_eq!(place.rows("session.toon"), ["Pay 1 #1 success"]);
    assert_eq!(containers(&place), [""; 0]);
}
