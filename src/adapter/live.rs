//! The last words of a running attempt, for people who watch: what a model or a coding agent is just saying, or the
//! progress that an agent reports. Only for display. Does not know how they are shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How much of the words is stored, in bytes.
const STORED: usize = 1024;

/// Where an adapter reports what its agent is just saying. Reporting takes a lock and returns; without an observer that
/// shows it, it does nothing.
#[derive(Clone, Debug, Default)]
pub struct LiveWords(Option<Arc<LiveSlot>>);

#[derive(Debug)]
struct LiveSlot {
    heard: Mutex<Heard>,
    /// Signals that there are new words.
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Heard {
    spoken: Spoken,
    /// The text is words, and not a log.
    has_words: bool,
}

/// The end of what an agent has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Up to about 2 KiB.
    pub text: String,
    /// More of the text is to come.
    pub is_open: bool,
}

impl LiveWords {
    /// Words of an attempt; new ones are signalled by `news`.
    pub fn new(news: Arc<Notify>) -> Self {
        LiveWords(Some(Arc::new(LiveSlot { heard: Mutex::default(), news })))
    }

    /// Adds to a text that is still arriving. After a whole message, a new text begins.
    pub fn add(&self, words: &str) {
        let Some(slot) = self.0.as_deref().filter(|_| !words.is_empty()) else { return };
        let mut heard = slot.heard();
        let extends = heard.has_words && heard.spoken.is_open;
        heard.has_words = true;
        heard.spoken.add(words, extends);
        drop(heard);
        slot.news.notify_one();
    }

    /// Replaces the words by a whole message.
    pub fn say(&self, message: &str) {
        let Some(slot) = self.0.as_deref() else { return };
        let spoken = Spoken { text: end_of(message).to_owned(), is_open: false };
        *slot.heard() = Heard { spoken, has_words: true };
        slot.news.notify_one();
    }

    /// Adds to a log, which is shown until words come.
    pub fn log(&self, chunk: &[u8]) {
        let Some(slot) = self.0.as_deref() else { return };
        let mut heard = slot.heard();
        if heard.has_words {
            return;
        }
        let chunk = &chunk[chunk.len().saturating_sub(STORED)..];
        heard.spoken.add(&String::from_utf8_lossy(chunk), true);
        drop(heard);
        slot.news.notify_one();
    }

    /// The words so far.
    pub fn spoken(&self) -> Spoken {
        self.0.as_deref().map(|slot| slot.heard().spoken.clone()).unwrap_or_default()
    }
}

impl Spoken {
    fn add(&mut self, words: &str, extends: bool) {
        if !extends {
            self.text.clear();
        }
        self.is_open = true;
        self.text.push_str(end_of(words));
        if self.text.len() > 2 * STORED {
            self.text = end_of(&self.text).to_owned();
        }
    }
}

impl LiveSlot {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last bytes of a text, in whole characters.
fn end_of(text: &str) -> &str {
    let from = text.len().saturating_sub(STORED);
    let start = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_added_and_replaced_within_their_bound() {
        let live = LiveWords::new(Arc::default());
        live.add("Dear ");
        live.add("");
        live.clone().add("Ada");
        assert_eq!(live.spoken(), Spoken { text: "Dear Ada".into(), is_open: true });
        live.say("2 of 3");
        assert_eq!(live.spoken(), Spoken { text: "2 of 3".into(), is_open: false });
        live.add("Yours");
        assert_eq!(live.spoken().text, "Yours");
        for number in 0..10_000 {
            live.add(&format!("ä{number} "));
            assert!(live.spoken().text.len() <= 2 * STORED);
        }
        let text = live.spoken().text;
        assert!(text.len() >= STORED && text.ends_with("ä9998 ä9999 "), "{text}");
        live.say(&"€".repeat(STORED));
        assert_eq!(live.spoken().text, "€".repeat(STORED / 3));
        live.add(&"x".repeat(10 * STORED));
        assert_eq!(live.spoken().text, "x".repeat(STORED));
    }

    #[test]
    fn a_log_is_shown_until_there_are_words() {
        let live = LiveWords::new(Arc::default());
        live.log(b"load");
        live.log(b"ed\n");
        assert_eq!(live.spoken(), Spoken { text: "loaded\n".into(), is_open: true });
        live.add("Dear");
        live.log(b"warning\n");
        live.add(" Ada");
        assert_eq!(live.spoken().text, "Dear Ada");
    }

    #[test]
    fn without_anybody_who_watches_nothing_is_stored() {
        let live = LiveWords::default();
        live.add("Dear");
        live.say("Ada");
        assert_eq!(live.spoken(), Spoken::default());
    }
}
