//! Resolves references that may name a step or a group: `[after:: …]` and the targets of decisions.

use super::Kind;
use super::names::{Names, Search};
use super::outline::{ancestors, holds, within};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{GroupId, Spec, is_event_type};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Step(usize),
    /// All forward steps of a group, at least one.
    Group(GroupId),
}

/// The place of the reference.
#[derive(Clone, Copy, Debug)]
pub(super) enum Namer {
    /// A step that waits, with the group around it.
    Step(Option<GroupId>),
    /// The steps of a group, which wait.
    Group(GroupId),
    /// A step that decides.
    Decider(usize),
}

pub(super) struct Targets<'a> {
    spec: &'a Spec,
    names: &'a Names<'a>,
    /// The forward steps of each group, including those of the groups in it, in document order.
    pub members: Vec<Vec<usize>>,
}

impl<'a> Targets<'a> {
    pub fn new(spec: &'a Spec, kinds: &[Kind], names: &'a Names<'a>) -> Self {
        let mut members = vec![Vec::new(); spec.groups.len()];
        for step in (0..spec.steps.len()).filter(|step| kinds[*step] == Kind::Forward) {
            ancestors(spec, spec.steps[step].group).for_each(|(group, _)| members[group].push(step));
        }
        Targets { spec, names, members }
    }

    /// A step with the title, else a group with forward steps.
    ///
    /// # Errors
    /// Neither has the title, several have it, or it is a group around the namer.
    pub fn find(
        &self,
        written: &str,
        at: Span,
        namer: Namer,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<Named, Box<Diagnostic>> {
        // `Review?` in an order: also where `Review` does not run.
        let known =
            |name: &str| self.names.is_step(name) || !matches!(self.names.find_group(name), Search::Nothing);
        let bare = written.strip_suffix('?').map(str::trim_end);
        let bare = bare.filter(|bare| !matches!(namer, Namer::Decider(_)) && !known(written) && known(bare));
        let written = bare.unwrap_or(written);
        let is_step = self.names.is_step(written);
        let group = match self.names.find_group(written) {
            Search::Nothing if !is_step => return Err(self.unknown(written, at, namer)),
            Search::Several(groups) if !is_step => {
                return Err(Box::new(self.ambiguous(written, at, groups)));
            }
            Search::Nothing | Search::Several(_) => None,
            Search::One(group) => Some(group),
        };
        if let (Some(group), false) = (group, is_step) {
            return self.refuse(group, at, namer).map(|()| Named::Group(group));
        }
        let step = self.names.find(written, at)?;
        if let Some(group) = group
            && self.members[group].iter().any(|member| *member != step)
            && !matches!(namer, Namer::Decider(step) if within(self.spec, step, group))
        {
            let title = &self.spec.steps[step].title;
            let means = match namer {
                Namer::Decider(_) => "leads to",
                Namer::Step(_) | Namer::Group(_) => "waits for",
            };
            let place = self.spec.groups[group].title.span;
            diagnostics.push(catalogue::step_and_group(&title.value, at, means, title.span, place));
        }
        Ok(Named::Step(step))
    }

    /// Neither has the title: perhaps it is an event, or leads back.
    fn unknown(&self, written: &str, at: Span, namer: Namer) -> Box<Diagnostic> {
        let unknown = self.names.unknown(written, at);
        let lower = written.to_lowercase();
        let back = ["back to ", "go back to ", "goes back to ", "return to ", "returns to ", "repeat "];
        Box::new(match namer {
            _ if !unknown.fixes.is_empty() => *unknown,
            Namer::Decider(_) if back.iter().any(|words| lower.starts_with(words)) => unknown
                .help("to repeat steps, put them into a group with `[repeat:: 3 until …]` in its heading"),
            Namer::Step(_) | Namer::Group(_) if written.contains('.') && is_event_type(written) => {
                unknown.help(format!("for an event, write `[await:: {written}]`"))
            }
            _ => *unknown,
        })
    }

    fn ambiguous(&self, written: &str, at: Span, groups: &[GroupId]) -> Diagnostic {
        let named = |id: &GroupId| {
            let group = &self.spec.groups[*id];
            let around = ancestors(self.spec, group.parent).next();
            let title = &group.title.value;
            let full = around.map(|(_, around)| format!("{}/{title}", around.title.value));
            (full.unwrap_or_else(|| title.clone()), group.title.span)
        };
        catalogue::ambiguous_group(written, at, groups.iter().map(named))
    }

    /// A member of a group can neither wait for all of it nor decide on all of it; a group without forward steps is
    /// not a target at all.
    fn refuse(&self, group: GroupId, at: Span, namer: Namer) -> Result<(), Box<Diagnostic>> {
        let title = &self.spec.groups[group].title;
        if self.members[group].is_empty() {
            return Err(Box::new(catalogue::group_without_steps(&title.value, at, title.span)));
        }
        let (own, cannot) = match namer {
            Namer::Step(around) => (holds(self.spec, group, around), "wait for"),
            Namer::Group(own) => {
                let either = holds(self.spec, group, Some(own)) || holds(self.spec, own, Some(group));
                (either, "wait for")
            }
            Namer::Decider(step) => (within(self.spec, step, group), "decide on"),
        };
        let other = |step: &&usize| !matches!(namer, Namer::Decider(decider) if decider == **step);
        let first = self.members[group].iter().find(other).map(|step| self.names.title(*step));
        match own {
            true => Err(Box::new(catalogue::own_group(&title.value, at, cannot, title.span, first))),
            false => Ok(()),
        }
    }
}
