//! The label by which a trace names a value: short, one line, never its contents.

use super::{Type, Value};

/// The longest scalar that is its own label, in characters.
const SCALAR: usize = 40;

/// The label of a value called `name` for the item `key`: a one-line scalar of up to 40 characters is its
/// own label, an object is known by its `id`, a `File` by its file name, a `Secret` never by its value; everything else is `<name>_<key>`.
pub fn label(name: &str, ty: Option<&Type>, value: &Value, key: &str) -> String {
    let mut bare = ty;
    while let Some(Type::Nullable(inner) | Type::List(inner)) = bare {
        bare = Some(inner);
    }
    if let (Some(Type::File), Value::String(path)) = (bare, value) {
        let file = path.rsplit('/').next().unwrap_or(path);
        return if fits(file) { file.to_owned() } else { format!("{name}_{key}") };
    }
    if let Some(Type::Secret) = bare {
        return format!("{name}_{key}");
    }
    let scalar = match value {
        Value::Object(object) => object.get("id"),
        other => Some(other),
    };
    match scalar {
        Some(Value::String(text)) if fits(text) => text.clone(),
        Some(Value::Number(number)) if fits(number.as_str()) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => format!("{name}_{key}"),
    }
}

fn fits(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= SCALAR && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_scalars_and_ids_are_labels_and_contents_are_not() {
        assert_eq!(label("order", None, &json!({"id": "order_001", "total": 5}), "k"), "order_001");
        assert_eq!(label("order", None, &json!({"total": 5}), "k"), "order_k");
        assert_eq!(label("sent", None, &json!(true), "k"), "true");
        assert_eq!(label("text", None, &json!("x".repeat(41)), "k"), "text_k");
        let long: Value = format!("0.{}", "1".repeat(39)).parse().unwrap();
        assert_eq!(label("share", None, &long, "k"), "share_k");
        assert_eq!(label("order", None, &json!({ "id": long }), "k"), "order_k");
        assert_eq!(label("text", None, &json!("two\nlines"), "k"), "text_k");
        let nullable = Type::Nullable(Box::new(Type::File));
        assert_eq!(label("pdf", Some(&nullable), &json!("items/1/label.pdf"), "k"), "label.pdf");
        assert_eq!(label("pdf", Some(&Type::File), &json!("out/label.pdf"), "k"), "label.pdf");
        assert_eq!(label("token", Some(&Type::Secret), &json!("abc"), "k"), "token_k");
        assert_eq!(label("list", None, &json!([1]), "k"), "list_k");
    }
}
