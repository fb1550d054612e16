//! A graph as an SVG, laid out from top to bottom. Edges lead around boxes.

use super::{doer, often, sign};
use crate::diag::render::visible;
use crate::graph::{Graph, Kind, StepId};
use crate::spec::Mark;
use dagre::graph::{Graph as Layout, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, layout};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// The most steps and lines of a drawing: more are not readable.
const STEPS: usize = 200;
const LINES: usize = 800;

/// The widest text of a box, in characters, and the width of a character.
const WIDEST: usize = 34;
const LETTER: f64 = 7.6;

/// For a drawing in a file of its own; a page has these rules in its own style.
const STYLE: &str = "text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1d1b18}.t{font-weight:600}.d{fill:#655f56}\
.n rect{fill:#fff;stroke:#8a8378}.n.critical rect{stroke-width:2.5}.n.optional rect,.n.handler rect{stroke-dasharray:6 4}\
.n.compensation rect{stroke-dasharray:2 3;stroke:#68469a}path{fill:none;stroke:#8a8378;stroke-width:1.4}.order,.by{stroke-dasharray:3 4}\
.by{stroke:#68469a}.head{fill:#8a8378;stroke:none}.group rect{fill:#8a83780f;stroke:#8a837866}@media(prefers-color-scheme:dark){text{fill:#e9e5dc}.d{fill:#a59e92}.n rect{fill:#1f1d1a}}";

/// The drawing for a file; an empty one with a note if the graph is too large.
pub fn svg(graph: &Graph) -> String {
    drawing(graph, true, |_| None).unwrap_or_else(|| {
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"420\" height=\"40\"><text x=\"10\" y=\"24\">too many steps for a drawing</text></svg>\n".to_owned()
    })
}

/// The drawing, `alone` in a file or within a page; `note` is a further line of a step. `None` if the graph is too large.
pub fn drawing(graph: &Graph, alone: bool, note: impl Fn(StepId) -> Option<String>) -> Option<String> {
    let edges = lines(graph);
    if graph.steps.is_empty() || graph.steps.len() > STEPS || edges.len() > LINES {
        return None;
    }
    let mut plan: Layout<NodeLabel, EdgeLabel> =
        Layout::with_options(GraphOptions { directed: true, multigraph: false, compound: true });
    let texts: Vec<Vec<String>> = graph.ids().map(|id| texts(graph, id, note(id))).collect();
    for (id, texts) in graph.ids().zip(&texts) {
        let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
        let node = NodeLabel {
            width: longest as f64 * LETTER + 26.0,
            height: texts.len() as f64 * 18.0 + 16.0,
            ..NodeLabel::default()
        };
        plan.set_node(id.0.to_string(), Some(node));
    }
    for (id, group) in graph.ids().filter_map(|id| Some((id, graph.step(id).group?))) {
        let (mut inner, mut outer) = (id.0.to_string(), Some(group));
        while let Some(group) = outer {
            let name = format!("g{group}");
            plan.set_node(name.clone(), Some(NodeLabel::default()));
            plan.set_parent(&inner, Some(&name));
            (inner, outer) = (name, graph.groups[group].parent);
        }
    }
    for (from, to, _) in &edges {
        plan.set_edge(from.0.to_string(), to.0.to_string(), Some(EdgeLabel::default()), None);
    }
    let options = LayoutOptions {
        nodesep: 34.0,
        ranksep: 40.0,
        edgesep: 14.0,
        marginx: 12.0,
        marginy: 12.0,
        ..LayoutOptions::default()
    };
    layout(&mut plan, Some(options));
    Some(drawn(graph, &plan, &edges, &texts, alone))
}

fn drawn(
    graph: &Graph,
    plan: &Layout<NodeLabel, EdgeLabel>,
    edges: &[(StepId, StepId, &'static str)],
    texts: &[Vec<String>],
    alone: bool,
) -> String {
    let (mut wide, mut high) = (0.0f64, 0.0f64);
    let mut body = String::new();
    // The outer ones first: each is drawn over those around it.
    let mut groups: Vec<usize> = (0..graph.groups.len()).collect();
    groups.sort_by_key(|group| std::iter::successors(Some(*group), |of| graph.groups[*of].parent).count());
    for group in groups {
        let Some(node) = plan.node(&format!("g{group}")) else { continue };
        let (Some(x), Some(y)) = (node.x, node.y) else { continue };
        let (left, top) = (x - node.width / 2.0, y - node.height / 2.0);
        (wide, high) = (wide.max(left + node.width), high.max(top + node.height));
        let title = escaped(&cut(&visible(&graph.groups[group].title)));
        let _ = writeln!(
            body,
            "<g class=\"group\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"9\"/>\
             <text class=\"d\" x=\"{:.1}\" y=\"{:.1}\">{title}</text></g>",
            node.width,
            node.height,
            left + 8.0,
            top + 15.0
        );
    }
    for (from, to, class) in edges {
        let Some(edge) = plan.edge(&from.0.to_string(), &to.0.to_string(), None) else { continue };
        let mut points: Vec<(f64, f64)> = edge.points.iter().map(|point| (point.x, point.y)).collect();
        attach(&mut points, plan, *from, *to);
        points.iter().for_each(|(x, y)| (wide, high) = (wide.max(*x), high.max(*y)));
        let _ = writeln!(
            body,
            "<path class=\"{class}\" data-from=\"{}\" data-to=\"{}\" d=\"{}\"/>",
            from.0,
            to.0,
            curve(&points)
        );
        body.push_str(&head(&points));
    }
    for (id, texts) in graph.ids().zip(texts) {
        let Some(node) = plan.node(&id.0.to_string()) else { continue };
        let (Some(x), Some(y)) = (node.x, node.y) else { continue };
        let (left, top) = (x - node.width / 2.0, y - node.height / 2.0);
        (wide, high) = (wide.max(left + node.width), high.max(top + node.height));
        let _ = write!(
            body,
            "<g class=\"n {}\" data-node=\"{}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"7\"/>",
            class(graph, id),
            id.0,
            node.width,
            node.height
        );
        for (index, text) in texts.iter().enumerate() {
            let kind = if index == 0 { "t" } else { "d" };
            let line = top + 21.0 + index as f64 * 18.0;
            let _ = write!(
                body,
                "<text class=\"{kind}\" x=\"{x:.1}\" y=\"{line:.1}\" text-anchor=\"middle\">{}</text>",
                escaped(text)
            );
        }
        body.push_str("</g>\n");
    }
    let (wide, high) = (wide + 12.0, high + 12.0);
    let style = if alone { format!("<style>{STYLE}</style>\n") } else { String::new() };
    let title = escaped(&visible(&graph.title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" role=\"img\" aria-label=\"Steps of {title}\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} {high:.0}\">\n{style}{body}</svg>\n"
    )
}

/// The lines between steps: needs that do not follow from others, and compensations.
fn lines(graph: &Graph) -> Vec<(StepId, StepId, &'static str)> {
    let mut lines = Vec::new();
    let mut before: HashMap<StepId, BTreeSet<StepId>> = HashMap::new();
    for id in &graph.order {
        let needs = &graph.step(*id).needs;
        let indirect: BTreeSet<StepId> =
            needs.iter().filter_map(|need| before.get(&need.step)).flatten().copied().collect();
        for need in needs.iter().filter(|need| !indirect.contains(&need.step)) {
            let class = if need.data { "data" } else { "order" };
            lines.push((need.step, *id, class));
        }
        before.insert(*id, indirect.into_iter().chain(needs.iter().map(|need| need.step)).collect());
    }
    let by = graph.ids().filter_map(|id| Some((id, graph.step(id).compensate?, "by")));
    lines.extend(by.filter(|(from, to, _)| from != to));
    lines
}

fn class(graph: &Graph, id: StepId) -> &'static str {
    let step = graph.step(id);
    match (step.kind, step.mark) {
        (Kind::Forward, None) => "forward",
        (Kind::Forward, Some(Mark::Critical)) => "critical",
        (Kind::Forward, Some(Mark::Optional)) => "optional",
        (Kind::Handler, _) => "handler",
        (Kind::Compensation, _) => "compensation",
    }
}

fn texts(graph: &Graph, id: StepId, note: Option<String>) -> Vec<String> {
    let step = graph.step(id);
    let mark = step.mark.map(|mark| format!(" {}", sign(mark))).unwrap_or_default();
    let doer = Some(doer(step)).filter(|doer| !doer.is_empty());
    let texts =
        std::iter::once(visible(&step.title) + &mark).chain(doer).chain(often(graph, step)).chain(note);
    texts.map(|text| cut(&text)).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Lets a line leave a box at the middle of its lower side and reach the other at the middle of its upper one, so that
/// it crosses no box beside them.
fn attach(points: &mut [(f64, f64)], plan: &Layout<NodeLabel, EdgeLabel>, from: StepId, to: StepId) {
    let side = |id: StepId, sign: f64| {
        let node = plan.node(&id.0.to_string())?;
        Some((node.x?, node.y? + sign * node.height / 2.0))
    };
    let down = matches!(points, [first, .., last] if first.1 <= last.1);
    let sign = if down { 1.0 } else { -1.0 };
    let ends = side(from, sign).zip(side(to, -sign));
    if let ([first, .., last], Some((begin, end))) = (points, ends) {
        (*first, *last) = (begin, end);
    }
}

/// A line through points that is vertical at each of them.
fn curve(points: &[(f64, f64)]) -> String {
    let Some((x, y)) = points.first() else { return String::new() };
    let mut path = format!("M{x:.1} {y:.1}");
    for pair in points.windows(2) {
        let ((x, y), (nx, ny)) = (pair[0], pair[1]);
        let middle = (y + ny) / 2.0;
        let _ = write!(path, "C{x:.1} {middle:.1} {nx:.1} {middle:.1} {nx:.1} {ny:.1}");
    }
    path
}

/// The head of an arrow at the end of a line.
fn head(points: &[(f64, f64)]) -> String {
    let [.., (_, before), (x, y)] = points else { return String::new() };
    let back = if before <= y { y - 7.0 } else { y + 7.0 };
    format!(
        "<path class=\"head\" d=\"M{x:.1} {y:.1}L{:.1} {back:.1}L{:.1} {back:.1}Z\"/>\n",
        x - 3.5,
        x + 3.5
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;

    fn graph(document: &str) -> Graph {
        let source = Source::new("", document);
        let (spec, _) = crate::spec::parse(&source);
        crate::graph::build(&source, &spec).0.unwrap()
    }

    #[test]
    fn every_step_is_a_box_and_every_need_a_line() {
        let drawn = svg(&graph(
            "# A & \"B\"\n\n## Cut & Dry\nx → a\n\n## Two !\na → b\n\n## Three [after:: Cut & Dry]\nb, a → c\n",
        ));
        assert_eq!(drawn.matches("data-node=").count(), 3);
        assert_eq!(drawn.matches("data-from=").count(), 2, "{drawn}");
        assert!(drawn.contains(">Cut &amp; Dry</text>") && drawn.contains("n critical"), "{drawn}");
        assert!(drawn.contains("aria-label=\"Steps of A &amp; &quot;B&quot;\""), "{drawn}");
    }

    /// The left, upper, right and lower side of the rectangle that follows a text.
    fn sides(drawn: &str, begin: &str) -> [f64; 4] {
        let (_, rest) = drawn.split_once(begin).unwrap();
        let rect = rest.split("<rect").nth(1).unwrap();
        let of = |name: &str| -> f64 {
            let value = rect.split(&format!(" {name}=\"")).nth(1).unwrap();
            value.split('"').next().unwrap().parse().unwrap()
        };
        let (left, top) = (of("x"), of("y"));
        [left, top, left + of("width"), top + of("height")]
    }

    #[test]
    fn a_group_is_around_its_steps_and_the_groups_in_it() {
        let drawn = svg(&graph(
            "# A\n\n## Reviews\n\n### Legal\nx → a\n\n### Deep\n\n#### One\na → b\n\n## End\nb → c\n",
        ));
        let names: Vec<&str> = drawn
            .split("<text class=\"d\"")
            .skip(1)
            .filter_map(|rest| rest.split(['>', '<']).nth(1))
            .collect();
        assert_eq!(names, ["Reviews", "Deep"], "{drawn}");
        let second = drawn.split("class=\"group\"").nth(2).unwrap();
        let (outer, inner) = (sides(&drawn, "class=\"group\""), sides(second, ""));
        let is_in = |of: [f64; 4], around: [f64; 4]| {
            of[0] > around[0] && of[1] > around[1] && of[2] < around[2] && of[3] < around[3]
        };
        let [legal, one, end] = [0, 1, 2].map(|number| sides(&drawn, &format!("data-node=\"{number}\"")));
        assert!(is_in(legal, outer) && !is_in(legal, inner), "{drawn}");
        assert!(is_in(one, outer) && is_in(one, inner) && is_in(inner, outer), "{drawn}");
        assert!(!is_in(end, outer) && end[1] > outer[3], "{drawn}");
    }

    #[test]
    fn graphs_of_any_shape_are_drawn() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for steps in (1..60).step_by(7) {
            let (mut document, mut level) = ("# G\n\n".to_owned(), "##");
            for step in 0..steps {
                let mut takes: Vec<String> =
                    (0..random(4)).filter(|_| step > 0).map(|_| format!("v{}", random(step))).collect();
                takes.sort();
                takes.dedup();
                takes.push("x".to_owned());
                // Some begin a group, or a group in it, and some leave both.
                match random(6) {
                    0 => (document, level) = (format!("{document}## Group {step}\n\n"), "###"),
                    1 => {
                        (document, level) =
                            (format!("{document}## Outer {step}\n\n### Inner {step} (parallel)\n\n"), "####")
                    }
                    2 => level = "##",
                    _ => {}
                }
                let _ = write!(document, "{level} S{step}\n{} → v{step}::Integer\n\n", takes.join(", "));
            }
            let drawn = svg(&graph(&document));
            assert_eq!(drawn.matches("data-node=").count() as u64, steps);
        }
        let many: String = (0..300).map(|step| format!("## S{step}\nx → v{step}::Integer\n\n")).collect();
        assert!(svg(&graph(&format!("# G\n\n{many}"))).contains("too many steps"));
    }
}
