//! Whatever nests deep, or is one long chain, is read, used, shown and let go of on the stack of a thread, or refused.

use crate::parsers::PARSERS;
use crate::share::one_of;
use orderflow::condition;
use orderflow::value::Value;

/// The stack of a thread, such as those on which steps are decided.
const STACK: usize = 2 * 1024 * 1024;

/// What opens, what is inside, what closes.
const SHAPES: [(&str, &str, &str); 40] = [
    // Conditions.
    ("a + ", "a", ""),
    ("a - ", "a", ""),
    ("a * ", "1", ""),
    ("a and ", "a", ""),
    ("a or ", "a", ""),
    ("(a or ", "a", ") and a"),
    ("(a + ", "a", ")"),
    ("(1 < (1 + (1 * -", "1", ")))"),
    ("not ", "a", ""),
    ("not (", "a", ")"),
    ("-", "a", ""),
    ("", "a", ".a"),
    ("", "a", "[0]"),
    ("", "a", "|lower"),
    ("a[", "0", "]"),
    ("", "a", " is none"),
    // JSON, TOON, YAML, TOML.
    ("[", "", "]"),
    ("{\"a\":", "1", "}"),
    ("[{\"a\":", "1", "}]"),
    ("a = [", "", "]"),
    ("a.", "b = 1", ""),
    ("[", "a", "]\n"),
    ("a = {a = ", "1", "}"),
    ("- ", "a", ""),
    ("x-a: [", "a", "]"),
    ("? ", "a", ""),
    ("a[1]:\n  - ", "a", ""),
    // Types.
    ("a::(", "String", ")"),
    ("type A = ", "string", "[]"),
    ("type A = Array<", "string", ">\n"),
    ("type A = { a: ", "string", " }"),
    ("type A = (", "string", " | null)"),
    ("{\"type\":\"array\",\"items\":", "{}", "}"),
    ("{\"allOf\":[", "{}", "]}"),
    // Markdown.
    ("> ", "a", ""),
    (">", "a", ""),
    ("- ", "[a:: b]", ""),
    ("1. ", "a", ""),
    ("*", "a", "*"),
    ("[", "a", "](b)"),
];

fn nested((opens, inside, closes): (&str, &str, &str), times: usize) -> String {
    format!("{}{inside}{}", opens.repeat(times), closes.repeat(times))
}

/// Each word a line that is one deeper than the one before.
fn stairs(word: &str, times: usize) -> String {
    (0..times).map(|depth| format!("{}{word}\n", "  ".repeat(depth))).collect()
}

fn on_a_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap();
        assert!(thread.join().is_ok());
    });
}

#[test]
fn deep_texts_end_no_parser() {
    on_a_thread(|| {
        let share = one_of(3);
        for (number, (name, parse)) in PARSERS.into_iter().enumerate() {
            for shape in SHAPES.into_iter().skip(number % share).step_by(share) {
                for times in [64, 400, 10_000] {
                    let times = if name == "journal" { times.min(400) } else { times };
                    let text = nested(shape, times);
                    parse(&text.as_bytes()[..text.len().min(100_000)]);
                }
            }
            let words = ["a:", "- a:", "- a", "a[1]:", "- - a", "a:\n  b:"];
            for word in words.into_iter().skip(number % share).step_by(share) {
                for times in [16, 200] {
                    parse(stairs(word, times).as_bytes());
                }
            }
        }
    });
}

/// Chains are as long as conditions may be, which is some 500 terms.
#[test]
fn long_chains_hold() {
    on_a_thread(|| {
        let one = Value::from(1);
        let flag = Value::from(true);
        let text = Value::from("x");
        let names = |name: &str| match name {
            "one" => Some(&one),
            "text" => Some(&text),
            _ => Some(&flag),
        };
        for (condition, holds) in [
            (format!("one{} == 497", " + one".repeat(496)), true),
            (format!("one{} == -495", " - one".repeat(496)), true),
            (format!("one{} == 1", " * one".repeat(496)), true),
            (format!("(text{})|length == 495", " + text".repeat(494)), true),
            (format!("flag{}", " and flag".repeat(499)), true),
            (format!("not flag{}", " or not flag".repeat(332)), false),
            (format!("not flag{} or flag", " or flag and flag".repeat(247)), true),
            (format!("one in [{}0]", "0, ".repeat(490)), false),
        ] {
            let parsed = condition::parse(&condition).unwrap();
            assert_eq!(parsed.holds(&names), Ok(holds), "{condition}");
            assert!(parsed == parsed.clone() && !format!("{parsed:?}").is_empty());
            assert!(!parsed.excludes(&parsed) && parsed.ways().len() > 100 || parsed.ways().len() == 1);
        }
    });
}

/// What is deeper than a condition may be is refused with its place, however it is deep.
#[test]
fn conditions_nest_so_far() {
    on_a_thread(|| {
        for (shape, most) in [
            (("(", "a", ")"), 63),
            (("not ", "a", ""), 63),
            (("not (", "a", ")"), 31),
            (("[", "a", "]"), 63),
            (("a[", "a", "]"), 63),
            (("", "a", ".a"), 127),
            (("", "a", "[0]"), 127),
            (("", "a", "|lower"), 127),
            (("(", "a", ".a)"), 63),
            (("(a + ", "a", ")"), 63),
            (("(a == (a or (a and (a < (a * -", "a", "|lower|lower)))))"), 12),
        ] {
            assert!(condition::parse(&nested(shape, most)).is_ok(), "{shape:?}");
            let fault = condition::parse(&nested(shape, most + 1)).unwrap_err();
            assert_eq!(fault.message, "the condition nests too deep", "{shape:?}");
        }
    });
}
