//! A step that runs another document: a run of its own, which is resumed, stopped and compensated with its parent.

use crate::place::Place;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

/// A step before and one after a document of two steps. What runs is written into `work.log`.
const ORDERS: &str = "\
# Orders

## Receive
order::Integer → amount::Integer

```sh run
echo \"receive $IN_ORDER\" >> work.log
echo 5
```

## Review [document:: parts/review.md]
order, amount → approved::Boolean

## Ship
approved → sent::String

```sh run
echo ship >> work.log
echo \"sent $IN_APPROVED\"
```
";

pub const REVIEW: &str = "\
# Review

## Check
order::Integer, amount::Integer → checked::String

```sh run
echo \"check $IN_ORDER\" >> ../work.log
echo \"$IN_AMOUNT\"
```

## Decide
checked → approved::Boolean

```sh run
echo \"decide $ORDERFLOW_IDEMPOTENCY_KEY\" >> ../keys.log
until test -e ../go; do : > ../waiting; sleep 0.02; done
echo decide >> ../work.log
echo true
```
";

pub fn place() -> Place {
    let place = Place::new(ORDERS);
    place.write("parts/review.md", REVIEW);
    place
}

/// The lines of a file, each with how often it is there.
fn lines(place: &Place, file: &str) -> Vec<String> {
    if !place.path(file).exists() {
        return Vec::new();
    }
    place.read(file).lines().map(str::to_owned).collect()
}

/// The folders of the runs of documents, sorted.
fn children(place: &Place) -> Vec<String> {
    let inner = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        all.sort();
        all
    };
    let runs = inner(place.path(".orderflow/runs"));
    let items = runs.into_iter().flat_map(|run| inner(run.join("children")));
    let all = items.flat_map(inner).map(|child| {
        let item = child.parent().and_then(|item| item.file_name()).unwrap();
        format!("{}/{}", item.display(), child.file_name().unwrap().display())
    });
    all.collect()
}

#[test]
fn a_document_runs_as_a_step() {
    let place = place();
    place.write("go", "");
    let told = place.run("--input order=7 --session s.toon");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["receive 7", "check 7", "decide", "ship"]);
    let steps = ["Receive", "Review/Check", "Review/Decide", "Review", "Ship"];
    assert_eq!(place.rows("s.toon"), steps.map(|step| format!("{step} 1 #1 success")));
    assert_eq!(children(&place), ["000000-1/Review.1"]);
    let told = place.orderflow("show last --item 1");
    assert!(told.out.contains("makes approved: true"), "{}", told.out);
    // It is not a run of its own in lists.
    assert_eq!(place.orderflow("runs --format json").out.matches("\"run\"").count(), 1);
}

/// A killed run continues inside the document: no finished step of it runs again, and its attempts keep their keys.
#[test]
fn a_killed_run_continues_inside_the_document() {
    let place = place();
    let mut run = place.begin("--input order=7");
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(place.path("waiting")).unwrap();
    let mut resume = place.command("resume last");
    let resumed = resume.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What the killed run has left running ends before.
    place.until("the step runs again", || lines(&place, "keys.log").len() == 2);
    place.write("go", "");
    let told = crate::program::told(resumed.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["receive 7", "check 7", "decide", "ship"]);
    let keys = lines(&place, "keys.log");
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    assert_eq!(children(&place), ["000000-1/Review.1"]);
}

/// Ctrl-C pauses both, and both continue.
#[test]
fn an_interrupted_run_pauses_its_document() {
    let place = place();
    let run = place.begin("--input order=7");
    place.await_file("waiting");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(run.id().try_into().unwrap()).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    let told = crate::program::told(run.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(130), "{}{}", told.out, told.err);
    place.write("go", "");
    let told = place.orderflow("resume last");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["receive 7", "check 7", "decide", "ship"]);
    assert_eq!(children(&place), ["000000-1/Review.1"]);
}

/// A document whose second step fails; the first has a compensation.
const PAY: &str = "\
# Pay

## Reserve [compensate:: Release]
order::Integer → reserved::String

```sh run
echo \"reserve $IN_ORDER\" >> work.log
echo r
```

## Charge
reserved → receipt::String

```sh run
echo charge >> work.log
test -e card || { echo 'card declined' >&2; exit 65; }
echo paid
```

## Release
reserved → released::String

```sh run
echo release >> work.log
echo ok
```
";

fn paying(step: &str) -> Place {
    let place = Place::new(&format!(
        "# Orders\n\n## Pay {step} [document:: pay.md]\norder::Integer → receipt?::String\n"
    ));
    place.write("pay.md", PAY);
    place
}

/// A failure inside is the failure of the step, with its reason; what was done is compensated by the document.
#[test]
fn a_failure_inside_is_the_failure_of_the_step() {
    let place = paying("");
    let told = place.run("--input order=7 --session s.toon --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["reserve 7", "charge", "release"]);
    assert_eq!(
        place.rows("s.toon"),
        [
            "Pay/Reserve 1 #1 success",
            "Pay/Charge 1 #1 failed (exited with 65 (bad input): card declined)",
            "Pay/Release 1 #1 compensated",
            "Pay 1 #1 failed (Charge: exited with 65 (bad input): card declined)",
        ]
    );
}

/// Every retry is a run of its own, because the one before has compensated what it did.
#[test]
fn a_retry_is_a_new_run_of_the_document() {
    let place = paying("[retry:: 2 fixed 1ms]");
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    let once = ["reserve 7", "charge", "release"];
    assert_eq!(lines(&place, "work.log"), [once, once, once].concat());
    assert_eq!(children(&place), ["000000-1/Pay.1", "000000-1/Pay.2", "000000-1/Pay.3"]);
    // A person has solved the problem.
    place.write("card", "");
    let told = place.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(children(&place).last().unwrap(), "000000-1/Pay.4");
}

#[test]
fn an_optional_document_may_fail() {
    let place = paying("?");
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["reserve 7", "charge", "release"]);
}

/// A timeout stops the document, which compensates what it did.
#[test]
fn a_timeout_cancels_the_document() {
    let place = paying("[timeout:: 700ms]");
    place.write("pay.md", &PAY.replace("test -e card ||", "sleep 60 ||"));
    let told = place.run("--input order=7 --session s.toon --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["reserve 7", "charge", "release"]);
    assert_eq!(place.rows("s.toon").pop().unwrap(), "Pay 1 #1 timeout (timed out after 700ms)");
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.contains("cancelled: the step that runs the document timed out\n"), "{shown}");
    assert!(!shown.contains("the run was cancelled"), "{shown}");
}

/// What stops the step is named, also two documents deep.
#[test]
fn a_document_says_what_stopped_it() {
    let stopped = |flow: &str, options: &str| {
        let place = Place::new(flow);
        place.write("middle.md", "# Middle\n\n## Pay [document:: pay.md]\norder → receipt::String\n");
        place.write("pay.md", "# Pay\n\n## Wait\norder → receipt::String\n\n```sh run\nsleep 60\n```\n");
        place.run(&format!("--input order=7 --quiet {options}"));
        place.orderflow("show last --item 1").out
    };
    let flow = |front: &str, fields: &str| {
        format!("{front}# Orders\n\n## Pay [document:: middle.md]{fields}\norder → receipt::String\n")
    };
    let shown = stopped(&flow("", " [deadline:: 400ms]"), "");
    let why = "cancelled: the deadline of the step that runs the document passed\n";
    assert_eq!(shown.matches(why).count(), 2, "{shown}");
    let shown = stopped(&flow("---\ndeadline: 400ms\n---\n", ""), "");
    assert_eq!(shown.matches("cancelled: the item's deadline passed\n").count(), 2, "{shown}");
    let shown = stopped(&flow("", ""), "--deadline 400ms");
    assert!(shown.matches("cancelled: the run's deadline passed\n").count() >= 2, "{shown}");
    assert!(!shown.contains("the run was cancelled"), "{shown}");
}

/// Each element of a list has a run of its own.
#[test]
fn a_document_runs_for_each_element() {
    let place = Place::new(
        "# Orders\n\n## Pay [each:: order in orders] [document:: pay.md]\norder → receipt::String\n\n\
         ## Sum\nreceipt → count::Integer\n\n```python run\nimport json, sys\nprint(len(json.load(sys.stdin)[\"receipt\"]))\n```\n",
    );
    place.write("pay.md", PAY);
    place.write("card", "");
    let told = place.run("--input orders=[7,8,9] --session s.toon --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let mut done = lines(&place, "work.log");
    done.sort();
    assert_eq!(done, ["charge", "charge", "charge", "reserve 7", "reserve 8", "reserve 9"]);
    assert_eq!(children(&place), ["000000-1/Pay.0.1", "000000-1/Pay.1.1", "000000-1/Pay.2.1"]);
    assert!(place.read("s.toon").contains("Sum"), "{}", place.read("s.toon"));
    assert_eq!(place.orderflow("show last --item 1").out.matches("makes count: 3").count(), 1);
}

/// A file that a document makes is a file of the run that has the step.
#[test]
fn files_cross_the_border() {
    let place = Place::new(
        "# Orders\n\n## Print [document:: print.md]\norder::String → label::File\n\n\
         ## Read\nlabel → text::String\n\n```sh run\ncat \"$IN_LABEL\"\n```\n",
    );
    place.write(
        "print.md",
        "# Print\n\n## Write\norder::String → draft::File\n\n```sh run\necho \"label of $IN_ORDER\" > \"$ORDERFLOW_DIR/draft.txt\"\necho draft.txt\n```\n\n\
         ## Copy\ndraft → label::File\n\n```sh run\ncp \"$IN_DRAFT\" \"$ORDERFLOW_DIR/label.txt\"\necho label.txt\n```\n",
    );
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let told = place.orderflow("show last --item 1");
    assert!(told.out.contains("makes text: \"label of 7\""), "{}", told.out);
}

/// A document that is complete before a later step of the outer one fails.
fn shipping(pay: &str) -> Place {
    let place = Place::new(
        "# Orders\n\n## Pay [document:: pay.md]\norder::Integer → receipt::String\n\n\
         ## Ship\nreceipt → sent::String\n\n```sh run\necho ship >> work.log\ntest -e van || exit 65\necho sent\n```\n",
    );
    place.write("pay.md", pay);
    place.write("card", "");
    place
}

/// A charge with a compensation that can be made to fail and to wait.
fn refunded() -> String {
    PAY.replace("## Charge\n", "## Charge [compensate:: Refund]\n")
        + "\n## Refund\nreceipt → refund::String\n\n```sh run\n: > refunding\nuntil test -e go; do sleep 0.02; done\n\
           test ! -e closed || exit 65\necho \"refund $ORDERFLOW_FORWARD_KEY\" >> keys.log\necho refund >> work.log\necho ok\n```\n"
}

/// The outer item fails after the document has succeeded: what the document did is compensated, in reverse order.
#[test]
fn a_later_failure_compensates_the_document() {
    let place = shipping(&refunded());
    place.write("go", "");
    let flow = place.read("flow.md");
    let told = place.run("--input order=7 --session s.toon --quiet --write");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["reserve 7", "charge", "ship", "refund", "release"]);
    assert_eq!(
        place.rows("s.toon"),
        [
            "Pay/Reserve 1 #1 success",
            "Pay/Charge 1 #1 success",
            "Pay/Release 1 #1 compensated",
            "Pay/Refund 1 #1 compensated",
            "Pay 1 #1 success",
            "Ship 1 #1 failed (exited with 65 (bad input))",
            "CompensatePay 1 #1 compensated",
        ]
    );
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.starts_with("1: compensated"), "{shown}");
    for line in ["\nPay, attempt 1 ran\n", "    pay.md: compensated\n", "    Refund: compensated\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    let told = place.orderflow("verify flow.md");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    place.write("flow.md", &flow);
    // It starts from its first step then, with another run of the document.
    place.write("van", "");
    let told = place.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(children(&place), ["000000-1/Pay.1", "000000-1/Pay.2"]);
    assert_eq!(lines(&place, "work.log")[5..], ["reserve 7", "charge", "ship"]);
}

/// A runner that is killed while the document is compensated is followed by one that continues with it.
#[test]
fn a_killed_compensation_of_a_document_continues() {
    let place = shipping(&refunded());
    let mut run = place.begin("--input order=7");
    place.await_file("refunding");
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(place.path("refunding")).unwrap();
    let mut resume = place.command("resume last");
    let resumed = resume.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    place.await_file("refunding");
    place.write("go", "");
    let told = crate::program::told(resumed.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["reserve 7", "charge", "ship", "refund", "release"]);
    assert!(place.orderflow("show last --item 1").out.starts_with("1: compensated"));
}

/// What the document cannot compensate makes the compensation of the step fail; a retry repeats only that.
#[test]
fn a_document_that_cannot_be_compensated_fails_the_compensation() {
    let place = shipping(&refunded().replace("## Refund\n", "## Refund [retry:: 0]\n"));
    place.write("go", "");
    place.write("closed", "");
    let told = place.run("--input order=7 --quiet --jobs 1 --deadline 20s");
    assert_eq!(told.exit, Some(5), "{}{}", told.out, told.err);
    assert!(told.err.contains("Refund"), "{}", told.err);
    let before = lines(&place, "work.log");
    assert_eq!(before, ["reserve 7", "charge", "ship", "release"]);
    fs::remove_file(place.path("closed")).unwrap();
    let told = place.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log")[before.len()..], ["refund"]);
    assert!(place.orderflow("show last --item 1").out.starts_with("1: compensated"));
}

/// A document without compensations is a step without one.
#[test]
fn a_document_without_compensations_has_nothing_to_compensate() {
    let plain = PAY.replace(" [compensate:: Release]", "");
    let place = shipping(&plain[..plain.find("## Release").unwrap()]);
    let told = place.run("--input order=7 --session s.toon --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(place.rows("s.toon").len(), 4);
    assert!(place.orderflow("show last --item 1").out.starts_with("1: failed"));
    for command in ["plan flow.md", "agents flow.md", "graph flow.md --format mermaid", "graph flow.md"] {
        let shown = place.orderflow(command);
        assert!(shown.exit == Some(0) && !shown.out.contains("Compensate"), "{command}: {}", shown.out);
    }
}

/// A step that names its compensation is compensated by that alone.
#[test]
fn a_named_compensation_takes_the_place_of_the_document() {
    let place = shipping(&refunded());
    let flow = place.read("flow.md").replace("## Pay [document", "## Pay [compensate:: Call Bank] [document");
    place.write(
        "flow.md",
        &(flow + "\n## Call Bank\nreceipt → called::String\n\n```sh run\necho \"call about $IN_RECEIPT\" | tee -a work.log\n```\n"),
    );
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["reserve 7", "charge", "ship", "call about paid"]);
}

/// A document within a document within a document, for several elements and attempts: each is a run of its own in the
/// folder of the run that has its step; tokens and cost are summed.
#[test]
fn documents_run_within_each_other() {
    let place = Place::new(
        "# Flow\n\n## Ask [document:: parts/mid.md] [each:: q in qs] [retry:: 1 fixed 1ms]\nq::String → answer::String\n",
    );
    place.write("parts/mid.md", "# Mid\n\n## Inner [document:: low.md] [effects:: none]\nq::String → answer::String\n\n\
        ## Check [effects:: none]\nanswer → checked::String\n\n```sh run\ntest -e ../again-$IN_ANSWER || { : > ../again-$IN_ANSWER; exit 1; }\necho ok\n```\n");
    place.write(
        "parts/low.md",
        "# Low\n\n## First\nq::String → answer::String\n\n```sh run\n\
         echo \"$IN_Q\" >> ../work.log\necho \"{\\\"answer\\\": \\\"a$IN_Q\\\", \\\"tokens_used\\\": 60, \\\"cost_usd\\\": 0.5}\"\n```\n",
    );
    let told = place.run("--input qs=[\"x\",\"y\"] --session s.toon --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let mut done = lines(&place, "work.log");
    done.sort();
    assert_eq!(done, ["x", "x", "y", "y"]);
    assert_eq!(
        children(&place),
        ["000000-1/Ask.0.1", "000000-1/Ask.0.2", "000000-1/Ask.1.1", "000000-1/Ask.1.2"]
    );
    let session = place.read("s.toon");
    assert_eq!(session.matches(",120,").count(), 2, "{session}");
    let shown = place.orderflow("show last --item 1").out;
    assert_eq!(shown.matches("parts/low.md: succeeded").count(), 4, "{shown}");
}

/// A run that was compensated by its document, and retried, is written into its own document with all its rows.
#[test]
fn the_rows_of_a_documents_compensation_are_written_and_verify() {
    let place = Place::new(
        "# Release\n\n## Build\nversion::String → image::String\n\n```sh run\necho \"i$IN_VERSION\"\n```\n\n\
         ## Deploy [document:: deploy.md]\nimage → url::String\n\n\
         ## Test\nurl → tested::String\n\n```sh run\ntest -e good || exit 65\necho \"$IN_URL\"\n```\n",
    );
    place.write(
        "deploy.md",
        "# Deploy\n\n## Push [compensate:: Pull]\nimage::String → url::String\n\n```sh run\necho \"u$IN_IMAGE\"\n```\n\n\
         ## Pull\nurl → pulled::String\n\n```sh run\necho gone\n```\n",
    );
    assert_eq!(place.run("--input version=3 --quiet").exit, Some(1));
    place.write("good", "");
    assert_eq!(place.orderflow("retry last --quiet").exit, Some(0));
    let told = place.orderflow("show last --write");
    assert_eq!(told.err, "7 executions written into flow.md\n");
    let written = place.read("flow.md");
    assert_eq!(written.matches("\n  CompensateDeploy,").count(), 1, "{written}");
    let rows = written.lines().filter(|line| line.starts_with("  ") && line.contains(':')).count();
    assert_eq!(rows, 7, "{written}");
    let told = place.orderflow("verify flow.md");
    assert_eq!(
        (told.exit, told.err.contains("7 rows of 1 item")),
        (Some(0), true),
        "{}{}",
        told.out,
        told.err
    );
    assert_eq!(place.orderflow("show last --write").err, "flow.md has all executions of the run\n");
    assert_eq!(place.read("flow.md"), written);
    // Both runs of the document and its compensation are drawn in frames of their own.
    let drawn = place.orderflow("graph --format sequence --run last").out;
    assert_eq!(drawn.matches("opt deploy.md\n").count(), 3, "{drawn}");
    assert_eq!(drawn.matches(": Push\n").count(), 2, "{drawn}");
    assert_eq!(drawn.matches(": Pull, which compensates Push\n").count(), 1, "{drawn}");
}
