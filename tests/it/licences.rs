//! The licences of all that orderflow is built and tested with, held against those that `deny.toml` allows.

use spdx::{Expression, ParseMode};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[derive(serde::Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(serde::Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let deny: Deny = toml::from_str(&std::fs::read_to_string(root.join("deny.toml")).unwrap()).unwrap();
    // A line for each package that this system needs, all of which are here since the test was built.
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package=orderflow",
            "--features=nats,telemetry",
            "--locked",
            "--offline",
            "--prefix=none",
            "--format={p}|{l}",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let packages: BTreeSet<(&str, &str)> =
        tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')).collect();
    assert!(packages.len() > 50, "{tree}");
    let refused = |(_, licence): &(&str, &str)| {
        let expression = Expression::parse_mode(licence, ParseMode::LAX);
        !expression.is_ok_and(|all| all.evaluate(|one| deny.licenses.allow.contains(&one.to_string())))
    };
    assert_eq!(packages.into_iter().filter(refused).collect::<Vec<_>>(), [("", ""); 0]);
}
