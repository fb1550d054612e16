//! `orderflow guide`: the reference card of the language, and a page for each of its topics.

use super::exit::Exit;
use super::help::with_exits;
use super::terminal::Terminal;
use clap::ValueEnum;
use clap::builder::PossibleValue;

const CARD: &str = include_str!("../../docs/card.md");

/// A topic of the language that has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Topic {
    Steps,
    Values,
    Decisions,
    Failures,
    Compensation,
    Loops,
    Gates,
    Events,
    Lists,
    Agents,
    Testing,
}

impl Topic {
    fn page(self) -> &'static str {
        match self {
            Self::Steps => include_str!("guide/steps.md"),
            Self::Values => include_str!("guide/values.md"),
            Self::Decisions => include_str!("guide/decisions.md"),
            Self::Failures => include_str!("guide/failures.md"),
            Self::Compensation => include_str!("guide/compensation.md"),
            Self::Loops => include_str!("guide/loops.md"),
            Self::Gates => include_str!("guide/gates.md"),
            Self::Events => include_str!("guide/events.md"),
            Self::Lists => include_str!("guide/lists.md"),
            Self::Agents => include_str!("guide/agents.md"),
            Self::Testing => include_str!("guide/testing.md"),
        }
    }
}

/// Print the language on one page, or a page on a topic
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow guide          all fields, marks, conditions and types
  orderflow guide gates    how an item waits for a person
  orderflow guide --list   the topics", &[]))]
pub struct Args {
    /// Print the page on this topic
    #[arg(value_enum)]
    topic: Option<Topic>,
    /// List the topics
    #[arg(long, exclusive = true)]
    list: bool,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    match args.topic {
        Some(topic) => terminal.data(topic.page()),
        None if args.list => {
            for topic in Topic::value_variants() {
                let name = topic.to_possible_value();
                let name = name.as_ref().map_or("", PossibleValue::get_name);
                let title = topic.page().lines().next().unwrap_or_default();
                terminal.data(&format!("{name:<12}  {}\n", title.trim_start_matches("# ")));
            }
        }
        None => terminal.data(card()),
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

/// The names of all topics.
pub(super) fn topics() -> Vec<String> {
    let values = Topic::value_variants().iter().filter_map(Topic::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

/// The page on the topic with this name.
pub(super) fn page(topic: &str) -> Option<&'static str> {
    Topic::from_str(topic, false).ok().map(Topic::page)
}

/// The fenced part of the page; the rest is for readers of the documentation.
pub(super) fn card() -> &'static str {
    let fence = CARD.split_once("```text\n").and_then(|(_, rest)| rest.rsplit_once("```"));
    fence.map_or(CARD, |(card, _)| card)
}

#[cfg(test)]
mod tests {
    use super::card;
    use crate::spec;

    #[test]
    fn it_names_every_field_key_and_type_and_fits_a_screen() {
        let words: Vec<&str> = card().split(|c: char| !(c.is_alphanumeric() || c == '-')).collect();
        let missing: Vec<&str> =
            spec::fields().chain(spec::keys()).filter(|word| !words.contains(word)).collect();
        assert!(missing.is_empty(), "the card lacks {missing:?}");
        let wide: Vec<&str> = card().lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert!(card().lines().count() <= 56, "{} lines", card().lines().count());
    }
}
