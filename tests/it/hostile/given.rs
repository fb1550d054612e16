//! What the user gives may be odd, too: folders of runs, names of runs, files of inputs and items, the environment. Nothing
//! hangs or panics, nothing outside is written, and the message says what to do.

use super::*;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

const FLOW: &str = "---\ntitle: T\n---\n\n## Copy\nx::String -> out::String\n\n```sh run\necho got\n```\n";

const RUN: [&str; 6] = ["run", "flow.md", "--trust", "--quiet", "--input", "x=1"];

/// A file of each kind, in a project.
struct Odd(TempDir);

impl Odd {
    fn new() -> Odd {
        let odd = Odd(TempDir::new().unwrap());
        fs::write(odd.path("flow.md"), FLOW).unwrap();
        fs::write(odd.path("file"), "x").unwrap();
        fs::create_dir(odd.path("other")).unwrap();
        fs::set_permissions(odd.path("other"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("nowhere", odd.path("dangling")).unwrap();
        symlink("other", odd.path("link")).unwrap();
        symlink("loop", odd.path("loop")).unwrap();
        assert!(Command::new("mkfifo").arg(odd.path("pipe")).status().unwrap().success());
        drop(UnixListener::bind(odd.path("socket")).unwrap());
        fs::File::create(odd.path("sparse")).unwrap().set_len(1 << 40).unwrap();
        odd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    fn command(&self, args: &[&OsStr]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--foreground", "60", env!("CARGO_BIN_EXE_orderflow")]).args(args);
        command.current_dir(self.0.path()).stdin(Stdio::null()).env("XDG_STATE_HOME", self.path("STATE"));
        command.env_remove("ORDERFLOW_OWNERS").env_remove("ORDERFLOW_STATE").env_remove("SUDO_UID");
        command
    }

    fn say(&self, args: &[&str]) -> (i32, String) {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        told(self.command(&args).output().unwrap(), &format!("{args:?}"))
    }
}

/// What is said, to standard error first.
fn told(done: Output, what: &str) -> (i32, String) {
    let text = format!("{}{}", String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
    let exit = done.status.code().unwrap_or_else(|| panic!("{what}: {:?}", done.status));
    assert!(exit != 124, "{what}: hangs: {text}");
    assert!(exit != 70 && !text.contains("panicked"), "{what}: {text}");
    (exit, text)
}

#[test]
fn a_folder_for_runs_that_is_none_is_named_and_nothing_is_made() {
    let odd = Odd::new();
    let here = odd.0.path().canonicalize().unwrap();
    let here = here.display();
    let long = format!("/{}", "a".repeat(4095));
    let none = "it is not a folder";
    let mut folders = vec![
        ("file", format!("{here}/file"), none),
        ("file/below", format!("{here}/file/below"), none),
        ("dangling", format!("{here}/dangling"), none),
        ("loop", format!("{here}/loop"), none),
        ("pipe", format!("{here}/pipe"), none),
        ("socket", format!("{here}/socket"), none),
        ("/dev/null", "/dev/null".to_owned(), none),
        (&*long, long.clone(), "File name too long (os error 36)"),
    ];
    fs::create_dir(odd.path("foreign")).unwrap();
    let foreign = format!(
        "{here}/foreign belongs to another user, number 65534; ORDERFLOW_OWNERS=65534 accepts what is theirs"
    );
    if give_away(&odd.path("foreign")) {
        folders.push(("foreign", format!("{here}/foreign"), &foreign));
    }
    let before = odd.names();
    for (folder, named, why) in folders {
        let help = "  help: name a folder that you may write to, with --state DIR or ORDERFLOW_STATE\n";
        let expected =
            format!("error: cannot make the run's folder in {named}: {why}; nothing was run\n{help}");
        let by_argument = odd.say(&[&RUN[..], &["--state", folder]].concat());
        assert_eq!(by_argument, (74, expected.clone()), "{folder}");
        let args: Vec<&OsStr> = RUN.iter().map(OsStr::new).collect();
        let by_variable = odd.command(&args).env("ORDERFLOW_STATE", folder).output().unwrap();
        assert_eq!(told(by_variable, folder), (74, expected), "{folder}");
        for looks in [&["runs"][..], &["show", "last"], &["resume", "last"], &["cancel", "last"]] {
            let (exit, text) = odd.say(&[looks, &["--state", folder]].concat());
            // A link that leads nowhere is as good as no folder.
            assert!(exit == 74 || folder == "dangling", "{looks:?} {folder}: {exit} {text}");
            assert!(
                exit != 74 || text.contains(&format!("cannot read the runs in {named}: ")),
                "{looks:?}: {text}"
            );
        }
        assert_eq!(odd.names(), before, "{folder}");
    }
    assert_eq!(odd.say(&[&RUN[..], &["--state", ""]].concat()).0, 2);
    let not_text = OsString::from_vec(b"o\xff".to_vec());
    let args: Vec<&OsStr> = RUN.iter().map(OsStr::new).collect();
    let (exit, text) =
        told(odd.command(&args).env("ORDERFLOW_STATE", &not_text).output().unwrap(), "not UTF-8");
    assert_eq!((exit, text.contains("is not UTF-8; nothing was run")), (2, true), "{text}");
    assert_eq!(odd.names(), before, "not UTF-8");
}

#[test]
fn a_folder_for_runs_may_be_a_link_relative_or_new() {
    let odd = Odd::new();
    for folder in ["link", "new/below", "../x/../other", "a\u{1b}[31m\nb"] {
        let folder = folder.replace("../x", &format!("{}/pro", odd.0.path().display()));
        fs::create_dir_all(odd.path("pro")).unwrap();
        let (exit, text) = odd.say(&[&RUN[..], &["--state", &folder]].concat());
        assert_eq!(exit, 0, "{folder}: {text}");
        for command in [&["show", "last"][..], &["resume", "last"], &["runs"]] {
            let (exit, text) = odd.say(&[command, &["--state", &folder]].concat());
            assert_eq!(exit, 0, "{command:?} {folder}: {text}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
    // An empty variable is none.
    let args: Vec<&OsStr> = RUN.iter().map(OsStr::new).collect();
    assert_eq!(told(odd.command(&args).env("ORDERFLOW_STATE", "").output().unwrap(), "empty").0, 0);
    assert!(odd.path(".orderflow/runs").is_dir());
}

#[test]
fn a_name_of_a_run_that_is_none_is_refused() {
    let odd = Odd::new();
    assert_eq!(odd.say(&RUN).0, 0);
    let runs = odd.path(".orderflow/runs");
    let run = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    assert!(Command::new("cp").arg("-r").args([&run, &runs.join("last")]).status().unwrap().success());
    let before = fs::read(run.join("journal.db")).unwrap();
    let long = "n".repeat(300);
    for name in [
        "",
        "..",
        "/",
        ".",
        "//",
        "../..",
        "./last",
        "*",
        " ",
        "/dev/zero",
        "/proc/self",
        &long,
        "a\u{1b}[2J\u{202e}\n",
    ] {
        for command in [
            &["show"][..],
            &["resume"],
            &["retry"],
            &["cancel"],
            &["adopt", "--yes"],
            &["resume", "--explain"],
        ] {
            let (exit, text) = odd.say(&[command, &[name]].concat());
            assert_eq!(exit, 2, "{command:?} {name:?}: {text}");
            assert!(
                text.contains("  help: ") && !text.contains(['\u{1b}', '\u{202e}']),
                "{command:?} {name:?}: {text}"
            );
        }
    }
    // `last` is the user's own run, never a folder of that name.
    let (exit, text) = odd.say(&["show", "last"]);
    assert!(exit == 0 && text.contains(&run.display().to_string()), "{text}");
    fs::remove_dir_all(odd.path("STATE")).unwrap();
    let (exit, text) = odd.say(&["show", "last"]);
    let help = format!("such as orderflow show {}; ", runs.join("last").canonicalize().unwrap().display());
    assert!(exit == 2 && text.contains(&help), "{text}");
    assert_eq!(fs::read(run.join("journal.db")).unwrap(), before);
}

#[test]
fn a_file_of_inputs_or_items_without_an_end_is_read_so_far() {
    let odd = Odd::new();
    for (args, exit, why) in [
        (["--input", "x=@/dev/zero"], 74, "cannot read /dev/zero: larger than 16 MiB"),
        (["--input", "x=@sparse"], 74, "cannot read sparse: larger than 16 MiB"),
        (["--input", "x=@socket"], 74, "cannot read socket: "),
        (["--input", "x=@other"], 74, "cannot read other: "),
        (["--items", "/dev/zero"], 74, "cannot read the items in /dev/zero: larger than 256 MiB"),
        (["--items", "/dev/urandom"], 74, "cannot read the items in /dev/urandom: larger than 256 MiB"),
        (["--items", "socket"], 74, "cannot read the items in socket: "),
        (["--items", "s*"], 3, "sparse:1:1: larger than 16 MiB"),
        // Neither a pipe nor a socket is a file of a folder.
        (["--items", "pip*"], 3, "no file matches pip*"),
        (["--items", "sock*"], 3, "no file matches sock*"),
    ] {
        let (found, text) = odd.say(&[&RUN[..4], &args].concat());
        assert_eq!(found, exit, "{args:?}: {text}");
        assert!(text.contains(why), "{args:?}: {text}");
    }
    for (form, why) in [
        ("jsonl", "longer than 16 MiB"),
        ("json", "larger than 256 MiB"),
        ("csv", "a row longer than 16 MiB"),
        ("toon", "sparse.toon:1:"),
    ] {
        fs::rename(odd.path("sparse"), odd.path(&format!("sparse.{form}"))).unwrap();
        let (exit, text) = odd.say(&[&RUN[..4], &["--items", &format!("sparse.{form}")]].concat());
        assert!([3, 74].contains(&exit) && text.contains(why), "{form}: {exit} {text}");
        fs::rename(odd.path(&format!("sparse.{form}")), odd.path("sparse")).unwrap();
    }
    let (exit, text) = odd.say(&["stats", "sparse"]);
    assert!([3, 74].contains(&exit), "a trace: {exit} {text}");
}

/// As `cat` does.
#[test]
fn a_pipe_that_the_user_names_is_waited_for_and_read() {
    let odd = Odd::new();
    for (args, given) in [(["--input", "x=@pipe"], "text"), (["--items", "pipe"], "{\"x\": \"1\"}\n")] {
        let args: Vec<&OsStr> = RUN[..4].iter().chain(&args).map(OsStr::new).collect();
        let run = odd.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        fs::write(odd.path("pipe"), given).unwrap();
        let (exit, text) = told(run.wait_with_output().unwrap(), "a pipe");
        assert_eq!(exit, 0, "{text}");
    }
}

#[test]
fn a_run_needs_no_state_of_the_user() {
    let odd = Odd::new();
    let args: Vec<&OsStr> = RUN.iter().filter(|arg| **arg != "--quiet").map(OsStr::new).collect();
    let here = odd.0.path().to_owned();
    for (home, state) in [(Some("file"), None), (Some("file"), Some("relative")), (Some("."), Some("pipe"))] {
        let mut command = odd.command(&args);
        command.env_remove("HOME").env_remove("XDG_STATE_HOME");
        command.envs(home.map(|home| ("HOME", here.join(home))));
        // A relative one does not count.
        command.envs(state.map(|state| match state {
            "relative" => ("XDG_STATE_HOME", PathBuf::from(state)),
            state => ("XDG_STATE_HOME", here.join(state)),
        }));
        let (exit, text) = told(command.output().unwrap(), "a run");
        assert_eq!(exit, 0, "{home:?} {state:?}: {text}");
        assert!(text.contains("warning: ") && text.contains("orderflow adopt"), "{home:?} {state:?}: {text}");
        assert!(!here.join("relative").exists());
        let resumed = command.args(["--no-journal"]).output().unwrap();
        assert_eq!(told(resumed, "a run without a journal").0, 0);
    }
}

/// Of two runners that begin at once one has the run; the other says so at once.
#[test]
fn of_two_runners_at_one_run_one_is_refused() {
    let scene = Scene::new();
    fs::remove_file(scene.path("go")).unwrap();
    let _ = fs::remove_file(scene.path("waiting"));
    let run = scene.run.display().to_string();
    let begin = || {
        let mut command = orderflow(&scene.path(""), &format!("resume --quiet {run}"));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut both = [begin(), begin()];
    let since = Instant::now();
    let refused = loop {
        assert!(since.elapsed() < Duration::from_secs(60), "nobody is refused");
        if let Some(at) = both.iter_mut().position(|one| one.try_wait().unwrap().is_some()) {
            break at;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut text = String::new();
    both[refused].stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(both[refused].wait().unwrap().code(), Some(8), "{text}");
    let other = &mut both[1 - refused];
    while !scene.path("waiting").exists() {
        assert!(since.elapsed() < Duration::from_secs(60) && other.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").arg(other.id().to_string()).status().unwrap().success());
    assert_eq!(other.wait().unwrap().code(), Some(143));
    fs::write(scene.path("go"), "").unwrap();
    assert_eq!(scene.say("resume --quiet RUN").1, Some(1), "one of its items fails");
}

/// SQLite would take the pages of any log beside the journal: a run with another one is not the user's own.
#[test]
fn a_log_of_another_journal_is_not_obeyed() {
    use orderflow::journal::{Journal, Store, read};
    let scene = Scene::new();
    let (header, records) = read(&scene.run).unwrap();
    let mut all = Vec::new();
    let keep = |record| -> Result<(), orderflow::journal::Unreadable> {
        all.push(record);
        Ok(())
    };
    records.each(keep).unwrap();
    drop(records);
    for (what, count) in [("a longer one", 1), ("its own, cut short", 0)] {
        let other = scene.top.path().join(format!("other-{count}"));
        fs::create_dir(&other).unwrap();
        let mut store = Store::create(&other, &header).unwrap();
        let half = all.len() / 2;
        store.append(if count == 0 { &all[..half] } else { &all }).unwrap();
        store.append(&all[..count]).unwrap();
        let log = fs::read(other.join("journal.db-wal")).unwrap();
        assert!(log.len() > 1000, "{what}");
        let before = fs::read(scene.run.join("journal.db")).unwrap();
        let _ = fs::remove_file(scene.run.join("journal.db-shm"));
        fs::write(scene.run.join("journal.db-wal"), log).unwrap();
        for command in ["resume --quiet RUN", "retry --quiet RUN", "cancel RUN"] {
            let (told, exit) = scene.say(command);
            assert!([Some(4), Some(7)].contains(&exit), "{what}: {command}: {exit:?} {told}");
        }
        for command in ["show RUN", "runs", "resume --explain RUN"] {
            let (told, exit) = scene.say(command);
            assert!([Some(0), Some(7)].contains(&exit), "{what}: {command}: {exit:?} {told}");
        }
        for file in ["journal.db-wal", "journal.db-shm"] {
            let _ = fs::remove_file(scene.run.join(file));
        }
        assert!(fs::read(scene.run.join("journal.db")).unwrap() == before, "{what}: the journal has changed");
    }
    assert_eq!(scene.say("resume --quiet RUN").1, Some(1), "one of its items fails");
}

/// The number of a user who is not root.
const OTHER: u32 = 65_534;

/// A folder that everybody may write to; `None`, after a notice, where no other user can run the program.
fn shared() -> Option<Odd> {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return None;
    }
    let odd = Odd::new();
    fs::set_permissions(odd.0.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let reachable = Command::new(env!("CARGO_BIN_EXE_orderflow")).arg("--version").uid(OTHER).output();
    if !reachable.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: the other user cannot run the program");
        return None;
    }
    for user in [0, OTHER] {
        fs::create_dir(odd.path(&format!("state-{user}"))).unwrap();
        chown(odd.path(&format!("state-{user}")), Some(user), Some(user)).unwrap();
    }
    Some(odd)
}

/// A command of a user, with a state folder of that user.
fn command_of(odd: &Odd, user: u32, args: &[&str]) -> Command {
    use std::os::unix::process::CommandExt;
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let mut command = odd.command(&args);
    command.uid(user).gid(user).env("XDG_STATE_HOME", odd.path(&format!("state-{user}")));
    command
}

/// Each waits in its step for the other, so both runners work at the same moment, in one folder.
#[test]
fn runners_of_two_users_work_side_by_side() {
    let Some(odd) = shared() else { return };
    let meet = "# Meet\n\n## Meet\nx::String -> met::String\n\n```sh run\n: > \"here-$(id -u)\"\n\
        until test -e here-0 && test -e here-65534; do sleep 0.02; done\nid -u\n```\n";
    fs::write(odd.path("meet.md"), meet).unwrap();
    let begin = |user: u32| {
        let (session, store) = (format!("{user}.toon"), format!("runs-{user}"));
        let args = [
            "run",
            "meet.md",
            "--trust",
            "--quiet",
            "--input",
            "x=1",
            "--session",
            &session,
            "--state",
            &store,
        ];
        command_of(&odd, user, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for (user, run) in [0, OTHER].map(|user| (user, begin(user))) {
        let (exit, text) = told(run.wait_with_output().unwrap(), &format!("user {user}"));
        assert_eq!(exit, 0, "{user}: {text}");
    }
    for user in [0, OTHER] {
        let store = format!("runs-{user}");
        let shown =
            command_of(&odd, user, &["show", "last", "--item", "1", "--state", &store]).output().unwrap();
        let (exit, text) = told(shown, "show");
        assert!(exit == 0 && text.contains(&format!("makes met: \"{user}\"")), "{user}: {exit} {text}");
        assert!(odd.path(&format!("{user}.toon")).exists());
    }
}

#[test]
fn a_folder_for_runs_that_is_read_only_is_named() {
    let Some(odd) = shared() else { return };
    for (folder, store) in [("locked", "locked"), ("locked-above", "locked-above/store")] {
        fs::create_dir(odd.path(folder)).unwrap();
        fs::set_permissions(odd.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
        chown(odd.path(folder), Some(OTHER), Some(OTHER)).unwrap();
        let args = ["run", "flow.md", "--trust", "--quiet", "--input", "x=1", "--state", store];
        let (exit, text) = told(command_of(&odd, OTHER, &args).output().unwrap(), store);
        let why = "Permission denied (os error 13); nothing was run\n  \
            help: name a folder that you may write to, with --state DIR or ORDERFLOW_STATE\n";
        let expected = format!("error: cannot make the run's folder in {}", odd.path(store).display());
        assert!(exit == 74 && text.starts_with(&expected) && text.ends_with(why), "{exit} {text}");
        assert_eq!(fs::read_dir(odd.path(folder)).unwrap().count(), 0);
    }
}

/// Two users with a folder for both: neither touches the runs of the other, and both can run there.
#[test]
fn two_users_of_one_folder_have_runs_of_their_own() {
    let Some(odd) = shared() else { return };
    let run = |user: u32, more: &[&str]| {
        let args: Vec<&str> = RUN.iter().chain(more).copied().collect();
        told(command_of(&odd, user, &args).output().unwrap(), &format!("user {user} {more:?}"))
    };
    let session = |user: u32| odd.path(&format!("{user}.toon")).display().to_string();
    let own = |user: u32| odd.path(&format!("runs-{user}")).display().to_string();
    assert_eq!(run(OTHER, &["--session", &session(OTHER)]).0, 0);
    let (exit, text) = run(0, &["--session", &session(0)]);
    let foreign =
        format!("belongs to another user, number {OTHER}; ORDERFLOW_OWNERS={OTHER} accepts what is theirs");
    assert!(exit == 74 && text.contains(&foreign), "{exit} {text}");
    for user in [0, OTHER] {
        let (exit, text) = run(user, &["--session", &session(user), "--state", &own(user)]);
        assert_eq!(exit, 0, "{user}: {text}");
        assert_eq!(fs::metadata(own(user)).unwrap().uid(), user);
    }
    let (exit, text) = run(OTHER, &["--session", &session(OTHER), "--state", &own(0)]);
    assert!(exit == 74 && text.contains("Permission denied"), "{exit} {text}");
    // What lies in the place of a trace is another user's.
    let (exit, text) = run(OTHER, &["--session", &session(0), "--state", &own(OTHER)]);
    assert!(exit != 0 && fs::metadata(session(0)).unwrap().uid() == 0, "{exit} {text}");
}
