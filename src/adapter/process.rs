//! An agent that is a program: started for every attempt, inputs on its standard input, answer on its standard output,
//! log on its standard error. Never runs through a shell; inputs are never on the command line.

use super::child::Child;
use super::program::{GRACE, LINGER, LOG, Program, Start, Started, Tail, aside, ended, hear, last_word};
use super::tree::Tree;
use super::variables::{self, Variables};
use super::{Adapter, AttemptLog, Call, Ending, LogStream, Stop, Urgency, contract};
use crate::event::{Answer, Cause, Failure, Outcome};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Exit codes with a meaning, as in sysexits: EX_DATAERR and EX_TEMPFAIL.
const BAD_INPUT: i32 = 65;
const TRY_AGAIN: i32 = 75;

/// The most that is written to files without other tasks of the thread in mind, in bytes.
const SMALL: usize = 64 * 1024;

/// A program that is started for every attempt.
#[derive(Clone, Debug)]
pub struct ProgramAgent {
    pub program: Program,
    /// The time between the request to stop and the kill.
    pub grace: Duration,
    /// The program within a container, if this one is only the client of an engine. A client passes the request to
    /// stop on by itself, so only its own group is asked.
    pub contained: Option<Program>,
}

impl ProgramAgent {
    pub fn new(program: Program) -> Self {
        ProgramAgent { program, grace: GRACE, contained: None }
    }
}

impl Adapter for ProgramAgent {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }

    fn has_folder(&self) -> bool {
        true
    }
}

impl ProgramAgent {
    async fn attempt(&self, call: Call, stop: Stop) -> Answer {
        let variables = Variables::new(&call, variables::used(&self.program));
        let named_by = self.contained.as_ref().unwrap_or(&self.program);
        if let Some(why) = variables.refusal(named_by) {
            return Err(contract::failure(
                Cause::Start,
                format!("not started: {why}"),
                Outcome::NotExecuted,
                false,
            ));
        }
        let inputs = contract::inputs(&call);
        let prepare = || Files::new(&call, &inputs);
        // Small files take less time than it takes to move the other tasks of this thread.
        let is_small = inputs.len() + call.instructions.len() <= SMALL;
        let files = match if is_small { prepare() } else { aside(prepare) } {
            Ok(files) => files,
            Err(error) => {
                let message = format!("cannot prepare the attempt: {error}");
                return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
            }
        };
        let started = match self.start(&call, variables, &files).await {
            Ok(started) => started,
            Err(error) => return Err(self.program.not_started(&error)),
        };
        call.spawns.tell(started.process.as_ref(), false);
        let ended = self.attend(started, inputs, (&call.log, !call.outputs.is_empty()), stop).await;
        judge(&call, ended, files.answer())
    }

    async fn start(&self, call: &Call, variables: Variables, files: &Files) -> io::Result<Started> {
        let paths = [("ORDERFLOW_INPUT", &files.input), ("ORDERFLOW_OUTPUT", &files.output)];
        let instructions = files.instructions.as_ref().map(|path| ("ORDERFLOW_INSTRUCTIONS", path));
        let prepare = |command: &mut Command| {
            command.envs(variables.all).envs(paths).envs(instructions);
        };
        self.program.start(&call.context.outermost, prepare).await
    }

    /// Writes the inputs, reads the output, and makes the program end when requested. The output is logged at once
    /// unless the program `answers` with it; without outputs, only JSON may be an answer.
    pub(super) async fn attend(
        &self,
        started: Started,
        inputs: String,
        (attempt, answers): (&AttemptLog, bool),
        mut stop: Stop,
    ) -> Ended {
        let Started { mut child, tree, .. } = started;
        let stdin = child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A program need not read its inputs; if it has ended, its exit shows it.
                let _ = stdin.write_all(inputs.as_bytes()).await;
            }
        };
        let mut answer = Start::new(contract::LARGEST + 1);
        let mut logs_output = answers.then_some(false);
        let mut log = Tail::new(LOG);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let listen = async {
            tokio::join!(
                feed,
                hear(stdout, |chunk| {
                    let first = chunk.iter().find(|byte| !byte.is_ascii_whitespace());
                    logs_output = logs_output.or_else(|| first.map(|byte| !matches!(byte, b'{' | b'[')));
                    if logs_output == Some(true) {
                        attempt.take(LogStream::Stdout, chunk);
                    }
                    answer.take(chunk);
                }),
                hear(stderr, |chunk| {
                    attempt.take(LogStream::Stderr, chunk);
                    log.take(chunk);
                })
            )
        };
        let exit = self.exit(&mut child, &tree, &mut stop);
        let (status, stopped) = {
            tokio::pin!(listen);
            let (ended, quiet) = {
                tokio::pin!(exit);
                tokio::select! {
                    ended = &mut exit => (ended, false),
                    _ = &mut listen => (exit.await, true),
                }
            };
            // Another process may hold the pipes open: it gets a moment before it is asked to end.
            let quiet = quiet || tokio::time::timeout(LINGER, &mut listen).await.is_ok();
            // No descendant outlives the program. Output until then is read.
            let hear = async {
                if !quiet {
                    let _ = tokio::time::timeout(3 * LINGER, &mut listen).await;
                }
            };
            tokio::join!(tree.end(LINGER, &mut stop), hear);
            ended
        };
        Ended { status, stopped, answer, log, is_logged: logs_output == Some(true) }
    }

    /// Waits for the program's end, requesting it if needed; then its descendants get the same time to end. Returns
    /// whether it was requested.
    async fn exit(&self, child: &mut Child, tree: &Tree, stop: &mut Stop) -> (io::Result<ExitStatus>, bool) {
        tokio::select! {
            status = child.wait() => return (status, false),
            () = stop.asked(Urgency::Terminate) => {}
        }
        let ended = async {
            if self.contained.is_some() {
                tree.signal_group(Signal::TERM);
                return child.wait().await;
            }
            tokio::join!(child.wait(), tree.end_by(Signal::TERM)).0
        };
        tokio::select! {
            status = ended => return (status, true),
            () = stop.asked(Urgency::Kill) => {}
            () = tokio::time::sleep(self.grace) => {}
        }
        (tokio::join!(child.wait(), tree.kill()).0, true)
    }
}

/// The result of one process.
pub(super) struct Ended {
    pub status: io::Result<ExitStatus>,
    pub stopped: bool,
    pub answer: Start,
    pub log: Tail,
    /// The output is in the log of the attempt.
    pub is_logged: bool,
}

fn judge(call: &Call, ended: Ended, file: Option<io::Result<Vec<u8>>>) -> Answer {
    let Ended { status, stopped, answer, log, is_logged } = ended;
    let log = log.text();
    let has_file = file.is_some();
    let logs = |output: &[u8]| {
        if !is_logged {
            call.log.take(LogStream::Stdout, output);
        }
    };
    if has_file {
        logs(&answer.bytes);
    }
    let mut result = match (status, said(call, answer, file)) {
        (Err(error), _) => Err(exited(Err(error), stopped, "")),
        (Ok(status), Ok(text)) if status.success() => {
            let result = contract::done(&call.outputs, &text);
            let reports = || contract::refused(&call.outputs, &text, true, Outcome::Failed).is_some();
            if result.is_err() && !has_file && !reports() {
                logs(text.as_bytes());
            }
            result
        }
        (Ok(status), Err(failure)) if status.success() => Err(failure),
        (Ok(status), text) => {
            let again = status.code() != Some(BAD_INPUT);
            // The folder of the run's programs is removed: it would hide the actual reason.
            let folder = format!("{}/", call.scratch.display());
            let text = text.unwrap_or_default();
            let other = || {
                if !has_file {
                    logs(text.as_bytes());
                }
                exited(Ok(status), stopped, &log.replace(&folder, ""))
            };
            Err(contract::refused_or(&call.outputs, &text, again, Outcome::Failed, other))
        }
    };
    if let Err(failure) = &mut result {
        failure.log = log;
    }
    result
}

/// The program's answer: the file, if it has written one, else its standard output.
fn said(call: &Call, answer: Start, file: Option<io::Result<Vec<u8>>>) -> Result<String, Box<Failure>> {
    match file {
        Some(Ok(bytes)) => contract::text(bytes),
        Some(Err(error)) => Err(contract::bad(format!("cannot read ORDERFLOW_OUTPUT: {error}"))),
        // For a step without outputs, output that is not an answer is log.
        None if call.outputs.is_empty() => Ok(contract::text(answer.bytes).unwrap_or_default()),
        None => contract::text(answer.bytes),
    }
}

/// The failure for a program without an answer, by how it ended.
fn exited(status: io::Result<ExitStatus>, stopped: bool, log: &str) -> Box<Failure> {
    let (cause, end) = ended(status);
    let (meaning, outcome, retryable) = match cause {
        Cause::Exit(BAD_INPUT) => (" (bad input)", Outcome::Failed, false),
        Cause::Exit(TRY_AGAIN) => (" (try again)", Outcome::Failed, true),
        _ => ("", Outcome::Unknown, true),
    };
    let cause = if stopped { Cause::Stopped } else { cause };
    contract::failure(cause, format!("{end}{meaning}{}", last_word(log)), outcome, retryable)
}

/// The files that are passed to a call; removed when this is dropped.
struct Files {
    input: PathBuf,
    /// The file with the inputs, if it is there for later attempts too.
    kept: Option<File>,
    output: PathBuf,
    /// `None` if the step has no instructions.
    instructions: Option<PathBuf>,
}

impl Files {
    fn new(call: &Call, inputs: &str) -> io::Result<Self> {
        let path = |end: &str| call.scratch.join(format!("{}.{end}", call.attempt_id));
        let instructions = (!call.instructions.is_empty()).then(|| path("md"));
        let kept = call.input.as_ref().and_then(|path| Some((path.clone(), filled(path, inputs)?)));
        let (input, kept) = match kept {
            Some((path, file)) => (path, Some(file)),
            None => (path("in.json"), None),
        };
        let files = Files { input, kept, output: path("out"), instructions };
        if let Some(path) = &files.instructions {
            std::fs::write(path, &call.instructions)?;
        }
        // A file that an earlier attempt left under this name is not this attempt's answer.
        remove(&files.output)?;
        if files.kept.is_none() {
            std::fs::write(&files.input, inputs)?;
        }
        Ok(files)
    }

    /// The answer file, if the program has written one.
    fn answer(&self) -> Option<io::Result<Vec<u8>>> {
        match self.read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read),
        }
    }

    /// Reads the answer up to one byte more than allowed, to detect a larger one. Another process may exchange the file
    /// at any time, so what is open is checked; opening neither follows a link nor waits for a pipe.
    fn read(&self) -> io::Result<Vec<u8>> {
        let special = || io::Error::other("it is not a regular file");
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let file = options.open(&self.output).map_err(|error| {
            match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::LOOP | Errno::NXIO | Errno::OPNOTSUPP) => special(),
                _ => error,
            }
        })?;
        if !file.metadata()?.is_file() {
            return Err(special());
        }
        let mut bytes = Vec::new();
        file.take(contract::LARGEST as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if !self.kept.take().is_some_and(|file| emptied(&self.input, &file)) {
            let _ = std::fs::remove_file(&self.input);
        }
        let _ = remove(&self.output);
        if let Some(path) = &self.instructions {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes a file that earlier attempts had too, which is emptied between them; `None` if it is not as they got it.
fn filled(path: &Path, text: &str) -> Option<File> {
    let mut options = OpenOptions::new();
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    options.write(true).create(true).truncate(false).custom_flags(flags);
    let mut file = options.open(path).ok()?;
    let about = file.metadata().ok()?;
    let own = about.is_file() && about.nlink() == 1 && about.len() == 0;
    own.then(|| file.write_all(text.as_bytes())).and_then(Result::ok).map(|()| file)
}

/// Empties a file for the next attempt, unless the program has moved or linked it: then it is the program's.
fn emptied(path: &Path, file: &File) -> bool {
    let (Ok(about), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    let same = (about.dev(), about.ino()) == (there.dev(), there.ino());
    same && about.nlink() == 1 && file.set_len(0).is_ok()
}

/// Removes a file that rarely exists. Removing takes the lock of a folder that all attempts share, so it looks first.
fn remove(file: &Path) -> io::Result<()> {
    match file.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => std::fs::remove_file(file),
    }
}
