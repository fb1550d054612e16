//! `[document:: review.md]`: the path of the document that a step runs, and the compensation that follows from it. Does
//! not know whether there is such a file.

use super::model::{Annotations, COMPENSATIONS, Spanned, Spec, Step};
use super::title::key;
use std::collections::HashSet;

/// Other names of the field, in lower case with `-` between words.
pub(super) const NAMES: [&str; 14] = [
    "include",
    "includes",
    "workflow",
    "subworkflow",
    "sub-workflow",
    "call",
    "calls",
    "use",
    "uses",
    "import",
    "imports",
    "doc",
    "child",
    "run-document",
];

/// Adds the compensation of each step that runs a document and names none: the document compensates itself.
pub(super) fn imply(spec: &mut Spec) {
    let mut titles: HashSet<String> = spec.steps.iter().map(|step| key(&step.title.value)).collect();
    let named = spec.steps.iter().filter_map(|step| step.annotations.compensate.as_ref());
    let undoes: HashSet<String> = named.map(|by| key(&by.value)).collect();
    let mut implied = Vec::new();
    for index in 0..spec.steps.len() {
        let step = &spec.steps[index];
        let said = &step.annotations;
        let Some(document) = said.document.clone() else { continue };
        let lasts = said.compensate.is_some() || said.irreversible.is_some() || said.pure.is_some();
        let late = undoes.contains(&key(&step.title.value)) || is_listed(spec, step) || handles(step);
        if lasts || late {
            continue;
        }
        let mut title = format!("Compensate {}", step.title.value);
        while !titles.insert(key(&title)) {
            title.push_str(" Itself");
        }
        implied.push(compensation(step, title.clone(), document.clone()));
        spec.steps[index].annotations.compensate = Some(Spanned::new(title, document.span));
    }
    spec.steps.append(&mut implied);
}

fn is_listed(spec: &Spec, step: &Step) -> bool {
    let group = |id: usize| spec.groups.get(id);
    let around = std::iter::successors(step.group.and_then(group), |of| of.parent.and_then(group));
    around.take(spec.groups.len()).any(|group| key(&group.title.value) == COMPENSATIONS)
}

/// Whether it is a failure handler, by its inputs.
fn handles(step: &Step) -> bool {
    let inputs = step.signature.iter().flat_map(|signature| &signature.inputs);
    inputs.into_iter().any(|input| input.name.value.starts_with("failed_"))
}

fn compensation(of: &Step, title: String, document: Spanned<String>) -> Step {
    let annotations = Annotations { document: Some(document), ..Annotations::default() };
    Step {
        number: String::new(),
        title: Spanned::new(title, of.title.span),
        heading: of.heading,
        level: of.level,
        group: None,
        annotations,
        signature: None,
        chains: Vec::new(),
        program: None,
        traces: Vec::new(),
        expectations: Vec::new(),
        end: of.end,
        annotated: of.annotated,
        unread: true,
        implied: true,
        document_unread: false,
        claims: Vec::new(),
        instructions: Default::default(),
        gate: None,
    }
}

/// How a value reads as a path.
pub(super) enum ReadPath {
    Path(String),
    /// Its right spelling.
    Almost(String),
    Unknown,
}

/// Reads the value of the field.
pub(super) fn read(value: &str) -> ReadPath {
    let bare = bare(value);
    match is_path(bare) {
        true if bare == value => ReadPath::Path(value.to_owned()),
        true => ReadPath::Almost(bare.to_owned()),
        false => ReadPath::Unknown,
    }
}

/// The path that a value of a field of another name, or of a line of prose, certainly is.
pub(super) fn right(value: &str) -> Option<String> {
    let bare = bare(value.trim());
    let is_document = [".md", ".markdown"].iter().any(|end| bare.to_lowercase().ends_with(end));
    (is_document && is_path(bare)).then(|| bare.to_owned())
}

/// The path in a link, in code, or in quotes.
fn bare(value: &str) -> &str {
    let linked = value.strip_suffix(')').and_then(|value| value.strip_prefix('[')?.split_once("]("));
    let value = linked.map_or(value, |(_, path)| path);
    let around = [('`', '`'), ('"', '"'), ('\'', '\''), ('<', '>')];
    let inner = around.iter().find_map(|(open, close)| value.strip_prefix(*open)?.strip_suffix(*close));
    inner.unwrap_or(value).trim()
}

fn is_path(value: &str) -> bool {
    let address = value.contains("://");
    let folder = value.ends_with('/') || matches!(value, "" | "-" | "." | "..");
    let signs = value.contains(['`', '"', '<', '>', '|', '*', '?', '[', ']', '\\', '#']);
    !address && !folder && !signs && value.len() <= 1000 && !value.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_without_signs_around_it() {
        let said = |value: &str| match read(value) {
            ReadPath::Path(path) => format!("path {path}"),
            ReadPath::Almost(path) => format!("almost {path}"),
            ReadPath::Unknown => "unknown".to_owned(),
        };
        assert_eq!(said("review.md"), "path review.md");
        assert_eq!(said("../parts/sign off.md"), "path ../parts/sign off.md");
        for almost in ["`review.md`", "\"review.md\"", "[Review](review.md)", "<review.md>"] {
            assert_eq!(said(almost), "almost review.md");
        }
        for unknown in ["https://example.org/review.md", "parts/", "-", "..", "*.md", "a.md#b"] {
            assert_eq!(said(unknown), "unknown", "{unknown}");
        }
        assert_eq!(right("[Review](review.md)"), Some("review.md".into()));
        assert_eq!(right("the review.md of ops"), None);
        assert_eq!(right("OAuth"), None);
    }
}
