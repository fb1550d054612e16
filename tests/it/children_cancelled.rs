//! A run is cancelled while one of its steps runs another document: the document compensates what it did. And a run
//! whose documents change keeps them as they were.

use crate::place::Place;
use crate::program::told;
use rustix::process::{Pid, Signal, kill_process};

const PAY: &str = "\
# Pay

## Reserve [compensate:: Release]
order → reserved::String

```sh run
echo reserve >> work.log
echo r
```

## Wait
reserved → waited::String

```sh run
: > waiting
exec sleep 1000
```

## Release
reserved → released::String

```sh run
echo release >> work.log
echo ok
```
";

/// A run inside the second step of its document.
fn inside() -> (Place, std::process::Child) {
    let place = Place::new("# Orders\n\n## Pay [document:: pay.md]\norder → waited::String\n");
    place.write("pay.md", PAY);
    let run = place.begin("--input order=7");
    place.await_file("waiting");
    (place, run)
}

fn is_compensated(place: &Place) {
    assert_eq!(place.read("work.log"), "reserve\nrelease\n");
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.starts_with("1: compensated\n") && shown.contains("    pay.md: compensated\n"), "{shown}");
}

#[test]
fn an_active_run_is_cancelled_with_its_document() {
    let (place, run) = inside();
    assert_eq!(place.orderflow("cancel last").exit, Some(0));
    let told = told(run.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(place.read("work.log"), "reserve\nrelease\n");
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.contains("    pay.md: compensated\n"), "{shown}");
}

#[test]
fn a_paused_run_is_cancelled_with_its_document() {
    let (place, run) = inside();
    kill_process(Pid::from_raw(run.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(told(run.wait_with_output().unwrap()).exit, Some(143));
    let told = place.orderflow("cancel last");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    is_compensated(&place);
}

/// The runner is killed; the process that it leaves behind ends before anything is compensated.
#[test]
fn a_killed_run_is_cancelled_with_its_document() {
    let (place, mut run) = inside();
    run.kill().unwrap();
    run.wait().unwrap();
    let told = place.orderflow("cancel last");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    is_compensated(&place);
}

/// A run keeps the documents of its steps as they were when it began, also with the current document.
#[test]
fn a_run_keeps_the_documents_of_its_steps() {
    let flow = "# Orders\n\n## Pay [document:: pay.md]\norder → waited::String\n\n\
        ## Ship\nwaited → sent::String\n\n```sh run\necho ship >> work.log\nexit 65\n```\n";
    let place = Place::new(flow);
    let pay = PAY.replace(": > waiting\nexec sleep 1000", "echo w");
    place.write("pay.md", &pay);
    assert_eq!(place.run("--input order=7 --quiet").exit, Some(1));
    assert_eq!(place.read("work.log"), "reserve\nship\nrelease\n");
    place.write("pay.md", &pay.replace("echo reserve ", "echo changed "));
    place.write("flow.md", &flow.replace("exit 65", "echo sent"));
    let told = place.orderflow("retry last --use-current --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(place.read("work.log"), "reserve\nship\nrelease\nreserve\nship\n");
    // A document that the run did not store cannot join it.
    place.write("flow.md", &flow.replace("pay.md", "other.md"));
    place.write("other.md", &pay);
    assert_eq!(place.run("--input order=7 --quiet").exit, Some(1));
    place.write("flow.md", flow);
    let told = place.orderflow("retry last --use-current --trust --quiet");
    assert!(told.exit == Some(3) && told.err.contains("the run did not store it"), "{}", told.err);
}
