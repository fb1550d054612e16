//! Items checked whole before the first one runs, then streamed in the same order.

use super::keys::{Keys, Suspects};
use super::raw::{Fault, Item, Place, Raw};
use super::{Shape, Source};
use crate::diag::nearest;
use crate::event::Values;
use anyhow::Context;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Problems that are kept; the others are only counted.
const KEPT: usize = 20;

/// What a second item with a key means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    #[default]
    Error,
    /// Only the first one runs.
    Skip,
}

/// Items that nobody has looked at yet.
#[derive(Debug)]
pub struct Items {
    pub source: Source,
    pub shape: Shape,
    pub duplicates: Duplicates,
    /// The keys of the only items to run; all run where it is empty.
    pub only: Vec<String>,
}

/// Items that have been read whole once.
pub struct Checked {
    items: Items,
    suspects: Suspects,
    only: HashSet<String>,
    /// In the source.
    read: u64,
    /// To run.
    pub total: u64,
    /// Left out because their key stands before.
    pub skipped: u64,
    pub problems: Problems,
    /// Keys of `only` that no item has, each with the nearest one.
    pub unknown: Vec<(String, Option<String>)>,
}

/// What is wrong with the items: the first problems, and how many there are.
#[derive(Debug, Default)]
pub struct Problems {
    pub first: Vec<Problem>,
    pub count: u64,
}

/// What is wrong with one item, or with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, or what stands for it.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    pub message: String,
}

type Good = (Arc<str>, Values);

impl Items {
    /// Reads all items and says what is wrong with them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn check(self) -> anyhow::Result<Checked> {
        let mut keys = Keys::default();
        let mut problems = Problems::default();
        let only: HashSet<String> = self.only.iter().cloned().collect();
        let mut found: HashSet<String> = HashSet::new();
        let (mut read, mut total) = (0, 0);
        for raw in self.source.read(&self.shape)? {
            let item = match raw.with_context(|| self.cannot())? {
                Raw::Fault(fault) => {
                    self.add(&mut problems, None, &fault);
                    continue;
                }
                Raw::Item(item) => item,
            };
            read += 1;
            let file = item.file.clone();
            match self.good(item, read) {
                Ok((key, _)) => {
                    keys.push(&key);
                    if only.contains(&*key) {
                        found.insert(key.to_string());
                    }
                    total += u64::from(only.is_empty() || only.contains(&*key));
                }
                Err(faults) => {
                    faults.iter().for_each(|fault| self.add(&mut problems, file.as_deref(), fault))
                }
            }
        }
        let suspects = keys.suspects();
        let doubles = self.doubles(&suspects, &only)?;
        let mut skipped = 0;
        match self.duplicates {
            Duplicates::Error => problems.add_all(doubles),
            Duplicates::Skip => skipped = doubles.count,
        }
        problems.sort();
        let unknown = self.only.iter().filter(|key| !found.contains(*key)).cloned().collect();
        let unknown = if problems.count == 0 { self.with_nearest(unknown)? } else { Vec::new() };
        Ok(Checked { items: self, suspects, only, read, total: total - skipped, skipped, problems, unknown })
    }

    /// The items whose key stands before; with `skip`, of those that are to run.
    fn doubles(&self, suspects: &Suspects, only: &HashSet<String>) -> anyhow::Result<Problems> {
        let mut firsts: HashMap<Arc<str>, (Place, Option<Arc<Path>>)> = HashMap::new();
        let mut problems = Problems::default();
        if suspects.is_empty() {
            return Ok(problems);
        }
        for (number, item) in (1..).zip(self.items()?) {
            let item = item?;
            let (place, file) = (item.place, item.file.clone());
            let Ok((key, _)) = self.good(item, number) else { continue };
            let counts = self.duplicates == Duplicates::Error || only.is_empty() || only.contains(&*key);
            if !suspects.holds(&key) || !counts {
                continue;
            }
            let Some((first, first_file)) = firsts.get(&key) else {
                firsts.insert(key, (place, file));
                continue;
            };
            let before = match first_file {
                Some(file) => format!("in {}", file.display()),
                None => format!("on line {}", self.source.locate(*first).0),
            };
            let fault = place.fault(format!("the key \"{key}\" stands already {before}"));
            self.add(&mut problems, file.as_deref(), &fault);
        }
        Ok(problems)
    }

    /// Gives each key that no item has the nearest one that an item has.
    fn with_nearest(&self, unknown: Vec<String>) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let mut unknown: Vec<(String, Option<String>)> = unknown.into_iter().map(|key| (key, None)).collect();
        if unknown.is_empty() {
            return Ok(unknown);
        }
        for (number, item) in (1..).zip(self.items()?) {
            let Ok((key, _)) = self.good(item?, number) else { continue };
            for (written, near) in &mut unknown {
                let known = near.as_deref().into_iter().chain([&*key]);
                *near = nearest(written, known).map(str::to_owned);
            }
        }
        Ok(unknown)
    }

    fn items(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Item>> + '_> {
        let item = |raw: anyhow::Result<Raw>| match raw.with_context(|| self.cannot()) {
            Ok(Raw::Item(item)) => Some(Ok(item)),
            Ok(Raw::Fault(_)) => None,
            Err(error) => Some(Err(error)),
        };
        Ok(self.source.read(&self.shape)?.filter_map(item))
    }

    fn cannot(&self) -> String {
        format!("cannot read the items in {}", self.source.name)
    }

    fn good(&self, item: Item, number: u64) -> Result<Good, Vec<Fault>> {
        let value = item.value?;
        let wrong = |message: String| vec![item.place.fault(message)];
        let number = number.to_string();
        let key = self.shape.key(&value, item.name.as_deref().unwrap_or(&number)).map_err(wrong)?;
        Ok((key, self.shape.inputs(value).map_err(wrong)?))
    }

    fn add(&self, problems: &mut Problems, file: Option<&Path>, fault: &Fault) {
        problems.count += 1;
        if problems.first.len() < KEPT {
            problems.first.push(self.problem(file, fault));
        }
    }

    fn problem(&self, file: Option<&Path>, fault: &Fault) -> Problem {
        let (line, column) = self.source.locate(fault.place);
        let file = file.map_or_else(|| self.source.name.clone(), |file| file.display().to_string());
        Problem { file, line, column, message: fault.message.clone() }
    }
}

impl Problems {
    fn add_all(&mut self, other: Problems) {
        self.count += other.count;
        self.first.extend(other.first);
    }

    fn sort(&mut self) {
        self.first.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.first.truncate(KEPT);
    }
}

impl Checked {
    /// How many items the source holds.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Streams the items to run.
    ///
    /// # Errors
    /// When they cannot be read again. The iterator's errors say that they have changed since.
    pub fn stream(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Good>> + '_> {
        let mut number = 0;
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        Ok(self.items.items()?.filter_map(move |item| {
            let item = match item {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            };
            number += 1;
            let file = item.file.clone();
            let (key, values) = match self.items.good(item, number) {
                Ok(good) => good,
                Err(faults) => {
                    return faults.first().map(|fault| Err(self.changed(file.as_deref(), fault)));
                }
            };
            let wanted = self.only.is_empty() || self.only.contains(&*key);
            let double = self.suspects.holds(&key) && !seen.insert(key.clone());
            (wanted && !double).then_some(Ok((key, values)))
        }))
    }

    fn changed(&self, file: Option<&Path>, fault: &Fault) -> anyhow::Error {
        let Problem { file, line, message, .. } = self.items.problem(file, fault);
        anyhow::anyhow!("{file}:{line}: {message}; the file has changed since it was checked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    fn items(path: &Path, duplicates: Duplicates, only: &[&str]) -> Checked {
        let shape = Shape::new(&Graph::default(), Vec::new(), None);
        let source = Source::find(path).unwrap();
        let only = only.iter().map(|key| (*key).to_owned()).collect();
        Items { source, shape, duplicates, only }.check().unwrap()
    }

    fn keys(checked: &Checked) -> String {
        let keys: Vec<_> = checked.stream().unwrap().map(|item| item.unwrap().0.to_string()).collect();
        assert_eq!(checked.total, keys.len() as u64);
        keys.join(" ")
    }

    /// The keys of the items, or what is wrong with them.
    fn read(name: &str, text: impl AsRef<[u8]>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let checked = items(&path, Duplicates::Error, &[]);
        if checked.problems.count == 0 {
            return keys(&checked);
        }
        let line = |p: &Problem| format!("{}:{} {}", p.line, p.column, p.message);
        checked.problems.first.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn lines_arrays_and_single_items_are_read() {
        assert_eq!(read("a.jsonl", "\u{feff}{\"id\":\"a\"}\r\n\n{\"id\":2}\n7"), "a 2 3");
        assert_eq!(read("a.json", "[{\"id\":\"a\"},\n {\"x\":1}]"), "a 2");
        assert_eq!(read("order-7.json", "{\"total\": 1}"), "order-7");
        assert_eq!(read("a.jsonl", ""), "");
    }

    #[test]
    fn every_problem_of_json_is_named_with_its_place() {
        assert_eq!(
            read("a.jsonl", "{\"id\":1}\n{\"id\":\n{\"id\":1}\n{\"a\":1,\"a\":2}\n"),
            "2:6 no valid JSON: EOF while parsing a value; 3:1 the key \"1\" stands already on line 1; \
             4:10 no valid JSON: the key \"a\" stands twice in one object"
        );
        assert_eq!(read("a.jsonl", "{\"ä\": \"ö\", oops}"), "1:12 no valid JSON: key must be a string");
        assert_eq!(read("a.jsonl", b"1\n \"\xc3\xa4\xff\""), "2:4 this is no UTF-8");
        assert_eq!(read("a.json", "[1,\n 2,\n oops]"), "3:2 no valid JSON: expected value");
        assert_eq!(
            read("a.json", "[1,\n {\"b\":1,\n\"b\":2}]"),
            "3:3 no valid JSON: the key \"b\" stands twice in one object"
        );
    }

    #[test]
    fn rows_of_csv_are_items() {
        assert_eq!(read("a.csv", "\u{feff}id, total\na,1\r\n\n\"b \"\"x\"\"\",\"2\n3\"\nc,4"), "a b \"x\" c");
        assert_eq!(read("a.tsv", "name\torder_id\nx\t7\n"), "7");
        assert_eq!(read("a.csv", "id\n"), "");
    }

    #[test]
    fn every_problem_of_csv_is_named_with_its_place() {
        assert_eq!(
            read("a.csv", b"id,t\n\n\na,\"x\n\"\"\",1\nb\nc,\xc3\xa4\xff\na,2\nd,\"open\n" as &[u8]),
            "5:5 the header has 2 columns, this row has 3; 6:1 the header has 2 columns, this row has 1; \
             7:3 this is no UTF-8; 9:3 the quote is never closed; write a quote inside a cell as \"\""
        );
        assert_eq!(read("a.csv", "id\na\nb\na\n"), "4:1 the key \"a\" stands already on line 2");
        assert_eq!(
            read("a.csv", "a,,a\n1,2,3\n"),
            "1:3 this column has no name; 1:4 the column \"a\" stands twice"
        );
        assert!(read("a.csv", "a;b\n1;2\n").contains("separate columns with commas"));
        assert!(read("a.csv", "").contains("the first line names the columns"));
    }

    #[test]
    fn rows_of_a_toon_table_are_items() {
        assert_eq!(read("a.toon", "note: x\norders[2]{id,total}:\n  a,1\n  b,2\nmore[1]{id}:\n  c\n"), "a b");
        assert_eq!(read("a.toon", "[1]{order.id,name_id}:\n  1,2\n"), "2");
        let session = "orderflow: 1\nphases[1]{name}:\n  X\nexecution[1]{id}:\n  e\n";
        assert_eq!(read("a.toon", session), "e");
        assert_eq!(
            read("a.toon", "orders[2]{id,total}:\n  a\n"),
            "1:8 the header says 2 rows, the table has 1; write [1], or restore what is missing; \
             2:4 the header has 2 columns, this row has 1; quote a cell that contains the delimiter; write null \
             for an unknown one"
        );
        assert!(read("a.toon", "a: 1\n").contains("no table"));
    }

    #[test]
    fn files_of_a_folder_are_items_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("b.json", "{\"total\": 1}");
        file("a.txt", "some text");
        file(".hidden", "");
        std::fs::create_dir(folder.path().join("below")).unwrap();
        file("below/c.json", "[1, 2]");
        let of = |pattern: &str| items(&folder.path().join(pattern), Duplicates::Error, &[]);
        assert_eq!(keys(&of("")), "a b");
        assert_eq!(keys(&of("*.json")), "b");
        assert_eq!(keys(&of("**/*.json")), "b c");
        file("below/b.json", "{oops");
        let problems = of("**/*").problems;
        assert_eq!((problems.count, problems.first[0].column), (1, 2));
        file("below/b.json", "{}");
        assert!(of("**/*.json").problems.first[0].message.contains("stands already in "));
        assert!(
            Source::find(&folder.path().join("*.csv")).unwrap_err().to_string().contains("no file matches")
        );
        assert!(Source::find(Path::new("orders.xls")).is_err());
    }

    #[test]
    fn only_wanted_items_are_streamed_and_doubles_can_be_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(
            &path,
            "{\"id\":\"anna\"}\n{\"id\":\"b\"}\n{\"id\":\"anna\"}\n{\"id\":\"c\"}\n{\"id\":\"b\"}\n",
        )
        .unwrap();
        let all = items(&path, Duplicates::Skip, &[]);
        assert_eq!((keys(&all), all.skipped, all.read()), ("anna b c".to_owned(), 2, 5));
        let some = items(&path, Duplicates::Skip, &["c", "b"]);
        assert_eq!((keys(&some), some.skipped), ("b c".to_owned(), 1));
        let unknown = items(&path, Duplicates::Skip, &["ana", "c"]).unknown;
        assert_eq!(unknown, [("ana".to_owned(), Some("anna".to_owned()))]);
        assert_eq!(items(&path, Duplicates::Error, &["c"]).problems.count, 2);
    }

    #[test]
    fn a_file_that_changed_in_between_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "1\n2\n").unwrap();
        let checked = items(&path, Duplicates::Error, &[]);
        std::fs::write(&path, "1\noops\n").unwrap();
        let error = checked.stream().unwrap().find_map(Result::err).unwrap().to_string();
        assert!(error.contains("a.jsonl:2: no valid JSON"), "{error}");
    }

    #[test]
    fn a_pipe_can_be_read_twice() {
        let source = Source::keep("standard input", "{\"id\":1}\n{\"id\":2}\n".as_bytes()).unwrap();
        let shape = Shape::new(&Graph::default(), Vec::new(), None);
        let items = Items { source, shape, duplicates: Duplicates::Error, only: Vec::new() };
        assert_eq!(keys(&items.check().unwrap()), "1 2");
    }
}
