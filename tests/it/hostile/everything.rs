//! Every kind of file in the place of every name that orderflow opens by itself, and every command on it: nothing outside
//! is written, read, made or removed, nothing hangs, and nothing is taken for a bug of orderflow's. `complete.rs` checks
//! that the tables have all names and commands.

use super::*;
use crate::share::one_of;
use serde_json::{Value, json};

const FLOW: &str = "\
---
title: Parcels
items: parcels.csv
---

## Weigh
name::String -> weight::Integer

```sh run
echo weighed >&2
printf '%s' \"$IN_NAME\" | wc -c
```

## Pack [document:: pack.md]
weight -> label::String

## Send
label -> sent::String
> [!gate] Send it?

```sh run
echo \"sent $IN_LABEL\"
```
";

const PACK: &str =
    "# Pack\n\n## Label\nweight::Integer -> label::String\n\n```sh run\necho \"$IN_WEIGHT\"\n```\n";

/// Names in a run's folder, in a project's folder and in the user's state. `RUN` is the run, `*` is what differs from run
/// to run. What agents make below `items` and `scratch` is theirs.
pub(super) const NAMES: [&str; 45] = [
    ".orderflow/runs/RUN/journal.db",
    ".orderflow/runs/RUN/journal.db-wal",
    ".orderflow/runs/RUN/journal.db-shm",
    ".orderflow/runs/RUN/journal.db-journal",
    ".orderflow/runs/RUN/journal.new",
    ".orderflow/runs/RUN/journal.new-journal",
    ".orderflow/runs/RUN/logs.db",
    ".orderflow/runs/RUN/logs.db-wal",
    ".orderflow/runs/RUN/logs.db-shm",
    ".orderflow/runs/RUN/logs.db-journal",
    ".orderflow/runs/RUN/logs.new",
    ".orderflow/runs/RUN/logs.new-journal",
    ".orderflow/runs/RUN/lock",
    ".orderflow/runs/RUN/cancel",
    ".orderflow/runs/RUN/ended",
    ".orderflow/runs/RUN/items",
    ".orderflow/runs/RUN/items.jsonl",
    ".orderflow/runs/RUN/scratch.*",
    ".orderflow/runs/RUN/session.toon",
    ".orderflow/runs/RUN/inbox",
    ".orderflow/runs/RUN/inbox/*.json",
    ".orderflow/runs/RUN/questions",
    ".orderflow/runs/RUN/questions/*.question",
    ".orderflow/runs/RUN/questions/*.json",
    ".orderflow/runs/RUN/children",
    ".orderflow/runs/RUN/children/*",
    ".orderflow/runs/RUN/children/*/*",
    ".orderflow/runs/RUN/children/*/*/journal.db",
    ".orderflow/runs/RUN",
    ".orderflow/runs/.removed-*",
    ".orderflow/runs",
    ".orderflow/.gitignore",
    ".orderflow",
    "session.toon",
    "parcels.csv",
    "pack.md",
    "flow.test.toml",
    "orderflow.toml",
    ".claude",
    "STATE/orderflow/runs/*",
    "STATE/orderflow/inner/*",
    "STATE/orderflow/outlines/*",
    "STATE/orderflow/grants/*",
    "STATE/orderflow/key",
    "STATE/orderflow",
];

/// Commands that look first, then those that act; `RUN` is the run's folder.
pub(super) const COMMANDS: [&str; 44] = [
    "runs",
    "runs --step Weigh",
    "show RUN",
    "show RUN --item vase",
    "show RUN --session -",
    "show last",
    "logs RUN",
    "answer RUN",
    "top",
    "report RUN -o -",
    "resume --explain RUN",
    "validate flow.md",
    "fmt --diff flow.md",
    "verify flow.md",
    "test flow.md",
    "stats flow.md",
    "plan flow.md",
    "graph flow.md",
    "agents flow.md",
    "doctor flow.md",
    "guide",
    "lsp",
    "mcp",
    "trust --list",
    "adopt --yes RUN",
    "runs prune --keep 0 --dry-run",
    "fmt flow.md",
    "report RUN --force",
    "init --skill-only",
    "init new --starter orders",
    "trust --yes flow.md",
    "trust --revoke flow.md",
    "answer RUN --yes",
    "signal RUN order.paid --item vase",
    "approve RUN Send --item vase",
    "reject RUN Send --item vase --note late",
    "resolve RUN --item vase --note done",
    "resume --quiet RUN",
    "approve RUN Send --resume --quiet",
    "retry --quiet RUN",
    "cancel RUN",
    "run flow.md --trust --quiet",
    "run flow.md --trust --quiet --items -",
    "runs prune --keep 0 --unfinished",
];

/// Commands without a row, and why.
pub(super) const ELSEWHERE: [(&str, &str); 6] = [
    ("serve", "does not end by itself: serve_hostile.rs"),
    ("worker", "opens nothing of this table: it serves until it is stopped"),
    ("schema", "opens nothing"),
    ("completions", "opens nothing"),
    ("man", "opens nothing"),
    ("help", "opens nothing"),
];

/// What comes on standard input, for commands that read it.
pub(super) fn input(command: &str, folder: &Path) -> String {
    let ask = |id: u32, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    match command.split(' ').next() {
        Some("run") => "{\"id\": \"vase\", \"name\": \"Vase\"}\n".to_owned(),
        Some("mcp") => {
            let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
            let call = |id, tool: &str, arguments: Value| {
                ask(id, "tools/call", json!({"name": tool, "arguments": arguments}))
            };
            let all = [
                ask(1, "initialize", client),
                json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
                call(2, "status", json!({})),
                call(3, "show", json!({"run": "last"})),
                call(4, "plan", json!({"document": "flow.md"})),
            ];
            all.iter().map(|message| format!("{message}\n")).collect()
        }
        Some("lsp") => {
            let uri = format!("file://{}/flow.md", folder.display());
            let text = json!({"uri": uri, "languageId": "markdown", "version": 1, "text": FLOW});
            let all = [
                ask(1, "initialize", json!({"capabilities": {}})),
                json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}),
                json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": text}}),
                ask(2, "textDocument/codeLens", json!({"textDocument": {"uri": uri}})),
                ask(
                    3,
                    "workspace/executeCommand",
                    json!({"command": "orderflow.openLastFailure", "arguments": [uri]}),
                ),
                ask(4, "shutdown", Value::Null),
                json!({"jsonrpc": "2.0", "method": "exit"}),
            ];
            let framed =
                |message: &Value| format!("Content-Length: {}\r\n\r\n{message}", message.to_string().len());
            all.iter().map(framed).collect()
        }
        _ => String::new(),
    }
}

/// A project with a run that waits at a gate, and what is outside of it. Commands may change it.
pub(super) struct Project {
    pub scene: Scene,
    /// As far as commands can change it.
    state: BTreeMap<PathBuf, State>,
}

/// What is at a path: its inode, and of a file its size and its time.
type State = (u64, u64, i64, i64);

impl Project {
    pub fn new() -> Project {
        Project::of("vase,Vase\n")
    }

    /// With these items.
    fn of(items: &str) -> Project {
        let top = outside();
        let folder = top.path().join("project");
        fs::create_dir(&folder).unwrap();
        let items = format!("id,name\n{items}");
        for (name, text) in [("flow.md", FLOW), ("pack.md", PACK), ("parcels.csv", items.as_str())] {
            fs::write(folder.join(name), text).unwrap();
        }
        let run = orderflow(&folder, "run flow.md --trust --quiet").output().unwrap();
        assert_eq!(run.status.code(), Some(5), "it waits at its gate: {run:?}");
        let run = only(&folder.join(".orderflow/runs"));
        let mut project = Project { scene: Scene { top, run }, state: BTreeMap::new() };
        for name in NAMES {
            fs::create_dir_all(project.path(name).parent().unwrap()).unwrap();
        }
        project.state = project.look();
        project
    }

    /// Where a name of the table is, or would be.
    fn path(&self, name: &str) -> PathBuf {
        let run = self.scene.run.file_name().unwrap().to_str().unwrap();
        let mut path = self.scene.path("");
        for part in name.split('/') {
            let part = part.replace("RUN", run);
            let found = part.split_once('*').and_then(|(begin, end)| {
                let names = names(&path).into_iter();
                names.filter(|name| name.starts_with(begin) && name.ends_with(end)).min()
            });
            path.push(found.unwrap_or_else(|| part.replace('*', "1")));
        }
        path
    }

    /// All that commands can change, without what only looking changes: the memory of a journal, and summaries.
    fn look(&self) -> BTreeMap<PathBuf, State> {
        let mut all = BTreeMap::new();
        below(&self.scene.path(""), &mut |path, about| {
            let text = path.to_string_lossy();
            if !["-shm", "-wal"].iter().any(|end| text.ends_with(end)) && !text.contains("/outlines") {
                let file = (about.size(), about.mtime(), about.mtime_nsec());
                let file = if about.is_dir() { (0, 0, 0) } else { file };
                all.insert(path, (about.ino(), file.0, file.1, file.2));
            }
        });
        all
    }

    /// Removes what a command has added; makes the project again if it has changed anything else.
    fn renew(&mut self) {
        let now = self.look();
        if self.state.iter().any(|(path, state)| now.get(path) != Some(state)) {
            *self = Project::new();
        } else {
            now.keys().filter(|path| !self.state.contains_key(*path)).for_each(|path| remove(path));
        }
    }

    /// Lets a command meet a file of this kind; returns what is wrong. `None` if there cannot be such a file here.
    fn meet(&mut self, name: &str, kind: Kind, command: &str) -> Option<Vec<String>> {
        let (path, aside) = (self.path(name), self.scene.top.path().join("aside"));
        let there = kind != Kind::Foreign && fs::rename(&path, &aside).is_ok();
        let planted = self.scene.plant_at(&path, kind);
        // What a document names may be shown, and a hard link cannot be distinguished from it.
        let is_own = kind == Kind::HardLink && !name.contains('/');
        let wrong = planted.then(|| {
            let before = self.scene.outside();
            let given = input(command, &self.scene.path(""));
            let (said, exit) = self.scene.say_reading(command, &given);
            let wrong = [
                (exit.is_none() || exit == Some(70) || said.contains("panicked"), "it hangs, or is a bug"),
                (said.contains(SECRET) && !is_own, "it shows what lies outside"),
                (self.scene.outside() != before, "it changes what lies outside"),
            ];
            let wrong = wrong.into_iter().filter(|(is_so, _)| *is_so);
            wrong.map(|(_, what)| format!("{kind:?} {name}: {command}: {what}: {said}")).collect()
        });
        if kind == Kind::Foreign && planted {
            // It may be gone.
            let own = rustix::process::geteuid().as_raw();
            let _ = chown(&path, Some(own), None);
        } else {
            remove(&path);
        }
        if there {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::rename(&aside, &path).unwrap();
        }
        self.renew();
        wrong
    }
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Calls `act` with everything below a folder; links are not followed.
pub(super) fn below(folder: &Path, act: &mut dyn FnMut(PathBuf, fs::Metadata)) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        // Another process may have removed it.
        let Ok(about) = path.symlink_metadata() else { continue };
        if about.is_dir() {
            below(&path, act);
        }
        act(path, about);
    }
}

/// Removes whatever is there.
fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Tries all kinds on some of the names, and reports all wrongs together. Each kind at a name meets one command, each kind
/// meets all of them; with `ORDERFLOW_THOROUGH=1`, everything meets everything.
fn attack(rows: std::ops::Range<usize>) {
    let mut project = Project::new();
    let mut wrong = Vec::new();
    let share = one_of(COMMANDS.len());
    for row in rows {
        for (column, kind) in KINDS.into_iter().enumerate() {
            for command in COMMANDS.into_iter().skip((row + 5 * column) % share).step_by(share) {
                match project.meet(NAMES[row], kind, command) {
                    Some(all) => wrong.extend(all),
                    None => eprintln!("skipped: {kind:?} cannot be made here"),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_kind_of_file_at_the_journal_leads_out_of_a_runs_folder() {
    attack(0..15);
}

#[test]
fn no_kind_of_file_beside_the_journal_leads_out_of_a_runs_folder() {
    attack(15..29);
}

#[test]
fn no_kind_of_file_in_a_project_or_the_state_leads_out_of_it() {
    attack(29..NAMES.len());
}

/// A run that is active while files appear in its folder.
#[test]
fn no_kind_of_file_leads_an_active_run_out_of_its_folder_or_ends_it() {
    const ROWS: [&str; 7] = [
        ".orderflow/runs/RUN/inbox",
        ".orderflow/runs/RUN/inbox/*.json",
        ".orderflow/runs/RUN/questions",
        ".orderflow/runs/RUN/questions/*.question",
        ".orderflow/runs/RUN/questions/*.json",
        ".orderflow/runs/RUN/children/*/*/journal.db-wal",
        ".orderflow/runs/RUN/session.toon",
    ];
    const SENT: [&str; 6] = [
        "approve RUN Send --item vase",
        "answer RUN",
        "answer RUN --yes",
        "signal RUN order.paid --item vase",
        "show RUN",
        "logs RUN",
    ];
    // Decided about one by one: the run waits for the other.
    let project = Project::of("vase,Vase\njugs,Jugs!\n");
    let scene = &project.scene;
    let mut runner = orderflow(&scene.path(""), &format!("resume --wait --quiet {}", scene.run.display()));
    let mut runner = runner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while !is_held(&scene.run.join("lock")) {
        assert!(begin.elapsed() < Duration::from_secs(60) && runner.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    let (mut wrong, before) = (Vec::new(), scene.outside());
    for (row, name) in ROWS.into_iter().enumerate() {
        for (column, kind) in KINDS.into_iter().enumerate() {
            let (path, aside) = (project.path(name), scene.top.path().join("aside"));
            let there = kind != Kind::Foreign && fs::rename(&path, &aside).is_ok();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if scene.plant_at(&path, kind) {
                let command = SENT[(row + column) % SENT.len()];
                let (said, exit) = scene.say(command);
                if exit.is_none() || exit == Some(70) || said.contains("panicked") || said.contains(SECRET) {
                    wrong.push(format!("{kind:?} {name}: {command}: {said}"));
                }
            }
            remove(&path);
            if there {
                fs::rename(&aside, &path).unwrap();
            }
        }
    }
    assert_eq!(scene.outside(), before);
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    let (said, exit) = scene.say("approve RUN Send");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(runner.wait().unwrap().code(), Some(0));
}

/// Whether a process has locked a file.
fn is_held(lock: &Path) -> bool {
    let flag = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    fs::File::open(lock).is_ok_and(|file| rustix::fs::flock(&file, flag).is_err())
}
