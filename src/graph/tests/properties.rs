//! Whatever the author wrote: no panic, and a graph that is handed out keeps its promises.

use crate::diag::{Diagnostic, Source, Span};
use crate::graph::{Graph, Kind, StepId, Taken, Target, build};
use crate::spec::{After, Annotations, Front, Gate, Group, Port, Signature, Spanned, Spec, Step};
use crate::value::Type;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::HashSet;

const TITLES: [&str; 7] = ["Pay", "Ship It", "Ship it", "Check", "Refund", "v1", "A/Pay"];
const VALUES: [&str; 7] = ["v0", "v1", "v2", "v3", "order", "oder", "failed_orders"];

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::default())
}

fn text(from: &'static [&'static str]) -> impl Strategy<Value = Spanned<String>> {
    prop::sample::select(from).prop_map(|text| spanned(text.to_owned()))
}

fn port() -> impl Strategy<Value = Port> {
    let ty = prop::sample::select(&["String", "JSON", "Order"][..])
        .prop_map(|ty| spanned(Type::parse(ty).unwrap()));
    (text(&VALUES), prop::bool::weighted(0.1), prop::option::weighted(0.2, ty))
        .prop_map(|(name, optional, ty)| Port { name, optional, ty })
}

fn signature() -> impl Strategy<Value = Signature> {
    let ports = || prop::collection::vec(port(), 0..3);
    (ports(), ports(), prop::option::weighted(0.1, text(&TITLES))).prop_map(|(inputs, outputs, hands_to)| {
        Signature { span: Span::default(), inputs, outputs, hands_to }
    })
}

fn annotations() -> impl Strategy<Value = Annotations> {
    let after = prop_oneof![
        Just(spanned(After::Start)),
        text(&TITLES).prop_map(|title| spanned(After::Step(title.value))),
    ];
    let few = prop_oneof![6 => Just(0..1_usize), 1 => Just(0..3)];
    few.prop_flat_map(move |few| prop::collection::vec(after.clone(), few))
        .prop_map(|after| Annotations { after, ..Annotations::default() })
}

fn group() -> impl Strategy<Value = Group> {
    let around = prop::option::of(0..4_usize);
    let signature = prop::option::weighted(0.1, signature());
    (text(&["A", "B"]), around, any::<bool>(), annotations(), signature, gate()).prop_map(
        |(title, parent, parallel, annotations, signature, gate)| Group {
            title,
            level: 2,
            annotated: 0,
            parent,
            parallel,
            annotations,
            signature,
            gate,
        },
    )
}

fn gate() -> impl Strategy<Value = Option<Gate>> {
    let gate = Gate { span: Span::default(), within: None, by: None, question: Default::default() };
    prop::option::weighted(0.2, Just(gate))
}

fn step() -> impl Strategy<Value = Step> {
    let signature = prop::option::weighted(0.8, signature());
    (text(&TITLES), prop::option::of(0..4_usize), annotations(), signature, gate()).prop_map(
        |(title, group, annotations, signature, gate)| Step {
            number: String::new(),
            title,
            heading: Span::default(),
            level: 3,
            group,
            annotations,
            signature,
            chains: Vec::new(),
            program: None,
            traces: Vec::new(),
            expectations: Vec::new(),
            end: 0,
            instructions: Default::default(),
            annotated: 0,
            unread: false,
            implied: false,
            document_unread: false,
            claims: Vec::new(),
            gate,
        },
    )
}

fn spec() -> impl Strategy<Value = Spec> {
    let inputs = prop::collection::vec((text(&VALUES), Just(None)), 0..4);
    let groups = prop::collection::vec(group(), 0..4);
    (groups, prop::collection::vec(step(), 0..8), prop::option::weighted(0.1, inputs)).prop_map(
        |(groups, mut steps, inputs)| {
            for step in &mut steps {
                step.group = step.group.filter(|group| *group < groups.len());
            }
            Spec { front: Front { inputs, ..Front::default() }, groups, steps, ..Spec::default() }
        },
    )
}

fn check(graph: &Graph) {
    let place = |id| graph.order.iter().position(|other| *other == id);
    let forward = graph.ids().filter(|id| graph.step(*id).kind == Kind::Forward);
    let ordered: HashSet<_> = graph.order.iter().copied().collect();
    assert_eq!(ordered, forward.collect());
    assert_eq!(ordered.len(), graph.order.len());
    assert!(
        graph.edges.is_sorted_by(|one, two| (one.to, one.from, one.value) < (two.to, two.from, two.value))
    );
    for edge in &graph.edges {
        assert!(place(edge.from).unwrap() < place(edge.to).unwrap());
    }
    let pairs: HashSet<_> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let phases: HashSet<_> = graph.steps.iter().map(|step| &step.phase).collect();
    assert_eq!(phases.len(), graph.steps.len());
    for repeat in &graph.repeats {
        let inside = |id: StepId| repeat.contains(id);
        assert!(!repeat.deciders.is_empty() && repeat.deciders.iter().copied().all(inside));
        let leaves =
            |id: &StepId| graph.step(*id).dependents.iter().copied().filter(|id| !repeat.contains(*id));
        for outside in repeat.steps.iter().flat_map(leaves) {
            assert!(!graph.leads_to(outside, &inside), "a loop waits for what waits for its end");
        }
    }
    for id in graph.ids() {
        let step = graph.step(id);
        assert_eq!(graph.by_phase(&step.phase), Some(id));
        let before: HashSet<_> = pairs.iter().filter(|(_, to)| *to == id).map(|(from, _)| *from).collect();
        let after: HashSet<_> = pairs.iter().filter(|(from, _)| *from == id).map(|(_, to)| *to).collect();
        assert!(step.needs.is_sorted_by_key(|need| need.step) && step.dependents.is_sorted());
        assert_eq!((before.len(), after.len()), (step.needs.len(), step.dependents.len()));
        assert_eq!(before, step.needs.iter().map(|need| need.step).collect());
        assert_eq!(after, step.dependents.iter().copied().collect());
        for taken in step.guards.iter().chain(&step.skips) {
            assert!(before.contains(&taken.step), "{} does not wait for its decision", step.title);
        }
        for (chain, arms) in (0..).zip(&step.chains) {
            for (arm, said) in (0..).zip(arms) {
                let Target::Group(group) = said.target else { continue };
                let members = graph.order.iter().filter(|id| graph.around(**id).any(|one| one == group));
                let inside = |taken: &Taken| graph.around(taken.step).any(|one| one == group);
                let taken = Taken { step: id, chain, arm };
                let mut guards = members.map(|id| &graph.step(*id).guards).peekable();
                assert!(guards.peek().is_some());
                assert!(guards.all(|guards| guards.contains(&taken) || guards.iter().any(inside)));
            }
        }
        for input in &step.inputs {
            let made = |maker| graph.step(maker).outputs.iter().any(|output| output.value == input.value);
            assert!(input.makers.iter().copied().all(made));
            let need = step.needs.iter().find(|need| input.makers.contains(&need.step));
            if let Some(repeat) = input.feedback {
                assert!(input.optional && step.repeats.contains(&repeat));
                assert!(input.makers.iter().all(|maker| graph.step(*maker).repeats.contains(&repeat)));
                continue;
            }
            match (step.kind, input.makers.first()) {
                (Kind::Handler | Kind::Compensation, _) => assert!(need.is_none()),
                (Kind::Forward, None) => assert!(graph.inputs.contains(&input.value)),
                (Kind::Forward, Some(_)) => assert!(need.is_some_and(|need| need.data || input.optional)),
            }
        }
    }
}

const LINES: [&str; 29] = [
    "---\n",
    "agent: clerk\n",
    "inputs: [order, y]\n",
    "# Title\n",
    "## Reviews (parallel)\n",
    "## Reviews [after:: Pay]\n",
    "## Phase @p ! [deadline:: 5s]\n",
    "## Pay @bank ! [retry:: 2]\n",
    "## Ship @depot #out\n",
    "### Pay @bank\n",
    "### Ship @depot ?\n",
    "### Look @eye [after:: start]\n",
    "### Look Again @eye [after:: Reviews/Pay]\n",
    "#### Deep @diver\n",
    "## Handle Failed Orders\n",
    "\norder → payment::Money\n\n",
    "\npayment → parcel?\n\n",
    "\nparcel? → label, x -> y\n\n",
    "\na → b → c\n\n",
    "\nc → Look Again\n\n",
    "\nx → Pay\n\n",
    "\nfailed_orders → retry_scheduled::Boolean\n\n",
    "\nIf order → Reviews\nOtherwise → Ship\n\n",
    "\nIf payment → Look\nOtherwise → Phase\n\n",
    "\nIf order == 2, skip to Reviews\n\n",
    "```sh run\ntrue\n```\n",
    "prose If y → Ship\n",
    "## Rounds [repeat:: 3 until label.ok]\n",
    "\nlabel?, order → payment\n\n",
];

/// How many of the documents tried below have a graph: enough for its promises to mean something.
#[test]
fn many_documents_have_a_graph() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let built = (0..500).filter(|_| {
        let spec = spec().new_tree(&mut runner).unwrap().current();
        build(&Source::new("x.md", ""), &spec).0.is_some()
    });
    assert!(built.count() > 50);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_graph_keeps_its_promises_or_there_is_an_error(spec in spec()) {
        let (graph, diagnostics) = build(&Source::new("x.md", ""), &spec);
        prop_assert_eq!(graph.is_none(), diagnostics.iter().any(Diagnostic::is_error));
        if let Some(graph) = graph {
            check(&graph);
        }
    }

    #[test]
    fn so_it_is_with_documents(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..16)) {
        let (graph, problems) = super::problems(&lines.concat());
        if let (Some(graph), false) = (graph, problems.iter().any(Diagnostic::is_error)) {
            check(&graph);
        }
    }
}
