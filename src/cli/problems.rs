//! The output formats for problems of documents.

use super::document::Document;
use super::terminal::Terminal;
use crate::diag::{Diagnostic, render};
use crate::view::problems::{self, Checked};

/// How problems are shown.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum ProblemFormat {
    /// Messages with their lines
    #[default]
    Human,
    /// A list of {file, line, column, end_line, end_column, severity, code, message, help}
    Json,
    /// Workflow commands that GitHub draws in a pull request
    Github,
    /// A code quality report
    Gitlab,
    /// A test suite for each document, a test for each step
    Junit,
    /// SARIF 2.1.0
    Sarif,
}

/// Shows the problems of documents on standard output; `fails` decides which of them make a test fail.
///
/// # Errors
/// When standard output cannot be written.
pub fn show(
    name: &str,
    documents: &[Document],
    form: ProblemFormat,
    fails: &dyn Fn(&Diagnostic) -> bool,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let checked: Vec<Checked> = documents
        .iter()
        .map(|document| Checked {
            source: &document.source,
            spec: &document.spec,
            problems: &document.problems,
        })
        .collect();
    let of = |checked: &Checked, colour| render::human(checked.source, checked.problems, colour);
    let text = match form {
        ProblemFormat::Human => checked.iter().map(|checked| of(checked, terminal.colour())).collect(),
        ProblemFormat::Json => {
            let problems: Vec<_> =
                checked.iter().flat_map(|checked| render::json(checked.source, checked.problems)).collect();
            render::visible_json(&serde_json::to_string_pretty(&problems)?) + "\n"
        }
        ProblemFormat::Github => problems::github(&checked),
        ProblemFormat::Gitlab => render::visible_json(&problems::gitlab(&checked)?),
        ProblemFormat::Junit => problems::junit(name, &checked, fails)?,
        ProblemFormat::Sarif => render::visible_json(&problems::sarif(&checked)?),
    };
    match form {
        ProblemFormat::Github => terminal.commands(&text),
        ProblemFormat::Human
        | ProblemFormat::Json
        | ProblemFormat::Gitlab
        | ProblemFormat::Junit
        | ProblemFormat::Sarif => terminal.data(&text),
    }
    terminal.finish()?;
    Ok(())
}
