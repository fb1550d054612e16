//! A person at the terminal, who answers what a command asks.

use crate::place::Place;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Runs orderflow in a terminal and types each answer once its question was asked. Returns what was shown, and the exit
/// code.
pub fn dialogue(place: &Place, args: &str, answers: &[(&str, &str)]) -> (String, Option<i32>) {
    let program = format!("{} {args}", env!("CARGO_BIN_EXE_orderflow"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &program, "/dev/null"]).current_dir(place.folder());
    terminal.env("XDG_STATE_HOME", place.path(".state")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = terminal.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut said, mut chunk, mut seen) = (Vec::new(), [0; 4096], 0);
    let mut answers = answers.iter();
    let mut next = answers.next();
    loop {
        let read = stdout.read(&mut chunk).unwrap();
        said.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&said).into_owned();
        while let Some((question, answer)) = next
            && let Some(at) = text.get(seen..).and_then(|rest| rest.find(question))
        {
            seen += at + question.len();
            stdin.write_all(format!("{answer}\n").as_bytes()).unwrap();
            next = answers.next();
        }
        if read == 0 {
            break;
        }
    }
    let status = child.wait().unwrap();
    (String::from_utf8(said).unwrap(), status.code())
}
