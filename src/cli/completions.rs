//! `orderflow completions`.

use super::exit::Exit;
use super::help::with_exits;
use super::terminal::Terminal;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print completions for a shell
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow completions zsh > ~/.zfunc/_orderflow
  orderflow completions bash > /etc/bash_completion.d/orderflow
  orderflow completions fish > ~/.config/fish/completions/orderflow.fish", &[]))]
pub struct Args {
    /// Print the script for this shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "orderflow", &mut text);
    terminal.data(&String::from_utf8_lossy(&text));
    terminal.finish()?;
    Ok(Exit::Ok)
}
