//! Front matter: YAML between `---` lines at the very top.

use super::budget;
use super::duration::duration;
use super::field;
use super::heading::Head;
use super::markdown::{lines, place};
use super::model::{Front, OnItemError, Spanned, Tolerance};
use super::near::{self, Elsewhere};
use super::yaml::{Node, Placed, excess, spaced};
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::value::Type;
use crate::value::budget::Budget;
use crate::value::space::{self, is_space};
use serde_saphyr::options::DuplicateKeyPolicy;

pub(super) const KEYS: [&str; 14] = [
    "title",
    "description",
    "agent",
    "inputs",
    "items",
    "key",
    "jobs",
    "tolerate",
    "on-item-error",
    "deadline",
    "budget",
    "run-budget",
    "env",
    "secrets",
];

/// Reads the front matter, if there is one; also returns where the document continues.
pub(super) fn read(text: &str, problems: &mut Vec<Diagnostic>) -> (Front, usize) {
    let top = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    match cut(text, top) {
        Cut::None => {
            problems.extend(late(text, top).map(problem::front_matter_late));
            (Front::default(), top)
        }
        Cut::Open(opening) => {
            problems.push(problem::front_matter_unclosed(opening));
            (Front::default(), top)
        }
        Cut::Yaml(yaml, end) => {
            let mut reader = Reader { text, yaml, front: Front::default(), problems };
            reader.read();
            (reader.front, end)
        }
    }
}

enum Cut {
    None,
    /// Opened and never closed.
    Open(Span),
    /// The YAML and where the document continues.
    Yaml(Span, usize),
}

/// Front matter begins with `---` on the first line and something on the second: `---` above an empty line
/// is a rule.
fn cut(text: &str, top: usize) -> Cut {
    let mut at = top;
    let mut opening = None;
    for line in text[top..].split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches(is_space);
        let Some((open, begin)) = opening else {
            if line != "---" {
                return Cut::None;
            }
            opening = Some((Span::new(start, start + 3), at));
            continue;
        };
        if start == begin && line.is_empty() {
            return Cut::None;
        }
        if line == "---" || line == "..." {
            return Cut::Yaml(Span::new(begin, start), at);
        }
        if at >= text.len() {
            let first = text[begin..].lines().next().unwrap_or("");
            let key =
                first.split_once(':').is_some_and(|(key, _)| KEYS.contains(&key) || key.starts_with("x-"));
            return if key { Cut::Open(open) } else { Cut::None };
        }
    }
    Cut::None
}

/// How many lines from the top are searched for misplaced front matter.
const NEAR_THE_TOP: usize = 20;

/// Front matter below an empty line or the title, or between lines of `+++`: the line that opens it.
fn late(text: &str, top: usize) -> Option<Span> {
    let mut near = lines(text, Span::new(top, text.len())).take(NEAR_THE_TOP).peekable();
    while let Some(line) = near.next() {
        let raw = &text[line.start..line.end];
        if raw.starts_with("```") || raw.starts_with("~~~") {
            return None;
        }
        let opens = raw.len() >= 3 && (raw.bytes().all(|b| b == b'-') || raw == "+++");
        let known = |next: &Span| {
            let key = text[next.start..next.end].split([':', '=']).next();
            key.is_some_and(|key| key.len() < next.end - next.start && KEYS.contains(&key.trim()))
        };
        if opens && near.peek().is_some_and(known) {
            return Some(line);
        }
    }
    None
}

struct Reader<'a, 'p> {
    text: &'a str,
    yaml: Span,
    front: Front,
    problems: &'p mut Vec<Diagnostic>,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        for line in lines(self.text, self.yaml) {
            if self.text[line.start..line.end].starts_with("##")
                && Head::atx(self.text, line, 2).is_annotated()
            {
                self.problems.push(problem::heading_in_front_matter(line));
            }
        }
        match self.parse(DuplicateKeyPolicy::Error) {
            Some(Node::Map(entries)) => {
                for (key, value) in entries {
                    self.key(key, value);
                }
            }
            Some(Node::Null) | None => {}
            Some(_) => {
                self.problems.push(problem::front_matter_syntax(self.yaml, "it is not a list of keys"))
            }
        }
    }

    /// Parses the YAML; a duplicate key is reported, and the first one is used.
    fn parse(&mut self, duplicates: DuplicateKeyPolicy) -> Option<Node> {
        let options = serde_saphyr::options! {
            duplicate_keys: duplicates,
            strict_booleans: true,
            with_snippet: false,
            budget: serde_saphyr::budget! { max_depth: 16, max_nodes: 10_000, max_anchors: 100 },
        };
        let yaml = &spaced(&self.text[self.yaml.start..self.yaml.end]);
        match serde_saphyr::from_str_with_options::<Node>(yaml, options) {
            Ok(node) => Some(node),
            Err(error) => {
                let span = error.location().map_or(self.yaml, |location| self.place(location));
                if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error.without_snippet() {
                    let key = key.clone().unwrap_or_default();
                    self.problems.push(problem::duplicate_key(span, &key));
                    return self.parse(DuplicateKeyPolicy::FirstWins);
                }
                // The span gives the place, in lines of the document and not of the YAML.
                let message = error.without_snippet().to_string();
                let message = message.lines().next().and_then(|line| line.split(" at line ").next());
                let message = excess(&message).unwrap_or(message.unwrap_or(""));
                self.problems.push(problem::front_matter_syntax(span, message));
                None
            }
        }
    }

    fn place(&self, location: serde_saphyr::Location) -> Span {
        let span = location.span();
        let (Some(at), Some(len)) = (span.byte_offset(), span.byte_len()) else {
            return self.row(location.line() as usize, location.column() as usize);
        };
        let start = (self.yaml.start + at as usize).min(self.yaml.end);
        let end = (start + len as usize).min(self.yaml.end);
        match self.text.get(start..end) {
            Some(part) => Span::new(start, start + part.trim_end().len()),
            None => self.yaml,
        }
    }

    /// From a place to the end of its line; the whole YAML if the place is unknown.
    fn row(&self, line: usize, column: usize) -> Span {
        let yaml = &self.text[self.yaml.start..self.yaml.end];
        let Some(row) = yaml.split('\n').nth(line.saturating_sub(1)) else { return self.yaml };
        let at = row.char_indices().nth(column.saturating_sub(1)).map_or(row.len(), |(at, _)| at);
        place(self.text, row[at..].trim_end())
    }

    fn key(&mut self, key: Placed<String>, value: Placed<Node>) {
        let place = self.place(key.referenced);
        let name = space::trim(&key.value);
        match name {
            "title" => self.front.title = self.scalar(name, &value),
            "description" => {
                self.front.description =
                    self.scalar(name, &value).map(|text| text.value.trim_end().to_owned())
            }
            "agent" => self.front.agent = self.scalar(name, &value),
            "items" => self.front.items = self.scalar(name, &value),
            "key" => self.front.key = self.scalar(name, &value),
            "inputs" => self.front.inputs = self.inputs(value),
            "env" => self.front.env = self.variables(name, value),
            "secrets" => self.front.secrets = self.variables(name, value),
            "jobs" => {
                let jobs = |text: &str| text.parse().ok().filter(|jobs| *jobs > 0);
                self.front.jobs = self.parsed(name, &value, "a whole number above 0", jobs);
            }
            "tolerate" => {
                let expected = "a count such as 3 or a share of at most 100%, such as 2%";
                self.front.tolerate = self.parsed(name, &value, expected, tolerance);
            }
            "on-item-error" => {
                let expected = "stop, drain or continue";
                self.front.on_item_error = self.parsed(name, &value, expected, on_item_error);
            }
            "deadline" => self.deadline(&value),
            "budget" => self.front.budget = self.budget(name, place, value),
            "run-budget" => self.front.run_budget = self.budget(name, place, value),
            _ if name.starts_with("x-") => {}
            _ if budget::NAMES.contains(&&*near::plain(name)) => {
                self.problems.push(problem::key_of_a_budget(place, name));
            }
            _ => self.problems.push(match near::elsewhere(name) {
                Some(Elsewhere::Said(said)) => problem::key_elsewhere(place, name, said),
                Some(Elsewhere::Key(right)) => problem::other_key(place, name, right),
                None => problem::unknown_key(place, name, near::is_remark(name), KEYS),
            }),
        }
    }

    /// `20000 tokens, $0.50`; a list of both and `{tokens: 20000, usd: 0.50}` are reported with this spelling.
    fn budget(&mut self, key: &str, place: Span, value: Placed<Node>) -> Option<Spanned<Budget>> {
        let (mut parts, mut end) = (Vec::new(), None);
        match &value.value {
            Node::Text(_) | Node::Plain | Node::Null => {
                let text = self.scalar(key, &value)?;
                let said = space::trim(&text.value);
                return field::budget(text.span, said, said, self.problems);
            }
            Node::List(nodes) => {
                parts.extend(nodes.iter().filter_map(|node| self.scalar(key, node)).map(|text| text.value));
            }
            Node::Map(entries) => {
                for (unit, amount) in entries {
                    let Some(amount) = self.scalar(key, amount) else { continue };
                    parts.push(format!("{} {}", amount.value, unit.value));
                    end = Some(amount.span.end);
                }
            }
        }
        let right = budget::right(&parts.join(", "));
        let expected = format!("a text such as `{}`", right.as_deref().unwrap_or("20000 tokens, $0.50"));
        let problem = problem::bad_key_value(place, key, &expected);
        // In a block, the value ends with its last member.
        let whole = end.filter(|end| !self.text[place.end..*end].contains('{'));
        self.problems.push(match right.zip(whole) {
            Some((right, end)) => problem.maybe(Span::new(place.end, end), format!(": {right}")),
            None => problem,
        });
        None
    }

    fn deadline(&mut self, value: &Placed<Node>) {
        let Some(text) = self.scalar("deadline", value) else { return };
        match duration(&text.value) {
            Some(time) if time.is_zero() => self.problems.push(problem::no_time(text.span, "deadline")),
            Some(time) => self.front.deadline = Some(Spanned::new(time, text.span)),
            None => {
                let problem = problem::bad_duration(text.span, &text.value);
                self.problems.push(problem.mended(text.span, near::time(&text.value)));
            }
        }
    }

    /// The text of a value that is neither a list nor a map nor empty.
    fn scalar(&mut self, key: &str, value: &Placed<Node>) -> Option<Spanned<String>> {
        let span = self.place(value.referenced);
        let text = match &value.value {
            Node::Text(text) => bare(text).to_owned(),
            Node::Plain => {
                let place = self.place(value.defined);
                self.text[place.start..place.end].to_owned()
            }
            Node::Null => {
                self.missing(span, key);
                return None;
            }
            Node::List(_) | Node::Map(_) => {
                self.problems.push(problem::bad_key_value(span, key, "a text"));
                return None;
            }
        };
        if space::trim(&text).is_empty() {
            self.problems.push(problem::bad_key_value(span, key, "a text that is not empty"));
            return None;
        }
        Some(Spanned::new(text, span))
    }

    /// A key has no value.
    fn missing(&mut self, span: Span, key: &str) {
        let example = match key {
            "title" => "Order Processing",
            "description" => "What happens to an order",
            "agent" => "order-api",
            "items" => "orders.jsonl",
            "key" => "order_id",
            "jobs" => "8",
            "tolerate" => "2%",
            "on-item-error" => "continue",
            "deadline" => "10m",
            "budget" => "$0.50",
            "run-budget" => "$20",
            "inputs" => "[order]",
            _ => "[FIRST, SECOND]",
        };
        self.problems.push(problem::key_without_value(span, key, example));
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        value: &Placed<Node>,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let text = self.scalar(key, value)?;
        let read = read(space::trim(&text.value));
        if read.is_none() {
            self.problems.push(problem::bad_key_value(text.span, key, expected));
        }
        read.map(|value| Spanned::new(value, text.span))
    }

    fn names(&mut self, key: &str, value: Placed<Node>) -> Vec<Spanned<String>> {
        match value.value {
            Node::List(nodes) => nodes.iter().filter_map(|node| self.scalar(key, node)).collect(),
            Node::Null => {
                self.missing(self.place(value.referenced), key);
                Vec::new()
            }
            _ => {
                let span = self.place(value.referenced);
                self.problems.push(problem::bad_key_value(span, key, "a list such as [FIRST, SECOND]"));
                Vec::new()
            }
        }
    }

    /// Names of variables: their values are those of orderflow's own environment.
    fn variables(&mut self, key: &str, value: Placed<Node>) -> Vec<Spanned<String>> {
        let mut names = self.names(key, value);
        names.retain(|name| {
            let fits = !name.value.contains(['=', '\0']);
            if !fits {
                let expected = "a list of names of variables without their values, such as [PAYMENT_URL]";
                self.problems.push(problem::bad_key_value(name.span, key, expected));
            }
            fits
        });
        names
    }

    /// `{order: Order}` or `[order]`.
    fn inputs(&mut self, value: Placed<Node>) -> Option<Vec<(Spanned<String>, Option<Type>)>> {
        match value.value {
            Node::Map(entries) => Some(entries.into_iter().filter_map(|entry| self.input(entry)).collect()),
            Node::List(_) => {
                let names = self.names("inputs", value);
                Some(names.into_iter().map(|name| (name, None)).collect())
            }
            Node::Null => {
                self.missing(self.place(value.referenced), "inputs");
                None
            }
            Node::Plain | Node::Text(_) => {
                let span = self.place(value.referenced);
                let expected = "a list such as [order] or names with types such as {order: Order}";
                self.problems.push(problem::bad_key_value(span, "inputs", expected));
                None
            }
        }
    }

    fn input(
        &mut self,
        (name, ty): (Placed<String>, Placed<Node>),
    ) -> Option<(Spanned<String>, Option<Type>)> {
        let place = self.place(name.referenced);
        let name = Spanned::new(bare(&name.value).to_owned(), place);
        if matches!(ty.value, Node::Null) {
            return Some((name, None));
        }
        let key = name.value.clone();
        let ty = self.parsed(&key, &ty, "a type such as Order, String or Item[]", Type::parse);
        Some((name, ty.map(|ty| ty.value)))
    }
}

/// A value without strange white space around it.
fn bare(text: &str) -> &str {
    text.trim_matches(|c| is_space(c) && !c.is_ascii())
}

/// `3` or `2%`.
pub fn tolerance(text: &str) -> Option<Tolerance> {
    match text.strip_suffix('%') {
        Some(share) => {
            let share: f64 = share.trim_end().parse().ok()?;
            (0.0..=100.0).contains(&share).then_some(Tolerance::Percent(share))
        }
        None => text.parse().ok().map(Tolerance::Count),
    }
}

/// `stop`, `drain` or `continue`.
pub fn on_item_error(text: &str) -> Option<OnItemError> {
    match text {
        "stop" => Some(OnItemError::Stop),
        "drain" => Some(OnItemError::Drain),
        "continue" => Some(OnItemError::Continue),
        _ => None,
    }
}
