//! What a step means, as a text: two steps with the same text do the same. Prose, places and the figures that the
//! document expects are left out.

use super::model::{Arm, Graph, Guard, Step, StepId, Target, ValueId};
use std::fmt::Write;

impl Graph {
    /// All that decides on how the step runs, a line each; for comparing, not for reading back.
    pub fn meaning(&self, id: StepId) -> String {
        let step = self.step(id);
        let mut out = String::new();
        let mut say = |what: &str, said: String| {
            let _ = writeln!(out, "{what}: {said}");
        };
        say("title", step.title.clone());
        say("kind", step.kind.name().to_owned());
        say("agent", format!("{:?}", step.agent));
        say("channel", format!("{:?}", step.channel));
        say("mark", format!("{:?}", step.mark));
        say("limits", format!("{:?} {:?} {:?}", step.retry, step.timeout, step.deadline));
        say("groups", self.group_limits(id));
        say(
            "undone by",
            format!("{:?} {}", step.compensate.map(|by| &self.step(by).title), step.irreversible),
        );
        say("often", self.often(step));
        if let Some(passage) = &step.state {
            let from = passage.from.iter().map(|state| self.state(*state)).collect::<Vec<_>>().join(", ");
            say("state", format!("{from} to {:?}", passage.to.map(|state| self.state(state))));
        }
        for input in &step.inputs {
            let makers = input.makers.iter().map(|maker| self.step(*maker).title.as_str());
            let makers = makers.collect::<Vec<_>>().join(", ");
            say(
                "takes",
                format!("{} {} {:?} from {makers}", self.said(input.value), input.optional, input.role),
            );
        }
        for output in &step.outputs {
            say("makes", format!("{} {}", self.said(output.value), output.optional));
        }
        if let Some(program) = &step.program {
            say("program", format!("{} {}", program.language.value, program.source));
        }
        for guard in &step.when {
            say("when", guard.condition.text.to_string());
        }
        for arm in step.chains.iter().flatten() {
            say("leads", self.arm(arm));
        }
        for taken in &step.guards {
            say("led by", format!("{} {} {}", self.step(taken.step).title, taken.chain, taken.arm));
        }
        for taken in &step.skips {
            say("skipped by", format!("{} {} {}", self.step(taken.step).title, taken.chain, taken.arm));
        }
        for need in &step.needs {
            say("after", format!("{} {}", self.step(need.step).title, need.data));
        }
        out
    }

    fn said(&self, id: ValueId) -> String {
        let value = self.value(id);
        match &value.ty {
            Some(ty) => match ty.schema() {
                Some(schema) => format!("{}::{ty} {schema}", value.name),
                None => format!("{}::{ty}", value.name),
            },
            None => value.name.clone(),
        }
    }

    fn often(&self, step: &Step) -> String {
        let each = step.each.map(|each| (&self.value(each.element).name, &self.value(each.list).name));
        format!("{each:?} {}", step.once)
    }

    fn group_limits(&self, id: StepId) -> String {
        let limits = self.around(id).map(|group| format!("{:?}", self.groups[group].deadline));
        limits.collect::<Vec<_>>().join(" ")
    }

    fn arm(&self, arm: &Arm) -> String {
        let condition = arm.guard.as_ref().map(|Guard { condition, .. }| &*condition.text);
        let target = match &arm.target {
            Target::Step(to) => format!("to {}", self.step(*to).title),
            Target::Skip(to) => format!("past to {}", self.step(*to).title),
            Target::End => "end".to_owned(),
            Target::Fail(reason) => format!("fail {reason}"),
            Target::Elsewhere => "elsewhere".to_owned(),
        };
        format!("{condition:?} {target}")
    }
}
