//! Agents that were set otherwise when another run began.

use crate::diag::render::visible;
use crate::history::{History, StoredAgent};
use std::collections::BTreeSet;

/// The most characters of a setting that are shown.
const SHOWN: usize = 80;

/// What `history` has otherwise than the run whose agents were `then`, a line for each agent, such as
/// `agent reviewer: model openai/a → openai/b`; `None` if one of the runs has not stored them.
pub fn changed(then: Option<&[StoredAgent]>, history: &History) -> Option<Vec<String>> {
    Some(differences(then?, history.options.agents.as_deref()?))
}

fn differences(then: &[StoredAgent], now: &[StoredAgent]) -> Vec<String> {
    let of = |agents: &'_ [StoredAgent], name: &str| agents.iter().position(|agent| agent.name == name);
    let names: BTreeSet<&str> = then.iter().chain(now).map(|agent| &*agent.name).collect();
    let line = |name: &str| {
        let differs = match (of(then, name), of(now, name)) {
            (Some(then_at), Some(now_at)) => settings(then.get(then_at)?, now.get(now_at)?)?,
            (None, _) => "only now".to_owned(),
            (_, None) => "only then".to_owned(),
        };
        Some(format!("agent {}: {differs}", visible(name)))
    };
    names.into_iter().filter_map(line).collect()
}

/// `None` if they are alike.
fn settings(then: &StoredAgent, now: &StoredAgent) -> Option<String> {
    let names: BTreeSet<&String> = then.settings.keys().chain(now.settings.keys()).collect();
    let shown = |agent: &StoredAgent, name: &String| match agent.settings.get(name) {
        None => "none".to_owned(),
        Some(text) if text.chars().count() > SHOWN => {
            visible(&text.chars().take(SHOWN).collect::<String>()) + "…"
        }
        Some(text) => visible(text),
    };
    let differing = names.into_iter().filter(|name| then.settings.get(*name) != now.settings.get(*name));
    let parts: Vec<String> = differing
        .map(|name| format!("{} {} → {}", visible(name), shown(then, name), shown(now, name)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_differs_is_named() {
        let agent = |name: &str, settings: &[(&str, &str)]| StoredAgent {
            name: name.into(),
            settings: settings.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
        };
        let then = [
            agent("old", &[("command", "sh a.sh")]),
            agent("reviewer", &[("model", "openai/1.3"), ("max_tokens", "1000"), ("system", "a.md (1f)")]),
            agent("same", &[("command", "sh b.sh")]),
        ];
        let long = "x".repeat(100);
        let now = [
            agent("reviewer", &[("model", "openai/1.4"), ("max_tokens", "1000"), ("url", &long)]),
            agent("same", &[("command", "sh b.sh")]),
            agent("writer", &[]),
        ];
        let cut = "x".repeat(80);
        assert_eq!(
            differences(&then, &now),
            [
                "agent old: only then".to_owned(),
                format!(
                    "agent reviewer: model openai/1.3 → openai/1.4, system a.md (1f) → none, url none → {cut}…"
                ),
                "agent writer: only now".to_owned(),
            ]
        );
        assert_eq!(differences(&now, &now), [""; 0]);
    }
}
