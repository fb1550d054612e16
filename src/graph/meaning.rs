//! The meaning of a step as a text: two steps with the same text do the same. Prose, places and expectations are left
//! out.

use super::model::{Arm, Each, Graph, Guard, Passage, Role, Step, StepId, Taken, Target, ValueId};
use crate::spec::{Backoff, Mark, Retry};
use crate::value::words;
use std::fmt::Write;

/// Collects the text, a line for each property.
#[derive(Default)]
struct MeaningText(String);

impl MeaningText {
    fn say(&mut self, what: &str, said: impl AsRef<str>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{what}: {}", said.as_ref());
    }

    /// Adds a property if it is present.
    fn say_any(&mut self, what: &str, said: Option<impl AsRef<str>>) {
        if let Some(said) = said {
            self.say(what, said);
        }
    }
}

impl Graph {
    /// Everything that determines how the step runs, a line each, for comparison by people; absent properties have no
    /// line.
    pub fn meaning(&self, id: StepId) -> String {
        self.meaning_with(id, true)
    }

    /// The same without the text and language of its program.
    pub fn meaning_beside_program(&self, id: StepId) -> String {
        self.meaning_with(id, false)
    }

    fn meaning_with(&self, id: StepId, program: bool) -> String {
        let step = self.step(id);
        let mut text = MeaningText::default();
        text.say("title", &step.title);
        text.say("kind", step.kind.name());
        text.say_any("agent", step.agent.as_ref());
        text.say_any("channel", step.channel.as_ref());
        text.say_any("mark", step.mark.map(mark));
        text.say_any("retry", step.retry.as_ref().map(retry));
        text.say_any("timeout", step.timeout.map(words::duration));
        text.say_any("deadline", step.deadline.map(words::duration));
        for deadline in self.around(id).map(|group| self.groups[group].deadline) {
            text.say("deadline of its group", deadline.map_or("none".to_owned(), words::duration));
        }
        text.say_any("compensated by", step.compensate.map(|by| &self.step(by).phase));
        text.say_any("irreversible", step.irreversible.then_some("yes"));
        text.say_any("effects", step.pure.then_some("none"));
        let each = |each: Each| format!("{} in {}", self.value(each.element).name, self.list(step, each));
        text.say_any("each", step.each.map(each));
        text.say_any("once for all items", step.once.then_some("yes"));
        text.say_any("always", step.always.then_some("yes"));
        if let Some(Passage { from, to }) = &step.state {
            let from = from.iter().map(|state| self.state(*state)).collect::<Vec<_>>().join(", ");
            text.say("state", to.map_or(from.clone(), |to| format!("{from} → {}", self.state(to))));
            text.say_any("an item begins in", self.initial.map(|state| self.state(state)));
        }
        text.say_any("document", step.document.as_ref());
        self.say_values(step, &mut text);
        if let Some(program) = step.program.as_ref().filter(|_| program) {
            text.say("program", &program.language.value);
            // Indented, so that no line of it looks like another property.
            program.source.split('\n').for_each(|line| text.0.push_str(&format!("  {line}\n")));
        }
        self.say_order(step, &mut text);
        text.0
    }

    fn say_values(&self, step: &Step, text: &mut MeaningText) {
        for input in &step.inputs {
            let makers = input.makers.iter().map(|maker| self.step(*maker).phase.as_str());
            let makers = makers.collect::<Vec<_>>().join(", ");
            let from = if makers.is_empty() { makers } else { format!(", from {makers}") };
            let absent = match (input.feedback, input.optional) {
                (Some(_), _) => ", of the round before",
                (None, true) => ", may be absent",
                (None, false) => "",
            };
            let role = match input.role {
                Role::Given => "",
                Role::List => ", for its elements",
                Role::Failure => ", of the failure",
            };
            text.say("takes", format!("{}{absent}{role}{from}", self.said(input.value)));
        }
        for output in &step.outputs {
            let absent = if output.optional { ", may be absent" } else { "" };
            text.say("makes", format!("{}{absent}", self.said(output.value)));
        }
    }

    /// Adds whether and when it runs.
    fn say_order(&self, step: &Step, text: &mut MeaningText) {
        for gate in step.gates.iter().filter_map(|gate| self.gate(*gate)) {
            let within = gate.within.map(|time| format!(" within {}", words::duration(time)));
            let by = gate.by.as_ref().map(|by| format!(" by @{by}"));
            let of = self.gate_name(gate);
            text.say("gate", format!("of {of}{}{}", within.unwrap_or_default(), by.unwrap_or_default()));
        }
        for repeat in step.repeats.iter().filter_map(|id| self.repeat(*id)) {
            let every = repeat.every.map(|pause| format!(" every {}", words::duration(pause)));
            let (of, until) = (self.repeat_name(repeat), repeat.until.condition.text.trim());
            text.say(
                "repeat",
                format!("of {of}: {} until {until}{}", repeat.most, every.unwrap_or_default()),
            );
        }
        for guard in &step.when {
            text.say("when", &*guard.condition.text);
        }
        text.say_any("awaits", step.awaits.as_ref().map(|awaits| awaits.text()));
        step.emits.iter().for_each(|event| text.say("publishes", event));
        for (chain, number) in step.chains.iter().zip(1..) {
            chain.iter().for_each(|arm| text.say(&format!("decision {number}"), self.arm(arm)));
        }
        let taken = |taken: &Taken| {
            let phase = &self.step(taken.step).phase;
            format!("{phase}, decision {}, way {}", taken.chain + 1, taken.arm + 1)
        };
        step.guards.iter().for_each(|guard| text.say("led to by", taken(guard)));
        step.skips.iter().for_each(|skip| text.say("skipped by", taken(skip)));
        for need in &step.needs {
            let data = if need.data { ", whose data it needs" } else { "" };
            text.say("after", format!("{}{data}", self.step(need.step).phase));
        }
    }

    fn said(&self, id: ValueId) -> String {
        let value = self.value(id);
        match value.ty.as_ref().filter(|_| !value.adopted) {
            Some(ty) => match ty.schema() {
                Some(schema) => format!("{}::{ty} {schema}", value.name),
                None => format!("{}::{ty}", value.name),
            },
            None => value.name.clone(),
        }
    }

    fn arm(&self, arm: &Arm) -> String {
        let target = match &arm.target {
            Target::Step(to) => format!("to {}", self.step(*to).phase),
            Target::Group(group) => format!("to the group {}", self.group_name(*group)),
            Target::SkipToGroup(group) => format!("skip to the group {}", self.group_name(*group)),
            Target::Skip(to) => format!("skip to {}", self.step(*to).phase),
            Target::End => "end".to_owned(),
            Target::Fail(reason) => format!("fail {reason:?}"),
            Target::Elsewhere => "elsewhere".to_owned(),
        };
        match &arm.guard {
            Some(Guard { condition, .. }) => format!("if {} {target}", condition.text),
            None => format!("otherwise {target}"),
        }
    }
}

fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Critical => "critical",
        Mark::Optional => "optional",
    }
}

fn retry(retry: &Retry) -> String {
    match retry.backoff {
        Backoff::Fixed(pause) => format!("{} fixed {}", retry.retries, words::duration(pause)),
        Backoff::Exponential { first, most } => {
            format!("{} exponential {}..{}", retry.retries, words::duration(first), words::duration(most))
        }
    }
}
