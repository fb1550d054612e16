//! The names of the variables and secrets that agents get, and whether they are set. Reads the environment and never
//! shows values.

use super::run::is_there;
use super::settings::{Secret, Settings};
use crate::graph::{Graph, Step};
use crate::view::plan::{Given, Name};

/// The variables and secrets of each agent, in the order in which the document names them; agents without any are left
/// out.
pub fn given(graph: &Graph, settings: &Settings) -> Vec<Given> {
    let mut all: Vec<Given> = Vec::new();
    for step in &graph.steps {
        let (env, secrets) = names(step, graph, settings);
        let variable = |name: &String| Name { name: name.clone(), set: std::env::var_os(name).is_some() };
        let secret =
            |secret: &Secret| Name { name: secret.name.clone(), set: is_there(secret, &settings.folder) };
        let given = Given {
            agent: step.agent.clone(),
            env: env.iter().map(variable).collect(),
            secrets: secrets.into_iter().map(secret).collect(),
        };
        if !(given.env.is_empty() && given.secrets.is_empty() || all.contains(&given)) {
            all.push(given);
        }
    }
    all
}

/// The variables and secrets for a step. A program of the document gets only those that the document names, which the
/// user has seen before trusting it.
pub fn names<'a>(step: &Step, graph: &'a Graph, settings: &'a Settings) -> (&'a [String], Vec<&'a Secret>) {
    let agent = step.agent.as_deref().and_then(|agent| settings.agents.get(agent));
    let secrets = agent.into_iter().flat_map(|agent| &agent.secrets);
    match (settings.bound(step.agent.as_deref()), &step.program) {
        (Some((_, agent)), _) => (&agent.env, secrets.collect()),
        (None, Some(_)) => {
            let asked = secrets.filter(|secret| graph.settings.secrets.contains(&secret.name));
            (&graph.settings.env, asked.collect())
        }
        (None, None) => (&[], Vec::new()),
    }
}
