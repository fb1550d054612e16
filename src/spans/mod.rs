//! A run as spans of a distributed trace: their identifiers, and a fold that makes them from events. Does not know where
//! they are sent.
//!
//! A run has a span; below it each item, below it each execution of a step, below it each attempt, below it what a
//! document that the attempt runs does. The identifiers are computed from what a span is about, not drawn: an agent gets
//! that of its attempt before the span is sent, and a run that is resumed continues its trace.

mod fold;
mod names;
#[cfg(test)]
mod tests;

pub use fold::{SpanFold, SpanSubject};

use crate::event::{ItemId, UnixMillis};
use std::fmt;

/// The place of something in a distributed trace, as in the header `traceparent` of W3C Trace Context, level 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Not 0.
    pub trace: u128,
    /// What is above; `None` for a trace that begins here.
    pub parent: Option<SpanId>,
    /// Whether the spans of the trace are stored.
    pub sampled: bool,
}

/// A span's identifier; not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanId(pub u64);

impl TraceContext {
    /// A trace of a run alone.
    pub fn of_run(run: &str) -> TraceContext {
        TraceContext { trace: leading(&blake3::hash(run.as_bytes())).max(1), parent: None, sampled: true }
    }

    /// What a caller has given; `None` if it is not of the form, as the specification demands.
    pub fn parse(header: &str) -> Option<TraceContext> {
        let hex = |text: &str, digits: usize| {
            let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (text.len() == digits && is_hex).then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        let mut parts = header.trim().split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32).filter(|trace| *trace != 0)?;
        let parent = hex(parts.next()?, 16).and_then(|parent| u64::try_from(parent).ok());
        let parent = parent.filter(|parent| *parent != 0)?;
        let flags = hex(parts.next()?, 2)?;
        // Later versions may add parts.
        let known = version == 0 && parts.next().is_none() || (1..0xff).contains(&version);
        known.then_some(TraceContext { trace, parent: Some(SpanId(parent)), sampled: flags & 1 == 1 })
    }

    /// The same trace, below this span.
    pub fn below(self, span: SpanId) -> TraceContext {
        TraceContext { parent: Some(span), ..self }
    }
}

/// The header for what is called below the parent; without one, for the trace as a whole, which has no form of its own.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceContext { trace, parent, sampled } = self;
        write!(f, "00-{trace:032x}-{:016x}-{:02x}", parent.map_or(1, |id| id.0), u8::from(*sampled))
    }
}

impl SpanId {
    /// The span of a run.
    pub fn of_run(run: &str) -> SpanId {
        SpanId::of(&[run, "run"])
    }

    /// The span of an attempt. `step` is the phase.
    pub fn of_attempt(run: &str, item: ItemId, (step, element): (&str, Option<u32>), attempt: u32) -> SpanId {
        let element = element.map_or(String::new(), |element| element.to_string());
        SpanId::of(&[run, "attempt", &item.0.to_string(), step, &element, &attempt.to_string()])
    }

    fn of(parts: &[&str]) -> SpanId {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            // Lengths separate parts that would otherwise run together.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let [.., low] = [0, leading(&hasher.finalize())];
        SpanId((low >> 64) as u64).max(SpanId(1))
    }
}

/// The first 128 bits of a hash.
fn leading(hash: &blake3::Hash) -> u128 {
    hash.as_bytes().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// Something that has ended, with its place in the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSpan {
    pub trace: u128,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// The parent is a caller of the run.
    pub remote: bool,
    pub name: String,
    /// Whether it is a call of something else.
    pub calls: bool,
    pub began: UnixMillis,
    pub ended: UnixMillis,
    pub attributes: Vec<(&'static str, Attribute)>,
    pub moments: Vec<Moment>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub name: &'static str,
    pub at: UnixMillis,
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(String),
    Integer(i64),
    Decimal(f64),
    Boolean(bool),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Attribute::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Attribute::Text(text)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Attribute::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Self {
        Attribute::Boolean(flag)
    }
}

/// What is known of the agent of a step, where it is a model, a tool or a coding agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenAi {
    /// `chat`, `execute_tool` or `invoke_agent`.
    pub operation: &'static str,
    /// The provider of the model, as the settings name it.
    pub provider: Option<String>,
    pub model: Option<String>,
    pub tool: Option<String>,
}
