//! `orderflow report`: the page of a run as one file.

use super::clashes;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::runs::find;
use super::stream;
use super::terminal::Terminal;
use crate::diag::render::visible;
use crate::disk::Target;
use crate::history::History;
use crate::journal::{self, Lock};
use crate::page::{self, Compared, OtherRun, PageData, PageMode, PastRun};
use crate::view::bytes;
use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Write the page of a stored run to one file
#[derive(clap::Args)]
#[command(after_help = with_exits("\
The page is the run's document with what happened in its margins: steps, items, failures, a timeline and figures. It needs no network and makes no requests.

Examples:
  orderflow report last                     write report-RUN.html
  orderflow report last -o today.html       name the file
  orderflow report last -o - > today.html   to standard output
  orderflow report last --baseline 01a2     compare with this run
  orderflow report last --format markdown >> \"$GITHUB_STEP_SUMMARY\"
                                            a summary for a job of GitHub", &[Exit::NotTrusted, Exit::Changed, Exit::Journal]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// Write to this file, or to standard output (-) [default: report-RUN.html]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
    /// Compare with this run instead of the last one without a failure
    #[arg(long, value_name = "RUN")]
    baseline: Option<String>,
    /// What to write; all but html to standard output unless --output names a file
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// The page
    #[default]
    Html,
    /// A summary for a pull request or a job, with a mermaid flowchart; all names are code spans
    Markdown,
    /// One test for each item and each expectation
    Junit,
    /// Annotations in a pull request
    Github,
}

/// The most earlier runs that a page compares, and how long reading them may take.
const PAST: usize = 29;
const PATIENCE: Duration = Duration::from_secs(3);

/// Earlier runs of the same document, the oldest first, as far as they can be read.
fn past(history: &History, folder: &Path) -> Vec<PastRun> {
    let header = history.header();
    let began = Instant::now();
    let all = find::all().unwrap_or_default();
    let mut past = Vec::new();
    for (other, name) in find::latest_first(&all) {
        if past.len() >= PAST || began.elapsed() > PATIENCE {
            break;
        }
        let earlier = journal::read(other).ok().filter(|(known, _)| {
            other != folder && known.document.path == header.document.path && known.started < header.started
        });
        let run = earlier.and_then(|(header, records)| {
            PastRun::of(&History::of(other, header, records).ok()?, &name, &history.graph).ok()
        });
        past.extend(run);
    }
    past.reverse();
    past
}

/// What was changed since the last earlier run of the same document without a failure: its name, and the steps and agents.
/// `None` if no such run is found soon.
pub(super) fn changed_since_good(history: &History) -> Option<(String, Vec<String>)> {
    let (header, home, began) = (history.header(), history.home(), Instant::now());
    let all = find::all().unwrap_or_default();
    let mut left = PAST;
    for (other, name) in find::latest_first(&all) {
        if left == 0 || began.elapsed() > PATIENCE {
            break;
        }
        let earlier = journal::read(other).ok().filter(|(known, _)| {
            other != home && known.document.path == header.document.path && known.started < header.started
        });
        let Some((header, records)) = earlier else { continue };
        left -= 1;
        let good = History::of(other, header, records).ok();
        if let Some(good) = good.filter(|then| page::is_good(then).unwrap_or(false)) {
            return Some((name, page::changed_since(&good, history)));
        }
    }
    None
}

/// The earlier runs of the same document, the oldest first, without a look at their events.
pub(super) fn earlier(history: &History, folder: &Path) -> Vec<OtherRun> {
    let header = history.header();
    let all = find::all().unwrap_or_default();
    let mut found = Vec::new();
    for (other, name) in find::latest_first(&all) {
        if found.len() >= PAST {
            break;
        }
        let known = journal::read(other).ok().map(|(known, _)| known);
        let known = known.filter(|known| {
            other != folder && known.document.path == header.document.path && known.started < header.started
        });
        found.extend(known.map(|known| OtherRun {
            name: visible(&name),
            started: visible(&known.started),
            good: false,
        }));
    }
    found.reverse();
    found
}

/// Adds to the page of an active run, which is read again and again, what it is compared with only if that is `baseline`.
///
/// # Errors
/// As for [`compare`].
pub(super) fn compare_active(
    data: &mut PageData,
    history: &History,
    folder: &Path,
    (baseline, earlier): (Option<&Path>, Vec<OtherRun>),
) -> anyhow::Result<()> {
    refuse_itself(folder, baseline)?;
    data.others = earlier;
    if let Some(other) = baseline {
        let beside = Compared::of(data, history, &History::open(other)?, &find::called(other)?)?;
        data.compared = Some(beside);
    }
    Ok(())
}

fn refuse_itself(folder: &Path, baseline: Option<&Path>) -> anyhow::Result<()> {
    if baseline == Some(folder) {
        let help = "name another run of the document; orderflow runs lists them";
        return Err(Stop::new(Exit::Usage, "a run is not compared with itself").help(help).into());
    }
    Ok(())
}

/// Adds to a page its earlier runs, and compares it with `baseline`; without one with the last earlier run without a
/// failure, or the last.
///
/// # Errors
/// `baseline` cannot be read, or is the run itself.
pub(super) fn compare(
    data: &mut PageData,
    history: &History,
    folder: &Path,
    baseline: Option<&Path>,
) -> anyhow::Result<()> {
    refuse_itself(folder, baseline)?;
    let past = past(history, folder);
    let beside = |other: &Path| Compared::of(data, history, &History::open(other)?, &find::called(other)?);
    let compared = match baseline {
        Some(other) => Some(beside(other)?),
        // It could be read just now; if it is gone meanwhile, the page is still one.
        None => {
            let last = past.iter().rev().find(|run| run.good).or(past.last());
            last.and_then(|run| beside(&run.home).ok())
        }
    };
    data.compare(history, past, compared);
    Ok(())
}

fn text(data: &PageData, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Html => page::render(data, &PageMode::File)?,
        Format::Markdown => page::markdown(data),
        Format::Junit => page::junit(data)?,
        Format::Github => page::github(data),
    })
}

fn write(text: &str, format: Format, terminal: &mut Terminal) {
    match format {
        Format::Github => terminal.commands(text),
        Format::Html | Format::Markdown | Format::Junit => terminal.data(text),
    }
}

/// Shows a run that has just ended or paused in this process.
///
/// # Errors
/// It is not found, or its journal cannot be read.
pub(super) fn summarise(run: &str, format: Format, terminal: &mut Terminal) -> anyhow::Result<()> {
    let folder = find::one(run)?;
    let history = History::open(&folder)?;
    let data = PageData::collect(&history, &find::called(&folder)?, false)?;
    write(&text(&data, format)?, format, terminal);
    Ok(())
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let folder = find::one(&args.run)?;
    // Before its events are read: a run that ends meanwhile is still shown as running.
    let held = Lock::is_held(&folder)?;
    let history = History::open(&folder)?;
    let document = history.options.folder.join(&history.options.file);
    clashes::refuse(&document, &[("--output", args.output.as_deref())], &[], "nothing was written")?;
    let mut data = PageData::collect(&history, &find::called(&folder)?, held)?;
    let baseline = args.baseline.as_deref().map(find::one).transpose()?;
    if baseline.is_some() && !matches!(args.format, Format::Html | Format::Markdown) {
        let help = "use --format html or --format markdown";
        return Err(Stop::new(Exit::Usage, "annotations and JUnit compare no runs").help(help).into());
    }
    if args.format == Format::Html || baseline.is_some() {
        compare(&mut data, &history, &folder, baseline.as_deref())?;
    }
    let text = text(&data, args.format)?;
    let output = args.output.or_else(|| (args.format != Format::Html).then(|| PathBuf::from("-")));
    let file = match output {
        Some(file) if stream::is_standard(&file) => {
            write(&text, args.format, terminal);
            terminal.finish()?;
            return Ok(Exit::Ok);
        }
        Some(file) => file,
        None => PathBuf::from(format!("report-{}.html", find::short_name(&folder)?)),
    };
    let name = visible(&file.display().to_string());
    if !args.force && file.is_file() {
        let message = format!("{name} exists already; nothing was written");
        return Err(Stop::new(Exit::Io, message)
            .help("name another file with --output, or overwrite it with --force")
            .into());
    }
    let written = Target::of(&file).and_then(|target| target.write(|out| out.write_all(text.as_bytes())));
    written.with_context(|| format!("cannot write {name}"))?;
    terminal.talk(&format!("report written to {name} ({})\n", bytes(text.len() as u64)));
    terminal.finish()?;
    Ok(Exit::Ok)
}
