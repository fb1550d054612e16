//! What counts as an own run, and in whose reach its folder is.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_run_whose_place_others_can_take_is_refused() {
    let scene = Scene::new();
    let mode = |name: &str, mode| {
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for folder in [".orderflow/runs", ".orderflow"] {
        mode(folder, 0o777);
        for command in ["run flow.md --trust --quiet", "resume RUN --quiet"] {
            let (told, exit) = scene.say(command);
            assert_eq!(exit, Some(74), "{command}: {told}");
            let open = format!("everybody may write into {}; ", scene.path(folder).display());
            assert!(told.contains(&open), "{command}: {told}");
        }
        // Who does not own a name there cannot change it, as in /tmp.
        mode(folder, 0o1777);
        let (told, exit) = scene.say("run flow.md --trust --quiet --item vase");
        assert_eq!(exit, Some(1), "its step fails: {told}");
        mode(folder, 0o700);
    }
    if chown(scene.path(".orderflow/runs"), Some(65_534), None).is_err() {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let (told, exit) = scene.say("resume RUN --quiet");
    assert_eq!(exit, Some(74), "{told}");
    assert!(told.contains("runs belongs to another user, number 65534"), "{told}");
}

#[test]
fn a_foreign_run_makes_no_own_one_ambiguous_where_something_is_done() {
    let scene = Scene::new();
    let name = scene.run.file_name().unwrap().to_str().unwrap().to_owned();
    let foreign = scene.run.with_file_name(format!("{}zz", &name[..8]));
    let copied = Command::new("cp").arg("-r").arg(&scene.run).arg(&foreign).status().unwrap();
    assert!(copied.success());
    let prefix = &name[..8];
    for looks in ["show", "resume --explain", "adopt --yes"] {
        let (told, exit) = scene.say(&format!("{looks} {prefix}"));
        assert_eq!(exit, Some(2), "{looks}: {told}");
        assert!(told.starts_with(&format!("error: 2 runs begin with {prefix}\n")), "{looks}: {told}");
        assert!(told.contains(&name) && told.contains(&format!("{prefix}zz")), "{looks}: {told}");
    }
    for acts in ["resume --quiet", "retry --quiet", "cancel"] {
        let (told, exit) = scene.say(&format!("{acts} {prefix}"));
        assert!([Some(0), Some(1)].contains(&exit), "{acts}: {exit:?} {told}");
    }
    let (told, exit) = scene.say(&format!("resume {prefix}zz"));
    assert_eq!(exit, Some(4), "the other one stays foreign: {told}");
}

#[test]
fn a_record_says_when_the_journals_file_was_made() {
    let scene = Scene::new();
    let record = scene.path("STATE/orderflow/runs/RECORD");
    let mut known: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert_eq!(known["version"], 5);
    if known["born"].is_null() {
        eprintln!("skipped: this file system stores no time of birth");
        return;
    }
    // The same number, used again for another file.
    let born = known["born"].as_u64().unwrap();
    let write = |known: &serde_json::Value| fs::write(&record, known.to_string()).unwrap();
    known["born"] = (born - 1).into();
    write(&known);
    assert_eq!(scene.say("retry RUN --quiet").1, Some(4));
    // A record of an earlier version does not say it.
    known["version"] = 2.into();
    known.as_object_mut().unwrap().remove("born");
    write(&known);
    let (told, exit) = scene.say("retry RUN --quiet");
    assert_eq!(exit, Some(1), "it is retried and fails again: {told}");
}

/// What `runs` has found in journals lies in the user's state; whatever else lies in its place is not shown.
#[test]
fn a_forged_outline_in_the_state_is_not_shown() {
    let scene = Scene::new();
    let (honest, exit) = scene.say("runs");
    assert_eq!(exit, Some(0), "{honest}");
    let folder = scene.path("STATE/orderflow/outlines");
    let stored = fs::read_dir(&folder).unwrap().next().expect("an outline is stored").unwrap().path();
    let real = fs::read_to_string(&stored).unwrap();
    let outline: serde_json::Value = serde_json::from_str(&real).unwrap();
    let mut lies = outline.clone();
    let found = lies["found"].to_string();
    // Every number in it another one: whatever is shown of it is seen.
    let other: String = found.chars().map(|c| if c.is_ascii_digit() { '7' } else { c }).collect();
    lies["found"] = serde_json::from_str(&other).unwrap();
    assert_ne!(lies, outline);
    fs::write(&stored, lies.to_string()).unwrap();
    assert_ne!(scene.say("runs").0, honest, "an outline is what is shown");

    let damaged =
        ["", "{", "[]", "null", "{\"version\":2}", "\u{0}", &" ".repeat(2 << 20), &real[..real.len() / 2]];
    let mut forged: Vec<String> = damaged.into_iter().map(str::to_owned).collect();
    for (key, value) in outline.as_object().unwrap() {
        // Of another version, run, place, journal or state of it.
        let mut lies = lies.clone();
        lies[key] = match value {
            serde_json::Value::Number(_) => 99.into(),
            serde_json::Value::String(_) => "elsewhere".into(),
            _ => serde_json::json!([1, 1]),
        };
        forged.push(lies.to_string());
    }
    for text in &forged {
        fs::write(&stored, text).unwrap();
        assert_eq!(scene.say("runs"), (honest.clone(), Some(0)), "{}", &text[..text.len().min(200)]);
    }
    fs::write(&stored, lies.to_string()).unwrap();
    fs::set_permissions(&stored, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(scene.say("runs"), (honest.clone(), Some(0)), "others may have written it");
    fs::write(&stored, lies.to_string()).unwrap();
    if chown(&stored, Some(65_534), None).is_err() {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    assert_eq!(scene.say("runs"), (honest.clone(), Some(0)), "it is another user's");
    fs::write(&stored, lies.to_string()).unwrap();
    assert!(give_away(&scene.path("STATE")));
    // Without a state folder of the user's no run is known to be his.
    let (told, exit) = scene.say("runs");
    assert_eq!(exit, Some(0), "{told}");
    // The run itself, in the first column, may have these digits.
    let mut shown = told.lines().flat_map(|line| line.split_whitespace().skip(1));
    assert!(!shown.any(|word| word.contains("77")), "{told}");
}
