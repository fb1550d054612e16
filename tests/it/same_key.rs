//! A runner that is killed while an agent works asks it again under the same idempotency key, and no other step: one table
//! of all kinds of agents. A new kind adds its settings, and what `support/kinds.py` does for it.

use crate::place::Place;
use crate::program::told;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

const DOCUMENT: &str = "# Twice\n\n## First @agent\norder::Integer → first::String\n\nDo the first step.\n\n\
    ## Second @agent\nfirst → second::String\n\nDo the second step.\n";

/// The same steps, done by programs in the document.
fn fences() -> String {
    let program = "\n```python run\nexec(open('kinds.py').read())\n```\n";
    let steps = DOCUMENT.replace(" @agent", "");
    ["Do the first step.\n", "Do the second step.\n"]
        .iter()
        .fold(steps, |steps, text| steps.replace(text, program))
}

/// The server of services, models and tools; it ends with its standard input.
struct Server(Child);

impl Server {
    fn start(place: &Place) -> Server {
        let mut command = Command::new("python3");
        command.args(["kinds.py", "http"]).current_dir(place.folder()).stdin(Stdio::piped());
        let server = Server(command.spawn().unwrap());
        place.await_file("port");
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// Programs in a folder that a preset finds in PATH.
fn install(place: &Place, names: &[&str]) {
    for name in names {
        let path = format!("bin/{name}");
        place.write(&path, &format!("#!/bin/sh\nexec python3 kinds.py {name}\n"));
        std::fs::set_permissions(place.path(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// What a kind's settings say; `PORT` is that of the server.
fn kinds() -> Vec<(&'static str, String)> {
    let program =
        |key: &str, kind: &str| format!("[agents.agent]\n{key} = [\"python3\", \"kinds.py\", \"{kind}\"]\n");
    let model = |protocol: &str| {
        format!(
            "[agents.agent]\nmodel = \"own/small\"\n[providers.own]\nurl = \"http://127.0.0.1:PORT/v1\"\n\
             protocol = \"{protocol}\"\n"
        )
    };
    let headless = |preset: &str| format!("[agents.agent]\npreset = \"{preset}\"\nmode = \"headless\"\n");
    vec![
        ("command", program("command", "program")),
        ("fence", String::new()),
        ("worker", program("worker", "worker")),
        ("service", "[agents.agent]\nhttp = \"http://127.0.0.1:PORT/steps\"\n".to_owned()),
        ("chat", model("chat")),
        ("messages", model("messages")),
        ("responses", model("responses")),
        ("mcp", program("mcp", "mcp")),
        ("mcp over http", "[agents.agent]\nmcp = \"http://127.0.0.1:PORT/mcp\"\n".to_owned()),
        ("acp", program("acp", "acp")),
        ("claude", headless("claude")),
        ("codex", headless("codex")),
        ("gemini", headless("gemini")),
        ("opencode", headless("opencode")),
    ]
}

#[test]
fn a_killed_runner_asks_every_kind_of_agent_again_with_the_same_key() {
    for (kind, settings) in kinds() {
        let document = if kind == "fence" { fences() } else { DOCUMENT.to_owned() };
        let place = Place::new(&document);
        let agents = include_str!("support/kinds.py");
        // A fence has no arguments.
        let agents =
            if kind == "fence" { agents.replace("sys.argv[1]", "'program'") } else { agents.to_owned() };
        place.write("kinds.py", &agents);
        let server = settings.contains("PORT").then(|| Server::start(&place));
        let port = server.as_ref().map(|_| place.read("port")).unwrap_or_default();
        place.write("orderflow.toml", &settings.replace("PORT", &port));
        install(&place, &["claude", "codex", "gemini", "opencode"]);
        let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
        let orderflow = |args: &str| {
            let mut command = place.command(args);
            command.env("PATH", &path);
            command
        };
        let asked = || -> Vec<String> {
            let notes = std::fs::read_to_string(place.path("asked")).unwrap_or_default();
            notes.lines().map(str::to_owned).collect()
        };

        let mut runner = orderflow("run flow.md --trust --input order=1 --quiet");
        let mut runner = runner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        place.until("the second step is at work", || {
            assert!(runner.try_wait().unwrap().is_none(), "{kind}: the run has ended");
            asked().len() == 2
        });
        kill_process(Pid::from_child(&runner), Signal::KILL).unwrap();
        runner.wait().unwrap();
        place.write("go", "");
        let resumed = told(orderflow("resume last --trust").output().unwrap());
        assert_eq!(resumed.exit, Some(0), "{kind}: {}", resumed.err);

        let asked = asked();
        let [first, second, again] = &asked[..] else { panic!("{kind}: {asked:?}") };
        assert!(first.starts_with("First ") && second.starts_with("Second "), "{kind}: {asked:?}");
        assert_eq!(second, again, "{kind}: the same key");
        let key = |line: &str| line.split_once(' ').unwrap().1.to_owned();
        assert!(!key(first).is_empty() && key(first) != key(second), "{kind}: {asked:?}");
        assert_eq!(place.rows("session.toon"), ["First 1 #1 success", "Second 1 #1 success"], "{kind}");
    }
}
