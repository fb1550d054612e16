//! Runs at a real terminal: what programs reach of it, and what its keys do.

use crate::place::Place;
use crate::screen::Screen;

/// Tries the terminal in every way, and says what came of it.
const TRIES: &str = "\
if (read -r x < /dev/tty) 2>/dev/null; then echo read the terminal; fi
if (echo written > /dev/tty) 2>/dev/null; then echo wrote to the terminal; fi
if stty -F /dev/tty raw 2>/dev/null; then echo changed the terminal; fi
set -- $(sed 's/.*) //' /proc/$$/stat)
test \"$4\" = $$ || echo is in the session $4 of another
test \"$5\" = 0 || echo has the terminal $5
echo pwd $(pwd -P)
";

/// Programs that are named and found in every way, of a run that was started in their folder and in another one.
#[test]
fn no_program_reaches_the_terminal_wherever_the_run_was_started() {
    for start in [".", "deep"] {
        let place =
            Place::new("# T\n## A @named\n→ a::JSON\n## B @found\n→ b::JSON\n## C @bare\n→ c::JSON\n");
        std::fs::create_dir_all(place.path("deep/bin")).unwrap();
        place.write("deep/bin/tries", &format!("#!/bin/sh\n({TRIES}) > \"$1\"\necho '\"done\"'\n"));
        place.write("deep/bin/bare", &format!("({TRIES}) > \"$1\"\necho '\"done\"'\n"));
        for program in ["tries", "bare"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(place.path("deep/bin").join(program), mode).unwrap();
        }
        place.write(
            "orderflow.toml",
            "[agents.named]\ncommand = [\"./deep/bin/tries\", \"named\"]\n\
             [agents.found]\ncommand = [\"tries\", \"found\"]\n\
             [agents.bare]\ncommand = [\"bare\", \"bare\"]\n",
        );
        let document = place.path("flow.md");
        let run = format!(
            "sh -c 'cd {start} && PATH=/nowhere:{}:$PATH exec {} run {} --session {}'",
            place.path("deep/bin").display(),
            env!("CARGO_BIN_EXE_orderflow"),
            document.display(),
            place.path("session.toon").display()
        );
        let (text, exit) = Screen::begin_program(&place, &run, 200, 24).end();
        assert_eq!(exit, Some(0), "{start}: {text}");
        let root = std::fs::canonicalize(place.folder()).unwrap();
        for file in ["named", "found", "bare"] {
            assert_eq!(place.read(file), format!("pwd {}\n", root.display()), "{start}: {file}");
        }
    }
}

/// A script whose interpreter is missing is only found out by starting it.
#[test]
fn a_program_that_cannot_be_started_says_so_at_a_terminal_too() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("# T\n## A @lost\n");
    place.write("orderflow.toml", "[agents.lost]\ncommand = [\"./lost\"]\n");
    place.write("lost", "#!/nowhere/sh\n");
    std::fs::set_permissions(place.path("lost"), PermissionsExt::from_mode(0o755)).unwrap();
    let without = place.orderflow("run flow.md");
    let (said, exit) = place.at_terminal("run flow.md", "");
    assert_eq!((without.exit, exit), (Some(1), Some(1)), "{said}");
    for text in [&without.err, &said] {
        assert!(text.contains("/lost: no such file in "), "{text}");
    }
}

const WAITS: &str = "\
# T
## A
→ a::Number
```sh run
trap 'echo asked > asked; exit 7' TERM
sh -c 'echo $$ > below.new; mv below.new below; exec sleep 1000' &
echo $$ > self.new; mv self.new self
until test -e go; do sleep 0.02; done
kill %1 2>/dev/null || kill $!
echo 1
```
";

/// The state of a process: a letter; `None` if it has gone.
fn state(place: &Place, file: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", place.read(file).trim())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next().filter(|state| *state != 'Z')
}

#[test]
fn ctrl_c_at_a_terminal_ends_programs_and_pauses_the_run() {
    let place = Place::new(WAITS);
    let mut screen = Screen::begin(&place, "run flow.md --trust", 80, 24);
    place.await_file("self");
    place.await_file("below");
    screen.type_in("\x03");
    screen.until(|screen| screen.contains("the run is paused"));
    let (text, exit) = screen.end();
    assert_eq!(exit, Some(130), "{text}");
    assert!(place.path("asked").exists(), "the program was asked to end: {text}");
    assert_eq!([state(&place, "self"), state(&place, "below")], [None, None], "{text}");
}

#[test]
fn ctrl_z_at_a_terminal_stops_the_runner_alone_and_it_continues() {
    let place = Place::new(WAITS);
    place.write(
        "shell.sh",
        &format!(
            "set -m\n{} run flow.md --trust --quiet\necho \"stopped with $?\" > stopped.new; mv stopped.new stopped\n\
             until test -e back; do sleep 0.02; done\nfg\necho \"ended with $?\" > ended\n",
            env!("CARGO_BIN_EXE_orderflow")
        ),
    );
    let mut screen = Screen::begin_program(&place, "bash shell.sh", 80, 24);
    place.await_file("self");
    place.await_file("below");
    screen.type_in("\x1a");
    place.await_file("stopped");
    assert_eq!(place.read("stopped"), "stopped with 148\n");
    for program in ["self", "below"] {
        assert!(state(&place, program).is_some_and(|state| state != 'T'), "{program} runs");
    }
    // The program ends while its runner is stopped.
    place.write("go", "");
    place.until("the program ends", || state(&place, "self").is_none());
    place.write("back", "");
    let (text, _) = screen.end();
    assert_eq!(place.read("ended"), "ended with 0\n", "{text}");
}
