//! The page of a run in a real browser: without a request, by keyboard, for screen readers, at any moment of the run.

use crate::page::parcels;
use crate::parts::found;
use crate::place::Place;
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_works_in_a_browser_without_a_network_and_without_a_mouse() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/chrome/node_modules");
    let chromium =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].into_iter().find(|path| Path::new(path).exists());
    let there =
        chromium.filter(|_| modules.join("puppeteer-core").is_dir() && modules.join("axe-core").is_dir());
    let Some(chromium) = found("chrome", "chromium, and puppeteer-core and axe-core from npm", there) else {
        return;
    };
    let place = parcels();
    assert_eq!(place.orderflow("report last -o page.html").exit, Some(0));
    let gate = Place::new(
        "# Pay\n\n## Refund\nsum::Integer → paid::Integer\n\n> [!gate by @ops] Refund {{ sum }}?\n\n```sh run\necho 1\n```\n",
    );
    assert_eq!(gate.run("--input sum=534 --quiet").exit, Some(5));
    assert_eq!(gate.orderflow("report last -o gate.html").exit, Some(0));
    let said = Command::new("node")
        .arg(root.join("tests/it/support/browse.mjs"))
        .args([root.join("target/chrome").as_path(), Path::new(chromium)])
        .args([place.path("page.html"), gate.path("gate.html")])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}");
    assert!(out.ends_with("all is well\n"), "{out}\n{err}");
}
