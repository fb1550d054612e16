//! `orderflow validate`.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::fix::{FixedDocument, Fixing, fixable};
use super::help::with_exits;
use super::problems::{ProblemFormat, show};
use super::settings::{self, Looked};
use super::stream;
use super::terminal::Terminal;
use crate::diag::{Diagnostic, render};
use crate::value::words;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show every problem of documents
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow validate workflow.md                every problem, with its lines
  orderflow validate --strict docs/*.md         warnings count as errors
  orderflow validate --fix workflow.md          apply safe fixes, show the rest
  orderflow validate --diff --unsafe x.md       show all fixes as a patch
  orderflow validate --format json workflow.md  for editors and scripts
  orderflow validate --format github docs/*.md  for a pull request
  generate-workflow | orderflow validate -      a document from standard input", &[Exit::Invalid]))]
pub struct Args {
    /// Documents; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to show the problems
    #[arg(long, value_enum, default_value_t)]
    format: ProblemFormat,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// Apply safe fixes and write the documents
    #[arg(long, group = "fixing")]
    fix: bool,
    /// Show fixes as a patch; write nothing
    #[arg(long, group = "fixing")]
    diff: bool,
    /// With --fix or --diff: also fixes that are only likely
    #[arg(long = "unsafe", requires = "fixing")]
    likely: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let fixing = (args.fix || args.diff).then_some(Fixing { likely: args.likely, write: args.fix });
    let human = matches!(args.format, ProblemFormat::Human);
    // The fixed document is alone on standard output.
    let standard = args.fix && args.files.iter().any(|file| stream::is_standard(file));
    if standard && (!human || args.files.len() > 1) {
        let message = "a fixed document from standard input goes to standard output, which is taken";
        return Err(Stop::new(Exit::Usage, message).help("fix it alone, without --format").into());
    }
    let (documents, unread) = read(&args.files, fixing, human && !standard, terminal);
    let fails = |problem: &Diagnostic| args.strict || problem.is_error();
    if standard {
        let colour = terminal.talk_colour();
        let shown =
            documents.iter().map(|document| render::human(&document.source, &document.problems, colour));
        terminal.talk(&shown.collect::<String>());
    } else if !args.diff {
        show("orderflow validate", &documents, args.format, &fails, terminal)?;
    }
    if human && !args.diff {
        praise(&documents, terminal);
        advise(&documents, fixing, terminal);
    }
    terminal.finish()?;
    if let Some(exit) = unread {
        return Ok(exit);
    }
    let problems = || documents.iter().flat_map(|document| &document.problems);
    Ok(if problems().any(fails) { Exit::Invalid } else { Exit::Ok })
}

/// The documents, followed by the problems of their settings, each file once. Files that cannot be read or written are
/// reported at once, and the others are still shown.
fn read(
    files: &[PathBuf],
    fixing: Option<Fixing>,
    human: bool,
    terminal: &mut Terminal,
) -> (Vec<Document>, Option<Exit>) {
    let (mut documents, mut unread) = (Vec::<Document>::new(), None);
    let mut children: Vec<Document> = Vec::new();
    let mut wrong: BTreeMap<String, Document> = BTreeMap::new();
    for file in files {
        let mut failed = |error: &anyhow::Error, terminal: &mut Terminal| {
            terminal.error(error);
            unread = Some(Exit::of(error));
        };
        let mut document = match Document::read(file) {
            Ok(document) => document,
            Err(error) => {
                failed(&error, terminal);
                continue;
            }
        };
        let looked = settings::look(file).unwrap_or_else(|error| {
            failed(&error, terminal);
            Looked::default()
        });
        document.lint(&looked.settings);
        documents.push(match fixing {
            None => document,
            Some(Fixing { likely, write }) => {
                let problems = document.problems.clone();
                let mut fixed = FixedDocument::of(document, &looked.settings, likely);
                report(&fixed, write, human, terminal);
                if !write {
                    // Nothing is written, so the document is unchanged.
                    fixed.document.problems = problems;
                } else if let Err(error) = fixed.write(file) {
                    failed(&error, terminal);
                }
                fixed.document
            }
        });
        let adopted = documents.last_mut().map(|document| std::mem::take(&mut document.children));
        children.extend(adopted.into_iter().flat_map(|adopted| adopted.0));
        let file = looked.wrong.map(|(source, problems)| Document::settings(source, problems));
        wrong.extend(file.map(|file| (file.source.name.clone(), file)));
    }
    for child in children {
        if !documents.iter().any(|known| known.source.name == child.source.name) {
            documents.push(child);
        }
    }
    documents.extend(wrong.into_values());
    (documents, unread)
}

/// Shows the changes of fixes: as data for people, else beside the data.
fn report(fixed: &FixedDocument, write: bool, human: bool, terminal: &mut Terminal) {
    if fixed.count == 0 {
        return;
    }
    let difference = fixed.difference();
    if human || !write {
        terminal.data(&difference);
    } else {
        terminal.talk(&difference);
    }
    let problems = words::count(fixed.count, "problem");
    let verb = if write { "fixed" } else { "can be fixed" };
    let name = render::visible(&fixed.document.source.name);
    terminal.talk(&format!("{name}: {problems} {verb}\n"));
}

/// Shows how many problems can be fixed.
fn advise(documents: &[Document], fixing: Option<Fixing>, terminal: &mut Terminal) {
    let (safe, all) = fixable(documents.iter().flat_map(|document| &document.problems));
    let (count, how) = match fixing {
        None if safe > 0 => (safe, "--fix"),
        None | Some(Fixing { likely: false, .. }) if all > 0 => {
            (all, "--fix --unsafe, which shows the changes")
        }
        _ => return,
    };
    let problems = words::count(count, "problem");
    terminal.talk(&format!("{problems} can be fixed with {how}\n"));
}

/// Shows which documents are valid.
fn praise(documents: &[Document], terminal: &mut Terminal) {
    for document in documents.iter().filter(|document| document.problems.is_empty()) {
        let steps = words::count(document.spec.steps.iter().filter(|step| !step.implied).count(), "step");
        let name = render::visible(&document.source.name);
        terminal.talk(&format!("{name}: {steps}, no problems\n"));
    }
}
