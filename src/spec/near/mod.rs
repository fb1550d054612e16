//! The one table of near misses: what authors write for what the language spells in another way, and the right
//! spelling. Data and words only; knows nothing of steps.

mod alternatives;
mod expression;
mod front;
#[cfg(test)]
mod tests;
mod types;

pub(super) use expression::{condition, is_word, opposite, signs};
pub(super) use front::{Elsewhere, elsewhere, is_remark};
pub(super) use types::types;

use super::budget;
use super::duration::{duration, retry};
use super::events;
use super::repeat;
use super::signature::is_name;
use super::{field, heading, reuse};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a field of another name is meant as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// This field with the same value.
    Field(&'static str),
    /// `when` with the opposite.
    Unless,
    /// `retry`, with the first attempt counted.
    Attempts,
    /// `compensate`, or the reverse on the compensation itself.
    Undo,
    /// `compensate` at the other step.
    Undoes,
    /// A failure handler.
    Handler,
    Agent,
    Channel,
    /// A gate, for an approver or a time.
    Gate,
    /// What the step takes, or makes.
    Inputs,
    Outputs,
    /// A loop, perhaps without its limit or its end.
    Repeat,
    /// An event, taken or published.
    Event,
    /// What follows a step whose time has passed.
    Late,
    /// Nothing of the language.
    Nothing(&'static str),
}

/// Other names, in lower case with `-` between words.
const NAMES: [(&[&str], Meant); 23] = [
    (&["if", "only-if", "only-when", "condition", "conditional", "where", "run-if"], Meant::Field("when")),
    (&["unless", "except", "except-if", "skip-if", "skip-when", "not-if"], Meant::Unless),
    (
        &[
            "needs",
            "need",
            "depends",
            "depends-on",
            "dependson",
            "depend-on",
            "dependencies",
            "requires",
            "require",
            "wait-for",
            "waits-for",
            "waitfor",
            "runs-after",
            "run-after",
            "follows",
            "after-step",
            "predecessors",
        ],
        Meant::Field("after"),
    ),
    (
        &["foreach", "for-each", "for", "for-every", "every", "map", "each-of", "for-all"],
        Meant::Field("each"),
    ),
    (
        &["retries", "retry-count", "max-retries", "retry-limit", "retry-policy", "retrys"],
        Meant::Field("retry"),
    ),
    (&["attempts", "max-attempts", "tries", "max-tries"], Meant::Attempts),
    (
        &["time-out", "time-limit", "max-time", "max-duration", "timeouts", "timelimit"],
        Meant::Field("timeout"),
    ),
    (&budget::NAMES, Meant::Field("budget")),
    (&reuse::NAMES, Meant::Field("document")),
    (&["compensation", "compensated-by", "undone-by", "undo-with", "undo-by"], Meant::Field("compensate")),
    (&["undo", "rollback", "roll-back", "revert"], Meant::Undo),
    (
        &[
            "undoes",
            "undo-of",
            "undo-for",
            "compensates",
            "compensation-of",
            "compensation-for",
            "reverts",
            "rolls-back",
            "rollback-of",
            "reverses",
        ],
        Meant::Undoes,
    ),
    (
        &[
            "on-failure",
            "on-fail",
            "on-error",
            "onfailure",
            "onerror",
            "if-fails",
            "if-failed",
            "when-failed",
            "catch",
            "else",
            "fallback",
            "failure-handler",
            "error-handler",
        ],
        Meant::Handler,
    ),
    (&["agent", "owner", "assignee", "by", "responsible", "performed-by", "done-by"], Meant::Agent),
    (&["channel", "via"], Meant::Channel),
    (&["event", "events", "on", "signal", "signals", "notify", "send", "sends", "trigger"], Meant::Event),
    (&["on-timeout", "if-timeout", "when-timeout", "on-time-out", "after-timeout", "on-expiry"], Meant::Late),
    (
        &[
            "emits",
            "publish",
            "publishes",
            "emit-event",
            "emits-event",
            "publish-event",
            "raise",
            "raises",
            "fires",
            "send-event",
        ],
        Meant::Field("emit"),
    ),
    (
        &[
            "awaits",
            "receive",
            "receives",
            "await-event",
            "awaits-event",
            "on-event",
            "wait-for-event",
            "waits-for-event",
            "listen",
            "listen-for",
            "subscribe",
            "wait-until-event",
            "await-signal",
            "wait-for-signal",
        ],
        Meant::Field("await"),
    ),
    (&["input", "inputs", "takes", "in"], Meant::Inputs),
    (&["output", "outputs", "makes", "returns", "produces", "out"], Meant::Outputs),
    (
        &[
            "loop",
            "loops",
            "poll",
            "polls",
            "polling",
            "retry-until",
            "repeats",
            "rounds",
            "until",
            "while",
            "max",
            "max-iterations",
            "iterations",
            "repeat-until",
            "repeat-while",
            "loop-until",
            "loop-while",
            "max-rounds",
        ],
        Meant::Repeat,
    ),
    (
        &["approve", "approval", "approver", "approved-by", "sign-off", "gate", "gates", "manual", "human"],
        Meant::Gate,
    ),
];

/// The effect of these is not part of the language; without it the order of the steps is the same.
const WITHOUT: [(&[&str], &str); 3] = [
    (&["delay", "wait", "pause", "sleep", "start-after"], "waiting before a step starts"),
    (
        &["parallel", "max-parallel", "concurrency", "max-concurrency", "parallelism", "jobs", "workers"],
        "a limit on one step's parallel elements",
    ),
    (&["priority", "order", "sla", "schedule", "cron"], "this setting"),
];

/// No key is longer, in bytes as it is written.
const LONGEST: usize = 60;

/// A key as it is looked up.
pub(super) fn plain(key: &str) -> String {
    let mut plain = String::with_capacity(key.len());
    let bare = key.trim().trim_matches(['*', '_', '`', ' ']);
    for word in bare.split([' ', '_', '-']).filter(|word| !word.is_empty()) {
        if !plain.is_empty() {
            plain.push('-');
        }
        plain.push_str(word);
    }
    if plain.is_ascii() {
        plain.make_ascii_lowercase();
        return plain;
    }
    plain.to_lowercase()
}

/// What a field or a line with this key is meant as.
pub(super) fn meant(key: &str) -> Option<Meant> {
    static MEANT: LazyLock<HashMap<&str, Meant>> = LazyLock::new(|| {
        let without = WITHOUT.iter().map(|(names, what)| (*names, Meant::Nothing(what)));
        let all = without.chain(NAMES.iter().copied());
        all.flat_map(|(names, meant)| names.iter().map(move |name| (*name, meant))).collect()
    });
    if key.len() > LONGEST {
        return None;
    }
    MEANT.get(plain(key).as_str()).copied()
}

/// The annotation that these words in a bracket are.
pub(super) fn word(inner: &str) -> Option<&'static str> {
    Some(match plain(inner).as_str() {
        "optional" | "best-effort" => "?",
        "critical" | "mandatory" => "!",
        "irreversible" => "[irreversible]",
        "always" | "run-always" | "runs-always" | "finally" => "[always]",
        "parallel" | "in-parallel" => "(parallel)",
        "no-effects" | "read-only" | "pure" => "[effects:: none]",
        "once" | "runs-once" | "once-per-run" | "once-at-the-end" | "runs-once-at-the-end" => "[per:: run]",
        _ => return None,
    })
}

/// Whether a bracket in a heading is meant as an annotation, by its text. Round ones are mostly part of a title.
pub(super) fn is_annotation(inner: &str, square: bool) -> bool {
    if inner.contains("::") {
        return false;
    }
    let sure = |key: &str| {
        let likely = matches!(
            meant(key),
            Some(Meant::Field(_) | Meant::Unless | Meant::Attempts | Meant::Undo | Meant::Undoes)
        );
        field::is_known(&plain(key)) || likely
    };
    let first = inner.split([' ', ':', '=']).next().unwrap_or_default();
    word(inner).is_some()
        || repeat::looped(inner).is_some()
        || pair(inner).is_some_and(|(key, _)| sure(key) || square && meant(key).is_some())
        || ["for", "foreach", "for-each", "each"].contains(&first) && each(inner).is_some()
        || square && [first, inner].into_iter().any(|key| sure(key) || meant(key).is_some())
}

/// The value of a field in its right spelling, for the fields that have one of their own.
pub(super) fn value(key: &str, value: &str) -> Option<String> {
    let value = value.trim();
    match key {
        "timeout" | "deadline" => time(value),
        "retry" => times(value),
        "budget" => budget::right(value),
        "each" => each(value),
        "when" => condition(value),
        "emit" => events::right_emit(value),
        "await" => events::right_await(value),
        "document" => reuse::right(value),
        "repeat" => repeat::right(value),
        _ => Some(value.to_owned()),
    }
}

/// `30 days`, `25min`, `1.5 h`, `1h30m` as a duration.
pub(super) fn time(text: &str) -> Option<String> {
    const UNITS: [(&[&str], u64); 6] = [
        (&["ms", "msec", "millis", "millisecond", "milliseconds"], 1),
        (&["s", "sec", "secs", "second", "seconds"], 1000),
        (&["m", "min", "mins", "minute", "minutes"], 60_000),
        (&["h", "hr", "hrs", "hour", "hours", "hs"], 3_600_000),
        (&["d", "day", "days"], 86_400_000),
        (&["w", "week", "weeks"], 7 * 86_400_000),
    ];
    if text.len() > 40 {
        return None;
    }
    let text = text.trim().trim_end_matches('.').to_lowercase();
    if let Some(time) = duration(&text) {
        return (!time.is_zero()).then_some(text);
    }
    let (mut rest, mut millis) = (text.as_str(), 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(names, _)| names.contains(&&rest[..letters]))?;
        millis += number * *unit as f64;
        rest = rest[letters..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    if !(1.0..1e15).contains(&millis) || millis.fract() != 0.0 {
        return None;
    }
    // The largest unit that has the whole of it.
    let millis = millis as u64;
    let (unit, size) = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
        .into_iter()
        .find(|(_, size)| millis.is_multiple_of(*size))?;
    let right = format!("{}{unit}", millis / size);
    duration(&right).is_some_and(|time| !time.is_zero()).then_some(right)
}

/// `3 times`, `up to 3`, `3x` as a retry policy.
pub(super) fn times(text: &str) -> Option<String> {
    if retry(text).is_some() {
        return Some(text.to_owned());
    }
    let text = text.trim().trim_end_matches('.').to_lowercase();
    // The pauses if no others are given.
    for exponential in
        [", backoff: exponential", ", backoff=exponential", " with exponential backoff", ", exponential"]
    {
        if let Some(number) = text.strip_suffix(exponential) {
            return Some(format!("{} exponential", times(number)?));
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let words: Vec<&str> = match words.as_slice() {
        ["up", "to", rest @ ..] | ["at", "most", rest @ ..] | ["max" | "maximum", rest @ ..] => rest.to_vec(),
        all => all.to_vec(),
    };
    let number = match words.as_slice() {
        [number] => number.strip_suffix('x').unwrap_or(number),
        [number, "times" | "time" | "x" | "retries" | "retry"] => number,
        _ => return None,
    };
    if number == "twice" {
        return Some("2".to_owned());
    }
    const SPELT: [&str; 11] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let spelt = SPELT.iter().position(|word| *word == number || number == "once" && *word == "one");
    let number = spelt.and_then(|number| u32::try_from(number).ok()).or_else(|| number.parse().ok())?;
    Some(number.to_string())
}

/// `each dish in dishes`, `dish of dishes` as an element and its list.
pub(super) fn each(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = match words.as_slice() {
        ["for", "each" | "every" | "all", rest @ ..] => rest,
        ["foreach" | "for-each" | "each" | "every" | "for", rest @ ..] => rest,
        all => all,
    };
    let words = if let [rest @ .., "in", "parallel"] = words { rest } else { words };
    match words {
        [element, "in" | "of" | "from", list] if is_name(element) && is_name(list) => {
            Some(format!("{element} in {list}"))
        }
        _ => None,
    }
}

/// A line like `**Retry:** 3`, `needs = Build` or `retry 3 times`: its key and its value.
pub(super) fn pair(line: &str) -> Option<(&str, &str)> {
    if line.len() > 300 || line.contains("::") {
        return None;
    }
    let trim = |part: &'_ str| -> (usize, usize) {
        let start = part.len() - part.trim_start_matches(['*', '_', '`', ' ']).len();
        (start, part.trim_end_matches(['*', '_', '`', ' ']).len())
    };
    if let Some((key, value)) = line.split_once([':', '=']) {
        let (start, end) = trim(key);
        let key = key.get(start..end)?;
        let words = key.split_whitespace().count();
        let named = key.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, ' ' | '-' | '_'));
        let value = value.trim_start_matches(['*', '_', ' ', '\t']);
        return (named && (1..=3).contains(&words) && !value.is_empty()).then_some((key, value.trim()));
    }
    let (key, value) = line.split_once(' ')?;
    let sure = match plain(key).as_str() {
        "retry" | "retries" => times(value).is_some(),
        "timeout" => time(value.trim_start_matches("after ").trim_start_matches("of ")).is_some(),
        _ => false,
    };
    let value = value.trim_start_matches("after ").trim_start_matches("of ");
    sure.then_some((key, value.trim_end_matches('.')))
}

/// Settings in a row, such as `timeout 30s, retry twice`, each read by `one`. Attributes in braces can also name an agent,
/// a channel or a mark.
pub(super) fn settings(text: &str, attributes: bool, one: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let attribute = |part: &str| {
        let (key, value) = pair(part).unwrap_or((part, "true"));
        match (meant(key), word(key), value) {
            (_, Some(word), "true" | "yes") => Some(word.to_owned()),
            (Some(Meant::Agent), ..) => actor(value).map(|name| format!("@{name}")),
            (Some(Meant::Channel), ..) => actor(value).map(|name| format!("#{name}")),
            _ => None,
        }
    };
    let read = |part: &str| one(part).or_else(|| if attributes { attribute(part) } else { None });
    let parts = text.split(if text.contains(';') { ';' } else { ',' });
    Some(parts.map(|part| read(part.trim())).collect::<Option<Vec<String>>>()?.join(" "))
}

/// A name of an agent or a channel, with or without its sign.
pub(super) fn actor(text: &str) -> Option<&str> {
    let name = text.trim().trim_end_matches('.').trim_matches('`').trim_start_matches(['@', '#']);
    heading::is_name(name).then_some(name)
}

/// As many retries as these attempts have.
pub(super) fn retries(attempts: &str) -> Option<String> {
    let attempts: u32 = times(attempts)?.parse().ok()?;
    Some(attempts.checked_sub(1)?.to_string())
}

/// Whether a heading's title is one for steps that reverse others, and not the language's own.
pub(super) fn is_undo(title: &str) -> bool {
    let title = plain(title);
    [
        "undo",
        "rollback",
        "roll-back",
        "compensation",
        "compensations",
        "compensate",
        "undo-steps",
        "reverse",
        "rollbacks",
    ]
    .contains(&title.as_str())
}

/// Whether a step's title suggests that it reverses another.
pub(super) fn reverses(title: &str) -> bool {
    title == "Undo" || title.starts_with("Undo ")
}
