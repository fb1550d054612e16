//! What differs between two texts that are made of lines. Knows nothing of what they say.

/// Longer texts are not compared line by line: only what they begin and end with alike is left out.
const COMPARED: usize = 500;

/// Lines of the first text that have others, or none, in their place in the second.
#[derive(Default)]
struct Hunk<'a> {
    gone: Vec<&'a str>,
    new: Vec<&'a str>,
}

/// Lines as `what: old → new` where a line with the same beginning was changed; else `- line` and `+ line`.
pub fn difference(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let old = old.get(..old.len() - end).unwrap_or_default();
    let new = new.get(..new.len() - end).unwrap_or_default();
    let mut told = Vec::new();
    for Hunk { gone, mut new } in hunks(old, new) {
        for was in gone {
            let changed = what(was).and_then(|about| new.iter().position(|is| what(is) == Some(about)));
            told.push(match changed.map(|at| new.remove(at)).and_then(|is| is.split_once(": ")) {
                Some((_, value)) => format!("{was} → {value}"),
                None => format!("- {was}"),
            });
        }
        told.extend(new.into_iter().map(|line| format!("+ {line}")));
    }
    told
}

/// What a line is about.
fn what(line: &str) -> Option<&str> {
    line.split_once(": ").map(|(what, _)| what).filter(|what| !what.starts_with(' '))
}

/// Where the texts differ, in order: between the lines of the longest sequence that both have.
fn hunks<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Hunk<'a>> {
    if old.len() > COMPARED || new.len() > COMPARED {
        return vec![Hunk { gone: old.to_vec(), new: new.to_vec() }];
    }
    // For each place in both, how many lines the rests have in common.
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for (i, was) in old.iter().enumerate().rev() {
        for (j, is) in new.iter().enumerate().rev() {
            let at = i * width + j;
            common[at] = match was == is {
                true => common[at + width + 1] + 1,
                false => common[at + width].max(common[at + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut all, mut hunk) = (Vec::new(), Hunk::default());
    loop {
        let at = i * width + j;
        match (old.get(i), new.get(j)) {
            (Some(was), Some(is)) if was == is => {
                all.push(std::mem::take(&mut hunk));
                (i, j) = (i + 1, j + 1);
            }
            (Some(was), is) if is.is_none() || common[at + width] >= common[at + 1] => {
                hunk.gone.push(was);
                i += 1;
            }
            (_, Some(is)) => {
                hunk.new.push(is);
                j += 1;
            }
            (_, None) => {
                all.push(hunk);
                return all;
            }
        }
    }
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
