//! How one item becomes a key and the workflow's inputs.

use super::paths::Files;
use crate::event::Values;
use crate::graph::{Graph, ValueId};
use crate::value::number::canonical;
use crate::value::words;
use crate::value::{Object, Type, Value, kind, nearest};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Inputs that the command line gives, the same for every item.
pub type Given = Vec<(ValueId, Arc<Value>)>;

/// A column of a table of items: its name, and the matching input, or member of the only input.
pub(super) struct Column<'a> {
    pub name: String,
    wanted: Option<Cow<'a, Wanted>>,
    files: &'a Files,
}

/// The longest key, in bytes: every row of the item contains it.
pub const LONGEST_KEY: usize = 4096;

/// Objects with more members than this are not searched for a misspelt one.
const COMPARED: usize = 100;

/// The form that one workflow requires of its items.
#[derive(Clone, Debug)]
pub struct Shape {
    given: Given,
    /// Inputs that each item must provide.
    wanted: Vec<Wanted>,
    /// The field that contains the key, if the user names one.
    key: Option<String>,
    /// Where to find the files that items name.
    pub(super) files: Files,
}

#[derive(Clone, Debug)]
struct Wanted {
    id: ValueId,
    name: String,
    ty: Option<Type>,
    optional: bool,
}

impl Shape {
    pub fn new(graph: &Graph, given: Given, key: Option<String>) -> Self {
        let open = |id: &&ValueId| !given.iter().any(|(other, _)| other == *id);
        let wanted = |id: &ValueId| Wanted {
            id: *id,
            name: graph.value(*id).name.clone(),
            ty: graph.value(*id).ty.clone(),
            optional: graph.may_lack(*id),
        };
        let wanted = graph.inputs.iter().filter(open).map(wanted).collect();
        Shape { given, wanted, key, files: Files::default() }
    }

    /// The same shape, with files found in this way.
    pub fn with(self, files: Files) -> Shape {
        Shape { files, ..self }
    }

    /// Names of the required inputs that a run without items lacks.
    pub fn lacking(&self) -> Vec<&str> {
        self.wanted.iter().filter(|wanted| !wanted.optional).map(|wanted| wanted.name.as_str()).collect()
    }

    /// Whether items provide any inputs.
    pub fn takes_items(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The inputs of a run without items.
    pub fn without_item(&self) -> Values {
        self.given.clone()
    }

    /// Whether an item in a file is passed as the file's path.
    pub(super) fn takes_file(&self) -> bool {
        matches!(self.wanted.as_slice(), [only] if only.ty.as_ref().map(bare) == Some(&Type::File))
    }

    pub(super) fn column(&self, name: String) -> Column<'_> {
        let wanted = self.wanted.iter().find(|wanted| wanted.name == name).map(Cow::Borrowed);
        let wanted = wanted.or_else(|| self.member(&name).map(Cow::Owned));
        Column { name, wanted, files: &self.files }
    }

    /// Required columns that this table lacks, so that no row is a valid item: each with the place of the column that
    /// was most likely meant, else of the first.
    pub(super) fn lacking_columns(&self, columns: &[String]) -> Vec<(usize, String)> {
        let is_there = |name: &str| columns.iter().any(|column| column == name);
        let described = |name: &str, what: &str| {
            let free = columns.iter().map(String::as_str).filter(|column| !self.knows(column));
            // Invisible characters, blanks and case are ignored when guessing the name.
            let bare = |name: &str| name.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
            let alike = free.clone().find(|column| bare(column) == bare(name));
            let near = alike.or_else(|| nearest(name, free).filter(|_| columns.len() <= COMPARED));
            let at = near.and_then(|near| columns.iter().position(|column| column == near));
            let meant = near.map(|near| format!(" (is {} meant?)", seen(near))).unwrap_or_default();
            (at.unwrap_or(0), format!("no column {}{what}{meant}", seen(name)))
        };
        let key = self.key.as_deref().filter(|name| !is_there(name));
        let names = self.columns(columns).into_iter().filter(|name| !is_there(name));
        key.map(|name| described(name, ", the items' key"))
            .into_iter()
            .chain(names.map(|name| described(&name, "")))
            .collect()
    }

    /// The columns that a row requires: the inputs, or the members of the only one.
    fn columns(&self, columns: &[String]) -> Vec<String> {
        let [only] = self.wanted.as_slice() else {
            let required = self.wanted.iter().filter(|wanted| !wanted.optional);
            return required.map(|wanted| wanted.name.clone()).collect();
        };
        if only.optional || columns.contains(&only.name) {
            return Vec::new();
        }
        match only.ty.as_ref().map(bare) {
            Some(
                Type::String
                | Type::Secret
                | Type::Boolean
                | Type::Integer
                | Type::Number
                | Type::File
                | Type::List(_),
            ) => {
                vec![only.name.clone()]
            }
            Some(Type::Defined(definition)) => definition.required(),
            Some(Type::Json | Type::Named(_) | Type::Nullable(_)) | None => Vec::new(),
        }
    }

    /// Whether a column is known by its name.
    fn knows(&self, column: &str) -> bool {
        let is_input = self.wanted.iter().any(|wanted| wanted.name == column);
        is_input || self.member(column).is_some() || self.key.as_deref() == Some(column)
    }

    /// A member of the only input, which the whole item then is.
    fn member(&self, name: &str) -> Option<Wanted> {
        let [only] = self.wanted.as_slice() else { return None };
        let (ty, optional) = only.ty.as_ref()?.member(name)?;
        Some(Wanted { id: only.id, name: name.to_owned(), ty: Some(ty), optional })
    }

    /// The item's key: the named field, else `id`, the only field that ends in `_id`, or the fallback.
    ///
    /// # Errors
    /// The problem with the named field.
    pub fn key(&self, item: &Value, fallback: &str) -> Result<Arc<str>, String> {
        let key = self.any_key(item, fallback)?;
        if key.len() > LONGEST_KEY {
            return Err(format!("the item's key is longer than {LONGEST_KEY} bytes: {}", quoted(&key)));
        }
        Ok(key)
    }

    fn any_key(&self, item: &Value, fallback: &str) -> Result<Arc<str>, String> {
        if let Some(name) = &self.key {
            let Value::Object(object) = item else {
                return Err(format!("expected an object with the key `{name}`, found {}", kind(item)));
            };
            return match object.get(name) {
                Some(Value::String(text)) if text.is_empty() => Err(format!("the key `{name}` is empty")),
                Some(value) => scalar(value).ok_or_else(|| {
                    format!("the key `{name}` must be a string or a number, not {}", kind(value))
                }),
                None => Err(format!("missing `{name}`, the item's key")),
            };
        }
        let own = match item {
            Value::Object(object) => object.get("id").or_else(|| only_id(object)).and_then(scalar),
            _ => None,
        };
        Ok(own.unwrap_or_else(|| fallback.into()))
    }

    /// The workflow's inputs for this item: an object with all required names provides them by name; else the item
    /// itself is the only required input. `file` is the file that contains only this item.
    ///
    /// # Errors
    /// An input is missing or does not fit.
    pub fn inputs(&self, item: Value, file: Option<&Path>) -> Result<Values, String> {
        let mut values = self.given.clone();
        let fitting = |wanted: &Wanted, value| self.fitting(wanted, value, file);
        let by_name = |object: &Object| {
            let holds = |wanted: &Wanted| object.contains_key(&wanted.name) || wanted.optional;
            self.wanted.iter().all(holds)
                && self.wanted.iter().any(|wanted| object.contains_key(&wanted.name))
        };
        match (item, self.wanted.as_slice()) {
            (_, []) => {}
            (Value::Object(mut object), wanted) if by_name(&object) => {
                for wanted in wanted {
                    if let Some(value) = object.shift_remove(&wanted.name) {
                        values.push((wanted.id, fitting(wanted, value)?));
                    }
                }
            }
            (item, [only]) => values.push((only.id, fitting(only, item)?)),
            (Value::Object(object), several) => {
                let missing =
                    several.iter().filter(|wanted| !wanted.optional && !object.contains_key(&wanted.name));
                let names: Vec<_> = missing.map(|wanted| misnamed(&wanted.name, several, &object)).collect();
                return Err(format!("missing {}", names.join(", ")));
            }
            (other, several) => {
                let names: Vec<_> = several.iter().map(|wanted| format!("`{}`", wanted.name)).collect();
                return Err(format!("expected an object with {}, found {}", names.join(", "), kind(&other)));
            }
        }
        Ok(values)
    }

    fn fitting(&self, wanted: &Wanted, value: Value, file: Option<&Path>) -> Result<Arc<Value>, String> {
        let Some(ty) = &wanted.ty else { return Ok(Arc::new(value)) };
        let value = ty.admit(value).map_err(|misfits| misfits.of(&wanted.name))?;
        let value = self.files.absolute(value, ty, file);
        Ok(Arc::new(value.map_err(|why| format!("`{}`: {why}", wanted.name))?))
    }
}

impl Column<'_> {
    /// The value of a text cell; `None` for an empty cell of an optional input.
    ///
    /// # Errors
    /// Why it does not fit.
    pub fn text(&self, text: &str) -> Result<Option<Value>, String> {
        let Some(Wanted { name, ty: Some(ty), optional, .. }) = self.wanted.as_deref() else {
            return Ok(Some(Value::from(text)));
        };
        if text.is_empty() && *optional {
            return Ok(None);
        }
        let misfit = |why: String| format!("`{name}` is not of type {ty}: {why}");
        let value = ty.read(text).map_err(|_| misfit(format!("found {}", quoted(text))))?;
        let whole = value.is_object() || value.is_array();
        match ty.admit(value) {
            Ok(value) => self.found(value, ty).map(Some),
            Err(misfits) if whole => Err(misfits.of(name)),
            Err(_) => Err(misfit(format!("found {}", quoted(text)))),
        }
    }

    /// The value of a typed cell; `None` for null in an optional input.
    ///
    /// # Errors
    /// Why it does not fit.
    pub fn value(&self, value: Value) -> Result<Option<Value>, String> {
        match self.wanted.as_deref() {
            Some(wanted) if wanted.optional && value.is_null() => Ok(None),
            Some(Wanted { name, ty: Some(ty), .. }) => match ty.admit(value) {
                Ok(value) => self.found(value, ty).map(Some),
                Err(misfits) => Err(misfits.of(name)),
            },
            _ => Ok(Some(value)),
        }
    }

    fn found(&self, value: Value, ty: &Type) -> Result<Value, String> {
        self.files.absolute(value, ty, None).map_err(|why| format!("`{}`: {why}", self.name))
    }

    /// Whether a cell that looks like a number is a text.
    pub fn is_text(&self) -> bool {
        let ty = self.wanted.as_deref().and_then(|wanted| wanted.ty.as_ref());
        ty.is_some_and(Type::is_text)
    }
}

/// A text for messages, cut to its first characters.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("\"{}…\"", text[..end].escape_debug()),
        None => format!("{text:?}"),
    }
}

/// A name with its invisible characters escaped.
pub(super) fn seen(name: &str) -> String {
    words::code(words::excerpt(name))
}

/// The type without its `?`.
fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Nullable(inner) => bare(inner),
        other => other,
    }
}

/// A missing name of an object, with the similar one that it has instead, if any.
fn misnamed(name: &str, wanted: &[Wanted], object: &Object) -> String {
    let others = object.keys().map(String::as_str);
    let others = others.filter(|other| !wanted.iter().any(|wanted| wanted.name == *other));
    let near = if object.len() <= COMPARED { nearest(name, others) } else { None };
    match near {
        Some(near) => format!("`{name}` (is {} meant?)", seen(near)),
        None => format!("`{name}`"),
    }
}

fn only_id(object: &Object) -> Option<&Value> {
    let mut ids = object.iter().filter(|(name, _)| name.ends_with("_id")).map(|(_, value)| value);
    let first = ids.next()?;
    ids.next().is_none().then_some(first)
}

/// A scalar as a key: equal numbers give the same key, however they are written.
fn scalar(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
        Value::Number(_) => Some(canonical(value).to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shape(wanted: &[(&str, &str)], key: Option<&str>) -> Shape {
        let want = |(index, (name, ty)): (usize, &(&str, &str))| Wanted {
            id: ValueId(index as u32),
            name: name.to_string(),
            ty: Type::parse(ty),
            optional: false,
        };
        let wanted = wanted.iter().enumerate().map(want).collect();
        Shape { given: Vec::new(), wanted, key: key.map(str::to_owned), files: Files::default() }
    }

    #[test]
    fn the_key_is_the_named_field_or_the_only_id() {
        let by_rule = shape(&[], None);
        let key = |item| by_rule.key(&item, "17").unwrap().to_string();
        assert_eq!(key(json!({"id": 5, "order_id": "o"})), "5");
        assert_eq!(key(json!({"order_id": "o", "total": 1})), "o");
        assert_eq!(key(json!({"order_id": "o", "customer_id": "c"})), "17");
        assert_eq!(key(json!([1])), "17");
        for (written, text) in
            [("5.0", "5"), ("1e3", "1000"), ("1.50", "1.5"), ("1e999999999", "1e+999999999")]
        {
            let number: serde_json::Number = written.parse().unwrap();
            assert_eq!(key(json!({ "id": number })), text);
        }
        let named = shape(&[], Some("nr"));
        assert_eq!(by_rule.key(&json!({ "id": "k".repeat(4096) }), "17").unwrap().len(), 4096);
        let long = format!("the item's key is longer than 4096 bytes: \"{}…\"", "k".repeat(40));
        assert_eq!(by_rule.key(&json!({ "id": "k".repeat(4097) }), "17").unwrap_err(), long);
        assert_eq!(named.key(&json!({ "nr": "k".repeat(4097) }), "17").unwrap_err(), long);
        assert_eq!(&*named.key(&json!({"nr": 3}), "17").unwrap(), "3");
        assert_eq!(named.key(&json!({}), "17").unwrap_err(), "missing `nr`, the item's key");
        assert!(named.key(&json!({"nr": null}), "17").unwrap_err().contains("not null"));
    }

    #[test]
    fn an_object_with_all_names_supplies_them_else_the_item_is_the_input() {
        let one = shape(&[("order", "JSON")], None);
        assert_eq!(*one.inputs(json!({"order": 1}), None).unwrap()[0].1, json!(1));
        assert_eq!(*one.inputs(json!({"other": 1}), None).unwrap()[0].1, json!({"other": 1}));
        let two = shape(&[("a", "Integer"), ("b", "String")], None);
        assert_eq!(two.inputs(json!({"a": 1, "b": "x", "c": 0}), None).unwrap().len(), 2);
        assert_eq!(two.inputs(json!({"a": 1}), None).unwrap_err(), "missing `b`");
        let named = shape(&[("customer", "String"), ("total", "Number")], None);
        let slip = named.inputs(json!({"custmer": "Ada", "total": 1}), None);
        assert_eq!(slip.unwrap_err(), "missing `customer` (is `custmer` meant?)");
        assert_eq!(
            two.inputs(json!(3), None).unwrap_err(),
            "expected an object with `a`, `b`, found a number"
        );
        assert!(
            two.inputs(json!({"a": "1", "b": "x"}), None).unwrap_err().contains("`a` is not of type Integer")
        );
    }
}
