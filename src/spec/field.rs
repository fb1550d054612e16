//! Fields: `[key:: value]`. Finds them and reads the values of known ones.

use super::budget;
use super::condition;
use super::decision::Known;
use super::diagram;
use super::duration::{duration, retry};
use super::events;
use super::markdown::{place, trim};
use super::model::{After, Annotations, Each, Passage, Spanned};
use super::near;
use super::repeat;
use super::reuse::{self, ReadPath};
use super::signature;
use super::title;
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::value::budget::Budget;

/// The fields that are read.
pub(super) const READ: [&str; 17] = [
    "retry",
    "timeout",
    "deadline",
    "budget",
    "after",
    "when",
    "each",
    "per",
    "always",
    "compensate",
    "irreversible",
    "effects",
    "state",
    "emit",
    "await",
    "document",
    "repeat",
];

/// Those that apply only to single steps.
const OF_STEPS: [&str; 9] =
    ["each", "per", "always", "compensate", "irreversible", "state", "emit", "await", "document"];

/// The fields without a value.
const FLAGS: [&str; 2] = ["irreversible", "always"];

/// `[key:: value]`; without a value where it is written `[key]`.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub span: Span,
    pub key: Span,
    /// Without white space at its ends; may be empty.
    pub value: Span,
}

/// The kinds of lines that begin like a field.
pub(super) enum FieldLine {
    /// It holds nothing else.
    Fields(Vec<Field>),
    /// `[key:: …` without its bracket.
    Unclosed(Span),
    /// A known field with other text beside it.
    Mixed(Span),
    /// A field with wrong punctuation, such as `[retry: 3]`, with its right spelling.
    Almost(Span, String),
    Other,
}

pub(super) fn known() -> impl Iterator<Item = &'static str> {
    READ.into_iter()
}

pub(super) fn is_known(key: &str) -> bool {
    known().any(|known| known == key)
}

/// Whether a field is about how often a step runs.
pub(super) fn is_for_each(key: &str) -> bool {
    matches!(key, "each" | "per")
}

/// The matched brackets of a line, by their opening, in order.
pub(super) fn brackets(text: &str, span: Span) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    let mut pairs = Vec::new();
    for (at, byte) in text.as_bytes()[span.start..span.end].iter().enumerate() {
        match byte {
            b'[' => open.push(span.start + at),
            b']' => pairs.extend(open.pop().map(|start| (start, span.start + at + 1))),
            _ => {}
        }
    }
    pairs.sort_unstable();
    pairs
}

/// The field that begins at `start`, if one does. `pairs` are the brackets of its line.
pub(super) fn at(text: &str, start: usize, pairs: &[(usize, usize)]) -> Option<Field> {
    let end = pairs[pairs.binary_search_by_key(&start, |pair| pair.0).ok()?].1;
    let inner = &text[start + 1..end - 1];
    // Reading the key first makes deep nesting take time in proportion to its length.
    let colon = start + 1 + inner.find(|c: char| !is_key_part(c) && c != ' ').unwrap_or(inner.len());
    let value = match &text[colon..end - 1] {
        rest if rest.starts_with("::") => colon + 2..end - 1,
        "" if FLAGS.contains(&inner) => colon..end - 1,
        _ => return None,
    };
    let key = trim(text, start + 1..colon);
    let named = text[key.start..key.end].starts_with(|c: char| c.is_ascii_alphabetic());
    named.then(|| Field { span: Span::new(start, end), key, value: trim(text, value) })
}

fn is_key_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_')
}

/// Reads a line of a paragraph.
pub(super) fn line(text: &str, span: Span) -> FieldLine {
    let line = &text[span.start..span.end];
    if !line.contains([':', '[']) {
        return FieldLine::Other;
    }
    if let Some(right) = almost(line) {
        return FieldLine::Almost(span, right);
    }
    if !line.contains('[') {
        return FieldLine::Other;
    }
    let pairs = brackets(text, span);
    let (mut fields, mut next) = (Vec::new(), span.start);
    while let Some(field) = at(text, next, &pairs) {
        next = trim(text, field.span.end..span.end).start;
        fields.push(field);
        if next >= span.end {
            return FieldLine::Fields(fields);
        }
    }
    let rest = &text[next..span.end];
    let key = rest.strip_prefix('[').and_then(|rest| rest.split_once("::")).map(|(key, _)| key.trim());
    if key.is_some_and(is_known) && pairs.binary_search_by_key(&next, |pair| pair.0).is_err() {
        return FieldLine::Unclosed(Span::new(next, span.end));
    }
    let mixed = pairs.iter().filter_map(|pair| at(text, pair.0, &pairs));
    match mixed.into_iter().find(|field| is_known(&text[field.key.start..field.key.end])) {
        Some(field) => FieldLine::Mixed(field.span),
        None => FieldLine::Other,
    }
}

/// `[retry: 3]` and `retry:: 3` in their right spelling.
pub(super) fn almost(line: &str) -> Option<String> {
    let (key, value) = match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) if !inner.contains(['[', ']']) => inner.split_once(':')?,
        Some(_) => return None,
        None => line.split_once("::")?,
    };
    let value = value.trim();
    let known = is_known(key.trim()) && !value.is_empty() && !value.starts_with(':');
    known.then(|| format!("[{}:: {value}]", key.trim()))
}

/// Reads a field's value into `into`. The second text has the author's white space.
pub(super) fn apply(
    (text, written): (&str, &str),
    field: &Field,
    of_group: bool,
    into: &mut Annotations,
    problems: &mut Vec<Diagnostic>,
) {
    let key = &text[field.key.start..field.key.end];
    let value = &text[field.value.start..field.value.end];
    if !READ.contains(&key) {
        // Others are reported elsewhere with their right spelling.
        if near::meant(key).is_none() {
            let fits = |known: &&str| !of_group || !OF_STEPS.contains(known);
            problems.push(problem::unknown_field(field.key, key, READ.into_iter().filter(fits)));
        }
        return;
    }
    if of_group && OF_STEPS.contains(&key) {
        // The others are reported with the steps that could have them.
        if is_for_each(key) {
            return;
        }
        problems.push(problem::field_on_group(field.span, key));
        return;
    }
    if FLAGS.contains(&key) {
        let flag = if key == "always" { &mut into.always } else { &mut into.irreversible };
        match value {
            "" => set(flag, key, Spanned::new((), field.span), problems),
            _ => problems.push(problem::flag_with_value(field.span, key)),
        }
        return;
    }
    if value.is_empty() {
        problems.push(problem::field_without_value(field.span, key));
        return;
    }
    let span = field.value;
    let shown = title::read(&written[span.start..span.end]);
    match key {
        "retry" => match retry(value) {
            Some(retry) => set(&mut into.retry, key, Spanned::new(retry, span), problems),
            None if value.split(' ').any(|word| matches!(word, "until" | "while")) => {
                let right = near::value("repeat", value);
                problems.push(problem::retry_until(span, &shown, right.as_deref()));
            }
            None => problems.push(problem::bad_retry(span, &shown).mended(span, near::times(value))),
        },
        "timeout" | "deadline" => match duration(value) {
            Some(time) if time.is_zero() => problems.push(problem::no_time(span, key)),
            Some(time) if key == "timeout" => set(&mut into.timeout, key, Spanned::new(time, span), problems),
            Some(time) => set(&mut into.deadline, key, Spanned::new(time, span), problems),
            None => problems.push(problem::bad_duration(span, &shown).mended(span, near::time(value))),
        },
        "budget" => {
            if let Some(new) = budget(span, value, &shown, problems) {
                add_budget(&mut into.budget, key, new, problems);
            }
        }
        "compensate" => {
            let title = title::read(&written[span.start..span.end]);
            set(&mut into.compensate, key, Spanned::new(title, span), problems);
        }
        "each" => match each(text, span) {
            Some(each) => set(&mut into.each, key, Spanned::new(each, field.span), problems),
            None => problems.push(problem::bad_each(span, &shown).mended(span, near::each(value))),
        },
        "effects" if value == "none" => set(&mut into.pure, key, Spanned::new((), field.span), problems),
        "effects" => problems.push(problem::bad_effects(span, &shown)),
        "per" if value == "run" => set(&mut into.once, key, Spanned::new((), field.span), problems),
        "per" => problems.push(problem::bad_per(span, &shown)),
        "emit" => into.emits.extend(events::emits(text, span, problems)),
        "await" => {
            if let Some(awaited) = events::awaited((text, written), span, problems) {
                set(&mut into.awaits, key, Spanned::new(awaited, field.span), problems);
            }
        }
        "state" => match passage(text, span) {
            Some(passage) => set(&mut into.state, key, Spanned::new(passage, span), problems),
            None => problems.push(problem::bad_state(span, &shown)),
        },
        "document" => match reuse::read(written[span.start..span.end].trim()) {
            ReadPath::Path(path) => set(&mut into.document, key, Spanned::new(path, span), problems),
            ReadPath::Almost(right) => {
                problems.push(
                    problem::bad_document(span, &written[span.start..span.end]).mended(span, Some(right)),
                );
            }
            ReadPath::Unknown => problems.push(problem::bad_document(span, &written[span.start..span.end])),
        },
        "repeat" => match repeat::read((text, written), span) {
            Ok(repeat) => set(&mut into.repeat, key, Spanned::new(repeat, field.span), problems),
            Err(problem) => problems.push(*problem),
        },
        "when" => match condition::condition(written, span.start..span.end) {
            Ok(condition) => set(&mut into.when, key, condition, problems),
            Err(problem) => problems.push(*problem),
        },
        _ => {
            let title = title::read(&written[span.start..span.end]);
            let after = if value == "start" { After::Start } else { After::Step(title) };
            into.after.push(Spanned::new(after, span));
        }
    }
}

/// `A, B` if no step or group has that title: one order for each.
pub(super) fn split(
    text: &str,
    written: &str,
    after: Spanned<After>,
    titles: &dyn Known,
) -> Vec<Spanned<After>> {
    let said = &text[after.span.start..after.span.end];
    if !said.contains(',') || titles.is_title(said) {
        return vec![after];
    }
    let parts = said.split(',').map(|part| place(text, part.trim())).filter(|part| part.start < part.end);
    let parts = parts.map(|part| match title::read(&written[part.start..part.end]) {
        start if start == "start" => Spanned::new(After::Start, part),
        title => Spanned::new(After::Step(title), part),
    });
    parts.collect()
}

/// `target in targets`, `line in order.lines`.
fn each(text: &str, span: Span) -> Option<Each> {
    let value = &text[span.start..span.end];
    let (element, list) = value.split_once(" in ")?;
    let element = trim(text, span.start..span.start + element.len());
    let list = trim(text, span.end - list.len()..span.end);
    let named = |span: Span| {
        let name = &text[span.start..span.end];
        signature::is_name(name).then(|| Spanned::new(name.to_owned(), span))
    };
    let said = &text[list.start..list.end];
    let plain = signature::is_name(said) && !said.contains('.');
    let way = if plain { None } else { crate::condition::parse(said).ok() };
    let way = way.filter(|way| !way.ways().is_empty()).map(|way| Spanned::new(way, list));
    let list = named(list).or_else(|| way.as_ref().map(|_| Spanned::new(said.to_owned(), list)))?;
    Some(Each { element: named(element)?, list, way })
}

/// `pending → paid`, `pending, failed → cancelled`, or `paid` alone.
fn passage(text: &str, span: Span) -> Option<Passage> {
    let value = &text[span.start..span.end];
    let name = |part: &str| {
        let at = place(text, part.trim());
        let name = &text[at.start..at.end];
        diagram::is_name(name).then(|| Spanned::new(name.to_owned(), at))
    };
    let (from, to) = match value.split_once('→').or_else(|| value.split_once("->")) {
        Some((from, to)) => (from, Some(name(to)?)),
        None => (value, None),
    };
    Some(Passage { from: from.split(',').map(name).collect::<Option<_>>()?, to })
}

/// Reads a budget, of a field or of the front matter.
pub(super) fn budget(
    span: Span,
    value: &str,
    shown: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<Budget>> {
    let (problem, right) = match budget::read(value) {
        budget::Read::Budget(budget) if budget.is_spent() => (problem::no_budget(span), None),
        budget::Read::Budget(budget) => return Some(Spanned::new(budget, span)),
        budget::Read::Almost(right) => (problem::bad_budget(span, shown), Some(right)),
        budget::Read::Perhaps(meant) => (problem::doubtful_budget(span, shown, &meant), None),
        budget::Read::Unknown => (problem::bad_budget(span, shown), None),
    };
    problems.push(problem.mended(span, right));
    None
}

/// Adds a budget in another unit; each unit is allowed once.
fn add_budget(
    slot: &mut Option<Spanned<Budget>>,
    what: &str,
    new: Spanned<Budget>,
    problems: &mut Vec<Diagnostic>,
) {
    let twice = |known: &Budget| {
        known.tokens.and(new.value.tokens).is_some() || known.dollars.and(new.value.dollars).is_some()
    };
    match slot {
        Some(first) if twice(&first.value) => problems.push(problem::said_twice(new.span, first.span, what)),
        Some(first) => first.value = first.value.least(new.value),
        None => *slot = Some(new),
    }
}

/// Sets a value that is allowed once.
pub(super) fn set<T>(
    slot: &mut Option<Spanned<T>>,
    what: &str,
    new: Spanned<T>,
    problems: &mut Vec<Diagnostic>,
) {
    match slot {
        Some(first) => problems.push(problem::said_twice(new.span, first.span, what)),
        None => *slot = Some(new),
    }
}
