//! Reading the document that a command works on.

use super::exit::{Exit, Stop};
use super::terminal::Terminal;
use crate::adapter::fence;
use crate::diag::{Diagnostic, Source, catalogue as problem, render};
use crate::graph::{self, Graph};
use crate::session;
use crate::spec::{self, Spec};
use anyhow::Context;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most problems that are told one by one: with more, the document is most likely none of ours.
const MOST_PROBLEMS: usize = 1000;

/// A document with all that is wrong about it, in the order of the places.
pub struct Document {
    pub source: Source,
    pub spec: Spec,
    /// What it means; none where a problem is an error.
    pub graph: Option<Graph>,
    pub problems: Vec<Diagnostic>,
}

impl Document {
    /// Reads a document; `-` is standard input.
    ///
    /// # Errors
    /// Where the file cannot be read; what is wrong in it is no error but a diagnostic.
    pub fn read(path: &Path) -> anyhow::Result<Document> {
        let mut bytes = Vec::new();
        // No more than is needed to see that it is too much: what is read may have no end.
        let mut read = |from: &mut dyn Read| from.take(spec::LARGEST as u64 + 1).read_to_end(&mut bytes);
        let name = if path == Path::new("-") {
            read(&mut std::io::stdin().lock()).context("cannot read standard input")?;
            "<stdin>".to_owned()
        } else {
            let name = path.display().to_string();
            let opened = File::open(path).and_then(|mut file| read(&mut file));
            opened.with_context(|| format!("cannot read {name}"))?;
            name
        };
        Ok(Document::of(name, bytes))
    }

    fn of(name: String, bytes: Vec<u8>) -> Document {
        let whole = bytes.len() <= spec::LARGEST;
        let (source, broken) = Source::decode(name, bytes);
        // Where more follows, a character may be cut in two.
        if let Some(at) = broken.filter(|_| whole) {
            let problems = vec![problem::invalid_utf8(at)];
            return Document { source, spec: Spec::default(), graph: None, problems };
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
        Document { source, spec, graph, problems }
    }

    /// Shows the problems on standard error and hands out the graph.
    ///
    /// # Errors
    /// A [`Stop`] with [`Exit::Invalid`] where a problem is an error.
    pub fn sound(&mut self, terminal: &mut Terminal) -> anyhow::Result<Graph> {
        let colour = terminal.talk_colour();
        terminal.talk(&render::human(&self.source, &self.problems, colour));
        self.graph.take().ok_or_else(|| {
            let message = format!("{} is not valid; nothing was run", render::visible(&self.source.name));
            Stop::new(Exit::Invalid, message).into()
        })
    }
}

/// A step's program that no interpreter here is known for.
fn unknown_language(step: &spec::Step) -> Option<Diagnostic> {
    let language = &step.program.as_ref()?.language;
    let unknown = fence::interpreter(&language.value).is_none();
    unknown.then(|| problem::unknown_language_warned(language.span, &language.value, &fence::LANGUAGES))
}
