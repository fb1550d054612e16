//! How a run is kept so that it can go on another time: its header, its folder, its journal. Knows nothing of
//! what happens in it.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::trust;
use super::Args;
use super::ended;
use super::generations::{self, Generations, another};
use super::inputs::{self, Recorded, Work};
use super::look::{KeptRun, damaged};
use super::sequence::{self, Sequence};
use crate::adapter::orphans::{self, Report};
use crate::adapter::redact::Redactor;
use crate::adapter::{self, Process};
use crate::disk::{self, Folder};
use crate::engine::{Retries, Retry, Run};
use crate::event::{Event, ItemError, ItemId, ItemState, Millis};
use crate::graph::Graph;
use crate::journal::{
    self, Definition, Header, Held, Journal, Lock, Record, Revision, Store, Unreadable, Version,
};
use crate::runtime::{Asked, Durable, Observer, Workspace};
use crate::session::Head;
use anyhow::Context;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The file in a run's folder that says that the run is given up.
pub const CANCEL: &str = "cancel";

/// Whether somebody has given the run up.
pub fn is_given_up(home: &Path) -> bool {
    Folder::open(home).is_ok_and(|home| home.has_file(CANCEL))
}

/// How long a lock may outlive its holder.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a run was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    pub args: Args,
    /// The current folder then: paths are relative to it.
    pub folder: PathBuf,
    /// Where the run's own folder was.
    pub home: PathBuf,
}

impl Options {
    /// Whether the run's folder is still where the run was asked for, so that its paths count from there.
    pub fn is_in_place(&self, home: &Path) -> bool {
        self.home == home && self.folder.is_dir()
    }

    /// The document, as it was given.
    pub fn file(&self) -> &Path {
        &self.args.file
    }

    /// What going on with the run in `home` would write, where paths count from `base`.
    pub fn writes(&self, home: &Path, base: &Path) -> Vec<PathBuf> {
        let document = self.args.write.then(|| base.join(&self.args.file));
        let trace = self.args.trace_file().map(|trace| base.join(trace));
        [home.to_owned()].into_iter().chain(trace).chain(document).collect()
    }

    /// What it would read besides its folder.
    pub fn reads(&self, graph: &Graph, base: &Path) -> Option<PathBuf> {
        let named = |items: &String| base.join(&self.args.file).parent().map(|folder| folder.join(items));
        let given = self.args.items.as_ref().map(|items| base.join(items));
        given.or_else(|| graph.settings.items.as_ref().and_then(named))
    }

    /// The file that the run has written its trace to; none where its folder was carried elsewhere since.
    pub fn trace(&self, home: &Path) -> Option<PathBuf> {
        let same = |real: &Path| disk::real(home).is_ok_and(|home| home == real);
        let here = disk::real(&self.home).is_ok_and(|real| same(&real)) && self.folder.is_dir();
        self.args.trace_file().filter(|_| here).map(|trace| self.folder.join(trace))
    }
}

/// A run that goes on.
pub struct Past {
    /// The run's own folder.
    pub home: PathBuf,
    generations: Generations,
    /// A document that the run goes on with from now on.
    revision: Option<Revision>,
    /// Failed items that are to run again.
    pub retry: Vec<Retry>,
    lock: Lock,
    store: Store,
}

impl Past {
    /// Takes over a run whose runner is gone.
    ///
    /// # Errors
    /// Stops where another runner has it or its journal cannot be read.
    pub fn take(home: &Path) -> anyhow::Result<Past> {
        trust::runs::refuse_foreign(home)?;
        Past::of(home, lock(home)?)
    }

    /// The same where its lock is held already.
    ///
    /// # Errors
    /// Stops where its journal cannot be read.
    pub fn of(home: &Path, lock: Lock) -> anyhow::Result<Past> {
        let (store, header) = Store::open(home).map_err(unreadable)?;
        let (_, records) = journal::read(home).map_err(unreadable)?;
        let generations = Generations::of(header, &records)?;
        Ok(Past { home: home.to_owned(), generations, revision: None, retry: Vec::new(), lock, store })
    }

    /// What the run is, with its newest document.
    pub fn header(&self) -> &Header {
        &self.generations.header
    }

    /// The items, if the journal has all that will ever be of them.
    ///
    /// # Errors
    /// Stops where the journal cannot be read.
    pub fn recorded(&self) -> anyhow::Result<Option<Recorded>> {
        let items = &self.header().items;
        let Some(total) = inputs::total(items).filter(|_| !items.is_null()) else { return Ok(None) };
        if is_given_up(&self.home) && self.retry.is_empty() {
            return Ok(Some(Recorded { total, over: true }));
        }
        let mut admitted = 0;
        let (_, records) = journal::read(&self.home).map_err(unreadable)?;
        let counted = records.each(|record| -> Result<(), Unreadable> {
            admitted += u64::from(matches!(record, Record::Event(Event::ItemAdmitted { .. })));
            Ok(())
        });
        counted.map_err(unreadable)?;
        Ok((admitted >= total).then_some(Recorded { total, over: false }))
    }

    /// The run goes on with another document, which is kept when it does.
    pub fn revise(&mut self, revision: Revision) {
        self.generations.push(revision.clone());
        self.revision = Some(revision);
    }

    /// Adds to what has happened.
    ///
    /// # Errors
    /// Where it cannot be kept.
    pub fn add(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        let records: Vec<Record> = events.into_iter().map(Record::Event).collect();
        self.store.append(&records)?;
        // It may have come to another end with that.
        ended::unmark(&self.home);
        Ok(self.store.tidy()?)
    }

    /// # Errors
    /// Stops where they are not what this program writes.
    pub fn options(&self) -> anyhow::Result<Options> {
        options(self.header())
    }

    /// Brings the run to where it was, and shows all that has happened to the observers. Returns the time since
    /// it began, and the processes of which nobody saw the end.
    ///
    /// # Errors
    /// Where the journal cannot be read, or an observer fails.
    pub fn recall(
        &self,
        args: &Args,
        graph: &Graph,
        run: &mut Run,
        redactor: &Redactor,
        observers: &mut [&mut dyn Observer],
    ) -> anyhow::Result<Recalled> {
        // Events name steps by their places: they must mean what they meant.
        if self.header().definition != definition(graph) {
            return Err(another(self.header()));
        }
        let numbers = self.generations.numbers(args, graph)?;
        let mut numbers = numbers.iter();
        let mut current = numbers.next();
        let mut retries = retries(&self.home)?;
        self.retry.iter().for_each(|retry| retries.add(retry.item));
        let (_, records) = journal::read(&self.home).map_err(unreadable)?;
        let (mut last, mut started, mut asked) = (0, HashMap::new(), Asked::default());
        let mut sequence = Sequence::default();
        let done = records.each_at(|record, spot| -> anyhow::Result<()> {
            let mut event = match record {
                Record::Asked(one) => {
                    asked.recall(one);
                    return Ok(());
                }
                Record::Revised(_) => {
                    current = numbers.next();
                    return Ok(());
                }
                Record::Spawned(process) => {
                    let journal::Process { item, mut step, attempt, pid, group, started: at, boot } = process;
                    // One that stays for other attempts names no step.
                    if let Some(current) = current {
                        current.path(&mut step);
                    }
                    let known: &mut Vec<Process> = started.entry((item, step, attempt)).or_default();
                    known.push(Process { pid, group, started: at, boot: boot.into() });
                    return Ok(());
                }
                Record::Event(mut event) => {
                    let current = current.ok_or_else(|| another(self.header()))?;
                    if !current.translate(&mut event, graph) {
                        return Err(generations::unknown(spot).into());
                    }
                    sequence.take(&event, spot)?;
                    event
                }
            };
            redactor.reveal(&mut event);
            if let Event::AttemptFinished { item, step, attempt, .. } = &event {
                started.remove(&(*item, *step, *attempt));
            }
            last = last.max(event.at());
            asked.see(&event);
            let void =
                run.recall_past(&event, &mut retries).map_err(|_| sequence::misplaced(&event, spot))?;
            if void {
                return Ok(());
            }
            observers.iter_mut().try_for_each(|observer| observer.see(&event))
        });
        done.map_err(damaged)?;
        Ok(Recalled { last, started: started.into_values().flatten().collect(), asked })
    }

    /// Ends what the last runner has left running, known by the run's mark; `started` are its groups. It would do its
    /// work beside what is begun again.
    ///
    /// # Errors
    /// Stops where something of it cannot be ended.
    pub fn end_orphans(&self, started: &[Process]) -> anyhow::Result<Report> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let (_stopper, mut stop) = adapter::Stop::new();
        let ended = orphans::end(&self.header().run, started, adapter::GRACE, &mut stop);
        let report = tokio.context("cannot start the runtime")?.block_on(ended);
        match report.left.as_slice() {
            [] => Ok(report),
            left => {
                let numbers: Vec<String> = left.iter().map(u32::to_string).collect();
                let message =
                    format!("cannot end what the last runner has left running: {}", numbers.join(", "));
                Err(Stop::new(Exit::Io, message)
                    .help("end these processes, which may be another user's, and resume the run again")
                    .into())
            }
        }
    }
}

/// What a run was at when it was left.
pub struct Recalled {
    /// The time since it began.
    pub last: Millis,
    /// Processes of which nobody saw the end.
    pub started: Vec<Process>,
    pub asked: Asked,
}

/// The items of a run that have failed, by key.
#[derive(Default)]
pub struct Failed {
    pub items: BTreeMap<Arc<str>, ItemId>,
    /// All others, with what they have come to.
    pub others: BTreeMap<Arc<str>, &'static str>,
    /// Those that were put right by hand: they run again only by name.
    pub resolved: BTreeSet<ItemId>,
    /// How they ended, and why.
    pub ends: BTreeMap<ItemId, (ItemState, Option<ItemError>)>,
    /// When the last of all was that has happened.
    pub last: Millis,
    /// The steps that run once after all items have begun.
    pub once: bool,
    /// How they failed, if they did.
    pub once_failed: Option<ItemState>,
}

impl Failed {
    /// # Errors
    /// Stops where the journal cannot be read.
    pub fn of(home: &Path) -> anyhow::Result<Failed> {
        let mut failed = Failed::default();
        let (header, records) = journal::read(home).map_err(unreadable)?;
        KeptRun::of(header, &records)?.events(records, |event| {
            failed.last = failed.last.max(event.at());
            failed.see(event);
            Ok(())
        })?;
        Ok(failed)
    }

    /// Whether these keys, or none where nothing else has failed, mean the steps that run once after all items.
    pub fn asks_for_run(&self, keys: &[String]) -> bool {
        let named = match keys {
            [] => self.items.is_empty(),
            keys => keys.iter().all(|key| self.is_run(key)),
        };
        self.once_failed.is_some() && named
    }

    /// Whether the name is theirs, and no item's: `run`, or `:run` where an item is called so.
    pub fn is_run(&self, key: &str) -> bool {
        (key == "run" || key == ":run") && !self.items.contains_key(key) && !self.others.contains_key(key)
    }

    fn see(&mut self, event: &Event) {
        match event {
            Event::ItemAdmitted { key, .. } => drop(self.others.insert(key.clone(), "is in flight")),
            Event::ItemSettled { key, state: ItemState::Succeeded, .. } => {
                self.others.insert(key.clone(), "has succeeded");
            }
            Event::ItemSettled { key, state: ItemState::Cancelled, .. } => {
                self.others.insert(key.clone(), "was cancelled");
            }
            Event::ItemSettled { item, key, state, error, .. } => {
                self.others.remove(key);
                self.ends.insert(*item, (*state, error.clone()));
                self.items.insert(key.clone(), *item);
            }
            Event::ItemRetried { item, .. } if *item == ItemId::RUN => self.once_failed = None,
            Event::ItemRetried { item, key, .. } => {
                self.items.remove(key);
                self.others.insert(key.clone(), "is in flight");
                self.resolved.remove(item);
            }
            Event::ItemResolved { item, .. } => drop(self.resolved.insert(*item)),
            Event::RunStepsBegan { .. } => (self.once, self.once_failed) = (true, None),
            Event::RunStepsEnded { state, .. } => {
                self.once_failed = Some(*state).filter(|state| state.is_failure());
            }
            _ => {}
        }
    }
}

/// What keeps a run while it lives.
pub struct Keeper {
    pub durable: Option<Durable>,
    _lock: Option<Lock>,
}

/// # Errors
/// Stops where the options are not what this program writes.
pub fn options(header: &Header) -> anyhow::Result<Options> {
    serde_json::from_value(header.options.clone()).map_err(|error| {
        let message =
            format!("the run {} was asked for in a way that this version does not know: {error}", header.run);
        Stop::new(Exit::Journal, message).into()
    })
}

/// Whether there is no such process any more.
fn is_gone(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
}

/// Which ends of items are void because the items ran again later.
///
/// # Errors
/// Stops where the journal cannot be read.
pub fn retries(home: &Path) -> anyhow::Result<Retries> {
    let mut retries = Retries::default();
    let (_, records) = journal::read(home).map_err(unreadable)?;
    let each = records.each(|record| -> Result<(), Unreadable> {
        if let Record::Event(event) = record {
            retries.see(&event);
        }
        Ok(())
    });
    each.map_err(unreadable)?;
    Ok(retries)
}

/// Takes the run's lock if no runner has it that lives.
///
/// # Errors
/// Who has it.
pub fn try_lock(home: &Path) -> Result<Lock, Held> {
    let begin = Instant::now();
    loop {
        match Lock::acquire(home) {
            // A program that was just being started when its runner was killed holds the lock until it runs.
            Err(Held::By(Some(process))) if is_gone(process) && begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            acquired => return acquired,
        }
    }
}

/// Takes the run's lock.
///
/// # Errors
/// Stops where another runner has it.
pub fn lock(home: &Path) -> anyhow::Result<Lock> {
    try_lock(home).map_err(|held| match held {
        Held::By(process) => {
            let who = process.map(|process| format!(", process {process}")).unwrap_or_default();
            let message = format!("the run in {} lives: another orderflow has it{who}", home.display());
            Stop::new(Exit::Locked, message)
                .help("wait until it has ended, or stop it with Ctrl-C there")
                .into()
        }
        Held::Storage(error) => anyhow::Error::new(error).context(format!("cannot lock {}", home.display())),
    })
}

pub fn unreadable(why: Unreadable) -> anyhow::Error {
    let exit = match &why {
        Unreadable::Missing { .. } => Exit::Usage,
        Unreadable::Storage { .. } => Exit::Io,
        Unreadable::Version { .. } | Unreadable::Damaged { .. } => Exit::Journal,
    };
    Stop::new(exit, why.to_string()).into()
}

/// Begins to keep a run, new or old.
///
/// # Errors
/// Where the journal cannot be made.
pub fn begin(
    args: &Args,
    past: Option<Past>,
    document: &Document,
    graph: &Graph,
    work: &mut Work,
    head: &Head,
    workspace: &Workspace,
) -> anyhow::Result<Keeper> {
    if let Some(mut past) = past {
        if let Some(revision) = past.revision {
            past.store.append(&[Record::Revised(revision)])?;
        }
        return Ok(Keeper { durable: Some(Durable::start(past.store)?), _lock: Some(past.lock) });
    }
    if args.no_journal {
        return Ok(Keeper { durable: None, _lock: None });
    }
    let home = workspace.root();
    let lock = lock(home)?;
    let mut args = args.clone();
    args.given = Some(work.given.clone());
    let folder = std::env::current_dir().context("cannot tell the current folder")?;
    let options = Options { args, folder, home: home.to_owned() };
    let header = Header {
        version: Version::CURRENT,
        run: head.run.clone(),
        started: head.started.clone(),
        document: journal::Document {
            path: document.source.name.clone(),
            text: document.source.text.clone(),
        },
        definition: definition(graph),
        options: serde_json::to_value(options)?,
        items: work.keep(home)?,
    };
    let store = Store::create(home, &header)?;
    Ok(Keeper { durable: Some(Durable::start(store)?), _lock: Some(lock) })
}

/// What each step means, prose aside.
pub fn definition(graph: &Graph) -> Vec<Definition> {
    let hash = |id| blake3::hash(graph.meaning(id).as_bytes()).to_hex()[..32].to_owned();
    graph.ids().map(|id| Definition { phase: graph.step(id).phase.clone(), hash: hash(id) }).collect()
}

/// Closes the journal.
///
/// # Errors
/// What could not be kept.
pub fn end(durable: Option<Durable>) -> anyhow::Result<()> {
    match durable {
        Some(durable) => Ok(durable.close()?),
        None => Ok(()),
    }
}
