//! What a check has found.

use std::fmt;

use serde::Serialize;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum FindingLevel {
    /// As it should be.
    Ok,
    /// A weakness, or something that is left out, which is as the settings say. It changes no exit code: a warning that is there for
    /// months is a warning that nobody reads.
    Note,
    /// It works, and may be wrong.
    Warning,
    /// It does not work.
    Problem,
}

/// What a check has found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Finding {
    /// The part that was checked.
    pub(in crate::cli) area: &'static str,
    pub(in crate::cli) level: FindingLevel,
    /// What was found. It contains no secret.
    pub(in crate::cli) message: String,
    /// What to do; `None` when there is nothing to do.
    pub(in crate::cli) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(area: &'static str, message: impl Into<String>) -> Self {
        Self { area, level: FindingLevel::Ok, message: message.into(), remedy: None }
    }

    pub(super) fn note(area: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, level: FindingLevel::Note, message: message.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn warning(area: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, level: FindingLevel::Warning, message: message.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn problem(area: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, level: FindingLevel::Problem, message: message.into(), remedy: Some(remedy.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            FindingLevel::Ok => "ok",
            FindingLevel::Note => "note",
            FindingLevel::Warning => "warning",
            FindingLevel::Problem => "problem",
        };
        write!(f, "{level:<8} {:<14} {}", self.area, self.message)?;
        match &self.remedy {
            // Below the message.
            Some(remedy) => write!(f, "\n{:<24}{remedy}", ""),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_to_do_below_it() {
        let finding = Finding::problem("disk", "it is full", "delete something");
        assert_eq!(finding.to_string(), "problem  disk           it is full\n                        delete something");
        assert_eq!(
            serde_json::to_value(&finding).unwrap(),
            serde_json::json!({
                "area": "disk", "level": "problem", "message": "it is full", "remedy": "delete something"
            })
        );
        assert!(FindingLevel::Ok < FindingLevel::Note && FindingLevel::Note < FindingLevel::Warning);
        assert!(FindingLevel::Warning < FindingLevel::Problem);
    }
}
