//! Stubs for missing parts of a workflow: an agent that generates its declared outputs and marks them in the trace;
//! and empty files in place of other steps' files.

use super::{Adapter, Bound, Call, Closing, Declared, Ending, Recovery, Stop, contract};
use crate::event::{Answer, Cause, Failure, Outcome, Reply};
use crate::value::{Type, Value};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Answers at once with values that fit the types of the outputs.
pub struct StubAgent {
    /// Whether it is a failure handler: then its Booleans are false, so that no item is requeued.
    handler: bool,
    /// The column of the trace that marks stubbed outputs.
    mark: (Arc<str>, Value),
}

impl StubAgent {
    pub fn new(handler: bool) -> Self {
        StubAgent { handler, mark: (Arc::from("stub"), Value::Bool(true)) }
    }

    fn answer(&self, call: &Call) -> Answer {
        let mut reply = Reply { columns: vec![self.mark.clone()], ..Reply::default() };
        for output in call.outputs.iter() {
            let value = match stubbed(output, &call.dir) {
                Ok(Value::Bool(_)) if self.handler => Value::Bool(false),
                Ok(value) => value,
                Err(error) => return Err(no_file(&output.name, &error)),
            };
            reply.outputs.push((output.id, Arc::new(value)));
        }
        Ok(reply)
    }
}

fn stubbed(output: &Declared, folder: &Path) -> std::io::Result<Value> {
    let value = output.ty.as_ref().unwrap_or(&Type::String).sample();
    let file = match &output.ty {
        Some(Type::Nullable(inner)) => **inner == Type::File,
        ty => *ty == Some(Type::File),
    };
    if let Some(name) = value.as_str().filter(|_| file) {
        empty(folder, Path::new(name))?;
    }
    Ok(value)
}

/// Creates an empty file that the step can open. An existing one is not changed.
fn empty(folder: &Path, name: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    File::options().create(true).append(true).open(folder.join(name)).map(drop)
}

impl Adapter for StubAgent {
    fn call(&self, call: Call, _: Stop) -> Ending<'_> {
        Box::pin(std::future::ready(self.answer(&call)))
    }

    fn bound(&self) -> Bound {
        Bound::Elsewhere
    }
}

/// An adapter with stubbed files in place of those of steps that are not run.
pub struct Furnished {
    adapter: Arc<dyn Adapter>,
    /// The names of the inputs.
    files: Vec<String>,
}

impl Furnished {
    pub fn new(adapter: Arc<dyn Adapter>, files: Vec<String>) -> Self {
        Furnished { adapter, files }
    }

    /// Creates an empty file in place of each stubbed one.
    fn furnish(&self, call: &mut Call) -> Result<(), Box<Failure>> {
        for (number, (name, value)) in call.inputs.iter_mut().enumerate() {
            let stubbed = self.files.iter().any(|file| **file == **name);
            if let Some(file) =
                value.as_str().filter(|_| stubbed).and_then(|path| Path::new(path).file_name())
            {
                let folder = call.scratch.join(format!("{}.made-up-{number}", call.attempt_id));
                empty(&folder, Path::new(file)).map_err(|error| no_file(name, &error))?;
                *value = Arc::new(folder.join(file).to_string_lossy().into());
            }
        }
        Ok(())
    }
}

impl Adapter for Furnished {
    fn call(&self, mut call: Call, stop: Stop) -> Ending<'_> {
        match self.furnish(&mut call) {
            Ok(()) => self.adapter.call(call, stop),
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        }
    }

    fn has_folder(&self) -> bool {
        self.adapter.has_folder()
    }

    fn bound(&self) -> Bound {
        self.adapter.bound()
    }

    fn is_shared(&self) -> bool {
        self.adapter.is_shared()
    }

    fn recover<'a>(&'a self, run: &'a str) -> Recovery<'a> {
        self.adapter.recover(run)
    }

    fn close(&self, stop: Stop) -> Closing<'_> {
        self.adapter.close(stop)
    }
}

fn no_file(name: &str, error: &std::io::Error) -> Box<Failure> {
    let message = format!("cannot make up the file for `{name}`: {error}");
    contract::failure(Cause::Start, message, Outcome::NotExecuted, true)
}
