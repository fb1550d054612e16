//! Problems of named types: how they are written, and how they fit together.

use crate::diag::{Diagnostic, Span, nearest};
use crate::value::words;

/// The forms of type definitions.
const TYPES: &str = "types are written like `interface Order { id: string; note?: string }` or `type State = \"open\" | \"paid\"`, \
     of string, number, boolean, null, any, unknown, other types, T[], Array<T>, Record<string, T>, { ... } and |";

/// The places of a cycle that are shown.
const PLACES: usize = 8;

/// A type definition that is not well-formed.
pub fn type_syntax(at: Span, what: &str) -> Diagnostic {
    Diagnostic::error("type-syntax", at, what).help(TYPES)
}

/// A schema that is not valid JSON.
pub fn schema_syntax(at: Span, what: &str) -> Diagnostic {
    Diagnostic::error("type-syntax", at, format!("invalid JSON: {what}")).help(
        "a `json schema` fence holds one JSON Schema, as in `{\"title\": \"Order\", \"type\": \"object\"}`",
    )
}

/// A construct of other languages that types here do not support.
pub fn unsupported_pattern(at: Span, what: &str, instead: Option<&str>) -> Diagnostic {
    Diagnostic::error("unsupported-pattern", at, format!("unsupported pattern: {what}"))
        .help(instead.unwrap_or(TYPES))
}

pub fn remote_reference(at: Span, target: &str) -> Diagnostic {
    Diagnostic::error("remote-reference", at, format!("the reference `{target}` leads out of the document"))
        .help("nothing is fetched; copy the definition into `$defs` and write `#/$defs/Name`")
}

/// A keyword with a wrong value.
pub fn bad_schema(at: Span, what: &str, expected: &str) -> Diagnostic {
    Diagnostic::error("bad-schema", at, format!("{what} should be {expected}"))
}

pub fn unknown_keyword<'a>(at: Span, name: &str, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? (words of your own begin with `x-`)"),
        None => "schemas are JSON Schema 2020-12; words of your own begin with `x-`".to_owned(),
    };
    Diagnostic::error("unknown-keyword", at, format!("unknown keyword `{name}` in a schema")).help(help)
}

/// A schema that gives no type a name.
pub fn untitled_schema(at: Span) -> Diagnostic {
    Diagnostic::error("untitled-schema", at, "this schema names no type")
        .help("give it a `title`, which is the name of the type, or put named schemas into `$defs`")
}

/// A schema that does not compile although each of its keywords is valid.
pub fn schema_refused(at: Span, name: &str, why: &str) -> Diagnostic {
    Diagnostic::error("bad-schema", at, format!("the type `{name}` is not valid JSON Schema: {why}"))
}

/// A name that is not allowed in signatures or already has a meaning.
pub fn type_name(at: Span, name: &str, why: &str) -> Diagnostic {
    Diagnostic::error("type-name", at, format!("a type cannot be called `{name}`: {why}"))
        .help("names of types begin with a letter and have letters, digits and `_ - .`")
}

/// A type definition that is not read: it is outside of `Types`, or in a fence that does not begin with `right`.
pub fn type_outside(fence: Span, name: &str, at: Span, right: Option<&str>) -> Diagnostic {
    let message = format!("`{name}` is not defined by this, so no value is checked against it");
    let help = match right {
        Some(right) => format!("begin the fence with ```{right}, below a heading `## Types`"),
        None => "put the fence below a heading `## Types`, at the beginning of a line".to_owned(),
    };
    Diagnostic::warning("type-outside", fence, message).related(at, "it is defined here").help(help)
}

pub fn duplicate_type(second: Span, first: Span, name: &str) -> Diagnostic {
    Diagnostic::error("duplicate-type", second, format!("the type `{name}` is defined twice"))
        .related(first, "the first one")
        .help("remove one of them, or give it another name")
}

/// The built-in type that other languages give this name.
fn elsewhere(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "integer" | "int" | "long" => Some("Integer"),
        "float" | "double" | "decimal" => Some("number"),
        "bool" => Some("boolean"),
        "str" | "text" => Some("string"),
        _ => None,
    }
}

/// A type that a definition mentions and that is not defined.
pub fn unknown_type(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let help = match elsewhere(name).or(near) {
        _ if name == "Secret" => {
            "a secret is a value of its own, as in `token::Secret`: it cannot be a member of another type"
                .to_owned()
        }
        Some(near) => words::did_you_mean(near),
        None => "define it under `## Types`; numbers, text and the like are number, Integer, string, boolean"
            .to_owned(),
    };
    Diagnostic::error("unknown-type", at, format!("unknown type `{name}`")).help(help)
}

/// Types that are defined only by each other. `path` ends with its first name.
pub fn endless_type(path: &[&str], places: &[Span]) -> Diagnostic {
    let shown: Vec<&str> = path.iter().copied().take(PLACES + 1).collect();
    let rest = if path.len() > shown.len() { " → ..." } else { "" };
    let message = format!("this type never ends: {}{rest}", shown.join(" → "));
    let at = places.first().copied().unwrap_or_default();
    let others = places.iter().take(PLACES).skip(1);
    others
        .fold(Diagnostic::error("endless-type", at, message), |diagnostic, at| {
            diagnostic.related(*at, "by way of this one")
        })
        .help("a type may contain itself in a member or a list, as in `interface Part { parts: Part[] }`")
}

pub fn schema_too_large(at: Span, name: &str, limit: usize) -> Diagnostic {
    let message =
        format!("schema too large: `{name}` has more than {limit} parts, with the types that it is made of");
    Diagnostic::error("schema-too-large", at, message)
        .help("types that contain others twice grow fast; use `any` further down")
}

/// All types of a document together are too large.
pub fn schemas_too_large(at: Span, limit: usize) -> Diagnostic {
    let message = format!(
        "schema too large: up to here, the types have more than {limit} parts, with those that they are made of"
    );
    Diagnostic::error("schema-too-large", at, message)
        .help("use `any` further down, or leave out what no step needs")
}

pub fn schema_too_deep(at: Span, name: &str, limit: usize, layers: usize) -> Diagnostic {
    let message = format!(
        "schema too large: `{name}` nests deeper than {limit} levels, or {layers} alternatives in one place"
    );
    Diagnostic::error("schema-too-large", at, message).help("use `any` further down")
}

pub fn unused_type(at: Span, name: &str) -> Diagnostic {
    Diagnostic::warning("unused-type", at, format!("no value has the type `{name}`"))
        .help(format!("write it in a signature, as in `order::{name}`, or remove it"))
}

/// A name without a definition that is similar to one with a definition.
pub fn misspelt_type(at: Span, name: &str, near: &str, defined: Span) -> Diagnostic {
    Diagnostic::warning(
        "misspelt-type",
        at,
        format!("`{name}` is defined nowhere, so values are not checked against it"),
    )
    .related(defined, format!("`{near}` is defined here"))
    .help(words::did_you_mean(near))
}
