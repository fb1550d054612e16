//! The settings of a run's agents, as its journal stores them: what may explain another result, and no secrets.

use super::super::settings::{Agent, McpServer, Reach, Settings, without_keys};
use super::bind::{Doer, Doers};
use crate::adapter::http::Url;
use crate::adapter::redact::Redactor;
use crate::history::StoredAgent;
use std::collections::BTreeMap;

/// The most agents, and the most characters of a setting.
const MOST: usize = 200;
const LONGEST: usize = 300;

/// The agents of all steps, by name.
pub fn agents(doers: &Doers<'_>, settings: &Settings, redactor: &Redactor) -> Vec<StoredAgent> {
    let mut known: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for (step, doer) in doers.children.iter().flatten().chain(&doers.steps) {
        let Some((name, agent)) = settings.bound(step.agent.as_deref()) else { continue };
        if !known.contains_key(name) && known.len() < MOST {
            known.insert(name, described(agent, doer));
        }
    }
    let stored = known.into_iter().map(|(name, mut settings)| {
        settings.retain(|_, text| !text.is_empty());
        for text in settings.values_mut() {
            redactor.text(text);
            *text = text.chars().take(LONGEST).collect();
        }
        StoredAgent { name: name.to_owned(), settings }
    });
    stored.collect()
}

fn described(agent: &Agent, doer: &Doer<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, text: String| drop(all.insert(name.to_owned(), text));
    match &agent.reach {
        None => {}
        Some(Reach::Command(command)) => set("command", without_keys(command)),
        Some(Reach::Worker { command, processes }) => {
            set("worker", without_keys(command));
            set("processes", processes.to_string());
        }
        Some(Reach::Container { image, command, network, .. }) => {
            set("image", image.clone());
            set("command", without_keys(command));
            set("network", network.to_string());
        }
        Some(Reach::Http { url, urls, start, .. }) => {
            set("http", bare(url));
            set("start", without_keys(start));
            let urls = urls.iter().map(|(step, url)| format!("{step}: {}", bare(url)));
            set("urls", urls.collect::<Vec<_>>().join(", "));
        }
        Some(Reach::Mcp { server, tool }) => {
            match server {
                McpServer::Program(command) => set("mcp", without_keys(command)),
                McpServer::Http { url, .. } => set("mcp", bare(url)),
            }
            set("tool", tool.clone().unwrap_or_default());
        }
        Some(Reach::Model { name, provider, system, max_tokens }) => {
            set("model", name.clone());
            set("url", bare(&provider.url));
            set("max_tokens", max_tokens.to_string());
            let file = system.as_ref().map(|file| file.display().to_string());
            if let Doer::Model { system: Some(text), .. } = doer {
                set("system", versioned(&file.unwrap_or_default(), text));
            }
        }
        Some(Reach::Coder(coder)) => {
            set("coding agent", without_keys(&coder.command));
            set("mode", if coder.headless.is_some() { "headless" } else { "acp" }.to_owned());
            set("work", format!("{:?}", coder.work).to_lowercase());
            set("allow", coder.allow.join(", "));
            let file = coder.instructions.as_ref().map(|file| file.display().to_string());
            if let Doer::Coder { instructions: Some(text), .. } = doer {
                set("instructions", versioned(&file.unwrap_or_default(), text));
            }
        }
    }
    set("env", agent.env.join(", "));
    let secrets = agent.secrets.iter().map(|secret| secret.name.clone());
    set("secrets", secrets.collect::<Vec<_>>().join(", "));
    set("concurrency", agent.concurrency.map(|most| most.to_string()).unwrap_or_default());
    all
}

/// A file with a sign of its text, so that another text is seen.
fn versioned(file: &str, text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{file} ({})", &hash[..8])
}

/// An address without a user, a password and a query.
fn bare(url: &Url) -> String {
    let text = url.to_string();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or_default())
        }
        None => text.to_owned(),
    }
}
