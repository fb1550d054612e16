//! Shows the observers what running attempts are just saying. No state depends on it, and nothing stores it.

use super::Loop;
use super::observer::LastWords;
use crate::adapter::redact::Redactor;
use crate::adapter::{Attempt, Declared, LiveWords, Spoken};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The shortest time between two looks at the words.
const EVERY: Duration = Duration::from_millis(100);

/// The last words of every running attempt.
pub(super) struct LiveBoard {
    /// Signals new words; `None` if no observer shows them.
    news: Option<Arc<Notify>>,
    /// By attempt, with the number of its start.
    running: HashMap<Attempt, (u64, LiveWords)>,
    started: u64,
    /// There are new words since the last look.
    is_new: bool,
    /// When they may be looked at again.
    next: Instant,
}

impl LiveBoard {
    pub fn new(is_watched: bool) -> Self {
        let news = is_watched.then(Arc::default);
        LiveBoard { news, running: HashMap::new(), started: 0, is_new: false, next: Instant::now() }
    }

    /// Where an attempt reports its words. If its step makes a secret, they cannot be redacted: they are not collected.
    pub fn begin(&mut self, attempt: Attempt, outputs: &[Declared]) -> LiveWords {
        let makes_secrets = outputs.iter().any(Declared::is_secret);
        let Some(news) = self.news.as_ref().filter(|_| !makes_secrets) else { return LiveWords::default() };
        let words = LiveWords::new(news.clone());
        self.started += 1;
        self.running.insert(attempt, (self.started, words.clone()));
        words
    }

    /// Removes an attempt that has ended.
    pub fn end(&mut self, attempt: Attempt) {
        self.running.remove(&attempt);
    }

    /// Returns once there are new words, but not too soon after the last look.
    pub async fn due(&mut self) {
        match &self.news {
            Some(news) if !self.is_new => news.notified().await,
            Some(_) => {}
            None => std::future::pending().await,
        }
        self.is_new = true;
        tokio::time::sleep_until(self.next).await;
    }

    /// The last words of as many attempts as there is room for.
    fn look(&mut self, room: usize, redactor: &Redactor) -> Vec<LastWords> {
        (self.is_new, self.next) = (false, Instant::now() + EVERY);
        let spoken =
            self.running.iter().map(|(attempt, (number, words))| (*number, *attempt, words.spoken()));
        let mut spoken: Vec<(u64, Attempt, Spoken)> =
            spoken.filter(|(.., spoken)| !spoken.text.is_empty()).collect();
        spoken.sort_unstable_by_key(|(number, ..)| *number);
        spoken.truncate(room);
        if spoken.is_empty() {
            return Vec::new();
        }
        // A process may serve several items, and confuse them.
        let mut items: Vec<_> = self.running.keys().map(|(item, ..)| *item).collect();
        items.sort_unstable();
        items.dedup();
        let redactor = redactor.of_items(items);
        let shown = spoken.into_iter().map(|(_, (item, step, attempt), Spoken { mut text, is_open })| {
            redactor.last_words(&mut text, is_open);
            LastWords { item, step, attempt, text }
        });
        shown.collect()
    }
}

impl Loop<'_> {
    /// For how many attempts the observers have room.
    pub(super) fn room(&self) -> usize {
        self.observers.iter().map(|observer| observer.room()).max().unwrap_or(0)
    }

    pub(super) fn show_live(&mut self, live: &mut LiveBoard) {
        let words = live.look(self.room(), self.bindings.redactor());
        self.observers.iter_mut().for_each(|observer| observer.show_live(&words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ItemId, StepId, StepPath, ValueId};
    use crate::value::Type;

    fn attempt(number: u32) -> Attempt {
        (ItemId(number.into()), StepPath::from(StepId(0)), 1)
    }

    fn texts(board: &mut LiveBoard, room: usize) -> Vec<String> {
        let words = board.look(room, &Redactor::new([("KEY", "hunter22")]));
        words.into_iter().map(|LastWords { item, text, .. }| format!("{}: {text}", item.0)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn new_words_are_looked_at_every_100_ms_until_their_attempt_ends() {
        let (mut board, begin) = (LiveBoard::new(true), Instant::now());
        let (first, second) = (board.begin(attempt(1), &[]), board.begin(attempt(0), &[]));
        second.say("key hunter22");
        first.add("Dear");
        board.due().await;
        assert_eq!(
            (begin.elapsed(), texts(&mut board, 5)),
            (Duration::ZERO, vec!["1: Dear".into(), "0: key [secret:KEY]".into()])
        );
        first.add(" Ada, hunter");
        first.add("2");
        // Another input may come before the words are looked at.
        assert!(tokio::time::timeout(Duration::from_millis(10), board.due()).await.is_err());
        board.due().await;
        assert_eq!((begin.elapsed(), texts(&mut board, 1)), (EVERY, vec!["1: Dear Ada, ".into()]));
        assert!(tokio::time::timeout(Duration::from_secs(60), board.due()).await.is_err(), "nothing is new");
        board.end(attempt(1));
        second.say("");
        first.say("late");
        board.due().await;
        assert_eq!(texts(&mut board, 5), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_collected_of_steps_that_make_secrets_or_if_nobody_watches() {
        let secret =
            Declared { id: ValueId(0), name: "a".into(), ty: Type::parse("Secret?"), optional: false };
        for (is_watched, outputs) in [(true, vec![secret]), (false, Vec::new())] {
            let mut board = LiveBoard::new(is_watched);
            let words = board.begin(attempt(0), &outputs);
            words.say("hunter22");
            assert_eq!(words.spoken(), Spoken::default());
            assert!(tokio::time::timeout(Duration::from_secs(60), board.due()).await.is_err());
        }
    }
}
