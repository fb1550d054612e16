//! `orderflow agents`: which agents run which steps; with `--check`, whether a program works as an agent.

use super::doctor::{self, duration};
use super::document::Document;
use super::exit::Exit;
use super::format::TableFormat;
use super::help::with_exits;
use super::plan::doer;
use super::settings::Settings;
use super::terminal::Terminal;
use super::trust::Trust;
use crate::adapter::program::Program;
use crate::adapter::{
    self,
    check::{self, Finding},
};
use crate::diag::Source;
use crate::diag::render::visible;
use crate::disk;
use crate::graph::Graph;
use crate::view::agents::{self, Binding};
use anyhow::Context;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Show which agent does which steps, or check an agent
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow agents workflow.md                       who does which steps
  orderflow agents --format json workflow.md         the same for scripts
  orderflow agents --probe workflow.md               whether they are there
  orderflow agents --check 'python3 pay.py'          test pay.py as a worker
  orderflow agents --check -- python3 'my agent.py'  the same, word by word
  orderflow agents --process --check 'sh writer.sh'  a program for each attempt

--check starts the program in the current folder, with the environment of a run, and calls it for a step \
named OrderflowCheck, without inputs. It checks only what every agent must do. An agent that ignores its \
step and inputs would do its work.", &[Exit::Failed, Exit::Invalid]))]
pub struct Args {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "check", conflicts_with = "check")]
    file: Option<PathBuf>,
    /// Ask the agents of the document whether they are there, as orderflow doctor
    #[arg(long, conflicts_with = "check", requires = "file")]
    probe: bool,
    /// With --probe: wait so long for the answer of each agent
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, requires = "probe")]
    timeout: Duration,
    /// Check a program: words separated by spaces, or all words after `--`
    #[arg(long, value_name = "CMD", num_args = 0..=1)]
    check: Option<Option<String>>,
    /// With --check: start the program for every attempt, not as a worker
    #[arg(long, requires = "check", conflicts_with = "file")]
    process: bool,
    /// With --check: fail if an answer takes longer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    within: Duration,
    /// With --check: the program and its arguments
    #[arg(last = true, value_name = "CMD", requires = "check", conflicts_with = "file")]
    command: Vec<String>,
    /// How to show the agents of a document
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let exit = match (&args.check, &args.file) {
        (Some(words), _) => {
            let words = words.iter().flat_map(|words| words.split_whitespace()).map(str::to_owned);
            let command: Vec<String> = words.chain(args.command.iter().cloned()).collect();
            test(&args, command, terminal)?
        }
        (None, Some(file)) if args.probe => return doctor::probe(file, args.timeout, args.format, terminal),
        (None, Some(file)) => {
            let (document, graph, settings) = Document::open(file, false, terminal)?;
            let trust = Trust::of(file, &graph, &settings, terminal);
            let mut bindings = bindings(&graph, &settings, &trust, &document.source);
            for (child, graph) in document.run_by(&graph) {
                let trust = Trust::of(child.path(), graph, &settings, terminal);
                bindings.extend(self::bindings(graph, &settings, &trust, &child.source));
            }
            terminal.data(&match args.format {
                TableFormat::Table => agents::table_of(&bindings, terminal.width()),
                TableFormat::Json => agents::json(&bindings),
            });
            Exit::Ok
        }
        (None, None) => Exit::Usage,
    };
    terminal.finish()?;
    Ok(exit)
}

/// The agents of the steps, in the order in which the document names them.
fn bindings(graph: &Graph, settings: &Settings, trust: &Trust, source: &Source) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for (id, step) in graph.ids().zip(&graph.steps) {
        if !graph.is_used(id) {
            continue;
        }
        let doer = doer(step, settings, trust, source);
        let same = |binding: &&mut Binding| binding.agent == step.agent && binding.doer == doer;
        if let Some(binding) = bindings.iter_mut().find(same) {
            binding.steps.push(step.phase.clone());
            continue;
        }
        let known = step.agent.as_ref().and_then(|agent| settings.agents.get(agent));
        let agent = known.cloned().unwrap_or_default();
        bindings.push(Binding {
            agent: step.agent.clone(),
            doer,
            steps: vec![step.phase.clone()],
            concurrency: agent.concurrency,
            effects: agent.effects.any(),
            env: agent.env,
            secrets: agent.secrets.into_iter().map(|secret| secret.name).collect(),
            idempotent: agent.idempotent.unwrap_or(false),
        });
    }
    bindings
}

/// Tests a program and shows every finding.
fn test(args: &Args, command: Vec<String>, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    if command.is_empty() {
        terminal.talk(
            "error: --check needs a program: --check 'python3 agent.py', or --check -- python3 agent.py\n",
        );
        return Ok(Exit::Usage);
    }
    let folder = std::env::current_dir().context("cannot read the current folder")?;
    let files = disk::temporary().context("cannot make a folder for the check")?;
    let program = Program { command, folder, env: super::run::environment(&[]) };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let findings = tokio.context("cannot start the runtime")?.block_on(async {
        adapter::adopt();
        let findings = match args.process {
            true => check::process(&program, files.path(), args.within).await,
            false => check::worker(&program, files.path(), args.within).await,
        };
        // Processes that outlive their program are killed.
        let (stopper, mut stop) = adapter::Stop::new();
        stopper.ask(adapter::Urgency::Kill);
        adapter::sweep(&mut stop).await;
        findings
    });
    terminal.data(&findings_text(&findings));
    let failed = findings.iter().filter(|finding| !finding.passed).count();
    match failed {
        0 => terminal.talk(&format!("{} checks passed\n", findings.len())),
        failed => terminal.talk(&format!("{failed} of {} checks failed\n", findings.len())),
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
}

fn findings_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { must, did, passed } in findings {
        let mark = if *passed { "ok  " } else { "FAIL" };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{mark}  {must}: {}", visible(did));
    }
    text
}
