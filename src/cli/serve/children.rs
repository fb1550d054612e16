//! Commands in processes of their own: a run that the server starts or continues stays when the server ends.

use crate::serve::{Refusal, RefusalKind};
use crate::value::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

/// How often to look whether the run has begun, and how long.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a command may take that only shows something.
const SHOWING: Duration = Duration::from_secs(120);

/// How much of the messages of a command is stored.
const MESSAGES: usize = 64 << 10;

/// The exit codes of a command whose run has run: well, with failed items, waiting, or stopped.
const RAN: [i32; 6] = [0, 1, 5, 124, 130, 143];

/// Says to a command that people answer on the page of the run.
const SERVED: &str = "ORDERFLOW_SERVED";

/// Whether a server with pages has started this process.
pub fn is_served() -> bool {
    std::env::var_os(SERVED).is_some_and(|value| value == "1")
}

/// A command on stored runs.
pub struct Commanded {
    pub program: PathBuf,
    pub folder: PathBuf,
    /// The folder of runs, if one was named.
    pub state: Option<PathBuf>,
    /// Whether the runs have pages on which people answer.
    pub pages: bool,
}

impl Commanded {
    /// Runs a command that shows JSON and changes nothing, and returns what it shows, with its exit code.
    ///
    /// # Errors
    /// Why it shows nothing.
    pub async fn shown(&self, arguments: Vec<OsString>) -> Result<(Value, i32), Refusal> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        let internal = |error: std::io::Error| Refusal::new(RefusalKind::Internal, error.to_string());
        let slow = |_| Refusal::new(RefusalKind::Internal, "the command took longer than 120 s");
        let output =
            tokio::time::timeout(SHOWING, command.output()).await.map_err(slow)?.map_err(internal)?;
        let code = output.status.code();
        let text = std::str::from_utf8(&output.stdout).ok();
        match (code, text.and_then(|text| json::parse(text).ok())) {
            (Some(code @ (0 | 1 | 3)), Some(shown)) => Ok((shown, code)),
            _ => Err(refusal(code, &String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Runs the command, with this input and as part of this trace, until it has begun the run, which `begun` decides for
    /// its process, or has ended. It stays after that, and after the server.
    ///
    /// # Errors
    /// Why it has begun nothing.
    pub async fn run(
        &self,
        arguments: Vec<OsString>,
        input: Vec<u8>,
        traceparent: Option<&str>,
        begun: impl Fn(u32) -> bool,
    ) -> Result<(), Refusal> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).process_group(0);
        command.env(SERVED, if self.pages { "1" } else { "0" });
        if let Some(state) = &self.state {
            command.env("ORDERFLOW_STATE", state);
        }
        if let Some(traceparent) = traceparent {
            command.env("TRACEPARENT", traceparent);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let internal = |error: std::io::Error| Refusal::new(RefusalKind::Internal, error.to_string());
        let mut child = command.spawn().map_err(internal)?;
        if let Some(mut stdin) = child.stdin.take() {
            tokio::spawn(async move {
                // A command that does not read it ends or has what it needs.
                let _ = stdin.write_all(&input).await;
            });
        }
        let messages = child.stderr.take().map(|stderr| tokio::spawn(read_messages(stderr)));
        let process = child.id();
        let since = Instant::now();
        loop {
            let ended = child.try_wait().map_err(internal)?;
            if process.is_some_and(&begun) {
                reap(child);
                return Ok(());
            }
            match ended {
                Some(status) if status.code().is_some_and(|code| RAN.contains(&code)) => return Ok(()),
                Some(status) => {
                    let text = match messages {
                        Some(messages) => messages.await.unwrap_or_default(),
                        None => String::new(),
                    };
                    return Err(refusal(status.code(), &text));
                }
                None if since.elapsed() > PATIENCE => {
                    reap(child);
                    return Ok(());
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// Lets it end in its time.
fn reap(mut child: Child) {
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
}

/// The first of its messages; the others are read, too, so that it does not wait.
async fn read_messages(mut stderr: ChildStderr) -> String {
    let (mut text, mut chunk) = (Vec::new(), vec![0; 4096]);
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        let room = MESSAGES.saturating_sub(text.len());
        text.extend_from_slice(&chunk[..read.min(room)]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// What a command that refused has shown: `error: …` and `help: …`.
fn refusal(code: Option<i32>, messages: &str) -> Refusal {
    let kind = match code {
        Some(2 | 3) => RefusalKind::Invalid,
        Some(4) => RefusalKind::NotTrusted,
        Some(6 | 8) => RefusalKind::Conflict,
        _ => RefusalKind::Internal,
    };
    // Problems of a document come before the error.
    let lines: Vec<&str> = messages.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with("error: "));
    let (before, after) = lines.split_at(last.unwrap_or(0));
    let message = after.first().and_then(|line| line.strip_prefix("error: ")).unwrap_or(messages).trim();
    let message = if message.is_empty() { "the command has ended without a message" } else { message };
    let help = after.iter().find_map(|line| line.trim_start().strip_prefix("help: ")).map(str::to_owned);
    let detail = before.join("\n").trim().to_owned();
    let detail = Some(detail).filter(|detail| !detail.is_empty());
    Refusal { kind, message: message.to_owned(), help, detail }
}
