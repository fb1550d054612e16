//! The forms that code hosts and build servers read, each as a whole.

use crate::program::orderflow;
use serde_json::Value;
use snapbox::{Assert, str};
use std::fs;
use std::path::Path;

const DOCUMENT: &str = "# Parcel\n\n## Weigh Parcel @scale [timeout:: 10x]\nparcel::JSON → weight::Number\n\n## Print Label @printer [after:: Wiegh Parcel]\nweight → label::File\n\n## Say <Thanks> & \"Bye\" @mailer\nlabel → sent::Boolean\n\nthe sent → nowhere at all\n\n## Weigh Parcel @scale\nlabel → again\n";

/// What `validate` prints in this form, from a folder whose name needs care.
pub fn validate(form: &str, args: &[&str]) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a b,c");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("päckchen.md"), DOCUMENT).unwrap();
    fs::write(below.join("sound.md"), "# T\n\n## A @x\nreq → a\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args([&["validate", "--format", form], args, &["a b,c/päckchen.md", "a b,c/sound.md"]].concat())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty());
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

fn equal(found: String, expected: impl snapbox::IntoData) {
    let assert = Assert::new().normalize_paths(false).action_env(snapbox::assert::DEFAULT_ACTION_ENV);
    assert.eq(found, expected);
}

#[test]
fn github_marks_places_in_a_pull_request() {
    let (told, exit) = validate("github", &[]);
    assert_eq!(exit, Some(3));
    equal(
        told,
        str![[r#"
::error file=a b%2Cc/päckchen.md,line=3,endLine=3,col=35,endColumn=38,title=orderflow bad-duration::`10x` is not a duration; write 5s, 5m or 5h%0Ahelp: the units are ms, s, m, h and d, up to 3650d
::error file=a b%2Cc/päckchen.md,line=6,endLine=6,col=34,endColumn=46,title=orderflow unknown-step::unknown step `Wiegh Parcel`%0Ahelp: did you mean `Weigh Parcel`?
::warning file=a b%2Cc/päckchen.md,line=12,endLine=12,col=1,endColumn=9,title=orderflow arrow-is-prose::this line with an arrow is read as prose: `the sent` has white space, and names have none%0Ahelp: write a signature alone on its line, as in `order, stock -> receipt::Receipt`
::error file=a b%2Cc/päckchen.md,line=14,endLine=14,col=4,endColumn=16,title=orderflow duplicate-step::two steps are titled `Weigh Parcel`%0Ahelp: give each step of a group a title of its own

"#]],
    );
}

#[test]
fn gitlab_gets_a_code_quality_report() {
    let (told, exit) = validate("gitlab", &[]);
    assert_eq!(exit, Some(3));
    let issues: Vec<Value> = serde_json::from_str(&told).unwrap();
    let mut prints: Vec<&str> = issues.iter().map(|issue| issue["fingerprint"].as_str().unwrap()).collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), issues.len());
    equal(
        told,
        str![[r#"
[
  {
    "description": "`10x` is not a duration; write 5s, 5m or 5h\nhelp: the units are ms, s, m, h and d, up to 3650d",
    "check_name": "bad-duration",
    "fingerprint": "160b93255ad371a801805c767d66d0dc",
    "severity": "major",
    "location": {
      "path": "a b,c/päckchen.md",
      "lines": {
        "begin": 3,
        "end": 3
      }
    }
  },
  {
    "description": "unknown step `Wiegh Parcel`\nhelp: did you mean `Weigh Parcel`?",
    "check_name": "unknown-step",
    "fingerprint": "ebbcde2066dad6d25960434cd6fca3db",
    "severity": "major",
    "location": {
      "path": "a b,c/päckchen.md",
      "lines": {
        "begin": 6,
        "end": 6
      }
    }
  },
  {
    "description": "this line with an arrow is read as prose: `the sent` has white space, and names have none\nhelp: write a signature alone on its line, as in `order, stock -> receipt::Receipt`",
    "check_name": "arrow-is-prose",
    "fingerprint": "69a2c6575d16fcdd894a8687f379fe9f",
    "severity": "minor",
    "location": {
      "path": "a b,c/päckchen.md",
      "lines": {
        "begin": 12,
        "end": 12
      }
    }
  },
  {
    "description": "two steps are titled `Weigh Parcel`\nhelp: give each step of a group a title of its own",
    "check_name": "duplicate-step",
    "fingerprint": "c6535b9ead74533eac0ca20b08122622",
    "severity": "major",
    "location": {
      "path": "a b,c/päckchen.md",
      "lines": {
        "begin": 14,
        "end": 14
      }
    }
  }
]

"#]],
    );
}

#[test]
fn junit_has_a_suite_a_document_and_a_test_a_step() {
    let (told, exit) = validate("junit", &["--strict"]);
    assert_eq!(exit, Some(3));
    equal(
        told,
        str![[r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="orderflow validate" tests="7" skipped="0" failures="4" errors="0">
    <testsuite name="a b,c/päckchen.md" tests="5" skipped="0" errors="0" failures="4">
        <testcase name="document" classname="a b,c/päckchen.md"/>
        <testcase name="Weigh Parcel" classname="a b,c/päckchen.md">
            <failure message="`10x` is not a duration; write 5s, 5m or 5h" type="bad-duration">error[bad-duration]: `10x` is not a duration; write 5s, 5m or 5h
 --&gt; a b,c/päckchen.md:3:35
  |
3 | ## Weigh Parcel @scale [timeout:: 10x]
  |                                   ^^^
  |
  = help: the units are ms, s, m, h and d, up to 3650d</failure>
        </testcase>
        <testcase name="Print Label" classname="a b,c/päckchen.md">
            <failure message="unknown step `Wiegh Parcel`" type="unknown-step">error[unknown-step]: unknown step `Wiegh Parcel`
 --&gt; a b,c/päckchen.md:6:34
  |
6 | ## Print Label @printer [after:: Wiegh Parcel]
  |                                  ^^^^^^^^^^^^
  |
  = help: did you mean `Weigh Parcel`?</failure>
        </testcase>
        <testcase name="Say &lt;Thanks&gt; &amp; &quot;Bye&quot;" classname="a b,c/päckchen.md">
            <failure message="this line with an arrow is read as prose: `the sent` has white space, and names have none" type="arrow-is-prose">warning[arrow-is-prose]: this line with an arrow is read as prose: `the sent` has white space, and names have none
  --&gt; a b,c/päckchen.md:12:1
   |
12 | the sent → nowhere at all
   | ^^^^^^^^
   |
   = help: write a signature alone on its line, as in `order, stock -&gt; receipt::Receipt`</failure>
        </testcase>
        <testcase name="Weigh Parcel" classname="a b,c/päckchen.md">
            <failure message="two steps are titled `Weigh Parcel`" type="duplicate-step">error[duplicate-step]: two steps are titled `Weigh Parcel`
  --&gt; a b,c/päckchen.md:14:4
   |
 3 | ## Weigh Parcel @scale [timeout:: 10x]
   |    ------------ the first one
...
14 | ## Weigh Parcel @scale
   |    ^^^^^^^^^^^^
   |
   = help: give each step of a group a title of its own</failure>
        </testcase>
    </testsuite>
    <testsuite name="a b,c/sound.md" tests="2" skipped="0" errors="0" failures="0">
        <testcase name="document" classname="a b,c/sound.md"/>
        <testcase name="A" classname="a b,c/sound.md"/>
    </testsuite>
</testsuites>

"#]],
    );
}

#[test]
fn sarif_is_what_its_specification_says() {
    let (told, exit) = validate("sarif", &[]);
    assert_eq!(exit, Some(3));
    let log: Value = serde_json::from_str(&told).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        let region = &result["locations"][0]["physicalLocation"]["region"];
        for place in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(region[place].as_u64().unwrap() >= 1, "{result}");
        }
    }
    equal(
        told,
        str![[r#"
{
  "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
  "version": "2.1.0",
  "runs": [
    {
      "tool": {
        "driver": {
          "name": "orderflow",
          "version": "0.1.0",
          "rules": [
            {
              "id": "arrow-is-prose"
            },
            {
              "id": "bad-duration"
            },
            {
              "id": "duplicate-step"
            },
            {
              "id": "unknown-step"
            }
          ]
        }
      },
      "columnKind": "unicodeCodePoints",
      "results": [
        {
          "ruleId": "bad-duration",
          "ruleIndex": 1,
          "level": "error",
          "message": {
            "text": "`10x` is not a duration; write 5s, 5m or 5h\nhelp: the units are ms, s, m, h and d, up to 3650d"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%20b%2Cc/p%C3%A4ckchen.md"
                },
                "region": {
                  "startLine": 3,
                  "startColumn": 35,
                  "endLine": 3,
                  "endColumn": 38
                }
              }
            }
          ]
        },
        {
          "ruleId": "unknown-step",
          "ruleIndex": 3,
          "level": "error",
          "message": {
            "text": "unknown step `Wiegh Parcel`\nhelp: did you mean `Weigh Parcel`?"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%20b%2Cc/p%C3%A4ckchen.md"
                },
                "region": {
                  "startLine": 6,
                  "startColumn": 34,
                  "endLine": 6,
                  "endColumn": 46
                }
              }
            }
          ],
          "fixes": [
            {
              "description": {
                "text": "safe fix"
              },
              "artifactChanges": [
                {
                  "artifactLocation": {
                    "uri": "a%20b%2Cc/p%C3%A4ckchen.md"
                  },
                  "replacements": [
                    {
                      "deletedRegion": {
                        "startLine": 6,
                        "startColumn": 34,
                        "endLine": 6,
                        "endColumn": 46
                      },
                      "insertedContent": {
                        "text": "Weigh Parcel"
                      }
                    }
                  ]
                }
              ]
            }
          ]
        },
        {
          "ruleId": "arrow-is-prose",
          "ruleIndex": 0,
          "level": "warning",
          "message": {
            "text": "this line with an arrow is read as prose: `the sent` has white space, and names have none\nhelp: write a signature alone on its line, as in `order, stock -> receipt::Receipt`"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%20b%2Cc/p%C3%A4ckchen.md"
                },
                "region": {
                  "startLine": 12,
                  "startColumn": 1,
                  "endLine": 12,
                  "endColumn": 9
                }
              }
            }
          ]
        },
        {
          "ruleId": "duplicate-step",
          "ruleIndex": 2,
          "level": "error",
          "message": {
            "text": "two steps are titled `Weigh Parcel`\nhelp: give each step of a group a title of its own"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%20b%2Cc/p%C3%A4ckchen.md"
                },
                "region": {
                  "startLine": 14,
                  "startColumn": 4,
                  "endLine": 14,
                  "endColumn": 16
                }
              }
            }
          ],
          "relatedLocations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%20b%2Cc/p%C3%A4ckchen.md"
                },
                "region": {
                  "startLine": 3,
                  "startColumn": 4,
                  "endLine": 3,
                  "endColumn": 16
                }
              },
              "message": {
                "text": "the first one"
              }
            }
          ]
        }
      ]
    }
  ]
}

"#]],
    );
}

#[test]
fn nothing_wrong_is_nothing_to_tell() {
    let sound = "tests/fixtures/order-processing-original.md";
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(sound).exists());
    let told = |form| orderflow(&["validate", "--format", form, sound]);
    assert_eq!((told("github").out.as_str(), told("github").exit), ("", Some(0)));
    assert_eq!(told("gitlab").out, "[]\n");
    assert!(told("junit").out.contains("tests=\"8\" skipped=\"0\" failures=\"0\""), "{}", told("junit").out);
    let sarif: Value = serde_json::from_str(&told("sarif").out).unwrap();
    assert_eq!(sarif["runs"][0]["results"], Value::Array(Vec::new()));
}

/// A document and a name that a terminal would obey.
const HOSTILE: &str =
    "# T\n\n## Pay ]]> & <b> \u{1b}]0;title\u{7} \u{9b}31m @a [retry:: x\u{1b}X]\n\na -> b\n";

#[test]
fn no_form_obeys_or_loses_what_a_terminal_would_obey() {
    let folder = tempfile::tempdir().unwrap();
    let name = "./a\u{1b}[31m\u{202e}.md";
    fs::write(folder.path().join(name), HOSTILE).unwrap();
    for form in ["human", "json", "github", "gitlab", "junit", "sarif"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args(["validate", "--format", form, name])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!told.contains(obeyed), "{form}: {told:?}");
        // What follows the escape is there: nothing was taken for a part of it.
        assert!(told.contains(" is not a retry policy"), "{form}: {told}");
        assert!(
            form == "human" || form == "junit" || told.contains("orderflow") || told.contains("bad-retry")
        );
        if ["json", "gitlab", "sarif"].contains(&form) {
            let told: Value = serde_json::from_str(&told).unwrap();
            let message = told.pointer("/0/message").or(told.pointer("/0/description"));
            let message = message.or(told.pointer("/runs/0/results/0/message/text")).unwrap();
            assert!(message.as_str().unwrap().starts_with("`x\u{1b}X`"), "{form}: {message}");
        }
        assert_eq!(output.status.code(), Some(3));
    }
}

#[test]
fn paths_are_those_of_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.md"), DOCUMENT).unwrap();
    for (form, place) in
        [("github", "::error file=x.md,"), ("gitlab", "\"path\": \"x.md\""), ("sarif", "\"uri\": \"x.md\"")]
    {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args(["validate", "--format", form, "./x.md"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains(place), "{form}: {told}");
    }
}
