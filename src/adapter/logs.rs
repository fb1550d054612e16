//! What attempts log: their standard error, and their standard output where it is not the answer. It is collected here within
//! bounds, until the thread that stores it drains it. Does not know secrets, nor how it is stored.

use super::{Declared, LiveWords};
use crate::event::{ItemId, Millis};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The size of the first part of an attempt's log that is stored, and that of the last part, in bytes.
pub const HALF: usize = 512 << 10;

/// A piece is not extended beyond this size, in bytes.
const PIECE: usize = 8 << 10;

/// The log of a step that makes a secret.
pub const WITHHELD: &str = "[not stored: the step makes a secret]\n";

/// Where a part of a log comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    Stderr,
    Stdout,
    /// Lines that a worker or a server sends as messages.
    Report,
}

/// The attempt that a log belongs to.
#[derive(Clone, Debug)]
pub struct LogPlace {
    pub item: ItemId,
    pub key: Arc<str>,
    pub phase: Arc<str>,
    pub title: Arc<str>,
    pub element: Option<u32>,
    pub attempt: u32,
}

/// Where an adapter reports what an attempt logs. Reporting takes a lock and returns.
#[derive(Clone, Debug, Default)]
pub struct AttemptLog {
    slot: Option<Arc<LogSlot>>,
    live: LiveWords,
}

impl AttemptLog {
    /// A log that is only shown while the attempt runs.
    pub fn shown(live: LiveWords) -> Self {
        AttemptLog { slot: None, live }
    }

    /// A log that is also stored, unless a step with these outputs makes a secret. A `shared` process serves several
    /// items at the same time.
    pub fn stored(
        live: LiveWords,
        place: LogPlace,
        outputs: &[Declared],
        shared: bool,
        intake: &Arc<LogIntake>,
    ) -> Self {
        let withheld = outputs.iter().any(Declared::is_secret);
        let number = intake.number.fetch_add(1, Ordering::Relaxed);
        let intake = intake.clone();
        let slot = LogSlot { number, place, shared, withheld, intake, state: Mutex::default() };
        AttemptLog { slot: Some(Arc::new(slot)), live }
    }

    /// Reports bytes of a stream; bytes after the end of the attempt are ignored.
    pub fn take(&self, stream: LogStream, chunk: &[u8]) {
        if chunk.is_empty() {
            return;
        }
        self.live.log(chunk);
        let Some(slot) = &self.slot else { return };
        let mut state = slot.state();
        if state.ended {
            return;
        }
        match slot.withheld {
            true if state.taken > 0 => return,
            true => state.take(LogStream::Report, WITHHELD.as_bytes(), (slot.intake.clock)()),
            false => state.take(stream, chunk, (slot.intake.clock)()),
        }
        slot.queue(state);
    }

    /// Reports a line.
    pub fn line(&self, line: &str) {
        self.take(LogStream::Report, format!("{line}\n").as_bytes());
    }

    /// The attempt has ended.
    pub fn end(&self) {
        let Some(slot) = &self.slot else { return };
        let mut state = slot.state();
        state.ended = true;
        if state.taken > 0 {
            slot.queue(state);
        }
    }
}

/// The log of one attempt until it is drained.
pub struct LogSlot {
    /// Distinguishes it from all others of its run.
    pub number: u64,
    pub place: LogPlace,
    /// One process serves the attempts of several items at the same time.
    pub shared: bool,
    withheld: bool,
    intake: Arc<LogIntake>,
    state: Mutex<SlotState>,
}

impl std::fmt::Debug for LogSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSlot").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A part of one stream.
#[derive(Debug, PartialEq, Eq)]
pub struct LogPiece {
    pub at: Millis,
    pub stream: LogStream,
    pub bytes: Vec<u8>,
    /// It is behind the first part that is stored in any case.
    pub is_late: bool,
}

/// What a slot held.
#[derive(Debug, Default)]
pub struct Drained {
    pub pieces: Vec<LogPiece>,
    /// How many bytes are left out before the late pieces.
    pub left_out: u64,
    pub ended: bool,
}

#[derive(Default)]
struct SlotState {
    /// The number of all bytes.
    taken: u64,
    early: Vec<LogPiece>,
    late: VecDeque<LogPiece>,
    /// The size of the late pieces in bytes.
    size: usize,
    left_out: u64,
    ended: bool,
    queued: bool,
}

impl SlotState {
    fn take(&mut self, stream: LogStream, chunk: &[u8], at: Millis) {
        let room = (HALF as u64).saturating_sub(self.taken);
        let (early, late) = chunk.split_at(usize::try_from(room).unwrap_or(HALF).min(chunk.len()));
        self.taken += chunk.len() as u64;
        let piece = |bytes: &[u8], is_late| LogPiece { at, stream, bytes: bytes.to_vec(), is_late };
        let extends = |last: &LogPiece| last.stream == stream && last.at == at && last.bytes.len() < PIECE;
        if !early.is_empty() {
            match self.early.last_mut() {
                Some(last) if extends(last) => last.bytes.extend_from_slice(early),
                _ => self.early.push(piece(early, false)),
            }
        }
        if !late.is_empty() {
            let late = &late[late.len().saturating_sub(HALF)..];
            self.left_out += chunk.len() as u64 - (early.len() + late.len()) as u64;
            self.size += late.len();
            match self.late.back_mut() {
                Some(last) if extends(last) => last.bytes.extend_from_slice(late),
                _ => self.late.push_back(piece(late, true)),
            }
            while let Some(first) = self.late.front()
                && self.size - first.bytes.len() >= HALF
            {
                self.size -= first.bytes.len();
                self.left_out += first.bytes.len() as u64;
                self.late.pop_front();
            }
        }
    }
}

impl LogSlot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues it to be drained, once.
    fn queue(self: &Arc<Self>, mut state: MutexGuard<'_, SlotState>) {
        if !std::mem::replace(&mut state.queued, true) {
            drop(state);
            self.intake.push(self.clone());
        }
    }

    /// Takes all that it holds.
    pub fn drain(&self) -> Drained {
        let mut state = self.state();
        (state.queued, state.size) = (false, 0);
        let mut pieces = std::mem::take(&mut state.early);
        pieces.extend(state.late.drain(..));
        Drained { pieces, left_out: std::mem::take(&mut state.left_out), ended: state.ended }
    }

    /// Whether the attempt has ended.
    pub fn has_ended(&self) -> bool {
        self.state().ended
    }
}

/// The logs of a run that wait to be drained.
pub struct LogIntake {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// The time since the run began.
    clock: Box<dyn Fn() -> Millis + Send + Sync>,
    number: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    slots: Vec<Arc<LogSlot>>,
    closed: bool,
}

impl LogIntake {
    pub fn new(clock: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        let (waiting, wake) = (Mutex::default(), Condvar::new());
        LogIntake { waiting, wake, clock: Box::new(clock), number: AtomicU64::new(0) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a slot, also one that is to be drained later.
    pub fn push(&self, slot: Arc<LogSlot>) {
        let mut waiting = self.waiting();
        waiting.slots.push(slot);
        // The others have waked it.
        if waiting.slots.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_one();
    }

    pub fn now(&self) -> Millis {
        (self.clock)()
    }

    /// Waits until a slot is queued, then for the others of the same time. Returns them, and whether these are the last.
    pub fn wait(&self, pause: Duration) -> (Vec<Arc<LogSlot>>, bool) {
        let waiting = self.waiting();
        let idle = |waiting: &mut Waiting| waiting.slots.is_empty() && !waiting.closed;
        let waiting = self.wake.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
        let open = |waiting: &mut Waiting| !waiting.closed;
        let waited = self.wake.wait_timeout_while(waiting, pause, open);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.slots), waiting.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ValueId;
    use crate::value::Type;

    fn log(ty: &str) -> (AttemptLog, Arc<LogIntake>) {
        let intake = Arc::new(LogIntake::new(|| 7));
        let outputs = [Declared { id: ValueId(0), name: "a".into(), ty: Type::parse(ty), optional: false }];
        let place = LogPlace {
            item: ItemId(3),
            key: "k".into(),
            phase: "P".into(),
            title: "P".into(),
            element: None,
            attempt: 1,
        };
        (AttemptLog::stored(LiveWords::default(), place, &outputs, false, &intake), intake)
    }

    fn drained(intake: &LogIntake) -> Drained {
        let (slots, _) = intake.wait(Duration::ZERO);
        assert_eq!(slots.len(), 1, "queued once");
        slots[0].drain()
    }

    #[test]
    fn pieces_of_a_moment_are_joined_and_the_middle_is_left_out() {
        let (log, intake) = log("String");
        log.take(LogStream::Stderr, b"a");
        log.take(LogStream::Stderr, b"b");
        log.take(LogStream::Stdout, b"c");
        let Drained { pieces, left_out, ended } = drained(&intake);
        let texts: Vec<_> = pieces.iter().map(|piece| (piece.stream, &*piece.bytes)).collect();
        assert_eq!(texts, [(LogStream::Stderr, &b"ab"[..]), (LogStream::Stdout, &b"c"[..])]);
        assert_eq!((left_out, ended), (0, false));
        for _ in 0..40 {
            log.take(LogStream::Stderr, &[b'x'; 64 << 10]);
        }
        log.end();
        log.line("late");
        let Drained { pieces, left_out, ended } = drained(&intake);
        let size = |late| {
            pieces.iter().filter(|piece| piece.is_late == late).map(|piece| piece.bytes.len()).sum::<usize>()
        };
        assert_eq!((size(false), size(true), ended), (HALF - 3, HALF, true));
        assert_eq!(left_out, (40 * (64 << 10) - (HALF - 3) - HALF) as u64);
        // One chunk that is larger than all that is stored.
        let (log, intake) = self::log("String");
        log.take(LogStream::Stdout, &vec![b'x'; 3 * HALF]);
        let Drained { pieces, left_out, .. } = drained(&intake);
        assert_eq!((pieces.len(), left_out), (2, HALF as u64));
    }

    #[test]
    fn an_attempt_without_a_log_is_never_queued_and_one_that_makes_a_secret_is_withheld() {
        let (silent, intake) = log("String");
        silent.take(LogStream::Stderr, b"");
        silent.end();
        intake.close();
        let (slots, closed) = intake.wait(Duration::ZERO);
        assert!(slots.is_empty() && closed);
        for ty in ["Secret", "Secret[]"] {
            let (secret, intake) = log(ty);
            secret.take(LogStream::Stderr, b"hunter22");
            secret.line("hunter22");
            let pieces = drained(&intake).pieces;
            assert_eq!(pieces.iter().map(|piece| &*piece.bytes).collect::<Vec<_>>(), [WITHHELD.as_bytes()]);
        }
    }
}
