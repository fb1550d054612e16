//! What definitions mean, and what is said of those that mean nothing.

use crate::diag::Source;
use crate::spec::{Spec, parse};
use crate::value::Value;
use serde_json::json;

fn document(info: &str, content: &str) -> (Source, Spec, Vec<String>) {
    let text = format!("# Orders\n\n## Pay @bank\norder -> paid\n\n## Types\n\n```{info}\n{content}\n```\n");
    let source = Source::new("x.md", text);
    let (spec, problems) = parse(&source);
    let told = problems.iter().map(|problem| {
        let place = source.position(problem.span.start);
        format!(
            "{}:{} `{}` {}: {}",
            place.line,
            place.column,
            source.slice(problem.span),
            problem.code,
            problem.message
        )
    });
    let told = told.collect();
    (source, spec, told)
}

/// The schemas of a fence without problems, by name.
fn schemas(info: &str, content: &str) -> Value {
    let (_, spec, problems) = document(info, content);
    assert!(problems.is_empty(), "{problems:?}");
    Value::Object(spec.types.into_iter().map(|defined| (defined.name.value, defined.schema)).collect())
}

fn told(info: &str, content: &str) -> Vec<String> {
    document(info, content).2
}

#[test]
fn interfaces_are_objects() {
    let found = schemas(
        "ts",
        "interface Order {\n  order_id: string;\n  total: number,\n  note?: string | null\n  \"ship-to\": { country: string }\n  items: Item[]; tags: Array<string>\n  by_day: Record<string, Integer[]>\n}\ntype Item = any",
    );
    assert_eq!(
        found["Order"],
        json!({
            "type": "object",
            "properties": {
                "order_id": {"type": "string"},
                "total": {"type": "number"},
                "note": {"type": ["string", "null"]},
                "ship-to": {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]},
                "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
                "tags": {"type": "array", "items": {"type": "string"}},
                "by_day": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
            },
            "required": ["order_id", "total", "ship-to", "items", "tags", "by_day"],
        })
    );
}

#[test]
fn unions_are_as_short_as_they_can_be() {
    let found = schemas(
        "ts",
        "type A = 'open' | \"paid\"\ntype B = string | number | string;\ntype C = | \"x\"\n  | null\ntype D = (A | B[])[]\n\
         type E = -1 | 2.50 | true\ntype F = \"only\"\ntype G = A | \"late\" | number\ntype H = unknown | { a: null }",
    );
    let reference = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    for (name, schema) in [
        ("A", json!({"enum": ["open", "paid"]})),
        ("B", json!({"type": ["string", "number"]})),
        ("C", json!({"enum": ["x", null]})),
        (
            "D",
            json!({"type": "array", "items": {"anyOf": [reference("A"), {"type": "array", "items": reference("B")}]}}),
        ),
        ("F", json!({"const": "only"})),
        ("G", json!({"anyOf": [{"const": "late"}, {"type": "number"}, reference("A")]})),
    ] {
        assert_eq!(found[name], schema, "{name}");
    }
    assert_eq!(found["E"].to_string(), r#"{"enum":[-1,2.50,true]}"#);
    assert_eq!(found["H"]["anyOf"][0], json!({}));
}

#[test]
fn notes_are_descriptions() {
    let found = schemas(
        "typescript",
        "// The shop's types.\n\n/**\n * What a customer wants.\n * Never changed.\n */\ninterface Order { // as received\n  // Unique.\n  id: string // by the shop\n\n  total: number; /* in USD */\n  to: { // where to\n    city: string };\n} // end\ntype State =\n  | \"a\" // first\n  | \"b\" // second\ntype Name = string // of a person\n",
    );
    let said = |schema: &Value| schema.get("description").and_then(Value::as_str).map(str::to_owned);
    let members = &found["Order"]["properties"];
    assert_eq!(said(&found["Order"]).unwrap(), "What a customer wants.\nNever changed.\nas received");
    assert_eq!(said(&members["id"]).unwrap(), "Unique.\nby the shop");
    assert_eq!(said(&members["total"]).unwrap(), "in USD");
    assert_eq!(said(&members["to"]).unwrap(), "where to");
    assert_eq!(said(&found["Name"]).unwrap(), "of a person");
    assert_eq!(said(&found["State"]), None);
}

#[test]
fn everything_else_is_told_at_its_place() {
    for (content, expected) in [
        (
            "interface A<T> { a: T }",
            "9:12 `<` unsupported-pattern: unsupported pattern: types with parameters",
        ),
        ("interface A extends B {}", "9:13 `extends` unsupported-pattern: unsupported pattern: `extends`"),
        ("export type A = string", "9:1 `export` unsupported-pattern: unsupported pattern: `export`"),
        ("enum A { B }", "9:1 `enum` unsupported-pattern: unsupported pattern: `enum`"),
        (
            "type A = { b: string } & { c: string }",
            "9:24 `&` unsupported-pattern: unsupported pattern: intersections with `&`",
        ),
        (
            "type A = [string, number]",
            "9:10 `[` unsupported-pattern: unsupported pattern: lists of fixed length",
        ),
        ("type A = (x: string) => string", "9:10 `(` unsupported-pattern: unsupported pattern: functions"),
        ("interface A { f(): string }", "9:16 `(` unsupported-pattern: unsupported pattern: functions"),
        (
            "interface A { [key: string]: number }",
            "9:15 `[` unsupported-pattern: unsupported pattern: members without a name",
        ),
        (
            "interface A { readonly b: string }",
            "9:15 `readonly` unsupported-pattern: unsupported pattern: `readonly`",
        ),
        (
            "type A = string | undefined",
            "9:19 `undefined` unsupported-pattern: unsupported pattern: `undefined`",
        ),
        (
            "type A = Record<number, string>",
            "9:17 `number` unsupported-pattern: unsupported pattern: keys other than `string`",
        ),
        ("type A = `a${string}`", "9:10 ``` unsupported-pattern: unsupported pattern: patterns of text"),
        (
            "type A = Partial<string>",
            "9:17 `<` unsupported-pattern: unsupported pattern: types with parameters",
        ),
        (
            "type A = string['length']",
            "9:17 `'length'` unsupported-pattern: unsupported pattern: the type of a member",
        ),
        ("type A = File", "9:10 `File` unsupported-pattern: unsupported pattern: `File` within a type"),
        ("type A =", "9:9 `` type-syntax: expected a type, found the end of the fence"),
        ("type A string", "9:8 `string` type-syntax: expected `=` after the type's name, found `string`"),
        (
            "interface A { b string }",
            "9:17 `string` type-syntax: expected `:` after the member's name, found `string`",
        ),
        ("interface A { b: string", "9:13 `{` type-syntax: this `{` is never closed"),
        (
            "interface A { b: string c: string }",
            "9:25 `c` type-syntax: expected `;` after the member, found `c`",
        ),
        (
            "type A = 'x",
            "9:10 `'x` type-syntax: this text is never closed, or has an escape other than \\\\ \\\" \\' \\n \\t",
        ),
        ("type A = 5x", "9:10 `5x` type-syntax: expected a number such as 5 or 2.5, found `5x`"),
        ("/* open", "9:1 `/* open` type-syntax: this note is never closed"),
        ("A = string", "9:1 `A` type-syntax: expected `interface` or `type`, found `A`"),
        ("interface A { b: string; b: number }", "9:26 `b` said-twice: `b` is given twice"),
        (
            "type String = string",
            "9:6 `String` type-name: a type cannot be called `String`: the language has a type of that name",
        ),
        (
            "type any = string",
            "9:6 `any` type-name: a type cannot be called `any`: the name means something else in types",
        ),
        (
            "type $x = string",
            "9:6 `$x` type-name: a type cannot be called `$x`: no signature could use that name",
        ),
    ] {
        assert_eq!(told("ts", content), [expected], "{content}");
    }
    let deep = format!("type A = {}string{}", "{ a: ".repeat(40), " }".repeat(40));
    assert!(told("ts", &deep)[0].contains("nest deeper than 32 levels"));
    let lists = format!("type A = string{}", "[]".repeat(100_000));
    assert!(told("ts", &lists)[0].contains("nest deeper than 32 levels"));
}

#[test]
fn reading_goes_on_behind_a_mistake() {
    let (_, spec, problems) = document(
        "ts",
        "interface A {\n  a: Set<string>;\n  b: { c: void, d: number };\n  type: string\n  e: ;\n}\ntype B =\ninterface C { c: B }\nexport interface D { d: A",
    );
    let names: Vec<&str> = spec.types.iter().map(|defined| defined.name.value.as_str()).collect();
    assert_eq!(names, ["A", "B", "C", "D"]);
    let codes: Vec<&str> = problems.iter().filter_map(|told| told.split(' ').next()).collect();
    assert_eq!(codes, ["10:6", "11:11", "13:6", "16:1", "17:1", "17:20"], "{problems:#?}");
    assert!(spec.types[0].schema["properties"]["type"].is_object());
}

#[test]
fn schemas_name_types_by_title_and_definitions() {
    let found = schemas(
        "json schema",
        r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "https://shop.example/order.json",
  "title": "Order",
  "type": "object",
  "properties": {"total": {"type": "number", "minimum": 0.10}, "items": {"items": {"$ref": "#/$defs/Line Item"}}, "parent": {"$ref": "#"}},
  "x-owner": "shop"
}"##,
    );
    assert_eq!(found["Order"]["properties"]["parent"], json!({"$ref": "#/$defs/Order"}));
    assert_eq!(found["Order"]["properties"]["items"]["items"], json!({"$ref": "#/$defs/Line%20Item"}));
    assert!(found["Order"].to_string().contains("0.10"));
    let found = schemas(
        "json schema title=x",
        r##"{"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": "string", "pattern": "^a+$", "format": "email"}}}"##,
    );
    assert_eq!(found.as_object().unwrap().len(), 2);
}

#[test]
fn what_is_wrong_with_a_schema_is_told_at_its_place() {
    for (content, expected) in [
        ("{\"title\": \"A\",\n}", "10:1 `}` type-syntax: invalid JSON: superfluous comma"),
        (
            "{\"title\": \"A\", \"title\": \"B\"}",
            "9:22 `\"` type-syntax: invalid JSON: duplicate key `title` in one object",
        ),
        ("[1]", "9:1 `[1]` bad-schema: a schema should be an object"),
        ("{\"type\": \"string\"}", "9:1 `{` untitled-schema: this schema names no type"),
        ("{}", "9:1 `{` untitled-schema: this schema names no type"),
        ("{\"$defs\": []}", "9:11 `[]` bad-schema: `$defs` should be an object of schemas by name"),
        (
            "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"A\", \"type\": \"string\"}",
            "9:13 `\"http://json-schema.org/draft-07/schema#\"` bad-schema: `$schema` should be \"https://json-schema.org/draft/2020-12/schema\"",
        ),
        (
            "{\"title\": \"A\", \"$ref\": \"https://example.com/a.json\"}",
            "9:24 `\"https://example.com/a.json\"` remote-reference: the reference `https://example.com/a.json` leads out of the document",
        ),
        (
            "{\"title\": \"A\", \"items\": {\"$ref\": \"other.json#/a\"}}",
            "9:34 `\"other.json#/a\"` remote-reference: the reference `other.json#/a` leads out of the document",
        ),
        (
            "{\"title\": \"A\", \"$ref\": \"#/properties/b\"}",
            "9:24 `\"#/properties/b\"` unsupported-pattern: unsupported pattern: the reference `#/properties/b`",
        ),
        (
            "{\"title\": \"A\", \"$dynamicRef\": \"#b\"}",
            "9:17 `$dynamicRef` unsupported-pattern: unsupported pattern: `$dynamicRef` here",
        ),
        (
            "{\"title\": \"A\", \"items\": {\"$defs\": {}}}",
            "9:27 `$defs` unsupported-pattern: unsupported pattern: `$defs` here",
        ),
        (
            "{\"title\": \"A\", \"properties\": {\"b\": {\"requierd\": []}}}",
            "9:38 `requierd` unknown-keyword: unknown keyword `requierd` in a schema",
        ),
        (
            "{\"title\": \"A\", \"type\": \"strin\"}",
            "9:24 `\"strin\"` bad-schema: `type` should be string, number, integer, boolean, object, array or null, or a list of these",
        ),
        (
            "{\"title\": \"A\", \"required\": \"b\"}",
            "9:28 `\"b\"` bad-schema: `required` should be a list of names",
        ),
        ("{\"title\": \"A\", \"anyOf\": {}}", "9:25 `{}` bad-schema: `anyOf` should be a list of schemas"),
        (
            "{\"title\": \"A\", \"multipleOf\": 0}",
            "9:30 `0` bad-schema: `multipleOf` should be a number above 0",
        ),
        ("{\"title\": \"A\", \"maxItems\": -1}", "9:28 `-1` bad-schema: `maxItems` should be a whole number"),
        (
            "{\"title\": \"A\", \"items\": [{}]}",
            "9:25 `[{}]` bad-schema: a schema should be an object, true or false",
        ),
        (
            "{\"title\": \"A\", \"pattern\": \"(?=a)\"}",
            "9:27 `\"(?=a)\"` unsupported-pattern: unsupported pattern: the regular expression `(?=a)`",
        ),
        (
            "{\"title\": \"A\", \"patternProperties\": {\"((\": {}}}",
            "9:39 `((` unsupported-pattern: unsupported pattern: the regular expression `((`",
        ),
        (
            "{\"title\": \"A\", \"format\": \"dte\"}",
            "9:26 `\"dte\"` unsupported-pattern: unsupported pattern: the format `dte`",
        ),
        (
            "{\"$defs\": {\"a b\": {}}}",
            "9:13 `a b` type-name: a type cannot be called `a b`: no signature could use that name",
        ),
    ] {
        assert_eq!(told("json schema", content), [expected], "{content}");
    }
}

#[test]
fn types_stand_below_their_heading_and_nowhere_else() {
    let text = "# Orders\n\n## Pay @bank\norder -> paid\n\n```ts\ntype A = broken broken\n```\n\n## Types\n\n### Of the shop\n\n```ts\ntype B = string\n```\n\n- ```ts\n  type C = string\n  ```\n\n## Notes\n\n```ts\ntype E = string\n```\n";
    let (spec, problems) = parse(&Source::new("x.md", text));
    let names: Vec<&str> = spec.types.iter().map(|defined| defined.name.value.as_str()).collect();
    assert_eq!(names, ["B"]);
    assert!(problems.iter().any(|problem| problem.code == "fence-inside"), "{problems:?}");
}
