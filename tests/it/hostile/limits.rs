//! Limits of the system, of numbers and of the clock: a plain error before anything starts, never a panic.

use super::*;

const FLOW: &str = "---\ntitle: T\nitems: items.csv\n---\n\n## Copy\nname::String -> out::String\n\n\
                    ```sh run\nprintf %s \"$IN_NAME\"\n```\n";

fn project(many: usize) -> TempDir {
    let top = TempDir::new().unwrap();
    fs::write(top.path().join("flow.md"), FLOW).unwrap();
    let items: String = (0..many).map(|id| format!("{id},n{id}\n")).collect();
    fs::write(top.path().join("items.csv"), format!("id,name\n{items}")).unwrap();
    top
}

/// What a command says where `ulimit` has been called with this.
fn limited(folder: &Path, limit: &str, args: &str) -> (String, Option<i32>) {
    let line = format!("ulimit {limit} && exec timeout 60 {} {args}", env!("CARGO_BIN_EXE_orderflow"));
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(folder).env("XDG_STATE_HOME", folder.join("STATE"));
    command.env_remove("ORDERFLOW_OWNERS").env_remove("ORDERFLOW_STATE");
    let done = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    (told, done.status.code())
}

#[test]
fn few_open_files_are_a_plain_error_or_enough() {
    let top = project(2);
    let folder = top.path();
    let mut done = 0;
    for most in [5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28, 30, 32, 34, 36, 40, 64] {
        for args in ["run --trust --quiet flow.md", "show last", "runs", "resume last", "validate flow.md"] {
            let (told, exit) = limited(folder, &format!("-n {most}"), args);
            assert!(!told.contains("panicked"), "{most} {args}: {told}");
            let (few, run) = (
                told.contains("files may be open at once (ulimit -n), too few for"),
                args.starts_with("run "),
            );
            assert!(
                exit == Some(0) || few && exit == Some(74) || exit == Some(2),
                "{most} {args}: {exit:?} {told}"
            );
            if most <= 12 {
                assert_eq!(exit, Some(74), "{most} {args}: {told}");
            }
            done += u32::from(run && exit == Some(0));
        }
    }
    assert!(done >= 2, "enough files are enough");
    let runs = fs::read_dir(folder.join(".orderflow/runs")).unwrap().count();
    assert_eq!(runs, done as usize, "no run began that could not go on");
}

#[test]
fn little_memory_and_few_processes_are_a_plain_error() {
    let top = project(2);
    // Of some an allocator that reserves a heap for each thread would leave nothing.
    let spaces = (50_000..150_000).step_by(2_500).chain((150_000..1_000_000).step_by(50_000));
    for space in spaces {
        if limited(top.path(), &format!("-v {space}"), "--version").1 != Some(0) {
            continue; // The program cannot even be loaded.
        }
        let (told, exit) = limited(top.path(), &format!("-v {space}"), "run --trust --quiet flow.md");
        let few =
            format!("error: only {} MiB of memory are allowed (ulimit -v), too few for a run", space / 1024);
        assert!(exit == Some(0) || exit == Some(74) && told.starts_with(&few), "{space}: {exit:?} {told}");
        assert!(exit == Some(0) || space < 130_000, "{space} KiB suffice: {told}");
    }
    // Root may start as many processes as it likes.
    if !give_away(top.path()) {
        eprintln!("skipped: only root can become another user");
        return;
    }
    for most in [2, 3, 4, 5] {
        let line = format!("ulimit -u {most} && exec \"$0\" run --trust --quiet flow.md");
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "timeout",
            "60",
            "bash",
            "-c",
            &line,
        ]);
        command.arg(env!("CARGO_BIN_EXE_orderflow")).current_dir(top.path()).stdin(Stdio::null());
        let done = command.env("XDG_STATE_HOME", top.path().join("STATE")).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        if told.contains("Permission denied") {
            eprintln!("skipped: the program cannot be started by another user");
            return;
        }
        assert_eq!(done.status.code(), Some(74), "{most}: {told}");
        assert!(told.starts_with("error: cannot start the threads of a run: "), "{most}: {told}");
    }
}

#[test]
fn no_number_of_processes_is_more_than_can_be() {
    let top = project(2);
    fs::write(top.path().join("asks.md"), "# T\n## A @x\n-> a::String\n").unwrap();
    for many in ["1000000000000", "9223372036854775808", "18446744073709551615", "0", "-1", "1e30"] {
        let bound = format!("[agents.x]\nworker = [\"true\"]\nprocesses = {many}\n");
        fs::write(top.path().join("orderflow.toml"), bound).unwrap();
        let (told, exit) = limited(top.path(), "-c 0", "run --quiet asks.md");
        assert!([Some(1), Some(3)].contains(&exit) && !told.contains("panicked"), "{many}: {exit:?} {told}");
    }
}

#[test]
fn a_clock_that_is_far_off_is_no_panic() {
    let top = project(2);
    if !Command::new("faketime").args(["2020-01-01", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no faketime here; a unit test turns such clocks into times");
        return;
    }
    for clock in ["1960-01-01 00:00:00", "9999-12-31 23:59:59", "@9000000000000"] {
        for args in
            ["run --trust --quiet flow.md", "runs --since 2d", "show last", "runs prune --older-than 2d"]
        {
            let mut command = Command::new("faketime");
            command.arg(clock).arg(env!("CARGO_BIN_EXE_orderflow")).args(args.split(' '));
            command.current_dir(top.path()).env("XDG_STATE_HOME", top.path().join("STATE"));
            let done = command.stdin(Stdio::null()).output().unwrap();
            let told = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(0), "{clock} {args}: {told}");
        }
    }
}

/// What is said where there is no room: the file, why, and what to do; nothing that was done is lost.
#[test]
fn no_room_is_said_with_the_file_and_what_to_do() {
    let top = project(40);
    let mut begun = 0;
    for blocks in [1, 4, 8, 16, 32, 48, 64] {
        let (told, exit) = limited(top.path(), &format!("-f {blocks}"), "run --trust --quiet flow.md");
        assert_eq!(exit, Some(74), "{blocks}: {told}");
        let line = told.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(line.contains("journal.db: files may not be so large (ulimit -f)"), "{blocks}: {told}");
        assert!(told.contains("  help: allow larger files (ulimit -f)"), "{blocks}: {told}");
        begun += u32::from(told.contains("then continue the run with orderflow resume"));
    }
    assert!(begun > 0, "some of them began");
    let (told, exit) = limited(top.path(), "-c 0", "resume --quiet last");
    assert_eq!(exit, Some(0), "{told}");
}

/// A disk of so many KiB, in a mount of this test's own.
#[test]
fn a_full_disk_is_said_with_the_file_and_what_to_do() {
    let top = project(40);
    let disk = top.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=$1k tmpfs disk || exit 99; cp flow.md items.csv disk; cd disk; \
                  $0 run --trust --quiet flow.md; code=$?; mount -o remount,size=64m . 2>/dev/null; \
                  $0 resume --quiet last >&2; exit $code";
    let mut went_on = 0;
    for size in [20, 48, 96, 128, 160, 200] {
        let mut command = Command::new("unshare");
        command.args(["-r", "-m", "timeout", "60", "sh", "-c", script, env!("CARGO_BIN_EXE_orderflow")]);
        command.arg(size.to_string()).current_dir(top.path()).env("XDG_STATE_HOME", top.path().join("STATE"));
        let done = command.stdin(Stdio::null()).output();
        let Ok(done) = done.as_ref().map_err(drop) else { return eprintln!("skipped: no unshare here") };
        let told = String::from_utf8_lossy(&done.stderr);
        if done.status.code() == Some(99) || told.contains("unshare:") {
            return eprintln!("skipped: no file system can be mounted here: {told}");
        }
        assert!([Some(0), Some(74)].contains(&done.status.code()), "{size}: {told}");
        assert!(!told.contains("disk I/O error") && !told.contains("panicked"), "{size}: {told}");
        if done.status.code() == Some(74) {
            let room = told.to_lowercase().contains("no space left on device");
            assert!(room && told.contains("error: cannot write "), "{size}: {told}");
            assert!(told.contains("help: free some space there"), "{size}: {told}");
        }
        went_on += u32::from(told.contains("then continue the run with orderflow resume"));
    }
    assert!(went_on > 0, "some of them began");
}
