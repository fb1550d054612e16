//! Programs that stand in a document: which interpreter runs a fence's language. Running them is `process`'s
//! work, and whether they may run at all is decided above.

/// The interpreter's command line for a fence's language, to be followed by the program's file; none where no
/// interpreter is known. Shells stop at the first command that fails.
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
