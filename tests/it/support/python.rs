//! The Python that the agents of the examples run on.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The folder of the interpreter itself: version managers put scripts of its name before it, slower to start
/// than all that an agent does.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let output = asked.expect("the examples need python3 on the PATH");
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    path.parent().unwrap().to_owned()
});

/// A PATH on which `python3` is the interpreter itself.
pub fn path() -> OsString {
    let others = env::var_os("PATH").unwrap_or_default();
    env::join_paths([FOLDER.clone()].into_iter().chain(env::split_paths(&others))).unwrap()
}

/// Python in a clean environment, as orderflow starts it.
pub fn python() -> Command {
    let mut command = Command::new(FOLDER.join("python3"));
    command.arg("-S").env_clear().env("PATH", path());
    command
}

/// The rows of a query, a line each, cells parted by a space.
pub fn query(database: &Path, sql: &str) -> String {
    let script = "import sqlite3, sys\n\
        for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row)";
    let output = python().args(["-c", script]).arg(database).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
