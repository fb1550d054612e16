//! Renames of what several documents share: values and types of documents that run each other, agents and channels of one
//! `orderflow.toml`.

use crate::editor::{Editor, uri};
use crate::place::Place;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OUTER: &str = "# Purchase\n\n## Sign Off [document:: parts/sign.md]\norder::Order, amount → approved::Boolean\n\n## Buy @shop #web [when:: approved]\namount, order → bought::String\n\nBuys {{ order.name }} for {{ amount }}.\n\n## Types\n\n```ts\ninterface Order { name: string }\n```\n";

const INNER: &str = "# Sign\n\n## Check @desk\norder::Order, amount → small::Boolean\n\nIf amount > 100 → fail \"too much\"\n\n## Decide @shop\nsmall → approved::Boolean\n\n## Types\n\n```ts\ninterface Order { name: string }\n```\n";

/// Its step takes its inputs without a signature of its own.
const OUTERMOST: &str =
    "---\ninputs: {order: Order, amount: Integer}\n---\n\n# All\n\n## Purchase [document:: purchase.md]\n";

const SETTINGS: &str = "[agents.shop]\ncommand = [\"true\"]\n\n[channels.web]\nconcurrency = 2\n";

fn place() -> Place {
    let place = Place::new(OUTERMOST);
    // The documents of a repository are looked through.
    std::fs::create_dir(place.path(".git")).unwrap();
    place.write("purchase.md", OUTER);
    place.write("parts/sign.md", INNER);
    place.write("notes.md", "# Notes\n\n## Buy milk\n\nThe amount is up to @shop.\n");
    place.write("elsewhere.md", "# Other\n\n## Sell @shop #web\norder::Order → amount::Integer\n");
    place.write("orderflow.toml", SETTINGS);
    place
}

/// The texts after a rename, by the names of the files that it changes.
fn renamed(place: &Place, answer: &Value) -> BTreeMap<String, String> {
    let changes = answer["changes"].as_object().unwrap_or_else(|| panic!("{answer}"));
    let folder = place.folder().canonicalize().unwrap();
    let one = |(address, edits): (&String, &Value)| {
        let path = address.strip_prefix("file://").unwrap();
        let mut lines: Vec<String> =
            std::fs::read_to_string(path).unwrap().split('\n').map(str::to_owned).collect();
        let at = |edit: &Value, end: &str, part: &str| edit["range"][end][part].as_u64().unwrap() as usize;
        let mut edits: Vec<&Value> = edits.as_array().unwrap().iter().collect();
        edits.sort_by_key(|edit| (at(edit, "start", "line"), at(edit, "start", "character")));
        for edit in edits.into_iter().rev() {
            let line = &mut lines[at(edit, "start", "line")];
            let units: Vec<char> = line.chars().collect();
            let part = |chars: &[char]| chars.iter().collect::<String>();
            let (from, to) = (at(edit, "start", "character"), at(edit, "end", "character"));
            *line = part(&units[..from]) + edit["newText"].as_str().unwrap() + &part(&units[to..]);
        }
        let name = std::path::Path::new(path).canonicalize().unwrap();
        (name.strip_prefix(&folder).unwrap().display().to_string(), lines.join("\n"))
    };
    changes.iter().map(one).collect()
}

#[test]
fn a_name_is_changed_in_every_document_that_shares_it() {
    let place = place();
    let mut editor = Editor::start(&place, json!({}));
    let (inner, outer) = (uri(&place, "parts/sign.md"), uri(&place, "purchase.md"));
    editor.open(&inner, INNER);
    editor.open(&outer, OUTER);
    let mut rename =
        |uri: &str, at, new: &str| editor.at("textDocument/rename", uri, at, json!({"newName": new}));
    let file = |name: &str, text: String| (name.to_owned(), text);
    // A value, from the inner document and from the outer one.
    for (uri, at) in [(&inner, (3, 16)), (&outer, (8, 30))] {
        let expected = BTreeMap::from([
            file("flow.md", OUTERMOST.replace("amount", "total")),
            file("parts/sign.md", INNER.replace("amount", "total")),
            file("purchase.md", OUTER.replace("amount", "total")),
        ]);
        assert_eq!(renamed(&place, &rename(uri, at, "total")), expected);
    }
    // A value that only one of them has.
    let expected = BTreeMap::from([file("parts/sign.md", INNER.replace("small", "tiny"))]);
    assert_eq!(renamed(&place, &rename(&inner, (8, 0), "tiny")), expected);
    let expected = BTreeMap::from([
        file("flow.md", OUTERMOST.replace("Order", "Wish")),
        file("parts/sign.md", INNER.replace("Order", "Wish")),
        file("purchase.md", OUTER.replace("Order", "Wish")),
    ]);
    assert_eq!(renamed(&place, &rename(&inner, (3, 8), "Wish")), expected);
    // Every document with the same settings.
    let expected = BTreeMap::from([
        file("elsewhere.md", place.read("elsewhere.md").replace("@shop", "@store")),
        file("orderflow.toml", SETTINGS.replace("shop", "store")),
        file("parts/sign.md", INNER.replace("@shop", "@store")),
        file("purchase.md", OUTER.replace("@shop", "@store")),
    ]);
    assert_eq!(renamed(&place, &rename(&inner, (7, 12), "store")), expected);
    let expected = BTreeMap::from([
        file("elsewhere.md", place.read("elsewhere.md").replace("#web", "#net")),
        file("orderflow.toml", SETTINGS.replace("web", "net")),
        file("purchase.md", OUTER.replace("#web", "#net")),
    ]);
    assert_eq!(renamed(&place, &rename(&outer, (5, 14), "net")), expected);
    // A name that another of the documents has already.
    let why = |answer: Value| answer["error"]["message"].as_str().unwrap_or("renamed").to_owned();
    assert_eq!(
        why(rename(&inner, (3, 16), "bought")),
        "purchase.md: `bought` is already used in this document"
    );
}
