//! A text as readers may decode it: unchanged, with the escapes of JSON resolved, with the escapes in the result
//! resolved, and so on. Knows nothing of secrets.

/// The most levels of JSON in JSON.
const DEEPEST: usize = 8;

/// The UTF-16 units of a text, with the bytes that each comes from. In units, half of a character is escaped like a
/// whole one.
pub(super) struct View {
    pub units: Vec<u16>,
    /// Where each unit starts in the text, and where the last one ends.
    starts: Vec<usize>,
}

impl View {
    fn of(text: &str, seen: fn(char) -> bool) -> View {
        let mut view =
            View { units: Vec::with_capacity(text.len()), starts: Vec::with_capacity(text.len() + 1) };
        for (at, letter) in text.char_indices().filter(|(_, letter)| seen(*letter)) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                view.push(*unit, at);
            }
        }
        view.starts.push(text.len());
        view
    }

    /// The views of a text, each with the escapes of the previous one resolved. If escapes may represent bytes of
    /// UTF-8, further views decode them; if there are NULs, as in UTF-16, further views leave them out.
    pub fn all(text: &str) -> impl Iterator<Item = View> {
        let views = move |seen: fn(char) -> bool, bytes: bool| {
            let mut next = Some(View::of(text, seen));
            std::iter::from_fn(move || {
                let view = next.take()?;
                next = view.resolved(bytes);
                Some(view)
            })
            .take(1 + DEEPEST)
        };
        let by_bytes = text.as_bytes().windows(2).any(|pair| matches!(pair, [b'\\', b'x' | b'0'..=b'7']));
        let all = move |seen| {
            views(seen, false).chain(by_bytes.then(|| views(seen, true)).into_iter().flatten().skip(1))
        };
        let wide = text.contains('\0').then(|| all(|letter| letter != '\0'));
        all(|_| true).chain(wide.into_iter().flatten())
    }

    /// The bytes of the text for some of the units.
    pub fn bytes(&self, units: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let at = |unit: usize| self.starts.get(unit).copied().unwrap_or_default();
        at(units.start)..at(units.end)
    }

    fn push(&mut self, unit: u16, start: usize) {
        self.units.push(unit);
        self.starts.push(start);
    }

    /// With escapes resolved, by bytes as UTF-8 if `by_bytes`; `None` without any.
    fn resolved(&self, by_bytes: bool) -> Option<View> {
        let mut at = self.units.iter().position(|unit| *unit == BACKSLASH)?;
        let mut view = View { units: self.units[..at].to_vec(), starts: self.starts[..at].to_vec() };
        let mut any = false;
        while let Some(unit) = self.units.get(at) {
            let start = self.starts[at];
            let rest = &self.units[at + 1..];
            let found = (*unit == BACKSLASH).then(|| {
                let letter = if by_bytes { escaped_bytes(rest) } else { None };
                letter.or_else(|| escape(rest))
            });
            match found.flatten() {
                Some((length, letter)) => {
                    letter.into_iter().for_each(|unit| view.push(unit, start));
                    (any, at) = (true, at + 1 + length);
                }
                None => {
                    view.push(*unit, start);
                    at += 1;
                }
            }
        }
        view.starts.push(self.starts.last().copied().unwrap_or_default());
        any.then_some(view)
    }
}

const BACKSLASH: u16 = b'\\' as u16;

/// The meaning of a backslash and these units, and how many units that takes: the escapes of JSON, and those of
/// programs that print a text as in source code.
fn escape(rest: &[u16]) -> Option<(usize, Units)> {
    let ascii = |at: usize| rest.get(at).and_then(|unit| u8::try_from(*unit).ok());
    let plain = |letter: u8| Some((1, Units::one(letter.into())));
    match ascii(0)? {
        letter @ (b'"' | b'\\' | b'/' | b'\'') => plain(letter),
        b'b' => plain(8),
        b'f' => plain(12),
        b'n' => plain(b'\n'),
        b'r' => plain(b'\r'),
        b't' => plain(b'\t'),
        b'x' => Some((3, Units::one(hexadecimal(rest.get(1..3)?)?.try_into().ok()?))),
        b'U' => Some((9, Units::of(char::from_u32(hexadecimal(rest.get(1..9)?)?)?))),
        b'0' if !matches!(ascii(1), Some(b'0'..=b'7')) => plain(0),
        b'u' if ascii(1) == Some(b'{') => {
            let digits = rest.get(2..)?.iter().take(7).position(|unit| *unit == u16::from(b'}'))?;
            let letter = char::from_u32(hexadecimal(rest.get(2..2 + digits)?)?)?;
            Some((3 + digits, Units::of(letter)))
        }
        b'u' => Some((5, Units::one(hexadecimal(rest.get(1..5)?)?.try_into().ok()?))),
        _ => None,
    }
}

/// The character whose bytes these units and those after the next backslashes represent, as in `\xc3\xa4` or
/// `\303\244`, and how many units that takes.
fn escaped_bytes(rest: &[u16]) -> Option<(usize, Units)> {
    let (mut bytes, mut length, mut rest) = (Vec::new(), 0, rest);
    loop {
        let (byte, digits) = escaped_byte(rest)?;
        bytes.push(byte);
        length += digits;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            return Some((length, Units::of(text.chars().next()?)));
        }
        if bytes.len() == 4 || rest.get(digits) != Some(&BACKSLASH) {
            return None;
        }
        rest = rest.get(digits + 1..)?;
        length += 1;
    }
}

fn escaped_byte(rest: &[u16]) -> Option<(u8, usize)> {
    if rest.first() == Some(&b'x'.into()) {
        return Some((hexadecimal(rest.get(1..3)?)?.try_into().ok()?, 3));
    }
    let digits = rest.get(..3)?.iter();
    let number = digits.map(|digit| char::from_u32((*digit).into())?.to_digit(8));
    let number = number.reduce(|number, digit| Some(number? * 8 + digit?)).flatten()?;
    Some((number.try_into().ok()?, 3))
}

fn hexadecimal(digits: &[u16]) -> Option<u32> {
    let mut number = (!digits.is_empty()).then_some(0)?;
    for digit in digits {
        number = number * 16 + char::from_u32((*digit).into())?.to_digit(16)?;
    }
    Some(number)
}

/// One or two.
struct Units([u16; 2], usize);

impl Units {
    fn one(unit: u16) -> Units {
        Units([unit, 0], 1)
    }

    fn of(letter: char) -> Units {
        let mut units = [0; 2];
        let length = letter.encode_utf16(&mut units).len();
        Units(units, length)
    }

    fn into_iter(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().take(self.1)
    }
}
