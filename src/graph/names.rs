//! The names of steps: their phases, and the step that a reference means. Knows nothing of values.

use super::outline::ancestors;
use crate::diag::{Diagnostic, Span, catalogue, nearest};
use crate::spec::title::{key, unlabelled};
use crate::spec::{GroupId, Spec, phase};
use std::cell::Cell;
use std::collections::HashMap;

/// How many unknown names get a suggestion: each costs a comparison with every name.
const SUGGESTIONS: usize = 50;

/// How many groups and steps are searched for a group that is named instead of a step.
const SEARCHED: usize = 200;

pub(super) struct Names<'a> {
    spec: &'a Spec,
    /// By step: the name in traces.
    pub phases: Vec<String>,
    /// All possible references, in the form for comparisons, with the steps that they name, in document order.
    known: HashMap<String, Vec<usize>>,
    /// The same for groups: a title, or `Group/Group`.
    groups: HashMap<String, Vec<GroupId>>,
    suggestions: Cell<usize>,
}

/// The result of a search for a name.
pub(super) enum Search<'a> {
    Nothing,
    One(GroupId),
    Several(&'a [GroupId]),
}

impl<'a> Names<'a> {
    pub fn new(spec: &'a Spec, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let short: Vec<String> = spec.steps.iter().map(|step| phase(&step.title.value)).collect();
        let phases = unique(spec, &short);
        report_duplicates(spec, &phases, diagnostics);
        let mut known: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, step) in spec.steps.iter().enumerate() {
            let title = &step.title.value;
            let mut names = vec![key(title), short[index].clone(), phases[index].clone()];
            if let Some((_, group)) = ancestors(spec, step.group).next() {
                let group = &group.title.value;
                names.push(key(&format!("{group}/{title}")));
                names.push(format!("{}/{}", phase(group), short[index]));
            }
            names.sort_unstable();
            names.dedup();
            for name in names {
                known.entry(name).or_default().push(index);
            }
        }
        let mut groups: HashMap<String, Vec<GroupId>> = HashMap::new();
        for (id, group) in spec.groups.iter().enumerate() {
            let title = &group.title.value;
            groups.entry(key(title)).or_default().push(id);
            if let Some((_, around)) = ancestors(spec, group.parent).next() {
                groups.entry(key(&format!("{}/{title}", around.title.value))).or_default().push(id);
            }
        }
        Names { spec, phases, known, groups, suggestions: Cell::new(SUGGESTIONS) }
    }

    /// The group that `written` means. A group outside of all groups has only its short name.
    pub fn find_group(&self, written: &str) -> Search<'_> {
        let found = self.groups.get(&key(written)).map_or(&[][..], Vec::as_slice);
        let mut free = found.iter().filter(|group| self.spec.groups[**group].parent.is_none());
        match (found, free.next(), free.next()) {
            ([], ..) => Search::Nothing,
            ([group], ..) | (_, Some(group), None) => Search::One(*group),
            (several, ..) => Search::Several(several),
        }
    }

    /// Whether a step has this name.
    pub fn is_step(&self, written: &str) -> bool {
        self.known.contains_key(&key(written))
    }

    /// The step that `written` means: a title, a phase, or `Group/Step`. A step outside of all groups has only its
    /// short name.
    pub fn find(&self, written: &str, at: Span) -> Result<usize, Box<Diagnostic>> {
        let found = self.known.get(&key(written)).map_or(&[][..], Vec::as_slice);
        let mut free = found.iter().filter(|step| self.spec.steps[**step].group.is_none());
        match (found, free.next(), free.next()) {
            ([], ..) if self.group(written).is_some() => {
                let (title, place) = self.group(written).unwrap_or((written, at));
                Err(Box::new(catalogue::group_named(title, at, place, &self.within(written))))
            }
            ([], ..) => {
                Err(Box::new(catalogue::unknown_step(written, at, self.near(written, self.titles()))))
            }
            ([step], ..) | (_, Some(step), None) => Ok(*step),
            (several, ..) => {
                let named = |step: &usize| (self.phases[*step].clone(), self.spec.steps[*step].title.span);
                Err(Box::new(catalogue::ambiguous_step(written, at, several.iter().map(named))))
            }
        }
    }

    /// The error that no step or group has this name.
    pub fn unknown(&self, written: &str, at: Span) -> Box<Diagnostic> {
        let groups = self.spec.groups.iter().map(|group| group.title.value.as_str());
        Box::new(catalogue::unknown_step(written, at, self.near(written, self.titles().chain(groups))))
    }

    /// The group of that title.
    fn group(&self, written: &str) -> Option<(&'a str, Span)> {
        let meant = key(written);
        let group = self.spec.groups.iter().take(SEARCHED).find(|group| key(&group.title.value) == meant)?;
        Some((&group.title.value, group.title.span))
    }

    /// The titles of the steps in that group.
    fn within(&self, written: &str) -> Vec<&'a str> {
        let meant = key(written);
        let holds = |step: &&crate::spec::Step| {
            ancestors(self.spec, step.group).any(|(_, group)| key(&group.title.value) == meant)
        };
        self.spec
            .steps
            .iter()
            .take(SEARCHED)
            .filter(holds)
            .map(|step| step.title.value.as_str())
            .take(4)
            .collect()
    }

    pub fn title(&self, step: usize) -> &'a str {
        &self.spec.steps[step].title.value
    }

    fn titles(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.spec.steps.iter().map(|step| step.title.value.as_str())
    }

    /// The nearest of `known`, up to the limit of suggestions.
    pub fn near<'b>(&self, written: &str, known: impl IntoIterator<Item = &'b str>) -> Option<&'b str> {
        self.suggestions.set(self.suggestions.get().checked_sub(1)?);
        let meant = key(written).to_lowercase();
        let known: Vec<&str> = known.into_iter().collect();
        let labelled = |title: &&&str| unlabelled(title).is_some_and(|bare| bare.to_lowercase() == meant);
        known.iter().find(labelled).copied().or_else(|| nearest(written, known.iter().copied()))
    }
}

/// Each step's phase; equal ones get the names of their groups, innermost first.
fn unique(spec: &Spec, short: &[String]) -> Vec<String> {
    let mut phases = short.to_vec();
    let mut clashes = equal(&phases);
    // Headings have six levels, so steps are in at most six groups.
    for depth in 1..=6 {
        if clashes.is_empty() {
            break;
        }
        for step in clashes {
            let groups: Vec<_> = ancestors(spec, spec.steps[step].group).take(depth).collect();
            let groups = groups.iter().rev().map(|(_, group)| phase(&group.title.value) + "/");
            phases[step] = groups.collect::<String>() + &short[step];
        }
        clashes = equal(&phases);
    }
    phases
}

/// The steps whose phase another step has too.
fn equal(phases: &[String]) -> Vec<usize> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for phase in phases {
        *count.entry(phase).or_default() += 1;
    }
    (0..phases.len()).filter(|step| count[phases[*step].as_str()] > 1).collect()
}

fn report_duplicates(spec: &Spec, phases: &[String], diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (step, phase) in phases.iter().enumerate() {
        let earlier = *first.entry(phase).or_insert(step);
        if earlier != step {
            let (title, other) = (&spec.steps[step].title, &spec.steps[earlier].title);
            diagnostics.push(catalogue::duplicate_step(
                &title.value,
                title.span,
                &other.value,
                other.span,
                phase,
            ));
        }
    }
}
