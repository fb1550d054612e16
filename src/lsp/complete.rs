//! What can be written at a place, from the text before it: a document that is half typed has no graph.

use super::words::{FIELDS, KEYS, Word};
use super::{EditedPage, Entity, Mentions};
use crate::diag::Span;
use crate::spec::{Signature, Spec};
use crate::value::{Part, Type, in_conditions};
use gen_lsp_types::{CompletionItem, CompletionItemKind, CompletionItemTextEdit, Documentation, TextEdit};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The types of values, from the last time that the document had no errors.
pub type KnownTypes = BTreeMap<String, Type>;

/// The most names that are offered at once.
const MOST: usize = 1000;

/// The types that the language has.
const TYPES: [&str; 7] = ["String", "Boolean", "Integer", "Number", "JSON", "File", "Secret"];

/// What may be written at an offset; `documents` are the files beside the document.
pub fn completions(
    page: &EditedPage<'_>,
    mentions: &Mentions,
    offset: usize,
    (types, documents): (&KnownTypes, &dyn Fn() -> Vec<String>),
) -> Vec<CompletionItem> {
    let text = page.source.text.as_str();
    let before = text.get(..offset).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let mut offer = Offer { page, mentions, offset, items: Vec::new(), seen: HashSet::new() };
    if is_in_front_matter(before) {
        offer.front_matter(line);
    } else if is_in_fence(before) {
        return Vec::new();
    } else {
        offer.body(line, types, documents);
    }
    offer.items
}

/// Whether the front matter is open at the end of a text.
fn is_in_front_matter(before: &str) -> bool {
    let before = before.trim_start_matches('\u{feff}');
    before.starts_with("---\n") && !before[4..].lines().any(|line| line.trim_end() == "---")
}

/// Whether a fence is open at the end of a text; a `prompt` is text.
fn is_in_fence(before: &str) -> bool {
    let mut open: Option<(&str, bool)> = None;
    let begun = before.rfind('\n').map_or(0, |at| at + 1);
    for line in before[..begun].lines() {
        let bare = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark));
        open = match (open, mark) {
            (None, Some(mark)) => Some((mark, bare[3..].trim() == "prompt")),
            (Some((mark, _)), _) if bare.starts_with(mark) => None,
            (open, _) => open,
        };
    }
    open.is_some_and(|(_, is_prompt)| !is_prompt)
}

struct Offer<'a> {
    page: &'a EditedPage<'a>,
    mentions: &'a Mentions,
    offset: usize,
    items: Vec<CompletionItem>,
    seen: HashSet<String>,
}

impl Offer<'_> {
    /// Offers a text in place of the `typed` one before the cursor.
    fn add(&mut self, typed: &str, new: &str, kind: CompletionItemKind, detail: &str) {
        if self.items.len() >= MOST || !self.seen.insert(new.to_owned()) {
            return;
        }
        let span = Span::new(self.offset - typed.len(), self.offset);
        let edit = TextEdit { range: self.page.range(span), new_text: new.to_owned() };
        self.items.push(CompletionItem {
            label: new.to_owned(),
            kind: Some(kind),
            detail: Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
            sort_text: Some(format!("{:04}", self.items.len())),
            filter_text: Some(new.to_owned()),
            text_edit: Some(CompletionItemTextEdit::TextEdit(edit)),
            ..CompletionItem::default()
        });
    }

    fn document(&mut self, does: &str) {
        if let Some(item) = self.items.last_mut() {
            item.documentation = Some(Documentation::String(does.to_owned()));
        }
    }

    fn front_matter(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(':') else {
            let typed = line.trim_start();
            for word in &KEYS {
                self.add(typed, &format!("{}: ", word.name), CompletionItemKind::Property, word.example);
                self.document(word.does);
            }
            return;
        };
        let typed = last_word(value);
        match key.trim() {
            "agent" => self.agents(typed),
            "on-item-error" => {
                for one in ["continue", "drain", "stop"] {
                    self.add(typed, one, CompletionItemKind::EnumMember, "");
                }
            }
            "inputs" if value.contains(':') => self.types(typed),
            _ => {}
        }
    }

    fn body(&mut self, line: &str, types: &KnownTypes, documents: &dyn Fn() -> Vec<String>) {
        if let Some((field, value)) = open_field(line) {
            return self.field(field, value, types, documents);
        }
        let bare = line.trim_start();
        let is_heading = bare.starts_with("##");
        if let Some(asked) =
            line.rsplit_once("{{").map(|(_, asked)| asked).filter(|asked| !asked.contains("}}"))
        {
            return self.condition(asked, types);
        }
        if let Some(typed) = line.rsplit_once('[').map(|(_, typed)| typed).filter(|typed| is_word(typed)) {
            return self.fields(typed);
        }
        let word = line.rsplit([' ', '\t']).next().unwrap_or_default();
        if let Some(typed) = word.strip_prefix('@') {
            return self.agents(typed);
        }
        if let (true, Some(typed)) = (is_heading && bare.contains(' '), word.strip_prefix('#')) {
            return self.channels(typed);
        }
        if let Some((_, typed)) = word.rsplit_once("::") {
            return self.types(typed);
        }
        if is_heading {
            return;
        }
        let decides = ["If ", "Otherwise"].iter().any(|word| bare.starts_with(word));
        match after_arrow(line) {
            Some(target) if decides => {
                let target = target.trim_start();
                let target = target.strip_prefix("skip to ").unwrap_or(target);
                self.titles(target, true);
                for (word, does) in [("end", "the item is done"), ("fail \"\"", "the item fails")] {
                    self.add(target, word, CompletionItemKind::Keyword, does);
                }
            }
            None if decides => {
                let asked = bare.strip_prefix("If ").unwrap_or_default();
                self.condition(asked, types);
            }
            _ if bare.starts_with(['-', '>', '|', '*', '`']) => {}
            _ => self.values(last_word(line), types, false),
        }
    }

    fn field(&mut self, field: &str, value: &str, types: &KnownTypes, documents: &dyn Fn() -> Vec<String>) {
        let typed = value.trim_start();
        match field {
            "after" => {
                self.titles(typed, true);
                self.add(typed, "start", CompletionItemKind::Keyword, "waits for no step");
            }
            "compensate" => self.titles(typed, false),
            "when" => self.condition(value, types),
            "repeat" => {
                if let Some((_, asked)) = value.split_once(" until ") {
                    self.condition(asked, types);
                }
            }
            "each" => {
                if value.contains(" in ") {
                    self.values(last_word(value), types, true);
                }
            }
            "state" => self.named(last_word(value), |entity| match entity {
                Entity::State(name) => Some((name, CompletionItemKind::EnumMember)),
                _ => None,
            }),
            "emit" | "await" if !value.trim_start().contains(' ') => {
                self.named(typed, |entity| match entity {
                    Entity::Event(name) => Some((name, CompletionItemKind::Event)),
                    _ => None,
                })
            }
            "await" => {
                let asked = [" where ", " for "].into_iter().find_map(|word| value.rsplit_once(word));
                if let Some((_, asked)) = asked {
                    self.condition(asked, types);
                }
            }
            "document" => {
                for path in documents() {
                    self.add(typed, &path, CompletionItemKind::File, "");
                }
            }
            _ => {
                let example = FIELDS.iter().find(|word| word.name == field && !word.example.is_empty());
                if let Some(word) = example.filter(|_| typed.is_empty()) {
                    self.add(typed, word.example, CompletionItemKind::Value, "");
                    self.document(word.does);
                }
            }
        }
    }

    fn fields(&mut self, typed: &str) {
        let rest = self.page.source.text.get(self.offset..).unwrap_or_default();
        let close = if rest.starts_with(']') { "" } else { "]" };
        for Word { name, does, example } in &FIELDS {
            let new = match example.is_empty() {
                true => format!("{name}{close}"),
                false => format!("{name}:: {example}{close}"),
            };
            self.add(typed, &new, CompletionItemKind::Property, "");
            self.document(does);
        }
    }

    fn named<'b>(
        &'b mut self,
        typed: &str,
        pick: impl for<'c> Fn(&'c Entity) -> Option<(&'c String, CompletionItemKind)>,
    ) {
        let mentions = self.mentions;
        // What is just being typed is not yet a name.
        let others = mentions.all().iter().filter(|mention| mention.span.end != self.offset);
        let names: Vec<(String, CompletionItemKind)> = others
            .filter_map(|mention| pick(&mention.entity))
            .map(|(name, kind)| (name.clone(), kind))
            .collect();
        for (name, kind) in names {
            self.add(typed, &name, kind, "");
        }
    }

    fn agents(&mut self, typed: &str) {
        let settings = self.page.settings;
        for agent in &settings.agents {
            self.add(typed, &agent.name, CompletionItemKind::Class, "in orderflow.toml");
        }
        self.named(typed, |entity| match entity {
            Entity::Agent(name) => Some((name, CompletionItemKind::Class)),
            _ => None,
        });
    }

    fn channels(&mut self, typed: &str) {
        let settings = self.page.settings;
        for channel in &settings.channels {
            self.add(typed, &channel.name, CompletionItemKind::Constant, "in orderflow.toml");
        }
        self.named(typed, |entity| match entity {
            Entity::Channel(name) => Some((name, CompletionItemKind::Constant)),
            _ => None,
        });
    }

    fn types(&mut self, typed: &str) {
        for definition in &self.page.spec.types {
            self.add(typed, &definition.name.value, CompletionItemKind::Struct, "");
        }
        self.named(typed, |entity| match entity {
            Entity::Type(name) => Some((name, CompletionItemKind::Struct)),
            _ => None,
        });
        for name in TYPES {
            self.add(typed, name, CompletionItemKind::Keyword, "");
        }
    }

    fn titles(&mut self, typed: &str, groups: bool) {
        let spec = self.page.spec;
        let own = current(spec, self.offset);
        let steps =
            spec.steps.iter().enumerate().filter(|(index, step)| Some(*index) != own && !step.implied);
        for (_, step) in steps {
            self.add(typed, &step.title.value, CompletionItemKind::Function, "");
        }
        for group in spec.groups.iter().filter(|_| groups) {
            self.add(typed, &group.title.value, CompletionItemKind::Module, "group");
        }
    }

    /// The values that a condition can ask for, or the members of one.
    fn condition(&mut self, asked: &str, types: &KnownTypes) {
        let start = asked
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | ']' | '[')))
            .map_or(0, |at| at + asked[at..].chars().next().map_or(1, char::len_utf8));
        let word = &asked[start..];
        let Some((path, typed)) = word.rsplit_once('.') else { return self.values(word, types, true) };
        let mut way = Vec::new();
        for part in path.split('.') {
            let (name, element) = part.split_once('[').map_or((part, false), |(name, _)| (name, true));
            way.push(Part::Member(name.to_owned()));
            way.extend(element.then_some(Part::Element));
        }
        let Some((Part::Member(first), way)) = way.split_first() else { return };
        let Some(ty) = types.get(first) else { return };
        // No type has a member of this name, so all that it has are named.
        let way: Vec<Part> = way.iter().cloned().chain([Part::Member("\0".to_owned())]).collect();
        let lack = ty.lacks(&way).filter(|lack| lack.at + 1 == way.len());
        for member in lack.map(|lack| lack.members).unwrap_or_default() {
            self.add(typed, &member, CompletionItemKind::Field, "");
        }
    }

    /// The values that can flow to the step at the cursor: not those that only steps after it make.
    fn values(&mut self, typed: &str, types: &KnownTypes, asks: bool) {
        let spec = self.page.spec;
        let own = current(spec, self.offset);
        let later = own.map(|own| after(spec, own)).unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        names.extend(spec.front.inputs.iter().flatten().map(|(name, _)| name.value.clone()));
        let is_input = |name: &str, made: &HashSet<&str>| !made.contains(name);
        let made: HashSet<&str> = signatures(spec).flat_map(|(_, one)| outputs(one)).collect();
        for (index, signature) in signatures(spec) {
            let inputs = signature.inputs.iter().filter(|port| port.name.span.end != self.offset);
            let inputs = inputs.map(|port| port.name.value.as_str());
            names.extend(inputs.filter(|name| is_input(name, &made)).map(str::to_owned));
            if !later.contains(&index) && Some(index) != own {
                names.extend(outputs(signature).map(str::to_owned));
            }
        }
        if let Some(step) = own.and_then(|own| spec.steps.get(own)) {
            names.extend(step.annotations.each.iter().map(|each| each.value.element.value.clone()));
            names.extend(step.annotations.awaits.iter().map(|awaits| awaits.value.payload.clone()));
            // A decision may ask for what its step has made.
            if asks {
                names.extend(step.signature.iter().flat_map(outputs).map(str::to_owned));
            }
        }
        for name in names {
            let detail = types.get(&in_conditions(&name)).map(ToString::to_string).unwrap_or_default();
            let new = if asks { in_conditions(&name) } else { name };
            self.add(typed, &new, CompletionItemKind::Variable, &detail);
        }
    }
}

fn signatures(spec: &Spec) -> impl Iterator<Item = (usize, &Signature)> {
    spec.steps.iter().enumerate().filter_map(|(index, step)| Some((index, step.signature.as_ref()?)))
}

fn outputs(signature: &Signature) -> impl Iterator<Item = &str> {
    signature.outputs.iter().map(|port| port.name.value.as_str())
}

/// The step with this offset in it.
fn current(spec: &Spec, offset: usize) -> Option<usize> {
    let before = |(_, step): &(usize, &crate::spec::Step)| step.heading.start <= offset && !step.implied;
    spec.steps
        .iter()
        .enumerate()
        .filter(before)
        .max_by_key(|(_, step)| step.heading.start)
        .map(|(index, _)| index)
}

/// The steps that take a value of this one, directly or through others.
fn after(spec: &Spec, own: usize) -> BTreeSet<usize> {
    let mut takers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, signature) in signatures(spec) {
        for port in &signature.inputs {
            takers.entry(&port.name.value).or_default().push(index);
        }
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![own]);
    while let Some(step) = open.pop() {
        let made = spec.steps.get(step).and_then(|step| step.signature.as_ref());
        for name in made.into_iter().flat_map(outputs) {
            for taker in takers.get(name).into_iter().flatten() {
                if found.insert(*taker) {
                    open.push(*taker);
                }
            }
        }
    }
    found
}

/// The field that is open at the end of a line, with its value so far.
fn open_field(line: &str) -> Option<(&str, &str)> {
    let (before, value) = line.rsplit_once("::")?;
    let (_, key) = before.rsplit_once('[')?;
    let is_open = value.matches('[').count() >= value.matches(']').count();
    (is_word(key.trim()) && !key.is_empty() && is_open).then_some((key.trim(), value))
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
}

/// What follows the last arrow of a line.
fn after_arrow(line: &str) -> Option<&str> {
    let arrows = ["→", "->"].into_iter().filter_map(|arrow| Some(line.rfind(arrow)? + arrow.len()));
    line.get(arrows.max()?..)
}

/// The word at the end of a text, as names have it.
fn last_word(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let bare = text.trim_end_matches(is_part);
    &text[bare.len()..]
}
