//! `orderflow plan`.

use super::document::{Document, Workflow};
use super::exit::Exit;
use super::terminal::Terminal;
use crate::graph::Step;
use crate::view::plan::{self, Doer};
use std::path::PathBuf;

/// Show what a run would do, step by step; nothing is run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow plan workflow.md                    inputs, items, steps by stage and who does them
  orderflow plan --format json workflow.md      the same for scripts

The steps of one stage wait for no other of that stage: they run in parallel.

Exit codes: 0 shown, 3 invalid document, 74 a file could not be read")]
pub struct Args {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// A page for people
    #[default]
    Table,
    /// An object for scripts
    Json,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let workflow = Document::read(&args.file)?.sound(terminal)?;
    let doers: Vec<Doer> = workflow.graph.steps.iter().map(|step| doer(&workflow, step)).collect();
    let text = match args.format {
        Format::Table => plan::text(&workflow.graph, &doers, terminal.width()),
        Format::Json => plan::json(&workflow.graph, &doers),
    };
    terminal.data(&text);
    terminal.finish()?;
    Ok(Exit::Ok)
}

fn doer(workflow: &Workflow, step: &Step) -> Doer {
    match &step.program {
        Some(program) => Doer::Fence {
            language: program.language.value.clone(),
            line: workflow.source.position(program.language.span.start).line,
            granted: false,
        },
        None => Doer::Nobody,
    }
}
