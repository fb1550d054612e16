//! `orderflow lsp`: the language server, on standard input and output. Runs nothing by itself.

mod desk;
mod last;
mod renames;
mod runs;
mod server;
mod uri;
mod wire;

use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::terminal::Terminal;
use anyhow::Context;
use runs::EndedRun;
use serde_json::Value;
use server::{Server, State};
use std::collections::HashSet;
use std::io;
use std::sync::mpsc;
use std::thread;

/// Serve an editor: problems, outline, names, completion
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow lsp          started by an editor, for markdown and orderflow.toml

It speaks the language server protocol on standard input and output. docs/editors.md shows how to set up \
Neovim, Helix, Emacs and VS Code.", &[Exit::Failed]))]
pub struct Args {
    /// Accepted for editors that pass it: standard input and output are always used
    #[arg(long)]
    stdio: bool,
}

/// What the loop waits for.
enum Input {
    /// A message of the editor; `None` when it has gone.
    Message(io::Result<Option<Vec<u8>>>),
    /// A run that the editor has started has ended.
    Run(EndedRun),
}

impl From<EndedRun> for Input {
    fn from(run: EndedRun) -> Input {
        Input::Run(run)
    }
}

pub fn run(_: Args, _: &mut Terminal) -> anyhow::Result<Exit> {
    let (sender, messages) = mpsc::channel();
    let mut server = Server::new(sender.clone());
    // It ends with the process: an editor need not close the input.
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let message = wire::read(&mut input);
            let more = matches!(message, Ok(Some(_)));
            if sender.send(Input::Message(message)).is_err() || !more {
                return;
            }
        }
    });
    while let Ok(first) = messages.recv() {
        // What has come meanwhile: of several changes only the last text is read.
        let mut batch = Vec::new();
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Input::Run(run) => server.ended(&run),
                Input::Message(Ok(Some(message))) => batch.push(message),
                Input::Message(Ok(None)) => return ended(&mut server, &batch, false),
                Input::Message(Err(error)) => {
                    ended(&mut server, &batch, false)?;
                    let message = format!("the input is not of a language client: {error}");
                    return Err(Stop::new(Exit::Usage, message).help("start it from an editor").into());
                }
            }
        }
        process(&mut server, &batch)?;
        if let State::Ended(cleanly) = server.state {
            return ended(&mut server, &[], cleanly);
        }
    }
    Ok(Exit::Ok)
}

fn ended(server: &mut Server, batch: &[Vec<u8>], cleanly: bool) -> anyhow::Result<Exit> {
    process(server, batch)?;
    // An editor that has gone without a word has failed.
    let cleanly = cleanly || matches!(server.state, State::Stopped | State::Ended(true));
    Ok(if cleanly { Exit::Ok } else { Exit::Failed })
}

fn process(server: &mut Server, batch: &[Vec<u8>]) -> anyhow::Result<()> {
    let cancelled: HashSet<Value> = batch.iter().filter_map(|message| server::cancels(message)).collect();
    for message in batch {
        server.message(message, &cancelled);
        send(server)?;
        if matches!(server.state, State::Ended(_)) {
            return Ok(());
        }
    }
    server.refresh();
    send(server)
}

fn send(server: &mut Server) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    for message in server.take() {
        wire::write(&mut output, &message).context("cannot write to the editor")?;
    }
    Ok(())
}
