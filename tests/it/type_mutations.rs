//! Types changed at random, and types made to be large: reading and compiling them neither fails nor takes long,
//! and neither does holding values against what is left of them.

use crate::mutations::{Dice, mutate};
use crate::parsers::{check, use_types, with_types};
use crate::share::one_of;
use orderflow::diag::Source;
use orderflow::{graph, spec};
use std::time::{Duration, Instant};

/// Changes tried on each text, of which one of three is tried unless all are asked for.
const ROUNDS: u64 = 501;

const TS: &str = r#"
// What a customer wants.
interface Order { // as received
  order_id: string; total: number
  "ship-to"?: { country: string, lines: string[][] } | null
  items: Array<Item>; /* each once */ by_day: Record<string, Item[]>
}
interface Item { sku: string; kind: "box" | 'bag' | 5 | -2.50; within?: Item; other: (Order | State)[] }
type State =
  | { kind: "paid"; at: string }
  | { kind: "open"; due: unknown }
  | true
"#;

const SCHEMA: &str = r##"
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Order",
  "type": "object",
  "properties": {
    "total": {"type": ["number", "null"], "minimum": 0.10, "multipleOf": 0.01},
    "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 1, "uniqueItems": true},
    "state": {"oneOf": [{"const": "paid"}, {"enum": ["open", 5]}, {"$ref": "#"}]}
  },
  "required": ["total"],
  "patternProperties": {"^x-[a-z]+$": {"type": "string", "format": "date"}},
  "if": {"properties": {"state": {"const": "paid"}}}, "then": {"minProperties": 2},
  "$defs": {"Item": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5}, "Unused": false}
}
"##;

const PIECES: [&str; 38] = [
    "interface ",
    "type A = ",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "[]",
    "<",
    ">",
    "|",
    "&",
    "=",
    ":",
    ";",
    ",",
    "?",
    "//",
    "/*",
    "*/",
    "\"",
    "'",
    "`",
    "\\",
    "-",
    "5",
    "null",
    "Order",
    "Item",
    "Array<",
    "Record<string, ",
    "extends ",
    "#/$defs/Order",
    "\"$ref\": \"#\"",
    "\"anyOf\": [",
    "ß",
    "\r\n",
];

#[test]
fn changed_types_are_read_and_used_in_no_time() {
    let mut sound = 0;
    let share = one_of(3);
    for (info, types) in [("ts", TS), ("json schema", SCHEMA)] {
        let whole = with_types(info, types);
        use_types(&whole);
        for round in (0..ROUNDS).step_by(share) {
            let mutated = with_types(info, &mutate(types, &PIECES, &mut Dice(round)));
            let began = Instant::now();
            check(mutated.clone());
            use_types(&mutated);
            assert!(began.elapsed() < Duration::from_secs(60), "slow:\n{mutated}");
            let (_, problems) = spec::parse(&Source::new("x.md", mutated));
            sound += u64::from(!problems.iter().any(|problem| problem.is_error()));
        }
    }
    assert!(sound > ROUNDS / share as u64 / 10, "only {sound} are still types, so little is tried");
}

#[test]
fn large_types_are_read_in_time() {
    let size = spec::LARGEST / 8;
    let share = one_of(3);
    let pieces = PIECES.into_iter().chain([
        "interface A { a: string }\n",
        "type A = A\n",
        "a: string; ",
        "a: { b: ",
        "\"a\" | ",
        "string | ",
        "Order | ",
        "// a\n",
        "/** a */ ",
        "[{\"a\":",
        "{\"$ref\": \"#/$defs/A\"},",
        "\"a\": {}, ",
    ]);
    for (number, piece) in pieces.enumerate() {
        let repeated = piece.repeat(size / piece.len());
        let befores = [
            ("ts", ""),
            ("ts", "type Order = "),
            ("ts", "interface Order { "),
            ("json schema", ""),
            ("json schema", "{\"title\": \"Order\", \"anyOf\": ["),
            ("json schema", "{\"$defs\": {"),
        ];
        for (info, before) in befores.into_iter().skip(number % share).step_by(share) {
            in_time(&with_types(info, &format!("{before}{repeated}")), piece);
        }
    }
}

/// Types that are small as they are written, and grow with every mention.
#[test]
fn types_that_grow_are_refused_in_time() {
    let each =
        |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join("\n");
    let all = |count: usize| each(count, &|n| format!("p{n}: T{n}"));
    for (types, refused) in [
        (
            each(40, &|n| format!("interface T{n} {{ a: T{}; b: T{} }}", n + 1, n + 1))
                + "\ntype T40 = string",
            true,
        ),
        (each(20_000, &|n| format!("type T{n} = T{}", n + 1)) + "\ntype T20000 = string", true),
        (each(20_000, &|n| format!("interface T{n} {{ a: T{} }}", (n + 1) % 20_000)), true),
        (each(20_000, &|n| format!("type T{n} = T{}", (n + 1) % 20_000)), true),
        (each(30, &|n| format!("interface T{n} {{ {} }}", all(30))), true),
        (each(6, &|n| format!("interface T{n} {{ {} }}", all(6))), false),
        (each(10_000, &|n| format!("interface T{n} {{ a: string }}")), false),
        (each(10_000, &|n| format!("type T{n} = Unknown{n}")), true),
    ] {
        let text = with_types("ts", &format!("type Order = T0\ntype Item = T1\ntype State = T2\n{types}"));
        let problems = in_time(&text, &types[..60]);
        assert_eq!(problems > 0, refused, "{}", &types[..60]);
    }
}

/// Reads a document and holds values against its types; counts the errors.
fn in_time(text: &str, of: &str) -> usize {
    let began = Instant::now();
    let source = Source::new("x.md", text);
    let (spec, problems) = spec::parse(&source);
    let (_, more) = graph::build(&source, &spec);
    use_types(text);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?} for {of:?}");
    problems.iter().chain(&more).filter(|problem| problem.is_error()).count()
}
