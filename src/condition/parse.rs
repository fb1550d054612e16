//! Parses text to an expression, by precedence: `or`, `and`, `not`, comparisons, `+ -`, `* / %`, then attributes,
//! indices and filters.

use super::lex::{Token, fault, tokens};
use super::{Comparison, Condition, DEPTH, Fault, Filter, HEIGHT, Kind, Node, Operator};
use crate::value::{Value, space};
use std::ops::Range;
use std::sync::Arc;

/// Reads a condition.
///
/// # Errors
/// The first syntax error, with its place in the text.
pub fn parse(text: &str) -> Result<Condition, Fault> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        end: text.trim_end_matches(space::is_space).len(),
        depth: 0,
    };
    let root = parser.either()?;
    if let Some((_, at)) = parser.tokens.get(parser.next) {
        let parts = "compare values by their names, as in `total > 1000`; join two parts with `and` or `or`";
        let help = match parser.words_as_a_name() {
            Some(name) => format!("did you mean the value `{name}`? otherwise {parts}"),
            None => parts.to_owned(),
        };
        return Err(fault(at.clone(), "the condition should end here", Some(&help)));
    }
    Ok(Condition { text: text.into(), root: Arc::new(root) })
}

/// Words of sentences, which are not parts of a name.
const VERBS: [&str; 8] = ["is", "are", "has", "have", "equals", "contains", "exceeds", "not"];

/// What an expression is that is never true or false.
fn never(node: &Node) -> Option<&'static str> {
    match &node.kind {
        Kind::Literal(Value::String(_)) | Kind::Filter(_, Filter::Lower | Filter::Upper) => Some("a text"),
        Kind::Literal(Value::Number(_))
        | Kind::Negate(_)
        | Kind::Arithmetic(..)
        | Kind::Filter(_, Filter::Length) => Some("a number"),
        Kind::Literal(Value::Null) => Some("none"),
        Kind::List(_) => Some("a list"),
        _ => None,
    }
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    end: usize,
    depth: usize,
}

type Parsed = Result<Node, Fault>;

impl Parser {
    /// `order_id` where `order id` is written: the words around the current place as one name.
    fn words_as_a_name(&self) -> Option<String> {
        let word = |(token, _): &(Token, Range<usize>)| match token {
            Token::Word(word) => Some(word.clone()),
            _ => None,
        };
        let (before, after) = self.tokens.split_at(self.next);
        let mut words: Vec<String> = before.iter().rev().map_while(word).collect();
        words.reverse();
        let split = words.len();
        words.extend(after.iter().map_while(word));
        let is_name = split > 0 && words.len() > split && !words.iter().any(|word| VERBS.contains(&&**word));
        is_name.then(|| words.join("_"))
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some((Token::Sign(found), _)) if *found == sign);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some((Token::Word(found), _)) if found == word);
        self.next += usize::from(found);
        found
    }

    /// The place of the next token; after the last one, the end.
    fn here(&self) -> Range<usize> {
        self.tokens.get(self.next).map_or(self.end..self.end, |(_, at)| at.clone())
    }

    fn joined(
        &mut self,
        next: fn(&mut Self) -> Parsed,
        word: &str,
        sign: &str,
        join: fn(Vec<Node>) -> Kind,
    ) -> Parsed {
        let first = next(self)?;
        let mut at = first.at.clone();
        let mut all = vec![first];
        while self.word(word) || self.sign(sign) {
            let part = next(self)?;
            at.end = part.at.end;
            all.push(part);
        }
        if let Some((part, what)) =
            all.iter().filter(|_| all.len() > 1).find_map(|part| Some((part, never(part)?)))
        {
            let message = format!("`{word}` joins conditions, and this is {what}");
            let help = "compare each, as in `team == \"a\" or team == \"b\"`, or write a list: `team in [\"a\", \"b\"]`";
            return Err(fault(part.at.clone(), &message, Some(help)));
        }
        match all.pop() {
            Some(only) if all.is_empty() => Ok(only),
            last => node(at, join(all.into_iter().chain(last).collect())),
        }
    }

    fn either(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(too_deep(self.here()));
        }
        let whole = self.joined(Self::both, "or", "||", Kind::Either);
        self.depth -= 1;
        whole
    }

    fn both(&mut self) -> Parsed {
        self.joined(Self::negated, "and", "&&", Kind::Both)
    }

    fn negated(&mut self) -> Parsed {
        let start = self.here().start;
        if self.word("not") {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err(too_deep(self.here()));
            }
            let inner = self.negated()?;
            self.depth -= 1;
            if let Some(what) = never(&inner) {
                let message = format!("`not` asks for a condition, and this is {what}");
                return Err(fault(inner.at.clone(), &message, None));
            }
            return node(start..inner.at.end, Kind::Not(Box::new(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let comparison = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        if let Some((_, comparison)) = comparison.into_iter().find(|(sign, _)| self.sign(sign)) {
            let right = self.sum()?;
            return two(left, right, |a, b| Kind::Compare(comparison, a, b));
        }
        let before = self.next;
        let negated = self.word("not");
        if self.word("in") {
            let list = self.sum()?;
            return two(left, list, |element, list| Kind::Contained { negated, element, list });
        }
        self.next = before;
        if self.word("is") {
            return self.test(left);
        }
        Ok(left)
    }

    fn test(&mut self, left: Node) -> Parsed {
        let negated = self.word("not");
        let at = left.at.start..self.here().end;
        let of = Box::new(left);
        if self.word("none") || self.word("null") {
            return node(at, Kind::IsNone { negated, of });
        }
        if self.word("defined") {
            return node(at, Kind::IsDefined { negated, of });
        }
        Err(fault(self.here(), "`is` asks for `none` or `defined`", None))
    }

    fn sum(&mut self) -> Parsed {
        self.computed(Self::product, &[("+", Operator::Add), ("-", Operator::Subtract)])
    }

    fn product(&mut self) -> Parsed {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        self.computed(Self::signed, &operators)
    }

    fn computed(&mut self, next: fn(&mut Self) -> Parsed, operators: &[(&str, Operator)]) -> Parsed {
        let first = next(self)?;
        let mut at = first.at.clone();
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.sign(sign)) {
            let term = next(self)?;
            at.end = term.at.end;
            rest.push((*operator, term));
        }
        if rest.is_empty() { Ok(first) } else { node(at, Kind::Arithmetic(Box::new(first), rest)) }
    }

    fn signed(&mut self) -> Parsed {
        let start = self.here().start;
        if self.sign("-") {
            let inner = self.followed()?;
            return node(start..inner.at.end, Kind::Negate(Box::new(inner)));
        }
        self.followed()
    }

    /// A value with attributes, indices and filters behind it.
    fn followed(&mut self) -> Parsed {
        let mut of = self.simple()?;
        loop {
            let start = of.at.start;
            if self.sign(".") {
                let at = self.here();
                let Some((Token::Word(name), _)) = self.tokens.get(self.next) else {
                    return Err(fault(at, "expected a name after the `.`", None));
                };
                let name = name.clone();
                self.next += 1;
                of = node(start..at.end, Kind::Attribute(Box::new(of), name))?;
            } else if self.sign("[") {
                let index = self.either()?;
                let end = self.here().end;
                self.close("]")?;
                of = node(start..end, Kind::Index(Box::new(of), Box::new(index)))?;
            } else if self.sign("|") {
                let at = self.here();
                let filters = [
                    ("length", Filter::Length),
                    ("count", Filter::Length),
                    ("lower", Filter::Lower),
                    ("upper", Filter::Upper),
                ];
                let Some((_, filter)) = filters.into_iter().find(|(name, _)| self.word(name)) else {
                    return Err(fault(at, "unknown filter", Some("the filters are length, lower and upper")));
                };
                of = node(start..at.end, Kind::Filter(Box::new(of), filter))?;
            } else {
                return Ok(of);
            }
        }
    }

    fn close(&mut self, sign: &'static str) -> Result<(), Fault> {
        if self.sign(sign) { Ok(()) } else { Err(fault(self.here(), &format!("expected `{sign}`"), None)) }
    }

    fn simple(&mut self) -> Parsed {
        let Some((token, at)) = self.tokens.get(self.next).cloned() else {
            return Err(fault(self.here(), "expected a value here", None));
        };
        self.next += 1;
        let kind = match token {
            Token::Number(value) => Kind::Literal(value),
            Token::Text(text) => Kind::Literal(Value::String(text)),
            Token::Word(word) => match word.as_str() {
                "true" | "True" => Kind::Literal(Value::Bool(true)),
                "false" | "False" => Kind::Literal(Value::Bool(false)),
                "none" | "None" | "null" => Kind::Literal(Value::Null),
                "and" | "or" | "in" | "is" | "not" => {
                    return Err(fault(at, "expected a value here", None));
                }
                _ => Kind::Name(word),
            },
            Token::Sign("(") => {
                let inner = self.either()?;
                let end = self.here().end;
                self.close(")")?;
                return Ok(Node { at: at.start..end, ..inner });
            }
            Token::Sign("[") => return self.list(at.start),
            Token::Sign(_) => return Err(fault(at, "expected a value here", None)),
        };
        node(at, kind)
    }

    fn list(&mut self, start: usize) -> Parsed {
        let mut elements = Vec::new();
        loop {
            let end = self.here().end;
            if self.sign("]") {
                return node(start..end, Kind::List(elements));
            }
            if !elements.is_empty() {
                self.close(",")?;
            }
            elements.push(self.either()?);
        }
    }
}

fn two(left: Node, right: Node, join: impl FnOnce(Box<Node>, Box<Node>) -> Kind) -> Parsed {
    node(left.at.start..right.at.end, join(Box::new(left), Box::new(right)))
}

/// A node, unless the tree below it is so deep that recursion could overflow the stack.
fn node(at: Range<usize>, kind: Kind) -> Parsed {
    let mut node = Node { at, kind, height: 1 };
    node.height += node.children().into_iter().map(|child| child.height).max().unwrap_or(0);
    if node.height > HEIGHT { Err(too_deep(node.at)) } else { Ok(node) }
}

fn too_deep(at: Range<usize>) -> Fault {
    fault(at, "the condition nests too deep", None)
}
