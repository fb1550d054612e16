//! `orderflow validate`: what it prints and how it ends.

use crate::place::Place;
use crate::program::{command, orderflow, orderflow_reading, told};
use snapbox::{assert_data_eq, str};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

const ORIGINAL: &str = "tests/fixtures/order-processing-original.md";

const BROKEN: &str = "\
# Orders

## Check Stock @stock-service [timout:: 5s]
order -> stock::Stock

## Pay @payments @bank
stock -> the receipt
";

#[test]
fn a_sound_document_is_told_in_a_line() {
    let told = orderflow(&["validate", ORIGINAL]);
    assert_eq!((told.out.as_str(), told.exit), ("", Some(0)));
    assert_eq!(told.err, format!("{ORIGINAL}: 7 steps, no problems\n"));
}

#[test]
fn every_problem_is_drawn_at_its_place() {
    let told = orderflow_reading(&["validate", "-"], BROKEN);
    assert_eq!((told.err.as_str(), told.exit), ("1 problem can be fixed with --fix\n", Some(3)));
    assert_data_eq!(
        told.out,
        str![[r#"
error[unknown-field]: unknown field `timout`
 --> <stdin>:3:32
  |
3 | ## Check Stock @stock-service [timout:: 5s]
  |                                ^^^^^^
  |
  = help: did you mean `timeout`?

error[said-twice]: the step's agent is given twice
 --> <stdin>:6:18
  |
6 | ## Pay @payments @bank
  |        --------- ^^^^^
  |        |
  |        the first
  |
  = help: remove one of them

warning[arrow-is-prose]: this line with an arrow is read as prose: `the receipt` has white space, and names have none
 --> <stdin>:7:10
  |
7 | stock -> the receipt
  |          ^^^^^^^^^^^
  |
  = help: write a signature alone on its line, as in `order, stock -> receipt::Receipt`

<stdin>: 2 errors, 1 warning

"#]]
    );
}

#[test]
fn problems_as_json() {
    let told = orderflow_reading(&["validate", "--format", "json", "-"], BROKEN);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(3)));
    assert_data_eq!(
        told.out,
        str![[r#"
[
  {
    "file": "<stdin>",
    "line": 3,
    "column": 32,
    "end_line": 3,
    "end_column": 38,
    "severity": "error",
    "code": "unknown-field",
    "message": "unknown field `timout`",
    "help": "did you mean `timeout`?",
    "related": [],
    "fixes": [
      {
        "safe": true,
        "replacements": [
          {
            "start": 41,
            "end": 47,
            "text": "timeout"
          }
        ]
      }
    ]
  },
  {
    "file": "<stdin>",
    "line": 6,
    "column": 18,
    "end_line": 6,
    "end_column": 23,
    "severity": "error",
    "code": "said-twice",
    "message": "the step's agent is given twice",
    "help": "remove one of them",
    "related": [
      {
        "line": 6,
        "column": 8,
        "end_line": 6,
        "end_column": 17,
        "message": "the first"
      }
    ],
    "fixes": []
  },
  {
    "file": "<stdin>",
    "line": 7,
    "column": 10,
    "end_line": 7,
    "end_column": 21,
    "severity": "warning",
    "code": "arrow-is-prose",
    "message": "this line with an arrow is read as prose: `the receipt` has white space, and names have none",
    "help": "write a signature alone on its line, as in `order, stock -> receipt::Receipt`",
    "related": [],
    "fixes": []
  }
]

"#]]
    );
    let told = orderflow(&["validate", "--format", "json", ORIGINAL]);
    assert_eq!((told.out.as_str(), told.err.as_str(), told.exit), ("[]\n", "", Some(0)));
}

#[test]
fn warnings_are_errors_only_if_asked() {
    let document = "## Check Stock @stock-service\norder -> a lot of stock\n";
    let told = orderflow_reading(&["validate", "-"], document);
    assert_eq!(told.exit, Some(0));
    assert!(told.out.ends_with("<stdin>: 1 warning\n"), "{}", told.out);
    assert_eq!(orderflow_reading(&["validate", "--strict", "-"], document).exit, Some(3));
}

#[test]
fn files_that_cannot_be_read_do_not_hide_the_others() {
    let told = orderflow_reading(&["validate", "nowhere.md", "-", "no/where.md", ORIGINAL], BROKEN);
    assert_eq!(told.exit, Some(74));
    assert!(told.out.ends_with("<stdin>: 2 errors, 1 warning\n"), "{}", told.out);
    assert_data_eq!(
        told.err,
        str![[r#"
error: cannot read nowhere.md: No such file or directory (os error 2)
error: cannot read no/where.md: No such file or directory (os error 2)
tests/fixtures/order-processing-original.md: 7 steps, no problems
1 problem can be fixed with --fix

"#]]
    );
}

#[test]
fn places_far_apart_are_drawn_apart() {
    let mut document = "## Check Stock @stock-service\norder -> stock::Stock\n".to_owned();
    document.push_str(&"\nThe store is large.\n".repeat(50));
    document.push_str("\norder -> shelf\n");
    assert_data_eq!(
        orderflow_reading(&["validate", "-"], &document).out,
        str![[r#"
error[second-signature]: a step has one signature, and this is its second
   --> <stdin>:104:1
    |
104 | order -> shelf
    | ^^^^^^^^^^^^^^
    |
   ::: <stdin>:2:1
    |
  2 | order -> stock::Stock
    | --------------------- the first
    |
    = help: join them into one, as in `a, b -> c, d`, or give this one a heading of its own

<stdin>: 1 error

"#]]
    );
}

#[test]
fn nothing_in_a_document_commands_the_terminal() {
    let document = "## Che\u{1b}[31mck \u{202e}Stock @a @b\n[retry:: \u{1b}c\u{9b}d\u{7f}e\u{2067}]\n";
    let told = orderflow_reading(&["validate", "-"], document);
    assert_data_eq!(
        told.out,
        str![[r#"
error[said-twice]: the step's agent is given twice
 --> <stdin>:1:25
  |
1 | ## Che�[31mck �Stock @a @b
  |                      -- ^^
  |                      |
  |                      the first
  |
  = help: remove one of them

error[bad-retry]: `�c�d�e` is not a retry policy
 --> <stdin>:2:10
  |
2 | [retry:: �c�d�e�]
  |          ^^^^^^
  |
  = help: write how often and, if you like, after which pauses: `3`, `3 fixed 1s` or `5 exponential 200ms..30s`

<stdin>: 2 errors

"#]]
    );
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let document = format!(
        "## Check Stock @a\n{}[retry:: x]{}\n",
        "[after:: start] ".repeat(400),
        " [after:: start]".repeat(400)
    );
    let told = orderflow_reading(&["validate", "-"], &document);
    assert_data_eq!(
        told.out,
        str![[r#"
error[bad-retry]: `x` is not a retry policy
 --> <stdin>:2:6410
  |
 ::: 
2 | ...start] [after:: start] [after:: start] [after:: start] [retry:: x] [after:: start] [after:: start] [after:: start] [after:: start]...
  |                                                                    ^
  |
  = help: write how often and, if you like, after which pauses: `3`, `3 fixed 1s` or `5 exponential 200ms..30s`

<stdin>: 1 error

"#]]
    );
}

#[test]
fn marks_and_line_endings_of_other_systems_move_no_place() {
    let document = "\u{feff}---\r\ntitle: Orders\r\njobs: x\r\n---\r\n## Pay @a @b\r\na → b c\r\n";
    let told = orderflow_reading(&["validate", "-"], document);
    assert_data_eq!(
        told.out,
        str![[r#"
error[front-matter-value]: `jobs` should be a whole number above 0
 --> <stdin>:3:7
  |
3 | jobs: x
  |       ^ expected a whole number above 0

error[said-twice]: the step's agent is given twice
 --> <stdin>:5:11
  |
5 | ## Pay @a @b
  |        -- ^^
  |        |
  |        the first
  |
  = help: remove one of them

warning[arrow-is-prose]: this line with an arrow is read as prose: `b c` has white space, and names have none
 --> <stdin>:6:5
  |
6 | a → b c
  |     ^^^
  |
  = help: write a signature alone on its line, as in `order, stock -> receipt::Receipt`

<stdin>: 2 errors, 1 warning

"#]]
    );
    assert_data_eq!(
        orderflow_reading(&["validate", "-"], "\u{feff}## Pay @a @b").out,
        str![[r#"
error[said-twice]: the step's agent is given twice
 --> <stdin>:1:11
  |
1 | ## Pay @a @b
  |        -- ^^
  |        |
  |        the first
  |
  = help: remove one of them

<stdin>: 1 error

"#]]
    );
}

#[test]
fn help_has_examples() {
    let told = orderflow(&["validate", "--help"]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
Show every problem of documents

Usage: orderflow validate [OPTIONS] <FILE>...

Arguments:
  <FILE>...
          Documents; `-` is standard input

Options:
      --format <FORMAT>
          How to show the problems

          Possible values:
          - human:  Messages with their lines
          - json:   A list of {file, line, column, end_line, end_column, severity, code, message,
            help}
          - github: Workflow commands that GitHub draws in a pull request
          - gitlab: A code quality report
          - junit:  A test suite for each document, a test for each step
          - sarif:  SARIF 2.1.0
          
          [default: human]

      --strict
          Count warnings as errors

      --fix
          Apply safe fixes and write the documents

      --diff
          Show fixes as a patch; write nothing

      --unsafe
          With --fix or --diff: also fixes that are only likely

  -h, --help
          Print help (see a summary with '-h')

  -V, --version
          Print version

Examples:
  orderflow validate workflow.md                every problem, with its lines
  orderflow validate --strict docs/*.md         warnings count as errors
  orderflow validate --fix workflow.md          apply safe fixes, show the rest
  orderflow validate --diff --unsafe x.md       show all fixes as a patch
  orderflow validate --format json workflow.md  for editors and scripts
  orderflow validate --format github docs/*.md  for a pull request
  generate-workflow | orderflow validate -      a document from standard input

Exit codes:
  0    success
  2    wrong arguments, or no such run
  3    invalid document, settings or data; nothing was run
  70   a bug in orderflow
  74   a file could not be read or written

"#]]
    );
}

#[test]
fn a_document_without_end_is_not_waited_for() {
    let mut child = command(Path::new("."))
        .args(["validate", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line = "Nothing but prose, and ever more of it: \u{e9}\n".repeat(1000);
    let written = (0..1000).take_while(|_| stdin.write_all(line.as_bytes()).is_ok()).count();
    drop(stdin);
    let told = told(child.wait_with_output().unwrap());
    assert!(written < 100, "{written} kB were taken");
    assert_eq!(told.exit, Some(3), "{}", told.err);
    assert!(told.out.contains("error[document-too-large]"), "{}", told.out);
    assert!(told.out.ends_with("<stdin>: 1 error\n"), "{}", told.out);
}

#[test]
fn a_line_that_is_almost_a_decision_is_pointed_out_and_a_sentence_is_not() {
    let document = |line: &str| {
        format!(
            "# Orders\n\n## Check @shop\norder::JSON → total::Number\n\n{line}\n\n## Review @boss\ntotal → note::String\n"
        )
    };
    let told = orderflow_reading(&["validate", "-"], &document("If total > 100: Review"));
    assert_data_eq!(
        told.out,
        str![[r#"
warning[almost-a-decision]: this is prose, but looks like a decision
 --> <stdin>:6:1
  |
6 | If total > 100: Review
  | ^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: a decision is written `If total > 100 → Review`

<stdin>: 1 warning

"#]]
    );
    for line in
        ["If total > 100: Review", "- Otherwise Review", "Else -> Review", "when total > 1 then review"]
    {
        assert_eq!(orderflow_reading(&["validate", "-"], &document(line)).exit, Some(0), "{line}");
        assert_eq!(
            orderflow_reading(&["validate", "--strict", "-"], &document(line)).exit,
            Some(3),
            "{line}"
        );
    }
    for line in
        ["If the customer calls, be kind.", "- Otherwise the boss looks at it", "When in doubt: Review"]
    {
        let told = orderflow_reading(&["validate", "--strict", "-"], &document(line));
        assert_eq!((told.out.as_str(), told.exit), ("", Some(0)), "{line}");
    }
    // What nests without end is read as well.
    let long = orderflow_reading(&["validate", "-"], &document(&"else ".repeat(100_000)));
    assert_eq!((long.out.as_str(), long.exit), ("", Some(0)));
}

#[test]
fn what_is_wrong_with_the_settings_is_told_too_and_once() {
    let place = Place::new("# U\n## Pay @a\nn::Integer → r::Integer\n");
    place.write("other.md", "# V\n## Pay @a\nn::Integer → r::Integer\n");
    place.write("orderflow.toml", "[agents.a]\ncommand = [\"sh\"]\nconcurency = 3\njobs = 3\n");
    let told = place.orderflow("validate flow.md other.md");
    assert_eq!(told.exit, Some(3));
    assert!(told.out.contains(" --> ./orderflow.toml:3:1\n"), "{}", told.out);
    assert!(told.out.ends_with("./orderflow.toml: 2 errors\n"), "{}", told.out);
    assert_eq!(told.out.matches("unknown key `concurency`").count(), 1, "{}", told.out);
    assert_eq!(told.err, "flow.md: 1 step, no problems\nother.md: 1 step, no problems\n");
    let told = place.orderflow("validate --format github flow.md");
    assert!(told.out.starts_with("::error file=orderflow.toml,line=3,"), "{}", told.out);
}

#[test]
fn a_channel_that_is_nearly_one_with_limits_is_pointed_out() {
    let document =
        "# U\n## Pay @a #paymnts\nn::Integer → r::Integer\n\n## Ship @a #parcels\nr → s::Integer\n";
    let place = Place::new(document);
    place.write(
        "orderflow.toml",
        "[agents.a]\ncommand = [\"echo\", \"1\"]\n[channels.payments]\nconcurrency = 1\n",
    );
    let warning =
        "warning[misspelt-channel]: the channel `paymnts` is not in orderflow.toml and has no limits\n";
    for command in ["validate flow.md", "plan flow.md", "run flow.md --input n=1"] {
        let told = place.orderflow(command);
        let said = told.out + &told.err;
        assert_eq!((told.exit, said.matches("warning[").count()), (Some(0), 1), "{command}: {said}");
        assert!(said.contains(warning) && said.contains("did you mean #payments?"), "{command}: {said}");
        assert!(said.contains(" --> flow.md:2:"), "{command}: {said}");
    }
    let settings = place.read("orderflow.toml") + "[channels.paymnts]\n";
    place.write("orderflow.toml", &settings);
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(0), "it is said to be meant");
}
