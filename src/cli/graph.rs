//! `orderflow graph`.

use super::document::Document;
use super::exit::Exit;
use super::help::with_exits;
use super::terminal::Terminal;
use crate::view;
use std::path::PathBuf;

/// Draw the dependencies of steps
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow graph workflow.md                   lines in the terminal
  orderflow graph --format mermaid workflow.md  a flowchart, as GitHub draws it
  orderflow graph --format json workflow.md     {steps, edges} for scripts

In the terminal: ○ a step, ● a critical one (!), ◌ an optional one (?), ◇ a failure handler, ↶ a \
compensation. Data flows along solid lines; dotted lines are an order without data.", &[Exit::Invalid]))]
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
    /// Steps and edges
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
