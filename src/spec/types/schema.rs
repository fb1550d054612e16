//! JSON Schema 2020-12 with names: one schema with a `title`, or several in `$defs`. Every keyword is checked here, so
//! that a problem is reported at its place in the fence and in plain words.

use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::spec::markdown::place;
use crate::spec::model::{Definition, Spanned};
use crate::value::schema::{Holds, KINDS, bad_pattern, is_format, keyword, keywords, reference, referred};
use crate::value::{Object, Value, json};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The only value of `$schema`.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Reads the definitions of a fence.
pub(super) fn read(text: &str, content: Span, problems: &mut Vec<Diagnostic>) -> Vec<Definition> {
    let source = text.get(content.start..content.end).unwrap_or("");
    let schema = match json::parse(source) {
        Ok(Value::Object(schema)) => schema,
        Ok(_) => {
            let at = place(text, source.trim());
            problems.push(problem::bad_schema(at, "a schema", "an object"));
            return Vec::new();
        }
        Err(error) => {
            let (at, what) = broken(content.start, source, &error);
            problems.push(problem::schema_syntax(at, &what));
            return Vec::new();
        }
    };
    let raw = serde_json::from_str(source).ok();
    let mut reader = Reader { text, title: None, mentions: Vec::new(), problems };
    reader.fence(schema, Node { text, raw, key: None })
}

/// The place of a mistake in JSON, and serde_json's words for it.
fn broken(start: usize, source: &str, error: &serde_json::Error) -> (Span, String) {
    let line = error.line().max(1) - 1;
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let mut at = (before + error.column().saturating_sub(1)).min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let length = source[at..].chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
    (Span::new(start + at, start + at + length), json::why(error))
}

/// A value at its place in the document.
#[derive(Clone, Copy)]
struct Node<'a> {
    text: &'a str,
    raw: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
}

impl<'a> Node<'a> {
    fn span(&self) -> Span {
        self.raw.map_or(Span::default(), |raw| place(self.text, raw.get()))
    }

    /// The key without its quotes.
    fn key(&self) -> Span {
        let key = self.key.map(|key| place(self.text, key.get()));
        key.map_or(self.span(), |key| Span::new(key.start + 1, key.end - 1))
    }

    fn with(&self, key: Option<&'a RawValue>, raw: &'a RawValue) -> Self {
        Node { text: self.text, raw: Some(raw), key }
    }

    /// The members of an object, in order.
    fn members(&self) -> Vec<Node<'a>> {
        let members = self.raw.and_then(|raw| serde_json::from_str::<Members>(raw.get()).ok());
        members.map_or_else(Vec::new, |all| {
            all.0.into_iter().map(|(key, raw)| self.with(Some(key), raw)).collect()
        })
    }

    /// The elements of a list.
    fn elements(&self) -> Vec<Node<'a>> {
        let elements = self.raw.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        elements.map_or_else(Vec::new, |all| all.into_iter().map(|raw| self.with(None, raw)).collect())
    }
}

struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

struct Reader<'a, 'p> {
    text: &'a str,
    /// The type that `#` refers to.
    title: Option<String>,
    /// Those of the current definition.
    mentions: Vec<Spanned<String>>,
    problems: &'p mut Vec<Diagnostic>,
}

impl<'a> Reader<'a, '_> {
    fn fence(&mut self, mut schema: Object, node: Node<'a>) -> Vec<Definition> {
        let members = node.members();
        let named = |members: &[Node<'a>], name: &str| {
            members.iter().find(|member| self.text[member.key().start..member.key().end] == *name).copied()
        };
        let (title, inner) = (named(&members, "title"), named(&members, "$defs"));
        let dialect = named(&members, "$schema");
        self.dialect(schema.shift_remove("$schema"), dialect);
        // Documents cannot refer to each other, so its address is not needed.
        schema.shift_remove("$id");
        let inner = schema.shift_remove("$defs").map(|defined| (defined, inner.unwrap_or(node)));
        let is_type =
            schema.keys().any(|name| !matches!(name.as_str(), "title" | "description" | "$comment"));
        let name = schema.get("title").and_then(Value::as_str).map(str::to_owned);
        self.title = name.clone();
        let mut definitions = Vec::new();
        match (name, title) {
            (Some(name), Some(title)) if is_type || inner.is_none() => {
                let span = title.span();
                let name = Spanned::new(name, Span::new(span.start + 1, span.end.saturating_sub(1)));
                definitions.push(self.definition(name, Value::Object(schema), node, true));
            }
            _ if is_type || inner.is_none() => {
                let first = Span::new(node.span().start, node.span().start + 1);
                self.problems.push(problem::untitled_schema(first));
            }
            _ => {}
        }
        let Some((defined, at)) = inner else { return definitions };
        let Value::Object(mut defined) = defined else {
            self.problems.push(problem::bad_schema(at.span(), "`$defs`", "an object of schemas by name"));
            return definitions;
        };
        for (name, node) in self.by_name(at) {
            if let Some(schema) = defined.shift_remove(&name) {
                definitions.push(self.definition(Spanned::new(name, node.key()), schema, node, false));
            }
        }
        definitions
    }

    /// The members with their names, escapes resolved.
    fn by_name(&self, node: Node<'a>) -> Vec<(String, Node<'a>)> {
        let name = |member: Node<'a>| Some((serde_json::from_str(member.key?.get()).ok()?, member));
        node.members().into_iter().filter_map(name).collect()
    }

    fn dialect(&mut self, dialect: Option<Value>, node: Option<Node>) {
        let known =
            |dialect: &Value| dialect.as_str().is_some_and(|uri| uri.trim_end_matches('#') == DIALECT);
        if let (Some(dialect), Some(node)) = (dialect, node)
            && !known(&dialect)
        {
            self.problems.push(problem::bad_schema(node.span(), "`$schema`", &format!("\"{DIALECT}\"")));
        }
    }

    fn definition(
        &mut self,
        name: Spanned<String>,
        mut schema: Value,
        node: Node<'a>,
        top: bool,
    ) -> Definition {
        self.mentions.clear();
        let before = self.problems.len();
        self.schema(&mut schema, node, top);
        // The problem has been reported; mentions of the type are not reported again.
        if self.problems.len() > before {
            schema = Value::Bool(true);
        }
        Definition { name, schema, mentions: std::mem::take(&mut self.mentions) }
    }

    /// Checks a schema, and replaces its references by type names.
    fn schema(&mut self, schema: &mut Value, node: Node<'a>, top: bool) {
        let object = match schema {
            Value::Object(object) => object,
            Value::Bool(_) => return,
            _ => {
                return self.problems.push(problem::bad_schema(
                    node.span(),
                    "a schema",
                    "an object, true or false",
                ));
            }
        };
        for (name, member) in self.by_name(node) {
            match (keyword(&name), name.as_str()) {
                (Some(holds), _) => {
                    if let Some(value) = object.get_mut(&name) {
                        self.keyword(&name, holds, value, member);
                    }
                }
                (None, "$schema" | "$id" | "$defs") if top => {}
                (None, own) if own.starts_with("x-") => {}
                (
                    None,
                    "$id" | "$anchor" | "$defs" | "definitions" | "$dynamicRef" | "$dynamicAnchor"
                    | "$recursiveRef" | "$recursiveAnchor" | "$vocabulary" | "$schema",
                ) => {
                    let instead = "types are named in `$defs` at the top of the fence, and used as `{\"$ref\": \"#/$defs/Name\"}`";
                    let problem =
                        problem::unsupported_pattern(member.key(), &format!("`{name}` here"), Some(instead));
                    self.problems.push(problem);
                }
                (None, _) => self.problems.push(problem::unknown_keyword(member.key(), &name, keywords())),
            }
        }
    }

    fn keyword(&mut self, name: &str, holds: Holds, value: &mut Value, node: Node<'a>) {
        match (holds, &mut *value) {
            (Holds::Schema | Holds::PartSchema, schema) => self.schema(schema, node, false),
            (Holds::Schemas | Holds::PartSchemas, Value::Array(all)) if !all.is_empty() => {
                for (schema, node) in all.iter_mut().zip(node.elements()) {
                    self.schema(schema, node, false);
                }
            }
            (
                Holds::SchemaByName | Holds::PartSchemaByName | Holds::PartSchemaByPattern,
                Value::Object(all),
            ) => {
                for (name, node) in self.by_name(node) {
                    if holds == Holds::PartSchemaByPattern {
                        self.pattern(&name, node.key());
                    }
                    if let Some(schema) = all.get_mut(&name) {
                        self.schema(schema, node, false);
                    }
                }
            }
            (Holds::Reference, Value::String(target)) => {
                if let Some(reference) = self.reference(target, node.span()) {
                    *value = reference;
                }
            }
            (Holds::Pattern, Value::String(pattern)) => {
                let span = node.span();
                self.pattern(&pattern.clone(), span);
            }
            (Holds::Format, Value::String(format)) if is_format(format) => {}
            (Holds::Format, Value::String(format)) => {
                let what = format!("the format `{format}`");
                let instead = "the formats are date, date-time, time, duration, email, uri, uuid, hostname, ipv4, ipv6, regex and the like";
                self.problems.push(problem::unsupported_pattern(node.span(), &what, Some(instead)));
            }
            (holds, value) => {
                if let Some(expected) = misfit(holds, value) {
                    self.problems.push(problem::bad_schema(node.span(), &format!("`{name}`"), expected));
                }
            }
        }
    }

    fn pattern(&mut self, pattern: &str, at: Span) {
        if bad_pattern(pattern) {
            let instead = "patterns are regular expressions without look-around and back-references";
            let what = format!("the regular expression `{pattern}`");
            self.problems.push(problem::unsupported_pattern(at, &what, Some(instead)));
        }
    }

    /// The target of a `$ref` that names a type.
    fn reference(&mut self, target: &str, at: Span) -> Option<Value> {
        let own = (target == "#").then(|| self.title.clone()).flatten();
        match own.or_else(|| referred(target)) {
            Some(name) => {
                let value = reference(&name).get("$ref").cloned();
                self.mentions.push(Spanned::new(name, at));
                return value;
            }
            None if target.starts_with('#') => {
                let instead = "name the part in `$defs` and write `#/$defs/Name`";
                let what = format!("the reference `{target}`");
                self.problems.push(problem::unsupported_pattern(at, &what, Some(instead)));
            }
            None => self.problems.push(problem::remote_reference(at, target)),
        }
        None
    }
}

/// The expected kind of a keyword's value, if it has another.
fn misfit(holds: Holds, value: &Value) -> Option<&'static str> {
    let texts = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let kind = |value: &Value| value.as_str().is_some_and(|kind| KINDS.contains(&kind));
    let number = |value: &Value| value.as_number().map(|number| number.as_str().to_owned());
    let (fits, expected) = match holds {
        Holds::Any => (true, ""),
        Holds::Text | Holds::Reference | Holds::Pattern | Holds::Format => (value.is_string(), "a text"),
        Holds::Flag => (value.is_boolean(), "true or false"),
        Holds::Number => (value.is_number(), "a number"),
        Holds::Positive => {
            let above = number(value).is_some_and(|digits| {
                !digits.starts_with('-') && digits.contains(|c: char| ('1'..='9').contains(&c))
            });
            (above, "a number above 0")
        }
        Holds::Count => {
            let whole = number(value)
                .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() < 19);
            (whole, "a whole number")
        }
        Holds::List => (value.is_array(), "a list"),
        Holds::Texts => (texts(value), "a list of names"),
        Holds::TextLists => {
            (value.as_object().is_some_and(|all| all.values().all(texts)), "lists of names by name")
        }
        Holds::Kinds => {
            let several =
                |value: &Value| value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(kind));
            (
                kind(value) || several(value),
                "string, number, integer, boolean, object, array or null, or a list of these",
            )
        }
        Holds::Schema | Holds::PartSchema => (true, ""),
        Holds::Schemas | Holds::PartSchemas => (false, "a list of schemas"),
        Holds::SchemaByName | Holds::PartSchemaByName | Holds::PartSchemaByPattern => {
            (value.is_object(), "an object of schemas")
        }
    };
    (!fits).then_some(expected)
}
