//! Draws the board on standard error, on a thread of its own: the run never waits for the terminal.

use super::super::terminal::Terminal;
use super::board::Board;
use super::spoken;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The shortest time between two drawings.
const EVERY: Duration = Duration::from_millis(100);

/// How often times are drawn that pass without an event.
const TICK: Duration = Duration::from_millis(500);

/// How often a run without a terminal reports its progress.
const REPORT: Duration = Duration::from_secs(30);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In the last lines of a terminal.
    Drawn,
    /// A line from time to time.
    Lines,
    /// Only what is said above.
    Silent,
}

/// What is shown while a run is active.
#[derive(Clone)]
pub struct Display(Arc<Shared>);

struct Shared {
    style: Style,
    state: Mutex<DisplayState>,
    wake: Condvar,
    screen: Mutex<Screen>,
}

struct DisplayState {
    board: Board,
    /// Text that is to be shown above the drawn lines.
    above: String,
    /// The board has changed.
    changed: bool,
    closed: bool,
}

/// What is drawn.
struct Screen {
    terminal: Terminal,
    /// The width of each drawn line.
    drawn: Vec<usize>,
    hidden: bool,
}

impl Display {
    /// Begins to show a board. Without a thread, only what is said is shown.
    pub fn start(board: Board, style: Style) -> (Display, Option<JoinHandle<()>>) {
        let state = DisplayState { board, above: String::new(), changed: true, closed: false };
        let screen = Screen { terminal: Terminal::new(), drawn: Vec::new(), hidden: false };
        let shared =
            Shared { style, state: Mutex::new(state), wake: Condvar::new(), screen: Mutex::new(screen) };
        let display = Display(Arc::new(shared));
        let own = display.clone();
        let thread = std::thread::Builder::new().name("display".to_owned()).spawn(move || own.draw_all());
        (display, thread.ok())
    }

    fn state(&self) -> MutexGuard<'_, DisplayState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the board.
    pub fn board<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        let mut state = self.state();
        state.changed = true;
        change(&mut state.board)
    }

    /// Shows text above the board, soon.
    pub fn say(&self, text: &str) {
        self.state().above.push_str(text);
        self.0.wake.notify_one();
    }

    /// Removes the board and says what was not said yet, at once.
    pub fn close(&self, thread: Option<JoinHandle<()>>) {
        self.state().closed = true;
        self.0.wake.notify_one();
        // Without a thread, or after its panic, this says the rest.
        thread.map(JoinHandle::join);
        let above = std::mem::take(&mut self.state().above);
        let mut screen = self.screen();
        let columns = screen.terminal.screen().0;
        screen.draw(&above, &[], columns);
    }

    /// Removes the board as long as a person is asked.
    pub fn hide(&self) {
        let mut screen = self.screen();
        let columns = screen.terminal.screen().0;
        screen.draw("", &[], columns);
        screen.hidden = true;
    }

    /// Shows the board again.
    pub fn unhide(&self) {
        self.screen().hidden = false;
    }

    /// Rows for running steps.
    pub fn room(&self) -> usize {
        match self.0.style {
            Style::Drawn => self.screen().terminal.screen().1.saturating_sub(2),
            Style::Lines | Style::Silent => 0,
        }
    }

    fn draw_all(&self) {
        let mut reported = Instant::now();
        loop {
            let drawn = self.0.style == Style::Drawn;
            let idle = |state: &mut DisplayState| {
                state.above.is_empty() && !state.closed && !(drawn && state.changed)
            };
            let waited = self.0.wake.wait_timeout_while(self.state(), TICK, idle);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return;
            }
            state.changed = false;
            let mut above = std::mem::take(&mut state.above);
            let now = Instant::now();
            if self.0.style == Style::Lines && now.duration_since(reported) >= REPORT {
                reported = now;
                above.push_str(&(state.board.line(now) + "\n"));
            }
            drop(state);
            let mut screen = self.screen();
            let (columns, rows) = screen.terminal.screen();
            let lines = match drawn && !screen.hidden {
                // A line that fills the last column would be wrapped by some terminals.
                true => self.state().board.lines(now, columns.saturating_sub(1), rows.saturating_sub(2)),
                false => Vec::new(),
            };
            screen.draw(&above, &lines, columns);
            drop(screen);
            let open = |state: &mut DisplayState| !state.closed;
            drop(self.0.wake.wait_timeout_while(self.state(), EVERY, open));
        }
    }
}

impl Screen {
    /// Replaces the drawn lines, with text above them.
    fn draw(&mut self, above: &str, lines: &[String], columns: usize) {
        if above.is_empty() && lines.is_empty() && self.drawn.is_empty() {
            return;
        }
        // A terminal that became narrower has wrapped them.
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        let mut text = above.to_owned();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.iter().map(|line| spoken::width(line)).collect();
        match rows > 0 || !lines.is_empty() {
            true => self.terminal.redraw(rows, &text),
            false => self.terminal.talk(&text),
        }
    }
}
