//! Dead letters as a TOON table: a row an item, a column for each input or member.

use super::Letter;
use crate::diag::render::visible_json;
use crate::event::ValueId;
use crate::graph::Graph;
use crate::toon::write;
use crate::value::{Object, Type, Value};
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// The table's name.
pub const NAME: &str = "dead_letters";

/// The columns about an item, before those of its inputs.
pub const ABOUT: [&str; 4] = ["key", "step", "error", "attempts"];

/// The most members with a column each; beyond that, each input is one cell.
const COLUMNS: usize = 1000;

/// Letters with the columns that their inputs have.
pub struct LetterTable<'a> {
    pub graph: &'a Graph,
    pub letters: &'a [Letter],
    pub columns: Vec<LetterColumn>,
}

/// One column of inputs.
pub struct LetterColumn {
    pub name: String,
    pub input: ValueId,
    /// The member of the only input, if that is an object in every letter.
    pub member: Option<String>,
}

impl<'a> LetterTable<'a> {
    /// `given` names the inputs that are the same for all items; they have no column.
    pub fn of(graph: &'a Graph, letters: &'a [Letter], given: &Object) -> LetterTable<'a> {
        let own = |id: &&ValueId| !given.contains_key(&graph.value(**id).name);
        let inputs: Vec<ValueId> = graph.inputs.iter().filter(own).copied().collect();
        let mut table = LetterTable { graph, letters, columns: Vec::new() };
        match (inputs.as_slice(), members(&inputs, letters)) {
            ([only], Some(members)) => members.into_iter().for_each(|member| {
                table.add(*only, &member, Some(member.clone()));
            }),
            _ => inputs.iter().for_each(|id| table.add(*id, &graph.value(*id).name, None)),
        }
        table
    }

    fn add(&mut self, input: ValueId, name: &str, member: Option<String>) {
        let mut name = name.to_owned();
        while ABOUT.contains(&&*name) || self.columns.iter().any(|column| column.name == name) {
            name = format!("input.{name}");
        }
        self.columns.push(LetterColumn { name, input, member });
    }

    /// The whole table as text.
    pub fn text(&self) -> String {
        let names = ABOUT.into_iter().chain(self.columns.iter().map(|column| column.name.as_str()));
        let mut header = String::new();
        write::header(&mut header, NAME, self.letters.len() as u64, ',', names);
        let mut out = visible_json(&header) + "\n";
        self.letters.iter().for_each(|letter| out.push_str(&self.row(letter)));
        out
    }

    /// The same for programs: an object a letter, with its inputs by column.
    pub fn json(&self) -> Value {
        let letter = |letter: &Letter| {
            let error = letter.error.as_ref();
            let step = error.and_then(|error| error.step).map(|step| self.graph.step(step).title.as_str());
            let inputs = self.columns.iter();
            let input = |column: &LetterColumn| {
                Some((column.name.clone(), column.printed(letter, self.graph)?.into_owned()))
            };
            let inputs: Object = inputs.filter_map(input).collect();
            json!({
                "key": *letter.key,
                "step": step,
                "error": error.map(|error| &error.message),
                "attempts": error.map(|error| error.attempts),
                "inputs": inputs,
            })
        };
        self.letters.iter().map(letter).collect()
    }

    /// An edited table with a row for each of these keys, where these inputs have other values.
    pub fn edited(&self, edits: &[(String, Object)]) -> String {
        let mut names: Vec<&str> = Vec::new();
        for name in edits.iter().flat_map(|(_, inputs)| inputs.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let mut out = String::new();
        write::header(
            &mut out,
            NAME,
            edits.len() as u64,
            ',',
            [ABOUT[0]].into_iter().chain(names.iter().copied()),
        );
        out = visible_json(&out) + "\n";
        for (key, inputs) in edits {
            let letter = self.letters.iter().find(|letter| *letter.key == **key);
            let as_it_was = |name: &str| {
                let column = self.columns.iter().find(|column| column.name == name)?;
                Some(column.printed(letter?, self.graph)?.into_owned())
            };
            let cell =
                |name: &&str| inputs.get(*name).cloned().or_else(|| as_it_was(name)).unwrap_or(Value::Null);
            let cells = [key.as_str().into()].into_iter().chain(names.iter().map(cell));
            let cells: Vec<String> = cells.map(|value| spelled(&value)).collect();
            out.push_str(&format!("  {}\n", cells.join(",")));
        }
        out
    }

    fn row(&self, letter: &Letter) -> String {
        let error = letter.error.as_ref();
        let step = error.and_then(|error| error.step).map(|step| self.graph.step(step).title.as_str());
        let about = [
            (*letter.key).into(),
            step.into(),
            error.map(|error| error.message.as_str()).into(),
            error.map(|error| error.attempts).into(),
        ];
        let inputs = self.columns.iter().map(|column| column.printed(letter, self.graph));
        let inputs = inputs.map(|value| spelled(&value.unwrap_or(Cow::Owned(Value::Null))));
        let cells: Vec<String> = about.iter().map(spelled).chain(inputs).collect();
        format!("  {}\n", cells.join(","))
    }
}

impl LetterColumn {
    /// A letter's value in this column.
    pub fn of<'a>(&self, letter: &'a Letter) -> Option<&'a Value> {
        let (_, value) = letter.inputs.iter().find(|(id, _)| *id == self.input)?;
        match &self.member {
            Some(member) => value.get(member),
            None => Some(value),
        }
    }

    /// The same value as the table shows it: without secrets.
    pub fn printed<'a>(&self, letter: &'a Letter, graph: &Graph) -> Option<Cow<'a, Value>> {
        let value = self.of(letter)?;
        let hidden = self.ty(graph).and_then(|(ty, _)| ty.hidden(&self.name, value));
        Some(hidden.map_or(Cow::Borrowed(value), Cow::Owned))
    }

    /// The column's type, if the document states it, and whether a member may be absent.
    pub fn ty(&self, graph: &Graph) -> Option<(Type, bool)> {
        let ty = graph.value(self.input).ty.as_ref()?;
        match &self.member {
            Some(member) => ty.member(member),
            None => Some((ty.clone(), false)),
        }
    }
}

/// The members of the only input, if it is an object in all letters; in the order in which they are met.
fn members(inputs: &[ValueId], letters: &[Letter]) -> Option<Vec<String>> {
    let [only] = inputs else { return None };
    let (mut members, mut known) = (Vec::new(), HashSet::new());
    for letter in letters {
        let value: &Arc<Value> = letter.inputs.iter().find(|(id, _)| id == only).map(|(_, value)| value)?;
        for name in value.as_object()?.keys() {
            if known.insert(name.as_str()) {
                members.push(name.clone());
            }
        }
        if members.len() > COLUMNS {
            return None;
        }
    }
    Some(members).filter(|members| !members.is_empty())
}

/// A cell. Lists and objects are JSON text, and control characters are escaped.
pub fn spelled(value: &Value) -> String {
    let mut cell = String::new();
    write::cell(&mut cell, value, ',');
    let shown = visible_json(&cell);
    if shown == cell || cell.starts_with('"') { shown } else { format!("\"{shown}\"") }
}
