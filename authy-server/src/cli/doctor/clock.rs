//! The clock of this machine, compared with that of the database.

use authy_core::engine::DatabaseReport;

use super::finding::Finding;

const AREA: &str = "clock";

/// Difference in seconds that is worth a look: clocks that are synchronized differ by milliseconds.
const WARNING_SECONDS: f64 = 2.0;

/// Difference in seconds from which verifiers refuse tokens, because they seem to be issued in the future.
const PROBLEM_SECONDS: f64 = 30.0;

pub(super) fn finding(report: &DatabaseReport) -> Finding {
    let ahead = report.clock_ahead_ms as f64 / 1000.0;
    let side = if ahead > 0.0 { "behind" } else { "ahead of" };
    let message = format!("the clock of this machine is {:.3} seconds {side} the clock of the database", ahead.abs());
    // The answer may have been under way for all of this time.
    let certain = ahead.abs() - report.clock_accuracy.as_secs_f64();
    let remedy = "synchronize the clocks of both (chrony, systemd-timesyncd)";
    match certain {
        certain if certain > PROBLEM_SECONDS => Finding::problem(AREA, message, remedy),
        certain if certain > WARNING_SECONDS => Finding::warning(AREA, message, remedy),
        _ => Finding::ok(AREA, message),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::doctor::FindingLevel;

    #[test]
    fn a_clock_is_wrong_by_more_than_the_question_took() {
        for (ahead_ms, took, level, expected) in [
            (200, 0.0, FindingLevel::Ok, "0.200 seconds behind"),
            (-200, 0.0, FindingLevel::Ok, "0.200 seconds ahead of"),
            (3000, 0.0, FindingLevel::Warning, "3.000 seconds behind"),
            (3000, 2.0, FindingLevel::Ok, "3.000 seconds behind"),
            (-3_600_000, 0.1, FindingLevel::Problem, "3600.000 seconds ahead of"),
        ] {
            let mut report = DatabaseReport::default();
            report.clock_ahead_ms = ahead_ms;
            report.clock_accuracy = Duration::from_secs_f64(took);
            let finding = finding(&report);
            assert_eq!(finding.level, level, "{finding}");
            assert!(finding.message.contains(expected), "{finding}");
        }
    }
}
