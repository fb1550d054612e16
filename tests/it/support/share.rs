//! How much of a large table, or of many random cases, a test tries.

use std::env;

/// Of this many cases one is tried; with `ORDERFLOW_THOROUGH=1`, all are.
pub fn one_of(many: usize) -> usize {
    if env::var_os("ORDERFLOW_THOROUGH").is_some() { 1 } else { many }
}
