//! `orderflow init`: writes a small workflow that runs, as a start.

mod starters;

use super::exit::{Exit, Stop};
use super::guide;
use super::stream;
use super::terminal::Terminal;
use crate::cli::help::with_exits;
use crate::diag::render::visible;
use crate::disk;
use anyhow::Context;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use starters::Starter;
use std::io::Write;
use std::path::PathBuf;

/// Where coding agents look for it, below the folder.
const SKILL: &str = ".claude/skills/orderflow/SKILL.md";

/// Write a small workflow that runs
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow init           into the current folder
  orderflow init shop --starter orders && orderflow run shop/workflow.md
  orderflow init --list    what the starters show
  orderflow init --skill   and a page that teaches orderflow to coding agents

Each starter has agents that run at once and cases for orderflow test. Existing files are never overwritten.", &[]))]
pub struct Args {
    /// Write into this folder
    #[arg(default_value = ".", value_parser = stream::folder)]
    folder: PathBuf,
    /// Begin with this workflow
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    starter: Starter,
    /// Also write .claude/skills/orderflow/SKILL.md
    #[arg(long)]
    skill: bool,
    /// List the starters, and write nothing
    #[arg(long, exclusive = true)]
    list: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    if args.list {
        for starter in Starter::value_variants() {
            let name = starter.to_possible_value();
            let name = name.as_ref().map_or("", PossibleValue::get_name);
            terminal.data(&format!("{name:<13}  {}\n", starter.shows()));
        }
        terminal.finish()?;
        return Ok(Exit::Ok);
    }
    let skill = format!("{}```text\n{}```\n", include_str!("SKILL.md"), guide::card());
    let skill = args.skill.then_some((SKILL, skill.as_str()));
    let files: Vec<(PathBuf, &str)> = args
        .starter
        .files()
        .iter()
        .copied()
        .chain(skill)
        .map(|(name, text)| (args.folder.join(name), text))
        .collect();
    let there: Vec<String> = files
        .iter()
        .filter(|(path, _)| disk::is_there(path))
        .map(|(path, _)| visible(&path.to_string_lossy()))
        .collect();
    if !there.is_empty() {
        let message = format!("{} is there already; nothing was written", there.join(", "));
        return Err(Stop::new(Exit::Usage, message)
            .help("name another folder: orderflow init FOLDER")
            .into());
    }
    for (path, text) in &files {
        let written = disk::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let workflow = visible(&args.folder.join("workflow.md").to_string_lossy());
    let workflow = workflow.strip_prefix("./").unwrap_or(&workflow);
    terminal.talk(&format!("wrote {} files; try: orderflow run {workflow}\n", files.len()));
    Ok(Exit::Ok)
}
