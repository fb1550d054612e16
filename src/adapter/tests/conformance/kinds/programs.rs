//! Programs: a command, and fences of a document.

use super::super::{Does, Kind, Refusal};
use super::{INTERPRETER, kept};
use crate::adapter::process::ProgramAgent;
use crate::adapter::program::Program;
use crate::adapter::{Adapter, fence};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// Makes an agent's command line in a folder.
type Words = fn(&Does, &Path) -> Vec<String>;

pub struct Programs(&'static str, Words);

pub const COMMAND: Programs = Programs("command", command);
pub const SHELL: Programs = Programs("shell", shell);
pub const PYTHON: Programs = Programs("python", python);

impl Kind for Programs {
    fn name(&self) -> &'static str {
        self.0
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        let env = vec![("PATH".to_owned(), std::env::var_os("PATH").unwrap())];
        let command = self.1(does, folder);
        Arc::new(ProgramAgent::new(Program { command, folder: folder.to_owned(), env }))
    }
}

fn command(does: &Does, folder: &Path) -> Vec<String> {
    let program = folder.join("agent");
    std::fs::write(&program, format!("#!/bin/sh\n{}", shell_source(does, folder))).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    vec![program.to_string_lossy().into_owned()]
}

fn shell(does: &Does, folder: &Path) -> Vec<String> {
    let words = fence::interpreter("sh").unwrap().iter().map(|word| word.to_string());
    fenced(words.collect(), folder, &shell_source(does, folder))
}

fn python(does: &Does, folder: &Path) -> Vec<String> {
    let words = fence::interpreter("python").unwrap().iter().map(|word| word.to_string());
    let mut words: Vec<String> = words.collect();
    words[0].clone_from(&INTERPRETER);
    fenced(words, folder, &python_source(does, folder))
}

fn fenced(mut words: Vec<String>, folder: &Path, source: &str) -> Vec<String> {
    let program = folder.join("program");
    std::fs::write(&program, source).unwrap();
    words.push(program.to_string_lossy().into_owned());
    words
}

/// The exit code and the answer of a refusal.
fn refusal(refusal: Refusal) -> (i32, &'static str) {
    match refusal {
        Refusal::BadInput => (65, ""),
        Refusal::Busy => (75, ""),
        Refusal::Pause => (75, r#"{"error":{"message":"busy","retry_after_ms":2000}}"#),
        Refusal::Unavailable => (1, r#"{"error":{"message":"no credit","unavailable":true}}"#),
        Refusal::Crash => (1, ""),
    }
}

pub(super) fn shell_source(does: &Does, folder: &Path) -> String {
    let cat = |bytes: &[u8]| format!("cat '{}'", kept(bytes, folder).display());
    let half = |bytes: &[u8]| {
        let answer = kept(bytes, folder);
        format!("head -c {} '{}'", bytes.len() / 2, answer.display())
    };
    let ready = ": > \"$ORDERFLOW_DIR/ready\"";
    match does {
        Does::Says(bytes) => format!("cat > /dev/null\n{}\n", cat(bytes)),
        Does::Blurts(bytes) => format!("{}\n", cat(bytes)),
        Does::Dawdles(bytes) => {
            let answer = kept(bytes, folder);
            format!("{}; sleep 0.3; tail -c +{} '{}'\n", half(bytes), bytes.len() / 2 + 1, answer.display())
        }
        Does::Fails(bytes) => {
            format!("cat > /dev/null\necho first words >&2; echo last words >&2\n{}\nexit 1\n", cat(bytes))
        }
        Does::Refuses(why) => {
            let (exit, answer) = refusal(*why);
            format!("cat > /dev/null\n{}\nexit {exit}\n", cat(answer.as_bytes()))
        }
        Does::Returns => "printf '{\"a\":'; cat; printf '}'\n".to_owned(),
        Does::Tells("INSTRUCTIONS") => "cat \"$ORDERFLOW_INSTRUCTIONS\"".to_owned(),
        Does::Tells(name) => format!("printf '{{\"a\":\"%s\"}}' \"$ORDERFLOW_{name}\"\n"),
        Does::Babbles(_) => panic!("a program has no protocol"),
        Does::Dies => "cat > /dev/null\nkill -9 $$\n".to_owned(),
        Does::Breaks(bytes) => format!("{}; kill -9 $$\n", half(bytes)),
        Does::Finishes(bytes) => {
            format!("trap \"{}; exit 0\" TERM\n{ready}\nsleep 1000 & wait\n", cat(bytes))
        }
        Does::Ignores => format!("trap '' TERM\n{ready}\nsleep 1000\n"),
    }
}

fn python_source(does: &Does, folder: &Path) -> String {
    let head = "import json, os, signal, sys, time\n\
        def ready(): open(os.environ['ORDERFLOW_DIR'] + '/ready', 'w').close()\n\
        answer = open('answer', 'rb').read() if os.path.exists('answer') else b''\n\
        half = len(answer) // 2\n\
        def say(words): sys.stdout.buffer.write(words); sys.stdout.flush()\n";
    if let Does::Says(bytes) | Does::Blurts(bytes) | Does::Dawdles(bytes) | Does::Fails(bytes) = does {
        kept(bytes, folder);
    }
    if let Does::Breaks(bytes) | Does::Finishes(bytes) = does {
        kept(bytes, folder);
    }
    let body = match does {
        Does::Says(_) => "json.load(sys.stdin)\nsay(answer)",
        Does::Blurts(_) => "say(answer)",
        Does::Dawdles(_) => "say(answer[:half])\ntime.sleep(0.3)\nsay(answer[half:])",
        Does::Fails(_) => "print('first words\\nlast words', file=sys.stderr)\nsay(answer)\nsys.exit(1)",
        Does::Refuses(why) => {
            let (exit, answer) = refusal(*why);
            &format!("print({answer:?}, end='')\nsys.exit({exit})")
        }
        Does::Returns => "print(json.dumps({'a': json.load(sys.stdin)}))",
        Does::Tells("INSTRUCTIONS") => {
            "print(json.dumps({'a': open(os.environ['ORDERFLOW_INSTRUCTIONS']).read()}))"
        }
        Does::Tells(name) => &format!("print(json.dumps({{'a': os.environ['ORDERFLOW_{name}']}}))"),
        Does::Babbles(_) => panic!("a program has no protocol"),
        Does::Dies => "json.load(sys.stdin)\nos.kill(os.getpid(), signal.SIGKILL)",
        Does::Breaks(_) => "say(answer[:half])\nos.kill(os.getpid(), signal.SIGKILL)",
        Does::Finishes(_) => {
            "def end(*_): say(answer); sys.exit()\nsignal.signal(signal.SIGTERM, end)\nready()\nsignal.pause()"
        }
        Does::Ignores => "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\ntime.sleep(1000)",
    };
    format!("{head}{body}\n")
}
