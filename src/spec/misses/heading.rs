//! Near misses of a heading: its title and its brackets.

use super::meant::annotation;
use super::{Place, Right, brackets, insert};
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};
use crate::spec::body::Part;
use crate::spec::decision::Known;
use crate::spec::evidence::Role;
use crate::spec::heading::{Head, Note};
use crate::spec::near::{self, Meant};
use crate::spec::repeat;

impl Place<'_> {
    /// Annotations of a title in brackets or words.
    pub(super) fn title(&self, role: Role, problems: &mut Vec<Diagnostic>) {
        if role == Role::Title {
            return;
        }
        let of_step = matches!(role, Role::Step | Role::Group);
        if !of_step && self.head.stray(self.text).is_none() {
            problems.extend(self.agents_of_a_section());
            return;
        }
        let unread = self.head.tail.iter().filter(|note| of_step && matches!(note.value, Note::Unread));
        problems.extend(unread.filter_map(|note| self.unread(role, note.span)));
        for (span, right) in brackets(self.text, self.head, self.titles) {
            problems.extend(self.bracket(role, span, right));
        }
        if role == Role::Step {
            problems.extend(self.manual());
        }
        if role == Role::Step && self.part.field(self.text, "document").is_none() {
            problems.extend(self.document());
        }
        // `Cook Dish for each dish in dishes`
        let title = self.slice(self.head.title);
        for words in [" for each ", " for every ", " foreach "] {
            let Some(at) = title.find(words).filter(|_| role == Role::Step) else { continue };
            let Some(each) = near::each(&title[at..]) else { continue };
            let list = each.rsplit(' ').next().unwrap_or_default();
            if self.titles.is_value(list) && self.part.field(self.text, "each").is_none() {
                let span = Span::new(self.head.title.start + at + 1, self.head.title.end);
                let right = format!("[each:: {each}]");
                problems.push(problem::near_annotation(span, &right).fix(span, right));
            }
        }
    }

    /// `Deploy (manual)` and `Deploy (needs approval)`.
    fn manual(&self) -> Option<Diagnostic> {
        // A quote that is almost a gate is reported.
        if self.part.doubts.iter().any(|doubt| doubt.code == "almost-a-gate") {
            return None;
        }
        let title = self.slice(self.head.title);
        let (open, close) = (title.find('(')?, title.rfind(')')?);
        let inner = title.get(open + 1..close)?;
        let span = Span::new(self.head.title.start + open, self.head.title.start + close + 1);
        let gone = || Replacement { span: self.removal(span), text: String::new() };
        let (shown, changes) = match near::plain(inner).as_str() {
            "manual" | "manual-step" | "human" | "by-hand" if !self.answers() => {
                let Right::There(shown, changes) = self.gate("")? else { return None };
                (shown, changes.into_iter().chain([gone()]).collect())
            }
            _ => self.approval(span, inner)?,
        };
        let bracket = format!(" {}", self.slice(span));
        let bare = |text: String| text.replace(&bracket, "");
        let changes: Vec<Replacement> =
            changes.into_iter().map(|one| Replacement { text: bare(one.text), ..one }).collect();
        Some(problem::near_annotation(span, &bare(shown)).fixed(false, changes))
    }

    /// A document that the heading names as its agent, or by a link, although nothing else does the step.
    fn document(&self) -> Option<Diagnostic> {
        let agents = self.head.tail.iter().find(|note| matches!(note.value, Note::Agent(_)));
        if let Some(note) = agents {
            let name = self.slice(note.span).trim_start_matches('@');
            let right = format!("[document:: {}]", near::value("document", name)?);
            return Some(problem::near_annotation(note.span, &right).maybe(note.span, right));
        }
        if self.agent || !self.part.programs.is_empty() {
            return None;
        }
        let title = self.slice(self.head.title);
        let start = title[..title.find("](")?].rfind('[')?;
        let end = start + title[start..].find(')')? + 1;
        let right = format!("[document:: {}]", near::value("document", &title[start..end])?);
        let span = Span::new(self.head.title.start + start, self.head.title.start + end);
        let problem = problem::near_annotation(span, &right);
        let ends = start > 0 && end == title.len();
        Some(if ends { problem.maybe(span, right) } else { problem })
    }

    /// A bracket that is meant as this annotation, where the heading can have it.
    fn bracket(&self, role: Role, span: Span, right: String) -> Option<Diagnostic> {
        let problem = problem::near_annotation(span, &right);
        let gone = || Replacement { span: self.removal(span), text: String::new() };
        match right.as_str() {
            "(parallel)" if role != Role::Group => {
                let problem =
                    problem::no_such_thing(span, self.slice(span), "one step has nothing beside it");
                Some(problem.fixed(true, vec![gone()]))
            }
            "(parallel)" if self.has(|note| matches!(note, Note::Parallel)) => None,
            _ if role == Role::Group && right.starts_with("[each::") => {
                let each = right.trim_start_matches("[each:: ").trim_end_matches(']');
                Some(self.for_steps(problem, span, "each", each))
            }
            "[per:: run]" if role == Role::Group => Some(self.for_steps(problem, span, "per", "run")),
            _ => Some(problem.fix(span, right)),
        }
    }

    /// A bracket among the annotations that is not one.
    pub(super) fn unread(&self, role: Role, span: Span) -> Option<Diagnostic> {
        let bracket = self.slice(span);
        if let Some(right) = annotation(bracket, self.titles) {
            return self.bracket(role, span, right);
        }
        let inner = &bracket[1..bracket.len() - 1];
        if let Some((shown, changes)) = self.approval(span, inner) {
            return Some(problem::near_annotation(span, &shown).fixed(false, changes));
        }
        if let Some(problem) = self.beside(span, inner) {
            return Some(problem);
        }
        let first = inner.split([' ', ':']).next().unwrap_or_default();
        let (key, value) = near::pair(inner).unwrap_or((inner, ""));
        if let Some(right) = repeat::looped(inner) {
            return Some(match right {
                Some(right) => {
                    let right = format!("[repeat:: {right}]");
                    problem::near_annotation(span, &right).fix(span, right)
                }
                None => problem::near_annotation(span, "[repeat:: 3 until review.approved]"),
            });
        }
        let found = near::meant(key).map(|meant| (meant, value));
        let found = found.or_else(|| Some((near::meant(first)?, inner[first.len()..].trim())));
        let gone = || Replacement { span: self.removal(span), text: String::new() };
        if let Some((meant, value)) = found {
            match self.right(meant, value) {
                Some(Right::Here(right)) => {
                    return Some(problem::near_annotation(span, &right).fix(span, right));
                }
                Some(Right::There(shown, changes)) if meant != Meant::Gate || !self.answers() => {
                    let changes = changes.into_iter().chain([gone()]).collect();
                    let sure = meant != Meant::Gate;
                    return Some(problem::near_annotation(span, &shown).fixed(sure, changes));
                }
                Some(Right::There(..)) | None => {}
            }
            let makes = self.part.arrows.iter().filter_map(|arrow| arrow.read.as_ref().ok());
            let answer = makes.flat_map(|signature| &signature.outputs).next();
            return Some(match (meant, answer) {
                // A step that a person does is one already.
                (Meant::Gate, Some(answer)) if self.agent => {
                    let why = format!("a step can wait for the answer `{}` of this one", answer.name.value);
                    problem::no_such_thing(span, bracket, &why).fixed(false, vec![gone()])
                }
                (Meant::Repeat, _) => problem::near_annotation(span, "[repeat:: 3 until review.approved]"),
                (Meant::Nothing(what), _) => {
                    problem::no_effect(span, &format!("`{bracket}`"), what).fixed(false, vec![gone()])
                }
                _ => problem::unread_bracket(span, bracket).fixed(false, vec![gone()]),
            });
        }
        let problem = match near::plain(first).as_str() {
            "finally" | "always" | "on" | "even" => problem::no_such_thing(
                span,
                bracket,
                "a step runs while nothing has failed, and a failure handler once something has",
            ),
            _ => problem::unread_bracket(span, bracket),
        };
        Some(problem.fixed(false, vec![gone()]))
    }

    /// A field that a group cannot have, moved to its steps: `each` to those that take the element.
    pub(super) fn for_steps(&self, problem: Diagnostic, span: Span, key: &str, value: &str) -> Diagnostic {
        let element = value.split(' ').next().unwrap_or_default();
        let below = self
            .parts
            .iter()
            .zip(self.roles)
            .filter_map(|(part, role)| Some((part, role, part.head.as_ref()?)));
        let below = below
            .skip_while(|(_, _, head)| head.line.start <= self.head.line.start)
            .take_while(|(_, _, head)| head.level > self.head.level);
        let fits = |(part, role, _): &(&Part<'_>, &Role, &Head)| {
            let takes = key != "each" || part.signature_names(true).any(|name| name == element);
            **role == Role::Step && takes && part.field(self.text, key).is_none()
        };
        let steps: Vec<(String, usize)> = below
            .filter(fits)
            .map(|(part, _, head)| (part.title(self.text).to_owned(), head.whole.end))
            .collect();
        let Some((first, _)) = steps.first() else { return problem };
        let field = format!("[{key}:: {value}]");
        let lists =
            if key == "each" { "; the steps behind it run once, with the lists of its values" } else { "" };
        let problem = problem.help(format!("write `{field}` at the steps, such as `{first}`{lists}"));
        let gone = Replacement { span: self.removal(span), text: String::new() };
        let changes = steps.iter().map(|(_, end)| insert(*end, format!(" {field}"))).chain([gone]).collect();
        problem.fixed(key == "per", changes)
    }
}
