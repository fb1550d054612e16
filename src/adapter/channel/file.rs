//! Files of events, one CloudEvent in JSON a line: appended to, and followed.

use super::{Door, Refused, decode};
use crate::event::Arrival;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a followed file is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// The longest line, in bytes: the data and the attributes.
const LONGEST: usize = Arrival::LARGEST + (64 << 10);

const CHUNK: usize = 64 << 10;

/// Opens a regular file; a pipe or a device is refused, and does not block.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let file = options.custom_flags(i32::try_from(flags).unwrap_or(0)).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// A file to which events are appended.
pub struct Appended {
    path: PathBuf,
}

impl Appended {
    pub fn new(path: PathBuf) -> Appended {
        Appended { path }
    }

    /// Appends a line, durably.
    pub(super) async fn append(&self, line: &str) -> Result<(), Refused> {
        let (path, line) = (self.path.clone(), line.to_owned());
        let written = tokio::task::spawn_blocking(move || write(&path, &line)).await;
        let refused = |message: String| Refused { message, again: true };
        let shown = self.path.display();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refused(format!("cannot append to {shown}: {error}"))),
            Err(_) => Err(refused(format!("cannot append to {shown}"))),
        }
    }
}

fn write(path: &Path, line: &str) -> io::Result<()> {
    let mut file = open(OpenOptions::new().append(true).read(true).create(true), path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    // A writer that was killed may have left a part of a line.
    let begin = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{begin}{line}\n").as_bytes())?;
    file.sync_data()
}

/// A file that is followed while the run lives. Lines of an earlier session have known ids, and are ignored.
pub struct Followed {
    path: PathBuf,
}

impl Followed {
    pub fn new(path: PathBuf) -> Followed {
        Followed { path }
    }

    /// Reads events until the run is over. `warn` gets what is wrong with lines.
    pub async fn follow(self, door: Door, mut warn: impl FnMut(String)) {
        let mut reader = Reader::default();
        let mut faults = 0_u64;
        loop {
            let path = self.path.clone();
            let (next, lines) = match tokio::task::spawn_blocking(move || reader.read(&path)).await {
                Ok(read) => read,
                Err(_) => return,
            };
            reader = next;
            let quiet = lines.is_empty();
            for (number, line) in lines {
                let read = line.and_then(|line| decode(&line, (door.clock)()));
                match read {
                    Ok(arrival) if !door.takes(&arrival.kind) => {}
                    Ok(arrival) => {
                        if door.enter(arrival).await.is_none() {
                            return;
                        }
                    }
                    Err(why) => {
                        faults += 1;
                        if faults <= 10 {
                            warn(format!("{} line {number}: {why}", self.path.display()));
                        }
                    }
                }
            }
            if quiet {
                if door.events.is_closed() {
                    return;
                }
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// The place in a file up to which it was read.
#[derive(Default)]
struct Reader {
    inode: u64,
    offset: u64,
    line: u64,
    /// The beginning of a line whose end has not been written.
    rest: Vec<u8>,
    /// The line is too long, and its rest is passed over.
    skips: bool,
}

type Lines = Vec<(u64, Result<String, String>)>;

impl Reader {
    /// The lines that were completed since the last time, as many as one chunk has. A missing file has none.
    fn read(mut self, path: &Path) -> (Reader, Lines) {
        let mut lines = Lines::new();
        let Ok(mut file) = open(OpenOptions::new().read(true), path) else { return (self, lines) };
        let Ok(about) = file.metadata() else { return (self, lines) };
        // Another file, or one that was emptied, is read from its beginning.
        if about.ino() != self.inode || about.len() < self.offset {
            self = Reader { inode: about.ino(), ..Reader::default() };
        }
        let mut chunk = vec![0; CHUNK];
        while lines.is_empty() {
            let read = file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.read(&mut chunk));
            let Ok(read @ 1..) = read else { break };
            self.offset += read as u64;
            self.take(&chunk[..read], &mut lines);
        }
        (self, lines)
    }

    fn take(&mut self, mut chunk: &[u8], lines: &mut Lines) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (head, tail) = chunk.split_at(end);
            chunk = tail.get(1..).unwrap_or_default();
            self.line += 1;
            self.rest.extend_from_slice(head);
            let text = String::from_utf8(std::mem::take(&mut self.rest));
            let line = match text {
                _ if std::mem::take(&mut self.skips) => Err("it is too long".to_owned()),
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) if text.len() > LONGEST => Err("it is too long".to_owned()),
                Ok(text) => Ok(text),
                Err(_) => Err("it is not UTF-8".to_owned()),
            };
            lines.push((self.line, line));
        }
        self.rest.extend_from_slice(chunk);
        if self.rest.len() > LONGEST {
            self.rest = Vec::new();
            self.skips = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Lines) -> Vec<(u64, Result<String, String>)> {
        lines
    }

    #[test]
    fn lines_are_read_once_they_are_whole_and_a_new_file_from_its_beginning() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("in.jsonl");
        let (reader, lines) = Reader::default().read(&path);
        assert_eq!(texts(lines), []);
        std::fs::write(&path, "a\n\nb").unwrap();
        let (reader, lines) = reader.read(&path);
        assert_eq!(texts(lines), [(1, Ok("a".into()))]);
        std::fs::write(&path, "a\n\nbc\n").unwrap();
        let (reader, lines) = reader.read(&path);
        assert_eq!(texts(lines), [(3, Ok("bc".into()))]);
        std::fs::write(&path, "x\n").unwrap();
        assert_eq!(texts(reader.read(&path).1), [(1, Ok("x".into()))]);
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_memory_and_hides_no_other() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("in.jsonl");
        std::fs::write(&path, format!("{}\nb\n", "a".repeat(3 * LONGEST))).unwrap();
        let (_, lines) = Reader::default().read(&path);
        assert_eq!(texts(lines), [(1, Err("it is too long".into())), (2, Ok("b".into()))]);
    }

    #[test]
    fn a_part_of_a_line_that_a_killed_writer_left_stays_a_line_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("out.jsonl");
        std::fs::write(&path, "{\"a\":1}\n{\"b\"").unwrap();
        write(&path, "{}").unwrap();
        write(&path, "{}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\"\n{}\n{}\n");
        let pipe = home.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(open(OpenOptions::new().read(true), &pipe).is_err());
    }
}
