//! A stand-in for an agent that does not exist yet: makes up what the step declares, and says so in the trace.

use super::{Adapter, Call, Declared, Ending, Stop, contract};
use crate::event::{Answer, Cause, Outcome, Reply};
use crate::value::{Type, Value};
use std::path::Path;
use std::sync::Arc;

pub struct StandIn {
    /// A failure handler: it decides nothing, so its Booleans are false and no item is put back.
    handler: bool,
    /// The column of the trace that marks what was made up.
    mark: (Arc<str>, Value),
}

impl StandIn {
    pub fn new(handler: bool) -> Self {
        StandIn { handler, mark: (Arc::from("stub"), Value::Bool(true)) }
    }

    fn answer(&self, call: &Call) -> Answer {
        let mut reply = Reply { columns: vec![self.mark.clone()], ..Reply::default() };
        for output in call.outputs.iter() {
            let value = match made_up(output, &call.dir) {
                Ok(Value::Bool(_)) if self.handler => Value::Bool(false),
                Ok(value) => value,
                Err(error) => {
                    let message = format!("cannot make up the file for \"{}\": {error}", output.name);
                    return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
                }
            };
            reply.outputs.push((output.id, Arc::new(value)));
        }
        Ok(reply)
    }
}

fn made_up(output: &Declared, folder: &Path) -> std::io::Result<Value> {
    let value = output.ty.as_ref().unwrap_or(&Type::String).stand_in();
    let file = match &output.ty {
        Some(Type::Nullable(inner)) => **inner == Type::File,
        ty => *ty == Some(Type::File),
    };
    if let Some(name) = value.as_str().filter(|_| file) {
        // Whoever takes the file opens it.
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(name), "")?;
    }
    Ok(value)
}

impl Adapter for StandIn {
    fn call(&self, call: Call, _: Stop) -> Ending<'_> {
        Box::pin(std::future::ready(self.answer(&call)))
    }
}
