//! `orderflow graph`.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::runs::find;
use super::terminal::Terminal;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{AttemptEvent, EventKind, ItemEvent, ItemId, StepPath};
use crate::history::History;
use crate::runtime;
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
    #[arg(value_name = "FILE")]
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
        (_, Some(_), Some(_)) => {
            let message = "a drawing is of a document or of a run, and both are named";
            let help = "leave one of them out, as in orderflow graph --format sequence --run last";
            return Err(Stop::new(Exit::Usage, message).help(help).into());
        }
        (Format::Text | Format::Mermaid | Format::Json | Format::Svg, None, None) => {
            let message = "no document is named";
            return Err(Stop::new(Exit::Usage, message)
                .help("name it, as in orderflow graph workflow.md")
                .into());
        }
        (Format::Sequence, Some(run), _) => sequence(run, args.item.as_deref())?,
        (Format::Sequence, None, _) => {
            let message = "--format sequence draws what happened in a run";
            let help = "name the run: orderflow graph --format sequence --run last";
            return Err(Stop::new(Exit::Usage, message).help(help).into());
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
        (_, Some(_), None) => {
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
    let key = items.first().map_or("run", |(_, key)| key).to_owned();
    let mut diagram = SequenceDiagram::new(&history.graph, item);
    draw(&history, (item, &key), Part::Whole, &redactor, &mut diagram)?;
    let mut text = diagram.text();
    redactor.shown_text(item, &mut text);
    Ok(text)
}

/// How much of a run is drawn: of a document's run, what it did first, or how it was compensated by the outer run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    BeforeRevoked,
    Revoked,
}

/// How deep documents are drawn within each other.
const DEEPEST: usize = 20;

/// Draws what happened to an item, with the runs of documents in it.
fn draw(
    history: &History,
    (item, key): (ItemId, &str),
    part: Part,
    redactor: &Redactor,
    diagram: &mut SequenceDiagram<'_>,
) -> anyhow::Result<()> {
    let graph = &history.graph;
    history.messages(item, |mut message| {
        redactor.shown_text(item, &mut message.text);
        diagram.hear(message);
        Ok(())
    })?;
    let folder = runtime::folder_name(item, key);
    let depth = history.home().components().filter(|part| part.as_os_str() == "children").count();
    let mut revoked = false;
    // The runs of documents that no compensation has reached.
    let mut begun: Vec<(StepPath, u32)> = Vec::new();
    history.events(|event| {
        revoked |= matches!(&event.kind, EventKind::Item(of, ItemEvent::Revoked { .. }) if *of == item);
        if part == Part::BeforeRevoked && revoked || part == Part::Revoked && !revoked {
            return Ok(());
        }
        if let EventKind::Attempt(of, path, number, AttemptEvent::Finished(_)) = &event.kind
            && *of == item
            && depth < DEEPEST
            && let Some(document) = &graph.step(path.step).document
        {
            let revokes = graph.step(path.step).revokes;
            let of = if revokes { graph.compensated_by(path.step).unwrap_or(path.step) } else { path.step };
            let runs = runtime::nested_runs(history.home(), &folder, &graph.step(of).phase).into_iter();
            let attempts: Vec<u32> = match revokes {
                true => {
                    let is_own =
                        |known: &(StepPath, u32)| known.0.step == of && known.0.element == path.element;
                    begun.extract_if(.., |known| is_own(known)).map(|(_, attempt)| attempt).collect()
                }
                false => {
                    begun.push((*path, *number));
                    vec![*number]
                }
            };
            let own = runs.filter(|run| run.element == path.element && attempts.contains(&run.attempt));
            let part = if revokes { Part::Revoked } else { Part::BeforeRevoked };
            for run in own {
                // A run that did not begin has nothing to draw.
                let Ok(child) = History::open(&run.home) else { continue };
                diagram.within((*path, *number, document), &child.graph, |inner| {
                    draw(&child, (ItemId(0), key), part, redactor, inner)
                })?;
            }
        }
        diagram.see(event);
        Ok(())
    })
}
