//! Programs in a document: the interpreter for a fence's language. `process` runs them, and rooms above decide whether
//! they may run.

/// The interpreter's command line for a fence's language, to be followed by the program's file; `None` for an unknown
/// language. Shells stop at the first command that fails.
pub fn interpreter(language: &str) -> Option<&'static [&'static str]> {
    Some(match language {
        "sh" | "shell" => &["sh", "-e"],
        "bash" => &["bash", "-e"],
        "zsh" => &["zsh", "-e"],
        "python" | "python3" | "py" => &["python3"],
        "node" | "javascript" | "js" => &["node"],
        "ruby" | "rb" => &["ruby"],
        "perl" | "pl" => &["perl"],
        _ => return None,
    })
}

/// Languages with an interpreter, for messages.
pub const LANGUAGES: [&str; 7] = ["sh", "bash", "zsh", "python", "node", "ruby", "perl"];
