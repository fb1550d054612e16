//! The terminal as a screen that is drawn and read key by key. It is restored however the program ends, except by a
//! kill.

use anyhow::Context;
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// The alternate screen without a cursor, and the normal one.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Up,
    Down,
    /// Ctrl-C, or the end of the input.
    Quit,
    /// A signal asks the program to end.
    Terminated,
    Other,
}

pub struct RawScreen {
    /// The settings of the terminal before.
    before: Termios,
    terminated: Arc<AtomicBool>,
    /// What was typed and is not handled yet.
    typed: Vec<u8>,
    _signals: tokio::runtime::Runtime,
}

impl RawScreen {
    /// Whether input and output are a terminal that can be drawn on.
    pub fn is_possible() -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
    }

    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn enter() -> anyhow::Result<RawScreen> {
        let before = tcgetattr(io::stdin()).context("cannot use the terminal")?;
        let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let signals = signals.context("cannot start the runtime")?;
        let terminated = Arc::new(AtomicBool::new(false));
        for kind in [SignalKind::terminate(), SignalKind::hangup()] {
            let _entered = signals.enter();
            let mut stream = signal(kind).context("cannot listen for signals")?;
            let flag = terminated.clone();
            signals.spawn(async move {
                if stream.recv().await.is_some() {
                    flag.store(true, Ordering::Relaxed);
                }
            });
        }
        let settings = before.clone();
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore(&settings);
            previous(panic);
        }));
        let mut screen = RawScreen { before, terminated, typed: Vec::new(), _signals: signals };
        screen.again()?;
        Ok(screen)
    }

    /// Takes the terminal again.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn again(&mut self) -> anyhow::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        // A read waits for a tenth of a second.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).context("cannot use the terminal")?;
        write(ENTER)
    }

    /// Gives the terminal back.
    pub fn leave(&mut self) {
        restore(&self.before);
    }

    /// Replaces what is drawn.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, text: &str) -> anyhow::Result<()> {
        // Each line is cleared behind its text, so nothing flickers.
        let text = text.replace("\r\n", "\x1b[K\r\n");
        write(&format!("\x1b[H{text}\x1b[K\x1b[J"))
    }

    /// The next key; `None` if none comes for a moment.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn key(&mut self) -> anyhow::Result<Option<Key>> {
        if self.terminated.load(Ordering::Relaxed) {
            return Ok(Some(Key::Terminated));
        }
        if self.typed.is_empty() {
            let mut bytes = [0; 64];
            let read = match io::stdin().lock().read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                read => read.context("cannot read the terminal")?,
            };
            self.typed.extend_from_slice(&bytes[..read]);
        }
        let (key, length) = match self.typed[..] {
            [] => return Ok(None),
            [3 | 4, ..] => (Key::Quit, 1),
            [b'\r' | b'\n', ..] => (Key::Enter, 1),
            [0x1b, b'[' | b'O', b'A', ..] => (Key::Up, 3),
            [0x1b, b'[' | b'O', b'B', ..] => (Key::Down, 3),
            // Of a key that is not known, all is ignored.
            [0x1b, ..] => (Key::Other, self.typed.len()),
            [first, ..] if first.is_ascii_graphic() => (Key::Char(char::from(first)), 1),
            _ => (Key::Other, 1),
        };
        self.typed.drain(..length);
        Ok(Some(key))
    }
}

impl Drop for RawScreen {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

fn restore(before: &Termios) {
    let _ = write(LEAVE);
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the terminal")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// In the process that panics.
    const PANICS: &str = "ORDERFLOW_TEST_PANICS";

    #[test]
    fn the_terminal_is_restored_after_a_panic() {
        if std::env::var_os(PANICS).is_some() {
            let _screen = RawScreen::enter().unwrap();
            panic!("a bug");
        }
        // A terminal of its own, in which this test runs again, and the settings after it are shown.
        let this = std::env::current_exe().unwrap();
        let name = "cli::top::raw::tests::the_terminal_is_restored_after_a_panic";
        let command = format!("'{}' --exact {name} --nocapture; stty -a", this.display());
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env(PANICS, "1").env("TERM", "xterm");
        let output = script.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what:?} in {said}"));
        // The message is on the normal screen, where it stays.
        assert!(at(ENTER) < at(LEAVE) && at(LEAVE) < at("a bug"), "{said}");
        let settings: Vec<&str> = said.split_whitespace().collect();
        for setting in ["icanon", "echo", "isig", "opost"] {
            assert!(settings.contains(&setting), "{setting}: {said}");
        }
    }
}
