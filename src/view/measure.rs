//! Measured quantities in a form that is easy to compare.

use crate::history::Counts;
use crate::value::words;

/// `0.35 ms`, `120 ms`, `1.24 s`, `2 min 05 s`, `3 h 07 min`.
pub fn milliseconds(milliseconds: f64) -> String {
    if milliseconds < 9.95 && milliseconds.fract() != 0.0 {
        return format!("{milliseconds:.2} ms");
    }
    if milliseconds < 999.5 {
        return format!("{milliseconds:.0} ms");
    }
    let seconds = milliseconds / 1000.0;
    if seconds < 59.995 {
        return format!("{seconds:.2} s");
    }
    let seconds = seconds.round() as u64;
    if seconds < 3600 {
        return format!("{} min {:02} s", seconds / 60, seconds % 60);
    }
    let minutes = (seconds + 30) / 60;
    format!("{} h {:02} min", minutes / 60, minutes % 60)
}

/// An estimated figure.
pub fn about(figure: &str) -> String {
    format!("≈{figure}")
}

/// `18 succeeded, 6 failed`: the states of the items of a run.
pub fn outcome(counts: &Counts) -> String {
    let parts = [
        (counts.succeeded, "succeeded"),
        (counts.failed, "failed"),
        (counts.compensated, "compensated"),
        (counts.compensation_failed, "with a failed compensation"),
        (counts.cancelled, "cancelled"),
        (counts.in_flight.saturating_sub(counts.waiting).saturating_sub(counts.awaiting), "in flight"),
        (counts.waiting, "waiting for a person"),
        (counts.awaiting, "waiting for an event"),
        (counts.not_started.unwrap_or(0), "not started"),
    ];
    let shown = parts.iter().filter(|(number, _)| *number > 0);
    let shown: Vec<String> = shown.map(|(number, what)| format!("{} {what}", count(*number))).collect();
    let events = match counts.unpublished {
        0 => String::new(),
        events => format!("; {} not published", words::count(events, "event")),
    };
    let shown = if shown.is_empty() { "no items".to_owned() } else { shown.join(", ") };
    shown + &events
}

/// `12`, `9,990`.
pub fn count(count: u64) -> String {
    words::number(count)
}

/// `512 B`, `1.2 KiB`, `40 MiB`.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1023.5 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if size < 9.95 && unit != "B" { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// `80 %`, `66.7 %`: rounded to the nearest, but 100 % means all and 0 % means none.
pub fn percent(share: f64) -> String {
    let tenths = match (share * 1000.0).round() {
        all if all >= 1000.0 && share < 1.0 => 999.0,
        // Rounding errors of equal times show as zero.
        none if none <= 0.0 => {
            if share > 1e-9 {
                1.0
            } else {
                0.0
            }
        }
        tenths => tenths,
    };
    if tenths % 10.0 == 0.0 { format!("{:.0} %", tenths / 10.0) } else { format!("{:.1} %", tenths / 10.0) }
}

/// A number to two places after the point, or to two digits where it is less than a tenth.
pub fn amount(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || !(1e-15..0.1).contains(&size) {
        return decimal(number);
    }
    let places = (1.0 - size.log10().floor()) as usize;
    let text = format!("{number:.places$}");
    text.trim_end_matches('0').to_owned()
}

/// A number with at most two digits after its point.
pub fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_have_two_digits() {
        for (value, text) in [
            (0.0, "0"),
            (12.346, "12.35"),
            (0.1234, "0.12"),
            (0.0456, "0.046"),
            (0.004, "0.004"),
            (0.0000123, "0.000012"),
            (-0.00999, "-0.01"),
            (0.0999, "0.1"),
        ] {
            assert_eq!(amount(value), text);
        }
    }

    #[test]
    fn durations_change_their_unit_as_they_grow() {
        for (value, text) in [
            (0.0, "0 ms"),
            (0.354, "0.35 ms"),
            (120.0, "120 ms"),
            (999.6, "1.00 s"),
            (1240.0, "1.24 s"),
            (59_994.0, "59.99 s"),
            (59_999.0, "1 min 00 s"),
            (125_000.0, "2 min 05 s"),
            (11_220_000.0, "3 h 07 min"),
        ] {
            assert_eq!(milliseconds(value), text);
        }
    }

    #[test]
    fn sizes_change_their_unit_as_they_grow() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 << 10, "10 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (40 << 20, "40 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn counts_are_grouped_and_shares_never_rounded_to_all_or_none() {
        assert_eq!([count(0), count(999), count(9990), count(1_234_567)], ["0", "999", "9,990", "1,234,567"]);
        assert_eq!(
            [1.0, 0.8, 2.0 / 3.0, 0.9996, 0.99999, 0.0, 0.00001, -1e-14, 0.0814].map(percent),
            ["100 %", "80 %", "66.7 %", "99.9 %", "99.9 %", "0 %", "0.1 %", "0 %", "8.1 %"]
        );
        assert_eq!([decimal(100.913), decimal(3.5), decimal(30.0)], ["100.91", "3.5", "30"]);
    }
}
