//! Signature lines: `a, b → c::Type`. Reads one line and knows nothing of the step around it.

use super::markdown::{place, trim};
use super::model::{Port, Signature, Spanned};
use crate::diag::Span;
use crate::value::Type;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, verify};
use nom::multi::{separated_list0, separated_list1};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// A line with an arrow.
#[derive(Clone, Debug)]
pub(super) struct Arrow {
    pub span: Span,
    pub read: Result<Signature, Obstacle>,
    /// `a → Some Title`, should a step of that title exist.
    pub hand_over: Option<HandOver>,
}

/// `a → Step Title`.
#[derive(Clone, Debug)]
pub(super) struct HandOver {
    pub makes: Vec<Port>,
    pub to: Spanned<String>,
}

/// Why a line with an arrow is not a signature.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    pub span: Span,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A side of an arrow or comma is empty.
    Empty,
    /// Several words instead of one name.
    Words,
    /// A character that is not allowed in names.
    Character(char),
    /// A name that begins or ends with this character.
    Edge(char),
    /// The text after `::` is not a type.
    NoType,
}

/// Whether a line has an arrow that could be meant as one: outside of code, unless the whole line is code.
pub(super) fn has_arrow(line: &str) -> bool {
    let whole = line.starts_with('`') && line.ends_with('`') && line.matches('`').count() == 2;
    if whole {
        return line.contains('→') || line.contains("->");
    }
    line.split('`').step_by(2).any(|part| {
        part.contains('→')
            || part
                .match_indices("->")
                .any(|(at, _)| !part[..at].ends_with(['-', '<']) && !part[at + 2..].starts_with('>'))
    })
}

/// Reads a line that may be a signature. `None` without an arrow.
pub(super) fn read(text: &str, span: Span) -> Option<Arrow> {
    let line = text.get(span.start..span.end)?;
    if !line.contains('→') && !line.contains("->") {
        return None;
    }
    let read = match all_consuming(chain).parse(line) {
        Ok((_, links)) if links.len() > 1 => Ok(signature(text, span, links)),
        _ if !has_arrow(line) => return None,
        _ => Err(obstacle(text, line)),
    };
    Some(Arrow { span, read, hand_over: hand_over(text, line) })
}

/// Reads `-> output` at the end of a heading.
pub(super) fn output(text: &str, span: Span) -> Option<Signature> {
    let part = text.get(span.start..span.end)?;
    let (_, ports) = all_consuming(preceded((gap, arrow), ports)).parse(part).ok()?;
    (!ports.is_empty()).then(|| signature(text, span, vec![Vec::new(), ports]))
}

/// Reads the first half of `Takes a → creates:`, whose outputs are in the list below it.
pub(super) fn takes(text: &str, span: Span) -> Option<Signature> {
    let line = text.get(span.start..span.end)?;
    let end = (gap, arrow, gap, tag_no_case("creates"), gap, char(':'), gap);
    let takes = (gap, tag_no_case("takes"), verify(gap, |space: &str| !space.is_empty()));
    let (_, inputs) = all_consuming(delimited(takes, ports, end)).parse(line).ok()?;
    Some(signature(text, span, vec![inputs, Vec::new()]))
}

/// Reads a bullet below `creates:`: an output, with or without a remark after a dash or a colon.
pub(super) fn bullet(text: &str, item: Span) -> Option<Port> {
    let line = text.get(item.start..item.end)?.lines().next()?;
    let line = line.trim_start_matches(['-', '*', '+', ' ', '\t']);
    let (rest, found) = preceded(gap, port).parse(line).ok()?;
    let rest = rest.trim_start_matches('`');
    let apart = rest.trim_start();
    let remark = rest.starts_with(':') || apart.len() < rest.len() && apart.starts_with(['-', '–', '—', '(']);
    (apart.is_empty() || remark).then(|| made(text, found))
}

struct Raw<'a> {
    name: &'a str,
    optional: bool,
    ty: Option<(&'a str, Type)>,
}

fn signature(text: &str, span: Span, links: Vec<Vec<Raw>>) -> Signature {
    let mut links = links.into_iter().map(|link| link.into_iter().map(|raw| made(text, raw)).collect());
    let inputs = links.next().unwrap_or_default();
    let outputs: Vec<Vec<Port>> = links.collect();
    Signature { span, inputs, outputs: outputs.into_iter().flatten().collect(), hands_to: None }
}

fn made(text: &str, raw: Raw) -> Port {
    Port {
        name: Spanned::new(raw.name.to_owned(), place(text, raw.name)),
        optional: raw.optional,
        ty: raw.ty.map(|(part, ty)| Spanned::new(ty, place(text, part))),
    }
}

/// White space and backticks, which have no meaning between the parts of a signature.
fn gap(input: &str) -> IResult<&str, &str> {
    take_while(|c| matches!(c, ' ' | '\t' | '`')).parse(input)
}

fn arrow(input: &str) -> IResult<&str, &str> {
    alt((tag("→"), tag("->"))).parse(input)
}

/// A run of letters, digits and `extra`, without the hyphen of an arrow that follows at once.
fn word<'a>(
    extra: &'static str,
) -> impl Parser<&'a str, Output = &'a str, Error = nom::error::Error<&'a str>> {
    move |input: &'a str| {
        let end = input.find(|c: char| !c.is_alphanumeric() && !extra.contains(c)).unwrap_or(input.len());
        let end = if input[end..].starts_with('>') && input[..end].ends_with('-') { end - 1 } else { end };
        Ok((&input[end..], &input[..end]))
    }
}

fn is_edge(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a text is one name of a value and nothing else.
pub(super) fn is_name(text: &str) -> bool {
    name(text).is_ok_and(|(rest, _)| rest.is_empty())
}

fn name(input: &str) -> IResult<&str, &str> {
    verify(word("_-./"), |name: &str| name.starts_with(is_edge) && name.ends_with(is_edge)).parse(input)
}

fn ty(input: &str) -> IResult<&str, (&str, Type)> {
    let (rest, part) = word("_-.[]?").parse(input)?;
    match Type::parse(part) {
        Some(ty) => Ok((rest, (part, ty))),
        None => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify))),
    }
}

fn port(input: &str) -> IResult<&str, Raw<'_>> {
    let typed = preceded((gap, tag("::"), gap), ty);
    let (rest, (name, _, optional, ty)) =
        (name, take_while(|c| c == '`'), opt(char('?')), opt(typed)).parse(input)?;
    Ok((rest, Raw { name, optional: optional.is_some(), ty }))
}

fn ports(input: &str) -> IResult<&str, Vec<Raw<'_>>> {
    delimited(gap, separated_list0((gap, char(','), gap), port), gap).parse(input)
}

/// Ports parted by arrows. Only the first link, a step without inputs, may be empty.
fn chain(input: &str) -> IResult<&str, Vec<Vec<Raw<'_>>>> {
    let full = |links: &Vec<Vec<Raw>>| links.iter().skip(1).all(|link| !link.is_empty());
    verify(separated_list1(arrow, ports), full).parse(input)
}

/// The first place of a line that prevents it from being a signature.
fn obstacle(text: &str, line: &str) -> Obstacle {
    let links: Vec<&str> = line.split('→').flat_map(|part| part.split("->")).collect();
    for (index, link) in links.iter().enumerate() {
        let bare = |part: &str| trim(text, place(text, part).start..place(text, part).end);
        if link.trim_matches(['`', ' ', '\t']).is_empty() {
            if index > 0 {
                let span = place(text, line);
                return Obstacle { span, why: Why::Empty };
            }
            continue;
        }
        for part in link.split(',') {
            let span = bare(part);
            let part = &text[span.start..span.end];
            if let Some(why) = why_no_port(part) {
                let span = if span.start == span.end { place(text, line) } else { span };
                return Obstacle { span, why };
            }
        }
    }
    Obstacle { span: place(text, line), why: Why::Words }
}

fn why_no_port(part: &str) -> Option<Why> {
    let part = part.trim_matches(['`', ' ', '\t']);
    if all_consuming(terminated(port, gap)).parse(part).is_ok() {
        return None;
    }
    let (name, ty) = match part.split_once("::") {
        Some((name, ty)) => (name.trim_matches(['`', ' ', '\t']), Some(ty)),
        None => (part, None),
    };
    let name = name.strip_suffix('?').unwrap_or(name).trim_matches('`');
    let strange = name.chars().find(|c| !c.is_alphanumeric() && !"_-./".contains(*c));
    Some(match (strange, name.chars().next(), name.chars().last()) {
        (_, None, _) | (_, _, None) => Why::Empty,
        (Some(c), ..) if c.is_whitespace() => Why::Words,
        (Some(c), ..) => Why::Character(c),
        (_, Some(first), _) if !is_edge(first) => Why::Edge(first),
        (_, _, Some(last)) if !is_edge(last) => Why::Edge(last),
        _ if ty.is_some() => Why::NoType,
        _ => Why::Words,
    })
}

/// `a → Anything`, with one arrow and no type behind it.
fn hand_over(text: &str, line: &str) -> Option<HandOver> {
    let line = line.trim_matches('`');
    let (rest, makes) = terminated(ports, arrow).parse(line).ok()?;
    let to = rest.trim_matches(['`', ' ', '\t']);
    let plain = !to.is_empty() && !makes.is_empty() && !to.contains("::") && !to.contains(['→', ',']);
    let makes = makes.into_iter().map(|raw| made(text, raw)).collect();
    plain.then(|| HandOver { makes, to: Spanned::new(to.to_owned(), place(text, to)) })
}

impl Arrow {
    /// Whether one of its values has a type: then it is evidence by itself.
    pub fn is_typed(&self) -> bool {
        self.read.as_ref().is_ok_and(Signature::is_typed)
    }

    /// The names that it may share with other steps.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let read = self.read.as_ref().ok().map(Signature::names);
        let made = self.hand_over.as_ref().filter(|_| self.read.is_err());
        let made = made.map(|over| over.makes.iter().map(|port| port.name.value.as_str()));
        read.into_iter().flatten().chain(made.into_iter().flatten())
    }
}

impl Signature {
    pub(super) fn is_typed(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).any(|port| port.ty.is_some())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().chain(&self.outputs).map(|port| port.name.value.as_str())
    }
}
