//! The walls between the rooms of `src`: which room may use which, and what stays out of most of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the table in `docs/architecture.md`: a room with the rooms that it may use.
struct Room {
    name: String,
    may: Vec<String>,
}

/// The table, in its order.
fn rooms() -> Vec<Room> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let mut rooms: Vec<Room> = Vec::new();
    for line in fs::read_to_string(page).unwrap().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, may] = cells[..] else { panic!("not three cells: {line}") };
        let name = name.trim_matches('`').trim_end_matches(['/']).trim_end_matches(".rs").to_owned();
        let may = match may {
            "all above" => rooms.iter().map(|room| room.name.clone()).collect(),
            // What stands in parentheses is a remark.
            list => {
                list.split(',').filter_map(|room| Some(room.split_whitespace().next()?.to_owned())).collect()
            }
        };
        rooms.push(Room { name, may });
    }
    rooms
}

/// What opens, makes, moves or removes files by their paths.
const OPENING: [&str; 20] = [
    "fs::read",
    "fs::write",
    "fs::remove",
    "fs::rename",
    "fs::create",
    "fs::metadata",
    "fs::symlink_metadata",
    "fs::copy",
    "fs::hard_link",
    "fs::canonicalize",
    "fs::exists",
    "fs::{self",
    "use std::fs;",
    "read_dir(",
    "canonicalize(",
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions",
    "tempfile",
];

/// What only some rooms may contain, with these rooms.
const ONLY_IN: [(&[&str], &[&str]); 7] = [
    (&["reqwest::", "rustls::", "async_nats::", "opentelemetry"], &["adapter"]),
    (&["axum::", "hyper::", "hyper_util::"], &["adapter", "serve"]),
    (&["tokio::"], &["runtime", "adapter", "cluster", "serve", "cli"]),
    (&["restate_sdk::"], &["cluster"]),
    (
        &["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!(", "std::env", "io::stdout", "io::stderr"],
        &["cli"],
    ),
    (&["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "now_v7"], &["runtime", "cli"]),
    // Those of the adapters are the kernel's, and those of a call.
    (&OPENING, &["disk", "adapter"]),
];

/// A source file without comments and unit tests.
struct File {
    room: String,
    /// Below `src`.
    path: PathBuf,
    lines: Vec<(usize, String)>,
}

fn files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(&src).unwrap().to_owned();
            let tests = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !tests {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !tests {
                let room = below.iter().next().unwrap().to_string_lossy();
                let room = room.trim_end_matches(".rs").to_owned();
                found.push(File { room, lines: code(&fs::read_to_string(&path).unwrap()), path: below });
            }
        }
    }
    found.retain(|file| !["lib", "main"].contains(&file.room.as_str()));
    found.sort_by(|one, two| one.path.cmp(&two.path));
    found
}

/// The lines with their numbers, up to the unit tests at the end of the file.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    let end = lines.windows(2).position(tests).unwrap_or(lines.len());
    let bare = |line: &&str| line.split("//").next().unwrap_or_default().to_owned();
    lines[..end].iter().enumerate().map(|(index, line)| (index + 1, bare(line))).collect()
}

/// The rooms that a line names: `crate::room`, or those in `crate::{a::B, c}`.
fn named(line: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            rooms.push(name(rest));
            continue;
        };
        let mut depth = 1;
        rooms.push(name(list));
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => rooms.push(name(&list[at + 1..])),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        if depth > 0 {
            rooms.push("a list over several lines, which this test cannot read".to_owned());
        }
    }
    rooms
}

/// Whether a line climbs out of its room by `super::super::…`.
fn climbs_out(line: &str, path: &Path) -> bool {
    let file = path.file_stem().is_some_and(|name| name != "mod");
    let depth = path.components().count() - usize::from(!file);
    line.contains(&"super::".repeat(depth))
}

#[test]
fn lines_are_read_as_the_compiler_reads_them() {
    assert_eq!(named("use crate::{graph::{Graph, Kind}, spec, value::Type};"), ["graph", "spec", "value"]);
    assert_eq!(named("    let x: crate::diag::Span = crate::spec::parse();"), ["diag", "spec"]);
    assert_eq!(code("a // crate::cli\n#[cfg(test)]\nmod tests {\n}").len(), 1);
    assert!(climbs_out("use super::super::cli;", Path::new("graph/build.rs")));
    assert!(!climbs_out("use super::super::step;", Path::new("engine/item/apply.rs")));
    assert!(climbs_out("use super::cli;", Path::new("graph/mod.rs")));
}

#[test]
fn no_room_uses_one_that_it_may_not() {
    let mut wrong = Vec::new();
    let mut edges = BTreeSet::new();
    let rooms = rooms();
    for file in files() {
        let Some(Room { may, .. }) = rooms.iter().find(|room| room.name == file.room) else {
            wrong.push(format!("src/{}: the room {} is not in the table", file.path.display(), file.room));
            continue;
        };
        for (number, line) in &file.lines {
            for used in named(line).into_iter().filter(|used| *used != file.room) {
                if !may.contains(&used) {
                    let place = file.path.display();
                    wrong.push(format!("src/{place}:{number}: {} uses {used}", file.room));
                }
                edges.insert((file.room.clone(), used));
            }
            if climbs_out(line, &file.path) {
                wrong.push(format!("src/{}:{number}: climbs out of its room", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(edges.contains(&("graph".to_owned(), "spec".to_owned())), "no uses were found: {edges:?}");
}

#[test]
fn the_table_has_no_way_up_and_the_order_of_the_library() {
    let rooms = rooms();
    let place = |name: &str| rooms.iter().position(|room| room.name == name);
    for Room { name, may } in &rooms {
        for used in may {
            assert!(place(used).is_some_and(|used| Some(used) < place(name)), "{name} may use {used}");
        }
    }
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let library = fs::read_to_string(library).unwrap();
    let listed = library.lines().filter_map(|line| line.strip_prefix("//! - [`")?.split('`').next());
    assert_eq!(listed.collect::<Vec<_>>(), rooms.iter().map(|room| &*room.name).collect::<Vec<_>>());
}

#[test]
fn printing_clock_files_and_tasks_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for file in files() {
        for (words, rooms) in ONLY_IN.iter().filter(|(_, rooms)| !rooms.contains(&file.room.as_str())) {
            for (number, line) in &file.lines {
                for word in words.iter().filter(|word| contains(line, word)) {
                    let place = file.path.display();
                    wrong.push(format!("src/{place}:{number}: {word} belongs into {}", rooms.join(", ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// In every room but the last, whose types are arguments of commands.
#[test]
fn every_public_type_says_what_it_is() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|file| file.room != "cli") {
        let text = fs::read_to_string(src.join(&file.path)).unwrap();
        let lines: Vec<&str> = text.lines().take(file.lines.len()).collect();
        for (at, line) in lines.iter().enumerate() {
            let kind = line.strip_prefix("pub ").and_then(|rest| rest.split(' ').next());
            let is_type = kind.is_some_and(|kind| ["struct", "enum", "trait", "type"].contains(&kind));
            // Above its attributes, which may take several lines.
            let attribute = |line: &&&str| [" ", "#[", ")"].iter().any(|begin| line.starts_with(begin));
            let above = lines[..at].iter().rev().find(|line| !attribute(line));
            if is_type && !above.is_some_and(|line| line.starts_with("///")) {
                wrong.push(format!("src/{}:{}: {line}", file.path.display(), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Whether a line has `word`, not only as the end of a longer one.
fn contains(line: &str, word: &str) -> bool {
    let longer = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(longer))
}
