//! Problems of loops: how they are written, and what cannot be repeated.

use crate::diag::{Diagnostic, Span};

/// A value of `repeat` that is not read.
pub fn bad_repeat(span: Span, why: &str) -> Diagnostic {
    let problem = Diagnostic::error("bad-repeat", span, format!("this is not a loop: {why}"));
    problem.help(
        "write the most rounds and the condition that ends the loop: `[repeat:: 3 until review.approved]`",
    )
}

/// A loop without its end.
pub fn repeat_without_condition(span: Span, rounds: &str) -> Diagnostic {
    Diagnostic::error("bad-repeat", span, "this loop has no condition that ends it").help(format!(
        "write it, as in `[repeat:: {rounds} until review.approved]`; to retry failed attempts, write `[retry:: {rounds}]`"
    ))
}

/// A number of rounds that no loop has.
pub fn bad_rounds(span: Span, most: u32, once: bool) -> Diagnostic {
    let problem =
        Diagnostic::error("bad-repeat", span, format!("a loop has at least 2 and at most {most} rounds"));
    match once {
        true => problem.help("leave `[repeat:: …]` out: one round needs no loop"),
        false => problem.help("write the most rounds, as in `[repeat:: 3 until review.approved]`"),
    }
}

/// A loop around what runs only after a failure.
pub fn repeat_of_failure(span: Span, title: &str, who: &str) -> Diagnostic {
    misplaced_repeat(span, format!("the {who} `{title}` is not repeated"))
        .help("to retry its failed attempts, write `[retry:: 3]`")
}

/// A loop of a group in which nothing runs before a failure.
pub fn repeat_without_steps(span: Span) -> Diagnostic {
    misplaced_repeat(span, "no step of this group is repeated".to_owned())
        .help("a loop does not repeat compensations and failure handlers")
}

/// A loop of steps of items and of steps that run once after all items.
pub fn repeat_of_both(span: Span, title: &str, once: Span) -> Diagnostic {
    misplaced_repeat(
        span,
        format!("this loop repeats steps of one item, and `{title}`, which runs once for all"),
    )
    .related(once, "runs once for all items")
    .help("move it below the group")
}

/// A condition that no round can change.
pub fn repeat_changes_nothing(span: Span) -> Diagnostic {
    Diagnostic::error(
        "endless-repeat",
        span,
        "this condition uses no value that the loop makes, so no round can change it",
    )
    .help("use a value that a step of the loop makes")
}

/// A retry that is meant as a loop.
pub fn retry_until(span: Span, written: &str, right: Option<&str>) -> Diagnostic {
    let message = format!("`{written}` is not a retry policy: only failed attempts are retried");
    Diagnostic::error("bad-retry", span, message).help(format!(
        "to repeat the step until a condition holds, write `[repeat:: {}]`",
        right.unwrap_or("3 until review.approved")
    ))
}

fn misplaced_repeat(span: Span, message: String) -> Diagnostic {
    Diagnostic::error("misplaced-repeat", span, message)
}

/// A value of a later step in a loop, which is required: the same problem with the right spelling.
pub fn round_before(problem: Diagnostic, name: &str) -> Diagnostic {
    problem.help(format!(
        "to take `{name}` from the round before, and nothing in the first round, write `{name}?`"
    ))
}
