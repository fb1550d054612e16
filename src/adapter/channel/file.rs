//! Files of events, one CloudEvent in JSON a line: appended to, and followed.

use super::{Door, Refused, decode};
use crate::disk::Named;
use crate::event::Arrival;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime};

/// How often a followed file is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// The longest line, in bytes: the data and the attributes.
const LONGEST: usize = Arrival::LARGEST + (64 << 10);

const CHUNK: usize = 64 << 10;

/// A file to which events are appended.
pub struct Appended {
    file: Named,
}

impl Appended {
    /// Opens the file once, which creates it.
    ///
    /// # Errors
    /// Events cannot be appended to it.
    pub fn open(file: Named) -> io::Result<Appended> {
        file.append()?;
        Ok(Appended { file })
    }

    /// Appends a line, durably.
    pub(super) async fn append(&self, line: &str) -> Result<(), Refused> {
        let (file, line) = (self.file.clone(), line.to_owned());
        let written = tokio::task::spawn_blocking(move || write(&file, &line)).await;
        let refused = |message: String| Refused { message, again: true };
        let shown = self.file.path().display();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refused(format!("cannot append to {shown}: {error}"))),
            Err(_) => Err(refused(format!("cannot append to {shown}"))),
        }
    }
}

fn write(file: &Named, line: &str) -> io::Result<()> {
    let mut file = file.append()?;
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
    file: Named,
}

impl Followed {
    /// Checks that the file can be read, or may come.
    ///
    /// # Errors
    /// It is of another kind, or its folder is missing.
    pub fn open(file: Named) -> io::Result<Followed> {
        match file.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_folder(&file) => {}
            opened => drop(opened?),
        }
        Ok(Followed { file })
    }

    /// Reads events until the run is over. `warn` gets what is wrong with the file and its lines.
    pub async fn follow(self, door: Door, mut warn: impl FnMut(String)) {
        let mut reader = Reader::default();
        let (mut faults, mut shut) = (0_u64, false);
        loop {
            let file = self.file.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut lines = Lines::new();
                let read = reader.read(&file, &mut lines);
                (reader, lines, read)
            });
            let Ok((next, lines, read)) = read.await else { return };
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
                            warn(format!("{} line {number}: {why}", self.file.path().display()));
                        }
                    }
                }
            }
            let why = read.err().filter(|error| error.kind() != io::ErrorKind::NotFound);
            if let Some(why) = why.as_ref().filter(|_| !shut) {
                warn(format!("cannot read {}: {why}", self.file.path().display()));
            }
            shut = why.is_some();
            if quiet {
                if door.events.is_closed() {
                    return;
                }
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

fn has_folder(file: &Named) -> bool {
    file.path().parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir())
}

/// The place in a file up to which it was read.
#[derive(Default)]
struct Reader {
    file: Option<File>,
    /// When the file was last changed, as far as it was read.
    changed: Option<SystemTime>,
    offset: u64,
    /// The last bytes before the offset.
    before: Vec<u8>,
    line: u64,
    /// The beginning of a line whose end has not been written.
    rest: Vec<u8>,
    /// The line is too long, and its rest is passed over.
    skips: bool,
}

/// How many bytes before the offset show whether a file is still the one that was read.
const BEFORE: usize = 256;

type Lines = Vec<(u64, Result<String, String>)>;

impl Reader {
    /// Reads the lines that were completed since the last time, as many as one chunk has. A file that has another one's
    /// name now, such as after its rotation, is read to its end first.
    ///
    /// # Errors
    /// The file cannot be read, such as one that is missing.
    fn read(&mut self, named: &Named, lines: &mut Lines) -> io::Result<()> {
        if self.file.is_some() {
            self.more(lines)?;
            if !lines.is_empty() {
                return Ok(());
            }
        }
        let file = named.open()?;
        let about = file.metadata()?;
        let known = self.file.as_ref().map(File::metadata).transpose()?;
        let is_same = |known: Metadata| (known.ino(), known.dev()) == (about.ino(), about.dev());
        if !known.is_some_and(is_same) {
            // The last line of a file that has lost its name stays as it is.
            if !self.rest.is_empty() || self.skips {
                self.take(b"\n", lines);
            }
            *self = Reader { file: Some(file), ..Reader::default() };
        }
        if lines.is_empty() { self.more(lines) } else { Ok(()) }
    }

    fn more(&mut self, lines: &mut Lines) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let about = file.metadata()?;
        let changed = about.modified().ok();
        if self.changed != changed && !self.is_continued(&file, about.len()) {
            *self = Reader::default();
        }
        let mut chunk = vec![0; CHUNK];
        while lines.is_empty() {
            let read = file.read_at(&mut chunk, self.offset)?;
            if read == 0 {
                self.changed = changed;
                break;
            }
            self.offset += read as u64;
            let new = chunk.get(..read).unwrap_or_default();
            self.before.extend_from_slice(new.get(read.saturating_sub(BEFORE)..).unwrap_or_default());
            self.before.drain(..self.before.len().saturating_sub(BEFORE));
            self.take(new, lines);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Whether the file still has what was read of it: it may have been emptied and filled again.
    fn is_continued(&self, file: &File, length: u64) -> bool {
        let mut before = vec![0; self.before.len()];
        let from = self.offset.saturating_sub(before.len() as u64);
        length >= self.offset && file.read_exact_at(&mut before, from).is_ok() && before == self.before
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

    /// The lines of a file that have come.
    fn next(reader: &mut Reader, path: &std::path::Path) -> Lines {
        let mut lines = Lines::new();
        reader.read(&Named::file(path), &mut lines).unwrap();
        lines
    }

    #[test]
    fn lines_are_read_once_they_are_whole_and_a_new_file_from_its_beginning() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("in.jsonl");
        let mut reader = Reader::default();
        let missing = reader.read(&Named::file(&path), &mut Lines::new()).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "a\n\nb").unwrap();
        assert_eq!(next(&mut reader, &path), [(1, Ok("a".into()))]);
        std::fs::write(&path, "a\n\nbc\n").unwrap();
        assert_eq!(next(&mut reader, &path), [(3, Ok("bc".into()))]);
        assert_eq!(next(&mut reader, &path), []);
        std::fs::write(&path, "x\n").unwrap();
        assert_eq!(next(&mut reader, &path), [(1, Ok("x".into()))]);
        // Emptied and filled again beyond the place up to which it was read.
        assert_eq!(next(&mut reader, &path), []);
        std::fs::write(&path, "longer\nthan\n").unwrap();
        assert_eq!(next(&mut reader, &path), [(1, Ok("longer".into())), (2, Ok("than".into()))]);
    }

    #[test]
    fn a_file_that_is_rotated_is_read_to_its_end_first() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("in.jsonl");
        std::fs::write(&path, "a\n").unwrap();
        let mut reader = Reader::default();
        assert_eq!(next(&mut reader, &path), [(1, Ok("a".into()))]);
        std::fs::write(&path, "a\nb\nc").unwrap();
        std::fs::rename(&path, home.path().join("in.1")).unwrap();
        std::fs::write(&path, "d\n").unwrap();
        let read: Vec<Lines> = (0..4).map(|_| next(&mut reader, &path)).collect();
        let line = |number, text: &str| vec![(number, Ok(text.to_owned()))];
        assert_eq!(read, [line(2, "b"), line(3, "c"), line(1, "d"), Lines::new()]);
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_memory_and_hides_no_other() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("in.jsonl");
        std::fs::write(&path, format!("{}\nb\n", "a".repeat(3 * LONGEST))).unwrap();
        let mut reader = Reader::default();
        assert_eq!(next(&mut reader, &path), [(1, Err("it is too long".into())), (2, Ok("b".into()))]);
    }

    #[test]
    fn a_part_of_a_line_that_a_killed_writer_left_stays_a_line_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("out.jsonl");
        std::fs::write(&path, "{\"a\":1}\n{\"b\"").unwrap();
        write(&Named::file(&path), "{}").unwrap();
        write(&Named::file(&path), "{}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\"\n{}\n{}\n");
    }

    /// A link must not lead out of the folder, also one to a file that does not exist yet.
    #[test]
    fn pipes_folders_and_links_that_lead_out_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(home.path().join("real.jsonl"), "").unwrap();
        for (name, target) in [("link", "../real.jsonl"), ("dangling", "../new.jsonl")] {
            std::os::unix::fs::symlink(target, inside.join(name)).unwrap();
        }
        assert!(std::process::Command::new("mkfifo").arg(inside.join("pipe")).status().unwrap().success());
        std::fs::create_dir(inside.join("folder")).unwrap();
        for name in ["link", "dangling", "pipe", "folder", "missing/in.jsonl"] {
            let named = || Named::by_document(&inside, name.as_ref());
            assert!(Followed::open(named()).is_err(), "{name}");
            assert!(Appended::open(named()).is_err(), "{name}");
        }
        assert!(!home.path().join("new.jsonl").exists());
        let named = || Named::by_document(&inside, "new.jsonl".as_ref());
        assert!(Followed::open(named()).is_ok() && Appended::open(named()).is_ok());
        assert!(inside.join("new.jsonl").exists());
    }
}
