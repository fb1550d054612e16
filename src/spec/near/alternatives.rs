//! Alternatives of a comparison, such as `team is "a" or "b"`, as a list.

use crate::condition;
use regex::Regex;
use std::sync::LazyLock;

/// A text or a number.
const LITERAL: &str = r#"(?:"[^"]*"|'[^']*'|-?[0-9]+(?:\.[0-9]+)?)"#;

/// `team in ["a", "b"]`, where that is what a condition says; `None` for others.
pub fn as_list(text: &str) -> Option<String> {
    static SAID: LazyLock<Option<[Regex; 2]>> = LazyLock::new(|| {
        let read = |signs: &str, joins: &str| {
            let join = format!(r"(?:\s*,\s*(?:{joins})\s+|\s*,\s*|\s+(?:{joins})\s+)");
            let list = format!("{LITERAL}(?:{join}{LITERAL})+");
            Regex::new(&format!(
                r"^\s*(?P<of>[\w.\[\]-]+)\s*(?:{signs})\s*(?:either\s+|neither\s+)?(?P<list>{list})\s*$"
            ))
            .ok()
        };
        Some([
            read(r"!=|<>|\bis\s+not\b|\bis\s+neither\b", "or|and|nor")?,
            read(r"==?|\bis\b|\bequals\b", r"or|\|\|")?,
        ])
    });
    static EACH: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(LITERAL).ok());
    let (said, each) = (SAID.as_ref()?, EACH.as_ref()?);
    let (found, not) = said[0]
        .captures(text)
        .map(|found| (found, "not "))
        .or_else(|| Some((said[1].captures(text)?, "")))?;
    let list: Vec<&str> = each.find_iter(found.name("list")?.as_str()).map(|one| one.as_str()).collect();
    let right = format!("{} {not}in [{}]", found.name("of")?.as_str(), list.join(", "));
    condition::parse(&right).is_ok().then_some(right)
}

#[cfg(test)]
mod tests {
    use super::as_list;

    #[test]
    fn alternatives_of_texts_and_numbers_are_a_list() {
        for (said, right) in [
            ("team is \"billing\" or \"tech\"", "team in [\"billing\", \"tech\"]"),
            ("team == 'a', 'b' or 'c'", "team in ['a', 'b', 'c']"),
            ("order.team is either \"a\" or \"b\"", "order.team in [\"a\", \"b\"]"),
            ("code = 3 or 4.5", "code in [3, 4.5]"),
            ("team is not \"a\" or \"b\"", "team not in [\"a\", \"b\"]"),
            ("team != \"a\" and \"b\"", "team not in [\"a\", \"b\"]"),
            ("team is neither \"a\" nor \"b\"", "team not in [\"a\", \"b\"]"),
        ] {
            assert_eq!(as_list(said).as_deref(), Some(right), "{said}");
        }
        for other in [
            "team == \"a\"",
            "team == \"a\" and \"b\"",
            "a == b or c",
            "team == \"a\" or other == \"b\"",
            "is \"a\" or \"b\"",
        ] {
            assert_eq!(as_list(other), None, "{other}");
        }
    }
}
