//! What workers are promised besides: many calls at once, several processes, restarts, an end for all of them.

use super::super::program::Program;
use super::super::worker::Worker;
use super::super::{Adapter, Call, LiveWords, Stop, Stopper, Urgency};
use super::conformance::kinds::INTERPRETER;
use super::{PATIENCE, call, describe, is_gone, until};
use crate::event::Answer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

mod ends;

/// What every worker here begins with. `runs` notes that a call came in, so that repetitions show.
const HEAD: &str = "\
import json, os, subprocess, sys, threading, time
def tell(**message):
    sys.stdout.write(json.dumps({'jsonrpc': '2.0', **message}) + '\\n')
    sys.stdout.flush()
def note(file, text):
    with open(file, 'a') as notes: notes.write(f'{text}\\n')
def wait_for(file):
    while not os.path.exists(file): time.sleep(0.002)
def calls():
    for line in sys.stdin:
        message = json.loads(line)
        if message['method'] == 'step/run':
            note('runs', message['params']['item'])
            yield message['id'], message['params']
        else:
            note('cancels', message['params']['id'])
note('starts', os.getpid())
";

/// A worker written in Python, in a folder of its own.
struct Scene {
    folder: TempDir,
    worker: Arc<Worker>,
}

fn scene(body: &str) -> Scene {
    scene_of(body, 1, Duration::from_secs(20))
}

fn scene_of(body: &str, processes: usize, grace: Duration) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("worker.py"), format!("{HEAD}{body}\n")).unwrap();
    let command = [INTERPRETER.as_str(), "-S", "worker.py"].map(str::to_owned).to_vec();
    let path = ("PATH".to_owned(), std::env::var_os("PATH").unwrap());
    let program = Program { command, folder: folder.path().to_owned(), env: vec![path] };
    Scene { folder, worker: Arc::new(Worker::new(program, processes).with_grace(grace)) }
}

/// An attempt that goes on by itself.
struct Asked {
    stopper: Stopper,
    ending: JoinHandle<Answer>,
    call: Call,
}

impl Scene {
    fn ask(&self, item: &str) -> Asked {
        self.ask_with(item, json!({}))
    }

    fn ask_with(&self, item: &str, inputs: Value) -> Asked {
        let mut call = call(self.folder.path(), "a::JSON", inputs);
        call.context.item = item.into();
        call.live = LiveWords::new(Arc::default());
        let (stopper, stop) = Stop::new();
        let (worker, asked) = (self.worker.clone(), call.clone());
        Asked { stopper, ending: tokio::spawn(async move { worker.call(asked, stop).await }), call }
    }

    async fn told(&self, item: &str) -> String {
        self.ask(item).told().await
    }

    /// The lines of a file in the worker's folder.
    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn until(&self, file: &str, count: usize) {
        until(&format!("{count} lines in {file}"), || self.lines(file).len() >= count).await;
    }

    fn make(&self, file: &str) {
        std::fs::write(self.folder.path().join(file), "").unwrap();
    }

    async fn close(&self) {
        let (stopper, stop) = Stop::new();
        stopper.ask(Urgency::Terminate);
        tokio::time::timeout(PATIENCE, self.worker.close(stop)).await.expect("the worker closes");
    }
}

impl Asked {
    async fn told(self) -> String {
        let outputs = self.call.outputs.clone();
        describe(&outputs, &self.answer().await)
    }

    async fn answer(self) -> Answer {
        tokio::time::timeout(PATIENCE, self.ending).await.expect("the attempt ends").unwrap()
    }
}

const ANSWERS: &str = "for id, params in calls(): tell(id=id, result={'a': params['item']})";

#[tokio::test]
async fn one_process_answers_calls_in_any_order_while_others_are_in_flight() {
    let scene = scene(
        "kept = []\nfor id, params in calls():\n    kept.append((id, params['item']))\n    \
         if len(kept) == 3:\n        for id, item in reversed(kept): tell(id=id, result={'a': item})",
    );
    let asked: Vec<Asked> = ["one", "two", "three"].map(|item| scene.ask(item)).into();
    for (asked, item) in asked.into_iter().zip(["one", "two", "three"]) {
        assert_eq!(asked.told().await, format!("a={item:?}"));
    }
    assert_eq!(scene.lines("starts").len(), 1);
    scene.close().await;
}

#[tokio::test]
async fn the_process_with_the_fewest_calls_is_asked_and_none_is_started_in_vain() {
    let body = "for id, params in calls():\n    \
        if params['item'] != 'quick': wait_for('go')\n    tell(id=id, result={'a': os.getpid()})";
    let scene = scene_of(body, 3, Duration::from_secs(20));
    let first = scene.told("quick").await;
    assert_eq!(scene.told("quick").await, first, "an idle process is used again");
    let (one, two) = (scene.ask("slow"), scene.ask("slow"));
    scene.until("starts", 2).await;
    scene.until("runs", 4).await;
    let third = scene.told("quick").await;
    scene.make("go");
    let mut all = vec![one.told().await, two.told().await, third];
    assert!(all.contains(&first));
    all.sort_unstable();
    all.dedup();
    assert_eq!((all.len(), scene.lines("starts").len()), (3, 3));
    scene.close().await;
}

/// One process reads nothing for a while: calls to it wait in the pipe and before it, others pass them by.
#[tokio::test]
async fn a_full_pipe_holds_up_nobody_else() {
    let body = "first = len(open('starts').readlines()) == 1\nfor id, params in calls():\n    \
        if first: wait_for('go')\n    tell(id=id, result={'a': first})";
    let scene = scene_of(body, 2, Duration::from_secs(20));
    let large = || json!({"text": "x".repeat(1 << 20)});
    let stuck = scene.ask_with("stuck", large());
    scene.until("runs", 1).await;
    let answered = scene.ask_with("passes", large());
    assert_eq!(answered.told().await, "a=false");
    // Now the first process is given so much that its pipe is full, and more behind that.
    let (mut behind, mut passes) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        behind.push(scene.ask_with("behind", large()));
        passes.push(scene.ask_with("passes", large()));
    }
    let all: Vec<Asked> = behind.into_iter().chain(passes).collect();
    until("the second process has answered", || {
        all.iter().filter(|asked| asked.ending.is_finished()).count() >= 6
    })
    .await;
    // What has not been sent can be taken back.
    let open: Vec<Asked> = all.into_iter().filter(|asked| !asked.ending.is_finished()).collect();
    let last = open.len();
    let mut open = open;
    let withdrawn = open.split_off(last - 1);
    for asked in withdrawn {
        asked.stopper.ask(Urgency::Terminate);
        assert_eq!(asked.told().await, "Stopped: stopped before it started; NotExecuted, again");
    }
    scene.make("go");
    assert_eq!(stuck.told().await, "a=true");
    for asked in open {
        assert_eq!(asked.told().await, "a=true");
    }
    scene.close().await;
}

#[tokio::test]
async fn a_death_fails_what_is_in_flight_and_nothing_else() {
    let scene = scene(
        "for id, params in calls():\n    item = params['item']\n    \
         if item == 'dies':\n        print('out of paper', file=sys.stderr)\n        os._exit(3)\n    \
         if item != 'waits': tell(id=id, result={'a': item})",
    );
    assert_eq!(scene.told("first").await, r#"a="first""#);
    let waits = scene.ask("waits");
    scene.until("runs", 2).await;
    let expected =
        "Exit(3): the worker exited with 3 while this call was in flight: out of paper; Unknown, again";
    let failure = scene.ask("dies").answer().await;
    assert_eq!(failure.as_ref().unwrap_err().log, "out of paper\n");
    assert_eq!(describe(&[], &failure), expected);
    assert_eq!(waits.told().await, expected);
    assert_eq!(scene.told("next").await, r#"a="next""#);
    assert_eq!(scene.lines("runs"), ["first", "waits", "dies", "next"], "nothing is asked again");
    assert_eq!(scene.lines("starts").len(), 2);
    scene.close().await;
}

#[tokio::test]
async fn answers_written_before_the_end_count() {
    let scene = scene(
        "kept = []\nfor id, params in calls():\n    kept.append(id)\n    if len(kept) == 20:\n        \
         for id in kept: tell(id=id, result={'a': 'x' * 100000})\n        os.kill(os.getpid(), 9)",
    );
    let asked: Vec<Asked> = (0..20).map(|_| scene.ask("one")).collect();
    for asked in asked {
        assert_eq!(asked.told().await, "a=(100002 bytes)");
    }
    scene.close().await;
}

#[tokio::test]
async fn an_answer_without_its_newline_counts_and_half_an_answer_is_log() {
    let body = "for id, params in calls():\n    text = json.dumps({'jsonrpc': '2.0', 'id': id, 'result': {'a': 1}})\n    \
        sys.stdout.write(text if params['item'] == 'whole' else text[:30])\n    sys.stdout.flush()\n    os._exit(0)";
    let scene = scene(body);
    assert_eq!(scene.told("whole").await, "a=1");
    let half = scene.told("half").await;
    let start =
        r#"Exit(0): the worker exited with 0 while this call was in flight: {"jsonrpc": "2.0", "id": "#;
    assert!(half.starts_with(start) && half.ends_with("; Unknown, again"), "{half}");
    scene.close().await;
}

#[tokio::test]
async fn a_worker_that_dies_again_and_again_rests() {
    let scene = scene("sys.exit('no module named shop')");
    for _ in 0..5 {
        let told = scene.told("order").await;
        assert!(told.starts_with("Exit(1): the worker exited with 1 while"), "{told}");
        assert!(told.ends_with("in flight: no module named shop; Unknown, again"), "{told}");
    }
    for _ in 0..20 {
        assert_eq!(
            scene.told("order").await,
            "Start: the worker ended 5 times in a row before it answered anything, and pauses; \
             last: exited with 1: no module named shop; NotExecuted, again"
        );
    }
    assert_eq!(scene.lines("starts").len(), 5);
    std::fs::write(scene.folder.path().join("worker.py"), format!("{HEAD}{ANSWERS}\n")).unwrap();
    let begin = std::time::Instant::now();
    while scene.told("order").await != r#"a="order""# {
        assert!(begin.elapsed() < PATIENCE, "it is tried again after its rest");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.close().await;
}

#[tokio::test]
async fn a_worker_that_closes_its_standard_input_is_ended_and_its_calls_are_told() {
    let scene =
        scene_of("note('runs', 'deaf')\nos.close(0)\ntime.sleep(1000)", 1, Duration::from_millis(100));
    let asked = scene.ask("sent");
    scene.until("runs", 1).await;
    let told = asked.told().await;
    let lost = "Protocol: the worker closed its standard input and did not end; Unknown, again";
    // Whether the line was in the pipe before it was closed is chance.
    let rests = "Start: the worker ended 5 times in a row before it answered anything, and pauses; \
                 last: the worker closed its standard input and did not end; NotExecuted, again";
    assert!(told == lost || told == rests, "{told}");
    scene.close().await;
}

#[tokio::test]
async fn a_call_that_never_left_is_asked_of_the_next_process() {
    // What it has started holds its pipes, so that its end shows late.
    let scene = scene(
        "first = not os.path.exists('holder')\nfor id, params in calls():\n    tell(id=id, result={'a': params['item']})\n    \
         if first:\n        note('holder', subprocess.Popen(['sleep', '1000']).pid)\n        os._exit(3)",
    );
    assert_eq!(scene.told("first").await, r#"a="first""#);
    scene.until("holder", 1).await;
    let pid: u32 = scene.lines("starts")[0].parse().unwrap();
    until("the end of the first process", || !std::fs::exists(format!("/proc/{pid}")).unwrap()).await;
    assert_eq!(scene.told("second").await, r#"a="second""#);
    assert_eq!(scene.lines("runs"), ["first", "second"]);
    assert_eq!(scene.lines("starts").len(), 2);
    scene.close().await;
}

#[tokio::test]
async fn what_is_no_message_on_standard_output_is_named() {
    let strange = |why: &str, wrote: &str| {
        format!(
            "worker wrote something other than a JSON-RPC 2.0 message on stdout: {why} (it wrote {wrote:?})"
        )
    };
    let answer = |members: &str| format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
    let chatter =
        |wrote: &str| format!("worker wrote non-JSON on stdout: log to stderr (it wrote {wrote:?})");
    let error = "\"error\" must be an object with a whole number \"code\" and a string \"message\"";
    for (line, expected) in [
        ("Starting up", chatter("Starting up")),
        (r#"{"jsonrpc":"2.0","id":1,"#, chatter(r#"{"jsonrpc":"2.0","id":1,"#)),
        ("5", strange("expected an object, found integer `5`", "5")),
        (r#"{"a":1}"#, strange("expected \"jsonrpc\": \"2.0\"", r#"{"a":1}"#)),
        (
            &answer(r#""result":1"#),
            strange("expected the \"id\" of the call that it answers", &answer(r#""result":1"#)),
        ),
        (&answer(r#""id":1"#), strange("expected either \"result\" or \"error\"", &answer(r#""id":1"#))),
        (
            &answer(r#""id":"1","result":1"#),
            strange("no call has the id \"1\"", &answer(r#""id":"1","result":1"#)),
        ),
        (&answer(r#""id":7,"result":1"#), "worker answered the call 7, which was never asked".to_owned()),
        (&answer(r#""id":1,"error":"no""#), strange(error, &answer(r#""id":1,"error":"no""#))),
        (
            &answer(r#""id":2,"method":"ask""#),
            strange(
                "\"ask\" is a request; only answers and notifications are expected",
                &answer(r#""id":2,"method":"ask""#),
            ),
        ),
    ] {
        let scene = scene("for id, params in calls(): print(params['inputs']['line'], flush=True)");
        let asked = scene.ask_with("order", json!({"line": line}));
        assert_eq!(asked.told().await, format!("Protocol: {expected}; Unknown, final"), "{line}");
        scene.close().await;
    }
    let scene = scene("print(' ', flush=True)\nfor id, params in calls(): sys.stdout.write('x' * 20000000)");
    assert_eq!(scene.told("order").await, "Protocol: worker wrote a line longer than 16 MiB; Unknown, final");
    scene.close().await;
}

#[tokio::test]
async fn second_answers_and_unknown_notifications_change_nothing() {
    let scene = scene(
        "for id, params in calls():\n    tell(method='step/sing', params={})\n    tell(method='step/log')\n    \
         tell(id=id, result={'a': 1})\n    tell(id=id, result={'a': 2})",
    );
    for _ in 0..3 {
        assert_eq!(scene.told("order").await, "a=1");
    }
    assert_eq!(scene.lines("starts").len(), 1);
    scene.close().await;
}

#[tokio::test]
async fn errors_say_what_an_answer_may_say() {
    let scene = scene("for id, params in calls(): tell(id=id, error=params['inputs']['error'])");
    for (error, expected) in [
        (json!({"code": -32601, "message": "no such step"}), "Refused: no such step; Failed, final"),
        (json!({"code": -32602, "message": "no order"}), "Refused: no order; Failed, final"),
        (json!({"code": -32603, "message": "oops"}), "Refused: oops; Unknown, again"),
        (json!({"code": -32000, "message": "busy"}), "Refused: busy; Failed, again"),
        (json!({"code": 17, "message": "busy"}), "Refused(17): busy; Failed, again"),
        (json!({"code": 17, "message": "busy", "data": "much to do"}), "Refused(17): busy; Failed, again"),
        (
            json!({"code": -32603, "message": "no", "data": {"code": "card", "retryable": false, "outcome": "failed", "fee": 2, "tokens_used": 7}}),
            "Refused(card): no; Failed, final; tokens 7; fee=2",
        ),
        (
            json!({"code": 1, "message": "busy", "data": {"retry_after_ms": 1500}}),
            "Refused(1): busy; Failed, again; after 1500 ms",
        ),
        (
            json!({"code": -32000, "message": "no key", "data": {"unavailable": true}}),
            "Refused(agent_unavailable): no key; Failed, final; unavailable",
        ),
        (
            json!({"code": 1, "message": "no", "data": {"code": null, "outcome": "not executed"}}),
            "Refused(1): no; NotExecuted, again",
        ),
    ] {
        assert_eq!(scene.ask_with("order", json!({"error": error})).told().await, expected);
    }
    scene.close().await;
}

#[tokio::test]
async fn the_log_of_a_failure_is_the_call_s_own_or_what_the_worker_has_logged_since() {
    let scene = scene(
        "for id, params in calls():\n    item = params['item']\n    print(f'{item} came', file=sys.stderr)\n    \
         sys.stderr.flush()\n    \
         if item == 'own':\n        tell(method='step/log', params={'id': id, 'message': 'looking'})\n        \
         tell(method='step/progress', params={'id': id, 'done': 1, 'total': 3})\n        \
         tell(method='step/progress', params={'id': id, 'done': 2, 'total': 3})\n    \
         tell(id=id, error={'code': 1, 'message': 'no'})",
    );
    let log = async |item: &str| scene.ask(item).answer().await.unwrap_err().log;
    assert_eq!(log("first").await, "first came\n");
    let own = scene.ask("own");
    let live = own.call.live.clone();
    assert_eq!(own.answer().await.unwrap_err().log, "looking\nprogress: 2 of 3\n");
    assert_eq!(live.spoken().text, "2 of 3");
    assert_eq!(log("last").await, "last came\n");
    scene.close().await;
}

#[tokio::test]
async fn a_call_that_is_stopped_is_cancelled_and_the_others_go_on() {
    let scene = scene(
        "def work(id, item):\n    wait_for('go' if item == 'other' else 'cancels')\n    tell(id=id, result={'a': item})\n\
         for id, params in calls(): threading.Thread(target=work, args=(id, params['item'])).start()",
    );
    let (stopped, other) = (scene.ask("stopped"), scene.ask("other"));
    scene.until("runs", 2).await;
    stopped.stopper.ask(Urgency::Terminate);
    assert_eq!(stopped.told().await, r#"a="stopped""#);
    assert_eq!(scene.lines("cancels").len(), 1);
    scene.make("go");
    assert_eq!(other.told().await, r#"a="other""#);
    scene.close().await;
}

#[tokio::test]
async fn a_call_that_does_not_end_costs_the_process_and_the_others_hear_why() {
    // It must not end by itself when its input is closed.
    let body = "for id, params in calls():\n    if params['item'] == 'next': tell(id=id, result={'a': 1})\ntime.sleep(1000)";
    let scene = scene_of(body, 1, Duration::from_millis(50));
    let (stopped, other) = (scene.ask("order-1"), scene.ask("order-2"));
    scene.until("runs", 2).await;
    stopped.stopper.ask(Urgency::Terminate);
    assert_eq!(stopped.told().await, "Stopped: ended by signal 9; Unknown, again");
    assert_eq!(
        other.told().await,
        "Signal(9): the worker was killed while this call was in flight: ProcessPayment of order-1 did not end \
         when asked to; Unknown, again"
    );
    assert_eq!(scene.told("next").await, "a=1");
    scene.close().await;
}
