//! The documents that the steps of a document run: read, checked, and each known once.

use super::document::Document;
use super::settings::Settings;
use crate::diag::{Diagnostic, catalogue as problem, nearest};
use crate::disk::{self, Named, normal};
use crate::graph::{self, Reused, StepId};
use crate::history::StoredDocument;
use crate::spec::{self, Spanned};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The most documents that a document can run, with those that they run.
const MOST: usize = 100;

/// The most names that are searched for a similar one.
const MOST_NAMES: usize = 10_000;

/// The documents that the steps of a document run, and so on, each once, in the order in which they were read.
#[derive(Default)]
pub struct Children(pub Vec<Document>);

/// Where the documents come from.
pub enum Library<'a> {
    /// From files.
    Disk,
    /// From a stored run.
    Stored(&'a [StoredDocument]),
    /// From an editor, which may have changed some; the others from files.
    Edited(&'a dyn Fn(&Path) -> Option<String>),
}

impl Library<'_> {
    /// The text of the document that another one in `folder` names.
    fn read(&self, folder: &Path, written: &str, name: &Path) -> io::Result<Vec<u8>> {
        match self {
            // One more byte than allowed shows that it is larger.
            Library::Edited(edited) if let Some(text) = edited(name) => Ok(text.into_bytes()),
            Library::Disk | Library::Edited(_) => {
                Named::by_document(folder, Path::new(written)).read(spec::LARGEST + 1)
            }
            Library::Stored(all) => {
                let stored = all.iter().find(|stored| Path::new(&stored.path) == name);
                let missing = || io::Error::other("the run did not store it");
                stored.map(|stored| stored.text.clone().into_bytes()).ok_or_else(missing)
            }
        }
    }

    /// The file that a name leads to, also through links.
    fn real(&self, name: &Path) -> PathBuf {
        match self {
            Library::Disk | Library::Edited(_) => disk::real(name).unwrap_or_else(|_| name.to_owned()),
            Library::Stored(_) => name.to_owned(),
        }
    }

    /// The files in the folder of a path that cannot be read, as the document would name them.
    fn beside(&self, folder: &Path, written: &str) -> Vec<String> {
        if let Library::Stored(_) = self {
            return Vec::new();
        }
        beside(folder, written)
    }
}

/// The documents in the folder of a path, as a document in `folder` would name them.
pub fn beside(folder: &Path, written: &str) -> Vec<String> {
    let above = Path::new(written).parent().unwrap_or(Path::new(""));
    let searched = folder.join(above);
    let searched = if searched.as_os_str().is_empty() { Path::new(".") } else { &searched };
    let entries = disk::entries(searched, MOST_NAMES).unwrap_or_default();
    let names =
        entries.into_iter().filter_map(|(name, _)| above.join(name).into_os_string().into_string().ok());
    names.filter(|name| [".md", ".markdown"].iter().any(|end| name.ends_with(end))).collect()
}

/// Reads all documents that `document` runs, and adds the problems of each step with its document.
pub fn adopt(document: &mut Document, library: &Library<'_>) {
    let name = normal(Path::new(&document.source.name));
    let folder = name.parent().unwrap_or(Path::new("")).to_owned();
    let mut reader = Reader { library, folder, known: BTreeMap::new(), all: Vec::new() };
    let mut above = vec![(reader.library.real(&name), name)];
    reader.documents_of(document, &mut above);
    document.children = Children(reader.all.into_iter().flatten().collect());
}

struct Reader<'a> {
    library: &'a Library<'a>,
    /// Of the outermost document.
    folder: PathBuf,
    known: BTreeMap<PathBuf, usize>,
    /// `None` while a document is read.
    all: Vec<Option<Document>>,
}

impl Reader<'_> {
    /// Reads what a document runs; `above` are the documents that run it, with itself: each file and its name.
    fn documents_of(&mut self, document: &mut Document, above: &mut Vec<(PathBuf, PathBuf)>) {
        let (mut problems, mut plain) = (Vec::new(), Vec::new());
        for (id, step) in (0..).map(StepId).zip(&document.spec.steps) {
            let Some(written) = &step.annotations.document else { continue };
            let child = match self.child(document, written, above) {
                Ok(child) => child,
                Err(problem) => {
                    problems.extend((!step.implied).then_some(*problem));
                    continue;
                }
            };
            let Some(graph) = &mut document.graph else { continue };
            document.uses.push((graph.step(id).phase.clone(), child));
            let Some(Some(Document { graph: Some(inner), source, spec, .. })) = self.all.get(child) else {
                continue;
            };
            if !inner.compensates() {
                plain.push(graph.step(id).phase.clone());
            }
            if step.implied {
                continue;
            }
            let name = self.shown(Path::new(&source.name));
            let inner = Reused { name: &name, source, spec, graph: inner };
            graph.adopt_needs(id, inner.graph);
            problems.extend(graph::agree(&document.spec, graph, id, inner));
            graph.adopt_types(id, inner.graph);
            graph.adopt_events(id, inner.graph);
        }
        if let Some(graph) = &mut document.graph {
            graph.leave_uncompensated_by_themselves(&plain);
        }
        document.add(problems);
    }

    /// A path as seen from the outermost document, if it is below it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// The document that a step runs.
    fn child(
        &mut self,
        document: &Document,
        written: &Spanned<String>,
        above: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<usize, Box<Diagnostic>> {
        let (span, written) = (written.span, written.value.as_str());
        let folder = match document.source.name.as_str() {
            "<stdin>" => Path::new(""),
            name => Path::new(name).parent().unwrap_or(Path::new("")),
        };
        let name = normal(&folder.join(written));
        let real = self.library.real(&name);
        if let Some(at) = above.iter().position(|(outer, _)| *outer == real) {
            let names = above[at..].iter().map(|(_, name)| name);
            let chain: Vec<String> = names.chain([&name]).map(|path| self.shown(path)).collect();
            let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
            return Err(Box::new(problem::document_within_itself(span, &chain)));
        }
        let index = match self.known.get(&name) {
            Some(index) => *index,
            None => {
                if self.all.len() >= MOST {
                    let why = format!("a document runs at most {MOST} others, with those that they run");
                    return Err(Box::new(problem::unread_document(span, written, &why, None)));
                }
                let bytes = self.library.read(folder, written, &name).map_err(|error| {
                    let beside = self.library.beside(folder, written);
                    let near = nearest(written, beside.iter().map(String::as_str));
                    let near = near.filter(|_| error.kind() == io::ErrorKind::NotFound);
                    let why = match error.kind() {
                        io::ErrorKind::NotFound => "no such file".to_owned(),
                        _ => error.to_string(),
                    };
                    Box::new(problem::unread_document(span, written, &why, near))
                })?;
                let index = self.all.len();
                self.known.insert(name.clone(), index);
                self.all.push(None);
                let mut child = Document::of(name.display().to_string(), bytes);
                above.push((real, name));
                self.documents_of(&mut child, above);
                above.pop();
                self.all[index] = Some(child);
                index
            }
        };
        match self.all[index].as_ref().is_some_and(|child| child.graph.is_some()) {
            true => Ok(index),
            false => Err(Box::new(problem::broken_document(span, written))),
        }
    }
}

impl Children {
    /// The place of a document, if it is one of them.
    pub fn place(&self, document: &Document) -> Option<usize> {
        self.0.iter().position(|child| std::ptr::eq(child, document))
    }

    /// Adds the problems that need to know which agents have effects.
    pub fn lint(&mut self, settings: &Settings) {
        self.0.iter_mut().for_each(|child| child.lint(settings));
    }

    /// The documents as a run stores them.
    pub fn stored(&self) -> Vec<StoredDocument> {
        let stored = |child: &Document| StoredDocument {
            path: child.source.name.clone(),
            text: child.source.text.clone(),
        };
        self.0.iter().map(stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::normal;
    use std::path::Path;

    #[test]
    fn a_file_has_one_name() {
        let same = |path: &str| normal(Path::new(path)).display().to_string();
        assert_eq!(same("flows/../parts/./a.md"), "parts/a.md");
        assert_eq!(same("../../a.md"), "../../a.md");
        assert_eq!(same("/x/../a.md"), "/a.md");
        assert_eq!(same("./a.md"), "a.md");
    }
}
