//! `orderflow init`: writes a small workflow that runs, as a start.

use super::exit::{Exit, Stop};
use super::stream;
use super::terminal::Terminal;
use crate::cli::help::with_exits;
use crate::diag::render::visible;
use crate::disk;
use anyhow::Context;
use std::io::Write;
use std::path::PathBuf;

/// The starter's files, below the folder.
const FILES: [(&str, &str); 6] = [
    ("workflow.md", include_str!("workflow.md")),
    ("parcels.jsonl", include_str!("parcels.jsonl")),
    ("orderflow.toml", include_str!("orderflow.toml")),
    ("agents/scale.sh", include_str!("agents/scale.sh")),
    ("agents/office.sh", include_str!("agents/office.sh")),
    ("agents/printer.sh", include_str!("agents/printer.sh")),
];

/// Write a small workflow that runs
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow init           into the current folder
  orderflow init parcels   into the folder parcels, created if it is missing
  orderflow init parcels && orderflow run parcels/workflow.md

Existing files are never overwritten.", &[]))]
pub struct Args {
    /// Write into this folder
    #[arg(default_value = ".", value_parser = stream::folder)]
    folder: PathBuf,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let paths: Vec<PathBuf> = FILES.iter().map(|(name, _)| args.folder.join(name)).collect();
    let there: Vec<String> = paths
        .iter()
        .filter(|path| disk::is_there(path))
        .map(|path| visible(&path.to_string_lossy()))
        .collect();
    if !there.is_empty() {
        let message = format!("{} is there already; nothing was written", there.join(", "));
        return Err(Stop::new(Exit::Usage, message)
            .help("name another folder: orderflow init FOLDER")
            .into());
    }
    for (path, (_, text)) in paths.iter().zip(FILES) {
        let written = disk::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let workflow = visible(&args.folder.join("workflow.md").to_string_lossy());
    let workflow = workflow.strip_prefix("./").unwrap_or(&workflow);
    terminal.talk(&format!("wrote {} files; try: orderflow run {workflow}\n", FILES.len()));
    Ok(Exit::Ok)
}
