//! Probes of a worker: each has a process of its own.

use super::super::program::Program;
use super::super::worker::{CallRequest, LONGEST_LINE, Lines, Message, TooLong, WorkerAnswer, cancel, read};
use super::{Finding, Patient, RUN, STEP, call, large};
use crate::value::words;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc::{Receiver, Sender, channel};

struct Probe {
    must: &'static str,
    /// The text that is written at once.
    says: String,
    /// The calls in it; each must be answered once.
    calls: &'static [u64],
}

/// How many unread messages are buffered before the worker has to wait.
const WAITING: usize = 8;

/// The most wrong answers that are shown.
const REPORTED: usize = 5;

/// A line of standard output: a message, or the problem of the line.
type ProbeLine = Result<Message, String>;

/// Runs every probe on a worker; `folder` is for its files, `within` the longest time for an answer.
pub async fn worker(program: &Program, folder: &Path, within: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut all_end = Ok(());
    for probe in probes(folder) {
        let must = probe.must;
        match program.start(RUN, |_| ()).await {
            Err(error) => {
                let did = program.not_started(&error).message;
                findings.push(Finding { must: "starts", did, passed: false });
                return findings;
            }
            Ok(child) => {
                // After one probe did not end, others are only awaited if they need an answer.
                let wait = all_end.is_ok() || probe.calls.is_empty();
                let end = if wait { within } else { Duration::ZERO };
                let (did, ended) = put(Patient::new(child), probe, within, end).await;
                let passed = did.is_ok();
                let did = did.unwrap_or_else(|wrong| wrong);
                findings.push(Finding { must, did, passed });
                all_end = all_end.and(ended);
            }
        }
    }
    let must = "ends when its standard input does";
    let passed = all_end.is_ok();
    let did = all_end.err().unwrap_or_else(|| "it always did".to_owned());
    findings.push(Finding { must, did, passed });
    findings
}

fn probes(folder: &Path) -> Vec<Probe> {
    let request = CallRequest::new(&call(folder));
    let run = |id: u64| request.as_ref().map_or_else(|_| String::new(), |request| request.line(id));
    let bare = |params: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"step/run\",\"params\":{params}}}\n")
    };
    let unknown = "{\"jsonrpc\":\"2.0\",\"method\":\"step/unheard-of\",\"params\":{\"id\":7}}\n";
    let big = format!("{{\"step\":\"{STEP}\",\"inputs\":{{\"text\":{}}}}}", large());
    vec![
        Probe { must: "answers a call for an unknown step", says: run(1), calls: &[1] },
        Probe { must: "answers a call that lacks its members", says: bare("{}"), calls: &[1] },
        Probe {
            must: "answers a call whose inputs are not an object",
            says: bare("{\"inputs\":7}"),
            calls: &[1],
        },
        Probe { must: "reads a line of a mebibyte", says: bare(&big), calls: &[1] },
        Probe {
            must: "answers each of several calls at once",
            says: (1..=8).map(run).collect(),
            calls: &[1, 2, 3, 4, 5, 6, 7, 8],
        },
        Probe {
            must: "answers a call that is cancelled, and those after it",
            says: format!("{}{}{}", run(1), cancel(1), run(2)),
            calls: &[1, 2],
        },
        Probe {
            must: "passes over the cancellation of a call that it does not know",
            says: format!("{}{}", cancel(7), run(1)),
            calls: &[1],
        },
        Probe {
            must: "passes over notifications that it does not know",
            says: format!("{unknown}{}", run(1)),
            calls: &[1],
        },
        Probe { must: "writes nothing unasked", says: String::new(), calls: &[] },
    ]
}

/// The worker's behaviour in one probe, right or wrong, and whether it ended with its input.
async fn put(
    mut patient: Patient,
    probe: Probe,
    within: Duration,
    end: Duration,
) -> (Result<String, String>, Result<(), String>) {
    let (sender, mut heard) = channel(WAITING);
    tokio::spawn(listen(patient.child.stdout.take(), sender));
    let writing = tokio::spawn(write(patient.child.stdin.take(), probe.says));
    let mut answers = Answers::new(probe.calls);
    let all = tokio::time::timeout(within, answers.gather(&mut heard, true)).await;
    if all.is_err() {
        answers.wrong.push(format!("no answer within {within:?} to {}", answers.missing()));
    }
    // Its input ends here.
    writing.abort();
    drop(writing.await);
    // Later output belongs to the probe: a second answer, or malformed lines.
    let end = {
        let (end, rest) = (patient.ended(end), answers.gather(&mut heard, false));
        tokio::pin!(end, rest);
        let (end, quiet) = tokio::select! {
            end = &mut end => (end, false),
            () = &mut rest => (end.await, true),
        };
        if end.is_some() && !quiet {
            let _ = tokio::time::timeout(within, rest).await;
        }
        end
    };
    let wrong = || format!("it still ran {within:?} after its input had ended, and was killed");
    let ended = if end.is_some() { Ok(()) } else { Err(wrong()) };
    (answers.judge(end), ended)
}

async fn write(stdin: Option<ChildStdin>, says: String) -> Option<ChildStdin> {
    let mut stdin = stdin?;
    // If the worker has ended, missing answers show it.
    let _ = stdin.write_all(says.as_bytes()).await;
    Some(stdin)
}

async fn listen(stdout: Option<ChildStdout>, heard: Sender<ProbeLine>) {
    let Some(mut stdout) = stdout else { return };
    let mut lines = Lines::new(LONGEST_LINE);
    let mut chunk = vec![0; 64 * 1024];
    // Lines after a malformed one are read and ignored, so that the worker does not block.
    let mut strange = false;
    loop {
        let count = stdout.read(&mut chunk).await.unwrap_or(0);
        if strange && count > 0 {
            continue;
        }
        let mut said: Vec<ProbeLine> = Vec::new();
        let mut say = |line: &[u8]| {
            if said.last().is_none_or(Result::is_ok) {
                said.extend(read(line).transpose());
            }
        };
        let cut = lines.take(&chunk[..count], |line| {
            say(line);
            Ok::<(), TooLong>(())
        });
        if count == 0 && !strange {
            say(lines.rest());
        }
        if cut.is_err() {
            said.push(Err("worker wrote a line that is too long".to_owned()));
        }
        strange |= said.iter().any(Result::is_err);
        for said in said {
            // The receiver is only dropped when it has its result.
            let _ = heard.send(said).await;
        }
        if count == 0 {
            return;
        }
    }
}

/// The answers of one probe.
struct Answers {
    asked: &'static [u64],
    open: Vec<u64>,
    answered: Vec<String>,
    /// A malformed line.
    strange: Option<String>,
    wrong: Vec<String>,
}

impl Answers {
    fn new(asked: &'static [u64]) -> Self {
        Answers { asked, open: asked.to_vec(), answered: Vec::new(), strange: None, wrong: Vec::new() }
    }

    /// Collects messages until they end or a malformed line, after which a run would kill the worker. With
    /// `only_answers` it ends when every call is answered.
    async fn gather(&mut self, heard: &mut Receiver<ProbeLine>, only_answers: bool) {
        while self.strange.is_none() && !(only_answers && self.open.is_empty()) {
            match heard.recv().await {
                Some(Ok(Message::Over { id, answer })) => self.take(id, answer),
                Some(Ok(Message::Log { .. } | Message::Progress { .. } | Message::Other)) => {}
                Some(Err(strange)) => self.strange = Some(strange),
                None => return,
            }
        }
    }

    fn take(&mut self, id: u64, answer: WorkerAnswer) {
        match self.open.iter().position(|open| *open == id) {
            Some(at) => {
                self.open.remove(at);
                self.answered.push(match answer {
                    WorkerAnswer::Result(_) => "a result".to_owned(),
                    WorkerAnswer::Error { code, message, .. } => format!("error {code}: {message}"),
                });
            }
            None if self.wrong.len() >= REPORTED => {}
            None if self.asked.contains(&id) => self.wrong.push(format!("it answered the call {id} twice")),
            None => self.wrong.push(format!("it answered the call {id}, which was never asked")),
        }
    }

    fn missing(&self) -> String {
        let calls = words::by_count(self.open.len(), "call", "calls");
        format!("the {calls} {}", words::and(&self.open))
    }

    fn judge(mut self, end: Option<String>) -> Result<String, String> {
        if let Some(strange) = self.strange {
            return Err(strange);
        }
        if let (false, true, Some(end)) = (self.open.is_empty(), self.wrong.is_empty(), end) {
            self.wrong.push(format!("it {end} and had not answered {}", self.missing()));
        }
        self.answered.dedup();
        match (self.wrong.first(), self.answered.as_slice()) {
            (Some(_), _) => Err(self.wrong.join("; ")),
            (None, []) => Ok("silence".to_owned()),
            (None, [only]) => Ok(only.clone()),
            (None, [first, ..]) => Ok(format!("{first}, and others")),
        }
    }
}
