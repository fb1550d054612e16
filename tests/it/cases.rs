//! Cases of documents: those of the examples, what is not met at its place, wrong cases, and the same end as a run.

use crate::place::{Place, says};
use crate::program::orderflow;
use serde_json::Value;

const FLOW: &str = "# Flow\n\n## Reserve [compensate:: Release]\norder::Integer → reserved::Integer\n\n```sh run\necho \"$IN_ORDER\"\n```\n\n\
                    If reserved > 3 → Pay\nOtherwise → fail \"too few\"\n\n\
                    ## Pay ! [retry:: 1 fixed 10ms] [compensate:: Refund]\nreserved → receipt::String\n\n```sh run\n\
                    if test $IN_RESERVED = 5; then echo '{\"error\": {\"message\": \"busy\", \"outcome\": \"unknown\"}}'; else echo r; fi\n```\n\n\
                    ## Compensations\n\n### Release\nreserved → released::Boolean\n\n```sh run\necho true\n```\n\n\
                    ### Refund\nreserved → refunded::Boolean\n\n```sh run\necho true\n```\n";

/// The examples that process orders: every step, decision and compensation.
#[test]
fn the_cases_of_the_examples_pass_and_cover_all() {
    let names = ["creation", "events", "fulfillment", "processing", "saga"];
    let files: Vec<String> = names.iter().map(|name| format!("workflows/order-{name}.md")).collect();
    let files = files.iter().map(String::as_str);
    let args: Vec<&str> = ["test", "--min-coverage", "100%"].into_iter().chain(files).collect();
    let told = orderflow(&args);
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(told.err, "37 cases: all passed\n");
    assert_eq!(told.out.matches("passed").count(), 37, "{}", told.out);
}

/// The rows of a run of programs are those of a case in which the same is answered.
#[test]
fn a_case_ends_as_a_run_does() {
    let place = Place::new(FLOW);
    let case = |order: u32, pay: &str| {
        format!(
            "[[case]]\nname = \"{order}\"\ninputs.order = {order}\nanswers.Reserve.outputs.reserved = {order}\n{pay}\nexpect.state = \"succeeded\"\n\n"
        )
    };
    let busy = "answers.Pay.error = { message = \"busy\", outcome = \"unknown\" }";
    place.write(
        "flow.test.toml",
        &(case(2, "") + &case(5, busy) + &case(7, "answers.Pay.outputs.receipt = \"r\"")),
    );
    let told = place.orderflow("test flow.md --format json");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let tested: Value = serde_json::from_str(&told.out).unwrap();
    for (index, order) in [2, 5, 7].into_iter().enumerate() {
        let case = &tested[0]["cases"][index];
        place.run(&format!("--input order={order} --quiet --session {order}.toon"));
        let rows = place.rows(&format!("{order}.toon"));
        let steps = case["steps"].as_array().unwrap().iter().map(|step| {
            let text = |key: &str| step[key].as_str().unwrap().to_owned();
            let error = step["error"].as_str().map(|error| format!(" ({error})")).unwrap_or_default();
            format!(
                "{} 1 #{} {}{error}",
                text("phase"),
                step["attempt"].as_u64().unwrap_or(0),
                text("status")
            )
        });
        // A session file has a table for each step, in the order of the document.
        let mut steps: Vec<String> = steps.collect();
        steps.sort();
        let mut rows = rows;
        rows.sort();
        assert_eq!(steps, rows, "{order}");
        assert_eq!(case["passed"], order == 7, "{case}");
        let shown: Value = serde_json::from_str(&place.orderflow("show last --format json").out).unwrap();
        assert_eq!(case["state"], shown["items"][0]["state"], "{order}");
    }
}

/// A case that was made of an item ends as the item did, with the steps that it had.
#[test]
fn cases_of_recorded_items_pass() {
    let place = Place::new(&format!(
        "{FLOW}\n## Watch [after:: Pay] [await:: a.b for receipt within 1h]\nreceipt → seen::JSON\n\n> [!gate] Go?\n\n\
         ```sh run\ntest $IN_RECEIPT = r || exit 1\nsleep 30\n```\n\n[timeout:: 100ms]\n"
    ));
    let mut all = String::new();
    for order in [2, 5, 7] {
        place.run(&format!("--input order={order} --quiet"));
        if order == 7 {
            assert_eq!(place.orderflow("show last --case").exit, Some(3));
            let sent = place.orderflow("signal last a.b --item r --data {\"n\":[1.50,null]}");
            assert_eq!(sent.exit, Some(0), "{}", sent.err);
            place.orderflow("approve last Watch --as ops --note \"x\" --resume");
        }
        let made = place.orderflow("show last --case");
        assert_eq!(made.exit, Some(0), "{}", made.err);
        all.push_str(&format!("{}\n", made.out));
    }
    place.write("flow.test.toml", &all);
    let told = place.orderflow("test flow.md --format json");
    assert_eq!((told.exit, told.err.as_str()), (Some(0), "3 cases: all passed\n"), "{all}\n{}", told.out);
    let tested: Value = serde_json::from_str(&told.out).unwrap();
    let states: Vec<_> = (0..3).map(|case| tested[0]["cases"][case]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["compensated", "compensated", "compensated"], "{all}");
    for part in ["decision = \"approve\"", "type = \"a.b\"", "takes = \"30d\"", "steps.Watch = \"timeout\""] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
}

#[test]
fn what_is_not_met_is_shown_at_its_place() {
    let place = Place::new(FLOW);
    place.write(
        "flow.test.toml",
        "inputs.order = 1\nanswers.Reserve.outputs.reserved = 9\n\n[[case]]\nname = \"paid\"\n[case.expect]\nstate = \"failed\"\n\
         failed = \"Pay\"\nerror = \"busy\"\nsteps = { Pay = [\"failed\", \"success\"], Refund = \"compensated\" }\nattempts.Pay = 2\n\
         values = { reserved = 8, released = true }\ncompensations = [\"Refund\"]\n",
    );
    let told = place.orderflow("test flow.md");
    says(
        &told,
        1,
        "flow.md\n\n\
         case  result  ended as   takes\n\
         ───────────────────────────────\n\
         paid  FAILED  succeeded  0s\n\n\
         error[case-unmet]: expected failed, ended as succeeded\n --> flow.test.toml:7:9\n  |\n\
         7 | state = \"failed\"\n  |         ^^^^^^^^\n  |\n  = help: what happened: Reserve success, Pay success\n\n\
         error[case-unmet]: expected that `Pay` fails, none did\n --> flow.test.toml:8:10\n  |\n8 | failed = \"Pay\"\n  |          ^^^^^\n\n\
         error[case-unmet]: expected the error `busy`, found no error\n --> flow.test.toml:9:9\n  |\n9 | error = \"busy\"\n  |         ^^^^^^\n\n\
         error[case-unmet]: `Pay`: expected failed, success, found success\n  --> flow.test.toml:10:11\n   |\n10 | steps = { Pay = [\"failed\", \"success\"], Refund = \"compensated\" }\n   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^\n\n\
         error[case-unmet]: `Refund`: expected compensated, found not_run\n  --> flow.test.toml:10:40\n   |\n10 | steps = { Pay = [\"failed\", \"success\"], Refund = \"compensated\" }\n   |                                        ^^^^^^^^^^^^^^^^^^^^^^\n\n\
         error[case-unmet]: `released`: expected `true`, found no value\n  --> flow.test.toml:12:26\n   |\n12 | values = { reserved = 8, released = true }\n   |                          ^^^^^^^^^^^^^^^\n\n\
         error[case-unmet]: `reserved`: expected `8`, found `9`\n  --> flow.test.toml:12:12\n   |\n12 | values = { reserved = 8, released = true }\n   |            ^^^^^^^^^^^^\n\n\
         error[case-unmet]: `Pay`: expected 2 attempts, found 1\n  --> flow.test.toml:11:10\n   |\n11 | attempts.Pay = 2\n   |          ^^^^^^^\n\n\
         error[case-unmet]: expected the compensations `Refund`, found none\n  --> flow.test.toml:13:17\n   |\n13 | compensations = [\"Refund\"]\n   |                 ^^^^^^^^^^\n\n\
         covered        parts   not covered\n\
         ────────────────────────────────────────────────────────────────────\n\
         steps          2 of 2\n\
         decisions      1 of 2  Reserve (line 3): Otherwise → fail \"too few\"\n\
         compensations  0 of 2  Release (line 22), Refund (line 29)\n",
        "1 case: 1 failed\n",
    );
    // For a pull request, and for a build server.
    let github = place.orderflow("test flow.test.toml --format github");
    assert_eq!((github.exit, github.out.lines().count()), (Some(1), 9), "{}", github.out);
    let first = "::error file=flow.test.toml,line=7,endLine=7,col=9,endColumn=17,title=orderflow case-unmet::expected failed, ended as succeeded%0Ahelp: ";
    assert!(github.out.starts_with(first), "{}", github.out);
    let junit = place.orderflow("test flow.md --format junit").out;
    assert!(junit.contains("<testcase name=\"paid\" classname=\"flow.md\">\n            <failure message=\"expected failed, ended as succeeded\" type=\"case-unmet\">"), "{junit}");
}

#[test]
fn all_problems_of_cases_are_shown_and_none_runs() {
    let place = Place::new(FLOW);
    place.write(
        "flow.test.toml",
        "[input]\norder = 1\n\n[[case]]\nname = \"a\"\ninputs.ordre = 3\nanswers.Pya.error = \"x\"\n\
         answers.Pay = { outputs = { recipt = \"x\", receipt = 3 }, error = \"b\" }\nanswers.Reserve.error = { retryable = \"yes\" }\n\
         cancel = \"soon\"\ngates.Pay = \"approve\"\nevents = [{ type = \"a.b\" }]\n\
         expect = { state = \"failde\", steps = { Pay = \"sucess\" }, values = { recept = 1 }, compensations = [\"Pay\"], published = [\"a\"], lifecycle = \"x\" }\n\n\
         [[case]]\nname = \"a\"\ninputs.order = \"x\"\n\n[[case]]\n",
    );
    let told = place.orderflow("test flow.md");
    assert_eq!((told.exit, told.out.as_str()), (Some(3), ""));
    let mut found: Vec<String> = Vec::new();
    let mut lines = told.err.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(message) = line.strip_prefix("error[") {
            let place = lines.next().unwrap_or_default().trim().trim_start_matches("--> flow.test.toml:");
            found.push(format!("{place} {}", message.replace("]: ", ": ")));
        }
    }
    assert_eq!(
        found,
        [
            "1:2 case-unknown-key: unknown key `input`",
            "6:8 case-unknown-name: unknown input `ordre`",
            "7:9 case-unknown-name: unknown step `Pya`",
            "8:29 case-unknown-name: unknown output of Pay `recipt`",
            "8:53 case-misfit: `receipt` is not of type String: expected String, found a number",
            "8:58 case-both: an answer has either `outputs` or `error`",
            "9:25 case-misfit: `retryable` must be true or false, not \"yes\"",
            "10:10 case-bad-value: `cancel` must be a duration, such as \"200ms\", \"5s\" or \"2d\"",
            "11:7 case-unknown-name: unknown gate `Pay`",
            "12:20 case-unknown-name: unknown awaited event `a.b`",
            "13:20 case-bad-value: `state` cannot be `failde`",
            "13:46 case-bad-value: `status` cannot be `sucess`",
            "13:69 case-unknown-name: unknown value `recept`",
            "13:100 case-unknown-name: unknown compensation `Pay`",
            "13:121 case-unknown-name: unknown published event `a`",
            "13:139 case-unknown-name: unknown state `x`",
            "16:8 case-duplicate: two cases are called `a`",
            "17:16 case-misfit: `order` is not of type Integer: expected Integer, found a string",
            "19:1 case-lacks: this case lacks a name",
        ]
    );
    let github = place.orderflow("test flow.md --format github");
    assert_eq!((github.exit, github.out.lines().count()), (Some(3), 19), "{}", github.out);
    assert!(github.out.starts_with("::error file=flow.test.toml,line=1,"), "{}", github.out);
    assert!(told.err.contains("help: the document has Reserve, Pay, Release, Refund"), "{}", told.err);
    assert!(
        told.err.ends_with(
            "flow.test.toml: 19 errors\nerror: cases or documents are not valid; no case was run\n"
        )
    );
}

#[test]
fn cases_are_found_beside_and_within_the_document() {
    let fence = "\n## Tests\n\n```toml test\n[[case]]\nname = \"within\"\ninputs.order = 1\nanswers.Reserve.outputs.reserved = 9\nexpect.values.reserved = 8\n```\n";
    let place = Place::new(&format!("{FLOW}{fence}"));
    place.write(
        "flow.test.toml",
        "[[case]]\nname = \"beside\"\ninputs.order = 1\nanswers.Reserve.outputs.reserved = 9\n",
    );
    let told = place.orderflow("test flow.md flow.test.toml");
    assert_eq!((told.exit, told.err.as_str()), (Some(1), "2 cases: 1 failed\n"), "{}", told.out);
    // The line is that of the document.
    assert!(told.out.contains("--> flow.md:43:15\n"), "{}", told.out);
    let one = place.orderflow("test flow.md --case beside");
    assert_eq!((one.exit, one.err.as_str()), (Some(0), "1 case: all passed\n"));
    let unknown = place.orderflow("test flow.md --case besides");
    says(&unknown, 2, "", "error: unknown case `besides`\n  help: did you mean `beside`?\n");
    let low = place.orderflow("test flow.md --case beside --min-coverage 80%");
    says(&low, 1, &one.out, "1 case: all passed\nflow.md: 50 % is covered, less than 80 %\n");
    place.write("other.md", FLOW);
    let none = place.orderflow("test other.md");
    let help = "error: these documents have no cases\n  help: write them in NAME.test.toml beside NAME.md: see docs/testing.md\n";
    says(&none, 3, "", help);
    std::fs::write(place.path("flow.test.toml"), b"[[case]]\nname = \"\xff\"\n").unwrap();
    let bytes = place.orderflow("test flow.md");
    assert_eq!(bytes.exit, Some(3));
    assert!(bytes.err.contains("--> flow.test.toml:2:9"), "{}", bytes.err);
    place.write("flow.test.toml", "[[case]\n");
    let broken = place.orderflow("test flow.md");
    assert_eq!(broken.exit, Some(3));
    assert!(
        broken.err.contains("error[case-syntax]: ") && broken.err.contains("--> flow.test.toml:1:"),
        "{}",
        broken.err
    );
}

/// The user names the document, and a clone may have a link to any file beside it.
#[test]
fn cases_are_not_read_through_a_link_out_of_the_folder() {
    let place = Place::new("# W\n\n## A @desk\nx::String → y::String\n");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "the-content-of-a-file-outside\n").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), place.path("flow.test.toml")).unwrap();
    for format in ["table", "github"] {
        let told = place.orderflow(&format!("test flow.md --format {format}"));
        assert_eq!((told.exit, told.out.as_str()), (Some(74), ""), "{}", told.err);
        assert!(told.err.contains("a symbolic link leads out of "), "{}", told.err);
    }
    // One within the folder is followed.
    std::fs::remove_file(place.path("flow.test.toml")).unwrap();
    place.write("cases.toml", "[[case]]\nname = \"one\"\ninputs = { x = \"1\" }\nanswers = { A = { y = \"2\" } }\nexpect = { state = \"succeeded\" }\n");
    std::os::unix::fs::symlink("cases.toml", place.path("flow.test.toml")).unwrap();
    let told = place.orderflow("test flow.md");
    assert!(!told.err.contains("cannot read"), "{}{}", told.out, told.err);
}
