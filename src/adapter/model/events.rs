//! Server-sent events of the HTML standard: from bytes in parts of any size to events. An event is bounded in size, and
//! fields that the standard does not define are ignored, as it demands. Does not know what events mean.

use super::{garbled, harmless};
use crate::adapter::contract;
use crate::event::Failure;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Empty if it has none.
    pub name: String,
    pub data: String,
}

/// What has arrived of the next event.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    name: Vec<u8>,
    /// The lines of its data, each with a line feed after it.
    data: Vec<u8>,
    /// The last byte was a carriage return, so a line feed belongs to it.
    returned: bool,
    /// The first line, which may begin with a byte order mark, has ended.
    begun: bool,
}

impl Events {
    /// The events that end in this part.
    ///
    /// # Errors
    /// An event is too large or not UTF-8.
    pub fn push(&mut self, mut part: &[u8]) -> Result<Vec<Event>, Box<Failure>> {
        let mut events = Vec::new();
        while let Some(first) = part.first() {
            if std::mem::take(&mut self.returned) && *first == b'\n' {
                part = &part[1..];
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', part);
            let (piece, rest) = part.split_at(end.unwrap_or(part.len()));
            if self.line.len() + self.name.len() + self.data.len() + piece.len() > contract::LARGEST {
                return Err(harmless(contract::too_large()));
            }
            self.line.extend_from_slice(piece);
            let Some((end, rest)) = rest.split_first() else { break };
            self.returned = *end == b'\r';
            part = rest;
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_line(&line)?);
        }
        Ok(events)
    }

    /// Takes a line; the event that it ends.
    fn end_line(&mut self, mut line: &[u8]) -> Result<Option<Event>, Box<Failure>> {
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if data.pop().is_none() {
                return Ok(None);
            }
            let text = |bytes| {
                String::from_utf8(bytes).map_err(|_| garbled("the provider's answer is not UTF-8".to_owned()))
            };
            return Ok(Some(Event { name: text(name)?, data: text(data)? }));
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            _ => {}
        }
        Ok(None)
    }
}
