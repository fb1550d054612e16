//! Steps that are programs: `orderflow run` beside `xargs -P`, both starting `/bin/true`.

use super::Sizes;
use super::pair::{Case, Once, Unit};
use anyhow::{Context, ensure};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const PROGRAM: &str = "/bin/true";

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> anyhow::Result<Vec<Case<'a>>> {
    let settings = format!("[agents.nobody]\ncommand = [\"{PROGRAM}\"]\n");
    let mut cases = Vec::new();
    for (name, steps, items, jobs) in [
        (format!("{} items, 2 jobs", sizes.processes), 1, sizes.processes, 2),
        (format!("{} items, 16 jobs", sizes.processes), 1, sizes.processes, 16),
        (format!("chain of {} steps", sizes.chain), sizes.chain, 1, 1),
    ] {
        let folder = folder.join(name.replace([' ', ','], "-"));
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("orderflow.toml"), &settings)?;
        std::fs::write(folder.join("items.jsonl"), lines(items))?;
        std::fs::write(folder.join("workflow.md"), document(steps))?;
        cases.push(Case {
            name: format!("journal: programs, {name}"),
            unit: Unit::ProcessesPerSecond,
            floor_name: "the same run with --no-journal",
            ours: ours(folder.clone(), jobs, steps * items, &[]),
            floor: ours(folder.clone(), jobs, steps * items, &["--no-journal"]),
        });
        cases.push(Case {
            name: format!("processes: {name}"),
            unit: Unit::ProcessesPerSecond,
            floor_name: "xargs -P, the same programs",
            ours: ours(folder, jobs, steps * items, &[]),
            floor: xargs(jobs, steps * items),
        });
    }
    Ok(cases)
}

/// Steps without values follow each other.
fn document(steps: usize) -> String {
    let mut text = String::from("---\nitems: items.jsonl\n---\n\n# Nothing\n");
    for step in 0..steps {
        let _ = write!(text, "\n## Step {step} @nobody\n");
    }
    text
}

fn lines(count: usize) -> String {
    (0..count).map(|item| format!("{{\"id\": {item}}}\n")).collect()
}

fn ours<'a>(folder: PathBuf, jobs: usize, processes: usize, flags: &'static [&str]) -> Once<'a> {
    Box::new(move || {
        let begin = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
        command
            .args(["run", "workflow.md", "--quiet", "--jobs", &jobs.to_string()])
            .args(flags)
            .current_dir(&folder);
        let output = command.stdin(Stdio::null()).output().context("cannot start orderflow")?;
        let took = begin.elapsed();
        ensure!(output.status.success(), "orderflow: {}", String::from_utf8_lossy(&output.stderr));
        Ok(processes as f64 / took.as_secs_f64())
    })
}

fn xargs<'a>(jobs: usize, processes: usize) -> Once<'a> {
    Box::new(move || {
        let input = tempfile::NamedTempFile::new()?;
        std::fs::write(&input, lines(processes).replace(['{', '}', '"', ' ', ':'], ""))?;
        let begin = Instant::now();
        let mut command = Command::new("xargs");
        command.args(["-n", "1", "-P", &jobs.to_string(), PROGRAM]).stdin(input.reopen()?);
        let status = command.status().context("cannot start xargs")?;
        let took = begin.elapsed();
        ensure!(status.success(), "xargs: {status}");
        Ok(processes as f64 / took.as_secs_f64())
    })
}
