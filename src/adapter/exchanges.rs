//! Exchanges with models and services in a file of JSON lines: recorded by one run, and the answers of another, without a network.
//!
//! An exchange is found by a hash of its step, item, element, attempt and turn, and of the first request of the attempt
//! without the item's secrets, its limit of tokens and how its answer is sent: later turns follow from it and from the
//! answers. So the order of parallel steps does not matter. Of equal ones the last counts: an attempt that was
//! interrupted is made again.

use super::model::Protocol;
use super::{Call, Context, contract};
use crate::disk::Named;
use crate::event::{Cause, Failure, Outcome};
use crate::value::{Value, json as text};
use anyhow::{Context as _, bail};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest line of a file, in bytes: an answer has at most 16 MiB, and a request about as much.
const LONGEST_LINE: u64 = 128 << 20;

/// The members of a request that do not change its meaning.
const WITHOUT: [&str; 4] = ["max_tokens", "max_output_tokens", "stream", "stream_options"];

/// Where exchanges are written, or where their answers come from.
#[derive(Debug, Default)]
pub enum Exchanges {
    /// The provider or the service answers.
    #[default]
    Live,
    Record(Recorder),
    Replay(Recording),
}

/// A file that exchanges are added to.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Mutex<File>,
}

/// The answers of a file, by the hash of their requests.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    answers: HashMap<String, Answered>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answered {
    Response(Received),
    /// There was none.
    Lost {
        message: String,
        outcome: Outcome,
        retryable: bool,
    },
}

/// A response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Received {
    pub status: u16,
    /// How long the other side wants to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    pub body: String,
    /// The media type of a service's answer is JSON.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_json: bool,
    /// A service had accepted the request before: this is the end of its polls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_accepted: bool,
    /// Where a service redirects to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A line of the file. Only `request` and the answer are read again.
#[derive(Serialize)]
struct Line<'a> {
    step: &'a str,
    item: &'a str,
    element: Option<u32>,
    attempt: u32,
    request: &'a str,
    body: &'a Value,
    #[serde(flatten)]
    answer: &'a Answered,
}

#[derive(Deserialize)]
struct ReadLine {
    request: String,
    #[serde(flatten)]
    answer: Answered,
}

/// A request as it is recorded.
pub(super) struct Asked {
    hash: String,
    body: Value,
}

impl Asked {
    /// The request of a model's turn, counted from 1; `first` is that of the first one.
    pub fn of_model(
        call: &Call,
        (protocol, turn): (Protocol, usize),
        mut first: Value,
        mut body: Value,
    ) -> Asked {
        for body in [&mut first, &mut body] {
            if let Value::Object(members) = body {
                WITHOUT.iter().for_each(|name| drop(members.shift_remove(*name)));
            }
        }
        Asked::of(call, &[turn.into(), format!("{protocol:?}").into()], first, body)
    }

    /// The request to a service, to be found by its method, its path and its body.
    pub fn of_service(call: &Call, path: &str) -> Asked {
        let inputs = call.inputs.iter().map(|(name, value)| (name.to_string(), (**value).clone()));
        let body = Value::Object(inputs.collect());
        Asked::of(call, &["POST".into(), path.into()], body.clone(), body)
    }

    fn of(call: &Call, how: &[Value], mut first: Value, mut body: Value) -> Asked {
        // Another machine has other keys, and an answer from a file needs none: they decide nothing.
        call.redactor.value_by_item(&mut first);
        call.redactor.value(&mut body);
        let Context { step, item, element, attempt, .. } = &call.context;
        let mut about = vec![json!(**step), json!(**item), json!(element), json!(attempt)];
        about.extend(how.iter().cloned().chain([first]));
        let about = Value::Array(about).to_string();
        Asked { hash: blake3::hash(about.as_bytes()).to_hex().to_string(), body }
    }
}

/// A request whose answer is awaited. Without [`end`](Self::end), it was stopped.
pub(super) struct Open<'a> {
    recorder: &'a Recorder,
    call: &'a Call,
    asked: Asked,
    /// The outcome if it is stopped.
    stopped: Outcome,
    ended: bool,
}

impl Open<'_> {
    /// Records what came of it.
    pub fn end(mut self, received: &Result<Received, Box<Failure>>) -> Result<(), Box<Failure>> {
        self.ended = true;
        let answer = match received {
            Ok(received) => Answered::Response(received.clone()),
            Err(failure) => Answered::Lost {
                message: failure.message.clone(),
                outcome: failure.outcome,
                retryable: failure.retryable,
            },
        };
        self.recorder.add(self.call, &self.asked, answer)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let message = "the recorded request was stopped before its answer".to_owned();
            let answer = Answered::Lost { message, outcome: self.stopped, retryable: true };
            // The attempt has ended already; a replay says what is missing.
            let _ = self.recorder.add(self.call, &self.asked, answer);
        }
    }
}

impl Recorder {
    /// Begins an exchange, which has this outcome if it is stopped.
    pub(super) fn begin<'a>(&'a self, call: &'a Call, asked: Asked, stopped: Outcome) -> Open<'a> {
        Open { recorder: self, call, asked, stopped, ended: false }
    }

    /// Opens the file; `append` to what it has, or replace that. A last line that a killed runner did not complete is
    /// removed.
    ///
    /// # Errors
    /// It cannot be written, or has something other than exchanges.
    pub fn open(path: &Path, append: bool) -> anyhow::Result<Recorder> {
        let shown = || format!("cannot write {}", path.display());
        let mut options = OpenOptions::new();
        // Opening must not wait for the other end of a pipe.
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let options = options.read(true).append(true).create(true).mode(0o600).custom_flags(nonblock);
        let file = match options.open(path) {
            Ok(file) if file.metadata().with_context(shown)?.is_file() => file,
            Err(error) if error.kind() != ErrorKind::IsADirectory => return Err(error).with_context(shown),
            _ => bail!("{}: it is not a regular file", shown()),
        };
        let mut lines = BufReader::new(&file);
        let (mut length, mut first) = (0, true);
        loop {
            let mut line = Vec::new();
            let read = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).with_context(shown)?;
            if read == 0 {
                break;
            }
            let is_whole = line.ends_with(b"\n");
            // The rest of a record is of no interest unless it is added to.
            if first && serde_json::from_slice::<ReadLine>(&line).is_err() {
                bail!("{}: it exists and is not a record of exchanges; name another file", shown());
            }
            if !is_whole || !append {
                break;
            }
            (length, first) = (length + read as u64, false);
        }
        file.set_len(if append { length } else { 0 }).with_context(shown)?;
        Ok(Recorder { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Adds an exchange, without its secrets.
    fn add(&self, call: &Call, asked: &Asked, mut answer: Answered) -> Result<(), Box<Failure>> {
        match &mut answer {
            // Digits of a short secret may occur in a number, where a name would break the JSON.
            Answered::Response(received) => match text::parse(&received.body) {
                Ok(mut body) => {
                    call.redactor.value(&mut body);
                    received.body = body.to_string();
                }
                Err(_) => call.redactor.text(&mut received.body),
            },
            Answered::Lost { message, .. } => call.redactor.text(message),
        }
        let context = &call.context;
        let line = Line {
            step: &context.step,
            item: &context.item,
            element: context.element,
            attempt: context.attempt,
            request: &asked.hash,
            body: &asked.body,
            answer: &answer,
        };
        let written = serde_json::to_vec(&line).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
        });
        written.map_err(|error| {
            let message = format!("cannot record the exchange in {}: {error}", self.path.display());
            contract::failure(Cause::Protocol, message, Outcome::Failed, false)
        })
    }
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line is not an exchange.
    pub fn open(path: &Path) -> anyhow::Result<Recording> {
        let shown = || format!("cannot read {}", path.display());
        let mut lines = BufReader::new(Named::by_user(path).open().with_context(shown)?);
        let (mut answers, mut number) = (HashMap::new(), 0u64);
        loop {
            let mut line = Vec::new();
            let length = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).with_context(shown)?;
            if length == 0 {
                return Ok(Recording { path: path.to_owned(), answers });
            }
            number += 1;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let read: ReadLine = match serde_json::from_slice(&line) {
                Ok(read) => read,
                // A killed runner did not complete its last line.
                Err(_) if number > 1 && !line.ends_with(b"\n") => continue,
                Err(error) => {
                    let error = anyhow::anyhow!("line {number} is not an exchange: {error}");
                    return Err(error).with_context(shown);
                }
            };
            answers.insert(read.request, read.answer);
        }
    }

    /// The answer to a request, or why there was none.
    pub(super) fn answer(&self, call: &Call, asked: &Asked) -> Result<Received, Box<Failure>> {
        let found = self.answers.get(&asked.hash).cloned().ok_or_else(|| {
            let context = &call.context;
            let element = context.element.map(|element| format!("[{element}]")).unwrap_or_default();
            let message = format!(
                "{} has no answer for `{}{element}` of the item `{}`, attempt {}: record it with --record {}",
                self.path.display(),
                context.step,
                context.item,
                context.attempt,
                self.path.display()
            );
            contract::failure(Cause::Start, message, Outcome::NotExecuted, false)
        })?;
        match found {
            Answered::Response(received) => Ok(received),
            Answered::Lost { message, outcome, retryable } => {
                Err(contract::failure(Cause::Protocol, message, outcome, retryable))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"request\":\"a\",\"response\":{\"status\":200,\"body\":\"{}\"}}\n";

    #[test]
    fn only_records_are_replaced_and_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let torn = format!("{LINE}{LINE}{}", &LINE[..20]);
        let whole = format!("{LINE}{LINE}");
        for (known, append, expected) in [
            ("", false, Some("")),
            (LINE, false, Some("")),
            (torn.as_str(), true, Some(whole.as_str())),
            (LINE, true, Some(LINE)),
            ("# Letters\n\n## Write @writer\n", false, None),
            ("# Letters\n", true, None),
            ("{\"a\": 1}\n", false, None),
        ] {
            std::fs::write(&path, known).unwrap();
            let opened = Recorder::open(&path, append).map(drop);
            let now = std::fs::read_to_string(&path).unwrap();
            match expected {
                Some(expected) => assert!(opened.is_ok() && now == expected, "{known:?}: {opened:?}"),
                None => assert!(opened.is_err() && now == known, "{known:?}"),
            }
        }
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(Recording::open(&path).unwrap().answers.len(), 1);
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        assert!(Recorder::open(&fifo, false).is_err());
    }
}
