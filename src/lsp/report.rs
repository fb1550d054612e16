//! Problems as an editor shows them.

use super::Places;
use crate::diag::{Diagnostic, Severity, Source};
use gen_lsp_types::{self as protocol, DiagnosticRelatedInformation, DiagnosticSeverity, Location, Uri};

/// The problems of a text for the editor.
pub fn report(
    source: &Source,
    places: &Places,
    problems: &[Diagnostic],
    uri: &Uri,
) -> Vec<protocol::Diagnostic> {
    let text = source.text.as_str();
    let one = |problem: &Diagnostic| {
        let related = problem.related.iter().map(|related| DiagnosticRelatedInformation {
            location: Location { uri: uri.clone(), range: places.range(text, related.span) },
            message: related.label.clone(),
        });
        let related: Vec<_> = related.collect();
        let parts = [Some(&problem.message), Some(&problem.label).filter(|label| !label.is_empty())];
        let mut message = parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(": ");
        if let Some(help) = &problem.help {
            message.push_str(&format!("\nhelp: {help}"));
        }
        protocol::Diagnostic {
            range: places.range(text, problem.span),
            severity: Some(match problem.severity {
                Severity::Error => DiagnosticSeverity::Error,
                Severity::Warning => DiagnosticSeverity::Warning,
                Severity::Note => DiagnosticSeverity::Information,
            }),
            code: Some(protocol::Code::String(problem.code.to_owned())),
            source: Some("orderflow".to_owned()),
            message: protocol::Message::String(message),
            related_information: Some(related).filter(|related| !related.is_empty()),
            ..protocol::Diagnostic::default()
        }
    };
    problems.iter().map(one).collect()
}
