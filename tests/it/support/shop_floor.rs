//! The order systems of `workflows/` as they are run: in a copy of the folder, with databases of their own, and
//! killed while they work.

use crate::place::Place;
use crate::program::{Told, told};
use crate::python::{path, query};
use crate::workflows::workflows;
use orderflow::event::{AttemptEvent, Event, EventKind};
use orderflow::journal::{self, Record};
use orderflow::session::{Row, read_session};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The longest that a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Floor {
    place: Place,
}

impl Floor {
    pub fn new() -> Floor {
        Floor { place: workflows() }
    }

    /// `orderflow` with these arguments, parted by spaces, in the folder of the workflows.
    pub fn command(&self, args: &str) -> Command {
        let mut command = self.place.command(args);
        command.current_dir(self.place.path("workflows")).env("PATH", path());
        for variable in ["SHOP_DB", "PRODUCTS_DB", "SALES_DB", "DELIVERY_DB", "STORE_DB", "LEDGER_DB"] {
            command.env_remove(variable);
        }
        command
    }

    pub fn orderflow(&self, args: &str) -> Told {
        told(self.command(args).output().unwrap())
    }

    /// `orderflow run` without talk; asserts its exit.
    #[track_caller]
    pub fn run(&self, args: &str, exit: i32) -> Told {
        let told = self.orderflow(&format!("run --quiet {args}"));
        assert_eq!(told.exit, Some(exit), "{}", told.err);
        told
    }

    /// A file in the folder of the workflows.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path(&format!("workflows/{name}"))
    }

    pub fn write(&self, name: &str, text: &str) {
        self.place.write(&format!("workflows/{name}"), text);
    }

    /// The file of a database that agents keep.
    pub fn database(&self, name: &str) -> PathBuf {
        self.path(&format!(".data/{name}.db"))
    }

    /// The rows of a query in one of the databases, a line each.
    pub fn ask(&self, database: &str, sql: &str) -> String {
        query(&self.database(database), sql)
    }

    /// Changes what a database holds.
    pub fn write_to(&self, database: &str, sql: &str) {
        Connection::open(self.database(database)).unwrap().execute_batch(sql).unwrap();
    }

    /// The rows of the last trace.
    pub fn trace(&self) -> Vec<Row> {
        let text = self.place.read("workflows/session.toon");
        let mut rows = Vec::new();
        let session = read_session(text.as_bytes(), |_, row| rows.push(row.to_row())).unwrap();
        assert!(session.problems.is_empty(), "{text}");
        rows
    }

    /// What an item went through, in the order of the trace: `Phase status`, with the number of the attempt if it is not the first.
    pub fn fate(&self, item: &str) -> Vec<String> {
        let rows = self.trace();
        let its = rows.iter().filter(|row| row.item.as_deref() == Some(item));
        let tell = |row: &Row| match row.attempt {
            Some(attempt) if attempt > 1 => format!("{} {} #{attempt}", row.phase, row.status.name()),
            _ => format!("{} {}", row.phase, row.status.name()),
        };
        its.map(tell).collect()
    }

    /// Begins a run whose agents cannot write to one database, kills the runner with SIGKILL once `stuck` holds, and goes on
    /// with the run, to its exit.
    ///
    /// What the agents were about to write when their runner died they write afterwards, or never.
    #[track_caller]
    pub fn kill_and_resume(&self, args: &str, database: &str, stuck: impl Fn() -> bool) -> Told {
        let mut database = Connection::open(self.database(database)).unwrap();
        let lock = database.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let mut runner = self.begin(args);
        self.until(&mut runner, stuck);
        self.end(runner, lock)
    }

    /// Begins a run, kills the runner with SIGKILL once this query in a database gives a number above 0, while its agents
    /// are kept from writing there, and goes on with the run, to its exit.
    #[track_caller]
    pub fn kill_amid(&self, args: &str, database: &str, sql: &str) -> Told {
        let mut database = Connection::open(self.database(database)).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        let mut runner = self.begin(args);
        self.until(&mut runner, || database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() > 0);
        let lock = database.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        self.end(runner, lock)
    }

    fn begin(&self, args: &str) -> Child {
        let mut command = self.command(&format!("run --quiet {args}"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn until(&self, runner: &mut Child, holds: impl Fn() -> bool) {
        self.place.until("the run comes to where it is to be killed", || {
            assert!(runner.try_wait().unwrap().is_none(), "the run has ended before it was killed");
            holds()
        });
    }

    /// Kills a runner some of whose agents wait for the lock, and goes on.
    #[track_caller]
    fn end(&self, mut runner: Child, lock: Transaction<'_>) -> Told {
        self.until(&mut runner, || self.open_attempts() > 0);
        runner.kill().unwrap();
        runner.wait().unwrap();
        drop(lock);
        let told = self.orderflow("resume last");
        assert!(told.err.contains(" interrupted attempt"), "{}", told.err);
        told
    }

    /// How many attempts of the latest run have begun and are not over.
    fn open_attempts(&self) -> usize {
        let runs = std::fs::read_dir(self.path(".orderflow/runs")).unwrap();
        let latest = runs.map(|run| run.unwrap().path()).max().unwrap();
        let (_, records) = journal::read(&latest).unwrap();
        let mut open = BTreeSet::new();
        let each = |record| -> Result<(), journal::Unreadable> {
            match record {
                Record::Event(Event {
                    kind: EventKind::Attempt(item, step, _, AttemptEvent::Started),
                    ..
                }) => drop(open.insert((item, step))),
                Record::Event(Event {
                    kind: EventKind::Attempt(item, step, _, AttemptEvent::Finished(_)),
                    ..
                }) => drop(open.remove(&(item, step))),
                _ => {}
            }
            Ok(())
        };
        records.each(each).unwrap();
        open.len()
    }
}
