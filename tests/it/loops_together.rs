//! Loops together with documents as steps and with events.

use crate::place::Place;
use crate::program::told;

#[test]
fn a_document_is_run_in_each_round() {
    let place = Place::new(
        "# Sign-off\n\n## Ask [repeat:: 4 until answer.ok] [document:: ask.md]\ntopic::String → answer::JSON\n\n\
         ## Close\nanswer → closed::String\n\n```sh run\necho \"$IN_ANSWER\"\n```\n",
    );
    place.write(
        "ask.md",
        "# Ask\n\n## Ask Once [compensate:: Withdraw]\ntopic::String → answer::JSON\n\n```sh run\n\
         echo ask >> done; n=$(grep -c ask done); echo \"{\\\"ok\\\": $([ $n -ge 3 ] && echo true || echo false)}\"\n```\n\n\
         ## Compensations\n\n### Withdraw\nanswer → withdrawn::Boolean\n\n```sh run\necho withdraw >> done; echo true\n```\n",
    );
    let ran = place.run("--input topic=Bees --quiet");
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    assert_eq!(place.read("done"), "ask\nask\nask\n");

    // Each round is a run of the document, which is compensated with its item.
    place.write("flow.md", &place.read("flow.md").replace("echo \"$IN_ANSWER\"", "exit 65"));
    place.write("done", "");
    let failed = place.run("--input topic=Bees --quiet");
    assert_eq!(failed.exit, Some(1), "{}", failed.err);
    assert_eq!(place.read("done"), "ask\nask\nask\nwithdraw\nwithdraw\nwithdraw\n");
}

#[test]
fn each_round_waits_for_an_event_of_its_own() {
    let place = Place::new(
        "# Parcel\n\n## Follow [repeat:: 4 until scan.last]\n[await:: parcel.scanned within 7d]\n\n\
         parcel::String, parcel_scanned::JSON → scan::JSON\n\n```sh run\n\
         echo \"$IN_PARCEL_SCANNED\" >> scans\necho \"$IN_PARCEL_SCANNED\"\n```\n",
    );
    let mut exit = place.run("--input parcel=p1 --quiet").exit;
    for (data, last) in [("{\"last\":false}", false), ("{\"last\":true}", true)] {
        assert_eq!(exit, Some(5));
        let id = format!("signal last parcel.scanned --item 1 --id {last} --resume --quiet");
        let sent = told(place.command(&id).args(["--data", data]).output().unwrap());
        exit = sent.exit;
        assert_eq!(exit, Some(if last { 0 } else { 5 }), "{}", sent.err);
    }
    assert_eq!(place.read("scans"), "{\"last\":false}\n{\"last\":true}\n");
}
