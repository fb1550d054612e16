//! Nested groups: which ones contain a step, and the annotations that they pass down to it.

use crate::spec::{Annotations, Group, GroupId, Spec, Step};

/// The groups around the contents of `group`, the innermost first.
pub(super) fn ancestors(spec: &Spec, group: Option<GroupId>) -> impl Iterator<Item = (GroupId, &Group)> {
    let at = |id: GroupId| spec.groups.get(id).map(|group| (id, group));
    // A group comes after its parent; otherwise this would not end.
    std::iter::successors(group.and_then(at), move |(id, group)| {
        group.parent.filter(|parent| parent < id).and_then(at)
    })
}

/// Whether `step` is in `group` or in a group below it.
pub(super) fn within(spec: &Spec, step: usize, group: GroupId) -> bool {
    holds(spec, group, spec.steps[step].group)
}

/// Whether a group is `inner` or contains it.
pub(super) fn holds(spec: &Spec, group: GroupId, inner: Option<GroupId>) -> bool {
    ancestors(spec, inner).any(|(id, _)| id == group)
}

/// A step's own annotation, or else that of the nearest of its groups.
pub(super) fn inherited<'a, T>(
    spec: &'a Spec,
    step: &'a Step,
    said: impl Fn(&'a Annotations) -> Option<&'a T>,
) -> Option<&'a T> {
    said(&step.annotations)
        .or_else(|| ancestors(spec, step.group).find_map(|(_, group)| said(&group.annotations)))
}
