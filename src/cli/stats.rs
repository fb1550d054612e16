//! `orderflow stats`.

use super::exit::Exit;
use super::terminal::Terminal;

#[derive(clap::Args)]
pub struct Args {
    file: std::path::PathBuf,
}

pub fn run(args: Args, _terminal: &mut Terminal) -> anyhow::Result<Exit> {
    anyhow::bail!("{} is not read yet", args.file.display())
}
