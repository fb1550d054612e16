//! What models and workers are just saying, at a terminal: shown while they run, without secrets, and only there.

use crate::place::Place;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// More than any test takes: whoever waits longer fails it.
const PATIENCE: Duration = Duration::from_secs(20);

const DOCUMENT: &str = "---\njobs: 8\n---\n\n# Letters\n\n## Write @writer\nname::String → letter::String\n\nWrite to {{ name }}.\n\n\
    ## Pack @packer [after:: start]\nname::String → parcel::String\n\n## Log In @packer [after:: start]\nname::String → token::Secret\n";

/// Reports the progress of both calls, and answers once the test has seen it.
const PACKER: &str = "\
import json, os, sys, threading, time
def tell(**message): print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)
threading.Timer(20, os._exit, [1]).start()
calls = [json.loads(sys.stdin.readline()) for _ in range(2)]
for call in calls:
    id, step = call['id'], call['params']['step']
    text = 'parcel 1\\nparcel 2 of 3\\x1b[2J\\x07' if step == 'Pack' else 'the token is 4711-0815'
    tell(method='step/progress', params={'id': id, 'message': text})
for _ in range(6000):
    if os.path.exists('go'): break
    time.sleep(0.01)
for call in calls: tell(id=call['id'], result=json.dumps('4711-0815'))
sys.stdin.read()
os._exit(0)
";

/// Streams the beginning of an answer, then the rest once this is sent.
fn model() -> (SocketAddr, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, go) = channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).unwrap() > 2 {
            length = line
                .to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map_or(length, |length| length.trim().parse().unwrap());
            line.clear();
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        let mut stream = stream.into_inner();
        let chunk = |text: &str, end: &str| {
            let text = serde_json::Value::from(text);
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":{end}}}]}}\n\n"
            )
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        write!(stream, "{head}{}", chunk("First line\nDear Ada, my key is ", "null")).unwrap();
        write!(stream, "{}", chunk("sk-very-se", "null")).unwrap();
        let _ = go.recv_timeout(PATIENCE);
        let _ = write!(stream, "{}data: [DONE]\n\n", chunk("cret.", "\"stop\""));
    });
    (address, sender)
}

fn place(address: SocketAddr) -> Place {
    let place = Place::new(DOCUMENT);
    let settings = format!(
        "[providers.local]\nurl = \"http://{address}/v1\"\nkey = \"secret:LOCAL_KEY\"\n\
         [agents.writer]\nmodel = \"local/small\"\n\
         [agents.packer]\nworker = [\"python3\", \"-S\", \"packer.py\"]\n"
    );
    place.write("orderflow.toml", &settings);
    place.write("packer.py", PACKER);
    place
}

/// Runs it at a terminal of 70 columns; `seen` gets what it has shown so far.
fn at_terminal(place: &Place, args: &str, mut seen: impl FnMut(&str)) -> (String, Option<i32>) {
    let program = format!("stty cols 70 rows 12; exec {} {args}", env!("CARGO_BIN_EXE_orderflow"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &program, "/dev/null"]).current_dir(place.folder());
    terminal.env("XDG_STATE_HOME", place.path(".state")).env("LOCAL_KEY", "sk-very-secret");
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (_stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stdout.read(&mut chunk) {
        said.extend_from_slice(&chunk[..read]);
        seen(&String::from_utf8_lossy(&said));
    }
    let status = child.wait().unwrap();
    (String::from_utf8_lossy(&said).into_owned(), status.code())
}

const WRITES: &str = " s  1: Write: Dear Ada, my key is [secret:LOCAL_KEY]";
const PACKS: &str = " s  1: Pack: parcel 2 of 3";

/// The model and the worker do not end before their words were on the screen.
#[test]
fn the_last_words_of_running_steps_are_shown_at_a_terminal() {
    let (address, go) = model();
    let place = place(address);
    let mut both = None;
    let (said, exit) = at_terminal(&place, "run flow.md --trust --input name=Ada", |said| {
        if both.is_none() && said.contains(WRITES) && said.contains(PACKS) {
            both = Some(said.to_owned());
            place.write("go", "");
            go.send(()).unwrap();
        }
    });
    assert_eq!(exit, Some(0), "{said}");
    let live = both.expect(&said);
    assert!(!said.contains("sk-very") && !live.contains("4711-0815"), "{said}");
    assert!(!live.contains("First line") && !live.contains("parcel 1") && !said.contains("[2J"), "{said}");
    // Only for people who watch: the journal has none of it.
    assert!(!place.orderflow("show last --conversation").out.contains("parcel"));
}

#[test]
fn without_a_terminal_or_with_quiet_nothing_of_it_is_shown() {
    let (address, go) = model();
    go.send(()).unwrap();
    let quiet = place(address);
    quiet.write("go", "");
    let (said, exit) = at_terminal(&quiet, "run flow.md --trust --quiet --input name=Ada", |_| {});
    assert_eq!(exit, Some(0), "{said}");
    assert!(!said.contains("Write: ") && !said.contains("Pack: "), "{said}");

    let (address, go) = model();
    go.send(()).unwrap();
    let piped = place(address);
    piped.write("go", "");
    let mut command = piped.command("run flow.md --trust --input name=Ada");
    let told = crate::program::told(command.env("LOCAL_KEY", "sk-very-secret").output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(!told.err.contains("Write: ") && !told.err.contains("Pack: "), "{}", told.err);
}
