//! `orderflow trust`: what it shows, what a grant covers and what ends it, and that no document grants itself.

use crate::place::{Place, says};
use orderflow::journal::{self, Journal, Store, Unreadable};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCUMENT: &str = "\
---
env: [PRINTER]
---
# Letters

## Write @author
name::String -> letter::String

```sh run
echo \"Dear $IN_NAME\"
```

## Print
letter -> page::String

```sh run
cat \"$ORDERFLOW_INPUT\" > printed
echo done
```
";

const RUN: &str = "run flow.md --quiet --input name=Ada";

#[test]
fn a_grant_holds_until_a_program_changes() {
    let place = Place::new(DOCUMENT);
    let wanted = "\
programs in this document want to run, knowing PRINTER:
  flow.md:6: Write (sh) as @author
    echo \"Dear $IN_NAME\"
  flow.md:13: Print (sh)
    cat \"$ORDERFLOW_INPUT\" > printed
    echo done
";
    let ungranted = "\
error: programs in the document have no grant; nothing was run
  help: check them, then run again with --trust, grant them with orderflow trust flow.md, or set fences = true in orderflow.toml
";
    says(&place.orderflow(RUN), 4, "", &format!("{wanted}{ungranted}"));
    let nobody = "\
error: cannot ask here; nothing was granted
  help: look at them, then grant them with --yes
";
    says(&place.orderflow("trust flow.md"), 4, "", &format!("{wanted}{nobody}"));
    assert_eq!(place.files(), ["flow.md"], "nothing was run");
    assert!(!place.path(".state").exists(), "and nothing kept");

    let granted = "granted; orderflow run flow.md will not ask until they change\n";
    says(&place.orderflow("trust flow.md --yes"), 0, "", &format!("{wanted}{granted}"));
    assert_eq!(place.orderflow(RUN).exit, Some(0));
    assert!(place.path("printed").exists());

    for (from, to, holds) in [
        ("# Letters\n", "# Letters\n\nTo all of them, `rm -rf /` or not.\n", true),
        ("## Print\n", "## Put on Paper\n", true),
        ("echo done\n", "echo  done\n", false),
        ("```sh run\ncat", "```bash run\ncat", false),
        ("[PRINTER]", "[PRINTER, AWS_SECRET_ACCESS_KEY]", false),
        ("## Print\n", "## More\nname -> more\n\n```sh run\ntouch more\n```\n\n## Print\n", false),
    ] {
        assert!(DOCUMENT.contains(from));
        place.write("flow.md", &DOCUMENT.replacen(from, to, 1));
        let told = place.orderflow(RUN);
        assert_eq!(told.exit, Some(if holds { 0 } else { 4 }), "{to}{}", told.err);
        let changed = "some of them have changed since they were granted\n";
        assert_eq!(told.err.contains(changed), !holds, "{to}{}", told.err);
        let plan = place.orderflow("plan flow.md").out;
        assert_eq!(plan.contains("needs a grant"), !holds, "{to}{plan}");
    }
    place.write("flow.md", DOCUMENT);
    assert_eq!(place.orderflow(RUN).exit, Some(0), "what was granted is granted");
    assert_eq!(place.orderflow("run flow.md --quiet --only Write --input name=Bo").exit, Some(0));
}

#[test]
fn a_program_that_the_operator_replaces_needs_no_grant_until_it_is_back() {
    let place = Place::new(DOCUMENT);
    place.write("orderflow.toml", "[agents.author]\ncommand = [\"cat\"]\n");
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    assert_eq!(place.orderflow(RUN).exit, Some(0));
    fs::remove_file(place.path("orderflow.toml")).unwrap();
    assert_eq!(place.orderflow(RUN).exit, Some(4));

    place.write("flow.md", "# A\n## B @c\no -> p\n");
    says(&place.orderflow("trust flow.md"), 0, "", "nothing in flow.md needs a grant\n");
}

#[test]
fn at_the_terminal_a_yes_holds_once_and_always_holds() {
    let place = Place::new(DOCUMENT);
    let (told, exit) = place.at_terminal("trust flow.md", "\n");
    assert_eq!(exit, Some(4), "{told}");
    assert!(told.contains("let them run until they change? [y]es, [N]o"), "{told}");
    assert!(told.contains("nothing was granted"), "{told}");

    assert_eq!(place.at_terminal(RUN, "y\n").1, Some(0));
    assert_eq!(place.orderflow(RUN).exit, Some(4), "a yes is for one run");
    let only = "run flow.md --quiet --only Write --input name=Ada";
    assert_eq!(place.at_terminal(only, "a\n").1, Some(0));
    assert_eq!(place.orderflow(only).exit, Some(0));
    assert_eq!(place.orderflow(RUN).exit, Some(4), "it was for the programs that were shown");
    assert_eq!(place.at_terminal(RUN, "always\n").1, Some(0));
    assert_eq!(place.orderflow(RUN).exit, Some(0));

    place.orderflow("trust flow.md --revoke");
    assert_eq!(place.at_terminal("trust flow.md", "y\n").1, Some(0));
    assert_eq!(place.orderflow(RUN).exit, Some(0));
}

#[test]
fn grants_are_listed_and_taken_back() {
    let place = Place::new(DOCUMENT);
    says(&place.orderflow("trust --list"), 0, "", "no document has a grant\n");
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    let list = "\
document        programs                knowing
───────────────────────────────────────[..]
[..]/flow.md  Write (sh), Print (sh)  PRINTER
";
    let told = place.orderflow("trust --list");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    snapbox::Assert::new().eq(squeezed(&told.out), squeezed(list));

    // Also when the document is gone.
    fs::remove_file(place.path("flow.md")).unwrap();
    says(&place.orderflow("trust --revoke flow.md"), 0, "", "the grant of flow.md is taken back\n");
    says(&place.orderflow("trust --revoke flow.md"), 0, "", "flow.md has no grant\n");
    place.write("flow.md", DOCUMENT);
    assert_eq!(place.orderflow(RUN).exit, Some(4));
}

/// The record of the only grant.
fn record(place: &Place) -> std::path::PathBuf {
    let mut records = fs::read_dir(place.path(".state/orderflow/grants")).unwrap();
    let record = records.next().unwrap().unwrap().path();
    assert!(records.next().is_none(), "nothing but the record is left");
    record
}

#[test]
fn a_grant_is_its_owner_s_and_for_one_place() {
    let place = Place::new(DOCUMENT);
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    let record = record(&place);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&record), mode(record.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&place.path(".state/orderflow")), 0o700);

    // The same text in another folder runs other files there.
    place.write("other/flow.md", DOCUMENT);
    assert_eq!(place.orderflow("run other/flow.md --quiet --input name=Ada").exit, Some(4));
    std::os::unix::fs::symlink("../flow.md", place.path("other/link.md")).unwrap();
    assert_eq!(place.orderflow("run other/link.md --quiet --input name=Ada").exit, Some(4));
    // A folder goes by any of its names.
    std::os::unix::fs::symlink(".", place.path("here")).unwrap();
    assert_eq!(place.orderflow("run here/flow.md --quiet --input name=Ada").exit, Some(0));
    assert_eq!(place.orderflow("trust --revoke here/flow.md").exit, Some(0));
    assert_eq!(place.orderflow(RUN).exit, Some(4));
}

#[test]
fn what_others_may_have_written_grants_nothing() {
    let place = Place::new(DOCUMENT);
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    let record = record(&place);
    fs::set_permissions(&record, Permissions::from_mode(0o620)).unwrap();
    let told = place.orderflow(RUN);
    assert_eq!(told.exit, Some(4));
    assert!(told.err.contains("others than you may have written it"), "{}", told.err);
    fs::set_permissions(&record, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.orderflow(RUN).exit, Some(0));

    // Under another document's name it is nobody's.
    place.write("other.md", DOCUMENT);
    assert_eq!(place.orderflow("trust other.md --yes").exit, Some(0));
    let own = fs::read(&record).unwrap();
    let records = fs::read_dir(record.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    for path in records {
        fs::write(path, &own).unwrap();
    }
    assert_eq!(place.orderflow("run other.md --quiet --input name=Ada").exit, Some(4));
    assert_eq!(place.orderflow(RUN).exit, Some(0));

    for broken in ["", "{}", "{\"version\": 1", &String::from_utf8_lossy(&own).replace(": 1,", ": 2,")] {
        fs::write(&record, broken).unwrap();
        let told = place.orderflow(RUN);
        assert_eq!(told.exit, Some(4), "{broken}");
        assert!(told.err.starts_with("error: cannot read the grant "), "{}", told.err);
    }
}

#[test]
fn a_folder_beside_the_document_is_no_state_folder() {
    let place = Place::new(DOCUMENT);
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    let run = |state: &str, home: &str| {
        place.command(RUN).env("XDG_STATE_HOME", state).env("HOME", home).output().unwrap().status.code()
    };
    assert_eq!(run(place.path(".state").to_str().unwrap(), "/nowhere"), Some(0));
    assert_eq!(run(".state", "/nowhere"), Some(4));
    assert_eq!(run("", "."), Some(4));
}

const WAITING: &str = "\
# Letters

## Write
name::String -> letter::String

```sh run
touch waiting
until test -e go; do sleep 0.02; done
echo \"Dear $IN_NAME\"
```
";

/// A run that was let run its programs and was interrupted; its folder.
fn paused(place: &Place) -> PathBuf {
    let mut runner = place.begin("--quiet --input name=Ada");
    place.await_file("waiting");
    Command::new("kill").args(["-TERM", &runner.id().to_string()]).status().unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    place.write("go", "");
    fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

#[test]
fn what_a_run_was_let_do_holds_for_that_run_in_its_place() {
    let place = Place::new(WAITING);
    let home = paused(&place);
    copy(&home, &place.path("copy"));
    let told = place.orderflow("resume copy");
    assert_eq!(told.exit, Some(4), "a copy is not the run that was started here");
    let path = place.path("copy");
    let err = format!(
        "error: this run was not started here by you; nothing was run\n  help: orderflow adopt {} shows what it would \
         run, write and read, and takes it over\n",
        path.display()
    );
    assert_eq!(told.err, err);

    // Neither does one in the place of the run itself.
    fs::rename(&home, place.path("aside")).unwrap();
    copy(&place.path("copy"), &home);
    assert_eq!(place.orderflow(&format!("resume {}", home.display())).exit, Some(4));
    assert_eq!(place.orderflow("resume last").exit, Some(2), "it is not the last of the user's");
    fs::remove_dir_all(&home).unwrap();
    fs::rename(place.path("aside"), &home).unwrap();

    let mut other = place.command(&format!("resume --trust {}", home.display()));
    let other = other.env("XDG_STATE_HOME", place.path("elsewhere")).output().unwrap();
    assert_eq!(other.status.code(), Some(4), "it is the user's");
    // Moved, it stays his.
    fs::rename(place.path(".orderflow"), place.path("moved")).unwrap();
    let run = place.path("moved/runs").join(home.file_name().unwrap());
    assert_eq!(place.orderflow(&format!("resume --quiet {}", run.display())).exit, Some(0));
    fs::rename(place.path("moved"), place.path(".orderflow")).unwrap();
    assert_eq!(place.orderflow("resume copy --trust --quiet").exit, Some(4), "--trust is about programs");
    assert_eq!(place.orderflow("adopt copy").exit, Some(4), "there is nobody to ask");
    assert_eq!(place.orderflow("adopt copy --yes").exit, Some(0));
    assert_eq!(place.orderflow("adopt copy").err, format!("{} is yours already\n", path.display()));
    assert_eq!(place.orderflow("resume copy --quiet").exit, Some(0), "with its programs");

    let records = || fs::read_dir(place.path(".state/orderflow/runs")).unwrap().count();
    assert_eq!(records(), 2);
    assert_eq!(place.orderflow("runs prune --keep 0").exit, Some(0));
    assert_eq!(records(), 1);
}

#[test]
fn a_run_cannot_say_of_itself_that_it_was_let_run() {
    let place = Place::new(WAITING);
    let home = paused(&place);
    let (mut header, records) = journal::read(&home).unwrap();
    let mut all = Vec::new();
    let each = |record| -> Result<(), Unreadable> {
        all.push(record);
        Ok(())
    };
    records.each(each).unwrap();
    let forged = place.path("forged");
    fs::create_dir(&forged).unwrap();
    header.options["home"] = forged.to_str().unwrap().into();
    let mut store = Store::create(&forged, &header).unwrap();
    store.append(&all).unwrap();
    store.tidy().unwrap();
    drop(store);
    for command in ["resume", "resume --trust", "retry", "cancel", "resolve --item 1 --note x"] {
        assert_eq!(place.orderflow(&format!("{command} forged")).exit, Some(4), "{command}");
    }
    fs::remove_dir_all(&home).unwrap();
    assert_eq!(place.orderflow("adopt forged --yes").exit, Some(0));
    assert_eq!(place.orderflow("resume forged --quiet").exit, Some(0));
    assert_eq!(place.orderflow("runs prune --keep 0").exit, Some(0));
    let records = fs::read_dir(place.path(".state/orderflow/runs")).unwrap().count();
    assert_eq!(records, 2, "what is not in its place may have been moved");
}

#[test]
fn without_a_state_folder_a_run_is_nobodys() {
    let place = Place::new(WAITING);
    let homeless = |args: &str| {
        let mut command = place.command(args);
        command.env("XDG_STATE_HOME", "/dev/null/none");
        command
    };
    let runner =
        homeless("run flow.md --trust --input name=Ada").stderr(std::process::Stdio::piped()).spawn();
    let runner = runner.unwrap();
    place.await_file("waiting");
    Command::new("kill").args(["-TERM", &runner.id().to_string()]).status().unwrap();
    let told = runner.wait_with_output().unwrap();
    assert_eq!(told.status.code(), Some(143));
    let err = String::from_utf8(told.stderr).unwrap();
    assert!(err.contains("warning: cannot store that you started this run: "), "{err}");
    place.write("go", "");
    let run = fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let resumed = homeless(&format!("resume {}", run.display())).output().unwrap();
    assert_eq!(resumed.status.code(), Some(4));
    assert_eq!(homeless(&format!("adopt --yes {}", run.display())).output().unwrap().status.code(), Some(74));
    assert_eq!(place.orderflow(&format!("adopt --yes {}", run.display())).exit, Some(0));
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
}

/// A program gets the secrets of the agent in its step's heading, so a grant is for that agent, too.
#[test]
fn a_grant_is_for_a_program_and_who_runs_it() {
    let document = "---\nsecrets: [KEY]\n---\n# T\n## A @mailer\n-> a::String\n```sh run\nprintf '%s' \"$KEY\" | wc -c\n```\n";
    let place = Place::new(document);
    place.write(
        "orderflow.toml",
        "[agents.mailer]\nsecrets = [\"KEY\"]\n[agents.bank]\nsecrets = { KEY = \"env:BANK_KEY\" }\n",
    );
    let run = || {
        let mut command = place.command("run flow.md --quiet");
        command.env("KEY", "mail").env("BANK_KEY", "vault-of-the-bank").output().unwrap()
    };
    assert_eq!(place.orderflow("trust flow.md --yes").exit, Some(0));
    assert_eq!(run().status.code(), Some(0));
    place.write("flow.md", &document.replace("@mailer", "@bank"));
    let refused = run();
    assert_eq!(refused.status.code(), Some(4));
    let err = String::from_utf8(refused.stderr).unwrap();
    assert!(err.contains("A (sh) as @bank\n"), "{err}");
    assert!(err.contains("some of them have changed since they were granted\n"), "{err}");
}

/// What somebody typed while nothing was asked yet is no answer, and nothing in a program is hidden from him.
#[test]
fn what_was_typed_ahead_grants_nothing() {
    let place = Place::new("# T\n## A\n-> a::String\n```sh run\nec\u{200b}ho 1\n```\n");
    let (told, exit) = place.typed_ahead("run flow.md", "y\ny\n");
    assert_eq!(exit, Some(4), "{told}");
    assert!(told.contains("ec\u{fffd}ho 1"), "{told}");
}

/// Whoever writes into the place of a journal, as a copy over it does, leaves its file and its header as they were.
#[test]
fn a_run_whose_rows_were_replaced_is_no_longer_yours() {
    let place = Place::new(WAITING);
    let home = paused(&place);
    let (header, records) = journal::read(&home).unwrap();
    let mut all = Vec::new();
    let each = |record| -> Result<(), Unreadable> {
        all.push(record);
        Ok(())
    };
    records.each(each).unwrap();
    drop(records);
    let own = fs::read(home.join(journal::FILE)).unwrap();
    let with = |rows: &[&[journal::Record]]| {
        let forged = place.path("forged");
        let _ = fs::remove_dir_all(&forged);
        fs::create_dir(&forged).unwrap();
        let mut store = Store::create(&forged, &header).unwrap();
        rows.iter().for_each(|row| store.append(row).unwrap());
        store.tidy().unwrap();
        drop(store);
        fs::write(home.join(journal::FILE), fs::read(forged.join(journal::FILE)).unwrap()).unwrap();
    };
    let resume = format!("resume --quiet {}", home.display());
    // Fewer rows, the same records in other rows, and rows that were added since.
    for rows in [&[] as &[&[_]], &[&all[..1]], &[&all], &[&all, &all[all.len() - 1..]]] {
        with(rows);
        let told = place.orderflow(&resume);
        assert_eq!(told.exit, Some(4), "{} rows: {}", rows.len(), told.err);
    }
    fs::write(home.join(journal::FILE), &own).unwrap();
    assert_eq!(place.orderflow(&resume).exit, Some(0), "it is as it was left");

    // The run that has gone on has other rows than before.
    let ended = fs::read(home.join(journal::FILE)).unwrap();
    fs::write(home.join(journal::FILE), &own).unwrap();
    assert_eq!(place.orderflow(&resume).exit, Some(4), "it would run again what has run since");
    fs::write(home.join(journal::FILE), &ended).unwrap();
    assert_eq!(place.orderflow(&resume).exit, Some(0));

    // The same holds for a run that was taken over.
    with(&[&all[..1]]);
    assert_eq!(place.orderflow(&format!("adopt --yes {}", home.display())).exit, Some(0));
    with(&[&all]);
    assert_eq!(place.orderflow(&resume).exit, Some(4));
}

/// A runner that was killed has written rows of which its user's state does not know yet.
#[test]
fn a_run_whose_runner_was_killed_stays_yours() {
    let place = Place::new(WAITING);
    let mut runner = place.begin("--quiet --input name=Ada");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    let home = fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let before = fs::read(home.join(journal::FILE)).unwrap();
    place.write("go", "");
    let told = place.orderflow("resume last --quiet");
    assert_eq!((told.exit, told.err.as_str()), (Some(0), ""));
    fs::write(home.join(journal::FILE), before).unwrap();
    assert_eq!(place.orderflow(&format!("resume {}", home.display())).exit, Some(4), "now it has ended");
}

/// Whoever says yes to a run lets it run to its end, also after it was left.
#[test]
fn a_yes_holds_for_the_run_s_later_life() {
    let place = Place::new("# T\n\n## A\nn -> a::String\n\n```sh run\ntest -e ok || exit 65\necho a\n```\n");
    let (told, exit) = place.at_terminal("run flow.md --quiet --input n=1", "y\n");
    assert_eq!(exit, Some(1), "{told}");
    place.write("ok", "");
    let told = place.orderflow("retry last --quiet");
    assert_eq!((&*told.err, told.exit), ("", Some(0)));
}

/// What cannot go on later is not taken over.
#[test]
fn a_folder_that_is_open_to_all_is_not_taken_over() {
    let place = Place::new(WAITING);
    let home = paused(&place);
    let at = place.path("copy");
    copy(&home, &at);
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(&at, 0o777);
    let told = place.orderflow("adopt copy --yes");
    let why = |path: &Path| {
        let (at, path) = (at.display(), path.display());
        let advice = format!("everybody may write into {path}; take that right away: chmod o-w {path}");
        format!("error: the run in {at} cannot be taken over: {advice}\n")
    };
    assert_eq!((told.exit, told.err), (Some(4), why(&at)));
    open(&at, 0o700);
    open(place.folder(), 0o777);
    let told = place.orderflow("adopt copy --yes");
    assert_eq!((told.exit, told.err), (Some(4), why(place.folder())));
    open(place.folder(), 0o700);
    assert_eq!(place.orderflow("adopt copy --yes").exit, Some(0));
    // A run that goes on makes no folder.
    open(&at, 0o777);
    let told = place.orderflow("resume copy");
    let begins = format!("error: cannot use the run's folder {}: everybody may write into ", at.display());
    assert!(told.exit == Some(74) && told.err.starts_with(&begins), "{}", told.err);
    assert!(told.err.ends_with("; nothing was run\n"), "{}", told.err);
    open(&at, 0o700);
    assert_eq!(place.orderflow("resume copy --quiet").exit, Some(0));
}
