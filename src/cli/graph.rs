//! `orderflow graph`.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::runs::find;
use super::terminal::Terminal;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{EventKind, ItemEvent, ItemId};
use crate::history::History;
use crate::view;
use crate::view::graph::SequenceDiagram;
use std::path::PathBuf;
use std::sync::Arc;

/// Draw the dependencies of steps
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow graph workflow.md                   lines in the terminal
  orderflow graph --format mermaid workflow.md  a flowchart, as GitHub draws it
  orderflow graph --format json workflow.md     {steps, edges} for scripts
  orderflow graph --format sequence --run last --item 7
                                                what happened to an item, between its
                                                agents: a mermaid sequence diagram

In the terminal: ○ a step, ● a critical one (!), ◌ an optional one (?), ◇ a failure handler, ↶ a \
compensation. Data flows along solid lines; dotted lines are an order without data.", &[Exit::Failed, Exit::Invalid, Exit::Journal]))]
pub struct Args {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "run", conflicts_with = "run")]
    file: Option<PathBuf>,
    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// With --format sequence: last, the beginning of a run's name, or a run's folder
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// The item of the run [default: its only one]
    #[arg(long, value_name = "KEY", requires = "run")]
    item: Option<String>,
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
    /// A drawing as SVG
    Svg,
    /// A mermaid sequence diagram of what happened to an item of a run
    Sequence,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let drawing = match (args.format, &args.run, &args.file) {
        (Format::Sequence, Some(run), _) => sequence(run, args.item.as_deref())?,
        (Format::Sequence, None, _) => {
            let message = "--format sequence draws what happened in a run";
            return Err(Stop::new(Exit::Usage, message).help("name the run: --run last").into());
        }
        (format, None, Some(file)) => {
            let (_, graph, _) = Document::open(file, false, terminal)?;
            match format {
                Format::Text | Format::Sequence => view::graph::text(&graph),
                Format::Mermaid => view::graph::mermaid(&graph),
                Format::Json => view::graph::json(&graph),
                Format::Svg => view::graph::svg(&graph),
            }
        }
        (_, Some(_), _) | (_, None, None) => {
            let message = "--run is for --format sequence; the other drawings are of a document";
            return Err(Stop::new(Exit::Usage, message)
                .help("add --format sequence, or name a document")
                .into());
        }
    };
    terminal.data(&drawing);
    terminal.finish()?;
    Ok(Exit::Ok)
}

/// What happened to an item of a run.
fn sequence(run: &str, key: Option<&str>) -> anyhow::Result<String> {
    let history = History::open(&find::one(run)?)?;
    let redactor = Redactor::default().of_values(history.graph.secrets());
    let mut items: Vec<(ItemId, Arc<str>)> = Vec::new();
    history.events(|event| {
        redactor.learn(event);
        if let EventKind::Item(item, ItemEvent::Admitted { key: admitted, .. }) = &event.kind
            && key.is_none_or(|key| **admitted == *key)
            && items.len() < 2
        {
            items.push((*item, admitted.clone()));
        }
        Ok(())
    })?;
    let item = match (items.as_slice(), key) {
        ([], Some("run")) => ItemId::RUN,
        ([(item, _), ..], Some(_)) | ([(item, _)], None) => *item,
        ([], _) => {
            let message = match key {
                Some(key) => format!("the run has started no item with the key {}", visible(key)),
                None => "the run has started no item".to_owned(),
            };
            return Err(Stop::new(Exit::Invalid, message).into());
        }
        ([(_, first), ..], None) => {
            let help = format!("name one: --item {}", visible(first));
            return Err(Stop::new(Exit::Usage, "the run has several items").help(help).into());
        }
    };
    let mut diagram = SequenceDiagram::new(&history.graph, item);
    history.messages(item, |mut message| {
        redactor.shown_text(item, &mut message.text);
        diagram.hear(message);
        Ok(())
    })?;
    history.events(|event| {
        diagram.see(event);
        Ok(())
    })?;
    let mut text = diagram.text();
    redactor.shown_text(item, &mut text);
    Ok(text)
}
