//! Probes of a program that is started for every attempt.

use super::super::contract;
use super::super::program::Start;
use super::super::program::{Program, hear};
use super::super::variables::Variables;
use super::{Finding, Patient, RUN, call, large};
use crate::value::{Object, Value, json};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a program may start up before it is asked to end.
const SETTLE: Duration = Duration::from_secs(1);

/// The text on a program's standard input, and whether the input ends there.
struct Probe {
    must: &'static str,
    input: String,
    open: bool,
}

/// Runs every probe on a program; `folder` is for its files, `within` the longest time that it may take.
pub async fn process(program: &Program, folder: &Path, within: Duration) -> Vec<Finding> {
    let whole = |must, input: &str| Probe { must, input: input.to_owned(), open: false };
    let probes = [
        whole("ends when it is asked for an unknown step", "{}"),
        whole("ends when its inputs are empty", ""),
        whole("ends when its inputs are not JSON", "{\"text\": "),
        whole("takes inputs of a mebibyte", &format!("{{\"text\":{}}}", large())),
        Probe { must: "ends when it is asked to by SIGTERM", input: String::new(), open: true },
    ];
    let mut findings = Vec::new();
    for probe in probes {
        let must = probe.must;
        let done = put(program, folder, probe, within).await;
        let (did, passed, start) = match done {
            Ok(did) => (did, true, true),
            Err(Wrong::Start(did)) => (did, false, false),
            Err(Wrong::Did(did)) => (did, false, true),
        };
        findings.push(Finding { must: if start { must } else { "starts" }, did, passed });
        if !start {
            break;
        }
    }
    findings
}

enum Wrong {
    Start(String),
    Did(String),
}

async fn put(program: &Program, folder: &Path, probe: Probe, within: Duration) -> Result<String, Wrong> {
    let (input, output) = (folder.join("in.json"), folder.join("out"));
    let _ = std::fs::remove_file(&output);
    std::fs::write(&input, &probe.input).map_err(|error| Wrong::Start(error.to_string()))?;
    let prepare = |command: &mut Command| {
        command.envs(Variables::new(&call(folder), 0).all);
        command.env("ORDERFLOW_INPUT", &input).env("ORDERFLOW_OUTPUT", &output);
    };
    let started = program.start(RUN, prepare).await;
    let mut patient =
        Patient::new(started.map_err(|error| Wrong::Start(program.not_started(&error).message))?);
    let (stdin, stdout) = (patient.child.stdin.take(), patient.child.stdout.take());
    let listening = tokio::spawn(async move {
        let mut said = Start::new(contract::LARGEST + 1);
        hear(stdout, |chunk| said.take(chunk)).await;
        said.bytes
    });
    let (open, text) = (probe.open, probe.input);
    let writing = tokio::spawn(async move {
        let mut stdin = stdin?;
        // It need not read its inputs.
        let _ = stdin.write_all(text.as_bytes()).await;
        if open {
            std::future::pending::<()>().await;
        }
        Some(())
    });
    let mut end = None;
    if open {
        // It may end by itself, and needs a moment to set up its signals.
        end = patient.ended(SETTLE).await;
        patient.signal(Signal::TERM);
    }
    if end.is_none() {
        end = patient.ended(within).await;
    }
    writing.abort();
    let end = end.ok_or_else(|| Wrong::Did(format!("it still ran after {within:?}, and was killed")))?;
    patient.signal(Signal::KILL);
    let said = tokio::time::timeout(within, listening).await;
    let said = said.ok().and_then(Result::ok).unwrap_or_default();
    let said = std::fs::read(&output).unwrap_or(said);
    match judge(said) {
        Ok(more) => Ok(format!("{end}{more}")),
        Err(wrong) => Err(Wrong::Did(format!("{end}, but {wrong}"))),
    }
}

/// The answer, as far as every agent must follow the contract.
fn judge(said: Vec<u8>) -> Result<String, String> {
    let text = contract::text(said).map_err(|failure| failure.message)?;
    match json::parse(text.trim()) {
        Ok(Value::Object(object)) => match object.get("error") {
            Some(Value::Object(error)) => refusal(error),
            _ => Ok(String::new()),
        },
        _ => Ok(String::new()),
    }
}

fn refusal(error: &Object) -> Result<String, String> {
    let Some(Value::String(message)) = error.get("message") else {
        return Err("its error has no \"message\" in words".to_owned());
    };
    match contract::malformed(error) {
        Some(wrong) => Err(format!("its error is malformed: {wrong}")),
        None => Ok(format!("; error: {message}")),
    }
}
