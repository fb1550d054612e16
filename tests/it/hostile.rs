//! Folders, files and names that orderflow has not made, in the place of its own: those of other users, other machines and
//! other kinds.

mod complete;
mod everything;
mod given;
mod journals;
mod limits;
mod names;
mod owners;
mod paths;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a file outside holds; no command may show it.
const SECRET: &str = "the-content-of-a-file-outside";

const DOCUMENT: &str = "\
---
title: Parcels
items: parcels.csv
---

## Weigh
name::String -> weight::Integer

```sh run
printf '%s' \"$IN_NAME\" | wc -c
```

## Send
weight -> sent::String

```sh run
test -e go || { : > waiting; sleep 1000; }
test \"$IN_WEIGHT\" != 4 || exit 65
echo \"sent $IN_WEIGHT\"
```
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Link,
    Dangling,
    LinkToFolder,
    Device,
    Pipe,
    Socket,
    Folder,
    HardLink,
    Foreign,
    Sparse,
}

const KINDS: [Kind; 10] = [
    Kind::Link,
    Kind::Dangling,
    Kind::LinkToFolder,
    Kind::Device,
    Kind::Pipe,
    Kind::Socket,
    Kind::Folder,
    Kind::HardLink,
    Kind::Foreign,
    Kind::Sparse,
];

/// A folder with a paused run, made once.
static TEMPLATE: LazyLock<TempDir> = LazyLock::new(|| {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("flow.md"), DOCUMENT).unwrap();
    fs::write(place.path().join("parcels.csv"), "id,name\nvase,Vase\njugs,Jugs!\n").unwrap();
    let mut command = orderflow(place.path(), "run flow.md --trust --quiet");
    let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while !place.path().join("waiting").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60) && runner.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-TERM", &runner.id().to_string()]).status().unwrap().success());
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    fs::write(place.path().join("go"), "").unwrap();
    fs::remove_dir_all(place.path().join("STATE")).unwrap();
    place
});

fn orderflow(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(args.split(' ')).current_dir(folder).env("XDG_STATE_HOME", folder.join("STATE"));
    command.env_remove("ORDERFLOW_OWNERS").env_remove("ORDERFLOW_STATE").env_remove("SUDO_UID");
    command.stdin(Stdio::null());
    command
}

/// A folder with a file outside of a project.
fn outside() -> TempDir {
    let top = TempDir::new().unwrap();
    fs::create_dir(top.path().join("outside")).unwrap();
    fs::write(top.path().join("outside/file"), format!("{SECRET}\n")).unwrap();
    top
}

/// The only entry of a folder.
fn only(folder: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [only] = entries.as_slice() else { panic!("{entries:?}") };
    only.clone()
}

/// A copy of the template whose run is the user's own, and what lies outside of it.
struct Scene {
    top: TempDir,
    run: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let top = outside();
        let copied =
            Command::new("cp").arg("-r").arg(TEMPLATE.path()).arg(top.path().join("project")).status();
        assert!(copied.unwrap().success());
        let run = only(&top.path().join("project/.orderflow/runs"));
        let scene = Scene { top, run };
        let (told, exit) = scene.say("adopt --yes RUN");
        assert_eq!(exit, Some(0), "{told}");
        scene
    }

    /// A path in the project. `RUN` and `RECORD` stand for the names of the run and of its record in the user's state.
    fn path(&self, name: &str) -> PathBuf {
        let run = self.run.file_name().unwrap().to_str().unwrap();
        let path = self.top.path().join("project").join(name.replace("RUN", run));
        if name.ends_with("RECORD") { only(path.parent().unwrap()) } else { path }
    }

    /// Puts a file of this kind in the place of what is there; false where it cannot be made here.
    fn plant_at(&self, path: &Path, kind: Kind) -> bool {
        let outside = self.top.path().join("outside");
        if kind == Kind::Foreign {
            if !path.exists() {
                fs::write(path, "").unwrap();
            }
            return chown(path, Some(65_534), Some(65_534)).is_ok();
        }
        let node = |kind, device| {
            let path = CString::new(path.to_str().unwrap()).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, &path, kind, 0o666.into(), device).is_ok()
        };
        match kind {
            Kind::Link => symlink(outside.join("file"), path).is_ok(),
            Kind::Dangling => symlink(outside.join("made"), path).is_ok(),
            Kind::LinkToFolder => symlink(&outside, path).is_ok(),
            // A device node where root may make one, else a link to one.
            Kind::Device => {
                node(rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 5))
                    || symlink("/dev/zero", path).is_ok()
            }
            Kind::Pipe => node(rustix::fs::FileType::Fifo, 0),
            Kind::Socket => UnixListener::bind(path).is_ok(),
            Kind::Folder => fs::create_dir(path).is_ok(),
            Kind::HardLink => fs::hard_link(outside.join("file"), path).is_ok(),
            Kind::Sparse => fs::File::create(path).and_then(|file| file.set_len(1 << 36)).is_ok(),
            Kind::Foreign => unreachable!("done above"),
        }
    }

    fn say(&self, command: &str) -> (String, Option<i32>) {
        self.say_reading(command, "")
    }

    /// What a command says, within a time in which nothing honest takes so long, and how it ends.
    fn say_reading(&self, command: &str, given: &str) -> (String, Option<i32>) {
        let command = command.replace("RUN", self.run.to_str().unwrap());
        let mut command = orderflow(&self.top.path().join("project"), &command);
        command.stdin(if given.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(mut to) = child.stdin.take() {
            // It may end without reading.
            let _ = to.write_all(given.as_bytes());
        }
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let heard = std::thread::spawn(move || {
            let mut all = String::new();
            let _ = out.read_to_string(&mut all);
            let _ = err.read_to_string(&mut all);
            all
        });
        let begin = Instant::now();
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended.code();
            }
            if begin.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                child.wait().unwrap();
                return ("it hangs".to_owned(), None);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        (heard.join().unwrap(), ended)
    }

    /// Everything outside: names, kinds, contents, owners.
    fn outside(&self) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
        let all = fs::read_dir(self.top.path().join("outside")).unwrap().map(|entry| entry.unwrap().path());
        all.map(|path| {
            let about = path.symlink_metadata().unwrap();
            let regular = about.is_file() && !about.file_type().is_fifo();
            let content = if regular { fs::read(&path).unwrap() } else { Vec::new() };
            (path, (about.mode(), about.uid(), content))
        })
        .collect()
    }
}

/// Makes what lies at a path, and all below it, another user's; false where only root could.
fn give_away(path: &Path) -> bool {
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(path).stderr(Stdio::null()).status();
    given.is_ok_and(|status| status.success())
}

/// Two users on one machine: what the other one owns is neither obeyed nor gone on with, unless the user says so.
#[test]
fn what_another_user_owns_is_not_obeyed() {
    let scene = Scene::new();
    let bound = "[agents.x]\ncommand = [\"sh\", \"-c\", \"cat outside/file\"]\n";
    fs::write(scene.top.path().join("orderflow.toml"), bound).unwrap();
    fs::create_dir(scene.top.path().join(".git")).unwrap();
    fs::write(scene.path("asks.md"), "# T\n## A @x\n-> a::String\n").unwrap();
    let (told, exit) = scene.say("run asks.md --quiet");
    assert_eq!(exit, Some(0), "the settings of the repository: {told}");

    // In a folder above, such as /tmp, where anybody may lay a repository's root and its settings.
    if !give_away(&scene.top.path().join("orderflow.toml")) {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let (told, exit) = scene.say("run asks.md --quiet");
    assert_eq!(exit, Some(74), "{told}");
    assert!(told.contains("belongs to another user, number 65534; ORDERFLOW_OWNERS=65534 accepts"), "{told}");
    assert!(!told.contains(SECRET), "{told}");
    let mut accepted = orderflow(&scene.path(""), "run asks.md --quiet");
    let accepted = accepted.env("ORDERFLOW_OWNERS", "7,65534").output().unwrap();
    assert_eq!(accepted.status.code(), Some(0), "{accepted:?}");

    // Another user's `.git` makes no repository, so its settings are not looked for.
    assert!(give_away(&scene.top.path().join(".git")));
    let (told, exit) = scene.say("run asks.md --quiet");
    assert_eq!(exit, Some(3), "no program is bound: {told}");
    assert!(!told.contains("another user"), "{told}");

    // A run's folder that another user could change while it is gone on with.
    assert!(give_away(&scene.run));
    for command in ["resume RUN", "retry RUN", "cancel RUN", "adopt --yes RUN", "show RUN"] {
        let (told, exit) = scene.say(command);
        assert_eq!(exit, Some(74), "{command}: {told}");
        assert!(told.contains("belongs to another user"), "{command}: {told}");
    }
}

/// A repository that brings runs along: they can be looked at, and nothing else before they are taken over.
#[test]
fn a_run_of_a_clone_is_only_looked_at() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.path("STATE")).unwrap();
    fs::write(scene.top.path().join("outside/profile"), "mine").unwrap();
    let before = scene.outside();
    for command in ["runs", "show RUN", "show RUN --item vase", "resume --explain RUN"] {
        let (told, exit) = scene.say(command);
        assert_eq!(exit, Some(0), "{command}: {told}");
    }
    for command in ["resume RUN", "retry RUN", "cancel RUN", "resolve --item vase --note x RUN"] {
        let (told, exit) = scene.say(command);
        assert_eq!(exit, Some(4), "{command}: {told}");
        assert!(told.contains("help: orderflow adopt "), "{command}: {told}");
    }
    for command in ["resume last", "show last", "retry last", "cancel last"] {
        let (told, exit) = scene.say(command);
        assert_eq!(exit, Some(2), "{command}: {told}");
        assert!(told.starts_with("error: no run here was started by you\n"), "{command}: {told}");
    }
    // Neither pushes it out the user's own runs, nor is it removed.
    let (told, exit) = scene.say("run flow.md --trust --quiet --item vase");
    assert_eq!(exit, Some(1), "its step fails: {told}");
    let (told, _) = scene.say("runs prune --keep 1");
    assert_eq!(told, "removed 0 runs, freed 0 B\n");
    let (told, _) = scene.say("runs prune --keep 0");
    assert!(told.contains("removed 1 run, freed "), "{told}");
    assert!(scene.run.exists() && scene.outside() == before);
}

/// What taking a run over means is shown before it is asked for.
#[test]
fn adopt_shows_what_would_be_run_written_and_read() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.path("STATE")).unwrap();
    fs::create_dir(scene.run.join("inbox")).unwrap();
    fs::write(scene.run.join("inbox/1-0.json"), "{}").unwrap();
    let (told, exit) = scene.say("adopt RUN");
    assert_eq!(exit, Some(4), "{told}");
    let project = scene.path("");
    let expected = format!(
        "the run [..] was not started here by you

  workflow  Parcels
  document  {project}/flow.md
  started   [..]
  works in  {project}
  runs      the sh program of Weigh
  runs      the sh program of Send
  writes    {run}
  writes    {project}/session.toon
  reads     {project}/parcels.csv
  ignores   1 file in its inbox, which your commands did not write: decide or signal again

programs in this document want to run:
  flow.md:6: Weigh (sh)
    printf '%s' \"$IN_NAME\" | wc -c
  flow.md:13: Send (sh)
    test -e go || {{ : > waiting; sleep 1000; }}
    test \"$IN_WEIGHT\" != 4 || exit 65
    echo \"sent $IN_WEIGHT\"
error: cannot ask here; nothing was taken over
  help: read the above, then take it over with --yes
",
        project = project.display().to_string().trim_end_matches('/'),
        run = scene.run.display(),
    );
    snapbox::assert_data_eq!(told, expected);
    assert_eq!(scene.say("adopt --yes RUN").1, Some(0));
    assert_eq!(scene.say("resume --quiet last").1, Some(1), "its step fails");
}

/// Runs are stored where the user says, so that a folder that cannot be written to can be run.
#[test]
fn runs_are_stored_where_the_user_says() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.path(".orderflow")).unwrap();
    let store = scene.top.path().join("store");
    let says = |command: &str| scene.say(&format!("{command} --state {}", store.display()));
    assert_eq!(says("run flow.md --trust --quiet --item jugs").1, Some(0));
    assert!(!scene.path(".orderflow").exists());
    assert_eq!(fs::read_dir(store.join("runs")).unwrap().count(), 1);
    assert_eq!(scene.say("show last").1, Some(2), "it is not here");
    assert_eq!(says("show last").1, Some(0));
    let mut named = orderflow(&scene.path(""), "resume last");
    assert_eq!(named.env("ORDERFLOW_STATE", &store).output().unwrap().status.code(), Some(0));
    assert!(says("runs prune --keep 0").0.contains("removed 1 run"));
}

/// What is not in its place may have been moved: to prune the runs of another folder does not forget it.
#[test]
fn a_run_that_was_moved_stays_its_owners_whatever_is_pruned_meanwhile() {
    let scene = Scene::new();
    let deep = scene.top.path().join("deep/below");
    fs::create_dir_all(&deep).unwrap();
    fs::rename(scene.path(".orderflow"), deep.join(".orderflow")).unwrap();
    fs::rename(scene.path("parcels.csv"), deep.join("parcels.csv")).unwrap();
    fs::rename(scene.path("go"), deep.join("go")).unwrap();
    let (told, exit) = scene.say("runs prune --keep 0 --unfinished");
    assert_eq!((told.as_str(), exit), ("removed 0 runs, freed 0 B\n", Some(0)));
    let mut resume = orderflow(&deep, "resume --quiet last");
    let resumed = resume.env("XDG_STATE_HOME", scene.path("STATE")).output().unwrap();
    assert_eq!(resumed.status.code(), Some(1), "its step fails: {resumed:?}");
    // What was removed, and what is long gone, is forgotten.
    let records = || fs::read_dir(scene.path("STATE/orderflow/runs")).unwrap().count();
    assert_eq!(records(), 1);
    let mut prune = orderflow(&deep, "runs prune --keep 0");
    let pruned = prune.env("XDG_STATE_HOME", scene.path("STATE")).output().unwrap();
    assert_eq!((pruned.status.code(), records()), (Some(0), 0), "{pruned:?}");
}
