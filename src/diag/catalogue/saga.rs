//! Problems of compensations: how a document declares them, and which are missing.

use crate::diag::{Diagnostic, Replacement, Span};
use crate::value::words;

/// A flag with a value.
pub fn flag_with_value(field: Span, key: &str) -> Diagnostic {
    Diagnostic::error("flag-with-value", field, format!("`{key}` takes no value"))
        .help(format!("write [{key}]"))
}

/// A compensation that is not allowed. `why` is a whole clause; `other` is the place that it refers to.
pub fn bad_compensation(at: Span, why: &str, other: Span) -> Diagnostic {
    let start = Diagnostic::error("bad-compensation", at, why);
    let start = if at == other { start } else { start.related(other, "this one") };
    start.help("`compensate` names the step that compensates this one; it runs for nothing else")
}

/// A compensation that names the step that it compensates.
pub fn turned(field: Span, why: &str, right: &str) -> Diagnostic {
    Diagnostic::error("bad-compensation", field, why).help(format!("write `{right}`"))
}

/// A step in the list of compensations that compensates no step.
pub fn unused_compensation(title: Span) -> Diagnostic {
    Diagnostic::warning(
        "unused-compensation",
        title,
        "no step names this one as its compensation, so it never runs",
    )
    .help("write [compensate:: its title] in the step that it compensates")
}

/// The same where only one step makes what it takes; `at` is where a further annotation of that step goes.
pub fn unused_compensation_of(title: Span, own: &str, step: &str, at: usize) -> Diagnostic {
    let field = format!("[compensate:: {own}]");
    unused_compensation(title)
        .help(format!("write `{field}` in `{step}`, which makes what it takes"))
        .maybe(Span::new(at, at), format!(" {field}"))
}

/// The most places that one problem shows.
const PLACES: usize = 8;

/// Steps whose effects would remain. `risk` is a step whose failure can come after the first; `agents` is whether an
/// agent does any of them that may change something, and `agent` is the first such agent. `pure` are those that only
/// read, by their titles, and where a further annotation of theirs goes.
pub fn uncompensated_steps(
    steps: &[(&str, Span)],
    risk: (&str, Span),
    agents: bool,
    agent: Option<&str>,
    pure: &[(&str, usize)],
) -> Diagnostic {
    let (first, more) =
        steps.split_first().map_or((("", Span::default()), &[][..]), |(first, more)| (*first, more));
    let names = steps.iter().map(|(title, _)| words::code(title));
    let message = match steps.len() {
        1 => format!("nothing compensates {} when the item fails after it", words::and(names)),
        count if count <= PLACES => {
            format!("nothing compensates {} when the item fails after them", words::and(names))
        }
        count => format!(
            "nothing compensates {count} steps when the item fails after them: {}",
            words::first(names, PLACES, count)
        ),
    };
    let start = Diagnostic::warning("uncompensated-step", first.1, message);
    let start = match risk.1 == first.1 {
        true => start.label("it may itself fail the item once it is done"),
        false => start.related(risk.1, format!("`{}` can fail after `{}` is done", risk.0, first.0)),
    };
    let others = more.iter().take(PLACES - 1).filter(|(_, at)| *at != risk.1);
    let all = others.fold(start, |start, (_, at)| start.related(*at, "this one, too"));
    let lasting = if agents { "; [irreversible] where nothing can compensate it" } else { "" };
    let settings =
        agent.map(|agent| format!(" (or, of all that {agent} does, effects = false in orderflow.toml)"));
    let such = match pure {
        [] => String::new(),
        all => format!(
            ", such as {}",
            words::first(all.iter().map(|(title, _)| words::code(title)), 3, all.len())
        ),
    };
    let all = all.help(format!(
        "write [compensate:: Step Title] where another step can compensate it, [effects:: none] where it only reads or computes{such}{}{lasting}",
        settings.unwrap_or_default()
    ));
    if pure.is_empty() {
        return all;
    }
    let field = |at: usize| Replacement { span: Span::new(at, at), text: " [effects:: none]".to_owned() };
    all.fixed(false, pure.iter().map(|(_, at)| field(*at)).collect())
}

/// A critical step that depends on the output of an optional step.
pub fn critical_needs_optional(
    at: Span,
    title: &str,
    value: &str,
    maker: &str,
    maker_at: Span,
) -> Diagnostic {
    let message = format!("`{title}` is critical, yet needs `{value}` from `{maker}`, which is optional");
    Diagnostic::warning("critical-needs-optional", at, message)
        .related(maker_at, "may fail, and the item continues without its outputs")
        .help(format!("write `{value}?` here to do without it, or let `{maker}` not be optional"))
}

/// A step of one branch that requires a value that only another branch makes.
pub fn never_arrives(at: Span, title: &str, value: &str, maker: &str, maker_at: Span) -> Diagnostic {
    let message = format!(
        "`{title}` can never run: `{value}` is made only when `{maker}` runs, and the two never both run"
    );
    Diagnostic::error("never-arrives", at, message)
        .related(maker_at, "made here, on another branch")
        .help(format!("let the decision lead to `{maker}` only, so that `{title}` follows it for all items; or write `{value}?`"))
}

/// A step of one branch with an optional input that only another branch makes.
pub fn never_comes(at: Span, title: &str, value: &str, maker: &str, maker_at: Span) -> Diagnostic {
    let message =
        format!("`{value}` never comes to `{title}`: an item that goes to `{maker}` does not go there");
    Diagnostic::warning("never-arrives", at, message)
        .related(maker_at, "made here, on another branch")
        .help(format!("let the decision lead to `{maker}` only, so that `{title}` follows it for all items"))
}

/// A step that takes two values from branches that exclude each other. Each is a value, the step that decides whether
/// it is made, and that step's place.
pub fn never_runs(at: Span, title: &str, one: (&str, &str, Span), other: (&str, &str, Span)) -> Diagnostic {
    let message = format!(
        "`{title}` can never run: `{}` needs `{}`, `{}` needs `{}`, and the two never both run",
        one.0, one.1, other.0, other.1
    );
    Diagnostic::error("never-runs", at, message)
        .related(one.2, format!("`{}` hangs on this step", one.0))
        .related(other.2, format!("`{}` hangs on this step", other.0))
        .help(format!(
            "let both branches make one value, such as `{}`, and take that; or write `{}?` and `{}?`",
            one.0, one.0, other.0
        ))
}

/// Why a step's output may be absent.
pub enum Absence {
    /// The step may fail without failing the item.
    Optional,
    /// The step has this condition.
    When(String),
    /// The only decision of this step leads to it, or nowhere.
    Unless(String),
    /// A decision of this step may skip it.
    Skipped(String),
}

/// How a step needs the value of another.
pub enum Way {
    Taken,
    /// Its condition asks for it, and could ask this.
    Asked(Option<(Span, String)>),
}

/// A step that takes the output of another step, which may not run.
pub fn runs_only_when(
    at: Span,
    title: &str,
    value: &str,
    maker: (&str, Span),
    why: &Absence,
    way: Way,
) -> Diagnostic {
    let (maker, place) = maker;
    let verb = if matches!(why, Absence::Optional) { "succeeds" } else { "runs" };
    let message = format!("`{title}` runs only when `{maker}` {verb}, which makes `{value}`");
    let (label, other) = match why {
        Absence::Optional => (
            "it is optional: when it fails, the item continues".to_owned(),
            format!("or remove the `?` of `{maker}`; mark `{title}` with `?` as well if it may be left out"),
        ),
        Absence::When(condition) => (
            format!("it is skipped unless `{condition}`"),
            format!(
                "to make that explicit, give `{title}` the same `[when:: {condition}]`, or put both into a group that has it"
            ),
        ),
        Absence::Unless(decider) => (
            format!("it is skipped when the decision of `{decider}` does not lead here"),
            format!(
                "to make that explicit, add a line `Otherwise → end` or `Otherwise → Step Title` below the `If` of `{decider}`"
            ),
        ),
        Absence::Skipped(decider) => (
            format!("a decision of `{decider}` may skip it"),
            format!("or let `{decider}` skip `{title}`, too"),
        ),
    };
    let problem = Diagnostic::warning("runs-only-when", at, message).related(place, label);
    match way {
        Way::Taken => problem.help(format!("write `{value}?` to run without it; {other}")),
        Way::Asked(Some((span, right))) => {
            problem.help(format!("write `[when:: {right}]` to run without it; {other}")).maybe(span, right)
        }
        Way::Asked(None) => {
            problem.help(format!("ask whether `{value} is defined` to run without it; {other}"))
        }
    }
}

/// A step with an order after `first`, which a condition may exclude; `place` is the excluded step.
pub fn runs_anyway(at: Span, title: &str, first: &str, place: Span, why: &Absence) -> Diagnostic {
    let (label, excluded) = match why {
        Absence::When(condition) => {
            (format!("it is skipped unless `{condition}`"), format!("`[when:: {condition}]` in `{title}`"))
        }
        Absence::Unless(decider) => (
            format!("it is skipped when the decision of `{decider}` does not lead here"),
            format!("`[when:: …]` with that condition in `{title}`"),
        ),
        Absence::Optional | Absence::Skipped(_) => {
            ("a decision may skip it".to_owned(), format!("`[when:: …]` in `{title}`"))
        }
    };
    let message = format!("`{title}` runs even if a condition excludes `{first}`, which it only waits for");
    Diagnostic::warning("runs-anyway", at, message)
        .related(place, label)
        .help(format!("write {excluded} to exclude it, too, or `[after:: {first}?]` if it runs in any case"))
        .maybe(at, format!("{first}?"))
}

/// A step with effects beside one to which a decision leads; `made` is the output of that one.
pub fn does_not_wait(at: Span, title: &str, guarded: (&str, Span), made: Option<&str>) -> Diagnostic {
    let (guarded, place) = guarded;
    let message = format!("`{title}` may run before `{guarded}`, or although `{guarded}` fails");
    let taken = made.map(|made| format!(", or take `{made}?`")).unwrap_or_default();
    Diagnostic::warning("does-not-wait", at, message)
        .related(place, "a decision leads here; it orders this step alone")
        .help(format!("write [after:: {guarded}?] in `{title}`{taken}, to wait for it where it runs; [effects:: none] if `{title}` changes nothing"))
}

/// A step with effects beside a critical one that is above it. `later` and `critical` are titles, with numbers where
/// the document has them; `made` is what the critical step makes, and whether it is true or false.
pub fn beside_critical(
    at: Span,
    later: &str,
    critical: (&str, &str, Span),
    made: Option<(&str, bool)>,
    value: &str,
) -> Diagnostic {
    let (shown, title, place) = critical;
    let message = format!("`{later}` does not wait for `{shown}`, which is critical");
    let take = match made {
        Some((made, true)) => format!(", or [when:: {made}] to run only if it is true"),
        Some((made, false)) => format!(", or take `{made}`"),
        None => String::new(),
    };
    Diagnostic::warning("does-not-wait", at, message)
        .related(place, format!("both take `{value}` and run at the same time"))
        .help(format!(
            "write [after:: {title}] in `{later}`{take}; [effects:: none] if it changes nothing; put both in a group marked `(parallel)` if this is intended"
        ))
}

/// Two conditions on one step that never both hold, each with its place.
pub fn never_holds(at: Span, title: &str, one: (String, Span), other: (String, Span)) -> Diagnostic {
    if one.0 == other.0 {
        let message = format!("`{title}` can never run: `{}` never holds", one.0);
        return Diagnostic::error("never-runs", at, message).help("change the condition, or remove the step");
    }
    let message = format!("`{title}` can never run: `{}` and `{}` never both hold", one.0, other.0);
    let start = Diagnostic::error("never-runs", at, message);
    let places = [one, other].into_iter().filter(|(_, place)| *place != at);
    places
        .fold(start, |start, (condition, place)| start.related(place, format!("`{condition}` decides here")))
        .help("change one of the conditions, or let the decision lead to another step")
}

/// A critical step that does not run if the step of another warning does not.
pub fn critical_behind(warning: Diagnostic, title: &str, place: Span) -> Diagnostic {
    warning.related(place, format!("`{title}` is critical and does not run then either"))
}

/// A compensation that takes a value that the compensated step does not have; `known` are the values that it has.
pub fn compensation_lacks(
    at: Span,
    title: &str,
    values: &[&str],
    undone: &str,
    undone_at: Span,
    known: &[&str],
) -> Diagnostic {
    let values: Vec<String> = values.iter().take(PLACES).map(|value| format!("`{value}`")).collect();
    let message = format!("`{title}` needs {}, which `{undone}` neither takes nor makes", values.join(", "));
    let known = match known {
        [] => format!("`{undone}` takes and makes nothing"),
        known => format!("`{undone}` has {}", known.join(", ")),
    };
    Diagnostic::warning("compensation-lacks", at, message)
        .related(undone_at, "the step that is compensated")
        .help(format!("a compensation gets what its step takes and makes; {known}"))
}

/// A compensation that takes a value that the compensated step may lack.
pub fn compensation_may_lack(at: Span, by: &str, values: &[&str], step: &str, may: Span) -> Diagnostic {
    let all = |mark: &str| {
        let names = values.iter().take(PLACES).map(|value| format!("`{value}{mark}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let message = format!("{} may be absent, and `{by}` gets null then", all(""));
    Diagnostic::warning("compensation-may-lack", at, message)
        .related(may, format!("`{step}` can do without it"))
        .help(format!("write {} here, and let `{by}` do without it, too", all("?")))
}
