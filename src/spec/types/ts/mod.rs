//! A small part of TypeScript, read as JSON Schema. Records problems and continues with the next member or definition.
//! Knows only built-in names: `graph` checks whether types exist.
//!
//! ```text
//! definition = "interface" name object | "type" name "=" union
//! union      = ["|"] list { "|" list }
//! list       = one { "[" "]" }
//! one        = text | number | name | "Array<" union ">" | "Record<string," union ">" | object | "(" union ")"
//! object     = "{" { name ["?"] ":" union (";" | "," | line end) } "}"
//! ```

mod object;

use super::lexer::{Kind, Token, tokens};
use super::union;
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::spec::model::{Definition, Spanned};
use crate::value::{Value, schema};
use serde_json::json;

/// How deep types may nest within one definition.
const DEPTH: usize = 32;

type Read<T> = Result<T, Box<Diagnostic>>;

/// Reads the definitions of a fence.
pub(super) fn read(text: &str, content: Span, problems: &mut Vec<Diagnostic>) -> Vec<Definition> {
    let tokens = tokens(text, content, problems);
    let mut parser = Parser { text, tokens, at: 0, depth: 0, mentions: Vec::new(), problems };
    let mut definitions = Vec::new();
    while !parser.is(&Kind::End) {
        let from = parser.at;
        match parser.definition() {
            Ok(definition) => definitions.push(definition),
            Err(problem) => {
                parser.problems.push(*problem);
                definitions.extend(parser.recover(from));
            }
        }
    }
    definitions
}

struct Parser<'a, 'p> {
    text: &'a str,
    /// Never empty; the last is the end.
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    /// Of the current definition.
    mentions: Vec<Spanned<String>>,
    problems: &'p mut Vec<Diagnostic>,
}

impl<'a> Parser<'a, '_> {
    fn token(&self) -> &Token<'a> {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> &Token<'a> {
        &self.tokens[(self.at + count).min(self.tokens.len() - 1)]
    }

    /// The comments after the tokens since `from`, if those are on one line.
    fn behind(&self, from: usize) -> Vec<String> {
        let read = &self.tokens[from.min(self.at)..self.at];
        let one_line = read.iter().skip(1).all(|token| !token.first);
        read.last().filter(|_| one_line).map_or_else(Vec::new, |last| last.behind.clone())
    }

    fn is(&self, kind: &Kind) -> bool {
        self.token().kind == *kind
    }

    fn sign(&self, sign: char) -> bool {
        self.is(&Kind::Sign(sign))
    }

    /// Takes the sign if it is the next word.
    fn skip(&mut self, sign: char) -> bool {
        let there = self.sign(sign);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, sign: char, place: &str) -> Read<()> {
        if self.skip(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}` {place}"))) }
    }

    fn slice(&self, span: Span) -> &'a str {
        &self.text[span.start..span.end]
    }

    /// The next token is not the expected one.
    fn wrong(&self, expected: &str) -> Box<Diagnostic> {
        let token = self.token();
        let found = match &token.kind {
            Kind::End => "the end of the fence".to_owned(),
            _ => format!("`{}`", self.slice(token.span)),
        };
        Box::new(problem::type_syntax(token.span, &format!("expected {expected}, found {found}")))
    }

    fn unsupported(&self, what: &str, instead: Option<&str>) -> Box<Diagnostic> {
        Box::new(problem::unsupported_pattern(self.token().span, what, instead))
    }

    fn definition(&mut self) -> Read<Definition> {
        let notes = self.token().above.clone();
        self.mentions.clear();
        self.depth = 0;
        while let Kind::Name(word @ ("export" | "declare")) = self.token().kind {
            let problem = self.unsupported(
                &format!("`{word}`"),
                Some("remove it: every type here is known to the whole document"),
            );
            self.problems.push(*problem);
            self.at += 1;
        }
        let from = self.at;
        let Kind::Name(word) = self.token().kind else { return Err(self.wrong("`interface` or `type`")) };
        if !matches!(word, "interface" | "type") {
            return Err(match word {
                "import" | "enum" | "class" | "const" | "function" | "namespace" | "abstract" | "let"
                | "var" => self.unsupported(&format!("`{word}`"), None),
                _ => self.wrong("`interface` or `type`"),
            });
        }
        self.at += 1;
        let Kind::Name(name) = self.token().kind else { return Err(self.wrong("the name of the type")) };
        let name = Spanned::new(name.to_owned(), self.token().span);
        self.at += 1;
        match &self.token().kind {
            Kind::Sign('<') => return Err(self.unsupported("types with parameters", None)),
            Kind::Name(word @ ("extends" | "implements")) => {
                let instead = "write all members into one interface";
                return Err(self.unsupported(&format!("`{word}`"), Some(instead)));
            }
            _ => {}
        }
        let mut schema = if word == "interface" {
            if !self.sign('{') {
                return Err(self.wrong("`{` after the interface's name"));
            }
            self.object()?
        } else {
            self.expect('=', "after the type's name")?;
            self.union()?
        };
        self.skip(';');
        let behind = self.behind(from);
        describe(&mut schema, notes.into_iter().chain(behind));
        Ok(Definition { name, schema, mentions: std::mem::take(&mut self.mentions) })
    }

    /// Continues at the next definition after one that could not be read; its name becomes a type of any value, so
    /// that others may mention it.
    fn recover(&mut self, from: usize) -> Option<Definition> {
        let modifier = |token: &&Token| matches!(token.kind, Kind::Name("export" | "declare"));
        let from = from + self.tokens[from..].iter().take_while(modifier).count();
        let begun = matches!(self.tokens[from].kind, Kind::Name("interface" | "type"));
        let named = match self.tokens.get(from + 1) {
            Some(Token { kind: Kind::Name(name), span, .. }) if begun => {
                Some(Spanned::new((*name).to_owned(), *span))
            }
            _ => None,
        };
        self.at = self.at.max(from + 1);
        while !self.is(&Kind::End) && !self.begins() {
            self.at += 1;
        }
        Some(Definition { name: named?, schema: Value::Bool(true), mentions: Vec::new() })
    }

    /// Whether a definition begins here, rather than a member called `type`.
    fn begins(&self) -> bool {
        let (name, then) = (&self.ahead(1).kind, &self.ahead(2).kind);
        self.token().first
            && matches!(self.token().kind, Kind::Name("interface" | "type"))
            && matches!(name, Kind::Name(_))
            && matches!(then, Kind::Sign('{' | '=' | '<') | Kind::Name("extends"))
    }

    fn union(&mut self) -> Read<Value> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.unsupported(
                &format!("types that nest deeper than {DEPTH} levels"),
                Some("give the inner part a name of its own"),
            ));
        }
        self.skip('|');
        let mut branches = vec![self.list()?];
        while self.skip('|') {
            branches.push(self.list()?);
        }
        let word = match &self.token().kind {
            Kind::Sign('&') => Some("intersections with `&`"),
            Kind::Name("extends") => Some("types that depend on others"),
            _ => None,
        };
        if let Some(what) = word {
            return Err(self.unsupported(what, Some("write all members into one interface")));
        }
        self.depth -= 1;
        Ok(union::of(branches))
    }

    fn list(&mut self) -> Read<Value> {
        let mut schema = self.one()?;
        let mut lists = 0;
        while self.sign('[') {
            self.at += 1;
            if !self.sign(']') {
                return Err(self.unsupported("the type of a member", Some("write the member's type itself")));
            }
            self.at += 1;
            lists += 1;
            if self.depth + lists > DEPTH {
                return Err(self.unsupported(&format!("types that nest deeper than {DEPTH} levels"), None));
            }
            schema = json!({ "type": "array", "items": schema });
        }
        Ok(schema)
    }

    fn one(&mut self) -> Read<Value> {
        let token = self.token().clone();
        match token.kind {
            Kind::Text(text) => {
                self.at += 1;
                Ok(json!({ "const": text }))
            }
            Kind::Number(digits) => self.number(digits.to_owned()),
            Kind::Sign('-') => {
                self.at += 1;
                let Kind::Number(digits) = self.token().kind else {
                    return Err(self.wrong("a number after `-`"));
                };
                self.number(format!("-{digits}"))
            }
            Kind::Sign('{') => self.object(),
            Kind::Sign('(') => {
                let second = &self.ahead(2).kind;
                let arguments = matches!(self.ahead(1).kind, Kind::Sign(')' | '.'))
                    || matches!(second, Kind::Sign(':' | ',' | '?'));
                if arguments {
                    return Err(self.unsupported("functions", None));
                }
                self.at += 1;
                let inner = self.union()?;
                self.expect(')', "at the end of the group")?;
                Ok(inner)
            }
            Kind::Sign('[') => {
                Err(self.unsupported("lists of fixed length", Some("write T[], or an interface")))
            }
            Kind::Sign('`') => Err(self.unsupported("patterns of text", Some("write string"))),
            Kind::Name(_) if self.begins() => Err(self.wrong("a type")),
            Kind::Name(name) => self.name(name),
            Kind::Sign(_) | Kind::End => Err(self.wrong("a type")),
        }
    }

    fn number(&mut self, digits: String) -> Read<Value> {
        match crate::value::json::parse(&digits) {
            Ok(number) => {
                self.at += 1;
                Ok(json!({ "const": number }))
            }
            Err(_) => Err(self.wrong("a number such as 5 or 2.5")),
        }
    }

    fn name(&mut self, name: &str) -> Read<Value> {
        let span = self.token().span;
        match name {
            "Array" => return self.array(),
            "Record" => return self.record(),
            "keyof" | "typeof" | "readonly" | "unique" | "infer" | "asserts" | "new" | "abstract" => {
                return Err(self.unsupported(&format!("`{name}`"), None));
            }
            "undefined" | "void" => {
                let instead =
                    "a member that may be absent is written `name?: T`; a value that may be null, `T | null`";
                return Err(self.unsupported(&format!("`{name}`"), Some(instead)));
            }
            "never" | "object" | "symbol" | "bigint" | "Date" | "Map" | "Set" | "Promise" => {
                return Err(self.unsupported(&format!("`{name}`"), None));
            }
            "File" => {
                let instead =
                    "write string; a file has a type only as a value of its own, as in `pages::File`";
                return Err(self.unsupported("`File` within a type", Some(instead)));
            }
            _ => self.at += 1,
        }
        match self.token().kind {
            Kind::Sign('<') => return Err(self.unsupported("types with parameters", None)),
            Kind::Sign('.') => return Err(self.unsupported("names within names", None)),
            _ => {}
        }
        Ok(match name {
            "string" | "String" => json!({ "type": "string" }),
            "number" | "Number" => json!({ "type": "number" }),
            "boolean" | "Boolean" => json!({ "type": "boolean" }),
            "Integer" => json!({ "type": "integer" }),
            "null" => json!({ "type": "null" }),
            "true" => json!({ "const": true }),
            "false" => json!({ "const": false }),
            "any" | "unknown" | "JSON" => json!({}),
            name => {
                self.mentions.push(Spanned::new(name.to_owned(), span));
                schema::reference(name)
            }
        })
    }

    fn array(&mut self) -> Read<Value> {
        self.at += 1;
        self.expect('<', "after `Array`")?;
        let inner = self.union()?;
        self.expect('>', "at the end of the list's type")?;
        Ok(json!({ "type": "array", "items": inner }))
    }

    fn record(&mut self) -> Read<Value> {
        self.at += 1;
        self.expect('<', "after `Record`")?;
        if !self.is(&Kind::Name("string")) {
            let instead = "write Record<string, T>, or an interface with these members";
            return Err(self.unsupported("keys other than `string`", Some(instead)));
        }
        self.at += 1;
        self.expect(',', "after the type of the keys")?;
        let inner = self.union()?;
        self.expect('>', "at the end of the record's type")?;
        Ok(json!({ "type": "object", "additionalProperties": inner }))
    }
}

/// Adds notes to a schema as its description.
fn describe(schema: &mut Value, notes: impl IntoIterator<Item = String>) {
    let Value::Object(object) = schema else { return };
    let known = object.get("description").and_then(Value::as_str).map(str::to_owned);
    let notes: Vec<String> = notes.into_iter().chain(known).collect();
    if !notes.is_empty() {
        object.insert("description".into(), notes.join("\n").into());
    }
}
