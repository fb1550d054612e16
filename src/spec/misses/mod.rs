//! Near misses of a document: fields, titles and lines that the table in [`near`](super::near) knows under other
//! names. Each is reported with its right spelling.

mod below;
mod blocks;
mod heading;
mod lines;
mod loops;
mod meant;
mod phrases;

pub(super) use meant::{brackets, is_known, is_setting, is_types};
use meant::{is_signature, steps};

use super::body::Part;
use super::evidence::Role;
use super::field::{self, Field};
use super::gate;
use super::heading::{Head, Note};
use super::near::{self, Meant};
use super::phase::phase;
use super::title;
use super::titles::Titles;
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};

/// Fields that a line of prose can be meant as.
const LINES: [&str; 9] =
    ["retry", "timeout", "deadline", "budget", "after", "when", "each", "compensate", "repeat"];

/// Reports the near misses of all steps and groups. `agent` is whether the front matter names one.
pub(super) fn check(
    text: &str,
    parts: &[Part],
    roles: &[Role],
    titles: &Titles,
    agent: bool,
    problems: &mut Vec<Diagnostic>,
) {
    // The groups above, each with whether it or the front matter names an agent.
    let mut above: Vec<(u8, bool)> = Vec::new();
    for (index, (part, role)) in parts.iter().zip(roles).enumerate() {
        let Some(head) = &part.head else { continue };
        above.retain(|(level, _)| *level < head.level);
        let own = head.tail.iter().any(|note| matches!(note.value, Note::Agent(_)));
        let agent = own || above.last().map_or(agent, |(_, agent)| *agent);
        let place = Place { text, parts, roles, titles, index, part, head, agent };
        if *role == Role::Group {
            above.push((head.level, agent));
        }
        if matches!(role, Role::Step | Role::Group) {
            let noted = head.tail.iter().filter_map(|note| match &note.value {
                Note::Field(field) => Some(field),
                _ => None,
            });
            problems.extend(noted.chain(&part.fields).filter_map(|field| place.field(field, *role)));
            place.lines(*role, problems);
        }
        if *role == Role::Section {
            problems.extend(part.loose.iter().find_map(|loose| place.agent_line(loose)));
            problems.extend(place.decisions_of_a_section());
            problems.extend(place.branch());
        }
        if matches!(role, Role::Step | Role::Section) {
            problems.extend(place.values_in_lists(*role));
        }
        problems.extend(place.steps_in_blocks(*role));
        if *role != Role::Title {
            place.types(problems);
        }
        if *role == Role::Step {
            place.fences(problems);
        }
        place.title(*role, problems);
    }
}

struct Place<'a> {
    text: &'a str,
    parts: &'a [Part<'a>],
    roles: &'a [Role],
    titles: &'a Titles,
    /// Of `part`.
    index: usize,
    part: &'a Part<'a>,
    head: &'a Head,
    /// Whether the step, a group around it or the front matter names an agent.
    agent: bool,
}

/// How a near miss is fixed.
enum Right {
    /// By this replacement.
    Here(String),
    /// By changes elsewhere, described in words.
    There(String, Vec<Replacement>),
}

fn insert(at: usize, text: String) -> Replacement {
    Replacement { span: Span::new(at, at), text }
}

impl<'a> Place<'a> {
    fn slice(&self, span: Span) -> &'a str {
        &self.text[span.start..span.end]
    }

    /// A field of another name, or on a group that cannot have it.
    fn field(&self, field: &Field, role: Role) -> Option<Diagnostic> {
        let (key, value) = (self.slice(field.key), self.slice(field.value));
        if role == Role::Group && field::is_for_each(key) {
            return Some(self.for_steps(problem::field_on_group(field.span, key), field.span, key, value));
        }
        let turned = key == "compensate" && self.undoes(value);
        let meant =
            if turned { Meant::Undoes } else { near::meant(key).filter(|_| !field::is_known(key))? };
        // `order.shipped` is an event, unless a step has this title.
        let first = value.split_whitespace().next().unwrap_or_default();
        let event = first.contains('.') && near::value("await", value).is_some();
        let meant = match meant {
            Meant::Field("after") if event && steps(value, self.titles).is_none() => Meant::Field("await"),
            Meant::Nothing(_) if event => Meant::Field("await"),
            // `[every:: 5s]` is the pause of a loop.
            Meant::Field("each") if near::time(value).is_some() => Meant::Repeat,
            meant => meant,
        };
        if meant == Meant::Field("after")
            && let Some((shown, changes)) = self.approval(field.span, value)
        {
            return Some(problem::other_field(field.key, key, Some(&shown), "").fixed(false, changes));
        }
        if let Some(problem) = self.beside(field.span, &format!("{key} {value}")) {
            return Some(problem);
        }
        if let Meant::Nothing(what) = meant {
            return Some(problem::no_effect(field.span, &format!("the field `{key}`"), what));
        }
        if meant == Meant::Repeat
            && let Some(problem) = self.loop_in_parts(field)
        {
            return Some(problem);
        }
        let otherwise = match meant {
            Meant::Inputs | Meant::Outputs => {
                "write a signature below the heading, as in `order -> receipt::Receipt`"
            }
            Meant::Handler => "a failure handler is a step that takes an input such as `failed_items`",
            Meant::Undoes | Meant::Undo => {
                "write `[compensate:: Step Title]` in the step that is compensated"
            }
            Meant::Gate => "the step has a gate, `> [!gate]`, in the text below its heading",
            Meant::Repeat => {
                "a loop says its most rounds, its end and its pause, as in `[repeat:: 3 until review.approved every 5s]`"
            }
            Meant::Event => {
                "to wait for an event before the step, write `[await:: order.paid]`; to publish one after it, `[emit:: order.paid]`"
            }
            Meant::Field("await") => "a step waits for one event, as in `[await:: order.paid within 3d]`",
            Meant::Field("emit") => {
                "name the types of events that the step publishes, as in `[emit:: order.created]`"
            }
            Meant::Late => {
                "a step whose time has passed fails; a failure handler is a step that takes an input such as `failed_items`"
            }
            Meant::Agent if self.agent => {
                "the step has an agent; a person who is responsible is named in prose"
            }
            Meant::Agent => "name the agent in the heading, as in `@agent`",
            Meant::Channel => "name the channel in the heading, as in `#channel`",
            _ => "its value is not one of the language either",
        };
        let right = self.right(meant, value);
        let shown = right.as_ref().map(|right| match right {
            Right::Here(shown) | Right::There(shown, _) => shown.as_str(),
        });
        let report = |problem: Diagnostic| match &right {
            None => problem,
            Some(Right::Here(right)) => problem.fix(field.span, right),
            Some(Right::There(_, changes)) => {
                let gone = Replacement { span: self.removal(field.span), text: String::new() };
                problem.fixed(meant != Meant::Gate, changes.iter().cloned().chain([gone]).collect())
            }
        };
        if turned {
            let why = "a compensation does not name the step that it compensates";
            return Some(report(problem::turned(field.span, why, shown.unwrap_or(otherwise))));
        }
        Some(report(problem::other_field(field.key, key, shown, otherwise)))
    }

    /// The span of something including the white space, or the line, that it would leave behind.
    fn removal(&self, span: Span) -> Span {
        let start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[span.end..].find('\n').map_or(self.text.len(), |at| span.end + at + 1);
        let alone =
            self.text[start..span.start].trim().is_empty() && self.text[span.end..end].trim().is_empty();
        if alone {
            return Span::new(start, end);
        }
        let before = self.text[start..span.start].trim_end_matches([' ', '\t']).len();
        Span::new(start + before, span.end)
    }

    /// The part of the step with this title.
    fn step(&self, written: &str) -> Option<(&'a Part<'a>, &'a Head)> {
        let part = &self.parts[*self.titles.steps.get(&title::key(written))?];
        Some((part, part.head.as_ref()?))
    }

    /// Whether this step compensates the one with that title: it takes the other's output, or is in a list of
    /// compensations.
    fn undoes(&self, written: &str) -> bool {
        let Some((other, head)) = self.step(written).filter(|(_, head)| head.line != self.head.line) else {
            return false;
        };
        let makes: Vec<&str> = other.signature_names(false).collect();
        let gives: Vec<&str> = self.part.signature_names(false).collect();
        let takes =
            |part: &Part<'_>, names: &[&str]| part.signature_names(true).any(|name| names.contains(&name));
        if takes(self.part, &makes) {
            return !takes(other, &gives);
        }
        head.line.start < self.head.line.start && self.is_listed(self.head)
    }

    /// Whether a step is in a list of compensations.
    fn is_listed(&self, head: &Head) -> bool {
        let groups = self.parts.iter().zip(self.roles).filter(|(_, role)| **role == Role::Group);
        let around = groups
            .filter_map(|(part, _)| Some((part, part.head.as_ref()?)))
            .rfind(|(_, group)| group.line.start < head.line.start && group.level < head.level);
        around.is_some_and(|(group, _)| near::is_undo(group.title(self.text)))
    }

    /// Whether a step compensates another: it is in a list of compensations, or a field names it as one.
    fn is_compensation(&self, other: &Part<'_>, head: &Head) -> bool {
        let title = title::key(other.title(self.text));
        let names = |part: &Part<'_>| {
            let field = part.field(self.text, "compensate");
            let named = field.is_some_and(|field| title::key(self.slice(field.value)) == title);
            let meant = format!("[compensate:: {}]", other.title(self.text));
            named
                || part.head.as_ref().is_some_and(|head| {
                    brackets(self.text, head, self.titles).iter().any(|(_, right)| *right == meant)
                })
        };
        self.is_listed(head) || self.parts.iter().any(names)
    }

    fn right(&self, meant: Meant, value: &str) -> Option<Right> {
        let here = |key: &str, value: String| Some(Right::Here(format!("[{key}:: {value}]")));
        match meant {
            Meant::Field("after") => here("after", steps(value, self.titles)?),
            Meant::Field("compensate") | Meant::Undo | Meant::Undoes => {
                let (other, head) = self.step(value)?;
                if meant != Meant::Undoes && !self.undoes(value) {
                    return here("compensate", value.trim().to_owned());
                }
                let own = self.part.title(self.text);
                let field = format!("[compensate:: {own}]");
                let shown = format!("{field}` in `{}", other.title(self.text));
                let has = other.field(self.text, "compensate").is_some();
                let changes =
                    if has { Vec::new() } else { vec![insert(head.whole.end, format!(" {field}"))] };
                (!own.is_empty() && head.line != self.head.line).then_some(Right::There(shown, changes))
            }
            Meant::Field(key) => here(key, near::value(key, value)?),
            Meant::Unless => here("when", near::opposite(&near::condition(value)?)),
            Meant::Attempts => here("retry", near::retries(value)?),
            Meant::Agent if !self.has(|note| matches!(note, Note::Agent(_))) => self.note('@', value),
            Meant::Channel if !self.has(|note| matches!(note, Note::Channel(_))) => self.note('#', value),
            Meant::Handler => self.handler(value),
            Meant::Repeat => here("repeat", near::value("repeat", value)?),
            Meant::Gate => self.gate(value),
            _ => None,
        }
    }

    /// Whether a step with an agent makes something: a person who is its agent answers by it.
    fn answers(&self) -> bool {
        let mut made = self.part.arrows.iter().filter_map(|arrow| arrow.read.as_ref().ok());
        self.agent && made.any(|signature| !signature.outputs.is_empty())
    }

    fn has(&self, is: impl Fn(&Note) -> bool) -> bool {
        self.head.tail.iter().any(|note| is(&note.value))
    }

    /// An agent or channel at the end of the heading.
    fn note(&self, sign: char, value: &str) -> Option<Right> {
        let note = format!("{sign}{}", near::actor(value)?);
        Some(Right::There(note.clone(), vec![insert(self.head.whole.end, format!(" {note}"))]))
    }

    /// A gate below the heading, for the approver, the time or the words of a field.
    fn gate(&self, value: &str) -> Option<Right> {
        if !self.part.callouts.gates.is_empty() {
            return None;
        }
        let value = value.trim().trim_matches(['"', '\'']);
        let parts = gate::parts(value);
        let lower = value.to_lowercase();
        let begins = ["by ", "within ", "timeout "].iter().any(|word| lower.starts_with(word));
        // What is said of the approver or the time would be lost.
        if parts.is_none() && (begins || value.contains('@')) {
            return None;
        }
        let plain = ["", "true", "yes", "required", "manual", "human", "needed", "approval"];
        let asks = format!("Approve {}?", self.part.title(self.text));
        let shown = match (near::time(value), near::actor(value)) {
            _ if plain.contains(&value.to_lowercase().as_str()) => format!("> [!gate] {asks}"),
            _ if parts.is_some() => format!("> [!gate{}] {asks}", parts.unwrap_or_default()),
            (Some(time), _) => format!("> [!gate within {time}] {asks}"),
            (None, Some(actor)) => format!("> [!gate by @{actor}] {asks}"),
            (None, None) if value.contains(['[', ']', '{', '<']) => return None,
            (None, None) => format!("> [!gate] {value}"),
        };
        let below = vec![insert(self.head.line.end, format!("\n\n{shown}\n"))];
        Some(Right::There(shown, below))
    }

    /// A step that is to run when this one fails, as a failure handler with that condition; or a mark.
    fn handler(&self, value: &str) -> Option<Right> {
        let mark = match near::plain(value).as_str() {
            "continue" | "ignore" | "skip" | "go-on" | "warn" => Some('?'),
            "stop" | "abort" | "fail" | "halt" | "exit" => Some('!'),
            _ => None,
        };
        if let Some(mark) = mark.filter(|_| !self.has(|note| matches!(note, Note::Mark(_)))) {
            return Some(Right::There(
                mark.to_string(),
                vec![insert(self.head.whole.end, format!(" {mark}"))],
            ));
        }
        let (other, head) = self.step(value).filter(|(_, head)| head.line != self.head.line)?;
        if self.is_compensation(other, head) {
            // A heading that names it is reported there.
            let title = other.title(self.text);
            let said = self.part.field(self.text, "compensate").is_some()
                || self.slice(self.head.line).contains(title);
            return (!said).then(|| Right::Here(format!("[compensate:: {title}]")));
        }
        let asks = format!("failed_items.step == \"{}\"", phase(self.part.title(self.text)));
        let shown = format!("failed_items` as an input of `{}", other.title(self.text));
        let mut changes = Vec::new();
        if !other.signature_names(true).any(|name| name.starts_with("failed_")) {
            let arrow = other.arrows.iter().find(|arrow| arrow.read.is_ok())?;
            let line = self.slice(arrow.span);
            let none = line.starts_with(['→', '-']);
            (!line.starts_with('`')).then_some(())?;
            changes.push(self.failure(other).unwrap_or_else(|| {
                insert(arrow.span.start, if none { "failed_items " } else { "failed_items, " }.to_owned())
            }));
            match other.field(self.text, "when") {
                None => changes.push(insert(head.whole.end, format!(" [when:: {asks}]"))),
                Some(_) => return None,
            }
        } else {
            let when = other.field(self.text, "when")?;
            let asked = self.slice(when.value);
            if !asked.starts_with("failed_items.step == ") {
                return None;
            }
            if !asked.contains(&asks) {
                changes.push(insert(when.value.end, format!(" or {asks}")));
            }
        }
        Some(Right::There(shown, changes))
    }

    /// The input of a handler that is meant as what has failed, replaced by the right one.
    fn failure(&self, handler: &Part<'_>) -> Option<Replacement> {
        const FAILURES: [&str; 8] =
            ["error", "errors", "err", "failure", "failures", "exception", "failed", "reason"];
        let read = handler.arrows.iter().filter_map(|arrow| arrow.read.as_ref().ok());
        let port = read
            .flat_map(|signature| &signature.inputs)
            .find(|port| FAILURES.contains(&port.name.value.as_str()))?;
        let made = |part: &Part<'_>| part.signature_names(false).any(|name| name == port.name.value);
        let end = port.ty.as_ref().map_or(port.name.span.end, |ty| ty.span.end);
        let span = Span::new(port.name.span.start, end);
        (!self.parts.iter().any(made)).then(|| Replacement { span, text: "failed_items".to_owned() })
    }
}
