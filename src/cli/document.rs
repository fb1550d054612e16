//! Reads the document that a command works on.

use super::children::{self, Children, Library};
use super::exit::{Exit, Stop};
use super::settings::{self, Reach, Settings};
use super::terminal::Terminal;
use crate::adapter::fence;
use crate::diag::{Diagnostic, Source, catalogue as problem, nearest, render};
use crate::disk::Named;
use crate::graph::{self, Graph, Kind, Step, StepId};
use crate::history::StoredDocument;
use crate::session;
use crate::spec::{self, Spec};
use crate::value::budget::Budget;
use anyhow::Context;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// The most problems that are shown one by one: with more, the file is most likely not a workflow.
const MOST_PROBLEMS: usize = 1000;

/// A document with all its problems, in the order of their places.
pub struct Document {
    pub source: Source,
    pub spec: Spec,
    /// Its graph; `None` if a problem is an error.
    pub graph: Option<Graph>,
    pub problems: Vec<Diagnostic>,
    /// The phases of steps that run a document, with its place among the children of the outermost document.
    pub uses: Vec<(String, usize)>,
    /// All documents that its steps run, with those that they run; only of the outermost document.
    pub children: Children,
}

impl Document {
    /// Reads a document; `-` is standard input.
    ///
    /// # Errors
    /// When the file cannot be read. Problems of its contents are diagnostics, not errors.
    pub fn read(path: &Path) -> anyhow::Result<Document> {
        Document::read_named(path, &Named::by_user(path), &Library::Disk)
    }

    /// Reads the document of an earlier run; does not wait if its path is now a pipe.
    ///
    /// # Errors
    /// As for [`read`](Self::read), and if it is not a regular file.
    pub fn read_again(path: &Path) -> anyhow::Result<Document> {
        Document::read_named(path, &Named::file(path), &Library::Disk)
    }

    fn read_named(path: &Path, named: &Named, library: &Library<'_>) -> anyhow::Result<Document> {
        let mut bytes = Vec::new();
        // Reads one byte more than allowed, to detect a larger file: the input may be endless.
        let mut read = |from: &mut dyn Read| from.take(spec::LARGEST as u64 + 1).read_to_end(&mut bytes);
        let name = if path == Path::new("-") {
            read(&mut std::io::stdin().lock()).context("cannot read standard input")?;
            "<stdin>".to_owned()
        } else {
            let name = path.display().to_string();
            let opened = named.open().and_then(|mut file| read(&mut file));
            opened.with_context(|| format!("cannot read {name}"))?;
            name
        };
        let mut document = Document::of(name, bytes);
        children::adopt(&mut document, library);
        Ok(document)
    }

    /// A document as an editor has it, with its problems and those of its steps with the settings.
    pub fn edited(name: String, text: String, settings: &Settings, library: &Library<'_>) -> Document {
        let mut document = Document::of(name, text.into_bytes());
        children::adopt(&mut document, library);
        document.lint(settings);
        document
    }

    /// A valid document with its graph and settings. Its problems are shown.
    ///
    /// # Errors
    /// When a file cannot be read or is not valid; with `strict`, also on a warning.
    pub fn open(
        path: &Path,
        strict: bool,
        terminal: &mut Terminal,
    ) -> anyhow::Result<(Document, Graph, Settings)> {
        Document::sound_with_settings(Document::read(path)?, path, strict, terminal)
    }

    /// The same for an earlier run, with the current document and the stored documents that its steps run.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_again(
        path: &Path,
        children: &[StoredDocument],
        terminal: &mut Terminal,
    ) -> anyhow::Result<(Document, Graph, Settings)> {
        let document = Document::read_named(path, &Named::file(path), &Library::Stored(children))?;
        Document::sound_with_settings(document, path, false, terminal)
    }

    fn sound_with_settings(
        mut document: Document,
        path: &Path,
        strict: bool,
        terminal: &mut Terminal,
    ) -> anyhow::Result<(Document, Graph, Settings)> {
        let settings = settings::load(path, strict, terminal);
        document.lint(settings.as_ref().unwrap_or(&Settings::default()));
        let graph = document.sound(strict, terminal)?;
        Ok((document, graph, settings?))
    }

    /// The document of a resumed run, as it was when the run began.
    ///
    /// # Errors
    /// When this version finds errors in it, or the settings cannot be read.
    pub fn again(
        path: &Path,
        text: String,
        children: &[StoredDocument],
        terminal: &mut Terminal,
    ) -> anyhow::Result<(Document, Graph, Settings)> {
        let settings = settings::load(path, false, terminal)?;
        let mut document = Document::of(path.display().to_string(), text.into_bytes());
        children::adopt(&mut document, &Library::Stored(children));
        let graph = document.sound(false, terminal)?;
        Ok((document, graph, settings))
    }

    /// A settings file, in the form of a document, to show its problems.
    pub fn settings(source: Source, problems: Vec<Diagnostic>) -> Document {
        Document::found(source, Spec::default(), None, problems)
    }

    /// A document from its bytes; `name` is for messages.
    pub fn of(name: String, bytes: Vec<u8>) -> Document {
        let whole = bytes.len() <= spec::LARGEST;
        let (source, broken) = Source::decode(name, bytes);
        // If more follows, a character may be cut.
        if let Some(at) = broken.filter(|_| whole) {
            let problems = vec![problem::invalid_utf8(at)];
            return Document::found(source, Spec::default(), None, problems);
        }
        let (spec, mut problems) = spec::parse(&source);
        let (graph, further) = graph::build(&source, &spec);
        problems.extend(further);
        problems.extend(spec.steps.iter().filter_map(unknown_language));
        problems.extend(session::check(&source, &spec, graph.as_ref()));
        problems.sort_by_key(|problem| (problem.span, problem.severity));
        if problems.len() > MOST_PROBLEMS {
            let rest = problem::too_many_problems(&problems.split_off(MOST_PROBLEMS));
            problems.push(rest);
        }
        let graph = graph.filter(|_| !problems.iter().any(Diagnostic::is_error));
        Document::found(source, spec, graph, problems)
    }

    fn found(source: Source, spec: Spec, graph: Option<Graph>, problems: Vec<Diagnostic>) -> Document {
        Document { source, spec, graph, problems, uses: Vec::new(), children: Children::default() }
    }

    /// Its path; empty for standard input.
    pub fn path(&self) -> &Path {
        Path::new(if self.source.name == "<stdin>" { "" } else { &self.source.name })
    }

    /// The place of the document that a step runs.
    pub fn child_of(&self, step: &Step) -> Option<usize> {
        self.uses.iter().find(|(phase, _)| *phase == step.phase).map(|(_, child)| *child)
    }

    /// The documents that its steps run, with their graphs, if they are those of `graph`.
    pub fn run_by<'a>(&'a self, graph: &'a Graph) -> Vec<(&'a Document, &'a Graph)> {
        let mut all: Vec<(usize, &Document, &Graph)> = Vec::new();
        let mut open = vec![(self, graph)];
        while let Some((document, graph)) = open.pop() {
            for place in graph.steps.iter().filter_map(|step| document.child_of(step)) {
                let Some(child) = self.children.0.get(place) else { continue };
                let Some(graph) = child.graph.as_ref() else { continue };
                if !all.iter().any(|(known, ..)| *known == place) {
                    all.push((place, child, graph));
                    open.push((child, graph));
                }
            }
        }
        all.sort_by_key(|(place, ..)| *place);
        all.into_iter().map(|(_, child, graph)| (child, graph)).collect()
    }

    /// A graph of it, and those of the documents that its steps run.
    pub fn with_run_by<'a>(&'a self, graph: &'a Graph) -> Vec<&'a Graph> {
        let children = self.run_by(graph).into_iter().map(|(_, child)| child);
        std::iter::once(graph).chain(children).collect()
    }

    /// Adds problems; an error takes the graph away.
    pub fn add(&mut self, problems: Vec<Diagnostic>) {
        self.problems.extend(problems);
        self.problems.sort_by_key(|problem| (problem.span, problem.severity));
        if self.problems.iter().any(Diagnostic::is_error) {
            self.graph = None;
        }
    }

    /// Adds the problems of failures, which need to know which agents have effects.
    pub fn lint(&mut self, settings: &Settings) {
        self.children.lint(settings);
        let Some(graph) = &self.graph else { return };
        let effects = |step: &Step| {
            let agent = step.agent.as_ref().and_then(|agent| settings.agents.get(agent));
            !step.pure && agent.is_none_or(|agent| agent.effects.of(&step.phase))
        };
        self.problems.extend(graph::lint(&self.spec, graph, &effects));
        self.problems.extend(self.misspelt_channels(settings));
        let agents = graph.steps.iter().filter_map(|step| settings.agents.get(step.agent.as_ref()?));
        let given: Vec<&str> = agents.flat_map(|agent| &agent.secrets).map(|secret| &*secret.name).collect();
        let asked = self.spec.front.secrets.iter().filter(|name| !given.contains(&&*name.value));
        self.problems.extend(asked.map(|name| problem::secret_not_given(name.span, &name.value)));
        let unpriced = unpriced_budgets(&self.spec, graph, settings);
        self.problems.extend(unpriced);
        self.problems.extend(self.misspelt_phases(graph, settings));
        self.problems.sort_by_key(|problem| (problem.span, problem.severity));
    }

    /// Steps whose names are similar to those that the settings of their agents have, and that no step has.
    fn misspelt_phases(&self, graph: &Graph, settings: &Settings) -> Vec<Diagnostic> {
        let misspelt = graph.steps.iter().filter_map(|step| {
            let (name, agent) = settings.bound(step.agent.as_deref())?;
            let urls = match &agent.reach {
                Some(Reach::Http { urls, .. }) => urls.keys().collect(),
                _ => Vec::new(),
            };
            let said = [("paths", urls), ("effects", agent.effects.of.keys().collect())];
            said.into_iter().find_map(|(key, phases)| {
                let other = |phase: &&str| graph.by_phase(phase).is_none();
                let near = nearest(&step.phase, phases.iter().map(|phase| phase.as_str()).filter(other));
                let near = near.filter(|_| !phases.contains(&&step.phase))?;
                Some(problem::misspelt_phase(self.source.line(step.line), &step.phase, (name, key, near)))
            })
        });
        misspelt.collect()
    }

    /// Channels without limits whose name is similar to one with limits.
    fn misspelt_channels(&self, settings: &Settings) -> Vec<Diagnostic> {
        let groups = self.spec.groups.iter().map(|group| &group.annotations);
        let said = self.spec.steps.iter().map(|step| &step.annotations).chain(groups);
        let unknown = said.filter_map(|said| said.channel.as_ref());
        let unknown = unknown.filter(|channel| !settings.channels.contains_key(&channel.value));
        let misspelt = unknown.filter_map(|channel| {
            let near = nearest(&channel.value, settings.channels.keys().map(String::as_str))?;
            Some(problem::misspelt_channel(channel.span, &channel.value, near))
        });
        misspelt.collect()
    }

    /// Shows the problems on standard error and returns the graph.
    ///
    /// # Errors
    /// A [`Stop`] with [`Exit::Invalid`] if a problem is an error, or, with `strict`, a warning.
    pub fn sound(&mut self, strict: bool, terminal: &mut Terminal) -> anyhow::Result<Graph> {
        let colour = terminal.talk_colour();
        for one in [&*self].into_iter().chain(&self.children.0) {
            terminal.talk(&render::human(&one.source, &one.problems, colour));
        }
        let is_clean = self.problems.is_empty() && self.children.0.iter().all(|one| one.problems.is_empty());
        let doubtful = strict && !is_clean;
        self.graph.take().filter(|_| !doubtful).ok_or_else(|| {
            let message = format!("{} is not valid; nothing was run", render::visible(&self.source.name));
            Stop::new(Exit::Invalid, message).into()
        })
    }
}

/// Budgets in dollars that cannot be enforced, because a model that spends from them has no price, or a coding agent
/// reports no cost.
fn unpriced_budgets(spec: &Spec, graph: &Graph, settings: &Settings) -> Vec<Diagnostic> {
    let unpriced = |step: &Step| -> Option<String> {
        let (name, agent) = settings.bound(step.agent.as_deref())?;
        let Some(Reach::Model { provider, .. }) = &agent.reach else { return None };
        let known = provider.price.is_some() || provider.reports_cost || step.kind == Kind::Compensation;
        (!known).then(|| name.to_owned())
    };
    let silent = |step: &Step| -> Option<String> {
        let (name, agent) = settings.bound(step.agent.as_deref())?;
        let Some(Reach::Coder(coder)) = &agent.reach else { return None };
        let known = coder.reports_cost() || step.kind == Kind::Compensation;
        (!known).then(|| name.to_owned())
    };
    let problem = |budget: &Option<spec::Spanned<Budget>>, of: &dyn Fn(StepId) -> bool| {
        let Some(budget) = budget.as_ref().filter(|budget| budget.value.dollars.is_some()) else {
            return Vec::new();
        };
        let named = |which: &dyn Fn(&Step) -> Option<String>| -> BTreeSet<String> {
            graph.ids().filter(|id| of(*id)).filter_map(|id| which(graph.step(id))).collect()
        };
        let all = |agents: BTreeSet<String>| agents.into_iter().collect::<Vec<_>>();
        let (unpriced, silent) = (all(named(&unpriced)), all(named(&silent)));
        let unpriced = (!unpriced.is_empty()).then(|| problem::unpriced_budget(budget.span, &unpriced));
        let silent = (!silent.is_empty()).then(|| problem::unreported_budget(budget.span, &silent));
        unpriced.into_iter().chain(silent).collect::<Vec<_>>()
    };
    let steps = spec.steps.iter().zip(graph.ids());
    let steps = steps.flat_map(|(step, id)| problem(&step.annotations.budget, &|other| other == id));
    let groups = spec.groups.iter().enumerate().flat_map(|(index, group)| {
        let inside = |id| graph.around(id).any(|around| around == index);
        problem(&group.annotations.budget, &inside)
    });
    let item = problem(&spec.front.budget, &|id| !graph.step(id).once);
    let run = problem(&spec.front.run_budget, &|_| true);
    steps.chain(groups).chain(item).chain(run).collect()
}

/// A step's program in a language without a known interpreter.
fn unknown_language(step: &spec::Step) -> Option<Diagnostic> {
    let language = &step.program.as_ref()?.language;
    let unknown = fence::interpreter(&language.value).is_none();
    unknown.then(|| problem::unknown_language_warned(language.span, &language.value, &fence::LANGUAGES))
}
