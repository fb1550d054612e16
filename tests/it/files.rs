//! Files belong to the execution that made them: none overwrites another, whoever takes one can open it.

use crate::place::Place;
use std::os::unix::fs::symlink;

/// Three labels that are printed at the same time, under the same name; who packs and who ships opens each.
const LABELS: &str = "# T\n## Print [retry:: 1 fixed 1ms]\n[each:: x in xs]\nx -> label::File\n```sh run\n\
    cd \"$ORDERFLOW_DIR\"\ntest -z \"$(ls -A)\"\necho \"label for $IN_X by attempt $ORDERFLOW_ATTEMPT\" > label.txt\n\
    test \"$IN_X$ORDERFLOW_ATTEMPT\" != b1 || exit 75\nsleep 0.1\necho label.txt\n```\n\
    ## Pack\n[each:: one in label]\none -> packed::String\n```sh run\ncat \"$IN_ONE\"\n```\n\
    ## Ship [per:: run]\nlabel -> shipped::String\n```python run\nimport json, os, sys\n\
    labels = json.load(sys.stdin)['label']\nassert json.loads(os.environ['IN_LABEL']) == labels\n\
    print('; '.join(open(path).read().strip() for some in labels for path in some), end='')\n```\n";

fn labels() -> Place {
    let place = Place::new(LABELS);
    place.write("items.jsonl", "{\"id\":\"p\",\"xs\":[\"a\",\"b\"]}\n{\"id\":\"q\",\"xs\":[\"c\"]}\n");
    place
}

#[test]
fn files_of_one_name_do_not_overwrite_each_other() {
    let place = labels();
    let told = place.run("--items items.jsonl --jobs 4");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = place.orderflow("show last --item run --format json").out;
    let expected = "label for a by attempt 1; label for b by attempt 2; label for c by attempt 1";
    assert!(shown.contains(&format!("\"shipped\": \"{expected}\"")), "{shown}");
    let item = place.orderflow("show last --item p");
    assert!(item.out.contains("makes label: \"label.txt\""), "{}", item.out);
    assert!(item.out.contains("makes packed: \"label for b by attempt 2\""), "{}", item.out);
    let session = place.read("session.toon");
    assert!(session.contains("label.txt") && !session.contains("items/"), "{session}");
}

#[test]
fn files_are_copied_out_of_a_run_and_overwrite_nothing() {
    let place = labels();
    assert_eq!(place.run("--items items.jsonl").exit, Some(0));
    let told = place.orderflow("show last --files out");
    assert_eq!((told.exit, &*told.err), (Some(0), "3 files copied to out\n"));
    let mut copied: Vec<&str> = told.out.lines().map(|line| line.split_once("/out/").unwrap().1).collect();
    copied.sort_unstable();
    let expected =
        ["000000-p/Print.0.1/label.txt", "000000-p/Print.1.2/label.txt", "000001-q/Print.0.1/label.txt"];
    assert_eq!(copied, expected);
    assert_eq!(place.read("out/000000-p/Print.1.2/label.txt"), "label for b by attempt 2\n");
    place.write("out/000000-p/Print.0.1/label.txt", "mine");
    let again = place.orderflow("show last --files out");
    assert_eq!(again.exit, Some(74), "{}", again.err);
    assert!(again.err.contains("exists already; nothing is overwritten"), "{}", again.err);
    assert_eq!(place.read("out/000000-p/Print.0.1/label.txt"), "mine");
    std::fs::create_dir(place.path("other")).unwrap();
    std::fs::create_dir(place.path("away")).unwrap();
    symlink(place.path("away"), place.path("other/000000-p")).unwrap();
    assert_eq!(place.orderflow("show last --files other").exit, Some(74));
    assert_eq!(std::fs::read_dir(place.path("away")).unwrap().count(), 0);
}

/// Folders and files with inputs serve several attempts. What a program does to them stays its own.
#[test]
fn no_attempt_finds_what_another_one_has_left() {
    let place = Place::new(
        "# T\n## Play\nname::String -> heard::String\n```sh run\n\
         cmp -s \"$ORDERFLOW_INPUT\" - || exit 9\n\
         test -z \"$(ls -A \"$ORDERFLOW_DIR\")\" && test \"$(stat -c %a \"$ORDERFLOW_DIR\")\" = 700 || exit 8\n\
         case $IN_NAME in\n\
         moves) mv \"$ORDERFLOW_INPUT\" moved.json;;\n\
         links) ln \"$ORDERFLOW_INPUT\" linked.json;;\n\
         leads) rm \"$ORDERFLOW_INPUT\"; ln -s \"$PWD/own.json\" \"$ORDERFLOW_INPUT\";;\n\
         blocks) rm \"$ORDERFLOW_INPUT\"; mkdir \"$ORDERFLOW_INPUT\";;\n\
         opens) chmod 755 \"$ORDERFLOW_DIR\";;\n\
         notes) echo hint > \"$ORDERFLOW_DIR/note\";;\n\
         removes) rmdir \"$ORDERFLOW_DIR\";;\n\
         fails) echo left > \"$ORDERFLOW_DIR/left\"; exit 1;;\n\
         esac\nprintf %s \"$IN_NAME\"\n```\n",
    );
    place.write("own.json", "mine");
    let odd = ["moves", "links", "leads", "blocks", "opens", "notes", "removes", "fails"];
    let names = odd.into_iter().flat_map(|name| [name, "plays on"]);
    let items: Vec<String> = names.map(|name| format!("{{\"name\":\"{name}\"}}\n")).collect();
    place.write("items.jsonl", &items.concat());
    let ran = place.run("--items items.jsonl --jobs 1");
    assert_eq!(ran.exit, Some(1), "{}", ran.err);
    // Those that come next have what they should.
    assert!(ran.err.contains("16 items: 14 succeeded, 2 failed"), "{}", ran.err);
    assert!(ran.err.contains("13: Play: the folder ORDERFLOW_DIR is lost"), "{}", ran.err);
    assert!(place.read("moved.json").contains("moves"));
    assert!(place.read("linked.json").contains("links"));
    assert_eq!(place.read("own.json"), "mine");
    let run = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(run.join("items/000010-11/Play.1/note")).unwrap(), "hint\n");
}

/// Nothing of an attempt that fails is there for another one, or is an answer.
#[test]
fn nothing_of_a_failed_attempt_is_left() {
    let place = Place::new(
        "# T\n## Print [retry:: 1 fixed 1ms]\no -> label::File\n```sh run\ncd \"$ORDERFLOW_DIR\"\n\
         test \"$ORDERFLOW_ATTEMPT\" = 2 || { echo old > label.txt; exit 75; }\necho label.txt\n```\n",
    );
    let told = place.run("--input o=1");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(
        place.rows("session.toon")[0],
        "Print 1 #2 failed (output `label`: no file \"label.txt\" in the folder ORDERFLOW_DIR)"
    );
    let told = place.orderflow("show last --files out");
    assert_eq!((told.exit, &*told.err), (Some(0), "no step of this run made a file\n"));
    assert!(!place.path("out").exists());
}

/// What an agent leaves is an answer only if it is a file, and its own.
#[test]
fn only_a_regular_file_with_one_name_is_a_file() {
    let place = Place::new(
        "# T\n## Print\nname -> label::File\n```sh run\ncd \"$ORDERFLOW_DIR\"\necho mine > mine\n\
         ln \"$OLDPWD/secret\" hard\nln -s \"$OLDPWD/secret\" soft\nmkfifo pipe\nmkdir folder\nln -s .. up\n\
         printf '%s' \"$IN_NAME\"\n```\n## Read\nlabel -> text::String\n```sh run\ncat \"$IN_LABEL\"\n```\n",
    );
    place.write("secret", "secret");
    let failed = |name: &str| {
        let told = place.run(&format!("--input name={name}"));
        assert_eq!(told.exit, Some(1), "{name}: {}", told.err);
        assert!(
            !place.read("session.toon").contains("Read,null,null,false,false,\"\",forward\n  1"),
            "{name}"
        );
        place.rows("session.toon")[0].clone()
    };
    for (name, wrong) in [
        ("soft", "\"soft\" is a symbolic link, and no file"),
        ("pipe", "\"pipe\" is a pipe, a device or a socket, and no file"),
        ("folder", "no file \"folder\" in the folder ORDERFLOW_DIR"),
        ("up/secret", "\"up/secret\" is a symbolic link, and no file"),
        ("../mine", "\"../mine\" leads out of the folder ORDERFLOW_DIR"),
        ("/etc/passwd", "\"/etc/passwd\" is an absolute path; write it as seen from ORDERFLOW_DIR"),
    ] {
        assert_eq!(failed(name), format!("Print 1 #1 failed (output `label`: {wrong})"));
    }
    let hard = failed("hard");
    assert!(hard.contains("has further names (hard links)"), "{hard}");
    let told = place.run("--input name=mine");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(place.read("session.toon").contains("mine"));
}

/// A worker gets the same paths, and a folder only where it makes files.
#[test]
fn a_worker_takes_and_makes_files_as_a_program_does() {
    let place = Place::new(
        "# T\n## Print @keeper\no -> label::File\n## Read @keeper\nlabel -> text::String\n## Cat\nlabel, text -> end::String\n\
         ```sh run\ncat \"$IN_LABEL\"\necho \"$IN_TEXT\"\n```\n",
    );
    place.write("orderflow.toml", "[agents.keeper]\nworker = [\"python3\", \"-S\", \"worker.py\"]\n");
    place.write(
        "worker.py",
        "import json, os, sys\nfor line in sys.stdin:\n    call = json.loads(line)\n    params = call['params']\n\
         \x20   if params['step'] == 'Print':\n        open(os.path.join(params['dir'], 'l.txt'), 'w').write('printed')\n\
         \x20       result = {'label': 'l.txt'}\n    else:\n\
         \x20       result = {'text': open(params['inputs']['label']).read() + ' ' + str(params['dir'])}\n\
         \x20   print(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': result}), flush=True)\n",
    );
    let told = place.run("--input o=1");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.contains("makes end: \"printedprinted None\""), "{shown}");
}

/// A run that is moved goes on where it is; what was put in the place of a file meanwhile is not handed on.
#[test]
fn a_run_that_is_moved_finds_its_files_and_only_those() {
    for hostile in [false, true] {
        let place = Place::new(
            "# T\n## Print\no -> label::File\n```sh run\necho printed > \"$ORDERFLOW_DIR/label.txt\"\necho label.txt\n```\n\
             ## Read\nlabel -> text::String\n```sh run\ntest -e go || exit 65\ncat \"$IN_LABEL\"\n```\n",
        );
        assert_eq!(place.run("--input o=1").exit, Some(1));
        let runs = place.path(".orderflow/runs");
        let run = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
        let file = run.join("items/000000-1/Print.1/label.txt");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "printed\n");
        let command = if hostile {
            std::fs::remove_file(&file).unwrap();
            symlink("/etc/hostname", &file).unwrap();
            "retry last --trust".to_owned()
        } else {
            std::fs::rename(&runs, place.path(".orderflow/away")).unwrap();
            std::fs::create_dir(&runs).unwrap();
            std::fs::rename(place.path(".orderflow/away").join(run.file_name().unwrap()), &run).unwrap();
            "retry last --trust".to_owned()
        };
        place.write("go", "");
        let told = place.orderflow(&command);
        match hostile {
            false => assert_eq!(told.exit, Some(0), "{}", told.err),
            true => {
                assert_eq!(told.exit, Some(1), "{}", told.err);
                assert!(told.err.contains("is a symbolic link, and no file"), "{}", told.err);
            }
        }
    }
}

/// A file that is given counts from where it is named, is handed on by its absolute path, and is looked for before
/// anything runs.
#[test]
fn files_that_are_given_are_there_and_absolute() {
    let place = Place::new(
        "# T\n## Read\ndoc::File -> text::String\n```sh run\necho \"$IN_DOC\" >> paths\ncat \"$IN_DOC\"\n```\n",
    );
    place.write("sub/a.txt", "a\n");
    place.write("sub/items.csv", "id,doc\n1,a.txt\n");
    place.write("sub/items.jsonl", "{\"id\": 1, \"doc\": \"a.txt\"}\n{\"id\": 2, \"doc\": null}\n");
    let a = place.path("sub/a.txt").display().to_string();
    let here = place.folder().display().to_string();

    let told = place.run("--input doc=typo.txt --quiet");
    let why = format!("error: --input doc: file \"typo.txt\" not found in {here}; nothing was run\n");
    assert_eq!((told.exit, &*told.err), (Some(3), &*why));
    let told = place.run("--input doc=sub --quiet");
    assert_eq!(
        told.err,
        format!("error: --input doc: \"sub\" in {here} is a folder, not a file; nothing was run\n")
    );
    assert!(!place.path("paths").exists());
    // From another folder than the document's.
    let mut command = place.command("run ../flow.md --trust --quiet --input doc=a.txt");
    assert!(command.current_dir(place.path("sub")).output().unwrap().status.success());
    assert_eq!(place.run("--items sub/items.csv --quiet").exit, Some(0));
    assert_eq!(place.run(&format!("--input doc={a} --quiet")).exit, Some(0));
    assert_eq!(place.read("paths"), format!("{a}\n{a}\n{a}\n"));

    place.write("sub/items.csv", "id,doc\n1,a.txt\n2,b.txt\n");
    let told = place.run("--items sub/items.csv --quiet");
    let why = "sub/items.csv:3:3: `doc`: file \"b.txt\" not found in [..]/sub\nerror: 1 problem in sub/items.csv; 0 of 2 items started\n";
    crate::place::says(&told, 3, "", why);
    place.write("sub/items.jsonl", "{\"id\": 1, \"doc\": \"a.txt\"}\n{\"id\": 2, \"doc\": \"b.txt\"}\n");
    let told = place.run("--items sub/items.jsonl --quiet");
    crate::place::says(&told, 3, "", &why.replace("csv:3:3", "jsonl:2:1").replace("csv", "jsonl"));
}

#[test]
fn files_in_lists_are_found_and_one_that_a_step_takes_away_is_not_missed() {
    let place = Place::new(
        "# T\n## Read\ndocs::File[] -> text::String\n```sh run\nrm -f a.txt\necho \"$IN_DOCS\"\n```\n",
    );
    place.write("a.txt", "a\n");
    place.write("b.txt", "b\n");
    place.write(
        "i.jsonl",
        "{\"id\": 1, \"docs\": [\"a.txt\"]}\n{\"id\": 2, \"docs\": [\"b.txt\", \"a.txt\"]}\n",
    );
    assert_eq!(place.run("--items i.jsonl --jobs 1 --quiet").exit, Some(0));
    let told = place.run("--items i.jsonl --quiet");
    assert!(told.err.starts_with("i.jsonl:1:1: `docs`: file \"a.txt\" not found in "), "{}", told.err);
    // Of a file that is one item, from that file's folder.
    place.write("sub/one.json", "{\"docs\": [\"../b.txt\"]}");
    for args in ["--input docs=[\"b.txt\"]", "--items sub"] {
        let told = place.run(&format!("{args} --quiet"));
        assert_eq!(told.exit, Some(0), "{}", told.err);
    }
}

/// A path in an edited table counts from the table's folder.
#[test]
fn files_of_edited_items_are_found() {
    let place = Place::new(
        "# T\n## Read\ndoc::File -> text::String\n```sh run\ntest -s \"$IN_DOC\" || exit 65\ncat \"$IN_DOC\"\n```\n",
    );
    place.write("empty.txt", "");
    place.write("sub/full.txt", "full\n");
    place.write("i.csv", "id,doc\n1,empty.txt\n");
    assert_eq!(place.run("--items i.csv --quiet").exit, Some(1));
    let table = place.orderflow("show last --dead-letters").out;
    let old = place.path("empty.txt").display().to_string();
    place.write("sub/f.toon", &table.replace(&old, "none.txt"));
    let told = place.orderflow("retry last --items sub/f.toon --quiet");
    assert!(told.err.contains(": `doc`: file \"none.txt\" not found in "), "{}", told.err);
    place.write("sub/f.toon", &table.replace(&old, "full.txt"));
    let told = place.orderflow("retry last --items sub/f.toon --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
}

#[test]
fn files_have_readable_names_in_every_script() {
    let title = "印刷".repeat(60);
    let place = Place::new(&format!(
        "# T\n## Étiqueter\no -> label::File\n```sh run\necho x > \"$ORDERFLOW_DIR/label.txt\"\necho label.txt\n```\n\
         ## {title}\no -> long::File\n```sh run\necho y > \"$ORDERFLOW_DIR/long.txt\"\necho long.txt\n```\n"
    ));
    place.write("items.jsonl", "{\"id\":\"заказ 1/2\"}\n");
    let told = place.run("--items items.jsonl");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = place.orderflow("show last --files out");
    let files: Vec<&str> = shown.out.lines().collect();
    assert!(files[0].ends_with("/out/000000-заказ_1_2/Étiqueter.1/label.txt"), "{files:?}");
    // The name of a folder has up to 255 bytes.
    let (_, long) = files[1].split_once("/out/000000-заказ_1_2/印刷印刷").unwrap();
    assert!(long.ends_with("/long.txt") && long.len() < 220, "{long}");
}
