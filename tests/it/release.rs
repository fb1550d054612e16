//! The files of a release: made by `.ci/release`, installed by the commands of `docs/install.md`.

use crate::docs::fences;
use crate::help;
use crate::parts::found;
use crate::place::Place;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The kind of machine that the page shows.
const SHOWN: &str = "x86_64-unknown-linux-gnu";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn here() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// A program that starts the one under test, so that the archive is small.
fn program(place: &Place) -> PathBuf {
    let path = place.path("program");
    std::fs::write(&path, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_orderflow"))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn release(place: &Place, out: &str) -> Output {
    let mut command = Command::new(root(".ci/release"));
    command.arg("--program").arg(program(place)).arg("--out").arg(place.path(out));
    // A checkout from an archive has no history.
    command.env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The page's commands, as a user with an empty home folder gives them beside the files.
#[test]
fn the_files_of_a_release_are_installed_by_the_commands_of_the_page() {
    let place = Place::new("");
    let made = release(&place, "files");
    assert!(made.status.success(), "{}", said(&made));
    let page = std::fs::read_to_string(root("docs/install.md")).unwrap();
    let commands: Vec<String> = fences(&page)
        .into_iter()
        .filter(|fence| fence.language == "bash")
        .map(|fence| fence.content)
        .collect();
    assert!(commands.len() == 2 && page.contains(&format!("orderflow-{VERSION}-{SHOWN}")), "{page}");
    let script = commands.concat().replace(SHOWN, &here());
    let home = place.path("home");
    let mut shell = Command::new("bash");
    shell.args(["-euc", &script]).current_dir(place.path("files")).env("HOME", &home);
    let installed = shell.output().unwrap();
    assert!(installed.status.success(), "{}", said(&installed));

    let version = Command::new(home.join(".local/bin/orderflow")).arg("--version").output().unwrap();
    assert_eq!(said(&version), format!("orderflow {VERSION}\n"));
    let bash = home.join(".local/share/bash-completion/completions/orderflow");
    assert!(Command::new("bash").arg("-n").arg(&bash).status().unwrap().success());
    assert!(std::fs::read_to_string(bash).unwrap().contains("complete"));
    assert!(std::fs::read_to_string(home.join(".zfunc/_orderflow")).unwrap().starts_with("#compdef"));
    assert!(home.join(".config/fish/completions/orderflow.fish").is_file());

    let man = home.join(".local/share/man/man1");
    let mut pages: Vec<String> = std::fs::read_dir(&man)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    // Every command that the help shows has its page.
    let mut commands: Vec<String> = help::all()
        .into_iter()
        .filter_map(|(command, _)| {
            command.strip_suffix(" --help").map(|command| command.trim().replace(' ', "-"))
        })
        .filter(|command| command.matches('-').count() <= 1)
        .map(|command| format!("{command}.1"))
        .collect();
    commands.sort();
    assert_eq!(pages, commands);
    let run = std::fs::read_to_string(man.join("orderflow-run.1")).unwrap();
    assert!(run.starts_with(".ie") && run.contains("Examples:"), "{run}");
}

#[test]
fn equal_programs_make_equal_archives() {
    let place = Place::new("");
    let (one, two) = (release(&place, "one"), release(&place, "two"));
    assert!(one.status.success() && two.status.success(), "{}\n{}", said(&one), said(&two));
    let name = format!("orderflow-{VERSION}-{}", here());
    for file in [format!("{name}.tar.gz"), format!("{name}.sha256")] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(&file)).unwrap();
        assert!(read("one") == read("two"), "{file} differs");
    }
}

#[test]
fn the_bill_of_materials_names_the_crates() {
    let there = Command::new("cargo").args(["cyclonedx", "--version"]).output().unwrap().status.success();
    let needs = "`cargo install cargo-cyclonedx --locked`";
    let place = Place::new("");
    let made = release(&place, "files");
    let bill = place.path("files").join(format!("orderflow-{VERSION}-{}.cdx.json", here()));
    if found("cyclonedx", needs, there.then_some(())).is_none() {
        assert!(said(&made).contains("no bill of materials: cargo install cargo-cyclonedx --locked"));
        assert!(!bill.exists());
        return;
    }
    let bill: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(bill).unwrap()).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    let clap = named("clap").unwrap();
    assert!(clap["licenses"].as_array().is_some_and(|licences| !licences.is_empty()), "{clap}");
    assert!(named("async-nats").is_some() && named("proptest").is_none());
}

/// What `cargo binstall` asks for is what the script makes.
#[test]
fn cargo_binstall_finds_the_archive() {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root("Cargo.toml")).unwrap()).unwrap();
    let binstall = &manifest["package"]["metadata"]["binstall"];
    let fill = |key: &str| {
        let filled = [("name", "orderflow"), ("version", VERSION), ("target", SHOWN), ("bin", "orderflow")]
            .into_iter()
            .fold(binstall[key].as_str().unwrap().to_owned(), |text, (name, value)| {
                text.replace(&format!("{{ {name} }}"), value)
            });
        filled.replace("{ repo }", "https://host.example/orderflow").replace("{ binary-ext }", "")
    };
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("tgz"));
    let archive = format!("orderflow-{VERSION}-{SHOWN}");
    let url = format!("https://host.example/orderflow/releases/download/v{VERSION}/{archive}.tar.gz");
    assert_eq!(fill("pkg-url"), url);
    assert_eq!(fill("bin-dir"), format!("{archive}/orderflow"));
}

#[test]
fn a_wrong_option_is_refused_with_the_usage() {
    let output = Command::new(root(".ci/release")).arg("--tarpet").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains(".ci/release [--target TRIPLE]"), "{}", said(&output));
}
