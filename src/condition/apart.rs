//! Whether two conditions can never both hold, as far as their words tell: `x` and `not x`, `a < 5` and `a >= 5`,
//! `a == "p"` and `a == "q"`.

use super::{Comparison, Kind, Node, same};
use crate::value::Value;
use std::cmp::Ordering;

/// How many parts joined by `and` are compared.
const PARTS: usize = 20;

pub(super) fn apart(one: &Node, other: &Node) -> bool {
    // Wholes are compared as well: `not (a and b)`.
    let (mut these, mut those) = (vec![one], vec![other]);
    parts(one, &mut these);
    parts(other, &mut those);
    these.iter().any(|one| those.iter().any(|other| contrary(one, other)))
}

/// What must all hold for a condition to hold.
fn parts<'n>(node: &'n Node, into: &mut Vec<&'n Node>) {
    match &node.kind {
        Kind::Both(all) => all.iter().for_each(|part| parts(part, into)),
        _ if into.len() < PARTS => into.push(node),
        _ => {}
    }
}

fn contrary(one: &Node, other: &Node) -> bool {
    let negates = |one: &Node, other: &Node| matches!(&one.kind, Kind::Not(inner) if same(inner, other));
    if negates(one, other) || negates(other, one) {
        return true;
    }
    match (&one.kind, &other.kind) {
        (Kind::IsNone { negated: a, of: one }, Kind::IsNone { negated: b, of: other })
        | (Kind::IsDefined { negated: a, of: one }, Kind::IsDefined { negated: b, of: other }) => {
            a != b && same(one, other)
        }
        (
            Kind::Contained { negated: a, element: one, list },
            Kind::Contained { negated: b, element: other, list: within },
        ) => a != b && same(one, other) && same(list, within),
        (Kind::Compare(..), Kind::Compare(..)) => match (compared(one), compared(other)) {
            (Some((what, a, bound)), Some((of, b, limit))) if same(what, of) => match order(bound, limit) {
                Some(order) => never_both(a, b, order),
                None => unlike(bound, limit) && (a, b) == (Comparison::Equal, Comparison::Equal),
            },
            _ => false,
        },
        _ => false,
    }
}

/// A comparison with what does not change on its right, if it has that on one side.
fn compared(node: &Node) -> Option<(&Node, Comparison, &Node)> {
    let Kind::Compare(comparison, left, right) = &node.kind else { return None };
    let turned = match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => *same,
    };
    match (&left.kind, &right.kind) {
        (Kind::Literal(_), _) => Some((right, turned, left)),
        _ => Some((left, *comparison, right)),
    }
}

/// How one bound stands to the other, where that is known.
fn order(one: &Node, other: &Node) -> Option<Ordering> {
    match (&one.kind, &other.kind) {
        (Kind::Literal(Value::Number(a)), Kind::Literal(Value::Number(b))) => {
            a.as_f64()?.partial_cmp(&b.as_f64()?)
        }
        (Kind::Literal(Value::String(a)), Kind::Literal(Value::String(b))) => Some(a.cmp(b)),
        _ if same(one, other) => Some(Ordering::Equal),
        _ => None,
    }
}

/// Whether two constants differ.
fn unlike(one: &Node, other: &Node) -> bool {
    matches!((&one.kind, &other.kind), (Kind::Literal(a), Kind::Literal(b)) if a != b)
}

/// Whether nothing compares with one bound in one way and with the other in the other; `order` is that of the bounds.
fn never_both(a: Comparison, b: Comparison, order: Ordering) -> bool {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Unequal};
    match (a, b) {
        (Equal, Equal) => order.is_ne(),
        (Equal, Unequal) | (Unequal, Equal) => order.is_eq(),
        (Equal | Greater, Less) | (Greater, Equal | LessOrEqual) | (GreaterOrEqual, Less) => order.is_ge(),
        (Less, Equal | Greater) | (Equal | LessOrEqual, Greater) | (Less, GreaterOrEqual) => order.is_le(),
        (Equal | GreaterOrEqual, LessOrEqual) | (GreaterOrEqual, Equal) => order.is_gt(),
        (LessOrEqual, Equal | GreaterOrEqual) | (Equal, GreaterOrEqual) => order.is_lt(),
        (Less | LessOrEqual | Unequal, Less | LessOrEqual | Unequal)
        | (Greater | GreaterOrEqual | Unequal, Greater | GreaterOrEqual)
        | (Greater | GreaterOrEqual, Unequal) => false,
    }
}
