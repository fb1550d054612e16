//! Documents that steps run, before anything runs: their problems, types and grants.

use crate::children::{REVIEW, place};
use crate::place::{Place, says};

/// A file has one identity: a link to its folder does not make it another document.
#[test]
fn a_document_that_runs_itself_through_a_link_is_said_once() {
    let place = Place::new("# Orders\n\n## Pay [document:: self/flow.md]\norder → receipt::String\n");
    std::os::unix::fs::symlink(".", place.path("self")).unwrap();
    let told = place.orderflow("validate flow.md");
    assert_eq!(told.exit, Some(3), "{}{}", told.out, told.err);
    let all = told.out + &told.err;
    assert_eq!(all.matches("error[").count(), 1, "{all}");
    assert!(all.contains("a document cannot run itself: flow.md → self/flow.md\n"), "{all}");
}

/// Its programs need a grant of their own.
#[test]
fn the_programs_of_a_document_need_their_own_grant() {
    let place = place();
    place.write("go", "");
    let told = place.orderflow("run flow.md --input order=7");
    assert_eq!(told.exit, Some(4), "{}{}", told.out, told.err);
    let told = place.orderflow("trust parts/review.md --yes");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let told = place.orderflow("run flow.md --input order=7");
    assert!(told.exit == Some(4) && told.err.contains("flow.md:3: Receive (sh)"), "{}", told.err);
    assert!(!told.err.contains("review.md"), "{}", told.err);
    // The document that runs it grants both.
    let told = place.orderflow("trust --revoke parts/review.md");
    assert_eq!(told.exit, Some(0));
    let told = place.orderflow("trust flow.md --yes");
    assert!(told.err.contains("parts/review.md:3: Check (sh)"), "{}", told.err);
    assert_eq!(place.orderflow("run flow.md --input order=7 --quiet").exit, Some(0));
    place.write("parts/review.md", &REVIEW.replace("echo true", "echo false"));
    let told = place.orderflow("run flow.md --input order=7 --quiet");
    assert!(told.exit == Some(4) && told.err.contains("some of them have changed"), "{}", told.err);
}

/// `fences = true` is for the documents there, whoever runs others.
#[test]
fn the_programs_of_a_document_elsewhere_need_a_grant_whatever_the_folder_allows() {
    let place = place();
    place.write("go", "");
    let flow = place.read("flow.md").replace("parts/review.md", "../parts/review.md");
    place.write("own/flow.md", &flow);
    place.write("own/orderflow.toml", "fences = true\n");
    let told = place.orderflow("run own/flow.md --input order=7");
    assert!(told.exit == Some(4) && told.err.contains("review.md"), "{}{}", told.out, told.err);
    place.write("own/parts/review.md", REVIEW);
    place.write("own/flow.md", &place.read("flow.md"));
    place.write("own/go", "");
    let told = place.orderflow("run own/flow.md --input order=7 --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
}

/// What `validate` says of a document and of those that it runs.
fn problems(place: &Place) -> Vec<String> {
    let told = place.orderflow("validate flow.md --format json");
    let problems: Vec<serde_json::Value> = serde_json::from_str(&told.out).unwrap();
    let text = |of: &serde_json::Value| of.as_str().unwrap_or_default().to_owned();
    let said = |one: &serde_json::Value| {
        let place = format!("{}:{}:{}", text(&one["file"]), one["line"], one["column"]);
        format!("{place} {}: {}", text(&one["code"]), text(&one["message"]))
    };
    problems.iter().map(said).collect()
}

/// All problems of all documents are shown, each with its own file.
#[test]
fn documents_are_checked_together() {
    let flow = "# Orders\n\n## Receive @desk\n→ order::Order, paid::Boolean\n\n## Review [document:: parts/review.md]\n\
        order, paid → aproved::Boolean\n\n## Types\n\n```ts\ninterface Order { id: string }\n```\n";
    let review = "# Review\n\n## Check @desk\norder::Order, total::Integer → approved::Boolean\n\n\
        ## Again [document:: ../again.md]\norder, approved → seen::Boolean\n\n## Types\n\n```ts\ninterface Order { id: number }\n```\n";
    let place = Place::new(flow);
    place.write("parts/review.md", review);
    place.write("again.md", "# Again\n\n## Look [document:: ./flow.md]\norder → seen::Boolean\n");
    assert_eq!(
        problems(&place),
        [
            "flow.md:6:23 broken-document: `parts/review.md` is not valid",
            "parts/review.md:6:22 broken-document: `../again.md` is not valid",
            "again.md:3:21 document-within-itself: a document cannot run itself: flow.md → parts/review.md → again.md → flow.md",
        ]
    );
    place.write("again.md", "# Again\n\n## Look @desk\norder::Order, approved → seen::Boolean\n");
    assert_eq!(
        problems(&place),
        [
            "flow.md:7:1 document-needs: `parts/review.md` takes `total`, which this step does not take",
            "flow.md:7:8 document-takes-not: `parts/review.md` has no input `paid`",
            "flow.md:7:15 document-makes-not: no step of `parts/review.md` makes `aproved`",
            "flow.md:12:11 document-type-shape: the type `Order` is defined differently in parts/review.md:12:11",
        ]
    );
    place.write("parts/review.md", &review.replace("id: number", "// As the shop has it.\n id: string"));
    place.write("flow.md", &flow.replace("order, paid → aproved", "order, total → approved"));
    assert_eq!(problems(&place), [""; 0]);
    let told = place.orderflow("validate flow.md");
    says(
        &told,
        0,
        "",
        "flow.md: 2 steps, no problems\nparts/review.md: 2 steps, no problems\nagain.md: 1 step, no problems\n",
    );
    // A misspelt name has a fix.
    place.write("flow.md", &flow.replace("parts/review.md", "parts/reviw.md"));
    let told = place.orderflow("validate flow.md --fix --unsafe");
    assert!(place.read("flow.md").contains("parts/review.md"), "{}{}", told.out, told.err);
}

/// A value without a type has that of the document which takes it or makes it: from the beginning of the run.
#[test]
fn values_without_a_type_have_the_type_of_the_document() {
    let place = Place::new(
        "# Release\n\n## Ask\nwho → asked\n\n```sh run\necho 7 | tee -a work.log\n```\n\n\
         ## Ship [document:: ship.md]\nversion, asked → image\n\n\
         ## Tell\nimage → told::String\n\n```python run\nimport json, sys\nprint(json.dumps(json.load(sys.stdin)))\n```\n",
    );
    let ship = "# Ship\n\n## Push\nversion::String, asked::String → image::String\n\n```sh run\necho \"$IN_VERSION$IN_ASKED\"\n```\n";
    place.write("ship.md", ship);
    let told = place.run("--input version=3 --input who=Ann --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.contains("makes image: \"37\"") && shown.contains("version: \"3\""), "{shown}");
    assert!(place.orderflow("plan flow.md").out.contains("version::String"));
    // What does not fit is refused before anything runs.
    place.write("ship.md", &ship.replace("version::String", "version::Integer"));
    let told = place.run("--input version=three --input who=Ann --quiet");
    assert_eq!(told.exit, Some(3), "{}{}", told.out, told.err);
    assert!(told.err.contains("--input version: expected Integer, found `three`"), "{}", told.err);
    assert_eq!(place.read("work.log"), "7\n");
    // Two documents with two types are a problem of the document.
    place.write("send.md", &ship.replace("→ image", "→ sent").replace("# Ship", "# Send"));
    let flow = place.read("flow.md");
    place.write("flow.md", &format!("{flow}\n## Send [document:: send.md]\nversion, asked → sent\n"));
    let told = place.orderflow("validate flow.md");
    assert_eq!(told.exit, Some(3), "{}", told.out);
    // A run that is resumed or shown knows the same types.
    place.write("flow.md", &flow);
    assert_eq!(place.orderflow("resume last").exit, Some(0));
}

/// Without a signature a document gets the inputs that the front matter lists, and an item needs those that it needs.
#[test]
fn a_document_without_a_signature_gets_the_inputs_of_the_workflow() {
    let place = Place::new("---\ninputs: [city, note]\n---\n# Outer\n\n## Ask [document:: ask.md]\n");
    let ask = "---\ninputs:\n  city: String\n  note: String\n---\n# Ask\n\n## Greet\ncity, note? → said::String\n\n\
               ```sh run\necho \"hello $IN_CITY\" | tee work.log\n```\n";
    place.write("ask.md", ask);
    assert_eq!(problems(&place), [""; 0]);
    let told = place.run("--input note=x --quiet");
    assert_eq!(told.exit, Some(3), "{}{}", told.out, told.err);
    assert!(told.err.contains("city"), "{}", told.err);
    let told = place.run("--input city=Rome --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(place.read("work.log"), "hello Rome\n");

    // What else is needed is said with the line to write.
    let helps = || {
        let told = place.orderflow("validate flow.md --format json");
        let all: Vec<serde_json::Value> = serde_json::from_str(&told.out).unwrap();
        all.iter().map(|one| (one["message"].clone(), one["help"].clone())).collect::<Vec<_>>()
    };
    place.write("flow.md", "# Outer\n\n## Ask [document:: ask.md]\n\n## Tell @desk\nsaid → told::String\n");
    let line = "city, note? → said";
    assert_eq!(
        helps(),
        [(
            "`ask.md` takes `city`, which this step does not take".into(),
            format!("write `{line}` below the heading; ask.md:3:3 takes `city`").into()
        )]
    );
    let flow = place.read("flow.md").replace("ask.md]\n", &format!("ask.md]\n{line}\n"));
    place.write("flow.md", &flow);
    assert_eq!(problems(&place), [""; 0]);
    // A document that makes nothing has no signature.
    place.write("ask.md", "---\ninputs: [city]\n---\n# Ask\n\n## Greet @desk [when:: city == \"Rome\"]\n");
    place.write("flow.md", "# Outer\n\n## Ask [document:: ask.md]\n");
    assert_eq!(helps()[0].1, "add `city` to `inputs` in the front matter; ask.md:2:10 takes `city`");
}
