//! What conditions mean, and what they refuse.

use super::parse;
use crate::value::{Value, json};

/// True, false, or what is wrong with the place marked.
fn ask(text: &str) -> String {
    let order = json::parse(
        r#"{"total": 145.50, "items": [{"sku": "A"}], "paid": true, "note": null, "country": "DE", "all_available": false}"#,
    )
    .unwrap();
    let count = Value::from(3);
    let value = |name: &str| match name {
        "order" => Some(&order),
        "count" => Some(&count),
        _ => None,
    };
    let told = match parse(text) {
        Ok(condition) => condition.holds(&value).map(|holds| holds.to_string()),
        Err(fault) => Err(fault),
    };
    told.unwrap_or_else(|fault| {
        let help = fault.help.map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{:?}: {}{help}", &text[fault.at], fault.message)
    })
}

#[test]
fn conditions_hold_or_do_not() {
    for (text, holds) in [
        ("order.paid", "true"),
        ("not order.paid", "false"),
        ("order.total > 100 and count == 3", "true"),
        ("order.total == 145.5", "true"),
        ("count + 1 * 2 == 5 and (count + 1) * 2 == 8", "true"),
        ("count % 2 == 1 and -count < 0", "true"),
        ("order.country in ['DE', 'AT'] and 'x' not in ['y']", "true"),
        ("order.items[0].sku == \"A\" && order['country'] == 'DE'", "true"),
        ("order.items|length == 1 and order.country|lower == 'de'", "true"),
        ("order.note is none and order.total is not none", "true"),
        ("order.coupon is defined || order.coupon is not defined", "true"),
        ("false or order.all_available", "false"),
        // What is not reached is not asked.
        ("order.paid or order.missing", "true"),
    ] {
        assert_eq!(ask(text), holds, "{text}");
    }
}

#[test]
fn numbers_are_exact_and_equal_by_value() {
    for text in [
        "0.10 + 0.20 == 0.30 and 0.1 + 0.7 == 0.8 and 0.3 - 0.1 == 0.2 and 1.1 * 1.1 == 1.21",
        "9007199254740993 % 2 == 1 and 9007199254740993 != 9007199254740992",
        "123456789012345678901234567890 + 1 == 123456789012345678901234567891",
        "123456789012345678901234567890 % 7 == 0 or true",
        "1 / 3 == 0.3333333333333333333333333333333333 and 2 / 3 == 0.6666666666666666666666666666666667",
        "1 / 8 == 0.125 and 10 / 4 == 2.5 and 7.5 % 2 == 1.5 and -7 % 3 == -1",
        "1e3 == 1000 and 1.5E-1 == 0.15 and 0 == -0.0",
        "1e999999999 > 1 and 1e999999999 % 2 == 0 and 1e999999999 == 0.1e1000000000",
        "1e-999999999 > 0 and -1e999999999 < 1e-999999999",
        "order.total == 145.5 and order.total in [145.50, 1]",
        "[1, [2.0, 3]] == [1.0, [2, 30e-1]] and [1, 2] in [[1.0, 2.0]] and [1] != [1.1]",
        "order.items[3.0 - count].sku == 'A' and order.items[count - 3].sku == 'A'",
        "3.0 in [count] and count not in [3.1]",
    ] {
        assert_eq!(ask(text), "true", "{text}");
    }
    let object = |text: &str| json::parse(text).unwrap();
    let (one, other) = (object(r#"{"a": 1.0, "b": [{"c": 1e2}]}"#), object(r#"{"b": [{"c": 100}], "a": 1}"#));
    let values = |name: &str| Some(if name == "one" { &one } else { &other });
    assert_eq!(parse("one == other and one in [other]").unwrap().holds(&values), Ok(true));
}

#[test]
fn what_cannot_be_decided_is_an_error() {
    for (text, told) in [
        (
            "order.total",
            r#""order.total": this is a number, and a condition needs true or false (compare it with something, as in `total > 100`)"#,
        ),
        ("order.totl > 1", r#""order.totl": it has no `totl` (did you mean `total`?)"#),
        ("stock > 1", r#""stock": `stock` has no value"#),
        ("'50' > 100", r#""'50' > 100": a string and a number cannot be compared like that"#),
        (
            "order.note < 5",
            r#""order.note < 5": null and a number cannot be compared like that (`is none` asks whether a value is null)"#,
        ),
        (
            "order.note == none",
            r#""order.note == none": null and null cannot be compared like that (`is none` asks whether a value is null)"#,
        ),
        (
            "order.paid == 'yes'",
            r#""order.paid == 'yes'": a Boolean and a string cannot be compared like that"#,
        ),
        (
            "order.paid and count",
            r#""count": this is a number, and a condition needs true or false (compare it with something, as in `total > 100`)"#,
        ),
        ("count / 0 > 1", r#""count / 0": this divides by zero"#),
        ("count % 0.0 > 1", r#""count % 0.0": this divides by zero"#),
        (
            "1e999999999 + 1 > 0",
            r#""1e999999999 + 1": this number has more than 10000 digits, or an exponent out of range"#,
        ),
        ("-'x' < 1", r#""'x'": this is a string, not a number"#),
        ("count.x == 1", r#""count.x": `.x` asks for an object, and this is a number"#),
    ] {
        assert_eq!(ask(text), told, "{text}");
    }
}

#[test]
fn what_is_no_condition_is_told_where() {
    for (text, told) in [
        ("", r#""": expected a value here"#),
        ("total = 5", r#""=": `=` is not a comparison (write `==`)"#),
        (
            "a b",
            r#""b": the condition should end here (did you mean the value `a_b`? otherwise compare values by their names, as in `total > 1000`; join two parts with `and` or `or`)"#,
        ),
        (
            "the order id > 3 and b",
            r#""order": the condition should end here (did you mean the value `the_order_id`? otherwise compare values by their names, as in `total > 1000`; join two parts with `and` or `or`)"#,
        ),
        (
            "the order is late",
            r#""order": the condition should end here (compare values by their names, as in `total > 1000`; join two parts with `and` or `or`)"#,
        ),
        ("a and", r#""": expected a value here"#),
        ("(a or b", r#""": expected `)`"#),
        ("a == 'x", r#""'x": this text is not closed"#),
        ("a | first", r#""first": unknown filter (the filters are length, lower and upper)"#),
        ("a is odd", r#""odd": `is` asks for `none` or `defined`"#),
        (
            "a == 'x' or 'y'",
            r#""'y'": `or` joins conditions, and this is a text (compare each, as in `team == "a" or team == "b"`, or write a list: `team in ["a", "b"]`)"#,
        ),
        ("a and not 3", r#""3": `not` asks for a condition, and this is a number"#),
        ("a ? b", r#""?": `?` has no meaning in a condition"#),
    ] {
        assert_eq!(ask(text), told, "{text}");
    }
    let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    assert!(ask(&deep).contains("nests too deep"));
    assert!(ask(&"not ".repeat(500)).contains("nests too deep"));
    assert!(ask(&"not ".repeat(100_000)).contains("too long"));
}

#[test]
fn names_are_found_and_negations_known() {
    let condition = parse("order.total > count and order.paid").unwrap();
    assert_eq!(condition.names(), [("order", 0..5), ("count", 14..19)]);
    let not = |text: &str| parse(text).unwrap();
    assert!(not("stock_ok").excludes(&not("not  stock_ok")));
    assert!(not("not (a > 1)").excludes(&not("a>1")));
    assert!(not("not (a > 1.0)").excludes(&not("a > 1")));
    assert!(!not("a").excludes(&not("not b")));
}

#[test]
fn conditions_exclude_each_other_by_their_words() {
    for (one, other, expected) in [
        ("x", "not x", true),
        ("not (a and b)", "a and b", true),
        ("score >= 5", "score < 5", true),
        ("score >= 5", "5 > score", true),
        ("score > 5", "score <= 5", true),
        ("score >= 5", "score <= 5", false),
        ("score > 5", "score < 6", false),
        ("score > 5", "score == 5", true),
        ("score != 5", "score == 5", true),
        ("score < 3 and ok", "fine and score > 7", true),
        ("a == \"p\"", "a == \"q\"", true),
        ("a == \"p\"", "b == \"q\"", false),
        ("a == 1.0", "a == 1", false),
        ("a < b", "a >= b", true),
        ("a < b", "a >= c", false),
        ("a is none", "a is not none", true),
        ("a is defined", "a is not defined", true),
        ("a in b", "a not in b", true),
        ("a == none", "a == true", true),
        ("x or y", "not x", false),
        ("x or y", "not x and not y", true),
        ("not (x or y)", "y", true),
        ("not (score >= 5)", "score >= 7", true),
        ("not (score >= 5 and ok)", "score >= 7", false),
        ("score < -1", "score >= -1", true),
        ("score < -1", "score > -2", false),
        ("score > 10000000000000000", "score == 10000000000000001", false),
        ("score == 10000000000000000", "score == 10000000000000001", true),
        ("score == 1e3", "score == 1000.0", false),
        ("score <= 0.1", "score >= 0.10", false),
        ("a in [\"p\", \"q\"]", "a == \"r\"", true),
        ("a in [\"p\", \"q\"]", "a in [\"q\", \"r\"]", false),
        ("a in [\"p\", \"q\"]", "a not in [\"p\", \"q\", \"r\"]", true),
        ("a in [\"p\"] and b", "a not in [\"p\", \"q\"] or not b", true),
        ("x == true", "not x", true),
        ("x == false", "x", true),
        ("x != true", "x", true),
        ("x is none", "x > 5", true),
        ("x is not none", "x > 5", false),
        ("x == \"a\"", "x > 5", true),
        ("x is not defined", "x.y > 5", true),
        ("x is not defined", "x is defined and y", true),
        ("a < b", "b < a", true),
        ("a < b", "b > a", false),
        ("a <= b", "b <= a", false),
        ("a|length == 0", "a|length > 0", true),
        ("score > 8 or score < 2", "score >= 2 and score <= 8", true),
        ("score > 8 or score < 2", "score >= 1 and score <= 8", false),
    ] {
        let parse = |text| super::parse(text).unwrap();
        assert_eq!(parse(one).excludes(&parse(other)), expected, "{one} / {other}");
        assert_eq!(parse(other).excludes(&parse(one)), expected, "{other} / {one}");
    }
    for (one, other, expected) in [
        ("x", "not x", true),
        ("score >= 5", "score < 5", true),
        ("score > 5", "score < 5", false),
        ("a == \"p\"", "a == \"q\"", false),
        ("a in [\"p\", \"q\"]", "a not in [\"p\", \"q\"]", true),
        ("not (x and y)", "x and y", true),
    ] {
        let parse = |text| super::parse(text).unwrap();
        assert_eq!(parse(one).complements(&parse(other)), expected, "{one} / {other}");
    }
    assert_eq!(super::parse("a is defined and a.b > c or d.e is defined").unwrap().needs(), ["c"]);
}

#[test]
fn texts_that_a_condition_puts_together_are_bounded() {
    let text = Value::String("x".repeat(500_000));
    let holds =
        |words: &str| super::parse(words).unwrap().holds(&|_| Some(&text)).map_err(|fault| fault.message);
    assert_eq!(holds("(a + a)|length == 1000000"), Ok(true));
    let told = Err("this text would have more than 1048576 bytes".to_owned());
    assert_eq!(holds("(a + a + a)|length == 1"), told);
    assert_eq!(holds(&format!("{} == \"\"", vec!["a"; 60].join(" + "))), told);
}
