//! The words of JSON Schema 2020-12 that types may use, and what each of them holds.

use crate::value::Value;

/// The kind of value that a keyword has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Anything: examples, defaults, constants.
    Any,
    Text,
    Flag,
    Number,
    /// A number above 0.
    Positive,
    /// A whole number from 0.
    Count,
    List,
    Texts,
    /// Lists of names by name.
    TextLists,
    /// A kind of value, or a list of kinds.
    Kinds,
    Pattern,
    Format,
    /// `#/$defs/Name`.
    Reference,
    /// Schemas that look at the same value.
    Schema,
    Schemas,
    SchemaByName,
    /// Schemas that look at parts of the value.
    PartSchema,
    PartSchemas,
    PartSchemaByName,
    PartSchemaByPattern,
}

/// The kinds of value that JSON Schema knows.
pub const KINDS: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

const KEYWORDS: [(&str, Holds); 50] = [
    ("$comment", Holds::Text),
    ("title", Holds::Text),
    ("description", Holds::Text),
    ("default", Holds::Any),
    ("deprecated", Holds::Flag),
    ("readOnly", Holds::Flag),
    ("writeOnly", Holds::Flag),
    ("examples", Holds::List),
    ("type", Holds::Kinds),
    ("enum", Holds::List),
    ("const", Holds::Any),
    ("multipleOf", Holds::Positive),
    ("maximum", Holds::Number),
    ("exclusiveMaximum", Holds::Number),
    ("minimum", Holds::Number),
    ("exclusiveMinimum", Holds::Number),
    ("maxLength", Holds::Count),
    ("minLength", Holds::Count),
    ("pattern", Holds::Pattern),
    ("format", Holds::Format),
    ("maxItems", Holds::Count),
    ("minItems", Holds::Count),
    ("uniqueItems", Holds::Flag),
    ("maxContains", Holds::Count),
    ("minContains", Holds::Count),
    ("maxProperties", Holds::Count),
    ("minProperties", Holds::Count),
    ("required", Holds::Texts),
    ("dependentRequired", Holds::TextLists),
    ("contentEncoding", Holds::Text),
    ("contentMediaType", Holds::Text),
    ("$ref", Holds::Reference),
    ("allOf", Holds::Schemas),
    ("anyOf", Holds::Schemas),
    ("oneOf", Holds::Schemas),
    ("not", Holds::Schema),
    ("if", Holds::Schema),
    ("then", Holds::Schema),
    ("else", Holds::Schema),
    ("dependentSchemas", Holds::SchemaByName),
    ("prefixItems", Holds::PartSchemas),
    ("items", Holds::PartSchema),
    ("contains", Holds::PartSchema),
    ("properties", Holds::PartSchemaByName),
    ("patternProperties", Holds::PartSchemaByPattern),
    ("additionalProperties", Holds::PartSchema),
    ("propertyNames", Holds::PartSchema),
    ("unevaluatedItems", Holds::PartSchema),
    ("unevaluatedProperties", Holds::PartSchema),
    ("contentSchema", Holds::PartSchema),
];

/// The kind of value that a keyword has; `None` for an unknown keyword.
pub fn keyword(name: &str) -> Option<Holds> {
    KEYWORDS.iter().find(|(known, _)| *known == name).map(|(_, holds)| *holds)
}

/// All keywords.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    KEYWORDS.iter().map(|(name, _)| *name)
}

/// A schema directly inside another.
pub(super) struct Inner<'a> {
    pub schema: &'a Value,
    /// Whether it looks at the same value as the one around it.
    pub same: bool,
}

/// The schemas directly inside `schema`; references are not followed.
pub(super) fn inner(schema: &Value) -> Vec<Inner<'_>> {
    let mut all = Vec::new();
    for (name, held) in schema.as_object().into_iter().flatten() {
        let Some(holds) = keyword(name) else { continue };
        let mut add = |schema, same| all.push(Inner { schema, same });
        match (holds, held) {
            (Holds::Schema, schema) => add(schema, true),
            (Holds::PartSchema, schema) => add(schema, false),
            (Holds::Schemas, Value::Array(list)) => list.iter().for_each(|schema| add(schema, true)),
            (Holds::PartSchemas, Value::Array(list)) => list.iter().for_each(|schema| add(schema, false)),
            (Holds::SchemaByName, Value::Object(map)) => map.values().for_each(|schema| add(schema, true)),
            (Holds::PartSchemaByName | Holds::PartSchemaByPattern, Value::Object(map)) => {
                map.values().for_each(|schema| add(schema, false));
            }
            _ => {}
        }
    }
    all
}
