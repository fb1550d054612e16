//! Named types that are spelt almost like a built-in one: `int`, `bool`, `json`. A tag is not checked, so that such a
//! mistake would disable the check.

use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Spanned, Spec};
use crate::value::{LIKE_BUILT_IN, Type};
use std::collections::HashSet;

/// Types of other languages and their built-in equivalents; a list needs the type of its elements.
const OTHERS: [(&str, Option<&str>); 10] = [
    ("List", None),
    ("Array", None),
    ("Set", None),
    ("Date", Some("String")),
    ("DateTime", Some("String")),
    ("Markdown", Some("String")),
    ("Object", Some("JSON")),
    ("Map", Some("JSON")),
    ("Dict", Some("JSON")),
    ("Any", Some("JSON")),
];

/// Warns of each such type once, at its first place. A definition gives its name a meaning.
pub(super) fn check(spec: &Spec, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<String> =
        spec.types.iter().map(|definition| definition.name.value.clone()).collect();
    let steps = spec.steps.iter().filter_map(|step| step.signature.as_ref());
    let signatures = steps.chain(spec.groups.iter().filter_map(|group| group.signature.as_ref()));
    let ports = signatures.flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
    for ty in ports.filter_map(|port| port.ty.as_ref()) {
        report(ty, true, &mut seen, diagnostics);
    }
    for (name, ty) in spec.front.inputs.iter().flatten() {
        if let Some(ty) = ty {
            report(&Spanned::new(ty.clone(), name.span), false, &mut seen, diagnostics);
        }
    }
}

fn report(ty: &Spanned<Type>, is_port: bool, seen: &mut HashSet<String>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(tag) = tag(&ty.value) else { return };
    // The place of a type begins with its tag; that of the front matter is the name of the value.
    let at = Span::new(ty.span.start, ty.span.start + tag.len());
    let written = ty.span.end - ty.span.start >= tag.len() && is_port;
    let other = OTHERS.iter().find(|(other, _)| *other == tag).map(|(_, meant)| *meant);
    let problem = match (meant(tag), other) {
        (Some(meant), _) if LIKE_BUILT_IN.iter().any(|(other, _)| *other == tag.to_lowercase()) => {
            let problem = catalogue::near_type(ty.span, tag, meant);
            if written { problem.fix(at, meant) } else { problem }
        }
        (Some(meant), _) | (None, Some(Some(meant))) => {
            let problem = catalogue::near_type(ty.span, tag, meant);
            if written { problem.maybe(at, meant) } else { problem }
        }
        (None, Some(None)) => catalogue::list_of_nothing(ty.span, tag),
        (None, None) => return,
    };
    if seen.insert(tag.to_owned()) {
        diagnostics.push(problem);
    }
}

fn tag(mut ty: &Type) -> Option<&str> {
    while let Type::List(inner) | Type::Nullable(inner) = ty {
        ty = inner;
    }
    match ty {
        Type::Named(name) => Some(name),
        _ => None,
    }
}

/// The built-in type that a tag is most likely meant as: by another language's name for it, or one letter away.
fn meant(tag: &str) -> Option<&'static str> {
    if tag.len() > 10 {
        return None;
    }
    let lower = tag.to_lowercase();
    let near = |other: &str| {
        other.len() >= 6 && lower.starts_with(&other[..1]) && strsim::osa_distance(&lower, other) == 1
    };
    let found = LIKE_BUILT_IN
        .iter()
        .find(|(other, _)| lower == *other)
        .or_else(|| LIKE_BUILT_IN.iter().find(|(other, _)| near(other)));
    found.map(|(_, built_in)| *built_in)
}
