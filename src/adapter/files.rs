//! Whether the files that an answer names are there, in the item's own folder and nowhere else.

use super::{Call, Declared, contract};
use crate::event::Answer;
use crate::value::{Type, Value};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// What a step has promised to make, where there are files among it.
pub struct Files {
    outputs: Arc<[Declared]>,
    dir: PathBuf,
}

impl Files {
    /// None where the step makes no files.
    pub fn promised(call: &Call) -> Option<Files> {
        let makes = |output: &Declared| output.ty.as_ref().is_some_and(holds_files);
        let any = call.outputs.iter().any(makes);
        any.then(|| Files { outputs: call.outputs.clone(), dir: call.dir.clone() })
    }

    /// The answer, if all its files are there.
    pub fn checked(&self, answer: Answer) -> Answer {
        let reply = answer?;
        for output in self.outputs.iter() {
            let Some(ty) = output.ty.as_ref().filter(|ty| holds_files(ty)) else { continue };
            let Some((_, value)) = reply.outputs.iter().find(|(id, _)| *id == output.id) else { continue };
            if let Some(wrong) = self.wrong(ty, value) {
                return Err(contract::bad(format!("output \"{}\": {wrong}", output.name)));
            }
        }
        Ok(reply)
    }

    /// What is wrong with the first path that is.
    fn wrong(&self, ty: &Type, value: &Value) -> Option<String> {
        match (ty, value) {
            (Type::File, Value::String(path)) => self.refused(path),
            (Type::Nullable(inner), value) => self.wrong(inner, value),
            (Type::List(inner), Value::Array(all)) => all.iter().find_map(|one| self.wrong(inner, one)),
            _ => None,
        }
    }

    fn refused(&self, text: &str) -> Option<String> {
        let path = Path::new(text);
        let named = Value::from(text);
        if path.is_absolute() {
            return Some(format!(
                "{named} is no path within the item's folder; write it as seen from ORDERFLOW_DIR"
            ));
        }
        let out = format!("{named} leads out of the item's folder, ORDERFLOW_DIR");
        if path.components().any(|part| part == Component::ParentDir) {
            return Some(out);
        }
        match (self.dir.canonicalize(), self.dir.join(path).canonicalize()) {
            (Ok(dir), Ok(file)) if !file.starts_with(&dir) => Some(out),
            (Ok(_), Ok(file)) if file.is_file() => None,
            _ => Some(format!("there is no file {named} in the item's folder, ORDERFLOW_DIR")),
        }
    }
}

fn holds_files(ty: &Type) -> bool {
    match ty {
        Type::File => true,
        Type::List(inner) | Type::Nullable(inner) => holds_files(inner),
        _ => false,
    }
}
