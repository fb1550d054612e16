//! What workers serve of what a run needs, asked before it begins.

use super::Client;
use super::wire::{About, ENTRANCE, PROGRAMS, Route, STUBS, agent_service};
use crate::adapter::ingress::NoAnswer;
use crate::graph::Graph;
use std::collections::BTreeMap;

/// How long a worker may take to say its version, in milliseconds.
const VERSION: u64 = 10_000;

/// What workers serve of what a run needs.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Who makes the attempts, by step.
    pub routes: Vec<Route>,
    /// The most attempts at once of agents, over all runs and workers.
    pub limits: BTreeMap<String, usize>,
    /// What is missing, a line each.
    pub missing: Vec<String>,
}

impl Client {
    /// Asks who makes the attempts of each step. With `stub`, steps that no worker serves are stubbed.
    ///
    /// # Errors
    /// No server can be reached.
    pub async fn served(&self, graph: &Graph, stub: bool) -> Result<Served, NoAnswer> {
        let mut served = Served::default();
        match self.ingress.post(&[ENTRANCE, &self.run, "current"], Vec::new(), None, Some(VERSION)).await {
            Ok(_) => {}
            Err(NoAnswer::Unknown(_)) => {
                served.missing.push("no worker is registered that drives runs".to_owned());
            }
            Err(NoAnswer::Refused(status, why)) => {
                served.missing.push(format!("workers cannot be asked ({status}): {why}"));
            }
            Err(error) => return Err(error),
        }
        let mut known: BTreeMap<&str, bool> = BTreeMap::new();
        let mut programs = Vec::new();
        for step in &graph.steps {
            let is_served = match step.agent.as_deref() {
                None => false,
                Some(agent) => match known.get(agent) {
                    Some(is_served) => *is_served,
                    None => {
                        let is_served = self.agent(agent, &mut served).await;
                        known.insert(agent, is_served);
                        is_served
                    }
                },
            };
            served.routes.push(match (is_served, &step.program, &step.agent) {
                (true, ..) => Route::Agent,
                (false, Some(_), _) => {
                    programs.push(step.title.as_str());
                    Route::Program
                }
                (false, None, agent) => {
                    let agent = agent.as_deref().unwrap_or_default();
                    let service = agent_service(agent);
                    let line = format!("no worker is registered that serves @{agent} ({service})");
                    if !stub && !served.missing.contains(&line) {
                        served.missing.push(line);
                    }
                    Route::Stub
                }
            });
        }
        if !programs.is_empty() && self.about(PROGRAMS, "the worker of programs", &mut served).await.is_none()
        {
            let programs = programs.join(", ");
            served.missing.push(format!(
                "no worker runs the programs of documents, as {programs} needs: start one with --programs"
            ));
        }
        if served.routes.contains(&Route::Stub) && stub {
            self.about(STUBS, "the worker of stubs", &mut served).await;
        }
        Ok(served)
    }

    /// Whether a worker serves an agent.
    async fn agent(&self, agent: &str, served: &mut Served) -> bool {
        let who = format!("the worker of @{agent}");
        let about = self.about(&agent_service(agent), &who, served).await;
        let most = about.as_ref().and_then(|about| about.concurrency);
        served.limits.extend(most.map(|most| (agent.to_owned(), most)));
        about.is_some()
    }

    /// What the worker that serves this says, if one is registered; one of another version, or without an answer, is
    /// missing.
    async fn about(&self, service: &str, who: &str, served: &mut Served) -> Option<About> {
        let own = env!("CARGO_PKG_VERSION");
        let mut about = About { version: own.to_owned(), concurrency: None };
        let line = match self.ingress.post(&[service, "version"], Vec::new(), None, Some(VERSION)).await {
            Ok(said) => {
                match serde_json::from_slice::<About>(&said) {
                    Ok(said) => about = said,
                    // Earlier ones say no more than their version.
                    Err(_) => about.version = String::from_utf8_lossy(&said).trim_matches('"').to_owned(),
                }
                if about.version == own {
                    return Some(about);
                }
                format!("{who} is version {}, and this is {own}", about.version)
            }
            Err(NoAnswer::Unknown(_)) => return None,
            Err(NoAnswer::Unreachable(_)) => format!("{who} is registered, but does not answer"),
            Err(NoAnswer::Refused(status, why)) => format!("{who} cannot be asked ({status}): {why}"),
        };
        served.missing.push(line);
        Some(about)
    }
}
