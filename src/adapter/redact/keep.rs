//! The outputs of steps in their stored form: each secret is replaced by its name, and its value is restored when the
//! run resumes.

use super::Redactor;
use crate::event::{Arrival, AttemptEvent, Event, EventKind, Values};
use crate::value::{Object, Value};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::cell::RefCell;
use std::sync::Arc;

/// The beginning of a secret's name; with an empty name it represents itself.
const OPEN: &str = "[secret:";
const CLOSE: char = ']';

/// Whether a text contains what looks like the name of a secret.
pub fn names_a_secret(text: &str) -> bool {
    names(text).next().is_some()
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split(OPEN).skip(1).filter_map(|part| part.split_once(CLOSE));
    ends.map(|(name, _)| name).filter(|name| !name.is_empty())
}

/// Finds the secrets, the longest first, and texts that look like their names.
pub(super) struct Named {
    finder: AhoCorasick,
    /// By pattern.
    names: Vec<String>,
}

impl Named {
    /// `None` without secrets.
    pub fn of(secrets: &[(String, String)]) -> Option<Named> {
        let (names, values): (Vec<&str>, Vec<&str>) =
            secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain([("", OPEN)]).unzip();
        let builder = AhoCorasick::builder()
            // The default kind takes time quadratic in the length of a secret, to build or at places that begin like
            // one.
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .prefilter(false)
            .match_kind(MatchKind::LeftmostLongest)
            .build(values);
        let names = names.into_iter().map(str::to_owned).collect();
        Some(Named { finder: builder.ok()?, names })
    }
}

impl Redactor {
    /// Replaces secrets by their names.
    pub fn conceal(&self, event: &mut Event) {
        self.made(event, &|text| self.concealed(text, true));
    }

    /// Replaces secrets in an event from outside, for good: it could name a secret itself.
    pub fn conceal_arrival(&self, arrival: &mut Arc<Arrival>) {
        if let Some(data) = changed(&arrival.data, &|text| self.concealed(text, false)) {
            Arc::make_mut(arrival).data = Arc::new(data);
        }
    }

    /// Restores the secrets, and learns those in inputs and outputs. Unknown names are unchanged.
    pub fn reveal(&self, event: &mut Event) {
        self.learn(event);
        self.made(event, &|text| self.revealed(text));
    }

    /// The name of a secret in what a step has made; with `unknown`, one that [`reveal`](Self::reveal) cannot restore.
    pub fn named_in(&self, event: &Event, unknown: bool) -> Option<String> {
        let EventKind::Attempt(_, _, _, AttemptEvent::Finished(Ok(_))) = &event.kind else { return None };
        let found = RefCell::new(None);
        let look = |text: &str| {
            if let Some(name) = names(text).find(|name| !unknown || self.secret(name).is_none()) {
                found.borrow_mut().get_or_insert_with(|| name.to_owned());
            }
            None
        };
        self.made(&mut event.clone(), &look);
        found.into_inner()
    }

    /// The same in values.
    pub fn conceal_values(&self, values: &mut Values) {
        each(values, &|text| self.concealed(text, true));
    }

    fn made(&self, event: &mut Event, change: &dyn Fn(&str) -> Option<String>) {
        if let EventKind::Attempt(_, _, _, AttemptEvent::Finished(Ok(reply))) = &mut event.kind {
            each(&mut reply.outputs, change);
        }
    }

    /// The text with names; `None` if unchanged. What is `restored` later has another form for texts that look like
    /// names.
    fn concealed(&self, text: &str, restored: bool) -> Option<String> {
        let Named { finder, names } = self.known.named.as_ref()?;
        let (mut out, mut done) = (String::new(), 0);
        let literal = |pattern: usize| !restored && names.get(pattern).is_some_and(String::is_empty);
        for found in finder.find_iter(text).filter(|found| !literal(found.pattern().as_usize())) {
            out = out + text.get(done..found.start())? + OPEN + names.get(found.pattern().as_usize())?;
            out.push(CLOSE);
            done = found.end();
        }
        (done > 0).then(|| out + text.get(done..).unwrap_or_default())
    }

    fn revealed(&self, text: &str) -> Option<String> {
        let mut parts = text.split(OPEN);
        let mut out = parts.next()?.to_owned();
        for part in parts {
            match part.split_once(CLOSE) {
                Some(("", rest)) => out = out + OPEN + rest,
                Some((name, rest)) if self.secret(name).is_some() => {
                    out = out + self.secret(name).unwrap_or_default() + rest;
                }
                _ => out = out + OPEN + part,
            }
        }
        (out != text).then_some(out)
    }

    fn secret(&self, name: &str) -> Option<&str> {
        self.known.secrets.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn each(values: &mut Values, change: &dyn Fn(&str) -> Option<String>) {
    for (_, value) in values {
        if let Some(changed) = changed(value, change) {
            *value = Arc::new(changed);
        }
    }
}

/// The value with its texts changed; `None` if unchanged, so that large values are not copied.
fn changed(value: &Value, change: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
    match value {
        Value::String(text) => change(text).map(Value::String),
        Value::Array(all) => {
            let new: Vec<Option<Value>> = all.iter().map(|one| changed(one, change)).collect();
            let kept = |(one, new): (&Value, Option<Value>)| new.unwrap_or_else(|| one.clone());
            new.iter().any(Option::is_some).then(|| Value::Array(all.iter().zip(new).map(kept).collect()))
        }
        Value::Object(object) => {
            let member = |(name, value): (&String, &Value)| (change(name), changed(value, change));
            let new: Vec<(Option<String>, Option<Value>)> = object.iter().map(member).collect();
            if new.iter().all(|(name, value)| name.is_none() && value.is_none()) {
                return None;
            }
            let kept = object.iter().zip(new).map(|((name, value), (new_name, new_value))| {
                (new_name.unwrap_or_else(|| name.clone()), new_value.unwrap_or_else(|| value.clone()))
            });
            Some(Value::Object(kept.collect::<Object>()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
