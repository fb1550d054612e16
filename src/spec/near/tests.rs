//! Other spellings and the right ones.

use super::*;

#[test]
fn times_of_other_spellings_are_durations() {
    for (written, right) in [
        ("25min", "25m"),
        ("30 days", "30d"),
        ("2 weeks", "14d"),
        ("1.5 h", "90m"),
        ("1h30m", "90m"),
        ("90 seconds", "90s"),
        ("1 hour and 5 minutes", "65m"),
        ("10s", "10s"),
    ] {
        assert_eq!(time(written).as_deref(), Some(right), "{written}");
    }
    for none in ["", "30", "soon", "0s", "1.5ms", "5 x", "a day", "99999999999999 days", "3 dogs"] {
        assert_eq!(time(none), None, "{none}");
    }
}

#[test]
fn other_signs_are_those_of_the_language() {
    for (written, right) in [
        ("!paid", "not paid"),
        ("!(a && b)", "not (a and b)"),
        ("total = 5", "total == 5"),
        ("total => 5", "total ==> 5"),
        ("a \u{2260} b", "a != b"),
        ("state in (\"a, b\", 'c')", "state in [\"a, b\", 'c']"),
        ("(a or b) and c", "(a or b) and c"),
        ("name = \u{201c}x = y\u{201d}", "name == \"x = y\""),
        ("a AND NOT b", "a and not b"),
    ] {
        assert_eq!(signs(written), right, "{written}");
    }
}

#[test]
fn types_of_other_languages_have_a_spelling() {
    for (line, right) in [
        ("q::String → a::List<String>, b::[Item]", "q::String → a::String[], b::Item[]"),
        ("a → b::array of Item", "a → b::Item[]"),
        ("a::Optional<Order> -> b::Array<List<X>>", "a::Order? -> b::X[][]"),
        ("a → b:: List<string>", "a → b::String[]"),
    ] {
        assert_eq!(types(line).as_deref(), Some(right), "{line}");
    }
    for none in ["a → b::String[]", "a → b", "a → b::Map<String, X>", "x::"] {
        assert_eq!(types(none), None, "{none}");
    }
}

#[test]
fn lines_have_a_key_and_a_value() {
    for (line, pair) in [
        ("**Retry:** 3", Some(("Retry", "3"))),
        ("timeout: 30s", Some(("timeout", "30s"))),
        ("retry 3 times", Some(("retry", "3 times"))),
        ("Depends on: A, B", Some(("Depends on", "A, B"))),
        ("retry when it rains", None),
        ("See https://x.org", Some(("See https", "//x.org"))),
        ("[retry:: 3]", None),
    ] {
        assert_eq!(self::pair(line), pair, "{line}");
    }
}

#[test]
fn the_opposite_of_an_opposite_has_one_not_less() {
    for (written, right) in [
        ("paid", "not (paid)"),
        ("not paid", "paid"),
        ("not (a and b)", "a and b"),
        ("not (a) and not (b)", "not (not (a) and not (b))"),
        ("not (name == \")\")", "name == \")\""),
        ("not a and b", "not (not a and b)"),
    ] {
        assert_eq!(opposite(written), right, "{written}");
    }
}
