//! Whether two conditions can never both hold, as far as their text shows: `x` and `not x`, `a < 5` and `a >= 5`, `a
//! == "p"` and `a in ["q", "r"]`.

use super::{Comparison, Kind, Node, same};
use crate::value::number::Digits;
use crate::value::{Value, equal};
use std::cmp::Ordering;

/// How many pairs of parts of two conditions are compared.
const PAIRS: usize = 2_000;

/// Whether two claims can never both be true: each is a condition, and whether it holds.
pub(super) fn apart(one: (&Node, bool), other: (&Node, bool)) -> bool {
    let (one, other) = (Claim::of(one.0, one.1), Claim::of(other.0, other.1));
    one.apart(&other, &mut PAIRS.clone())
}

/// The meaning of a condition when it holds, or when it does not, with every `not` moved down to the comparisons.
enum Claim<'n> {
    All(Vec<Claim<'n>>),
    Any(Vec<Claim<'n>>),
    Is(Atom<'n>),
}

/// A comparison of something with a bound. A condition without a bound is compared with true or false.
struct Atom<'n> {
    subject: Subject<'n>,
    comparison: Comparison,
    bound: Bound<'n>,
}

enum Subject<'n> {
    Value(&'n Node),
    /// Whether it is defined.
    Defined(&'n Node),
    /// Whether the first is in the second.
    In(&'n Node, &'n Node),
}

enum Bound<'n> {
    Constant(Value),
    Value(&'n Node),
}

impl<'n> Claim<'n> {
    fn of(node: &'n Node, holds: bool) -> Claim<'n> {
        let is = |subject, flag: bool| {
            let bound = Bound::Constant(Value::Bool(flag));
            Claim::Is(Atom { subject, comparison: Comparison::Equal, bound })
        };
        let all = |nodes: &'n [Node]| nodes.iter().map(|node| Claim::of(node, holds)).collect();
        match &node.kind {
            Kind::Not(inner) => Claim::of(inner, !holds),
            Kind::Both(nodes) if holds => Claim::All(all(nodes)),
            Kind::Both(nodes) => Claim::Any(all(nodes)),
            Kind::Either(nodes) if holds => Claim::Any(all(nodes)),
            Kind::Either(nodes) => Claim::All(all(nodes)),
            Kind::IsNone { negated, of } => {
                let comparison = if holds != *negated { Comparison::Equal } else { Comparison::Unequal };
                let bound = Bound::Constant(Value::Null);
                Claim::Is(Atom { subject: Subject::Value(of), comparison, bound })
            }
            Kind::IsDefined { negated, of } => is(Subject::Defined(of), holds != *negated),
            Kind::Contained { negated, element, list } => match (&list.kind, holds != *negated) {
                (Kind::List(elements), inside) => {
                    let comparison = if inside { Comparison::Equal } else { Comparison::Unequal };
                    let each = elements.iter().map(|other| Claim::compared(element, comparison, other));
                    if inside { Claim::Any(each.collect()) } else { Claim::All(each.collect()) }
                }
                (_, inside) => is(Subject::In(element, list), inside),
            },
            Kind::Compare(comparison, left, right) => {
                Claim::compared(left, if holds { *comparison } else { contrary(*comparison) }, right)
            }
            _ => is(Subject::Value(node), holds),
        }
    }

    /// Moves the constant side, if either is one, to the right.
    fn compared(left: &'n Node, comparison: Comparison, right: &'n Node) -> Claim<'n> {
        let (subject, comparison, bound) = match (constant(left), constant(right)) {
            (Some(bound), None) => (right, turned(comparison), Bound::Constant(bound)),
            (_, Some(bound)) => (left, comparison, Bound::Constant(bound)),
            (None, None) => (left, comparison, Bound::Value(right)),
        };
        let (comparison, bound) = match (comparison, bound) {
            (Comparison::Unequal, Bound::Constant(Value::Bool(flag))) => {
                (Comparison::Equal, Bound::Constant(Value::Bool(!flag)))
            }
            other => other,
        };
        Claim::Is(Atom { subject: Subject::Value(subject), comparison, bound })
    }

    fn apart(&self, other: &Claim, left: &mut usize) -> bool {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        match (self, other) {
            (Claim::Any(all), one) | (one, Claim::Any(all)) => all.iter().all(|part| part.apart(one, left)),
            (Claim::All(all), one) | (one, Claim::All(all)) => all.iter().any(|part| part.apart(one, left)),
            (Claim::Is(one), Claim::Is(other)) => {
                one.excludes(other) || one.needs_what_is_not(other) || other.needs_what_is_not(one)
            }
        }
    }
}

impl Atom<'_> {
    fn excludes(&self, other: &Atom) -> bool {
        if self.subject.same(&other.subject) {
            return match order(&self.bound, &other.bound) {
                Some(order) => never_both(self.comparison, other.comparison, order),
                None => unlike(&self.bound, &other.bound) && kinds_apart(self.comparison, other.comparison),
            };
        }
        // The two are `a < b` and `b < a`.
        match (&self.subject, &self.bound, &other.subject, &other.bound) {
            (Subject::Value(a), Bound::Value(b), Subject::Value(c), Bound::Value(d)) => {
                same(a, d)
                    && same(b, c)
                    && never_both(self.comparison, turned(other.comparison), Ordering::Equal)
            }
            _ => false,
        }
    }

    /// Whether this claim uses a value that the other claims is not defined.
    fn needs_what_is_not(&self, other: &Atom) -> bool {
        let (Subject::Defined(missing), Bound::Constant(Value::Bool(false))) = (&other.subject, &other.bound)
        else {
            return false;
        };
        match &self.subject {
            Subject::Value(node) => within(missing, node),
            Subject::In(element, list) => within(missing, element) || within(missing, list),
            Subject::Defined(_) => false,
        }
    }
}

impl Subject<'_> {
    fn same(&self, other: &Subject) -> bool {
        match (self, other) {
            (Subject::Value(a), Subject::Value(b)) | (Subject::Defined(a), Subject::Defined(b)) => same(a, b),
            (Subject::In(a, b), Subject::In(c, d)) => same(a, c) && same(b, d),
            _ => false,
        }
    }
}

fn within(part: &Node, node: &Node) -> bool {
    same(part, node) || node.children().into_iter().any(|child| within(part, child))
}

fn constant(node: &Node) -> Option<Value> {
    match &node.kind {
        Kind::Literal(value) => Some(value.clone()),
        Kind::Negate(inner) => match &inner.kind {
            Kind::Literal(Value::Number(number)) => {
                let text = number.as_str();
                let negated = text.strip_prefix('-').map_or_else(|| format!("-{text}"), str::to_owned);
                negated.parse().ok().map(Value::Number)
            }
            _ => None,
        },
        _ => None,
    }
}

fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

fn contrary(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::Unequal,
        Comparison::Unequal => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// How one bound compares with the other, if that is known.
fn order(one: &Bound, other: &Bound) -> Option<Ordering> {
    match (one, other) {
        (Bound::Constant(Value::Number(a)), Bound::Constant(Value::Number(b))) => {
            Some(Digits::parse(a.as_str())?.cmp(&Digits::parse(b.as_str())?))
        }
        (Bound::Constant(Value::String(a)), Bound::Constant(Value::String(b))) => Some(a.cmp(b)),
        (Bound::Constant(a), Bound::Constant(b)) => equal(a, b).then_some(Ordering::Equal),
        (Bound::Value(a), Bound::Value(b)) => same(a, b).then_some(Ordering::Equal),
        _ => None,
    }
}

/// Whether two constants differ: in kind, or as Booleans.
fn unlike(one: &Bound, other: &Bound) -> bool {
    match (one, other) {
        (Bound::Constant(Value::Number(_)), Bound::Constant(Value::Number(_))) => false,
        (Bound::Constant(a), Bound::Constant(b)) => !equal(a, b),
        _ => false,
    }
}

/// Whether a value that compares with a constant in one way cannot compare with a constant of another kind in the
/// other.
fn kinds_apart(a: Comparison, b: Comparison) -> bool {
    let unequal = |comparison| comparison == Comparison::Unequal;
    (a == Comparison::Equal && !unequal(b)) || (b == Comparison::Equal && !unequal(a))
}

/// Whether no value compares with one bound in one way and with the other in the other; `order` is that of the bounds.
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
