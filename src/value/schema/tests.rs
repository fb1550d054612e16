//! What is said of values that do not fit, and how much a definition may ask for.

use super::super::{Object, Type, Value, json};
use super::{Definitions, EXPANSION, Excess, LAYERS, NESTING, reference};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn definitions(all: Value) -> Definitions {
    let mut definitions = Definitions::default();
    for (name, schema) in all.as_object().unwrap() {
        definitions.add(name, schema.clone());
    }
    definitions
}

/// What is wrong with `value` as an `A`; empty where it fits.
fn told(all: Value, value: &str) -> String {
    let definition = definitions(all).compile("A").unwrap();
    let ty = Type::Named("A".into()).resolved(&HashMap::from([("A".into(), Arc::new(definition))]));
    ty.fits(&json::parse(value).unwrap()).map_or_else(|misfits| misfits.of("order"), |()| String::new())
}

fn order() -> Value {
    json!({
        "A": {
            "type": "object",
            "properties": {
                "order_id": {"type": "string", "pattern": "^o-[0-9]+$"},
                "total": {"type": "number", "minimum": 0.01, "multipleOf": 0.01},
                "items": {"type": "array", "items": reference("Item"), "minItems": 1},
                "state": {"enum": ["paid", "open"]},
                "note": {"type": ["string", "null"]},
            },
            "required": ["order_id", "total"],
        },
        "Item": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
            "required": ["sku"],
            "additionalProperties": false,
        },
    })
}

#[test]
fn numbers_are_compared_exactly_and_by_value() {
    for (schema, fits, not) in [
        (r#"{"const": 1.0}"#, vec!["1", "10e-1"], vec!["1.00000000000000000000001", "\"1\""]),
        (r#"{"const": [1, {"a": 2}]}"#, vec![r#"[1.0, {"a": 20e-1}]"#], vec![r#"[1, {"a": 3}]"#]),
        (r#"{"enum": [1e999999999, 5]}"#, vec!["0.1e1000000000", "5.0"], vec!["1e999999998", "6"]),
        (r#"{"const": 9007199254740993}"#, vec!["9007199254740993.0"], vec!["9007199254740992"]),
        (r#"{"maximum": 0.1}"#, vec!["0.1", "0.10", "-1e999999999"], vec!["0.10000000000000000001", "1e400"]),
        (r#"{"minimum": 9007199254740993}"#, vec!["9007199254740993"], vec!["9007199254740992"]),
        (r#"{"exclusiveMaximum": 1e999999999}"#, vec!["1e999999998"], vec!["1e999999999", "10e999999998"]),
        (r#"{"exclusiveMinimum": 0}"#, vec!["1e-999999999"], vec!["-0.0"]),
        (r#"{"multipleOf": 0.01}"#, vec!["1070468.14", "1e999999999", "0"], vec!["0.005", "1e-999999999"]),
        (
            r#"{"multipleOf": 3}"#,
            vec!["123456789012345678901234567890"],
            vec!["123456789012345678901234567891"],
        ),
        (
            r#"{"uniqueItems": true}"#,
            vec!["[1, 2]", "[1, \"1\"]", "[1, [1]]"],
            vec!["[1, 1.0]", "[[1], [10e-1]]"],
        ),
        (r#"{"type": "integer"}"#, vec!["1e999999999", "5.0"], vec!["5.5", "1e-999999999"]),
    ] {
        let all = json!({ "A": json::parse(schema).unwrap() });
        for value in fits {
            assert_eq!(told(all.clone(), value), "", "{value} by {schema}");
        }
        for value in not {
            assert_ne!(told(all.clone(), value), "", "{value} by {schema}");
        }
    }
}

#[test]
fn a_misfit_names_its_path_what_was_expected_and_what_was_found() {
    for (value, expected) in [
        (r#"{"order_id":"o-1","total":145.50,"items":[{"sku":"a","count":2}],"more":1}"#, ""),
        (r#"{"order_id":"o-1","total":12345678901234567890.01}"#, ""),
        ("[]", "`order` is not of type A: expected an object, found a list"),
        (r#"{"order_id":"o-1"}"#, "order.total: expected a number, found nothing"),
        (r#"{"order_id":"o-1","total":"5"}"#, "order.total: expected a number, found a string"),
        (
            r#"{"order_id":"o-1","total":0.005}"#,
            "order.total: expected at least 0.01, found 0.005; order.total: expected a multiple of 0.01, found 0.005",
        ),
        (r#"{"order_id":"17","total":1}"#, "order.order_id: expected text like /^o-[0-9]+$/, found \"17\""),
        (
            r#"{"order_id":"o-1","total":1,"state":"late"}"#,
            "order.state: expected \"paid\" or \"open\", found \"late\"",
        ),
        (r#"{"order_id":"o-1","total":1,"note":5}"#, "order.note: expected a string or null, found a number"),
        (
            r#"{"order_id":"o-1","total":1,"items":[]}"#,
            "order.items: expected at least 1 element, found a list",
        ),
        (
            r#"{"order_id":"o-1","total":1,"items":[{"sku":"a"},{"sku":"b","count":1.5,"x y":1}]}"#,
            "order.items[1].count: expected a whole number, found a number; order.items[1][\"x y\"]: expected nothing here, found a number",
        ),
        (
            r#"{"items":[1,2,3,4,5]}"#,
            "order.items[0]: expected an object, found a number; order.items[1]: expected an object, found a number; \
             order.items[2]: expected an object, found a number; and 4 more",
        ),
    ] {
        assert_eq!(told(order(), value), expected, "{value}");
    }
    let many = format!(r#"{{"items":[{}]}}"#, vec!["0"; 5000].join(","));
    assert!(told(order(), &many).ends_with("; and many more"));
}

#[test]
fn the_branch_that_was_meant_is_looked_into() {
    let payment = json!({
        "A": {"anyOf": [reference("Card"), reference("Cash"), {"type": "null"}]},
        "Card": {"type": "object", "properties": {"kind": {"const": "card"}, "number": {"type": "string"}}, "required": ["kind", "number"]},
        "Cash": {"type": "object", "properties": {"kind": {"const": "cash"}, "amount": {"type": "number"}}, "required": ["kind", "amount"]},
    });
    for (value, expected) in [
        (r#"{"kind":"cash","amount":1}"#, ""),
        ("null", ""),
        (r#"{"kind":"cash","amount":"1"}"#, "order.amount: expected a number, found a string"),
        (r#"{"kind":"gold"}"#, "order.kind: expected \"card\" or \"cash\", found \"gold\""),
        (r#"{}"#, "`order` is not of type A: expected Card, Cash or null, found an object"),
        ("5", "`order` is not of type A: expected Card, Cash or null, found 5"),
    ] {
        assert_eq!(told(payment.clone(), value), expected, "{value}");
    }
}

#[test]
fn rules_that_no_single_word_tells_are_named() {
    for (schema, value, expected) in [
        (json!({"not": {"type": "string"}}), "\"x\"", "what `not` asks for, found \"x\""),
        (
            json!({"contains": {"const": 1}, "minContains": 2}),
            "[1]",
            "what `contains` asks for, found a list",
        ),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 2}}),
            "\"x\"",
            "text of at least 2 characters, found \"x\"",
        ),
        (json!({"format": "date"}), "\"tomorrow\"", "text in the form `date`, found \"tomorrow\""),
        (json!({"oneOf": [{"type": "integer"}, {"minimum": 0}]}), "5", "what `oneOf` asks for, found 5"),
        (json!(false), "5", "nothing here, found a number"),
    ] {
        let expected = format!("`order` is not of type A: expected {expected}");
        assert_eq!(told(json!({"A": schema}), value), expected);
    }
    let members = json!({"A": {"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": {"type": "number"}}});
    assert_eq!(
        told(members, r#"{"x-a":"","b":1,"x-c":2,"d":""}"#),
        "order.x-c: expected a string, found a number; order.d: expected a number, found a string"
    );
}

#[test]
fn a_type_within_itself_is_looked_into_as_deep_as_the_value_goes() {
    let tree =
        json!({"A": {"type": "object", "properties": {"left": reference("A"), "value": {"type": "number"}}}});
    assert_eq!(
        told(tree.clone(), r#"{"left":{"left":{"value":"x"}}}"#),
        "order.left.left.value: expected a number, found a string"
    );
    assert_eq!(definitions(tree).expansion("A"), Ok(5));
}

#[test]
fn lists_and_nullable_values_of_a_type_are_looked_into() {
    let definition = Arc::new(definitions(order()).compile("Item").unwrap());
    let known = HashMap::from([("Item".to_owned(), definition)]);
    let ty = Type::parse("Item?[]").unwrap().resolved(&known);
    assert_eq!(ty.to_string(), "Item?[]");
    assert!(ty.fits(&json!([null, {"sku": "a"}])).is_ok());
    assert_eq!(
        ty.fits(&json!([{"sku": 1}])).unwrap_err().of("all"),
        "all[0].sku: expected a string, found a number"
    );
    assert_eq!(ty, Type::parse("Item?[]").unwrap().resolved(&known));
}

#[test]
fn doubling_and_deep_types_are_counted_only_so_far() {
    let doubling = |types: usize| {
        let one = |n: usize| {
            let next = reference(&format!("T{}", n + 1));
            (format!("T{n}"), json!({"type": "object", "properties": {"a": next, "b": next}}))
        };
        definitions(Value::Object((0..types).map(one).collect()))
    };
    let began = Instant::now();
    assert_eq!(doubling(18).expansion("T0"), Err(Excess::Size));
    assert!(doubling(12).expansion("T0").is_ok_and(|count| count < EXPANSION));
    assert!(doubling(NESTING).expansion("T0").is_err());
    let one = |n: usize| (format!("T{n}"), json!({"items": reference(&format!("T{}", n + 1))}));
    let chain = definitions(Value::Object((0..50_000).map(one).collect()));
    assert_eq!(chain.expansion("T0"), Err(Excess::Depth));
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// As deep as both a type and a value may be, on a thread with a small stack.
#[test]
fn the_deepest_value_of_the_deepest_type_is_checked() {
    let levels = LAYERS / 2 - 1;
    let one =
        |n: usize| (format!("T{n}"), json!({"anyOf": [{"type": "null"}, reference(&format!("T{}", n + 1))]}));
    let mut all: serde_json::Map<String, Value> = (0..levels).map(one).collect();
    all.insert(format!("T{levels}"), json!({"type": "array", "items": reference("T0")}));
    let all = definitions(Value::Object(all));
    assert!(all.expansion("T0").is_ok());
    let definition = all.compile("T0").unwrap();
    let deep = |inner: &str| json::parse(&format!("{}{inner}{}", "[".repeat(60), "]".repeat(60))).unwrap();
    let ty = Type::Defined(Arc::new(definition));
    assert!(ty.fits(&deep("null")).is_ok());
    let told = ty.fits(&deep("1")).unwrap_err().of("a");
    assert_eq!(told, format!("a{}: expected null or T1, found 1", "[0]".repeat(60)));
}

#[test]
fn a_value_can_be_made_up_that_fits() {
    for all in [
        json!({"A": {"type": "object", "properties": {"b": reference("B"), "c": {}}, "required": ["b", "c"]}, "B": {"enum": ["x", "y"]}}),
        json!({"A": {"anyOf": [{"type": "object", "properties": {"a": reference("A")}, "required": ["a"]}, {"type": "null"}]}}),
        json!({"A": {"type": "array", "items": {"type": "string", "minLength": 9, "maxLength": 9}, "minItems": 2}}),
        json!({"A": {"allOf": [reference("B"), {"type": "object", "properties": {"c": {"type": "boolean"}}, "required": ["c"]}]},
            "B": {"type": "object", "properties": {"b": {"type": ["integer", "null"], "minimum": 5}}, "required": ["b"]}}),
        json!({"A": {"type": "number", "multipleOf": 0.25}}),
        json!({"A": {"type": "string", "maxLength": 2}}),
        json!({"A": {"type": "string", "format": "date", "examples": ["2026-11-20"]}}),
        json!({"A": {}}),
        json!({"A": {"type": "object", "properties": {"b": reference("B"), "c": reference("B")}, "required": ["b", "c"]},
            "B": {"anyOf": [{"type": "object", "properties": {"a": reference("A"), "b": reference("B")}, "required": ["a", "b"]}, {"type": "string"}]}}),
    ] {
        let ty = Type::Defined(Arc::new(definitions(all.clone()).compile("A").unwrap()));
        assert_eq!(ty.fits(&ty.sample()), Ok(()), "{all}");
    }
    // A type without an end has no value; making one up ends all the same.
    let endless = json!({"A": {"type": "object", "properties": {"a": reference("A")}, "required": ["a"]}});
    Type::Defined(Arc::new(definitions(endless).compile("A").unwrap())).sample();
}

#[test]
fn a_misfit_among_many_members_is_found_in_no_long_time() {
    let members: Object = (0..20_000).map(|n| (format!("q{n}"), json!({"type": "string"}))).collect();
    let all =
        json!({"A": {"type": "object", "properties": members, "additionalProperties": {"type": "string"}}});
    let ty = Type::Defined(Arc::new(definitions(all).compile("A").unwrap()));
    let mut value: Object = (0..100_000).map(|n| (format!("k{n}"), "x".into())).collect();
    value.insert("bad".into(), 1.into());
    let begin = Instant::now();
    let misfits = ty.fits(&Value::Object(value)).unwrap_err();
    assert_eq!(misfits.of("a"), "a.bad: expected a string, found a number");
    // Were every member compared with every property, this would take a minute.
    assert!(begin.elapsed() < Duration::from_secs(200), "{:?}", begin.elapsed());
}
