//! Problems of how a document is written: markdown, headings, fields, signatures.

use crate::diag::{Diagnostic, Span, nearest};
use crate::value::words;

/// Names as a list in a sentence: `a`, `b` and `c`.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    words::and(names.into_iter().map(words::code))
}

/// The nearest known name as a question, else all of them.
fn suggest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>, kind: &str) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(written, known.iter().copied()) {
        Some(name) => words::did_you_mean(name),
        None => format!("{kind} are {}", list(known)),
    }
}

// The document as a whole

pub fn invalid_utf8(at: usize) -> Diagnostic {
    Diagnostic::error("invalid-utf8", Span::new(at, at), format!("invalid UTF-8 at byte {at}"))
        .help("save the document as UTF-8")
}

pub fn document_too_large(limit: usize) -> Diagnostic {
    let message = format!("the document has more than {limit} bytes");
    Diagnostic::error("document-too-large", Span::new(0, 0), message)
        .help("move traces to session files, and long texts to other files")
}

pub fn too_many_steps(span: Span, steps: usize, limit: usize) -> Diagnostic {
    let message = format!("the document has {steps} steps; the limit is {limit}");
    Diagnostic::error("too-many-steps", span, message)
        .label("the first step too many")
        .help("let one step handle many items instead of writing a step for each")
}

pub fn no_steps(span: Span) -> Diagnostic {
    Diagnostic::error("no-steps", span, "no heading of this document is a step").help(
        "a step is a heading like `## Check Stock @stock-service`, with a line like `order -> stock::Stock` below it",
    )
}

pub fn trace_alone(line: Span) -> Diagnostic {
    Diagnostic::error("trace-alone", line, "this is a trace, not a document")
        .help("name the document here; `orderflow stats` computes the figures of a trace, `orderflow run DOCUMENT --replay=TRACE` re-enacts it")
}

/// The end of a cut list of problems: an error if any of `rest` is one.
pub fn too_many_problems(rest: &[Diagnostic]) -> Diagnostic {
    let span = rest.first().map_or(Span::default(), |problem| problem.span);
    let message = format!("{} further problems of the text are not shown", rest.len());
    let severe = rest.iter().any(Diagnostic::is_error);
    let made = if severe { Diagnostic::error } else { Diagnostic::warning };
    made("too-many-problems", span, message).help("solve those above first")
}

// Headings

pub fn line_in_setext(line: Span, underline: Span) -> Diagnostic {
    let message = "markdown reads this line as a heading, because `---` is directly below its paragraph";
    Diagnostic::error("line-in-heading", line, message)
        .related(underline, "this makes a heading of the text above it")
        .help("put an empty line above the `---`")
}

pub fn step_in_setext(span: Span, title: &str) -> Diagnostic {
    Diagnostic::error("underlined-step", span, "a step's heading is written with `##`, not underlined")
        .help(format!("write `## {}`", title.lines().next().unwrap_or("")))
}

pub fn step_inside(line: Span, holder: &str) -> Diagnostic {
    let message = format!("this looks like a step, but markdown reads it as part of {}", a(holder));
    Diagnostic::error("step-inside", line, message)
        .help("put it at the beginning of a line with an empty line before it; put an example into a fence")
}

pub fn line_joined(line: Span, holder: &str) -> Diagnostic {
    let message = format!("markdown joins this line to the {holder} above it");
    Diagnostic::error("line-joined", line, message)
        .help(format!("put an empty line between the {holder} and this line"))
        .fix(Span::new(line.start, line.start), "\n")
}

pub fn heading_without_space(line: Span, hashes: &str, right: &str) -> Diagnostic {
    let message = format!("markdown does not read this as a heading: a space is missing after `{hashes}`");
    Diagnostic::error("heading-without-space", line, message).instead(line, right.to_owned())
}

pub fn heading_too_deep(line: Span) -> Diagnostic {
    Diagnostic::error(
        "heading-too-deep",
        line,
        "this is not a heading: markdown has six levels, from `#` to `######`",
    )
    .help("write at most six `#`")
}

pub fn step_at_top_level(line: Span) -> Diagnostic {
    Diagnostic::error("step-at-top-level", line, "a step's heading has two to six `#`")
        .help("write `##`; a heading with one `#` names the workflow")
}

pub fn title_annotated(span: Span) -> Diagnostic {
    Diagnostic::error("title-annotated", span, "the workflow's name takes no annotations")
        .help("name a default agent in the front matter with `agent:`, or make this heading a step with `##`")
}

pub fn title_reserved(span: Span, title: &str) -> Diagnostic {
    Diagnostic::error("title-reserved", span, format!("a heading called `{title}` is never a step"))
        .help("give the step another title")
}

pub fn reserved_holds_steps(span: Span, title: &str) -> Diagnostic {
    let message = format!("a heading called `{title}` holds no steps, but there are steps below it");
    Diagnostic::error("reserved-holds-steps", span, message)
        .help("give the heading another title, or move the steps to a heading of their own")
}

pub fn title_missing(line: Span) -> Diagnostic {
    Diagnostic::error("title-missing", line, "this step has no title")
        .help("write its title before the annotations, as in `## Check Stock @stock-service`")
}

pub fn title_without_letters(span: Span, title: &str) -> Diagnostic {
    Diagnostic::error(
        "title-without-letters",
        span,
        format!("the title `{title}` has no letter and no digit"),
    )
    .help("traces name a step by the letters and digits of its title")
}

pub fn annotation_in_title(span: Span, annotation: &str, next: &str) -> Diagnostic {
    let message = format!("`{annotation}` is read as part of the title, because `{next}` follows it");
    Diagnostic::warning("annotation-in-title", span, message)
        .help("put annotations at the very end of the heading")
}

/// `bare` is the annotation without the punctuation around it.
pub fn annotation_punctuated(span: Span, word: &str, bare: &str) -> Diagnostic {
    let message = format!("`{word}` is read as part of the title");
    Diagnostic::warning("annotation-in-title", span, message)
        .help(format!("write `{bare}` with white space around it, at the end of the heading"))
}

pub fn parallel_step(span: Span) -> Diagnostic {
    Diagnostic::error("parallel-step", span, "`(parallel)` belongs to a heading that has steps below it")
        .help("remove it, or move the steps that may run in parallel below this heading")
}

/// A second agent, field or name where only one is allowed.
pub fn said_twice(second: Span, first: Span, what: &str) -> Diagnostic {
    Diagnostic::error("said-twice", second, format!("{} is given twice", quoted(what)))
        .related(first, "the first")
        .help("remove one of them")
}

// Fields

pub fn unknown_field<'a>(span: Span, key: &str, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<&str> = known.into_iter().collect();
    let near = nearest(key, known.iter().copied());
    let problem = Diagnostic::error("unknown-field", span, format!("unknown field `{key}`")).help(suggest(
        key,
        known,
        "the fields",
    ));
    near.into_iter().fold(problem, |problem, near| problem.renamed(span, key, near))
}

pub fn field_without_value(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error("field-without-value", span, format!("the field `{key}` has no value"))
        .help(format!("write it after the two colons, as in `[{key}:: {}]`", example(key)))
}

pub fn field_unclosed(span: Span) -> Diagnostic {
    Diagnostic::error("field-unclosed", span, "this field is never closed").help("end it with `]`")
}

pub fn field_on_group(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error(
        "field-on-group",
        span,
        format!("`{key}` is not allowed on a heading that has steps below it"),
    )
    .help("write it at the steps that it is meant for")
}

pub fn field_in_prose(span: Span) -> Diagnostic {
    Diagnostic::warning(
        "field-in-prose",
        span,
        "this field is read as prose, because there is text beside it",
    )
    .help("put it at the end of the heading, or on a line of its own outside lists and quotes")
}

pub fn almost_a_field(span: Span, right: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-field", span, "this is prose, but looks like a field")
        .help(format!("a field is written `{right}`"))
}

pub fn bad_duration(span: Span, written: &str) -> Diagnostic {
    let message = format!("`{written}` is not a duration; write 5s, 5m or 5h");
    Diagnostic::error("bad-duration", span, message).help("the units are ms, s, m, h and d, up to 3650d")
}

pub fn no_time(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error("bad-duration", span, format!("a {key} of no time would let nothing run"))
        .help("write 5s, 5m or 5h, or remove the field")
}

pub fn bad_budget(span: Span, written: &str) -> Diagnostic {
    Diagnostic::error("bad-budget", span, format!("`{written}` is not a budget"))
        .help("write `20000 tokens`, `$0.50`, or both: `20000 tokens, $0.50`")
}

/// A budget that may mean one of these.
pub fn doubtful_budget(span: Span, written: &str, meant: &[String]) -> Diagnostic {
    let meant = words::or(meant.iter().map(words::code));
    Diagnostic::error("bad-budget", span, format!("`{written}` is not a budget"))
        .help(format!("write {meant}"))
}

pub fn no_budget(span: Span) -> Diagnostic {
    Diagnostic::error("bad-budget", span, "a budget of nothing would let nothing run")
        .help("write `20000 tokens` or `$0.50`, or remove it")
}

pub fn bad_retry(span: Span, written: &str) -> Diagnostic {
    let message = format!("`{written}` is not a retry policy");
    Diagnostic::error("bad-retry", span, message).help(
        "write how often and, if you like, after which pauses: `3`, `3 fixed 1s` or `5 exponential 200ms..30s`",
    )
}

pub fn bad_each(span: Span, written: &str) -> Diagnostic {
    let message = format!("`{written}` does not name an element and a list");
    Diagnostic::error("bad-each", span, message)
        .help("name an element and a list that is an input or is made by a step, as in `[each:: target in targets]`")
}

pub fn bad_per(span: Span, written: &str) -> Diagnostic {
    let message = format!("a step cannot run per `{written}`");
    Diagnostic::error("bad-per", span, message)
        .help("`[per:: run]` runs it once after all items; without the field it runs once for each item")
}

pub fn bad_effects(span: Span, written: &str) -> Diagnostic {
    Diagnostic::error("bad-effects", span, format!("the effects of a step cannot be `{written}`"))
        .help("`[effects:: none]` means that the step only reads or computes; without the field it may change something")
}

// Signatures

pub fn second_signature(second: Span, first: Span) -> Diagnostic {
    Diagnostic::error("second-signature", second, "a step has one signature, and this is its second")
        .related(first, "the first")
        .help("join them into one, as in `a, b -> c, d`, or give this one a heading of its own")
}

pub fn arrow_is_prose(at: Span, why: &str, meant: Option<&str>) -> Diagnostic {
    let message = format!("this line with an arrow is read as prose: {why}");
    Diagnostic::warning("arrow-is-prose", at, message).help(match meant {
        Some(title) => format!("to hand a value to a step, write its title exactly: `{title}`"),
        None => "write a signature alone on its line, as in `order, stock -> receipt::Receipt`".to_owned(),
    })
}

/// A wrong arrow, where the right one would make a signature with types or a condition.
pub fn wrong_arrow(arrow: Span, right: &str) -> Diagnostic {
    Diagnostic::error("wrong-arrow", arrow, "an arrow is written `->` or `→`")
        .help(format!("write `{right}`"))
}

/// A type after a single colon.
pub fn one_colon(line: Span, right: &str) -> Diagnostic {
    Diagnostic::error("one-colon", line, "write a type behind two colons").help(format!("write `{right}`"))
}

/// A wrong arrow, in a line that may be prose.
pub fn arrow_of_prose(arrow: Span, right: &str) -> Diagnostic {
    let message = "this line is read as prose: an arrow is written `->` or `→`";
    Diagnostic::warning("arrow-is-prose", arrow, message)
        .help(format!("if it is a signature, write `{right}`"))
}

pub fn signature_broken(lines: Span, right: &str) -> Diagnostic {
    Diagnostic::error("signature-broken", lines, "write a signature on one line")
        .help(format!("write `{right}`, or put an empty line between the two if the first is prose"))
        .maybe(lines, right)
}

pub fn signature_alone(line: Span, names: &[&str]) -> Diagnostic {
    let verb = words::by_count(names.len(), "is", "are");
    let message =
        format!("this heading is read as prose: {} {verb} known to no step", list(names.iter().copied()));
    Diagnostic::warning("signature-alone", line, message)
        .help("to make the heading a step, name an agent, as in `## Title @agent`, or give a value a type, as in `order::Order`")
}

pub fn signature_inside(line: Span, holder: &str) -> Diagnostic {
    let message = format!("this signature is read as prose, because it is in a {holder}");
    Diagnostic::warning("signature-inside", line, message)
        .help("put it on a line of its own at the beginning of a paragraph")
}

pub fn no_bullets(line: Span) -> Diagnostic {
    Diagnostic::error("no-bullets", line, "`creates:` is followed by no list")
        .help("list the outputs directly below it, as in `- schema::SQL`")
}

pub fn bullet_is_no_output(line: Span) -> Diagnostic {
    Diagnostic::error("bullet-is-no-output", line, "this bullet below `creates:` is not an output")
        .help("write a name, with a type if you like, as in `- schema::SQL`; a remark may follow a dash")
}

/// A quote that looks like an expectation.
pub fn almost_an_expectation(line: Span) -> Diagnostic {
    Diagnostic::warning("almost-an-expectation", line, "this quote is read as prose: it expects nothing")
        .help("did you mean `[!expect]`?")
}

// Fences

pub fn fence_unclosed(span: Span, program: bool) -> Diagnostic {
    let what = if program {
        "this program is never closed, so nothing was run"
    } else {
        "this fence is never closed"
    };
    Diagnostic::error("fence-unclosed", span, what)
        .label("it takes in all that follows")
        .help("end it with a line of the same backticks or tildes")
}

pub fn almost_a_program(info: Span, right: &str) -> Diagnostic {
    let message = format!("this fence is not run: it does not begin with ```{right}");
    Diagnostic::warning("almost-a-program", info, message)
        .help(format!("write ```{right}, in small letters and with a space between the two words"))
        .fix(info, right)
}

pub fn fence_inside(span: Span, holder: &str, what: &str) -> Diagnostic {
    Diagnostic::error("fence-inside", span, format!("this {what} is not read, because it is in a {holder}"))
        .help("put it at the beginning of a line, outside of any list or quote")
}

pub fn second_program(second: Span, first: Span) -> Diagnostic {
    Diagnostic::error("second-program", second, "a step has one program, and this is its second")
        .related(first, "the first")
        .help("join them into one, or give this one a heading of its own")
}

pub fn group_holds(span: Span, title: Span, what: &str) -> Diagnostic {
    let message = format!("a heading that has steps below it cannot have a {what} itself");
    Diagnostic::error("group-holds", span, message)
        .related(title, "this heading has steps below it")
        .help(format!("give the {what} a heading of its own"))
}

pub fn outside_of_steps(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error("outside-of-steps", span, format!("this {what} belongs to no step"))
        .help("put it below a step's heading, such as `## Check Stock`")
}

pub fn comment_unclosed(span: Span) -> Diagnostic {
    Diagnostic::error("comment-unclosed", span, "this comment is never closed")
        .label("it takes in all that follows")
        .help("end it with `-->`")
}

// Expectations

pub fn bad_expectation(span: Span, what: &str, help: &str) -> Diagnostic {
    Diagnostic::error("bad-expectation", span, what).help(help)
}

pub fn expectation_inside(span: Span, holder: &str) -> Diagnostic {
    let message = format!("this expectation is not read, because it is in a {holder}");
    Diagnostic::error("expectation-inside", span, message)
        .help("put it into a quote of its own: `> [!expect] p95 < 2s`")
}

pub fn expectation_unquoted(span: Span) -> Diagnostic {
    Diagnostic::error("expectation-unquoted", span, "this expectation is not read, because it is not a quote")
        .help("begin the line with `> `")
}

/// A construct of markdown with its article.
pub(super) fn a(holder: &str) -> String {
    match holder {
        "HTML" | "indented code" => holder.to_owned(),
        _ => format!("a {holder}"),
    }
}

/// Quotes names; the roles of annotations are words and are not quoted.
fn quoted(what: &str) -> String {
    match what {
        "agent" => "the step's agent".to_owned(),
        "channel" => "the step's channel".to_owned(),
        "mark" => "a mark".to_owned(),
        name => format!("`{name}`"),
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "retry" => "3",
        "budget" => "20000 tokens",
        "after" => "Check Stock",
        "emit" => "order.created",
        "await" => "order.shipped",
        "document" => "review.md",
        _ => "30s",
    }
}
