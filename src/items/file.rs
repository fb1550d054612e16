//! Items in a file: JSON lines, streamed, or one JSON array. Every line is checked before the first item runs.

use super::Shape;
use crate::event::Values;
use crate::value::{Value, json};
use anyhow::{Context, bail};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest line, in bytes.
const LARGEST_LINE: usize = 16 * 1024 * 1024;

/// A file of items, with the shape that they must have.
#[derive(Debug)]
pub struct Items {
    path: PathBuf,
    shape: Shape,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    /// One value that fills the file: an array of items, or one item.
    Whole,
}

/// What is wrong with one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of the file, from 1.
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl Items {
    /// # Errors
    /// When the form of the file is not supported.
    pub fn new(path: &Path, shape: Shape) -> anyhow::Result<Self> {
        let extension = path.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase();
        let form = match extension.as_str() {
            "jsonl" | "ndjson" => Form::Lines,
            "json" => Form::Whole,
            _ => bail!(
                "items from {} are not supported yet; write one JSON object a line (.jsonl) or one JSON array (.json)",
                path.display()
            ),
        };
        Ok(Items { path: path.to_owned(), shape, form })
    }

    /// Reads the whole file and says how many items it holds and what is wrong with them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn check(&self) -> anyhow::Result<(u64, Vec<Problem>)> {
        let mut problems = Vec::new();
        let mut seen: HashMap<u128, usize> = HashMap::new();
        let mut count = 0;
        for item in self.raw()? {
            let Raw { line, value } = item?;
            count += 1;
            match value.and_then(|value| self.shape_of(value, line, count)) {
                Ok((key, _)) => {
                    let hash = blake3::hash(key.as_bytes());
                    let hash =
                        hash.as_bytes().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
                    if let Some(first) = seen.insert(hash, line) {
                        let message = format!("the key \"{key}\" stands already on line {first}");
                        problems.push(Problem { line, column: 1, message });
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        Ok((count, problems))
    }

    /// Streams the items of a file that has been checked.
    ///
    /// # Errors
    /// When the file cannot be opened. The iterator's errors say that the file has changed since.
    pub fn stream(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(Arc<str>, Values)>> + '_> {
        let mut count = 0;
        Ok(self.raw()?.map(move |item| {
            let Raw { line, value } = item?;
            count += 1;
            value.and_then(|value| self.shape_of(value, line, count)).map_err(|problem| {
                anyhow::anyhow!(
                    "{}:{}: {}; the file has changed since it was checked",
                    self.path.display(),
                    problem.line,
                    problem.message
                )
            })
        }))
    }

    fn shape_of(&self, value: Value, line: usize, count: u64) -> Result<(Arc<str>, Values), Problem> {
        let wrong = |message| Problem { line, column: 1, message };
        let stem = self.path.file_stem().and_then(|stem| stem.to_str());
        let number = count.to_string();
        // A file that is one item is known by its name.
        let fallback = match (self.form, line) {
            (Form::Whole, 0) => stem.unwrap_or(&number),
            _ => &number,
        };
        let key = self.shape.key(&value, fallback).map_err(wrong)?;
        Ok((key, self.shape.inputs(value).map_err(wrong)?))
    }

    fn raw(&self) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Raw>>>> {
        let name = self.path.display();
        let file = File::open(&self.path).with_context(|| format!("cannot read the items in {name}"))?;
        if file.metadata().is_ok_and(|about| about.is_dir()) {
            bail!("items from a folder ({name}) are not supported yet; name a .jsonl or .json file");
        }
        Ok(match self.form {
            Form::Lines => Box::new(Lines { reader: BufReader::new(file), line: 0, path: self.path.clone() }),
            Form::Whole => Box::new(whole(&self.path)?.into_iter().map(Ok)),
        })
    }
}

/// One item as it was read, or why it could not be.
struct Raw {
    /// 0 for a file that is one item.
    line: usize,
    value: Result<Value, Problem>,
}

struct Lines {
    reader: BufReader<File>,
    line: usize,
    path: PathBuf,
}

impl Iterator for Lines {
    type Item = anyhow::Result<Raw>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut bytes = Vec::new();
            match read_line(&mut self.reader, &mut bytes) {
                Err(error) => {
                    let name = self.path.display();
                    return Some(Err(error).with_context(|| format!("cannot read the items in {name}")));
                }
                Ok(0) => return None,
                Ok(_) => self.line += 1,
            }
            let bytes =
                if self.line == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes) } else { &bytes };
            if !bytes.trim_ascii().is_empty() {
                return Some(Ok(Raw { line: self.line, value: parse(bytes, self.line) }));
            }
        }
    }
}

/// Reads a line with its end, but no more of it than is allowed and one byte.
fn read_line(reader: &mut BufReader<File>, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    use std::io::Read;
    let read = reader.take(LARGEST_LINE as u64 + 1).read_until(b'\n', bytes)?;
    if bytes.len() > LARGEST_LINE {
        // The rest is passed over so that the lines after it keep their numbers.
        loop {
            let rest = reader.fill_buf()?;
            let (length, done) = match memchr::memchr(b'\n', rest) {
                Some(at) => (at + 1, true),
                None => (rest.len(), rest.is_empty()),
            };
            reader.consume(length);
            if done {
                break;
            }
        }
    }
    Ok(read)
}

fn parse(bytes: &[u8], line: usize) -> Result<Value, Problem> {
    let wrong = |column, message| Problem { line, column, message };
    if bytes.len() > LARGEST_LINE {
        return Err(wrong(1, format!("longer than {} MiB", LARGEST_LINE >> 20)));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| wrong(error.valid_up_to() + 1, "this is no UTF-8".to_owned()))?;
    json::parse(text.trim_end()).map_err(|error| wrong(error.column().max(1), describe(&error)))
}

/// serde_json's words without its own count of line and column.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    format!("no valid JSON: {}", &text[..end])
}

fn whole(path: &Path) -> anyhow::Result<Vec<Raw>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read the items in {}", path.display()))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count();
            let message = format!("this is no UTF-8 at byte {}", error.valid_up_to());
            return Ok(vec![Raw { line, value: Err(Problem { line, column: 1, message }) }]);
        }
    };
    if text.trim_start().starts_with('[') {
        return Ok(elements(text));
    }
    Ok(vec![match json::parse(text) {
        Ok(value) => Raw { line: 0, value: Ok(value) },
        Err(error) => broken(&error),
    }])
}

fn broken(error: &serde_json::Error) -> Raw {
    let (line, column) = (error.line().max(1), error.column().max(1));
    Raw { line, value: Err(Problem { line, column, message: describe(error) }) }
}

/// The elements of an array, each with the line on which it begins.
fn elements(text: &str) -> Vec<Raw> {
    let raw: Vec<&serde_json::value::RawValue> = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) => return vec![broken(&error)],
    };
    let (mut line, mut counted) = (1, 0);
    let element = |raw: &&serde_json::value::RawValue| {
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..start]).count();
        counted = start;
        let value = json::parse(raw.get()).map_err(|error| Problem {
            line: line + error.line().max(1) - 1,
            column: error.column().max(1),
            message: describe(&error),
        });
        Raw { line, value }
    };
    raw.iter().map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    /// The keys of the items, or what is wrong with them.
    fn read(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let items = Items::new(&path, Shape::new(&Graph::default(), Vec::new(), None)).unwrap();
        let (count, problems) = items.check().unwrap();
        if problems.is_empty() {
            let keys: Vec<_> = items.stream().unwrap().map(|item| item.unwrap().0.to_string()).collect();
            assert_eq!(count, keys.len() as u64);
            return keys.join(" ");
        }
        let line = |p: &Problem| format!("{}:{} {}", p.line, p.column, p.message);
        problems.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn lines_arrays_and_single_items_are_read() {
        assert_eq!(read("a.jsonl", "\u{feff}{\"id\":\"a\"}\r\n\n{\"id\":2}\n7"), "a 2 3");
        assert_eq!(read("a.json", "[{\"id\":\"a\"},\n {\"x\":1}]"), "a 2");
        assert_eq!(read("order-7.json", "{\"total\": 1}"), "order-7");
        assert_eq!(read("a.jsonl", ""), "");
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        assert_eq!(
            read("a.jsonl", "{\"id\":1}\n{\"id\":\n{\"id\":1}\n{\"a\":1,\"a\":2}\n"),
            "2:6 no valid JSON: EOF while parsing a value; 3:1 the key \"1\" stands already on line 1; \
             4:10 no valid JSON: the key \"a\" stands twice in one object"
        );
        assert_eq!(read("a.json", "[1,\n 2,\n oops]"), "3:2 no valid JSON: expected value");
        assert_eq!(
            read("a.json", "[1,\n {\"b\":1,\n\"b\":2}]"),
            "3:3 no valid JSON: the key \"b\" stands twice in one object"
        );
    }

    #[test]
    fn other_forms_are_refused() {
        let shape = Shape::new(&Graph::default(), Vec::new(), None);
        let error = Items::new(Path::new("orders.csv"), shape).unwrap_err().to_string();
        assert!(error.contains("orders.csv are not supported yet"), "{error}");
    }
}
