//! The end of an execution that gets no attempt because its agent is unavailable or a budget is spent. Changes nothing,
//! and does not know why.

use super::Item;
use super::next::report;
use super::state::{Attempts, StepState};
use crate::event::{Event, Execution, Millis, Status, StepEvent, StepPath};
use crate::graph::{Graph, Kind};

impl Item {
    /// Ends a ready execution without another attempt, with this code.
    pub fn refused(&self, graph: &Graph, path: StepPath, code: &str, why: String, now: Millis) -> Event {
        let status = match graph.step(path.step).kind {
            Kind::Compensation => Status::CompensationFailed,
            Kind::Forward | Kind::Handler => Status::Failed,
        };
        let code = Some(code.to_owned());
        let execution = match self.state(path) {
            StepState::Ready(Attempts { tries, tokens, last: Some(last), .. }) => {
                let failure = last.result.as_ref().err();
                let message = failure.map_or("", |failure| failure.message.as_str());
                let row = self.row(graph, path, status, last.started);
                let mut columns = row.columns.clone();
                if let Some(failure) = failure {
                    report(&mut columns, &failure.columns);
                }
                Execution {
                    duration_ms: Some(last.finished.saturating_sub(last.started) as f64),
                    tokens_used: *tokens,
                    columns,
                    attempt: Some(*tries),
                    error: Some(format!("{message}; not retried: {why}")),
                    code,
                    ..row
                }
            }
            _ => Execution {
                duration_ms: Some(0.0),
                error: Some(why),
                code,
                ..self.row(graph, path, status, now)
            },
        };
        StepEvent::Ended(execution).of(self.id, now)
    }

    /// The executions whose next attempt waits for its time, with its number.
    pub fn backing_off(&self) -> impl Iterator<Item = (StepPath, u32)> + '_ {
        self.steps.pending().filter_map(|path| match self.state(path) {
            StepState::Backoff { attempts, .. } => Some((path, attempts.number.saturating_add(1))),
            _ => None,
        })
    }
}
