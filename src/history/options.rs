//! The options of a run as its journal has them: fully resolved, every field with a default, so that a later version
//! with more fields can read an earlier journal.

use super::error::{Error, ErrorKind};
use crate::disk;
use crate::event::ValueId;
use crate::graph::{Graph, InnerEvents, NotAlone, Part};
use crate::items::{Duplicates, Given};
use crate::journal::Header;
use crate::spec::{OnItemError, Tolerance};
use crate::value::{Object, Type, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Paths are as the user gave them, relative to `folder`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// The current folder when the run began.
    pub folder: PathBuf,
    /// The run's own folder at that time.
    pub home: PathBuf,
    /// The document.
    pub file: PathBuf,
    /// The source of the items, if not the document's.
    pub items: Option<PathBuf>,
    /// Only the items with these keys; empty for all.
    pub item: Vec<String>,
    pub duplicates: Duplicates,
    /// The field of an item that is its key.
    pub key: Option<String>,
    /// Only these steps; empty for all.
    pub only: Vec<String>,
    /// Only this step and those that follow from it.
    pub from: Option<String>,
    /// Stub the outputs of steps without an agent.
    pub stub: bool,
    /// The inputs that are the same for all items, by name.
    pub given: Object,
    /// How many steps run at once.
    pub jobs: Option<usize>,
    pub tolerate: Option<Tolerance>,
    pub on_item_error: Option<OnItemError>,
    /// The deadline of the whole run.
    pub deadline: Option<Duration>,
    /// Where the trace is written; `-` is standard output.
    pub session: Option<PathBuf>,
    /// Whether the executions are added to the document.
    pub write: bool,
    /// The documents that its steps run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<StoredDocument>,
    /// The phases of steps whose documents have nothing to compensate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncompensated: Vec<String>,
    /// The events of the documents that its steps run, by their paths as the document writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inner_events: Vec<(String, InnerEvents)>,
    /// The addresses of the Restate server that drives the run; empty if this program does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<String>,
    /// The trace of the caller, as W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The agents as they were set when the run began; `None` in earlier journals, and if workers of a server do the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<StoredAgent>>,
}

/// An agent of a run as it was set when the run began, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAgent {
    pub name: String,
    /// By the names of the settings; each at most 300 characters.
    pub settings: BTreeMap<String, String>,
}

/// A document that a step of a run runs, as it was when the run began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDocument {
    pub path: String,
    pub text: String,
}

impl RunOptions {
    /// The options in a journal's header.
    ///
    /// # Errors
    /// When they are not of this program's form.
    pub fn of(header: &Header) -> Result<RunOptions, Error> {
        serde_json::from_value(flat(header.options.clone())).map_err(|error| {
            let message = format!("the options of run {} are not readable: {error}", header.run);
            Error::new(ErrorKind::Journal, message).help("read it with the version that wrote it")
        })
    }

    /// The part of the workflow that is run.
    ///
    /// # Errors
    /// As for [`Part::choose`].
    pub fn part(&self, graph: Graph) -> Result<Part, NotAlone> {
        Part::choose(graph, &self.only, self.from.as_deref())
    }

    /// The inputs that are the same for all items, without those that the graph does not have.
    pub fn given_in(&self, graph: &Graph) -> Given {
        let named = |name: &str| (0..).map(ValueId).zip(&graph.values).find(|(_, info)| info.name == name);
        let given = self.given.iter();
        given.filter_map(|(name, value)| Some((named(name)?.0, Arc::new(value.clone())))).collect()
    }

    /// Whether the run's folder is still where the run began, so that relative paths are valid.
    pub fn is_in_place(&self, home: &Path) -> bool {
        self.home == home && self.folder.is_dir()
    }

    /// The path of the trace.
    pub fn trace(&self) -> &Path {
        self.session.as_deref().unwrap_or(Path::new("session.toon"))
    }

    /// The path of the trace; `None` for standard output.
    pub fn trace_file(&self) -> Option<&Path> {
        Some(self.trace()).filter(|path| *path != Path::new("-"))
    }

    /// The files that resuming the run in `home` would write; `base` is the start of relative paths.
    pub fn writes(&self, home: &Path, base: &Path) -> Vec<PathBuf> {
        let document = self.write.then(|| base.join(&self.file));
        let trace = self.trace_file().map(|trace| base.join(trace));
        [home.to_owned()].into_iter().chain(trace).chain(document).collect()
    }

    /// The files that it would read besides its folder and document: its items, and files in its inputs.
    pub fn reads(&self, graph: &Graph, base: &Path) -> Vec<PathBuf> {
        let named = |items: &String| base.join(&self.file).parent().map(|folder| folder.join(items));
        let items = self.items.as_ref().map(|items| base.join(items));
        let items = items.or_else(|| graph.settings.items.as_ref().and_then(named));
        let mut files = Vec::new();
        for (id, value) in self.given_in(graph) {
            if graph.value(id).ty.as_ref().is_some_and(Type::holds_files) {
                texts(&value, &mut |path| files.push(base.join(path)));
            }
        }
        items.into_iter().chain(files).collect()
    }

    /// The inputs whose values are files named by items.
    pub fn files_of_items<'a>(&self, graph: &'a Graph) -> Vec<&'a str> {
        let inputs = graph.inputs.iter().map(|id| graph.value(*id));
        let of_items = inputs.filter(|info| !self.given.contains_key(&info.name));
        of_items
            .filter(|info| info.ty.as_ref().is_some_and(Type::holds_files))
            .map(|info| info.name.as_str())
            .collect()
    }

    /// The trace file that the run has written; `None` if its folder was moved since.
    pub fn left_trace(&self, home: &Path) -> Option<PathBuf> {
        let same = |real: &Path| disk::real(home).is_ok_and(|home| home == real);
        let here = disk::real(&self.home).is_ok_and(|real| same(&real)) && self.folder.is_dir();
        self.trace_file().filter(|_| here).map(|trace| self.folder.join(trace))
    }
}

/// Calls `each` with all texts in a value.
fn texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(all) => all.iter().for_each(|one| texts(one, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

/// Converts options of journals of version 1, which have those of the command line in `args`.
fn flat(options: Value) -> Value {
    let Value::Object(mut options) = options else { return options };
    if let Some(Value::Object(args)) = options.shift_remove("args") {
        options.extend(args.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_has_a_default() {
        let read: RunOptions = serde_json::from_value(json!({})).unwrap();
        assert_eq!(read, RunOptions::default());
    }

    #[test]
    fn options_of_the_command_line_are_read_as_those_of_now() {
        let first = json!({
            "folder": "/a", "home": "/a/.orderflow/runs/1",
            "args": {
                "file": "w.md", "items": null, "item": ["o1"], "duplicates": "Skip", "only": [], "from": "Pack",
                "stub": true, "input": ["x=1"], "key": null, "jobs": 3, "tolerate": null, "on_item_error": null,
                "deadline": null, "replay": null, "session": null, "write": false, "no_journal": false,
                "trust": true, "strict": false, "given": {"x": 1}, "format": "Table", "quiet": false,
            },
        });
        let read: RunOptions = serde_json::from_value(flat(first)).unwrap();
        let expected = RunOptions {
            folder: "/a".into(),
            home: "/a/.orderflow/runs/1".into(),
            file: "w.md".into(),
            item: vec!["o1".into()],
            duplicates: Duplicates::Skip,
            from: Some("Pack".into()),
            stub: true,
            given: json!({"x": 1}).as_object().cloned().unwrap(),
            jobs: Some(3),
            ..RunOptions::default()
        };
        assert_eq!(read, expected);
    }
}
