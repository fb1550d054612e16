//! Peak memory of a long run and of the statistics of a long trace, beside those of a tenth of the length: what is
//! in flight is kept, and nothing may grow with what is done. Each is a process of its own, since memory that was
//! used is not unused.

use super::pair::{Case, Once, Unit};
use super::{Sizes, pipeline, trace};
use anyhow::{Context, ensure};
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Followed by a number of orders.
pub const RUN: &str = "--peak-memory-of-run";
/// Followed by a session file.
pub const STATS: &str = "--peak-memory-of-stats";

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> Vec<Case<'a>> {
    let orders = sizes.many_orders;
    let case = |name: String, floor_name: &'static str, ours: Once<'a>, floor: Once<'a>| Case {
        name: format!("memory: {name}"),
        unit: Unit::Bytes,
        floor_name,
        ours,
        floor,
    };
    let run = |orders: u64| -> Once<'a> { Box::new(move || peak(RUN, orders.to_string())) };
    let stats = |orders: u64| -> Once<'a> {
        let path = folder.join(format!("{orders}.toon"));
        Box::new(move || {
            trace::record(orders, &path)?;
            peak(STATS, &path)
        })
    };
    let rows = orders * pipeline::STEPS;
    vec![
        case(format!("{orders} orders, traced"), "a tenth of the orders", run(orders), run(orders / 10)),
        case(format!("stats of {rows} rows"), "a tenth of the rows", stats(orders), stats(orders / 10)),
    ]
}

fn peak(flag: &str, of: impl AsRef<OsStr>) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?).arg(flag).arg(of).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The child: does the work, then shows its peak memory in bytes.
pub fn child(flag: &str, of: &str) -> anyhow::Result<()> {
    match flag {
        STATS => drop(trace::fold(File::open(of)?)?),
        _ => pipeline::looped(of.parse()?, pipeline::JOBS, true, None)?,
    }
    let status =
        std::fs::read_to_string("/proc/self/status").context("peak memory is known on Linux only")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.context("no VmHWM in /proc/self/status")?.parse()?;
    println!("{}", peak * 1024);
    Ok(())
}
