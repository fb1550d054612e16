//! Stores what attempts log, on a thread of its own and in batches, so that the run does not wait for it. Nothing
//! depends on what is stored.

use crate::adapter::logs::{HALF, LogPiece, LogSlot};
use crate::adapter::redact::{LogRedactor, Redactor};
use crate::adapter::{LogIntake, LogPlace, LogStream};
use crate::event::{ItemId, Millis};
use crate::journal::logs::{LogChange, LogStore, RUN_STEPS};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the first log of a batch waits for others.
const TOGETHER: Duration = Duration::from_millis(50);

/// How long the end of a long log waits for more, in milliseconds: most of it is soon replaced.
const LATE: Millis = 1000;

/// The longest part of a log, in bytes.
const PART: usize = 16 << 10;

/// The number of a stream in the file.
fn stream_number(stream: LogStream) -> u8 {
    match stream {
        LogStream::Stderr => 0,
        LogStream::Stdout => 1,
        LogStream::Report => 2,
    }
}

/// The logs of an active run.
pub(super) struct RunLogs {
    pub intake: Arc<LogIntake>,
    thread: JoinHandle<Result<(), String>>,
}

impl RunLogs {
    /// Stores all logs of a run in its folder. `clock` is the time since the run began.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        home: &Path,
        redactor: Redactor,
        clock: impl Fn() -> Millis + Send + Sync + 'static,
    ) -> io::Result<RunLogs> {
        let intake = Arc::new(LogIntake::new(clock));
        let mut keeper = Keeper {
            home: home.to_owned(),
            redactor,
            store: None,
            logs: HashMap::new(),
            next: (0, 0),
            trouble: None,
        };
        let own = intake.clone();
        let thread = std::thread::Builder::new().name("logs".to_owned());
        let thread = thread.spawn(move || {
            loop {
                let (slots, last) = own.wait(TOGETHER);
                keeper.keep(slots, last, &own);
                if last {
                    return keeper.close();
                }
            }
        })?;
        Ok(RunLogs { intake, thread })
    }

    /// Stores the rest.
    ///
    /// # Errors
    /// Why logs are missing.
    pub fn close(self) -> Result<(), String> {
        self.intake.close();
        self.thread.join().unwrap_or_else(|_| Err("cannot write the logs: their thread has ended".to_owned()))
    }
}

/// What the thread knows.
struct Keeper {
    home: PathBuf,
    redactor: Redactor,
    /// Opened with the first log.
    store: Option<LogStore>,
    /// The open logs by the numbers of their slots.
    logs: HashMap<u64, OpenLog>,
    /// The next ids of an attempt and of a part.
    next: (i64, i64),
    trouble: Option<String>,
}

/// The log of an attempt that has not ended.
struct OpenLog {
    id: i64,
    streams: [OpenStream; 3],
    /// The ids and sizes of the parts that are removed once others follow.
    late: VecDeque<(i64, usize)>,
    late_size: usize,
    /// The id and the time of the place where bytes are left out.
    gap: Option<(i64, Millis)>,
    left_out: u64,
    drained: Millis,
}

#[derive(Default)]
struct OpenStream {
    redactor: LogRedactor,
    /// When it was last written to.
    at: Millis,
    /// Its last line has no end yet.
    in_line: bool,
}

impl OpenStream {
    fn noted(&mut self, text: String) -> String {
        if let Some(last) = text.chars().next_back() {
            self.in_line = last != '\n';
        }
        text
    }

    /// The rest at the end of the attempt, with an end of the line.
    fn end(&mut self, redactor: &Redactor) -> String {
        let mut text = self.redactor.end(redactor, false);
        text = self.noted(text);
        if std::mem::take(&mut self.in_line) {
            text.push('\n');
        }
        text
    }
}

/// A part of a log without secrets.
struct Part {
    at: Millis,
    log: u64,
    stream: u8,
    text: String,
    is_late: bool,
}

impl Keeper {
    fn keep(&mut self, slots: Vec<Arc<LogSlot>>, last: bool, intake: &LogIntake) {
        let now = intake.now();
        let (mut changes, mut parts, mut changed, mut ended) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut shared = None;
        for slot in slots {
            let log = self.logs.get(&slot.number);
            let is_soon = log.is_some_and(|log| log.gap.is_some() && now < log.drained + LATE);
            if is_soon && !last && !slot.has_ended() {
                intake.push(slot);
                continue;
            }
            if self.trouble.is_some() {
                drop(slot.drain());
                continue;
            }
            let redactor = match slot.shared {
                true => shared.get_or_insert_with(|| self.redactor.of_log(slot.place.item, true)).clone(),
                false => self.redactor.of_log(slot.place.item, false),
            };
            if self.drain(&slot, &redactor, now, &mut changes, &mut parts) {
                ended.push(slot.number);
            }
            changed.push(slot.number);
        }
        // Those of all attempts in the order of time.
        parts.sort_by_key(|part| part.at);
        for part in parts {
            self.add(part, &mut changes);
        }
        for log in changed.iter().filter_map(|number| self.logs.get(number)) {
            if let (Some((id, at)), 1..) = (log.gap, log.left_out) {
                changes.push(LogChange::LeftOut { id, attempt: log.id, at, bytes: log.left_out });
            }
        }
        for number in ended {
            self.logs.remove(&number);
        }
        if !changes.is_empty()
            && let Err(trouble) = self.store(&mut changes)
        {
            self.trouble = Some(trouble);
        }
    }

    /// Takes what a slot holds; returns whether its attempt has ended.
    fn drain(
        &mut self,
        slot: &LogSlot,
        redactor: &Redactor,
        now: Millis,
        changes: &mut Vec<LogChange>,
        parts: &mut Vec<Part>,
    ) -> bool {
        let drained = slot.drain();
        let log = self.logs.entry(slot.number).or_insert_with(|| {
            self.next.0 += 1;
            changes.push(attempt(self.next.0, &slot.place));
            OpenLog::new(self.next.0)
        });
        log.drained = now;
        log.left_out += drained.left_out;
        let mut gap = drained.left_out > 0;
        let mut add = |text: String, at, stream, is_late| {
            parts.extend(split(text).map(|text| Part { at, log: slot.number, stream, text, is_late }));
        };
        for LogPiece { at, stream, bytes, is_late } in drained.pieces {
            if is_late && std::mem::take(&mut gap) {
                for (number, stream) in (0..).zip(&mut log.streams) {
                    let text = stream.redactor.end(redactor, true);
                    add(stream.noted(text), at, number, true);
                }
            }
            let number = stream_number(stream);
            if let Some(stream) = log.streams.get_mut(usize::from(number)) {
                stream.at = at;
                let text = stream.redactor.take(redactor, &bytes);
                add(stream.noted(text), at, number, is_late);
            }
        }
        if drained.ended {
            let is_late = log.gap.is_some() || drained.left_out > 0;
            for (number, stream) in (0..).zip(&mut log.streams) {
                let at = stream.at;
                add(stream.end(redactor), at, number, is_late);
            }
        }
        drained.ended
    }

    /// Adds a part of a log, and removes earlier ones beyond the bounds.
    fn add(&mut self, Part { at, log, stream, text, is_late }: Part, changes: &mut Vec<LogChange>) {
        let Some(log) = self.logs.get_mut(&log) else { return };
        if is_late && log.gap.is_none() {
            self.next.1 += 1;
            log.gap = Some((self.next.1, at));
        }
        self.next.1 += 1;
        let (id, size) = (self.next.1, text.len());
        changes.push(LogChange::Chunk { id, attempt: log.id, at, stream, text });
        if !is_late {
            return;
        }
        log.late.push_back((id, size));
        log.late_size += size;
        while let Some((id, size)) = log.late.front().copied()
            && log.late_size - size >= HALF
        {
            log.late.pop_front();
            log.late_size -= size;
            log.left_out += size as u64;
            changes.push(LogChange::Remove { id });
        }
    }

    /// Stores changes, whose ids follow those in the file once it is opened.
    fn store(&mut self, changes: &mut [LogChange]) -> Result<(), String> {
        if let Some(store) = &mut self.store {
            return store.append(changes);
        }
        let (mut store, attempt, part) = LogStore::open(&self.home)?;
        changes.iter_mut().for_each(|change| change.shift(attempt, part));
        for log in self.logs.values_mut() {
            log.id += attempt;
            log.gap = log.gap.map(|(id, at)| (id + part, at));
            log.late.iter_mut().for_each(|(id, _)| *id += part);
        }
        self.next = (self.next.0 + attempt, self.next.1 + part);
        let stored = store.append(changes);
        self.store = Some(store);
        stored
    }

    fn close(self) -> Result<(), String> {
        if let Some(store) = self.store {
            store.close();
        }
        self.trouble.map_or(Ok(()), Err)
    }
}

impl OpenLog {
    fn new(id: i64) -> Self {
        let (streams, late) = Default::default();
        OpenLog { id, streams, late, late_size: 0, gap: None, left_out: 0, drained: 0 }
    }
}

fn attempt(id: i64, place: &LogPlace) -> LogChange {
    let LogPlace { item, key, phase, title, element, attempt } = place;
    LogChange::Attempt {
        id,
        item: item.0,
        key: if *item == ItemId::RUN { RUN_STEPS.to_owned() } else { key.to_string() },
        phase: phase.to_string(),
        title: title.to_string(),
        element: *element,
        number: *attempt,
    }
}

/// Parts of a text that are short enough, if possible whole lines.
fn split(text: String) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.len() <= PART {
            return Some(std::mem::take(&mut rest)).filter(|rest| !rest.is_empty());
        }
        let most = (0..=PART).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(PART);
        let end = rest.get(..most).and_then(|text| text.rfind('\n')).map_or(most, |at| at + 1);
        let later = rest.split_off(end);
        Some(std::mem::replace(&mut rest, later))
    })
}
