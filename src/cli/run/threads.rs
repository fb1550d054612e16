//! The threads of a run.

use crate::cli::allowed;
use crate::graph::{Graph, Kind};
use anyhow::Context;
use std::collections::HashSet;
use tokio::runtime::{Builder, Runtime};

/// The threads that do the tasks of a run.
pub struct Threads {
    /// Signals, other processes, people and channels; all attempts that may run at the same time.
    pool: Runtime,
    /// The run and its attempts on the thread that waits for them, if they run one after the other. Then a step that
    /// follows another one wakes no thread; but while a program is started, nothing else happens.
    own: Option<Runtime>,
}

impl Threads {
    /// # Errors
    /// The system allows no threads.
    pub fn start(one_by_one: bool) -> anyhow::Result<Threads> {
        let (workers, blocking) = allowed::run_threads();
        let mut pool = Builder::new_multi_thread();
        let pool = pool.worker_threads(workers).max_blocking_threads(blocking).enable_all().build();
        let own = || Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
        Ok(Threads {
            pool: pool.context("cannot start the runtime")?,
            own: (one_by_one && allowed::second_runtime())
                .then(own)
                .transpose()
                .context("cannot start the runtime")?,
        })
    }

    /// For everything beside the run.
    pub fn pool(&self) -> &Runtime {
        &self.pool
    }

    /// For the run and its attempts.
    pub fn run(&self) -> &Runtime {
        self.own.as_ref().unwrap_or(&self.pool)
    }

    /// Leaves the threads to themselves until the process ends: signals must be handled while the trace is written and
    /// while output blocks.
    pub fn leave(self) {
        self.own.into_iter().for_each(Runtime::shutdown_background);
        std::mem::forget(self.pool);
    }
}

/// Whether the steps of an item run one after the other, as far as its edges say.
pub fn is_sequence(graph: &Graph) -> bool {
    let edges: HashSet<_> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let steps = graph.order.iter().copied().filter(|step| graph.step(*step).kind == Kind::Forward);
    let steps: Vec<_> = steps.collect();
    let alone = steps.iter().all(|step| graph.step(*step).each.is_none());
    alone && steps.windows(2).all(|pair| edges.contains(&(pair[0], pair[1])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;
    use crate::{graph, spec};

    #[test]
    fn steps_are_a_sequence_if_each_waits_for_the_one_before() {
        for (text, expected) in [
            ("## A @x\n\n## B @x\n\n## C @x\n", true),
            ("## A @x\na -> b\n\n## B @x\nb -> c\n", true),
            ("## A @x\na -> b\n\n## B @x\nb -> c\n\n## C @x\nb -> d\n", false),
            ("## All (parallel)\n\n### A @x\n\n### B @x\n", false),
            ("## A @x\n[each:: one in all]\none -> b\n", false),
            (
                "## A @x [compensate:: C]\na -> b\n\n## B @x\nb -> c\n\n## Compensations\n\n### C @x\nb -> d\n",
                true,
            ),
        ] {
            let source = Source::new("flow.md", format!("# T\n\n{text}"));
            let graph = graph::build(&source, &spec::parse(&source).0).0.unwrap();
            assert_eq!(is_sequence(&graph), expected, "{text}");
        }
    }
}
