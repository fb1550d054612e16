//! What an agent reaches of its runner, of the terminal and of the machine: nothing that is not its own.

use crate::place::Place;
use crate::program::told;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// A program and a worker that try to read from the terminal.
#[test]
fn an_agent_has_no_terminal() {
    let place = Place::new(
        "# T\n## A\no -> a::String\n```sh run\nif (read -r x < /dev/tty) 2>> why; then echo read; else echo none; fi\n```\n\
         ## B @keeper\na -> b::String\n",
    );
    place.write("orderflow.toml", "[agents.keeper]\nworker = [\"sh\", \"worker.sh\"]\n");
    place.write(
        "worker.sh",
        "read -r line\nid=${line#*\\\"id\\\":}\nid=${id%%[!0-9]*}\nif (read -r x < /dev/tty) 2>> why; then x=read; else x=none; fi\n\
         echo \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":$id,\\\"result\\\":\\\"$x\\\"}\"\nread -r line\n",
    );
    let (said, exit) = place.at_terminal("run flow.md --trust --input o=1 --write", "");
    assert_eq!(exit, Some(0), "{said}");
    let why = place.read("why");
    assert_eq!(why.matches("cannot open /dev/tty: No such device or address").count(), 2, "{why}");
}

/// The runner holds the secrets of all agents. The superuser sees everything, so it is not asked.
#[test]
fn an_agent_cannot_look_into_its_runner() {
    let place = Place::new(
        "# T\n## A\no -> a::String\n```sh run\n\
         for file in environ mem maps fd/0; do if cat /proc/$PPID/$file > /dev/null 2>&1; then echo $file; fi; done\n\
         grep -c . /proc/self/environ\n```\n",
    );
    let program = place.path("orderflow");
    std::fs::copy(env!("CARGO_BIN_EXE_orderflow"), &program).unwrap();
    let mut command = match rustix::process::getuid().is_root() {
        false => Command::new(&program),
        true => {
            let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
            let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(place.folder()).status();
            let works = Command::new("setpriv").args(nobody).arg("true").status();
            if !owned.is_ok_and(|status| status.success()) || !works.is_ok_and(|status| status.success()) {
                eprintln!("skipped: there is no way to become another user");
                return;
            }
            let mut command = Command::new("setpriv");
            command.args(nobody).arg(&program);
            command
        }
    };
    command.args(["run", "flow.md", "--trust", "--input", "o=1", "--format", "json"]);
    command.current_dir(place.folder()).env("XDG_STATE_HOME", place.path(".state")).stdin(Stdio::null());
    let told = told(command.output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let rows = place.read("session.toon");
    assert!(rows.contains("\"1\"") && !rows.contains("environ") && !rows.contains("mem"), "{rows}");
}

/// A file that may not grow any more is an error as any other; the runner lives to tell it.
#[test]
fn the_limit_of_a_file_s_size_is_told() {
    let place = Place::new(
        "# T\n## A\no -> a::String\n```sh run\ngrep SigIgn /proc/self/status > ignored\necho 1\n```\n",
    );
    let run = "ulimit -f \"$1\"; exec \"$0\" run flow.md --trust --input o=1";
    let limited = |blocks: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", run, env!("CARGO_BIN_EXE_orderflow"), blocks]).current_dir(place.folder());
        command.env("XDG_STATE_HOME", place.path(".state")).stdin(Stdio::null());
        command.output().unwrap()
    };
    for blocks in ["1", "8", "40", "80"] {
        let output = limited(blocks);
        assert_eq!(output.status.signal(), None, "{blocks}: {output:?}");
        let told = told(output);
        assert!(told.exit == Some(74) || (blocks == "80" && told.exit == Some(0)), "{blocks}: {}", told.err);
    }
    let free = told(limited("unlimited"));
    assert_eq!(free.exit, Some(0), "{}", free.err);
    let mask = place.read("ignored").trim_start_matches("SigIgn:").trim().to_owned();
    let ignored = u64::from_str_radix(&mask, 16).unwrap();
    assert_eq!(
        ignored & (1 << (rustix::process::Signal::XFSZ.as_raw() - 1)),
        0,
        "the agent meets it as always"
    );
}

/// Runs this in python, with a runner as its only child; the most memory that it took, in bytes.
const PEAK: &str = "\
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.stderr.buffer.write(done.stderr)
";

/// The memory that an attempt takes is a small multiple of its answer, whatever that is.
#[test]
fn an_answer_takes_a_small_multiple_of_its_own_memory() {
    let mebi = 16 << 20;
    let peak = |program: &str, ty: &str| {
        let place = Place::new(&format!("# T\n## A\no -> a::{ty}\n```sh run\n{program}\n```\n"));
        let mut command = Command::new("python3");
        command.args([
            "-c",
            PEAK,
            env!("CARGO_BIN_EXE_orderflow"),
            "run",
            "flow.md",
            "--trust",
            "--input",
            "o=1",
        ]);
        command.current_dir(place.folder()).env("XDG_STATE_HOME", place.path(".state")).stdin(Stdio::null());
        let told = told(command.output().unwrap());
        let (exit, peak) = told.out.trim().split_once(' ').unwrap();
        (exit.to_owned(), peak.parse::<u64>().unwrap(), told.err)
    };
    let many = |part: &str| {
        format!("echo '['; yes '{part},' | head -n {}; echo '1]'", (mebi - 4096) / (part.len() as u64 + 2))
    };
    let (_, base, _) = peak("echo 1", "JSON");
    for (program, ty, exit) in [
        (many("[]"), "JSON", "1"),
        (many("{}"), "JSON", "1"),
        (many("1"), "JSON", "1"),
        (many("[[[[[[]]]]]]"), "JSON", "1"),
        (many("\"0123456789012345678901234567890123456789\""), "JSON", "0"),
        (format!("yes 'words of a text' | head -c {mebi}"), "String", "0"),
    ] {
        let (ended, most, err) = peak(&program, ty);
        assert_eq!(ended, exit, "{program}: {err}");
        let more = most.saturating_sub(base);
        assert!(more < 10 * mebi, "{program}: {} MiB", more >> 20);
    }
}
