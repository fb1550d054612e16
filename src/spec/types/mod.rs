//! Named types as they are written below the heading `Types`: fences of TypeScript or of JSON Schema. Which
//! types exist and whether they make sense together is `graph`'s to say.

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

/// The title of the section that holds types.
const SECTION: &str = "Types";

/// Names with a meaning of their own in definitions.
const WORDS: [&str; 8] = ["string", "number", "boolean", "null", "any", "unknown", "Array", "Record"];

/// Reads all types that stand below the heading.
pub(super) fn read(
    text: &str,
    written: &str,
    parts: &[Part],
    roles: &[Role],
    problems: &mut Vec<Diagnostic>,
) -> Vec<Definition> {
    let mut definitions = Vec::new();
    // The level of the heading that the current part stands below.
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
    definitions
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
