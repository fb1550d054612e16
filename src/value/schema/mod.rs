//! Named types: definitions as JSON Schema 2020-12, their size, and the check of values against them. Knows nothing of
//! how definitions are written.

mod exact;
mod explain;
mod integers;
mod keywords;
mod kinds;
mod reference;
mod sample;

pub use keywords::{Holds, KINDS, keyword, keywords};
pub use reference::{reference, referred};

use super::misfit::Misfits;
use super::{Lack, Object, Part, Type, Value};
use jsonschema::{Draft, PatternOptions, ValidationOptions, Validator};
use keywords::inner;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// The most schemas that a type may have once every reference is replaced by its target.
pub const EXPANSION: usize = 100_000;

/// How deep they may then nest.
pub const NESTING: usize = 64;

/// How many schemas within each other may look at the same value: alternatives of alternatives. A value can be
/// as deep as a type, and checking it must not fill the stack.
pub const LAYERS: usize = 16;

/// The named types of a document, by name. Each refers to others by `{"$ref": "#/$defs/Name"}` and to nothing
/// else.
#[derive(Clone, Debug, Default)]
pub struct Definitions(BTreeMap<String, Value>);

/// Why a type cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// More than [`EXPANSION`] schemas.
    Size,
    /// Deeper than [`NESTING`], or than [`LAYERS`] in one place.
    Depth,
}

impl Definitions {
    /// Adds a definition, unless there is one of this name.
    pub fn add(&mut self, name: &str, schema: Value) {
        self.0.entry(name.to_owned()).or_insert(schema);
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The types that every value of this type also has as a whole, not in its parts. If they lead back to the type
    /// itself, no value can be checked against it.
    pub fn same(&self, name: &str) -> BTreeSet<String> {
        let mut open: Vec<&Value> = self.0.get(name).into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(schema) = open.pop() {
            found.extend(reference::refers(schema));
            open.extend(inner(schema).into_iter().filter(|inner| inner.same).map(|inner| inner.schema));
        }
        found
    }

    /// All types that this one mentions, itself or through others; with itself.
    pub fn reach(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut names = vec![name.to_owned()];
        while let Some(name) = names.pop() {
            let mut open: Vec<&Value> = self.0.get(&name).into_iter().collect();
            if open.is_empty() || !found.insert(name) {
                continue;
            }
            while let Some(schema) = open.pop() {
                names.extend(reference::refers(schema));
                open.extend(inner(schema).into_iter().map(|inner| inner.schema));
            }
        }
        found
    }

    /// Counts the schemas of a type with every reference replaced by its target; a type within itself is counted once.
    /// Counting ends at the limit.
    ///
    /// # Errors
    /// When the type is too large or too deep.
    pub fn expansion(&self, name: &str) -> Result<usize, Excess> {
        let mut expansion = Expansion { definitions: self, within: Vec::new(), count: 0 };
        expansion.enter(&reference(name), 0, 0, false)?;
        Ok(expansion.count)
    }

    /// Compiles one type with all types that it mentions.
    ///
    /// # Errors
    /// When it is not a valid JSON Schema.
    pub fn compile(&self, name: &str) -> Result<TypeSchema, String> {
        let mut schema = reference(name);
        let reach = self.reach(name);
        let reached = reach.into_iter().filter_map(|name| Some((name.clone(), self.0.get(&name)?.clone())));
        let reached: Object = reached.collect();
        schema["$defs"] = reached.into();
        let validator = options().build(&schema).map_err(|error| error.to_string())?;
        Ok(TypeSchema { name: name.to_owned(), schema, validator, parts: Mutex::default() })
    }
}

/// A type that is being expanded.
struct Expansion<'a> {
    definitions: &'a Definitions,
    /// The types around the current place.
    within: Vec<String>,
    count: usize,
}

impl Expansion<'_> {
    /// A type within itself is entered `again` only as far as it looks at the same value.
    fn enter(&mut self, schema: &Value, depth: usize, layers: usize, again: bool) -> Result<(), Excess> {
        self.count += 1;
        if self.count > EXPANSION {
            return Err(Excess::Size);
        }
        if depth > NESTING || layers > LAYERS {
            return Err(Excess::Depth);
        }
        for inner in inner(schema).into_iter().filter(|inner| inner.same || !again) {
            self.enter(inner.schema, depth + 1, if inner.same { layers + 1 } else { 0 }, again)?;
        }
        let name = reference::refers(schema);
        let Some((name, target)) = name.and_then(|name| self.definitions.0.get_key_value(&name)) else {
            return Ok(());
        };
        if self.within.contains(name) {
            return self.enter(target, depth, layers + 1, true);
        }
        self.within.push(name.clone());
        self.enter(target, depth + 1, layers + 1, again)?;
        self.within.pop();
        Ok(())
    }
}

/// Numbers are compared by value and exactly. Patterns take a time that grows with the text and no faster; formats are checked; nothing is fetched.
fn options() -> ValidationOptions<'static> {
    exact::keywords(jsonschema::options())
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .offline()
}

/// Whether a text is not a valid pattern, or one whose matching time may grow faster than the text.
pub fn bad_pattern(pattern: &str) -> bool {
    options().build(&serde_json::json!({ "pattern": pattern })).is_err()
}

/// Whether texts can be checked for this format.
pub fn is_format(name: &str) -> bool {
    options().is_known_format(Draft::Draft202012, name)
}

/// A named type, compiled.
pub struct TypeSchema {
    name: String,
    /// `{"$ref": "#/$defs/Name", "$defs": {…}}` with all that it mentions.
    schema: Value,
    validator: Validator,
    /// Parts of the schema, by their place in it, compiled when a misfit is explained.
    parts: Mutex<HashMap<(usize, &'static str), Arc<Validator>>>,
}

impl TypeSchema {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// JSON Schema 2020-12 that needs nothing beside it.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    pub(super) fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// Writes the integers of a value that fits in plain digits.
    pub(super) fn write_integers(&self, value: &mut Value) {
        integers::write(self, &self.schema, value, 0);
    }

    /// Whether all values are strings.
    pub(super) fn is_text(&self) -> bool {
        kinds::is_text(self, &self.schema)
    }

    /// A sample value that fits, as far as one can be generated.
    pub(super) fn sample(&self) -> Value {
        sample::sample(self)
    }

    pub(super) fn member(&self, name: &str) -> Option<(Type, bool)> {
        kinds::member(self, name)
    }

    /// The members that no object of the type does without.
    pub fn required(&self) -> Vec<String> {
        kinds::required(self)
    }

    pub(super) fn may_be_list(&self) -> bool {
        kinds::admits(self, self.schema(), &Value::Array(Vec::new()))
    }

    /// Whether a text or a number may fit.
    pub fn may_be_scalar(&self) -> bool {
        [Value::from(""), Value::from(0)].iter().any(|value| kinds::admits(self, self.schema(), value))
    }

    pub(super) fn lacks(&self, way: &[Part]) -> Option<Lack> {
        kinds::lacks(self, &self.schema, way)
    }

    /// Adds where a rejected value does not fit. `path` leads to the value.
    pub(super) fn explain(&self, value: &Value, path: &mut String, misfits: &mut Misfits) {
        explain::explain(self, value, path, misfits);
    }

    /// The schema that a `$ref` means.
    fn target(&self, target: &str) -> Option<&Value> {
        self.definition(&referred(target)?)
    }

    fn definition(&self, name: &str) -> Option<&Value> {
        self.schema.get("$defs")?.get(name)
    }

    /// Whether the value fits a part of the schema. `part` is written as in the schema, `alone` builds an equivalent
    /// schema that does not depend on its context, and `what` is a word for messages.
    fn holds(&self, part: &Value, what: &'static str, alone: impl FnOnce() -> Value, value: &Value) -> bool {
        let place = (std::ptr::from_ref(part).addr(), what);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = parts.get(&place).cloned().or_else(|| {
            let mut schema = alone();
            if let (Value::Object(schema), Some(definitions)) = (&mut schema, self.schema.get("$defs")) {
                schema.insert("$defs".into(), definitions.clone());
            }
            let validator = Arc::new(options().build(&schema).ok()?);
            parts.insert(place, validator.clone());
            Some(validator)
        });
        drop(parts);
        validator.is_none_or(|validator| validator.is_valid(value))
    }
}

impl PartialEq for TypeSchema {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.schema == other.schema
    }
}

impl Eq for TypeSchema {}

impl Hash for TypeSchema {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for TypeSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests;
