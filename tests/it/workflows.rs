//! The documents of `workflows/` that stand for processes of their own: each is run as its text says, and what it
//! leaves in the world is looked at.

use crate::place::Place;
use crate::program::{Told, told};
use crate::python::{path, query};
use std::path::Path;
use std::process::Command;

/// A copy of the folder, so that a run finds no other's leavings.
pub fn workflows() -> Place {
    let place = Place::new("");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows");
    copy(&from, &place.path("workflows"));
    place
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_name().to_string_lossy().starts_with('.') {
            // What earlier runs have left there.
            true => {}
            false if from.is_dir() => copy(&from, &to),
            false => drop(std::fs::copy(from, to).unwrap()),
        }
    }
}

impl Place {
    pub fn sh(&self, command: &str) -> String {
        let done = Command::new("sh").args(["-c", command]).current_dir(self.folder()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(done.status.success(), "{command}: {}{}", text(done.stdout), text(done.stderr));
        text(done.stdout)
    }

    /// `orderflow` with these arguments, knowing a variable that names a folder here.
    fn with(&self, name: &str, folder: &str, args: &str) -> Told {
        told(self.command(args).env("PATH", path()).env(name, self.path(folder)).output().unwrap())
    }

    fn release(&self) -> Told {
        self.release_with("")
    }

    fn release_with(&self, options: &str) -> Told {
        let input = format!("repository={}", self.path("tideline").display());
        let args = format!("run workflows/release.md --quiet --input {input} {options}");
        told(self.command(&args).env("PATH", path()).output().unwrap())
    }
}

#[test]
fn every_document_is_without_a_doubt() {
    let place = workflows();
    for name in [
        "article",
        "code-review",
        "data-pipeline",
        "deploy",
        "incident-runbook",
        "order-creation",
        "order-events",
        "order-fulfillment",
        "order-processing",
        "order-saga",
        "release",
    ] {
        let told = place.orderflow(&format!("validate --strict workflows/{name}.md"));
        assert_eq!(told.exit, Some(0), "{}", told.out);
    }
}

#[test]
fn a_release_is_committed_packed_tagged_and_announced() {
    let place = workflows();
    place.sh("sh workflows/release/scratch.sh tideline");
    let told = place.release();
    assert_eq!((told.exit, told.err.as_str()), (Some(0), ""), "{}", told.out);

    assert_eq!(place.read("tideline/VERSION"), "1.4.0\n");
    assert_eq!(
        place.sh("git -C tideline log -2 --format=%s"),
        "release: 1.4.0\nfix: heights beyond the first tide\n"
    );
    assert_eq!(
        place.sh("git -C tideline rev-parse v1.4.0^{commit}"),
        place.sh("git -C tideline rev-parse HEAD")
    );
    assert_eq!(place.sh("git -C tideline cat-file -t v1.4.0"), "tag\n");
    assert_eq!(place.sh("git -C tideline status --porcelain"), "");
    let log = place.read("tideline/CHANGELOG.md");
    let order = [
        "# Changelog",
        "## 1.4.0",
        "### New",
        "- tell whether the water rises (",
        "### Fixed",
        "- heights beyond",
        "## 1.3.0",
    ];
    let places: Vec<_> =
        order.iter().map(|part| log.find(part).unwrap_or_else(|| panic!("{part} in {log}"))).collect();
    assert!(places.is_sorted() && !log.contains("say which unit"), "{log}");

    // The archive holds the released files, and its checksum is right.
    let packed = place.sh("cd tideline/dist && tar xzOf tideline-1.4.0.tar.gz tideline-1.4.0/VERSION");
    assert_eq!(packed, "1.4.0\n");
    let sum = "import hashlib,sys; print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())";
    let sum = place.sh(&format!("python3 -c \"{sum}\" tideline/dist/tideline-1.4.0.tar.gz"));
    assert_eq!(
        place.read("tideline/dist/tideline-1.4.0.tar.gz.sha256"),
        format!("{}  tideline-1.4.0.tar.gz\n", sum.trim())
    );

    let team = place.read("tideline/dist/team-v1.4.0.md");
    assert!(team.starts_with("tideline v1.4.0 is out.\n3 tests passed.\n"), "{team}");
    assert!(team.contains("To tidy up: tideline/__init__.py:5: longer than 100 characters"), "{team}");
    let packagers = place.read("tideline/dist/packagers-v1.4.0.md");
    assert!(
        packagers.contains(&format!("dist/tideline-1.4.0.tar.gz\nsha256 {}\n", sum.trim())),
        "{packagers}"
    );
    assert!(!place.path("tideline/dist/users-v1.4.0.md").exists());

    // Nothing has been done since: there is nothing to release.
    let again = place.release();
    assert_eq!(again.exit, Some(0));
    assert_eq!(place.rows("session.toon"), ["DecideVersion 1 #1 success"]);
    assert_eq!(place.sh("git -C tideline tag"), "v1.3.0\nv1.4.0\n");
}

#[test]
fn a_breaking_change_raises_the_first_number_and_is_written_to_all() {
    let place = workflows();
    place.sh("sh workflows/release/scratch.sh tideline");
    place.sh("cd tideline && echo >> tideline/__init__.py && git commit -qam 'feat(api)!: heights in feet'");
    assert_eq!(place.release().exit, Some(0));
    assert_eq!(place.sh("git -C tideline describe"), "v2.0.0\n");
    let users = place.read("tideline/dist/users-v2.0.0.md");
    let day = place.sh("git -C tideline log -1 --format=%cs");
    let until =
        "import datetime,sys; print(datetime.date.fromisoformat(sys.argv[1]) + datetime.timedelta(183))";
    let until = place.sh(&format!("python3 -c '{until}' {day}"));
    let promise = format!("v1.3.0 gets fixes until {}.", until.trim());
    assert!(users.contains(&promise) && users.contains("- heights in feet ("), "{users}");
    // What breaks is also news for the team, with what is to be tidied up.
    assert!(place.read("tideline/dist/team-v2.0.0.md").contains("To tidy up: "));
}

#[test]
fn commit_messages_decide_the_number() {
    let place = workflows();
    place.sh("sh workflows/release/scratch.sh tideline && git -C tideline tag v1.4.0");
    for (message, level) in [
        ("docs: what BREAKING CHANGE: means", "none"),
        ("fix(tables): leap seconds", "patch"),
        ("feat(api): heights in feet", "minor"),
        ("docs: new names\n\nBREAKING CHANGE: height is now level", "major"),
    ] {
        place.write("message", message);
        place.sh("git -C tideline commit -q --allow-empty -F ../message");
        let told = place.release_with("--only DecideVersion");
        assert!(told.exit == Some(0) && told.out.contains(&format!("  {level} ")), "{message}: {}", told.out);
    }
}

#[test]
fn a_commit_that_git_refuses_leaves_nothing_behind() {
    let place = workflows();
    place.sh("sh workflows/release/scratch.sh tideline");
    let state = "cd tideline && git rev-parse HEAD && git tag && git status --porcelain";
    let before = place.sh(state);
    place.sh("cd tideline/.git/hooks && printf '#!/bin/sh\nexit 1\n' > pre-commit && chmod +x pre-commit");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("Commit Release failed"), "{}", told.err);
    assert_eq!(place.sh(state), before);
    place.sh("rm tideline/.git/hooks/pre-commit");
    assert_eq!(place.release().exit, Some(0));
    assert_eq!(place.sh("git -C tideline describe"), "v1.4.0\n");

    // Half of a release is not built upon; taken back as the text says, it can be repeated.
    place.sh("git -C tideline tag --delete v1.4.0");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("a release without a tag"), "{}", told.err);
    place.sh("git -C tideline reset -q --hard HEAD~1");
    assert_eq!(place.release().exit, Some(0));
}

#[test]
fn a_release_whose_checks_fail_touches_nothing() {
    let place = workflows();
    place.sh("sh workflows/release/scratch.sh tideline");
    let head = place.sh("git -C tideline rev-parse HEAD");
    place.write("tideline/README", "not committed");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("not committed: ?? README"), "{}", told.err);

    place.sh("rm tideline/README && cd tideline && echo > .gitignore && git commit -qam 'docs: ignore less'");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("git does not ignore dist/"), "{}", told.err);

    place.sh("cd tideline && git reset -q --hard HEAD~1 && sed -i.bak 's/1.0)$/2.0)/' tests/test_height.py && rm tests/*.bak \
              && git commit -qam 'fix: low water' && git rev-parse HEAD > ../head");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("Unit Tests failed"), "{}", told.err);
    assert!(head != place.read("head") && place.sh("git -C tideline rev-parse HEAD") == place.read("head"));
    assert_eq!(place.sh("git -C tideline tag && git -C tideline status --porcelain"), "v1.3.0\n");
}

#[test]
fn readings_are_cleaned_stored_and_reported() {
    let place = workflows();
    place.sh("echo QY-003,2026-03-01,7,5,dora >> workflows/exports/quarry-2026-03.csv");
    let run = || place.with("METER_DATA", "meters", "run workflows/data-pipeline.md --quiet");
    let told = run();
    assert_eq!(told.exit, Some(0), "{}", told.err);
    for problem in [
        "oldtown-2026-03: Read Export failed: the first line is Zähler;Datum;Verbrauch",
        "quarry-2026-03: Clean failed: more than a tenth of the rows cannot be used",
    ] {
        assert!(told.err.contains(problem), "{}", told.err);
    }
    let database = place.path("meters/meter-readings.db");
    let stored = |select: &str| query(&database, select);
    let sums = "SELECT export, count(*), round(sum(kwh), 2) FROM readings GROUP BY export ORDER BY export";
    let expected = "harbour-2026-03 10 111.5\nmarket-2026-03 5 29.0\n";
    assert_eq!(stored(sums), expected);
    let mended = "SELECT day, kwh, read_by FROM readings WHERE meter = 'HB-002' ORDER BY day";
    assert_eq!(stored(mended), "2026-03-01 7.25 ben\n2026-03-02 7.5 ben\n");

    let rejected = place.read("meters/rejected-quarry-2026-03.csv");
    assert!(rejected.contains("3,'2026-03-32' is no day,QY-001,2026-03-32,141,dora"), "{rejected}");
    assert!(rejected.contains("4,negative consumption,QY-002,2026-03-01,-3,dora"), "{rejected}");
    assert!(rejected.contains("6,\"5 cells, not 4\",QY-003,2026-03-01,7,5,dora"), "{rejected}");
    assert!(!place.path("meters/rejected-market-2026-03.csv").exists());
    let report = place.read("meters/report-harbour-2026-03.md");
    assert!(report.contains("10 readings are new, 0 replaced, 0 removed."), "{report}");
    assert!(
        report.contains("1 row could not be used") && report.contains("| HB-005 | 2 | 35.95 |"),
        "{report}"
    );

    let summary = "# Exports stored\n\n| export | readings | kWh |\n|---|---:|---:|\n\
                   | harbour-2026-03 | 10 | 111.50 |\n| market-2026-03 | 5 | 29.00 |\n";
    assert_eq!(place.read("meters/summary.md"), summary);
    let request = place.read("meters/request.md");
    assert!(request.contains("\n- oldtown-2026-03: the first line is Zähler;Datum;Verbrauch"), "{request}");
    assert!(request.contains("new export (see rejected-quarry-2026-03.csv)\n"), "{request}");

    // The same exports again double nothing.
    assert_eq!(run().exit, Some(0));
    assert_eq!(stored(sums), expected);
    assert!(
        place
            .read("meters/report-harbour-2026-03.md")
            .contains("0 readings are new, 10 replaced, 0 removed.")
    );
}

#[test]
fn an_export_replaces_all_that_it_brought_before() {
    let place = workflows();
    let run = || {
        let told = place.with(
            "METER_DATA",
            "meters",
            "run workflows/data-pipeline.md --quiet --item market-2026-03",
        );
        assert_eq!(told.exit, Some(0), "{}", told.err);
        place.read("meters/report-market-2026-03.md")
    };
    assert!(run().contains("5 readings are new, 0 replaced, 0 removed."));
    place.sh("cd workflows/exports && sed -i.bak '/^HB-006/d; s/MK-002,2026-03-02/MK-002,2026-03-03/' market-2026-03.csv");
    place.sh("rm workflows/exports/*.bak");
    let report = run();
    assert!(report.contains("1 readings are new, 3 replaced, 2 removed."), "{report}");
    let days = "SELECT day FROM readings WHERE meter IN ('HB-006', 'MK-002') ORDER BY day";
    assert_eq!(query(&place.path("meters/meter-readings.db"), days), "2026-03-01\n2026-03-03\n");
    assert!(!place.path("meters/request.md").exists(), "nothing has failed");
}

#[test]
fn incidents_are_mitigated_proved_and_written_down_or_a_person_is_paged() {
    let place = workflows();
    place.sh("sh workflows/incident/fleet.sh fleet");
    let told = place.with("FLEET", "fleet", "run workflows/incident-runbook.md --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);

    assert_eq!(place.sh("readlink fleet/checkout/current"), "releases/41\n");
    assert_eq!(
        place.sh("ls fleet/mailer/spool fleet/mailer/spool.dead"),
        "fleet/mailer/spool:\n\nfleet/mailer/spool.dead:\n0.msg\n"
    );
    assert_eq!(place.sh("ls fleet/mailer/outbox | wc -l | tr -d ' '"), "12\n");
    assert_eq!(place.read("fleet/search/settings.conf"), "workers = 4\n");
    for service in ["checkout", "mailer", "search", "catalogue"] {
        place.sh(&format!("sh workflows/incident/probe.sh fleet/{service}"));
    }
    let written = place.read("fleet/checkout/post-mortem-INC-101.md");
    for line in [
        "# INC-101: checkout, severity 1",
        "- **Cause**: release",
        "rolled back from release 42 to release 41",
    ] {
        assert!(written.contains(line), "{written}");
    }
    // Nobody knows what billing has, and catalogue was well.
    assert_eq!(
        place.sh("cd fleet && ls */post-mortem-*"),
        "checkout/post-mortem-INC-101.md\nmailer/post-mortem-INC-102.md\nsearch/post-mortem-INC-103.md\n"
    );
    assert_eq!(place.sh("ls fleet/pages"), "INC-104.txt\n");
    let page = place.read("fleet/pages/INC-104.txt");
    assert!(
        page.contains("\"the ledger does not add up\"")
            && page.contains("Diagnose: none of the known causes"),
        "{page}"
    );
    assert_eq!(
        place.read("fleet/shift.md"),
        "- INC-101, checkout: rolled back from release 42 to release 41\n\
         - INC-102, mailer: set 0.msg aside and moved 12 messages to outbox\n\
         - INC-103, search: restored settings.conf from settings.conf.good\n\
         - INC-104, billing: a person has been paged\n\
         - INC-105, catalogue: was well again by itself\n"
    );
    let rows = place.rows("session.toon");
    assert!(rows.contains(&"LookAtService INC-105 #1 success".to_owned()), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.contains("INC-105")).count(), 1);
}

/// A service that is still not well after its mitigation is no success.
#[test]
fn a_mitigation_that_does_not_help_ends_with_a_person() {
    let place = workflows();
    place.sh("sh workflows/incident/fleet.sh fleet && echo 'workers = 0' > fleet/search/settings.conf.good");
    let told =
        place.with("FLEET", "fleet", "run workflows/incident-runbook.md --quiet --item INC-103 --tolerate 0");
    assert!(told.exit == Some(1) && told.err.contains("the service is still not well"), "{}", told.err);
    assert!(
        place.path("fleet/pages/INC-103.txt").exists()
            && !place.path("fleet/search/post-mortem-INC-103.md").exists()
    );
    assert_eq!(place.read("fleet/shift.md"), "- INC-103, search: a person has been paged\n");
}

/// An attempt that was cut off after its effect is made again.
#[test]
fn mitigations_can_be_repeated() {
    let place = workflows();
    place.sh("sh workflows/incident/fleet.sh fleet && mkdir -p fleet/checkout/releases/40");
    let only = |step: &str, item: &str, inputs: &str| {
        let args = format!("run workflows/incident-runbook.md --quiet --item {item} --only {step} {inputs}");
        place.with("FLEET", "fleet", &args)
    };
    for _ in 0..2 {
        let told = only("RollBack", "INC-101", "--input service=checkout --input live_release=42");
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(place.sh("readlink fleet/checkout/current"), "releases/41\n");
        let told = only("RestoreSettings", "INC-103", "--input service=search");
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(place.read("fleet/search/settings.conf"), "workers = 4\n");
        assert_eq!(place.read("fleet/search/settings.conf.bad"), "", "what was wrong is kept");
        place.write("log_lines.json", r#"["spool/0.msg: no such recipient"]"#);
        let told =
            only("SetMessageAside", "INC-102", "--input service=mailer --input log_lines=@log_lines.json");
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(
            place.sh("ls fleet/mailer/spool.dead && ls fleet/mailer/outbox | wc -l | tr -d ' '"),
            "0.msg\n12\n"
        );
    }
    // Another release has been deployed since the diagnosis.
    place.sh("ln -sfn releases/40 fleet/checkout/current");
    let told = only("RollBack", "INC-101", "--input service=checkout --input live_release=42 --tolerate 0");
    assert!(
        told.exit == Some(1) && told.err.contains("releases/40 has been deployed meanwhile"),
        "{}",
        told.err
    );
    assert_eq!(place.sh("readlink fleet/checkout/current"), "releases/40\n");
}

#[test]
fn what_could_not_be_written_is_told_at_the_end_of_the_shift() {
    let place = workflows();
    place.sh("sh workflows/incident/fleet.sh fleet");
    place.sh("mkdir fleet/checkout/post-mortem-INC-101.md");
    let run = |item: &str| {
        let args = format!("run workflows/incident-runbook.md --quiet --tolerate 100% --item {item}");
        place.with("FLEET", "fleet", &args)
    };
    let told = run("INC-101");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(place.read("fleet/shift.md").ends_with("to release 41, but the post-mortem is missing\n"));
    assert!(!place.path("fleet/pages").exists());

    place.write("fleet/pages", "a file, not a folder");
    let told = run("INC-104");
    assert!(told.exit == Some(1) && told.err.contains("nobody has been paged for INC-104"), "{}", told.err);
    assert_eq!(place.read("fleet/shift.md"), "- INC-104, billing: NOBODY HAS BEEN PAGED\n");
}
