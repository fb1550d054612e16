//! Processes that a killed runner has left inside documents: all are ended when the outer run is resumed, whoever called
//! first. And the grants of documents that a document runs.

use crate::place::Place;
use crate::program::told;

/// Whether a process with the number in this file runs.
fn lives(place: &Place, file: &str) -> bool {
    let pid = place.read(file);
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'))
}

/// A worker serves the documents of several items. It carries the mark of the outer run, and not of the document that
/// called it first and has ended since.
#[test]
fn a_worker_that_several_documents_share_is_ended() {
    let place = Place::new(
        "---\nitems: items.jsonl\njobs: 1\n---\n\n# Orders\n\n## Ask [document:: ask.md]\nname → answer::String\n",
    );
    place.write("ask.md", "# Ask\n\n## Answer @helper\nname → answer::String\n");
    place.write("items.jsonl", "{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n");
    place.write("orderflow.toml", "[agents.helper]\nworker = [\"python3\", \"worker.py\"]\n");
    // It outlives the end of its input.
    place.write(
        "worker.py",
        "import json, os, signal, sys, time\n\
         signal.signal(signal.SIGHUP, signal.SIG_IGN)\n\
         first = not os.path.exists('pid')\n\
         open('pid' if first else 'pid2', 'w').write(str(os.getpid()))\n\
         for line in sys.stdin:\n\
         \x20   call = json.loads(line)\n\
         \x20   if first and call['params']['item'] == 'b':\n\
         \x20       open('waiting', 'w').close()\n\
         \x20       time.sleep(1000)\n\
         \x20   print(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': {'answer': 'yes'}}), flush=True)\n\
         time.sleep(0 if not first else 1000)\n",
    );
    let mut run = place.begin("--quiet");
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(lives(&place, "pid"));
    let told = place.orderflow("resume last --quiet");
    assert!(!lives(&place, "pid"), "{}{}", told.out, told.err);
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
}

/// The attempt of the step was being stopped when the runner died, so it is not repeated; its processes end anyway.
#[test]
fn what_a_document_has_left_ends_before_the_next_attempt() {
    let place = Place::new(
        "# Orders\n\n## Ask [document:: ask.md] [timeout:: 1s] [retry:: 1 fixed 1ms]\nname → answer::String\n",
    );
    place.write(
        "ask.md",
        "# Ask\n\n## Answer\nname → answer::String\n\n```sh run\n\
         if test -e pid; then case \"$(cut -d')' -f2 /proc/$(cat pid)/stat 2>/dev/null)\" in ''|' Z'*) echo gone;; *) echo alive;; esac; exit; fi\n\
         trap ': > stopping' TERM\necho $$ > pid\nwhile :; do sleep 0.1; done\n```\n",
    );
    let mut run = place.begin("--input name=N --quiet");
    place.await_file("stopping");
    run.kill().unwrap();
    run.wait().unwrap();
    let told = place.orderflow("resume last --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.contains("makes answer: \"gone\""), "{shown}");
}

#[test]
fn a_grant_is_taken_back_with_those_of_the_documents_that_it_was_for() {
    let place = Place::new("# Orders\n\n## Ask [document:: ask.md]\nname → answer::String\n");
    place.write("ask.md", "# Ask\n\n## Answer\nname → answer::String\n\n```sh run\necho yes\n```\n");
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    let run = || told(place.command("run flow.md --quiet --input name=N").output().unwrap()).exit;
    assert_eq!(run(), Some(0));
    let told = place.orderflow("trust --revoke flow.md");
    assert_eq!(told.err, "flow.md has no grant\nthe grant of ask.md is taken back\n");
    assert_eq!(run(), Some(4));
}
