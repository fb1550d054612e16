//! Compares the order of steps in prose, tables and flowcharts with the actual one.

use super::before::Before;
use super::{Graph, Kind, StepId};
use crate::diag::{Diagnostic, Replacement, Span, catalogue};
use crate::spec::title::key;
use crate::spec::{Mark, Says, Spec};
use crate::value::in_conditions;
use std::collections::{BTreeMap, HashMap};

/// Warns of each sentence and line without effect that is not true.
pub(super) fn check(spec: &Spec, graph: &Graph, diagnostics: &mut Vec<Diagnostic>) {
    if spec.drawings.is_empty() && spec.steps.iter().all(|step| step.claims.is_empty()) {
        return;
    }
    let mut by_title: HashMap<String, Option<StepId>> = HashMap::new();
    for (index, step) in spec.steps.iter().enumerate() {
        let id = StepId(index as u32);
        by_title.entry(key(&step.title.value)).and_modify(|known| *known = None).or_insert(Some(id));
    }
    let claims = Claims { spec, graph, before: Before::new(graph), by_title };
    for id in graph.ids() {
        for claim in &spec.steps[id.index()].claims {
            diagnostics.extend(claims.sentence(id, claim.span, &claim.says, claim.whole));
        }
    }
    for drawing in &spec.drawings {
        claims.drawing(drawing, diagnostics);
    }
}

struct Claims<'a> {
    spec: &'a Spec,
    graph: &'a Graph,
    before: Before,
    /// `None` if several steps have the title.
    by_title: HashMap<String, Option<StepId>>,
}

impl Claims<'_> {
    fn find(&self, title: &str) -> Option<StepId> {
        *self.by_title.get(title)?
    }

    fn in_one_loop(&self, one: StepId, other: StepId) -> bool {
        let repeats = &self.graph.step(other).repeats;
        self.graph.step(one).repeats.iter().any(|repeat| repeats.contains(repeat))
    }

    fn is_forward(&self, id: StepId) -> bool {
        self.graph.step(id).kind == Kind::Forward
    }

    fn sentence(&self, id: StepId, span: Span, says: &Says, whole: bool) -> Option<Diagnostic> {
        let step = self.graph.step(id);
        match says {
            Says::After(title) => {
                let other =
                    self.find(title).filter(|other| self.is_forward(*other) && self.is_forward(id))?;
                let other = (!self.holds(id, other)).then_some(other)?;
                let problem = catalogue::order_in_prose(span, &step.title, title);
                Some(match (self.holds(other, id), whole) {
                    (true, _) => problem,
                    (false, true) => problem.fix(span, format!("[after:: {title}]")),
                    (false, false) => problem.fixed(false, vec![self.order(id, &[title])]),
                })
            }
            // A sentence about a loop that there is.
            Says::Back(title) if self.find(title).is_some_and(|other| self.in_one_loop(id, other)) => None,
            Says::Until(_) if !step.repeats.is_empty() => None,
            Says::Back(title) => Some(catalogue::loop_in_prose(span, &step.title, title)),
            Says::Until(what) => Some(catalogue::until_in_prose(span, what)),
            Says::Before(title) => {
                let other =
                    self.find(title).filter(|other| self.is_forward(*other) && self.is_forward(id))?;
                let other = (!self.holds(other, id)).then_some(other)?;
                let problem = catalogue::order_in_prose(span, title, &step.title);
                Some(match self.holds(id, other) {
                    true => problem,
                    false => problem.fixed(false, vec![self.order(other, &[&step.title])]),
                })
            }
            Says::When(value, right) => {
                let asks = !step.when.is_empty() || !step.guards.is_empty() || !step.chains.is_empty();
                if asks || !self.is_forward(id) {
                    return None;
                }
                let right = right.as_ref().map(|right| self.sure(id, right));
                let shown = right.as_ref().map_or(value.as_str(), |(right, _)| right);
                let problem = catalogue::condition_in_prose(span, &step.title, shown);
                let at = self.spec.steps[id.index()].annotated;
                let insert = |right: String| Replacement {
                    span: Span::new(at, at),
                    text: format!(" [when:: {right}]"),
                };
                Some(match right {
                    Some((right, safe)) => problem.fixed(safe, vec![insert(right)]),
                    None => problem,
                })
            }
            Says::Even => {
                let forward = self.is_forward(id) && !step.inputs.iter().any(|input| input.optional);
                forward.then(|| catalogue::even_in_prose(span, &step.title))
            }
            Says::Fails(_) => {
                let forward = self.is_forward(id) && step.when.is_empty() && step.guards.is_empty();
                forward.then(|| catalogue::failure_in_prose(span, &step.title))
            }
        }
    }

    /// The condition with those of its values that may not be made asked for first, and whether it surely is what the
    /// sentence says: all of its values are made above.
    fn sure(&self, id: StepId, right: &str) -> (String, bool) {
        let Ok(condition) = crate::condition::parse(right) else { return (right.to_owned(), false) };
        let (mut right, mut safe) = (right.to_owned(), true);
        for (name, _) in condition.names() {
            let makes = |other: &StepId| {
                let made = &self.graph.step(*other).outputs;
                made.iter().any(|made| in_conditions(&self.graph.value(made.value).name) == name)
            };
            let maker = self.graph.ids().find(makes);
            safe &= maker.is_none_or(|maker| maker < id);
            let may_lack = maker.is_some_and(|maker| {
                let maker = self.graph.step(maker);
                maker.mark == Some(Mark::Optional) || !maker.when.is_empty() || !maker.guards.is_empty()
            });
            // A value that alone decides is needed in any case.
            if may_lack && right.contains(" or ") {
                let parts = right.split(" or ").map(|part| match part == name {
                    true => format!("{name} is defined and {name}"),
                    false => part.to_owned(),
                });
                right = parts.collect::<Vec<_>>().join(" or ");
            }
        }
        (right, safe)
    }

    /// Whether `earlier` has ended, or does not run, when `step` begins.
    fn holds(&self, step: StepId, earlier: StepId) -> bool {
        step == earlier || self.before.holds(step, earlier) || self.graph.exclude(step, earlier)
    }

    /// The fix that adds an order to a step.
    fn order(&self, id: StepId, titles: &[&str]) -> Replacement {
        let step = &self.spec.steps[id.index()];
        let titles = titles.join(", ");
        let (at, text) = match step.annotations.after.last() {
            Some(last) => (last.span.end, format!(", {titles}")),
            None => (step.annotated, format!(" [after:: {titles}]")),
        };
        Replacement { span: Span::new(at, at), text }
    }

    fn drawing(&self, drawing: &crate::spec::Drawing, diagnostics: &mut Vec<Diagnostic>) {
        // By step that should wait: those that it does not wait for, and the first line that shows it.
        let mut missing: BTreeMap<StepId, (Vec<StepId>, Span)> = BTreeMap::new();
        for (from, to, line) in &drawing.edges {
            let (Some(from), Some(to)) = (self.find(from), self.find(to)) else { continue };
            if !self.is_forward(from) || !self.is_forward(to) || self.holds(to, from) {
                continue;
            }
            let (all, _) = missing.entry(to).or_insert_with(|| (Vec::new(), *line));
            if !all.contains(&from) {
                all.push(from);
            }
        }
        for (to, (from, line)) in &missing {
            let titles: Vec<&str> = from.iter().map(|id| self.graph.step(*id).title.as_str()).collect();
            let problem =
                catalogue::order_in_drawing(*line, drawing.what, &self.graph.step(*to).title, &titles);
            // A cycle in a drawing has no order.
            let circle =
                from.iter().any(|from| self.before.holds(*from, *to) || self.drawn(drawing, *to, *from));
            diagnostics.push(match circle {
                true => problem,
                false => problem.fixed(true, vec![self.order(*to, &titles)]),
            });
        }
        for (title, asked, line) in &drawing.asks {
            let Some(step) = self.find(title).map(|id| self.graph.step(id)) else { continue };
            if step.kind == Kind::Forward && step.when.is_empty() && step.guards.is_empty() {
                diagnostics.push(catalogue::condition_in_table(*line, title, asked));
            }
        }
    }

    /// Whether a drawing leads from one step to the other, through any number of edges.
    fn drawn(&self, drawing: &crate::spec::Drawing, from: StepId, to: StepId) -> bool {
        let (mut open, mut seen) = (vec![from], vec![from]);
        while let Some(id) = open.pop() {
            let next = drawing.edges.iter().filter(|(one, _, _)| self.find(one) == Some(id));
            for next in next.filter_map(|(_, next, _)| self.find(next)) {
                if next == to {
                    return true;
                }
                if !seen.contains(&next) {
                    seen.push(next);
                    open.push(next);
                }
            }
        }
        false
    }
}
