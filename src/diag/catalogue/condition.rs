//! Problems of conditions and branches.

use crate::diag::{Diagnostic, Span};
use crate::value::words;

/// An expression or line with a syntax error.
pub fn bad_condition(span: Span, message: &str, help: Option<&str>) -> Diagnostic {
    let problem =
        Diagnostic::error("bad-condition", span, format!("this condition makes no sense: {message}"));
    problem.help(help.unwrap_or("write it as in `If total > 100 and stock_ok → Create Order`"))
}

/// A decision behind another one, on one line.
pub fn second_decision(span: Span, right: &str) -> Diagnostic {
    Diagnostic::error("second-decision", span, "this line has two decisions")
        .help(format!("write the second one on a line of its own: `{right}`"))
}

/// `{{ … }}` in the instructions of a step with something other than an expression in it.
pub fn bad_value(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("bad-value", span, format!("this value in the instructions cannot be read: {message}"))
        .help("write it as in `{{ order.name }}`; two braces that are text are written `\\{{`")
}

/// A `{{` without a `}}` on its line.
pub fn value_unclosed(span: Span) -> Diagnostic {
    Diagnostic::error("value-unclosed", span, "`{{` is not closed on its line")
        .help("close it with `}}`, or write `\\{{` if it is text")
}

/// A value in the instructions of a step which that step does not take.
pub fn instructions_lack(span: Span, name: &str, step: &str, near: Option<&str>) -> Diagnostic {
    let message = format!("the instructions need `{name}`, which `{step}` does not take");
    Diagnostic::error("instructions-lack", span, message).help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add `{name}` to the inputs of the step, or write `\\{{{{` if this is text"),
    })
}

/// A secret in the instructions of a step, which models and logs store.
pub fn secret_in_instructions(span: Span, name: &str) -> Diagnostic {
    let message = format!("the instructions contain the secret `{name}`");
    Diagnostic::error("secret-in-instructions", span, message)
        .help(format!("leave `{name}` to the agent to read it among its inputs"))
}

/// A value in the instructions of a step which may be missing.
pub fn instructions_may_lack(span: Span, name: &str) -> Diagnostic {
    let message = format!("the instructions need `{name}`, which may be missing; then the step fails");
    Diagnostic::warning("instructions-may-lack", span, message)
        .help(format!("take `{name}` without `?`, or leave it to the agent to read it among its inputs"))
}

/// `Otherwise` without an `If` before it.
pub fn otherwise_alone(span: Span) -> Diagnostic {
    Diagnostic::error("otherwise-alone", span, "`Otherwise` follows no `If`")
        .help("begin with a line such as `If stock_ok → Create Order`")
}

/// A line of a step that looks like a decision but is read as prose.
pub fn almost_a_decision(line: Span, right: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-decision", line, "this is prose, but looks like a decision")
        .help(format!("a decision is written `{right}`"))
}

/// A decision, in any spelling, below a heading that is not a step.
pub fn decision_of_a_section(line: Span, right: &str, title: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-decision", line, format!("this is prose: `{title}` is not a step"))
        .help(format!("write `{right}` below the step that decides"))
}

pub fn condition_of_group(span: Span, title: Span) -> Diagnostic {
    Diagnostic::error("condition-of-group", span, "a group decides nothing, its steps do")
        .related(title, "this heading has steps below it")
        .help("write the line below a step, or give the group a [when:: …]")
}

/// A name in a condition that no signature has.
pub fn unknown_value(span: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let problem = Diagnostic::error("unknown-value", span, format!("unknown value `{name}`"));
    match near {
        Some(near) => problem.help(words::did_you_mean(near)),
        None => {
            problem.help("a condition uses values that signatures name; `-`, `.` and `/` are written `_`")
        }
    }
}

/// A condition that reads a member that the value's type does not have; `members` are those that it has.
pub fn unknown_member(
    span: Span,
    name: &str,
    ty: &str,
    near: Option<&str>,
    members: &[String],
) -> Diagnostic {
    let problem = Diagnostic::error("unknown-member", span, format!("the type {ty} has no `{name}` here"));
    match (near, members) {
        (Some(near), _) => problem.help(words::did_you_mean(near)),
        (None, members) => problem.help(format!("there is {}", members.join(", "))),
    }
}

/// A condition that reads a part of a value without parts: `of` is the value, `ty` its type if that has a name,
/// `member` the name of the part, or `None` for an element.
pub fn no_members(span: Span, of: &str, ty: Option<&str>, member: Option<&str>) -> Diagnostic {
    let parts = if member.is_some() { "members" } else { "elements" };
    let typed = ty.map(|ty| format!(" the type {ty}, which has")).unwrap_or_default();
    let problem = Diagnostic::error("no-members", span, format!("`{of}` has{typed} no {parts}"));
    problem.help(match member {
        Some("length" | "size" | "count" | "len") => format!("write `{of}|length`"),
        Some(member) if ty.is_some_and(|ty| ty.ends_with(']')) => {
            format!("name an element, as in `{of}[0].{member}`, or decide in a step with `[each:: ...]`")
        }
        Some(_) => {
            format!("compare `{of}` itself, or give it the type JSON or a type of your own where it is made")
        }
        None => format!("compare `{of}` itself, or make it a list where it is made"),
    })
}

/// A condition that reads an output of its own step.
pub fn own_output(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(
        "own-output",
        span,
        format!("`{name}` is made by this very step, too late to decide on it"),
    )
    .help("decide on it with a line such as `If … → Next Step` in the step's text")
}

/// A condition that leads backwards, to its own step, or to a failure handler; `target` is the name that it uses, and
/// where.
pub fn bad_target(span: Span, title: &str, why: &str, target: (&str, Span)) -> Diagnostic {
    Diagnostic::error("bad-target", span, format!("a condition cannot lead to `{title}`: {why}"))
        .related(target.1, target.0)
        .help("lead to a step further below")
}

/// The same for a step that runs by itself once the item has failed, by the answer of the step `decider`.
pub fn target_of_failure(problem: Diagnostic, span: Span, decider: &str) -> Diagnostic {
    let right = format!("fail \"{}\"", decider.replace('"', "'"));
    problem
        .help(format!("write `{right}`: once the item has failed, its compensations and handlers run"))
        .maybe(span, right)
}

/// A condition whose type is known not to be Boolean.
pub fn never_boolean(span: Span, name: &str, ty: &str) -> Diagnostic {
    Diagnostic::error(
        "never-boolean",
        span,
        format!("`{name}` is of type {ty}, and a condition needs true or false"),
    )
    .help("compare it with something, as in `total > 100`")
}
