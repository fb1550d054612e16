//! Named types below the heading `Types`: fences of TypeScript or of JSON Schema. `graph` checks whether types exist
//! and fit together.

mod lexer;
mod schema;
#[cfg(test)]
mod tests;
mod ts;
mod union;

use super::body::{Part, opening};
use super::evidence::Role;
use super::markdown::{Fence, Kind};
use super::model::Definition;
use crate::diag::{Diagnostic, catalogue as problem};
use crate::value::Type;
use std::collections::HashSet;

/// The title of the section that holds types.
const SECTION: &str = "Types";

/// Names with a meaning of their own in definitions.
const WORDS: [&str; 8] = ["string", "number", "boolean", "null", "any", "unknown", "Array", "Record"];

/// Reads all types below the heading; `used` are the names of types in signatures.
pub(super) fn read(
    text: &str,
    written: &str,
    parts: &[Part],
    roles: &[Role],
    used: &HashSet<&str>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Definition> {
    let mut definitions = Vec::new();
    // The level of the heading above the current part.
    let mut below: Option<u8> = None;
    for (part, role) in parts.iter().zip(roles) {
        let level = part.head.as_ref().map_or(0, |head| head.level);
        below = below.filter(|outer| level > *outer);
        if part.title(text) == SECTION && *role != Role::Title {
            below = below.or(Some(level));
        }
        if below.is_some() {
            section(text, written, part, &mut definitions, problems);
        }
    }
    let under: HashSet<&str> = definitions.iter().map(|definition| definition.name.value.as_str()).collect();
    let wanted = |name: &str| used.contains(name) && !under.contains(name);
    for part in parts {
        for fence in fences(part) {
            outside(text, written, fence, &wanted, problems);
        }
    }
    definitions
}

/// All fences of a part, at any depth.
fn fences<'a>(part: &Part<'a>) -> impl Iterator<Item = &'a Fence> {
    part.blocks.iter().flat_map(|block| match &block.kind {
        Kind::Fence(fence) => std::slice::from_ref(fence),
        Kind::Container(container) => container.fences.as_slice(),
        _ => &[],
    })
}

/// Reports a fence that defines types of signatures but is not read: it is elsewhere, or is almost such a fence.
fn outside(
    text: &str,
    written: &str,
    fence: &Fence,
    wanted: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Diagnostic>,
) {
    let Some((language, right)) = likely(text, fence) else { return };
    let unheard = &mut Vec::new();
    let found = match language {
        Language::TypeScript => ts::read(written, fence.content, unheard),
        Language::JsonSchema => schema::read(written, fence.content, unheard),
    };
    if let Some(found) = found.iter().find(|found| wanted(&found.name.value)) {
        let exact = self::language(text, fence).is_some();
        let right = if exact { None } else { Some(right) };
        problems.push(problem::type_outside(opening(text, fence), &found.name.value, found.name.span, right));
    }
}

/// The language that a fence most likely has, and its right first line.
fn likely(text: &str, fence: &Fence) -> Option<(Language, &'static str)> {
    let info = text[fence.info.start..fence.info.end].to_lowercase();
    let words: Vec<&str> =
        info.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(4).collect();
    match words.as_slice() {
        [_, "run", ..] => None,
        ["ts" | "typescript" | "tsx" | "mts" | "cts" | "js" | "javascript", ..] => {
            Some((Language::TypeScript, "ts"))
        }
        ["json" | "jsonc" | "jsonschema" | "schema", ..] => Some((Language::JsonSchema, "json schema")),
        _ => None,
    }
}

fn section(
    text: &str,
    written: &str,
    part: &Part,
    definitions: &mut Vec<Definition>,
    problems: &mut Vec<Diagnostic>,
) {
    let from = definitions.len();
    for block in &part.blocks {
        match &block.kind {
            Kind::Fence(fence) => match language(text, fence) {
                Some(Language::TypeScript) => definitions.extend(ts::read(written, fence.content, problems)),
                Some(Language::JsonSchema) => {
                    definitions.extend(schema::read(written, fence.content, problems))
                }
                None => {}
            },
            Kind::Container(container) => {
                let types = container.fences.iter().filter(|fence| language(text, fence).is_some());
                let inside =
                    |fence| problem::fence_inside(opening(text, fence), container.holder.name(), "type");
                problems.extend(types.map(inside));
            }
            _ => {}
        }
    }
    for Definition { name, .. } in &definitions[from..] {
        let why = match Type::parse(&name.value) {
            _ if WORDS.contains(&name.value.as_str()) => "the name means something else in types",
            Some(Type::Named(_)) => continue,
            Some(Type::List(_) | Type::Nullable(_)) | None => "no signature could use that name",
            Some(_) => "the language has a type of that name",
        };
        problems.push(problem::type_name(name.span, &name.value, why));
    }
}

enum Language {
    TypeScript,
    JsonSchema,
}

fn language(text: &str, fence: &Fence) -> Option<Language> {
    let mut words = text[fence.info.start..fence.info.end].split_whitespace();
    match (words.next()?, words.next()) {
        (_, Some("run")) => None,
        ("ts" | "typescript", _) => Some(Language::TypeScript),
        ("json", Some("schema")) => Some(Language::JsonSchema),
        _ => None,
    }
}
