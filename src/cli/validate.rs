//! `orderflow validate`.

use super::document::Document;
use super::exit::Exit;
use super::help::with_exits;
use super::problems::{Form, show};
use super::settings::{self, Looked};
use super::terminal::Terminal;
use crate::diag::{Diagnostic, render};
use crate::value::words;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show every problem of documents
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow validate workflow.md                every problem, with its lines
  orderflow validate --strict docs/*.md         warnings count as errors
  orderflow validate --format json workflow.md  for editors and scripts
  orderflow validate --format github docs/*.md  for a pull request
  generate-workflow | orderflow validate -      a document from standard input", &[Exit::Invalid]))]
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
    let (documents, unread) = read(&args.files, terminal);
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

/// The documents, and after them what is wrong with the settings that hold for them, told once. What cannot be read
/// is told at once, and the other files are still shown.
fn read(files: &[PathBuf], terminal: &mut Terminal) -> (Vec<Document>, Option<Exit>) {
    let (mut documents, mut unread) = (Vec::new(), None);
    let mut wrong: BTreeMap<String, Document> = BTreeMap::new();
    let mut untold = |error: &anyhow::Error| {
        terminal.error(error);
        unread = Some(Exit::of(error));
    };
    for file in files {
        match Document::read(file) {
            Ok(mut document) => {
                let looked = settings::look(file).unwrap_or_else(|error| {
                    untold(&error);
                    Looked::default()
                });
                document.lint(&looked.settings);
                documents.push(document);
                let file = looked.wrong.map(|(source, problems)| Document::settings(source, problems));
                wrong.extend(file.map(|file| (file.source.name.clone(), file)));
            }
            Err(error) => untold(&error),
        }
    }
    documents.extend(wrong.into_values());
    (documents, unread)
}

/// Says of sound documents that they are.
fn praise(documents: &[Document], terminal: &mut Terminal) {
    for document in documents.iter().filter(|document| document.problems.is_empty()) {
        let steps = words::count(document.spec.steps.len(), "step");
        let name = render::visible(&document.source.name);
        terminal.talk(&format!("{name}: {steps}, no problems\n"));
    }
}
