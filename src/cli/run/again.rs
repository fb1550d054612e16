//! Resumes a stored run with its original options.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::runs::find;
use super::super::settings::Settings;
use super::super::stream;
use super::super::terminal::Terminal;
use super::super::trust;
use super::{ExchangesArgs, Format, Launch, Show, jobs, live, not_alone};
use crate::diag::render::visible;
use crate::disk::Named;
use crate::engine::RetryRequest;
use crate::event::{ItemId, StopReason};
use crate::graph::Graph;
use crate::history::{
    History, LockedRun, Replacement, RunEnd, RunOptions, State, dead_letters, is_cancelled, request_cancel,
    try_lock, withdraw_cancel,
};
use crate::journal::{self, LockError};
use crate::spec;
use crate::value::words;
use crate::view::outcome;
use anyhow::Context;
use std::path::Path;

/// The options that may differ from the original ones.
#[derive(clap::Args)]
pub struct Again {
    /// Run at most this many steps at once [default: as when the run started]
    #[arg(long, short, value_name = "N", allow_negative_numbers = true, value_parser = jobs)]
    jobs: Option<usize>,
    /// Allow the programs inside the document to run
    #[arg(long)]
    trust: bool,
    /// Wait for people and events when nothing else can happen, instead of ending with exit code 5
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    exchanges: ExchangesArgs,
    #[command(flatten)]
    show: Show,
}

impl Again {
    pub(super) fn format(&self) -> Format {
        self.show.format
    }

    /// Whether the result is for scripts.
    pub fn is_json(&self) -> bool {
        self.show.format == Format::Json
    }
}

/// A request to a stored run.
pub enum Ask<'a> {
    /// Resume it; with `current`, with the current document.
    Resume { current: bool },
    /// Retry failed items: those with these keys, or all without keys; with `current`, with the current document.
    Retry { keys: &'a [String], current: bool },
    /// Retry the items in an edited table of dead letters.
    Edited { file: &'a Path, current: bool },
}

impl Ask<'_> {
    fn current(&self) -> bool {
        match self {
            Ask::Resume { current } | Ask::Retry { current, .. } | Ask::Edited { current, .. } => *current,
        }
    }
}

/// Resumes a stored run.
///
/// # Errors
/// Why the run cannot be resumed.
pub fn go_on(home: &Path, how: &Again, ask: &Ask<'_>, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = std::path::absolute(home).context("cannot read the current folder")?;
    let known = trust::runs::refuse_foreign(&home)?;
    let mut taken = LockedRun::take(&home)?;
    taken.foreign = known.foreign;
    taken.inner = trust::runs::inner_ends(&known);
    go_on_with(taken, how, ask, terminal)
}

fn go_on_with(
    mut taken: LockedRun,
    how: &Again,
    ask: &Ask<'_>,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let home = taken.history.home().to_owned();
    if let Ask::Resume { .. } = ask
        && let Some(ending) = taken.history.ending()?
    {
        tell_ended(&taken.history, terminal)?;
        return Ok(ending.into());
    }
    if let Ask::Resume { current: true } = ask
        && !taken.history.options.ingress.is_empty()
    {
        let message = "Restate drives this run with the document with which it began; nothing was changed";
        return Err(Stop::new(Exit::Invalid, message)
            .help("follow it to its end, then retry what failed with the current document: orderflow retry --use-current")
            .into());
    }
    let retry = match ask {
        Ask::Resume { .. } => None,
        Ask::Retry { keys, .. } => Some(taken.history.retries_of(keys)?),
        Ask::Edited { file, .. } => Some(edited(&taken.history, file, terminal)?),
    };
    let mut options = taken.history.options.clone();
    let mut notice = None;
    if let Some(retry) = retry {
        let over = taken.history.ending()?.is_some();
        if !over && !options.ingress.is_empty() {
            let message = "the run has not ended, and Restate drives it; nothing was retried";
            return Err(Stop::new(Exit::Invalid, message)
                .help("follow it to its end first: orderflow resume")
                .into());
        }
        if retry.is_empty() {
            let none = match ask {
                Ask::Edited { .. } => "no item to retry",
                Ask::Retry { .. } | Ask::Resume { .. } => "no item of this run failed",
            };
            if over {
                terminal.talk(&format!("{none}\n"));
                return Ok(Exit::Ok);
            }
            notice = Some(format!("{none}; the run was paused and continues\n"));
        } else {
            notice = Some(begun(&retry, taken.history.failures()?.once));
            // The document already has the rows of the run.
            options.write = false;
        }
        taken.retry = retry;
    }
    taken.history.check_inner(&taken.retry, &taken.inner)?;
    let ignored = trust::inbox(&home).ignored();
    if ignored > 0 {
        let files = words::count(ignored, "file");
        terminal.talk(&format!(
            "{files} in {} ignored: your commands on this machine did not write them; decide or signal again\n",
            home.join("inbox").display()
        ));
    }
    RunEnd::clear(&home);
    place(&options, &home)?;
    options.jobs = how.jobs.or(options.jobs);
    if how.show.format != Format::Table && options.trace_file().is_none() {
        // Standard output has the statistics then.
        options.session = None;
    }
    let (document, graph, settings) = document(&mut taken, how, ask, terminal)?;
    // The run's own folder is not trusted for this: anybody may have written it.
    let trust = how.trust || trust::runs::holds(&home, &document.with_run_by(&taken.history.graph));
    let launch = Launch {
        options,
        id: None,
        inputs: Vec::new(),
        no_journal: false,
        trust,
        exchanges: how.exchanges.clone(),
        wait: how.wait,
        show: how.show,
        notice,
    };
    let exit = live::run(launch, &document, graph, &settings, Some(taken), terminal)?;
    terminal.finish()?;
    Ok(exit)
}

/// The document with which the run continues.
fn document(
    taken: &mut LockedRun,
    how: &Again,
    ask: &Ask<'_>,
    terminal: &mut Terminal,
) -> anyhow::Result<(Document, Graph, Settings)> {
    let file = taken.history.options.file.clone();
    let children = taken.history.options.children.clone();
    if ask.current() {
        let (document, graph, settings) = Document::open_again(&file, &children, terminal)?;
        let source = &document.source;
        let newest = journal::DocumentText { path: source.name.clone(), text: source.text.clone() };
        let prompted = graph.steps.iter().filter(|step| settings.prompts(step.agent.as_deref()));
        let prompted = prompted.map(|step| step.phase.clone()).collect();
        let replacement = Replacement::new(&taken.history, newest, graph.clone(), prompted);
        let replacement = replacement.map_err(|why| not_alone(why, &taken.history.options))?;
        let revision = replacement.check(&taken.retry)?.map_err(|problems| {
            problems.iter().for_each(|problem| terminal.talk(&format!("{problem}\n")));
            let name = visible(&source.name);
            let message = format!("the run cannot continue with {name} as it is now; nothing was run");
            let help = match taken.retry.is_empty() {
                true => "only steps that have not started may change: restore the others, or leave out --use-current",
                false => {
                    "steps that have succeeded for an item that runs again may not change; restore them, retry \
                     without --use-current, or restart these items: orderflow show RUN --dead-letters -o failed.toon, \
                     then orderflow run --items failed.toon --key key"
                }
            };
            Stop::new(Exit::Changed, message).help(help)
        })?;
        if let Some(revision) = revision {
            taken.revise(revision)?;
        }
        return Ok((document, graph, settings));
    }
    let text = taken.history.header().document.text.clone();
    // Only a file can have changed: a pipe in its place would block.
    let now = || Named::file(&file).read(spec::LARGEST);
    if !how.show.quiet && now().is_ok_and(|now| now != text.as_bytes()) {
        let name = visible(&file.display().to_string());
        let command = if matches!(ask, Ask::Resume { .. }) { "resume" } else { "retry" };
        terminal.talk(&format!(
            "note: {name} has changed; the run continues with the earlier version ({command} --use-current takes the new one)\n"
        ));
    }
    Document::again(&file, text, &children, terminal)
}

/// How a run has ended, and what can be done now. `name` is the run's name in messages.
///
/// # Errors
/// The journal is damaged.
pub(super) fn ended_text(history: &History, name: &str) -> anyhow::Result<String> {
    let outline = history.outline()?;
    let counts = outline.counts(history.basis());
    let cancelled = is_cancelled(history.home()) || outline.stopped().is_some_and(StopReason::cancels);
    let how = match outline.stopped() {
        _ if cancelled => "was cancelled",
        Some(StopReason::RunDeadline) => "has ended by its deadline",
        _ => "has ended",
    };
    let failed = counts.failed + counts.compensated + counts.compensation_failed;
    let retry = match outline.run_steps() {
        _ if cancelled => String::new(),
        _ if failed > 0 => format!("; retry what failed: orderflow retry {name}"),
        Some(state) if state.is_failure() => {
            format!("; retry the failed steps for all items: orderflow retry {name} --item run")
        }
        _ => String::new(),
    };
    let unmet = outline.state(history.basis(), false) == State::Unmet;
    let unmet = if unmet { ", and an expectation of its document is not met" } else { "" };
    Ok(format!("the run {name} {how}: {}{unmet}; details: orderflow show {name}{retry}", outcome(&counts)))
}

fn tell_ended(history: &History, terminal: &mut Terminal) -> anyhow::Result<()> {
    let ended = ended_text(history, &visible(&find::called(history.home())?))?;
    terminal.talk(&(ended + "\n"));
    Ok(())
}

/// Changes to the folder where the run began. Does nothing if the run was moved: then its paths are those of the new
/// place.
pub(super) fn place(options: &RunOptions, home: &Path) -> anyhow::Result<()> {
    if !options.is_in_place(home) {
        return Ok(());
    }
    std::env::set_current_dir(&options.folder)
        .with_context(|| format!("cannot go to {}", options.folder.display()))
}

/// Cancels a run: requests it from an active runner, or writes the end of a run that was left.
///
/// # Errors
/// The request or the end cannot be written.
pub fn cancel(home: &Path, how: &Again, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = &std::path::absolute(home).context("cannot read the current folder")?;
    let known = trust::runs::refuse_foreign(home)?;
    let ask = || request_cancel(home).with_context(|| format!("cannot cancel the run in {}", home.display()));
    match try_lock(home) {
        Err(LockError::By(_)) => {
            ask()?;
            terminal.talk("the run is stopping; its own process reports how it ended\n");
            Ok(Exit::Ok)
        }
        Err(LockError::Storage(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", home.display()))
        }
        Ok(lock) => {
            let mut taken = LockedRun::locked(home, lock)?;
            taken.foreign = known.foreign;
            taken.inner = trust::runs::inner_ends(&known);
            if taken.history.ending()?.is_some() {
                tell_ended(&taken.history, terminal)?;
                return Ok(Exit::Ok);
            }
            taken.history.check_inner(&[], &taken.inner)?;
            ask()?;
            // The lock stays held, so that no other process resumes the run in between.
            match go_on_with(taken, how, &Ask::Resume { current: false }, terminal) {
                // Failed items are the expected result.
                Ok(Exit::Failed) => Ok(Exit::Ok),
                Err(error) if Stop::before_anything(&error) => {
                    // The request failed, so it is withdrawn.
                    withdraw_cancel(home);
                    Err(error)
                }
                exit => exit,
            }
        }
    }
}

/// The retries in an edited table of failed items.
fn edited(history: &History, file: &Path, terminal: &mut Terminal) -> anyhow::Result<Vec<RetryRequest>> {
    // In a cancelled run only failed compensations may be retried.
    let letters = dead_letters::retryable(history)?;
    let table = dead_letters::LetterTable::of(&history.graph, &letters, &history.options.given);
    let name = visible(&file.display().to_string());
    let fates = history.fates()?;
    let folder = if stream::is_standard(file) { None } else { file.parent() };
    let base =
        std::path::absolute(folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    let base = base.context("cannot read the current folder")?;
    let edited = stream::open(file).and_then(|text| dead_letters::read(&table, &fates, text, &base));
    let dead_letters::Edited { retries, problems } = edited.with_context(|| format!("cannot read {name}"))?;
    for problem in &problems {
        let dead_letters::EditProblem { line, column, message } = problem;
        terminal.talk(&format!("{name}:{line}:{column}: {}\n", visible(message)));
    }
    match problems.len() {
        0 => Ok(retries),
        count => {
            let problems = words::count(count, "problem");
            let message = format!("{problems} in {name}; nothing was run");
            Err(Stop::new(Exit::Invalid, message).into())
        }
    }
}

/// The retried items, in one line; `once` if the steps that run once after all items had begun.
fn begun(retries: &[RetryRequest], once: bool) -> String {
    let anew = retries.iter().filter(|retry| retry.inputs.is_some()).count();
    let anew = match anew {
        0 => String::new(),
        _ if anew == retries.len() => " from the start, with other inputs".to_owned(),
        anew => format!(", {anew} of them from the start, with other inputs"),
    };
    let then = if once { ", then the steps that run once for all items" } else { "" };
    match retries.len() {
        1 if retries[0].item == ItemId::RUN => "retrying the steps for all items\n".to_owned(),
        several => format!("retrying {}{anew}{then}\n", words::count(several, "failed item")),
    }
}
