//! How much a run does at once: the requested number, as far as the system allows it.

use super::super::settings::{Channel, Reach, Settings};
use super::super::terminal::Terminal;
use super::Launch;
use crate::adapter::Bound;
use crate::engine::{ChannelLimit, Limits, Programs};
use crate::graph::{Graph, StepId};
use crate::runtime::Bindings;
use crate::value::words;
use rustix::process::{Resource, getrlimit};
use std::collections::HashSet;

/// How many programs run at once in addition to one for each CPU, by default: while some wait for a disk or a network,
/// others use the CPUs. More would share the CPUs, and each would take longer.
const SPARE: usize = 2;

/// How many steps that need no CPU of this machine run at once, by default.
const ELSEWHERE: usize = 64;

/// Files that are open for each running program: three pipes and the process itself.
const FILES_EACH: usize = 4;

/// Files that are open besides, with a reserve.
const FILES_BESIDES: usize = 24;

/// Files that are open briefly while a program starts; each CPU may start one.
const FILES_TO_START: usize = 6;

/// The limits of a run, from the command line, the document and the settings.
pub fn limits(
    launch: &Launch,
    (graph, bindings): (&Graph, &Bindings),
    settings: &Settings,
    terminal: &mut Terminal,
) -> Limits {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut limits = match launch.options.jobs.or(graph.settings.jobs) {
        Some(jobs) => Limits::jobs(jobs),
        None => usual(graph, settings, cpus, &|step| bindings.bound(step)),
    };
    let asked = limits.jobs;
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    limits.jobs = files.map_or(asked, |files| asked.min(bearable(files, cpus)));
    let is_shown = launch.options.ingress.is_empty() && !launch.show.quiet;
    if let Some(files) = files.filter(|_| limits.jobs < asked && is_shown) {
        let steps =
            format!("{} {}", words::count(limits.jobs, "step"), words::by_count(limits.jobs, "runs", "run"));
        terminal.talk(&format!(
            "at most {steps} at once, not {asked}: only {files} files may be open (ulimit -n)\n"
        ));
    }
    named(&mut limits, settings);
    limits
}

/// The most steps of a run on Restate at once: its server lets a run wait for 1,000 things, which include timers.
const MOST_ELSEWHERE: usize = 900;

/// The limits of a run whose steps are done by other machines.
pub fn elsewhere(launch: &Launch, graph: &Graph, settings: &Settings, terminal: &mut Terminal) -> Limits {
    let asked = launch.options.jobs.or(graph.settings.jobs).unwrap_or(ELSEWHERE);
    let mut limits = Limits::jobs(asked.min(MOST_ELSEWHERE));
    if limits.jobs < asked && !launch.show.quiet {
        terminal.talk(&format!(
            "at most {MOST_ELSEWHERE} steps run at once, not {asked}: a server lets a run wait for no more\n"
        ));
    }
    named(&mut limits, settings);
    limits
}

/// The limits of one run of a document that a step runs.
pub fn of_child(jobs: Option<usize>, (graph, bindings): (&Graph, &Bindings), settings: &Settings) -> Limits {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut limits = match jobs.or(graph.settings.jobs) {
        Some(jobs) => Limits::jobs(jobs),
        None => usual(graph, settings, cpus, &|step| bindings.bound(step)),
    };
    named(&mut limits, settings);
    limits
}

/// The limits of agents and channels.
fn named(limits: &mut Limits, settings: &Settings) {
    for (name, agent) in &settings.agents {
        if let Some(most) = agent.concurrency {
            limits.agents.insert(name.clone(), most);
        }
    }
    let channel = |(name, channel): (&String, &Channel)| {
        (name.clone(), ChannelLimit { concurrency: channel.concurrency, rate: channel.rate })
    };
    limits.channels = settings.channels.iter().map(channel).collect();
}

/// The default number of parallel steps: programs by the CPUs, remote calls by a constant. An agent with a
/// `concurrency`, or with more worker processes than that, has its own number.
fn usual(graph: &Graph, settings: &Settings, cpus: usize, bound: &dyn Fn(StepId) -> Bound) -> Limits {
    let most = cpus + SPARE;
    let mut limits = Limits::jobs(0);
    let mut steps = HashSet::new();
    let mut elsewhere = false;
    for id in graph.ids() {
        let agent = settings.bound(graph.step(id).agent.as_deref());
        let own = agent.and_then(|(name, agent)| {
            let processes = match agent.reach {
                Some(Reach::Worker { processes, .. }) if processes > most => Some(processes),
                Some(
                    Reach::Worker { .. }
                    | Reach::Command(_)
                    | Reach::Container { .. }
                    | Reach::Http { .. }
                    | Reach::Mcp { .. }
                    | Reach::Model { .. }
                    | Reach::Coder(_),
                )
                | None => None,
            };
            Some((name, agent.concurrency.or(processes)?))
        });
        match (bound(id), own) {
            (Bound::Elsewhere, _) => elsewhere = true,
            (Bound::Processors, Some((name, own))) => drop(limits.agents.insert(name.to_owned(), own)),
            (Bound::Processors, None) => drop(steps.insert(id)),
        }
    }
    let own: usize = limits.agents.values().fold(0, |sum, own| sum.saturating_add(*own));
    let programs = if steps.is_empty() { 0 } else { most };
    limits.jobs = own.saturating_add(programs).max(if elsewhere { ELSEWHERE } else { 1 });
    limits.programs = (limits.jobs > programs && programs > 0).then_some(Programs { most, steps });
    limits
}

/// How many programs can run at once with this limit of open files.
fn bearable(files: usize, cpus: usize) -> usize {
    let left = files.saturating_sub(FILES_BESIDES + cpus * FILES_TO_START);
    (left / FILES_EACH).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::read;
    use super::*;
    use crate::diag::Source;
    use crate::{graph, spec};

    fn of(agents: &str) -> String {
        let text = "# W\n\n## A @one\n→ a\n\n## B @two\na → b\n\n## C @far\nb → c\n\n## D\nc → d\n";
        let source = Source::new("w.md", text);
        let graph = graph::build(&source, &spec::parse(&source).0).0.unwrap();
        let (settings, problems) = read(&Source::new("orderflow.toml", agents));
        assert_eq!(problems, []);
        let limits = usual(&graph, &settings, 4, &|step| match graph.step(step).agent.as_deref() {
            Some("far") if !agents.contains("far") => Bound::Elsewhere,
            _ => Bound::Processors,
        });
        let programs = limits.programs.map_or("all".to_owned(), |Programs { most, steps }| {
            let mut titles: Vec<_> = steps.iter().map(|id| graph.step(*id).title.as_str()).collect();
            titles.sort_unstable();
            format!("{} of {most}", titles.concat())
        });
        let mut agents: Vec<_> =
            limits.agents.into_iter().map(|(name, most)| format!("{name} {most}")).collect();
        agents.sort_unstable();
        format!("{} {programs} [{}]", limits.jobs, agents.join(", "))
    }

    #[test]
    fn programs_run_by_the_cpus_where_nobody_names_a_number() {
        let far = "[agents.far]\ncommand = [\"far\"]\n";
        assert_eq!(of(far), "6 all []");
        assert_eq!(of(""), "64 ABD of 6 []");
        assert_eq!(of(&format!("{far}[agents.one]\nworker = [\"one\"]\nprocesses = 6\n")), "6 all []");
        let one = "[agents.one]\nworker = [\"one\"]\nprocesses = 9\n";
        assert_eq!(of(&format!("{far}{one}")), "15 BCD of 6 [one 9]");
        assert_eq!(of(&format!("{far}{one}concurrency = 2\n")), "8 BCD of 6 [one 2]");
        let two = "[agents.two]\ncommand = [\"two\"]\nconcurrency = 100\n";
        assert_eq!(of(&format!("{one}{two}")), "115 D of 6 [one 9, two 100]");
    }
}
