//! `orderflow guide`: the reference card of the language.

use super::exit::Exit;
use super::help::with_exits;
use super::terminal::Terminal;

const CARD: &str = include_str!("../../docs/card.md");

/// Print the language on one page
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow guide          all fields, marks, conditions and types
  orderflow guide | less", &[]))]
pub struct Args {}

pub fn run(Args {}: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    terminal.data(card());
    terminal.finish()?;
    Ok(Exit::Ok)
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
