//! Structures as JSON for scripts.

use crate::diag::render::visible_json;

/// A structure of ours as indented JSON with a final newline.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Structs of texts and numbers always have a JSON form.
    serde_json::to_string_pretty(value).map(|text| visible_json(&text) + "\n").unwrap_or_default()
}
