//! Near misses: text that most likely means something in the language, but is spelled differently.

use crate::diag::{Diagnostic, Span};

/// A field of another language; `right` is its spelling here.
pub fn other_field(key: Span, name: &str, right: Option<&str>, otherwise: &str) -> Diagnostic {
    let problem = Diagnostic::error("unknown-field", key, format!("unknown field `{name}`"));
    match right {
        Some(right) => problem.help(format!("write `{right}`")),
        None => problem.help(otherwise),
    }
}

/// A line or a part of a title that looks like an annotation but is not one.
pub fn near_annotation(span: Span, right: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-field", span, format!("this is prose, but looks like `{right}`"))
        .help(format!("write `{right}`"))
}

/// A loop without the most rounds that it may have; `right` has a number that the author may change.
pub fn loop_without_limit(key: Span, name: &str, right: &str) -> Diagnostic {
    Diagnostic::error("unknown-field", key, format!("unknown field `{name}`"))
        .help(format!("write `{right}`, with the most rounds that the loop may have"))
}

/// Words that ask for a step for each element of a list that nothing makes.
pub fn list_without_maker(line: Span, each: &str, list: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-field", line, "this is prose: the step runs once")
        .help(format!("let a step before it make `{list}`, and write `[each:: {each}]` in the heading"))
}

/// Words that ask for a step for each element of a list, where it takes the whole list, or nothing of it.
pub fn list_as_a_whole(line: Span, element: &str, list: &str, taken: bool) -> Diagnostic {
    let message = match taken {
        true => format!("this is prose: the step runs once, with the whole of `{list}`"),
        false => "this is prose: the step runs once".to_owned(),
    };
    let instead = if taken { format!(" instead of `{list}`") } else { String::new() };
    Diagnostic::warning("almost-a-field", line, message)
        .help(format!("write `[each:: {element} in {list}]` in the heading, and take `{element}`{instead}"))
}

/// Words that ask for a step for each part of a file.
pub fn elements_of_a_file(line: Span, element: &str, file: &str) -> Diagnostic {
    let help = match file.rsplit('.').next() {
        Some("jsonl" | "json" | "csv" | "toon") => format!(
            "write `items: {file}` in the front matter: the workflow then runs for each {element} of the file"
        ),
        _ => format!(
            "let a step before it read `{file}` and make a list, and name an element of it with `[each:: … in …]`"
        ),
    };
    Diagnostic::warning("almost-a-field", line, "this is prose: the step runs once").help(help)
}

/// A construct meant for the program that the language does not have.
pub fn no_effect(span: Span, what: &str, purpose: &str) -> Diagnostic {
    Diagnostic::warning("no-effect", span, format!("{what} has no effect: {purpose} is not supported"))
}

/// A bracket of a heading that means nothing, because of how the language does it.
pub fn no_such_thing(span: Span, bracket: &str, why: &str) -> Diagnostic {
    Diagnostic::warning("no-effect", span, format!("`{bracket}` has no effect: {why}")).help("remove it")
}

/// A bracket of a heading that is not known at all.
pub fn unread_bracket(span: Span, bracket: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-field", span, format!("`{bracket}` has no effect: it is not a field"))
        .help("remove it, or write it into the text below the heading")
}

/// A placeholder that is not filled in, as it is written.
pub fn almost_a_value(span: Span, written: &str, name: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-value", span, format!("`{written}` is not replaced by the value `{name}`"))
        .instead(span, format!("{{{{ {name} }}}}"))
}

/// A program in a fence that is not run.
pub fn fence_without_run(info: Span, right: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-program", info, "this fence is not run, and its step has no agent")
        .help(format!("to run it, write ```{right}"))
        .maybe(info, right)
}

/// A step whose title suggests that it runs only after a failure.
pub fn almost_a_handler(span: Span, title: &str) -> Diagnostic {
    let message =
        format!("`{title}` is an ordinary step: it runs for every item, whether something failed or not");
    Diagnostic::warning("almost-a-handler", span, message)
        .help("a failure handler takes an input such as `failed_items`; a compensation is named by `[compensate:: Step Title]` in the step that it reverses")
}

/// A group whose title suggests that its steps run only after a failure.
pub fn almost_compensations(span: Span, title: &str, first: &str) -> Diagnostic {
    let message = format!("the steps below `{title}` are ordinary ones: `{first}` runs for every item");
    Diagnostic::warning("almost-a-handler", span, message)
}

/// An input whose name suggests a failure.
pub fn almost_a_failure(span: Span, name: &str, right: &str) -> Diagnostic {
    let message =
        format!("`{name}` is an input of the workflow: no step makes it, and a failure does not either");
    Diagnostic::warning("almost-a-handler", span, message)
        .help(format!("a failure handler takes an input such as `{right}`"))
        .maybe(span, right)
}

/// A heading between steps that is not a step.
pub fn almost_a_step(span: Span, title: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-step", span, format!("`{title}` is read as prose, between two steps"))
        .help(format!("to make it a step, name an agent, as in `## {title} @agent`"))
}

/// Steps as the rows of a table, or the items of a list; the first of them as a heading, with what flows.
pub fn steps_in_a_block(span: Span, what: &str, heading: &str, flow: &str) -> Diagnostic {
    let rows = if what == "table" { "rows" } else { "items" };
    let below = if flow.is_empty() { String::new() } else { format!(", with `{flow}` below it") };
    Diagnostic::warning("almost-a-step", span, format!("this {what} is prose: its {rows} are not steps"))
        .help(format!("a step is a heading, such as `{heading}`{below}"))
}

/// A heading such as `yes → Ship`, below a step. It may lead to a step that is missing.
pub fn branch_in_a_heading(span: Span, right: &str, missing: Option<&String>) -> Diagnostic {
    let missing = missing.map(|title| format!("; no step has the title `{title}`")).unwrap_or_default();
    Diagnostic::warning("almost-a-decision", span, "this heading is prose, but looks like a decision")
        .help(format!("write `{right}` on a line below the step that decides, without `#`{missing}"))
}

/// Types of another language in a signature.
pub fn type_spelling(line: Span, right: &str) -> Diagnostic {
    Diagnostic::error("type-spelling", line, "this is not how a type is written")
        .help(format!("write `{right}`"))
        .fix(line, right)
}

/// A sentence that orders two steps that are not ordered.
pub fn order_in_prose(span: Span, title: &str, other: &str) -> Diagnostic {
    let message = format!("`{title}` does not wait for `{other}`: prose orders nothing");
    Diagnostic::warning("order-in-prose", span, message)
        .help(format!("write `[after:: {other}]`, or take a value that `{other}` makes"))
}

/// A sentence that leads back to a step.
pub fn loop_in_prose(span: Span, title: &str, other: &str) -> Diagnostic {
    let message = format!("nothing leads back to `{other}`: prose repeats nothing");
    Diagnostic::warning("no-effect", span, message).help(match title == other {
        true => format!("to repeat it, write `[repeat:: 3 until …]` in the heading of `{title}`"),
        false => format!(
            "to repeat the steps from `{other}` to `{title}`, put them into a group with `[repeat:: 3 until …]` in its heading"
        ),
    })
}

/// A sentence that repeats a step until something is true.
pub fn until_in_prose(span: Span, what: &str) -> Diagnostic {
    let message = format!("nothing waits for `{what}` here: prose repeats nothing");
    Diagnostic::warning("no-effect", span, message)
        .help(format!("to repeat the step, write `[repeat:: 3 until {what}]` in its heading"))
}

/// A sentence with a condition, in a step without one.
pub fn condition_in_prose(span: Span, title: &str, value: &str) -> Diagnostic {
    let message = format!("`{title}` runs whatever `{value}` is: a condition in prose decides nothing");
    Diagnostic::warning("condition-in-prose", span, message)
        .help(format!("write a condition in the heading, such as `[when:: {value}]`"))
}

/// A sentence that lets a step run after a failure, which it does not.
pub fn even_in_prose(span: Span, title: &str) -> Diagnostic {
    let message = format!("`{title}` does not run once a step before it has failed: prose changes nothing");
    Diagnostic::warning("no-effect", span, message).help(
        "mark the steps that may fail with `?` and write `name?` for what they make; a step that takes `failed_items` runs after a failure",
    )
}

/// A sentence about a failure, in a step that runs without one.
pub fn failure_in_prose(span: Span, title: &str) -> Diagnostic {
    let message = format!("`{title}` runs for every item, whether something failed or not");
    Diagnostic::warning("almost-a-handler", span, message)
        .help("a failure handler is a step that takes an input such as `failed_items`")
}

/// An order in a diagram or table that the steps do not have.
pub fn order_in_drawing(line: Span, what: &str, title: &str, others: &[&str]) -> Diagnostic {
    let named: Vec<String> = others.iter().take(8).map(|other| format!("`{other}`")).collect();
    let message = format!("`{title}` does not wait for {}: a {what} orders nothing", named.join(", "));
    Diagnostic::warning("order-in-drawing", line, message)
        .help(format!("write `[after:: {}]` in `{title}`, or correct the {what}", others.join(", ")))
}

/// A condition in a table, of a step without one.
pub fn condition_in_table(line: Span, title: &str, asked: &str) -> Diagnostic {
    let message = format!("`{title}` runs whether `{asked}` holds or not: a table decides nothing");
    Diagnostic::warning("condition-in-prose", line, message)
        .help(format!("write a condition in the heading of `{title}`, as in `[when:: total > 1000]`"))
}
