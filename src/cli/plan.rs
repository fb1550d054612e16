//! `orderflow plan`.

use super::document::Document;
use super::exit::Exit;
use super::format::TableFormat;
use super::given::given;
use super::help::with_exits;
use super::settings::{Agent, McpServer, Reach, Settings};
use super::terminal::Terminal;
use super::trust::Trust;
use crate::diag::Source;
use crate::graph::Step;
use crate::view::plan::{self, Doer};
use std::path::PathBuf;

/// Show what a run would do
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow plan workflow.md                 inputs, items, steps, agents
  orderflow plan --format json workflow.md   the same for scripts

Steps of one stage do not wait for each other: they run in parallel.", &[Exit::Invalid]))]
pub struct Args {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let (document, graph, settings) = Document::open(&args.file, false, terminal)?;
    let trust = Trust::of(&args.file, &graph, &settings, terminal);
    let doer = |step| doer(step, &settings, &trust, &document.source);
    let doers: Vec<Doer> = graph.steps.iter().map(doer).collect();
    let mut given = given(&graph, &settings);
    for (_, child) in document.run_by(&graph) {
        for one in super::given::given(child, &settings) {
            given.extend(Some(one).filter(|one| !given.contains(one)));
        }
    }
    let text = match args.format {
        TableFormat::Table => plan::text(&graph, &doers, &given, terminal.width()),
        TableFormat::Json => plan::json(&graph, &doers, &given),
    };
    terminal.data(&text);
    terminal.finish()?;
    Ok(Exit::Ok)
}

/// The agent bound to the step, else the document's own program.
pub(super) fn doer(step: &Step, settings: &Settings, trust: &Trust, source: &Source) -> Doer {
    if let Some(path) = &step.document {
        return Doer::Document(path.clone());
    }
    match (settings.bound(step.agent.as_deref()), &step.program) {
        (Some((_, Agent { reach: Some(reach), .. })), _) => match reach {
            Reach::Command(command) => Doer::Command(command.clone()),
            Reach::Worker { command, processes } => {
                Doer::Worker { command: command.clone(), processes: *processes }
            }
            Reach::Container { image, command, network, .. } => {
                Doer::Container { image: image.clone(), command: command.clone(), network: *network }
            }
            Reach::Http { url, start, .. } => Doer::Http { url: url.to_string(), start: start.clone() },
            Reach::Mcp { server, tool } => {
                let server = match server {
                    McpServer::Program(command) => command.join(" "),
                    McpServer::Http { url, .. } => url.to_string(),
                };
                Doer::Mcp { server, tool: tool.clone() }
            }
            Reach::Model { name, provider, .. } => Doer::Model {
                name: name.clone(),
                url: provider.url.to_string(),
                priced: provider.price.is_some() || provider.reports_cost,
            },
            Reach::Coder(coder) => {
                let headless = coder.headless.is_some();
                let (command, allow) = (coder.command.clone(), coder.allow.clone());
                Doer::Coder { command, headless, work: coder.work, allow }
            }
        },
        (_, Some(program)) => Doer::Fence {
            language: program.language.value.clone(),
            line: source.position(program.language.span.start).line,
            granted: trust.allows(step),
        },
        (_, None) => Doer::Missing,
    }
}
