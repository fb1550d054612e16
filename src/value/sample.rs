//! Sample values: they let a step run before its producer has an agent.

use super::{Object, Type, Value};

impl Type {
    /// A value that fits: `"stub"`, 1, true, an empty list, or `{"stub": true}`; for a type that the document defines,
    /// a sample of its schema.
    pub fn sample(&self) -> Value {
        match self {
            Type::String | Type::File => Value::from("stub"),
            // Not a word that logs may contain.
            Type::Secret => Value::from("stub-secret"),
            Type::Boolean => Value::from(true),
            Type::Integer | Type::Number => Value::from(1),
            Type::List(_) => Value::Array(Vec::new()),
            Type::Nullable(inner) => inner.sample(),
            Type::Defined(definition) => definition.sample(),
            Type::Json | Type::Named(_) => {
                Value::Object(Object::from_iter([("stub".to_owned(), true.into())]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_fits_its_type() {
        for ty in [
            "String", "Secret", "Boolean", "Integer", "Number", "JSON", "File", "Order", "Order[]",
            "Integer?",
        ] {
            let ty = Type::parse(ty).unwrap();
            assert_eq!(ty.fits(&ty.sample()), Ok(()), "{ty}");
        }
    }
}
