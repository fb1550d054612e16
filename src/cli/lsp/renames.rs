//! A rename in all documents that share the name, which are looked for in the files around the document.

use super::super::children::Library;
use super::super::document::Document;
use super::super::settings::FILE;
use super::desk::{Desk, ReadDocument};
use super::uri;
use crate::diag::{Diagnostic, Replacement, Source, fix};
use crate::disk::{self, Kind, Named, normal};
use crate::lsp::{self, Entity, LinkedDocuments, NotRenamed, Places};
use crate::spec;
use gen_lsp_types::{TextEdit, Uri, WorkspaceEdit};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The most files and folders that are looked at for other documents.
const MOST: usize = 20_000;

fn refused<T>(why: impl Into<String>) -> Result<T, NotRenamed> {
    Err(NotRenamed(why.into()))
}

/// The changes that give the name at an offset another form, in all files.
///
/// # Errors
/// The name cannot be changed, is used already, or changes what a document means.
pub fn rename(desk: &mut Desk, uri: &str, offset: usize, new: &str) -> Result<WorkspaceEdit, NotRenamed> {
    let Some(read) = desk.read(uri) else { return refused("the document is not open") };
    let Some(mention) = read.mentions().at(offset).cloned() else { return refused("this is not a name") };
    let own = normal(read.document.path());
    let (here, there) = lsp::renamed(&read.page(), read.mentions(), &mention, new)?;
    let mut changes = HashMap::from([(Uri::from(uri), edits(&read.document.source, &read.places, &here))]);
    if let (Some((source, places)), false) = (&read.names.file, there.is_empty()) {
        changes.insert(uri::uri(Path::new(&source.name)), edits(source, places, &there));
    }
    if !own.as_os_str().is_empty() {
        let mut texts = BTreeMap::from([(own.clone(), changed(&read.document, &here)?)]);
        let bound = !there.is_empty() && matches!(mention.entity, Entity::Agent(_) | Entity::Channel(_));
        if !bound && !matches!(mention.entity, Entity::Value(_) | Entity::Type(_)) {
            return Ok(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() });
        }
        let place = Place::of(&own, &normal(&read.settings.folder), read.settings.file.is_some());
        let mut documents = vec![(own.clone(), true)];
        for (path, has_settings) in place.documents()? {
            let text = desk.current(&path).unwrap_or_default();
            if text.contains("document::") || bound && has_settings {
                documents.push((path, has_settings));
            }
        }
        let linked = LinkedDocuments::of(documents, &|path| desk.current(path));
        for (path, entity) in linked.sharing(&own, &mention.entity, bound) {
            let Some(text) = desk.current(&path).filter(|_| path != own) else { continue };
            let other = desk.analyse(Some(&path), &text);
            let Some(mention) = other.mentions().of_entity(&entity).next().cloned() else { continue };
            let shown = place.shown(&path);
            let found = lsp::renamed(&other.page(), other.mentions(), &mention, new);
            let (here, _) = found.map_err(|NotRenamed(why)| NotRenamed(format!("{shown}: {why}")))?;
            changes.insert(uri::uri(&path), edits(&other.document.source, &other.places, &here));
            texts.insert(path, changed(&other.document, &here)?);
        }
        check(desk, &linked, &texts, &place)?;
    }
    Ok(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() })
}

/// The text of a document with changes.
fn changed(document: &Document, changes: &[Replacement]) -> Result<String, NotRenamed> {
    let text = fix::replaced(&document.source.text, changes.iter());
    text.ok_or_else(|| NotRenamed("the places of the name overlap".to_owned()))
}

/// Changes as an editor applies them.
fn edits(source: &Source, places: &Places, changes: &[Replacement]) -> Vec<TextEdit> {
    let edit = |change: &Replacement| TextEdit {
        range: places.range(&source.text, change.span),
        new_text: change.text.clone(),
    };
    changes.iter().map(edit).collect()
}

/// Refuses changes after which a document has more errors, with those that run it.
fn check(
    desk: &Desk,
    linked: &LinkedDocuments,
    texts: &BTreeMap<PathBuf, String>,
    place: &Place,
) -> Result<(), NotRenamed> {
    for path in linked.with_runners(texts.keys().map(PathBuf::as_path)) {
        let Some(text) = desk.current(path) else { continue };
        let after = texts.get(path).unwrap_or(&text).clone();
        let old = |path: &Path| desk.current(path);
        let new = |path: &Path| texts.get(&normal(path)).cloned().or_else(|| desk.current(path));
        let read: ReadDocument = desk.analyse(Some(path), &text);
        let name = path.display().to_string();
        let errors = |text: String, library: &Library<'_>| {
            let document = Document::edited(name.clone(), text, &read.settings, library);
            document.problems.iter().filter(|problem: &&Diagnostic| problem.is_error()).count()
        };
        if errors(after, &Library::Edited(&new)) > errors(text, &Library::Edited(&old)) {
            return refused(format!("with this name {} would mean something else", place.shown(path)));
        }
    }
    Ok(())
}

/// Where other documents are looked for: in the repository; without one, below the folder of `orderflow.toml`; else beside
/// the document.
struct Place {
    root: PathBuf,
    /// Also below it.
    deep: bool,
    /// The folder of the settings.
    settings: PathBuf,
}

impl Place {
    fn of(own: &Path, settings: &Path, has_settings: bool) -> Place {
        let folder = own.parent().unwrap_or(Path::new(""));
        let repository =
            disk::up_to_repository(folder).pop().filter(|root| disk::is_there(&root.join(".git")));
        let deep = repository.is_some() || has_settings;
        let root = repository.unwrap_or_else(|| settings.to_owned());
        Place { root, deep, settings: settings.to_owned() }
    }

    /// A path as people name it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The markdown files, each with whether the settings are those of its folder. Hidden folders and those of
    /// dependencies are not looked into.
    ///
    /// # Errors
    /// There are too many files.
    fn documents(&self) -> Result<Vec<(PathBuf, bool)>, NotRenamed> {
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut open = vec![(self.root.clone(), self.root.starts_with(&self.settings))];
        while let Some((folder, bound)) = open.pop() {
            let Ok(entries) = disk::entries(&folder, MOST) else { continue };
            seen += entries.len();
            if seen > MOST {
                let root = self.root.display();
                return refused(format!(
                    "{root} has too many files to find the documents that share this name"
                ));
            }
            let has_settings = entries.iter().any(|(name, _)| name == FILE);
            let bound = if has_settings { folder == self.settings } else { bound };
            for (name, kind) in entries {
                let text = name.to_string_lossy();
                let path = folder.join(&name);
                let hidden = text.starts_with('.') || ["target", "node_modules"].contains(&&*text);
                match kind {
                    Kind::Folder if self.deep && !hidden => open.push((path, bound)),
                    Kind::File if [".md", ".markdown"].iter().any(|end| text.ends_with(end)) => {
                        found.push((normal(&path), bound));
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}

impl Desk {
    /// The text of a document as it is now: in the editor, else in its file.
    fn current(&self, path: &Path) -> Option<String> {
        let stored = || String::from_utf8(Named::file(path).read(spec::LARGEST).ok()?).ok();
        self.text(path).or_else(stored)
    }
}
