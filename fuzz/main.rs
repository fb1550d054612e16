//! libFuzzer for one parser, which the environment variable PARSER names: see docs/fuzzing.md.

#![no_main]

#[path = "../tests/it/support/parsers.rs"]
mod parsers;

use libfuzzer_sys::fuzz_target;
use parsers::PARSERS;
use std::sync::LazyLock;

static PARSER: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("PARSER").unwrap_or_default();
    let names = PARSERS.map(|(name, _)| name).join(", ");
    let found = PARSERS.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("set PARSER to one of {names}")).1
});

fuzz_target!(|bytes: &[u8]| PARSER(bytes));
