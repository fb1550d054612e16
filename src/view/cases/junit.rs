//! JUnit: a document is a suite, each of its cases a test.

use super::{TestedDocument, TriedCase};
use crate::diag::render::{self, visible};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

/// The report.
///
/// # Errors
/// An error of the XML writer.
pub fn junit(tested: &[TestedDocument]) -> Result<String, SerializeError> {
    let mut report = Report::new("orderflow test");
    for document in tested {
        let mut suite = TestSuite::new(visible(document.name));
        suite.add_test_cases(document.cases.iter().map(|tried| case(document.name, tried)));
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(document: &str, tried: &TriedCase) -> TestCase {
    let status = match tried.unmet.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(first.code).set_message(visible(&first.message));
            let drawn = tried.unmet.iter().map(|problem| render::one(tried.source, problem, false));
            status.set_description(drawn.collect::<String>().trim_end());
            status
        }
    };
    let mut case = TestCase::new(visible(tried.name), status);
    case.set_classname(visible(document));
    case
}
