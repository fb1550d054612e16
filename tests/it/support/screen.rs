//! `orderflow` at a terminal of a given size, as the person before it sees it.

use crate::place::Place;
use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};

pub struct Screen {
    child: Child,
    /// What is typed; open until the end.
    stdin: std::process::ChildStdin,
    stdout: ChildStdout,
    terminal: vt100::Parser,
    /// Whether a line was ever wrapped.
    pub wrapped: bool,
}

impl Screen {
    /// Begins `orderflow` with these arguments.
    pub fn begin(place: &Place, args: &str, columns: u16, rows: u16) -> Screen {
        Screen::begin_program(place, &format!("{} {args}", env!("CARGO_BIN_EXE_orderflow")), columns, rows)
    }

    /// Begins this program.
    pub fn begin_program(place: &Place, program: &str, columns: u16, rows: u16) -> Screen {
        let program = format!("stty cols {columns} rows {rows}; exec {program}");
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &program, "/dev/null"]).current_dir(place.folder());
        terminal.env("XDG_STATE_HOME", place.path(".state")).env("TERM", "xterm").env_remove("NO_COLOR");
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let size = |size| std::num::NonZero::new(size).unwrap();
        let terminal = vt100::Parser::new(size(rows), size(columns), 0);
        Screen { child, stdin, stdout, terminal, wrapped: false }
    }

    /// Types keys.
    pub fn type_in(&mut self, keys: &str) {
        std::io::Write::write_all(&mut self.stdin, keys.as_bytes()).unwrap();
    }

    /// Reads more; false at the end.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let read = self.stdout.read(&mut chunk).unwrap_or(0);
        self.terminal.process(&chunk[..read]);
        let screen = self.terminal.screen();
        self.wrapped |= (0..screen.size().0.get()).any(|row| screen.row_wrapped(row));
        read > 0
    }

    /// The lines on the screen, without those that are empty at its end.
    pub fn text(&self) -> String {
        let text = self.terminal.screen().contents();
        text.trim_end().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// Waits until the screen is like this.
    #[track_caller]
    pub fn until(&mut self, mut holds: impl FnMut(&str) -> bool) -> String {
        loop {
            let text = self.text();
            if holds(&text) {
                return text;
            }
            assert!(self.read(), "it ended before:\n{text}");
        }
    }

    /// The last screen, and the exit.
    pub fn end(mut self) -> (String, Option<i32>) {
        while self.read() {}
        let text = self.text();
        (text, self.child.wait().unwrap().code())
    }
}
