//! Splits a row's text into its cells.

use super::cell::{Cell, escape, quoted};
use super::fault::Fault;
use std::ops::Range;

/// A fault with the bytes of the line it is about.
pub(super) type Misread = (Fault, Range<usize>);

/// Splits `line[from..]`, which is UTF-8, at the delimiter and puts the cells' ranges, spaces trimmed, into `cells`.
///
/// # Errors
/// A text that is not a row, or a malformed quoted cell. `cells` then holds the cells before it.
pub(super) fn split(
    line: &[u8],
    from: usize,
    delimiter: u8,
    cells: &mut Vec<Range<usize>>,
) -> Result<(), Misread> {
    cells.clear();
    if memchr::memchr(b'"', &line[from..]).is_some() {
        return split_quoted(str::from_utf8(line).unwrap_or_default(), from, delimiter, cells);
    }
    let mut start = from;
    for at in memchr::memchr_iter(delimiter, &line[from..]) {
        cells.push(trim(line, start..from + at));
        start = from + at + 1;
    }
    cells.push(trim(line, start..line.len()));
    let first = from..cells.first().map_or(from, |cell| cell.end);
    match memchr::memchr(b':', &line[first]) {
        Some(at) => Err((Fault::ColonFirst, from + at..from + at + 1)),
        None => Ok(()),
    }
}

/// The names in a text that [`super::write::words`] wrote; names that cannot be read are returned as they are.
pub fn words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start_matches(' '));
    while !rest.is_empty() {
        let plain = || rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        let (word, after) = quoted(rest).map_or_else(|_| plain(), |(after, word)| (word, after));
        words.push(Cell::new(word).text().into_owned());
        rest = after.trim_start_matches(' ');
    }
    words
}

fn split_quoted(
    line: &str,
    from: usize,
    delimiter: u8,
    cells: &mut Vec<Range<usize>>,
) -> Result<(), Misread> {
    let bytes = line.as_bytes();
    let mut start = from;
    loop {
        while bytes.get(start) == Some(&b' ') {
            start += 1;
        }
        let end = if bytes.get(start) == Some(&b'"') {
            let end = start + closed(line, start)?;
            let after = trim(bytes, end..line.len()).start;
            if after < line.len() && bytes[after] != delimiter {
                return Err((Fault::AfterQuote, after..line.len()));
            }
            cells.push(start..end);
            after
        } else {
            let end = unquoted(bytes, start, delimiter).unwrap_or(line.len());
            if cells.is_empty()
                && let Some(colon) = unquoted(&bytes[..end], start, b':')
            {
                return Err((Fault::ColonFirst, colon..colon + 1));
            }
            cells.push(trim(bytes, start..end));
            end
        };
        if end >= line.len() {
            return Ok(());
        }
        start = end + 1;
    }
}

/// The length of the quoted text that starts at `start`.
///
/// # Errors
/// What is wrong with the quoted text.
pub(super) fn closed(line: &str, start: usize) -> Result<usize, Misread> {
    let rest = &line[start..];
    // Most texts have no escapes; those end at the next quote.
    if let Some(at) = memchr::memchr2(b'\\', b'"', &rest.as_bytes()[1..])
        && rest.as_bytes()[1 + at] == b'"'
    {
        return Ok(at + 2);
    }
    if let Ok((_, text)) = quoted(rest) {
        return Ok(text.len());
    }
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'\\', b'"', &rest.as_bytes()[at..]) {
        at += found;
        match escape(&rest[at..]) {
            Ok((_, text)) => at += text.len(),
            Err(_) => {
                let end = rest[at..].char_indices().nth(2).map_or(rest.len(), |(offset, _)| at + offset);
                return Err((Fault::Escape, start + at..start + end));
            }
        }
    }
    Err((Fault::OpenQuote, start..line.len()))
}

/// The first position of a byte outside of quotes.
pub(super) fn unquoted(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(wanted, b'"', bytes.get(at..)?)?;
        if bytes[at] == wanted {
            return Some(at);
        }
        at += 1;
        loop {
            at += memchr::memchr2(b'\\', b'"', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                break;
            }
            at += 2;
        }
        at += 1;
    }
}

pub(super) fn trim(bytes: &[u8], mut range: Range<usize>) -> Range<usize> {
    while range.start < range.end && bytes[range.start] == b' ' {
        range.start += 1;
    }
    while range.start < range.end && bytes[range.end - 1] == b' ' {
        range.end -= 1;
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(line: &str) -> Result<Vec<&str>, Misread> {
        let mut ranges = Vec::new();
        split(line.as_bytes(), 0, b',', &mut ranges)?;
        Ok(ranges.into_iter().map(|range| &line[range]).collect())
    }

    #[test]
    fn delimiters_in_quotes_split_nothing() {
        assert_eq!(cells("a, b ,,c").unwrap(), ["a", "b", "", "c"]);
        assert_eq!(cells(r#""a,b" ,"c\"d", e"#).unwrap(), [r#""a,b""#, r#""c\"d""#, "e"]);
        assert_eq!(cells(r#"a"b,c"d,e"#).unwrap(), [r#"a"b,c"d"#, "e"]);
        assert_eq!(cells(r#""x","#).unwrap(), [r#""x""#, ""]);
        assert_eq!(cells("a,10:30").unwrap(), ["a", "10:30"]);
        assert_eq!(cells(r#""10:30",a"#).unwrap(), [r#""10:30""#, "a"]);
    }

    #[test]
    fn malformed_cells_name_their_place() {
        assert_eq!(cells("10:30,a"), Err((Fault::ColonFirst, 2..3)));
        assert_eq!(cells(r#"10:30,"a""#), Err((Fault::ColonFirst, 2..3)));
        assert_eq!(cells(r#"é,"open"#), Err((Fault::OpenQuote, 3..8)));
        assert_eq!(cells(r#"a,"x\q","b""#), Err((Fault::Escape, 4..6)));
        assert_eq!(cells(r#""x\"#), Err((Fault::Escape, 2..3)));
        assert_eq!(cells(r#"a,"b" c,d"#), Err((Fault::AfterQuote, 6..9)));
    }
}
