//! Values of TOML as cases need them, with a problem at the place of each that is wrong. Does not know what the keys mean.

use crate::diag::{Diagnostic, Span, catalogue, nearest};
use crate::event::Millis;
use crate::graph::{Graph, StepId};
use crate::spec;
use crate::value::{Object, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
pub(super) type Item<'i> = Spanned<DeValue<'i>>;

/// How deep values may nest.
const DEEPEST: usize = json::DEPTH;

/// Collects the problems of a text with cases.
pub(super) struct CaseReader<'a> {
    pub graph: &'a Graph,
    pub problems: Vec<Diagnostic>,
}

impl CaseReader<'_> {
    pub fn unknown(&mut self, key: &Key<'_>, known: &[&str]) {
        self.problems.push(catalogue::case_unknown_key(key.span().into(), key.get_ref(), known));
    }

    /// `expected` completes "… must be …".
    pub fn bad<T>(&mut self, key: &str, value: &Item<'_>, expected: &str) -> Option<T> {
        let found = found(value.get_ref());
        self.problems.push(catalogue::case_bad_value(value.span().into(), key, expected, &found));
        None
    }

    pub fn text(&mut self, key: &str, value: &Item<'_>) -> Option<String> {
        match value.get_ref().as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            _ => self.bad(key, value, "a text"),
        }
    }

    pub fn count(&mut self, key: &str, value: &Item<'_>) -> Option<u64> {
        let count =
            value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        count.or_else(|| self.bad(key, value, "a whole number"))
    }

    pub fn time(&mut self, key: &str, value: &Item<'_>) -> Option<Millis> {
        let time = value.get_ref().as_str().and_then(spec::duration);
        match time.and_then(|time| Millis::try_from(time.as_millis()).ok()) {
            Some(time) => Some(time),
            None => self.bad(key, value, "a duration, such as \"200ms\", \"5s\" or \"2d\""),
        }
    }

    /// One of these names.
    pub fn one_of<T: Copy>(
        &mut self,
        key: &str,
        value: &Item<'_>,
        known: impl Iterator<Item = T>,
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let all: Vec<T> = known.collect();
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        let written = value.get_ref().as_str();
        let meant = |written: &str| all.iter().copied().find(|one| name(*one) == written);
        if let Some(one) = written.and_then(meant) {
            return Some(one);
        }
        match written {
            Some(written) => {
                let near = nearest(written, names.iter().copied());
                let problem = catalogue::case_unknown_word(value.span().into(), key, written, near, &names);
                self.problems.push(problem);
                None
            }
            None => self.bad(key, value, "a text"),
        }
    }

    pub fn table<'t, 'i>(&mut self, key: &str, value: &'t Item<'i>) -> Option<&'t DeTable<'i>> {
        match value.get_ref().as_table() {
            Some(table) => Some(table),
            None => self.bad(key, value, "a table"),
        }
    }

    /// The elements of a list, or the value itself.
    pub fn several<'t, 'i>(&mut self, value: &'t Item<'i>) -> Vec<&'t Item<'i>> {
        match value.get_ref().as_array() {
            Some(list) => list.iter().collect(),
            None => vec![value],
        }
    }

    /// The elements of a list.
    pub fn list<'t, 'i>(&mut self, key: &str, value: &'t Item<'i>) -> Option<Vec<&'t Item<'i>>> {
        match value.get_ref().as_array() {
            Some(list) => Some(list.iter().collect()),
            None => self.bad(key, value, "a list"),
        }
    }

    /// The step with this name.
    pub fn step(&mut self, name: &str, span: Span) -> Option<StepId> {
        match self.graph.called(name).as_slice() {
            [one] => Some(*one),
            [] => {
                let titles = self.graph.steps.iter().map(|step| step.title.as_str());
                let known = titles;
                self.problems.push(catalogue::case_unknown_name(span, "step", name, known));
                None
            }
            several => {
                let phases: Vec<&str> =
                    several.iter().map(|id| self.graph.step(*id).phase.as_str()).collect();
                self.problems.push(catalogue::case_ambiguous_step(span, name, &phases));
                None
            }
        }
    }

    pub fn value(&mut self, value: &Item<'_>) -> Option<Value> {
        match json_of(value.get_ref(), DEEPEST) {
            Ok(found) => Some(found),
            Err(why) => {
                self.problems.push(catalogue::case_no_json(value.span().into(), why));
                None
            }
        }
    }
}

/// A value of TOML as JSON; dates are texts.
fn json_of(value: &DeValue<'_>, deep: usize) -> Result<Value, &'static str> {
    let deeper = deep.checked_sub(1).ok_or("this is nested too deep")?;
    Ok(match value {
        DeValue::String(text) => Value::from(&**text),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Integer(number) if number.radix() != 10 => {
            let whole = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(whole.map_err(|_| "this number is too large")?)
        }
        DeValue::Integer(number) => number_of(number.as_str())?,
        DeValue::Float(number) => number_of(number.as_str())?,
        DeValue::Array(list) => {
            let all = list.iter().map(|one| json_of(one.get_ref(), deeper));
            Value::Array(all.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let mut members = Object::new();
            for (key, value) in table.iter() {
                members.insert(key.get_ref().to_string(), json_of(value.get_ref(), deeper)?);
            }
            Value::Object(members)
        }
    })
}

fn number_of(text: &str) -> Result<Value, &'static str> {
    json::parse(text.trim_start_matches('+')).map_err(|_| "this number cannot be written in JSON")
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", crate::value::words::excerpt(text)),
        other => match json_of(other, DEEPEST) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            Ok(value) => crate::value::kind(&value).to_owned(),
            Err(_) => "something else".to_owned(),
        },
    }
}
