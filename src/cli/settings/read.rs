//! TOML text to settings, with every problem at its place.

use super::{
    Agent, AgentEffects, McpServer, Origin, Provider, Reach, Secret, Settings, coder, providers, services,
};
use crate::adapter::channel::NATS;
use crate::adapter::http::{AUTHORIZATION, Url};
use crate::adapter::worker::MOST;
use crate::diag::{Diagnostic, Source, Span, catalogue};
use crate::value::nearest;
use crate::value::words::excerpt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) const TOP: [&str; 5] = ["fences", "agents", "channels", "providers", "notify"];
pub(super) const AGENT: [&str; 25] = [
    "command",
    "worker",
    "processes",
    "container",
    "http",
    "start",
    "paths",
    "mcp",
    "tool",
    "key",
    "headers",
    "model",
    "acp",
    "preset",
    "folder",
    "allow",
    "ask",
    "mode",
    "instructions",
    "max-tokens",
    "concurrency",
    "env",
    "secrets",
    "effects",
    "idempotent",
];
/// Of them, the ways to call an agent.
pub(super) const WAYS: [&str; 8] =
    ["command", "worker", "container", "http", "mcp", "model", "acp", "preset"];
/// Known to the language, but not yet to this program.
const LATER: [&str; 1] = ["document"];
/// The keys whose values are texts without secrets.
const TEXTS: [&str; 8] = ["model", "http", "preset", "mode", "folder", "instructions", "tool", "url"];

/// The most problems that are shown one by one: a text with more is most likely not a settings file.
const MOST_PROBLEMS: usize = 100;

/// Reads the text of the file. The problems are in the order in which they were found.
pub fn read(source: &Source) -> (Settings, Vec<Diagnostic>) {
    read_as(source, NATS)
}

/// The same as [`read`], for a build with or without channels of NATS.
pub(super) fn read_as(source: &Source, nats: bool) -> (Settings, Vec<Diagnostic>) {
    let (settings, mut problems) = whole(source, nats);
    if problems.len() > MOST_PROBLEMS {
        let rest = catalogue::too_many_problems(&problems.split_off(MOST_PROBLEMS));
        problems.push(rest);
    }
    (settings, problems)
}

fn whole(source: &Source, nats: bool) -> (Settings, Vec<Diagnostic>) {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let syntax = |error: &toml::de::Error| {
        let span = error.span().map_or(Span::new(0, 0), Span::from);
        catalogue::settings_syntax(span, error.message())
    };
    let mut reader = Reader {
        problems: errors.iter().map(syntax).collect(),
        providers: providers::common(),
        wrong: BTreeSet::new(),
        nats,
    };
    if !reader.problems.is_empty() {
        // The contents of malformed text would only cause misleading problems.
        return (Settings::default(), reader.problems);
    }
    let mut settings = Settings::default();
    // Agents name them, wherever their table is.
    for (_, value) in table.get_ref().iter().filter(|(key, _)| key.get_ref() == "providers") {
        reader.providers(value);
    }
    // The providers of a misspelt table are not unknown as well.
    let misspelt = |key: &str| !TOP.contains(&key) && nearest(key, TOP) == Some("providers");
    for (_, value) in table.get_ref().iter().filter(|(key, _)| misspelt(key.get_ref())) {
        let names = value.get_ref().as_table().into_iter().flat_map(|table| table.iter());
        reader.wrong.extend(names.map(|(name, _)| name.get_ref().to_string()));
    }
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            "fences" => settings.fences = reader.flag("fences", value).unwrap_or(false),
            "agents" => settings.agents = reader.named("agents", value, Reader::agent),
            "channels" => settings.channels = reader.named("channels", value, Reader::channel),
            "notify" => settings.notify = reader.notify(value),
            "providers" => {}
            _ => reader.unknown(key, &TOP),
        }
    }
    (settings, reader.problems)
}

pub(super) struct Reader {
    pub(super) problems: Vec<Diagnostic>,
    pub(super) providers: BTreeMap<String, Provider>,
    /// The providers whose tables have problems.
    pub(super) wrong: BTreeSet<String>,
    /// Whether channels of NATS were built.
    pub(super) nats: bool,
}

pub(super) type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
pub(super) type Item<'i> = Spanned<DeValue<'i>>;

impl Reader {
    pub(super) fn unknown(&mut self, key: &Key<'_>, known: &[&str]) {
        self.problems.push(catalogue::settings_unknown_key(key.span().into(), key.get_ref(), known));
    }

    pub(super) fn bad<T>(&mut self, key: &str, value: &Item<'_>, expected: &str) -> Option<T> {
        self.bad_because(key, value, expected, "")
    }

    /// `why` follows what was found, such as `: empty host`.
    pub(super) fn bad_because<T>(
        &mut self,
        key: &str,
        value: &Item<'_>,
        expected: &str,
        why: &str,
    ) -> Option<T> {
        let found = format!("{}{why}", found(value.get_ref()));
        let problem = catalogue::settings_bad_value(value.span().into(), key, expected, &found);
        let only = match value.get_ref().as_array().map(|list| list.iter().collect::<Vec<_>>()).as_deref() {
            Some([only]) if TEXTS.contains(&key) => only.get_ref().as_str(),
            _ => None,
        };
        self.problems.push(match only {
            Some(text) => problem.help(format!("write {key} = \"{}\"", excerpt(text))),
            None => problem,
        });
        None
    }

    /// A table without a key that it must have.
    pub(super) fn lacks(&mut self, table: &Key<'_>, key: &str, expected: &str) {
        self.problems.push(catalogue::settings_missing_key(table.span().into(), key, expected));
    }

    fn providers(&mut self, value: &Item<'_>) {
        let Some(table) = value.get_ref().as_table() else {
            self.bad::<()>("providers", value, "a table of names");
            return;
        };
        for (name, value) in table {
            let provider = match value.get_ref().as_table() {
                Some(table) => self.provider(name, table),
                None => self.bad(name.get_ref(), value, "a table"),
            };
            match provider {
                Some(provider) => drop(self.providers.insert(name.get_ref().to_string(), provider)),
                None => drop(self.wrong.insert(name.get_ref().to_string())),
            }
        }
    }

    fn named<T>(
        &mut self,
        key: &str,
        value: &Item<'_>,
        read: fn(&mut Self, &DeTable<'_>) -> T,
    ) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        let Some(table) = value.get_ref().as_table() else {
            self.bad::<()>(key, value, "a table of names");
            return all;
        };
        for (name, value) in table {
            match value.get_ref().as_table() {
                Some(table) => drop(all.insert(name.get_ref().to_string(), read(self, table))),
                None => drop(self.bad::<()>(name.get_ref(), value, "a table")),
            }
        }
        all
    }

    fn agent(&mut self, table: &DeTable<'_>) -> Agent {
        let mut agent = Agent::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if WAYS.contains(&name) && agent.reach.is_some() {
                self.problems.push(catalogue::settings_two_ways(key.span().into(), &WAYS));
            }
            match name {
                "command" => agent.reach = Some(Reach::Command(self.program("command", value))),
                "worker" => {
                    let command = self.program("worker", value);
                    agent.reach = Some(Reach::Worker { command, processes: 1 });
                }
                "http" => agent.reach = self.service(table, value),
                "container" => agent.reach = self.container(value),
                "mcp" => agent.reach = self.server(value),
                "model" => agent.reach = self.model(value),
                "acp" => agent.reach = Some(self.acp(value)),
                "preset" => agent.reach = self.preset(value),
                "processes" | "folder" | "allow" | "mode" | "tool" | "key" | "headers" | "instructions"
                | "max-tokens" | "start" | "paths" => {}
                "concurrency" => agent.concurrency = self.count("concurrency", value),
                "env" => {
                    let words = self.variables(value);
                    agent.may_lack =
                        words.iter().filter_map(|name| Some(name.strip_suffix('?')?.to_owned())).collect();
                    agent.env = words.iter().map(|name| name.trim_end_matches('?').to_owned()).collect();
                }
                "secrets" => agent.secrets = self.secrets(value),
                "ask" => agent.ask = self.flag("ask", value).unwrap_or_default(),
                "effects" => agent.effects = self.effects(value),
                "idempotent" => agent.idempotent = self.flag("idempotent", value),
                later if LATER.contains(&later) => {
                    self.problems.push(catalogue::settings_not_supported(key.span().into(), later));
                }
                _ => self.unknown(key, &AGENT),
            }
        }
        self.of_ways(table, &mut agent);
        if matches!(agent.reach, Some(Reach::Model { .. })) {
            // It writes text and does nothing.
            agent.effects.all.get_or_insert(false);
        }
        agent
    }

    /// The keys that belong to one way of calling an agent.
    fn of_ways(&mut self, table: &DeTable<'_>, agent: &mut Agent) {
        let is_elsewhere = match &agent.reach {
            Some(Reach::Mcp { server: McpServer::Http { .. }, .. }) => true,
            Some(Reach::Http { start, .. }) if !start.is_empty() => false,
            _ => table.contains_key("http") || table.contains_key("model"),
        };
        for (key, value) in table {
            let way = match key.get_ref().as_ref() {
                "processes" => "worker",
                own if services::KEYS.contains(&own) => "http",
                "tool" => "mcp",
                "key" | "headers" if is_elsewhere && table.contains_key("mcp") => "mcp",
                "key" | "headers" => "http",
                "instructions" if coder::is_one(table) => continue,
                "instructions" | "max-tokens" => "model",
                "ask" if table.contains_key("mcp") || coder::is_one(table) => continue,
                "ask" => "acp`, `preset` or `mcp",
                own if coder::KEYS.contains(&own) && !coder::is_one(table) => "acp` or `preset",
                "env" if is_elsewhere => "command",
                _ => continue,
            };
            if matches!(key.get_ref().as_ref(), "key" | "headers") && table.contains_key("model") {
                self.problems.push(catalogue::settings_model_key(key.span().into(), key.get_ref()));
            } else if !table.contains_key(way) {
                self.problems.push(catalogue::settings_idle_key(key.span().into(), key.get_ref(), way));
            }
            match (key.get_ref().as_ref(), &mut agent.reach) {
                ("processes", Some(Reach::Worker { processes, .. })) => {
                    *processes = self.count_to("processes", value, MOST).unwrap_or(1);
                }
                (
                    "key",
                    Some(
                        Reach::Http { headers, .. }
                        | Reach::Mcp { server: McpServer::Http { headers, .. }, .. },
                    ),
                ) => {
                    headers.extend(self.key(value).map(|key| (AUTHORIZATION, key)));
                }
                (
                    "headers",
                    Some(
                        Reach::Http { headers, .. }
                        | Reach::Mcp { server: McpServer::Http { headers, .. }, .. },
                    ),
                ) => headers.extend(self.headers(value)),
                ("tool", Some(Reach::Mcp { tool, .. })) => {
                    let name = value.get_ref().as_str().filter(|name| !name.is_empty()).map(str::to_owned);
                    *tool = name.or_else(|| self.bad("tool", value, "the name of one of the server's tools"));
                }
                ("instructions", Some(Reach::Model { system, .. })) => {
                    let path = value.get_ref().as_str().map(PathBuf::from);
                    *system = path.or_else(|| self.bad("instructions", value, "the path of a file"));
                }
                ("max-tokens", reach) => {
                    let most = self.count_to("max-tokens", value, u32::MAX as usize);
                    if let (Some(Reach::Model { max_tokens, .. }), Some(most)) = (reach, most) {
                        *max_tokens = u32::try_from(most).unwrap_or(u32::MAX);
                    }
                }
                _ => {}
            }
        }
        if let Some(Reach::Coder(coder)) = &mut agent.reach {
            self.coder(table, coder);
            if let Some((key, _)) = table.get_key_value("ask").filter(|_| coder.headless.is_some()) {
                self.problems.push(catalogue::settings_idle_key(key.span().into(), "ask", "mode = \"acp\""));
            }
        }
        let headers = match &agent.reach {
            Some(
                Reach::Http { headers, .. } | Reach::Mcp { server: McpServer::Http { headers, .. }, .. },
            ) => headers,
            Some(Reach::Model { provider, .. }) => &provider.headers,
            Some(
                Reach::Command(_)
                | Reach::Worker { .. }
                | Reach::Coder(_)
                | Reach::Container { .. }
                | Reach::Mcp { server: McpServer::Program(_), .. },
            )
            | None => return,
        };
        let sent = |name: &str| headers.iter().any(|(_, header)| header.secret.as_deref() == Some(name));
        // A program that orderflow starts has them as variables.
        let is_started = matches!(&agent.reach, Some(Reach::Http { start, .. }) if !start.is_empty());
        let idle = agent.secrets.iter().find(|secret| !is_started && !sent(&secret.name));
        let key = table.iter().find(|(key, _)| key.get_ref() == "secrets");
        if let (Some(idle), Some((key, _))) = (idle, key) {
            self.problems.push(catalogue::settings_idle_secret(key.span().into(), &idle.name));
        }
        for name in headers.iter().filter_map(|(_, header)| header.secret.as_ref()) {
            if !agent.secrets.iter().any(|known| known.name == *name) {
                agent.secrets.push(Secret { name: name.clone(), from: Origin::Environment(name.clone()) });
            }
        }
    }

    pub(super) fn url(&mut self, key: &str, value: &Item<'_>) -> Option<Url> {
        let expected = "an address that begins with http:// or https://, without a user or a password";
        let Some(text) = value.get_ref().as_str() else { return self.bad(key, value, expected) };
        let why = match Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                format!(", whose scheme is \"{}\"", excerpt(url.scheme()))
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                ", with a user or a password: use key or headers".to_owned()
            }
            Ok(url) => return Some(url),
            Err(_) if !text.contains("://") => ", without a scheme".to_owned(),
            Err(error) => format!(": {error}"),
        };
        self.bad_because(key, value, expected, &why)
    }

    fn effects(&mut self, value: &Item<'_>) -> AgentEffects {
        let Some(phases) = value.get_ref().as_table() else {
            let expected = "true, false, or a table such as { CheckStock = false }";
            let all = value.get_ref().as_bool().or_else(|| self.bad("effects", value, expected));
            return AgentEffects { all, of: BTreeMap::new() };
        };
        let said = phases.iter().filter_map(|(phase, value)| {
            let phase = phase.get_ref().as_ref();
            Some((phase.to_owned(), self.flag(phase, value)?))
        });
        AgentEffects { all: None, of: said.collect() }
    }

    pub(super) fn flag(&mut self, key: &str, value: &Item<'_>) -> Option<bool> {
        value.get_ref().as_bool().or_else(|| self.bad(key, value, "true or false"))
    }

    pub(super) fn count(&mut self, key: &str, value: &Item<'_>) -> Option<usize> {
        let number = value.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
        number.filter(|number| *number > 0).or_else(|| self.bad(key, value, "a whole number above 0"))
    }

    fn count_to(&mut self, key: &str, value: &Item<'_>, most: usize) -> Option<usize> {
        match self.count(key, value)? {
            count if count <= most => Some(count),
            _ => self.bad(key, value, &format!("a whole number of at most {most}")),
        }
    }

    /// Names of variables; each may have a `?` behind it.
    pub(super) fn variables(&mut self, value: &Item<'_>) -> Vec<String> {
        let words = self.words("env", value);
        for item in value.get_ref().as_array().into_iter().flatten() {
            let Some(text) = item.get_ref().as_str() else { continue };
            let name = text.strip_suffix('?').unwrap_or(text);
            if !name.is_empty() && !name.contains(['=', '?']) {
                continue;
            }
            self.bad::<()>("env", item, "a list of names of variables, such as [\"PAYMENT_URL\"]");
            let bare: String = name.chars().take_while(|c| !matches!(c, '=' | '?')).collect();
            if let Some(problem) = self.problems.pop() {
                let help = match bare.trim() {
                    "" => "remove it".to_owned(),
                    bare => format!("write \"{bare}\": its value is that of orderflow's own environment"),
                };
                self.problems.push(problem.help(help));
            }
        }
        words
    }

    pub(super) fn program(&mut self, key: &str, value: &Item<'_>) -> Vec<String> {
        let words = self.words(key, value);
        if value.get_ref().as_array().is_some_and(|words| words.is_empty()) {
            self.bad::<()>(key, value, "a list that begins with a program");
        }
        words
    }

    /// Completes the last problem: a command line in one text, as a list.
    pub(super) fn show_list(&mut self, key: &str, value: &Item<'_>) {
        let Some(text) = value.get_ref().as_str() else { return };
        let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        if let Some(problem) = self.problems.pop() {
            self.problems.push(problem.help(format!("write {key} = [{}]", words.join(", "))));
        }
    }

    pub(super) fn words(&mut self, key: &str, value: &Item<'_>) -> Vec<String> {
        let Some(list) = value.get_ref().as_array() else {
            self.bad::<()>(key, value, "a list of strings");
            self.show_list(key, value);
            return Vec::new();
        };
        let mut words = Vec::new();
        for word in list {
            match word.get_ref().as_str() {
                // Programs cannot get it.
                Some(text) if text.contains('\0') => {
                    self.bad::<()>(key, word, "a list of strings without NUL characters");
                }
                Some(text) => words.push(text.to_owned()),
                None => drop(self.bad::<()>(key, word, "a list of strings")),
            }
        }
        words
    }

    pub(super) fn rate(&mut self, value: &Item<'_>) -> Option<f64> {
        let expected = "a number of starts in a time, such as \"50/s\", \"10/m\" or \"100/h\"";
        let rate = value.get_ref().as_str().and_then(per_second);
        rate.or_else(|| self.bad("rate", value, expected))
    }
}

/// A value as a message shows it: itself, if it is short, else its type.
pub(super) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", excerpt(text)),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
        other => format!("a value of the type {}", other.type_str()),
    }
}

fn per_second(text: &str) -> Option<f64> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let count: f64 = count.trim().parse().ok()?;
    (count.is_finite() && count > 0.0).then_some(count / seconds)
}
