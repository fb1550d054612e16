//! Problems of how steps fit together: names, values, types, orders, groups.

use crate::diag::{Diagnostic, Span};
use crate::value::words;

/// The most places that one problem shows; the message counts the others.
const PLACES: usize = 8;

pub(super) fn did_you_mean(near: Option<&str>, otherwise: &str) -> String {
    near.map_or_else(|| otherwise.to_owned(), words::did_you_mean)
}

fn shown_of(count: usize) -> String {
    if count > PLACES { format!(", {PLACES} of them shown") } else { String::new() }
}

/// A document in which every step waits for a failure.
pub fn only_handlers(first: Span) -> Diagnostic {
    let message = "no step here runs forward: nothing is done, so nothing can fail";
    Diagnostic::error("only-handlers", first, message)
        .help("a step that takes `failed_...` handles failures, and one that `compensate` names compensates another; add a step that does the work")
}

/// Two steps that a trace could not distinguish.
pub fn duplicate_step(title: &str, at: Span, first: &str, first_at: Span, phase: &str) -> Diagnostic {
    let message = if title == first {
        format!("two steps are titled `{title}`")
    } else {
        format!("`{first}` and `{title}` have the same name in traces, `{phase}`")
    };
    Diagnostic::error("duplicate-step", at, message)
        .related(first_at, "the first one")
        .help("give each step of a group a title of its own")
}

/// A step that can be read and replayed, but not run.
pub fn step_without_agent(title: Span) -> Diagnostic {
    Diagnostic::warning(
        "step-without-agent",
        title,
        "this step has neither an agent nor a program, so nothing can run it",
    )
    .help("name an agent in the heading, such as @agent, or add a ```sh run fence below it")
}

/// A tag without a definition that looks like a built-in type.
pub fn near_type(at: Span, tag: &str, meant: &str) -> Diagnostic {
    let message = format!("`{tag}` is a type of your own, which no value is checked against");
    Diagnostic::warning("near-type", at, message).help(words::did_you_mean(meant))
}

/// A list without the type of its elements.
pub fn list_of_nothing(at: Span, tag: &str) -> Diagnostic {
    let message = format!("`{tag}` is a type of your own, which no value is checked against");
    Diagnostic::warning("near-type", at, message)
        .help("a list is written with the type of its elements, as in `String[]` or `JSON[]`")
}

/// A reference to a step that does not exist.
pub fn unknown_step(written: &str, at: Span, near: Option<&str>) -> Diagnostic {
    let problem = Diagnostic::error("unknown-step", at, format!("unknown step `{written}`"))
        .help(did_you_mean(near, "write a step's title as its heading has it"));
    near.into_iter().fold(problem, |problem, near| problem.renamed(at, written, near))
}

/// A group where a step should be named; `steps` are the first ones in it.
pub fn group_named(group: &str, at: Span, place: Span, steps: &[&str]) -> Diagnostic {
    let diagnostic =
        Diagnostic::error("group-named", at, format!("`{group}` is a group, and this must be a step"))
            .related(place, "the group");
    let steps: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
    match steps.as_slice() {
        [] => diagnostic.help("write a step's title as its heading has it"),
        [one] => diagnostic.help(format!("name the step of the group: {one}")),
        several => diagnostic.help(format!("name a step of the group: {}", several.join(", "))),
    }
}

/// A group that is waited for or decided on, and in which every step waits for a failure.
pub fn group_without_steps(group: &str, at: Span, place: Span) -> Diagnostic {
    let message = format!("the group `{group}` has only failure handlers and compensations");
    Diagnostic::error("group-without-steps", at, message)
        .related(place, "the group")
        .help("name a step, or a group with other steps in it")
}

/// A group named by a step or group in it, which `cannot` wait for it or decide on it; `first` is its first other step.
pub fn own_group(group: &str, at: Span, cannot: &str, place: Span, first: Option<&str>) -> Diagnostic {
    let message = format!("a step of the group `{group}` cannot {cannot} all of the group");
    let help = match (cannot, first) {
        ("decide on", Some(first)) => format!("name the steps that the decision leads to, such as `{first}`"),
        ("decide on", None) => "move the step that decides out of the group".to_owned(),
        (_, first) => {
            let first = first.unwrap_or("Step Title");
            format!("name the steps that come first, such as `[after:: {first}]`")
        }
    };
    Diagnostic::error("own-group", at, message).related(place, "the group").help(help)
}

/// A title of a step and of a group, where one of them is meant; `means` is what this does with it.
pub fn step_and_group(title: &str, at: Span, means: &str, step: Span, group: Span) -> Diagnostic {
    let message = format!("`{title}` is a step and a group; this {means} the step only");
    Diagnostic::warning("step-and-group", at, message)
        .related(step, "the step")
        .related(group, "the group")
        .help("give one of them another title")
}

/// A reference that matches several groups. `named` are their longest names, with their places.
pub fn ambiguous_group(
    written: &str,
    at: Span,
    named: impl ExactSizeIterator<Item = (String, Span)>,
) -> Diagnostic {
    ambiguous("ambiguous-group", "groups", written, at, named)
}

/// A reference that matches several steps. `named` are the names that distinguish them, with their places.
pub fn ambiguous_step(
    written: &str,
    at: Span,
    named: impl ExactSizeIterator<Item = (String, Span)>,
) -> Diagnostic {
    ambiguous("ambiguous-step", "steps", written, at, named)
}

fn ambiguous(
    code: &'static str,
    what: &str,
    written: &str,
    at: Span,
    named: impl ExactSizeIterator<Item = (String, Span)>,
) -> Diagnostic {
    let message = format!("`{written}` could be {} {what}{}", named.len(), shown_of(named.len()));
    let mut diagnostic = Diagnostic::error(code, at, message);
    let mut names = Vec::new();
    for (name, at) in named.take(PLACES) {
        let name = format!("`{name}`");
        if !names.contains(&name) {
            names.push(name);
        }
        diagnostic = diagnostic.related(at, "this one?");
    }
    match names.as_slice() {
        [one] => diagnostic.help(format!("{one} names all of them; give each a title of its own")),
        _ => diagnostic.help(format!("write one of {}", names.join(", "))),
    }
}

/// An order before, after or into a failure handler, which cannot have one.
pub fn ordered_handler(title: &str, who: &str, at: Span, handler_at: Span) -> Diagnostic {
    let message = format!("`{title}` is a {who} and has no place in the order of the steps");
    let start = Diagnostic::error("ordered-handler", at, message);
    let start = if at == handler_at { start } else { start.related(handler_at, format!("the {who}")) };
    start.help(format!("a {who} runs once an item has failed; remove this"))
}

/// A value with more than one maker, where it is used. `makers` are the makers' titles and their places.
pub fn several_makers<'a>(
    value: &str,
    at: Span,
    makers: impl ExactSizeIterator<Item = (&'a str, Span)>,
) -> Diagnostic {
    let message = format!("`{value}` is made by {} steps{}", makers.len(), shown_of(makers.len()));
    makers
        .take(PLACES)
        .fold(Diagnostic::error("several-makers", at, message), |diagnostic, (title, at)| {
            diagnostic.related(at, format!("made by `{title}`"))
        })
        .label("which one?")
        .help(format!("if only one of them runs, say so: `[when:: …]` with conditions that exclude each other, or lines `If …` and `Otherwise` that lead to them; if `{value}` is made again, give the new value another name"))
}

/// A forward step or another handler takes a value that only a failure handler makes. `maker` is its role and title.
pub fn handler_value(value: &str, at: Span, maker: (&str, &str), made_at: Span) -> Diagnostic {
    let (who, title) = maker;
    let message = format!("`{value}` is made only by the {who} `{title}`, which comes too late");
    Diagnostic::error("handler-value", at, message)
        .related(made_at, "made here, after the item has failed")
        .help(format!("a {who} runs once an item has failed; let a step make it"))
}

/// A failure handler's input that nothing provides.
pub fn unknown_handler_input(value: &str, at: Span, who: &str, near: Option<&str>) -> Diagnostic {
    Diagnostic::error("unknown-handler-input", at, format!("nothing brings `{value}` to this {who}")).help(
        did_you_mean(
            near,
            &match who {
                "compensation" => "a compensation takes what its step takes and makes".to_owned(),
                _ => format!(
                    "a {who} takes `failed_...`, what steps made, and what other steps take from outside"
                ),
            },
        ),
    )
}

/// An input that no step makes and that the front matter does not list.
pub fn unlisted_input(value: &str, at: Span, near: Option<&str>, list: Option<Span>) -> Diagnostic {
    let message = format!("no step makes `{value}`, and `inputs` in the front matter does not list it");
    let diagnostic = Diagnostic::error("unlisted-input", at, message);
    list.into_iter()
        .fold(diagnostic, |diagnostic, list| diagnostic.related(list, "the workflow's inputs"))
        .help(did_you_mean(near, "add it to `inputs`, or let a step make it"))
}

/// Two names that become the same name elsewhere. `why` says where.
pub fn names_collide(name: &str, at: Span, other: &str, other_at: Span, why: &str) -> Diagnostic {
    Diagnostic::error("names-collide", at, format!("`{name}` and `{other}` are too similar: {why}"))
        .related(other_at, format!("`{other}`"))
        .help("rename one of them; names that differ only in case or in characters other than letters and digits are the same")
}

/// A workflow input in the front matter that a step makes as well.
pub fn made_input(value: &str, listed: Span, maker: &str, made: Span) -> Diagnostic {
    let message = format!("`{value}` is listed as an input of the workflow, yet `{maker}` makes it");
    Diagnostic::error("made-input", listed, message)
        .related(made, "made here")
        .help("remove it from `inputs`, or rename one of the two")
}

/// A workflow input that looks like a misspelt value.
pub fn misspelt_input(value: &str, at: Span, near: &str, maker: &str, made: Span) -> Diagnostic {
    let message = format!("no step makes `{value}`, so it is an input of the workflow");
    Diagnostic::warning("misspelt-input", at, message)
        .related(made, format!("`{maker}` makes `{near}`"))
        .help(format!("did you mean `{near}`? if not, list `inputs` in the front matter"))
}

/// Two mentions of a value with incompatible types.
pub fn type_mismatch(value: &str, at: Span, ty: &str, other_at: Span, other: &str) -> Diagnostic {
    Diagnostic::error(
        "type-mismatch",
        at,
        format!("`{value}` has the type {other}, but is taken as {ty} here"),
    )
    .label(format!("{ty} here"))
    .related(other_at, format!("{other} here"))
    .help(format!("write the same type in both places, or no type in one of them; `{value}` names one value"))
}

/// A value that may be absent is used where it is required.
pub fn optional_into_required(value: &str, at: Span, made: Span) -> Diagnostic {
    Diagnostic::error("optional-into-required", at, format!("`{value}` may be absent, but is required here"))
        .related(made, "may be absent")
        .help(format!("write `{value}?` here to accept its absence"))
}

/// The name of a list's element means something else as well.
pub fn element_taken(name: &str, at: Span, other: &str, other_at: Span) -> Diagnostic {
    let message = format!("`{name}` cannot name an element, because {other}");
    Diagnostic::error("element-taken", at, message)
        .related(other_at, "here")
        .help("give the element a name of its own, as in `[each:: target in targets]`")
}

/// An element of a list is known only while a step runs for it.
pub fn element_outside(name: &str, at: Span, step: &str, each: Span) -> Diagnostic {
    let message = format!("`{name}` is an element that only `{step}` knows, one at a time");
    Diagnostic::error("element-outside", at, message)
        .related(each, "it is named here")
        .help("use the list instead, or add `[each:: ...]` to this step as well")
}

/// `[each:: ...]` over a value that is not a list.
pub fn no_list(name: &str, at: Span, ty: &str, typed: Span) -> Diagnostic {
    let message = format!("`{name}` has the type {ty}, which has no elements");
    let help = match name.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c)) {
        true => format!("declare it as a list, as in `{name}::{ty}[]`"),
        false => {
            "name one list, such as an input or a value that a step makes; a step can make a list of numbers"
                .to_owned()
        }
    };
    Diagnostic::error("no-list", at, message).related(typed, format!("{ty} here")).help(help)
}

/// `[each:: ...]` on a failure handler.
pub fn each_of_handler(title: &str, at: Span, handler: Span) -> Diagnostic {
    let message = format!("`{title}` is called when an item has failed, and has no list of its own");
    Diagnostic::error("each-of-handler", at, message)
        .related(handler, "no step of the item's way forward")
        .help("remove the field; a failure handler with `[per:: run]` is called once with a list of all failures")
}

/// A step that runs once for all items takes a value of theirs as a single value.
pub fn not_gathered(name: &str, at: Span, ty: &str, title: &str, once: Span) -> Diagnostic {
    let message = format!("`{title}` runs once for all items, so it takes a list of `{name}`, not one {ty}");
    Diagnostic::error("not-gathered", at, message)
        .related(once, "because of this")
        .help(format!("write `{name}::{ty}[]`"))
}

/// A feature of single items on a step that runs once for all items.
pub fn once_of_item(message: String, at: Span, once: Span) -> Diagnostic {
    Diagnostic::error("once-of-item", at, message)
        .related(once, "it runs once for all items because of this")
        .help("remove `[per:: run]`, or let a step that runs once as well take its place here")
}

/// Steps that wait for one another. `links` say why each waits for the one before it in `path`, which ends with its
/// first title; `implicit` is a step among them that waits only because of its position.
pub fn cycle(path: &[&str], links: &[(String, Span)], implicit: Option<(&str, &str)>) -> Diagnostic {
    let shown: Vec<&str> = match path {
        [first @ .., last] if first.len() > PLACES => {
            first.iter().take(PLACES).copied().chain(["...", last]).collect()
        }
        whole => whole.to_vec(),
    };
    let at = links.first().map_or_else(Span::default, |(_, at)| *at);
    let label = links.first().map_or("", |(why, _)| why);
    let who =
        if links.len() == 1 { "this step waits for itself" } else { "these steps wait for one another" };
    let message = format!("{who}: {}{}", shown.join(" → "), shown_of(links.len()));
    let start = Diagnostic::error("cycle", at, message).label(label);
    let others = links.iter().take(PLACES).skip(1);
    others.fold(start, |diagnostic, (why, at)| diagnostic.related(*at, why)).help(match implicit {
        Some((later, earlier)) => format!(
            "`{later}` follows `{earlier}` only because it is below it; write `[after:: start]` in `{later}` to free it"
        ),
        None if links.len() == 1 => "give what it makes another name than what it takes".to_owned(),
        None => {
            "let one of them take something else, or make a step of what they share; to repeat them, put them into a group with `[repeat:: 3 until …]` in its heading".to_owned()
        }
    })
}

/// A step whose `[after:: …]` names itself.
pub fn after_itself(title: &str, at: Span) -> Diagnostic {
    Diagnostic::error("cycle", at, format!("this step waits for itself: {title} → {title}"))
        .label(format!("`{title}` is ordered after itself"))
        .help("name the step that it should follow, or remove it")
}

/// Parallel groups so large that their orders would fill the memory.
pub fn too_many_orders(title: &str, at: Span, limit: usize) -> Diagnostic {
    Diagnostic::error("too-many-orders", at, format!("the steps up to `{title}` have more than {limit} orders"))
        .help("put one step between two large parallel groups: the first group then leads to it, and it to the second")
}

/// A group's interface has an output that no step in it makes.
pub fn interface_not_made(group: &str, value: &str, at: Span, near: Option<&str>) -> Diagnostic {
    Diagnostic::error("interface-not-made", at, format!("no step in the group `{group}` makes `{value}`"))
        .help(did_you_mean(near, "remove it here, or let a step of the group make it"))
}

/// A group's interface has an input that no step in it takes from outside.
pub fn interface_not_taken(group: &str, value: &str, at: Span, near: Option<&str>) -> Diagnostic {
    let message = format!("no step in the group `{group}` takes `{value}` from outside");
    Diagnostic::error("interface-not-taken", at, message)
        .help(did_you_mean(near, "remove it here, or let a step of the group take it"))
}

/// Which way a value crosses a group's border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crossing {
    In,
    Out,
}

/// A value that crosses a group's border without being in its interface.
pub fn interface_incomplete(
    group: &str,
    value: &str,
    how: Crossing,
    at: Span,
    interface: Span,
) -> Diagnostic {
    let (message, side) = match how {
        Crossing::In => (format!("the group `{group}` takes `{value}` without saying so"), "left"),
        Crossing::Out => (format!("the group `{group}` hands out `{value}` without saying so"), "right"),
    };
    Diagnostic::warning("interface-incomplete", at, message)
        .related(interface, "the group's interface")
        .help(format!("add `{value}` to the {side} of the interface's arrow"))
}
