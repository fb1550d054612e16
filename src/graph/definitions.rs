//! Whether the named types of a document fit together, and the meaning of the names in its signatures.

use super::names::Names;
use super::sort::Followers;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Port, Spec};
use crate::value::schema::{Definitions, EXPANSION, Excess, LAYERS, NESTING};
use crate::value::{TypeSchema, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The most schemas of all types of a document together, each counted with those that it consists of.
const TOGETHER: usize = 10 * EXPANSION;

/// Compiles the types of signatures and the front matter; returns none if any type of the document has a problem.
pub(super) fn compile(
    spec: &Spec,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) -> HashMap<String, Arc<TypeSchema>> {
    if spec.types.is_empty() {
        return HashMap::new();
    }
    let mut types =
        Types { spec, names, all: Definitions::default(), places: HashMap::new(), used: used(spec) };
    let before = diagnostics.len();
    types.collect(diagnostics);
    types.report_unknown(diagnostics);
    types.report_endless(diagnostics);
    if diagnostics.len() == before {
        types.report_excess(diagnostics);
    }
    if diagnostics.len() > before {
        return HashMap::new();
    }
    types.report_doubts(diagnostics);
    types.compile(diagnostics)
}

struct Types<'a> {
    spec: &'a Spec,
    names: &'a Names<'a>,
    all: Definitions,
    /// Where each type is defined.
    places: HashMap<&'a str, Span>,
    used: Vec<(&'a str, Span)>,
}

/// The names of types in signatures and in the front matter.
fn used<'a>(spec: &'a Spec) -> Vec<(&'a str, Span)> {
    let listed = spec.front.inputs.iter().flatten();
    let listed = listed.filter_map(|(name, ty)| Some((ty.as_ref()?.name()?, name.span)));
    let steps = spec.steps.iter().filter_map(|step| step.signature.as_ref());
    let groups = spec.groups.iter().filter_map(|group| group.signature.as_ref());
    let ports = steps.chain(groups).flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
    let typed = |port: &'a Port| {
        let ty = port.ty.as_ref()?;
        Some((ty.value.name()?, ty.span))
    };
    listed.chain(ports.filter_map(typed)).collect()
}

impl<'a> Types<'a> {
    fn collect(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        for definition in &self.spec.types {
            let name = &definition.name;
            match self.places.get(name.value.as_str()) {
                Some(first) => diagnostics.push(catalogue::duplicate_type(name.span, *first, &name.value)),
                None => {
                    self.places.insert(&name.value, name.span);
                    self.all.add(&name.value, definition.schema.clone());
                }
            }
        }
    }

    fn near(&self, name: &str) -> Option<&str> {
        self.names.near(name, self.all.names())
    }

    fn report_unknown(&self, diagnostics: &mut Vec<Diagnostic>) {
        for mention in self.spec.types.iter().flat_map(|definition| &definition.mentions) {
            if !self.places.contains_key(mention.value.as_str()) {
                let near = self.near(&mention.value);
                diagnostics.push(catalogue::unknown_type(mention.span, &mention.value, near));
            }
        }
    }

    /// Rejects types that are defined only by each other.
    fn report_endless(&self, diagnostics: &mut Vec<Diagnostic>) {
        let names: Vec<&str> = self.all.names().collect();
        let numbers: HashMap<&str, usize> =
            names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        let mut links = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let same = self.all.same(name);
            links.extend(same.iter().filter_map(|other| Some((index, *numbers.get(other.as_str())?))));
        }
        for cycle in Followers::new(names.len(), links.into_iter()).cycles() {
            let path: Vec<&str> = cycle.iter().chain(cycle.first()).map(|index| names[*index]).collect();
            let places: Vec<Span> =
                cycle.iter().filter_map(|index| self.places.get(names[*index]).copied()).collect();
            diagnostics.push(catalogue::endless_type(&path, &places));
        }
    }

    /// Rejects types that are too large: those that are used, and those that no other mentions.
    fn report_excess(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mentioned = self.spec.types.iter().flat_map(|definition| &definition.mentions);
        let mentioned: HashSet<&str> = mentioned.map(|mention| mention.value.as_str()).collect();
        let used: HashSet<&str> = self.used.iter().map(|(name, _)| *name).collect();
        let mut together = 0;
        for name in self.spec.types.iter().map(|definition| &definition.name) {
            if mentioned.contains(name.value.as_str()) && !used.contains(name.value.as_str()) {
                continue;
            }
            let excess = match self.all.expansion(&name.value) {
                Ok(count) => {
                    together += count;
                    if together <= TOGETHER {
                        continue;
                    }
                    catalogue::schemas_too_large(name.span, TOGETHER)
                }
                Err(Excess::Size) => catalogue::schema_too_large(name.span, &name.value, EXPANSION),
                Err(Excess::Depth) => catalogue::schema_too_deep(name.span, &name.value, NESTING, LAYERS),
            };
            // One is enough: the others most likely consist of the same types.
            diagnostics.push(excess);
            return;
        }
    }

    /// Reports unused definitions, and mentions that look like a misspelt type.
    fn report_doubts(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut reported = HashSet::new();
        for (name, at) in &self.used {
            match self.places.contains_key(name) {
                true if !reached.contains(*name) => reached.extend(self.all.reach(name)),
                false if reported.insert(*name) => {
                    if let Some(near) = self.near(name) {
                        let defined = self.places.get(near).copied().unwrap_or_default();
                        diagnostics.push(catalogue::misspelt_type(*at, name, near, defined));
                    }
                }
                _ => {}
            }
        }
        // The mentions of a definition that could not be read are unknown.
        if self.spec.types.iter().any(|definition| definition.schema == Value::Bool(true)) {
            return;
        }
        let unused = self.spec.types.iter().filter(|definition| !reached.contains(&definition.name.value));
        diagnostics.extend(unused.map(|unused| catalogue::unused_type(unused.name.span, &unused.name.value)));
    }

    fn compile(&self, diagnostics: &mut Vec<Diagnostic>) -> HashMap<String, Arc<TypeSchema>> {
        let mut compiled = HashMap::new();
        for (name, _) in &self.used {
            let Some(at) = self.places.get(name).filter(|_| !compiled.contains_key(*name)) else { continue };
            match self.all.compile(name) {
                Ok(definition) => {
                    compiled.insert((*name).to_owned(), Arc::new(definition));
                }
                Err(why) => {
                    diagnostics.push(catalogue::schema_refused(*at, name, &why));
                    return compiled;
                }
            }
        }
        compiled
    }
}
