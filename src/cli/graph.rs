//! `orderflow graph`.

use super::document::Document;
use super::exit::Exit;
use super::terminal::Terminal;
use crate::view;
use std::path::PathBuf;

/// Draw what depends on what; nothing is run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  orderflow graph workflow.md                          lines in the terminal
  orderflow graph --format mermaid workflow.md         a flowchart, as GitHub renders it
  orderflow graph --format json workflow.md            {steps, edges} for scripts

In the terminal: ○ a step, ● a critical one (!), ◌ an optional one (?), ◇ a failure handler,
↶ a step that undoes another.
Data flows along solid lines; dotted ones are an order without data.

Exit codes: 0 drawn, 3 invalid document, 74 the file could not be read")]
pub struct Args {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// Lines in the terminal
    #[default]
    Text,
    /// A mermaid flowchart
    Mermaid,
    /// Steps and edges, an edge from phase to phase
    Json,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let (_, graph, _) = Document::open(&args.file, false, terminal)?;
    let draw = match args.format {
        Format::Text => view::graph::text,
        Format::Mermaid => view::graph::mermaid,
        Format::Json => view::graph::json,
    };
    terminal.data(&draw(&graph));
    terminal.finish()?;
    Ok(Exit::Ok)
}
