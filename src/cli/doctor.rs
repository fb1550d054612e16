//! `orderflow doctor` and `orderflow agents --probe`: whether the agents of a document are there.

use super::document::Document;
use super::exit::Exit;
use super::format::TableFormat;
use super::help::with_exits;
use super::run;
use super::terminal::Terminal;
use crate::adapter;
use crate::spec;
use crate::value::words;
use crate::view::agents::{self, Asked};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ask the agents of a document whether they are there
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow doctor workflow.md                  what is there, and what is not
  orderflow doctor --timeout 1m workflow.md     wait longer for an answer
  orderflow doctor --format json workflow.md    the same for scripts

No step is called. A worker is started and ended; a service gets a HEAD request; a provider lists its \
models; a coding agent and a server of tools are greeted, and the tools' arguments are compared with the steps' \
inputs; a container engine shows its version and the image. orderflow agents --probe is the same.", &[Exit::Failed, Exit::Invalid]))]
pub struct Args {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Wait so long for the answer of each agent
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// How to show the answers
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    spec::duration(text).ok_or_else(|| format!("`{text}` is not a duration; write 5s, 5m or 5h"))
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    probe(&args.file, args.timeout, args.format, terminal)
}

/// Asks the agents and shows what they answered.
pub(super) fn probe(
    file: &Path,
    timeout: Duration,
    format: TableFormat,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let (document, graph, settings) = Document::open(file, false, terminal)?;
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let probed = tokio.context("cannot start the runtime")?.block_on(async {
        adapter::adopt();
        let graphs =
            std::iter::once(&graph).chain(document.run_by(&graph).into_iter().map(|(_, child)| child));
        let probed = run::probe(&graphs.collect::<Vec<_>>(), &settings, timeout).await;
        // Processes that outlive the question are killed.
        let (stopper, mut stop) = adapter::Stop::new();
        stopper.ask(adapter::Urgency::Kill);
        adapter::sweep(&mut stop).await;
        probed
    })?;
    let asked = |run::Probed { agent, kind, presence }: run::Probed| Asked {
        agent,
        kind,
        answers: presence.answers,
        has: presence.has,
        missing: presence.missing.into_iter().map(|missing| (missing.what, missing.help)).collect(),
    };
    let asked: Vec<Asked> = probed.into_iter().map(asked).collect();
    terminal.data(&match format {
        TableFormat::Table => agents::presence_table(&asked, terminal.width()),
        TableFormat::Json => agents::presence_json(&asked),
    });
    let lacking = asked.iter().filter(|asked| !asked.missing.is_empty()).count();
    match lacking {
        0 => terminal.talk(&format!("{} there\n", words::count(asked.len(), "agent"))),
        lacking => terminal.talk(&format!("{lacking} of {} not there\n", words::count(asked.len(), "agent"))),
    }
    terminal.finish()?;
    Ok(if lacking == 0 { Exit::Ok } else { Exit::Failed })
}
