//! What programs are promised besides: exits, environment, files, groups of processes.

use super::super::process::ProgramAgent;
use super::super::program::Program;
use super::super::{Adapter, Call, Stop, Stopper, Urgency};
use super::{PATIENCE, about, call, describe, is_gone, until};
use crate::event::{Answer, Cause, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A shell program in a folder of its own.
struct Scene {
    folder: TempDir,
    process: ProgramAgent,
    call: Call,
}

fn scene(source: &str, outputs: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let command = ["sh", "-c", source].map(str::to_owned).to_vec();
    let path = ("PATH".to_owned(), std::env::var_os("PATH").unwrap());
    let process = ProgramAgent::new(Program { command, folder: folder.path().to_owned(), env: vec![path] });
    let call = call(folder.path(), outputs, json!({"order": {"id": 1}}));
    std::fs::create_dir(&call.dir).unwrap();
    Scene { folder, process, call }
}

impl Scene {
    async fn answer(&self) -> Answer {
        self.answer_unless_asked().1.await
    }

    /// The attempt together with the way to stop it.
    fn answer_unless_asked(&self) -> (Stopper, impl Future<Output = Answer>) {
        let (stopper, stop) = Stop::new();
        let ending = tokio::time::timeout(PATIENCE, self.process.call(self.call.clone(), stop));
        (stopper, async { ending.await.expect("the attempt ends") })
    }

    async fn told(&self) -> String {
        describe(&self.call.outputs, &self.answer().await)
    }

    /// A number that the program has written into a file in the item's folder.
    fn number(&self, file: &str) -> Option<u32> {
        std::fs::read_to_string(self.call.dir.join(file)).ok()?.trim().parse().ok()
    }
}

#[tokio::test]
async fn the_exit_decides_unless_the_program_says_more() {
    let refused = r#"echo '{"error":{"message":"no","code":"c"}}'"#;
    for (source, expected) in [
        ("exit 65", "Exit(65): exited with 65 (bad input); Failed, final"),
        ("exit 75", "Exit(75): exited with 75 (try again); Failed, again"),
        ("exit 1", "Exit(1): exited with 1; Unknown, again"),
        ("kill -9 $$", "Signal(9): ended by signal 9; Unknown, again"),
        ("echo why >&2; echo >&2; exit 3", "Exit(3): exited with 3: why; Unknown, again"),
        (r#"echo '{"a":1}'; exit 3"#, "Exit(3): exited with 3; Unknown, again"),
        (&format!("{refused}; exit 0"), "Refused(c): no; Failed, again"),
        (&format!("{refused}; exit 3"), "Refused(c): no; Failed, again"),
        (&format!("{refused}; kill -9 $$"), "Refused(c): no; Failed, again"),
        (&format!("{refused}; exit 65"), "Refused(c): no; Failed, final"),
        (r#"echo '{"error":"no"}'; exit 65"#, "Refused: no; Failed, final"),
        (r#"echo '{"error":{"message":"no","retryable":true}}'; exit 65"#, "Refused: no; Failed, again"),
    ] {
        assert_eq!(scene(source, "a::Integer").told().await, expected, "{source}");
    }
    for exit in [0, 3, 65, 75] {
        let source = format!("echo paying; {refused}; exit {exit}");
        let failure = scene(&source, "a::Integer").answer().await.unwrap_err();
        let stray = (Cause::BadOutput, Outcome::Unknown, false);
        assert_eq!(
            (failure.cause.clone(), failure.outcome, failure.retryable),
            stray,
            "{source}: {}",
            failure.message
        );
    }
}

#[tokio::test]
async fn the_end_of_the_log_is_kept_and_reasons_are_short() {
    let scene =
        scene("yes 0123456789 | head -n 10000 >&2; head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1", "");
    let failure = scene.answer().await.unwrap_err();
    assert_eq!(failure.message, format!("exited with 1: {}", "x".repeat(200)));
    assert!(failure.log.len() <= 16 * 1024, "{} bytes", failure.log.len());
    assert!(failure.log.ends_with(&format!("0123456789\n{}", "x".repeat(5000))));
}

#[tokio::test]
async fn the_answer_may_stand_in_a_file() {
    for (source, expected) in [
        (r#"echo '{"a":2} is log'; echo '{"a":1}' > "$ORDERFLOW_OUTPUT""#, "a=1"),
        (r#"echo '{"a":1}' > "$ORDERFLOW_OUTPUT"; head -c 17000000 /dev/zero"#, "a=1"),
        (
            r#"echo '{"error":"no"}' > "$ORDERFLOW_OUTPUT"; echo '{"a":1}'; exit 1"#,
            "Refused: no; Failed, again",
        ),
        (
            r#"echo '{"a":1}'; printf 'ab\377' > "$ORDERFLOW_OUTPUT""#,
            "BadOutput: the answer is not UTF-8 at byte 2; Unknown, final",
        ),
        (
            r#"head -c 17000000 /dev/zero > "$ORDERFLOW_OUTPUT""#,
            "BadOutput: the answer is larger than 16 MiB; Unknown, final",
        ),
        (
            r#"mkfifo "$ORDERFLOW_OUTPUT""#,
            "BadOutput: cannot read ORDERFLOW_OUTPUT: it is not a regular file; Unknown, final",
        ),
        (r#"mkfifo "$ORDERFLOW_OUTPUT"; exit 4"#, "Exit(4): exited with 4; Unknown, again"),
    ] {
        let scene = scene(source, "a::Integer");
        assert_eq!(scene.told().await, expected, "{source}");
        let left: Vec<_> = std::fs::read_dir(scene.folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only the item's folder is left: {left:?}");
    }
}

#[tokio::test]
async fn an_answer_left_by_another_attempt_is_none() {
    let scene = scene("cat > /dev/null", "a::Integer");
    std::fs::write(scene.folder.path().join("7-0-3.out"), "{\"a\":1}").unwrap();
    assert!(scene.told().await.starts_with("BadOutput: expected the output `a`; the answer is empty"));
}

#[tokio::test]
async fn the_inputs_stand_in_a_file_too() {
    let source = r#"cmp - "$ORDERFLOW_INPUT" >&2; cat "$ORDERFLOW_INPUT""#;
    assert_eq!(scene(source, "a::JSON").told().await, r#"a={"order":{"id":1}}"#);
}

#[tokio::test]
async fn output_of_a_step_that_makes_nothing_is_log() {
    for source in ["head -c 17000000 /dev/zero", "printf 'ab\\377'", "echo '[1]'", "exec >&-"] {
        assert_eq!(scene(source, "").told().await, "", "{source}");
    }
}

#[tokio::test]
async fn the_environment_holds_what_is_said_and_nothing_else() {
    let mut scene = scene("", "b::String");
    let folder = scene.folder.path().to_string_lossy().into_owned();
    let longest = "x".repeat(64 * 1024);
    scene.process.program.command = vec!["env".to_owned()];
    scene.process.program.env.push(("SHOP_DB".to_owned(), "shop.db".into()));
    let inputs = json!({
        "order-id": "o 7", "total": serde_json::from_str::<Value>("145.50").unwrap(), "paid": true, "longest": longest, "absent": null, "list": [1],
        "too_long": format!("{longest}x"), "nul": "a\u{0}b", "order": {"id": 1},
    });
    scene.call = call(scene.folder.path(), "b::String", inputs);
    let Ok(reply) = scene.answer().await else { panic!("env runs") };
    let text = reply.outputs[0].1.as_str().unwrap().to_owned();
    let mut told: BTreeMap<&str, &str> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
    let mark = told.remove("ORDERFLOW_PROCESS").unwrap();
    assert!(mark.starts_with("run-1/"), "{mark}");
    let path = std::env::var_os("PATH").unwrap();
    let names = ["item", "7-0-3.in.json", "7-0-3.out", "7-0-3.md"];
    let [dir, input, output, instructions] = names.map(|name| format!("{folder}/{name}"));
    let expected = BTreeMap::from([
        ("IN_LIST", "[1]"),
        ("IN_LONGEST", longest.as_str()),
        (
            "IN_NUL",
            "[orderflow: the input `nul` cannot be a variable (it holds a NUL character); read it from standard input or \
             from the file that ORDERFLOW_INPUT names]",
        ),
        ("IN_ORDER", r#"{"id":1}"#),
        ("IN_ORDER_ID", "o 7"),
        ("IN_PAID", "true"),
        (
            "IN_TOO_LONG",
            "[orderflow: the input `too_long` cannot be a variable (65537 bytes, at most 65536); read it from standard \
             input or from the file that ORDERFLOW_INPUT names]",
        ),
        ("IN_TOTAL", "145.50"),
        ("ORDERFLOW_AGENT", "payment-service"),
        ("ORDERFLOW_ATTEMPT", "3"),
        ("ORDERFLOW_CHANNEL", "payments"),
        ("ORDERFLOW_BUDGET", ""),
        ("ORDERFLOW_DEADLINE", "2026-11-20T08:00:00.000Z"),
        ("ORDERFLOW_DIR", &dir),
        ("ORDERFLOW_ELEMENT", ""),
        ("ORDERFLOW_INPUT", &input),
        ("ORDERFLOW_INSTRUCTIONS", &instructions),
        ("ORDERFLOW_ITEM", "order-7"),
        ("ORDERFLOW_KEY", "key-of-the-effect"),
        ("ORDERFLOW_FORWARD_KEY", "key-of-what-is-undone"),
        ("ORDERFLOW_OUTPUT", &output),
        ("ORDERFLOW_OUTPUTS", r#"[{"name":"b","type":"String","optional":false}]"#),
        ("ORDERFLOW_RUN", "run-1"),
        ("ORDERFLOW_STEP", "ProcessPayment"),
        ("PATH", path.to_str().unwrap()),
        ("SHOP_DB", "shop.db"),
        ("TRACEPARENT", "00-1-2-01"),
    ]);
    assert_eq!(told, expected);
}

/// A scene whose program is a command with these inputs, in a folder with these files.
fn command(words: &[&str], files: &[(&str, &str)], inputs: Value) -> Scene {
    let mut scene = scene("", "n::Integer");
    scene.process.program.command = words.iter().map(|word| (*word).to_owned()).collect();
    files.iter().for_each(|(name, text)| std::fs::write(scene.folder.path().join(name), text).unwrap());
    scene.call = call(scene.folder.path(), "n::Integer", inputs);
    scene
}

/// A program that names a variable is not started where the variable cannot hold the value; any other one is.
#[tokio::test]
async fn no_program_runs_on_a_variable_that_cannot_hold_its_value() {
    let large = "word ".repeat(20_000);
    let (named, count) = ("printf '%s' \"$IN_TEXT\" | wc -w", "cat > all; wc -c < all");
    let python = "import os\nprint(len(os.environ['IN_TEXT'].split()))\n";
    let any = "import os\nprint(len([os.environ[n] for n in os.environ if n.startswith('IN_')]))\n";
    let why = "100000 bytes, at most 65536";
    let refused = |variable: &str, input: &str, why: &str| {
        format!(
            "Start: not started: its program uses {variable}, but the input `{input}` cannot be a variable ({why}); \
             read it from standard input or from the file that ORDERFLOW_INPUT names; NotExecuted, final"
        )
    };
    for (words, files) in [
        (vec!["sh", "-c", named], vec![]),
        (vec!["bash", "-c", named], vec![]),
        (vec!["sh", "count.sh"], vec![("count.sh", named)]),
        (vec!["env", "A=1", "bash", "-e", "count.sh"], vec![("count.sh", named)]),
        (vec!["python3", "count.py"], vec![("count.py", python)]),
        (vec!["python3", "count.py"], vec![("count.py", any)]),
        (vec!["sh", "-c", "eval \"echo \\${#IN_$0}\"", "TEXT"], vec![]),
    ] {
        let scene = command(&words, &files, json!({ "text": large }));
        assert_eq!(scene.told().await, refused("IN_TEXT", "text", why), "{words:?}");
    }
    let ran = |scene: Scene| async move { scene.told().await };
    let text = json!({ "text": large });
    assert_eq!(ran(command(&["sh", "-c", count], &[], text.clone())).await, "n=100011");
    assert_eq!(ran(command(&["sh", "-c", "echo ${#IN_TEXTS}; # IN_TEXT_2"], &[], text.clone())).await, "n=0");
    assert_eq!(
        ran(command(&["sh", "-c", ". ./l"], &[("l", "test -n \"$IN_TEXT\"; echo 1")], text)).await,
        "n=1"
    );
    let small = json!({"text": "one two", "other": large});
    assert_eq!(ran(command(&["sh", "-c", named], &[], small)).await, "n=2");
    for (input, why) in [
        (json!("a\u{0}b"), "it holds a NUL character"),
        (json!([large]), "more than 65536 bytes"),
        (json!({"a": large}), "more than 65536 bytes"),
        (json!({"a": "a\u{0}b"}), ""),
        (json!(null), ""),
        (json!(""), ""),
    ] {
        let scene = command(&["sh", "-c", "echo ${#IN_TEXT}"], &[], json!({ "text": input }));
        let expected = match (why, input.to_string().len()) {
            ("", 4 | 2) => "n=0".to_owned(),
            ("", length) => format!("n={length}"),
            (why, _) => refused("IN_TEXT", "text", why),
        };
        assert_eq!(scene.told().await, expected, "{}", &input.to_string()[..20.min(input.to_string().len())]);
    }
    let same = command(&["sh", "-c", "echo $IN_A_B"], &[], json!({"a-b": 1, "a.b": 2}));
    assert_eq!(same.told().await, refused("IN_A_B", "a-b", "another input has the same variable"));
}

/// However many inputs there are, a program that reads them elsewhere is started, and finds as many variables as fit.
#[tokio::test]
async fn the_environment_as_a_whole_has_room_for_so_much() {
    let inputs: serde_json::Map<String, Value> =
        (10..70).map(|number| (format!("x{number}"), json!("y".repeat(65_000)))).collect();
    let inputs = Value::Object(inputs);
    let count = "env | grep -c '^...X..=y*$'";
    assert_eq!(command(&["sh", "-c", count], &[], inputs.clone()).told().await, "n=8");
    let told = command(&["sh", "-c", "echo ${#IN_X17} ${#IN_X18}"], &[], inputs).told().await;
    let why = "the input `x18` cannot be a variable (the variables of all inputs hold at most 524288 bytes)";
    assert!(told.contains(why), "{told}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let start = |command: &str, folder: Option<&str>| {
        let mut scene = scene("", "");
        scene.process.program.command = vec![command.to_owned()];
        scene.process.program.env = vec![("PATH".to_owned(), "/nowhere:/neither".into())];
        if let Some(folder) = folder {
            scene.process.program.folder = folder.into();
        }
        std::fs::write(scene.folder.path().join("plain"), "").unwrap();
        scene
    };
    for (scene, expected) in [
        (
            start("pay", None),
            "Start: cannot start pay: not found in PATH (/nowhere:/neither); NotExecuted, final",
        ),
        (
            start("/bin/sh", Some("/nowhere")),
            "Start: cannot start /bin/sh: its folder /nowhere does not exist; NotExecuted, final",
        ),
        (
            start("./plain", None),
            "Start: cannot start ./plain: Permission denied (os error 13); NotExecuted, again",
        ),
    ] {
        assert_eq!(scene.told().await, expected);
    }
    let scene = start("./pay.sh", None);
    let missing = format!("cannot start ./pay.sh: no such file in {}", scene.folder.path().display());
    assert_eq!(scene.answer().await.unwrap_err().message, missing);
}

/// The clock stands still but for the pauses between tries, until the program may be started.
#[tokio::test(start_paused = true)]
async fn a_program_that_is_being_written_is_tried_again() {
    let mut scene = scene("", "a::String");
    let program = scene.folder.path().join("agent");
    std::fs::write(&program, "#!/bin/sh\necho done\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    scene.process.program.command = vec![program.to_string_lossy().into_owned()];

    let writing = std::fs::OpenOptions::new().append(true).open(&program).unwrap();
    assert!(scene.told().await.contains("Text file busy"), "it is not waited for without end");
    let end = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        drop(writing);
        tokio::time::resume();
    };
    assert_eq!(tokio::join!(scene.told(), end).0, "a=\"done\"");
}

#[tokio::test]
async fn a_program_that_closes_its_output_is_waited_for() {
    let scene = scene(r#"echo '{"a":1}'; exec >&- 2>&-; cat > /dev/null; exit 3"#, "a::Integer");
    assert_eq!(scene.told().await, "Exit(3): exited with 3; Unknown, again");
}

#[tokio::test]
async fn what_a_program_leaves_running_is_ended_with_it() {
    for background in ["sleep 1000", "sleep 1000 > /dev/null 2>&1 < /dev/null"] {
        let source = format!(r#"{background} & echo $! > "$ORDERFLOW_DIR/pid"; echo '{{"a":1}}'"#);
        let scene = scene(&source, "a::Integer");
        assert_eq!(scene.told().await, "a=1");
        let pid = scene.number("pid").unwrap();
        until("the background process ends", || is_gone(pid)).await;
    }
}

#[tokio::test]
async fn a_process_that_left_the_group_cannot_hold_up_the_run() {
    let source = r#"setsid sleep 1000 & echo $! > "$ORDERFLOW_DIR/pid"; echo '{"a":1}'"#;
    let scene = scene(source, "a::Integer");
    assert_eq!(scene.told().await, "a=1");
    let pid = rustix::process::Pid::from_raw(scene.number("pid").unwrap() as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Stops a program once it has written the file `ready`.
async fn stopped(scene: &Scene) -> String {
    let (stopper, ending) = scene.answer_unless_asked();
    let ask = async {
        until("the program works", || scene.number("ready").is_some()).await;
        stopper.ask(Urgency::Terminate);
    };
    describe(&scene.call.outputs, &tokio::join!(ending, ask).0)
}

#[tokio::test]
async fn the_whole_group_is_asked_to_end_and_then_killed() {
    let work = r#"sleep 1000 & echo $! > "$ORDERFLOW_DIR/ready"; wait"#;
    let obeys = scene(work, "");
    assert_eq!(stopped(&obeys).await, "Stopped: ended by signal 15; Unknown, again");
    until("the group has ended", || is_gone(obeys.number("ready").unwrap())).await;

    let mut ignores = scene(&format!("trap '' TERM; {work}"), "");
    ignores.process.grace = Duration::from_millis(50);
    assert_eq!(stopped(&ignores).await, "Stopped: ended by signal 9; Unknown, again");
    until("the group has ended", || is_gone(ignores.number("ready").unwrap())).await;

    let late = scene(&format!("trap 'echo {{}}; exit 0' TERM; {work}"), "a::Order");
    assert_eq!(stopped(&late).await, "a={}");
}

#[tokio::test]
async fn what_a_stopped_program_leaves_running_has_its_time_to_end() {
    let cleans = r#"exec 2> /dev/null; trap 'sleep 0.3; : > "$ORDERFLOW_DIR/clean"; exit' TERM; echo 1 > "$ORDERFLOW_DIR/ready"; while :; do sleep 0.01; done"#;
    for output in ["", "> /dev/null"] {
        let source = format!("( {cleans} ) {output} & wait");
        let scene = scene(&source, "");
        assert_eq!(stopped(&scene).await, "Stopped: ended by signal 15; Unknown, again");
        assert!(scene.call.dir.join("clean").exists(), "it was killed while it cleaned up");
    }
}

#[tokio::test]
async fn nothing_survives_fifty_cancels() {
    let source = r#"sleep 1000 & (trap '' TERM; sleep 1000) & echo $$ > "$ORDERFLOW_DIR/ready"; wait"#;
    let mut scenes: Vec<Scene> = (0..50).map(|_| scene(source, "")).collect();
    scenes.iter_mut().for_each(|scene| scene.process.grace = Duration::from_millis(500));
    let (stoppers, endings): (Vec<_>, Vec<_>) = scenes.iter().map(Scene::answer_unless_asked).unzip();
    let attempts: Vec<_> = endings.into_iter().collect();
    let ask = async {
        for (index, (scene, stopper)) in scenes.iter().zip(&stoppers).enumerate() {
            until("the program works", || scene.number("ready").is_some()).await;
            stopper.ask(if index % 2 == 0 { Urgency::Terminate } else { Urgency::Kill });
        }
    };
    let (answers, ()) = tokio::join!(all(attempts), ask);
    assert!(answers.iter().all(|answer| answer.is_err()));
    let groups: Vec<u32> = scenes.iter().filter_map(|scene| scene.number("ready")).collect();
    until("every group is gone", || survivors(&groups).is_empty()).await;
}

/// Ends when all have ended; each makes way for the others.
async fn all<F: Future<Output = Answer>>(futures: Vec<F>) -> Vec<Answer> {
    let mut open: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|context| {
        open.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if open.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers
}

/// Processes that live in one of these groups.
fn survivors(groups: &[u32]) -> Vec<u32> {
    let pids = std::fs::read_dir(Path::new("/proc")).unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse().ok()
    });
    let lives = |pid: &u32| {
        about(*pid).is_some_and(|(state, group)| groups.contains(&group) && !matches!(state, 'Z' | 'X'))
    };
    pids.filter(lives).collect()
}
