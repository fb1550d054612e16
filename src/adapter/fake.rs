//! An agent that is a closure: an ordinary adapter for tests. Knows nothing of the tests.

use super::{Adapter, Call, Ending, Stop};
use crate::event::Answer;
use std::sync::Arc;

struct Fake<F>(F);

/// An adapter that makes every attempt by calling `agent`.
pub fn fake<F, A>(agent: F) -> Arc<dyn Adapter>
where
    F: Fn(Call, Stop) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    Arc::new(Fake(agent))
}

impl<F, A> Adapter for Fake<F>
where
    F: Fn(Call, Stop) -> A + Send + Sync,
    A: Future<Output = Answer> + Send + 'static,
{
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.0(call, stop))
    }
}
