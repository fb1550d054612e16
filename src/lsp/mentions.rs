//! All places of a document where a name is written: of steps, groups, values, agents, channels, types, states, events and
//! documents. What an editor asks about a name is answered from them.

use crate::condition::Condition;
use crate::diag::{Source, Span};
use crate::graph::{Referred, referred};
use crate::spec::{
    After, Annotations, Gate, Instructions, Piece, Port, Signature, Spanned, Spec, Target, payload_name,
};
use crate::value::in_conditions;

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Index into the steps of the document.
    Step(usize),
    /// Index into its groups.
    Group(usize),
    /// By the name that conditions use.
    Value(String),
    Agent(String),
    Channel(String),
    Type(String),
    State(String),
    Event(String),
    /// The path of another document, as written.
    Document(String),
}

/// A place where a name is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    pub span: Span,
    pub entity: Entity,
    /// Whether the name gets its meaning here.
    pub defines: bool,
    /// Whether it is in a condition or in the text of a step.
    pub asked: bool,
}

/// All of them, in the order of their places.
#[derive(Clone, Debug, Default)]
pub struct Mentions {
    all: Vec<Mention>,
}

impl Mentions {
    pub fn of(source: &Source, spec: &Spec) -> Mentions {
        let mut reader = Reader { source, all: Vec::new(), references: Vec::new() };
        reader.read(spec);
        let Reader { mut all, references, .. } = reader;
        let written: Vec<&str> = references.iter().map(|(_, written)| written.as_str()).collect();
        for ((span, _), found) in references.iter().zip(referred(spec, &written)) {
            let entity = match found {
                Some(Referred::Step(step)) => Entity::Step(step),
                Some(Referred::Group(group)) => Entity::Group(group),
                None => continue,
            };
            all.push(Mention { span: *span, entity, defines: false, asked: false });
        }
        // A name cannot be written where nothing is.
        all.retain(|mention| mention.span.start < mention.span.end && !source.slice(mention.span).is_empty());
        all.sort_by_key(|mention| (mention.span, !mention.defines));
        all.dedup_by_key(|mention| mention.span);
        Mentions { all }
    }

    pub fn all(&self) -> &[Mention] {
        &self.all
    }

    /// The name at an offset, also right behind it.
    pub fn at(&self, offset: usize) -> Option<&Mention> {
        let before = self.all.partition_point(|mention| mention.span.start <= offset);
        // Names do not nest, except types in lists of values.
        self.all[..before].iter().rev().take(4).find(|mention| offset <= mention.span.end)
    }

    /// The places of one name.
    pub fn of_entity<'a>(&'a self, entity: &'a Entity) -> impl Iterator<Item = &'a Mention> {
        self.all.iter().filter(move |mention| mention.entity == *entity)
    }

    /// Where a name gets its meaning in the document; the first place for the input of a workflow.
    pub fn definitions<'a>(&'a self, entity: &'a Entity) -> Vec<&'a Mention> {
        let found: Vec<&Mention> = self.of_entity(entity).filter(|mention| mention.defines).collect();
        match entity {
            Entity::Value(_) if found.is_empty() => self.of_entity(entity).take(1).collect(),
            _ => found,
        }
    }
}

struct Reader<'a> {
    source: &'a Source,
    all: Vec<Mention>,
    /// Titles of steps and groups, as written.
    references: Vec<(Span, String)>,
}

impl Reader<'_> {
    fn read(&mut self, spec: &Spec) {
        let front = &spec.front;
        front.agent.iter().for_each(|agent| self.agent(agent));
        for (name, ty) in front.inputs.iter().flatten() {
            self.value(&name.value, name.span, true);
            // The place of the type is not known: it is on the same line.
            let line = self.source.text.get(name.span.end..).and_then(|rest| rest.split('\n').next());
            let name_of_type = ty.as_ref().and_then(|ty| ty.name());
            if let (Some(line), Some(ty)) = (line, name_of_type)
                && let Some(at) = line.find(ty)
            {
                let start = name.span.end + at;
                self.add(Entity::Type(ty.to_owned()), Span::new(start, start + ty.len()), false);
            }
        }
        for (index, group) in spec.groups.iter().enumerate() {
            self.add(Entity::Group(index), group.title.span, true);
            self.annotations(&group.annotations);
            group.signature.iter().for_each(|signature| self.signature(signature, false));
            group.gate.iter().for_each(|gate| self.gate(gate));
        }
        for (index, step) in spec.steps.iter().enumerate().filter(|(_, step)| !step.implied) {
            self.add(Entity::Step(index), step.title.span, true);
            self.annotations(&step.annotations);
            step.signature.iter().for_each(|signature| self.signature(signature, true));
            step.gate.iter().for_each(|gate| self.gate(gate));
            self.instructions(&step.instructions);
            for arm in step.chains.iter().flatten() {
                arm.condition.iter().for_each(|condition| self.condition(condition, None));
                match &arm.target.value {
                    Target::Step(title) | Target::Skip(title) => self.reference(arm.target.span, title),
                    Target::End | Target::Fail(_) => {}
                }
            }
        }
        for definition in &spec.types {
            self.add(Entity::Type(definition.name.value.clone()), definition.name.span, true);
            for mention in &definition.mentions {
                self.add(Entity::Type(mention.value.clone()), mention.span, false);
            }
        }
        for state in spec.diagram.iter().flat_map(|diagram| &diagram.states) {
            self.add(Entity::State(state.value.clone()), state.span, true);
        }
    }

    fn add(&mut self, entity: Entity, mut span: Span, defines: bool) {
        let is_marked = matches!(entity, Entity::Agent(_) | Entity::Channel(_));
        if is_marked && self.source.slice(span).starts_with(['@', '#']) {
            span.start += 1;
        }
        self.all.push(Mention { span, entity, defines, asked: false });
    }

    fn value(&mut self, name: &str, span: Span, defines: bool) {
        self.add(Entity::Value(in_conditions(name)), span, defines);
    }

    fn agent(&mut self, agent: &Spanned<String>) {
        self.add(Entity::Agent(agent.value.clone()), agent.span, false);
    }

    fn reference(&mut self, span: Span, written: &str) {
        self.references.push((span, written.to_owned()));
    }

    fn annotations(&mut self, said: &Annotations) {
        said.agent.iter().for_each(|agent| self.agent(agent));
        if let Some(channel) = &said.channel {
            self.add(Entity::Channel(channel.value.clone()), channel.span, false);
        }
        for after in &said.after {
            match &after.value {
                After::Step(title) => self.reference(after.span, title),
                After::Start => {}
            }
        }
        said.compensate.iter().for_each(|title| self.reference(title.span, &title.value));
        said.when.iter().for_each(|when| self.condition(when, None));
        said.repeat.iter().for_each(|repeat| self.condition(&repeat.value.until, None));
        for each in said.each.iter().map(|each| &each.value) {
            self.value(&each.element.value, each.element.span, true);
            match &each.way {
                Some(way) => self.condition(way, None),
                None => self.value(&each.list.value, each.list.span, false),
            }
        }
        for passage in said.state.iter().map(|state| &state.value) {
            for state in passage.from.iter().chain(&passage.to) {
                self.add(Entity::State(state.value.clone()), state.span, false);
            }
        }
        for event in &said.emits {
            self.add(Entity::Event(event.value.clone()), event.span, true);
        }
        for awaited in said.awaits.iter().map(|awaits| &awaits.value) {
            self.add(Entity::Event(awaited.event.value.clone()), awaited.event.span, false);
            awaited.subject.iter().for_each(|subject| self.condition(subject, None));
            // Its names are also members of the payload.
            awaited
                .condition
                .iter()
                .for_each(|condition| self.condition(condition, Some(awaited.payload.as_str())));
        }
        if let Some(document) = &said.document {
            self.add(Entity::Document(document.value.clone()), document.span, false);
        }
    }

    fn signature(&mut self, signature: &Signature, makes: bool) {
        signature.inputs.iter().for_each(|port| self.port(port, false));
        signature.outputs.iter().for_each(|port| self.port(port, makes));
        signature.hands_to.iter().for_each(|title| self.reference(title.span, &title.value));
    }

    fn port(&mut self, port: &Port, defines: bool) {
        self.value(&port.name.value, port.name.span, defines);
        if let Some((ty, name)) = port.ty.as_ref().and_then(|ty| Some((ty, ty.value.name()?))) {
            let span = Span::new(ty.span.start, ty.span.start + name.len());
            self.add(Entity::Type(name.to_owned()), span, false);
        }
    }

    fn gate(&mut self, gate: &Gate) {
        self.instructions(&gate.question);
    }

    fn instructions(&mut self, instructions: &Instructions) {
        for piece in &instructions.pieces {
            match piece {
                Piece::Value(value) => self.condition(value, None),
                Piece::Text(_) => {}
            }
        }
    }

    /// The values of a condition; with a payload, only those that are surely no members of it.
    fn condition(&mut self, condition: &Spanned<Condition>, payload: Option<&str>) {
        for (name, at) in condition.value.places() {
            let span = Span::new(condition.span.start + at.start, condition.span.start + at.end);
            let is_member = payload.is_some_and(|payload| name != payload);
            if !is_member && in_conditions(self.source.slice(span)) == name {
                let entity = Entity::Value(name.to_owned());
                self.all.push(Mention { span, entity, defines: false, asked: true });
            }
        }
    }
}

/// The name of the value that an event's payload is.
pub(super) fn payload(event: &str) -> Entity {
    Entity::Value(payload_name(event))
}
