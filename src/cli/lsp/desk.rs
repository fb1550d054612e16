//! The documents that an editor has open, with their latest texts, and what is known of each. A text in the editor takes
//! precedence over its file, also where another document uses it.

use super::super::children::Library;
use super::super::document::Document;
use super::super::settings::{self, Looked, Settings};
use super::uri;
use crate::diag::Source;
use crate::disk::{Named, normal};
use crate::lsp::{EditedPage, Encoding, KnownTypes, Mentions, OperatorNames, Places, report};
use crate::value::in_conditions;
use gen_lsp_types::{Diagnostic, TextDocumentContentChangeEvent, Uri};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A text in the editor.
struct Buffer {
    uri: Uri,
    /// `None` for a text without a file.
    path: Option<PathBuf>,
    version: i32,
    text: String,
    places: Places,
    /// What is known of it; `None` after a change.
    read: Option<ReadDocument>,
    /// Whether the editor has its problems.
    reported: bool,
    /// The types of values, from the last time that it had no errors.
    types: KnownTypes,
}

impl Buffer {
    fn forget(&mut self) {
        (self.read, self.reported) = (None, false);
    }
}

/// A document as it was last read.
pub struct ReadDocument {
    pub document: Document,
    pub places: Places,
    pub names: OperatorNames,
    pub settings: Settings,
    mentions: OnceCell<Mentions>,
}

impl ReadDocument {
    pub fn page(&self) -> EditedPage<'_> {
        EditedPage {
            source: &self.document.source,
            spec: &self.document.spec,
            graph: self.document.graph.as_ref(),
            problems: &self.document.problems,
            places: &self.places,
            settings: &self.names,
        }
    }

    pub fn mentions(&self) -> &Mentions {
        self.mentions.get_or_init(|| Mentions::of(&self.document.source, &self.document.spec))
    }

    /// Whether the text is a workflow: notes in markdown have no problems.
    fn is_workflow(&self) -> bool {
        let (spec, front) = (&self.document.spec, &self.document.spec.front);
        !spec.steps.is_empty()
            || !spec.groups.is_empty()
            || front.agent.is_some()
            || front.inputs.is_some()
            || front.items.is_some()
    }
}

/// Problems to show, with the version of the text that has them.
pub struct Shown {
    pub uri: Uri,
    pub version: Option<i32>,
    pub problems: Vec<Diagnostic>,
}

pub struct Desk {
    pub encoding: Encoding,
    /// By their addresses.
    buffers: BTreeMap<String, Buffer>,
    /// Settings that are not open and whose problems are shown.
    shown: BTreeSet<PathBuf>,
}

impl Desk {
    pub fn new(encoding: Encoding) -> Desk {
        Desk { encoding, buffers: BTreeMap::new(), shown: BTreeSet::new() }
    }

    pub fn open(&mut self, uri: Uri, version: i32, text: String) {
        let key = uri.as_ref().to_owned();
        let path = uri::path(&key).map(|path| normal(&path));
        let places = Places::new(&text, self.encoding);
        self.forget_users_of(path.as_deref());
        self.buffers.insert(
            key,
            Buffer {
                uri,
                path,
                version,
                text,
                places,
                read: None,
                reported: false,
                types: KnownTypes::new(),
            },
        );
    }

    /// Applies changes in their order; `false` if the text is not open.
    pub fn change(&mut self, uri: &str, version: i32, changes: Vec<TextDocumentContentChangeEvent>) -> bool {
        let encoding = self.encoding;
        let Some(buffer) = self.buffers.get_mut(uri) else { return false };
        for change in changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                    let span = buffer.places.span(&buffer.text, part.range);
                    buffer.text.replace_range(span.start..span.end, &part.text);
                }
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    buffer.text = whole.text;
                }
            }
            buffer.places = Places::new(&buffer.text, encoding);
        }
        buffer.version = version;
        buffer.forget();
        let path = buffer.path.clone();
        self.forget_users_of(path.as_deref());
        true
    }

    /// Closes a text; its file is what counts again.
    pub fn close(&mut self, uri: &str) -> Option<Uri> {
        let buffer = self.buffers.remove(uri)?;
        self.forget_users_of(buffer.path.as_deref());
        Some(buffer.uri)
    }

    /// Files have changed outside of the editor.
    pub fn forget_all(&mut self) {
        self.buffers.values_mut().for_each(Buffer::forget);
    }

    /// Reads those documents again that use a changed file: as settings, or as a document that a step runs.
    fn forget_users_of(&mut self, changed: Option<&Path>) {
        let Some(changed) = changed else { return };
        let is_settings = changed.file_name().is_some_and(|name| name == settings::FILE);
        for buffer in self.buffers.values_mut() {
            let uses = |read: &ReadDocument| {
                is_settings || read.document.spec.steps.iter().any(|step| step.annotations.document.is_some())
            };
            if buffer.read.as_ref().is_some_and(uses) {
                buffer.forget();
            }
        }
    }

    /// The text of an open file.
    pub fn text(&self, path: &Path) -> Option<String> {
        let path = normal(path);
        let mut all = self.buffers.values();
        all.find(|buffer| buffer.path.as_deref() == Some(&path)).map(|buffer| buffer.text.clone())
    }

    /// Whether the text of an open file is that of the file.
    pub fn is_saved(&self, uri: &str) -> bool {
        let Some(buffer) = self.buffers.get(uri) else { return true };
        let file = buffer.path.as_deref().map(Named::file);
        let stored = file.and_then(|file| file.read(buffer.text.len() + 1).ok());
        stored.is_some_and(|stored| stored == buffer.text.as_bytes())
    }

    /// An open document, or one of a file, as it is now; `None` if it is not a markdown document.
    pub fn read(&mut self, uri: &str) -> Option<&ReadDocument> {
        let path = uri::path(uri);
        if path.as_deref().is_some_and(|path| path.extension().is_some_and(|end| end == "toml")) {
            return None;
        }
        let buffer = self.buffers.get(uri)?;
        if buffer.read.is_none() {
            let read = self.analyse(buffer.path.as_deref(), &buffer.text);
            let buffer = self.buffers.get_mut(uri)?;
            if let Some(graph) = &read.document.graph {
                let typed = graph
                    .values
                    .iter()
                    .filter_map(|value| Some((in_conditions(&value.name), value.ty.clone()?)));
                buffer.types = typed.collect();
            }
            buffer.read = Some(read);
        }
        self.buffers.get(uri)?.read.as_ref()
    }

    /// The types of the values of an open document, as far as they were ever known.
    pub fn types(&self, uri: &str) -> KnownTypes {
        self.buffers.get(uri).map(|buffer| buffer.types.clone()).unwrap_or_default()
    }

    /// Reads a text, of the file with this path.
    pub fn analyse(&self, path: Option<&Path>, text: &str) -> ReadDocument {
        let name = path.map_or_else(|| "<stdin>".to_owned(), |path| path.display().to_string());
        let edited = |path: &Path| self.text(path);
        let looked = match path {
            Some(path) => settings::look_at(path, &edited).unwrap_or_default(),
            None => Looked::default(),
        };
        let Looked { settings, .. } = looked;
        let names = settings.file.as_deref().and_then(|file| {
            let text = edited(file).or_else(|| settings::text_of(file).ok())?;
            Some(settings::names(Source::new(file.display().to_string(), text), self.encoding))
        });
        let library = Library::Edited(&edited);
        let document = Document::edited(name, text.to_owned(), &settings, &library);
        let places = Places::new(text, self.encoding);
        ReadDocument {
            document,
            places,
            names: names.unwrap_or_default(),
            settings,
            mentions: OnceCell::new(),
        }
    }

    /// Reads all texts that have changed, and returns their problems.
    pub fn refresh(&mut self) -> Vec<Shown> {
        let mut stale = Vec::new();
        for (uri, buffer) in self.buffers.iter_mut().filter(|(_, buffer)| !buffer.reported) {
            buffer.reported = true;
            stale.push(uri.clone());
        }
        let mut all = Vec::new();
        let mut settings_of: BTreeSet<PathBuf> = BTreeSet::new();
        for uri in stale {
            let Some(buffer) = self.buffers.get(&uri) else { continue };
            let (address, version) = (buffer.uri.clone(), Some(buffer.version));
            let is_settings = buffer.path.as_deref().is_some_and(is_settings);
            if is_settings {
                let source = Source::new(settings::FILE, buffer.text.clone());
                let (shown, problems) = settings::problems(&source);
                let places = Places::new(&shown.text, self.encoding);
                let problems = report(&shown, &places, &problems, &address);
                all.push(Shown { uri: address, version, problems });
                continue;
            }
            let Some(read) = self.read(&uri) else { continue };
            settings_of.extend(read.settings.file.clone().map(|file| normal(&file)));
            let problems = match read.is_workflow() {
                true => report(&read.document.source, &read.places, &read.document.problems, &address),
                false => Vec::new(),
            };
            all.push(Shown { uri: address, version, problems });
        }
        all.extend(settings_of.into_iter().filter_map(|file| self.settings_problems(file)));
        all
    }

    /// The problems of settings that are not open, if they have or had any.
    fn settings_problems(&mut self, file: PathBuf) -> Option<Shown> {
        if self.text(&file).is_some() {
            return None;
        }
        let text = settings::text_of(&file).ok()?;
        let (shown, problems) = settings::problems(&Source::new(settings::FILE, text));
        let address = uri::uri(&file);
        let places = Places::new(&shown.text, self.encoding);
        let problems = report(&shown, &places, &problems, &address);
        let had = self.shown.remove(&file);
        if !problems.is_empty() {
            self.shown.insert(file);
        }
        (had || !problems.is_empty()).then_some(Shown { uri: address, version: None, problems })
    }
}

/// Whether a file is `orderflow.toml`.
fn is_settings(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == settings::FILE)
}
