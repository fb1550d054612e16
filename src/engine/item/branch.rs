//! Whether a step runs at all: what came before it, who leads to it, its own conditions.

use super::super::step::{End, StepState};
use super::{Item, Moves};
use crate::condition::Fault;
use crate::event::{Event, Execution, Millis, Status, StepPath};
use crate::graph::{Chain, Graph, Guard, Input, Kind, StepId, Taken, Target, ValueId};
use crate::value::Value;

impl Item {
    /// A step whose needs are all settled becomes ready or has its conditions decided; else this is its end.
    pub(super) fn arrive(&mut self, graph: &Graph, id: StepId, moves: &mut Moves) -> Option<End> {
        let end = self.obstacle(graph, id);
        if end.is_none() {
            let step = graph.step(id);
            if !step.is_conditional() && step.each.is_none() && step.state.is_none() {
                self.make_ready(graph, id, moves);
            } else {
                self.steps[id.index()] = StepState::Deciding;
                self.deciding.push(id);
            }
        }
        end
    }

    /// Why it cannot run, apart from its conditions.
    fn obstacle(&self, graph: &Graph, id: StepId) -> Option<End> {
        let step = graph.step(id);
        let needs = step.needs.iter().filter(|need| self.is_own(graph, need.step));
        if { needs }.any(|need| self.end_of(need.step).blocks()) {
            return Some(End::Blocked);
        }
        // What a decision refuses is told as skipped; what nobody came to decide on has just not come about.
        if self.refused(graph, id) {
            return None;
        }
        let unled = !step.guards.is_empty() && !step.guards.iter().any(|guard| self.took(*guard));
        let there = |input: &Input| {
            let own = input.makers.iter().any(|maker| self.is_own(graph, *maker));
            !own || self.value(input.value).is_some() && self.stands(graph, input.makers.iter())
        };
        let lacks = |input: &Input| !input.optional && !there(input);
        let unasked = |guard: &Guard| guard.names.iter().any(|(_, value)| self.is_absent(graph, id, *value));
        let absent = unled || step.inputs.iter().any(lacks) || step.when.iter().any(unasked);
        absent.then_some(End::Absent)
    }

    fn end_of(&self, step: StepId) -> End {
        match self.steps[step.index()] {
            StepState::Ended(end) => end,
            _ => End::Blocked,
        }
    }

    /// Whether a value counts as made that these steps make: one of them has succeeded. What a step has made that failed
    /// after all is there only for what undoes it.
    pub(super) fn stands<'a>(&self, graph: &Graph, makers: impl Iterator<Item = &'a StepId>) -> bool {
        let mut own = makers.filter(|maker| self.is_own(graph, **maker)).peekable();
        own.peek().is_none() || own.any(|maker| self.end_of(*maker) == End::Succeeded)
    }

    /// Whether a value that steps make has not been made, as a step sees it that asks for it.
    fn is_absent(&self, graph: &Graph, id: StepId, value: ValueId) -> bool {
        let makes = |step: &&StepId| graph.step(**step).outputs.iter().any(|output| output.value == value);
        let needs = graph.step(id).needs.iter().map(|need| &need.step);
        let unmade = self.value(value).is_none() && !graph.inputs.contains(&value);
        unmade || !self.stands(graph, needs.filter(makes))
    }

    fn took(&self, taken: Taken) -> bool {
        self.taken.contains(&(taken.step, taken.chain, Some(taken.arm)))
    }

    /// Whether a decision has been made that leads elsewhere.
    fn refused(&self, graph: &Graph, id: StepId) -> bool {
        let step = graph.step(id);
        let decided = |guard: &Taken| {
            self.taken.iter().any(|(step, chain, _)| (*step, *chain) == (guard.step, guard.chain))
        };
        let led = step.guards.is_empty() || step.guards.iter().any(|guard| self.took(*guard));
        (!led && step.guards.iter().any(decided)) || step.skips.iter().any(|skip| self.took(*skip))
    }

    /// What a step's conditions come to.
    pub(super) fn decide(&self, graph: &Graph, id: StepId, at: Millis) -> Event {
        if self.refused(graph, id) {
            return self.unrun(graph, id, Status::Skipped, None, at);
        }
        for guard in &graph.step(id).when {
            match self.holds(guard, graph.step(id).kind) {
                Ok(true) => {}
                Ok(false) => return self.unrun(graph, id, Status::Skipped, None, at),
                Err(fault) => return self.unrun(graph, id, Status::Failed, Some(told(guard, &fault)), at),
            }
        }
        match self.wrong_state(graph, id).or_else(|| self.no_list(graph, id)) {
            Some(error) => self.unrun(graph, id, Status::Failed, Some(error), at),
            None => Event::ConditionHeld { item: self.id, step: id, at },
        }
    }

    /// A row of a step that nobody was asked to do.
    pub(super) fn unrun(
        &self,
        graph: &Graph,
        path: impl Into<StepPath>,
        status: Status,
        error: Option<String>,
        at: Millis,
    ) -> Event {
        let path = path.into();
        let undoes = graph.step(path.step).kind == Kind::Compensation;
        let status = if undoes && status == Status::Failed { Status::CompensationFailed } else { status };
        let execution = Execution {
            step: path.step,
            element: path.element,
            status,
            input: self.input_label(graph, path),
            output: None,
            duration_ms: (status != Status::Skipped).then_some(0.0),
            tokens_used: None,
            columns: Vec::new(),
            attempt: None,
            started_ms: Some(at),
            error,
            code: None,
            recorded: None,
        };
        Event::StepEnded { item: self.id, execution }
    }

    fn holds(&self, guard: &Guard, kind: Kind) -> Result<bool, Fault> {
        // What undoes is handed null for what the other step did not make.
        let absent = (kind == Kind::Compensation).then_some(&Value::Null);
        let value = |name: &str| -> Option<&Value> {
            let (_, id) = guard.names.iter().find(|(known, _)| known == name)?;
            self.value(*id).map(|value| &**value).or(absent)
        };
        guard.condition.holds(&value)
    }

    /// The next decision of a step that has succeeded: a branch taken, or why the step fails after all.
    pub(super) fn next_branch(&self, graph: &Graph, id: StepId, at: Millis) -> Option<Result<Event, String>> {
        let chains = graph.step(id).chains.iter().zip(0u32..);
        let open = |chain: u32| !self.taken.iter().any(|(step, known, _)| (*step, *known) == (id, chain));
        let (arms, chain) = chains.into_iter().find(|(_, chain)| open(*chain))?;
        let arm = match self.first_that_holds(arms) {
            Ok(arm) => arm,
            Err(error) => return Some(Err(error)),
        };
        if let Some(Target::Fail(reason)) = arm.and_then(|arm| arms.get(arm as usize)).map(|arm| &arm.target)
        {
            return Some(Err(reason.clone()));
        }
        Some(Ok(Event::BranchTaken { item: self.id, step: id, chain, arm, at }))
    }

    fn first_that_holds(&self, arms: &Chain) -> Result<Option<u32>, String> {
        for (arm, index) in arms.iter().zip(0u32..) {
            let holds = match &arm.guard {
                Some(guard) => self.holds(guard, Kind::Forward).map_err(|fault| told(guard, &fault))?,
                None => true,
            };
            if holds {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    pub(super) fn branch(
        &mut self,
        graph: &Graph,
        step: StepId,
        chain: u32,
        arm: Option<u32>,
        moves: &mut Moves,
    ) {
        self.taken.push((step, chain, arm));
        let arms = graph.step(step).chains.get(chain as usize);
        let target = arm.and_then(|arm| arms?.get(arm as usize)).map(|arm| &arm.target);
        if target == Some(&Target::End) {
            self.finish(graph, moves);
        }
    }

    /// The item is done: what runs may end, nothing else begins.
    fn finish(&mut self, graph: &Graph, moves: &mut Moves) {
        self.deciding.clear();
        for path in self.paths().collect::<Vec<_>>() {
            let begun = match self.state(path) {
                StepState::Waiting { .. } | StepState::Deciding => false,
                StepState::Ready(attempts) => attempts.tries > 0,
                StepState::Running { .. }
                | StepState::Spread { .. }
                | StepState::Answered { .. }
                | StepState::Backoff { .. }
                | StepState::Ended(_)
                | StepState::Idle => true,
            };
            if !begun {
                if self.is_ready(path) {
                    moves.withdrawn.push(path);
                }
                self.close(graph, path, End::Absent);
            }
        }
    }
}

fn told(guard: &Guard, fault: &Fault) -> String {
    let help = fault.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("the condition `{}`: {}{help}", guard.condition.text.trim(), fault.message)
}
