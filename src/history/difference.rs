//! The difference of two texts that consist of lines. Knows nothing of their meaning.

use similar::{DiffTag, TextDiff};

/// Lines as `what: old → new` if a line with the same beginning changed; else `- line` and `+ line`.
pub fn difference(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut shown = Vec::new();
    for change in TextDiff::from_slices(&old, &new).ops() {
        let (_, gone, come) = change.as_tag_tuple();
        if change.tag() == DiffTag::Equal {
            continue;
        }
        let mut come: Vec<&str> = new[come].to_vec();
        for was in &old[gone] {
            let changed = what(was).and_then(|about| come.iter().position(|is| what(is) == Some(about)));
            shown.push(match changed.map(|at| come.remove(at)).and_then(|is| is.split_once(": ")) {
                Some((_, value)) => format!("{was} → {value}"),
                None => format!("- {was}"),
            });
        }
        shown.extend(come.into_iter().map(|line| format!("+ {line}")));
    }
    shown
}

/// The beginning of a line that names its subject.
fn what(line: &str) -> Option<&str> {
    line.split_once(": ").map(|(what, _)| what).filter(|what| !what.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn only_what_differs_is_told() {
        assert!(difference("a: 1\nb: 2\n", "a: 1\nb: 2\n").is_empty());
        assert_eq!(difference("a: 1\nb: 2\nc: 3\n", "a: 1\nb: 9\nc: 3\n"), ["b: 2 → 9"]);
        assert_eq!(difference("a: 1\nc: 3\n", "a: 1\nb: 2\nc: 3\n"), ["+ b: 2"]);
        assert_eq!(difference("a: 1\nb: 2\nc: 3\n", "a: 1\nc: 3\n"), ["- b: 2"]);
        assert_eq!(difference("a\nb\nc\nd\ne", "a\nx\nc\ny\ne"), ["- b", "+ x", "- d", "+ y"]);
        assert_eq!(difference("a\na", "a"), ["- a"]);
        assert_eq!(
            difference("a: 1\nx: 1\nb: 1", "y: 1\nb: 2\na: 2"),
            ["a: 1 → 2", "- x: 1", "b: 1 → 2", "+ y: 1"]
        );
        assert_eq!(difference("", "a: 1"), ["+ a: 1"]);
    }

    #[test]
    fn what_is_long_is_told_from_the_first_difference_to_the_last() {
        let many = |from: u32| (from..from + 1000).map(|n| n.to_string() + "\n").collect::<String>();
        let told = difference(&format!("same\n{}", many(0)), &format!("same\n{}", many(5000)));
        assert_eq!((told.len(), &*told[0], &*told[1999]), (2000, "- 0", "+ 5999"));
    }
}
