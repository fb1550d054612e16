//! Writes a session file whole or not at all: beside its target first, then in its place. Only what is no
//! regular file is written to as it is.

use super::layout::Layout;
use super::row::{STANDARD, TAIL};
use crate::toon::write::{cell, header, text, words};
use crate::value::{Object, Value};
use serde_json::json;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a session file says of its run.
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

/// All but the rows of a session file.
pub(super) struct File<'a> {
    pub head: &'a Head,
    pub layout: &'a Layout,
    /// Custom columns in their order.
    pub columns: &'a [Arc<str>],
    pub rows: u64,
    pub summary: &'a Object,
}

/// The most symbolic links on the way to a file, as the kernel counts them.
const LINKS: usize = 40;

/// Where a session file goes.
pub(super) enum Target {
    /// The file behind all symbolic links, to be replaced; the links stay.
    File(PathBuf),
    /// A pipe or a device, to be written to: in its place nothing else may come.
    Stream(PathBuf),
}

impl Target {
    /// # Errors
    /// Where it can be neither.
    pub fn of(path: &Path) -> io::Result<Target> {
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(about) if !about.is_file() => return Ok(Target::Stream(path.to_owned())),
            _ => {}
        }
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            match fs::read_link(&path) {
                Ok(next) => path = folder(&path).join(next),
                Err(_) => return Ok(Target::File(path)),
            }
        }
        Err(io::Error::other("too many symbolic links"))
    }

    /// A nameless file for what is not yet to be seen there.
    ///
    /// # Errors
    /// Where its folder cannot hold one.
    pub fn spool(&self) -> io::Result<fs::File> {
        match self {
            Target::File(path) => tempfile::tempfile_in(folder(path)),
            Target::Stream(_) => tempfile::tempfile(),
        }
    }
}

/// The folder that holds a file.
fn folder(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts a text in place of another in a file, whole or not at all; false where the file holds something else
/// by now, and then it stays.
///
/// # Errors
/// What the file system reports, and where the path is no file.
pub fn exchange(path: &Path, old: &str, new: &str) -> io::Result<bool> {
    let Target::File(path) = Target::of(path)? else {
        return Err(io::Error::other("this is no regular file"));
    };
    let mut file = tempfile::Builder::new().prefix(".write-").tempfile_in(folder(&path))?;
    file.write_all(new.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    // At the last moment, so that hardly any change can come between.
    if fs::read(&path)? != old.as_bytes() {
        return Ok(false);
    }
    file.persist(&path).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder(&path))?.sync_all()?;
    Ok(true)
}

impl File<'_> {
    /// Writes the file. `rows` hands each row's cells to the function it is given.
    pub fn write(
        &self,
        target: &Target,
        rows: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = match target {
            Target::File(path) => path,
            Target::Stream(path) => {
                self.write_to(fs::File::options().write(true).open(path)?, rows)?;
                return Ok(());
            }
        };
        let mut builder = tempfile::Builder::new();
        // Like any file that a program makes: the umask decides who may read it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = self.write_to(builder.prefix(".session-").tempfile_in(folder(path))?, rows)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        #[cfg(unix)]
        fs::File::open(folder(path))?.sync_all()?;
        Ok(())
    }

    /// Hands back what it has written to.
    fn write_to<W: Write>(
        &self,
        out: W,
        rows: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<W> {
        let mut out = BufWriter::with_capacity(256 << 10, out);
        out.write_all(self.beginning().as_bytes())?;
        rows(&mut |row| {
            out.write_all(b"  ")?;
            out.write_all(row)?;
            out.write_all(b"\n")
        })?;
        out.write_all(self.end()?.as_bytes())?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
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
