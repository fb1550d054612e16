//! Statistics for spreadsheets.

use crate::diag::render::visible;
use crate::event::Status;
use crate::stats::{Group, NumericColumn, Stats};
use std::fmt::Display;

/// One line a group; an agent's numeric column becomes several.
pub fn csv(stats: &Stats) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in stats.groups.iter().flat_map(|group| &group.columns) {
        if !names.contains(&&**name) {
            names.push(name);
        }
    }
    let dimensions = stats.groups.first().map(|group| group.by.as_slice()).unwrap_or_default();
    let mut header: Vec<String> =
        dimensions.iter().map(|(dimension, _)| dimension.name().to_owned()).collect();
    header.extend(
        [
            "count",
            "success",
            "failed",
            "success_rate",
            "mean_ms",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "max_ms",
            "percentile_error",
            "tokens_used",
            "skipped",
            "compensated",
            "compensation_failed",
        ]
        .map(str::to_owned),
    );
    for name in &names {
        header
            .extend(["count", "sum", "mean", "min", "max"].map(|figure| format!("{}.{figure}", text(name))));
    }
    writer.write_record(&header)?;
    for group in &stats.groups {
        writer.write_record(record(group, &names))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn record(group: &Group, names: &[&str]) -> Vec<String> {
    let mut record: Vec<String> =
        group.by.iter().map(|(_, value)| text(value.as_deref().unwrap_or_default())).collect();
    record.extend([group.count, group.with(Status::Success), group.failed()].map(|count| count.to_string()));
    record.push(shown(group.success_rate.map(|rate| rate.0)));
    for duration in [group.mean_ms, group.p50_ms, group.p95_ms, group.p99_ms, group.max_ms] {
        record.push(shown(duration.map(|figure| figure.0)));
    }
    record.push(group.percentile_error.0.to_string());
    record.push(shown(group.tokens_used));
    let others = [Status::Skipped, Status::Compensated, Status::CompensationFailed];
    record.extend(others.map(|status| group.with(status).to_string()));
    for name in names {
        match group.columns.iter().find(|(known, _)| &**known == *name) {
            Some((_, NumericColumn { count, sum, mean, min, max })) => record.extend([
                count.to_string(),
                shown(sum.as_ref()),
                shown(mean.as_ref()),
                min.to_string(),
                max.to_string(),
            ]),
            None => record.extend(std::iter::repeat_n(String::new(), 5)),
        }
    }
    record
}

/// A text that no spreadsheet reads as a formula.
fn text(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("{}{}", if formula { "'" } else { "" }, visible(text))
}

fn shown(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
