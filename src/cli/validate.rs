//! `orderflow validate`.

use super::document::Document;
use super::exit::Exit;
use super::problems::{Form, show};
use super::settings::{self, Settings};
use super::terminal::Terminal;
use crate::diag::{Diagnostic, render};
use crate::graph::Graph;
use std::path::PathBuf;

/// Show every problem of documents at once; nothing is run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow validate workflow.md                     every problem, drawn at its place
  orderflow validate --strict docs/*.md              warnings count as errors
  orderflow validate --format json workflow.md       for editors and scripts
  orderflow validate --format github docs/*.md       for a pull request; also gitlab, junit, sarif
  generate-workflow | orderflow validate -           a document from standard input

Exit codes: 0 no error, 3 at least one error (with --strict: or warning), 74 a file could not be read")]
pub struct Args {
    /// Documents; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to show the problems
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut unread = None;
    let mut documents = Vec::new();
    for file in &args.files {
        match Document::read(file) {
            Ok(mut document) => {
                let compensates = document.graph.as_ref().is_some_and(Graph::compensates);
                let asks = !document.spec.front.secrets.is_empty();
                // What the operator says of agents matters to nothing else here.
                let matters = compensates || asks;
                let settings = if matters { settings::load(file, terminal) } else { Ok(Settings::default()) };
                document.lint(&settings.unwrap_or_else(|error| {
                    terminal.error(&error);
                    unread = Some(Exit::of(&error));
                    Settings::default()
                }));
                documents.push(document);
            }
            // The other files are still shown.
            Err(error) => {
                terminal.error(&error);
                unread = Some(Exit::of(&error));
            }
        }
    }
    let fails = |problem: &Diagnostic| args.strict || problem.is_error();
    show("orderflow validate", &documents, args.format, &fails, terminal)?;
    if let Form::Human = args.format {
        praise(&documents, terminal);
    }
    if let Some(exit) = unread {
        return Ok(exit);
    }
    let problems = || documents.iter().flat_map(|document| &document.problems);
    Ok(if problems().any(fails) { Exit::Invalid } else { Exit::Ok })
}

/// Says of sound documents that they are.
fn praise(documents: &[Document], terminal: &mut Terminal) {
    for document in documents.iter().filter(|document| document.problems.is_empty()) {
        let steps = document.spec.steps.len();
        let plural = if steps == 1 { "" } else { "s" };
        let name = render::visible(&document.source.name);
        terminal.talk(&format!("{name}: {steps} step{plural}, no problems\n"));
    }
}
