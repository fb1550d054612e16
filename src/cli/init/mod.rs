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
  orderflow init --skill-only
                           only this page, beside workflows that are there

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
    /// Write only .claude/skills/orderflow/SKILL.md
    #[arg(long, conflicts_with_all = ["skill", "starter"])]
    skill_only: bool,
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
    let skill = (args.skill || args.skill_only).then_some((SKILL, skill.as_str()));
    let workflow = if args.skill_only { &[] } else { args.starter.files() };
    let files: Vec<(PathBuf, &str)> =
        workflow.iter().copied().chain(skill).map(|(name, text)| (args.folder.join(name), text)).collect();
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
        let name = path.strip_prefix(&args.folder).unwrap_or(path);
        let written =
            disk::create_new(&args.folder, name).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let shown = |name: &str| {
        let path = visible(&args.folder.join(name).to_string_lossy());
        path.strip_prefix("./").map_or_else(|| path.clone(), str::to_owned)
    };
    terminal.talk(&match args.skill_only {
        true => format!("wrote {}\n", shown(SKILL)),
        false => format!("wrote {} files; try: orderflow run {}\n", files.len(), shown("workflow.md")),
    });
    Ok(Exit::Ok)
}
