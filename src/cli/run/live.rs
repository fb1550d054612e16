//! A run with real agents.

use super::super::allowed;
use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::runs::find;
use super::super::runs::gist::Gist;
use super::super::runs::outline::{Basis, Outline};
use super::super::settings::Settings;
use super::super::stats::gate;
use super::super::terminal::Terminal;
use super::super::trust;
use super::ended;
use super::inputs::{self, Work};
use super::keep::{self, Past, Recalled};
use super::progress::Progress;
use super::report::{self, Record, conclude, show, tell_trouble, written};
use super::write::{self, Kept};
use super::{Args, bind, limits, part, paths};
use crate::diag::render::visible;
use crate::engine::{Policy, Run};
use crate::event::{ItemState, StopReason};
use crate::graph::Graph;
use crate::journal::Trouble;
use crate::runtime::{self, Asked, Bindings, Caught, Loop, OtherInputs, Workspace};
use crate::session::Head;
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;

/// Runs, or goes on with a run where it was left.
///
/// # Errors
/// What keeps it from running, or from being kept.
pub fn run(
    args: &Args,
    document: &Document,
    graph: Graph,
    settings: &Settings,
    past: Option<Past>,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    allowed::check_run()?;
    paths::check(args)?;
    args.check_trace()?;
    let phases: Vec<String> = graph.steps.iter().map(|step| step.phase.clone()).collect();
    let part = part::choose(args, graph)?;
    let doers = bind::find(document, &part.graph, settings, args.stub, terminal);
    let recorded = past.as_ref().map(Past::recorded).transpose()?.flatten();
    let work = inputs::work(args, &part, recorded, terminal);
    let (doers, mut work) = match (doers, work) {
        (Err(one), Err(other)) => {
            terminal.error(&one);
            return Err(other);
        }
        (doers, work) => (doers?, work?),
    };
    write::prepare(args, work.total())?;
    if !args.quiet {
        bind::warn_of_unset(&part.graph, settings, terminal);
    }
    if !args.trust {
        trust::allow(&args.file, document, &part.graph, settings, terminal)?;
    }
    // Of a run that is given up no item begins any more.
    if let Some(past) = past.as_ref().filter(|past| !keep::is_given_up(&past.home)) {
        work.same(&past.header().items)?;
    }

    let run_id: Arc<str> = match &past {
        Some(past) => past.header().run.as_str().into(),
        None => runtime::new_run_id().into(),
    };
    let workspace = match &past {
        Some(past) => Workspace::open(&past.home),
        None => Workspace::create(&find::store(&settings.folder), &run_id),
    };
    let workspace = workspace.map_err(|error| no_folder(&settings.folder, &error))?;
    paths::text("the path of the run's folder", workspace.root())?;
    let bindings = doers.bind(&args.file, &part.graph, settings, &workspace, &work.made_up)?;
    let stand_ins = doers.stand_ins();
    let graph = Arc::new(part.graph);
    let policy = policy(args, (&graph, &bindings), settings, terminal);
    let rows = args.write.then(Kept::default);
    let record = match args.no_journal {
        true => Record::new(&graph, Some(args.trace()), rows)?,
        false => Record::own(&graph, workspace.root(), rows)?,
    };
    let mut record = record.journaled(!args.no_journal);
    let mut head = Head {
        run: run_id.to_string(),
        workflow: graph.title.clone(),
        source: document.source.name.clone(),
        started: match &past {
            Some(past) => past.header().started.clone(),
            None => format!("{:.3}", runtime::now()),
        },
        complete: false,
    };
    let basis = Basis { total: Some(work.total()), tolerate: policy.tolerate, once: graph.has_run_steps() };
    let mut run = Run::new(graph.clone(), policy);
    let mut progress = Progress::new(graph.clone(), work.total(), args.quiet, terminal);
    let (since, asked) = match &past {
        Some(past) => {
            let Recalled { last, started, asked } = past.recall(
                args,
                &graph,
                &mut run,
                bindings.redactor(),
                &mut [&mut record, &mut progress.past()],
            )?;
            progress.orphans(&past.end_orphans(&started)?);
            (Some(last), asked)
        }
        None => (None, Asked::default()),
    };
    let goes_on = since.is_some();
    let mut outline = Outline::default();
    progress.goes_on(&run, goes_on);
    let retry = past.as_ref().map(|past| past.retry.clone()).unwrap_or_default();
    let kept = keep::begin(args, past, document, &graph, &mut work, &head, &workspace)?;
    let admitted = run.tally().admitted;
    let home = workspace.root().to_owned();
    // Without the record the run must be taken over before it can go on.
    let stored = match !args.no_journal && (args.trust || !goes_on) {
        true => trust::runs::remember(&home, &graph, args.trust),
        false => Ok(()),
    };
    let mut all = Loop {
        graph: graph.clone(),
        run_id,
        bindings,
        workspace,
        observers: vec![&mut record, &mut progress, &mut outline],
        deadline: args.deadline,
        durable: kept.durable,
        since,
        alone: true,
        cancel: keep::is_given_up(&home),
        asked,
        retry,
    };
    let driven = drive(&mut all, &mut run, &work, admitted);
    let closed = keep::end(all.durable.take());
    drop(all);
    let driven = driven.and_then(|caught| closed.map(|()| caught)).map_err(judged);
    progress.finish();
    if let Err(error) = stored
        && !args.quiet
    {
        let why = visible(&format!("{error:#}"));
        terminal.talk(&format!("warning: cannot store that you started this run: {why}\n"));
        terminal.talk("  help: set XDG_STATE_HOME to a folder of yours, or orderflow adopt has to take the run over before it can be resumed\n");
    }
    let left = work.total().saturating_sub(run.tally().admitted);
    head.complete = driven.is_ok() && run.stopped().is_none() && left == 0;
    // Whatever went wrong, what has happened is told.
    let finished = record.finish(&head, left).map(|mut finished| {
        finished.judge(&graph);
        finished
    });
    let (finished, published) = match finished {
        Ok(mut finished) => {
            let published = if args.no_journal { Ok(()) } else { finished.publish(args, &home, terminal) };
            (Ok(finished), published)
        }
        Err(error) => (Err(error), Ok(())),
    };
    if let Ok(finished) = &finished {
        show(args, finished, terminal)?;
    }
    if !args.quiet {
        let tally = finished.as_ref().map_or(run.tally(), |finished| finished.tally(run.tally().admitted));
        conclude(&run, tally, work.total(), &graph, terminal);
    }
    if let Ok(finished) = &finished {
        report::left_out(finished, &graph, !args.quiet, terminal);
    }
    tell_trouble(&run, &graph, args.no_journal, terminal);
    if !args.quiet {
        report::made_up(&stand_ins, &work.made_up, terminal);
        if run.stopped() == Some(StopReason::Interrupted) && !args.no_journal {
            let name = visible(&find::called(&home)?);
            terminal.talk(&format!("the run is paused: orderflow resume {name} goes on with it\n"));
        }
    }
    match (driven, finished) {
        (Err(one), Err(other)) => {
            terminal.error(&one);
            Err(other)
        }
        (driven, finished) => {
            let (finished, caught) = (finished?, driven);
            if !args.quiet {
                written(&finished, terminal);
            }
            let ended = exit(&run, &caught?);
            published?;
            let met = gate::all_met(&finished.verdicts, terminal);
            let ended = if ended == Exit::Ok && !met { Exit::Failed } else { ended };
            // A run that goes on is written when it has come to its end.
            let paused = run.stopped() == Some(StopReason::Interrupted) && !args.no_journal;
            if let Some(kept) = finished.kept.filter(|_| !paused)
                && let Err(error) = write::write(args, document, &phases, (&head.run, &home), kept, terminal)
            {
                // How the run ended says more than that its rows are elsewhere.
                if !matches!(ended, Exit::Ok | Exit::Failed | Exit::Standing) {
                    terminal.error(&error);
                    return Ok(ended);
                }
                return Err(error);
            }
            if !args.no_journal {
                ended::mark(&home, ended);
                // Of a run that goes on it has seen but a part.
                if !goes_on {
                    outline.unmet = !met;
                    Gist::new(&graph.title, &document.source.name, &outline, basis, false).store(&home);
                }
            }
            Ok(ended)
        }
    }
}

fn no_folder(folder: &Path, error: &std::io::Error) -> Stop {
    let message = format!("cannot make the run's folder in {}: {error}; nothing was run", folder.display());
    Stop::new(Exit::Io, message)
        .help("a run keeps its files in .orderflow there; make the folder writable, or run a copy of the document elsewhere")
}

/// A journal that has been read whole and still does not say what was done is as bad as one that cannot be read. One
/// that cannot be written is whole up to there.
fn judged(error: anyhow::Error) -> anyhow::Error {
    if let Some(trouble) = error.downcast_ref::<Trouble>() {
        let first =
            if trouble.is_full() { "free some space there" } else { "see to it that it can be written" };
        let help = format!("{first}, then orderflow resume goes on with the run");
        return Stop::new(Exit::Io, trouble.to_string()).help(help).into();
    }
    if !error.is::<OtherInputs>() {
        return error;
    }
    let help = "this is a bug of orderflow, or its journal was written by somebody else; run the workflow anew for this item";
    Stop::new(Exit::Journal, error.to_string()).help(help).into()
}

fn drive(all: &mut Loop<'_>, run: &mut Run, work: &Work, admitted: u64) -> anyhow::Result<Caught> {
    let home = all.workspace.root().to_owned();
    let given_up = move || keep::is_given_up(&home);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let tokio = tokio.context("cannot start the runtime")?;
    let mut items = work.stream(admitted)?;
    let driven = tokio.block_on(async {
        let (requests, caught) = runtime::listen(leave, given_up).context("cannot listen for signals")?;
        all.drive(run, &mut *items, requests).await?;
        anyhow::Ok(caught)
    });
    // Every attempt has been reported. Its threads stay until the process ends: a signal shall be heard while the
    // trace is written and while nobody reads what is shown.
    std::mem::forget(tokio);
    driven
}

fn policy(
    args: &Args,
    (graph, bindings): (&Graph, &Bindings),
    settings: &Settings,
    terminal: &mut Terminal,
) -> Policy {
    Policy {
        limits: limits::limits(args, (graph, bindings), settings, terminal),
        tolerate: args.tolerate.unwrap_or(graph.settings.tolerate),
        on_item_error: args.on_item_error.unwrap_or(graph.settings.on_item_error),
    }
}

fn exit(run: &Run, caught: &Caught) -> Exit {
    let once = run.run_steps().map(|(state, ..)| state);
    match (run.stopped(), caught.number()) {
        (Some(StopReason::Interrupted), Some(15)) => Exit::Terminated,
        (Some(StopReason::Interrupted), _) => Exit::Interrupted,
        (Some(StopReason::RunDeadline), _) => Exit::Deadline,
        _ if run.tally().compensation_failed > 0 || once == Some(ItemState::CompensationFailed) => {
            Exit::Standing
        }
        (Some(StopReason::Cancelled), _) => Exit::Failed,
        _ if !run.tolerated() => Exit::Failed,
        _ if once.is_some_and(ItemState::is_failure) => Exit::Failed,
        _ => Exit::Ok,
    }
}

/// The third signal: somebody wants out, whatever is lost.
fn leave(signal: i32) -> ! {
    std::process::exit(128 + signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_once_with_what_to_do() {
        let full = rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("database or disk is full".into()),
        );
        let told = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let error = judged(Trouble::new(Path::new("journal.db"), cause).into());
            let stop = error.downcast_ref::<Stop>().unwrap();
            (Exit::of(&error), format!("{error:#}"), stop.help.clone().unwrap())
        };
        assert_eq!(
            told(full.into()),
            (
                Exit::Io,
                "cannot write the journal journal.db: database or disk is full".to_owned(),
                "free some space there, then orderflow resume goes on with the run".to_owned()
            )
        );
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(told(full.into()).2.starts_with("free some space"));
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert!(told(denied.into()).2.starts_with("see to it that it can be written"));
    }
}
