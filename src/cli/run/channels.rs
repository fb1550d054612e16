//! The channels of a run: binds the sinks to which its steps publish, and the sources of the events that they wait for.

use super::super::exit::{Exit, Stop};
#[cfg(feature = "nats")]
use super::super::settings::NatsRoute;
use super::super::settings::{Channel, EventRoute, Header, Origin, Secret, Settings};
use super::super::terminal::Terminal;
use super::secrets;
use crate::adapter::channel::{Appended, Door, Followed, Listener, Posted, Sink};
#[cfg(feature = "nats")]
use crate::adapter::channel::{Login, NatsStream};
use crate::adapter::http::{Client, HeaderValue};
use crate::diag::render::visible;
use crate::disk::Named;
use crate::event::TypePattern;
use crate::graph::Graph;
use crate::runtime::{BoundSink, Outbox, Sources, event_source, unix_millis};
use anyhow::Context;
#[cfg(feature = "nats")]
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How many events wait for the run before a source is held up.
const WAITING: usize = 64;

/// The channels that a run uses.
#[derive(Default)]
pub struct Channels {
    sinks: Vec<BoundSink>,
    sources: Vec<(Vec<TypePattern>, Source)>,
    /// The id of the run, and when it began.
    #[cfg_attr(
        not(feature = "nats"),
        expect(dead_code, reason = "channels of files and HTTP have no place to keep")
    )]
    run: (String, String),
}

enum Source {
    Follow(Followed),
    Listen(Listener),
    /// The name of the channel is a part of the consumer's.
    #[cfg(feature = "nats")]
    Nats(String, Arc<NatsStream>),
}

impl Channels {
    /// Binds the channels with types that the steps publish or wait for; the others are not touched.
    ///
    /// # Errors
    /// A secret is missing, or an address cannot be listened at.
    pub fn bind(graph: &Graph, settings: &Settings) -> anyhow::Result<Channels> {
        let mut channels = Channels::default();
        let folder = std::path::absolute(&settings.folder).context("cannot read the current folder")?;
        let (emitted, awaited) = (Vec::from_iter(graph.emitted()), graph.awaited());
        for (name, channel) in &settings.channels {
            let is_of = |kind: &&str| channel.types.iter().any(|one| one.matches(kind));
            let (publishes, brings) = (emitted.iter().any(is_of), awaited.iter().any(is_of));
            let types = channel.types.clone();
            let sink = match &channel.route {
                Some(EventRoute::Append(path)) if publishes => {
                    let file = Appended::open(Named::by_document(&folder, path));
                    Sink::Append(file.map_err(|error| unusable(name, ("append to", path), &error))?)
                }
                Some(EventRoute::Post { url, key }) if publishes => {
                    let key = key.as_ref().map(|key| header(name, key, &folder)).transpose()?;
                    let value = key.map(|key| HeaderValue::from_str(&key)).transpose();
                    let value =
                        value.map_err(|_| missing(name, "has characters that a header cannot have"))?;
                    Sink::Post(Posted::new(Client::new()?, url.clone(), value))
                }
                Some(EventRoute::Follow(path)) if brings => {
                    let file = Followed::open(Named::by_document(&folder, path));
                    let file = file.map_err(|error| unusable(name, ("follow", path), &error))?;
                    channels.sources.push((types, Source::Follow(file)));
                    continue;
                }
                Some(EventRoute::Listen { address, key }) if brings => {
                    let key = key.as_ref().map(|key| header(name, key, &folder)).transpose()?;
                    let listener = Listener::bind(*address, key).map_err(|error| {
                        let why = format!("channel {}: cannot listen at {address}: {error}", visible(name));
                        Stop::new(Exit::Io, format!("{why}; nothing was run"))
                    })?;
                    channels.sources.push((types, Source::Listen(listener)));
                    continue;
                }
                #[cfg(feature = "nats")]
                Some(EventRoute::Nats(route)) if publishes || brings => {
                    let stream = Arc::new(nats(name, route, &types, &folder)?);
                    if brings {
                        channels.sources.push((types.clone(), Source::Nats(name.clone(), stream.clone())));
                    }
                    if !publishes {
                        continue;
                    }
                    Sink::Nats(stream)
                }
                _ => continue,
            };
            channels.sinks.push(BoundSink { name: name.as_str().into(), types, sink });
        }
        Ok(channels)
    }

    /// The channels of the run with this id, which began at this time.
    pub fn of(self, run: &str, started: &str) -> Channels {
        Channels { run: (run.to_owned(), started.to_owned()), ..self }
    }

    /// The sinks, with the types that each takes.
    pub fn sinks(&self) -> Vec<(Arc<str>, Vec<TypePattern>)> {
        self.sinks.iter().map(|sink| (sink.name.clone(), sink.types.clone())).collect()
    }

    /// Opens all of them; `document` is what published events name as their source. The sources end with the set.
    pub fn open(self, document: &str) -> (Option<Outbox>, Option<Sources>, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let source = event_source(document);
        let outbox = (!self.sinks.is_empty()).then(|| Outbox::open(self.sinks, &source));
        if self.sources.is_empty() {
            return (outbox, None, tasks);
        }
        #[cfg(feature = "nats")]
        let (run, started) = self.run;
        let (events, incoming) = mpsc::channel(WAITING);
        let types = self.sources.iter().flat_map(|(types, _)| types.clone()).collect();
        for (types, source) in self.sources {
            let door = Door { events: events.clone(), types, clock: unix_millis };
            match source {
                Source::Listen(listener) => drop(tasks.spawn(listener.serve(door))),
                Source::Follow(file) => {
                    let warn = |why: String| {
                        Terminal::new().talk(&format!("warning: an event was not read: {}\n", visible(&why)));
                    };
                    tasks.spawn(file.follow(door, warn));
                }
                #[cfg(feature = "nats")]
                Source::Nats(channel, stream) => {
                    let consumer =
                        format!("orderflow-{run}-{}", utf8_percent_encode(&channel, NON_ALPHANUMERIC));
                    let warn = move |why: String| {
                        let why = format!("warning: channel {channel}: {why}");
                        Terminal::new().talk(&format!("{}\n", visible(&why)));
                    };
                    tasks.spawn(stream.consume(consumer, started.clone(), door, warn));
                }
            }
        }
        (outbox, Some(Sources { events: incoming, types }), tasks)
    }
}

/// The files to which a run appends events, by their keys in the settings.
pub fn appended(graph: &Graph, settings: &Settings) -> Vec<(String, PathBuf)> {
    let channels = settings.channels.iter().filter(|_| graph.publishes());
    let file = |(name, channel): (&String, &Channel)| match &channel.route {
        Some(EventRoute::Append(path)) => {
            Some((format!("append of [channels.{name}]"), settings.folder.join(path)))
        }
        _ => None,
    };
    channels.filter_map(file).collect()
}

/// The error for a file of a channel.
fn unusable(channel: &str, (what, path): (&str, &Path), error: &std::io::Error) -> Stop {
    let (channel, path) = (visible(channel), visible(&path.display().to_string()));
    Stop::new(Exit::Io, format!("channel {channel}: cannot {what} {path}: {error}; nothing was run"))
}

/// The value of `Authorization`.
fn header(channel: &str, key: &Header, folder: &Path) -> anyhow::Result<String> {
    Ok(format!("{}{}", key.text, secret(channel, key, folder)?))
}

/// The secret of a key.
fn secret(channel: &str, key: &Header, folder: &Path) -> anyhow::Result<String> {
    let Some(name) = &key.secret else { return Ok(String::new()) };
    let secret = Secret { name: name.clone(), from: Origin::Environment(name.clone()) };
    Ok(secrets::value(&secret, folder).map_err(|why| missing(channel, &format!("{name} {why}")))?)
}

#[cfg(feature = "nats")]
fn nats(
    channel: &str,
    route: &NatsRoute,
    types: &[TypePattern],
    folder: &Path,
) -> anyhow::Result<NatsStream> {
    let NatsRoute { server, stream, prefix, user, key } = route.clone();
    let key = key.map(|key| secret(channel, &key, folder)).transpose()?;
    let login = key.map(|secret| Login { user, secret });
    Ok(NatsStream::new(server, stream, prefix, types.to_vec(), login))
}

fn missing(channel: &str, why: &str) -> Stop {
    let message = format!("channel {}: its key {}; nothing was run", visible(channel), visible(why));
    Stop::new(Exit::Invalid, message)
}
