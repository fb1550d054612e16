//! Problems of `orderflow.toml`.

use crate::diag::{Diagnostic, Span, nearest};
use crate::value::words;

/// The kinds of agents, each by its key.
const KINDS: &str = "bind it to a program (command, worker, container), a service (http), a tool (mcp), a model (model) or a coding agent (acp, preset), such as command = [\"python3\", \"agent.py\"]";

pub fn settings_syntax(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("settings-syntax", span, message.trim().to_owned())
}

pub fn settings_unknown_key(span: Span, key: &str, known: &[&str]) -> Diagnostic {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    let swapped = known.iter().copied().find(|known| letters(known) == letters(key));
    let is_provider = known.contains(&"url");
    let meant = match key.replace('_', "-").as_str() {
        "cmd" | "args" | "program" if known.contains(&"command") => {
            Some("write command = [\"program\", \"argument\"]")
        }
        "image" if known.contains(&"container") => Some("write container = { image = \"…\" }"),
        "base-url" | "endpoint" if is_provider => Some("did you mean `url`?"),
        "api-key" if is_provider => Some("did you mean `key`?"),
        "base-url" | "endpoint" | "url" if known.contains(&"model") => {
            Some("the address of a model is `url` in [providers.NAME], that of a service is `http`")
        }
        "api-key" if known.contains(&"model") => {
            Some("the key of a model is `key` in [providers.NAME], that of a service is `key`")
        }
        "temperature" | "top-p" | "top-k" | "seed" | "stop" | "options" if known.contains(&"model") => {
            Some("of a model only `max-tokens` can be set; it has its provider's defaults otherwise")
        }
        "temperature" | "top-p" | "top-k" | "max-tokens" | "model" | "models" if is_provider => {
            Some("a model and its max-tokens are set in [agents.NAME]")
        }
        "system" | "system-prompt" | "prompt" if known.contains(&"model") => {
            Some("the system prompt is a file: instructions = \"agent.md\"")
        }
        "timeout" if known.contains(&"model") => Some("write [timeout:: 30s] at the step"),
        "retry" | "retries" | "max-retries" if known.contains(&"model") => {
            Some("write [retry:: 3] at the step")
        }
        "provider" if known.contains(&"model") => Some("write model = \"provider/model\""),
        _ => None,
    };
    let help = match swapped.or_else(|| nearest(key, known.iter().copied())) {
        _ if meant.is_some() => meant.unwrap_or_default().to_owned(),
        Some(near) => words::did_you_mean(near),
        None => format!("known here: {}", known.join(", ")),
    };
    Diagnostic::error("settings-unknown-key", span, format!("unknown key `{key}`")).help(help)
}

/// `expected` completes "… must be …".
pub fn settings_bad_value(span: Span, key: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::error("settings-bad-value", span, format!("`{key}` must be {expected}"))
        .label(format!("found {found}"))
}

pub fn settings_not_supported(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error("settings-not-supported", span, format!("`{key}` is not supported yet")).help(KINDS)
}

/// `feature` names a feature of this program that it was built without, and its key.
pub fn settings_not_built(span: Span, feature: &str) -> Diagnostic {
    Diagnostic::error("settings-not-supported", span, format!("this orderflow was built without `{feature}`"))
        .help(format!("install it with cargo install --path . --features {feature}"))
}

/// `ways` are the conflicting keys that define how an agent is called.
pub fn settings_two_ways(span: Span, ways: &[&str]) -> Diagnostic {
    let quoted: Vec<String> = ways.iter().map(|way| format!("`{way}`")).collect();
    let (last, first) = quoted
        .split_last()
        .map_or((String::new(), String::new()), |(last, first)| (last.clone(), first.join(", ")));
    let message = format!("an agent is reached in one way: by {first} or {last}");
    Diagnostic::error("settings-two-ways", span, message).help(
        "command is started for every attempt; worker stays and speaks JSON-RPC; container is a program in an image; http is the address of a service; mcp is the command or address of a server with tools; model is the name of a provider and its model; acp or preset is a coding agent",
    )
}

/// A key that only works together with another one.
pub fn settings_idle_key(span: Span, key: &str, needs: &str) -> Diagnostic {
    let help = match key {
        "processes" => "a command is started for every attempt; limit those with concurrency".to_owned(),
        "folder" | "allow" | "mode" => {
            "it is for coding agents: acp = [\"opencode\", \"acp\"], or preset = \"claude\"".to_owned()
        }
        "ask" if needs.starts_with("mode") => {
            "a headless agent asks nothing: remove `ask`, or `mode`".to_owned()
        }
        "ask" => "it is for coding agents and tools of MCP servers, which may ask a person".to_owned(),
        "key" | "headers" => "programs get secrets as variables: secrets = [\"NAME\"]".to_owned(),
        _ => format!("remove `{key}`, or add `{needs}`"),
    };
    Diagnostic::error("settings-idle-key", span, format!("`{key}` needs `{needs}`")).help(help)
}

/// The key of a model's provider, in an agent's table.
pub fn settings_model_key(span: Span, key: &str) -> Diagnostic {
    let message = format!("`{key}` belongs to the provider of a model");
    Diagnostic::error("settings-idle-key", span, message).help(format!("write `{key}` in [providers.NAME]"))
}

/// A kind of tools that no coding agent has.
pub fn settings_unknown_tool(span: Span, tool: &str, known: &[&str]) -> Diagnostic {
    let meant = match tool {
        "write" => Some("edit"),
        "bash" | "shell" | "run" => Some("execute"),
        _ => None,
    };
    let help = match meant.or_else(|| nearest(tool, known.iter().copied())) {
        Some(near) => words::did_you_mean(near),
        None => format!("known here: {}", known.join(", ")),
    };
    Diagnostic::error("settings-bad-value", span, format!("unknown kind of tools `{tool}`")).help(help)
}

/// A secret of a service or a model that no header of its requests contains.
pub fn settings_idle_secret(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error("settings-idle-secret", span, format!("no request contains the secret `{name}`"))
        .help(format!("send it: key = \"secret:{name}\", or headers = {{ X-Api-Key = \"secret:{name}\" }}"))
}

/// A key that the file itself contains.
pub fn settings_clear_secret(span: Span, header: &str) -> Diagnostic {
    Diagnostic::warning(
        "settings-clear-secret",
        span,
        format!("the header `{header}` contains a secret in clear text"),
    )
    .help("put it in the environment and write secret:NAME, such as \"Bearer secret:API_KEY\"")
}

/// A table without a key that it must have; `expected` is what the key holds.
pub fn settings_missing_key(span: Span, key: &str, expected: &str) -> Diagnostic {
    Diagnostic::error("settings-missing-key", span, format!("`{key}` is missing"))
        .help(format!("add `{key}`: {expected}"))
}

/// A model of a provider that the file does not describe.
pub fn settings_unknown_provider<'a>(
    span: Span,
    provider: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let known: Vec<&str> = known.into_iter().collect();
    let help = match nearest(provider, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add [providers.{provider}] with its url, or use one of {}", known.join(", ")),
    };
    Diagnostic::error("settings-unknown-provider", span, format!("unknown provider `{provider}`")).help(help)
}

/// A step that neither an agent nor a program runs. `settings` is the path of `orderflow.toml`, whether or not it
/// exists.
pub fn unbound_step<'a>(
    heading: Span,
    agent: Option<&str>,
    known: impl IntoIterator<Item = &'a str>,
    settings: &str,
) -> Diagnostic {
    let known: Vec<&str> = known.into_iter().collect();
    let Some(agent) = agent else {
        return Diagnostic::error("unbound-step", heading, "this step has neither an agent nor a program")
            .help("name an agent in the heading, such as @agent, or add a ```sh run fence below it");
    };
    let help = match nearest(agent, known.iter().copied()) {
        _ if known.contains(&agent) => {
            format!("`[agents.{agent}]` in {settings} does not say how it is called: {KINDS}")
        }
        Some(near) => format!("orderflow.toml knows `{near}`; did you mean that?"),
        None => {
            format!("add [agents.{agent}] to {settings} and {KINDS}; or add a ```sh run fence below")
        }
    };
    let message = format!("the agent `{agent}` of this step has no program");
    Diagnostic::error("unbound-step", heading, message).help(help)
}

/// A program that must run and cannot.
pub fn unknown_language(span: Span, language: &str, known: &[&str]) -> Diagnostic {
    let message = format!("unknown language `{language}`");
    Diagnostic::error("unknown-language", span, message).help(languages(language, known))
}

/// A program that cannot run, in a step that an agent may run instead.
pub fn unknown_language_warned(span: Span, language: &str, known: &[&str]) -> Diagnostic {
    let message = format!("unknown language `{language}`");
    Diagnostic::warning("unknown-language", span, message).help(languages(language, known))
}

fn languages(language: &str, known: &[&str]) -> String {
    match nearest(language, known.iter().copied()) {
        Some(near) => words::did_you_mean(near),
        None => format!("known languages: {}", known.join(", ")),
    }
}

/// `searched` is where the program was searched.
pub fn missing_program(span: Span, agent: &str, program: &str, searched: &str) -> Diagnostic {
    Diagnostic::error("missing-program", span, format!("the program `{program}` of `{agent}` was not found"))
        .help(format!("looked for it in {searched}; is it installed and executable?"))
}

/// An agent that needs a repository with a commit to work in; `why` is the rest of a sentence.
pub fn no_repository(span: Span, agent: &str, why: &str) -> Diagnostic {
    let message = format!("`{agent}` works in a worktree, but {why}");
    Diagnostic::error("no-repository", span, message)
        .help("run `git init` and commit once, or set folder = \"copy\" or \"shared\" in orderflow.toml")
}

/// A container without a program that runs containers.
pub fn missing_engine(span: Span, agent: &str, engines: &[&str], searched: &str) -> Diagnostic {
    let message =
        format!("`{agent}` is a container, and {} was not found", words::or(engines.iter().map(words::code)));
    Diagnostic::error("missing-engine", span, message).help(format!(
        "looked for it in {searched}; install docker or podman, or bind the agent to a program"
    ))
}

/// The file with a model's system prompt.
pub fn unread_instructions(span: Span, agent: &str, why: &str) -> Diagnostic {
    Diagnostic::error(
        "unread-instructions",
        span,
        format!("the instructions of `{agent}` cannot be read: {why}"),
    )
    .help("`instructions` in orderflow.toml is a path relative to that file")
}

/// A budget in dollars for a model whose price is unknown.
pub fn unpriced_budget(span: Span, agents: &[String]) -> Diagnostic {
    let (s, has) = (words::by_count(agents.len(), "", "s"), words::by_count(agents.len(), "has", "have"));
    let names = words::and(agents.iter().map(words::code));
    let message = format!("this budget is in dollars, and the model{s} of {names} {has} no price");
    Diagnostic::warning("unpriced-budget", span, message).help(
        "their steps fail before the model is asked: add price = { input = …, output = … } to the provider in orderflow.toml",
    )
}

/// A step whose name is similar to one that the settings of its agent have for no step.
pub fn misspelt_phase(span: Span, phase: &str, (agent, key, near): (&str, &str, &str)) -> Diagnostic {
    let message =
        format!("`{key}` of the agent `{agent}` names {}, and no step has this name", words::code(near));
    Diagnostic::warning("misspelt-phase", span, message)
        .help(format!("write {} in orderflow.toml, if this step is meant", words::code(phase)))
}

/// A budget in dollars for a coding agent that reports no cost.
pub fn unreported_budget(span: Span, agents: &[String]) -> Diagnostic {
    let (s, reports) =
        (words::by_count(agents.len(), "", "s"), words::by_count(agents.len(), "reports", "report"));
    let names = words::and(agents.iter().map(words::code));
    let message = format!("this budget is in dollars, and the coding agent{s} {names} {reports} no cost");
    Diagnostic::warning("unpriced-budget", span, message).help(
        "nothing is spent from it by their steps: limit them in tokens, such as [budget:: 20000 tokens]",
    )
}

/// A channel without limits whose name is similar to that of one with limits.
pub fn misspelt_channel(span: Span, channel: &str, near: &str) -> Diagnostic {
    let message = format!("the channel `{channel}` is not in orderflow.toml and has no limits");
    Diagnostic::warning("misspelt-channel", span, message)
        .help(format!("did you mean #{near}? otherwise add [channels.{channel}] to orderflow.toml, empty if it needs no limits"))
}

/// A secret that the document uses and that none of its agents receives.
pub fn secret_not_given(span: Span, name: &str) -> Diagnostic {
    let message = format!("no agent of this document is given the secret `{name}`");
    Diagnostic::warning("secret-not-given", span, message)
        .help(format!("orderflow.toml gives it: secrets = [\"{name}\"] below the agent that needs it"))
}
