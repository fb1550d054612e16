//! `orderflow test`.

use super::document::Document;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::terminal::Terminal;
use crate::cases::{self, Case, CaseOutcome, Coverage};
use crate::diag::render::{self, visible};
use crate::diag::{Diagnostic, Source, catalogue, nearest};
use crate::disk::Named;
use crate::graph::Graph;
use crate::spec::{self, Spec};
use crate::value::words;
use crate::view::cases::{self as view, TestedDocument, TriedCase};
use crate::view::problems::{self, Checked};
use anyhow::Context;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The end of the name of a file with cases.
const CASES: &str = ".test.toml";

/// Test documents with cases, without agents
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow test workflow.md                 all cases, and what they cover
  orderflow test workflows/*.md              several documents
  orderflow test flow.md --case 'no stock'   one case
  orderflow test --format junit flow.md      for a build server
  orderflow test --format github flow.md     for a pull request
  orderflow test --min-coverage 90% flow.md  fail if less is covered

The cases of workflow.md are in workflow.test.toml beside it, and in its fences \"toml test\". A case has the inputs of an item, the answers of agents and people, the events that come, and what is expected.

No agent is called and nothing is stored. Timeouts, backoff, gates and events happen in a time of their own, which takes no real time.", &[Exit::Failed, Exit::Invalid]))]
pub struct Args {
    /// Documents, or files with cases of documents
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run only the case with this name; repeatable
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// How to show the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Exit with 1 if a smaller share of a document's steps, decisions and compensations is covered
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    min_coverage: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// A table of the cases, what was not met, and what is covered
    #[default]
    Table,
    /// A list of {document, cases, coverage}
    Json,
    /// A test suite for each document, a test for each case
    Junit,
    /// Annotations in a pull request
    Github,
}

/// A document with its cases, each with its place among the sources.
struct Suite {
    name: String,
    graph: Arc<Graph>,
    sources: Vec<Source>,
    cases: Vec<(usize, Case)>,
}

/// A text that is not valid, with its problems.
type Faulty = (Source, Vec<Diagnostic>);

/// What came of a suite.
struct SuiteResult {
    outcomes: Vec<(CaseOutcome, Vec<Diagnostic>)>,
    coverage: Coverage,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut invalid: Vec<Faulty> = Vec::new();
    for file in &args.files {
        let path = document_of(file);
        if suites.iter().any(|known| Path::new(&known.name) == path) {
            continue;
        }
        match suite(&path)? {
            Ok(suite) => suites.push(suite),
            Err(faulty) => invalid.extend(faulty),
        }
    }
    if !invalid.is_empty() {
        complain(&invalid, args.format, terminal)?;
        return Err(Stop::new(Exit::Invalid, "cases or documents are not valid; no case was run").into());
    }
    choose(&mut suites, &args.cases)?;
    let results: Vec<SuiteResult> = suites.iter().map(tried).collect();
    let tested: Vec<TestedDocument> = suites.iter().zip(&results).map(shown).collect();
    match args.format {
        Format::Table => {
            let drawn = tested.iter().map(|one| view::text(one, terminal.colour(), terminal.width()));
            terminal.data(&drawn.collect::<Vec<_>>().join("\n"));
        }
        Format::Json => terminal.data(&view::json(&tested)?),
        Format::Junit => terminal.data(&view::junit(&tested)?),
        Format::Github => {
            let spec = Spec::default();
            let cases = tested.iter().flat_map(|one| &one.cases);
            let checked =
                cases.map(|case| Checked { source: case.source, spec: &spec, problems: case.unmet });
            terminal.commands(&problems::github(&checked.collect::<Vec<_>>()));
        }
    }
    terminal.finish()?;
    let failed = tested.iter().flat_map(|one| &one.cases).filter(|case| !case.unmet.is_empty()).count();
    let all: usize = tested.iter().map(|one| one.cases.len()).sum();
    let result = if failed == 0 { "all passed".to_owned() } else { format!("{failed} failed") };
    terminal.talk(&format!("{}: {result}\n", words::count(all, "case")));
    let low = args.min_coverage.is_some_and(|least| too_low(&tested, least, terminal));
    Ok(if failed > 0 || low { Exit::Failed } else { Exit::Ok })
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<u8>().ok();
    number.filter(|number| *number <= 100).ok_or_else(|| "write a percentage, such as 90%".to_owned())
}

/// The document whose cases a file has.
fn document_of(file: &Path) -> PathBuf {
    let name = file.to_string_lossy();
    name.strip_suffix(CASES).map_or_else(|| file.to_owned(), |stem| PathBuf::from(format!("{stem}.md")))
}

/// Shows the problems of texts that are not valid.
fn complain(invalid: &[Faulty], format: Format, terminal: &mut Terminal) -> anyhow::Result<()> {
    let (spec, colour) = (Spec::default(), terminal.talk_colour());
    let checked = invalid.iter().map(|(source, problems)| Checked { source, spec: &spec, problems });
    match format {
        Format::Github => terminal.commands(&problems::github(&checked.collect::<Vec<_>>())),
        Format::Table | Format::Json | Format::Junit => {
            let drawn = checked.map(|one| render::human(one.source, one.problems, colour));
            terminal.talk(&drawn.collect::<String>());
        }
    }
    Ok(terminal.finish()?)
}

/// Reads a document and its cases, or the problems of the texts that are not valid.
fn suite(path: &Path) -> anyhow::Result<Result<Suite, Vec<Faulty>>> {
    let mut document = Document::read(path)?;
    let Some(graph) = document.graph.take().map(Arc::new) else {
        return Ok(Err(vec![(document.source, document.problems)]));
    };
    let mut invalid = Vec::new();
    let mut sources = cases::fences(&document.source);
    let beside = path.with_extension(&CASES[1..]);
    // The user has not named it: in a clone it may be a link to any file, whose lines would be shown.
    let folder = beside.parent().unwrap_or(Path::new(""));
    let name = beside.file_name().unwrap_or_default();
    match Named::by_document(folder, Path::new(name)).read(spec::LARGEST) {
        Ok(bytes) => match Source::decode(beside.display().to_string(), bytes) {
            (source, None) => sources.push(source),
            (source, Some(at)) => invalid.push((source, vec![catalogue::invalid_utf8(at)])),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", beside.display())),
    }
    let (mut all, mut valid) = (Vec::new(), Vec::new());
    for source in sources {
        let (cases, problems) = cases::read(&source, &graph);
        if problems.is_empty() {
            all.extend(cases.into_iter().map(|case| (valid.len(), case)));
            valid.push(source);
        } else {
            invalid.push((source, problems));
        }
    }
    Ok(match invalid.is_empty() {
        true => Ok(Suite { name: document.source.name, graph, sources: valid, cases: all }),
        false => Err(invalid),
    })
}

/// Leaves only the cases with these names.
///
/// # Errors
/// When a name is unknown, or all documents lack cases.
fn choose(suites: &mut [Suite], names: &[String]) -> anyhow::Result<()> {
    let known = || suites.iter().flat_map(|suite| &suite.cases).map(|(_, case)| &*case.name);
    if known().next().is_none() {
        let message = "these documents have no cases";
        let help = "write them in NAME.test.toml beside NAME.md: see docs/testing.md";
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    if let Some(unknown) = names.iter().find(|name| !known().any(|known| known == *name)) {
        let stop = Stop::new(Exit::Usage, format!("unknown case `{}`", visible(unknown)));
        return Err(match nearest(unknown, known()) {
            Some(near) => stop.help(words::did_you_mean(near)),
            None => stop.help("leave out --case to see all cases"),
        }
        .into());
    }
    if !names.is_empty() {
        suites.iter_mut().for_each(|suite| suite.cases.retain(|(_, case)| names.contains(&case.name)));
    }
    Ok(())
}

fn tried(suite: &Suite) -> SuiteResult {
    let mut coverage = Coverage::default();
    let outcomes = suite.cases.iter().map(|(_, case)| {
        let outcome = cases::run(&suite.graph, case);
        coverage.take(&suite.graph, &outcome.events);
        let unmet = cases::judge(&suite.graph, case, &outcome);
        (outcome, unmet)
    });
    SuiteResult { outcomes: outcomes.collect(), coverage }
}

fn shown<'a>((suite, result): (&'a Suite, &'a SuiteResult)) -> TestedDocument<'a> {
    let cases = suite.cases.iter().zip(&result.outcomes).filter_map(|((place, case), (outcome, unmet))| {
        let source = suite.sources.get(*place)?;
        Some(TriedCase {
            name: &case.name,
            source,
            line: source.position(case.span.start).line,
            state: outcome.end.name(),
            executions: &outcome.executions,
            takes_ms: outcome.takes,
            unmet,
        })
    });
    TestedDocument {
        name: &suite.name,
        graph: &suite.graph,
        cases: cases.collect(),
        coverage: &result.coverage,
    }
}

/// Whether the cases of a document cover too little of it, after a message for each.
fn too_low(tested: &[TestedDocument], least: u8, terminal: &mut Terminal) -> bool {
    let mut low = false;
    for one in tested {
        let (steps, ways) = (one.coverage.steps(one.graph), one.coverage.decisions(one.graph));
        let compensations = one.coverage.compensations(one.graph);
        let all = steps.all + ways.all + compensations.all;
        let covered = steps.covered() + ways.covered() + compensations.covered();
        if covered * 100 < usize::from(least) * all {
            low = true;
            let share = covered * 100 / all;
            terminal.talk(&format!("{}: {share} % is covered, less than {least} %\n", visible(one.name)));
        }
    }
    low
}
