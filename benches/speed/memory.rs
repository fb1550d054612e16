//! Peak memory of a long run beside that of a run of a tenth of its length: a run keeps what is in flight, and
//! must not grow with what is done. Each is a process of its own, since memory that was used is not unused.

use super::pair::{Case, Once, Unit};
use super::{Sizes, pipeline};
use anyhow::{Context, ensure};
use std::process::Command;

pub const FLAG: &str = "--peak-memory-of";

pub fn cases<'a>(sizes: &Sizes) -> anyhow::Result<Vec<Case<'a>>> {
    let orders = sizes.many_orders;
    Ok(vec![Case {
        name: format!("memory: {orders} orders, traced"),
        unit: Unit::Bytes,
        floor_name: "a tenth of the orders",
        ours: peak(orders),
        floor: peak(orders / 10),
    }])
}

fn peak<'a>(orders: u64) -> Once<'a> {
    Box::new(move || {
        let output = Command::new(std::env::current_exe()?).arg(FLAG).arg(orders.to_string()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    })
}

/// The child: a traced run, then its peak memory in bytes.
pub fn run(orders: u64) -> anyhow::Result<()> {
    pipeline::looped(orders, true)?;
    let status =
        std::fs::read_to_string("/proc/self/status").context("peak memory is known on Linux only")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.context("no VmHWM in /proc/self/status")?.parse()?;
    println!("{}", peak * 1024);
    Ok(())
}
