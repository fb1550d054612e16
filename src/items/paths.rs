//! Files that items and `--input` name: passed on as absolute paths, and checked before the run.

use crate::value::{Type, Value};
use std::path::{Path, PathBuf};

/// How the files that values name are found.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The folder that relative paths start from; `None` leaves them unchanged.
    pub base: Option<PathBuf>,
    /// Whether the files must exist.
    pub checked: bool,
}

impl Files {
    /// The value with each of its files as an absolute path. `beside` is the file that contains only this value.
    ///
    /// # Errors
    /// A file does not exist, or its path is not UTF-8.
    pub(super) fn absolute(&self, value: Value, ty: &Type, beside: Option<&Path>) -> Result<Value, String> {
        match beside.and_then(Path::parent).or(self.base.as_deref()) {
            Some(base) => absolute(value, ty, base, self.checked),
            None => Ok(value),
        }
    }
}

/// A value of this type with each of its files as an absolute path, relative ones starting from `base`; with
/// `checked`, all must exist.
///
/// # Errors
/// The problem with a file, in words.
pub fn absolute(value: Value, ty: &Type, base: &Path, checked: bool) -> Result<Value, String> {
    match (ty, value) {
        (Type::Nullable(inner), value) if !value.is_null() => absolute(value, inner, base, checked),
        (Type::List(inner), Value::Array(values)) => {
            let values = values.into_iter().map(|value| absolute(value, inner, base, checked));
            values.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        (Type::File, Value::String(path)) => file(&path, base, checked).map(Value::from),
        (_, value) => Ok(value),
    }
}

fn file(path: &str, base: &Path, checked: bool) -> Result<String, String> {
    let within =
        if Path::new(path).is_absolute() { String::new() } else { format!(" in {}", base.display()) };
    let whole = std::path::absolute(base.join(path)).map_err(|error| format!("file {path:?}: {error}"))?;
    if checked {
        match whole.metadata() {
            Ok(about) if about.is_dir() => return Err(format!("{path:?}{within} is a folder, not a file")),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("file {path:?} not found{within}"));
            }
            Err(error) => return Err(format!("file {path:?}{within}: {error}")),
        }
    }
    whole.into_os_string().into_string().map_err(|_| format!("the path of file {path:?} is not UTF-8"))
}
