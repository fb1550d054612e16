//! `orderflow agents`: who does what, and the check that agents are put to.

use crate::program::Told;
use crate::python::path;
use snapbox::{assert_data_eq, str};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn orderflow(folder: &Path, args: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(args)
        .current_dir(folder)
        .env("PATH", path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { out: text(output.stdout), err: text(output.stderr), exit: output.status.code() }
}

const DOCUMENT: &str = "\
# Publish

## Write @author
topic::String → text::String

## Proofread @author
text → proof::String

## Set @compositor
proof → page

## Print
page → book

```sh run
cat
```

## Sell @shop
book → sold::Boolean
";

const SETTINGS: &str = "\
[agents.author]
worker = [\"python3\", \"author.py\"]
processes = 3
concurrency = 6
env = [\"INK\", \"PEN\"]
idempotent = true

[agents.compositor]
command = [\"./set\", \"--fast\"]
effects = false
";

#[test]
fn every_agent_is_shown_with_its_steps() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("publish.md"), DOCUMENT).unwrap();
    fs::write(folder.path().join("orderflow.toml"), SETTINGS).unwrap();
    let told = orderflow(folder.path(), &["agents", "publish.md"]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
agent       steps             done by                               limits and promises      environment
─────────────────────────────────────────────────────────────────────────────────────────────────────────
author      Write, Proofread  worker ×3: python3 author.py          6 at a time, idempotent  INK, PEN
compositor  Set               ./set --fast                          no effects
-           Print             sh program at line 15, needs a grant
shop        Sell              unbound

"#]]
    );
    let told = orderflow(folder.path(), &["agents", "--format", "json", "publish.md"]);
    let agents: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_data_eq!(
        agents[0].to_string(),
        str![[
            r#"{"agent":"author","steps":["Write","Proofread"],"by":{"kind":"worker","command":["python3","author.py"],"processes":3},"concurrency":6,"env":["INK","PEN"],"secrets":[],"effects":true,"idempotent":true}"#
        ]]
    );
    assert_eq!(agents[3]["by"], serde_json::Value::Null);
    let plan = orderflow(folder.path(), &["plan", "--format", "json", "publish.md"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["steps"][0]["by"], agents[0]["by"]);
}

#[test]
fn the_shop_s_agents_pass_in_both_ways() {
    let shop = TempDir::new().unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows/agents")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, shop.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    for agent in ["order-api", "inventory-service", "payment-service", "fulfillment-service"] {
        let told = orderflow(
            shop.path(),
            &["agents", "--check", &format!("python3 -S {agent}.py"), "--within", "20s"],
        );
        assert_eq!((told.err.as_str(), told.exit), ("10 checks passed\n", Some(0)), "{}", told.out);
    }
    let args = [
        "agents",
        "--process",
        "--within",
        "20s",
        "--check",
        "--",
        "python3",
        "-S",
        "notification-service.py",
    ];
    let told = orderflow(shop.path(), &args);
    assert_eq!((told.err.as_str(), told.exit), ("5 checks passed\n", Some(0)), "{}", told.out);
}

/// A worker that does everything right but what a case changes.
const WORKER: &str = "\
import json, sys, time
def tell(**message): print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message['method'] == 'step/run':
        tell(id=message['id'], error={'code': -32601, 'message': 'no such step'})
";

#[test]
fn what_an_agent_gets_wrong_is_named() {
    let wrong = [
        (
            "import json, sys, time\n",
            "import json, sys, time\nprint('Starting up', flush=True)\n",
            9,
            "FAIL  writes nothing unasked: worker wrote non-JSON on stdout: log to stderr (it wrote \"Starting up\")",
        ),
        (
            "'no such step'})\n",
            "'no such step'})\n        tell(id=message['id'], result=1)\n",
            8,
            "FAIL  answers a call for an unknown step: it answered the call 1 twice",
        ),
        (
            "    if message['method'] == 'step/run':\n",
            "    if True:\n",
            3,
            "FAIL  passes over notifications that it does not know: it exited with 1: KeyError: 'id' and had not answered the call 1",
        ),
        (
            "'no such step'})\n",
            "'no such step'})\ntime.sleep(1000)\n",
            1,
            "FAIL  ends when its standard input does: it still ran 6s after its input had ended, and was killed",
        ),
        ("'jsonrpc': '2.0', ", "", 8, "expected \"jsonrpc\": \"2.0\""),
        (
            "['method'] == 'step/run'",
            "['params'].get('inputs') == {}",
            3,
            "FAIL  reads a line of a mebibyte: no answer within 6s to the call 1",
        ),
    ];
    let check = |(from, to, failed, expected): (&str, &str, u32, &str)| {
        let folder = TempDir::new().unwrap();
        assert!(WORKER.contains(from));
        fs::write(folder.path().join("agent.py"), WORKER.replace(from, to)).unwrap();
        let told = orderflow(folder.path(), &["agents", "--within", "6s", "--check", "python3 -S agent.py"]);
        assert!(told.out.contains(expected), "{expected}\n{}", told.out);
        let failed = format!("{failed} of 10 checks failed\n");
        assert_eq!((told.err, told.exit), (failed, Some(1)), "{}", told.out);
    };
    // At once, as most of it is waiting.
    std::thread::scope(|scope| {
        for case in wrong {
            scope.spawn(move || check(case));
        }
    });
}

#[test]
fn a_program_that_never_stops_talking_is_passed_over() {
    let folder = TempDir::new().unwrap();
    let notes = "while :; do echo '{\"jsonrpc\":\"2.0\",\"method\":\"x\"}'; done\n";
    fs::write(folder.path().join("notes.sh"), notes).unwrap();
    for (check, expected) in [
        ("yes", "writes nothing unasked: worker wrote non-JSON on stdout: log to stderr (it wrote \"y\")"),
        ("sh notes.sh", "answers a call for an unknown step: no answer within 1s to the call 1"),
    ] {
        // All of it kept would be more memory than this.
        let limited = format!("ulimit -v 1000000; exec \"$0\" agents --within 1s --check '{check}'");
        let mut command = Command::new("sh");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_orderflow")]).current_dir(folder.path());
        let told = crate::program::told(command.env("PATH", path()).output().unwrap());
        assert!(told.out.contains(&format!("FAIL  {expected}")), "{}\n{}", told.out, told.err);
        assert_eq!(told.exit, Some(1), "{}", told.err);
    }
}

#[test]
fn what_a_program_gets_wrong_is_named() {
    let folder = TempDir::new().unwrap();
    for (source, expected) in [
        (
            "trap '' TERM\ncat > /dev/null\n",
            "FAIL  ends when it is asked to by SIGTERM: it still ran after 2s, and was killed",
        ),
        (
            "cat > /dev/null\necho '{\"error\": {\"message\": \"no\", \"outcome\": \"maybe\"}}'\nexit 65\n",
            "exited with 65, but its error is malformed: `outcome` must be failed, unknown or not executed, not \"maybe\"",
        ),
        ("cat > /dev/null\nprintf 'ab\\377'\n", "exited with 0, but the answer is not UTF-8 at byte 2"),
    ] {
        fs::write(folder.path().join("agent.sh"), source).unwrap();
        let args = ["agents", "--process", "--within", "2s", "--check", "sh agent.sh"];
        let told = orderflow(folder.path(), &args);
        assert!(told.out.contains(expected), "{expected}\n{}", told.out);
        assert_eq!(told.exit, Some(1));
    }
}

#[test]
fn a_program_that_is_not_there_and_none_at_all() {
    let folder = TempDir::new().unwrap();
    let told = orderflow(folder.path(), &["agents", "--check", "./nobody"]);
    let place = folder.path().canonicalize().unwrap();
    assert_eq!(
        told.out,
        format!("FAIL  starts: cannot start ./nobody: no such file in {}\n", place.display())
    );
    assert_eq!((told.err.as_str(), told.exit), ("1 of 1 checks failed\n", Some(1)));
    for args in [&["agents", "--check"][..], &["agents"], &["agents", "--process", "a.md"]] {
        assert_eq!(orderflow(folder.path(), args).exit, Some(2), "{args:?}");
    }
}
