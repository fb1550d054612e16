//! Problems of `orderflow.toml`.

use crate::diag::{Diagnostic, Span, nearest};

pub fn settings_syntax(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("settings-syntax", span, message.trim().to_owned())
}

pub fn settings_unknown_key(span: Span, key: &str, known: &[&str]) -> Diagnostic {
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Diagnostic::error("settings-unknown-key", span, format!("unknown key \"{key}\"")).help(help)
}

/// `expected` completes "… must be …".
pub fn settings_bad_value(span: Span, key: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::error("settings-bad-value", span, format!("\"{key}\" must be {expected}"))
        .label(format!("found {found}"))
}

pub fn settings_not_supported(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error("settings-not-supported", span, format!("\"{key}\" is not supported yet"))
        .help("an agent is a program for now: command = [\"python3\", \"agent.py\"]")
}
