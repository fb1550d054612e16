//! Quantities as people write them and structures as scripts read them.

use crate::diag::render::visible_json;
use std::fmt::Write;
use std::time::Duration;

/// `1h30m`, `5s`, `200ms`: as documents write durations.
pub fn duration(duration: Duration) -> String {
    let whole = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = whole;
    let mut text = String::new();
    for (unit, size) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            // Writing to a String does not fail.
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A structure of ours as indented JSON with a final newline.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Structs of texts and numbers always have a JSON form.
    serde_json::to_string_pretty(value).map(|text| visible_json(&text) + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for (millis, text) in
            [(0, "0s"), (200, "200ms"), (1500, "1s500ms"), (5_400_000, "1h30m"), (172_800_000, "2d")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
