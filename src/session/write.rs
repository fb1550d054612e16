//! Writes a session file completely or not at all: to a temporary file beside its target, then renamed. Only a target
//! that is not a regular file is written directly.

use super::layout::Layout;
use super::row::{STANDARD, TAIL};
use crate::disk::Target;
use crate::toon::write::{cell, header, text, words};
use crate::value::{Object, Value};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// The description of its run in a session file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub run: String,
    /// The workflow's title.
    pub workflow: String,
    /// The document's path.
    pub source: String,
    /// RFC 3339.
    pub started: String,
    /// Whether the run came to its end: no item was left, none was stopped.
    pub complete: bool,
}

/// The contents of a session file without its rows.
pub(super) struct File<'a> {
    pub head: &'a Head,
    pub layout: &'a Layout,
    /// Custom columns in their order.
    pub columns: &'a [Arc<str>],
    pub rows: u64,
    pub summary: &'a Object,
}

impl File<'_> {
    /// Writes the file. `rows` calls the function that it is given with each row's cells.
    pub fn write(
        &self,
        target: &Target,
        rows: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        target.write(|out| self.write_to(out, rows))
    }

    fn write_to(
        &self,
        out: impl Write,
        rows: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(256 << 10, out);
        out.write_all(self.beginning().as_bytes())?;
        rows(&mut |row| {
            out.write_all(b"  ")?;
            out.write_all(row)?;
            out.write_all(b"\n")
        })?;
        out.write_all(self.end()?.as_bytes())?;
        out.flush()
    }

    fn beginning(&self) -> String {
        let Head { run, workflow, source, started, complete: _ } = self.head;
        let mut out = String::from("orderflow: 1\n");
        for (name, value) in [("run", run), ("workflow", workflow), ("source", source), ("started", started)]
        {
            out.push_str(name);
            out.push_str(": ");
            text(&mut out, value, ',');
            out.push('\n');
        }
        let phases = self.layout.phases.iter().map(|phase| {
            let kind = [
                Some(match (phase.undoes, phase.handler) {
                    (true, _) => "compensation",
                    (false, true) => "handler",
                    (false, false) => "forward",
                }),
                phase.each.then_some("each"),
                phase.once.then_some("run"),
                phase.nested.then_some("nested"),
            ];
            let kind = kind.into_iter().flatten().collect::<Vec<_>>().join(" ");
            let fields = words(phase.fields.iter().map(|name| &**name));
            vec![
                json!(&*phase.name),
                json!(phase.agent.as_deref()),
                json!(phase.channel.as_deref()),
                json!(phase.critical),
                json!(phase.optional),
                json!(fields),
                json!(kind),
            ]
        });
        table(&mut out, "phases", &PHASES, phases.collect());
        let name = |place: usize| self.layout.phases.get(place).map(|phase| &*phase.name);
        let edges = self
            .layout
            .edges
            .iter()
            .map(|edge| vec![json!(name(edge.from)), json!(name(edge.to)), json!(edge.value.as_deref())]);
        table(&mut out, "edges", &EDGES, edges.collect());
        if self.rows == 0 {
            out.push_str("execution: []");
        } else {
            let columns = STANDARD.into_iter().chain(self.columns.iter().map(|name| &**name)).chain(TAIL);
            header(&mut out, "execution", self.rows, ',', columns);
        }
        out.push('\n');
        out
    }

    fn end(&self) -> io::Result<String> {
        let summary = toon_format::encode_default(&json!({ "summary": self.summary }));
        let mut out = summary.map_err(io::Error::other)?;
        out.push_str(if self.head.complete { "\ncomplete: true\n" } else { "\ncomplete: false\n" });
        Ok(out)
    }
}

const PHASES: [&str; 7] = ["name", "agent", "channel", "critical", "optional", "fields", "kind"];
const EDGES: [&str; 3] = ["from", "to", "value"];

fn table(out: &mut String, name: &str, columns: &[&str], rows: Vec<Vec<Value>>) {
    if rows.is_empty() {
        out.push_str(name);
        out.push_str(": []\n");
        return;
    }
    header(out, name, rows.len() as u64, ',', columns.iter().copied());
    for row in rows {
        out.push_str("\n  ");
        for (index, value) in row.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            cell(out, value, ',');
        }
    }
    out.push('\n');
}
