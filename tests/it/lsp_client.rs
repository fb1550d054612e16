//! The language server with a client of others, pygls by pytest-lsp, which checks the form of every answer.

use crate::parts::found;
use crate::place::Place;
use crate::program;
use std::path::Path;
use std::process::Command;

#[test]
fn a_client_of_others_understands_every_answer() {
    let part = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pytest-lsp");
    let needs = "`python3 -m venv target/pytest-lsp && target/pytest-lsp/bin/pip install pytest-lsp`";
    let python = Some(part.join("bin/python")).filter(|python| python.is_file());
    let Some(python) = found("pytest-lsp", needs, python) else { return };
    let place = Place::new("");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["order-processing.md", "orderflow.toml"] {
        place.write(name, &std::fs::read_to_string(root.join("workflows").join(name)).unwrap());
    }
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--rootdir"])
        .arg(place.folder());
    command.arg(root.join("tests/it/support/language_client.py")).current_dir(place.folder());
    command.env("ORDERFLOW", env!("CARGO_BIN_EXE_orderflow")).env("PYTHONDONTWRITEBYTECODE", "1");
    let told = program::told(command.output().unwrap());
    assert_eq!(told.exit, Some(0), "{}\n{}", told.out, told.err);
}
