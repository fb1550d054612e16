//! The outline of a document: its groups with their steps, and its types.

use super::EditedPage;
use crate::diag::Span;
use crate::spec::{Definition, Group, Step};
use gen_lsp_types::{DocumentSymbol, SymbolKind};

/// A node of the outline, before its range is known.
struct Node {
    name: String,
    detail: String,
    kind: SymbolKind,
    title: Span,
    whole: Span,
    children: Vec<usize>,
}

/// The groups and steps of a document, nested as their headings are, then its types.
pub fn outline(page: &EditedPage<'_>) -> Vec<DocumentSymbol> {
    let spec = page.spec;
    let mut nodes: Vec<Node> = spec.groups.iter().map(group).collect();
    let steps = spec.steps.iter().filter(|step| !step.implied);
    let mut top: Vec<usize> = Vec::new();
    let parents: Vec<Option<usize>> =
        spec.groups.iter().map(|group| group.parent).chain(steps.clone().map(|step| step.group)).collect();
    nodes.extend(steps.map(step));
    for (node, parent) in parents.iter().enumerate() {
        match parent.filter(|parent| *parent < node && *parent < spec.groups.len()) {
            Some(parent) => nodes[parent].children.push(node),
            None => top.push(node),
        }
    }
    // A group comes after its parent, so the innermost ones are first here.
    for node in (0..nodes.len()).rev() {
        if let Some(parent) = parents[node].filter(|parent| *parent < node) {
            let whole = nodes[node].whole;
            nodes[parent].whole = nodes[parent].whole.to(whole);
        }
    }
    let by_place = |all: &mut Vec<usize>, nodes: &[Node]| all.sort_by_key(|node| nodes[*node].title);
    by_place(&mut top, &nodes);
    let mut symbols: Vec<DocumentSymbol> = top.into_iter().map(|node| symbol(page, &nodes, node)).collect();
    symbols.extend(spec.types.iter().map(|definition| of_type(page, definition)));
    symbols
}

fn symbol(page: &EditedPage<'_>, nodes: &[Node], at: usize) -> DocumentSymbol {
    let node = &nodes[at];
    let mut children = node.children.clone();
    children.sort_by_key(|child| nodes[*child].title);
    let children: Vec<DocumentSymbol> =
        children.into_iter().map(|child| symbol(page, nodes, child)).collect();
    let (whole, title) = (page.range(node.whole.to(node.title)), page.range(node.title));
    let detail = Some(node.detail.clone()).filter(|detail| !detail.is_empty());
    let children = Some(children).filter(|children| !children.is_empty());
    DocumentSymbol::new(node.name.clone(), detail, node.kind, None, None, whole, title, children)
}

/// Editors refuse a name that is empty.
fn named(title: &str) -> String {
    if title.trim().is_empty() { "(no title)".to_owned() } else { title.to_owned() }
}

fn group(group: &Group) -> Node {
    Node {
        name: named(&group.title.value),
        detail: if group.parallel { "parallel".to_owned() } else { String::new() },
        kind: SymbolKind::Namespace,
        title: group.title.span,
        whole: group.title.span,
        children: Vec::new(),
    }
}

fn step(step: &Step) -> Node {
    let marked = |mark: &str, name: &Option<crate::spec::Spanned<String>>| {
        name.as_ref().map(|name| format!("{mark}{}", name.value))
    };
    let said = &step.annotations;
    let detail = [marked("@", &said.agent), marked("#", &said.channel)].into_iter().flatten();
    Node {
        name: named(&step.title.value),
        detail: detail.collect::<Vec<_>>().join(" "),
        kind: SymbolKind::Function,
        title: step.title.span,
        whole: Span::new(step.heading.start, step.end.max(step.heading.end)),
        children: Vec::new(),
    }
}

fn of_type(page: &EditedPage<'_>, definition: &Definition) -> DocumentSymbol {
    let range = page.range(definition.name.span);
    DocumentSymbol::new(
        named(&definition.name.value),
        None,
        SymbolKind::Struct,
        None,
        None,
        range,
        range,
        None,
    )
}
