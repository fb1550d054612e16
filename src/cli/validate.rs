//! `orderflow validate`.

use super::document::Document;
use super::exit::Exit;
use super::terminal::Terminal;
use crate::diag::render;
use std::path::PathBuf;

/// Show every problem of documents at once; nothing is run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow validate workflow.md                     every problem, drawn at its place
  orderflow validate --strict docs/*.md              warnings count as errors
  orderflow validate --format json workflow.md       for editors and scripts
  generate-workflow | orderflow validate -           a document from standard input

Exit codes: 0 no error, 3 at least one error (with --strict: or warning), 74 a file could not be read")]
pub struct Args {
    /// Documents; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to show the problems
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// With the lines that they stand in
    #[default]
    Human,
    /// A list of {file, line, column, end_line, end_column, severity, code, message, help}
    Json,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut unread = None;
    let mut documents = Vec::new();
    for file in &args.files {
        match Document::read(file) {
            Ok(document) => documents.push(document),
            // The other files are still shown.
            Err(error) => {
                terminal.error(&error);
                unread = Some(Exit::of(&error));
            }
        }
    }
    match args.format {
        Format::Human => human(&documents, terminal),
        Format::Json => json(&documents, terminal)?,
    }
    terminal.finish()?;
    if let Some(exit) = unread {
        return Ok(exit);
    }
    let fails =
        |document: &Document| document.problems.iter().any(|problem| args.strict || problem.is_error());
    Ok(if documents.iter().any(fails) { Exit::Invalid } else { Exit::Ok })
}

fn human(documents: &[Document], terminal: &mut Terminal) {
    for document in documents {
        let colour = terminal.colour();
        terminal.data(&render::human(&document.source, &document.problems, colour));
        if document.problems.is_empty() {
            let steps = document.spec.steps.len();
            let plural = if steps == 1 { "" } else { "s" };
            let name = render::visible(&document.source.name);
            terminal.talk(&format!("{name}: {steps} step{plural}, no problems\n"));
        }
    }
}

fn json(documents: &[Document], terminal: &mut Terminal) -> anyhow::Result<()> {
    let problems: Vec<_> =
        documents.iter().flat_map(|document| render::json(&document.source, &document.problems)).collect();
    terminal.data(&format!("{}\n", serde_json::to_string_pretty(&problems)?));
    Ok(())
}
