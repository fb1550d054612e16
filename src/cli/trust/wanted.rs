//! What the programs inside a document request: to run, and to get some variables. Knows nothing of where grants are
//! stored.

use super::super::document::Document;
use super::super::settings::Settings;
use crate::diag::render::visible;
use crate::graph::{Graph, Step};
use crate::spec::Program;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// The programs that would run, in the order of their steps.
pub struct Wanted<'a> {
    document: &'a Document,
    programs: Vec<(&'a Step, &'a Program)>,
    asks: RequestedNames,
}

/// The variables and secrets that every program of a document gets, by name, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedNames {
    pub env: Vec<String>,
    pub secrets: Vec<String>,
}

impl RequestedNames {
    pub fn of(graph: &Graph) -> RequestedNames {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.dedup();
            names
        };
        RequestedNames { env: sorted(&graph.settings.env), secrets: sorted(&graph.settings.secrets) }
    }

    /// All names as one list.
    pub fn names(&self) -> String {
        let secrets = self.secrets.iter().map(|name| format!("{name} (secret)"));
        exact(&self.env.iter().cloned().chain(secrets).collect::<Vec<_>>().join(", "))
    }
}

/// The hash of all that a step's program depends on except its inputs, in hex; including its agent, whose secrets it
/// gets. `None` if the step has no program.
pub fn digest(step: &Step, asks: &RequestedNames) -> Option<String> {
    let program = step.program.as_ref()?;
    let all = serde_json::json!([program.language.value, program.source, step.agent, asks]);
    Some(blake3::hash(all.to_string().as_bytes()).to_hex().to_string())
}

/// Invisible characters: those that Unicode ignores or that only change adjacent ones, and the blank Braille pattern.
/// Some visible signs are among the second kind, too.
static HIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"[\p{Default_Ignorable_Code_Point}[\p{Cf}--\p{Prepended_Concatenation_Mark}]\x{2800}]").ok()
});

/// A text in which all characters are visible to the person who is asked.
fn exact(text: &str) -> String {
    let text = visible(text);
    match &*HIDDEN {
        Some(hidden) => hidden.replace_all(&text, "\u{fffd}").into_owned(),
        None => text.replace(|c: char| !c.is_ascii(), "\u{fffd}"),
    }
}

impl<'a> Wanted<'a> {
    pub fn of(document: &'a Document, graph: &'a Graph, settings: &Settings) -> Self {
        let own = |step: &&Step| settings.bound(step.agent.as_deref()).is_none();
        let steps = graph.steps.iter().filter(own);
        let programs = steps.filter_map(|step| Some((step, step.program.as_ref()?))).collect();
        Wanted { document, programs, asks: RequestedNames::of(graph) }
    }

    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// The path of the document.
    pub fn path(&self) -> &std::path::Path {
        self.document.path()
    }

    pub fn asks(&self) -> &RequestedNames {
        &self.asks
    }

    /// For each program its step's title, its language and its hash.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.programs.iter().filter_map(|(step, program)| {
            Some((step.title.as_str(), program.language.value.as_str(), digest(step, &self.asks)?))
        })
    }

    /// Every program in full, so that the user sees what the answer is about.
    pub fn text(&self) -> String {
        let name = exact(&self.document.source.name);
        let program = |(step, program): &(&Step, &Program)| {
            let lines: String = program.source.lines().map(|line| format!("    {}\n", exact(line))).collect();
            let (title, language) = (exact(&step.title), exact(&program.language.value));
            let agent = step.agent.as_ref().map(|agent| format!(" as @{}", exact(agent))).unwrap_or_default();
            format!("  {name}:{}: {title} ({language}){agent}\n{lines}", step.line)
        };
        let names = self.asks.names();
        let knowing = if names.is_empty() { String::new() } else { format!(", knowing {names}") };
        let programs: String = self.programs.iter().map(program).collect();
        format!("programs in this document want to run{knowing}:\n{programs}")
    }
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn what_shows_as_nothing_is_shown() {
        assert!(super::HIDDEN.is_some());
        let hidden = "\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{180e}\u{200b}\u{200d}\u{2060}\u{206a}\u{2800}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1bca0}\u{1d173}\u{e0041}";
        let shown = exact(hidden);
        assert_eq!(shown, "\u{fffd}".repeat(hidden.chars().count()));
        for same in ["plain", "p\u{e4}ckchen", "e\u{301}", "\u{915}\u{93f}", "\u{600}1", "\u{1f511} \u{4e2d}"]
        {
            assert_eq!(exact(same), same);
        }
    }
}
