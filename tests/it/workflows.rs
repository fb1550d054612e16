//! The documents of `workflows/` that stand for processes of their own: each is run as its text says, and what it
//! leaves in the world is looked at.

use crate::place::Place;
use crate::program::{Told, told};
use crate::python::{path, query};
use std::path::Path;
use std::process::Command;

/// A copy of the folder, so that a run finds no other's leavings.
fn workflows() -> Place {
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
    fn sh(&self, command: &str) -> String {
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
        let input = format!("repository={}", self.path("tideline").display());
        let args = format!("run workflows/release.md --quiet --input {input}");
        told(self.command(&args).env("PATH", path()).output().unwrap())
    }
}

#[test]
fn every_document_is_without_a_doubt() {
    let place = workflows();
    for name in ["data-pipeline", "incident-runbook", "order-processing", "release"] {
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

    let team = place.read("tideline/dist/team-1.4.0.md");
    assert!(team.starts_with("tideline 1.4.0 is out, 3 tests passed."), "{team}");
    assert!(team.contains("To tidy up: tideline/__init__.py:5: longer than 100 characters"), "{team}");
    assert!(!place.path("tideline/dist/mail-1.4.0.md").exists());

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
    let mail = place.read("tideline/dist/mail-2.0.0.md");
    assert!(
        mail.contains("v1.3.0 gets fixes for six more months") && mail.contains("- heights in feet ("),
        "{mail}"
    );
    assert!(!place.path("tideline/dist/team-2.0.0.md").exists());
}

#[test]
fn a_release_whose_checks_fail_touches_nothing() {
    let place = workflows();
    place.sh("sh workflows/release/scratch.sh tideline");
    let head = place.sh("git -C tideline rev-parse HEAD");
    place.write("tideline/README", "not committed");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("not committed: ?? README"), "{}", told.err);

    place.sh("rm tideline/README && cd tideline && sed -i.bak 's/1.0)$/2.0)/' tests/test_height.py && rm tests/*.bak \
              && git commit -qam 'fix: low water' && git rev-parse HEAD > ../head");
    let told = place.release();
    assert!(told.exit == Some(1) && told.err.contains("Unit Tests failed"), "{}", told.err);
    assert!(head != place.read("head") && place.sh("git -C tideline rev-parse HEAD") == place.read("head"));
    assert_eq!(place.sh("git -C tideline tag && git -C tideline status --porcelain"), "v1.3.0\n");
}

#[test]
fn readings_are_cleaned_stored_and_reported() {
    let place = workflows();
    let run = || place.with("METER_DATA", "meters", "run workflows/data-pipeline.md --quiet");
    let told = run();
    assert_eq!(told.exit, Some(0), "{}", told.err);
    for problem in [
        "oldtown-2026-03: Read Export failed: exited with 65 (bad input): the first line is Zähler;Datum;Verbrauch",
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
    assert!(rejected.contains("3,QY-001,2026-03-32,141,dora,'2026-03-32' is no day"), "{rejected}");
    assert!(rejected.contains("4,QY-002,2026-03-01,-3,dora,negative consumption"), "{rejected}");
    assert!(!place.path("meters/rejected-market-2026-03.csv").exists());
    let report = place.read("meters/report-harbour-2026-03.md");
    assert!(report.contains("10 readings are new, 0 replaced."), "{report}");
    assert!(
        report.contains("1 row could not be used") && report.contains("| HB-005 | 2 | 35.95 |"),
        "{report}"
    );

    // The same exports again double nothing.
    assert_eq!(run().exit, Some(0));
    assert_eq!(stored(sums), expected);
    assert!(place.read("meters/report-harbour-2026-03.md").contains("0 readings are new, 10 replaced."));
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
        page.contains("found: the ledger does not add up") && page.contains("none of the known causes"),
        "{page}"
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
}
