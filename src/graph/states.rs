//! Resolves the states in the steps and checks them against the document's diagram. `ways` finds the states in which
//! an item can be when a step begins.

use super::names::Names;
use super::once::Once;
use super::{Passage, StateId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{self, Diagram, Spanned, Spec};
use std::collections::{HashMap, HashSet};

/// The states of the diagram and the steps.
#[derive(Default)]
pub(super) struct States {
    pub names: Vec<String>,
    pub initial: Option<StateId>,
    /// By step.
    pub passages: Vec<Option<Passage>>,
}

pub(super) fn resolve(spec: &Spec, once: &Once, names: &Names, diagnostics: &mut Vec<Diagnostic>) -> States {
    let mut states = States { passages: vec![None; spec.steps.len()], ..States::default() };
    let known = spec.diagram.as_ref().map(|diagram| Known::new(diagram, names));
    for (step, said) in spec.steps.iter().enumerate() {
        let Some(passage) = &said.annotations.state else { continue };
        if let Some(at) = once.said(step) {
            let message =
                format!("`{}` runs once for all items, and each of them has its own state", said.title.value);
            diagnostics.push(catalogue::once_of_item(message, passage.span, at));
        }
        match &known {
            Some(known) if known.diagram.whole => states.passages[step] = known.passage(passage, diagnostics),
            Some(_) => {}
            None => diagnostics.push(catalogue::state_without_diagram(passage.span)),
        }
    }
    if let Some(diagram) = &spec.diagram {
        states.names = diagram.states.iter().map(|state| state.value.clone()).collect();
        states.initial = diagram.initial.as_ref().map(|initial| StateId(initial.value as u32));
    }
    states
}

/// The most next states that are shown.
const SHOWN: usize = 20;

struct Known<'a> {
    diagram: &'a Diagram,
    names: &'a Names<'a>,
    states: HashMap<&'a str, usize>,
    /// By state: the first states that may follow it.
    next: HashMap<usize, Vec<usize>>,
    moves: HashSet<(usize, usize)>,
}

impl<'a> Known<'a> {
    fn new(diagram: &'a Diagram, names: &'a Names<'a>) -> Self {
        let states = diagram.states.iter().zip(0..).map(|(state, id)| (state.value.as_str(), id)).collect();
        let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
        for (from, to) in &diagram.moves {
            let known = next.entry(*from).or_default();
            if known.len() < SHOWN {
                known.push(*to);
            }
        }
        Known { diagram, names, states, next, moves: diagram.moves.iter().copied().collect() }
    }

    fn passage(&self, said: &Spanned<spec::Passage>, diagnostics: &mut Vec<Diagnostic>) -> Option<Passage> {
        let mut find = |name: &Spanned<String>| {
            let found = self.states.get(name.value.as_str()).copied();
            if found.is_none() {
                diagnostics.push(self.unknown(name));
            }
            found
        };
        let from: Vec<Option<usize>> = said.value.from.iter().map(&mut find).collect();
        let to = said.value.to.as_ref().map(find);
        let from: Vec<usize> = from.into_iter().collect::<Option<_>>()?;
        if let Some(to) = to {
            for (state, name) in from.iter().zip(&said.value.from) {
                let at = if from.len() == 1 { said.span } else { name.span };
                diagnostics.extend(self.refuses(*state, to?, at));
            }
        }
        let id = |state: usize| StateId(state as u32);
        Some(Passage { from: from.into_iter().map(id).collect(), to: to.flatten().map(id) })
    }

    fn unknown(&self, name: &Spanned<String>) -> Diagnostic {
        let near = self.names.near(&name.value, self.states.keys().copied());
        let near = near.map(|near| (near, self.diagram.states[self.states[near]].span));
        catalogue::unknown_state(name.span, &name.value, self.diagram.span, near)
    }

    fn refuses(&self, from: usize, to: usize, at: Span) -> Option<Diagnostic> {
        if self.moves.contains(&(from, to)) {
            return None;
        }
        let state = |id: usize| &self.diagram.states[id];
        let next = self.next.get(&from).map_or(&[][..], Vec::as_slice);
        let next: Vec<&str> = next.iter().map(|next| state(*next).value.as_str()).collect();
        let (start, end) = (state(from), state(to));
        Some(catalogue::no_transition(at, &start.value, &end.value, start.span, &next))
    }
}
