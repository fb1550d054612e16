//! The names that a settings file defines, with their places, for editors.

use super::clear;
use crate::diag::{Source, Span};
use crate::lsp::{Encoding, OperatorName, OperatorNames, Places};
use toml::de::{DeTable, DeValue};

/// What the text of a file names. Of a text with errors, what comes before them.
pub fn names(source: Source, encoding: Encoding) -> OperatorNames {
    let (table, _) = DeTable::parse_recoverable(&source.text);
    let masked = clear::masked(&source);
    let (shown, _) = DeTable::parse_recoverable(&masked.text);
    let of = |key: &str| {
        let named = tables(table.get_ref(), key);
        let texts: Vec<(String, Span)> = tables(shown.get_ref(), key);
        let text = |name: &str| {
            let place = texts.iter().find(|(known, _)| known == name);
            place.map(|(_, span)| table_at(&masked.text, *span)).unwrap_or_default()
        };
        let one = |(name, span): (String, Span)| OperatorName { text: text(&name), name, span };
        named.into_iter().map(one).collect::<Vec<_>>()
    };
    let (agents, channels) = (of("agents"), of("channels"));
    let phases = phases(table.get_ref());
    let places = Places::new(&source.text, encoding);
    OperatorNames { agents, channels, phases, file: Some((source, places)) }
}

/// The tables below a key.
fn below<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
    let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    value.get_ref().as_table()
}

fn tables(table: &DeTable<'_>, key: &str) -> Vec<(String, Span)> {
    let all = below(table, key).into_iter().flat_map(|table| table.iter());
    all.map(|(name, _)| (name.get_ref().to_string(), Span::from(name.span()))).collect()
}

/// The names of steps in `effects` and `paths`.
fn phases(table: &DeTable<'_>) -> Vec<(String, Span)> {
    let agents = below(table, "agents").into_iter().flat_map(|table| table.iter());
    let agents = agents.filter_map(|(_, agent)| match agent.get_ref() {
        DeValue::Table(agent) => Some(agent),
        _ => None,
    });
    agents.flat_map(|agent| ["effects", "paths"].into_iter().flat_map(|key| tables(agent, key))).collect()
}

/// The lines of a table whose name is at a place: up to the next table, or one line if it is written in one.
fn table_at(text: &str, name: Span) -> String {
    let start = text.get(..name.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let lines = text.get(start..).unwrap_or_default();
    let mut lines = lines.lines();
    let first = lines.next().unwrap_or_default();
    let mut table = first.to_owned();
    if first.trim_start().starts_with('[') {
        for line in lines.take_while(|line| !line.starts_with('[')) {
            table.push('\n');
            table.push_str(line);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_places_and_no_secrets() {
        let text = "[agents.pay]\ncommand = [\"pay\"]\neffects = { Pay = false }\n\n[agents]\nship = { http = \"http://x\", key = \"sk-12345678901\" }\n\n[channels.\"a.b\"]\nrate = \"1/s\"\n";
        let names = names(Source::new("orderflow.toml", text), Encoding::Utf16);
        let shown: Vec<(&str, &str)> = names
            .agents
            .iter()
            .map(|agent| (&text[agent.span.start..agent.span.end], agent.text.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("pay", "[agents.pay]\ncommand = [\"pay\"]\neffects = { Pay = false }\n"),
                ("ship", "ship = { http = \"http://x\", key = \"**************\" }"),
            ]
        );
        assert_eq!(&text[names.channels[0].span.start..names.channels[0].span.end], "\"a.b\"");
        assert_eq!(names.phases.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Pay"]);
    }
}
