//! How one type names another: `{"$ref": "#/$defs/Name"}`, the name escaped as in a URI's fragment.

use crate::value::Value;

const DEFINITIONS: &str = "#/$defs/";

/// A schema that is the type of this name.
pub fn reference(name: &str) -> Value {
    let mut target = String::from(DEFINITIONS);
    for byte in name.bytes() {
        match byte {
            b'~' => target.push_str("~0"),
            b'/' => target.push_str("~1"),
            byte if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) => target.push(byte.into()),
            byte => target.push_str(&format!("%{byte:02X}")),
        }
    }
    serde_json::json!({ "$ref": target })
}

/// The name of the type that a `$ref` means; `None` for every other target.
pub fn referred(target: &str) -> Option<String> {
    let escaped = target.strip_prefix(DEFINITIONS)?;
    let mut bytes = Vec::new();
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match byte {
            b'/' => return None,
            b'%' => bytes.push((digit(rest.next())? * 16 + digit(rest.next())?) as u8),
            byte => bytes.push(byte),
        }
    }
    Some(String::from_utf8(bytes).ok()?.replace("~1", "/").replace("~0", "~"))
}

/// The name of the type that a schema's own `$ref` means.
pub(super) fn refers(schema: &Value) -> Option<String> {
    referred(schema.get("$ref")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_escaping() {
        for name in ["Order", "a/b", "Größe", "50% ~off", "x~1y"] {
            assert_eq!(refers(&reference(name)).as_deref(), Some(name));
        }
        for other in ["#", "#/properties/a", "#/$defs/a/b", "order.json", "#/$defs/%", "#/$defs/%zz"] {
            assert_eq!(referred(other), None, "{other}");
        }
    }
}
