//! How much a run does at once: what is asked for, as far as the system allows it.

use super::super::settings::{Channel, Settings};
use super::super::terminal::Terminal;
use super::Args;
use crate::engine::{ChannelLimit, Limits};
use crate::graph::Graph;
use rustix::process::{Resource, getrlimit};

/// The least number of steps at once, where nobody says otherwise.
const JOBS: usize = 16;

/// Files that are open for each running program: three pipes and the process itself.
const FILES_EACH: usize = 4;

/// Files that are open besides, with some to spare.
const FILES_BESIDES: usize = 24;

/// Files that are open for a moment while a program starts; each CPU may start one.
const FILES_TO_START: usize = 6;

/// The limits of a run, from the command line, the document and the settings.
pub fn limits(args: &Args, graph: &Graph, settings: &Settings, terminal: &mut Terminal) -> Limits {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = args.jobs.or(graph.settings.jobs).unwrap_or(JOBS.max(cpus));
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let jobs = files.map_or(asked, |files| asked.min(bearable(files, cpus)));
    if let Some(files) = files.filter(|_| jobs < asked && !args.quiet) {
        let steps = if jobs == 1 { "1 step runs" } else { &format!("{jobs} steps run") };
        terminal.talk(&format!(
            "at most {steps} at once, not {asked}: only {files} files may be open (ulimit -n)\n"
        ));
    }
    let agents = settings.agents.iter().filter_map(|(name, agent)| Some((name.clone(), agent.concurrency?)));
    let channel = |(name, channel): (&String, &Channel)| {
        (name.clone(), ChannelLimit { concurrency: channel.concurrency, rate: channel.rate })
    };
    Limits { jobs, agents: agents.collect(), channels: settings.channels.iter().map(channel).collect() }
}

/// How many programs can run at once where so many files may be open.
fn bearable(files: usize, cpus: usize) -> usize {
    let left = files.saturating_sub(FILES_BESIDES + cpus * FILES_TO_START);
    (left / FILES_EACH).max(1)
}
