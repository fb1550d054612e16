//! The variables that a call adds to a program's environment. Does not know how the program is started.
//!
//! A program never gets an empty value in place of another. A value that does not fit into a variable is replaced by
//! an explanation, and a program that names the variable is not started at all.

use super::program::{Program, aside};
use super::{Call, contract};
use crate::value::{Value, variable};
use memchr::memmem;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, getrlimit};
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest value of a variable, in bytes. Linux allows twice as much.
const LARGEST: usize = 64 * 1024;

/// The most that the inputs take as variables, in bytes. Systems give a program one or two MiB for its arguments and
/// its environment together.
const MOST: usize = 512 * 1024;

/// The part of that room that the system itself needs, in bytes.
const SPARE: usize = 16 * 1024;

/// Files of a program are read up to this size for the names of variables.
const LARGEST_SOURCE: u64 = 1024 * 1024;

/// The prefix of the name of an input.
const PREFIX: &str = "IN_";

/// The variables of one call.
pub struct Variables {
    pub all: Vec<(String, String)>,
    unfit: Vec<Unfit>,
}

/// A value that does not fit into a variable.
struct Unfit {
    variable: String,
    /// Such as "input `text`".
    what: String,
    /// Such as "180000 bytes, at most 65536".
    why: String,
    /// Where else it is available.
    instead: &'static str,
}

const INPUTS: &str = "; read it from standard input or from the file that ORDERFLOW_INPUT names";

impl Variables {
    /// The variables of a call; `used` is the room that others take in the environment, in bytes.
    pub fn new(call: &Call, used: usize) -> Self {
        let mut variables = Variables::of_context(call);
        let taken: usize = variables.all.iter().map(size).sum();
        variables.inputs(call, MOST.min(room().saturating_sub(used + taken)));
        variables
    }

    /// The variables of a call without its inputs.
    pub fn of_context(call: &Call) -> Self {
        let mut variables = Variables { all: Vec::with_capacity(16), unfit: Vec::new() };
        let context = &call.context;
        let attempt = context.attempt.to_string();
        let element = context.element.map(|element| element.to_string()).unwrap_or_default();
        let budget = context.budget.map(|left| left.json().to_string()).unwrap_or_default();
        for (name, what, value) in [
            ("RUN", "the run", &*context.run),
            ("STEP", "the step", &context.step),
            ("ITEM", "the item's key", &context.item),
            ("ATTEMPT", "the attempt", &attempt),
            ("ELEMENT", "the element", &element),
            ("KEY", "the idempotency key", &context.idempotency_key),
            ("FORWARD_KEY", "the forward key", context.forward_key.as_deref().unwrap_or("")),
            ("AGENT", "the agent", context.agent.as_deref().unwrap_or("")),
            ("CHANNEL", "the channel", context.channel.as_deref().unwrap_or("")),
            ("DEADLINE", "the deadline", context.deadline.as_deref().unwrap_or("")),
            ("BUDGET", "the budget", &budget),
            ("OUTPUTS", "the list of outputs", &outputs(call)),
            ("DIR", "the folder", &call.dir.to_string_lossy()),
        ] {
            variables.put(format!("ORDERFLOW_{name}"), what.to_owned(), Ok(value.to_owned()), "");
        }
        variables.all.push(("TRACEPARENT".into(), context.traceparent.clone()));
        variables
    }

    fn inputs(&mut self, call: &Call, room: usize) {
        let mut inputs: Vec<(String, &str, Result<String, TooLarge>)> = Vec::new();
        for (name, value) in &call.inputs {
            let text = match &**value {
                Value::Null => continue,
                Value::String(text) if text.len() > LARGEST => Err(TooLarge(Some(text.len()))),
                Value::String(text) => Ok(text.clone()),
                other => json(other),
            };
            inputs.push((variable(name), name, text));
        }
        // The smallest first, so that a few large ones do not exclude many others.
        inputs.sort_by_key(|(_, _, text)| text.as_ref().map_or(usize::MAX, String::len));
        let names: Vec<String> = inputs.iter().map(|(variable, ..)| variable.clone()).collect();
        let mut left = room;
        for (index, (variable, name, text)) in inputs.into_iter().enumerate() {
            let what = format!("the input `{name}`");
            let twice = names.iter().enumerate().any(|(other, name)| other != index && *name == variable);
            let text = match text {
                _ if twice => Err("another input has the same variable".to_owned()),
                Ok(text) => {
                    let size = variable.len() + text.len() + BESIDES;
                    match left.checked_sub(size) {
                        Some(rest) => {
                            left = rest;
                            Ok(text)
                        }
                        None => Err(format!("the variables of all inputs hold at most {room} bytes")),
                    }
                }
                Err(TooLarge(Some(bytes))) => Err(format!("{bytes} bytes, at most {LARGEST}")),
                Err(TooLarge(None)) => Err(format!("more than {LARGEST} bytes")),
            };
            if !(twice && self.all.iter().any(|(known, _)| *known == variable)) {
                self.put(variable, what, text, INPUTS);
            }
        }
    }

    fn put(&mut self, variable: String, what: String, text: Result<String, String>, instead: &'static str) {
        let text = text.and_then(|text| match text {
            text if text.contains('\0') => Err("it holds a NUL character".to_owned()),
            text if text.len() > LARGEST => Err(format!("{} bytes, at most {LARGEST}", text.len())),
            text => Ok(text),
        });
        match text {
            Ok(text) => self.all.push((variable, text)),
            Err(why) => {
                let notice = format!("[orderflow: {what} cannot be a variable ({why}){instead}]");
                self.all.push((variable.clone(), notice));
                self.unfit.push(Unfit { variable, what, why, instead });
            }
        }
    }

    /// Why the program must not be started: it names a variable that cannot hold its value.
    pub fn refusal(&self, program: &Program) -> Option<String> {
        if self.unfit.is_empty() {
            return None;
        }
        let sources = aside(|| sources(program));
        let named = |unfit: &&Unfit| sources.iter().any(|source| names(source, &unfit.variable));
        let Unfit { variable, what, why, instead } = self.unfit.iter().find(named)?;
        Some(format!("its program uses {variable}, but {what} cannot be a variable ({why}){instead}"))
    }
}

/// The overhead of a variable besides its name and value: `=`, the final NUL and a pointer.
const BESIDES: usize = 2 + size_of::<usize>();

fn size<T: AsRef<OsStr>>((name, value): &(String, T)) -> usize {
    name.len() + value.as_ref().len() + BESIDES
}

/// The room that a program's own arguments and environment take, in bytes.
pub fn used(program: &Program) -> usize {
    let words: usize = program.command.iter().map(|word| word.len() + BESIDES).sum();
    words + program.env.iter().map(size).sum::<usize>()
}

/// The room for the arguments and the environment of a program, in bytes: on Linux a quarter of its stack.
fn room() -> usize {
    let stack = getrlimit(Resource::Stack).current.and_then(|stack| usize::try_from(stack).ok());
    stack.map_or(usize::MAX, |stack| stack / 4).saturating_sub(SPARE)
}

/// The size in bytes, if known.
struct TooLarge(Option<usize>);

/// A value as JSON, up to the size of a variable.
fn json(value: &Value) -> Result<String, TooLarge> {
    struct Bounded(String);
    impl Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            if self.0.len() > LARGEST { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    match write!(text, "{value}") {
        Ok(()) => Ok(text.0),
        Err(fmt::Error) => Err(TooLarge(None)),
    }
}

/// The declared outputs, with schemas as long as a variable can hold them.
fn outputs(call: &Call) -> String {
    let whole = contract::outputs(&call.outputs, true).to_string();
    if whole.len() <= LARGEST { whole } else { contract::outputs(&call.outputs, false).to_string() }
}

/// The visible sources of a program: the words of its command and the texts of the files that they name.
fn sources(program: &Program) -> Vec<Vec<u8>> {
    let words = program.command.iter();
    let values = words.clone().filter_map(|word| Some(word.split_once('=')?.1.to_owned()));
    let files = words.clone().cloned().chain(values).filter_map(|word| text_of(&program.folder.join(word)));
    words.map(|word| word.clone().into_bytes()).chain(files).collect()
}

/// The text of a regular file; `None` for a machine program.
fn text_of(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(LARGEST_SOURCE).read_to_end(&mut text).ok()?;
    (!text.contains(&0)).then_some(text)
}

/// Whether a source names a variable, or builds names of inputs' variables.
fn names(source: &[u8], variable: &str) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
    };
    let stands = |word: &str| {
        memmem::find_iter(source, word).any(|at| {
            let before = at.checked_sub(1).and_then(|before| source.get(before));
            !is_part(before) && !is_part(source.get(at + word.len()))
        })
    };
    stands(variable) || (variable.starts_with(PREFIX) && stands(PREFIX))
}
