//! Output: data to standard output, messages to standard error. A closed output never stops a run.

use super::exit::Stop;
use crate::diag::render::visible;
use anstream::{AutoStream, ColorChoice};
use clap::error::{ContextValue, ErrorKind};
use rustix::io::Errno;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

/// Standard output and standard error, as commands use them.
pub struct Terminal {
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
    /// The first failure to write data, such as a full disk; a closed pipe is not a failure.
    failure: Option<io::Error>,
    /// Data goes to a terminal, which may be closed.
    closes: bool,
}

impl Terminal {
    pub fn new() -> Self {
        let (out, err) = (AutoStream::auto(io::stdout()), AutoStream::auto(io::stderr()));
        Terminal { out, err, failure: None, closes: io::stdout().is_terminal() }
    }

    /// Whether standard output shows colour: it is a terminal, and NO_COLOR and the like are not set.
    pub fn colour(&self) -> bool {
        self.out.current_choice() != ColorChoice::Never
    }

    /// Whether standard error shows colour.
    pub fn talk_colour(&self) -> bool {
        self.err.current_choice() != ColorChoice::Never
    }

    /// Whether standard error is a terminal on which progress can be drawn.
    pub fn watched(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// The columns and rows of the terminal of standard error; 80 and 24 if they are not known.
    pub fn screen(&self) -> (usize, usize) {
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
        let size = size.map(|size| (size.ws_col.into(), size.ws_row.into()));
        size.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24))
    }

    /// The columns of the terminal of standard output; `None` if it is not a terminal.
    pub fn width(&self) -> Option<usize> {
        rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col as usize).filter(|w| *w > 0)
    }

    /// Writes data, without adding a newline. Lines that a CI system would obey are disarmed.
    pub fn data(&mut self, text: &str) {
        self.commands(&disarmed(text));
    }

    /// Writes data unchanged: lines that a CI system is meant to obey.
    pub fn commands(&mut self, text: &str) {
        if self.failure.is_none()
            && let Err(error) = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush())
        {
            self.failure = Some(error);
        }
    }

    /// Whether data cannot be written any more.
    pub fn is_closed(&self) -> bool {
        self.failure.is_some()
    }

    /// The result of writing data: an error only if data was lost, not if the reader is gone.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.failure.take() {
            Some(error) if !self.is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn is_gone(&self, error: &io::Error) -> bool {
        let hung_up = self.closes && error.raw_os_error() == Some(Errno::IO.raw_os_error());
        hung_up || error.kind() == io::ErrorKind::BrokenPipe
    }

    /// Writes messages, without adding a newline. Lines that a CI system would obey are disarmed.
    pub fn talk(&mut self, text: &str) {
        let _ = self.err.write_all(disarmed(text).as_bytes());
    }

    /// Removes the last rows of the terminal of standard error, then writes messages there.
    pub fn redraw(&mut self, rows: usize, text: &str) {
        let up = if rows > 0 { format!("\x1b[{rows}A\r\x1b[J") } else { String::new() };
        // Not through the stream, which removes what moves the cursor where colours are not wanted.
        let _ = io::stderr().lock().write_all((up + &disarmed(text)).as_bytes());
    }

    /// Prints a problem of the arguments, or the requested help.
    pub fn arguments(&mut self, mut error: clap::Error) {
        if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // A closed output is not a failure: its reader is gone.
            let _ = error.print();
            return;
        }
        clean(&mut error);
        let style = anstyle::AnsiColor::Red.on_default().bold();
        // Without styles, so that any remaining escapes came with an argument.
        for line in error.render().to_string().lines() {
            let line = visible(line);
            self.talk(&match line.strip_prefix("error:") {
                Some(rest) => format!("{style}error{style:#}:{rest}\n"),
                None => format!("{line}\n"),
            });
        }
    }

    /// Prints an error once, with its help.
    pub fn error(&mut self, error: &anyhow::Error) {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        let message = visible(&format!("{error:#}"));
        let mut text = format!("{style}error{style:#}: {message}\n");
        if let Some(help) = Stop::help_of(error) {
            text.push_str(&format!("  help: {}\n", visible(help)));
        }
        self.talk(&text);
    }
}

/// Replaces line ends and other control characters in the arguments that an error quotes.
fn clean(error: &mut clap::Error) {
    let cleaned = |value: &ContextValue| match value {
        ContextValue::String(text) => Some(ContextValue::String(visible(text))),
        ContextValue::Strings(texts) => {
            Some(ContextValue::Strings(texts.iter().map(|text| visible(text)).collect()))
        }
        ContextValue::StyledStrs(texts) => {
            let texts = texts.iter().map(|text| visible(&text.to_string()).into());
            Some(ContextValue::StyledStrs(texts.collect()))
        }
        _ => None,
    };
    let all: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, cleaned(value)?))).collect();
    for (kind, value) in all {
        error.insert(kind, value);
    }
}

/// Disarms lines that are commands to a CI system: an item's key, a title or a log may contain one. Such a line loses
/// its styles.
fn disarmed(text: &str) -> Cow<'_, str> {
    if !plain(text).contains([':', '#']) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 2);
    // CI systems also end a line at a carriage return, and read the text without styles.
    for line in text.split_inclusive(['\n', '\r']) {
        let mut plain = plain(line).into_owned();
        let places = commands(&plain);
        if places.is_empty() {
            shown.push_str(line);
            continue;
        }
        for place in places.into_iter().rev() {
            plain.replace_range(place..=place, "\u{fffd}");
        }
        shown.push_str(&plain);
    }
    Cow::Owned(shown)
}

fn plain(text: &str) -> Cow<'_, str> {
    match text.contains('\u{1b}') {
        true => Cow::Owned(anstream::adapter::strip_str(text).to_string()),
        false => Cow::Borrowed(text),
    }
}

/// Where the commands of a line begin: `::` and a name after blanks, which GitHub's runner obeys, or anywhere `##[`,
/// also GitHub's, `##vso[`, Azure's, `##teamcity[` and the like.
fn commands(line: &str) -> Vec<usize> {
    let blanks = line.len() - line.trim_start().len();
    // An excerpt has `:::` where lines are left out.
    let named = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    let colons = line.trim_start().strip_prefix("::").is_some_and(named).then_some(blanks);
    let bracket = |rest: &str| {
        let name =
            rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        name.strip_prefix('[').is_some_and(|after| named(after) || name.len() < rest.len())
    };
    let marks = line.match_indices('#').map(|(at, _)| at);
    let marks = marks.filter(|at| line[*at..].strip_prefix("##").is_some_and(bracket));
    colons.into_iter().chain(marks).collect()
}

#[cfg(test)]
mod tests {
    use super::disarmed;

    #[test]
    fn no_line_is_a_command_of_a_ci_system() {
        for same in [
            "",
            "a::b\n",
            "  | ::error x\n",
            "#[x]\n",
            "   ::: a.md:3:1\n",
            "## Pay [retry:: 1]\n",
            "##\n[x]",
            "##[]\n",
            "\u{1b}[1m##\u{1b}[0m x",
        ] {
            assert_eq!(disarmed(same), same);
        }
        assert_eq!(disarmed("a\n::error file=x::no\nb"), "a\n\u{fffd}:error file=x::no\nb");
        assert_eq!(disarmed(" \t::stop-commands::x"), " \t\u{fffd}:stop-commands::x");
        assert_eq!(disarmed("\u{a0}##[error]no\n"), "\u{a0}\u{fffd}#[error]no\n");
        assert_eq!(disarmed("a\r::debug::no\n"), "a\r\u{fffd}:debug::no\n");
        // These count in the middle of a line.
        assert_eq!(disarmed("  | x ##[add-mask]a\n"), "  | x \u{fffd}#[add-mask]a\n");
        assert_eq!(
            disarmed("##vso[task.setvariable variable=PATH]/x"),
            "\u{fffd}#vso[task.setvariable variable=PATH]/x"
        );
        assert_eq!(
            disarmed("##teamcity[buildStop] ###teamcity[x]"),
            "\u{fffd}#teamcity[buildStop] #\u{fffd}#teamcity[x]"
        );
        // Styles are taken out where nobody looks at a terminal.
        assert_eq!(
            disarmed("\u{1b}[1m::add-mask::a\u{1b}[0m\n\u{1b}[1mb\u{1b}[0m\n"),
            "\u{fffd}:add-mask::a\n\u{1b}[1mb\u{1b}[0m\n"
        );
        assert_eq!(disarmed(" :\u{1b}[31m:\u{1b}[1merror::no\u{1b}[0m"), " \u{fffd}:error::no");
        assert_eq!(disarmed("#\u{1b}[31m#vs\u{1b}[0mo[x]"), "\u{fffd}#vso[x]");
    }
}
