//! Where and why a value does not fit a definition, in the words of its author. Walks value and schema side by
//! side; whether a part fits at all is for the compiled schema to say.

use super::super::misfit::{Misfits, element, member, shown};
use super::super::words::or;
use super::super::{Object, Value, kind, nearest};
use super::kinds::{admits, branches, peek};
use super::{Holds, TypeSchema, keyword};
use serde_json::json;

/// Objects with more members than this are not searched for a misspelt one.
const COMPARED: usize = 100;

/// Alternatives that are named one by one.
const NAMED: usize = 8;

pub(super) fn explain(definition: &TypeSchema, value: &Value, path: &mut String, misfits: &mut Misfits) {
    let before = misfits.count();
    let mut walk = Walk { definition, misfits };
    walk.look(definition.schema(), value, path);
    if misfits.count() == before {
        misfits.add(path, format!("a value that fits `{}`", definition.name()), shown(value));
    }
}

struct Walk<'a, 'm> {
    definition: &'a TypeSchema,
    misfits: &'m mut Misfits,
}

impl<'a> Walk<'a, '_> {
    /// Adds the misfits of `value` under `schema`; nothing if it fits.
    fn look(&mut self, schema: &'a Value, value: &Value, path: &mut String) {
        if self.misfits.are_enough() {
            return;
        }
        let Value::Object(rules) = schema else {
            if *schema == Value::Bool(false) {
                self.misfits.add(path, "nothing here", kind(value));
            }
            return;
        };
        let is_kind =
            |kinds: &'a Value| self.definition.holds(kinds, "rule", || json!({ "type": kinds }), value);
        if rules.get("type").is_some_and(|kinds| !is_kind(kinds)) {
            return self.misfits.add(path, describe(schema), kind(value));
        }
        let before = self.misfits.count();
        for (name, rule) in rules {
            self.rule(rules, name, rule, value, path);
        }
        if self.misfits.count() == before {
            self.whole(schema, rules, value, path);
        }
    }

    fn rule(&mut self, rules: &'a Object, name: &str, rule: &'a Value, value: &Value, path: &mut String) {
        match (name, rule, value) {
            ("$ref", Value::String(target), _) => {
                if let Some(target) = self.definition.target(target) {
                    self.look(target, value, path);
                }
            }
            ("allOf", Value::Array(all), _) => all.iter().for_each(|schema| self.look(schema, value, path)),
            ("anyOf" | "oneOf", Value::Array(branches), _) => self.union(branches, rule, value, path),
            ("if", ..) => {
                let way = if self.fits(rule, value) { "then" } else { "else" };
                rules.get(way).into_iter().for_each(|schema| self.look(schema, value, path));
            }
            ("required", Value::Array(names), Value::Object(object)) => {
                self.required(rules, names, object, path);
            }
            ("properties", Value::Object(members), Value::Object(object)) => {
                for (name, schema) in members {
                    self.member(schema, object, name, path);
                }
            }
            ("patternProperties", Value::Object(patterns), Value::Object(object)) => {
                for (pattern, schema) in patterns {
                    let matching = object.keys().filter(|name| self.matches(schema, pattern, name));
                    for name in matching.collect::<Vec<_>>() {
                        self.member(schema, object, name, path);
                    }
                }
            }
            ("additionalProperties", schema, Value::Object(object)) => {
                let others = object.keys().filter(|name| !self.is_named(rules, name));
                for name in others.collect::<Vec<_>>() {
                    self.member(schema, object, name, path);
                }
            }
            ("prefixItems", Value::Array(schemas), Value::Array(elements)) => {
                for (index, (schema, value)) in schemas.iter().zip(elements).enumerate() {
                    self.element(schema, value, index, path);
                }
            }
            ("items", schema, Value::Array(elements)) => {
                let first = rules.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (index, value) in elements.iter().enumerate().skip(first) {
                    self.element(schema, value, index, path);
                }
            }
            _ => self.plain(name, rule, value, path),
        }
    }

    /// A rule that looks at the value as a whole, and at no other rule.
    fn plain(&mut self, name: &str, rule: &'a Value, value: &Value, path: &str) {
        let Some(expected) = phrase(name, rule) else { return };
        let alone = || Value::Object(Object::from_iter([(name.to_owned(), rule.clone())]));
        if !self.definition.holds(rule, "rule", alone, value) {
            self.misfits.add(path, expected, shown(value));
        }
    }

    /// Adds a misfit for the whole value, for rules that cannot be explained by part.
    fn whole(&mut self, schema: &'a Value, rules: &Object, value: &Value, path: &str) {
        let alone = |name: &&String| {
            let rest = phrase(name, &Value::Null).is_none() && *name != "type" && *name != "$ref";
            rest && keyword(name).is_some_and(|holds| !matches!(holds, Holds::Text | Holds::Any))
        };
        if let Some(name) = rules.keys().find(alone)
            && !self.fits(schema, value)
        {
            self.misfits.add(path, format!("what `{name}` asks for"), shown(value));
        }
    }

    fn required(&mut self, rules: &Object, names: &[Value], object: &Object, path: &mut String) {
        for name in names.iter().filter_map(Value::as_str).filter(|name| !object.contains_key(*name)) {
            let schema = rules.get("properties").and_then(|properties| properties.get(name));
            let expected = schema.map_or("a value".to_owned(), describe);
            let length = path.len();
            member(path, name);
            let found = match self.misnamed(rules, name, object) {
                Some(near) => format!("nothing (is {} meant?)", Value::from(near)),
                None => "nothing".to_owned(),
            };
            self.misfits.add(path, expected, found);
            path.truncate(length);
        }
    }

    /// The member without a schema of its own that was most likely meant as this one.
    fn misnamed<'o>(&self, rules: &Object, name: &str, object: &'o Object) -> Option<&'o str> {
        let others = object.keys().filter(|other| !self.is_named(rules, other)).map(String::as_str);
        let few = self.misfits.reports_next() && object.len() <= COMPARED;
        few.then(|| nearest(name, others)).flatten()
    }

    fn member(&mut self, schema: &'a Value, object: &Object, name: &str, path: &mut String) {
        let Some(value) = object.get(name) else { return };
        let length = path.len();
        member(path, name);
        self.look(schema, value, path);
        path.truncate(length);
    }

    fn element(&mut self, schema: &'a Value, value: &Value, index: usize, path: &mut String) {
        let length = path.len();
        element(path, index);
        self.look(schema, value, path);
        path.truncate(length);
    }

    /// Whether a member has a schema of its own beside `additionalProperties`.
    fn is_named(&self, rules: &Object, name: &str) -> bool {
        let members = |rule| rules.get(rule).and_then(Value::as_object);
        let matches = |(pattern, schema): (&String, &Value)| self.matches(schema, pattern, name);
        members("properties").is_some_and(|members| members.contains_key(name))
            || members("patternProperties").is_some_and(|members| members.iter().any(matches))
    }

    fn matches(&self, schema: &Value, pattern: &str, name: &str) -> bool {
        self.definition.holds(schema, "pattern", || json!({ "pattern": pattern }), &name.into())
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.definition.holds(schema, "schema", || schema.clone(), value)
    }

    /// The one branch that was meant is looked into; where that is unclear, all are named.
    fn union(&mut self, branches: &'a [Value], rule: &Value, value: &Value, path: &mut String) {
        if branches.iter().any(|branch| self.fits(branch, value)) {
            return;
        }
        let all: Vec<&Value> = branches.iter().collect();
        let kin: Vec<&Value> =
            all.iter().copied().filter(|branch| admits(self.definition, branch, value)).collect();
        let meant: Vec<&Value> =
            kin.iter().copied().filter(|branch| self.tag(branch, value).is_none()).collect();
        match (meant.as_slice(), kin.as_slice()) {
            ([only], _) | ([], [only]) => self.look(only, value, path),
            ([], [first, ..]) => self.tags(first, &kin, value, path),
            _ => {
                let expected = describe(&json!({ "anyOf": rule }));
                self.misfits.add(path, expected, shown(value));
            }
        }
    }

    /// No branch has the value's tag: reports which tags exist.
    fn tags(&mut self, first: &'a Value, branches: &[&'a Value], value: &Value, path: &mut String) {
        let tag = self.tag(first, value).unwrap_or_default();
        let of = |branch: &&Value| Some(peek(self.definition, branch).get("properties")?.get(tag)?.clone());
        let options: Vec<Value> = branches.iter().filter_map(of).collect();
        let length = path.len();
        member(path, tag);
        let expected = describe(&json!({ "anyOf": options }));
        self.misfits.add(path, expected, shown(value.get(tag).unwrap_or(&Value::Null)));
        path.truncate(length);
    }

    /// The member by which an object shows that it is not of this branch.
    fn tag(&self, branch: &'a Value, value: &Value) -> Option<&'a str> {
        let members = peek(self.definition, branch).get("properties")?.as_object()?;
        let other = |(name, schema): &(&String, &Value)| {
            let fixed = schema.get("const").is_some() || schema.get("enum").is_some();
            fixed && value.get(name.as_str()).is_some_and(|value| !self.fits(schema, value))
        };
        members.iter().find(other).map(|(name, _)| name.as_str())
    }
}

/// What a schema asks for, in a few words.
fn describe(schema: &Value) -> String {
    let mut words = Vec::new();
    alternatives(schema, &mut words);
    words.dedup();
    let others = words.len().saturating_sub(NAMED);
    if others > 0 {
        words.truncate(NAMED);
        words.push(format!("{others} others"));
    }
    if words.is_empty() { "nothing".to_owned() } else { or(words) }
}

fn alternatives(schema: &Value, words: &mut Vec<String>) {
    let list = |name: &str| schema.get(name).and_then(Value::as_array).into_iter().flatten();
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        words.extend(super::referred(target));
    } else if let Some(only) = schema.get("const") {
        words.push(shown(only));
    } else if schema.get("enum").is_some() {
        words.extend(list("enum").map(shown));
    } else if let Some(kinds) = schema.get("type") {
        let kinds = kinds.as_array().map_or(std::slice::from_ref(kinds), Vec::as_slice);
        words.extend(kinds.iter().filter_map(Value::as_str).map(called).map(str::to_owned));
    } else if branches(schema).is_some() {
        list("anyOf").chain(list("oneOf")).for_each(|branch| alternatives(branch, words));
    } else {
        words.push("a value".to_owned());
    }
}

fn called(kind: &str) -> &str {
    match kind {
        "string" => "a string",
        "number" => "a number",
        "integer" => "a whole number",
        "boolean" => "a Boolean",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

/// What a rule asks for that looks at nothing but the value; `None` for all other rules.
fn phrase(name: &str, rule: &Value) -> Option<String> {
    let many =
        |what: &str| format!("{rule} {}", if *rule == 1 { what.to_owned() } else { format!("{what}s") });
    let text = rule.as_str().unwrap_or_default();
    Some(match name {
        "const" => shown(rule),
        "enum" => describe(&json!({ "enum": rule })),
        "minimum" => format!("at least {rule}"),
        "maximum" => format!("at most {rule}"),
        "exclusiveMinimum" => format!("more than {rule}"),
        "exclusiveMaximum" => format!("less than {rule}"),
        "multipleOf" => format!("a multiple of {rule}"),
        "minLength" => format!("text of at least {}", many("character")),
        "maxLength" => format!("text of at most {}", many("character")),
        "pattern" => format!("text like /{text}/"),
        "format" => format!("text in the form `{text}`"),
        "minItems" => format!("at least {}", many("element")),
        "maxItems" => format!("at most {}", many("element")),
        "uniqueItems" => "elements that all differ".to_owned(),
        "minProperties" => format!("at least {}", many("member")),
        "maxProperties" => format!("at most {}", many("member")),
        _ => return None,
    })
}
