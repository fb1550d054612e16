//! A keystroke in a large document: `orderflow lsp` with its problems as the answer, beside bare markdown parsing of the
//! same text.

use super::Sizes;
use super::document::document;
use super::pair::{Case, Unit};
use anyhow::{Context, ensure};
use pulldown_cmark::{Options, Parser};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> Vec<Case<'a>> {
    let text = document(sizes.document);
    let (keys, bytes) = (sizes.keystrokes, text.len());
    let many = steps(sizes.steps);
    let file = folder.join("many.md");
    let folder = folder.to_owned();
    let (typed, checked, place) = (text.clone(), many.clone(), folder.clone());
    let of_many = Case {
        name: format!("keystrokes: {keys} in {} steps", sizes.steps),
        unit: Unit::BytesPerSecond,
        floor_name: "orderflow validate, each time",
        ours: Box::new(move || Ok((many.len() * keys) as f64 / typing(&place, &many, keys)?)),
        floor: Box::new(move || {
            std::fs::write(&file, &checked)?;
            let begin = Instant::now();
            for _ in 0..keys {
                let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
                let status = command.arg("validate").arg(&file).stdout(Stdio::null()).status()?;
                ensure!(status.success(), "the document is not valid");
            }
            Ok((checked.len() * keys) as f64 / begin.elapsed().as_secs_f64())
        }),
    };
    let of_bytes = Case {
        name: format!("keystrokes: {keys} in {} kB", bytes / 1000),
        unit: Unit::BytesPerSecond,
        floor_name: "pulldown-cmark, events only",
        ours: Box::new(move || {
            let seconds = typing(&folder, &typed, keys)?;
            Ok((bytes * keys) as f64 / seconds)
        }),
        floor: Box::new(move || {
            let begin = Instant::now();
            let events: usize = (0..keys).map(|_| Parser::new_ext(&text, Options::empty()).count()).sum();
            ensure!(events > 0, "there is text");
            Ok((bytes * keys) as f64 / begin.elapsed().as_secs_f64())
        }),
    };
    vec![of_bytes, of_many]
}

/// A document of so many short steps.
fn steps(count: usize) -> String {
    let mut text = String::from("# Many\n\nOne step after the other.\n");
    for step in 0..count {
        let next = step + 1;
        let _ = write!(
            text,
            "\n## Process Part {step} @shop\nvalue_{step} → value_{next}::JSON\n\nDoes its part.\n"
        );
    }
    text
}

/// The seconds for so many keystrokes, each with the problems of the document as its answer.
fn typing(folder: &Path, text: &str, keys: usize) -> anyhow::Result<f64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.arg("lsp").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start orderflow")?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (Some(mut input), Some(output)) = (input, output) else { anyhow::bail!("no pipes") };
    let mut output = BufReader::new(output);
    let mut send = |message: Value| -> anyhow::Result<()> {
        let text = message.to_string();
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        Ok(input.flush()?)
    };
    let uri = format!("file://{}/large.md", folder.display());
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}))?;
    receive(&mut output)?;
    let document = json!({"uri": uri, "languageId": "markdown", "version": 0, "text": text});
    send(json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}))?;
    receive(&mut output)?;
    let begin = Instant::now();
    for key in 0..keys {
        let at = json!({"line": 2, "character": key});
        let changes = json!([{"range": {"start": at, "end": at}, "text": "x"}]);
        let params = json!({"textDocument": {"uri": uri, "version": key + 1}, "contentChanges": changes});
        send(json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params}))?;
        let shown = receive(&mut output)?;
        ensure!(shown["params"]["version"] == key + 1, "{shown}");
    }
    let took = begin.elapsed().as_secs_f64();
    send(json!({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))?;
    receive(&mut output)?;
    send(json!({"jsonrpc": "2.0", "method": "exit"}))?;
    ensure!(child.wait()?.success(), "the server failed");
    Ok(took)
}

fn receive(output: &mut impl BufRead) -> anyhow::Result<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(output.read_line(&mut line)? > 0, "the server ended");
        match line.trim_end().strip_prefix("Content-Length: ") {
            Some(number) => length = number.parse()?,
            None => break,
        }
    }
    let mut text = vec![0; length];
    output.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
