//! Problems of states: the diagram of an item's states, and the states that steps name.

use crate::diag::{Diagnostic, Span};
use crate::value::words;

/// A document has one diagram of its items' states.
pub fn second_diagram(at: Span, first: Span) -> Diagnostic {
    Diagnostic::error("bad-diagram", at, "an item's states have one diagram, and this is a second one")
        .related(first, "the first one")
        .help("draw all states in one diagram, or move this one to another document")
}

/// A line that is not understood. `why` is a whole clause.
pub fn bad_diagram(line: Span, why: &str) -> Diagnostic {
    Diagnostic::error("bad-diagram", line, why).help(
        "steps name states, so the diagram is read: draw single states and arrows, as in `pending --> paid`",
    )
}

/// The initial state of items is not defined.
pub fn no_initial_state(at: Span, state: Option<&str>) -> Diagnostic {
    Diagnostic::error("bad-diagram", at, "this diagram has no first state")
        .help(format!("add a line `[*] --> {}`", state.unwrap_or("pending")))
}

pub fn second_initial_state(at: Span, first: Span) -> Diagnostic {
    Diagnostic::error("bad-diagram", at, "an item begins in one state, and this is a second one")
        .related(first, "the first one")
        .help("remove one of the two lines")
}

pub fn bad_state(span: Span, written: &str) -> Diagnostic {
    let message = format!("`{written}` is not a change of state");
    Diagnostic::error("bad-state", span, message)
        .help("write `[state:: pending → paid]`, or with several states to start in `[state:: pending, failed → cancelled]`")
}

/// A step names a state in a document without a state diagram.
pub fn state_without_diagram(at: Span) -> Diagnostic {
    Diagnostic::error("state-without-diagram", at, "the document has no state diagram")
        .help("add a ```mermaid fence that begins with `stateDiagram-v2` and has a line for each transition, as in `pending --> paid`")
}

pub fn unknown_state(at: Span, state: &str, diagram: Span, near: Option<(&str, Span)>) -> Diagnostic {
    let start = Diagnostic::error("unknown-state", at, format!("the diagram has no state `{state}`"));
    match near {
        Some((near, place)) => start.related(place, "the diagram's").help(words::did_you_mean(near)),
        None => start
            .related(diagram, "this diagram")
            .help("add it to the diagram with the arrows that lead to it"),
    }
}

/// A step leads to a state that the diagram does not allow. `next` are the allowed ones.
pub fn no_transition(at: Span, from: &str, to: &str, state: Span, next: &[&str]) -> Diagnostic {
    let message = format!("the diagram has no arrow from `{from}` to `{to}`");
    let may = match next {
        [] => format!("nothing follows `{from}`"),
        next => format!("`{from}` leads to {}", next.join(", ")),
    };
    Diagnostic::error("no-transition", at, message)
        .related(state, "this state")
        .help(format!("{may}; if the step is right, add `{from} --> {to}` to the diagram"))
}

/// A state that an item may be in when a step begins: its name, and the title and place of the step that led to it, or
/// the diagram's first arrow.
pub struct Stand<'a> {
    pub state: &'a str,
    pub by: Option<&'a str>,
    pub place: Span,
}

impl Stand<'_> {
    fn text(&self) -> String {
        match self.by {
            Some(by) => format!("`{by}` leaves the item in `{}`", self.state),
            None => format!("an item begins in `{}`", self.state),
        }
    }
}

fn stands(start: Diagnostic, stands: &[Stand]) -> Diagnostic {
    stands.iter().take(5).fold(start, |diagnostic, stand| diagnostic.related(stand.place, stand.text()))
}

/// A step that can never start. `who` is its kind and title, `starts` the states in which it starts.
pub fn wrong_state(at: Span, who: &str, title: &str, starts: &str, found: &[Stand]) -> Diagnostic {
    let message = format!("the {who} `{title}` starts in {starts}, and the item is never in that state then");
    let found_states: Vec<&str> = found.iter().map(|stand| stand.state).collect();
    stands(Diagnostic::error("wrong-state", at, message), found).help(format!(
        "it is in {}; let the step start in it, or let another step lead to {starts}",
        either(&found_states)
    ))
}

/// A step that some paths through the document reach in a state in which it does not start.
pub fn doubtful_state(at: Span, who: &str, title: &str, starts: &str, found: &[Stand]) -> Diagnostic {
    let states: Vec<&str> = found.iter().map(|stand| stand.state).collect();
    let message =
        format!("the {who} `{title}` starts in {starts}, but the item may be in {} then", either(&states));
    let then = match who {
        "compensation" => "it runs all the same, and the item's state stays as it is",
        _ => "it fails then",
    };
    stands(Diagnostic::warning("doubtful-state", at, message), found).help(format!(
        "{then}; if it may start there, add the state, as in `[state:: {}, ...]`",
        states.first().unwrap_or(&"pending")
    ))
}

/// Two unordered steps that both depend on the state.
pub fn state_race(at: Span, title: &str, other: &str, other_at: Span) -> Diagnostic {
    let message = format!("`{title}` and `{other}` may change the item's state in any order");
    Diagnostic::error("state-race", at, message)
        .related(other_at, "may run at the same time")
        .help(format!("order them with `[after:: {other}]`, or remove `state` from one of them"))
}

/// A document with too many paths to follow them all.
pub fn too_many_ways(at: Span, title: &str, limit: usize) -> Diagnostic {
    let message = format!(
        "more than {limit} ways lead to `{title}`: states behind it are checked only as items come there"
    );
    Diagnostic::warning("too-many-ways", at, message)
        .help("use fewer conditions and optional steps between steps that change the state")
}

/// `a` or `b`, for use in a sentence.
pub fn either(states: &[&str]) -> String {
    words::or(states.iter().map(words::code))
}
