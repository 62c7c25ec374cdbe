//! The limit of open files, which is that of connections.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;

const AREA: &str = "limits";

/// Number of open files below which a busy server refuses connections.
const FEW_FILES: u64 = 4096;

pub(super) fn findings() -> Vec<Finding> {
    // The server raises its limit to the maximum.
    vec![of_maximum(getrlimit(Resource::Nofile).maximum)]
}

fn of_maximum(maximum: Option<u64>) -> Finding {
    match maximum {
        None => Finding::ok(AREA, "the number of open files has no limit"),
        Some(most) if most < FEW_FILES => Finding::warning(
            AREA,
            format!("{most} files can be open at a time, which limits the number of connections"),
            format!(
                "raise it to at least {FEW_FILES} (systemd: LimitNOFILE, docker: --ulimit nofile, shells: ulimit -n)"
            ),
        ),
        Some(most) => Finding::ok(AREA, format!("{most} files can be open at a time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::FindingLevel;

    #[test]
    fn a_low_limit_is_found() {
        assert_eq!(of_maximum(Some(1024)).level, FindingLevel::Warning);
        assert_eq!(of_maximum(Some(1 << 20)).level, FindingLevel::Ok);
        assert_eq!(of_maximum(None).level, FindingLevel::Ok);
    }
}
