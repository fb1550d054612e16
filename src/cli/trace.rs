//! Shows the problems of a session file with their lines, without storing the file.

use super::terminal::Terminal;
use crate::diag::{Diagnostic, Source, render};
use crate::session::{Session, TraceProblem};

/// Shows all problems of a session file, each with its line.
pub fn tell(name: &str, session: &Session, terminal: &mut Terminal) {
    let colour = terminal.talk_colour();
    for problem in &session.problems.shown {
        let TraceProblem { diagnostic, line, text, .. } = problem;
        let line = usize::try_from(*line).unwrap_or(usize::MAX);
        let source = Source::excerpt(name, line, text.as_str());
        terminal.talk(&render::one(&source, diagnostic, colour));
    }
    let shown: Vec<Diagnostic> =
        session.problems.shown.iter().map(|problem| problem.diagnostic.clone()).collect();
    if !shown.is_empty() {
        let more = match session.problems.more {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        terminal.talk(&format!("{}: {}{more}\n", render::visible(name), render::count(&shown)));
    }
}
