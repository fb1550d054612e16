//! Where output goes: data to standard output, talk to standard error. A closed output never stops a run.

use super::exit::Stop;
use crate::diag::render::visible;
use anstream::{AutoStream, ColorChoice};
use rustix::io::Errno;
use std::io::{self, IsTerminal, Write};

pub struct Terminal {
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
    /// The first failure to write data, such as a full disk; a closed pipe is none.
    failure: Option<io::Error>,
    /// Data goes to a terminal, which may be closed.
    closes: bool,
}

impl Terminal {
    pub fn new() -> Self {
        let (out, err) = (AutoStream::auto(io::stdout()), AutoStream::auto(io::stderr()));
        Terminal { out, err, failure: None, closes: io::stdout().is_terminal() }
    }

    /// Whether standard output shows colour: a terminal, and nothing like NO_COLOR in the way.
    pub fn colour(&self) -> bool {
        self.out.current_choice() != ColorChoice::Never
    }

    /// Whether standard error shows colour.
    pub fn talk_colour(&self) -> bool {
        self.err.current_choice() != ColorChoice::Never
    }

    /// Whether a person watches standard error, so that progress can be drawn.
    pub fn watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Columns of the terminal behind standard output; none where it is no terminal.
    pub fn width(&self) -> Option<usize> {
        rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col as usize).filter(|w| *w > 0)
    }

    /// Writes data as it is, with no newline added.
    pub fn data(&mut self, text: &str) {
        if self.failure.is_none()
            && let Err(error) = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush())
        {
            self.failure = Some(error);
        }
    }

    /// The outcome of all writing of data: an error only where data was lost, not where nobody listens.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.failure.take() {
            Some(error) if !self.is_closed(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn is_closed(&self, error: &io::Error) -> bool {
        let hung_up = self.closes && error.raw_os_error() == Some(Errno::IO.raw_os_error());
        hung_up || error.kind() == io::ErrorKind::BrokenPipe
    }

    /// Writes talk as it is, with no newline added.
    pub fn talk(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
    }

    /// Prints an operator's trouble once, with what to do.
    pub fn error(&mut self, error: &anyhow::Error) {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        let message = visible(&format!("{error:#}"));
        let mut text = format!("{style}error{style:#}: {message}\n");
        if let Some(help) = error.downcast_ref::<Stop>().and_then(|stop| stop.help.as_deref()) {
            text.push_str(&format!("  help: {}\n", visible(help)));
        }
        self.talk(&text);
    }
}
