//! Reports the messages between orderflow and an agent while an attempt runs, without secrets and within bounds. Does
//! not know how they are stored or shown.

use super::redact::Redactor;
use super::{Attempt, Declared};
use crate::event::Role;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// The longest text of a message, and the longest name, in bytes. A longer text is cut in the middle.
pub const LONGEST: usize = 64 << 10;
const LONGEST_NAME: usize = 256;

/// The size of the first messages of an attempt that are stored, and that of the last ones, in bytes. Those between
/// are left out.
pub const HALF: usize = 256 << 10;

/// The size of a message without text.
const OVERHEAD: usize = 128;

/// The text of a message that may contain a secret that the step has not made yet.
pub const WITHHELD: &str = "[not stored: the step makes a secret]";

/// A message of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub attempt: Attempt,
    pub role: Role,
    /// Of a tool or a model.
    pub name: Option<String>,
    pub text: String,
}

/// Where an adapter reports the messages of an attempt, each when it is complete; may be unused.
#[derive(Clone, Debug, Default)]
pub struct Conversation(Option<Arc<Reporter>>);

struct Reporter {
    attempt: Attempt,
    redactor: Redactor,
    /// The step makes a secret, so its agent's words cannot be redacted yet.
    withheld: bool,
    to: UnboundedSender<Said>,
    bounds: Mutex<Bounds>,
}

/// The stored and the waiting messages.
struct Bounds {
    /// How much of the first half is left, in bytes.
    room: usize,
    /// The last messages, which wait for the end of the attempt.
    last: VecDeque<Said>,
    /// Their size in bytes.
    size: usize,
    left_out: u64,
    over: bool,
}

impl Conversation {
    /// The conversation of an attempt at a step with these outputs.
    pub fn of(attempt: Attempt, outputs: &[Declared], redactor: Redactor, to: UnboundedSender<Said>) -> Self {
        let withheld = outputs.iter().any(Declared::is_secret);
        let bounds = Bounds { room: HALF, last: VecDeque::new(), size: 0, left_out: 0, over: false };
        let bounds = Mutex::new(bounds);
        Conversation(Some(Arc::new(Reporter { attempt, redactor, withheld, to, bounds })))
    }

    /// Reports a complete message; a message after the end of the attempt is ignored.
    pub fn say(&self, role: Role, name: Option<&str>, text: &str) {
        let Some(Reporter { attempt, redactor, withheld, to, bounds }) = self.0.as_deref() else { return };
        let clean = |text: &str, longest: usize| {
            let mut text = text.to_owned();
            redactor.shown_text(attempt.0, &mut text);
            shortened(text, longest)
        };
        let text = match (withheld, role) {
            (false, _) | (true, Role::System | Role::Usage | Role::Notice) => clean(text, LONGEST),
            (true, _) => WITHHELD.to_owned(),
        };
        let name = name.map(|name| clean(name, LONGEST_NAME));
        let said = Said { attempt: *attempt, role, name, text };
        bounds.lock().unwrap_or_else(PoisonError::into_inner).take(said, to);
    }

    /// Reports the messages that wait for the end of the attempt, and ignores all others from now on.
    pub fn end(&self) {
        if let Some(Reporter { attempt, to, bounds, .. }) = self.0.as_deref() {
            bounds.lock().unwrap_or_else(PoisonError::into_inner).end(*attempt, to);
        }
    }
}

impl Bounds {
    fn take(&mut self, said: Said, to: &UnboundedSender<Said>) {
        if self.over {
            return;
        }
        let size = size(&said);
        if self.last.is_empty() && self.left_out == 0 && size <= self.room {
            self.room -= size;
            // Without a receiver the report is not needed.
            let _ = to.send(said);
            return;
        }
        self.size += size;
        self.last.push_back(said);
        while self.size > HALF
            && let Some(first) = self.last.pop_front()
        {
            self.size -= self::size(&first);
            self.left_out += 1;
        }
    }

    fn end(&mut self, attempt: Attempt, to: &UnboundedSender<Said>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if self.left_out > 0 {
            let text = match self.left_out {
                1 => "1 message is not stored: the conversation is too long".to_owned(),
                several => format!("{several} messages are not stored: the conversation is too long"),
            };
            let _ = to.send(Said { attempt, role: Role::Notice, name: None, text });
        }
        for said in self.last.drain(..) {
            let _ = to.send(said);
        }
    }
}

fn size(said: &Said) -> usize {
    OVERHEAD + said.text.len() + said.name.as_ref().map_or(0, String::len)
}

/// The text without its middle, if it is longer than this.
fn shortened(text: String, longest: usize) -> String {
    if text.len() <= longest {
        return text;
    }
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let start = (0..=longest / 2).rev().find(is_boundary).unwrap_or(0);
    let end = (text.len() - longest / 2..text.len()).find(is_boundary).unwrap_or(text.len());
    format!("{} [… {} bytes are not stored …] {}", &text[..start], end - start, &text[end..])
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ItemId, StepId, ValueId};
    use crate::value::Type;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    const ATTEMPT: ItemId = ItemId(3);

    fn conversation(redactor: Redactor, ty: &str) -> (Conversation, UnboundedReceiver<Said>) {
        let (sender, receiver) = unbounded_channel();
        let outputs = [Declared { id: ValueId(0), name: "a".into(), ty: Type::parse(ty), optional: false }];
        (Conversation::of((ATTEMPT, StepId(1).into(), 2), &outputs, redactor, sender), receiver)
    }

    fn all(receiver: &mut UnboundedReceiver<Said>) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(Said { role, name, text, .. }) = receiver.try_recv() {
            let text = if text.len() > 100 { format!("({} bytes)", text.len()) } else { text };
            lines.push(format!("{role} {}{text}", name.map(|name| format!("{name}: ")).unwrap_or_default()));
        }
        lines
    }

    #[test]
    fn messages_are_reported_at_once_without_secrets_and_until_the_end() {
        let (talk, mut seen) = conversation(Redactor::new([("KEY", "hunter22")]), "String");
        talk.say(Role::User, None, "use hunter22");
        assert_eq!(all(&mut seen), ["user use [secret:KEY]"]);
        talk.clone().say(Role::Tool, Some("sh hunter22"), r#"{"k":"hunter\u00322"}"#);
        assert_eq!(all(&mut seen), [r#"tool sh [secret:KEY]: {"k":"[secret:KEY]"}"#]);
        talk.end();
        talk.say(Role::User, None, "late");
        talk.end();
        assert_eq!(all(&mut seen), [""; 0]);
        Conversation::default().say(Role::User, None, "unused");
    }

    /// The secret is known only with the answer: another attempt may write it in a form that fits nothing.
    #[test]
    fn what_is_said_about_a_secret_that_the_step_makes_is_withheld() {
        for ty in ["Secret", "Secret[]", "Secret?"] {
            let (talk, mut seen) = conversation(Redactor::default(), ty);
            talk.say(Role::System, None, "be brief");
            talk.say(Role::Assistant, None, "hunter22");
            talk.say(Role::Usage, Some("small"), "5 tokens");
            let withheld = format!("assistant {WITHHELD}");
            assert_eq!(all(&mut seen), ["system be brief", &withheld, "usage small: 5 tokens"], "{ty}");
        }
    }

    #[test]
    fn a_long_text_is_cut_in_the_middle_after_its_secrets_are_gone() {
        let (talk, mut seen) = conversation(Redactor::new([("KEY", "hunter22")]), "String");
        // The cut would divide the secret, and a character.
        let text = format!("{}hunter22{}", "ä".repeat(LONGEST / 4 - 2), "z".repeat(LONGEST));
        talk.say(Role::User, None, &text);
        let said = seen.try_recv().unwrap().text;
        let expected = format!(
            "{}[sec [… 32776 bytes are not stored …] {}",
            "ä".repeat(LONGEST / 4 - 2),
            "z".repeat(LONGEST / 2)
        );
        assert_eq!(said.trim_matches(['ä', 'z']), expected.trim_matches(['ä', 'z']));
        assert_eq!(said, expected);

        talk.say(Role::User, None, &"€".repeat(LONGEST));
        let said = seen.try_recv().unwrap().text;
        assert_eq!(said.trim_matches('€'), " [… 131076 bytes are not stored …] ");
    }

    #[test]
    fn the_middle_of_a_long_conversation_is_left_out() {
        let (talk, mut seen) = conversation(Redactor::default(), "String");
        let long = "x".repeat(LONGEST);
        for number in 0..20 {
            talk.say(Role::Tool, Some(&number.to_string()), &long);
        }
        // Three of a little more than a quarter of half the room.
        let line = |number: u32| format!("tool {number}: (65536 bytes)");
        assert_eq!(all(&mut seen), [0, 1, 2].map(line));
        talk.say(Role::Assistant, None, "done");
        talk.end();
        let left_out = "notice 14 messages are not stored: the conversation is too long".to_owned();
        let expected = [left_out, line(17), line(18), line(19), "assistant done".to_owned()];
        assert_eq!(all(&mut seen), expected);
    }

    /// Empty messages take room, too.
    #[test]
    fn many_short_messages_are_bounded() {
        let (talk, mut seen) = conversation(Redactor::default(), "String");
        (0..1_000_000).for_each(|_| talk.say(Role::Tool, None, ""));
        talk.end();
        assert_eq!(all(&mut seen).len(), 2 * HALF / OVERHEAD + 1);
    }
}
