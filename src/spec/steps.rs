//! Steps, groups and sections from the parts of a document, once their roles are known.

use super::body::{Part, opening};
use super::condition;
use super::decision::{self, Known};
use super::evidence::{Role, is_reserved};
use super::field::{self, set};
use super::heading::{Head, Note, StrayWhy};
use super::instructions;
use super::markdown::Fence;
use super::misses;
use super::model::*;
use super::phase::{named, phase};
use super::reuse;
use super::signature::Arrow;
use super::slip::{self, Slip, slip};
use super::title;
use super::titles::Titles;
use crate::diag::{Diagnostic, Span, catalogue as problem};
use std::collections::HashMap;

/// `written` is the text with its own white space.
pub(super) fn assemble(
    text: &str,
    written: &str,
    parts: &[Part],
    roles: &[Role],
    titles: &Titles,
    problems: &mut Vec<Diagnostic>,
) -> Spec {
    let mut reader = Reader {
        text,
        written,
        titles,
        spec: Spec::default(),
        problems,
        above: Vec::new(),
        told: Vec::new(),
    };
    let mut loose: Vec<(usize, &Fence)> = Vec::new();
    for (part, role) in parts.iter().zip(roles) {
        reader.told.clear();
        match (role, &part.head) {
            (Role::Step, Some(head)) => reader.step(part, head),
            (Role::Group, Some(head)) => reader.group(part, head),
            (Role::Title, Some(head)) => reader.title(part, head),
            (Role::Section, Some(head)) => reader.section(part, head),
            _ => reader.preamble(part),
        }
        reader.slips(part, *role);
        if *role != Role::Step && *role != Role::Group {
            loose.extend(part.traces.iter().map(|fence| (reader.spec.steps.len(), *fence)));
        }
    }
    let Reader { mut spec, problems, .. } = reader;
    attach(text, &mut spec, loose);
    if let Some(step) = spec.steps.get(super::MOST_STEPS) {
        problems.push(problem::too_many_steps(step.heading, spec.steps.len(), super::MOST_STEPS));
        spec.steps.truncate(super::MOST_STEPS);
    }
    reuse::imply(&mut spec);
    if spec.steps.is_empty() && !problems.iter().any(Diagnostic::is_error) {
        problems.push(problem::no_steps(spec.title.as_ref().map_or(Span::new(0, 0), |title| title.span)));
    }
    spec
}

/// Assigns traces in sections to the step that their first row names, else to the step before.
fn attach(text: &str, spec: &mut Spec, loose: Vec<(usize, &Fence)>) {
    let mut by_phase: HashMap<String, usize> = HashMap::new();
    for (index, step) in spec.steps.iter().enumerate() {
        by_phase.entry(phase(&step.title.value)).or_insert(index);
    }
    for (before, fence) in loose {
        let rows = named(&text[fence.content.start..fence.content.end]);
        let first = rows.first().map(|row| row.rsplit('/').next().unwrap_or(row));
        let named = first.and_then(|row| by_phase.get(row).copied());
        if let Some(step) = spec.steps.get_mut(named.unwrap_or(before.saturating_sub(1))) {
            step.traces.push(TraceFence { content: fence.content });
        }
    }
}

struct Reader<'a, 'p> {
    text: &'a str,
    written: &'a str,
    titles: &'a Titles,
    spec: Spec,
    problems: &'p mut Vec<Diagnostic>,
    /// The groups around the current heading, outermost first.
    above: Vec<(u8, GroupId)>,
    /// Lines of the current heading that are already reported as near decisions.
    told: Vec<Span>,
}

impl Reader<'_, '_> {
    fn slice(&self, span: Span) -> &str {
        &self.text[span.start..span.end]
    }

    /// The readable text of a title.
    fn spanned(&self, span: Span) -> Spanned<String> {
        let read = title::read(&self.written[span.start..span.end]);
        let ordinal = title::ordinal(&read);
        Spanned::new(read[ordinal..].to_owned(), span)
    }

    fn step(&mut self, part: &Part, head: &Head) {
        self.above.retain(|(level, _)| *level < head.level);
        self.undecided(part);
        self.heading(part, head);
        if !head.atx {
            self.underlined(head);
        }
        let title = self.spanned(head.title);
        if title.value.is_empty() {
            self.problems.push(problem::title_missing(head.line));
        } else if phase(&title.value).is_empty() {
            self.problems.push(problem::title_without_letters(head.title, &title.value));
        }
        if head.level == 1 {
            self.problems.push(problem::step_at_top_level(head.line));
        }
        if let Some(note) = head.tail.iter().find(|note| matches!(note.value, Note::Parallel)) {
            self.problems.push(problem::parallel_step(note.span));
        }
        let (signature, line) = self.signature(part, head);
        let traces = part.traces.iter().map(|fence| TraceFence { content: fence.content }).collect();
        let step = Step {
            number: head.number.clone(),
            title,
            heading: head.line,
            level: head.level,
            group: self.above.last().map(|(_, group)| *group),
            annotations: self.annotations(part, head, false),
            signature,
            chains: self.chains(part),
            program: self.program(part),
            traces,
            expectations: part.callouts.expectations.clone(),
            end: part.end(head),
            annotated: head.whole.end,
            unread: head.tail.iter().any(|note| matches!(note.value, Note::Unread)),
            implied: false,
            document_unread: false,
            claims: Vec::new(),
            instructions: instructions::read(self.text, self.written, part, line, self.problems),
            gate: part.callouts.gate(self.text, self.written, self.problems),
        };
        self.spec.steps.push(step);
    }

    fn group(&mut self, part: &Part, head: &Head) {
        self.above.retain(|(level, _)| *level < head.level);
        self.heading(part, head);
        if !head.atx && head.is_annotated() {
            self.underlined(head);
        }
        let title = part.title(self.text);
        if is_reserved(title) && title != COMPENSATIONS {
            self.problems.push(problem::reserved_holds_steps(head.title, title));
        }
        for fence in &part.programs {
            self.problems.push(problem::group_holds(opening(self.text, fence), head.title, "program"));
        }
        for fence in &part.traces {
            self.problems.push(problem::group_holds(opening(self.text, fence), head.title, "trace"));
        }
        for line in self.conditions(part) {
            self.problems.push(problem::condition_of_group(line, head.title));
        }
        self.problems.extend(part.callouts.stray(true));
        let evident = part.is_evident(self.text) || !head.outputs().any(|_| true);
        let group = Group {
            title: self.spanned(if evident { head.title } else { head.whole }),
            level: head.level,
            annotated: head.whole.end,
            parent: self.above.last().map(|(_, group)| *group),
            parallel: head.tail.iter().any(|note| matches!(note.value, Note::Parallel)),
            annotations: self.annotations(part, head, true),
            signature: self.signature(part, head).0,
            gate: part.callouts.gate(self.text, self.written, self.problems),
        };
        self.above.push((head.level, self.spec.groups.len()));
        self.spec.groups.push(group);
    }

    fn title(&mut self, part: &Part, head: &Head) {
        let annotated = head.is_annotated();
        if annotated {
            let notes = head.tail.iter().map(|note| note.span).reduce(Span::to).unwrap_or(head.line);
            self.problems.push(problem::title_annotated(notes));
        }
        self.spec.title = Some(self.spanned(if annotated { head.title } else { head.whole }));
        self.spec.description = part.prose(self.written);
        self.preamble(part);
    }

    /// The text above the first step's heading belongs to no step.
    fn preamble(&mut self, part: &Part) {
        let arrow = part.arrows.iter().find(|arrow| arrow.is_typed()).map(|arrow| (arrow.span, "signature"));
        let program = part.programs.first().map(|fence| (opening(self.text, fence), "program"));
        for (span, what) in arrow.into_iter().chain(program) {
            self.problems.push(problem::outside_of_steps(span, what));
        }
        self.problems.extend(part.callouts.stray(false));
    }

    fn section(&mut self, part: &Part, head: &Head) {
        self.above.retain(|(level, _)| *level < head.level);
        let title = self.spanned(head.whole);
        let named = part.title(self.text);
        if is_reserved(named) && part.is_evident(self.text) {
            self.problems.push(problem::title_reserved(head.title, named));
        } else {
            self.section_arrows(part);
        }
        self.stray_annotation(head, false);
        self.problems.extend(part.callouts.stray(false));
        self.spec.sections.push(title);
    }

    /// Arrows in a section are prose; those that look like a signature are reported.
    fn section_arrows(&mut self, part: &Part) {
        for arrow in &part.arrows {
            match &arrow.read {
                Ok(signature) => {
                    let names: Vec<&str> = signature.names().collect();
                    self.problems.push(problem::signature_alone(arrow.span, &names));
                }
                Err(_) if misses::is_types(self.slice(arrow.span)) => {}
                Err(obstacle) if self.slice(arrow.span).contains("::") => {
                    self.problems.push(problem::arrow_is_prose(obstacle.span, &self.why(obstacle), None));
                }
                Err(_) => {}
            }
        }
    }

    /// Problems of steps and groups alike.
    fn heading(&mut self, part: &Part, head: &Head) {
        self.stray_annotation(head, true);
        let doubts = part.doubts.iter().filter(|doubt| !self.told.contains(&doubt.span));
        self.problems.extend(doubts.cloned());
    }

    /// Lines that are almost decisions.
    fn undecided(&mut self, part: &Part) {
        let conditions = self.conditions(part);
        let own = part.head.as_ref().map(|_| part.title(self.text));
        let mut decided = false;
        for line in part.undecided.iter().filter(|line| conditions.binary_search(line).is_err()) {
            let slip = slip(self.text, *line);
            let said = self.slice(*line);
            let said = match &slip {
                Some(_) if condition::begins(said) => continue,
                Some(slip) => &slip.right,
                None => said,
            };
            // A possible signature is read as one, unless it leads exactly to a step's title.
            let target = said.rsplit(['→', '>']).next().unwrap_or(said).trim();
            let leads = target == "end" || self.titles.is_title(target);
            let reads = part.arrows.iter().any(|arrow| arrow.span == *line && arrow.read.is_ok());
            if reads && !leads && !decision::is_otherwise(said) {
                continue;
            }
            if decision::is_otherwise(said) {
                let right = decision::meant(said, self.titles);
                let right = right.unwrap_or_else(|| "Otherwise → Step Title".to_owned());
                // Without an `If` above it, it would be an error.
                decided |= conditions.iter().any(|condition| condition.start < line.start);
                self.decision(*line, right, decided);
                continue;
            }
            let own = |right: &String| own.as_ref().is_some_and(|own| right.ends_with(&format!("→ {own}")));
            if let Some(right) = decision::meant(said, self.titles).filter(|right| !own(right)) {
                let led = self.decision(*line, right, true);
                decided |= led;
            }
        }
        for loose in &part.loose {
            if let Some(right) = decision::fails(self.slice(loose.inner), self.titles) {
                self.decision(loose.inner, right, true);
            }
        }
    }

    /// Returns whether the right decision can take its place.
    fn decision(&mut self, line: Span, right: String, fits: bool) -> bool {
        let problem = problem::almost_a_decision(line, &right.replace('\n', "` and `"));
        let known = |arm: Arm| match arm.target.value {
            Target::Step(title) | Target::Skip(title) => self.titles.is_title(&title),
            Target::End | Target::Fail(_) => true,
        };
        let leads = |said: &str| condition::arm(said, said, Span::new(0, said.len())).is_ok_and(known);
        let sound = fits && right.lines().all(leads);
        self.problems.push(if sound { problem.fix(line, right) } else { problem });
        self.told.push(line);
        sound
    }

    /// Wrong arrows: an error if the right one would certainly have a meaning.
    fn slips(&mut self, part: &Part, role: Role) {
        let of_step = matches!(role, Role::Step | Role::Group);
        for arrow in part.arrows.iter().filter(|arrow| arrow.read.is_err()) {
            let right = slip::colons(self.text, arrow.span, !of_step);
            self.problems
                .extend(right.map(|right| problem::one_colon(arrow.span, &right).fix(arrow.span, right)));
        }
        let title = part.head.as_ref().and_then(|head| slip(self.text, head.title));
        if let Some(slip) = title.filter(Slip::is_typed_output) {
            self.problems.push(problem::wrong_arrow(slip.arrow, &slip.right).fix(slip.line, slip.right));
        }
        for slip in part.slips.iter().filter(|slip| !self.told.contains(&slip.line)) {
            let leads = self.titles.is_title(slip.target());
            let condition = condition::begins(self.slice(slip.line)) && (leads || slip.target() == "end");
            let names = slip.reads.iter().flat_map(Arrow::names).any(|name| self.titles.names.contains(name));
            if slip.is_typed() || of_step && condition {
                let problem = problem::wrong_arrow(slip.arrow, &slip.right);
                self.problems.push(problem.fix(slip.line, slip.right.as_str()));
            } else if let Some(right) = slip.with_types(!of_step) {
                self.problems.push(problem::wrong_arrow(slip.arrow, &right).fix(slip.line, right));
            } else if slip.is_signature() && (of_step || names)
                || of_step && (leads || slip.speaks_of_types())
            {
                let problem = problem::arrow_of_prose(slip.arrow, &slip.right);
                self.problems.push(problem.maybe(slip.line, slip.right.as_str()));
            }
        }
    }

    fn underlined(&mut self, head: &Head) {
        let diagnostic = problem::step_in_setext(head.whole, self.slice(head.whole));
        self.problems.push(diagnostic);
    }

    fn stray_annotation(&mut self, head: &Head, of_step: bool) {
        let misses = misses::brackets(self.text, head, self.titles);
        if let Some(stray) = head.stray(self.text).filter(|_| misses.is_empty()) {
            let word = self.slice(stray.span);
            let problem = match stray.why {
                StrayWhy::Followed(next) => problem::annotation_in_title(stray.span, word, next),
                StrayWhy::Punctuated(bare) => problem::annotation_punctuated(stray.span, word, bare),
            };
            self.problems.push(match stray.right(self.text, head).filter(|_| of_step) {
                Some(changes) => problem.fixed(false, changes),
                None => problem,
            });
        }
    }

    fn annotations(&mut self, part: &Part, head: &Head, of_group: bool) -> Annotations {
        let mut into = Annotations::default();
        for note in &head.tail {
            match &note.value {
                Note::Agent(name) => {
                    let name = Spanned::new(self.slice(*name).to_owned(), note.span);
                    set(&mut into.agent, "agent", name, self.problems);
                }
                Note::Channel(name) => {
                    let name = Spanned::new(self.slice(*name).to_owned(), note.span);
                    set(&mut into.channel, "channel", name, self.problems);
                }
                Note::Mark(mark) => {
                    set(&mut into.mark, "mark", Spanned::new(*mark, note.span), self.problems);
                }
                Note::Field(field) => self.field(field, of_group, &mut into),
                Note::Output(_) | Note::Parallel | Note::Unread => {}
            }
        }
        for field in &part.fields {
            self.field(field, of_group, &mut into);
        }
        let after = std::mem::take(&mut into.after).into_iter();
        into.after = after.flat_map(|one| field::split(self.text, self.written, one, self.titles)).collect();
        into
    }

    fn field(&mut self, field: &field::Field, of_group: bool, into: &mut Annotations) {
        field::apply((self.text, self.written), field, of_group, into, self.problems);
    }

    /// The signature and, if it is in the body, its line.
    fn signature(&mut self, part: &Part, head: &Head) -> (Option<Signature>, Option<Span>) {
        let mut found: Option<Signature> = None;
        let mut line = None;
        for output in head.outputs() {
            self.take(&mut found, output.clone());
        }
        let told = std::mem::take(&mut self.told);
        for arrow in part.arrows.iter().filter(|arrow| !told.contains(&arrow.span)) {
            let own = title::key(self.slice(head.title));
            let over = arrow.hand_over.as_ref();
            let over = over.filter(|over| {
                let to = title::key(&over.to.value);
                to != own && self.titles.exact.contains(&to)
            });
            match (over, &arrow.read) {
                (Some(over), _) => {
                    let hands_to = Some(self.spanned(over.to.span));
                    let (inputs, outputs) = (Vec::new(), over.makes.clone());
                    self.take(&mut found, Signature { span: arrow.span, inputs, outputs, hands_to });
                }
                (None, Ok(signature)) => self.take(&mut found, signature.clone()),
                (None, Err(_))
                    if slip::colons(self.text, arrow.span, false).is_some()
                        || misses::is_types(self.slice(arrow.span)) =>
                {
                    continue;
                }
                (None, Err(obstacle)) => {
                    let meant =
                        arrow.hand_over.as_ref().map(|over| title::key(&over.to.value).to_lowercase());
                    let meant = meant.and_then(|title| self.titles.folded.get(&title)).map(String::as_str);
                    let why = self.why(obstacle);
                    let warning = problem::arrow_is_prose(obstacle.span, &why, meant);
                    self.problems.push(warning);
                    continue;
                }
            }
            line = line.or(Some(arrow.span));
        }
        self.told = told;
        (found, line)
    }

    fn take(&mut self, slot: &mut Option<Signature>, new: Signature) {
        if let Some(first) = slot {
            self.problems.push(problem::second_signature(new.span, first.span));
            return;
        }
        for side in [&new.inputs, &new.outputs] {
            let mut seen: HashMap<&str, Span> = HashMap::new();
            for port in side {
                if let Some(first) = seen.insert(&port.name.value, port.name.span) {
                    self.problems.push(problem::said_twice(port.name.span, first, &port.name.value));
                }
            }
        }
        *slot = Some(new);
    }

    fn why(&self, obstacle: &super::signature::Obstacle) -> String {
        use super::signature::Why;
        let part = self.slice(obstacle.span);
        match &obstacle.why {
            Why::Empty => "a name is missing beside an arrow or a comma".to_owned(),
            Why::Words => format!("`{part}` has white space, and names have none"),
            Why::Character(c) => format!("names have letters, digits and `_ - . /`, not `{c}`"),
            Why::Edge(c) => format!("a name does not begin or end with `{c}`"),
            Why::NoType => format!("what follows `::` in `{part}` is not a type"),
        }
    }

    /// The lines that are conditions, in order.
    fn conditions(&self, part: &Part) -> Vec<Span> {
        let leads = |target: Span| self.titles.is_title(self.slice(target));
        let proceeds = part.proceeds.iter().filter(|(_, target)| leads(*target)).map(|(line, _)| *line);
        let mut lines: Vec<Span> = part.conditions.iter().copied().chain(proceeds).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// A chain begins with `If` and ends with `Otherwise` or with the last line.
    fn chains(&mut self, part: &Part) -> Vec<Vec<Arm>> {
        let mut chains: Vec<Vec<Arm>> = Vec::new();
        for line in self.conditions(part) {
            let arm = match condition::arm(self.text, self.written, line) {
                Ok(arm) => arm,
                Err(problem) => {
                    self.problems.push(*problem);
                    continue;
                }
            };
            let open =
                chains.last_mut().filter(|chain| chain.last().is_some_and(|arm| arm.condition.is_some()));
            match open {
                Some(chain) => chain.push(arm),
                None if arm.condition.is_none() => self.problems.push(problem::otherwise_alone(line)),
                None => chains.push(vec![arm]),
            }
        }
        chains
    }

    fn program(&mut self, part: &Part) -> Option<Program> {
        let (first, more) = part.programs.split_first()?;
        for fence in more {
            let second = opening(self.text, fence);
            self.problems.push(problem::second_program(second, opening(self.text, first)));
        }
        let info = self.slice(first.info);
        let language = info.split_whitespace().next().unwrap_or("");
        let place = Span::new(first.info.start, first.info.start + language.len());
        let source = first.source(self.written);
        Some(Program { language: Spanned::new(language.to_owned(), place), source, span: first.content })
    }
}
