//! Keys of front matter that are not those of the language.

use super::plain;

/// Keys of front matter that say something to people or to other programs.
const REMARKS: [&str; 30] = [
    "name",
    "version",
    "owner",
    "owners",
    "author",
    "authors",
    "date",
    "created",
    "updated",
    "modified",
    "tags",
    "category",
    "categories",
    "status",
    "team",
    "license",
    "licence",
    "id",
    "slug",
    "layout",
    "lang",
    "language",
    "draft",
    "reviewers",
    "maintainer",
    "maintainers",
    "labels",
    "contact",
    "since",
    "summary",
];

/// What is said elsewhere than in front matter: names, and where it is said.
const ELSEWHERE: [(&[&str], &str); 13] = [
    (
        &["retry", "retries", "max-retries", "retry-policy", "attempts", "max-attempts", "backoff"],
        "each step has its own, as in `[retry:: 3]` in its heading",
    ),
    (
        &["timeout", "timeouts", "step-timeout"],
        "each step has its own, as in `[timeout:: 5m]` in its heading; `deadline` limits the time of an item",
    ),
    (
        &["on-failure", "on-fail", "on-error", "error-handler", "failure-handler", "fallback", "catch"],
        "a step that takes `failed_items` looks after all failed items, and `on-item-error` says whether the run continues",
    ),
    (
        &["compensate", "compensation", "compensations", "rollback", "saga"],
        "a step names the step that compensates it, as in `[compensate:: Refund Payment]`",
    ),
    (
        &["steps", "tasks", "stages", "phases", "workflow", "flow", "order"],
        "each heading with an agent is a step, as in `## Process Payment @payments`",
    ),
    (
        &["output", "outputs", "returns", "result", "results"],
        "what the steps make is known from their lines, as in `order → receipt::Receipt`",
    ),
    (
        &["approval", "approvals", "approvers", "gate", "gates"],
        "a step waits for a person with `> [!gate by @ops] May it go out?` below its heading",
    ),
    (&["types", "schema", "schemas", "definitions"], "types are in a section `## Types`"),
    (
        &["schedule", "cron", "every", "interval"],
        "orderflow starts runs when it is called; let cron, a timer or a job of CI call `orderflow run`",
    ),
    (
        &["on", "trigger", "triggers", "when", "if"],
        "orderflow starts runs when it is called; a step waits for an event with `[await:: order.paid]`, and runs under a condition with `[when:: paid]`",
    ),
    (
        &["model", "models", "provider", "temperature", "prompt", "system-prompt", "llm"],
        "a model is an agent, which `orderflow.toml` sets up, as in `[agents.writer]` with `model = \"…\"`",
    ),
    (
        &["agents", "workers", "services", "tools", "commands"],
        "each step names its agent, as in `@writer`, and `orderflow.toml` says what an agent is; `agent` is for all steps without one",
    ),
    (
        &["channel", "channels", "queue", "queues"],
        "each step names its channel, as in `#payments`, and `orderflow.toml` can limit it",
    ),
];

/// What is called by another name.
const OTHERS: [(&[&str], &str); 8] = [
    (&["parallel", "parallelism", "max-parallel", "concurrency", "max-concurrency", "max-jobs"], "jobs"),
    (&["input", "takes", "parameters", "params", "arguments", "args"], "inputs"),
    (&["item", "data", "source", "rows", "input-file", "items-file"], "items"),
    (
        &["max-failures", "tolerance", "allowed-failures", "failure-rate", "error-rate", "max-errors"],
        "tolerate",
    ),
    (&["max-time", "time-limit", "max-duration", "deadlines"], "deadline"),
    (&["secret", "credentials"], "secrets"),
    (&["environment", "variables", "vars"], "env"),
    (&["default-agent"], "agent"),
];

/// Where it is said what a key is meant as.
pub(in crate::spec) enum Elsewhere {
    /// By the key of this name.
    Key(&'static str),
    /// As these words describe.
    Said(&'static str),
}

/// What a key that the language does not have is meant as.
pub(in crate::spec) fn elsewhere(key: &str) -> Option<Elsewhere> {
    let key = plain(key);
    let find = |table: &[(&[&str], &'static str)]| {
        table.iter().find(|(names, _)| names.contains(&key.as_str())).map(|(_, right)| *right)
    };
    find(&OTHERS).map(Elsewhere::Key).or_else(|| find(&ELSEWHERE).map(Elsewhere::Said))
}

/// Whether a key of front matter is a remark, which belongs to a key that begins with `x-`.
pub(in crate::spec) fn is_remark(key: &str) -> bool {
    REMARKS.contains(&plain(key).as_str())
}
