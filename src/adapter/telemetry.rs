//! Sends spans to a collector of OpenTelemetry, by OTLP over HTTP, on a thread of its own. What the collector does not
//! take is counted and lost: no run waits for it.

use super::http;
use crate::spans::{Attribute, Moment, TraceSpan};
use anyhow::Context as _;
use bytes::Bytes;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};

/// The most spans that wait to be sent.
const WAITING: usize = 1 << 16;

/// The most spans of one request.
const BATCH: usize = 512;

/// How long a span waits for others.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of a run waits for the collector.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes spans and sends them.
pub struct SpanSender {
    spans: mpsc::Sender<TraceSpan>,
    /// No more will come once it is dropped.
    open: watch::Sender<()>,
    shed: Arc<AtomicU64>,
    done: Receiver<Sent>,
}

/// What became of the spans.
#[derive(Default)]
struct Sent {
    lost: u64,
    why: Option<String>,
}

impl SpanSender {
    /// `service` is the name of this program in the traces, unless the environment names it. The address, the headers
    /// and the time limit are those of the variables that OpenTelemetry defines.
    ///
    /// # Errors
    /// Why these variables cannot be followed.
    pub fn start(service: Option<&str>) -> anyhow::Result<SpanSender> {
        let client = CollectorClient(http::Client::new()?);
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let mut exporter = exporter.context("cannot send spans")?;
        let mut resource = Resource::builder();
        if let Some(service) = service {
            resource = resource.with_service_name(service.to_owned());
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(&resource.with_attribute(version).build());
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tokio = tokio.context("cannot start the runtime of telemetry")?;
        let (spans, taken) = mpsc::channel(WAITING);
        let (open, over) = watch::channel(());
        let (report, done) = sync_channel(1);
        let send = move || {
            let sent = tokio.block_on(send(&exporter, taken, over));
            // The run waits no longer.
            let _ = report.send(sent);
        };
        std::thread::Builder::new()
            .name("telemetry".to_owned())
            .spawn(send)
            .context("cannot start the thread of telemetry")?;
        Ok(SpanSender { spans, open, shed: Arc::default(), done })
    }

    /// Takes a span; never waits.
    pub fn sink(&self) -> Arc<dyn Fn(TraceSpan) + Send + Sync> {
        let (spans, shed) = (self.spans.clone(), self.shed.clone());
        Arc::new(move |span| {
            if spans.try_send(span).is_err() {
                shed.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Waits until all spans are sent, but not for long.
    ///
    /// # Errors
    /// How many were not sent, and why.
    pub fn finish(self) -> Result<(), String> {
        let SpanSender { open, shed, done, .. } = self;
        drop(open);
        let shed = shed.load(Ordering::Relaxed);
        let Ok(Sent { lost, why }) = done.recv_timeout(PATIENCE) else {
            return Err("the last spans were not sent: the collector does not answer".to_owned());
        };
        match (lost.saturating_add(shed), why) {
            (0, _) => Ok(()),
            (lost, Some(why)) => Err(format!("{lost} spans were not sent: {why}")),
            (lost, None) => Err(format!("{lost} spans were not sent: the collector is too slow")),
        }
    }
}

async fn send(
    exporter: &SpanExporter,
    mut spans: mpsc::Receiver<TraceSpan>,
    mut over: watch::Receiver<()>,
) -> Sent {
    let mut sent = Sent::default();
    let scope = InstrumentationScope::builder("orderflow").with_version(env!("CARGO_PKG_VERSION")).build();
    while let Some(first) = next(&mut spans, &mut over).await {
        let mut batch = vec![exported(first, &scope)];
        let others = async {
            while batch.len() < BATCH
                && let Some(span) = next(&mut spans, &mut over).await
            {
                batch.push(exported(span, &scope));
            }
        };
        // Those that come in time are sent with it.
        let _ = tokio::time::timeout(PAUSE, others).await;
        let count = batch.len() as u64;
        if let Err(error) = exporter.export(batch).await {
            sent.lost += count;
            sent.why.get_or_insert_with(|| error.to_string());
        }
    }
    sent
}

/// The next span; `None` once all have come.
async fn next(spans: &mut mpsc::Receiver<TraceSpan>, over: &mut watch::Receiver<()>) -> Option<TraceSpan> {
    tokio::select! {
        biased;
        span = spans.recv() => span,
        _ = over.changed() => None,
    }
}

/// A span in the form of the library that sends it.
fn exported(span: TraceSpan, scope: &InstrumentationScope) -> SpanData {
    let TraceSpan { trace, id, parent, remote, name, calls, began, ended, attributes, moments, error } = span;
    let time = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let time = |millis| time(millis).unwrap_or(SystemTime::UNIX_EPOCH);
    let event = |Moment { name, at, attributes }: Moment| Event::new(name, time(at), pairs(attributes), 0);
    let mut events = SpanEvents::default();
    events.events = moments.into_iter().map(event).collect();
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace),
            SpanId::from(id.0),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.0)),
        parent_span_is_remote: remote,
        span_kind: if calls { SpanKind::Client } else { SpanKind::Internal },
        name: name.into(),
        start_time: time(began),
        end_time: time(ended),
        attributes: pairs(attributes),
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn pairs(attributes: Vec<(&'static str, Attribute)>) -> Vec<KeyValue> {
    let pair = |(name, value)| match value {
        Attribute::Text(text) => KeyValue::new(name, text),
        Attribute::Integer(number) => KeyValue::new(name, number),
        Attribute::Decimal(number) => KeyValue::new(name, number),
        Attribute::Boolean(flag) => KeyValue::new(name, flag),
    };
    attributes.into_iter().map(pair).collect()
}

/// The client of this program, for the library that sends spans.
struct CollectorClient(http::Client);

impl std::fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CollectorClient")
    }
}

#[async_trait::async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(
        &self,
        request: ::http::Request<Bytes>,
    ) -> Result<::http::Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let asked = self.0.request(parts.method, &url).headers(parts.headers).body(body);
        let response = self.0.send(asked).await.map_err(|error| HttpError::from(error.without_url()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = http::body(response).await.map_err(|failure| HttpError::from(failure.message))?;
        let mut answer = ::http::Response::new(Bytes::from(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}
