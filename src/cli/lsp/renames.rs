//! A rename in all documents that share the name: those that run each other have the same values and types, and those with
//! the same `orderflow.toml` have its agents and channels.

use super::super::children::{Library, normal};
use super::super::document::Document;
use super::super::settings::FILE;
use super::desk::{Desk, ReadDocument};
use super::uri;
use crate::diag::{Diagnostic, Replacement, Source, fix};
use crate::disk::{self, Kind, Named};
use crate::lsp::{self, Entity, Mentions, NotRenamed, Places};
use crate::spec::{self, Spec, Step};
use crate::value::in_conditions;
use gen_lsp_types::{TextEdit, Uri, WorkspaceEdit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
        let all = Shared::around(desk, &own, place, bound)?;
        for (path, entity) in all.with(&own, &mention.entity, bound) {
            let Some(text) = desk.current(&path).filter(|_| path != own) else { continue };
            let other = desk.analyse(Some(&path), &text);
            let Some(mention) = other.mentions().of_entity(&entity).next().cloned() else { continue };
            let shown = all.shown(&path);
            let found = lsp::renamed(&other.page(), other.mentions(), &mention, new);
            let (here, _) = found.map_err(|NotRenamed(why)| NotRenamed(format!("{shown}: {why}")))?;
            changes.insert(uri::uri(&path), edits(&other.document.source, &other.places, &here));
            texts.insert(path, changed(&other.document, &here)?);
        }
        all.check(desk, &texts)?;
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

/// A document as far as names are shared.
struct Known {
    spec: Spec,
    mentions: Mentions,
    /// The steps that run documents, by their places, with the files.
    runs: Vec<(usize, PathBuf)>,
    /// Whether it has the same `orderflow.toml`.
    bound: bool,
}

/// The documents of a folder and those that they run.
struct Shared {
    root: PathBuf,
    all: BTreeMap<PathBuf, Known>,
}

impl Shared {
    /// Those of a place that run documents, with what they run, and `own`; with `every`, all that have its settings.
    fn around(desk: &Desk, own: &Path, place: Place, every: bool) -> Result<Shared, NotRenamed> {
        let found = place.documents()?;
        let mut shared = Shared { root: place.root, all: BTreeMap::new() };
        let mut open = vec![(own.to_owned(), true)];
        for (path, bound) in found {
            let text = desk.current(&path).unwrap_or_default();
            if text.contains("document::") || every && bound {
                open.push((path, bound));
            }
        }
        while let Some((path, bound)) = open.pop() {
            if shared.all.contains_key(&path) {
                continue;
            }
            let Some(text) = desk.current(&path) else { continue };
            let source = Source::new(path.display().to_string(), text);
            let (spec, _) = spec::parse(&source);
            let folder = path.parent().unwrap_or(Path::new(""));
            let steps = spec.steps.iter().enumerate().filter(|(_, step)| !step.implied);
            let runs: Vec<(usize, PathBuf)> = steps
                .filter_map(|(at, step)| Some((at, step.annotations.document.as_ref()?)))
                .map(|(at, written)| (at, normal(&folder.join(&written.value))))
                .collect();
            open.extend(runs.iter().map(|(_, path)| (path.clone(), bound)));
            let mentions = Mentions::of(&source, &spec);
            shared.all.insert(path, Known { spec, mentions, runs, bound });
        }
        Ok(shared)
    }

    /// A path as people name it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The pairs of documents of which one runs the other, with the step that does.
    fn links(&self) -> impl Iterator<Item = (&Path, &Step, &Path)> {
        self.all.iter().flat_map(|(outer, known)| {
            let step = |at: &usize| known.spec.steps.get(*at);
            known
                .runs
                .iter()
                .filter_map(move |(at, inner)| Some((outer.as_path(), step(at)?, inner.as_path())))
        })
    }

    /// The documents that have the same thing, with its name there.
    fn with(&self, own: &Path, entity: &Entity, bound: bool) -> BTreeSet<(PathBuf, Entity)> {
        let mut found = BTreeSet::from([(own.to_owned(), entity.clone())]);
        match entity {
            Entity::Agent(_) | Entity::Channel(_) if bound => {
                let all = self.all.iter().filter(|(_, known)| known.bound);
                found.extend(all.map(|(path, _)| (path.clone(), entity.clone())));
            }
            Entity::Value(_) | Entity::Type(_) => {
                let mut open = vec![own.to_owned()];
                while let Some(path) = open.pop() {
                    for (outer, step, inner) in self.links() {
                        let other = match (outer == path, inner == path) {
                            (true, _) => inner,
                            (_, true) => outer,
                            _ => continue,
                        };
                        let passes = match entity {
                            Entity::Value(name) => self.passes(name, step, outer, inner),
                            _ => self.mentions(other, entity),
                        };
                        if passes && found.insert((other.to_owned(), entity.clone())) {
                            open.push(other.to_owned());
                        }
                    }
                }
            }
            _ => {}
        }
        found
    }

    fn mentions(&self, path: &Path, entity: &Entity) -> bool {
        self.all.get(path).is_some_and(|known| known.mentions.of_entity(entity).next().is_some())
    }

    /// Whether a step passes a value between the documents: its signature names it; without one, both have it as an input.
    fn passes(&self, name: &str, step: &Step, outer: &Path, inner: &Path) -> bool {
        let Some(signature) = &step.signature else {
            let entity = Entity::Value(name.to_owned());
            let makes = |known: &Known| {
                let made = known.spec.steps.iter().flat_map(|step| &step.signature);
                made.flat_map(|one| &one.outputs).any(|port| in_conditions(&port.name.value) == name)
            };
            let takes = |path: &Path| self.mentions(path, &entity) && !self.all.get(path).is_some_and(makes);
            return takes(inner) && takes(outer);
        };
        let mut ports = signature.inputs.iter().chain(&signature.outputs);
        ports.any(|port| in_conditions(&port.name.value) == name)
    }

    /// Refuses changes after which a document has more errors, with those that run it.
    fn check(&self, desk: &Desk, texts: &BTreeMap<PathBuf, String>) -> Result<(), NotRenamed> {
        let mut concerned: BTreeSet<&Path> = texts.keys().map(PathBuf::as_path).collect();
        loop {
            let outer = self.links().filter(|(_, _, inner)| concerned.contains(inner));
            let outer: Vec<&Path> = outer.map(|(outer, ..)| outer).collect();
            let before = concerned.len();
            concerned.extend(outer);
            if concerned.len() == before {
                break;
            }
        }
        for path in concerned {
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
                let shown = self.shown(path);
                return refused(format!("with this name {shown} would mean something else"));
            }
        }
        Ok(())
    }
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
