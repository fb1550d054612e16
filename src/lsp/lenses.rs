//! The commands that an editor shows above a document.

use super::EditedPage;
use crate::diag::Span;
use gen_lsp_types::{CodeLens, Command, Uri};
use serde_json::json;

/// The commands of the server with their titles, each for one document.
pub const COMMANDS: [(&str, &str); 3] = [
    ("orderflow.run", "Run"),
    ("orderflow.stub", "Run with stubs"),
    ("orderflow.openLastFailure", "Open the last failure"),
];

/// The commands above the title of a document, or above its first step.
pub fn lenses(page: &EditedPage<'_>, uri: &Uri) -> Vec<CodeLens> {
    let spec = page.spec;
    let first = spec.steps.iter().find(|step| !step.implied).map(|step| step.heading);
    let Some(first) = first else { return Vec::new() };
    let at = spec.title.as_ref().map_or(first, |title| title.span);
    let range = page.range(Span::new(at.start, at.start));
    let lens = |(command, title): (&str, &str)| CodeLens {
        range,
        command: Some(Command {
            title: title.to_owned(),
            tooltip: None,
            command: command.to_owned(),
            arguments: Some(vec![json!(uri)]),
        }),
        data: None,
    };
    COMMANDS.into_iter().map(lens).collect()
}
