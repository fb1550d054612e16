//! JUnit: a document is a suite, each of its steps a test, and the problems outside of steps another.

use super::Checked;
use crate::diag::Diagnostic;
use crate::diag::render::{self, visible};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

/// The report; `fails` decides which problems make a test fail.
///
/// # Errors
/// An error of the XML writer.
pub fn junit(
    name: &str,
    checked: &[Checked],
    fails: &dyn Fn(&Diagnostic) -> bool,
) -> Result<String, SerializeError> {
    let mut report = Report::new(name);
    for checked in checked {
        let mut suite = TestSuite::new(visible(&checked.source.name));
        for (name, problems) in cases(checked) {
            suite.add_test_case(case(checked, name, problems, fails));
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

/// The parts of a document with their problems: the text above the first step, then each step with the text up to the
/// next.
fn cases<'a>(checked: &Checked<'a>) -> Vec<(&'a str, Vec<&'a Diagnostic>)> {
    let steps = &checked.spec.steps;
    let mut cases: Vec<(&str, Vec<&Diagnostic>)> = vec![("document", Vec::new())];
    cases.extend(steps.iter().map(|step| (step.title.value.as_str(), Vec::new())));
    for problem in checked.problems {
        let part = steps.partition_point(|step| step.heading.start <= problem.span.start);
        if let Some((_, problems)) = cases.get_mut(part) {
            problems.push(problem);
        }
    }
    cases
}

fn case(
    checked: &Checked,
    name: &str,
    problems: Vec<&Diagnostic>,
    fails: &dyn Fn(&Diagnostic) -> bool,
) -> TestCase {
    let (failures, others): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| fails(problem));
    let drawn = |problems: &[&Diagnostic]| {
        let drawn = problems.iter().map(|problem| render::one(checked.source, problem, false));
        drawn.collect::<String>().trim_end().to_owned()
    };
    let status = match failures.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let more = match failures.len() {
                1 => String::new(),
                all => format!(", and {} more", all - 1),
            };
            status.set_type(first.code).set_message(format!("{}{more}", visible(&first.message)));
            status.set_description(drawn(&failures));
            status
        }
    };
    let mut case = TestCase::new(visible(name), status);
    case.set_classname(visible(&checked.source.name));
    if !others.is_empty() {
        case.set_system_out(drawn(&others));
    }
    case
}
