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
        let mut keeper = Keeper::new(home, redactor);
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
    fn new(home: &Path, redactor: Redactor) -> Keeper {
        let home = home.to_owned();
        Keeper { home, redactor, store: None, logs: HashMap::new(), next: (0, 0), trouble: None }
    }

    fn keep(&mut self, slots: Vec<Arc<LogSlot>>, last: bool, intake: &LogIntake) {
        let mut changes = self.changes(slots, last, intake);
        if !changes.is_empty()
            && let Err(trouble) = self.store(&mut changes)
        {
            self.trouble = Some(trouble);
        }
    }

    /// What the slots hold, as changes of the file.
    fn changes(&mut self, slots: Vec<Arc<LogSlot>>, last: bool, intake: &LogIntake) -> Vec<LogChange> {
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
        changes
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

/// What a single attempt has logged once it has ended, as changes of a file without other logs: at most so many bytes of
/// text, of its begin and its end.
#[cfg(feature = "restate")]
pub(super) fn collected(intake: &LogIntake, redactor: &Redactor, most: usize) -> Vec<LogChange> {
    intake.close();
    let (slots, _) = intake.wait(Duration::ZERO);
    bounded(Keeper::new(Path::new(""), redactor.clone()).changes(slots, true, intake), most)
}

/// The changes without the middle of the text. Their parts are numbered from 1.
#[cfg(feature = "restate")]
fn bounded(changes: Vec<LogChange>, most: usize) -> Vec<LogChange> {
    let removed = |change: &LogChange| matches!(change, LogChange::Remove { .. }).then(|| change.id());
    let removed: std::collections::HashSet<i64> = changes.iter().filter_map(removed).collect();
    let is_left = |change: &LogChange| !matches!(change, LogChange::Chunk { id, .. } | LogChange::Remove { id } if removed.contains(id));
    let changes: Vec<LogChange> = changes.into_iter().filter(is_left).collect();
    let size = |change: &LogChange| match change {
        LogChange::Chunk { text, .. } => text.len(),
        _ => 0,
    };
    let total: usize = changes.iter().map(size).sum();
    let (first, last) = (most / 2, total.saturating_sub(most / 2));
    let (mut all, mut gap, mut left_out, mut passed) = (Vec::new(), None, 0, 0);
    for change in changes {
        match change {
            LogChange::LeftOut { bytes, .. } => left_out += bytes,
            LogChange::Chunk { attempt, at, stream, text, .. } if total > most => {
                let begin = passed;
                passed += text.len();
                let place = |byte: usize| {
                    let byte = byte.saturating_sub(begin).min(text.len());
                    (byte..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
                };
                let (head, rest) = text.split_at(place(first));
                let (middle, tail) = rest.split_at(place(last).saturating_sub(head.len()));
                let part =
                    |text: &str| LogChange::Chunk { id: 0, attempt, at, stream, text: text.to_owned() };
                all.extend((!head.is_empty()).then(|| part(head)));
                if !middle.is_empty() {
                    gap.get_or_insert((all.len(), attempt, at));
                    left_out += middle.len() as u64;
                }
                all.extend((!tail.is_empty()).then(|| part(tail)));
            }
            change => all.push(change),
        }
    }
    if let Some((place, attempt, at)) = gap {
        all.insert(place, LogChange::LeftOut { id: 0, attempt, at, bytes: left_out });
    }
    let mut next = 0;
    for change in &mut all {
        if let LogChange::Chunk { id, .. } | LogChange::LeftOut { id, .. } = change {
            next += 1;
            *id = next;
        }
    }
    all
}

/// The logs of attempts that were made elsewhere, in the folder of the run.
#[cfg(feature = "restate")]
#[derive(Default)]
pub struct ReceivedLogs {
    home: PathBuf,
    store: Option<LogStore>,
    /// The last ids of an attempt and of a part.
    last: (i64, i64),
    trouble: Option<String>,
}

#[cfg(feature = "restate")]
impl ReceivedLogs {
    pub fn new(home: &Path) -> ReceivedLogs {
        ReceivedLogs { home: home.to_owned(), ..ReceivedLogs::default() }
    }

    /// Stores logs of attempts, each as [`collected`] gives it.
    pub(super) fn take(&mut self, logs: Vec<Vec<LogChange>>) {
        if self.trouble.is_none() && !logs.is_empty() {
            self.trouble = self.store(logs).err();
        }
    }

    fn store(&mut self, logs: Vec<Vec<LogChange>>) -> Result<(), String> {
        let store = match &mut self.store {
            Some(store) => store,
            None => {
                let (store, attempt, part) = LogStore::open(&self.home)?;
                self.last = (attempt, part);
                self.store.insert(store)
            }
        };
        let mut all = Vec::new();
        for mut changes in logs {
            changes.iter_mut().for_each(|change| change.shift(self.last.0, self.last.1));
            for change in &changes {
                match change {
                    LogChange::Attempt { id, .. } => self.last.0 = self.last.0.max(*id),
                    change => self.last.1 = self.last.1.max(change.id()),
                }
            }
            all.append(&mut changes);
        }
        store.append(&all)
    }

    /// Closes the file.
    ///
    /// # Errors
    /// Why logs are missing.
    pub fn close(self) -> Result<(), String> {
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

#[cfg(all(test, feature = "restate"))]
mod tests {
    use super::*;

    fn chunk(id: i64, text: &str) -> LogChange {
        LogChange::Chunk { id, attempt: 1, at: 5, stream: 0, text: text.to_owned() }
    }

    #[test]
    fn a_long_log_is_sent_without_its_middle() {
        let gap = |id, bytes| LogChange::LeftOut { id, attempt: 1, at: 5, bytes };
        let short = vec![chunk(4, "one\n"), chunk(9, "two\n")];
        assert_eq!(bounded(short, 8), [chunk(1, "one\n"), chunk(2, "two\n")]);
        let long = vec![chunk(1, "first\n"), chunk(2, "second\n"), chunk(3, "third\n")];
        assert_eq!(bounded(long, 8), [chunk(1, "firs"), gap(2, 11), chunk(3, "ird\n")]);
        let one = vec![chunk(1, "first and second\n")];
        assert_eq!(bounded(one, 8), [chunk(1, "firs"), gap(2, 9), chunk(3, "ond\n")]);
        // What was left out before counts, too, and characters stay whole.
        let cut =
            vec![chunk(1, "ééé"), LogChange::Remove { id: 2 }, chunk(2, "gone"), gap(3, 4), chunk(4, "ééé")];
        assert_eq!(bounded(cut, 6), [chunk(1, "éé"), gap(2, 10), chunk(3, "é")]);
    }
}
