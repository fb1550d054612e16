//! What the programs inside a document want: to run, and to know some variables. Knows nothing of where grants
//! are kept.

use super::super::document::Document;
use super::super::settings::Settings;
use crate::diag::render::visible;
use crate::graph::{Graph, Step};
use crate::spec::Program;
use serde::{Deserialize, Serialize};

/// The programs that would run, in the order of their steps.
pub struct Wanted<'a> {
    document: &'a Document,
    programs: Vec<(&'a Step, &'a Program)>,
    asks: Asks,
}

/// What every program of a document gets to know, by name, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    pub env: Vec<String>,
    pub secrets: Vec<String>,
}

impl Asks {
    pub fn of(graph: &Graph) -> Asks {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.dedup();
            names
        };
        Asks { env: sorted(&graph.settings.env), secrets: sorted(&graph.settings.secrets) }
    }

    /// All names as one list.
    pub fn names(&self) -> String {
        let secrets = self.secrets.iter().map(|name| format!("{name} (secret)"));
        visible(&self.env.iter().cloned().chain(secrets).collect::<Vec<_>>().join(", "))
    }
}

/// The hash of all that the run of a step's program depends on but its inputs, in hex: who runs it, too, for it gets that
/// agent's secrets. None where the step has no program.
pub fn digest(step: &Step, asks: &Asks) -> Option<String> {
    let program = step.program.as_ref()?;
    let all = serde_json::json!([program.language.value, program.source, step.agent, asks]);
    Some(blake3::hash(all.to_string().as_bytes()).to_hex().to_string())
}

/// A text in which nothing is hidden from whoever is asked: characters without width, too.
fn exact(text: &str) -> String {
    let without_width = |c: char| {
        matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
            || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
    };
    visible(text).chars().map(|c| if without_width(c) { '\u{fffd}' } else { c }).collect()
}

impl<'a> Wanted<'a> {
    pub fn of(document: &'a Document, graph: &'a Graph, settings: &Settings) -> Self {
        let own = |step: &&Step| settings.bound(step.agent.as_deref()).is_none();
        let steps = graph.steps.iter().filter(own);
        let programs = steps.filter_map(|step| Some((step, step.program.as_ref()?))).collect();
        Wanted { document, programs, asks: Asks::of(graph) }
    }

    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    pub fn asks(&self) -> &Asks {
        &self.asks
    }

    /// For each program its step's title, its language and its hash.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.programs.iter().filter_map(|(step, program)| {
            Some((step.title.as_str(), program.language.value.as_str(), digest(step, &self.asks)?))
        })
    }

    /// Every program whole, so that whoever is asked has seen what the answer is about.
    pub fn told(&self) -> String {
        let name = visible(&self.document.source.name);
        let told = |(step, program): &(&Step, &Program)| {
            let lines: String = program.source.lines().map(|line| format!("    {}\n", exact(line))).collect();
            let (title, language) = (exact(&step.title), exact(&program.language.value));
            let agent = step.agent.as_ref().map(|agent| format!(" as @{}", exact(agent))).unwrap_or_default();
            format!("  {name}:{}: {title} ({language}){agent}\n{lines}", step.line)
        };
        let names = self.asks.names();
        let knowing = if names.is_empty() { String::new() } else { format!(", knowing {names}") };
        let programs: String = self.programs.iter().map(told).collect();
        format!("programs in this document want to run{knowing}:\n{programs}")
    }
}
