//! Telemetry: whether the spans of a run are sent, as the environment says, and what is known of the agents.

use super::super::terminal::Terminal;
use super::Show;
use super::bind::{Doer, Doers, DoneBy};
#[cfg(feature = "telemetry")]
use crate::diag::render::visible;
use crate::history::{SpanDestination, SpanSink};
use crate::spans::GenAi;

/// The variables that name a collector; OpenTelemetry defines them.
#[cfg(feature = "telemetry")]
const ADDRESSES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The trace of the caller, if it has one.
pub(super) fn of_caller() -> Option<String> {
    let given = std::env::var("TRACEPARENT").ok()?;
    crate::spans::TraceContext::parse(&given).map(|context| context.to_string())
}

impl Doers<'_> {
    /// Where the spans of the document's run are sent.
    pub(super) fn destination(&self, sink: &SpanSink, document: &str) -> SpanDestination {
        destination(sink, document, &self.steps)
    }
}

/// Where the spans of a document with these steps are sent.
pub(super) fn destination(sink: &SpanSink, document: &str, steps: &DoneBy<'_>) -> SpanDestination {
    let agents = steps.iter().map(|(_, doer)| gen_ai(doer)).collect();
    SpanDestination { sink: sink.clone(), document: document.into(), agents }
}

fn gen_ai(doer: &Doer<'_>) -> Option<GenAi> {
    let plain = GenAi { operation: "invoke_agent", provider: None, model: None, tool: None };
    match doer {
        Doer::Model { name, .. } => {
            let (provider, model) = name.split_once('/').unwrap_or(("", name));
            let provider = Some(provider).filter(|provider| !provider.is_empty()).map(str::to_owned);
            Some(GenAi { operation: "chat", provider, model: Some(model.to_owned()), ..plain })
        }
        Doer::Tool { tool, .. } => Some(GenAi { operation: "execute_tool", tool: tool.clone(), ..plain }),
        Doer::Coder { .. } => Some(plain),
        Doer::Command { .. }
        | Doer::Worker { .. }
        | Doer::Container { .. }
        | Doer::Service { .. }
        | Doer::Program { .. }
        | Doer::Document(_)
        | Doer::Stub => None,
    }
}

/// Sends the spans of a run to the collector that the environment names.
#[cfg(feature = "telemetry")]
pub(super) struct Telemetry(crate::adapter::telemetry::SpanSender);

#[cfg(feature = "telemetry")]
impl Telemetry {
    /// `None` if the environment names no collector. What it says wrongly is a warning, and no reason not to run.
    pub fn start(terminal: &mut Terminal) -> Option<Telemetry> {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let off = text("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
            || text("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter != "otlp");
        if off || !ADDRESSES.into_iter().any(|name| text(name).is_some()) {
            return None;
        }
        let named = text("OTEL_SERVICE_NAME").is_some()
            || text("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
        match crate::adapter::telemetry::SpanSender::start((!named).then_some("orderflow")) {
            Ok(sender) => Some(Telemetry(sender)),
            Err(error) => {
                terminal.talk(&format!("warning: no spans are sent: {}\n", visible(&format!("{error:#}"))));
                None
            }
        }
    }

    pub fn sink(&self) -> SpanSink {
        self.0.sink()
    }

    /// Waits a little for the collector.
    pub fn finish(self, show: &Show, terminal: &mut Terminal) {
        if let Err(why) = self.0.finish()
            && !show.is_quiet()
        {
            terminal.talk(&format!("warning: {}\n", visible(&why)));
        }
    }
}

/// This program was built without telemetry.
#[cfg(not(feature = "telemetry"))]
pub(super) enum Telemetry {}

#[cfg(not(feature = "telemetry"))]
impl Telemetry {
    pub fn start(_: &mut Terminal) -> Option<Telemetry> {
        None
    }

    pub fn sink(&self) -> SpanSink {
        match *self {}
    }

    pub fn finish(self, _: &Show, _: &mut Terminal) {
        match self {}
    }
}
