//! The secrets that `orderflow.toml` gives to agents, read from their sources. Knows nothing of how they are passed
//! on, and never shows one.

use super::super::exit::{Exit, Stop};
use super::super::settings::{Origin, Secret, Settings};
use super::super::terminal::Terminal;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::disk::Named;
use crate::value::words;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

/// The largest secret, in bytes: it is passed in an environment.
const LARGEST: usize = 64 * 1024;

/// Values by agent and name.
#[derive(Default)]
pub struct Secrets(BTreeMap<(String, String), String>);

impl Secrets {
    /// Reads the named secrets of the named agents.
    ///
    /// # Errors
    /// Stops after showing all that are missing.
    pub fn fetch(
        wanted: &BTreeSet<(&str, &Secret)>,
        settings: &Settings,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Secrets> {
        let mut secrets = Secrets::default();
        let mut missing = Vec::new();
        for (agent, secret) in wanted {
            match value(secret, &settings.folder) {
                Ok(value) => {
                    secrets.0.insert(((*agent).to_owned(), secret.name.clone()), value);
                }
                Err(why) => {
                    missing.push(format!("  {}: {} {}\n", visible(agent), secret.name, visible(&why)))
                }
            }
        }
        if missing.is_empty() {
            return Ok(secrets);
        }
        terminal.talk(&format!("agents cannot get their secrets:\n{}", missing.concat()));
        let are = words::by_count(missing.len(), "is", "are");
        let count = words::count(missing.len(), "secret");
        let file = visible(&settings.path().display().to_string());
        Err(Stop::new(Exit::Invalid, format!("{count} {are} missing; nothing was run"))
            .help(format!("set them in the environment of this command, or name their places in {file}, such as secrets = {{ KEY = \"file:/run/secrets/key\" }}"))
            .into())
    }

    /// The environment variables for these secrets.
    pub fn variables(&self, given: Vec<(&str, &Secret)>) -> impl Iterator<Item = (String, OsString)> {
        given.into_iter().filter_map(|(agent, secret)| {
            let value = self.0.get(&(agent.to_owned(), secret.name.clone()))?;
            Some((secret.name.clone(), value.clone().into()))
        })
    }

    /// The secret that an agent has by this name.
    pub fn value(&self, agent: &str, name: &str) -> Option<&str> {
        self.0.get(&(agent.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// A redactor for all of them. If two agents have different secrets of one name, the names include the agents.
    pub fn redactor(&self) -> Redactor {
        let named = |((agent, name), value): (&(String, String), &String)| {
            let other = self.0.iter().any(|((_, known), other)| known == name && other != value);
            (if other { format!("{name} of {agent}") } else { name.clone() }, value.clone())
        };
        let all: BTreeMap<String, String> = self.0.iter().map(named).collect();
        Redactor::new(all.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// Whether a secret exists, as far as visible without reading it.
pub fn is_there(secret: &Secret, folder: &Path) -> bool {
    match &secret.from {
        Origin::Environment(name) => std::env::var_os(name).is_some_and(|value| !value.is_empty()),
        Origin::File(path) => Named::by_document(folder, path).about().is_ok_and(|about| !about.is_dir()),
    }
}

/// The secret, or why it is missing.
pub(super) fn value(secret: &Secret, folder: &Path) -> Result<String, String> {
    let value = match &secret.from {
        Origin::Environment(name) => match std::env::var(name) {
            Ok(value) => value,
            Err(std::env::VarError::NotPresent) => {
                return Err(match *name == secret.name {
                    true => "is not set in the environment".to_owned(),
                    false => format!("is to be {name}, which is not set in the environment"),
                });
            }
            Err(std::env::VarError::NotUnicode(_)) => return Err("is not UTF-8".to_owned()),
        },
        Origin::File(path) => read(&Named::by_document(folder, path))?,
    };
    match value {
        value if value.is_empty() => Err("is empty".to_owned()),
        value if value.contains('\0') => Err("holds a NUL".to_owned()),
        value => Ok(value),
    }
}

/// A file's text without its final newline.
fn read(named: &Named) -> Result<String, String> {
    let bytes = named.read(LARGEST).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => format!("is larger than {} KiB", LARGEST >> 10),
        _ => format!("cannot be read from {}: {error}", named.path().display()),
    })?;
    let mut text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.truncate(text.len() - if text.ends_with("\r\n") { 2 } else { 1 });
    }
    Ok(text)
}
