//! `orderflow man`.

use super::exit::Exit;
use super::help::with_exits;
use super::terminal::Terminal;
use clap::CommandFactory;
use clap_mangen::Man;

/// Print the manual page, for man
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow man > ~/.local/share/man/man1/orderflow.1
  orderflow man run | man -l -", &[]))]
pub struct Args {
    /// Print the page of this command only
    command: Option<String>,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut root = super::Cli::command();
    root.build();
    let page = match &args.command {
        None => root,
        Some(name) => match root.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                let known: Vec<&str> = root.get_subcommands().map(clap::Command::get_name).collect();
                let message = format!("unknown command `{name}`");
                let help = format!("the commands are {}", known.join(", "));
                return Err(super::exit::Stop::new(Exit::Usage, message).help(help).into());
            }
        },
    };
    let mut text = Vec::new();
    // With another name, the foot of a command's page would say that the program is called run.
    let source = concat!("orderflow ", env!("CARGO_PKG_VERSION"));
    Man::new(page).source(source).render(&mut text)?;
    terminal.data(&String::from_utf8_lossy(&text));
    terminal.finish()?;
    Ok(Exit::Ok)
}
