//! Going on with a run that is kept, as it was asked for.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::letters;
use super::super::stream;
use super::super::terminal::Terminal;
use super::super::trust;
use super::current::Current;
use super::ended::{self, Ended};
use super::keep::{self, Failed, Options, Past};
use super::look::KeptRun;
use super::{Format, inputs, jobs, live, part, retries, unreadable};
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::disk::{Folder, Named};
use crate::engine::Retry;
use crate::event::{ItemId, ItemState};
use crate::journal::{self, Held};
use crate::spec;
use anyhow::Context;
use std::path::Path;

/// What may differ from how the run was asked for.
#[derive(clap::Args)]
pub struct Again {
    /// How many steps may run at once [default: as when the run began]
    #[arg(long, short, value_name = "N", value_parser = jobs)]
    jobs: Option<usize>,
    /// Let the programs inside the document run
    #[arg(long)]
    trust: bool,
    /// How the result is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Say nothing but the result and what went wrong
    #[arg(long, short)]
    quiet: bool,
}

impl Again {
    pub(super) fn format(&self) -> Format {
        self.format
    }
}

/// What a run that is kept is asked to do.
pub enum Ask<'a> {
    /// To go on where it was left; with `current`, by the document as it is now.
    Resume { current: bool },
    /// To have failed items run again: those with these keys, without any, all; with `current`, by the document as it
    /// is now.
    Retry { keys: &'a [String], current: bool },
    /// To have those run again that stand in an edited table of them.
    Edited { file: &'a Path, current: bool },
}

impl Ask<'_> {
    fn current(&self) -> bool {
        match self {
            Ask::Resume { current } | Ask::Retry { current, .. } | Ask::Edited { current, .. } => *current,
        }
    }
}

/// Goes on with a run that is kept.
///
/// # Errors
/// What keeps the run from going on.
pub fn go_on(home: &Path, how: &Again, ask: &Ask<'_>, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = std::path::absolute(home).context("cannot tell the current folder")?;
    let past = Past::take(&home)?;
    go_on_with(past, how, ask, terminal)
}

fn go_on_with(mut past: Past, how: &Again, ask: &Ask<'_>, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = past.home.clone();
    let options = past.options()?;
    if let Ask::Resume { .. } = ask
        && let Some(ended) = Ended::of(&home)?
    {
        ended.tell(&home, terminal)?;
        return Ok(ended.exit);
    }
    let mut args = options.args.clone();
    let retries = match ask {
        Ask::Resume { .. } => None,
        Ask::Retry { keys, .. } => {
            let failed = refuse(&past)?;
            Some((failed.once, chosen(failed, keys)?))
        }
        Ask::Edited { file, .. } => {
            let failed = refuse(&past)?;
            Some((failed.once, edited(&past, &failed, file, terminal)?))
        }
    };
    if let Some((once, retries)) = retries {
        if retries.is_empty() {
            terminal.talk(match ask {
                Ask::Edited { .. } => "no item is to run again\n",
                Ask::Retry { .. } | Ask::Resume { .. } => "no item of this run has failed\n",
            });
            return Ok(Exit::Ok);
        }
        if !how.quiet {
            terminal.talk(&begun(&retries, once));
        }
        past.retry = retries;
        // The rows of the run stand in the document already.
        args.write = false;
    }
    ended::unmark(&home);
    place(&options, &home)?;
    args.jobs = how.jobs.or(args.jobs);
    (args.format, args.quiet, args.strict) = (how.format, how.quiet, false);
    if how.format == Format::Json && args.trace_file().is_none() {
        // Standard output has the figures then.
        args.session = None;
    }
    args.kept = inputs::are_kept(&past.header().items).then(|| home.clone());
    let (document, graph, settings) = match ask.current() {
        true => {
            let (document, graph, settings) = Document::open(&args.file, false, terminal)?;
            let revision = Current::of(&args, &document, &graph)?.revision(&past, terminal)?;
            revision.into_iter().for_each(|revision| past.revise(revision));
            (document, graph, settings)
        }
        false => {
            let text = past.header().document.text.clone();
            let now = Named::by_user(&args.file).read(spec::LARGEST);
            if !how.quiet && now.is_ok_and(|now| now != text.as_bytes()) {
                let name = visible(&args.file.display().to_string());
                let command = if matches!(ask, Ask::Resume { .. }) { "resume" } else { "retry" };
                terminal.talk(&format!(
                    "note: {name} has changed; the run goes on with what it was ({command} --use-current takes what it is)\n"
                ));
            }
            Document::again(&args.file, text, terminal)?
        }
    };
    // What the run's own folder says of that, anybody may have written.
    let wanted = part::choose(&args, graph.clone())?.graph;
    args.trust = how.trust || trust::runs::holds(&home, &wanted);
    let exit = live::run(&args, &document, graph, &settings, Some(past), terminal)?;
    terminal.finish()?;
    Ok(exit)
}

/// Goes to the folder where the run was asked for; no step is taken where it was carried elsewhere: its paths are
/// those of the new place then.
pub(super) fn place(options: &Options, home: &Path) -> anyhow::Result<()> {
    if !options.is_in_place(home) {
        return Ok(());
    }
    std::env::set_current_dir(&options.folder)
        .with_context(|| format!("cannot go to {}", options.folder.display()))
}

/// Gives a run up. One that lives is told so; of one that was left the end is written here.
///
/// # Errors
/// What keeps it from being told or written.
pub fn give_up(home: &Path, how: &Again, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = &std::path::absolute(home).context("cannot tell the current folder")?;
    trust::runs::refuse_foreign(home)?;
    let folder = Folder::open(home).with_context(|| format!("cannot open {}", home.display()))?;
    let say = || {
        let cannot = || format!("cannot write {}", home.join(keep::CANCEL).display());
        folder.replace(keep::CANCEL, b"").with_context(cannot)
    };
    match keep::try_lock(home) {
        Err(Held::By(_)) => {
            say()?;
            terminal.talk("the run was told to stop; its own process says how it ended\n");
            Ok(Exit::Ok)
        }
        Err(Held::Storage(error)) => Err(error).with_context(|| format!("cannot lock {}", home.display())),
        Ok(lock) => {
            if let Some(ended) = Ended::of(home)? {
                ended.tell(home, terminal)?;
                return Ok(Exit::Ok);
            }
            say()?;
            // With the lock in hand, so that nobody else goes on with it between.
            match go_on_with(Past::of(home, lock)?, how, &Ask::Resume { current: false }, terminal) {
                // That its items did not all succeed is what was asked for.
                Ok(Exit::Failed) => Ok(Exit::Ok),
                Err(error) if Stop::before_anything(&error) => {
                    // What was refused has not been said.
                    let _ = folder.remove(keep::CANCEL);
                    Err(error)
                }
                exit => exit,
            }
        }
    }
}

/// What has failed of a run and can run again.
fn refuse(past: &Past) -> anyhow::Result<Failed> {
    let mut failed = Failed::of(&past.home)?;
    if keep::is_given_up(&past.home) {
        // What it did may still be undone; nothing else begins.
        failed.items.retain(|_, item| failed.ends[item].0 == ItemState::CompensationFailed);
        failed.once_failed = failed.once_failed.filter(|state| *state == ItemState::CompensationFailed);
        if failed.items.is_empty() && failed.once_failed.is_none() {
            let message =
                format!("the run {} was given up and does not go on; nothing was run", past.header().run);
            return Err(Stop::new(Exit::Usage, message).into());
        }
    }
    Ok(failed)
}

/// The items that are to run again, in the order of their admission.
fn chosen(failed: Failed, keys: &[String]) -> anyhow::Result<Vec<Retry>> {
    if failed.asks_for_run(keys) {
        return Ok(vec![Retry { item: ItemId::RUN, inputs: None }]);
    }
    let mut chosen: Vec<ItemId> = match keys {
        [] => {
            let Failed { items, resolved, .. } = failed;
            items.into_values().filter(|item| !resolved.contains(item)).collect()
        }
        keys => keys.iter().map(|key| self::failed(&failed, key)).collect::<anyhow::Result<_>>()?,
    };
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen.into_iter().map(|item| Retry { item, inputs: None }).collect())
}

/// What an edited table of failed items asks for.
fn edited(past: &Past, failed: &Failed, file: &Path, terminal: &mut Terminal) -> anyhow::Result<Vec<Retry>> {
    let (header, records) = journal::read(&past.home).map_err(unreadable)?;
    let kept = KeptRun::of(header, &records)?;
    let letters = letters::of(&kept, (records, retries(&past.home)?))?;
    let table = letters::Table::of(&kept.graph, &letters, &kept.given);
    let name = visible(&file.display().to_string());
    let edited = stream::open(file).and_then(|text| letters::read(&table, &failed.others, text));
    let letters::Edited { retries, problems } = edited.with_context(|| format!("cannot read {name}"))?;
    for problem in &problems {
        let letters::Problem { line, column, message } = problem;
        terminal.talk(&format!("{name}:{line}:{column}: {}\n", visible(message)));
    }
    match problems.len() {
        0 => Ok(retries),
        count => {
            let problems = if count == 1 { "problem" } else { "problems" };
            let message = format!("{count} {problems} in {name}; nothing was run");
            Err(Stop::new(Exit::Invalid, message).into())
        }
    }
}

/// What runs again, in a line; `once` where the steps that run once after all items had begun.
fn begun(retries: &[Retry], once: bool) -> String {
    let anew = retries.iter().filter(|retry| retry.inputs.is_some()).count();
    let anew = match anew {
        0 => String::new(),
        _ if anew == retries.len() => " from the start, with other inputs".to_owned(),
        anew => format!(", {anew} of them from the start, with other inputs"),
    };
    let then = if once { ", then the steps that run once for all items" } else { "" };
    match retries.len() {
        1 if retries[0].item == ItemId::RUN => "the steps that run once for all items run again\n".to_owned(),
        1 => format!("1 failed item runs again{anew}{then}\n"),
        several => format!("{several} failed items run again{anew}{then}\n"),
    }
}

/// The failed item with this key.
///
/// # Errors
/// Stops where there is none.
pub fn failed(failed: &Failed, key: &str) -> anyhow::Result<ItemId> {
    if let Some(item) = failed.items.get(key) {
        return Ok(*item);
    }
    if let Some(state) = failed.others.get(key) {
        let message = format!("the item {} {state}; nothing was run", visible(key));
        let help = match key {
            "run" if failed.once => "--item :run names the steps that run once for all items",
            _ => "orderflow show RUN lists the items that have failed",
        };
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    let stop = Stop::new(Exit::Invalid, format!("no item {} has failed; nothing was run", visible(key)));
    if failed.once && failed.is_run(key) {
        let message = "the steps that run once for all items have not failed; nothing was run";
        return Err(Stop::new(Exit::Invalid, message).help("orderflow show RUN lists what has").into());
    }
    Err(match nearest(key, failed.items.keys().map(|key| &**key)) {
        Some(near) => stop.help(format!("did you mean \"{}\"?", visible(near))),
        None => stop.help("orderflow show RUN lists the items that have"),
    }
    .into())
}
