//! `orderflow verify`.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::problems::{ProblemFormat, show};
use super::stats::expectations;
use super::terminal::Terminal;
use crate::diag::{Diagnostic, catalogue, render};
use crate::session::{self, Layout, Verified};
use crate::stats::{Dimension, Fold, Unknown};
use crate::value::words;
use crate::view::stats::found;
use std::path::PathBuf;

/// Check a document's recorded executions
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow verify workflow.md                  executions that cannot have been
  orderflow verify --format junit docs/*.md     for a build server
  orderflow verify --format github workflow.md  for a pull request

A difference is an execution that the workflow cannot have produced, or an expectation that is not met. A \
missing execution on which no other depends is only a note.", &[Exit::Failed, Exit::Invalid]))]
pub struct Args {
    /// Documents with recorded executions; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to show the differences
    #[arg(long, value_enum, default_value_t)]
    format: ProblemFormat,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    let mut unread = None;
    let mut documents = Vec::new();
    let mut sums = String::new();
    for file in &args.files {
        match Document::read(file) {
            Ok(mut document) => {
                exit = worst(exit, check(&mut document, &mut sums, terminal));
                documents.push(document);
            }
            // The other files are still shown.
            Err(error) => {
                terminal.error(&error);
                unread = Some(Exit::of(&error));
            }
        }
    }
    show("orderflow verify", &documents, args.format, &Diagnostic::is_error, terminal)?;
    if let ProblemFormat::Human = args.format {
        terminal.talk(&sums);
    }
    Ok(unread.unwrap_or(exit))
}

fn worst(one: Exit, other: Exit) -> Exit {
    if one.code() >= other.code() { one } else { other }
}

/// Verifies a valid document; its problems are then the differences. Sums them up in a line.
fn check(document: &mut Document, sums: &mut String, terminal: &mut Terminal) -> Exit {
    let Some(graph) = &document.graph else { return Exit::Invalid };
    let Verified { rows, items, mut differences } = session::verify(&document.source, &document.spec, graph);
    let name = render::visible(&document.source.name);
    if rows == 0 {
        let stop =
            Stop::new(Exit::Invalid, format!("{name} records no executions; there is nothing to verify"));
        terminal.error(&stop.help("executions are in `session-toon` fences below their steps").into());
        return Exit::Invalid;
    }
    differences.extend(unmet(document, graph));
    differences.sort_by_key(|difference| (difference.span, difference.severity));
    document.problems = differences;
    let different = document.problems.iter().filter(|problem| problem.is_error()).count();
    let found =
        if different == 0 { "no difference".to_owned() } else { words::count(different, "difference") };
    sums.push_str(&format!(
        "{name}: {} of {}, {found}\n",
        words::count(rows, "row"),
        words::count(items, "item")
    ));
    if different == 0 { Exit::Ok } else { Exit::Failed }
}

/// The document's expectations that its statistics do not meet.
fn unmet(document: &Document, graph: &crate::graph::Graph) -> Vec<Diagnostic> {
    let mut fold = Fold::new(vec![Dimension::Phase]);
    fold.document(&Layout::of(graph), &session::recorded(&document.source, &document.spec).rows);
    let unmet = expectations::claims(&document.spec, graph, &fold.finish()).into_iter();
    let unmet = unmet.filter_map(|(place, verdict)| match verdict {
        Ok(verdict) if !verdict.failed() => None,
        Ok(verdict) => Some(catalogue::unmet_expectation(place, &verdict.text(), &found(&verdict))),
        Err(Unknown { what, help, .. }) => Some(catalogue::unknown_figure(place, &what, &help)),
    });
    unmet.collect()
}
