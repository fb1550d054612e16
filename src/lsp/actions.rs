//! The fixes of problems as an editor offers them, and all safe ones at once.

use super::{EditedPage, report};
use crate::diag::{Diagnostic, Fix, Replacement, Source, Span, fix};
use crate::value::words::excerpt;
use gen_lsp_types::{CodeAction, CodeActionKind, TextEdit, Uri, WorkspaceEdit};
use std::collections::HashMap;

/// The changes for problems in a part of the document.
pub fn actions(page: &EditedPage<'_>, part: Span, uri: &Uri) -> Vec<CodeAction> {
    let touches = |problem: &&Diagnostic| problem.span.start <= part.end && part.start <= problem.span.end;
    let stored = stored(page);
    let mut actions = Vec::new();
    for problem in page.problems.iter().filter(touches) {
        for (at, one) in problem.fixes.iter().enumerate() {
            let fits = |change: &Replacement| {
                let part = page.source.text.get(change.span.start..change.span.end);
                let is_stored =
                    stored.iter().any(|row| row.start < change.span.end && change.span.start < row.end);
                part.is_some() && !is_stored
            };
            if one.replacements.is_empty() || !one.replacements.iter().all(fits) {
                continue;
            }
            let diagnostics = report(page.source, page.places, std::slice::from_ref(problem), uri);
            actions.push(CodeAction {
                title: title(page.source, one),
                kind: Some(CodeActionKind::QuickFix),
                diagnostics: Some(diagnostics),
                is_preferred: Some(at == 0 && one.safe),
                edit: Some(edit(page, &one.replacements, uri)),
                ..CodeAction::default()
            });
        }
    }
    actions.extend(all(page, &stored, uri));
    actions
}

/// The recorded executions, in which nothing is fixed.
fn stored(page: &EditedPage<'_>) -> Vec<Span> {
    let traces = page.spec.steps.iter().flat_map(|step| &step.traces);
    traces.map(|trace| trace.content).collect()
}

/// All safe fixes, as `orderflow validate --fix` applies them.
fn all(page: &EditedPage<'_>, stored: &[Span], uri: &Uri) -> Option<CodeAction> {
    let chosen = fix::chosen(&page.source.text, page.problems, false, stored);
    let changes: Vec<Replacement> = chosen.iter().flat_map(|fix| &fix.replacements).cloned().collect();
    (!changes.is_empty()).then(|| CodeAction {
        title: "Apply all safe fixes".to_owned(),
        kind: Some(CodeActionKind::SourceFixAll),
        edit: Some(edit(page, &changes, uri)),
        ..CodeAction::default()
    })
}

fn edit(page: &EditedPage<'_>, changes: &[Replacement], uri: &Uri) -> WorkspaceEdit {
    let windows = page.source.text.contains("\r\n");
    let edit = |change: &Replacement| TextEdit {
        range: page.range(change.span),
        new_text: if windows { change.text.replace('\n', "\r\n") } else { change.text.clone() },
    };
    let edits = changes.iter().map(edit).collect();
    WorkspaceEdit { changes: Some(HashMap::from([(uri.clone(), edits)])), ..WorkspaceEdit::default() }
}

/// What a fix does, on one line.
fn title(source: &Source, fix: &Fix) -> String {
    let [only] = fix.replacements.as_slice() else {
        return format!("Change {} places", fix.replacements.len());
    };
    let quoted =
        |text: &str| format!("`{}`", excerpt(&text.split_whitespace().collect::<Vec<_>>().join(" ")));
    match (source.slice(only.span), only.text.as_str()) {
        ("", new) => format!("Insert {}", quoted(new)),
        (old, "") => format!("Remove {}", quoted(old)),
        (old, new) => format!("Replace {} by {}", quoted(old), quoted(new)),
    }
}
