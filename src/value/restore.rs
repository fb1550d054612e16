//! Reads values that this program wrote itself, exactly: numbers and objects are unchanged whatever their keys are.
//! Unlike the reader of foreign JSON it checks nothing.

use super::{Object, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Keys that serde_json reserves: it would take an object that begins with one for something else.
const PRIVATE: &[u8] = b"$serde_json::private::";

/// Deserializes a field that holds a value.
///
/// # Errors
/// When the text is not JSON, or the deserializer does not read from memory.
pub fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    exact(<&RawValue>::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Deserializes a field that holds a list of values with their names or numbers.
///
/// # Errors
/// As for [`value`].
pub fn pairs<'de, D, K, V>(deserializer: D) -> Result<Vec<(K, V)>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de>,
    V: From<Value>,
{
    let pairs = Vec::<(K, &RawValue)>::deserialize(deserializer)?.into_iter();
    pairs.map(|(key, raw)| Ok((key, exact(raw).map_err(D::Error::custom)?.into()))).collect()
}

/// [`pairs`] for a field that may be absent.
///
/// # Errors
/// As for [`value`].
pub fn some_pairs<'de, D, K, V>(deserializer: D) -> Result<Option<Vec<(K, V)>>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de>,
    V: From<Value>,
{
    pairs(deserializer).map(Some)
}

fn exact(raw: &RawValue) -> serde_json::Result<Value> {
    match memchr::memmem::find(raw.get().as_bytes(), PRIVATE) {
        None => serde_json::from_str(raw.get()),
        Some(_) => piecemeal(raw),
    }
}

/// Descends value by value, so that objects with reserved keys are not reinterpreted.
fn piecemeal(raw: &RawValue) -> serde_json::Result<Value> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members = serde_json::from_str::<Members>(text)?.0.into_iter();
            let members = members.map(|(key, raw)| Ok((key.into_owned(), piecemeal(raw)?)));
            members.collect::<serde_json::Result<Object>>().map(Value::Object)
        }
        Some(b'[') => {
            let elements = serde_json::from_str::<Vec<&RawValue>>(text)?;
            elements.into_iter().map(piecemeal).collect::<serde_json::Result<_>>().map(Value::Array)
        }
        _ => serde_json::from_str(text),
    }
}

/// An object's members in order, their values unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
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
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_comes_back_as_it_was() {
        let long: Value = "12345678901234567890.10e+400".parse().unwrap();
        for value in [
            json!({"a": [1, -0.0, null, true, "\u{0}\n\u{1f600}"], "": {}}),
            json!({"$serde_json::private::Number": "no number"}),
            json!([{"$serde_json::private::RawValue": "[1]", "n": long}, {"\"": [long]}]),
            json!({"a\n": {"$serde_json::private::Number": 1, "b": "$serde_json::private::Number"}}),
            long,
        ] {
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(super::value(&mut serde_json::Deserializer::from_str(&text)).unwrap(), value);
        }
    }
}
