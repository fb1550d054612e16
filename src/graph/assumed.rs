//! Unstated assumptions of a document: that an answer stops later steps, that a step waits for the check above it,
//! that steps run in parallel.

use super::absence::{never_both, port};
use super::before::Before;
use super::{Graph, Kind, Step, StepId, ValueId, ValueInfo};
use crate::diag::{Diagnostic, Replacement, Span, catalogue};
use crate::spec::{Mark, Spec};
use crate::value::{Type, in_conditions};
use std::collections::{HashMap, HashSet};

/// Words in the name of a value that make it an answer.
const ANSWERS: &str = "acceptable accepted agreed allowed approval approved authorised authorized available cleared \
    compliant consent correct covered creditworthy decision eligible enough granted healthy is legal \
    match matched matches ok okay passed passes permitted ready safe signed solvent sufficient trusted \
    trustworthy valid validated verified can has may must needs should";

/// Words that make it an answer that should stop later steps when it is true.
const OBJECTIONS: &str = "blocked declined denied duplicate expired forbidden fraud fraudulent infected invalid missing \
    refused rejected spam suspicious unsafe";

/// First or last words of the titles of steps that ask something.
const QUESTIONS: &str = "approval approve assess audit authorise authorize can check checks classify compare confirmation \
    decide detect examine inspect inspection is judge match measure review screen screening test tests \
    validate validation verification verify vet";

/// First words of titles of steps that only read or compute.
const READS: &str = "analyse analyze calculate collect compute count deduplicate describe download draft estimate extract \
    fetch find forecast get inspect list look lookup measure parse plan predict query read research \
    score search summarise summarize translate";

/// Words in the heading of a group that say that its steps run at the same time.
const PARALLEL: &str = "concurrent concurrently parallel parallelly simultaneous simultaneously parallelized";

/// First words of titles of steps that come after all others.
const CLOSES: &str = "clean cleanup close delete destroy finalise finalize finish purge remove teardown";

/// How many steps above one are looked at.
const MOST: usize = 100;

/// Warns of all of these; `effects` is whether a step has effects.
pub(super) fn check(
    spec: &Spec,
    graph: &Graph,
    effects: &dyn Fn(&Step) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let assumed = Assumed { spec, graph, before: Before::new(graph), effects };
    assumed.unread(diagnostics);
    assumed.beside(diagnostics);
    assumed.in_a_row(diagnostics);
    assumed.closing(diagnostics);
}

struct Assumed<'a> {
    spec: &'a Spec,
    graph: &'a Graph,
    before: Before,
    effects: &'a dyn Fn(&Step) -> bool,
}

impl Assumed<'_> {
    fn forward(&self) -> impl Iterator<Item = StepId> + '_ {
        self.graph.ids().filter(|id| self.graph.step(*id).kind == Kind::Forward)
    }

    /// In the document's words, with its number.
    fn shown(&self, id: StepId) -> String {
        let (number, title) = (&self.spec.steps[id.index()].number, &self.graph.step(id).title);
        if number.is_empty() { title.clone() } else { format!("{number}. {title}") }
    }

    fn orders_itself(&self, id: StepId) -> bool {
        let step = &self.spec.steps[id.index()];
        let groups = self.graph.around(id).map(|group| &self.spec.groups[group].annotations);
        groups.chain([&step.annotations]).any(|annotations| !annotations.after.is_empty())
    }

    /// Answers that nothing reads, although a step with effects follows.
    fn unread(&self, diagnostics: &mut Vec<Diagnostic>) {
        let graph = self.graph;
        let mut read: HashSet<ValueId> = graph.steps.iter().flat_map(Step::asks).collect();
        for step in &graph.steps {
            read.extend(step.inputs.iter().map(|input| input.value));
            read.extend(step.each.map(|each| each.list));
        }
        // What follows a loop runs only if its condition holds.
        read.extend(graph.repeats.iter().flat_map(|repeat| repeat.until.needs()));
        let changing: Vec<StepId> = self.forward().filter(|id| (self.effects)(graph.step(*id))).collect();
        for id in self.forward() {
            let step = graph.step(id);
            // A step that decides by another value has an answer that counts.
            if !step.chains.is_empty() {
                continue;
            }
            for output in &step.outputs {
                let value = graph.value(output.value);
                if value.ty != Some(Type::Boolean)
                    || !is_answer(&step.title, &value.name)
                    || !read.insert(output.value)
                {
                    continue;
                }
                let later = |other: &&StepId| {
                    **other > id
                        && graph.step(**other).once == step.once
                        && !self.before.holds(id, **other)
                        && !never_both(graph, id, **other)
                };
                let shares = |other: &&StepId| {
                    self.before.holds(**other, id) || shared(step, graph.step(**other)).is_some()
                };
                let all = || changing.iter().filter(later).take(MOST);
                let acts = |other: &&StepId| shares(other) && !self.answers(**other);
                let next = all().find(acts).or_else(|| all().find(shares)).or_else(|| all().next());
                let Some(next) = next else { continue };
                let name = in_conditions(&value.name);
                let objects = words(&value.name).any(|word| among(OBJECTIONS, &word));
                let (good, bad) = match objects {
                    true => (format!("not {name}"), name.clone()),
                    false => (name.clone(), format!("not {name}")),
                };
                let title = &graph.step(*next).title;
                let line = match (self.before.holds(*next, id), step.mark) {
                    (false, _) => format!("If {good} → {title}"),
                    (true, Some(Mark::Critical)) => format!("If {bad} → fail \"{bad}\""),
                    (true, _) => format!("If {bad} → end"),
                };
                // A group that follows as a whole waits as a whole.
                let group = self.group_behind(id, *next);
                let title = group.map_or(title, |group| &graph.groups[group].title);
                let line = if group.is_some() { format!("If {good} → {title}") } else { line };
                let (good, changes) = self.asking(id, *next, group, good);
                let problem = catalogue::unread_answer(
                    port(self.spec, id, &value.name),
                    &value.name,
                    &step.title,
                    (title, self.spec.steps[next.index()].title.span),
                    (&good, &line),
                );
                diagnostics.push(match changes {
                    Some(change) => problem.fixed(false, vec![change]),
                    None => problem,
                });
            }
        }
    }

    /// A last step that closes or removes something while others still run.
    fn closing(&self, diagnostics: &mut Vec<Diagnostic>) {
        let graph = self.graph;
        let Some(id) = self.forward().last().filter(|id| !self.orders_itself(*id)) else { return };
        let step = graph.step(id);
        if !words(&step.title).next().is_some_and(|word| among(CLOSES, &word)) {
            return;
        }
        let beside: Vec<StepId> = self
            .forward()
            .filter(|other| {
                *other != id && graph.step(*other).once == step.once && !never_both(graph, id, *other)
            })
            .filter(|other| !self.before.holds(id, *other) && !self.before.holds(*other, id))
            .collect();
        let ends = beside.iter().filter(|one| !beside.iter().any(|other| self.before.holds(*other, **one)));
        let ends: Vec<&str> = ends.map(|end| graph.step(*end).title.as_str()).collect();
        if ends.is_empty() {
            return;
        }
        let own = &self.spec.steps[id.index()];
        diagnostics.push(catalogue::closes_early(own.title.span, &step.title, &ends, own.annotated));
    }

    /// The group of a step that begins below another step and does not wait for it, with several forward steps.
    fn group_behind(&self, id: StepId, next: StepId) -> Option<usize> {
        let graph = self.graph;
        let own: HashSet<usize> = graph.around(id).collect();
        let group = graph.around(next).filter(|group| !own.contains(group)).last()?;
        let inside = self.forward().filter(|step| graph.around(*step).any(|around| around == group));
        let inside: Vec<StepId> = inside.collect();
        let free = |step: &StepId| *step > id && !self.before.holds(*step, id);
        (inside.len() > 1 && inside.iter().all(free)).then_some(group)
    }

    /// What a step, or its group, could ask for an answer, and the change by which it does.
    fn asking(
        &self,
        id: StepId,
        next: StepId,
        group: Option<usize>,
        good: String,
    ) -> (String, Option<Replacement>) {
        let (graph, next_step) = (self.graph, &self.spec.steps[next.index()]);
        let insert = |at: usize, text: String| Some(Replacement { span: Span::new(at, at), text });
        // Where the answer is not asked for always, what follows runs without it.
        let own = graph.step(id).when.iter().map(|guard| guard.condition.text.trim());
        let own: Vec<&str> = own.collect();
        let shared = |condition: &&str| {
            graph.step(next).when.iter().any(|guard| guard.condition.text.trim() == *condition)
        };
        let ask = match own.as_slice() {
            [condition] if !shared(condition) && !good.starts_with("not ") => {
                format!("not ({condition}) or {good} is defined and {good}")
            }
            _ => good,
        };
        match (group, &next_step.annotations.when) {
            (Some(group), _) => {
                let group = &self.spec.groups[group];
                let change = group.annotations.when.is_none().then_some(group.annotated);
                (ask.clone(), change.and_then(|at| insert(at, format!(" [when:: {ask}]"))))
            }
            (None, Some(when)) => {
                let bare =
                    |text: &str| if text.contains(" or ") { format!("({text})") } else { text.to_owned() };
                let both = format!("{} and {}", bare(when.value.text.trim()), bare(&ask));
                (both.clone(), Some(Replacement { span: when.span, text: both }))
            }
            (None, None) => (ask.clone(), insert(next_step.annotated, format!(" [when:: {ask}]"))),
        }
    }

    /// Steps with effects that run beside a critical step above them and take what it takes, where both are numbered or
    /// the critical one is a check and the other is grave.
    fn beside(&self, diagnostics: &mut Vec<Diagnostic>) {
        let graph = self.graph;
        let mut above: HashMap<ValueId, Vec<StepId>> = HashMap::new();
        for id in self.forward() {
            let step = graph.step(id);
            let takes = || needed(step);
            let critical = takes().filter_map(|value| above.get(&value)).flatten();
            let critical: HashSet<StepId> = critical.copied().collect();
            let acts = || (self.effects)(step) && !self.orders_itself(id) && !self.answers(id);
            if !critical.is_empty() && acts() {
                let mut free: Vec<StepId> =
                    critical.into_iter().filter(|other| self.is_beside(id, *other)).collect();
                free.sort_unstable();
                if let Some(other) = free.last() {
                    diagnostics.push(self.does_not_wait(id, *other));
                }
            }
            if step.mark == Some(Mark::Critical) {
                for value in takes() {
                    let steps = above.entry(value).or_default();
                    if steps.len() < MOST {
                        steps.push(id);
                    }
                }
            }
        }
    }

    fn is_beside(&self, id: StepId, critical: StepId) -> bool {
        let graph = self.graph;
        let groups: HashSet<usize> = graph.around(critical).collect();
        let free = graph.around(id).any(|group| groups.contains(&group) && graph.groups[group].parallel);
        let numbered = |id: StepId| !self.spec.steps[id.index()].number.is_empty();
        let step = graph.step(id);
        let grave = step.mark == Some(Mark::Critical) || step.irreversible || step.compensate.is_some();
        !free
            && ((numbered(id) && numbered(critical)) || (grave && self.answers(critical)))
            && graph.step(id).once == graph.step(critical).once
            && !self.before.holds(id, critical)
            && !self.before.holds(critical, id)
            && !never_both(graph, id, critical)
    }

    /// Whether all outputs of a step seem to be answers.
    fn answers(&self, id: StepId) -> bool {
        let step = self.graph.step(id);
        let answers =
            |value: &ValueInfo| value.ty == Some(Type::Boolean) && is_answer(&step.title, &value.name);
        asks(&step.title) || step.outputs.iter().any(|made| answers(self.graph.value(made.value)))
    }

    fn does_not_wait(&self, id: StepId, critical: StepId) -> Diagnostic {
        let graph = self.graph;
        let (step, other) = (graph.step(id), graph.step(critical));
        let value = shared(step, other).map_or("", |value| graph.value(value).name.as_str());
        let made = other.outputs.first().map(|made| graph.value(made.value));
        let made = made.map(|made| (in_conditions(&made.name), made.ty == Some(Type::Boolean)));
        catalogue::beside_critical(
            self.spec.steps[id.index()].title.span,
            &self.shown(id),
            (&self.shown(critical), &other.title, self.spec.steps[critical.index()].title.span),
            made.as_ref().map(|(name, answers)| (name.as_str(), *answers)),
            value,
        )
    }

    /// Steps that follow each other only by position, in a group whose heading suggests otherwise.
    fn in_a_row(&self, diagnostics: &mut Vec<Diagnostic>) {
        let graph = self.graph;
        let mut reported: HashSet<usize> = HashSet::new();
        let mut last: Option<StepId> = None;
        for id in self.forward() {
            let Some(earlier) = last.replace(id).filter(|earlier| self.follows(id, *earlier)) else {
                continue;
            };
            let around: HashSet<usize> = graph.around(earlier).collect();
            let says = |group: &usize| around.contains(group) && says_parallel(&graph.groups[*group].title);
            let (title, at) = (self.shown(id), self.spec.steps[id.index()].title.span);
            if let Some(group) = graph.around(id).find(says) {
                if reported.insert(group) {
                    let written = &self.spec.groups[group].title;
                    let earlier = &graph.step(earlier).title;
                    diagnostics.push(catalogue::almost_parallel(
                        written.span,
                        &written.value,
                        (&graph.step(id).title, at),
                        earlier,
                    ));
                }
            } else if self.numbered_alike(id, earlier) {
                let first = graph.step(earlier).needs.first();
                let start = first.map_or("start", |need| graph.step(need.step).title.as_str());
                let place = self.spec.steps[earlier.index()].title.span;
                diagnostics.push(catalogue::numbered_alike(at, &title, (&self.shown(earlier), place), start));
            }
        }
    }

    /// Whether a step waits for the one above it only because of its position.
    fn follows(&self, id: StepId, earlier: StepId) -> bool {
        let (step, above) = (self.graph.step(id), self.graph.step(earlier));
        step.group == above.group
            && step.once == above.once
            && !self.orders_itself(id)
            && !step.is_conditional()
            && step.inputs.iter().all(|input| input.makers.is_empty())
            && step.inputs.iter().any(|input| above.inputs.iter().any(|other| other.value == input.value))
            && matches!(step.needs.as_slice(), [need] if need.step == earlier && !need.data)
    }

    fn numbered_alike(&self, one: StepId, other: StepId) -> bool {
        let number = |id: StepId| {
            let step = &self.spec.steps[id.index()];
            if step.number.is_empty() { lettered(&step.title.value) } else { Some(step.number.clone()) }
        };
        number(one).is_some_and(|number_of_one| number(other).as_ref() == Some(&number_of_one))
    }
}

/// What a step takes, and what its conditions ask for.
fn needed(step: &Step) -> impl Iterator<Item = ValueId> + '_ {
    let asked = step.when.iter().flat_map(|guard| guard.names.iter().map(|(_, value)| *value));
    step.inputs.iter().map(|input| input.value).chain(asked)
}

/// The first value that both need.
fn shared(one: &Step, other: &Step) -> Option<ValueId> {
    needed(one).find(|value| needed(other).any(|also| also == *value))
}

/// The number of a title such as `2a. Check`.
fn lettered(title: &str) -> Option<String> {
    let word = title.split_whitespace().next()?.trim_end_matches(['.', ')', ':']);
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let letters = word.len() - number.len();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (letters == 1 && digits).then(|| number.to_owned())
}

fn says_parallel(title: &str) -> bool {
    let words: Vec<String> = words(title).collect();
    let said =
        words.iter().any(|word| among(PARALLEL, word)) || title.to_lowercase().contains("at the same time");
    said && !words.iter().any(|word| matches!(word.as_str(), "not" | "non" | "no" | "never" | "without"))
}

/// Whether a step, by its title, reads or computes and changes nothing.
pub(super) fn only_reads(step: &Step) -> bool {
    let first = words(&step.title).next();
    first.is_some_and(|word| among(READS, &word)) || asks(&step.title)
}

/// Whether a step's true or false answers a question, by the words of the two names: `sent` says what was done, and so
/// does the `refused` of *Refuse*.
fn is_answer(title: &str, value: &str) -> bool {
    let done = |word: &str| words(title).any(|other| other.get(..4) == word.get(..4));
    let named = |word: String| among(ANSWERS, &word) || (among(OBJECTIONS, &word) && !done(&word));
    words(value).any(named) || asks(title)
}

/// Whether the title of a step suggests a question.
fn asks(title: &str) -> bool {
    let asks = |word: Option<String>| word.is_some_and(|word| among(QUESTIONS, &word));
    asks(words(title).next()) || asks(words(title).last())
}

fn among(words: &str, word: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

/// The words of a text or a name, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !c.is_alphanumeric()).flat_map(humps);
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The parts of `isApproved`.
fn humps(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut small = false;
    for (at, c) in word.char_indices() {
        if c.is_uppercase() && small {
            parts.push(&word[start..at]);
            start = at;
        }
        small = c.is_lowercase();
    }
    parts.push(&word[start..]);
    parts
}
