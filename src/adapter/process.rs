//! An agent that is a program: started for every attempt, inputs on its standard input, answer on its standard
//! output, log on its standard error. Never runs through a shell; inputs never stand on the command line.

use super::group::gone;
use super::{Adapter, Call, Ending, Stop, Urgency, contract};
use crate::event::{Answer, Cause, Failure, Outcome};
use crate::value::Value;
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Between the request to stop and the kill.
const GRACE: Duration = Duration::from_secs(10);

/// How long a pipe may stay open after the program itself has ended, before what still holds it is killed.
const LINGER: Duration = Duration::from_secs(1);

/// How long a program that is being written just now may be busy.
const BUSY: Duration = Duration::from_secs(2);

/// The end of the log that is kept, in bytes.
const LOG: usize = 8 * 1024;

/// The largest scalar that is handed over as `IN_<NAME>`, in bytes.
const LARGEST_VARIABLE: usize = 64 * 1024;

/// The longest last word of a log that becomes part of a message, in characters.
const LONGEST_REASON: usize = 200;

/// Exits with a meaning, as in sysexits: EX_DATAERR and EX_TEMPFAIL.
const BAD_INPUT: i32 = 65;
const TRY_AGAIN: i32 = 75;

/// How to start the program.
#[derive(Clone, Debug)]
pub struct Process {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Where it works.
    pub folder: PathBuf,
    /// Its whole environment but for what each call adds.
    pub env: Vec<(String, String)>,
    /// Between the request to stop and the kill.
    pub grace: Duration,
}

impl Process {
    pub fn new(command: Vec<String>, folder: PathBuf, env: Vec<(String, String)>) -> Self {
        Process { command, folder, env, grace: GRACE }
    }
}

impl Adapter for Process {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }
}

impl Process {
    async fn attempt(&self, call: Call, stop: Stop) -> Answer {
        let files = Files::new(&call);
        let inputs = contract::inputs(&call);
        let prepare = || std::fs::create_dir_all(&call.dir).and_then(|()| files.write(&inputs));
        if let Err(error) = aside(prepare) {
            let message = format!("cannot prepare the attempt: {error}");
            return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
        }
        let child = match self.start(&call, &files).await {
            Ok(child) => child,
            Err(error) => return Err(self.not_started(&error)),
        };
        let ended = self.attend(child, inputs, stop).await;
        judge(&call, ended, files.answer())
    }

    async fn start(&self, call: &Call, files: &Files) -> io::Result<Child> {
        let (program, arguments) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .envs(variables(call))
            .env("ORDERFLOW_INPUT", &files.input)
            .env("ORDERFLOW_OUTPUT", &files.output);
        let mut waited = Duration::ZERO;
        loop {
            match aside(|| command.spawn()) {
                Err(error) if error.raw_os_error() == Some(ETXTBSY) && waited < BUSY => {
                    let pause = Duration::from_millis(20);
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                result => return result,
            }
        }
    }

    fn not_started(&self, error: &io::Error) -> Box<Failure> {
        let program = self.command.first().map_or("", String::as_str);
        let path = self.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let missing = error.kind() == io::ErrorKind::NotFound;
        let message = match missing {
            true if !self.folder.is_dir() => {
                format!("cannot start {program}: its folder {} does not exist", self.folder.display())
            }
            true if program.contains('/') => {
                format!("cannot start {program}: no such file in {}", self.folder.display())
            }
            true => format!("cannot start {program}: not found in PATH ({path})"),
            false => format!("cannot start {program}: {error}"),
        };
        contract::failure(Cause::Start, message, Outcome::NotExecuted, !missing)
    }

    /// Feeds the program, listens to it, and sees to it that it ends when asked.
    async fn attend(&self, mut child: Child, inputs: String, mut stop: Stop) -> Ended {
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        let stdin = child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A program need not read its inputs; one that has gone is reported by its exit.
                let _ = stdin.write_all(inputs.as_bytes()).await;
            }
        };
        let mut answer = Heard::new(contract::LARGEST + 1, Keep::Start);
        let mut log = Heard::new(LOG, Keep::End);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let listen = async { tokio::join!(feed, answer.hear(stdout), log.hear(stderr)) };
        let exit = self.exit(&mut child, group, &mut stop);
        let (status, stopped) = {
            tokio::pin!(listen, exit);
            let (ended, quiet) = tokio::select! {
                ended = &mut exit => (ended, false),
                _ = &mut listen => (exit.await, true),
            };
            // Something else may hold the pipes open: it gets a moment before it is killed.
            let quiet = quiet || tokio::time::timeout(LINGER, &mut listen).await.is_ok();
            // Nothing that the program has started outlives it.
            signal(group, Signal::KILL);
            if !quiet {
                let _ = tokio::time::timeout(LINGER, &mut listen).await;
            }
            ended
        };
        Ended { status, stopped, answer, log }
    }

    /// Waits for the program's end, asking for it where that is wanted; then all that it has started gets as
    /// long to end as it does. True when it was asked.
    async fn exit(
        &self,
        child: &mut Child,
        group: Option<Pid>,
        stop: &mut Stop,
    ) -> (io::Result<ExitStatus>, bool) {
        tokio::select! {
            status = child.wait() => return (status, false),
            () = stop.asked(Urgency::Terminate) => signal(group, Signal::TERM),
        }
        let ended = async {
            let status = child.wait().await;
            gone(group).await;
            status
        };
        tokio::select! {
            status = ended => return (status, true),
            () = stop.asked(Urgency::Kill) => {}
            () = tokio::time::sleep(self.grace) => {}
        }
        signal(group, Signal::KILL);
        (child.wait().await, true)
    }
}

/// Does what blocks without holding up the tasks that wait for this thread: a program's start takes as long as
/// the machine is busy, and with many jobs it is.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

const ETXTBSY: i32 = rustix::io::Errno::TXTBSY.raw_os_error();

/// Sends a signal to the program and all that belongs to its group; those that are gone are no concern.
fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// What came of one process.
struct Ended {
    status: io::Result<ExitStatus>,
    stopped: bool,
    answer: Heard,
    log: Heard,
}

fn judge(call: &Call, ended: Ended, file: Option<io::Result<Vec<u8>>>) -> Answer {
    let Ended { status, stopped, answer, log } = ended;
    let log = String::from_utf8_lossy(&log.bytes).into_owned();
    let mut result = match (status, said(call, answer, file)) {
        (Err(error), _) => {
            let message = format!("lost track of the program: {error}");
            Err(contract::failure(Cause::Protocol, message, Outcome::Unknown, true))
        }
        (Ok(status), Ok(text)) if status.success() => contract::done(&call.outputs, &text),
        (Ok(status), Err(failure)) if status.success() => Err(failure),
        (Ok(status), text) => {
            let again = status.code() != Some(BAD_INPUT);
            let told = text.ok().and_then(|text| contract::refused(&call.outputs, &text, again));
            Err(told.unwrap_or_else(|| exited(status, stopped, &log)))
        }
    };
    if let Err(failure) = &mut result {
        failure.log = log;
    }
    result
}

/// What the program has answered: the file, where it has written one, else its standard output.
fn said(call: &Call, answer: Heard, file: Option<io::Result<Vec<u8>>>) -> Result<String, Box<Failure>> {
    match file {
        Some(Ok(bytes)) => contract::text(bytes),
        Some(Err(error)) => Err(contract::bad(format!("cannot read ORDERFLOW_OUTPUT: {error}"))),
        // Where nothing is to be made, what is no answer is log.
        None if call.outputs.is_empty() => Ok(contract::text(answer.bytes).unwrap_or_default()),
        None => contract::text(answer.bytes),
    }
}

/// A failure known only by how the program ended.
fn exited(status: ExitStatus, stopped: bool, log: &str) -> Box<Failure> {
    let last = log.lines().rev().find(|line| !line.trim().is_empty());
    let short = |line: &str| line.trim().chars().take(LONGEST_REASON).collect::<String>();
    let because = last.map(|line| format!(": {}", short(line))).unwrap_or_default();
    let (cause, message, outcome, retryable) = match (status.code(), status.signal()) {
        (Some(code @ BAD_INPUT), _) => {
            (Cause::Exit(code), format!("exited with {code} (bad input)"), Outcome::Failed, false)
        }
        (Some(code @ TRY_AGAIN), _) => {
            (Cause::Exit(code), format!("exited with {code} (try again)"), Outcome::Failed, true)
        }
        (Some(code), _) => (Cause::Exit(code), format!("exited with {code}"), Outcome::Unknown, true),
        (None, number) => {
            let number = number.unwrap_or(0);
            (Cause::Signal(number), format!("ended by signal {number}"), Outcome::Unknown, true)
        }
    };
    let cause = if stopped { Cause::Stopped } else { cause };
    contract::failure(cause, format!("{message}{because}"), outcome, retryable)
}

/// The files by which a call travels beside the pipes; they are gone when this is.
struct Files {
    input: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new(call: &Call) -> Self {
        let path = |end: &str| call.scratch.join(format!("{}.{end}", call.attempt_id));
        Files { input: path("in.json"), output: path("out") }
    }

    fn write(&self, inputs: &str) -> io::Result<()> {
        // What an earlier attempt under this name has left is no answer to this one.
        match std::fs::remove_file(&self.output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::fs::write(&self.input, inputs),
        }
    }

    /// The answer, where the program has written one here.
    fn answer(&self) -> Option<io::Result<Vec<u8>>> {
        // Nothing but a file is opened: a pipe would be waited for without end.
        match std::fs::symlink_metadata(&self.output) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
            Ok(about) if about.is_file() => Some(self.read()),
            Ok(_) => Some(Err(io::Error::other("it is no regular file"))),
        }
    }

    /// No more of the answer than is needed to see that it is too large.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&self.output)?.take(contract::LARGEST as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.input);
        let _ = std::fs::remove_file(&self.output);
    }
}

/// What each call adds to the environment.
fn variables(call: &Call) -> Vec<(String, String)> {
    let context = &call.context;
    let mut all: Vec<(String, String)> = Vec::with_capacity(16);
    let mut say = |name: &str, value: &str| all.push((format!("ORDERFLOW_{name}"), value.to_owned()));
    say("RUN", &context.run);
    say("STEP", &context.step);
    say("ITEM", &context.item);
    say("ATTEMPT", &context.attempt.to_string());
    say("KEY", &context.idempotency_key);
    say("AGENT", context.agent.as_deref().unwrap_or(""));
    say("CHANNEL", context.channel.as_deref().unwrap_or(""));
    say("DEADLINE", context.deadline.as_deref().unwrap_or(""));
    say("OUTPUTS", &contract::outputs(&call.outputs));
    say("DIR", &call.dir.to_string_lossy());
    all.push(("TRACEPARENT".into(), context.traceparent.clone()));
    for (name, value) in &call.inputs {
        let text = match &**value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        if text.len() <= LARGEST_VARIABLE && !text.contains('\0') {
            let name: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            all.push((format!("IN_{}", name.to_ascii_uppercase()), text));
        }
    }
    // The kernel refuses a NUL; an item's key may hold one.
    all.iter_mut().for_each(|(_, value)| value.retain(|c| c != '\0'));
    all
}

/// Which end is kept of a stream that is longer than what is kept.
#[derive(Clone, Copy)]
enum Keep {
    Start,
    End,
}

/// A stream of which a bounded part is kept.
struct Heard {
    bytes: Vec<u8>,
    most: usize,
    keep: Keep,
}

impl Heard {
    fn new(most: usize, keep: Keep) -> Self {
        Heard { bytes: Vec::new(), most, keep }
    }

    async fn hear(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = [0; 8192];
        // A pipe that cannot be read any more has nothing more to say. What is too much is passed over: it may
        // turn out to be log, and a program that goes on for ever is a matter of its timeout.
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.take(&chunk[..read]);
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        match self.keep {
            Keep::Start => {
                let room = self.most.saturating_sub(self.bytes.len());
                self.bytes.extend_from_slice(&chunk[..room.min(chunk.len())]);
            }
            Keep::End => {
                self.bytes.extend_from_slice(chunk);
                if self.bytes.len() > 2 * self.most {
                    let surplus = self.bytes.len() - self.most;
                    self.bytes.drain(..surplus);
                }
            }
        }
    }
}
