//! Which headings are steps, which are groups, which are prose. Reads what [`body`](super::body) found.

use super::body::Part;
use super::field;
use super::phase::{named, names, phase};
use super::title;
use std::collections::{HashMap, HashSet};

/// The kind of a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The document's beginning, before any heading.
    Start,
    /// The workflow's name.
    Title,
    Section,
    Group,
    Step,
}

/// Titles that are never steps.
const RESERVED: [&str; 5] = ["Types", "Compensations", "Goals", "Summary", "Workflow Summary"];

pub(super) fn is_reserved(title: &str) -> bool {
    RESERVED.contains(&title)
}

/// The role of each part.
pub(super) fn roles(text: &str, parts: &[Part]) -> Vec<Role> {
    let evident = evident(text, parts);
    let mut roles = vec![Role::Section; parts.len()];
    // The headings above the current one in the outline, outermost first.
    let mut above: Vec<usize> = Vec::new();
    let mut titled = false;
    for (index, part) in parts.iter().enumerate() {
        let Some(head) = &part.head else {
            roles[index] = Role::Start;
            continue;
        };
        above.retain(|outer| parts[*outer].head.as_ref().is_some_and(|outer| outer.level < head.level));
        if head.level == 1 && !std::mem::replace(&mut titled, true) {
            roles[index] = Role::Title;
            above.clear();
            continue;
        }
        if evident[index] {
            for outer in &above {
                roles[*outer] = Role::Group;
            }
            roles[index] = Role::Step;
        }
        above.push(index);
    }
    roles
}

/// Whether each part's heading has evidence of being a step, by itself or by names that it shares with others.
fn evident(text: &str, parts: &[Part]) -> Vec<bool> {
    let titles: Vec<&str> = parts.iter().map(|part| part.title(text)).collect();
    let may: Vec<bool> =
        parts.iter().zip(&titles).map(|(part, title)| part.head.is_some() && !is_reserved(title)).collect();
    let mut evident: Vec<bool> =
        parts.iter().zip(&may).map(|(part, may)| *may && part.is_evident(text)).collect();

    let mut users: HashMap<&str, usize> = HashMap::new();
    for (part, _) in parts.iter().zip(&may).filter(|(_, may)| **may) {
        for name in part.names() {
            *users.entry(name).or_default() += 1;
        }
    }
    for (index, part) in parts.iter().enumerate() {
        evident[index] |= may[index] && part.names().iter().any(|name| users[name] > 1);
    }
    hand_overs(parts, &titles, &may, &mut evident);
    evident
}

/// A heading whose output goes to a step is a step, and so on backwards.
fn hand_overs(parts: &[Part], titles: &[&str], may: &[bool], evident: &mut [bool]) {
    let mut givers: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate().filter(|(index, _)| may[*index] && !evident[*index]) {
        for over in part.arrows.iter().filter_map(|arrow| arrow.hand_over.as_ref()) {
            let target = title::key(&over.to.value);
            if let Some((_, step)) = target.rsplit_once('/') {
                givers.entry(step.to_owned()).or_default().push(index);
            }
            givers.entry(target).or_default().push(index);
        }
    }
    let mut open: Vec<&str> = (0..parts.len()).filter(|i| evident[*i]).map(|i| titles[i]).collect();
    while let Some(title) = open.pop() {
        for giver in givers.remove(title).unwrap_or_default() {
            if !std::mem::replace(&mut evident[giver], true) {
                open.push(titles[giver]);
            }
        }
    }
}

impl Part<'_> {
    /// The heading's title if it is a step, in the form for comparisons; empty without a heading.
    pub fn title(&self, text: &str) -> &str {
        let read = || {
            let head = self.head.as_ref();
            head.map_or_else(String::new, |head| title::key(&text[head.title.start..head.title.end]))
        };
        self.title.get_or_init(read)
    }

    /// Whether the heading has evidence of its own.
    pub fn is_evident(&self, text: &str) -> bool {
        let known = |field: &field::Field| field::is_known(&text[field.key.start..field.key.end]);
        self.head.as_ref().is_some_and(|head| head.is_annotated())
            || !self.programs.is_empty()
            || self.arrows.iter().any(|arrow| arrow.is_typed())
            || self.fields.iter().any(known)
            || self.is_traced(text)
    }

    /// Whether a trace below the heading names its phase.
    fn is_traced(&self, text: &str) -> bool {
        let phase = phase(self.title(text));
        let rows = self.traces.iter().flat_map(|fence| named(&text[fence.content.start..fence.content.end]));
        !phase.is_empty() && rows.into_iter().any(|row| names(row, &phase))
    }

    /// The names in its signatures, each once.
    pub fn names(&self) -> HashSet<&str> {
        let outputs = self.head.iter().flat_map(|head| head.outputs()).flat_map(|output| output.names());
        self.arrows.iter().flat_map(|arrow| arrow.names()).chain(outputs).collect()
    }
}
