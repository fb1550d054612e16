//! The spans of a run: made from its events, and given to what sends them.

use super::RunEnd;
use crate::event::Event;
use crate::graph::Graph;
use crate::runtime::{Observer, unix_millis};
use crate::spans::{GenAi, SpanFold, SpanSubject, TraceContext, TraceSpan};
use jiff::Timestamp;
use std::sync::Arc;

/// Takes spans; must return at once.
pub type SpanSink = Arc<dyn Fn(TraceSpan) + Send + Sync>;

/// The trace to which a run belongs, and where its spans are sent.
#[derive(Clone, Default)]
pub struct Tracing {
    /// What is above the run; `None` for a trace of its own.
    pub context: Option<TraceContext>,
    /// `None` if they are not sent.
    pub spans: Option<SpanDestination>,
}

/// Where the spans of the runs of a document are sent.
#[derive(Clone)]
pub struct SpanDestination {
    pub sink: SpanSink,
    /// The name of the document.
    pub document: Arc<str>,
    /// The agents of its steps, by step.
    pub agents: Arc<[Option<GenAi>]>,
}

impl Tracing {
    /// The trace of the run.
    pub fn context(&self, run: &str) -> TraceContext {
        self.context.unwrap_or_else(|| TraceContext::of_run(run))
    }

    /// Makes the spans of a run that began at this time, or begins now. `None` if they are not sent.
    pub(super) fn begin(&self, graph: &Arc<Graph>, run: &Arc<str>, began: Option<&str>) -> Option<Traced> {
        let SpanDestination { sink, document, agents } = self.spans.clone()?;
        let context = self.context(run);
        let subject = SpanSubject { graph: graph.clone(), run: run.clone(), document, context, agents };
        let past = began.is_some();
        let clock = began.and_then(|began| began.parse::<Timestamp>().ok());
        let clock = clock.and_then(|began| began.as_millisecond().try_into().ok());
        let fold = SpanFold::new(subject, clock.unwrap_or_else(unix_millis));
        context.sampled.then_some(Traced { fold, sink, past })
    }
}

/// Sends the span of everything that ends.
pub(super) struct Traced {
    fold: SpanFold,
    sink: SpanSink,
    /// The events are those of earlier processes, which have sent their spans.
    past: bool,
}

impl Traced {
    /// The events so far were those of earlier processes.
    pub fn continues(&mut self) {
        self.past = false;
        self.fold.resumed(unix_millis());
    }

    /// The run has ended.
    pub fn end(&mut self, end: RunEnd) {
        (self.sink)(self.fold.ended(end.word(), end != RunEnd::Ok));
    }
}

impl Observer for Traced {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        let span = self.fold.see(event).filter(|_| !self.past);
        span.into_iter().for_each(|span| (self.sink)(span));
        Ok(())
    }
}
