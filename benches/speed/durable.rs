//! Durable steps of whole runs: beside the same runs that are kept nowhere, and beside the bare database, which
//! commits the same bytes in as many groups as the run before it did.

use super::Sizes;
use super::journal::{bare, rows, store};
use super::pair::{Case, Unit};
use super::pipeline::{JOBS, looped, rate};
use orderflow::runtime::Durable;
use std::path::{Path, PathBuf};

/// Steps at once where a commit holds many of them.
const MANY: usize = 256;

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> anyhow::Result<Vec<Case<'a>>> {
    let orders = sizes.durable_orders;
    let mut cases = Vec::new();
    for jobs in [JOBS, MANY] {
        let folder = folder.join(format!("durable-{jobs}"));
        std::fs::create_dir(&folder)?;
        let case = |floor_name, floor| Case {
            name: format!("journal: run, {jobs} jobs"),
            unit: Unit::StepsPerSecond,
            floor_name,
            ours: Box::new({
                let folder = folder.clone();
                move || rate(orders, || kept(&folder, orders, jobs))
            }),
            floor,
        };
        let throwaway = move || rate(orders, || looped(orders, jobs, true, None));
        cases.push(case("the same run with --no-journal", Box::new(throwaway)));
        let of_the_last = committed(folder.clone(), orders, jobs);
        cases.push(case("SQLite, the same bytes and commits", Box::new(of_the_last)));
    }
    Ok(cases)
}

/// A run with its trace and its journal, put in order at the end.
fn kept(folder: &Path, orders: u64, jobs: usize) -> anyhow::Result<()> {
    looped(orders, jobs, true, Some(Durable::start(store(folder)?)?))
}

/// How many records a commit holds is a matter of the moment, so each time the last run's are taken.
fn committed(folder: PathBuf, orders: u64, jobs: usize) -> impl FnMut() -> anyhow::Result<f64> {
    move || {
        if !folder.join(orderflow::journal::FILE).exists() {
            kept(&folder, orders, jobs)?;
        }
        let rows = rows(&folder)?;
        rate(orders, || bare(&folder, &rows))
    }
}
