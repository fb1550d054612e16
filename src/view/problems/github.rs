//! Workflow commands of GitHub: a line a problem, which GitHub draws at its place in a pull request.

use super::{Checked, message_of, over_lines, path};
use crate::diag::Severity;
use crate::diag::render::visible;

/// One line for each problem.
pub fn github(checked: &[Checked]) -> String {
    let mut out = String::new();
    for Checked { source, problems, .. } in checked {
        for problem in *problems {
            let (start, end) = (source.position(problem.span.start), source.position(problem.span.end));
            let command = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "notice",
            };
            let file = property(path(source));
            let mut place = format!("file={file},line={},endLine={}", start.line, end.line);
            // GitHub rejects columns of a span over several lines.
            if !over_lines(source, problem) {
                place.push_str(&format!(",col={},endColumn={}", start.column, end.column));
            }
            let title = property(&format!("orderflow {}", problem.code));
            out.push_str(&format!("::{command} {place},title={title}::{}\n", data(&message_of(problem))));
        }
    }
    out
}

/// The text of a command.
fn data(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines.join("\n").replace('%', "%25").replace('\n', "%0A")
}

/// The value of one of its properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Source, Span, catalogue};
    use crate::spec::Spec;

    #[test]
    fn a_span_over_several_lines_has_no_columns() {
        let source = Source::new("a,b: 5%.md", "one\ntwo\n");
        let problems =
            [Span::new(1, 3), Span::new(1, 6)].map(|span| catalogue::bad_session(span, "100%, x: y"));
        let checked = Checked { source: &source, spec: &Spec::default(), problems: &problems };
        assert_eq!(
            github(&[checked]),
            "::error file=a%2Cb%3A 5%25.md,line=1,endLine=1,col=2,endColumn=4,title=orderflow session-layout::100%25, x: y\n\
             ::error file=a%2Cb%3A 5%25.md,line=1,endLine=2,title=orderflow session-layout::100%25, x: y\n"
        );
    }
}
