//! The flow of values: the inputs and outputs of each step, the makers of values, and which steps are failure
//! handlers. Knows nothing of types and orders.

use super::branches::Branches;
use super::names::Names;
use super::repeat::Loops;
use super::saga::Saga;
use super::{Each, Guard, Kind, RepeatId, Role, ValueId, ValueInfo};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{self, Spanned, Spec};
use crate::value::{Type, in_conditions};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// Branches that may make one value.
const MOST_MAKERS: usize = 100;

/// A name in a signature, with its value.
#[derive(Clone, Copy)]
pub(super) struct Port<'a> {
    pub value: ValueId,
    pub optional: bool,
    pub ty: Option<&'a Spanned<Type>>,
    pub role: Role,
    pub span: Span,
}

/// The origin of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From outside, or, for a failure handler, from the failure itself.
    Outside,
    /// From the step that makes the value, or from one of several that exclude each other.
    Made,
    /// From a later step in this loop, in the round before.
    Feedback(RepeatId),
    /// One element of a list, while the step runs for it, or the payload of the event that it waits for.
    Element,
    /// An error that has been reported.
    Unclear,
}

/// A forward step's output, with its place.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub step: usize,
    pub port: Port<'a>,
}

/// The inputs and outputs of one step; each value once.
#[derive(Default)]
pub(super) struct Ports<'a> {
    pub inputs: Vec<Port<'a>>,
    pub outputs: Vec<Port<'a>>,
    /// By input.
    pub origins: Vec<Origin>,
}

pub(super) struct Flow<'a> {
    pub values: Vec<ValueInfo>,
    by_name: HashMap<&'a str, ValueId>,
    /// By step.
    pub steps: Vec<Ports<'a>>,
    pub kinds: Vec<Kind>,
    /// By step: the list for each of whose elements it runs.
    pub each: Vec<Option<Each>>,
    /// By step: the path to that list in a value, if the value itself is not the list.
    pub ways: Vec<Option<Guard>>,
    /// By step: the payload of the event that it waits for.
    pub payloads: Vec<Option<ValueId>>,
    /// By value: the forward steps that make it.
    pub makers: Vec<Vec<Made<'a>>>,
    /// By value: the failure handlers and compensations that make it.
    pub late_makers: Vec<Vec<Made<'a>>>,
}

impl<'a> Flow<'a> {
    /// Reads all signatures and determines which steps are failure handlers. Origins are still empty.
    pub fn new(spec: &'a Spec, names: &Names, saga: &Saga, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let steps = spec.steps.iter().map(|_| Ports::default()).collect();
        let mut flow = Flow {
            values: Vec::new(),
            by_name: HashMap::new(),
            steps,
            kinds: Vec::new(),
            each: vec![None; spec.steps.len()],
            ways: vec![None; spec.steps.len()],
            payloads: vec![None; spec.steps.len()],
            makers: Vec::new(),
            late_makers: Vec::new(),
        };
        for (name, _) in spec.front.inputs.iter().flatten() {
            flow.value(&name.value);
        }
        let mut handed = Vec::new();
        for (index, step) in spec.steps.iter().enumerate() {
            if let Some(signature) = &step.signature {
                handed.extend(flow.read(index, signature));
            }
            if let Some(each) = step.annotations.each.as_ref().filter(|each| each.value.way.is_none()) {
                flow.spread(index, &each.value, &[&each.value.list.value]);
            }
            if let Some(awaits) = &step.annotations.awaits {
                flow.payloads[index] = Some(flow.value(&awaits.value.payload));
            }
        }
        flow.seek(spec, names, diagnostics);
        flow.hand_over(handed, names, diagnostics);
        for ports in &mut flow.steps {
            merge(&mut ports.inputs);
            merge(&mut ports.outputs);
        }
        flow.kinds = flow.decide_kinds(spec, saga, diagnostics);
        flow.collect_makers(spec);
        flow
    }

    pub fn name(&self, value: ValueId) -> &str {
        &self.values[value.index()].name
    }

    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.by_name.get(name).copied()
    }

    fn value(&mut self, name: &'a str) -> ValueId {
        *self.by_name.entry(name).or_insert_with(|| {
            self.values.push(ValueInfo { name: name.to_owned(), ty: None, adopted: false });
            ValueId(self.values.len() as u32 - 1)
        })
    }

    /// Adds a step's ports; returns the step with the one that it makes its output for, if any.
    fn read(&mut self, step: usize, signature: &'a spec::Signature) -> Option<(usize, &'a Spanned<String>)> {
        let inputs = signature.inputs.iter().map(|port| self.port(port)).collect();
        let outputs = signature.outputs.iter().map(|port| self.port(port)).collect();
        self.steps[step] = Ports { inputs, outputs, origins: Vec::new() };
        signature.hands_to.as_ref().map(|target| (step, target))
    }

    /// Finds the values that contain the lists over which steps run.
    fn seek(&mut self, spec: &'a Spec, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
        let written: HashMap<String, &'a str> =
            self.by_name.keys().map(|name| (in_conditions(name), *name)).collect();
        for (index, step) in spec.steps.iter().enumerate() {
            let Some(each) = &step.annotations.each else { continue };
            let Some(way) = &each.value.way else { continue };
            if self.by_name.contains_key(each.value.list.value.as_str()) {
                self.spread(index, &each.value, &[&each.value.list.value]);
                continue;
            }
            let mut found: Vec<&str> = Vec::new();
            for (name, at) in way.value.names() {
                match written.get(name) {
                    Some(value) => found.push(value),
                    None => {
                        let at = Span::new(way.span.start + at.start, way.span.start + at.end);
                        let near = names.near(name, written.keys().map(String::as_str));
                        diagnostics.push(catalogue::unknown_value(at, name, near));
                    }
                }
            }
            if found.is_empty() {
                continue;
            }
            self.spread(index, &each.value, &found);
            let value = |name: &&str| Some((in_conditions(name), self.find(name)?));
            let names = found.iter().filter_map(value).collect();
            self.ways[index] = Some(Guard { condition: way.value.clone(), names });
        }
    }

    /// A step that runs for each element of a list gets the element, named in its signature or not, and waits for the
    /// list, or for the values `of` that contain it.
    fn spread(&mut self, step: usize, each: &'a spec::Each, of: &[&'a str]) {
        let element = self.value(&each.element.value);
        let lists: Vec<ValueId> = of.iter().map(|name| self.value(name)).collect();
        let Some(list) = lists.first().copied() else { return };
        let inputs = &mut self.steps[step].inputs;
        let port = |value, span, role| Port { value, optional: false, ty: None, role, span };
        if !inputs.iter().any(|port| port.value == element) {
            inputs.push(port(element, each.element.span, Role::Given));
        }
        for list in lists {
            match inputs.iter_mut().find(|port| port.value == list) {
                Some(known) => known.optional = false,
                None => inputs.push(port(list, each.list.span, Role::List)),
            }
        }
        self.each[step] = Some(Each { element, list });
    }

    fn port(&mut self, port: &'a spec::Port) -> Port<'a> {
        let value = self.value(&port.name.value);
        Port { value, optional: port.optional, ty: port.ty.as_ref(), role: Role::Given, span: port.name.span }
    }

    fn hand_over(
        &mut self,
        handed: Vec<(usize, &'a Spanned<String>)>,
        names: &Names,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for (step, target) in handed {
            match names.find(&target.value, target.span) {
                Ok(target) => {
                    let ports = self.steps[step].outputs.clone();
                    self.steps[target].inputs.extend(ports);
                }
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
    }

    fn decide_kinds(&self, spec: &Spec, saga: &Saga, diagnostics: &mut Vec<Diagnostic>) -> Vec<Kind> {
        let made: HashSet<ValueId> =
            self.steps.iter().flat_map(|ports| &ports.outputs).map(|port| port.value).collect();
        let listed: HashSet<&str> =
            spec.front.inputs.iter().flatten().map(|(name, _)| name.value.as_str()).collect();
        let failed = |port: &Port| {
            let name = self.name(port.value);
            names_failures(name) && !made.contains(&port.value) && !listed.contains(name)
        };
        let handles: Vec<bool> = self.steps.iter().map(|ports| ports.inputs.iter().any(failed)).collect();
        let at = |step: usize| spec.steps[step].title.span;
        let plain = |step: usize| handles[step] && !saga.undoes[step];
        for (step, said) in spec.steps.iter().enumerate().filter(|(step, _)| plain(*step)) {
            let own = said.annotations.compensate.as_ref().map(|by| by.span);
            let own = own.or(said.annotations.irreversible.as_ref().map(|flag| flag.span));
            let why = "a failure handler is not compensated";
            diagnostics.extend(own.map(|span| catalogue::bad_compensation(span, why, at(step))));
        }
        let undoing = (0..handles.len()).filter(|step| handles[*step] && saga.undoes[*step]);
        let why = "a step that takes `failed_...` handles failures and compensates no step";
        diagnostics.extend(undoing.map(|step| catalogue::bad_compensation(at(step), why, at(step))));
        let kinds = handles.iter().zip(&saga.undoes).map(|of_step| match of_step {
            (true, _) => Kind::Handler,
            (false, true) => Kind::Compensation,
            (false, false) => Kind::Forward,
        });
        kinds.collect()
    }

    fn collect_makers(&mut self, spec: &Spec) {
        self.makers = vec![Vec::new(); self.values.len()];
        self.late_makers = vec![Vec::new(); self.values.len()];
        for (step, ports) in self.steps.iter().enumerate() {
            let makers = match self.kinds[step] {
                Kind::Forward => &mut self.makers,
                Kind::Handler | Kind::Compensation => &mut self.late_makers,
            };
            for port in &ports.outputs {
                makers[port.value.index()].push(Made { step, port: *port });
            }
            if let (Some(value), Some(awaits)) = (self.payloads[step], &spec.steps[step].annotations.awaits)
                && !ports.outputs.iter().any(|port| port.value == value)
            {
                let span = awaits.value.event.span;
                let port = Port { value, optional: false, ty: None, role: Role::Given, span };
                makers[value.index()].push(Made { step, port });
            }
        }
    }
}

/// Leaves one port of each value; one named twice is optional only if both are.
fn merge(ports: &mut Vec<Port>) {
    let mut first: HashMap<ValueId, usize> = HashMap::new();
    let mut merged: Vec<Port> = Vec::with_capacity(ports.len());
    for port in ports.iter() {
        match first.entry(port.value) {
            Entry::Occupied(known) => merged[*known.get()].optional &= port.optional,
            Entry::Vacant(new) => {
                new.insert(merged.len());
                merged.push(*port);
            }
        }
    }
    *ports = merged;
}

/// `failed_orders`, but not `failed_order` or `failed_address`.
pub(super) fn names_failures(name: &str) -> bool {
    let plural = |noun: &str| {
        let regular = noun.len() > 1
            && noun.ends_with('s')
            && !["ss", "us", "is"].iter().any(|end| noun.ends_with(end));
        regular || noun.ends_with("people") || noun.ends_with("children")
    };
    name.strip_prefix("failed_").is_some_and(plural)
}

/// Determines the origin of every input.
pub(super) fn trace_origins(
    spec: &Spec,
    flow: &mut Flow,
    branches: &Branches,
    (names, loops): (&Names, &Loops),
    diagnostics: &mut Vec<Diagnostic>,
) {
    let outside = outside(spec, flow);
    let elements: HashSet<ValueId> = flow.each.iter().flatten().map(|each| each.element).collect();
    let mut origins = Vec::with_capacity(flow.steps.len());
    for (step, ports) in flow.steps.iter().enumerate() {
        let origin = |port: &Port| match origin(flow, branches, step, port, (&outside, &elements), names) {
            Ok(Origin::Made) if port.optional && flow.kinds[step] == Kind::Forward => {
                let back = loops.feedback(step, &flow.makers[port.value.index()]);
                back.map_or(Origin::Made, Origin::Feedback)
            }
            Ok(origin) => origin,
            Err(diagnostic) => {
                diagnostics.push(*diagnostic);
                Origin::Unclear
            }
        };
        origins.push(ports.inputs.iter().map(origin).collect());
    }
    for (ports, origins) in flow.steps.iter_mut().zip(origins) {
        ports.origins = origins;
    }
}

/// Whether no two of these steps can both run. Many makers never exclude each other.
fn exclusive(makers: &[Made], branches: &Branches) -> bool {
    let pairs =
        makers.iter().enumerate().flat_map(|(at, one)| makers[at + 1..].iter().map(move |two| (one, two)));
    makers.len() <= MOST_MAKERS && { pairs }.all(|(one, two)| branches.exclude(one.step, two.step))
}

/// The values that items provide: inputs of forward steps that no step makes, and the inputs in the front matter.
fn outside(spec: &Spec, flow: &Flow) -> HashSet<ValueId> {
    let forward = flow.steps.iter().zip(&flow.kinds).filter(|(_, kind)| **kind == Kind::Forward);
    let taken = forward.flat_map(|(ports, _)| &ports.inputs).map(|port| port.value);
    let listed = spec.front.inputs.iter().flatten().filter_map(|(name, _)| flow.find(&name.value));
    let elements: HashSet<ValueId> = flow.each.iter().flatten().map(|each| each.element).collect();
    let free = |value: &ValueId| flow.makers[value.index()].is_empty() && !elements.contains(value);
    taken.chain(listed).filter(free).collect()
}

fn origin(
    flow: &Flow,
    branches: &Branches,
    step: usize,
    port: &Port,
    (outside, elements): (&HashSet<ValueId>, &HashSet<ValueId>),
    names: &Names,
) -> Result<Origin, Box<Diagnostic>> {
    let name = flow.name(port.value);
    let makers = flow.makers[port.value.index()].as_slice();
    let late = flow.late_makers[port.value.index()].first();
    let forward = flow.kinds[step] == Kind::Forward;
    if flow.each[step].is_some_and(|each| each.element == port.value)
        || flow.payloads[step] == Some(port.value)
    {
        return Ok(Origin::Element);
    }
    // A compensation of a step that runs for each element of a list gets the element, too.
    if flow.kinds[step] == Kind::Compensation && elements.contains(&port.value) {
        return Ok(Origin::Element);
    }
    // A value that is neither from outside nor made is an element of another step's list.
    if forward && makers.is_empty() && late.is_none() && !outside.contains(&port.value) {
        return Ok(Origin::Unclear);
    }
    Err(Box::new(match (makers, late) {
        ([_], _) => return Ok(Origin::Made),
        ([_, _, ..], _) if exclusive(makers, branches) => return Ok(Origin::Made),
        ([], None) if forward || outside.contains(&port.value) || names_failures(name) => {
            return Ok(Origin::Outside);
        }
        ([], None) => {
            let known = flow.values.iter().map(|value| value.name.as_str()).filter(|known| *known != name);
            catalogue::unknown_handler_input(name, port.span, who(flow.kinds[step]), names.near(name, known))
        }
        ([], Some(made)) => {
            let maker = (who(flow.kinds[made.step]), names.title(made.step));
            catalogue::handler_value(name, port.span, maker, made.port.span)
        }
        (several, _) => {
            let makers = several.iter().map(|made| (names.title(made.step), made.port.span));
            catalogue::several_makers(name, port.span, makers)
        }
    }))
}

/// The word for a step that never runs forward.
pub(super) fn who(kind: Kind) -> &'static str {
    match kind {
        Kind::Forward => "step",
        Kind::Handler => "failure handler",
        Kind::Compensation => "compensation",
    }
}
