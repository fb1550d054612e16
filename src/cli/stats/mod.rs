//! `orderflow stats`.

pub mod expectations;
mod inputs;

use super::exit::Exit;
use super::terminal::Terminal;
use crate::cli::help::with_exits;
use crate::diag::render::{visible, visible_json};
use crate::spec::Expectation;
use crate::stats::{self, Dimension, Fold, Threshold};
use crate::toon;
use crate::value::{Decimal, Object, Value};
use crate::view::stats::Report;
use expectations::Expected;
use inputs::Inputs;
use std::path::PathBuf;
use std::time::Duration;

/// Show statistics of recorded runs
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow stats session.toon                    the last run, step by step
  orderflow stats workflow.md                     executions in a document
  orderflow stats --by agent,status session.toon  grouped by agent and outcome
  orderflow stats --format json session.toon      for scripts
  orderflow stats --format markdown session.toon  for a pull request
  orderflow stats monday.toon tuesday.toon        several runs together
  zcat old.toon.gz | orderflow stats -            from standard input
  orderflow stats session.toon --expect \"'Pay'.p95 < 2s, errors < 1%\"
                                                  exit with 1 if that is not met
  orderflow stats new.toon --baseline old.toon --threshold 10%
                                                  exit with 1 if p95 or success
                                                  is worse by more than 10%

Percentiles are exact up to 100,000 executions of a group. Above that they are estimates, marked with ≈, \
never too low and at most 0.1 % too high.

--threshold ignores times of few executions and small differences: see --min-executions and \
--min-difference. It always compares success rates. If nothing can be compared, the exit code is 3.

Expectations compare count, errors, success, mean, p50, p95, p99, max, tokens, saved or any numeric column, \
of a step ('Step Title'.p95) or of all executions. In a document they are quotes: > [!expect] p95 < 2s", &[Exit::Failed, Exit::Invalid]))]
pub struct Args {
    /// Session files, or documents (.md) with recorded executions; `-` is a session on standard input
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<PathBuf>,
    /// Group by these
    #[arg(long, value_enum, value_delimiter = ',', default_value = "step")]
    by: Vec<By>,
    /// Check these expectations, separated by commas; repeatable
    #[arg(long, value_name = "EXPECTATION", value_parser = expectations::expected)]
    expect: Vec<Expected>,
    /// Compare with this record, step by step
    #[arg(long, value_name = "SESSION")]
    baseline: Option<PathBuf>,
    /// Exit with 1 if p95 or the success rate of a step is worse than the baseline by more than this
    #[arg(long, value_name = "PERCENT", requires = "baseline", value_parser = expectations::threshold)]
    threshold: Option<Decimal>,
    /// Ignore the p95 of steps with fewer executions on either side
    #[arg(long, value_name = "COUNT", requires = "threshold", default_value_t = 5)]
    min_executions: u64,
    /// Ignore smaller differences of p95
    #[arg(long, value_name = "DURATION", requires = "threshold", default_value = "50ms", value_parser = super::run::duration)]
    min_difference: Duration,
    /// How to show the statistics
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Step,
    Agent,
    Channel,
    Status,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// Aligned columns and a summary of the run
    #[default]
    Table,
    /// All figures; times in milliseconds
    Json,
    /// One row for each group
    Csv,
    /// The same as json, in TOON
    Toon,
    /// Tables for a pull request; all names are code spans
    Markdown,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut fold = Fold::new(dimensions(&args.by)).judged();
    let now = Inputs::read(&args.sessions, &mut fold, terminal);
    let old = match &args.baseline {
        Some(baseline) => {
            let mut fold = Fold::new(vec![Dimension::Phase]);
            Some((Inputs::read(std::slice::from_ref(baseline), &mut fold, terminal), fold))
        }
        None => None,
    };
    let now = now?;
    let old = old.map(|(read, fold)| read.map(|read| (read, fold))).transpose()?;
    if !now.sound || old.as_ref().is_some_and(|(read, _)| !read.sound) {
        return Ok(Exit::Invalid);
    }
    let (stats, judged) = fold.finish_judged();
    let expected: Vec<Expectation> = args.expect.into_iter().flat_map(|list| list.0).collect();
    let Some(verdicts) = now.verdicts(&expected, &judged, &stats.run, terminal) else {
        return Ok(Exit::Invalid);
    };
    let threshold = args.threshold.map(|percent| Threshold {
        percent,
        executions: args.min_executions,
        milliseconds: u64::try_from(args.min_difference.as_millis()).unwrap_or(u64::MAX).into(),
    });
    let changes = old.map(|(_, old)| stats::changes(&old.finish().groups, &judged.steps, threshold.as_ref()));
    let baseline = args.baseline.as_ref().map(|path| path.display().to_string());
    let report = Report {
        stats: &stats,
        changes: changes.as_ref().map(|changes| changes.all.as_slice()),
        baseline: baseline.as_deref().unwrap_or_default(),
        expectations: &verdicts,
    };
    show(&report, args.format, terminal)?;
    expectations::exit(&report, threshold.as_ref().zip(changes.as_ref()), terminal)
}

fn dimensions(by: &[By]) -> Vec<Dimension> {
    let mut dimensions = Vec::new();
    for by in by {
        let dimension = match by {
            By::Step => Dimension::Phase,
            By::Agent => Dimension::Agent,
            By::Channel => Dimension::Channel,
            By::Status => Dimension::Status,
        };
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    dimensions
}

fn show(report: &Report, format: Format, terminal: &mut Terminal) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => report.table(terminal.width()),
        Format::Json => visible_json(&serde_json::to_string_pretty(report)?) + "\n",
        Format::Csv => report.csv()?,
        Format::Toon => toon::write::document(&shown(serde_json::to_value(report)?))? + "\n",
        Format::Markdown => report.markdown(),
    };
    terminal.data(&text);
    terminal.finish()?;
    Ok(())
}

/// A value without characters that a terminal would obey, for a form that has no escapes for them.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => visible(&text).into(),
        Value::Array(all) => all.into_iter().map(shown).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(name, value)| (visible(&name), shown(value))).collect::<Object>().into()
        }
        other => other,
    }
}
