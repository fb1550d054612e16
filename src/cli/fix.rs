//! `orderflow validate --fix`: applies the fixes of problems until none is left, and shows what changed.

use super::children::{self, Library};
use super::document::Document;
use super::exit::{Exit, Stop};
use super::settings::Settings;
use super::stream;
use crate::diag::render::visible;
use crate::diag::{Diagnostic, Source, Span, fix};
use crate::disk::exchange;
use anyhow::Context;
use similar::TextDiff;
use std::io::Write;
use std::path::Path;

/// The most rounds: a fix can cause a further problem that has one.
const ROUNDS: usize = 20;

/// How fixes are applied.
#[derive(Clone, Copy, Debug)]
pub struct Fixing {
    /// Whether to apply likely fixes, too.
    pub likely: bool,
    /// Whether to write files; otherwise changes are only shown.
    pub write: bool,
}

/// A document before and after.
pub struct FixedDocument {
    pub document: Document,
    /// Problems that were solved.
    pub count: usize,
    before: String,
}

impl FixedDocument {
    /// Applies the fixes of a document whose settings have been read, and checks the result again.
    pub fn of(mut document: Document, settings: &Settings, likely: bool) -> FixedDocument {
        let before = document.source.text.clone();
        let mut count = 0;
        for _ in 0..ROUNDS {
            let traces = document.spec.steps.iter().flat_map(|step| &step.traces);
            let stored: Vec<Span> = traces.map(|trace| trace.content).collect();
            let applied = fix::apply(&document.source.text, &document.problems, likely, &stored);
            let Some(fixed) = applied else { break };
            count += fixed.count;
            document = Document::of(document.source.name, fixed.text.into_bytes());
            children::adopt(&mut document, &Library::Disk);
            document.lint(settings);
        }
        FixedDocument { document, count, before }
    }

    /// A document with the text that this function gives.
    ///
    /// # Errors
    /// The document is not UTF-8.
    pub fn by(mut document: Document, of: impl FnOnce(&Source) -> String) -> anyhow::Result<FixedDocument> {
        if let Some(problem) = document.problems.iter().find(|problem| problem.code == "invalid-utf8") {
            let message = format!("{}: {}", visible(&document.source.name), problem.message);
            return Err(Stop::new(Exit::Invalid, message).into());
        }
        let before = document.source.text.clone();
        let text = of(&document.source);
        let count = usize::from(text != before);
        document.source = Source::new(document.source.name.clone(), text);
        Ok(FixedDocument { document, count, before })
    }

    /// The changes as a patch; empty without changes.
    pub fn difference(&self) -> String {
        let name = &self.document.source.name;
        let diff = TextDiff::from_lines(self.before.as_str(), self.document.source.text.as_str());
        let diff = diff.unified_diff().header(name, name).to_string();
        let shown = diff.split_inclusive('\n').map(|line| {
            let bare = line.trim_end_matches(['\n', '\r']);
            visible(bare) + &line[bare.len()..]
        });
        shown.collect()
    }

    /// Writes the file completely or not at all, if something changed. Standard input is written to standard output.
    ///
    /// # Errors
    /// The file has changed in the meantime, or cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let standard = stream::is_standard(path);
        if self.count == 0 && !standard {
            return Ok(());
        }
        let failed = || format!("cannot write {}", path.display());
        let text = &self.document.source.text;
        if standard {
            let written = stream::target(path).and_then(|to| to.write(|out| out.write_all(text.as_bytes())));
            return written.with_context(failed);
        }
        match exchange(path, &self.before, text).with_context(failed)? {
            true => Ok(()),
            false => Err(anyhow::anyhow!("it changed in the meantime")).with_context(failed),
        }
    }
}

/// How many problems fixes would solve: safe ones, and all.
pub fn fixable<'a>(problems: impl Iterator<Item = &'a Diagnostic>) -> (usize, usize) {
    problems.fold((0, 0), |(safe, all), problem| {
        let is_safe = problem.fixes.iter().any(|fix| fix.safe);
        (safe + usize::from(is_safe), all + usize::from(!problem.fixes.is_empty()))
    })
}
