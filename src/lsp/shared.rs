//! Which documents share a name. Those that run each other have the same values and types, and those with the same
//! `orderflow.toml` have its agents and channels. Gets the texts from its caller, and knows no folders.

use super::{Entity, Mentions};
use crate::diag::Source;
use crate::disk;
use crate::spec::{self, Spec, Step};
use crate::value::in_conditions;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A document as far as names are shared.
struct Known {
    spec: Spec,
    mentions: Mentions,
    /// The steps that run documents, by their places, with the files.
    runs: Vec<(usize, PathBuf)>,
    /// Whether it has the settings of the document whose name is changed.
    bound: bool,
}

/// Documents with those that they run, by their paths.
pub struct LinkedDocuments(BTreeMap<PathBuf, Known>);

impl LinkedDocuments {
    /// Those at these paths, and all that they run; each path comes with whether the document has the settings of the one
    /// whose name is changed. `read` returns the text of a document, if there is one.
    pub fn of(mut open: Vec<(PathBuf, bool)>, read: &dyn Fn(&Path) -> Option<String>) -> LinkedDocuments {
        let mut all = BTreeMap::new();
        while let Some((path, bound)) = open.pop() {
            if all.contains_key(&path) {
                continue;
            }
            let Some(text) = read(&path) else { continue };
            let source = Source::new(path.display().to_string(), text);
            let (spec, _) = spec::parse(&source);
            let folder = path.parent().unwrap_or(Path::new(""));
            let steps = spec.steps.iter().enumerate().filter(|(_, step)| !step.implied);
            let runs: Vec<(usize, PathBuf)> = steps
                .filter_map(|(at, step)| Some((at, step.annotations.document.as_ref()?)))
                .map(|(at, written)| (at, disk::normal(&folder.join(&written.value))))
                .collect();
            open.extend(runs.iter().map(|(_, path)| (path.clone(), bound)));
            let mentions = Mentions::of(&source, &spec);
            all.insert(path, Known { spec, mentions, runs, bound });
        }
        LinkedDocuments(all)
    }

    /// The documents that have the same thing as the document `own`, with its name there. `bound`: it is named in their
    /// settings.
    pub fn sharing(&self, own: &Path, entity: &Entity, bound: bool) -> BTreeSet<(PathBuf, Entity)> {
        let mut found = BTreeSet::from([(own.to_owned(), entity.clone())]);
        match entity {
            Entity::Agent(_) | Entity::Channel(_) if bound => {
                let all = self.0.iter().filter(|(_, known)| known.bound);
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

    /// These documents, and all that run one of them.
    pub fn with_runners<'a>(&'a self, paths: impl Iterator<Item = &'a Path>) -> BTreeSet<&'a Path> {
        let mut all: BTreeSet<&Path> = paths.collect();
        loop {
            let outer = self.links().filter(|(_, _, inner)| all.contains(inner));
            let outer: Vec<&Path> = outer.map(|(outer, ..)| outer).collect();
            let before = all.len();
            all.extend(outer);
            if all.len() == before {
                return all;
            }
        }
    }

    /// The pairs of documents of which one runs the other, with the step that does.
    fn links(&self) -> impl Iterator<Item = (&Path, &Step, &Path)> {
        self.0.iter().flat_map(|(outer, known)| {
            let step = |at: &usize| known.spec.steps.get(*at);
            known
                .runs
                .iter()
                .filter_map(move |(at, inner)| Some((outer.as_path(), step(at)?, inner.as_path())))
        })
    }

    fn mentions(&self, path: &Path, entity: &Entity) -> bool {
        self.0.get(path).is_some_and(|known| known.mentions.of_entity(entity).next().is_some())
    }

    /// Whether a step passes a value between the documents: its signature names it; without one, both have it as an input.
    fn passes(&self, name: &str, step: &Step, outer: &Path, inner: &Path) -> bool {
        let Some(signature) = &step.signature else {
            let entity = Entity::Value(name.to_owned());
            let makes = |known: &Known| {
                let made = known.spec.steps.iter().flat_map(|step| &step.signature);
                made.flat_map(|one| &one.outputs).any(|port| in_conditions(&port.name.value) == name)
            };
            let takes = |path: &Path| self.mentions(path, &entity) && !self.0.get(path).is_some_and(makes);
            return takes(inner) && takes(outer);
        };
        let mut ports = signature.inputs.iter().chain(&signature.outputs);
        ports.any(|port| in_conditions(&port.name.value) == name)
    }
}
