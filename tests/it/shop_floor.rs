//! The order systems of `workflows/` as they are run: in a copy of the folder, with databases of their own, and
//! killed while they work.

use crate::place::Place;
use crate::program::{Told, told};
use crate::python::{path, query};
use crate::workflows::workflows;
use orderflow::session::{Row, read_session};
use rusqlite::{Connection, TransactionBehavior};
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
        let mut lock = Connection::open(self.database(database)).unwrap();
        let lock = lock.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let mut command = self.command(&format!("run --quiet {args}"));
        let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.place.until("the run is stuck at the locked database", || {
            assert!(runner.try_wait().unwrap().is_none(), "the run has ended");
            stuck()
        });
        runner.kill().unwrap();
        runner.wait().unwrap();
        drop(lock);
        self.orderflow("resume last --quiet")
    }
}
