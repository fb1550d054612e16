//! The meaning of names as colours: each place of a name with the kind of the name.

use super::{EditedPage, Entity, Mention, Mentions};
use crate::diag::Span;
use gen_lsp_types::{SemanticToken, SemanticTokens};

/// The kinds, in the order of their numbers.
pub const KINDS: [&str; 8] =
    ["function", "namespace", "variable", "class", "macro", "type", "enumMember", "event"];

/// The marks, in the order of their bits.
pub const MARKS: [&str; 1] = ["declaration"];

/// The names in a part of a document.
pub fn tokens(page: &EditedPage<'_>, mentions: &Mentions, part: Span) -> SemanticTokens {
    let mut data = Vec::new();
    let (mut line, mut start, mut end) = (0, 0, 0);
    let inside = mentions.all().iter().filter(|one| one.span.start < part.end && part.start < one.span.end);
    for mention in inside {
        let Some(kind) = kind(mention) else { continue };
        let range = page.range(mention.span);
        // A token is on one line, and none is within another.
        if range.start.line != range.end.line || mention.span.start < end {
            continue;
        }
        end = mention.span.end;
        let same = range.start.line == line;
        data.push(SemanticToken {
            delta_line: range.start.line - line,
            delta_start: range.start.character - if same { start } else { 0 },
            length: range.end.character - range.start.character,
            token_type: kind,
            token_modifiers_bitset: u32::from(mention.defines),
        });
        (line, start) = (range.start.line, range.start.character);
    }
    SemanticTokens { result_id: None, data }
}

fn kind(mention: &Mention) -> Option<u32> {
    match mention.entity {
        Entity::Step(_) => Some(0),
        Entity::Group(_) => Some(1),
        Entity::Value(_) => Some(2),
        Entity::Agent(_) => Some(3),
        Entity::Channel(_) => Some(4),
        Entity::Type(_) => Some(5),
        Entity::State(_) => Some(6),
        Entity::Event(_) => Some(7),
        Entity::Document(_) => None,
    }
}
