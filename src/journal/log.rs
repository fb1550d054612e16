//! Checks SQLite's write-ahead log before SQLite reads it. SQLite takes the first frame that does not fit for the end,
//! as after a power failure, and silently ignores the rest. But commits become durable one after the other: if a whole
//! commit follows a broken one, the log was damaged later. Knows nothing of records.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// The size of the log's header in bytes; then come frames, each with a header and a page.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// The position of damage in the log, in bytes from its beginning, that would make SQLite ignore stored records.
/// `open` opens the log if it exists.
///
/// # Errors
/// The log cannot be read.
pub(super) fn damage(open: impl Fn() -> io::Result<Option<File>>) -> io::Result<Option<u64>> {
    let scan = || open()?.map_or(Ok(None), scan);
    let Some(found) = scan()? else { return Ok(None) };
    // A write in progress is complete by now, or the log has restarted.
    Ok(scan()?.filter(|again| *again == found).map(|(_, at)| at))
}

/// The log's header and the position of the first broken frame that is followed by commits.
fn scan(log: File) -> io::Result<Option<([u8; HEADER], u64)>> {
    let mut file = BufReader::with_capacity(64 << 10, log);
    let mut header = [0; HEADER];
    let mut first = [0; FRAME];
    if !fill(&mut file, &mut header)? || !fill(&mut file, &mut first)? {
        return Ok(None);
    }
    // The header is durable before any frame is written, and is written whole: it is shorter than a sector.
    let Some(form) = LogForm::of(&header) else { return Ok(Some((header, 0))) };
    let mut frames = Frames { form: &form, sum: form.sum, broken: None, ended: false };
    let mut page = vec![0; form.page];
    let (mut frame, mut at) = (first, HEADER as u64);
    while fill(&mut file, &mut page)? {
        if frames.is_behind(&frame, &page, at) {
            return Ok(frames.broken.map(|broken| (header, broken)));
        }
        at += (FRAME + form.page) as u64;
        if !fill(&mut file, &mut frame)? {
            break;
        }
    }
    Ok(None)
}

/// Whether there were enough bytes to fill `buffer`.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The format that the header declares for the frames.
struct LogForm {
    page: usize,
    salt: [u8; 8],
    sum: LogSum,
    /// How four bytes make a number; only for the checksum.
    number: fn([u8; 4]) -> u32,
}

impl LogForm {
    /// `None` if the header is damaged.
    fn of(header: &[u8; HEADER]) -> Option<LogForm> {
        let number: fn([u8; 4]) -> u32 = match word(header, 0) {
            0x377f_0682 => u32::from_le_bytes,
            0x377f_0683 => u32::from_be_bytes,
            _ => return None,
        };
        let sum = LogSum(0, 0).over(&header[..24], number);
        let page = word(header, 8) as usize;
        let mut salt = [0; 8];
        salt.copy_from_slice(&header[16..24]);
        let fits = sum == LogSum::at(header, 24) && page.is_power_of_two() && (512..=65536).contains(&page);
        fits.then_some(LogForm { page, salt, sum, number })
    }
}

/// A walk over the frames.
struct Frames<'a> {
    form: &'a LogForm,
    /// The checksum in the last frame.
    sum: LogSum,
    /// The position of the first frame that does not fit.
    broken: Option<u64>,
    /// Whether the commit that it was part of has ended since.
    ended: bool,
}

impl Frames<'_> {
    /// Processes the next frame. Returns whether it was written after the broken one was durable.
    fn is_behind(&mut self, frame: &[u8; FRAME], page: &[u8], at: u64) -> bool {
        let ours = frame[8..16] == self.form.salt;
        let sum = self.sum.over(&frame[..8], self.form.number).over(page, self.form.number);
        self.sum = LogSum::at(frame, 16);
        let fits = ours && sum == self.sum;
        if fits && self.ended {
            return true;
        }
        if !fits && self.broken.is_none() {
            self.broken = Some(at);
        }
        let commits = ours && word(frame, 4) != 0;
        self.ended |= self.broken.is_some() && commits;
        false
    }
}

/// SQLite's running checksum.
#[derive(Clone, Copy, PartialEq, Eq)]
struct LogSum(u32, u32);

impl LogSum {
    fn over(self, bytes: &[u8], number: fn([u8; 4]) -> u32) -> LogSum {
        let LogSum(mut one, mut two) = self;
        for eight in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *eight;
            one = one.wrapping_add(number([a, b, c, d])).wrapping_add(two);
            two = two.wrapping_add(number([e, f, g, h])).wrapping_add(one);
        }
        LogSum(one, two)
    }

    fn at(bytes: &[u8], at: usize) -> LogSum {
        LogSum(word(bytes, at), word(bytes, at + 4))
    }
}

/// The big-endian number at a position inside of `bytes`.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
