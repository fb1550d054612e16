//! SQLite's write-ahead log, looked at before SQLite does. It takes the first frame that does not fit for the end,
//! as after a loss of power, and says nothing of what stands behind. But commits become durable one after the
//! other: where a whole commit stands behind a broken one, the log was damaged later. Knows nothing of records.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// Of the log, then of each of its frames, whose page follows.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// Where the log is damaged, in bytes from its beginning, so that SQLite would pass over what was kept. `open` opens
/// it where there is one.
///
/// # Errors
/// The log cannot be read.
pub(super) fn damage(open: impl Fn() -> io::Result<Option<File>>) -> io::Result<Option<u64>> {
    let scan = || open()?.map_or(Ok(None), scan);
    let Some(found) = scan()? else { return Ok(None) };
    // What a writer was just writing is whole by now, or the log has begun anew.
    Ok(scan()?.filter(|again| *again == found).map(|(_, at)| at))
}

/// The log's header and where the first broken frame stands that commits stand behind.
fn scan(log: File) -> io::Result<Option<([u8; HEADER], u64)>> {
    let mut file = BufReader::with_capacity(64 << 10, log);
    let mut header = [0; HEADER];
    let mut first = [0; FRAME];
    if !fill(&mut file, &mut header)? || !fill(&mut file, &mut first)? {
        return Ok(None);
    }
    // The header is durable before any frame is written, and written whole: it is shorter than a sector.
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

/// Whether there was enough to fill `buffer`.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the header says of the frames.
struct LogForm {
    page: usize,
    salt: [u8; 8],
    sum: LogSum,
    /// How four bytes make a number, for the checksum alone.
    number: fn([u8; 4]) -> u32,
}

impl LogForm {
    /// None where the header is damaged.
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
    /// That the last frame states.
    sum: LogSum,
    /// Where the first frame stands that does not fit.
    broken: Option<u64>,
    /// Whether the commit that it was part of has ended since.
    ended: bool,
}

impl Frames<'_> {
    /// Takes the next frame. True where it was written after the broken one was durable.
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

/// The big-endian number at a place that is inside of `bytes`.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
