//! The names of steps in traces, and a quick search for those that a trace fence names.

/// The name of a step in traces: the title's words joined, each with its first letter raised. Hyphens and apostrophes
/// do not separate words: `Re-run Integration Tests` is `RerunIntegrationTests`.
pub fn phase(title: &str) -> String {
    let mut phase = String::with_capacity(title.len());
    let mut inside = false;
    for c in title.chars() {
        if !c.is_alphanumeric() {
            inside = inside && matches!(c, '-' | '\'' | '\u{2019}' | '\u{2010}' | '\u{2011}');
        } else if inside {
            phase.push(c);
        } else {
            phase.extend(c.to_uppercase());
            inside = true;
        }
    }
    phase
}

/// The phases in the rows of a trace fence, in order, without adjacent repetitions. Reads no more of the table than
/// that; `session` checks its form.
pub(super) fn named(content: &str) -> Vec<&str> {
    let mut phases: Vec<&str> = Vec::new();
    let mut table: Option<(usize, char)> = None;
    for line in content.lines() {
        let indented = line.starts_with([' ', '\t']);
        match table {
            Some((column, delimiter)) if indented => {
                let cell = line.trim().split(delimiter).nth(column).unwrap_or("").trim().trim_matches('"');
                if !cell.is_empty() && phases.last() != Some(&cell) {
                    phases.push(cell);
                }
            }
            _ => table = header(line.trim()),
        }
    }
    phases
}

/// The position of the phase in the rows of an `execution` table, by its header, and the delimiter of cells.
fn header(line: &str) -> Option<(usize, char)> {
    let rest = line.strip_prefix("execution[")?;
    let (count, rest) = rest.split_once(']')?;
    let delimiter = count.chars().last().filter(|c| matches!(c, '|' | '\t')).unwrap_or(',');
    let fields = rest.trim_start().strip_prefix('{')?.split('}').next()?;
    let column = fields.split(delimiter).position(|field| field.trim().trim_matches('"') == "phase")?;
    Some((column, delimiter))
}

/// Whether a row's phase names the step with this phase.
pub(super) fn names(row: &str, phase: &str) -> bool {
    row == phase || row.strip_suffix(phase).is_some_and(|group| group.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_pascal_case_and_keep_inner_capitals() {
        for (title, expected) in [
            ("Receive Order", "ReceiveOrder"),
            ("Re-run Integration Tests", "RerunIntegrationTests"),
            ("API Design", "APIDesign"),
            ("E-Commerce Order", "ECommerceOrder"),
            ("Check customer's order", "CheckCustomersOrder"),
            ("validate_order", "ValidateOrder"),
            ("Fix A & B?", "FixAB"),
            ("prüfe Zahlung / Rabatt", "PrüfeZahlungRabatt"),
            ("- -- a", "A"),
            ("!!", ""),
        ] {
            assert_eq!(phase(title), expected, "{title}");
        }
    }

    #[test]
    fn fences_name_phases() {
        let content = "execution[2]{phase,agent}:\n Pay,a\n Pay,b\nother[1]{x}:\n Ship\nexecution[1|]{agent|phase}:\n  a|\"Ship\"\n";
        assert_eq!(named(content), ["Pay", "Ship"]);
        assert!(names("Group/Pay", "Pay") && names("Pay", "Pay") && !names("RePay", "Pay"));
    }
}
