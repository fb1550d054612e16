//! Objects in the TypeScript subset: members with their comments, and recovery after one that could not be read.

use super::super::lexer::{Kind, Token};
use super::{Parser, Read, describe};
use crate::diag::{Span, catalogue as problem};
use crate::value::{Object, Value};
use serde_json::json;
use std::collections::HashMap;

impl<'a> Parser<'a, '_> {
    pub(super) fn object(&mut self) -> Read<Value> {
        let open = self.token().span;
        self.at += 1;
        let depth = self.depth;
        let mut members = Members::default();
        let notes = std::mem::take(&mut self.before_mut().behind);
        while !self.skip('}') {
            if self.is(&Kind::End) {
                return Err(Box::new(problem::type_syntax(open, "this `{` is never closed")));
            }
            if self.begins() {
                return Err(Box::new(problem::type_syntax(
                    open,
                    "this `{` is not closed before the next type",
                )));
            }
            if let Err(problem) = self.member(&mut members) {
                self.problems.push(*problem);
                self.depth = depth;
                self.pass_member();
            }
        }
        let mut schema = members.schema();
        describe(&mut schema, notes);
        Ok(schema)
    }

    fn before_mut(&mut self) -> &mut Token<'a> {
        let before = self.at.saturating_sub(1);
        &mut self.tokens[before]
    }

    fn member(&mut self, members: &mut Members) -> Read<()> {
        let notes = self.token().above.clone();
        let (token, from) = (self.token().clone(), self.at);
        let name = match token.kind {
            Kind::Name("readonly") if !matches!(self.ahead(1).kind, Kind::Sign(':' | '?')) => {
                return Err(self.unsupported("`readonly`", None));
            }
            Kind::Name(name) => name.to_owned(),
            Kind::Text(name) => name,
            Kind::Sign('[') => {
                let instead = "for an object with any keys, write Record<string, T>";
                return Err(self.unsupported("members without a name", Some(instead)));
            }
            _ => return Err(self.wrong("the name of a member")),
        };
        self.at += 1;
        let optional = self.skip('?');
        if self.sign('(') || self.sign('<') {
            return Err(self.unsupported("functions", None));
        }
        self.expect(':', "after the member's name")?;
        let mut schema = self.union()?;
        if !self.skip(';') && !self.skip(',') && !self.sign('}') && !self.token().first {
            return Err(self.wrong("`;` after the member"));
        }
        let behind = self.behind(from);
        describe(&mut schema, notes.into_iter().chain(behind));
        if let Some(first) = members.spans.insert(name.clone(), token.span) {
            self.problems.push(problem::said_twice(token.span, first, &name));
        }
        if !optional {
            members.required.push(name.clone().into());
        }
        members.schemas.insert(name, schema);
        Ok(())
    }

    /// Skips a member that could not be read.
    fn pass_member(&mut self) {
        let (from, mut open) = (self.at, 0_usize);
        loop {
            match self.token().kind {
                Kind::End => return,
                Kind::Sign('}') if open == 0 => return,
                Kind::Sign('{' | '(') => open += 1,
                Kind::Sign('}' | ')') => open = open.saturating_sub(1),
                Kind::Sign(';' | ',') if open == 0 => {
                    self.at += 1;
                    return;
                }
                _ if self.begins() => return,
                _ if open == 0 && self.at > from && self.token().first => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[derive(Default)]
struct Members {
    schemas: Object,
    required: Vec<Value>,
    spans: HashMap<String, Span>,
}

impl Members {
    fn schema(self) -> Value {
        let mut schema = json!({ "type": "object", "properties": self.schemas });
        if !self.required.is_empty() {
            schema["required"] = self.required.into();
        }
        schema
    }
}
