//! Evaluates an expression to true or false. Numbers are exact: see `value/decimal.rs`.

use super::lex::fault;
use super::{Comparison, Fault, Filter, Kind, Node, Operator};
use crate::diag::nearest;
use crate::value::number::{Digits, LONGEST, whole};
use crate::value::words;
use crate::value::{Decimal, Value, equal, kind};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// The longest text that a condition may build, in bytes.
const LONGEST_TEXT: usize = 1024 * 1024;

type Names<'f, 'v> = &'f dyn Fn(&str) -> Option<&'v Value>;
type Found<'v> = Result<Cow<'v, Value>, Fault>;

pub(super) fn holds(root: &Node, names: Names<'_, '_>) -> Result<bool, Fault> {
    boolean(root, names)
}

fn boolean(node: &Node, names: Names<'_, '_>) -> Result<bool, Fault> {
    match &*value(node, names)? {
        Value::Bool(flag) => Ok(*flag),
        other => {
            let message = format!("this is {}, and a condition needs true or false", kind(other));
            Err(fault(node.at.clone(), &message, Some("compare it with something, as in `total > 100`")))
        }
    }
}

/// `this` if any of these evaluates to it; else its opposite.
fn until(all: &[Node], this: bool, names: Names<'_, '_>) -> Result<bool, Fault> {
    for part in all {
        if boolean(part, names)? == this {
            return Ok(this);
        }
    }
    Ok(!this)
}

pub(super) fn value<'v>(node: &Node, names: Names<'_, 'v>) -> Found<'v> {
    let flag = |flag: bool| Ok(Cow::Owned(Value::Bool(flag)));
    match &node.kind {
        Kind::Literal(value) => Ok(Cow::Owned(value.clone())),
        Kind::List(elements) => {
            let elements: Result<Vec<Value>, Fault> =
                elements.iter().map(|element| value(element, names).map(Cow::into_owned)).collect();
            Ok(Cow::Owned(Value::Array(elements?)))
        }
        Kind::Name(name) => names(name)
            .map(Cow::Borrowed)
            .ok_or_else(|| fault(node.at.clone(), &format!("`{name}` has no value"), None)),
        Kind::Attribute(of, name) => attribute(node, value(of, names)?, name),
        Kind::Index(of, index) => indexed(node, value(of, names)?, &*value(index, names)?),
        Kind::Not(of) => flag(!boolean(of, names)?),
        Kind::Negate(of) => {
            let value = value(of, names)?;
            let text = value.as_number().ok_or_else(|| no_number(of.at.clone(), &value))?.as_str();
            let negated = text.strip_prefix('-').map_or_else(|| format!("-{text}"), str::to_owned);
            as_value(node.at.clone(), &negated)
        }
        Kind::Both(all) => flag(until(all, false, names)?),
        Kind::Either(all) => flag(until(all, true, names)?),
        Kind::Compare(comparison, a, b) => {
            flag(compare(node, *comparison, &*value(a, names)?, &*value(b, names)?)?)
        }
        Kind::Contained { negated, element, list } => {
            let found = contained(list, &*value(element, names)?, &*value(list, names)?)?;
            flag(found != *negated)
        }
        Kind::IsNone { negated, of } => flag(value(of, names)?.is_null() != *negated),
        Kind::IsDefined { negated, of } => flag(value(of, names).is_ok() != *negated),
        Kind::Arithmetic(first, rest) => computed(first, rest, names),
        Kind::Filter(of, filter) => filtered(of, *filter, &*value(of, names)?),
    }
}

fn attribute<'v>(node: &Node, of: Cow<'v, Value>, name: &str) -> Found<'v> {
    let missing = |object: &Value| {
        let near = match object {
            Value::Object(object) => nearest(name, object.keys().map(String::as_str)),
            _ => None,
        };
        let message = match object {
            Value::Object(_) => format!("it has no `{name}`"),
            other => format!("`.{name}` asks for an object, and this is {}", kind(other)),
        };
        let help = near.map(words::did_you_mean);
        Fault { at: node.at.clone(), message, help }
    };
    match of {
        Cow::Borrowed(object) => object.get(name).map(Cow::Borrowed).ok_or_else(|| missing(object)),
        Cow::Owned(object) => object.get(name).cloned().map(Cow::Owned).ok_or_else(|| missing(&object)),
    }
}

fn indexed<'v>(node: &Node, of: Cow<'v, Value>, index: &Value) -> Found<'v> {
    let found = match (&*of, index) {
        (Value::Array(list), Value::Number(_)) => {
            whole(index).and_then(|index| list.get(usize::try_from(index).ok()?)).cloned()
        }
        (Value::Object(object), Value::String(name)) => object.get(name).cloned(),
        (other, index) => {
            let message = format!("{} has no element that {} names", kind(other), kind(index));
            return Err(fault(node.at.clone(), &message, None));
        }
    };
    found
        .map(Cow::Owned)
        .ok_or_else(|| fault(node.at.clone(), &format!("the list has no element {index}"), None))
}

fn compare(node: &Node, comparison: Comparison, a: &Value, b: &Value) -> Result<bool, Fault> {
    let orders = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
    let order =
        match (a, b) {
            (Value::Number(_), Value::Number(_)) if !orders && equal(a, b) => Some(Ordering::Equal),
            (Value::Number(a), Value::Number(b)) => {
                let digits = Digits::parse(a.as_str()).zip(Digits::parse(b.as_str()));
                let order = digits.map(|(a, b)| a.cmp(&b));
                Some(order.ok_or_else(|| {
                    fault(node.at.clone(), "the exponent of a number is out of range", None)
                })?)
            }
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) if !orders => Some(a.cmp(b)),
            (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) if !orders => {
                Some(if equal(a, b) { Ordering::Equal } else { Ordering::Less })
            }
            _ => None,
        };
    let Some(order) = order else {
        let message = format!("{} and {} cannot be compared like that", kind(a), kind(b));
        let help =
            if a.is_null() || b.is_null() { Some("`is none` asks whether a value is null") } else { None };
        return Err(fault(node.at.clone(), &message, help));
    };
    Ok(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

fn contained(list: &Node, element: &Value, within: &Value) -> Result<bool, Fault> {
    match (within, element) {
        (Value::Array(elements), _) => {
            let equal = |other: &Value| compare(list, Comparison::Equal, element, other).unwrap_or(false);
            Ok(elements.iter().any(equal))
        }
        (Value::Object(object), Value::String(name)) => Ok(object.contains_key(name)),
        (Value::String(text), Value::String(part)) => Ok(text.contains(part.as_str())),
        (other, element) => {
            let message = format!("{} cannot be in {}", kind(element), kind(other));
            Err(fault(list.at.clone(), &message, None))
        }
    }
}

fn computed<'v>(first: &Node, rest: &[(Operator, Node)], names: Names<'_, 'v>) -> Found<'v> {
    let mut left = value(first, names)?;
    let mut at = first.at.clone();
    for (operator, term) in rest {
        let right = value(term, names)?;
        let whole = at.start..term.at.end;
        left = match (operator, left, &*right) {
            (Operator::Add, left, Value::String(more)) if left.is_string() => {
                // Appends in place: a chain takes time in proportion to its text.
                let Value::String(mut text) = left.into_owned() else { return Err(too_long(whole)) };
                if text.len() + more.len() > LONGEST_TEXT {
                    let message = format!("this text would have more than {LONGEST_TEXT} bytes");
                    return Err(fault(whole, &message, None));
                }
                text.push_str(more);
                Cow::Owned(Value::String(text))
            }
            (operator, left, right) => {
                arithmetic(whole.clone(), *operator, number(at, &left)?, number(term.at.clone(), right)?)?
            }
        };
        at = whole;
    }
    Ok(left)
}

fn arithmetic<'v>(at: Range<usize>, operator: Operator, left: Decimal, right: Decimal) -> Found<'v> {
    let found = match operator {
        Operator::Add => left.add(&right),
        Operator::Subtract => left.subtract(&right),
        Operator::Multiply => left.multiply(&right),
        Operator::Divide | Operator::Remainder if right.is_zero() => {
            return Err(fault(at, "this divides by zero", None));
        }
        Operator::Divide => left.divide(&right),
        Operator::Remainder => left.remainder(&right),
    };
    let found = found.ok_or_else(|| too_long(at.clone()))?;
    as_value(at, &found.to_string())
}

fn number(at: Range<usize>, value: &Value) -> Result<Decimal, Fault> {
    let number = value.as_number().ok_or_else(|| no_number(at.clone(), value))?;
    Decimal::parse(number.as_str()).ok_or_else(|| too_long(at))
}

fn no_number(at: Range<usize>, value: &Value) -> Fault {
    fault(at, &format!("this is {}, not a number", kind(value)), None)
}

fn too_long(at: Range<usize>) -> Fault {
    fault(at, &format!("this number has more than {LONGEST} digits, or an exponent out of range"), None)
}

fn as_value<'v>(at: Range<usize>, text: &str) -> Found<'v> {
    let number = text.parse().map_err(|_| fault(at, "this is not a number", None))?;
    Ok(Cow::Owned(Value::Number(number)))
}

fn filtered<'v>(of: &Node, filter: Filter, value: &Value) -> Found<'v> {
    let wrong = |what: &str| {
        Err(fault(of.at.clone(), &format!("this is {}, and the filter needs {what}", kind(value)), None))
    };
    Ok(Cow::Owned(match (filter, value) {
        (Filter::Length, Value::String(text)) => text.chars().count().into(),
        (Filter::Length, Value::Array(list)) => list.len().into(),
        (Filter::Length, Value::Object(object)) => object.len().into(),
        (Filter::Length, _) => return wrong("a string, a list or an object"),
        (Filter::Lower, Value::String(text)) => text.to_lowercase().into(),
        (Filter::Upper, Value::String(text)) => text.to_uppercase().into(),
        (Filter::Lower | Filter::Upper, _) => return wrong("a string"),
    }))
}
