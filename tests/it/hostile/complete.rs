//! The tables of `everything.rs` have every command that the help lists, and every name that is used while commands run.

use super::everything::{COMMANDS, ELSEWHERE, NAMES, Project, below, input};
use super::*;
use crate::help;
use std::collections::BTreeSet;

#[test]
fn every_command_meets_hostile_files() {
    let shown = help::help("", "--help");
    let commands: BTreeSet<&str> = help::commands(&shown).into_iter().collect();
    let of_table = COMMANDS.iter().filter_map(|command| command.split(' ').next());
    let rows: BTreeSet<&str> = of_table.chain(ELSEWHERE.iter().map(|(name, _)| *name)).collect();
    let missing: Vec<&&str> = commands.difference(&rows).collect();
    assert_eq!(missing, [&""; 0], "commands without a row in COMMANDS");
}

/// What a run, its commands and its inner runs use, as seen by the system while they do.
#[cfg(target_os = "linux")]
#[test]
fn every_name_that_is_used_is_in_the_table() {
    let project = Project::new();
    let mut used = Used::of(&project.scene.path(""));
    for command in [
        "runs",
        "trust --yes flow.md",
        "signal RUN order.paid --item vase",
        "approve RUN Send --item vase",
        "resume --quiet RUN",
        "report RUN",
        "approve RUN Send --resume --quiet",
        "retry --quiet RUN",
        "run flow.md --trust --quiet --items -",
        "cancel last",
        "init --skill-only",
        "runs prune --keep 0 --unfinished",
    ] {
        project.scene.say_reading(command, &input(command, &project.scene.path("")));
        used.take();
    }
    let known = |name: &str| NAMES.iter().any(|row| fits(row, name) || row.starts_with(&format!("{name}/")));
    // What the user names, and the draft of a trace.
    let given = [
        "flow.md",
        ".session-*",
        "STATE",
        "report-*.html",
        ".claude/skills",
        ".claude/skills/orderflow",
        ".claude/skills/orderflow/SKILL.md",
    ];
    let given = |name: &str| given.iter().any(|row| fits(row, name));
    let unknown: BTreeSet<String> =
        used.names.iter().filter(|name| !known(name) && !given(name)).cloned().collect();
    assert_eq!(unknown, BTreeSet::new(), "names without a row in NAMES");
    assert!(used.names.len() > 20, "{:?}", used.names);
}

/// Whether a name is that of a row.
fn fits(row: &str, name: &str) -> bool {
    let part = |row: &str, name: &str| match row.split_once('*') {
        Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
        None => row == name,
    };
    let (row, name): (Vec<_>, Vec<_>) = (row.split('/').collect(), name.split('/').collect());
    row.len() == name.len() && row.iter().zip(name).all(|(row, name)| part(row, name))
}

/// The names below a folder that were used, as rows have them. The system reports all that happens in folders that are
/// there when a command begins, what is left of it in others is seen afterwards.
#[cfg(target_os = "linux")]
struct Used {
    top: PathBuf,
    reports: std::os::fd::OwnedFd,
    folders: BTreeMap<i32, PathBuf>,
    names: BTreeSet<String>,
}

#[cfg(target_os = "linux")]
impl Used {
    fn of(top: &Path) -> Used {
        use rustix::fs::inotify::{CreateFlags, init};
        let reports = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let mut used =
            Used { top: top.to_owned(), reports, folders: BTreeMap::new(), names: BTreeSet::new() };
        used.watch(top);
        used.take();
        used.names.clear();
        used
    }

    fn watch(&mut self, folder: &Path) {
        use rustix::fs::inotify::{WatchFlags, add_watch};
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::OPEN;
        let number = add_watch(&self.reports, folder, flags).unwrap();
        self.folders.insert(number, folder.to_owned());
    }

    /// Adds what was used since the last call.
    fn take(&mut self) {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = rustix::fs::inotify::Reader::new(&self.reports, &mut buffer);
        let mut seen = Vec::new();
        while let Ok(event) = reader.next() {
            if let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) {
                seen.push(folder.join(name.to_str().unwrap()));
            }
        }
        let mut folders = Vec::new();
        below(&self.top, &mut |path, about| {
            folders.extend(about.is_dir().then(|| path.clone()));
            seen.push(path);
        });
        let rows: Vec<String> = seen.iter().filter_map(|path| self.row(path)).collect();
        self.names.extend(rows);
        folders.iter().for_each(|folder| self.watch(folder));
    }

    /// The name as a row would have it; `None` for what agents make.
    fn row(&self, path: &Path) -> Option<String> {
        let path = path.strip_prefix(&self.top).unwrap().to_str().unwrap();
        let mut parts: Vec<&str> = path.split('/').collect();
        if let [".orderflow", "runs", run, ..] = parts.as_mut_slice()
            && !run.starts_with('.')
        {
            *run = "RUN";
        }
        // A run within has the names of every run.
        while parts.len() > 6 && parts[3] == "children" {
            parts.drain(3..6);
        }
        // A file without a name, as Linux shows it.
        if parts.last().is_some_and(|name| name.starts_with('#')) {
            return None;
        }
        if parts.iter().rev().skip(1).any(|part| *part == "items" || part.starts_with("scratch.")) {
            return None;
        }
        // A draft has the name of what it becomes.
        let draft = parts.last().and_then(|last| last.strip_prefix('.')?.rsplit_once('.'));
        if let Some((name, _)) = draft.filter(|(_, random)| random.len() == 16) {
            *parts.last_mut().unwrap() = name;
        }
        Some(parts.join("/"))
    }
}
