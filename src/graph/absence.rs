//! Steps that do not run because an input is not made: never, since branches that exclude each other make it, or only
//! if another step runs. Also steps that do not wait for one that a decision guards.

use super::before::Before;
use super::claims::{self, Claims};
use super::{Arm, Graph, Guard, Input, Kind, Step, StepId, Taken, Target, ValueId};
use crate::condition;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Mark, Spec};
use crate::value::{Type, in_conditions};
use std::collections::{BTreeSet, HashMap};

/// How many decisions and conditions behind a step are compared with each other.
const MOST: usize = 40;

/// A requirement without which a step does not run.
#[derive(Clone)]
enum Fact<'a> {
    Took(Taken),
    Holds(&'a Guard),
}

impl<'a> Fact<'a> {
    fn excludes(&self, graph: &Graph, other: &Fact) -> bool {
        match (self, other) {
            (Fact::Took(a), Fact::Took(b)) if (a.step, a.chain) == (b.step, b.chain) => a.arm != b.arm,
            _ => claims::apart(&self.claims(graph), &other.claims(graph)),
        }
    }

    fn claims<'g: 'c, 'c>(&self, graph: &'g Graph) -> Claims<'c>
    where
        'a: 'c,
    {
        match self {
            Fact::Took(taken) => claims::taken(&graph.step(taken.step).chains, *taken),
            Fact::Holds(guard) => vec![(&guard.condition, true)],
        }
    }

    /// In the document's words.
    fn text(&self, graph: &Graph) -> Option<String> {
        let guard = match self {
            Fact::Holds(guard) => Some(*guard),
            Fact::Took(taken) => {
                let chains = &graph.step(taken.step).chains;
                chains.get(taken.chain as usize)?.get(taken.arm as usize)?.guard.as_ref()
            }
        };
        Some(guard.map_or("Otherwise", |guard| guard.condition.text.trim()).to_owned())
    }

    fn same(&self, other: &Fact) -> bool {
        match (self, other) {
            (Fact::Took(a), Fact::Took(b)) => a == b,
            (Fact::Holds(a), Fact::Holds(b)) => a.condition.text.trim() == b.condition.text.trim(),
            _ => false,
        }
    }
}

/// A fact, the step whose run it decides, and the value through which it affects another.
#[derive(Clone)]
struct Reason<'a> {
    fact: Fact<'a>,
    of: StepId,
    value: Option<ValueId>,
}

/// Rejects steps that can never run.
pub(super) fn never(spec: &Spec, graph: &Graph, diagnostics: &mut Vec<Diagnostic>) {
    let mut reasons: Vec<Vec<Reason>> = vec![Vec::new(); graph.steps.len()];
    for id in graph.order.iter().copied() {
        let step = graph.step(id);
        let mut own = own(graph, id, &reasons);
        if let Some((one, other)) = within(spec, graph, &own) {
            diagnostics.push(catalogue::never_holds(
                spec.steps[id.index()].title.span,
                &step.title,
                one,
                other,
            ));
            continue;
        }
        let mut conflict = None;
        for input in step.inputs.iter().filter(|input| !input.optional) {
            let [maker] = input.makers.as_slice() else { continue };
            if graph.step(*maker).once != step.once {
                continue;
            }
            for Reason { fact, of, .. } in &reasons[maker.index()] {
                if own.len() >= MOST || own.iter().any(|known| known.fact.same(fact)) {
                    continue;
                }
                let new = Reason { fact: fact.clone(), of: *of, value: Some(input.value) };
                conflict = conflict.or_else(|| {
                    own.iter()
                        .find(|known| known.fact.excludes(graph, fact))
                        .map(|known| (known.clone(), new.clone()))
                });
                own.push(new);
            }
        }
        match conflict {
            Some((one, other)) => diagnostics.push(conflicting(spec, graph, id, &one, &other)),
            None => {
                diagnostics.extend(apart(spec, graph, id));
                reasons[id.index()] = own;
            }
        }
    }
}

/// The requirements of a step itself: its conditions, and the one decision that leads to it with its own requirements.
fn own<'a>(graph: &'a Graph, id: StepId, reasons: &[Vec<Reason<'a>>]) -> Vec<Reason<'a>> {
    let step = graph.step(id);
    let holds = step.when.iter().map(|guard| Reason { fact: Fact::Holds(guard), of: id, value: None });
    let mut own: Vec<Reason> = holds.collect();
    if let [taken] = step.guards.as_slice() {
        own.push(Reason { fact: Fact::Took(*taken), of: id, value: None });
        own.extend(reasons[taken.step.index()].iter().map(|reason| Reason { value: None, ..reason.clone() }));
    }
    own.truncate(MOST);
    own
}

/// Two conditions on a step that never both hold, with their places.
fn within(spec: &Spec, graph: &Graph, own: &[Reason]) -> Option<((String, Span), (String, Span))> {
    let mut pairs =
        own.iter().enumerate().flat_map(|(at, one)| own[at..].iter().map(move |other| (one, other)));
    let (one, other) = pairs.find(|(one, other)| one.fact.excludes(graph, &other.fact))?;
    let place = |reason: &Reason| {
        let step = if let Fact::Took(taken) = reason.fact { taken.step } else { reason.of };
        spec.steps[step.index()].title.span
    };
    let said = |reason: &Reason| Some((reason.fact.text(graph)?, place(reason)));
    Some((said(one)?, said(other)?))
}

fn conflicting(spec: &Spec, graph: &Graph, id: StepId, one: &Reason, other: &Reason) -> Diagnostic {
    let place = |reason: &Reason| spec.steps[reason.of.index()].title.span;
    let name = |reason: &Reason| reason.value.map(|value| graph.value(value).name.as_str());
    let title = |reason: &Reason| graph.step(reason.of).title.as_str();
    let value = other.value.map_or("", |value| graph.value(value).name.as_str());
    let at = port(spec, id, value);
    match name(one) {
        Some(first) if one.value != other.value => catalogue::never_runs(
            at,
            &graph.step(id).title,
            (first, title(one), place(one)),
            (value, title(other), place(other)),
        ),
        _ => catalogue::never_arrives(at, &graph.step(id).title, value, title(other), place(other)),
    }
}

/// A step whose input is only made when it does not run.
fn apart(spec: &Spec, graph: &Graph, id: StepId) -> Option<Diagnostic> {
    let step = graph.step(id);
    let apart = |input: &&Input| {
        !input.makers.is_empty() && input.makers.iter().all(|maker| never_both(graph, *maker, id))
    };
    let required = step.inputs.iter().find(|input| !input.optional && apart(input));
    let input = required.or_else(|| step.inputs.iter().find(apart))?;
    let maker = input.makers.first()?;
    let name = &graph.value(input.value).name;
    let made = spec.steps[maker.index()].title.span;
    let problem = if input.optional { catalogue::never_comes } else { catalogue::never_arrives };
    Some(problem(port(spec, id, name), &step.title, name, &graph.step(*maker).title, made))
}

/// Whether two steps never both run, by their decisions or by their conditions.
pub(super) fn never_both(graph: &Graph, one: StepId, other: StepId) -> bool {
    let claims = |id| claims::of_step(graph, id);
    graph.step(one).once == graph.step(other).once
        && (graph.exclude(one, other) || claims::apart(&claims(one), &claims(other)))
}

/// Warns of steps that do not run when another one does not, without a condition of their own.
pub(super) fn unsaid(spec: &Spec, graph: &Graph, diagnostics: &mut Vec<Diagnostic>) {
    let mut warned: HashMap<StepId, StepId> = HashMap::new();
    // By step that depends on a reported one: the index of that warning.
    let mut behind: HashMap<StepId, usize> = HashMap::new();
    for id in graph.order.iter().copied() {
        let step = graph.step(id);
        let takes = step.inputs.iter().filter(|input| !input.optional);
        let takes = takes.map(|input| (input.value, input.makers.as_slice()));
        let makers = |value: ValueId| {
            let makes =
                |need: &&super::Need| graph.step(need.step).outputs.iter().any(|made| made.value == value);
            step.needs.iter().filter(makes).map(|need| need.step).collect::<Vec<_>>()
        };
        let asks: Vec<(ValueId, Vec<StepId>)> =
            step.when.iter().flat_map(Guard::needs).map(|value| (value, makers(value))).collect();
        let asks = asks.iter().map(|(value, makers)| (*value, makers.as_slice()));
        let mut found = takes.chain(asks).filter_map(|(value, makers)| match makers {
            [maker] => Some((value, *maker, why(graph, id, value, *maker)?)),
            _ => None,
        });
        let Some((value, maker, why)) = found.next() else {
            let required = step.inputs.iter().filter(|input| !input.optional);
            let found = required.filter_map(|input| match input.makers.as_slice() {
                [maker] => behind.get(maker).copied(),
                _ => None,
            });
            if let Some(warning) = found.min().filter(|_| step.mark != Some(Mark::Optional)) {
                behind.insert(id, warning);
                if step.mark == Some(Mark::Critical) {
                    let place = spec.steps[id.index()].title.span;
                    diagnostics[warning] =
                        catalogue::critical_behind(diagnostics[warning].clone(), &step.title, place);
                }
            }
            continue;
        };
        // Steps after a reported one are part of the same warning.
        let mut inputs = step.inputs.iter().flat_map(|input| &input.makers);
        if inputs.any(|other| warned.get(other) == Some(&maker)) {
            continue;
        }
        warned.insert(id, maker);
        behind.insert(id, diagnostics.len());
        let name = &graph.value(value).name;
        let (title, maker_title) = (&step.title, &graph.step(maker).title);
        let place = spec.steps[maker.index()].title.span;
        let at = port(spec, id, name);
        let way = if step.when.iter().flat_map(Guard::needs).any(|needed| needed == value) {
            catalogue::Way::Asked(asked(spec, graph, id, value, &why))
        } else {
            catalogue::Way::Taken
        };
        diagnostics.push(catalogue::runs_only_when(at, title, name, (maker_title, place), &why, way));
    }
}

/// A step's own condition, so that it also runs where a value that is true or false was not made: its place and what it
/// would be.
fn asked(
    spec: &Spec,
    graph: &Graph,
    id: StepId,
    value: ValueId,
    why: &catalogue::Absence,
) -> Option<(Span, String)> {
    let own = spec.steps[id.index()].annotations.when.as_ref()?;
    if graph.value(value).ty != Some(Type::Boolean) {
        return None;
    }
    let name = in_conditions(&graph.value(value).name);
    let text = own.value.text.trim();
    let there = format!("{name} is defined and {name}");
    let alone = text == name;
    let right = match why {
        _ if text.contains(" or ") => format!("({there})"),
        catalogue::Absence::When(condition) if alone => format!("not ({condition}) or {there}"),
        catalogue::Absence::When(condition) => format!("(not ({condition}) or {there})"),
        _ if alone => format!("not ({name} is defined) or {name}"),
        _ => format!("(not ({name} is defined) or {name})"),
    };
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && !"_.\"'[".contains(c));
    let at = text
        .match_indices(&name)
        .map(|(at, _)| at)
        .find(|at| edge(text[..*at].chars().next_back()) && edge(text[at + name.len()..].chars().next()))?;
    let right = format!("{}{right}{}", &text[..at], &text[at + name.len()..]);
    condition::parse(&right).ok()?;
    Some((own.span, right))
}

/// Why a step may not have what another makes, although it has no condition of its own.
fn why(graph: &Graph, id: StepId, value: ValueId, maker: StepId) -> Option<catalogue::Absence> {
    use catalogue::Absence;
    let (step, made) = (graph.step(id), graph.step(maker));
    if step.once != made.once || asks_whether(step, value) || step.guards.iter().any(|led| led.step == maker)
    {
        return None;
    }
    if made.mark == Some(Mark::Optional) && step.mark.is_none() {
        return Some(Absence::Optional);
    }
    // A step to which decisions lead is on a branch of its own.
    let behind = |step: &Step| step.guards.iter().copied().collect::<BTreeSet<Taken>>();
    let led = behind(step);
    let claims = claims::of_step(graph, id);
    if let Some(guard) = made.when.iter().find(|guard| !claims::imply(&claims, &guard.condition, true)) {
        return Some(Absence::When(guard.condition.text.trim().to_owned()));
    }
    let implied = |taken: &Taken| {
        let holds = claims::taken(&graph.step(taken.step).chains, *taken);
        !holds.is_empty() && holds.iter().all(|(condition, is)| claims::imply(&claims, condition, *is))
    };
    let alone = |taken: &Taken| {
        let chains = &graph.step(taken.step).chains;
        chains.get(taken.chain as usize).is_some_and(|chain| chain.len() == 1)
    };
    let guarded = !made.guards.is_empty()
        && made.guards.iter().all(|taken| alone(taken) && !led.contains(taken) && !implied(taken));
    if guarded && led.is_empty() {
        return Some(Absence::Unless(made.guards.first().map(|taken| graph.step(taken.step).title.clone())?));
    }
    let skips: BTreeSet<Taken> = step.skips.iter().copied().collect();
    let skipped = made.skips.iter().find(|taken| !skips.contains(taken) && !led.contains(taken))?;
    Some(Absence::Skipped(graph.step(skipped.step).title.clone()))
}

/// Whether a step's own condition tests whether a value is defined.
fn asks_whether(step: &Step, value: ValueId) -> bool {
    step.when.iter().any(|guard| {
        guard.names.iter().any(|(_, id)| *id == value) && !guard.needs().any(|needed| needed == value)
    })
}

/// Warns of steps with effects that run beside a step to which a decision leads, although they take the value that
/// decides.
pub(super) fn beside(
    spec: &Spec,
    graph: &Graph,
    effects: &dyn Fn(&Step) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let decides = |id: &StepId| !graph.step(*id).chains.is_empty();
    let deciders: Vec<StepId> = graph.order.iter().copied().filter(decides).collect();
    if deciders.is_empty() {
        return;
    }
    let before = Before::new(graph);
    let mut takers: HashMap<ValueId, Vec<StepId>> = HashMap::new();
    for id in &graph.order {
        for input in graph.step(*id).inputs.iter().filter(|input| !input.optional) {
            takers.entry(input.value).or_default().push(*id);
        }
    }
    let mut warned = BTreeSet::new();
    let arms = deciders.iter().flat_map(|id| arms(graph, *id));
    for (taken, arm) in arms {
        let led: Vec<StepId> = match arm.target {
            Target::Step(to) => vec![to],
            Target::Group(_) => graph.led_by(taken).collect(),
            _ => continue,
        };
        let mut all = led.iter().copied().filter(|to| graph.step(*to).mark != Some(Mark::Optional));
        let (Some(to), Some(guard)) = (all.next(), &arm.guard) else { continue };
        let guarded = graph.step(to);
        for other in guard.names.iter().filter_map(|(_, value)| takers.get(value)).flatten().copied() {
            let step = graph.step(other);
            let free = !warned.contains(&other)
                && other > to
                && step.kind == Kind::Forward
                && step.once == guarded.once
                && effects(step)
                && !step.guards.iter().any(|led| guarded.guards.iter().any(|by| led.step == by.step))
                && !graph.required(other).contains(&taken)
                && led.iter().all(|to| {
                    !before.holds(other, *to) && !before.holds(*to, other) && !graph.exclude(other, *to)
                });
            if free && warned.insert(other) {
                let made = guarded.outputs.first().map(|made| graph.value(made.value).name.as_str());
                let (at, place) = (spec.steps[other.index()].title.span, spec.steps[to.index()].title.span);
                diagnostics.push(catalogue::does_not_wait(at, &step.title, (&guarded.title, place), made));
            }
        }
    }
}

/// The arms of a step's decisions.
fn arms(graph: &Graph, id: StepId) -> impl Iterator<Item = (Taken, &Arm)> {
    (0..).zip(&graph.step(id).chains).flat_map(move |(chain, arms)| {
        (0..).zip(arms).map(move |(arm, said)| (Taken { step: id, chain, arm }, said))
    })
}

/// The place of a value in a step's signature; else the step's title.
pub(super) fn port(spec: &Spec, id: StepId, name: &str) -> Span {
    let step = &spec.steps[id.index()];
    let ports = step.signature.iter().flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
    let named = ports.map(|port| &port.name).find(|port| port.value == name);
    named.map_or(step.title.span, |port| port.span)
}
