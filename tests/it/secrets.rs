//! Secrets: who gets them, who does not, what is told when one is missing, and that none is left anywhere.

use crate::place::{Place, says};
use crate::program::{Told, told};
use crate::python;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One that JSON writes in several ways, and one that messages cut.
const PAYMENT: &str = "pk\"7d1f/\u{f6}\u{e4}-0815-\\xyz";
const LEDGER: &str = "sk_live_0123456789abcdef";

const DOCUMENT: &str = "\
---
secrets: [PAYMENT_KEY]
tolerate: 100%
---
# Sales

## Pay @payer [retry:: 1 fixed 1ms]
order::String -> receipt::Receipt

## Book @ledger
receipt -> booked::String

## Print @printer
receipt, booked -> printed::String

```python run
import json, os, sys
key = os.environ['PAYMENT_KEY']
open('printer.names', 'w').write(' '.join(sorted(os.environ)))
receipt = json.load(sys.stdin)['receipt']
print('printing', receipt, file=sys.stderr)
if receipt['order'] == 'fence': sys.exit(key)
print(key)
```

## Look @looker
printed -> looked::String
";

const SETTINGS: &str = "\
fences = true
[agents.payer]
command = [\"python3\", \"-S\", \"payer.py\"]
secrets = [\"PAYMENT_KEY\"]
[agents.ledger]
worker = [\"python3\", \"-S\", \"ledger.py\"]
secrets = { LEDGER_KEY = \"file:ledger.key\", RECEIPT_KEY = \"env:PAYMENT_KEY\" }
[agents.printer]
secrets = [\"PAYMENT_KEY\", \"UNASKED\"]
[agents.looker]
command = [\"python3\", \"-S\", \"looker.py\"]
";

/// Says its secret in every way it has.
const PAYER: &str = "\
import json, os, sys
key = os.environ['PAYMENT_KEY']
order = json.load(sys.stdin)['order']
sys.stderr.write('x' * 9000 + key * 3 + '\\n' + json.dumps(key) + '\\n')
receipt = {'id': key, 'order': order, key: [key]}
columns = {'note': 'used ' + key, 'number': 1, key: 2}
if order == 'refused': print(json.dumps({'error': {'message': 'no ' + key, 'code': key}, **columns}))
elif order == 'crash': sys.exit('y' * 190 + key)
elif order == 'text': print('no json: ' + key)
else: print(json.dumps({'receipt': receipt, **columns}))
";

const LEDGER_PY: &str = "\
import hashlib, json, os, sys
key = os.environ['LEDGER_KEY']
def tell(**message): print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    receipt = call['params']['inputs']['receipt']
    assert receipt['id'] == os.environ['RECEIPT_KEY'] and receipt[receipt['id']] == [receipt['id']]
    sys.stderr.write(key + '\\n')
    tell(method='step/log', params={'id': call['id'], 'message': 'opened with ' + key})
    tell(method='step/progress', params={'id': call['id'], 'message': key})
    if receipt['order'] == 'unbooked': tell(id=call['id'], error={'code': 7, 'message': key, 'data': {'ledger': key}})
    elif receipt['order'] == 'broken': print('not json ' + '-' * 80 + key * 4, flush=True)
    else: tell(id=call['id'], result={'booked': key, 'ledger': 'at ' + key})
";

const LOOKER: &str = "\
import os, sys
open('looker.names', 'w').write(' '.join(sorted(os.environ)))
sys.exit(os.environ['IN_PRINTED'])
";

fn scene() -> Place {
    let place = Place::new(DOCUMENT);
    for (name, text) in [
        ("orderflow.toml", SETTINGS),
        ("payer.py", PAYER),
        ("ledger.py", LEDGER_PY),
        ("looker.py", LOOKER),
        ("ledger.key", &format!("{LEDGER}\n")),
    ] {
        place.write(name, text);
    }
    let orders = ["fine", "refused", "crash", "text", "unbooked", "broken", "fence"];
    let orders: String =
        orders.iter().map(|order| format!("{{\"id\":\"{order}\",\"order\":\"{order}\"}}\n")).collect();
    place.write("orders.jsonl", &orders);
    place
}

fn with_key(command: &mut Command) -> Told {
    let command = command.env("PAYMENT_KEY", PAYMENT).env("UNASKED", "never").env("PATH", python::path());
    told(command.output().unwrap())
}

/// All that is left in a folder, file by file.
fn files(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

/// Asserts that no secret stands in what was said and what is left, in whole or in a part that is worth anything.
fn nothing_is_told(place: &Place, said: &[&Told]) {
    fs::remove_file(place.path("ledger.key")).unwrap();
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for told in said {
        all.push(("standard output".to_owned(), told.out.clone().into_bytes()));
        all.push(("standard error".to_owned(), told.err.clone().into_bytes()));
    }
    files(place.folder(), &mut all);
    for secret in [
        PAYMENT,
        "\u{f6}\u{e4}-0815",
        "\\u00f6\\u00e4-0815",
        "pk\\\"7d1f",
        LEDGER,
        &LEDGER[..8],
        &LEDGER[14..],
    ] {
        for (name, bytes) in &all {
            let found = memchr::memmem::find(bytes, secret.as_bytes());
            let near = found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at + 20]));
            assert!(found.is_none(), "{secret} stands in {name}: {}", near.unwrap_or_default());
        }
    }
}

#[test]
fn nothing_that_a_run_leaves_or_says_holds_a_secret() {
    let place = scene();
    let told = with_key(&mut place.command("run flow.md --items orders.jsonl --jobs 1 --key id"));
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let rows = [
        "Pay broken #1 success",
        "Pay crash #2 failed (exited with 1: yy[..]yy[secret:PAYMENT_KEY])",
        "Pay fence #1 success",
        "Pay fine #1 success",
        "Pay refused #2 failed (no [secret:PAYMENT_KEY])",
        "Pay text #1 failed ([..]no json: [secret:PAYMENT_KEY]`)",
        "Pay unbooked #1 success",
        "Book broken #1 failed (worker wrote non-JSON on stdout: [..][secret:LEDGER_KEY][..])",
        "Book fence #1 success",
        "Book fine #1 success",
        "Book unbooked #1 failed ([secret:LEDGER_KEY])",
        "Print fence #1 failed (exited with 1: [secret:PAYMENT_KEY])",
        "Print fine #1 success",
        "Look fine #1 failed (exited with 1: [secret:PAYMENT_KEY])",
    ];
    let mut found = place.rows("session.toon");
    let step = |row: &String| rows.iter().position(|known| known.split(' ').next() == row.split(' ').next());
    found.sort_by_key(|row| (step(row), row.clone()));
    snapbox::Assert::new().eq(found.join("\n"), rows.join("\n"));
    let trace = place.read("session.toon");
    assert!(
        trace.contains("used [secret:PAYMENT_KEY]") && trace.contains("at [secret:LEDGER_KEY]"),
        "{trace}"
    );
    for log in ["opened with [secret:LEDGER_KEY]", "progress: [secret:LEDGER_KEY]", "| [secret:PAYMENT_KEY]"]
    {
        assert!(told.err.contains(log), "{log} in {}", told.err);
    }
    let names = |file: &str| place.read(file).split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(names("printer.names").contains(&"PAYMENT_KEY".to_owned()));
    assert!(!names("printer.names").contains(&"UNASKED".to_owned()), "the document does not ask for it");
    assert!(!names("looker.names").iter().any(|name| name.contains("KEY") && !name.starts_with("ORDERFLOW")));

    let seen = [
        "plan flow.md",
        "plan flow.md --format json",
        "agents flow.md",
        "agents flow.md --format json",
        "validate flow.md",
    ];
    let seen: Vec<Told> = seen.iter().map(|args| with_key(&mut place.command(args))).collect();
    for told in &seen {
        assert_eq!(told.exit, Some(0), "{}", told.err);
    }
    assert!(seen[2].out.contains("LEDGER_KEY, RECEIPT_KEY"), "{}", seen[2].out);
    nothing_is_told(&place, &[&[&told], seen.iter().collect::<Vec<_>>().as_slice()].concat());
}

#[test]
fn a_run_that_goes_on_hands_on_what_it_has_not_kept() {
    let place = scene();
    let wait =
        "import os, sys, time\nopen('waiting', 'w')\nwhile not os.path.exists('go'): time.sleep(0.02)\n";
    place.write("looker.py", &format!("{wait}print(os.environ['IN_PRINTED'] == {PAYMENT:?})\n"));
    let mut command = place.command("run flow.md --input order=fine --quiet");
    command.env("PAYMENT_KEY", PAYMENT).env("UNASKED", "never").env("PATH", python::path());
    let mut run = command.spawn().unwrap();
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    place.write("go", "");
    let again = with_key(&mut place.command("resume last --quiet"));
    assert_eq!(again.exit, Some(0), "{}", again.err);
    assert!(again.out.contains("True"), "{}", again.out);
    assert_eq!(place.rows("session.toon").len(), 4);
    fs::remove_file(place.path("looker.py")).unwrap();
    nothing_is_told(&place, &[&again]);
}

#[test]
fn what_is_missing_is_told_before_anything_starts() {
    let place = scene();
    fs::remove_file(place.path("ledger.key")).unwrap();
    let err = "\
agents cannot get their secrets:
  ledger: LEDGER_KEY cannot be read from [..]ledger.key: No such file or directory (os error 2)
  ledger: RECEIPT_KEY is to be PAYMENT_KEY, which is not set in the environment
  payer: PAYMENT_KEY is not set in the environment
  printer: PAYMENT_KEY is not set in the environment
error: 4 secrets are missing; nothing was run
  help: set them in the environment of this command, or name their places in [..]orderflow.toml, such as secrets = { KEY = \"file:/run/secrets/key\" }
";
    says(&place.orderflow("run flow.md --items orders.jsonl"), 3, "", err);
    let told = with_key(&mut place.command("run flow.md --only Pay --input order=fine --quiet"));
    assert_eq!(told.exit, Some(0), "only what is needed must be there: {}", told.err);
    fs::write(place.path("ledger.key"), "\n").unwrap();
    let told = with_key(&mut place.command("run flow.md --input order=fine"));
    assert!(told.err.contains("  ledger: LEDGER_KEY is empty\nerror: 1 secret is missing;"), "{}", told.err);
    fs::write(place.path("ledger.key"), b"\xff\xfe\xfd").unwrap();
    let told = with_key(&mut place.command("run flow.md --input order=fine"));
    assert!(told.err.contains("  ledger: LEDGER_KEY is not UTF-8\n"), "{}", told.err);
}

#[test]
fn a_document_asks_and_does_not_get() {
    let place = scene();
    place.write("flow.md", &DOCUMENT.replace("[PAYMENT_KEY]", "[PAYMENT_KEY, SHADOW]"));
    let told = place.orderflow("validate flow.md");
    let warning = "warning[secret-not-given]: no agent of this document is given the secret `SHADOW`\n";
    assert!(told.out.starts_with(warning) && !told.out.contains("PAYMENT_KEY\"\n"), "{}", told.out);
    assert_eq!(place.orderflow("run flow.md --strict --input order=fine").exit, Some(3));

    // Nor does its own program, whatever it is called, where the operator gives that agent none.
    place.write("orderflow.toml", "fences = true\n");
    place.write(
        "flow.md",
        "---\nsecrets: [PAYMENT_KEY]\n---\n# T\n## A @payer\no -> a\n```sh run\nenv > seen\necho 1\n```\n",
    );
    let told = with_key(&mut place.command("run flow.md --input o=1 --quiet"));
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(!place.read("seen").contains("PAYMENT_KEY"));
}

#[test]
fn a_grant_shows_the_secrets_that_it_is_about() {
    let place = Place::new(DOCUMENT);
    place.write("orderflow.toml", &SETTINGS.replace("fences = true\n", ""));
    let told = place.orderflow("trust flow.md --yes");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(
        told.err.starts_with("programs in this document want to run, knowing PAYMENT_KEY (secret):\n"),
        "{}",
        told.err
    );
    assert!(!place.orderflow("plan flow.md").out.contains("needs a grant"));
    place.write("flow.md", &DOCUMENT.replace("[PAYMENT_KEY]", "[PAYMENT_KEY, UNASKED]"));
    assert!(place.orderflow("plan flow.md").out.contains("needs a grant"));
}

/// Whoever hands a run over can have written any name of a secret into what a step has made.
#[test]
fn a_name_in_a_run_that_was_taken_over_becomes_no_secret() {
    let document = "# W\n\n## Open @bank\nmode::String -> token::String\n\n## Use\ntoken -> used::String\n\n\
                    ```sh run\ntest -e go || { touch waiting; sleep 100; }\nprintf '%s' \"$IN_TOKEN\" > got\necho done\n```\n";
    let place = Place::new(document);
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"sh\", \"-c\", \"echo \\\"with $PAYMENT_KEY\\\"\"]\nsecrets = [\"PAYMENT_KEY\"]\n");
    let mut run = place
        .command("run flow.md --trust --input mode=x --quiet")
        .env("PAYMENT_KEY", LEDGER)
        .spawn()
        .unwrap();
    place.await_file("waiting");
    Command::new("kill").arg(run.id().to_string()).status().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(143));
    place.write("go", "");
    let home = fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    Command::new("cp").arg("-r").args([&home, &place.path("copy")]).status().unwrap();
    assert_eq!(place.orderflow("adopt --yes copy").exit, Some(0));
    let resume = |run: &str| {
        let mut command = place.command(&format!("resume --quiet {run}"));
        told(command.env("PAYMENT_KEY", LEDGER).output().unwrap())
    };
    // A refused cancellation does not cancel what is resumed later.
    let cancel = place.command("cancel copy").env("PAYMENT_KEY", LEDGER).output().unwrap();
    assert_eq!((cancel.status.code(), place.path("copy/cancel").exists()), (Some(7), false), "{cancel:?}");
    let refused = resume("copy");
    let expected = "error: this run was adopted, and what Open made before that for item `1` names the secret PAYMENT_KEY, \
                    which a later step would get; nothing was run\n  \
                    help: the run may come from someone else, who chose this name: resume it where it was started, or run \
                    the items that have not ended in a new run, which repeats all their steps\n";
    assert_eq!((refused.exit, refused.err.as_str()), (Some(7), expected));
    assert!(!place.path("got").exists());
    let own = resume("last");
    assert_eq!((own.exit, own.err.as_str()), (Some(0), ""));
    assert_eq!(place.read("got"), format!("with {LEDGER}"));
}

/// Without the secret a later step would get its name: `resume` and `cancel` refuse, and nothing is lost.
#[test]
fn a_secret_that_no_agent_has_any_more_is_not_replaced_by_its_name() {
    let document = "# W\n\n## Open @bank\nmode::String -> token::String, literal::String\n\n## Use @use\ntoken, literal -> used::String\n\n> [!gate] Use it?\n";
    let place = Place::new(document);
    let settings = "[agents.bank]\ncommand = [\"sh\", \"-c\", \"echo '{\\\"token\\\": \\\"with '$PAYMENT_KEY'\\\", \\\"literal\\\": \\\"[secret:OTHER]\\\"}'\"]\n\
                    secrets = [\"PAYMENT_KEY\"]\n\n[agents.use]\ncommand = [\"sh\", \"-c\", \"printf '%s %s' \\\"$IN_TOKEN\\\" \\\"$IN_LITERAL\\\" > got; echo done\"]\n";
    place.write("orderflow.toml", settings);
    let with_key = |args: &str| told(place.command(args).env("PAYMENT_KEY", LEDGER).output().unwrap());
    assert_eq!(with_key("run flow.md --input mode=x --quiet").exit, Some(5));
    assert_eq!(with_key("approve last").exit, Some(0));
    place.write("orderflow.toml", &settings.replace("secrets = [\"PAYMENT_KEY\"]\n", ""));
    for command in ["resume --quiet last", "cancel last"] {
        let refused = with_key(command);
        let expected = "error: what Open made for item `1` contained the secret PAYMENT_KEY, which orderflow.toml gives to no \
                        agent any more; nothing was run\n  help: give PAYMENT_KEY to its agent again, or run the items that \
                        have not ended in a new run, which repeats all their steps\n";
        assert_eq!((refused.exit, refused.err.as_str()), (Some(3), expected), "{command}");
    }
    assert!(!place.path("got").exists());
    place.write("orderflow.toml", settings);
    let resumed = with_key("resume --quiet last");
    assert_eq!((resumed.exit, resumed.err.as_str()), (Some(0), ""));
    assert_eq!(place.read("got"), format!("with {LEDGER} [secret:OTHER]"));
}

/// What items that are over have made flows on nowhere: the others of an adopted run go on.
#[test]
fn a_run_that_was_taken_over_goes_on_where_no_secret_would_flow() {
    let document = "---\nitems: modes.csv\njobs: 1\n---\n# W\n\n## Open @bank\nmode::String -> token::String\n\n## Use\ntoken -> used::String\n\n\
                    ```sh run\ntest -e go || test \"$IN_TOKEN\" != b || { touch waiting; sleep 100; }\necho done\n```\n";
    let place = Place::new(document);
    place.write("modes.csv", "id,mode\nA,a\nB,b\n");
    place.write(
        "orderflow.toml",
        "[agents.bank]\ncommand = [\"sh\", \"-c\", \"test $IN_MODE != a || echo with $PAYMENT_KEY; test $IN_MODE = a || echo b\"]\n\
         secrets = [\"PAYMENT_KEY\"]\n",
    );
    let mut run = place.command("run flow.md --trust --quiet").env("PAYMENT_KEY", LEDGER).spawn().unwrap();
    place.await_file("waiting");
    Command::new("kill").arg(run.id().to_string()).status().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(143));
    place.write("go", "");
    let home = fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    Command::new("cp").arg("-r").args([&home, &place.path("copy")]).status().unwrap();
    assert_eq!(place.orderflow("adopt --yes copy").exit, Some(0));
    let resumed = told(place.command("resume --quiet copy").env("PAYMENT_KEY", LEDGER).output().unwrap());
    assert_eq!((resumed.exit, resumed.err.as_str()), (Some(0), ""));
}
