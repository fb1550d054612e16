//! `orderflow top`: all runs here on one screen, while they run, with keys for what a person does next.

mod raw;

use super::answer;
use super::exit::Exit;
use super::help::with_exits;
use super::run::{InnerWaits, approve_text, failures, signal_text};
use super::runs::find;
use super::runs::list::RunLine;
use super::terminal::Terminal;
use crate::diag::render::visible;
use crate::event::ItemId;
use crate::history::{History, State};
use crate::journal::{self, Lock};
use crate::runtime::open_questions;
use crate::view::table::table;
use anyhow::Context;
use raw::{Key, RawScreen};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthChar;

/// How often the runs are read again, if that is quick.
const EVERY: Duration = Duration::from_secs(1);

/// Reading takes at most this part of the time.
const SHARE: u32 = 5;

/// The most runs that are read.
const RUNS: usize = 100;

/// Show all runs here, live
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow top                the runs here, live
  orderflow top --state DIR    those of a folder of runs
  orderflow top | cat          once, without a terminal

Keys: up and down (or k and j) select a run, Enter shows it, l its logs, a approves and x rejects what waits, r retries \
failed items, u resumes, c cancels, q quits. What changes a run asks first.", &[Exit::Terminated]))]
pub struct Args {}

/// What is known of the runs.
#[derive(Default)]
struct Runs {
    lines: Vec<RunLine>,
    /// The lines of runs by folder, with what they were computed from.
    known: HashMap<PathBuf, (Sign, RunLine)>,
    /// More about a run.
    detail: Option<(Sign, PathBuf, Detail)>,
}

/// Whether a process runs it, and what shows that its journal has changed.
type Sign = (bool, Option<String>);

/// What waits and what failed.
#[derive(Clone, Default)]
struct Detail {
    lines: Vec<String>,
    /// The gates at which items wait.
    gates: Vec<WaitingGate>,
}

/// A gate with the items that wait there now.
#[derive(Clone)]
struct WaitingGate {
    title: String,
    /// In whose name it is decided; `None` for that of the user.
    by: Option<String>,
    keys: Vec<String>,
    /// It is what an agent asks.
    is_question: bool,
}

/// A command that is run once the person has agreed.
struct Wanted {
    question: String,
    arguments: Vec<String>,
    /// The key that asks about the next gate instead, and its place.
    next: Option<(char, usize)>,
}

/// The most items that a question names, and the most that a command names.
const NAMED: usize = 3;
const MOST_NAMED: usize = 1000;

pub fn run(_: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut runs = Runs::default();
    if !RawScreen::is_possible() {
        runs.read()?;
        match runs.lines.is_empty() {
            true => terminal.talk("no runs are stored here\n"),
            false => terminal.data(&runs.table(terminal.width())),
        }
        terminal.finish()?;
        return Ok(Exit::Ok);
    }
    let mut screen = RawScreen::enter()?;
    let (mut selected, mut wanted): (usize, Option<Wanted>) = (0, None);
    let mut next = Instant::now();
    let mut drawn = String::new();
    loop {
        if Instant::now() >= next {
            let begin = Instant::now();
            runs.read()?;
            next = Instant::now() + EVERY.max(begin.elapsed() * SHARE);
        }
        selected = selected.min(runs.lines.len().saturating_sub(1));
        let (columns, rows) = terminal.screen();
        let text = runs.screen(selected, wanted.as_ref(), columns, rows);
        if text != drawn {
            screen.draw(&text)?;
            drawn = text;
        }
        let Some(key) = screen.key()? else { continue };
        let asked = wanted.take();
        if let Some(Wanted { arguments, .. }) = asked.as_ref().filter(|_| key == Key::Char('y')) {
            outside(&mut screen, arguments)?;
            (next, drawn) = (Instant::now(), String::new());
            continue;
        }
        let place = match asked {
            Some(Wanted { next: Some((again, place)), .. }) if key == Key::Char(again) => place,
            Some(_) => continue,
            None => 0,
        };
        let Some(line) = runs.lines.get(selected) else {
            match key {
                Key::Char('q') | Key::Quit => return Ok(Exit::Ok),
                Key::Terminated => return Ok(Exit::Terminated),
                _ => continue,
            }
        };
        let run = line.path.display().to_string();
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let name = visible(&line.name);
        let gates = runs.detail.as_ref().map(|(.., detail)| detail.gates.clone()).unwrap_or_default();
        match key {
            Key::Char('q') | Key::Quit => return Ok(Exit::Ok),
            Key::Terminated => return Ok(Exit::Terminated),
            Key::Up | Key::Char('k') => selected = selected.saturating_sub(1),
            Key::Down | Key::Char('j') => selected += 1,
            Key::Enter | Key::Char('l') => {
                let what = if key == Key::Enter { "show" } else { "logs" };
                outside(&mut screen, &command(&[what, &run]))?;
                drawn.clear();
            }
            Key::Char(pressed @ ('a' | 'x')) => {
                wanted = gates.get(place).map(|gate| {
                    let next = (gates.len() > 1).then_some((pressed, (place + 1) % gates.len()));
                    Wanted { next, ..gate.decided(pressed == 'a', &run, &name) }
                });
            }
            Key::Char(pressed @ ('r' | 'u' | 'c')) => {
                let (verb, word) = match pressed {
                    'r' => ("retry", "Retry the failed items of"),
                    'u' => ("resume", "Resume"),
                    _ => ("cancel", "Cancel and compensate"),
                };
                let question = format!("{word} {name}?");
                wanted = Some(Wanted { question, arguments: command(&[verb, &run]), next: None });
            }
            Key::Char(_) | Key::Other => {}
        }
    }
}

/// Runs a command of this program on the normal screen, and waits for a key.
fn outside(screen: &mut RawScreen, arguments: &[String]) -> anyhow::Result<()> {
    screen.leave();
    let program = std::env::current_exe().context("cannot find this program")?;
    let ended = Command::new(program).args(arguments).status();
    let mut terminal = Terminal::new();
    if let Err(error) = ended {
        terminal.talk(&format!("cannot run orderflow: {error}\n"));
    }
    terminal.talk("\npress Enter to return ");
    // The end of the input is an answer, too.
    let _ = std::io::stdin().read_line(&mut String::new());
    screen.again()
}

impl Runs {
    /// Reads what has changed.
    fn read(&mut self) -> anyhow::Result<()> {
        let folders = find::all()?;
        let mut known = std::mem::take(&mut self.known);
        self.lines.clear();
        for (folder, name) in find::latest_first(&folders).into_iter().take(RUNS) {
            let sign = sign(folder);
            let line = match known.remove(folder) {
                // The time of a run that is active passes.
                Some((then, line)) if then == sign && !then.0 => line,
                _ => RunLine::read(folder, &name),
            };
            self.lines.push(line.clone());
            self.known.insert(folder.clone(), (sign, line));
        }
        Ok(())
    }

    fn table(&self, width: Option<usize>) -> String {
        let header = ["run", "workflow", "started (UTC)", "state", "items", "time", "problem"];
        table(&header, self.lines.iter().map(RunLine::cells), width)
    }

    /// More about a run, read again if it has changed.
    fn detail(&mut self, folder: &Path, name: &str) -> Detail {
        let sign = sign(folder);
        if let Some((then, of, detail)) = &self.detail
            && (then, &**of) == (&sign, folder)
        {
            return detail.clone();
        }
        let detail = Detail::read(folder, name).unwrap_or_else(|error| Detail {
            lines: vec![visible(&format!("{error:#}"))],
            gates: Vec::new(),
        });
        self.detail = Some((sign, folder.to_owned(), detail.clone()));
        detail
    }

    /// All lines of the screen.
    fn screen(&mut self, selected: usize, wanted: Option<&Wanted>, columns: usize, rows: usize) -> String {
        let count = |state: State| self.lines.iter().filter(|line| line.state == state.name()).count();
        let head = format!(
            "{} runs, {} running, {} waiting, {} failed",
            self.lines.len(),
            count(State::Running),
            count(State::Waiting),
            count(State::Failed)
        );
        let mut lines = vec![head, String::new()];
        let drawn = self.table(Some(columns.saturating_sub(3)));
        let drawn: Vec<&str> = drawn.lines().collect();
        let (heading, body) = drawn.split_at(drawn.len().min(2));
        lines.extend(heading.iter().map(|line| format!("  {line}")));
        // Half of the screen is for the list.
        let room = (rows / 2).saturating_sub(4).max(1);
        let first = selected.saturating_sub(room - 1);
        for (at, line) in body.iter().enumerate().skip(first).take(room) {
            lines.push(format!("{} {line}", if at == selected { ">" } else { " " }));
        }
        if self.lines.is_empty() {
            lines.push("  no runs are stored here".to_owned());
        }
        lines.push(String::new());
        if let Some((folder, name)) =
            self.lines.get(selected).map(|line| (line.path.clone(), line.name.clone()))
        {
            let detail = self.detail(&folder, &name);
            let room = rows.saturating_sub(lines.len() + 2);
            lines.extend(detail.lines.iter().take(room).cloned());
        }
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), String::new());
        lines.push(match wanted {
            Some(Wanted { question, next: Some((key, _)), .. }) => {
                format!("{question} [y]es, [{key}] the next gate, any other key: no")
            }
            Some(Wanted { question, .. }) => format!("{question} [y]es, any other key: no"),
            None => "q quit  Enter show  l logs  a approve  x reject  r retry  u resume  c cancel".to_owned(),
        });
        let lines = lines.iter().map(|line| cut(line, columns));
        lines.collect::<Vec<_>>().join("\r\n")
    }
}

fn sign(folder: &Path) -> Sign {
    let held = Lock::is_held(folder).unwrap_or(false);
    let seen = match held {
        true => {
            let asked = open_questions(folder).into_iter().map(|question| format!(" {}", question.id));
            let asked: String = asked.collect();
            journal::last_sign(folder).map(|at| format!("{at}{asked}"))
        }
        false => {
            let tip = journal::read(folder).and_then(|(_, records)| records.tip()).ok();
            tip.map(|(number, sum)| format!("{number} {sum}"))
        }
    };
    (held, seen)
}

impl WaitingGate {
    /// The decision about the items that wait now, and no others.
    fn decided(&self, approved: bool, run: &str, name: &str) -> Wanted {
        let (verb, word) = if approved { ("approve", "Approve") } else { ("reject", "Reject") };
        let mut arguments = match self.is_question {
            true => vec!["answer".to_owned(), if approved { "--yes" } else { "--no" }.to_owned()],
            false => vec![verb.to_owned()],
        };
        arguments.extend([run.to_owned(), self.title.clone()]);
        let every = self.keys.len() > MOST_NAMED;
        arguments.extend(self.keys.iter().filter(|_| !every).map(|key| format!("--item={key}")));
        arguments.extend(self.by.iter().map(|by| format!("--as={by}")));
        let who = self.by.as_ref().map(|by| format!(" as {}", visible(by))).unwrap_or_default();
        let named: Vec<String> = self.keys.iter().take(NAMED).map(|key| visible(key)).collect();
        let more = self.keys.len() - named.len();
        let items = match (named.join(", "), more) {
            (_, _) if every => "all items, now and later".to_owned(),
            (items, 0) => items,
            (items, more) => format!("{items} and {more} more"),
        };
        let question = format!("{word} {} of {name}{who} for {items}?", visible(&self.title));
        Wanted { question, arguments, next: None }
    }
}

impl Detail {
    fn read(folder: &Path, name: &str) -> anyhow::Result<Detail> {
        let history = History::open(folder)?;
        let graph = &history.graph;
        let run = history.fold(|_, _| ())?;
        let mut gates = BTreeMap::new();
        for (item, key, gate, _) in run.waiting() {
            let key = if item == ItemId::RUN { "the steps for all items" } else { key };
            gates.entry(gate).or_insert_with(Vec::new).push(visible(key));
        }
        let mut detail = Detail::default();
        for question in open_questions(folder) {
            let (item, text) = (visible(&question.item), visible(&question.text));
            detail.lines.push(format!("{item}: an agent asks: {text}: {}", answer::command(&question, name)));
            if question.values.is_empty() {
                let (title, keys) = (question.step, vec![question.item]);
                detail.gates.push(WaitingGate { title, by: None, keys, is_question: true });
            }
        }
        for (id, keys) in gates {
            let Some(gate) = graph.gate(id) else { continue };
            detail.lines.push(format!("waits {}", approve_text(gate, graph, name)));
            detail.lines.push(format!("  {}", keys.join(", ")));
            let waiting = run.waiting().filter(|(_, _, other, _)| *other == id);
            let keys =
                waiting.map(|(item, key, ..)| if item == ItemId::RUN { ":run" } else { key }.to_owned());
            let (title, by) = (graph.gated(gate), gate.by.clone());
            detail.gates.push(WaitingGate { title, by, keys: keys.collect(), is_question: false });
        }
        let inner = InnerWaits::of(&history, name)?;
        for one in inner.awaits.iter().filter(|one| !one.subjects.is_empty()) {
            detail.lines.push(format!("waits for {}: {}", one.asks(), one.command));
        }
        for gate in inner.gates {
            detail.lines.push(format!(
                "waits at the gate of {}{}: {}",
                visible(&gate.title),
                gate.asks(),
                gate.command
            ));
            let keys: Vec<String> = gate.keys.iter().map(|key| visible(key)).collect();
            detail.lines.push(format!("  {}", keys.join(", ")));
            detail.gates.push(WaitingGate {
                title: gate.title,
                by: gate.by,
                keys: gate.keys,
                is_question: false,
            });
        }
        for (_, key, step, subject, _) in run.awaiting().take(5) {
            let Some(awaits) = &graph.step(step).awaits else { continue };
            detail.lines.push(format!(
                "{} waits: {}",
                visible(key),
                signal_text(&awaits.event, subject, name)
            ));
        }
        let failed = failures(run.dead_letters(), graph);
        if !failed.is_empty() {
            detail.lines.push("failed".to_owned());
            detail.lines.extend(failed.lines().map(str::to_owned));
        }
        Ok(detail)
    }
}

/// A line in at most this many columns.
fn cut(line: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = line.chars().filter(|c| !c.is_control()).take_while(|c| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    });
    fits.collect()
}
